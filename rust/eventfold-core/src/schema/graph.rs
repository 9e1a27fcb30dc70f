//! All subschemas of a schema and of what it refers to: every reference leads somewhere, none in a
//! circle, and there are not too many, neither all in all nor for one value.

use std::collections::HashMap;

use referencing::{Draft as Dialect, Resolver, ResourceRef};
use serde_json::{Map, Value};

use super::Draft;
use super::compare::keywords::{Holds, REFERENCES, holds};
use super::document::{Document, draft_of, join, short};
use super::patterns::{Patterns, Problem};
use crate::error::CoreError;
use crate::limits::{
    PATTERN_BYTES_MAX, PATTERN_SOURCE_BYTES_MAX, SCHEMA_CHAIN_MAX, SCHEMA_CHECKS_MAX,
    SCHEMA_PARTS_MAX, SCHEMA_PATTERNS_BYTES_MAX, SCHEMA_PATTERNS_MAX,
};

/// What is known of a schema as a whole.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Which documents it is made of.
    pub(super) used: Vec<bool>,
    /// Bytes of the longest text of it that an error holds.
    pub(super) copied_bytes: usize,
    /// Most patterns that the name of a member may be matched with at one place.
    pub(super) name_patterns: usize,
    /// Most bytes of these.
    pub(super) name_pattern_bytes: usize,
}

/// A subschema.
struct Part<'a> {
    value: &'a Value,
    resolver: Resolver<'a>,
    draft: Dialect,
    /// Those that hold for the same value.
    in_place: Vec<usize>,
}

/// Finds all parts.
struct Walk<'a, 'd> {
    documents: &'a [Document<'d>],
    /// What nobody has, by its URI.
    missing: &'a dyn Fn(&str) -> bool,
    patterns: &'a Patterns,
    parts: Vec<Part<'a>>,
    /// Parts by the address of their value.
    known: HashMap<*const Value, usize>,
    /// Documents by the address of what may be a schema in them.
    places: HashMap<*const Value, usize>,
    graph: Graph,
}

/// Looks at the first document, and at all that it refers to. `resolver` is at its root and knows
/// all of them; of a URI that none of them has, it knows some stand-in.
pub(super) fn look<'a>(
    documents: &'a [Document<'_>],
    resolver: Resolver<'a>,
    draft: Dialect,
    missing: &'a dyn Fn(&str) -> bool,
    patterns: &'a Patterns,
) -> Result<Graph, CoreError> {
    let mut places = HashMap::new();
    for (index, document) in documents.iter().enumerate() {
        note(&document.value, index, &mut places);
    }
    let graph = Graph { used: vec![false; documents.len()], ..Graph::default() };
    let (parts, known) = (Vec::new(), HashMap::new());
    let mut walk = Walk { documents, missing, patterns, parts, known, places, graph };
    walk.part(&documents[0].value, resolver, draft);
    let mut next = 0;
    while next < walk.parts.len() {
        walk.visit(next)?;
        next += 1;
        if walk.parts.len() > SCHEMA_PARTS_MAX {
            let message = format!("more than {SCHEMA_PARTS_MAX} subschemas");
            return Err(documents[0].invalid("", "too_complex", message));
        }
    }
    walk.check_in_place()?;
    Ok(walk.graph)
}

/// Notes in which document each value stands that may be a schema.
pub(super) fn note(value: &Value, document: usize, places: &mut HashMap<*const Value, usize>) {
    if let Value::Object(_) | Value::Bool(_) = value {
        places.insert(value, document);
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| note(value, document, places)),
        Value::Array(list) => list.iter().for_each(|value| note(value, document, places)),
        _ => {}
    }
}

