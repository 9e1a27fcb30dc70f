//! Folding: events in, one state out.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::CoreError;
use crate::json::scan::scan_value;
use crate::json::write::write_value;
use crate::rows::{self, Page, Row};

use super::Fold;
use super::assign::State;
use super::compile::TypeHandler;
use super::coverage::Coverage;
use super::engine::{Engine, Outcome, read_brief};
use super::history::Held;
use super::scope::{Names, StreamNames};

/// Where a run begins.
#[derive(Debug, Clone)]
pub struct Start {
    /// Whether the aggregate exists.
    pub exists: bool,
    /// JSON text of the state; not read unless it exists.
    pub state: Vec<u8>,
    /// Version of the last event that the state has seen.
    pub version: i64,
    /// Position of that event.
    pub position: i64,
}

/// What a run comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldResult {
    /// False: there was no event, or the fold deleted the aggregate.
    pub exists: bool,
    /// JSON text of the state: `null` after a delete, the initial state without events.
    pub state: Vec<u8>,
    /// Version of the last event, 0 for none.
    pub version: i64,
    /// Position of the last event, 0 for none.
    pub position: i64,
    /// Number of events that were fed.
    pub events_read: u64,
    /// Number of events for which the fold has a handler.
    pub events_folded: u64,
}

/// A fold on its way along one stream.
#[derive(Debug)]
pub struct FoldRun {
    pub(super) fold: Arc<Fold>,
    names: StreamNames,
    /// The state; the initial one while the aggregate does not exist.
    pub(super) state: State,
    pub(super) exists: bool,
    pub(super) deleted: bool,
    version: i64,
    position: i64,
    events_read: u64,
    events_folded: u64,
    engine: Engine,
    cancelled_events: HashSet<[u8; 16]>,
    failed: Option<CoreError>,
    /// What a history or explanation still has to give.
    pub(super) held: Option<Held>,
}

impl FoldRun {
    /// Begins with the initial state, before the first event of a stream. `root` is the name of
    /// the first stream of its line of periods.
    pub fn new(fold: Arc<Fold>, stream: &str, root: &str) -> Self {
        Self {
            names: StreamNames::new(stream, root),
            state: State::new(fold.initial.clone()),
            fold,
            exists: false,
            deleted: false,
            version: 0,
            position: 0,
            events_read: 0,
            events_folded: 0,
            engine: Engine::default(),
            cancelled_events: HashSet::new(),
            failed: None,
            held: None,
        }
    }

    /// Goes on from a state that this fold came to before.
    pub fn resume(mut self, start: &Start) -> Result<Self, CoreError> {
        if start.exists {
            let value = scan_value(&start.state).map_err(|_| {
                CoreError::new("INVALID_REQUEST", "the state to go on from is not valid JSON")
                    .fact("field", "state")
                    .fact("problem", "syntax")
            })?;
            self.state = State::new(value);
        }
        self.exists = start.exists;
        self.deleted = !start.exists && start.version > 0;
        self.version = start.version;
        self.position = start.position;
        Ok(self)
    }

    /// Names the events of the stream that other events cancel: a fold that says
    /// `skip_cancelled` passes over them.
    #[must_use]
    pub fn with_cancelled_events(mut self, ids: impl IntoIterator<Item = [u8; 16]>) -> Self {
        if self.fold.skip_cancelled {
            self.cancelled_events.extend(ids);
        }
        self
    }

    /// Notes in a coverage of the same fold what events reach.
    pub fn with_coverage(mut self, coverage: Arc<Coverage>) -> Result<Self, CoreError> {
        if !coverage.is_of(&self.fold) {
            return Err(CoreError::new("BUG", "the coverage is that of another fold"));
        }
        self.engine.coverage = Some(coverage);
        Ok(self)
    }

