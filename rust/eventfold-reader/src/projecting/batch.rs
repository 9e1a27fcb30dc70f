//! What a transaction is to write: the changes of all its pages, each row as it is in the end.

use std::time::Instant;

use eventfold_core::error::CoreError;
use eventfold_core::projection::{ChangedRow, Changes};

use super::Bounds;
use super::reading::Anchor;

/// Changes since the last commit.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its number, as the core counts.
    pub number: u64,
    /// Rows as they are in the end, and keys of those that are to go.
    pub upserts: Vec<ChangedRow>,
    pub deletes: Vec<String>,
    pub parked_keys: Vec<(String, CoreError)>,
    pub parked_events: Vec<(String, i64)>,
    /// Keys that are parked no longer, with their lists.
    pub mended: Vec<String>,
    /// Parked keys that failed again, and why.
    pub failed_again: Vec<(String, CoreError)>,
    pub events: u64,
    /// Position up to which all is in the batch.
    pub position: i64,
    /// Events that must be in the log, or what was read is not.
    pub anchors: Vec<Anchor>,
    pub stopped: Option<CoreError>,
    bytes: usize,
    begun: Instant,
    /// What is remembered of events that are not committed takes too much memory.
    pub is_crowded: bool,
}

impl Batch {
    pub(super) fn new(position: i64) -> Self {
        Self {
            number: 0,
            upserts: Vec::new(),
            deletes: Vec::new(),
            parked_keys: Vec::new(),
            parked_events: Vec::new(),
            mended: Vec::new(),
            failed_again: Vec::new(),
            events: 0,
            position,
            anchors: Vec::new(),
            stopped: None,
            bytes: 0,
            begun: Instant::now(),
            is_crowded: false,
        }
    }

    /// Adds the changes of some more events, whose rows, of so many bytes, come at the end.
    pub(super) fn add(&mut self, changes: Changes, bytes: usize) {
        self.bytes = bytes;
        self.parked_keys.extend(changes.parked_keys);
        self.parked_events.extend(changes.parked_events);
        self.events += changes.events;
        self.stopped = changes.stopped;
        self.position = self.position.max(changes.up_to);
    }

    /// Notes what pages were read beside.
    pub(super) fn hold_on(&mut self, anchor: Option<Anchor>) {
        if self.anchors.last() != anchor.as_ref() {
            self.anchors.extend(anchor);
        }
    }

    /// Whether it is time to write.
    pub(super) fn is_full(&self, bounds: &Bounds) -> bool {
        self.is_crowded
            || self.stopped.is_some()
            || self.bytes >= bounds.batch_bytes
            || self.events >= bounds.batch_events
            || self.begun.elapsed() >= bounds.batch_time
    }

    /// Whether there is nothing to write but a position.
    pub(super) fn is_empty(&self) -> bool {
        self.upserts.is_empty()
            && self.deletes.is_empty()
            && self.parked_keys.is_empty()
            && self.parked_events.is_empty()
            && self.events == 0
            && self.stopped.is_none()
    }
}
