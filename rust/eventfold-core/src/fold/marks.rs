//! What of a state can be personal: an analysis of the handlers of a fold, before any event.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cel::marks::{Mark, MarkStep, Marked};
use crate::error::CoreError;
use crate::json::pointer::{Pattern, push_step};
use crate::limits::MARK_ROUNDS_MAX;
use crate::mapping::{Mapping, Mappings};
use crate::privacy::Personal;
use crate::value::{Absence, List, Map, Value};

use super::Fold;
use super::assign::Step;
use super::compile::{
    CompiledAssignment, CompiledCase, CompiledRight, Target, TargetStep, TypeHandler,
};
use super::inputs::Inputs;
use super::scope::{EVENT, FIRST_LET, STATE, Source};

/// What is declared personal of the data of events, by type.
#[derive(Debug, Clone, Default)]
pub struct Declared {
    types: HashMap<String, Mark>,
    /// Of events of any type, as categories declare it.
    all: Mark,
    /// How events of a type were read before, by the type.
    read_before: Arc<HashMap<Arc<str>, Vec<Arc<Mapping>>>>,
}

impl Declared {
    /// Adds what is declared of an event type; what it has in several categories adds up.
    #[must_use]
    pub fn with_type<'a>(
        mut self,
        event_type: &str,
        patterns: impl IntoIterator<Item = &'a Pattern>,
    ) -> Self {
        add(self.types.entry(event_type.to_owned()).or_default(), patterns);
        self
    }

    /// Adds what is declared of all types, as a category declares it.
    #[must_use]
    pub fn with_all<'a>(mut self, patterns: impl IntoIterator<Item = &'a Pattern>) -> Self {
        add(&mut self.all, patterns);
        self
    }

    /// Adds a declaration for an event type; `None`: for all types.
    #[must_use]
    pub fn with(self, event_type: Option<&str>, personal: &Personal) -> Self {
        let patterns = personal.fields().iter().map(|field| &field.pointer);
        match event_type {
            Some(event_type) => self.with_type(event_type, patterns),
            None => self.with_all(patterns),
        }
    }

    /// With mappings that are in force no more, by the types of their events: states that go on
    /// from ones of before were made of events as these gave them.
    #[must_use]
    pub fn read_before(mut self, mappings: &Arc<HashMap<Arc<str>, Vec<Arc<Mapping>>>>) -> Self {
        self.read_before = Arc::clone(mappings);
        self
    }

    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        !self.all.any() && !self.types.values().any(Mark::any)
    }

    /// The mark of the data of events of a type, as they are read now, or were once: as they are
    /// stored before there was a mapping, and then by each that there was.
    pub(crate) fn event(&self, event_type: &str, mappings: &Mappings) -> Mark {
        let stored = self.stored(event_type);
        if !stored.any() {
            return stored;
        }
        let before = self.read_before.get(event_type).map_or(&[][..], Vec::as_slice);
        let now = mappings.get(event_type.as_bytes());
        let mut mark = stored.clone();
        for mapping in before.iter().chain(now) {
            mark.join(&mapping.marks(stored.clone()));
        }
        mark.bounded()
    }

    /// The mark of the data of events of whatever type, as they are stored.
    pub(crate) fn any_stored(&self) -> Mark {
        let mut mark = self.all.clone();
        self.types.values().for_each(|of_type| mark.join(of_type));
        mark.bounded()
    }

    /// The mark of the data of events of a type, as they are stored.
    pub(crate) fn stored(&self, event_type: &str) -> Mark {
        let mut mark = self.all.clone();
        if let Some(of_type) = self.types.get(event_type) {
            mark.join(of_type);
        }
        mark
    }

    /// Whether all that a pattern leads to in data of a type is declared.
    pub(crate) fn covers(&self, event_type: &str, pattern: &Pattern) -> bool {
        let mut mark = self.stored(event_type);
        for step in pattern.steps() {
            if mark.is_whole() {
                return true;
            }
            mark = match step {
                Some(name) => mark.part(Some(name)),
                // Every one of them: what is known of some is not enough.
                None => mark.every(),
            };
        }
        mark.is_whole()
    }

    /// The mark of the data of events of whatever type, read in whatever way.
    pub(crate) fn any_event(&self, mappings: &Mappings) -> Mark {
        let mapped = mappings.iter().map(|mapping| mapping.event_type());
        let before = self.read_before.keys().map(|event_type| &**event_type);
        let types = self.types.keys().map(String::as_str).chain(mapped).chain(before);
        types.fold(self.any_stored(), |mut all, event_type| {
            all.join(&self.event(event_type, mappings));
            all
        })
    }
}

fn add<'a>(mark: &mut Mark, patterns: impl IntoIterator<Item = &'a Pattern>) {
    // An index may move when it comes into a state, where items before it can be removed.
    let step = |step: Option<&str>| -> MarkStep {
        step.filter(|name| !name.bytes().all(|byte| byte.is_ascii_digit())).map(Arc::from)
    };
    for pattern in patterns {
        let path: Vec<MarkStep> = pattern.steps().map(step).collect();
        mark.put(&path, &Mark::whole());
    }
    *mark = std::mem::take(mark).bounded();
}

