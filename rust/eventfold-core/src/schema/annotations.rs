//! Personal fields that a schema declares: `x-personal` says that a value is personal, `x-subject`
//! whose it is.
//!
//! Only annotations that hold for every event at one place are taken: those that a schema reaches
//! through `properties`, elements, `allOf` and references. All others are refused.

use std::collections::{HashMap, HashSet};

use referencing::{Draft as Dialect, Resolver, ResourceRef};
use serde_json::{Map, Value};

use super::Draft;
use super::compare::keywords::{Holds, holds};
use super::document::{Document, draft_of, escaped, join};
use super::graph::{find, note, schemas};
use crate::error::CoreError;
use crate::json::pointer::Pattern;
use crate::limits::{JSON_DEPTH_MAX, PERSONAL_FIELDS_MAX, SCHEMA_PARTS_MAX};
use crate::privacy::document::{is_category, meeting, untold};
use crate::privacy::{PersonalField, SubjectSource};

const PERSONAL: &str = "x-personal";
const SUBJECT: &str = "x-subject";
/// The problem of an annotation that cannot be taken.
const PROBLEM: &str = "invalid_annotation";
/// Most schemas that lead into each other: the walk is recursive.
const NESTED_MAX: usize = 400;

/// A subschema.
struct At<'a> {
    value: &'a Value,
    resolver: Resolver<'a>,
    draft: Dialect,
}

/// Finds the annotations.
struct Walk<'a, 'd> {
    documents: &'a [Document<'d>],
    /// Documents by the address of what may be a schema in them.
    places: HashMap<*const Value, usize>,
    /// Schemas that the walk is in.
    open: Vec<*const Value>,
    /// Schemas that lead back to themselves.
    circular: HashSet<*const Value>,
    steps: usize,
    /// Each with the schema that says it.
    found: Vec<(PersonalField, &'a Value)>,
}

/// The fields that the first document declares personal, also through what it refers to. It was
/// compiled before: `resolver` is at its root and knows all documents.
pub(super) fn annotated<'a>(
    documents: &'a [Document<'_>],
    resolver: Resolver<'a>,
    draft: Dialect,
) -> Result<Vec<PersonalField>, CoreError> {
    if !documents.iter().any(|document| is_annotated(&document.value)) {
        return Ok(Vec::new());
    }
    let mut places = HashMap::new();
    for (index, document) in documents.iter().enumerate() {
        note(&document.value, index, &mut places);
    }
    let (open, circular, found) = (Vec::new(), HashSet::new(), Vec::new());
    let mut walk = Walk { documents, places, open, circular, steps: 0, found };
    walk.visit(At { value: &documents[0].value, resolver, draft }, "", None)?;
    walk.fields()
}

/// Whether an annotation stands anywhere in a document.
fn is_annotated(value: &Value) -> bool {
    match value {
        Value::Object(map) => {
            map.contains_key(PERSONAL)
                || map.contains_key(SUBJECT)
                || map.values().any(is_annotated)
        }
        Value::Array(list) => list.iter().any(is_annotated),
        _ => false,
    }
}

