//! The copies of one event.

use std::borrow::Cow;
use std::sync::Arc;

use crate::append::Origin;
use crate::cel::{Budget, EvalError, Program};
use crate::envelope::{
    CheckedEvent, FLAG_CLOSES, FLAG_OPENS, NO_METADATA, NewEvent, check_event_under,
};
use crate::error::CoreError;
use crate::fold::engine::read_event;
use crate::fold::failure::Place;
use crate::fold::scope::{EventScope, EventValues, FIRST_LET, Names};
use crate::json::absent::without_absent;
use crate::json::check::Checker;
use crate::json::write::{to_json_value, write_value};
use crate::limits::EVALUATION_STEPS_MAX;
use crate::mapping::changes::{Changes, Trouble};
use crate::mapping::failure::Failure;
use crate::names::category;
use crate::privacy::PersonalValue;
use crate::rows::{Row, Tags};
use crate::rules::{Judge, Rules, Ruling, Steps, Subject};
use crate::value::Value;

use super::Targets;
use super::compile::{Rule, Shape, TypeRules};
use super::copy::{Copied, copy_id};
use super::failure::Failed;
use super::personal::{Hidden, Opened};

/// An event that is to be copied.
pub(super) struct Event<'a> {
    pub(super) row: &'a Row<'a>,
    /// In its page.
    pub(super) index: usize,
    pub(super) stream: &'a str,
    pub(super) root: &'a str,
    pub(super) opened: Opened<'a>,
}

impl Event<'_> {
    fn category(&self) -> &str {
        category(self.stream)
    }
}

/// Copies one event after the other; memory that is used again, and what all have cost.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    /// Name of the transform.
    pub(super) name: &'a str,
    pub(super) targets: &'a Targets,
    pub(super) job: &'a [u8; 16],
    /// The rules in force, to which copies are held as all appends are.
    pub(super) rules: &'a Rules,
    pub(super) pseudonym_key: Option<&'a [u8; 32]>,
    /// Whether copies are sealed before they are stored.
    pub(super) seals: bool,
    /// The rules by which something is hidden from who looks at examples and errors.
    pub(super) hides: &'a Rules,
    pub(super) memory: Memory,
}

/// What is used again from event to event.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Evaluation steps of all events so far.
    pub(super) steps: u64,
    checker: Checker,
    fields: Vec<Option<Value>>,
    lets: Vec<Option<Value>>,
    changes: Changes,
    event_type: Option<Arc<str>>,
}

