//! Events as the crate that validates sees them: places in their text, and never a value of theirs
//! in an error.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use serde_json::Value;

use super::work;
use crate::json::tree::{Kind, Place, Tree, Values};
use crate::number::Decimal;

/// The representation.
pub(super) struct Instance;

impl Json for Instance {
    type Node<'a> = Place<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = Tree;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(
        buffer: &mut Tree,
        string: &str,
        with: impl FnOnce(Place<'_>) -> T,
    ) -> T {
        buffer.of_string(string);
        with(buffer.root(string))
    }
}

impl<'a> Node<'a, Instance> for Place<'a> {
    type Object = Members<'a>;
    type Array = Elements<'a>;
    type Number = Number<'a>;

    fn as_object(&self) -> Option<Members<'a>> {
        work::steps(1);
        (self.kind() == Kind::Object).then_some(Members(*self))
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        work::steps(1);
        (self.kind() == Kind::Array).then_some(Elements(*self))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        if self.kind() != Kind::String {
            work::steps(1);
            return None;
        }
        work::bytes(self.spelling().len());
        Some(self.string())
    }

    fn as_number(&self) -> Option<Number<'a>> {
        work::steps(1);
        (self.kind() == Kind::Number).then(|| Number(self.spelling()))
    }

    fn as_boolean(&self) -> Option<bool> {
        work::steps(1);
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        work::steps(1);
        self.kind() == Kind::Null
    }

    fn is_number(&self) -> bool {
        work::steps(1);
        self.kind() == Kind::Number
    }

    fn json_type(&self) -> JsonType {
        work::steps(1);
        match self.kind() {
            Kind::Null => JsonType::Null,
            Kind::False | Kind::True => JsonType::Boolean,
            Kind::Number => JsonType::Number,
            Kind::String => JsonType::String,
            Kind::Array => JsonType::Array,
            Kind::Object => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        equals(*self, expected)
    }

    /// Only asked for by errors, which must not know it.
    fn to_value(&self) -> Cow<'a, Value> {
        work::error();
        Cow::Owned(Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        work::steps(1);
        Some(NodeIdentity::tagged(self.address(), self.index()))
    }
}

/// An object.
pub(super) struct Members<'a>(Place<'a>);

impl<'a> Object<'a, Instance> for Members<'a> {
    type Node = Place<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &Box<str>) -> Option<Place<'a>> {
        work::steps(1);
        self.0.get(key)
    }

    fn members(&self) -> MembersIter<'a> {
        MembersIter(self.0.values())
    }
}

/// The members of an object.
pub(super) struct MembersIter<'a>(Values<'a>);

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, Place<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.0.next()?;
        work::member(member.key().len());
        Some((member.key(), member))
    }
}

/// An array.
pub(super) struct Elements<'a>(Place<'a>);

impl<'a> Array<'a, Instance> for Elements<'a> {
    type Node = Place<'a>;
    type ElementsIter = ElementsIter<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> ElementsIter<'a> {
        ElementsIter(self.0.values())
    }

    fn is_unique(&self) -> bool {
        // A hash that nobody outside can foresee: two elements of one are nearly always equal.
        let hasher = RandomState::new();
        let mut seen = HashMap::<u64, Vec<Place<'a>>>::new();
        self.0.values().all(|element| {
            let alike = seen.entry(hash(element, &hasher)).or_default();
            let unique = !alike.iter().any(|other| same(*other, element));
            alike.push(element);
            unique
        })
    }
}

/// The elements of an array.
pub(super) struct ElementsIter<'a>(Values<'a>);

impl<'a> Iterator for ElementsIter<'a> {
    type Item = Place<'a>;

    fn next(&mut self) -> Option<Place<'a>> {
        work::steps(1);
        self.0.next()
    }
}

/// A number as it is spelled.
pub(super) struct Number<'a>(pub(super) &'a str);

impl Number<'_> {
    pub(super) fn decimal(&self) -> Decimal {
        work::bytes(self.0.len());
        decimal(self.0)
    }
}

impl JsonNumber for Number<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        Some(nearest(self.0)).filter(|double| double.is_finite())
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        work::bytes(self.0.len());
        Cow::Owned(serde_json::Number::from_string_unchecked(self.0.to_owned()))
    }

    fn is_integer(&self) -> bool {
        !self.0.contains(['.', 'e', 'E']) || self.decimal().is_integer()
    }
}

/// The decimal of what passed the strict check as a number.
pub(super) fn decimal(spelling: &str) -> Decimal {
    Decimal::from_json(spelling).unwrap_or_else(|| Decimal::from_i64(0))
}

fn equals(place: Place<'_>, expected: &Value) -> bool {
    work::steps(1);
    match (place.kind(), expected) {
        (Kind::Null, Value::Null) => true,
        (Kind::True, Value::Bool(expected)) => *expected,
        (Kind::False, Value::Bool(expected)) => !expected,
        (Kind::Number, Value::Number(expected)) => {
            same_numbers(place.spelling(), expected.as_str())
        }
        (Kind::String, Value::String(expected)) => string(place) == *expected,
        (Kind::Array, Value::Array(expected)) => {
            place.len() == expected.len()
                && place.values().zip(expected).all(|(element, expected)| equals(element, expected))
        }
        (Kind::Object, Value::Object(expected)) => {
            place.len() == expected.len()
                && place.values().all(|member| {
                    expected.get(member.key()).is_some_and(|expected| equals(member, expected))
                })
        }
        _ => false,
    }
}

fn same(left: Place<'_>, right: Place<'_>) -> bool {
    work::steps(1);
    if left.kind() != right.kind() {
        return false;
    }
    match left.kind() {
        Kind::Null | Kind::True | Kind::False => true,
        Kind::Number => same_numbers(left.spelling(), right.spelling()),
        Kind::String => string(left) == string(right),
        Kind::Array => {
            left.len() == right.len()
                && left.values().zip(right.values()).all(|(left, right)| same(left, right))
        }
        Kind::Object => {
            left.len() == right.len()
                && left
                    .values()
                    .all(|member| right.get(member.key()).is_some_and(|other| same(member, other)))
        }
    }
}

fn same_numbers(left: &str, right: &str) -> bool {
    work::bytes(left.len() + right.len());
    left == right || decimal(left).compare(&decimal(right)).is_eq()
}

fn string(place: Place<'_>) -> Cow<'_, str> {
    work::bytes(place.spelling().len());
    place.string()
}

fn nearest(spelling: &str) -> f64 {
    work::bytes(spelling.len());
    spelling.parse().unwrap_or_default()
}

/// The same for values that are the same, whatever their spelling and the order of their members.
fn hash(place: Place<'_>, builder: &RandomState) -> u64 {
    work::steps(1);
    let mut hasher = builder.build_hasher();
    std::mem::discriminant(&place.kind()).hash(&mut hasher);
    match place.kind() {
        Kind::Null | Kind::True | Kind::False => {}
        // Numbers that are the same have one nearest double, which is not -0.
        Kind::Number => (nearest(place.spelling()) + 0.0).to_bits().hash(&mut hasher),
        Kind::String => string(place).hash(&mut hasher),
        Kind::Array => {
            place.values().for_each(|element| hash(element, builder).hash(&mut hasher));
        }
        Kind::Object => {
            let members = place
                .values()
                .map(|member| builder.hash_one((member.key(), hash(member, builder))));
            members.fold(0_u64, u64::wrapping_add).hash(&mut hasher);
        }
    }
    hasher.finish()
}
