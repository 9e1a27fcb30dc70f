//! Whether single values fit: for the lists of values of `enum` and `const`.

use serde_json::Value;

use super::super::work;
use super::facts::{Known, bound};
use super::keywords::{Holds, holds};
use super::node::{Place, Schema};
use super::scalars::checked_format;
use super::types::{Types, count, equal, number};

/// Most schemas, one inside another, that a value is held against.
const DEPTH_MAX: usize = 32;

impl Known {
    /// Whether a value fits all that holds at a place; `None` if that cannot be told.
    pub(super) fn fits(&self, place: &Place<'_>, value: &Value) -> Option<bool> {
        self.fits_but(&[], place, value)
    }

    /// As `fits`, for a value that is among those that `enum` and `const` allow there.
    pub(super) fn fits_beside_lists(&self, place: &Place<'_>, value: &Value) -> Option<bool> {
        self.fits_but(&["enum", "const"], place, value)
    }

    fn fits_but(&self, kept: &[&str], place: &Place<'_>, value: &Value) -> Option<bool> {
        let depth = self.fitting.get();
        if depth >= DEPTH_MAX || !self.step() {
            return None;
        }
        self.fitting.set(depth + 1);
        let fits = self.fits_within(kept, place, value);
        self.fitting.set(depth);
        fits
    }

    fn fits_within(&self, kept: &[&str], place: &Place<'_>, value: &Value) -> Option<bool> {
        if place.never || !Types::of_value(value).meets(place.types) {
            return Some(false);
        }
        let parts = place.parts.iter().map(|part| self.fits_schema(kept, &part.schema, value));
        let unknown = place.unknown || !place.present().is_empty();
        all(parts.chain(unknown.then_some(None)))
    }

    /// The first keyword at a place that a value does not fit.
    pub(super) fn broken(&self, place: &Place<'_>, value: &Value) -> Option<&'static str> {
        let mut schemas = place.parts.iter().map(|part| &part.schema);
        schemas.find_map(|schema| {
            KEYWORDS.into_iter().find(|keyword| self.keeps(schema, keyword, value) == Some(false))
        })
    }

    fn fits_schema(&self, kept: &[&str], schema: &Schema<'_>, value: &Value) -> Option<bool> {
        let map = schema.value.as_object()?;
        let keywords = map.keys().filter(|keyword| !kept.contains(&keyword.as_str()));
        all(keywords.map(|keyword| self.keeps(schema, keyword, value)))
    }

    /// Whether a value keeps a keyword, `$ref` and `allOf` apart: these are parts of the place.
    fn keeps(&self, schema: &Schema<'_>, keyword: &str, value: &Value) -> Option<bool> {
        let Some(rule) = schema.get(keyword) else { return Some(true) };
        let branches = || {
            let branches = schema.list(keyword);
            branches.into_iter().map(|branch| self.fits(&Place::of([&branch]), value))
        };
        match keyword {
            "type" => {
                let (types, wanted) = (Types::of_value(value), Types::of_keyword(rule));
                match (types.within(wanted), types.meets(wanted)) {
                    (true, _) => Some(true),
                    (false, true) => None,
                    (false, false) => Some(false),
                }
            }
            "const" => Some(equal(rule, value)),
            "enum" => rule.is_array().then(|| self.is_listed(rule, value)),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                number(value).map_or(Some(true), |_| keeps_number(schema, keyword, value))
            }
            "minLength" | "maxLength" => {
                let Some(text) = value.as_str() else { return Some(true) };
                work::bytes(text.len());
                let length = text.chars().count() as u64;
                count(rule).map(|count| in_count(keyword, length, count))
            }
            "pattern" => match value.as_str() {
                Some(text) => self.matches(rule.as_str()?, text),
                None => Some(true),
            },
            "format" if checked_format(schema).is_none() || !value.is_string() => Some(true),
            "anyOf" => any(branches()),
            "oneOf" => one(branches()),
            "not" => self.fits(&Place::of([&schema.inner(rule)]), value).map(|fits| !fits),
            "required" => match value.as_object() {
                Some(map) => Some(
                    rule.as_array()?
                        .iter()
                        .inspect(|_| work::steps(1))
                        .all(|name| name.as_str().is_some_and(|name| map.contains_key(name))),
                ),
                None => Some(true),
            },
            "allOf" | "then" | "else" => Some(true),
            _ => match holds(schema.draft, keyword) {
                Holds::Reference | Holds::Nothing | Holds::Annotation => Some(true),
                _ if is_of_containers(keyword) && !value.is_object() && !value.is_array() => {
                    Some(true)
                }
                _ => None,
            },
        }
    }
}

/// The keywords that `keeps` knows, in the order in which a message names them.
const KEYWORDS: [&str; 14] = [
    "const",
    "enum",
    "type",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "required",
    "not",
    "anyOf",
];

fn keeps_number(schema: &Schema<'_>, keyword: &str, value: &Value) -> Option<bool> {
    let value = number(value)?;
    if keyword == "multipleOf" {
        let divisor = schema.get(keyword).and_then(number)?;
        return value.checked_rem(&divisor).ok().map(|rest| rest.is_zero());
    }
    let exclusive = keyword.starts_with("exclusive");
    let bound = bound(schema, keyword, exclusive)?;
    let order = if keyword.ends_with("inimum") {
        value.compare(&bound.number)
    } else {
        bound.number.compare(&value)
    };
    Some(order.is_gt() || order.is_eq() && !exclusive)
}

fn in_count(keyword: &str, actual: u64, limit: u64) -> bool {
    if keyword.starts_with("min") { actual >= limit } else { actual <= limit }
}

/// Whether a keyword says nothing of scalars.
fn is_of_containers(keyword: &str) -> bool {
    !matches!(keyword, "if" | "format" | "contentEncoding" | "contentMediaType")
}

/// Whether all are true.
fn all(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for answer in answers {
        match answer {
            Some(true) => {}
            Some(false) => return Some(false),
            None => known = None,
        }
    }
    known
}

/// Whether at least one is true.
fn any(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(answers.map(|answer| answer.map(|fits| !fits))).map(|none| !none)
}

/// Whether exactly one is true.
fn one(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut found = 0;
    for answer in answers {
        found += usize::from(answer?);
    }
    Some(found == 1)
}
