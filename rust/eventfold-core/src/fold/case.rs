//! The handler of one event: first every expression on the state from before the event, then
//! the changes.

use std::borrow::Cow;
use std::sync::Arc;

use crate::cel::{Budget, EvalError, Program};
use crate::json::write::to_json_value;
use crate::limits::JSON_DEPTH_MAX;
use crate::value::Value;

use super::assign::{Change, State, Step, peek};
use super::compile::{
    CompiledAssignment, CompiledCase, CompiledRight, Target, TargetStep, TypeHandler,
};
use super::failure::Failure;
use super::scope::{EventScope, EventValues, FIRST_LET, Source};
use super::size::Sizer;

/// What an event changes; the memory is used again for the next event.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// The cases whose condition was true.
    pub(crate) applied: Vec<usize>,
    /// Whether one of these cases deletes the aggregate, whatever the others assign.
    pub(crate) deletes: bool,
    /// One change for each assignment of these cases, in document order.
    changes: Vec<Change>,
    /// The paths of those whose path is computed, in the same order.
    paths: Vec<Vec<Step>>,
    /// Values of `let` names.
    lets: Vec<Option<Value>>,
    sizer: Sizer,
}

type Evaluated<T> = Result<T, Box<Failure>>;

/// Evaluates the cases of a handler on one event.
pub(crate) fn evaluate(
    handler: &TypeHandler,
    event: &EventValues<'_>,
    state: &Value,
    budget: &mut Budget<'_>,
    effects: &mut Effects,
) -> Evaluated<()> {
    effects.applied.clear();
    effects.deletes = false;
    effects.changes.clear();
    effects.paths.clear();
    let mut evaluation = Evaluation { state, event, budget, effects };
    let named = |failure: Box<Failure>| failure.handler(&handler.event_type);
    let lets = evaluation.document_lets(handler).map_err(named)?;
    for (index, case) in handler.cases.iter().enumerate() {
        evaluation.effects.lets.truncate(lets);
        evaluation.case(index, case).map_err(|failure| failure.handler(&case.name))?;
    }
    // The values may hold parts of the state, which would then not change in place.
    evaluation.effects.lets.clear();
    Ok(())
}

struct Evaluation<'a, 'b> {
    state: &'a Value,
    event: &'a EventValues<'a>,
    budget: &'a mut Budget<'b>,
    effects: &'a mut Effects,
}

impl Evaluation<'_, '_> {
    /// Evaluates the `let`s of the document; returns the number of the places of all names.
    fn document_lets(&mut self, handler: &TypeHandler) -> Evaluated<usize> {
        self.effects.lets.clear();
        self.effects.lets.extend_from_slice(self.event.given);
        self.effects.lets.resize(handler.document_lets, None);
        for (variable, entry) in &handler.lets {
            let value = self
                .value(&entry.program, &handler.lets_sources)
                .map_err(|error| Failure::of_evaluation(error).path(&entry.path))?;
            if let Some(place) = self.effects.lets.get_mut(variable - FIRST_LET) {
                *place = Some(value);
            }
        }
        Ok(handler.document_lets)
    }

    fn value(&mut self, program: &Program, sources: &[Source]) -> Result<Value, EvalError> {
        let scope =
            EventScope { state: self.state, event: self.event, sources, lets: &self.effects.lets };
        program.eval(&scope, self.budget)
    }

    fn case(&mut self, index: usize, case: &CompiledCase) -> Evaluated<()> {
        for entry in &case.lets {
            let value = self
                .value(&entry.program, &case.sources)
                .map_err(|error| Failure::of_evaluation(error).path(&entry.path))?;
            self.effects.lets.push(Some(value));
        }
        if let Some(when) = &case.when {
            let named = |failure: Box<Failure>| failure.path("when");
            let value = self.value(when, &case.sources);
            match value.map_err(|error| named(Failure::of_evaluation(error)))? {
                Value::Bool(true) => {}
                Value::Bool(false) | Value::Absent(_) => return Ok(()),
                other => {
                    let problem = format!("the condition is a {}, not a bool", other.type_name());
                    return Err(named(Failure::failed(problem)));
                }
            }
        }
        self.effects.applied.push(index);
        self.effects.deletes |= case.deletes;
        for assignment in &case.assignments {
            if let Some(change) = self.sum(assignment, case) {
                // A path may be as long as the state may be deep, so that a number always fits.
                self.effects.changes.push(change);
                continue;
            }
            let change = self
                .assignment(assignment, case)
                .map_err(|failure| failure.path(&assignment.path))?;
            self.effects.changes.push(change);
        }
        Ok(())
    }

    /// Evaluates the path, if it is computed, and the change.
    fn assignment(
        &mut self,
        assignment: &CompiledAssignment,
        case: &CompiledCase,
    ) -> Evaluated<Change> {
        match &assignment.target {
            Target::Static(steps) => self.right(&assignment.right, steps, case),
            Target::Computed(steps) => {
                let Some(steps) = self.steps(steps, case)? else {
                    // Nobody can tell where it would go.
                    self.effects.paths.push(Vec::new());
                    return Ok(Change::Skip);
                };
                let change = self.right(&assignment.right, &steps, case)?;
                self.effects.paths.push(steps);
                Ok(change)
            }
        }
    }

