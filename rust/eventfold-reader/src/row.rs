//! Rows of PostgreSQL as pages of the core.

use std::error::Error;

use eventfold_core::rows::Page;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

/// The bytes of a cell, whatever its type.
struct Cell<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The bytes of a cell; `None` for NULL, and where there is no such cell.
pub(crate) fn cell(row: &Row, column: usize) -> Option<&[u8]> {
    row.try_get::<_, Option<Cell<'_>>>(column).ok()?.map(|cell| cell.0)
}

/// Rows as they came from PostgreSQL; nothing was copied.
#[derive(Debug, Default)]
pub struct PgRows {
    rows: Vec<Row>,
    /// Bytes of all rows.
    pub bytes: usize,
}

impl PgRows {
    pub(crate) fn push(&mut self, row: Row) {
        self.bytes += row.raw_size_bytes();
        self.rows.push(row);
    }
}

impl Page for PgRows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        cell(self.rows.get(index)?, column)
    }
}

/// One row as a page.
pub(crate) struct One<'a>(pub &'a Row);

impl Page for One<'_> {
    fn len(&self) -> usize {
        1
    }

    #[inline]
    fn cell(&self, column: usize, _: usize) -> Option<&[u8]> {
        cell(self.0, column)
    }
}
