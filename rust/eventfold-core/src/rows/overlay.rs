//! What stands in place of the cells of some rows of a page.

use super::{DATA, FLAGS};

/// Mapped data and flags, by the rows that have others than those that are stored.
#[derive(Debug, Default)]
pub struct Overlay {
    /// Ends with the last row that has some.
    rows: Vec<Option<Mapped>>,
}

#[derive(Debug)]
struct Mapped {
    data: Vec<u8>,
    flags: [u8; 4],
}

impl Overlay {
    /// Whether every row is as it is stored.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Puts data and flags over those of the row at an index.
    pub fn put(&mut self, index: usize, data: Vec<u8>, flags: i32) {
        if index >= self.rows.len() {
            self.rows.resize_with(index + 1, || None);
        }
        self.rows[index] = Some(Mapped { data, flags: flags.to_be_bytes() });
    }

    /// Forgets the rows from an index on.
    pub fn truncate(&mut self, len: usize) {
        self.rows.truncate(len);
    }

    /// What stands over a cell; `None`: the page's own counts.
    #[inline]
    pub fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        if self.rows.is_empty() || (column != DATA && column != FLAGS) {
            return None;
        }
        let mapped = self.rows.get(index)?.as_ref()?;
        Some(if column == DATA { &mapped.data } else { &mapped.flags })
    }
}
