//! Sets of JSON types, and the exact order of JSON values.

use std::cmp::Ordering;
use std::ops::{BitAnd, BitOr};

use serde_json::Value;

use crate::number::Decimal;

use super::super::work;

/// A set of JSON types. Numbers are two: whole ones, and those with a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(1 << 1);
    pub(super) const INTEGER: Self = Self(1 << 2);
    pub(super) const FRACTION: Self = Self(1 << 3);
    pub(super) const NUMBER: Self = Self(Self::INTEGER.0 | Self::FRACTION.0);
    pub(super) const STRING: Self = Self(1 << 4);
    pub(super) const ARRAY: Self = Self(1 << 5);
    pub(super) const OBJECT: Self = Self(1 << 6);
    pub(super) const ALL: Self = Self((1 << 7) - 1);

    /// What each name in a schema stands for, in the order in which messages name them.
    const NAMES: [(&'static str, Self); 7] = [
        ("object", Self::OBJECT),
        ("array", Self::ARRAY),
        ("string", Self::STRING),
        ("number", Self::NUMBER),
        ("integer", Self::INTEGER),
        ("boolean", Self::BOOLEAN),
        ("null", Self::NULL),
    ];

    /// The value of the keyword `type`; what is no type stands for nothing.
    pub(super) fn of_keyword(value: &Value) -> Self {
        let named = |name: &Value| {
            let known = Self::NAMES.iter().find(|(known, _)| name.as_str() == Some(*known));
            known.map_or(Self::NONE, |(_, types)| *types)
        };
        match value {
            Value::Array(names) => names.iter().map(named).fold(Self::NONE, BitOr::bitor),
            name => named(name),
        }
    }

    /// The type of a value; both kinds of numbers if an exponent is too far to tell.
    pub(super) fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => match number(value).and_then(|number| number.places()) {
                Some((_, 0)) => Self::INTEGER,
                Some(_) => Self::FRACTION,
                None => Self::NUMBER,
            },
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the two have a type in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of these are among the others.
    pub(super) fn within(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Each type alone; whole numbers and fractions are one.
    pub(super) fn each(self) -> Vec<Self> {
        let coarse = Self::NAMES.iter().filter(|(name, _)| *name != "integer");
        coarse.map(|(_, types)| *types & self).filter(|types| !types.is_empty()).collect()
    }

    /// The names of the types, such as "`string`, `null`".
    pub(super) fn names(self) -> String {
        let mut rest = self;
        let mut names = Vec::new();
        for (name, types) in Self::NAMES {
            if types.within(rest) {
                rest = rest.without(types);
                names.push(format!("`{name}`"));
            }
        }
        if rest.meets(Self::FRACTION) {
            names.push("a `number` with a fraction".to_owned());
        }
        names.join(", ")
    }
}

impl BitAnd for Types {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Types {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The exact number of a JSON number.
pub(super) fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => {
            work::bytes(number.as_str().len());
            Decimal::from_json(number.as_str())
        }
        _ => None,
    }
}

/// A count in a schema, such as of `maxLength`; it may be spelled `1.0`.
pub(super) fn count(value: &Value) -> Option<u64> {
    number(value).filter(Decimal::is_whole)?.to_u64()
}

/// A total order in which values are equal that JSON Schema says are equal: `1` and `1.0` are.
pub(super) fn order(left: &Value, right: &Value) -> Ordering {
    work::steps(1);
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(_), Value::Number(_)) => number(left).cmp(&number(right)),
        (Value::String(left), Value::String(right)) => {
            work::bytes(left.len().min(right.len()));
            left.cmp(right)
        }
        (Value::Array(left), Value::Array(right)) => left.len().cmp(&right.len()).then_with(|| {
            let pairs = left.iter().zip(right);
            pairs
                .map(|(left, right)| order(left, right))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        }),
        (Value::Object(left), Value::Object(right)) => {
            let sizes = left.len().cmp(&right.len());
            if sizes.is_ne() {
                return sizes;
            }
            work::steps((left.len() + right.len()) as u64);
            let mut members: Vec<_> = left.iter().collect();
            let mut others: Vec<_> = right.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            others.sort_by_key(|(key, _)| *key);
            let pairs = members.iter().zip(&others);
            let mut orders = pairs.map(|(member, other)| {
                member.0.cmp(other.0).then_with(|| order(member.1, other.1))
            });
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        }
        _ => kind(left).cmp(&kind(right)),
    }
}

/// Steps of looking at all of a value.
pub(super) fn weight(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => 1 + number.as_str().len() as u64 / 64,
        Value::String(text) => 1 + text.len() as u64 / 64,
        Value::Array(list) => list.iter().map(weight).fold(1, u64::saturating_add),
        Value::Object(map) => {
            let members =
                map.iter().map(|(name, value)| 1 + name.len() as u64 / 64 + weight(value));
            members.fold(1, u64::saturating_add)
        }
    }
}

/// A copy of a value of a schema.
pub(super) fn copied(value: &Value) -> Value {
    work::steps(weight(value));
    value.clone()
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// Whether two values are equal as JSON Schema says.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    order(left, right).is_eq()
}
