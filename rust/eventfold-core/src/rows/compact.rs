//! Pages that are kept: every cell copied into one buffer.

use std::collections::BTreeMap;

use crate::privacy::OpenedValue;

use super::{COLUMNS, Page, STREAM};

/// A copy of a page that holds on to nothing else: rows of PostgreSQL keep the whole buffer that
/// they were received in.
#[derive(Debug, Default)]
pub struct Compact {
    /// All cells that are not NULL, one after the other.
    bytes: Vec<u8>,
    /// Where each cell ends, row by row.
    ends: Vec<u32>,
    /// The columns that are not NULL, a bit each, row by row.
    present: Vec<u32>,
    /// Of the rows that have some, by their indexes.
    opened: BTreeMap<usize, Vec<OpenedValue>>,
}

impl Compact {
    /// Copies a page; `None`: it has more than 4 GiB.
    pub fn of(page: &impl Page) -> Option<Self> {
        let mut copy = Self::default();
        copy.bytes.reserve_exact(page.payload_bytes() + page.len() * FIXED_BYTES);
        for index in 0..page.len() {
            copy.push(page, index)?;
        }
        copy.bytes.shrink_to_fit();
        Some(copy)
    }

    /// Copies the rows of one stream, from the row at index `first` on; `None`: they have more
    /// than 4 GiB.
    pub fn of_stream(page: &impl Page, first: usize, stream: &str) -> Option<Self> {
        let mut copy = Self::default();
        for index in first..page.len() {
            if page.cell(STREAM, index) == Some(stream.as_bytes()) {
                copy.push(page, index)?;
            }
        }
        Some(copy)
    }

    fn push(&mut self, page: &impl Page, index: usize) -> Option<()> {
        let opened = page.opened(index);
        if !opened.is_empty() {
            self.opened.insert(self.present.len(), opened.to_vec());
        }
        let mut present = 0;
        for column in 0..COLUMNS {
            if let Some(cell) = page.cell(column, index) {
                self.bytes.extend_from_slice(cell);
                present |= 1 << column;
            }
            self.ends.push(u32::try_from(self.bytes.len()).ok()?);
        }
        self.present.push(present);
        Some(())
    }

    /// What the copy takes.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
            + self.ends.len() * size_of::<u32>()
            + self.present.len() * size_of::<u32>()
    }
}

/// The cells of a row that have a fixed size: numbers, times, ids and marks.
const FIXED_BYTES: usize = 8 + 8 + 16 + 8 + 8 + 4 + 1;

const _: () = assert!(COLUMNS <= u32::BITS as usize);

impl Page for Compact {
    fn len(&self) -> usize {
        self.present.len()
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        if column >= COLUMNS || self.present.get(index)? & (1 << column) == 0 {
            return None;
        }
        let at = index * COLUMNS + column;
        let first = if at == 0 { 0 } else { *self.ends.get(at - 1)? };
        self.bytes.get(first as usize..*self.ends.get(at)? as usize)
    }

    fn opened(&self, index: usize) -> &[OpenedValue] {
        self.opened.get(&index).map_or(&[], Vec::as_slice)
    }
}