impl<'a> Walk<'a, '_> {
    /// The part of a value, which is looked at later if it is new.
    fn part(&mut self, value: &'a Value, resolver: Resolver<'a>, draft: Dialect) -> usize {
        if let Some(&document) = self.places.get(&std::ptr::from_ref(value)) {
            self.graph.used[document] = true;
        }
        let parts = &mut self.parts;
        *self.known.entry(value).or_insert_with(|| {
            parts.push(Part { value, resolver, draft, in_place: Vec::new() });
            parts.len() - 1
        })
    }

    fn visit(&mut self, index: usize) -> Result<(), CoreError> {
        let Part { value, draft, .. } = self.parts[index];
        let Some(map) = value.as_object() else { return Ok(()) };
        let draft = match draft_of(value) {
            Ok(named) => named.map_or(draft, Draft::dialect),
            Err(name) => {
                let (document, pointer) = self.whereabouts(value);
                return Err(document.unknown_draft(&name, &join(&pointer, "$schema")));
            }
        };
        let resolver = self.parts[index]
            .resolver
            .in_subresource(ResourceRef::new(value, draft))
            .map_err(|_| self.invalid(value, "$id", "unknown_reference", "is no URI reference"))?;
        // Up to draft-07, what stands beside a reference counts for nothing.
        let alone = draft == Dialect::Draft7 && map.contains_key("$ref");
        let mut in_place = Vec::new();
        for (keyword, held) in map {
            if alone && keyword != "$ref" {
                continue;
            }
            if holds(draft, keyword) == Holds::Reference {
                in_place.push(self.target(value, keyword, &resolver)?);
                continue;
            }
            for inner in schemas(draft, keyword, held) {
                let part = self.part(inner, resolver.clone(), draft);
                if applies_in_place(keyword) {
                    in_place.push(part);
                }
            }
            if keyword == "not" {
                let bytes = held.to_string().len();
                self.graph.copied_bytes = self.graph.copied_bytes.max(bytes);
            }
        }
        if !alone {
            self.check_patterns(value, map)?;
        }
        self.parts[index].in_place = in_place;
        Ok(())
    }

    /// The part to which a reference of a schema leads.
    fn target(
        &mut self,
        value: &'a Value,
        keyword: &str,
        resolver: &Resolver<'a>,
    ) -> Result<usize, CoreError> {
        let reference = value.get(keyword).and_then(Value::as_str).unwrap_or_default();
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = resolver.base_uri();
        let uri = resolver.resolve_uri(&base.borrow(), uri);
        let refused = |walk: &Self, what: &str| {
            let whole = uri.as_ref().map_or(reference, |uri| super::known_as(uri.as_str()));
            let hash = if uri.is_err() || fragment.is_empty() { "" } else { "#" };
            let behind = if hash.is_empty() { "" } else { fragment };
            let message = format!("`{}` {what}", short(reference));
            let error = walk.invalid(value, keyword, "unknown_reference", &message);
            error.fact("reference", format!("{whole}{hash}{behind}"))
        };
        let is_missing = uri.as_ref().is_ok_and(|uri| (self.missing)(uri.as_str()));
        match resolver.lookup(reference) {
            Ok(found) if !is_missing => {
                let (contents, resolver, draft) = found.into_inner();
                match contents {
                    Value::Object(_) | Value::Bool(_) => Ok(self.part(contents, resolver, draft)),
                    _ => Err(refused(self, "is no schema")),
                }
            }
            _ => Err(refused(self, "leads nowhere")),
        }
    }

    fn check_patterns(
        &mut self,
        value: &'a Value,
        map: &'a Map<String, Value>,
    ) -> Result<(), CoreError> {
        let named = map.get("patternProperties").and_then(Value::as_object);
        self.graph.name_patterns = self.graph.name_patterns.max(named.map_or(0, Map::len));
        let names = named.into_iter().flat_map(Map::keys).map(|source| (source.as_str(), true));
        let whole = map.get("pattern").and_then(Value::as_str).map(|source| (source, false));
        let mut name_bytes = 0;
        for (source, is_name) in names.chain(whole) {
            self.graph.copied_bytes = self.graph.copied_bytes.max(source.len());
            let compiled = match is_name {
                true => self.patterns.name(source),
                false => self.patterns.value(source).map(|_| 0),
            };
            let problem = match compiled {
                Ok(bytes) => {
                    name_bytes += bytes;
                    continue;
                }
                Err(problem) => problem,
            };
            let pointer = if is_name { "patternProperties" } else { "pattern" };
            let (document, mut at) = self.whereabouts(value);
            at = join(&at, pointer);
            if is_name {
                at = join(&at, source);
            }
            return Err(refusal(document, &at, problem));
        }
        self.graph.name_pattern_bytes = self.graph.name_pattern_bytes.max(name_bytes);
        if self.patterns.len() > SCHEMA_PATTERNS_MAX {
            let message = format!("more than {SCHEMA_PATTERNS_MAX} patterns");
            return Err(self.documents[0].invalid("", "too_complex", message));
        }
        Ok(())
    }

    /// Refuses circles, and values that would be held to too many schemas.
    fn check_in_place(&self) -> Result<(), CoreError> {
        let mut waits = vec![0_usize; self.parts.len()];
        for part in &self.parts {
            part.in_place.iter().for_each(|inner| waits[*inner] += 1);
        }
        let mut order: Vec<usize> =
            (0..self.parts.len()).filter(|index| waits[*index] == 0).collect();
        let mut next = 0;
        while let Some(&index) = order.get(next) {
            next += 1;
            for &inner in &self.parts[index].in_place {
                waits[inner] -= 1;
                if waits[inner] == 0 {
                    order.push(inner);
                }
            }
        }
        if order.len() < self.parts.len() {
            return Err(self.circle(&waits));
        }
        let mut chains = vec![1_usize; self.parts.len()];
        let mut checks = vec![1_u64; self.parts.len()];
        for &index in order.iter().rev() {
            for &inner in &self.parts[index].in_place {
                chains[index] = chains[index].max(chains[inner] + 1);
                checks[index] = checks[index].saturating_add(checks[inner]);
            }
            let message = if chains[index] > SCHEMA_CHAIN_MAX {
                format!("a chain of more than {SCHEMA_CHAIN_MAX} schemas for one value")
            } else if checks[index] > SCHEMA_CHECKS_MAX {
                format!("holds a value to more than {SCHEMA_CHECKS_MAX} schemas")
            } else {
                continue;
            };
            let (document, pointer) = self.whereabouts(self.parts[index].value);
            return Err(document.invalid(&pointer, "too_complex", message));
        }
        Ok(())
    }

    /// The refusal of a circle among the parts that wait for others.
    fn circle(&self, waits: &[usize]) -> CoreError {
        let mut before = vec![None; self.parts.len()];
        for (index, part) in self.parts.iter().enumerate().filter(|(index, _)| waits[*index] > 0) {
            part.in_place.iter().for_each(|inner| before[*inner] = Some(index));
        }
        // Whoever waits does so for one that waits: going back long enough ends in a circle.
        let mut at = waits.iter().position(|waits| *waits > 0).unwrap_or(0);
        let back = |at: usize| before[at].unwrap_or(at);
        for _ in 0..self.parts.len() {
            at = back(at);
        }
        let refers = |at: usize| {
            let map = self.parts[at].value.as_object()?;
            REFERENCES.into_iter().find(|keyword| map.contains_key(*keyword))
        };
        for _ in 0..self.parts.len() {
            if refers(at).is_some() {
                break;
            }
            at = back(at);
        }
        let value = self.parts[at].value;
        let keyword = refers(at).unwrap_or_default();
        let reference = value.get(keyword).and_then(Value::as_str).unwrap_or_default();
        let message = format!("`{}` leads back here for the same value", short(reference));
        self.invalid(value, keyword, "circular_reference", &message).fact("reference", reference)
    }

    fn invalid(
        &self,
        value: &Value,
        keyword: &str,
        problem: &'static str,
        message: &str,
    ) -> CoreError {
        let (document, pointer) = self.whereabouts(value);
        document.invalid(&join(&pointer, keyword), problem, message)
    }

    /// The document in which a value stands, and the pointer to it.
    fn whereabouts(&self, value: &Value) -> (&Document<'a>, String) {
        let document = self.places.get(&std::ptr::from_ref(value)).copied().unwrap_or(0);
        let document = &self.documents[document];
        (document, find(&document.value, value).unwrap_or_default())
    }
}

