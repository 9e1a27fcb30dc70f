//! One event on one state: what folds along a stream and folds by keys have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cel::Budget;
use crate::envelope::{FLAG_ABSENT, FLAG_ESCAPED_KEYS, FLAG_VALIDATED_V1};
use crate::error::CoreError;
use crate::json::check::Checker;
use crate::json::scan::{scan_fields, scan_value};
use crate::limits::{EVALUATION_STEPS_MAX, STATE_BYTES_MAX};
use crate::rows::{self, Page, Row};
use crate::value::Value;

use super::Fold;
use super::assign::State;
use super::case::{self, Effects};
use super::compile::TypeHandler;
use super::coverage::Coverage;
use super::failure::{Failure, Place};
use super::inputs::Inputs;
use super::scope::{EventValues, Names};

/// An event that is to be folded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) names: Names<'a>,
    pub(crate) row: &'a Row<'a>,
    /// The values of the names that come with it.
    pub(crate) given: &'a [Option<Value>],
}

/// What an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing: no condition of its handlers was true.
    Nothing,
    /// It changed the state, or could have.
    Changed,
    /// It deleted what there was: the state is the initial one.
    Deleted,
}

/// Folds one event after the other, each on a state that the caller has; memory that is used again,
/// and what all events have cost.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    /// Evaluation steps of all events so far.
    pub(crate) steps: u64,
    /// Ends the evaluation of an event with an error when it becomes true.
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) coverage: Option<Arc<Coverage>>,
    checker: Checker,
    effects: Effects,
    /// Memory for the fields of one event.
    fields: Vec<Option<Value>>,
}

impl Engine {
    /// Folds an event. After an error the state may be half changed.
    pub(crate) fn fold(
        &mut self,
        fold: &Fold,
        handler: &TypeHandler,
        event: Event<'_>,
        state: &mut State,
    ) -> Result<Outcome, CoreError> {
        let Event { names, row, given } = event;
        let place = Place { fold: &fold.name, stream: names.stream(), row };
        if self.stop.load(Ordering::Relaxed) {
            let failure = Failure::limit("the fold was stopped").handler(&handler.event_type);
            return Err(place.error(*failure));
        }
        let mut values = EventValues {
            row,
            names,
            event_type: &handler.event_type,
            fields: std::mem::take(&mut self.fields),
            whole: None,
            metadata: None,
            given,
        };
        read_event(&mut self.checker, &handler.inputs, &mut values)
            .map_err(|problem| place.corrupt(problem))?;
        let mut budget = Budget::new(EVALUATION_STEPS_MAX).with_cancel(&self.stop);
        let evaluated =
            case::evaluate(handler, &values, &state.value, &mut budget, &mut self.effects);
        self.fields = values.fields;
        self.steps += EVALUATION_STEPS_MAX - budget.steps_left();
        if let Some(coverage) = &self.coverage {
            // An event that fails has reached the handlers too.
            coverage.note(handler, &self.fields, &self.effects.applied);
        }
        evaluated.map_err(|failure| place.error(*failure))?;
        if self.effects.applied.is_empty() {
            return Ok(Outcome::Nothing);
        }
        if self.effects.deletes {
            *state = State::new(fold.initial.clone());
            return Ok(Outcome::Deleted);
        }
        case::apply(handler, state, &mut self.effects).map_err(|failure| place.error(*failure))?;
        if state.bytes > STATE_BYTES_MAX {
            return Err(place.too_large(state.bytes));
        }
        Ok(Outcome::Changed)
    }
}

/// Reads the row at an index into `brief`, which keeps its memory from row to row, if that is all
/// that the handler of its type needs; else `false`: it must be read whole.
#[inline]
pub(crate) fn read_brief<'a>(
    page: &'a impl Page,
    index: usize,
    handler: Option<&'a TypeHandler>,
    brief: &mut Row<'a>,
) -> Result<bool, CoreError> {
    match handler {
        Some(handler) if handler.inputs.needs_meta => Ok(false),
        Some(handler) => rows::read_brief(page, index, &handler.event_type, brief),
        None => rows::read_brief(page, index, page.event_type(index)?, brief),
    }
}

/// Reads what expressions need of an event; an error says what is wrong with the stored bytes.
#[inline]
pub(crate) fn read_event(
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
    if row.flags & FLAG_ABSENT != 0 {
        // This process has opened it; the words of absent values are no JSON that could be checked.
        escaped_keys |= row.flags & FLAG_VALIDATED_V1 == 0;
    } else if row.flags & FLAG_VALIDATED_V1 == 0 {
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
