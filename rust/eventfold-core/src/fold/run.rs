//! Folding: events in, one state out.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cel::Budget;
use crate::envelope::{FLAG_ESCAPED_KEYS, FLAG_VALIDATED_V1};
use crate::error::CoreError;
use crate::json::check::Checker;
use crate::json::scan::{scan_fields, scan_value};
use crate::json::write::write_value;
use crate::limits::{EVALUATION_STEPS_MAX, STATE_BYTES_MAX};
use crate::rows::{self, Page, Row};
use crate::value::Value;

use super::Fold;
use super::assign::State;
use super::case::{self, Effects};
use super::compile::TypeHandler;
use super::coverage::Coverage;
use super::failure::{Failure, Place};
use super::history::Held;
use super::inputs::Inputs;
use super::scope::{EventValues, Names};

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
    names: Names,
    /// The state; the initial one while the aggregate does not exist.
    pub(super) state: State,
    pub(super) exists: bool,
    pub(super) deleted: bool,
    version: i64,
    position: i64,
    events_read: u64,
    events_folded: u64,
    /// Evaluation steps of all events so far.
    pub(super) steps: u64,
    cancelled_events: HashSet<[u8; 16]>,
    stop: Arc<AtomicBool>,
    failed: Option<CoreError>,
    coverage: Option<Arc<Coverage>>,
    /// What a history or explanation still has to give.
    pub(super) held: Option<Held>,
    checker: Checker,
    effects: Effects,
    /// Memory for the fields of one event.
    fields: Vec<Option<Value>>,
}

impl FoldRun {
    /// Begins with the initial state, before the first event of a stream. `root` is the name of
    /// the first stream of its line of periods.
    pub fn new(fold: Arc<Fold>, stream: &str, root: &str) -> Self {
        Self {
            names: Names::new(stream, root),
            state: State::new(fold.initial.clone()),
            fold,
            exists: false,
            deleted: false,
            version: 0,
            position: 0,
            events_read: 0,
            events_folded: 0,
            steps: 0,
            cancelled_events: HashSet::new(),
            stop: Arc::default(),
            failed: None,
            coverage: None,
            held: None,
            checker: Checker::default(),
            effects: Effects::default(),
            fields: Vec::new(),
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
        self.coverage = Some(coverage);
        Ok(self)
    }

    /// A flag that ends the run with an error when it becomes true, from any thread.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Evaluation steps that all events so far have cost.
    pub fn steps(&self) -> u64 {
        self.steps
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
        let steps_end = self.steps.saturating_add(steps_max);
        let end = indexes.end.min(rows.len());
        self.guarded(|run| {
            let mut next = indexes.start;
            let mut brief = Row::blank();
            while next < end && run.steps < steps_end {
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
        let is_brief = match handler {
            Some(handler) if handler.inputs.needs_meta => false,
            Some(handler) => rows::read_brief(rows, index, &handler.event_type, brief)?,
            None => rows::read_brief(rows, index, rows.event_type(index)?, brief)?,
        };
        match is_brief {
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
            self.fold_event(fold, handler, row)?;
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

    fn fold_event(
        &mut self,
        fold: &Fold,
        handler: &TypeHandler,
        row: &Row<'_>,
    ) -> Result<(), CoreError> {
        let place = Place { fold: &fold.name, names: &self.names, row };
        if self.stop.load(Ordering::Relaxed) {
            let failure = Failure::limit("the fold was stopped").handler(&handler.event_type);
            return Err(place.error(*failure));
        }
        let mut values = EventValues {
            row,
            names: &self.names,
            event_type: &handler.event_type,
            fields: std::mem::take(&mut self.fields),
            whole: None,
            metadata: None,
        };
        read_event(&mut self.checker, &handler.inputs, &mut values)
            .map_err(|problem| place.corrupt(problem))?;
        let mut budget = Budget::new(EVALUATION_STEPS_MAX).with_cancel(&self.stop);
        let evaluated =
            case::evaluate(handler, &values, &self.state.value, &mut budget, &mut self.effects);
        self.fields = values.fields;
        self.steps += EVALUATION_STEPS_MAX - budget.steps_left();
        if let Some(coverage) = &self.coverage {
            // An event that fails has reached the handlers too.
            coverage.note(handler, &self.fields, &self.effects.applied);
        }
        evaluated.map_err(|failure| place.error(*failure))?;
        if self.effects.applied.is_empty() {
            self.exists |= !self.deleted;
            return Ok(());
        }
        if self.effects.deletes {
            self.state = State::new(fold.initial.clone());
            self.exists = false;
            self.deleted = true;
            return Ok(());
        }
        self.exists = true;
        self.deleted = false;
        case::apply(handler, &mut self.state, &mut self.effects)
            .map_err(|failure| place.error(*failure))?;
        if self.state.bytes > STATE_BYTES_MAX {
            return Err(place.too_large(self.state.bytes));
        }
        Ok(())
    }
}

/// Reads what expressions need of an event; an error says what is wrong with the stored bytes.
#[inline]
pub(super) fn read_event(
    checker: &mut Checker,
    inputs: &Inputs,
    values: &mut EventValues<'_>,
) -> Result<(), &'static str> {
    const NOT_JSON: &str = "the stored bytes are not the JSON that was validated";
    let row = values.row;
    let mut escaped_keys = row.flags & FLAG_ESCAPED_KEYS != 0;
    if row.deleted {
        return Err("the payload of the event was deleted");
    }
    if row.flags & FLAG_VALIDATED_V1 == 0 {
        // Others may have written this row: nothing is known of it.
        let found = checker.check(row.data).map_err(|refusal| refusal.problem.name())?;
        checker.check(row.metadata).map_err(|refusal| refusal.problem.name())?;
        escaped_keys = found.escaped_keys;
    }
    values.fields.clear();
    values.fields.resize_with(inputs.wanted.len(), || None);
    if inputs.needs_metadata {
        values.metadata = Some(scan_value(row.metadata).map_err(|_| NOT_JSON)?);
    }
    if inputs.needs_event {
        let whole = scan_value(row.data).map_err(|_| NOT_JSON)?;
        let map = whole.as_map().ok_or(NOT_JSON)?;
        for (field, name) in values.fields.iter_mut().zip(&inputs.wanted) {
            *field = map.get(name).cloned();
        }
        values.whole = Some(whole);
    } else if !inputs.wanted.is_empty() {
        scan_fields(row.data, &inputs.wanted, escaped_keys, &mut values.fields)
            .map_err(|_| NOT_JSON)?;
    }
    Ok(())
}
