//! Expressions over one event, without a state: keys, and what events refer to.

use std::sync::Arc;

use crate::cel::{Budget, Env, Program};
use crate::error::CoreError;
use crate::fold::engine::{Event, read_event};
use crate::fold::failure::Place;
use crate::fold::inputs::Inputs;
use crate::fold::scope::{self, EventScope, EventValues, Source};
use crate::json::check::Checker;
use crate::limits::EVALUATION_STEPS_MAX;
use crate::value::Value;

use super::failure::Failure;

/// The environment of expressions that see `event` and `meta`.
pub(super) fn env() -> Env {
    // No expression can name the empty name: there is no state.
    scope::base_env("")
}

/// What programs of one environment read of an event.
#[derive(Debug)]
pub(super) struct EventInputs {
    pub(super) sources: Vec<Source>,
    pub(super) inputs: Inputs,
}

/// Memory for evaluations.
#[derive(Debug, Default)]
pub(super) struct EventMemory {
    /// Evaluation steps of all expressions so far.
    pub(super) steps: u64,
    checker: Checker,
    fields: Vec<Option<Value>>,
    event_type: Option<Arc<str>>,
}

/// An event whose fields are read.
pub(super) struct Evaluation<'a> {
    scope: EventScope<'a>,
    steps: &'a mut u64,
}

impl EventInputs {
    /// Those of some fields at the top of the data that are read.
    pub(super) fn reads<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        self.inputs.reads(names)
    }

    pub(super) fn of(programs: &[&Program], env: &Env) -> Self {
        let mut inputs = Inputs::default();
        let sources = inputs.sources(programs, env.slots());
        Self { sources, inputs }
    }

    /// Reads an event for some evaluations; an error says that its bytes cannot be read.
    pub(super) fn read<T>(
        &self,
        event: Event<'_>,
        memory: &mut EventMemory,
        evaluate: impl FnOnce(&mut Evaluation<'_>) -> T,
    ) -> Result<T, CoreError> {
        let Event { names, row, given } = event;
        let EventMemory { steps, checker, fields, event_type } = memory;
        let event_type = match event_type {
            Some(known) if **known == *row.event_type => known,
            known => known.insert(row.event_type.into()),
        };
        let fields = std::mem::take(fields);
        let mut values =
            EventValues { row, names, event_type, fields, whole: None, metadata: None, given };
        let read = read_event(checker, &self.inputs, &mut values);
        let stream = names.stream();
        read.map_err(|problem| Place { fold: "", stream, row }.corrupt(problem))?;
        let scope =
            EventScope { state: &Value::Null, event: &values, sources: &self.sources, lets: given };
        let found = evaluate(&mut Evaluation { scope, steps });
        memory.fields = values.fields;
        Ok(found)
    }
}

impl Evaluation<'_> {
    pub(super) fn value(&mut self, program: &Program) -> Result<Value, Box<Failure>> {
        let mut budget = Budget::new(EVALUATION_STEPS_MAX);
        let value = program.eval(&self.scope, &mut budget);
        *self.steps += EVALUATION_STEPS_MAX - budget.steps_left();
        value.map_err(Failure::of_evaluation)
    }
}