/// Why an event is not copied.
enum Stop {
    /// Its stored bytes cannot be read.
    Corrupt(&'static str),
    Failed(Failed),
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

/// Whether it begins or ends a period, or is the server's own for another reason: in another stream
/// it would say what is not so. Only under another name it is copied.
fn belongs_to_stream(row: &Row<'_>) -> bool {
    row.event_type.starts_with('$') || row.flags & (FLAG_CLOSES | FLAG_OPENS) != 0
}

impl Copier<'_> {
    /// What of a copy nobody may see who has not the permission: what was opened of its source, or
    /// is declared of it, and what is declared of itself.
    pub(super) fn hidden<'h>(
        &'h self,
        event: &Event<'_>,
        types: &TypeRules,
        rule: &Rule,
        (category, event_type): (&str, &str),
    ) -> Hidden<'h> {
        let of_source = self.hides.personal(event.row.event_type, event.category());
        let opened = event.opened.with_plaintext(of_source.map(Arc::as_ref), event.row.data);
        Hidden::new(opened.in_copy(types, rule), self.hides.personal(event_type, category))
    }

    /// The data of an event without what nobody may see who has not the permission.
    pub(super) fn shown(&self, event: &Event<'_>) -> Vec<u8> {
        let personal = self.hides.personal(event.row.event_type, event.category());
        Hidden::new(event.opened.in_source(), personal).shown(event.row.data)
    }

    /// Adds the copies of an event to `out`; after an error there is none of it.
    pub(super) fn copy(
        &mut self,
        rules: &TypeRules,
        event: &Event<'_>,
        out: &mut Vec<Copied>,
    ) -> Result<(), CoreError> {
        let wanted = |rule: &&Rule| rule.event_type.is_some() || !belongs_to_stream(event.row);
        if !rules.rules.iter().any(|rule| wanted(&rule)) {
            return Ok(());
        }
        let first = out.len();
        let copied = self.evaluate(rules, event, wanted, out);
        copied.map_err(|stop| {
            out.truncate(first);
            match stop {
                Stop::Corrupt(problem) => {
                    Place { fold: "", stream: event.stream, row: event.row }.corrupt(problem)
                }
                Stop::Failed(failed) => failed.into_error(self.name, event.row, event.stream),
            }
        })
    }

    fn evaluate<'r>(
        &mut self,
        rules: &'r TypeRules,
        event: &Event<'_>,
        wanted: impl Fn(&&'r Rule) -> bool,
        out: &mut Vec<Copied>,
    ) -> Result<(), Stop> {
        let memory = &mut self.memory;
        let event_type = match memory.event_type.take() {
            Some(known) if *known == *event.row.event_type => known,
            _ => event.row.event_type.into(),
        };
        let mut values = EventValues {
            row: event.row,
            names: Names::OfEvent { stream: event.stream, root: event.root },
            event_type: &event_type,
            fields: std::mem::take(&mut memory.fields),
            whole: None,
            metadata: None,
            given: &[],
        };
        let read = read_event(&mut memory.checker, &rules.inputs, &mut values);
        let key = self.pseudonym_key;
        let mut budget = Budget::new(EVALUATION_STEPS_MAX).with_pseudonym_key(key);
        let copied = read.map_err(Stop::Corrupt).and_then(|()| {
            let mut evaluation = Evaluation { copier: self, event, values: &values, rules };
            evaluation.lets(&mut budget)?;
            for rule in rules.rules.iter().filter(wanted) {
                out.extend(evaluation.rule(rule, &mut budget)?);
            }
            Ok(())
        });
        self.memory.fields = values.fields;
        self.memory.steps += 1 + EVALUATION_STEPS_MAX - budget.steps_left();
        self.memory.event_type = Some(event_type);
        copied
    }
}

/// The rules of one event at work.
struct Evaluation<'a, 'c> {
    copier: &'a mut Copier<'c>,
    event: &'a Event<'a>,
    values: &'a EventValues<'a>,
    rules: &'a TypeRules,
}

impl Evaluation<'_, '_> {
    fn value(&self, program: &Program, budget: &mut Budget<'_>) -> Result<Value, Box<Failure>> {
        self.evaluate(program, budget).map_err(Failure::of_evaluation)
    }

    fn evaluate(&self, program: &Program, budget: &mut Budget<'_>) -> Result<Value, EvalError> {
        let lets = &self.copier.memory.lets;
        let sources = &self.rules.sources;
        let scope = EventScope { state: &Value::Null, event: self.values, sources, lets };
        program.eval(&scope, budget)
    }

    fn lets(&mut self, budget: &mut Budget<'_>) -> Result<(), Stop> {
        let lets = &mut self.copier.memory.lets;
        lets.clear();
        lets.resize(self.rules.lets_count, None);
        for (variable, entry) in &self.rules.lets {
            let value = self.value(&entry.program, budget).map_err(|failure| {
                Failed::new(self.values.event_type, failure.path(&entry.path))
            })?;
            if let Some(place) = self.copier.memory.lets.get_mut(variable - FIRST_LET) {
                *place = Some(value);
            }
        }
        Ok(())
    }

