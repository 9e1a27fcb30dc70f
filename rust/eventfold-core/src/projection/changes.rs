//! What events changed.

use crate::error::CoreError;
use crate::json::write::write_value;
use crate::privacy::Whose;

use super::cache::RowState;

/// What events changed: all of it is to be written in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows that an event touched, in byte order of their keys.
    pub upserts: Vec<ChangedRow>,
    /// Keys of rows that are no longer, in byte order.
    pub deletes: Vec<String>,
    /// Keys that are parked from here on, and why; in the order in which they failed.
    pub parked_keys: Vec<(String, CoreError)>,
    /// Events of parked keys by position, in order.
    pub parked_events: Vec<(String, i64)>,
    /// Number of events that were folded.
    pub events: u64,
    /// Position up to which all events of the page are in the changes: that of the row before
    /// `next`, or the one before the event that stops. 0: no row was looked at.
    pub up_to: i64,
    /// Index of the first row of the page that is not in the changes.
    pub next: usize,
    /// Why the row at `next` stops the projection.
    pub stopped: Option<CoreError>,
}

/// A row as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedRow {
    /// Its key.
    pub key: String,
    /// JSON text of its state.
    pub state: Vec<u8>,
    /// Whether `where` shows it.
    pub shown: bool,
    /// Version of the last event that touched it.
    pub version: i64,
    /// Position of that event.
    pub position: i64,
    /// For each column the text that PostgreSQL casts to its type exactly; `None` is NULL. All
    /// are NULL in a row that is hidden.
    pub columns: Vec<Option<String>>,
    /// Whose personal values may be in it.
    pub whose: Whose,
}

impl ChangedRow {
    pub(super) fn new(
        key: String,
        row: &RowState,
        columns: Vec<Option<String>>,
    ) -> Result<Self, CoreError> {
        let mut state = Vec::with_capacity(row.state.bytes + 16);
        write_value(&row.state.value, &mut state)
            .map_err(|error| CoreError::new("BUG", error.message))?;
        let RowState { shown, version, position, whose, .. } = *row;
        Ok(Self { key, state, shown, version, position, columns, whose })
    }
}
