//! What holds for the properties of objects and the elements of arrays.

use serde_json::{Map, Value};

use super::super::work;
use super::facts::Known;
use super::node::{Part, Place, Schema};

/// Keywords whose branches may describe properties and elements for some events only.
const BRANCHING: [&str; 5] = ["anyOf", "oneOf", "if", "dependentSchemas", "dependencies"];

/// Which side of a comparison a rule is read for: what is known of old events must be certain,
/// what is demanded of them must be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Known,
    Demanded,
}

/// What one schema says of properties: each has the schemas of its name and of the patterns that
/// match it, or else that of the rest.
#[derive(Debug)]
pub(super) struct ObjectRule<'r> {
    owner: Schema<'r>,
    /// Schemas by name. Of properties that are only passed over, nothing is said.
    named: Vec<&'r Map<String, Value>>,
    patterns: Vec<(&'r str, &'r Value)>,
    rest: Option<Schema<'r>>,
    /// The keyword of the rest.
    pub(super) keyword: &'static str,
    passes_over: bool,
}

/// What a rule says of one property.
pub(super) struct Applied<'r> {
    pub(super) schemas: Vec<Schema<'r>>,
    /// Whether it is more than a property of the rest.
    pub(super) named: bool,
}

/// What one schema says of elements: the first have schemas of their own.
#[derive(Debug)]
pub(super) struct ArrayRule<'r> {
    pub(super) first: Vec<Schema<'r>>,
    pub(super) rest: Option<Schema<'r>>,
    /// The keywords of the first and of the rest.
    pub(super) keywords: (&'static str, &'static str),
}

impl<'r> ObjectRule<'r> {
    /// The rules of a place.
    pub(super) fn all(place: &Place<'r>, reading: Reading) -> Vec<Self> {
        (0..place.parts.len()).flat_map(|part| Self::of(place, part, reading)).collect()
    }

    /// The rules of a part of a place.
    pub(super) fn of(place: &Place<'r>, index: usize, reading: Reading) -> Vec<Self> {
        let Some(part) = place.parts.get(index) else { return Vec::new() };
        let mut rules = Vec::new();
        let mut rule = Self::blank(&part.schema, "additionalProperties");
        rule.take_named(&part.schema);
        if rule.rest.is_some() || !rule.named.is_empty() || !rule.patterns.is_empty() {
            rules.push(rule);
        }
        rules.extend(Self::unevaluated(place, index, part, reading));
        rules
    }

    fn blank(owner: &Schema<'r>, keyword: &'static str) -> Self {
        Self {
            owner: owner.clone(),
            named: Vec::new(),
            patterns: Vec::new(),
            rest: owner.schema(keyword),
            keyword,
            passes_over: false,
        }
    }

    fn take_named(&mut self, schema: &Schema<'r>) {
        self.named.extend(schema.get("properties").and_then(Value::as_object));
        self.patterns.extend(schema.members("patternProperties"));
    }

    /// What the schema says of properties that no other keyword looked at.
    fn unevaluated(
        place: &Place<'r>,
        index: usize,
        part: &Part<'r>,
        reading: Reading,
    ) -> Option<Self> {
        part.schema.get("unevaluatedProperties")?;
        let mut rule = Self::blank(&part.schema, "unevaluatedProperties");
        rule.passes_over = true;
        for (offset, inner) in place.parts.get(index..part.end)?.iter().enumerate() {
            let schema = &inner.schema;
            let all = schema.get("additionalProperties").is_some()
                || offset > 0 && schema.get("unevaluatedProperties").is_some();
            if all || reading == Reading::Known && branches(schema) {
                return None;
            }
            rule.take_named(schema);
        }
        (reading == Reading::Demanded || !place.unknown).then_some(rule)
    }

    /// The names that the rule names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'r str> {
        let names = self.named.iter().flat_map(|map| map.keys());
        names.map(String::as_str).inspect(|name| work::bytes(name.len()))
    }

    /// The patterns of the rule.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &'r str> {
        self.patterns.iter().map(|(pattern, _)| *pattern).inspect(|name| work::bytes(name.len()))
    }

    /// What the rule says of a property of that name.
    pub(super) fn apply(&self, known: &Known, name: &str, reading: Reading) -> Applied<'r> {
        work::steps(1 + self.named.len() as u64);
        let mut schemas = Vec::new();
        let mut sure = false;
        let mut unsure = false;
        for value in self.named.iter().filter_map(|map| map.get(name)) {
            sure = true;
            schemas.push(value);
        }
        for (pattern, value) in &self.patterns {
            let matches = known.matches(pattern, name);
            sure |= matches == Some(true);
            unsure |= matches.is_none();
            if matches == Some(true) || matches.is_none() && reading == Reading::Demanded {
                schemas.push(value);
            }
        }
        let rest = !sure && (!unsure || reading == Reading::Demanded);
        self.applied(schemas, rest, sure || unsure)
    }

    /// What the rule says of the properties that it does not name and that match these patterns.
    pub(super) fn apply_others(&self, matched: &[&str]) -> Applied<'r> {
        work::steps(1 + self.patterns.len() as u64);
        let matching = self.patterns.iter().filter(|(pattern, _)| matched.contains(pattern));
        let schemas: Vec<_> = matching.map(|(_, value)| *value).collect();
        let named = !schemas.is_empty();
        self.applied(schemas, !named, named)
    }

    fn applied(&self, values: Vec<&'r Value>, rest: bool, named: bool) -> Applied<'r> {
        let values = if self.passes_over { Vec::new() } else { values };
        let mut schemas: Vec<_> = values.into_iter().map(|value| self.owner.inner(value)).collect();
        if rest {
            schemas.extend(self.rest.clone());
        }
        Applied { schemas, named }
    }
}