    fn right(
        &mut self,
        right: &CompiledRight,
        steps: &[Step],
        case: &CompiledCase,
    ) -> Evaluated<Change> {
        let change = match right {
            CompiledRight::Constant(value) => Change::Set(value.clone()),
            CompiledRight::Computed(whole) => self.change(&whole.program, case)?,
            CompiledRight::Append { whole, items } => match peek(self.state, steps) {
                Some(Value::List(list)) => {
                    let plain_steps = 1 + steps.len() + list.len() / 64;
                    self.append(&whole.program, items, plain_steps, case)?
                }
                _ => self.change(&whole.program, case)?,
            },
        };
        check_depth(steps, &change)?;
        Ok(change)
    }

    /// The change to a place that is known, if it is a sum of two numbers.
    #[inline]
    fn sum(&mut self, assignment: &CompiledAssignment, case: &CompiledCase) -> Option<Change> {
        let (CompiledRight::Computed(whole) | CompiledRight::Append { whole, .. }) =
            &assignment.right
        else {
            return None;
        };
        let sum = whole.sum.as_ref().filter(|_| assignment.target.is_static())?;
        let sources = &case.sources;
        let lets = &self.effects.lets;
        sum.add(&EventScope { state: self.state, event: self.event, sources, lets }, self.budget)
    }

    fn change(&mut self, program: &Program, case: &CompiledCase) -> Evaluated<Change> {
        let value = self.value(program, &case.sources).map_err(Failure::of_evaluation)?;
        let value = match value {
            Value::Optional(None) => return Ok(Change::Remove),
            // The last holder of the optional gives the value away without a copy.
            Value::Optional(Some(inner)) => {
                Arc::try_unwrap(inner).unwrap_or_else(|inner| (*inner).clone())
            }
            value => value,
        };
        to_json_value(value).map(Change::Set).map_err(Failure::of_evaluation)
    }

    /// Adds items to a list. The budget pays as for the whole expression, `plain_steps` and one
    /// for each item, so that the same events fail however a document spells a sum of lists.
    fn append(
        &mut self,
        whole: &Program,
        items: &Program,
        plain_steps: usize,
        case: &CompiledCase,
    ) -> Evaluated<Change> {
        let items = self.value(items, &case.sources).map_err(Failure::of_evaluation)?;
        let paid = match &items {
            Value::List(items) => self.budget.spend(plain_steps + items.len()).is_ok(),
            _ => false,
        };
        if !paid {
            return self.change(whole, case);
        }
        match to_json_value(items).map_err(Failure::of_evaluation)? {
            Value::List(items) => Ok(Change::Append(items)),
            value => Ok(Change::Set(value)),
        }
    }

    /// The path; `None` if a key of it is absent.
    fn steps(&mut self, steps: &[TargetStep], case: &CompiledCase) -> Evaluated<Option<Vec<Step>>> {
        let mut known = Vec::with_capacity(steps.len());
        for step in steps {
            known.push(match step {
                TargetStep::Known(step) => step.clone(),
                TargetStep::Program(program) => {
                    let value =
                        self.value(program, &case.sources).map_err(Failure::of_evaluation)?;
                    if value.absence().is_some() {
                        return Ok(None);
                    }
                    Step::from_value(&value).map_err(Failure::failed)?
                }
            });
        }
        Ok(Some(known))
    }
}

impl Target {
    #[inline]
    fn is_static(&self) -> bool {
        matches!(self, Self::Static(_))
    }
}

/// Refuses what would make the state nest too deep.
fn check_depth(steps: &[Step], change: &Change) -> Evaluated<()> {
    let value = match change {
        // A path may be as long as the state may be deep, so that a scalar always fits.
        Change::Set(Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_)) => {
            return Ok(());
        }
        Change::Set(value) => Cow::Borrowed(value),
        Change::Append(items) => Cow::Owned(Value::List(items.clone())),
        Change::SetInt(_) | Change::Remove | Change::Skip => return Ok(()),
    };
    let room = JSON_DEPTH_MAX.saturating_sub(steps.len());
    // The stored depth is an upper bound; the walk is for the rare case that it misses.
    if value.depth() > room && depth(&value) > room {
        return Err(Failure::too_deep());
    }
    Ok(())
}

/// The depth by a walk; bounded, as only JSON values of limited depth come here.
fn depth(value: &Value) -> usize {
    match value {
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Map(map) => 1 + map.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// Makes the changes, in document order.
pub(crate) fn apply(
    handler: &TypeHandler,
    state: &mut State,
    effects: &mut Effects,
) -> Evaluated<()> {
    let mut changes = effects.changes.iter_mut();
    let mut paths = effects.paths.drain(..);
    for &index in &effects.applied {
        let case = &handler.cases[index];
        for (assignment, change) in case.assignments.iter().zip(&mut changes) {
            let computed;
            let steps = match &assignment.target {
                Target::Static(steps) => steps,
                Target::Computed(_) => {
                    computed = paths.next().unwrap_or_default();
                    &computed
                }
            };
            if let Change::SetInt(int) = change
                && state.replace_int(steps, *int)
            {
                continue;
            }
            // What is left behind is not made.
            let change = std::mem::replace(change, Change::Remove);
            state.change(steps, change, &mut effects.sizer).map_err(|problem| {
                Failure::failed(problem).handler(&case.name).path(&assignment.path)
            })?;
        }
    }
    Ok(())
}