/// The refusal of a pattern.
fn refusal(document: &Document<'_>, at: &str, problem: Problem) -> CoreError {
    let message = match problem {
        Problem::NotLinear => {
            "patterns of names have no look-around and no references back".to_owned()
        }
        Problem::None => format!(
            "is no pattern of ECMA 262, or one of more than {PATTERN_SOURCE_BYTES_MAX} bytes, or \
             of more than {PATTERN_BYTES_MAX} when compiled"
        ),
        Problem::All => {
            let limit = SCHEMA_PATTERNS_BYTES_MAX;
            let message = format!("the patterns have more than {limit} bytes when compiled");
            return document.invalid(at, "too_complex", message).fact("limit", limit);
        }
    };
    document.invalid(at, "invalid_pattern", message)
}

/// The pointer from a value to one inside of it.
pub(super) fn find(outer: &Value, inner: &Value) -> Option<String> {
    if std::ptr::eq(outer, inner) {
        return Some(String::new());
    }
    let behind = |token: &str, value| Some(join("", token) + &find(value, inner)?);
    match outer {
        Value::Object(map) => map.iter().find_map(|(name, value)| behind(name, value)),
        Value::Array(list) => {
            let mut elements = list.iter().enumerate();
            elements.find_map(|(index, value)| behind(&index.to_string(), value))
        }
        _ => None,
    }
}

/// The schemas that stand behind a keyword.
pub(super) fn schemas<'a>(draft: Dialect, keyword: &str, held: &'a Value) -> Vec<&'a Value> {
    let is_schema = |value: &&Value| matches!(value, Value::Object(_) | Value::Bool(_));
    let found: Vec<&Value> = match (holds(draft, keyword), keyword) {
        (Holds::Schema, _) => vec![held],
        (Holds::List | Holds::SchemaOrList, _) => match held {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        },
        (Holds::Map | Holds::MapOrNames, _) | (Holds::Nothing, "$defs" | "definitions") => {
            held.as_object().into_iter().flat_map(Map::values).collect()
        }
        _ => Vec::new(),
    };
    found.into_iter().filter(is_schema).collect()
}

/// Whether the schemas of a keyword hold for the value itself, and not for what is inside of it.
fn applies_in_place(keyword: &str) -> bool {
    matches!(
        keyword,
        "allOf"
            | "anyOf"
            | "oneOf"
            | "not"
            | "if"
            | "then"
            | "else"
            | "dependentSchemas"
            | "dependencies"
    )
}
