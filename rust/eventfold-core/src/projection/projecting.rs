//! The fold by keys: events of many streams in, changes of rows out.

use std::sync::Arc;

use crate::error::CoreError;
use crate::rows::Page;

use super::Projection;

/// A generation of a projection on its way along the log, with a cache of the states of its keys.
#[derive(Debug)]
pub struct Projecting {
    projection: Arc<Projection>,
}

/// The keys of the events of a page.
#[derive(Debug)]
pub struct Keys {
    /// Index of the first row that was looked at.
    pub first: usize,
    /// Index of the row behind the last one: the end of the page, or the first whose key fails.
    pub end: usize,
    /// Why the key of the row at `end` fails.
    pub failed: Option<CoreError>,
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
    },
}

/// What events changed: all of it is to be written in one transaction.
#[derive(Debug, Default)]
pub struct Changes {
    /// Rows that are new, or other than they were, in byte order of their keys.
    pub upserts: Vec<ChangedRow>,
    /// Keys of rows that are no longer, in byte order.
    pub deletes: Vec<String>,
    /// Keys that are parked from here on, and why; in the order in which they failed.
    pub parked_keys: Vec<(String, CoreError)>,
    /// Events of parked keys by position, in order.
    pub parked_events: Vec<(String, i64)>,
    /// Number of events that were folded.
    pub events: u64,
    /// Position up to which all events are in the changes. 0: none was looked at.
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
}

impl Projecting {
    /// Begins with an empty cache.
    pub fn new(projection: Arc<Projection>) -> Self {
        Self { projection }
    }

    /// The projection.
    pub fn projection(&self) -> &Arc<Projection> {
        &self.projection
    }

    /// Says that the table has no row and no key is parked, as before the first event: then no
    /// key needs to be loaded for as long as all fit the cache.
    #[must_use]
    pub fn of_empty_table(self) -> Self {
        self
    }

    /// Parks keys, or stops, whatever the document says.
    #[must_use]
    pub fn with_parking(self, parks: bool) -> Self {
        let _ = parks;
        self
    }

    /// The keys of the rows of a page from index `from` on; ends before the first whose key fails.
    pub fn keys(&mut self, page: &impl Page, from: usize) -> Result<Keys, CoreError> {
        Ok(Keys { first: from, end: page.len(), failed: None })
    }

    /// The keys whose rows must be loaded ([`Projecting::know`]) before they can be folded, in the
    /// order of their first events.
    pub fn unknown(&self, keys: &Keys) -> Vec<String> {
        let _ = keys;
        Vec::new()
    }

    /// Takes over what the table has of a key.
    pub fn know(&mut self, key: &str, known: Known<'_>) -> Result<(), CoreError> {
        let _ = (key, known);
        Ok(())
    }

    /// Folds the rows of a page that `keys` are the keys of, from `keys.first` on. Ends early when
    /// the changes grow large, it took long, or a key comes that is not known: `next` tells.
    pub fn fold(&mut self, page: &impl Page, keys: &Keys) -> Result<Changes, CoreError> {
        let _ = (page, keys);
        Ok(Changes::default())
    }

    /// The changes are in the table.
    pub fn committed(&mut self) {}

    /// The changes did not come into the table, or others wrote there: forgets all keys.
    pub fn forget(&mut self) {}
}
