//! Some of the rows of a page.

use eventfold_core::rows::Page;

/// Rows of a page, told by their indexes.
#[derive(Debug)]
pub(super) struct Chosen<'a, P> {
    pub page: &'a P,
    pub rows: Vec<usize>,
}

impl<P: Page> Page for Chosen<'_, P> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        self.page.cell(column, *self.rows.get(index)?)
    }
}
