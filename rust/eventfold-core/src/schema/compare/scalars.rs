//! What is demanded of single values: lists, numbers, texts.

use std::rc::Rc;

use serde_json::{Number, Value};

use crate::number::Decimal;

use super::facts::{Bound, Facts, bound};
use super::node::{Place, Schema};
use super::patterns::{is_trivial, sample};
use super::types::{Types, count, equal, number};
use super::walk::{Probe, Walk};

/// Texts that patterns and formats may refuse.
const TEXTS: [&str; 9] = ["", "a", "A", "0", " ", "a b", "-", "\\", "%"];
/// Longest text that is tried, in characters.
const TEXT_CHARS_MAX: u64 = 100_000;
/// Formats that may be checked; others are annotations.
pub(super) const FORMATS: [&str; 19] = [
    "date-time",
    "date",
    "time",
    "duration",
    "email",
    "idn-email",
    "hostname",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "iri",
    "iri-reference",
    "uuid",
    "uri-template",
    "json-pointer",
    "relative-json-pointer",
    "regex",
];
/// Formats that only some drafts know.
const FORMATS_OF_DRAFTS: [&str; 3] = ["uuid", "duration", "hostname"];

impl<'r> Walk<'_, 'r> {
    pub(super) fn demand_scalars(
        &mut self,
        old: &Rc<Place<'r>>,
        facts: &Facts<'r>,
        new: &Schema<'r>,
    ) {
        for keyword in ["enum", "const"] {
            if let Some(values) = new.get(keyword) {
                self.demand_listed(old, facts, keyword, values);
            }
        }
        if facts.types.meets(Types::NUMBER) {
            self.demand_bounds(old, facts, new);
            self.demand_multiples(old, facts, new);
        }
        if facts.types.meets(Types::STRING) {
            self.demand_count(old, facts.length, new, ["minLength", "maxLength"]);
            self.demand_pattern(old, facts, new);
            self.demand_format(old, new);
            self.demand_content(old, new);
        }
    }

    fn demand_listed(
        &mut self,
        old: &Rc<Place<'r>>,
        facts: &Facts<'r>,
        keyword: &'static str,
        values: &'r Value,
    ) {
        let is_listed = |value: &&Value| match keyword {
            "enum" => self.known.is_listed(values, value),
            _ => equal(values, value),
        };
        match &facts.values {
            Some(known) if known.iter().all(is_listed) => {}
            _ => {
                let probes = vec![Probe::Any];
                self.find(old, keyword, |words| words.only_values(keyword), probes);
            }
        }
    }

    fn demand_bounds(&mut self, old: &Rc<Place<'r>>, facts: &Facts<'r>, new: &Schema<'r>) {
        let whole = !facts.types.meets(Types::FRACTION);
        for (keyword, exclusive) in [("minimum", false), ("exclusiveMinimum", true)] {
            let Some(wanted) = bound(new, keyword, exclusive) else { continue };
            let least = if whole { facts.least_whole().map(inclusive) } else { None };
            let least = least.or_else(|| facts.lower.clone());
            let follows = least.as_ref().is_some_and(|least| {
                let order = least.number.compare(&wanted.number);
                order.is_gt() || order.is_eq() && (least.exclusive || !exclusive)
            });
            if !follows {
                self.find_bound(old, new, keyword, least, &wanted.number);
            }
        }
        for (keyword, exclusive) in [("maximum", false), ("exclusiveMaximum", true)] {
            let Some(wanted) = bound(new, keyword, exclusive) else { continue };
            let most = if whole { facts.most_whole().map(inclusive) } else { None };
            let most = most.or_else(|| facts.upper.clone());
            let follows = most.as_ref().is_some_and(|most| {
                let order = most.number.compare(&wanted.number);
                order.is_lt() || order.is_eq() && (most.exclusive || !exclusive)
            });
            if !follows {
                self.find_bound(old, new, keyword, most, &wanted.number);
            }
        }
    }

    fn find_bound(
        &mut self,
        old: &Rc<Place<'r>>,
        new: &Schema<'r>,
        keyword: &'static str,
        known: Option<Bound>,
        wanted: &Decimal,
    ) {
        let steps: Vec<_> = half().into_iter().chain([Decimal::from_i64(1)]).collect();
        let mut numbers = vec![Ok(wanted.clone())];
        for number in known.iter().map(|bound| &bound.number).chain([wanted]) {
            numbers.push(Ok(number.clone()));
            for step in &steps {
                numbers.extend([number.checked_sub(step), number.checked_add(step)]);
            }
        }
        let numbers = numbers.into_iter().filter_map(|number| value_of(&number.ok()?));
        let probes = numbers.map(Probe::Value).collect();
        self.find_rule(old, new, keyword, probes);
    }

    fn demand_multiples(&mut self, old: &Rc<Place<'r>>, facts: &Facts<'r>, new: &Schema<'r>) {
        let Some(wanted) = new.get("multipleOf").and_then(number) else { return };
        let divides =
            |multiple: &Decimal| multiple.checked_rem(&wanted).is_ok_and(|rest| rest.is_zero());
        let whole = !facts.types.meets(Types::FRACTION);
        if facts.multiples.iter().any(divides) || whole && divides(&Decimal::from_i64(1)) {
            return;
        }
        let known = facts.multiples.first().cloned().unwrap_or_else(|| Decimal::from_i64(1));
        let lower = facts.lower.as_ref().map(|bound| bound.number.clone());
        let mut numbers = vec![known.clone()];
        numbers.extend(lower.iter().cloned());
        numbers.extend(lower.and_then(|lower| lower.checked_add(&known).ok()));
        numbers.extend(half().map(|half| wanted.checked_mul(&half)).and_then(Result::ok));
        let probes = numbers.iter().filter_map(value_of).map(Probe::Value).collect();
        self.find_rule(old, new, "multipleOf", probes);
    }

    /// Demands counts of characters, elements or properties.
    pub(super) fn demand_count(
        &mut self,
        old: &Rc<Place<'r>>,
        (least, most): (u64, u64),
        new: &Schema<'r>,
        [minimum, maximum]: [&'static str; 2],
    ) {
        let shorter = |wanted: &Value| count(wanted).is_none_or(|wanted| wanted > least);
        if new.get(minimum).is_some_and(shorter) {
            self.find_rule(old, new, minimum, sized(minimum, least));
        }
        if let Some(wanted) = new.get(maximum) {
            let wanted = count(wanted);
            if wanted.is_none_or(|wanted| wanted < most) {
                let longer = wanted.map_or(0, |wanted| wanted.saturating_add(1)).max(least);
                self.find_rule(old, new, maximum, sized(maximum, longer));
            }
        }
    }

    fn demand_pattern(&mut self, old: &Rc<Place<'r>>, facts: &Facts<'r>, new: &Schema<'r>) {
        let Some(pattern) = new.get("pattern").and_then(Value::as_str) else { return };
        if is_trivial(pattern) || facts.patterns.contains(&pattern) {
            return;
        }
        let known = facts.patterns.iter().filter_map(|known| sample(known));
        let texts = TEXTS.into_iter().map(str::to_owned).chain(known);
        let probes = texts.map(|text| Probe::Value(Value::String(text))).collect();
        self.find_rule(old, new, "pattern", probes);
    }

    fn demand_format(&mut self, old: &Rc<Place<'r>>, new: &Schema<'r>) {
        let format = checked_format(new);
        let Some(wanted) = format else { return };
        let follows = old.parts.iter().any(|part| {
            let draft = part.schema.draft == new.draft || !FORMATS_OF_DRAFTS.contains(&wanted);
            checked_format(&part.schema) == format && draft
        });
        if !follows {
            let texts = TEXTS.into_iter().map(|text| Probe::Value(text.into()));
            self.find_rule(old, new, "format", texts.collect());
        }
    }

    /// What draft 7 says of texts that hold something else.
    fn demand_content(&mut self, old: &Rc<Place<'r>>, new: &Schema<'r>) {
        const KEYWORDS: [&str; 2] = ["contentEncoding", "contentMediaType"];
        let wanted = KEYWORDS.map(|keyword| new.get(keyword));
        let follows =
            old.parts.iter().any(|part| KEYWORDS.map(|keyword| part.schema.get(keyword)) == wanted);
        if follows {
            return;
        }
        for (keyword, wanted) in KEYWORDS.into_iter().zip(wanted) {
            if wanted.is_some() {
                let texts = TEXTS.into_iter().map(|text| Probe::Value(text.into()));
                self.find_rule(old, new, keyword, texts.collect());
            }
        }
    }

    /// Finds a keyword whose value says all.
    pub(super) fn find_rule(
        &mut self,
        old: &Rc<Place<'r>>,
        new: &Schema<'r>,
        keyword: &'static str,
        probes: Vec<Probe<'r>>,
    ) {
        let Some(wanted) = new.get(keyword) else { return };
        let known = old.parts.iter().find_map(|part| {
            let unchecked = keyword == "format" && !part.schema.formats;
            part.schema.get(keyword).filter(|_| !unchecked)
        });
        self.find(old, keyword, |words| words.rule(keyword, wanted, known), probes);
    }
}

/// The format that is checked.
pub(super) fn checked_format<'r>(schema: &Schema<'r>) -> Option<&'r str> {
    let format = schema.get("format").and_then(Value::as_str);
    format.filter(|format| schema.formats && FORMATS.contains(format))
}

/// 0.5
pub(super) fn half() -> Option<Decimal> {
    Decimal::from_digits(false, 5, 1)
}

fn inclusive(number: Decimal) -> Bound {
    Bound { number, exclusive: false }
}

fn value_of(number: &Decimal) -> Option<Value> {
    let number: Number = number.to_string().parse().ok()?;
    Some(Value::Number(number))
}

/// A value with that many characters, elements or properties.
fn sized<'r>(keyword: &str, size: u64) -> Vec<Probe<'r>> {
    if !keyword.ends_with("Length") {
        return vec![Probe::Sized(size)];
    }
    vec![Probe::Text(usize::try_from(size.min(TEXT_CHARS_MAX)).unwrap_or_default())]
}
