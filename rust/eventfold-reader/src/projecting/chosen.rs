//! Some of the rows of a page.

use eventfold_core::privacy::{OpenedValue, Whose};
use eventfold_core::rows::{Page, Resolution};

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

    fn resolution(&self, index: usize, name: usize) -> Option<Resolution<'_>> {
        self.page.resolution(*self.rows.get(index)?, name)
    }

    fn opened(&self, index: usize) -> &[OpenedValue] {
        self.rows.get(index).map_or(&[], |row| self.page.opened(*row))
    }

    fn whose(&self, index: usize, read: &dyn Fn(&str) -> bool) -> Whose {
        self.rows.get(index).map_or(Whose::Nobody, |row| self.page.whose(*row, read))
    }
}
