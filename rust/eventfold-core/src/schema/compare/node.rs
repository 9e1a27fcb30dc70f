//! Schemas in place: with their draft, and with what their references mean there.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use referencing::{Draft, Resolver, ResourceRef};
use serde_json::{Map, Value};

use crate::limits::SCHEMA_CHAIN_MAX;

use super::super::work;
use super::facts::Facts;
use super::keywords::{Holds, REFERENCES, holds};
use super::types::Types;

/// The schema that everything fits.
pub(super) static TRUE: Value = Value::Bool(true);

/// Most schemas that may hold together at one place; there are more only by malice.
const PARTS_MAX: usize = 1_000;
/// Most schemas that are looked at for one place.
const VISITS_MAX: usize = 10_000;
/// Steps of following a reference, and of going to a schema inside of another.
const FOLLOWING_STEPS: u64 = 8;
const INNER_STEPS: u64 = 2;

/// A schema in its place.
#[derive(Debug, Clone)]
pub(super) struct Schema<'r> {
    pub(super) value: &'r Value,
    pub(super) draft: Draft,
    /// Whether `format` is checked.
    pub(super) formats: bool,
    /// Whether there are references that lead elsewhere, depending on the way that led to them.
    dynamic: bool,
    resolver: Resolver<'r>,
}

impl<'r> Schema<'r> {
    /// The root of a document.
    pub(super) fn root(
        value: &'r Value,
        draft: Draft,
        formats: bool,
        dynamic: bool,
        resolver: Resolver<'r>,
    ) -> Self {
        Self { value, draft, formats, dynamic, resolver }
    }

    /// A schema that stands inside this one.
    pub(super) fn inner(&self, value: &'r Value) -> Self {
        work::steps(INNER_STEPS);
        let draft = known(self.draft.detect(value), self.draft);
        let resource = ResourceRef::new(value, draft);
        let resolver = self.resolver.in_subresource(resource);
        let resolver = resolver.unwrap_or_else(|_| self.resolver.clone());
        Self { value, draft, resolver, ..*self }
    }

    /// The same place, but everything fits.
    pub(super) fn anything(&self) -> Self {
        Self { value: &TRUE, ..self.clone() }
    }

    /// What stands behind a keyword, if the draft knows it and it counts here.
    pub(super) fn get(&self, keyword: &str) -> Option<&'r Value> {
        work::steps(1);
        let map = self.value.as_object()?;
        if self.is_only_reference() && keyword != "$ref" {
            return None;
        }
        let value = map.get(keyword)?;
        (holds(self.draft, keyword) != Holds::Annotation).then_some(value)
    }

    /// Up to draft 7, a `$ref` stands for all else beside it.
    pub(super) fn is_only_reference(&self) -> bool {
        self.draft <= Draft::Draft7 && self.value.get("$ref").is_some()
    }

    /// The schema behind a keyword.
    pub(super) fn schema(&self, keyword: &str) -> Option<Self> {
        self.get(keyword).map(|value| self.inner(value))
    }

    /// The schemas in the list behind a keyword; none if it is no list.
    pub(super) fn list(&self, keyword: &str) -> Vec<Self> {
        let list = self.get(keyword).and_then(Value::as_array);
        list.into_iter().flatten().map(|value| self.inner(value)).collect()
    }

    /// The members of the object behind a keyword.
    pub(super) fn members(
        &self,
        keyword: &str,
    ) -> impl Iterator<Item = (&'r str, &'r Value)> + use<'r> {
        let members = self.get(keyword).and_then(Value::as_object);
        members.into_iter().flatten().map(|(name, value)| {
            work::bytes(name.len());
            (name.as_str(), value)
        })
    }

    /// What the references here lead to; `None` for one that leads nowhere.
    pub(super) fn followed(&self) -> Vec<Option<Self>> {
        let mut targets = Vec::new();
        for keyword in REFERENCES {
            let Some(reference) = self.get(keyword).and_then(Value::as_str) else { continue };
            work::steps(FOLLOWING_STEPS + reference.len() as u64 / 8);
            let resolved = match keyword {
                "$recursiveRef" => self.resolver.lookup_recursive_ref(),
                _ => self.resolver.lookup(reference),
            };
            targets.push(resolved.ok().map(|resolved| {
                let (value, resolver, draft) = resolved.into_inner();
                let draft = known(draft.detect(value), self.draft);
                Self { value, draft, resolver, ..*self }
            }));
        }
        targets
    }

    /// Tells this schema from all others, and from itself where its dynamic references lead
    /// elsewhere.
    pub(super) fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        std::ptr::hash(self.value, &mut hasher);
        (self.draft, self.formats).hash(&mut hasher);
        if !self.dynamic {
            return hasher.finish();
        }
        self.resolver.base_uri().as_str().hash(&mut hasher);
        for scope in &self.resolver.dynamic_scope() {
            work::bytes(scope.as_str().len());
            scope.as_str().hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn known(draft: Draft, otherwise: Draft) -> Draft {
    match draft {
        Draft::Draft7 | Draft::Draft201909 | Draft::Draft202012 => draft,
        _ => otherwise,
    }
}

/// A schema object that holds at a place, and where those end that it takes in by `$ref` and
/// `allOf`: they stand right behind it.
#[derive(Debug, Clone)]
pub(super) struct Part<'r> {
    pub(super) schema: Schema<'r>,
    pub(super) end: usize,
    identity: u64,
}