impl<'a> Walk<'a, '_> {
    /// Looks at a schema of the values at a pointer. `barred`: why no annotation can be taken here.
    fn visit(&mut self, at: At<'a>, pointer: &str, barred: Option<&str>) -> Result<(), CoreError> {
        let Some(map) = at.value.as_object() else { return Ok(()) };
        let address = std::ptr::from_ref(at.value);
        if self.open.contains(&address) {
            self.circular.insert(address);
            return Ok(());
        }
        self.steps += 1;
        if self.steps > SCHEMA_PARTS_MAX || self.open.len() > NESTED_MAX {
            let message = "too many subschemas lead to its annotations";
            return Err(self.documents[0].invalid("", "too_complex", message));
        }
        let before = self.found.len();
        self.annotation(at.value, map, pointer, barred)?;
        // No value nests deeper.
        if pointer.matches('/').count() <= JSON_DEPTH_MAX {
            self.open.push(address);
            self.inside(&at, map, pointer, barred)?;
            self.open.pop();
        }
        if self.found.len() > before && self.circular.contains(&address) {
            let message = "a schema that leads back to itself has personal values at any depth";
            return Err(self.invalid(at.value, "", message));
        }
        Ok(())
    }

    fn inside(
        &mut self,
        at: &At<'a>,
        map: &'a Map<String, Value>,
        pointer: &str,
        barred: Option<&str>,
    ) -> Result<(), CoreError> {
        let draft = draft_of(at.value).ok().flatten().map_or(at.draft, Draft::dialect);
        let resource = ResourceRef::new(at.value, draft);
        let unresolved = |_| self.invalid(at.value, "$id", "is no URI reference");
        let resolver = at.resolver.in_subresource(resource).map_err(unresolved)?;
        let below = |value: &'a Value| At { value, resolver: resolver.clone(), draft };
        for (keyword, held) in map {
            if holds(draft, keyword) == Holds::Reference {
                let reference = held.as_str().unwrap_or_default();
                let leads_nowhere = |_| self.invalid(at.value, keyword, "leads nowhere");
                let found = resolver.lookup(reference).map_err(leads_nowhere)?;
                let (value, resolver, draft) = found.into_inner();
                self.visit(At { value, resolver, draft }, pointer, barred)?;
                continue;
            }
            if matches!(keyword.as_str(), "$defs" | "definitions") {
                continue;
            }
            for (inner, step) in steps(draft, keyword, held) {
                let why = barred.or_else(|| step.is_none().then_some(keyword.as_str()));
                let why = why.or_else(|| beside(map, keyword));
                let inner_pointer = format!("{pointer}{}", step.unwrap_or_default());
                self.visit(below(inner), &inner_pointer, why)?;
            }
        }
        Ok(())
    }

    /// Notes what a schema says of its values.
    fn annotation(
        &mut self,
        value: &'a Value,
        map: &Map<String, Value>,
        pointer: &str,
        barred: Option<&str>,
    ) -> Result<(), CoreError> {
        let replacement = match map.get(PERSONAL) {
            None | Some(Value::Bool(false)) if map.contains_key(SUBJECT) => {
                return Err(self.invalid(value, SUBJECT, "stands without `x-personal: true`"));
            }
            None | Some(Value::Bool(false)) => return Ok(()),
            Some(Value::Bool(true)) => None,
            Some(Value::Object(said)) if said.keys().all(|key| key == "erased") => {
                said.get("erased").map(|literal| literal.to_string().into_boxed_str())
            }
            Some(_) => {
                let message = "is true, or an object with the key `erased`";
                return Err(self.invalid(value, PERSONAL, message));
            }
        };
        if let Some(keyword) = barred {
            let message = format!(
                "stands inside of `{keyword}`, where it does not hold at one place of all events; \
                 a privacy document can name the pointer"
            );
            return Err(self.invalid(value, PERSONAL, &message));
        }
        let pattern = Pattern::parse(pointer).map_err(|problem| {
            self.invalid(value, PERSONAL, &format!("the pointer `{pointer}` {}", problem.prose()))
        })?;
        let subject = match map.get(SUBJECT) {
            None => SubjectSource::Root,
            Some(said) => {
                subject(&pattern, said).map_err(|message| self.invalid(value, SUBJECT, &message))?
            }
        };
        self.found.push((PersonalField { pointer: pattern, subject, replacement }, value));
        Ok(())
    }

    /// The fields, of which two may be said twice in the same way.
    fn fields(self) -> Result<Vec<PersonalField>, CoreError> {
        let mut fields: Vec<PersonalField> = Vec::new();
        let mut places = Vec::new();
        for (field, place) in &self.found {
            if !fields.contains(field) {
                fields.push(field.clone());
                places.push(*place);
            }
        }
        if let Some((earlier, later)) = meeting(&fields) {
            let [one, other] = [earlier, later].map(|index| fields[index].pointer.to_string());
            let message = format!(
                "`{one}` and `{other}` lead to the same values, or into each \
                                   other"
            );
            return Err(self.invalid(places[later], PERSONAL, &message));
        }
        if fields.len() > PERSONAL_FIELDS_MAX {
            let message = format!("more than {PERSONAL_FIELDS_MAX} fields are personal");
            return Err(self.documents[0].invalid("", "too_complex", message));
        }
        Ok(fields)
    }

    fn invalid(&self, value: &Value, keyword: &str, message: &str) -> CoreError {
        let document = self.places.get(&std::ptr::from_ref(value)).copied().unwrap_or(0);
        let document = &self.documents[document];
        let mut pointer = find(&document.value, value).unwrap_or_default();
        if !keyword.is_empty() {
            pointer = join(&pointer, keyword);
        }
        document.invalid(&pointer, PROBLEM, message)
    }
}

/// The schemas behind a keyword, each with what it adds to the pointer; `None`: it does not hold at
/// one place of all events.
fn steps<'a>(draft: Dialect, keyword: &str, held: &'a Value) -> Vec<(&'a Value, Option<String>)> {
    let numbered = |list: &'a Vec<Value>| {
        list.iter().enumerate().map(|(index, one)| (one, Some(format!("/{index}")))).collect()
    };
    let every = |one| vec![(one, Some("/*".to_owned()))];
    match (keyword, held) {
        ("allOf", Value::Array(list)) => {
            list.iter().map(|one| (one, Some(String::new()))).collect()
        }
        ("properties", Value::Object(map)) => {
            // A pointer has no way to name it.
            let step = |name: &str| (name != "*").then(|| format!("/{}", escaped(name)));
            map.iter().map(|(name, one)| (one, step(name))).collect()
        }
        ("prefixItems", Value::Array(list)) if draft == Dialect::Draft202012 => numbered(list),
        ("items", Value::Array(list)) => numbered(list),
        ("items" | "additionalProperties", one) => every(one),
        _ => schemas(draft, keyword, held).into_iter().map(|one| (one, None)).collect(),
    }
}

/// The keyword beside one of all elements or members that makes it one of the others.
fn beside(map: &Map<String, Value>, keyword: &str) -> Option<&'static str> {
    let has = |name: &str| match map.get(name) {
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        _ => false,
    };
    match keyword {
        "additionalProperties" if has("properties") || has("patternProperties") => {
            Some("additionalProperties")
        }
        "items" if has("prefixItems") => Some("items"),
        _ => None,
    }
}

/// What `x-subject` says.
fn subject(of: &Pattern, said: &Value) -> Result<SubjectSource, String> {
    let form = "is a pointer, or an object with the keys `pointer` and `category`";
    let (pointer, category) = match said {
        Value::String(pointer) => (Some(pointer.as_str()), None),
        Value::Object(map) if map.keys().all(|key| key == "pointer" || key == "category") => {
            (map.get("pointer").and_then(Value::as_str), map.get("category"))
        }
        _ => (None, None),
    };
    let pointer = pointer.ok_or(form)?;
    let category = match category {
        None => None,
        Some(category) => {
            let name = category.as_str().filter(|name| is_category(name));
            Some(name.ok_or("names no category")?.into())
        }
    };
    let pointer = Pattern::parse(pointer).map_err(|problem| {
        format!("`{pointer}` is no pointer to a value: it {}", problem.prose())
    })?;
    match untold(of, &pointer) {
        Some(problem) => Err(problem),
        None => Ok(SubjectSource::Named { pointer, category }),
    }
}