/// Which parts of a state can be personal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(Mark);

impl Marks {
    pub(crate) fn new(mark: Mark) -> Self {
        Self(mark)
    }

    /// Of a state that can be personal as a whole.
    pub(crate) fn all() -> Self {
        Self(Mark::whole())
    }

    /// Whether no part can be.
    pub fn is_empty(&self) -> bool {
        !self.0.any()
    }

    /// Whether the whole can be.
    pub fn is_whole(&self) -> bool {
        self.0.is_whole()
    }

    /// The parts as pointers with `*` for every item or member, in byte order but for `*`, which
    /// comes last; the empty pointer is the whole.
    pub fn pointers(&self) -> Vec<String> {
        let mut pointers = Vec::new();
        list(&self.0, &mut String::new(), &mut pointers);
        pointers
    }

    /// A state with something else, by its pointer, in place of each part that is marked.
    pub fn replace<E>(
        &self,
        state: &Value,
        other: &mut impl FnMut(&str, &Value) -> Result<Value, E>,
    ) -> Result<Value, E> {
        replace(&self.0, state, &mut String::new(), other)
    }

    /// A state with what is marked withheld. What is erased stays so.
    pub fn withhold(&self, state: &Value) -> Value {
        if self.is_empty() { state.clone() } else { withhold(&self.0, state) }
    }
}

fn list(mark: &Mark, pointer: &mut String, pointers: &mut Vec<String>) {
    if mark.is_whole() {
        pointers.push(pointer.clone());
        return;
    }
    for (name, part) in mark.parts() {
        let length = pointer.len();
        push_step(pointer, name.map_or("*", |name| name));
        list(part, pointer, pointers);
        pointer.truncate(length);
    }
}

/// Recursion is bounded by the depth of marks.
fn replace<E>(
    mark: &Mark,
    value: &Value,
    pointer: &mut String,
    other: &mut impl FnMut(&str, &Value) -> Result<Value, E>,
) -> Result<Value, E> {
    if mark.is_whole() {
        return other(pointer, value);
    }
    let length = pointer.len();
    match value {
        Value::List(items) if mark.any() => {
            let part = mark.items();
            let mut replaced = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                push_step(pointer, &index.to_string());
                replaced.push(replace(&part, item, pointer, other)?);
                pointer.truncate(length);
            }
            Ok(Value::list(replaced))
        }
        Value::Map(map) if mark.any() => {
            let mut replaced = Map::with_capacity(map.len());
            for (key, value) in map.iter() {
                let name = key.to_text();
                push_step(pointer, &name);
                let part = mark.part(Some(&name));
                replaced.insert(key.clone(), replace(&part, value, pointer, other)?);
                pointer.truncate(length);
            }
            Ok(Value::map(replaced))
        }
        value => Ok(value.clone()),
    }
}

/// Recursion is bounded by the depth of marks.
fn withhold(mark: &Mark, value: &Value) -> Value {
    if mark.is_whole() {
        let absence = match value.absence() {
            Some(Absence::Erased) => Absence::Erased,
            _ => Absence::Withheld,
        };
        return Value::Absent(absence);
    }
    match value {
        Value::List(items) if mark.any() => {
            let part = mark.items();
            Value::List(items.iter().map(|item| withhold(&part, item)).collect::<List>())
        }
        Value::Map(map) if mark.any() => {
            let mut kept = Map::with_capacity(map.len());
            for (key, value) in map.iter() {
                kept.insert(key.clone(), withhold(&mark.part(Some(&key.to_text())), value));
            }
            Value::map(kept)
        }
        other => other.clone(),
    }
}

impl Fold {
    /// Which parts of its states can be personal. `carried` are the marks of the folds whose states
    /// its streams may start from.
    ///
    /// Refused with PERSONAL_KEY where a path has a key that can be personal: what a state holds
    /// under it could not be told from what it is.
    pub fn marks(
        &self,
        declared: &Declared,
        mappings: &Mappings,
        carried: &[&Marks],
    ) -> Result<Marks, CoreError> {
        let mut state = Mark::default();
        carried.iter().for_each(|marks| state.join(&marks.0));
        let handlers: Vec<_> = self.handlers.iter().collect();
        let given = Mark::default();
        state_mark(self.name(), &handlers, declared, mappings, &given, state).map(Marks)
    }
}

impl Fold {
    /// An event type and a field of its data that is marked and that an expression reads, for
    /// whatever it makes of it.
    pub(crate) fn reads_marked(
        &self,
        declared: &Declared,
        mappings: &Mappings,
    ) -> Option<(&str, String)> {
        if let Some(name) = self.accepts.first() {
            return Some((name, "states".to_owned()));
        }
        self.handlers.iter().find_map(|handler| {
            let event = declared.event(&handler.event_type, mappings);
            let marked = |name: &&String| event.part(Some(name)).any();
            let field = match handler.inputs.wanted.iter().find(marked) {
                Some(name) => Some(name.clone()),
                None if handler.inputs.needs_event && event.any() => {
                    let mut parts = event.parts().map(|(name, _)| name.map_or("*", |name| name));
                    Some(parts.next().unwrap_or("*").to_owned())
                }
                None => None,
            };
            field.map(|field| (&*handler.event_type, field))
        })
    }
}

