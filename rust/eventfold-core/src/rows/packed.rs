//! Pages of one binary array a column.

use super::column::Column;
use super::{COLUMNS, Page, ROOT_SPEC, SPECS, VARIABLE, bad_page};
use crate::error::CoreError;

/// A page whose columns are arrays.
#[derive(Debug)]
pub struct Rows<B> {
    columns: [Option<Column<B>>; COLUMNS + 1],
    len: usize,
}

impl<B: AsRef<[u8]>> Rows<B> {
    /// Decodes the columns of a page, in the order of [`Page`]; that of the roots may be left out.
    /// An absent optional column is NULL in every row; if all are absent, the page has no rows.
    pub fn decode(columns: impl IntoIterator<Item = Option<B>>) -> Result<Self, CoreError> {
        let mut decoded: [Option<Column<B>>; COLUMNS + 1] = std::array::from_fn(|_| None);
        let mut len = None;
        let mut count = 0;
        for bytes in columns {
            let Some(spec) = SPECS.iter().chain([&ROOT_SPEC]).nth(count) else {
                return Err(bad_page(format!("it has more than {} columns", COLUMNS + 1)));
            };
            count += 1;
            let Some(bytes) = bytes else { continue };
            let column = Column::decode(bytes, spec.element)
                .map_err(|error| bad_page(format!("{}: {}", spec.name, error.prose())))?;
            if *len.get_or_insert(column.len()) != column.len() {
                return Err(bad_page(format!("{} has another length", spec.name)));
            }
            decoded[count - 1] = Some(column);
        }
        if count < COLUMNS {
            return Err(bad_page(format!("it has {count} columns, not {COLUMNS}")));
        }
        let len = len.unwrap_or(0);
        for (spec, column) in SPECS.iter().zip(&decoded) {
            if len > 0 && column.is_none() && !spec.optional {
                return Err(bad_page(format!("{} is absent", spec.name)));
            }
        }
        Ok(Self { columns: decoded, len })
    }
}

impl<B: AsRef<[u8]>> Page for Rows<B> {
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        self.columns.get(column)?.as_ref()?.get(index)
    }

    #[inline]
    fn fixed<const N: usize>(&self, column: usize, index: usize) -> Option<&[u8; N]> {
        self.columns.get(column)?.as_ref()?.fixed(index)
    }

    fn payload_bytes(&self) -> usize {
        VARIABLE.iter().filter_map(|&at| self.columns[at].as_ref()).map(Column::byte_len).sum()
    }
}
