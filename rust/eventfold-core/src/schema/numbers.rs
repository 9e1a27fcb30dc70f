//! Keywords on numbers, which are compared exactly at any length.

use std::cmp::Ordering;

use jsonschema::{Keyword, ValidationError};
use serde_json::Value;

use super::instance::{Instance, Number, decimal};
use super::words::quoted;
use super::work;
use crate::json::tree::{self, Place};
use crate::number::{Decimal, Divisor};

/// Names of the keywords.
pub(super) const NAMES: [&str; 5] =
    ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"];

/// What a keyword demands, and how it says so.
#[derive(Debug)]
pub(super) struct Demand {
    kind: Kind,
    words: String,
}

#[derive(Debug)]
enum Kind {
    Bound { limit: Decimal, holds: fn(Ordering) -> bool },
    Multiple { divisor: Divisor, digits: usize },
}

impl Demand {
    /// By the name of the keyword; `None` if its value is none that can be computed with.
    pub(super) fn new(keyword: &str, value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        let number = decimal(number.as_str());
        let bound = |limit, holds| Some(Kind::Bound { limit, holds });
        let (kind, words) = match keyword {
            "minimum" => (bound(number, Ordering::is_ge), "at least"),
            "exclusiveMinimum" => (bound(number, Ordering::is_gt), "above"),
            "maximum" => (bound(number, Ordering::is_le), "at most"),
            "exclusiveMaximum" => (bound(number, Ordering::is_lt), "below"),
            _ => {
                let digits = number.written_bytes();
                let multiple = |divisor| Kind::Multiple { divisor, digits };
                (Divisor::new(&number).map(multiple), "a multiple of")
            }
        };
        let words = format!("must be {words} {}", quoted(value));
        kind.map(|kind| Self { kind, words })
    }
}

impl<'i> Keyword<'i, Instance> for Demand {
    fn validate(&self, instance: Place<'i>) -> Result<(), ValidationError<'i>> {
        match Keyword::<Instance>::is_valid(self, instance) {
            true => Ok(()),
            false => Err(ValidationError::custom(self.words.as_str())),
        }
    }

    fn is_valid(&self, instance: Place<'i>) -> bool {
        if instance.kind() != tree::Kind::Number {
            work::steps(1);
            return true;
        }
        let number = Number(instance.spelling()).decimal();
        match &self.kind {
            Kind::Bound { limit, holds } => holds(number.compare(limit)),
            Kind::Multiple { divisor, digits } => {
                // Long division.
                work::bytes(instance.spelling().len().saturating_mul(*digits) / 16);
                divisor.divides(&number)
            }
        }
    }
}
