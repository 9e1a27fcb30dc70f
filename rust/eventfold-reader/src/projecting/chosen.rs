//! Some of the rows of a page.

use eventfold_core::rows::Page;

use crate::row::PgRows;

/// Rows of a page, told by their indexes.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    pub page: &'a PgRows,
    pub rows: Vec<usize>,
}

impl Page for Chosen<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        self.page.cell(column, *self.rows.get(index)?)
    }
}