    /// The copy that a rule makes, if its condition is true.
    fn rule(&mut self, rule: &Rule, budget: &mut Budget<'_>) -> Result<Option<Copied>, Stop> {
        let failed = |failure| Failed::new(&rule.name, failure);
        if let Some(when) = &rule.when
            && !self.condition(when, budget).map_err(|failure| failed(failure.path("when")))?
        {
            return Ok(None);
        }
        let row = self.event.row;
        let stream = self.stream(rule, budget);
        let stream = stream.map_err(|failure| failed(failure.path("stream")))?;
        let event_type = rule.event_type.as_ref().unwrap_or(self.values.event_type);
        let data = stored(self.shape(rule, &rule.data, ("data", row.data), budget)?);
        let metadata = self.shape(rule, &rule.metadata, ("metadata", row.metadata), budget)?;
        let metadata = stored(metadata);
        let tags = match &rule.tags {
            None => None,
            Some(program) => {
                let tags = self.tags(program, budget);
                Some(tags.map_err(|failure| failed(failure.path("tags")))?)
            }
        };
        let tags: Vec<&str> = match &tags {
            None => row.tags.iter().collect(),
            Some(tags) => tags.iter().map(|tag| &**tag).collect(),
        };
        let new = NewEvent {
            id: "",
            event_type,
            data: &data,
            metadata: &metadata,
            tags,
            occurred_us: Some(row.occurred_us),
        };
        self.check(rule, &stream, event_type, new).map(Some)
    }

    fn condition(&self, when: &Program, budget: &mut Budget<'_>) -> Result<bool, Box<Failure>> {
        match self.value(when, budget)? {
            Value::Bool(value) => Ok(value),
            Value::Absent(_) => Ok(false),
            other => {
                let problem = format!("the condition is a {}, not a bool", other.type_name());
                Err(Failure::new(problem))
            }
        }
    }

    fn stream(&self, rule: &Rule, budget: &mut Budget<'_>) -> Result<Arc<str>, Box<Failure>> {
        match self.value(&rule.stream, budget)? {
            Value::String(name) if *name == *self.event.stream => {
                Err(Failure::new("the target stream is the one that the event is in"))
            }
            Value::String(name) => {
                self.copier.targets.check(&name).map_err(Failure::new)?;
                Ok(name)
            }
            other => {
                let problem = format!("the target stream is a {}, not a string", other.type_name());
                Err(Failure::new(problem))
            }
        }
    }

    fn tags(
        &self,
        program: &Program,
        budget: &mut Budget<'_>,
    ) -> Result<Vec<Arc<str>>, Box<Failure>> {
        let list = match present(self.value(program, budget)?) {
            None | Some(Value::Absent(_)) => return Ok(Vec::new()),
            Some(Value::List(list)) => list,
            Some(other) => {
                let problem = format!("the tags are a {}, not a list", other.type_name());
                return Err(Failure::new(problem));
            }
        };
        let tag = |tag: &Value| match tag {
            Value::String(tag) => Ok(Arc::clone(tag)),
            other => Err(Failure::new(format!("a tag is a {}, not a string", other.type_name()))),
        };
        list.iter().filter(|tag| tag.absence().is_none()).map(tag).collect()
    }

