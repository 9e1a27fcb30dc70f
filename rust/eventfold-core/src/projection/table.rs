//! A table in memory, for tests and for looking at what a document makes of events.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::CoreError;
use crate::rows::{Compact, Page};

use super::{ChangedRow, Changes, Known, Projecting, Projection};

/// The table of a projection, kept in memory as a database would keep it.
#[derive(Debug)]
pub struct Table {
    projecting: Projecting,
    /// All events so far, if they refer to others.
    seen: Vec<Compact>,
    /// The rows by key, those that are hidden too.
    pub rows: BTreeMap<String, ChangedRow>,
    /// The keys that are parked.
    pub parked: BTreeMap<String, Parked>,
    /// Number of events that were folded.
    pub events: u64,
    /// Position up to which all events are in the table.
    pub position: i64,
    /// Why the event behind `position` stops the projection: it takes no further event.
    pub stopped: Option<CoreError>,
}

/// Why a key is parked, and the positions of the events that are set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// What went wrong with the first of them.
    pub error: CoreError,
    /// In order.
    pub positions: Vec<i64>,
}

impl Table {
    /// An empty table.
    pub fn new(projection: Arc<Projection>) -> Self {
        Self {
            projecting: Projecting::new(projection).of_empty_table(),
            seen: Vec::new(),
            rows: BTreeMap::new(),
            parked: BTreeMap::new(),
            events: 0,
            position: 0,
            stopped: None,
        }
    }

    /// Folds a page of events, in the order of the log, unless the projection has stopped. What
    /// they refer to is found among all events that were fed, those of other types too.
    pub fn feed(&mut self, page: &impl Page) -> Result<(), CoreError> {
        let projection = Arc::clone(self.projecting.projection());
        if !projection.resolves() {
            return self.fold(page, 0);
        }
        self.seen.extend(Compact::of(page));
        let mut next = 0;
        while next < page.len() && self.stopped.is_none() {
            let references = projection.references(page, next)?;
            let known = references.ids.len();
            let resolved = references.resolve(page, known, &self.seen)?;
            self.fold(&resolved, next)?;
            next = resolved.len();
        }
        Ok(())
    }

    fn fold(&mut self, page: &impl Page, from: usize) -> Result<(), CoreError> {
        let mut next = from;
        while next < page.len() && self.stopped.is_none() {
            let keys = self.projecting.keys(page, next)?;
            for key in self.projecting.unknown(&keys) {
                let known = match self.rows.get(&key) {
                    _ if self.parked.contains_key(&key) => Known::Parked,
                    None => Known::Absent,
                    Some(ChangedRow { state, version, position, shown, whose, .. }) => {
                        let (version, position, shown) = (*version, *position, *shown);
                        Known::Row { state, version, position, shown, whose: *whose }
                    }
                };
                self.projecting.know(&key, known)?;
            }
            let changes = self.projecting.fold(page, &keys)?;
            next = changes.next;
            self.write(changes);
            self.projecting.committed();
        }
        Ok(())
    }

    fn write(&mut self, changes: Changes) {
        self.rows.extend(changes.upserts.into_iter().map(|row| (row.key.clone(), row)));
        for key in changes.deletes {
            self.rows.remove(&key);
        }
        for (key, error) in changes.parked_keys {
            self.parked.insert(key, Parked { error, positions: Vec::new() });
        }
        for (key, position) in changes.parked_events {
            if let Some(parked) = self.parked.get_mut(&key) {
                parked.positions.push(position);
            }
        }
        self.events += changes.events;
        self.position = changes.up_to;
        self.stopped = changes.stopped;
    }
}
