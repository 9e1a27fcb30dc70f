//! The key of an event: the row that it belongs to.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::cel::ast::{Ast, Kind};
use crate::cel::{self, Budget, Program};
use crate::error::CoreError;
use crate::fold::document::Expression;
use crate::fold::engine::read_event;
use crate::fold::failure::Place;
use crate::fold::inputs::Inputs;
use crate::fold::refusal::{Parsed, Refusal, Source as Text};
use crate::fold::scope::{self, EventScope, EventValues, Names, Source};
use crate::json::check::Checker;
use crate::limits::{EVALUATION_STEPS_MAX, PROJECTION_KEY_BYTES_MAX};
use crate::number::Decimal;
use crate::rows::{Page, Row};
use crate::value::{TypeValue, Value};

use super::failure::Failure;
use super::{KeyKind, refuse};

/// The key as it is without an expression.
pub(super) const DEFAULT: &str = "meta.root";

/// How keys are found.
#[derive(Debug)]
pub(super) enum Key {
    Root,
    Stream,
    Expression(Box<KeyExpression>),
}

/// A key that is computed from an event.
#[derive(Debug)]
pub(super) struct KeyExpression {
    program: Program,
    sources: Vec<Source>,
    inputs: Inputs,
}

/// Memory for the evaluation of keys.
#[derive(Debug, Default)]
pub(super) struct KeyMemory {
    /// Evaluation steps of all keys so far.
    pub(super) steps: u64,
    checker: Checker,
    fields: Vec<Option<Value>>,
    event_type: Option<Arc<str>>,
}

impl Key {
    /// Compiles a key, and returns it as printed.
    pub(super) fn compile(
        expression: Option<&Expression>,
        text: &Text<'_>,
    ) -> Parsed<(Self, String)> {
        let Some(expression) = expression else { return Ok((Self::Root, DEFAULT.to_owned())) };
        let printed = expression.ast.print();
        let named = |refusal: Box<Refusal>| refusal.path("key");
        let kind = match meta_field(&expression.ast) {
            Some("root") => Self::Root,
            Some("stream") => Self::Stream,
            _ => {
                Self::Expression(Box::new(KeyExpression::compile(expression, text).map_err(named)?))
            }
        };
        Ok((kind, printed))
    }

    pub(super) fn kind(&self) -> KeyKind {
        match self {
            Self::Root => KeyKind::Root,
            Self::Stream => KeyKind::Stream,
            Self::Expression(_) => KeyKind::Expression,
        }
    }

    /// The key of the row at an index. The inner error is that of the event, the outer one that of
    /// a page that cannot be read.
    pub(super) fn of<'a>(
        &self,
        page: &'a impl Page,
        index: usize,
        projection: &str,
        memory: &mut KeyMemory,
    ) -> Result<Result<Cow<'a, str>, CoreError>, CoreError> {
        let stream = page.stream(index)?.unwrap_or_default();
        match self {
            Self::Root => Ok(Ok(Cow::Borrowed(page.root(index)?.unwrap_or(stream)))),
            Self::Stream => Ok(Ok(Cow::Borrowed(stream))),
            Self::Expression(expression) => {
                let row = page.row(index)?;
                let root = page.root(index)?.unwrap_or(stream);
                let names = Names::OfEvent { stream, root };
                Ok(expression.evaluate(&row, names, projection, memory).map(Cow::Owned))
            }
        }
    }
}

impl KeyExpression {
    fn compile(expression: &Expression, text: &Text<'_>) -> Parsed<Self> {
        // No expression can name the empty name: keys see no state.
        let mut env = scope::base_env("");
        let program = cel::compile(&expression.ast, &mut env)
            .map_err(|error| refuse(expression, text, error))?;
        if program.static_type().known().is_some_and(|kind| !may_be_key(kind)) {
            let problem = "a key is a string, a bool, or an exact number";
            return Err(Refusal::new(expression.at, problem));
        }
        let mut inputs = Inputs::default();
        let sources = inputs.sources(&[&program], env.slots());
        Ok(Self { program, sources, inputs })
    }

    fn evaluate(
        &self,
        row: &Row<'_>,
        names: Names<'_>,
        projection: &str,
        memory: &mut KeyMemory,
    ) -> Result<String, CoreError> {
        let KeyMemory { steps, checker, fields, event_type } = memory;
        let event_type = match event_type {
            Some(known) if **known == *row.event_type => known,
            known => known.insert(row.event_type.into()),
        };
        let fields = std::mem::take(fields);
        let mut values =
            EventValues { row, names, event_type, fields, whole: None, metadata: None };
        let read = read_event(checker, &self.inputs, &mut values);
        let stream = names.stream();
        read.map_err(|problem| Place { fold: "", stream, row }.corrupt(problem))?;
        let scope =
            EventScope { state: &Value::Null, event: &values, sources: &self.sources, lets: &[] };
        let mut budget = Budget::new(EVALUATION_STEPS_MAX);
        let value = self.program.eval(&scope, &mut budget);
        *steps += EVALUATION_STEPS_MAX - budget.steps_left();
        memory.fields = values.fields;
        value
            .map_err(Failure::of_evaluation)
            .and_then(|value| key_text(&value).map_err(Failure::new))
            .map_err(|failure| failure.path("key").into_error(projection, None, stream, row))
    }
}

/// The field of `meta` that an expression is.
fn meta_field(ast: &Ast) -> Option<&str> {
    let Kind::Select { operand, field, optional: false } = &ast.root.kind else { return None };
    match &operand.kind {
        Kind::Ident { name, absolute: false } if &**name == "meta" => Some(field),
        _ => None,
    }
}

fn may_be_key(kind: TypeValue) -> bool {
    use TypeValue::{Bool, Decimal, Double, Int, String, Uint};
    matches!(kind, Bool | Int | Uint | Decimal | Double | String)
}

/// The text of a key; an error says what is wrong with the value. Numbers that are equal have one
/// text, however they were spelled.
fn key_text(value: &Value) -> Result<String, String> {
    let mut text = String::new();
    let number = match value {
        Value::String(known) => {
            text.push_str(known);
            None
        }
        Value::Bool(value) => Some(write!(text, "{value}")),
        Value::Int(value) => Some(write!(text, "{value}")),
        Value::Uint(value) => Some(write!(text, "{value}")),
        Value::Decimal(decimal) => Some(write!(text, "{}", exact(decimal)?)),
        Value::Double(_, Some(decimal)) => Some(write!(text, "{}", exact(decimal)?)),
        other => return Err(format!("a {} cannot be a key", other.type_name())),
    };
    debug_assert!(number.is_none_or(|written| written.is_ok()), "writing to memory cannot fail");
    match text.len() {
        0 => Err("the key is empty".to_owned()),
        _ if text.contains('\0') => Err("the key holds a NUL character".to_owned()),
        1..=PROJECTION_KEY_BYTES_MAX => Ok(text),
        length => Err(format!(
            "the key has {length} bytes; at most {PROJECTION_KEY_BYTES_MAX} are allowed"
        )),
    }
}

/// The number as a result is written.
fn exact(decimal: &Decimal) -> Result<Decimal, String> {
    match Decimal::parse(&decimal.to_string()) {
        Some(Ok(decimal)) => Ok(decimal),
        _ => Err("the number has more digits than are computed with".to_owned()),
    }
}
