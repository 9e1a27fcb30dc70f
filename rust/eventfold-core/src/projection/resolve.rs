//! The `resolve` of a document: names whose values are the events that an event refers to.
//!
//! [`Projection::references`] tells the ids that rows of a page refer to, by name; whoever has the
//! log looks them up; [`References::resolve`] puts what was found beside the page.

use crate::cel::{self, Program};
use crate::envelope::parse_uuid;
use crate::error::CoreError;
use crate::fold::compile::TypeHandler;
use crate::fold::document::Let;
use crate::fold::engine::Event;
use crate::fold::refusal::{Parsed, Refusal, Source as Text};
use crate::fold::scope::Names;
use crate::limits::PROJECTION_STEPS;
use crate::rows::{self, Page, Resolution};
use crate::value::{TypeValue, Value};

use super::event::{self, Evaluation, EventInputs, EventMemory};
use super::failure::Failure;
use super::resolved::References;
use super::{Projection, refuse};

/// The names of a document, in its order.
#[derive(Debug)]
pub(super) struct Resolves {
    names: Vec<Name>,
    inputs: EventInputs,
}

#[derive(Debug)]
struct Name {
    /// The path in errors, `resolve.name`.
    path: String,
    program: Program,
}

/// The path of a name in errors.
pub(super) fn path(name: &str) -> String {
    format!("resolve.{name}")
}

impl Resolves {
    /// Compiles what a document says; `None`: nothing.
    pub(super) fn compile(said: &[Let], text: &Text<'_>) -> Parsed<Option<Self>> {
        if said.is_empty() {
            return Ok(None);
        }
        let mut env = event::env();
        let mut names = Vec::with_capacity(said.len());
        for Let { name, expression } in said {
            let path = path(name);
            let named = |refusal: Box<Refusal>| refusal.path(&path);
            let program = cel::compile(&expression.ast, &mut env)
                .map_err(|error| named(refuse(expression, text, error)))?;
            let kind = program.static_type();
            let kind = kind.inner().known().or(kind.known());
            if kind.is_some_and(|kind| !may_be_id(kind)) {
                let problem = "the id of an event is a string; null is none";
                return Err(named(Refusal::new(expression.at, problem)));
            }
            names.push(Name { path, program });
        }
        let programs: Vec<&Program> = names.iter().map(|name| &name.program).collect();
        let inputs = EventInputs::of(&programs, &env);
        Ok(Some(Self { names, inputs }))
    }

    fn len(&self) -> usize {
        self.names.len()
    }
}

impl Projection {
    /// Whether events refer to others: then pages of them are resolved before they are folded.
    pub fn resolves(&self) -> bool {
        self.resolves.is_some()
    }

    /// What rows of a page refer to, from the row at an index on. An error is that of a page that
    /// cannot be read; what is wrong with an event is told when it is folded.
    pub fn references(&self, page: &impl Page, from: usize) -> Result<References, CoreError> {
        let names = self.resolves.as_ref().map_or(0, Resolves::len);
        let mut found = References::new(from, names);
        let mut memory = EventMemory::default();
        while found.rows.end < page.len() && memory.steps < PROJECTION_STEPS {
            let index = found.rows.end;
            found.add_row();
            let handler = rows::event_type_bytes(page, index).and_then(|kind| self.handler(kind));
            if let (Some(resolves), Some(handler)) = (&self.resolves, handler) {
                self.refer(resolves, handler, page, index, &mut memory, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Tells what one event refers to, by the names that it is folded or keyed with.
    fn refer(
        &self,
        resolves: &Resolves,
        handler: &TypeHandler,
        page: &impl Page,
        index: usize,
        memory: &mut EventMemory,
        found: &mut References,
    ) -> Result<(), CoreError> {
        let in_key = self.key.given();
        let wanted = |number: &usize| handler.given.contains(number) || in_key.contains(number);
        let numbers: Vec<usize> = (0..resolves.len()).filter(wanted).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let row = page.row(index)?;
        let stream = page.stream(index)?.unwrap_or_default();
        let root = page.root(index)?.unwrap_or(stream);
        let event = Event { names: Names::OfEvent { stream, root }, row: &row, given: &[] };
        let read = resolves.inputs.read(event, memory, |evaluation| {
            for number in numbers {
                let name = &resolves.names[number];
                let failed = |failure: Box<Failure>| {
                    failure.path(&name.path).into_error(&self.name, None, stream, &row)
                };
                found.set(number, id(evaluation, &name.program).map_err(failed));
            }
        });
        // Else its bytes cannot be read, and whoever folds it says so.
        read.or(Ok(()))
    }
}

impl Projection {
    /// The values of names for the row at an index, by their number; nothing without such names.
    /// The inner error is that of the event, the outer one that of a page that cannot be read.
    #[inline]
    pub(super) fn given(
        &self,
        page: &impl Page,
        index: usize,
        numbers: &[usize],
    ) -> Result<Result<Vec<Option<Value>>, CoreError>, CoreError> {
        if numbers.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        self.resolutions(page, index, numbers)
    }

    fn resolutions(
        &self,
        page: &impl Page,
        index: usize,
        numbers: &[usize],
    ) -> Result<Result<Vec<Option<Value>>, CoreError>, CoreError> {
        let unresolved = || CoreError::new("BUG", "the page of a projection was not resolved");
        let resolves = self.resolves.as_ref().ok_or_else(unresolved)?;
        let mut values = vec![None; resolves.names.len()];
        for &number in numbers {
            let value = match page.resolution(index, number).ok_or_else(unresolved)? {
                Resolution::Nothing => Value::Null,
                Resolution::Event(value) => value.clone(),
                Resolution::Failed(error) => return Ok(Err(error.clone())),
                Resolution::Unreadable => {
                    let failure = Failure::new("the event that it names cannot be read");
                    let failure = failure.path(&resolves.names[number].path);
                    let stream = page.stream(index)?.unwrap_or_default();
                    let row = page.row(index)?;
                    return Ok(Err(failure.into_error(&self.name, None, stream, &row)));
                }
            };
            values[number] = Some(value);
        }
        Ok(Ok(values))
    }
}

/// The id that an expression gives, if any.
fn id(
    evaluation: &mut Evaluation<'_>,
    program: &Program,
) -> Result<Option<[u8; 16]>, Box<Failure>> {
    let value = match evaluation.value(program)? {
        Value::Optional(inner) => inner.map_or(Value::Null, |inner| (*inner).clone()),
        value => value,
    };
    match &value {
        // Whom it named is gone, and what he has with it.
        Value::Null | Value::Absent(_) => Ok(None),
        Value::String(text) => match parse_uuid(text) {
            Some(id) => Ok(Some(id)),
            None => Err(Failure::new("the text is not the id of an event, a UUID")),
        },
        other => Err(Failure::new(format!("a {} cannot be the id of an event", other.type_name()))),
    }
}

fn may_be_id(kind: TypeValue) -> bool {
    matches!(kind, TypeValue::String | TypeValue::Null | TypeValue::Optional)
}
