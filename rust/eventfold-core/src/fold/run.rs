//! Folding: events in, one state out.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::envelope::FLAG_OPENS;
use crate::error::CoreError;
use crate::json::scan::scan_value;
use crate::json::write::write_value;
use crate::privacy::Whose;
use crate::rows::{self, Page, Row};
use crate::value::Value;

use super::Fold;
use super::assign::State;
use super::compile::TypeHandler;
use super::coverage::Coverage;
use super::engine::{Engine, Event, Outcome, read_brief};
use super::history::Held;
use super::opening;
use super::scope::{Names, StreamNames};

/// Where a run begins.
#[derive(Debug, Clone)]
pub struct Start {
    /// Whether the aggregate exists.
    pub exists: bool,
    /// JSON text of the state; not read unless it exists, but for `null` at version 0: then the
    /// aggregate was deleted in a period before.
    pub state: Vec<u8>,
    /// Version of the last event that the state has seen; 0: it comes from before the stream, and
    /// the stream's opening event is passed over unless the fold has a handler for its type.
    pub version: i64,
    /// Position of that event.
    pub position: i64,
    /// Whose personal values went into the state.
    pub whose: Whose,
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
    /// Whose personal values may be in the state: of events that the fold has a handler for, and of
    /// what it started from.
    pub whose: Whose,
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
    /// Whether the state comes from before the first event of the stream.
    inherits: bool,
    version: i64,
    position: i64,
    events_read: u64,
    events_folded: u64,
    whose: Whose,
    engine: Engine,
    cancelled_events: HashSet<[u8; 16]>,
    /// Cancellations of a higher version are not known beforehand.
    cancelled_to: i64,
    /// What a history or explanation takes for the state before its next event.
    pub(super) before: Option<Value>,
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
            inherits: false,
            version: 0,
            position: 0,
            events_read: 0,
            events_folded: 0,
            whose: Whose::Nobody,
            engine: Engine::default(),
            cancelled_events: HashSet::new(),
            cancelled_to: i64::MAX,
            before: None,
            failed: None,
            held: None,
        }
    }

    /// Goes on from a state that this fold came to before, on this stream or through the periods
    /// before it.
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
        self.inherits = start.version == 0;
        // Before any event there is the initial state, unless the periods before left nothing.
        self.deleted = !start.exists && (!self.inherits || start.state == b"null");
        self.version = start.version;
        self.position = start.position;
        self.whose = start.whose;
        Ok(self)
    }

    /// Goes on with the stream that follows in the line of periods, through which the state goes
    /// on: its opening event is passed over unless the fold has a handler for its type.
    pub fn go_on_in(&mut self, stream: &str) -> Result<(), CoreError> {
        self.guarded(|run| {
            run.names = run.names.of_next(stream);
            run.version = 0;
            run.inherits = true;
            Ok(())
        })
    }

    /// Names the events of the stream that other events cancel, those of versions up to
    /// `cancelled_to`: a fold that says `skip_cancelled` passes over them, and over the events that
    /// cancel them. Where it comes to a cancellation of a higher version, it stops: what that one
    /// cancels may have been folded.
    #[must_use]
    pub fn with_cancelled_events(
        mut self,
        ids: impl IntoIterator<Item = [u8; 16]>,
        cancelled_to: i64,
    ) -> Self {
        if self.fold.skip_cancelled {
            self.cancelled_events.extend(ids);
            self.cancelled_to = cancelled_to;
        }
        self
    }

    /// Takes the state that another run came to for the one before the next event that is
    /// explained: what changes with a cancellation is told from there.
    pub fn explain_from(&mut self, state: Value) {
        self.before = Some(state);
    }

    /// Whether the row at an index is a cancellation that is not known: all must be folded anew.
    pub fn stops_at(&self, page: &impl Page, index: usize) -> Result<bool, CoreError> {
        if self.cancelled_to == i64::MAX {
            return Ok(false);
        }
        Ok(rows::is_cancellation(page, index) && page.version(index)? > self.cancelled_to)
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

    /// Folds some rows of a page until they have cost that many evaluation steps, or one is a
    /// cancellation that is not known; gives the index of the first row that was not folded. The
    /// last event may go beyond the steps.
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
            while next < end && run.engine.steps < steps_end && !run.stops_at(rows, next)? {
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
        self.see(rows, index, handler);
        if fold.skip_cancelled {
            // What it cancels stands in none of the brief ones.
            return self.event(fold, handler, &rows.row(index)?);
        }
        match read_brief(rows, index, handler, brief)? {
            true => self.event(fold, handler, brief),
            false => self.event(fold, handler, &rows.row(index)?),
        }
    }

    /// Notes whose personal values the row at an index brings.
    #[inline]
    pub(super) fn see(&mut self, rows: &impl Page, index: usize, handler: Option<&TypeHandler>) {
        if rows.opened(index).is_empty() {
            return;
        }
        // Flags that cannot be read are told when the row is.
        let flags = rows.flags(index).unwrap_or(FLAG_OPENS);
        let opens = flags & FLAG_OPENS != 0;
        let read = |pointer: &str| {
            opens || handler.is_some_and(|handler| handler.inputs.reads_value(pointer, flags))
        };
        self.whose = self.whose.with(rows.whose(index, &read));
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
            whose: self.whose,
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
        if self.version == 0 && row.version > 1 && !self.inherits && !self.names.is_first() {
            return Err(opening::left_out(fold, self.names.stream()));
        }
        if fold.skip_cancelled
            && (row.cancels.is_some() || self.cancelled_events.contains(row.event_id))
        {
            // As if it had not been, but for the place that it takes.
        } else if let Some(handler) = handler {
            let names = Names::Shared(&self.names);
            let event = Event { names, row, given: &[] };
            match self.engine.fold(fold, handler, event, &mut self.state)? {
                Outcome::Nothing => self.exists |= !self.deleted,
                Outcome::Changed => (self.exists, self.deleted) = (true, false),
                Outcome::Deleted => (self.exists, self.deleted) = (false, true),
            }
            self.events_folded += 1;
        } else if row.flags & FLAG_OPENS != 0 {
            self.open(fold, row)?;
        } else if !self.deleted {
            // An event without a handler changes nothing, but it is an event of the stream.
            self.exists = true;
        }
        self.events_read += 1;
        self.version = row.version;
        self.position = row.position;
        Ok(())
    }

    /// Starts from what an opening event carries; the state of a run through all periods goes on as
    /// it is.
    #[cold]
    fn open(&mut self, fold: &Fold, row: &Row<'_>) -> Result<(), CoreError> {
        if !self.inherits {
            let carried = opening::carried(fold, self.names.stream(), row)?;
            self.exists = carried.exists;
            self.deleted = !carried.exists;
            self.state = match carried.exists {
                true => State::new(carried.state),
                false => State::new(fold.initial.clone()),
            };
        }
        Ok(())
    }
}