/// All that holds at one place of an event.
#[derive(Debug)]
pub(super) struct Place<'r> {
    pub(super) parts: Vec<Part<'r>>,
    /// Nothing is allowed here.
    pub(super) never: bool,
    /// Something holds here that could not be followed.
    pub(super) unknown: bool,
    /// What holds beside the parts.
    pub(super) types: Types,
    /// Properties that are known to be there.
    present: Vec<&'r str>,
    /// Alternatives of which one was chosen: its schema is among the parts.
    chosen: Vec<(*const Value, &'static str)>,
    /// What follows, once somebody asked, by how deep it was looked into.
    pub(super) facts: [OnceCell<Rc<Facts<'r>>>; 3],
}

/// What tells places apart: their parts with all that these take in, alternatives that were chosen,
/// and what holds beside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity<'r> {
    parts: Vec<(u64, usize)>,
    chosen: Vec<(*const Value, &'static str)>,
    types: Types,
    never: bool,
    unknown: bool,
    present: Vec<&'r str>,
}

/// Another place like it, of which nothing is known yet.
impl Clone for Place<'_> {
    fn clone(&self) -> Self {
        work::steps(1 + (self.parts.len() + self.present.len() + self.chosen.len()) as u64);
        Self {
            parts: self.parts.clone(),
            never: self.never,
            unknown: self.unknown,
            types: self.types,
            present: self.present.clone(),
            chosen: self.chosen.clone(),
            facts: Default::default(),
        }
    }
}

impl<'r> Place<'r> {
    /// Where everything is allowed.
    pub(super) fn anything() -> Self {
        Self {
            parts: Vec::new(),
            never: false,
            unknown: false,
            types: Types::ALL,
            present: Vec::new(),
            chosen: Vec::new(),
            facts: Default::default(),
        }
    }

    /// Where these hold.
    pub(super) fn of<'s>(schemas: impl IntoIterator<Item = &'s Schema<'r>>) -> Self
    where
        'r: 's,
    {
        let mut place = Self::anything();
        schemas.into_iter().for_each(|schema| place.add(schema));
        place
    }

    /// The same place, where this holds too.
    pub(super) fn with(&self, schema: &Schema<'r>) -> Self {
        let mut place = self.clone();
        place.add(schema);
        place
    }

    /// The same place, for values of these types only.
    pub(super) fn only(&self, types: Types) -> Self {
        Self { types: self.types & types, ..self.clone() }
    }

    /// The same place, once an alternative was chosen.
    pub(super) fn choosing(&self, part: &Part<'r>, keyword: &'static str) -> Self {
        let mut place = self.clone();
        place.chosen.push((std::ptr::from_ref(part.schema.value), keyword));
        place
    }

    /// Whether one of the alternatives was chosen.
    pub(super) fn is_chosen(&self, part: &Part<'r>, keyword: &'static str) -> bool {
        work::steps(1 + self.chosen.len() as u64 / 8);
        self.chosen.contains(&(std::ptr::from_ref(part.schema.value), keyword))
    }

    /// The same place, for objects that have this property too.
    pub(super) fn having(&self, name: &'r str) -> Self {
        let mut place = self.clone();
        place.has(name);
        place
    }

    /// Lets a property be known to be there.
    pub(super) fn has(&mut self, name: &'r str) {
        work::steps(1);
        self.present.push(name);
        self.facts = Default::default();
    }

