//! What is known of the values at a place, whatever else holds there.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use serde_json::Value;

use crate::number::Decimal;
use crate::number::Rounding;

use super::super::work;
use super::node::{Part, Place, Schema};
use super::patterns::Patterns;
use super::rules::{ObjectRule, Reading, property};
use super::types::{Types, count, equal, number, order};

static FALSE: Value = Value::Bool(false);
static NULL: Value = Value::Null;

/// Depth to which required properties and alternatives are looked into for values that cannot be.
const LOOKED_INTO_MAX: usize = 2;

/// What a comparison keeps while it goes on.
#[derive(Debug, Default)]
pub(super) struct Known {
    patterns: RefCell<Patterns>,
    /// Steps that are left for what was begun.
    reserve: u64,
    /// Pairs of schemas of which it was looked up whether they are the same.
    pub(super) same: RefCell<HashMap<(u64, u64), bool>>,
    /// Places of the values of each `enum`, in the order of these and none twice.
    sorted: RefCell<HashMap<*const Value, Rc<[usize]>>>,
    /// Schemas inside of one another that a single value is held against.
    pub(super) fitting: Cell<usize>,
}

/// A bound of numbers.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) number: Decimal,
    /// Whether the number itself is out.
    pub(super) exclusive: bool,
}

/// What is known of the values at a place.
#[derive(Debug)]
pub(super) struct Facts<'r> {
    pub(super) types: Types,
    /// The only values that there can be, in order; `None`: there is no list of them.
    pub(super) values: Option<Vec<&'r Value>>,
    pub(super) lower: Option<Bound>,
    pub(super) upper: Option<Bound>,
    pub(super) multiples: Vec<Decimal>,
    /// Least and most characters, elements and properties.
    pub(super) length: (u64, u64),
    pub(super) items: (u64, u64),
    pub(super) properties: (u64, u64),
    pub(super) unique: bool,
    pub(super) patterns: Vec<&'r str>,
    pub(super) required: BTreeSet<&'r str>,
}

impl Known {
    /// For work that comes to an end of its own, rather than being cut, if it begins nothing more
    /// once so many steps are left.
    pub(super) fn with_reserve(reserve: u64) -> Self {
        Self { reserve, ..Self::default() }
    }

    /// Takes a step; false if there are few left: then nothing more is to be begun.
    pub(super) fn step(&self) -> bool {
        work::steps(1);
        work::left() > self.reserve
    }

