//! Values that most likely fit a schema, to show by one of them what another schema refuses.

use std::rc::Rc;

use serde_json::{Map, Number, Value};

use crate::number::Decimal;

use super::facts::{Facts, Known};
use super::node::Place;
use super::patterns::sample;
use super::rules::{ArrayRule, ObjectRule, Reading, element, other_properties, property};
use super::scalars::half;
use super::types::{Types, copied};
use super::walk::{Finding, Probe, Step};

/// Most elements or properties that a value is filled up to, and characters of a text.
const FILLED_MAX: u64 = 1_000;
/// Deepest value that is made.
const DEPTH_MAX: usize = 24;
/// Ways to make a value that are tried.
const WAYS: usize = 6;

/// Texts that the formats have, for those that are checked.
const FORMATTED: [(&str, &str); 15] = [
    ("date-time", "2000-01-01T00:00:00Z"),
    ("date", "2000-01-01"),
    ("time", "00:00:00Z"),
    ("duration", "P1D"),
    ("email", "a@b.ch"),
    ("idn-email", "a@b.ch"),
    ("hostname", "b.ch"),
    ("idn-hostname", "b.ch"),
    ("ipv4", "127.0.0.1"),
    ("ipv6", "::1"),
    ("uri", "a:b"),
    ("iri", "a:b"),
    ("uuid", "00000000-0000-4000-8000-000000000000"),
    ("json-pointer", "/a"),
    ("relative-json-pointer", "0"),
];

/// Values of the old schema that show a finding, the likeliest first.
pub(super) fn witnesses<'a>(
    known: &'a Known,
    finding: &'a Finding<'_>,
) -> impl Iterator<Item = Value> + 'a {
    let sampler = Sampler { known };
    let leaves = finding.probes.iter().flat_map(move |probe| {
        let ways = if matches!(probe, Probe::Any) { WAYS } else { 2 };
        (0..ways).filter_map(move |way| Some((way, sampler.leaf(&finding.place, probe, way)?)))
    });
    leaves.filter_map(move |(way, leaf)| {
        // A property that is not there is a matter of the object that it is not in.
        let about_object = matches!(finding.probes.first(), Some(Probe::Without(_)));
        let path = &finding.path[..finding.path.len() - usize::from(about_object)];
        path.iter()
            .rev()
            .try_fold(leaf, |inner, (place, step)| sampler.around(place, step, inner, way))
    })
}

#[derive(Clone, Copy)]
struct Sampler<'a> {
    known: &'a Known,
}

/// What a value is made with.
#[derive(Clone, Copy, Default)]
struct Wanted<'a> {
    types: Option<Types>,
    /// A property that is left out.
    without: Option<&'a str>,
    /// Elements or properties that there are at least.
    size: u64,
    way: usize,
    depth: usize,
}