    /// A flag that ends the run with an error when it becomes true, from any thread.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.engine.stop)
    }

    /// Evaluation steps that all events so far have cost.
    pub fn steps(&self) -> u64 {
        self.engine.steps
    }

    /// Folds a page of rows. After an error the run is over, and gives the same error again.
    pub fn feed(&mut self, rows: &impl Page) -> Result<(), CoreError> {
        self.feed_part(rows, 0..rows.len())
    }

    /// Folds the rows of a page with these indexes; indexes beyond its end count for nothing.
    pub fn feed_part(&mut self, rows: &impl Page, indexes: Range<usize>) -> Result<(), CoreError> {
        self.feed_within(rows, indexes, u64::MAX).map(|_| ())
    }

    /// Folds some rows of a page until they have cost that many evaluation steps, and gives the
    /// index of the first row that was not folded. The last event may go beyond the steps.
    pub fn feed_within(
        &mut self,
        rows: &impl Page,
        indexes: Range<usize>,
        steps_max: u64,
    ) -> Result<usize, CoreError> {
        let fold = Arc::clone(&self.fold);
        let steps_end = self.engine.steps.saturating_add(steps_max);
        let end = indexes.end.min(rows.len());
        self.guarded(|run| {
            let mut next = indexes.start;
            let mut brief = Row::blank();
            while next < end && run.engine.steps < steps_end {
                run.index(&fold, rows, next, &mut brief)?;
                next += 1;
            }
            Ok(next)
        })
    }

    /// Folds the row at an index. `brief` keeps its memory from row to row.
    #[inline]
    pub(super) fn index<'a>(
        &mut self,
        fold: &'a Fold,
        rows: &'a impl Page,
        index: usize,
        brief: &mut Row<'a>,
    ) -> Result<(), CoreError> {
        let handler = match rows::event_type_bytes(rows, index) {
            Some(event_type) => fold.handlers.get(event_type),
            None => None,
        };
        match read_brief(rows, index, handler, brief)? {
            true => self.event(fold, handler, brief),
            false => self.event(fold, handler, &rows.row(index)?),
        }
    }

    /// Folds one event.
    pub fn feed_row(&mut self, row: &Row<'_>) -> Result<(), CoreError> {
        let fold = Arc::clone(&self.fold);
        let handler = fold.handlers.get(row.event_type.as_bytes());
        self.guarded(|run| run.event(&fold, handler, row))
    }

    /// Runs a step, unless an earlier one failed; remembers its error.
    pub(super) fn guarded<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = step(self);
        self.failed = result.as_ref().err().cloned();
        result
    }

    /// The state after the last event.
    pub fn finish(&self) -> Result<FoldResult, CoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut state = Vec::with_capacity(self.state.bytes + 16);
        self.write_state(&mut state)?;
        Ok(FoldResult {
            exists: self.exists,
            state,
            version: self.version,
            position: self.position,
            events_read: self.events_read,
            events_folded: self.events_folded,
        })
    }

    /// Writes the JSON text of the state, as answers show it.
    pub(super) fn write_state(&self, out: &mut Vec<u8>) -> Result<(), CoreError> {
        if self.deleted {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        write_value(&self.state.value, out).map_err(|error| CoreError::new("BUG", error.message))
    }

    pub(super) fn event(
        &mut self,
        fold: &Fold,
        handler: Option<&TypeHandler>,
        row: &Row<'_>,
    ) -> Result<(), CoreError> {
        if row.version <= self.version {
            let message = format!("version {} was fed after {}", row.version, self.version);
            return Err(CoreError::new("BUG", message));
        }
        let cancelled =
            !self.cancelled_events.is_empty() && self.cancelled_events.contains(row.event_id);
        if let Some(handler) = handler.filter(|_| !cancelled) {
            let names = Names::Shared(&self.names);
            match self.engine.fold(fold, handler, names, row, &mut self.state)? {
                Outcome::Nothing => self.exists |= !self.deleted,
                Outcome::Changed => (self.exists, self.deleted) = (true, false),
                Outcome::Deleted => (self.exists, self.deleted) = (false, true),
            }
            self.events_folded += 1;
        } else if !self.deleted {
            // An event without a handler changes nothing, but it is an event of the stream.
            self.exists = true;
        }
        self.events_read += 1;
        self.version = row.version;
        self.position = row.position;
        Ok(())
    }
}
