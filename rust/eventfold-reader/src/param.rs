//! Arguments of statements.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::arrays::{UUID, array, bytes};

/// An argument of a statement. PostgreSQL tells its type from the statement; the binary forms
/// of both must agree, so a statement casts where that is not plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// NULL of any type.
    Null,
    /// A `boolean`.
    Bool(bool),
    /// A `bigint`.
    Int(i64),
    /// A `text`.
    Text(String),
    /// A `uuid`.
    Uuid([u8; 16]),
    /// A `bigint[]`.
    Ints(Vec<i64>),
    /// A `text[]`.
    Texts(Vec<String>),
    /// A `uuid[]`.
    Uuids(Vec<[u8; 16]>),
}

impl ToSql for Param {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Bool(value) => out.put_u8(u8::from(*value)),
            Self::Int(value) => out.put_i64(*value),
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Uuid(id) => out.put_slice(id),
            Self::Ints(values) => return values.to_sql(&Type::INT8_ARRAY, out),
            Self::Texts(texts) => return texts.to_sql(&Type::TEXT_ARRAY, out),
            Self::Uuids(ids) => return array(UUID, ids.iter(), out, |id, out| bytes(id, out)),
        }
        Ok(IsNull::No)
    }

    // The type is that of the statement; what it may be, the variants say.
    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