    /// The properties that are known to be there.
    pub(super) fn present(&self) -> &[&'r str] {
        &self.present
    }

    /// Whether everything is allowed here.
    pub(super) fn is_anything(&self) -> bool {
        self.parts.is_empty() && !self.never && !self.unknown && self.types == Types::ALL
    }

    /// Lets a schema hold here.
    pub(super) fn add(&mut self, schema: &Schema<'r>) {
        self.facts = Default::default();
        let mut adding = Adding::default();
        for (index, part) in self.parts.iter().enumerate() {
            adding.seen.insert(part.identity, index);
        }
        work::steps(self.parts.len() as u64);
        self.add_following(schema, &mut adding);
    }

    fn add_following(&mut self, schema: &Schema<'r>, adding: &mut Adding) {
        adding.visits += 1;
        if adding.visits > VISITS_MAX {
            self.unknown = true;
            return;
        }
        let map = match schema.value {
            Value::Bool(allowed) => {
                self.never |= !allowed;
                return;
            }
            Value::Object(map) if map.is_empty() => return,
            Value::Object(map) => map,
            _ => {
                self.unknown = true;
                return;
            }
        };
        let here = std::ptr::from_ref(schema.value);
        let crowded = self.parts.len() >= PARTS_MAX || adding.following.len() > SCHEMA_CHAIN_MAX;
        if crowded || adding.following.contains(&here) {
            self.unknown = true;
            return;
        }
        let identity = schema.identity();
        let known = adding.seen.get(&identity);
        if known.is_some_and(|index| adding.unevaluated.is_none_or(|part| *index > part)) {
            return;
        }
        adding.seen.insert(identity, self.parts.len());
        adding.following.push(here);
        let part = (!schema.is_only_reference() && says_something(schema, map)).then(|| {
            self.parts.push(Part { schema: schema.clone(), end: 0, identity });
            self.parts.len() - 1
        });
        let unevaluated = adding.unevaluated;
        if let Some(part) = part.filter(|_| looks_at_evaluated(schema)) {
            adding.unevaluated = Some(part);
        }
        for target in schema.followed() {
            match target {
                Some(target) => self.add_following(&target, adding),
                None => self.unknown = true,
            }
        }
        for inner in schema.list("allOf") {
            self.add_following(&inner, adding);
        }
        adding.unevaluated = unevaluated;
        adding.following.pop();
        let end = self.parts.len();
        if let Some(part) = part.and_then(|part| self.parts.get_mut(part)) {
            part.end = end;
        }
    }

    /// Tells this place from others.
    pub(super) fn identity(&self) -> Identity<'r> {
        work::steps(1 + (self.parts.len() + self.present.len() + self.chosen.len()) as u64 / 2);
        let taken_in = |(index, part): (usize, &Part<'r>)| (part.identity, part.end - index);
        let mut parts: Vec<_> = self.parts.iter().enumerate().map(taken_in).collect();
        parts.sort_unstable();
        let (types, never, unknown) = (self.types, self.never, self.unknown);
        let (chosen, present) = (self.chosen.clone(), self.present.clone());
        Identity { parts, chosen, types, never, unknown, present }
    }
}

/// What is known while a schema is added to a place.
#[derive(Default)]
struct Adding {
    /// The schemas on the way.
    following: Vec<*const Value>,
    /// Schemas that hold here already, and from which part on. They need not be added again.
    seen: HashMap<u64, usize>,
    /// The innermost part on the way that asks what was looked at inside of it: what held here
    /// before it is not inside.
    unevaluated: Option<usize>,
    visits: usize,
}

/// Whether it matters what a schema takes in, and not only what holds beside it.
fn looks_at_evaluated(schema: &Schema<'_>) -> bool {
    let keywords = ["unevaluatedProperties", "unevaluatedItems"];
    keywords.iter().any(|keyword| schema.get(keyword).is_some())
}

/// Whether a schema says something by itself, not only by references and `allOf`.
fn says_something(schema: &Schema<'_>, map: &Map<String, Value>) -> bool {
    work::steps(map.len() as u64);
    map.keys().any(|keyword| {
        !matches!(
            holds(schema.draft, keyword),
            Holds::Reference | Holds::Nothing | Holds::Annotation
        ) && keyword != "allOf"
    })
}
