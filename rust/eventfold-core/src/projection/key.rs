//! The key of an event: the row that it belongs to.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::cel::ast::{Ast, Kind};
use crate::cel::{self, Program};
use crate::error::CoreError;
use crate::fold::document::Expression;
use crate::fold::engine::Event;
use crate::fold::refusal::{Parsed, Refusal, Source as Text};
use crate::fold::scope::{self, Names};
use crate::limits::PROJECTION_KEY_BYTES_MAX;
use crate::number::Decimal;
use crate::rows::Page;
use crate::value::{TypeValue, Value};

use super::event::{self, EventInputs, EventMemory};
use super::failure::Failure;
use super::{KeyKind, Projection, refuse};

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
    pub(super) program: Program,
    /// The numbers of the names of `resolve` that it reads.
    given: Vec<usize>,
    pub(super) inputs: EventInputs,
}

impl Key {
    /// Compiles a key, and returns it as printed.
    pub(super) fn compile(
        expression: Option<&Expression>,
        given: &[String],
        text: &Text<'_>,
    ) -> Parsed<(Self, String)> {
        let Some(expression) = expression else { return Ok((Self::Root, DEFAULT.to_owned())) };
        let printed = expression.ast.print();
        let named = |refusal: Box<Refusal>| refusal.path("key");
        let kind = match meta_field(&expression.ast) {
            Some("root") => Self::Root,
            Some("stream") => Self::Stream,
            _ => {
                let compiled = KeyExpression::compile(expression, given, text).map_err(named)?;
                Self::Expression(Box::new(compiled))
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

    /// Those of some fields at the top of the data that it reads.
    pub(super) fn reads<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        match self {
            Self::Root | Self::Stream => Vec::new(),
            Self::Expression(expression) => expression.inputs.reads(names),
        }
    }

    /// The expression that computes it, if one does.
    pub(super) fn expression(&self) -> Option<&KeyExpression> {
        match self {
            Self::Root | Self::Stream => None,
            Self::Expression(expression) => Some(expression),
        }
    }

    /// The numbers of the names of `resolve` that it reads.
    pub(super) fn given(&self) -> &[usize] {
        match self {
            Self::Root | Self::Stream => &[],
            Self::Expression(expression) => &expression.given,
        }
    }

    /// The key of the row at an index; `None`: what it is made of is absent, and the event belongs
    /// to no row. The inner error is that of the event, the outer one that of
    /// a page that cannot be read.
    pub(super) fn of<'a>(
        &self,
        page: &'a impl Page,
        index: usize,
        projection: &Projection,
        memory: &mut EventMemory,
    ) -> Result<Result<Option<Cow<'a, str>>, CoreError>, CoreError> {
        let stream = page.stream(index)?.unwrap_or_default();
        match self {
            Self::Root => Ok(Ok(Some(Cow::Borrowed(page.root(index)?.unwrap_or(stream))))),
            Self::Stream => Ok(Ok(Some(Cow::Borrowed(stream)))),
            Self::Expression(expression) => {
                let row = page.row(index)?;
                let root = page.root(index)?.unwrap_or(stream);
                let given = match projection.given(page, index, &expression.given)? {
                    Ok(given) => given,
                    Err(error) => return Ok(Err(error)),
                };
                let names = Names::OfEvent { stream, root };
                let event = Event { names, row: &row, given: &given };
                let key = expression.evaluate(event, &projection.name, memory);
                Ok(key.map(|key| key.map(Cow::Owned)))
            }
        }
    }
}

impl KeyExpression {
    fn compile(expression: &Expression, given: &[String], text: &Text<'_>) -> Parsed<Self> {
        let mut env = event::env();
        scope::declare_given(&mut env, given);
        let program = cel::compile(&expression.ast, &mut env)
            .map_err(|error| refuse(expression, text, error))?;
        if program.static_type().known().is_some_and(|kind| !may_be_key(kind)) {
            let problem = "a key is a string, a bool, or an exact number";
            return Err(Refusal::new(expression.at, problem));
        }
        let given = scope::given_used(&[&program], given.len());
        let inputs = EventInputs::of(&[&program], &env);
        Ok(Self { program, given, inputs })
    }

    fn evaluate(
        &self,
        event: Event<'_>,
        projection: &str,
        memory: &mut EventMemory,
    ) -> Result<Option<String>, CoreError> {
        let value =
            self.inputs.read(event, memory, |evaluation| evaluation.value(&self.program))?;
        value
            .and_then(|value| key_text(&value).map_err(Failure::new))
            .map_err(|failure| failure.path("key"))
            .map_err(|failure| {
                failure.into_error(projection, None, event.names.stream(), event.row)
            })
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

/// The text of a key, `None` for one that is absent; an error says what is wrong with the value.
/// Numbers that are equal have one text, however they were spelled.
fn key_text(value: &Value) -> Result<Option<String>, String> {
    let mut text = String::new();
    let number = match value {
        Value::String(known) => {
            text.push_str(known);
            None
        }
        Value::Absent(_) => return Ok(None),
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
        1..=PROJECTION_KEY_BYTES_MAX => Ok(Some(text)),
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