    /// The values of an `enum` in their order, none twice.
    fn sorted<'r>(&self, list: &'r Value) -> Vec<&'r Value> {
        let values = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let indexes = self.indexes(list, values);
        indexes.iter().filter_map(|index| values.get(*index)).collect()
    }

    /// Whether a value is among those of an `enum`.
    pub(super) fn is_listed(&self, list: &Value, value: &Value) -> bool {
        let values = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let indexes = self.indexes(list, values);
        indexes.binary_search_by(|index| order(&values[*index], value)).is_ok()
    }

    fn indexes(&self, list: &Value, values: &[Value]) -> Rc<[usize]> {
        let known = self.sorted.borrow().get(&std::ptr::from_ref(list)).cloned();
        known.unwrap_or_else(|| {
            let mut indexes: Vec<usize> = (0..values.len()).collect();
            indexes.sort_by(|left, right| order(&values[*left], &values[*right]));
            indexes.dedup_by(|left, right| order(&values[*left], &values[*right]).is_eq());
            let indexes: Rc<[usize]> = indexes.into();
            self.sorted.borrow_mut().insert(list, Rc::clone(&indexes));
            indexes
        })
    }

    /// Whether a pattern matches a text; `None` if that cannot be told.
    pub(super) fn matches(&self, pattern: &str, text: &str) -> Option<bool> {
        self.patterns.borrow_mut().matches(pattern, text)
    }

    /// What is known of the values at a place.
    pub(super) fn facts<'r>(&self, place: &Place<'r>) -> Rc<Facts<'r>> {
        self.facts_within(place, 1)
    }

    /// Whether it is certain that there are no values at a place.
    pub(super) fn is_empty(&self, place: &Place<'_>) -> bool {
        self.is_empty_within(place, 0)
    }

    /// Whether it is certain that no value is at both places.
    pub(super) fn disjoint<'r>(&self, place: &Place<'r>, schema: &Schema<'r>) -> bool {
        self.is_empty(&place.with(schema))
    }

    fn is_empty_within(&self, place: &Place<'_>, depth: usize) -> bool {
        if !self.step() {
            return false;
        }
        if self.facts_within(place, depth).types.is_empty() {
            return true;
        }
        if depth >= LOOKED_INTO_MAX {
            return false;
        }
        let alternatives = self.alternatives(place);
        alternatives.is_some_and(|all| all.iter().all(|one| self.is_empty_within(one, depth + 1)))
    }

    fn facts_within<'r>(&self, place: &Place<'r>, depth: usize) -> Rc<Facts<'r>> {
        let known = &place.facts[depth.min(LOOKED_INTO_MAX)];
        Rc::clone(known.get_or_init(|| Rc::new(self.looked_into(place, depth))))
    }

    fn looked_into<'r>(&self, place: &Place<'r>, depth: usize) -> Facts<'r> {
        let mut facts = Facts::of(self, place);
        if let Some(values) = &mut facts.values {
            values.retain(|value| self.fits_beside_lists(place, value) != Some(false));
            let types = values.iter().map(|value| Types::of_value(value));
            facts.types = facts.types & types.fold(Types::NONE, |all, one| all | one);
        }
        let objects = facts.types.meets(Types::OBJECT) && !facts.required.is_empty();
        if objects && depth < LOOKED_INTO_MAX {
            let rules = ObjectRule::all(place, Reading::Known);
            let impossible = facts
                .required
                .iter()
                .any(|name| self.is_empty_within(&property(self, &rules, name).0, depth + 1));
            if impossible {
                facts.types = facts.types.without(Types::OBJECT);
            }
        }
        facts
    }

    /// The places that a place is one of, by the first of its alternatives of which none was
    /// chosen; `None` if there is none.
    pub(super) fn alternatives<'r>(&self, place: &Place<'r>) -> Option<Vec<Place<'r>>> {
        for part in &place.parts {
            for keyword in ["anyOf", "oneOf", "if"] {
                if part.schema.get(keyword).is_none() || place.is_chosen(part, keyword) {
                    continue;
                }
                let chosen = place.choosing(part, keyword);
                if keyword != "if" {
                    let branches = part.schema.list(keyword);
                    return Some(branches.iter().map(|branch| chosen.with(branch)).collect());
                }
                return Some(conditions(&chosen, part));
            }
        }
        None
    }
}

/// The place where the condition holds, and where it does not.
fn conditions<'r>(chosen: &Place<'r>, part: &Part<'r>) -> Vec<Place<'r>> {
    let mut holds = chosen.clone();
    let mut fails = chosen.clone();
    part.schema.schema("if").iter().for_each(|schema| holds.add(schema));
    part.schema.schema("then").iter().for_each(|schema| holds.add(schema));
    part.schema.schema("else").iter().for_each(|schema| fails.add(schema));
    vec![holds, fails]
}

impl<'r> Facts<'r> {
    /// What the keywords say; nothing follows from one to another.
    fn of(known: &Known, place: &Place<'r>) -> Self {
        let mut facts = Self {
            types: if place.never { Types::NONE } else { place.types },
            values: None,
            lower: None,
            upper: None,
            multiples: Vec::new(),
            length: (0, u64::MAX),
            items: (0, u64::MAX),
            properties: (0, u64::MAX),
            unique: false,
            patterns: Vec::new(),
            required: place.present().iter().copied().collect(),
        };
        for part in &place.parts {
            facts.learn(known, &part.schema);
        }
        facts.conclude();
        facts
    }

