//! What a step writes, as arguments of its statements, in PostgreSQL's binary forms.

use bytes::{BufMut, BytesMut};
use eventfold_core::projection::ChangedRow;
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::arrays::{BOOL, BYTEA, INT8, TEXT, UUID, Written, array, bigint, bytes};

/// An argument that borrows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument<'a> {
    /// A `bigint`.
    Int(i64),
    /// A `text`, or NULL.
    Text(Option<&'a str>),
    /// A `text[]`.
    Texts(&'a [&'a str]),
    /// A `bigint[]`.
    Ints(&'a [i64]),
    /// A `uuid[]`.
    Uuids(&'a [[u8; 16]]),
    /// A column of rows.
    Column(&'a [&'a ChangedRow], Column),
}

/// A column of the table, as an array.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    Key,
    State,
    Shown,
    Version,
    Position,
    /// One of the document's, by its index.
    Said(usize),
}

/// The columns that each table has, in the order of the statement.
pub(super) const FIXED: [Column; 5] =
    [Column::Key, Column::State, Column::Shown, Column::Version, Column::Position];

impl Argument<'_> {
    fn write(&self, out: &mut BytesMut) -> Written {
        match self {
            Self::Int(value) => out.put_i64(*value),
            Self::Text(Some(text)) => out.put_slice(text.as_bytes()),
            Self::Text(None) => return Ok(IsNull::Yes),
            Self::Texts(texts) => {
                return array(TEXT, texts.iter().map(|text| text.as_bytes()), out, bytes);
            }
            Self::Ints(values) => return array(INT8, values.iter().copied(), out, bigint),
            Self::Uuids(ids) => return array(UUID, ids.iter(), out, |id, out| bytes(id, out)),
            Self::Column(rows, column) => return column.write(rows, out),
        }
        Ok(IsNull::No)
    }
}

impl Column {
    fn write(self, rows: &[&ChangedRow], out: &mut BytesMut) -> Written {
        let rows = rows.iter();
        match self {
            Self::Key => array(TEXT, rows.map(|row| row.key.as_bytes()), out, bytes),
            Self::State => array(BYTEA, rows.map(|row| row.state.as_slice()), out, bytes),
            Self::Shown => array(BOOL, rows.map(|row| row.shown), out, |shown, out| {
                out.put_u8(u8::from(shown));
                true
            }),
            Self::Version => array(INT8, rows.map(|row| row.version), out, bigint),
            Self::Position => array(INT8, rows.map(|row| row.position), out, bigint),
            Self::Said(index) => {
                let values = rows.map(|row| row.columns.get(index).and_then(Option::as_deref));
                array(TEXT, values, out, |value, out| {
                    value.is_some_and(|text| bytes(text.as_bytes(), out))
                })
            }
        }
    }
}

impl ToSql for Argument<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Written {
        self.write(out)
    }

    // The statement casts.
    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
