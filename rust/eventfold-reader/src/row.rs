//! Rows of PostgreSQL as pages of the core.

use std::error::Error;

use eventfold_core::privacy::OpenedValue;
use eventfold_core::rows::{Overlay, Page};
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

/// Data and flags that stand in place of what is stored.
#[derive(Debug)]
pub(crate) struct Changed {
    pub data: Vec<u8>,
    pub flags: i32,
    /// Personal values that were opened.
    pub opened: Vec<OpenedValue>,
}

/// Rows as they came from PostgreSQL, of which nothing was copied, and what mappings made of some.
#[derive(Debug, Default)]
pub struct PgRows {
    rows: Vec<Row>,
    mapped: Overlay,
    /// Personal values that were opened; ends with the last row that has some.
    opened: Vec<Vec<OpenedValue>>,
    /// Bytes of all rows, and of what mappings made.
    pub bytes: usize,
}

impl PgRows {
    pub(crate) fn push(&mut self, row: Row, changed: Option<Changed>) {
        self.bytes += row.raw_size_bytes();
        self.rows.push(row);
        if let Some(changed) = changed {
            self.change(self.rows.len() - 1, changed);
        }
    }

    /// Puts what a mapping made over the row at an index.
    pub(crate) fn change(&mut self, index: usize, changed: Changed) {
        self.bytes += changed.data.len();
        self.mapped.put(index, changed.data, changed.flags);
        if !changed.opened.is_empty() {
            if index >= self.opened.len() {
                self.opened.resize_with(index + 1, Vec::new);
            }
            self.opened[index] = changed.opened;
        }
    }

    /// Leaves out the rows from an index on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.rows.truncate(len);
        self.mapped.truncate(len);
        self.opened.truncate(len);
    }
}

impl Page for PgRows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        match self.mapped.cell(column, index) {
            Some(mapped) => Some(mapped),
            None => cell(self.rows.get(index)?, column),
        }
    }

    #[inline]
    fn opened(&self, index: usize) -> &[OpenedValue] {
        self.opened.get(index).map_or(&[], Vec::as_slice)
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