/// The mark of a state: that of what it begins with, and all that handlers add to it.
pub(crate) fn state_mark(
    fold: &str,
    handlers: &[&TypeHandler],
    declared: &Declared,
    mappings: &Mappings,
    given: &Mark,
    mut state: Mark,
) -> Result<Mark, CoreError> {
    if declared.is_empty() && !state.any() && !given.any() {
        return Ok(state);
    }
    let events: Vec<Mark> =
        handlers.iter().map(|handler| declared.event(&handler.event_type, mappings)).collect();
    for _ in 0..MARK_ROUNDS_MAX {
        let mut next = state.clone();
        for (handler, event) in handlers.iter().zip(&events) {
            let mut scope = HandlerScope::new(handler, &state, event, given);
            scope.add_to(&mut next, fold)?;
        }
        next = next.bounded();
        if next == state {
            return Ok(state);
        }
        state = next;
    }
    Ok(Mark::whole())
}

/// The marks that the expressions of one event type see.
struct HandlerScope<'a> {
    handler: &'a TypeHandler,
    state: &'a Mark,
    event: &'a Mark,
    /// Of names that come with the event and of `let`s, by their index from [`FIRST_LET`].
    lets: Vec<Mark>,
    sources: &'a [Source],
}

impl<'a> HandlerScope<'a> {
    fn new(handler: &'a TypeHandler, state: &'a Mark, event: &'a Mark, given: &'a Mark) -> Self {
        let sources = handler.lets_sources.as_slice();
        let mut scope = Self { handler, state, event, lets: Vec::new(), sources };
        scope.lets.resize(handler.document_lets, Mark::default());
        for number in &handler.given {
            scope.lets[*number] = given.clone();
        }
        for (variable, entry) in &handler.lets {
            let mark = entry.program.mark(&scope);
            scope.lets[variable - FIRST_LET] = mark;
        }
        scope
    }

    /// Adds what the handler assigns to the mark of the next state.
    fn add_to(&mut self, next: &mut Mark, fold: &str) -> Result<(), CoreError> {
        for case in &self.handler.cases {
            self.lets.truncate(self.handler.document_lets);
            self.sources = &case.sources;
            for entry in &case.lets {
                let mark = entry.program.mark(self);
                self.lets.push(mark);
            }
            for assignment in &case.assignments {
                let path = self.path(case, assignment, fold)?;
                let mark = match &assignment.right {
                    CompiledRight::Constant(_) => continue,
                    CompiledRight::Computed(whole) | CompiledRight::Append { whole, .. } => {
                        whole.program.mark(self)
                    }
                };
                next.put(&path, &mark);
            }
        }
        Ok(())
    }

    fn path(
        &self,
        case: &CompiledCase,
        assignment: &CompiledAssignment,
        fold: &str,
    ) -> Result<Vec<MarkStep>, CoreError> {
        let known = |step: &Step| match step {
            Step::Key(key) => Some(key.to_text()),
            // Items move up when one before them is removed.
            Step::Index(..) => None,
        };
        let steps = match &assignment.target {
            Target::Static(steps) => return Ok(steps.iter().map(known).collect()),
            Target::Computed(steps) => steps,
        };
        let mut path = Vec::with_capacity(steps.len());
        for step in steps {
            path.push(match step {
                TargetStep::Known(step) => known(step),
                TargetStep::Program(program) if program.mark(self).any() => {
                    return Err(personal_key(fold, case, assignment));
                }
                TargetStep::Program(_) => None,
            });
        }
        Ok(path)
    }
}

impl Marked for HandlerScope<'_> {
    fn variable(&self, index: usize) -> Mark {
        match index {
            STATE => self.state.clone(),
            EVENT => self.event.clone(),
            // `meta` is never sealed.
            index if index < FIRST_LET => Mark::default(),
            index => self.lets.get(index - FIRST_LET).cloned().unwrap_or_default(),
        }
    }

    fn slot(&self, slot: usize) -> Mark {
        slot_mark(self.sources, &self.handler.inputs, slot, self.state, self.event)
    }
}

/// The mark of a field that an expression reads.
pub(crate) fn slot_mark(
    sources: &[Source],
    inputs: &Inputs,
    slot: usize,
    state: &Mark,
    event: &Mark,
) -> Mark {
    match sources.get(slot) {
        Some(Source::State(name)) => state.part(Some(name)),
        Some(Source::Event(place)) => event.part(inputs.wanted.get(*place).map(String::as_str)),
        _ => Mark::default(),
    }
}

fn personal_key(fold: &str, case: &CompiledCase, assignment: &CompiledAssignment) -> CoreError {
    let message = format!(
        "fold `{fold}`, handler `{}`: the path `{}` has a key that can be personal",
        case.name, assignment.path
    );
    CoreError::new("PERSONAL_KEY", message)
        .fact("fold", fold)
        .fact("handler", &case.name)
        .fact("path", &assignment.path)
}
