//! The keys of a page, and what the table has of them.

use std::sync::Arc;

use crate::error::CoreError;
use crate::privacy::Whose;

/// The keys of the events of a page.
#[derive(Debug)]
pub struct Keys {
    /// Index of the first row that was looked at.
    pub first: usize,
    /// Index of the row behind the last one: the first whose key fails, or the end of the page,
    /// or less if it took long.
    pub end: usize,
    /// Why the key of the row at `end` fails.
    pub failed: Option<CoreError>,
    /// The number of the key of each row; [`NO_KEY`] for events that are not folded.
    pub(super) rows: Vec<u32>,
    pub(super) names: Vec<Arc<str>>,
}

pub(super) const NO_KEY: u32 = u32::MAX;

impl Keys {
    /// The number of the key of the row at an index; `None`: it is not folded.
    pub(super) fn number(&self, index: usize) -> Option<usize> {
        let number = *self.rows.get(index.checked_sub(self.first)?)?;
        (number != NO_KEY).then_some(number as usize)
    }

    /// The key of the row at an index of the page; `None` for an event that is not folded, and for
    /// rows that were not looked at.
    pub fn of(&self, index: usize) -> Option<&str> {
        self.names.get(self.number(index)?).map(|key| &**key)
    }
}

/// What the table has of a key.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// No row, and it is not parked.
    Absent,
    /// It is parked: its events are set aside.
    Parked,
    /// A row.
    Row {
        /// JSON text of its state.
        state: &'a [u8],
        /// Version of the last event that touched it.
        version: i64,
        /// Position of that event.
        position: i64,
        /// Whether `where` shows it.
        shown: bool,
        /// Whose personal values are in it.
        whose: Whose,
    },
}
