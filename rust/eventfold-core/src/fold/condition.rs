//! A condition on single events, for filters: one expression over `event` and `meta`.

use std::sync::Arc;

use crate::cel::{self, Budget, CelError, Program};
use crate::envelope::uuid_text;
use crate::error::CoreError;
use crate::json::check::Checker;
use crate::limits::EVALUATION_STEPS_MAX;
use crate::rows::Row;
use crate::value::Value;

use super::compile::never_bool;
use super::engine::read_event;
use super::inputs::Inputs;
use super::refusal::{Position, Refusal, Source as Text};
use super::scope::{self, EventScope, EventValues, META, MetaField, Names, Source};

/// A compiled condition.
#[derive(Debug)]
pub struct Condition {
    program: Program,
    sources: Vec<Source>,
    inputs: Inputs,
}

/// Evaluations of one condition: memory that is used again, and what they have cost.
#[derive(Debug)]
pub struct Evaluation {
    /// Evaluation steps so far.
    pub steps: u64,
    checker: Checker,
    fields: Vec<Option<Value>>,
    no_type: Arc<str>,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { steps: 0, checker: Checker::default(), fields: Vec::new(), no_type: "".into() }
    }
}

impl Condition {
    /// Parses and compiles the source text of an expression. It sees one event: no state, and of
    /// `meta` only what the event itself says, by names of fields.
    pub fn parse(source: &str) -> Result<Self, CoreError> {
        let text = Text::new(source);
        Self::compile(source, &text)
            .map_err(|refusal| refusal.of("INVALID_EXPRESSION").into_error(&text))
    }

    fn compile(source: &str, text: &Text<'_>) -> Result<Self, Box<Refusal>> {
        let start = Position { line: 1, column: 1 };
        let refuse = |error: CelError| {
            Refusal::of_text(text.inside(start, source, error.offset), source, error)
        };
        let ast = cel::parse(source).map_err(refuse)?;
        // No expression can name the empty name: there is no state.
        let mut env = scope::base_env("");
        let program = cel::compile(&ast, &mut env).map_err(refuse)?;
        if never_bool(&program) {
            return Err(Refusal::new(start, "a condition must be true or false"));
        }
        let mut inputs = Inputs::default();
        let sources = inputs.sources(&[&program], env.slots());
        let reads_root =
            sources.iter().any(|source| matches!(source, Source::Meta(MetaField::Root)));
        if reads_root || program.uses_variable(META) {
            let problem = "a condition reads fields of `meta` by their names, and not `meta.root`";
            return Err(Refusal::new(start, problem));
        }
        Ok(Self { program, sources, inputs })
    }

    /// Those of some fields at the top of the data that it reads.
    pub fn reads<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        self.inputs.reads(names)
    }

    /// Whether the condition is true of an event of the stream. An event whose payload was deleted
    /// passes where the condition cannot be told without it.
    pub fn is_true(
        &self,
        row: &Row<'_>,
        stream: &str,
        evaluation: &mut Evaluation,
    ) -> Result<bool, CoreError> {
        if row.deleted && self.reads_payload() {
            return Ok(true);
        }
        let event_type = self.inputs.needs_meta.then(|| row.event_type.into());
        let mut values = EventValues {
            row,
            names: Names::OfEvent { stream, root: "" },
            event_type: event_type.as_ref().unwrap_or(&evaluation.no_type),
            fields: std::mem::take(&mut evaluation.fields),
            whole: None,
            metadata: None,
            given: &[],
        };
        if !row.deleted {
            read_event(&mut evaluation.checker, &self.inputs, &mut values)
                .map_err(|problem| corrupt(row, stream, problem))?;
        }
        let scope =
            EventScope { state: &Value::Null, event: &values, sources: &self.sources, lets: &[] };
        let mut budget = Budget::new(EVALUATION_STEPS_MAX);
        let value = self.program.eval(&scope, &mut budget);
        evaluation.fields = values.fields;
        evaluation.steps += 1 + EVALUATION_STEPS_MAX - budget.steps_left();
        match value {
            Ok(Value::Bool(value)) => Ok(value),
            Ok(Value::Absent(_)) => Ok(false),
            Ok(other) => {
                let problem = format!("the condition is a {}, not a bool", other.type_name());
                Err(failed(row, stream, &problem))
            }
            Err(error) => {
                let at =
                    error.offset.map(|offset| format!(" (at byte {offset} of the expression)"));
                Err(failed(row, stream, &(error.message + &at.unwrap_or_default())))
            }
        }
    }

    fn reads_payload(&self) -> bool {
        let Inputs { wanted, needs_event, needs_metadata, .. } = &self.inputs;
        *needs_event || *needs_metadata || !wanted.is_empty()
    }
}

fn failed(row: &Row<'_>, stream: &str, problem: &str) -> CoreError {
    let message = format!(
        "the filter at position {}: {problem} (stream {stream}, version {})",
        row.position, row.version
    );
    CoreError::new("FILTER_FAILED", message)
        .fact("position", row.position)
        .fact("stream", stream)
        .fact("version", row.version)
        .fact("event_id", uuid_text(row.event_id))
        .fact("problem", problem)
}

fn corrupt(row: &Row<'_>, stream: &str, problem: &str) -> CoreError {
    let message = format!("the event at position {} cannot be read: {problem}", row.position);
    CoreError::new("EVENT_CORRUPT", message)
        .fact("stream", stream)
        .fact("version", row.version)
        .fact("position", row.position)
        .fact("event_id", uuid_text(row.event_id))
        .fact("problem", problem)
}