    fn learn(&mut self, known: &Known, schema: &Schema<'r>) {
        if let Some(types) = schema.get("type") {
            self.types = self.types & Types::of_keyword(types);
        }
        if let Some(list) = schema.get("enum").filter(|list| list.is_array()) {
            self.narrow_values(|| known.sorted(list), |value| known.is_listed(list, value));
        }
        if let Some(only) = schema.get("const") {
            self.narrow_values(|| vec![only], |value| equal(only, value));
        }
        for (keyword, exclusive) in [("minimum", false), ("exclusiveMinimum", true)] {
            let bound = bound(schema, keyword, exclusive);
            self.lower = tighter(self.lower.take(), bound, Ordering::Greater);
        }
        for (keyword, exclusive) in [("maximum", false), ("exclusiveMaximum", true)] {
            let bound = bound(schema, keyword, exclusive);
            self.upper = tighter(self.upper.take(), bound, Ordering::Less);
        }
        self.multiples.extend(schema.get("multipleOf").and_then(number));
        narrow(&mut self.length, schema, "minLength", "maxLength");
        narrow(&mut self.items, schema, "minItems", "maxItems");
        narrow(&mut self.properties, schema, "minProperties", "maxProperties");
        self.unique |= schema.get("uniqueItems").and_then(Value::as_bool).unwrap_or(false);
        self.patterns.extend(schema.get("pattern").and_then(Value::as_str));
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            work::bytes(name.len());
            self.required.insert(name);
        }
    }

    /// Leaves those values that are among others; these are in order.
    fn narrow_values(
        &mut self,
        values: impl FnOnce() -> Vec<&'r Value>,
        is_listed: impl Fn(&Value) -> bool,
    ) {
        match &mut self.values {
            None => self.values = Some(values()),
            Some(known) => known.retain(|value| is_listed(value)),
        }
    }

    /// Draws what follows from several keywords.
    fn conclude(&mut self) {
        if self.multiples.iter().any(Decimal::is_whole) {
            self.types = self.types.without(Types::FRACTION);
        }
        if let (Some(lower), Some(upper)) = (&self.lower, &self.upper) {
            let empty = match lower.number.compare(&upper.number) {
                Ordering::Less => false,
                Ordering::Equal => lower.exclusive || upper.exclusive,
                Ordering::Greater => true,
            };
            if empty {
                self.types = self.types.without(Types::NUMBER);
            }
        }
        self.properties.0 = self.properties.0.max(self.required.len() as u64);
        let counted = [
            (self.length, Types::STRING),
            (self.items, Types::ARRAY),
            (self.properties, Types::OBJECT),
        ];
        for ((least, most), types) in counted {
            if least > most {
                self.types = self.types.without(types);
            }
        }
        if self.values.is_none() && self.types.within(Types::NULL | Types::BOOLEAN) {
            let mut values: Vec<&'r Value> = vec![&NULL, &FALSE, &super::node::TRUE];
            values.retain(|value| Types::of_value(value).within(self.types));
            self.values = Some(values);
        }
    }

    /// The least whole number that can be, if there is one.
    pub(super) fn least_whole(&self) -> Option<Decimal> {
        let lower = self.lower.as_ref()?;
        let whole = lower.number.round(0, Rounding::Ceiling).ok()?;
        let out = lower.exclusive && whole == lower.number;
        if out { whole.checked_add(&Decimal::from_i64(1)).ok() } else { Some(whole) }
    }

    /// The largest whole number that can be, if there is one.
    pub(super) fn most_whole(&self) -> Option<Decimal> {
        let upper = self.upper.as_ref()?;
        let whole = upper.number.round(0, Rounding::Floor).ok()?;
        let out = upper.exclusive && whole == upper.number;
        if out { whole.checked_sub(&Decimal::from_i64(1)).ok() } else { Some(whole) }
    }
}

pub(super) fn bound(schema: &Schema<'_>, keyword: &str, exclusive: bool) -> Option<Bound> {
    let number = schema.get(keyword).and_then(number)?;
    Some(Bound { number, exclusive })
}

/// The tighter of two bounds: the one whose number compares so, or the exclusive one.
fn tighter(left: Option<Bound>, right: Option<Bound>, wanted: Ordering) -> Option<Bound> {
    match (left, right) {
        (Some(left), Some(right)) => {
            let order = left.number.compare(&right.number);
            let takes_left = order == wanted || order.is_eq() && left.exclusive;
            Some(if takes_left { left } else { right })
        }
        (left, right) => left.or(right),
    }
}

fn narrow(range: &mut (u64, u64), schema: &Schema<'_>, least: &str, most: &str) {
    if let Some(least) = schema.get(least).and_then(count) {
        range.0 = range.0.max(least);
    }
    if let Some(most) = schema.get(most).and_then(count) {
        range.1 = range.1.min(most);
    }
}