    /// Data or metadata of the copy; `name` is which, `text` that of the source.
    fn shape<'t>(
        &mut self,
        rule: &Rule,
        shape: &Shape,
        (name, text): (&str, &'t [u8]),
        budget: &mut Budget<'_>,
    ) -> Result<Cow<'t, [u8]>, Stop> {
        let failed = |failure: Box<Failure>| Failed::new(&rule.name, failure.path(name));
        let pass = match shape {
            Shape::Kept => return Ok(Cow::Borrowed(text)),
            Shape::Whole(program) => {
                let value = self.value(program, budget);
                let made = value.and_then(|value| whole(value, name));
                return made.map(Cow::Owned).map_err(|failure| failed(failure).into());
            }
            Shape::Fields(pass) => pass,
        };
        self.copier.memory.changes.clear();
        for (path, depth, program) in pass.computed() {
            let value = self.value(program, budget);
            let taken = value.and_then(|value| self.copier.memory.changes.take(value, depth));
            taken.map_err(|failure| failed(failure.path(path)))?;
        }
        let mut out = Vec::with_capacity(text.len() + 64);
        match self.copier.memory.changes.make(pass, text, &mut out) {
            Ok(true) => Ok(Cow::Owned(out)),
            Ok(false) => Ok(Cow::Borrowed(text)),
            Err(Trouble::Corrupt(problem)) => Err(Stop::Corrupt(problem)),
            Err(Trouble::Failed(failure)) => Err(failed(failure).into()),
        }
    }

    /// What of a copy is sealed because it was in the source.
    fn personal(&self, rule: &Rule, data: &[u8]) -> Result<Vec<PersonalValue>, Failed> {
        if self.event.opened.is_empty() {
            return Ok(Vec::new());
        }
        let personal = self.event.opened.of_copy(self.rules, rule, data)?;
        match personal.first() {
            Some(value) if !self.copier.seals => {
                let problem = format!(
                    "`{}` can be personal, and goes to another server only anonymised",
                    value.pointer
                );
                Err(Failed::new(&rule.name, Failure::new(problem).path("data")))
            }
            _ => Ok(personal),
        }
    }

    /// Holds a copy to all that an append is held to.
    fn check(
        &self,
        rule: &Rule,
        stream: &Arc<str>,
        event_type: &Arc<str>,
        new: NewEvent<'_>,
    ) -> Result<Copied, Stop> {
        let refused = |refusal| Failed::refused(&rule.name, refusal);
        let &Event { row, index, .. } = self.event;
        let (origin, mut steps) = (Origin::default(), Steps::whole());
        let mut judge = Judge::new(self.copier.rules, &origin, &mut steps);
        let mut ruling = Ruling::default();
        let (category, checked) =
            check_event_under(stream, &new, &mut judge, &mut ruling).map_err(refused)?;
        let category_bytes = category.len();
        let CheckedEvent { tags, flags, sent_digest, stored_digest, .. } = checked;
        let size_bytes = new.bytes();
        let NewEvent { data, metadata, .. } = new;
        let personal = self.personal(rule, data)?;
        let id = copy_id(self.copier.job, row.event_id, rule.ordinal);
        if judge.maps() && !ruling.refuses() {
            let tags = Tags::from_texts(&tags);
            let (event_id, copied_from) = (&id, Some(row.event_id));
            let copy = Row {
                stream: None,
                version: 0,
                position: 0,
                event_id,
                event_type,
                data,
                metadata,
                tags,
                flags,
                copied_from,
                ..row.clone()
            };
            judge.map(&copy, 0, stream, &mut ruling);
        }
        if !ruling.refuses() {
            // It must be clear whose values are that the rules say are personal.
            let subject = Subject { index: 0, event_type, category };
            let _ = judge.personal(subject, data, &mut ruling);
        }
        if let Some(refusal) = ruling.refusal() {
            let hidden = self.copier.hidden(self.event, self.rules, rule, (category, event_type));
            return Err(Failed::refused_within(&rule.name, refusal, &hidden.places(data)).into());
        }
        Ok(Copied {
            index,
            position: row.position,
            ordinal: rule.ordinal,
            stream: Arc::clone(stream),
            category_bytes,
            id,
            event_type: Arc::clone(event_type),
            data: data.to_vec(),
            metadata: metadata.to_vec(),
            tags: tags.into_iter().map(str::to_owned).collect(),
            occurred_us: row.occurred_us,
            flags,
            sent_digest,
            stored_digest,
            copied_from: *row.event_id,
            cancels: row.cancels.map(|id| copy_id(self.copier.job, id, rule.ordinal)),
            size_bytes,
            personal,
        })
    }
}

/// The value of an expression; `None`: the absent optional.
fn present(value: Value) -> Option<Value> {
    match value {
        Value::Optional(inner) => {
            inner.map(|inner| Arc::try_unwrap(inner).unwrap_or_else(|inner| (*inner).clone()))
        }
        value => Some(value),
    }
}

/// A text as it may be stored: what is absent is `null`.
fn stored(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    without_absent(&text).map_or(text, |shown| Cow::Owned(shown.text))
}

/// The text of all data or metadata, which are a map; metadata may be taken away.
fn whole(value: Value, name: &str) -> Result<Vec<u8>, Box<Failure>> {
    let value = match present(value) {
        None if name == "metadata" => return Ok(NO_METADATA.to_vec()),
        None => return Err(Failure::new("the whole data cannot be removed")),
        Some(value) => to_json_value(value).map_err(Failure::of_evaluation)?,
    };
    if !matches!(value, Value::Map(_)) {
        return Err(Failure::new(format!("{name} is a {}, not a map", value.type_name())));
    }
    let mut text = Vec::new();
    write_value(&value, &mut text).map_err(Failure::of_evaluation)?;
    Ok(text)
}