impl Sampler<'_> {
    fn leaf(self, place: &Rc<Place<'_>>, probe: &Probe<'_>, way: usize) -> Option<Value> {
        let wanted = Wanted { way, ..Wanted::default() };
        match probe {
            Probe::Value(value) => Some(copied(value)),
            Probe::Text(chars) => Some(Value::String("a".repeat(*chars))),
            Probe::Any => self.value(place, wanted),
            Probe::Typed(types) => self.value(&place.only(*types), wanted),
            Probe::Without(name) => {
                let types = Some(Types::OBJECT);
                self.value(place, Wanted { without: Some(name), types, ..wanted })
            }
            Probe::Sized(size) => {
                let types = Some(Types::ARRAY | Types::OBJECT);
                self.value(place, Wanted { size: *size, types, ..wanted })
            }
        }
    }

    /// The place with a choice for each of its alternatives.
    fn chosen<'r>(self, place: &Place<'r>, way: usize) -> Place<'r> {
        let mut place = place.clone();
        for _ in 0..DEPTH_MAX {
            let Some(alternatives) = self.known.alternatives(&place) else { break };
            let mut possible: Vec<_> =
                alternatives.into_iter().filter(|one| !self.known.is_empty(one)).collect();
            if possible.is_empty() {
                break;
            }
            place = possible.swap_remove(way % possible.len());
        }
        place
    }

    /// A value with another inside.
    fn around(self, place: &Place<'_>, step: &Step<'_>, inner: Value, way: usize) -> Option<Value> {
        let wanted = Wanted { way, ..Wanted::default() };
        match step {
            Step::Property(name) => self.with_member(place, name, inner, wanted),
            Step::Other { matched, others } => {
                let name = self.other_name(place, matched, others)?;
                self.with_member(place, &name, inner, wanted)
            }
            Step::Element(index, _) => {
                let types = Some(Types::ARRAY);
                let wanted = Wanted { size: *index as u64 + 1, types, ..wanted };
                let mut list = self.value(place, wanted)?;
                *list.as_array_mut()?.get_mut(*index)? = inner;
                Some(list)
            }
        }
    }

    fn with_member(
        self,
        place: &Place<'_>,
        name: &str,
        inner: Value,
        wanted: Wanted<'_>,
    ) -> Option<Value> {
        let wanted = Wanted { types: Some(Types::OBJECT), without: Some(name), ..wanted };
        let mut object = self.value(place, wanted)?;
        object.as_object_mut()?.insert(name.to_owned(), inner);
        Some(object)
    }

    /// A name that no rule names, and that matches these patterns and not the others.
    fn other_name(self, place: &Place<'_>, matched: &[&str], others: &[&str]) -> Option<String> {
        let rules = ObjectRule::all(place, Reading::Known);
        let made = matched.iter().filter_map(|pattern| sample(pattern));
        let usual = ["other", "x", "another", "0", "Other", "_"].into_iter().map(str::to_owned);
        made.chain(usual).find(|name| {
            let matches = |pattern: &&str| self.known.matches(pattern, name) == Some(true);
            let named = rules.iter().any(|rule| rule.names().any(|known| known == name));
            !named && matched.iter().all(matches) && !others.iter().any(matches)
        })
    }

    fn value(self, place: &Place<'_>, wanted: Wanted<'_>) -> Option<Value> {
        if wanted.depth >= DEPTH_MAX || !self.known.step() {
            return None;
        }
        let place = self.chosen(place, wanted.way);
        let facts = self.known.facts(&place);
        let types = facts.types & wanted.types.unwrap_or(Types::ALL);
        if let Some(values) = &facts.values {
            let mut values = values.iter().filter(|value| Types::of_value(value).meets(types));
            let count = values.clone().count();
            return values.nth(wanted.way % count.max(1)).map(|value| copied(value));
        }
        let kinds = types.each();
        let kind = *kinds.get(wanted.way % kinds.len().max(1))?;
        Some(match kind {
            Types::NULL => Value::Null,
            Types::BOOLEAN => Value::Bool(wanted.way.is_multiple_of(2)),
            Types::STRING => Value::String(self.text(&place, &facts, wanted.way)?),
            Types::ARRAY => self.list(&place, &facts, wanted)?,
            Types::OBJECT => self.object(&place, &facts, wanted)?,
            numbers => sample_number(&facts, numbers, wanted.way)?,
        })
    }

    fn text(self, place: &Place<'_>, facts: &Facts<'_>, way: usize) -> Option<String> {
        let format = place.parts.iter().find_map(|part| {
            let format = part.schema.get("format")?.as_str()?;
            FORMATTED.iter().find(|(known, _)| part.schema.formats && *known == format)
        });
        if let Some((_, text)) = format {
            return Some((*text).to_owned());
        }
        let mut text = match facts.patterns.first() {
            Some(pattern) => sample(pattern)?,
            None => ["a", "b", "A", "0", "", " "].get(way % WAYS)?.to_string(),
        };
        let length = text.chars().count() as u64;
        if length < facts.length.0 {
            let missing = (facts.length.0 - length).min(FILLED_MAX);
            text.extend(std::iter::repeat_n('a', usize::try_from(missing).ok()?));
        }
        Some(text)
    }

    fn list(self, place: &Place<'_>, facts: &Facts<'_>, wanted: Wanted<'_>) -> Option<Value> {
        let rules = ArrayRule::all(place, Reading::Known);
        let contained = place.parts.iter().find_map(|part| part.schema.schema("contains"));
        let size = facts.items.0.max(wanted.size).max(u64::from(contained.is_some()));
        let mut items = Vec::new();
        for index in 0..usize::try_from(size.min(FILLED_MAX)).ok()? {
            let mut item = element(&rules, index);
            contained.iter().for_each(|schema| item.add(schema));
            let way = if facts.unique { wanted.way + index } else { wanted.way };
            items.push(self.value(&item, inner(wanted, way))?);
        }
        Some(Value::Array(items))
    }

    fn object(self, place: &Place<'_>, facts: &Facts<'_>, wanted: Wanted<'_>) -> Option<Value> {
        let rules = ObjectRule::all(place, Reading::Known);
        let mut object = Map::new();
        let named = rules.iter().flat_map(ObjectRule::names);
        let filling: Vec<&str> = named.chain(FILLERS).collect();
        let size = facts.properties.0.max(wanted.size);
        for name in facts.required.iter().copied().chain(filling) {
            let needed = facts.required.contains(name) || (object.len() as u64) < size;
            if !needed || wanted.without == Some(name) || object.contains_key(name) {
                continue;
            }
            let (mut member, named) = property(self.known, &rules, name);
            if !named {
                member = other_properties(&rules, &[]).0;
            }
            if !self.known.is_empty(&member) {
                let value = self.value(&member, inner(wanted, wanted.way))?;
                object.insert(name.to_owned(), value);
            }
        }
        Some(Value::Object(object))
    }
}