impl<'r> ArrayRule<'r> {
    /// The rules of a place.
    pub(super) fn all(place: &Place<'r>, reading: Reading) -> Vec<Self> {
        (0..place.parts.len()).flat_map(|part| Self::of(place, part, reading)).collect()
    }

    /// The rules of a part of a place.
    pub(super) fn of(place: &Place<'r>, index: usize, reading: Reading) -> Vec<Self> {
        let Some(part) = place.parts.get(index) else { return Vec::new() };
        let mut rules = Vec::new();
        rules.extend(Self::evaluated(&part.schema));
        rules.extend(Self::unevaluated(place, index, part, reading));
        rules
    }

    fn evaluated(schema: &Schema<'r>) -> Option<Self> {
        let prefix = schema.list("prefixItems");
        let items = schema.get("items");
        if schema.get("prefixItems").is_some() || !items.is_some_and(Value::is_array) {
            let rest = items.map(|items| schema.inner(items));
            let says = rest.is_some() || !prefix.is_empty();
            return says.then_some(Self {
                first: prefix,
                rest,
                keywords: ("prefixItems", "items"),
            });
        }
        let first = schema.list("items");
        let rest = schema.schema("additionalItems");
        Some(Self { first, rest, keywords: ("items", "additionalItems") })
    }

    /// What the schema says of elements that no other keyword looked at.
    fn unevaluated(
        place: &Place<'r>,
        index: usize,
        part: &Part<'r>,
        reading: Reading,
    ) -> Option<Self> {
        let rest = part.schema.schema("unevaluatedItems")?;
        let mut looked_at = 0;
        for (offset, inner) in place.parts.get(index..part.end)?.iter().enumerate() {
            let schema = &inner.schema;
            let rule = Self::evaluated(schema);
            let all = rule.as_ref().is_some_and(|rule| rule.rest.is_some())
                || offset > 0 && schema.get("unevaluatedItems").is_some();
            if all {
                return None;
            }
            let contains = schema.get("contains").is_some();
            if reading == Reading::Known && (contains || branches(schema)) {
                return None;
            }
            looked_at = looked_at.max(rule.map_or(0, |rule| rule.first.len()));
        }
        if reading == Reading::Known && place.unknown {
            return None;
        }
        let first = vec![part.schema.anything(); looked_at];
        let keywords = ("unevaluatedItems", "unevaluatedItems");
        Some(Self { first, rest: Some(rest), keywords })
    }

    /// What the rule says of the element at an index.
    pub(super) fn apply(&self, index: usize) -> Option<&Schema<'r>> {
        self.first.get(index).or(self.rest.as_ref())
    }
}

fn branches(schema: &Schema<'_>) -> bool {
    BRANCHING.iter().any(|keyword| schema.get(keyword).is_some())
}

/// What is known of a property of that name, and whether a rule says more of it than of others.
pub(super) fn property<'r>(
    known: &Known,
    rules: &[ObjectRule<'r>],
    name: &str,
) -> (Place<'r>, bool) {
    gathered(rules, |rule| rule.apply(known, name, Reading::Known))
}

/// What is known of the properties that no rule names and that match these patterns.
pub(super) fn other_properties<'r>(
    rules: &[ObjectRule<'r>],
    matched: &[&str],
) -> (Place<'r>, bool) {
    gathered(rules, |rule| rule.apply_others(matched))
}

fn gathered<'r>(
    rules: &[ObjectRule<'r>],
    apply: impl Fn(&ObjectRule<'r>) -> Applied<'r>,
) -> (Place<'r>, bool) {
    let mut property = Place::anything();
    let mut named = false;
    for rule in rules {
        let applied = apply(rule);
        named |= applied.named;
        applied.schemas.iter().for_each(|schema| property.add(schema));
    }
    (property, named)
}

/// What is known of the element at an index.
pub(super) fn element<'r>(rules: &[ArrayRule<'r>], index: usize) -> Place<'r> {
    Place::of(rules.iter().filter_map(|rule| rule.apply(index)))
}