/// Names of properties that only fill an object.
const FILLERS: [&str; 4] = ["one", "two", "three", "four"];

fn inner(wanted: Wanted<'_>, way: usize) -> Wanted<'static> {
    Wanted { way, depth: wanted.depth + 1, ..Wanted::default() }
}

fn sample_number(facts: &Facts<'_>, types: Types, way: usize) -> Option<Value> {
    let one = Decimal::from_i64(1);
    let half = half()?;
    let mut numbers = Vec::new();
    if !types.meets(Types::INTEGER) {
        numbers.push(half.clone());
    }
    numbers.push(Decimal::from_i64(0));
    numbers.extend(facts.multiples.iter().cloned());
    for bound in [&facts.lower, &facts.upper].into_iter().flatten() {
        let number = &bound.number;
        numbers.push(number.clone());
        for step in [&half, &one] {
            numbers.extend(number.checked_add(step).ok());
            numbers.extend(number.checked_sub(step).ok());
        }
    }
    numbers.extend([facts.least_whole(), facts.most_whole()].into_iter().flatten());
    numbers.push(one);
    let fits = |number: &Decimal| {
        let kind = if number.is_whole() { Types::INTEGER } else { Types::FRACTION };
        let above = facts.lower.as_ref().is_none_or(|bound| {
            let order = number.compare(&bound.number);
            order.is_gt() || order.is_eq() && !bound.exclusive
        });
        let below = facts.upper.as_ref().is_none_or(|bound| {
            let order = number.compare(&bound.number);
            order.is_lt() || order.is_eq() && !bound.exclusive
        });
        let divides =
            |multiple: &Decimal| number.checked_rem(multiple).is_ok_and(|rest| rest.is_zero());
        kind.meets(types) && above && below && facts.multiples.iter().all(divides)
    };
    let numbers: Vec<_> = numbers.into_iter().filter(fits).collect();
    let number = numbers.get(way % numbers.len().max(1))?;
    let number: Number = number.to_string().parse().ok()?;
    Some(Value::Number(number))
}
