//! Keys of maps.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use indexmap::Equivalent;

use super::Value;
use crate::bytes::same;

/// A key of a map. An int and a uint of the same value are the same key.
#[derive(Debug, Clone)]
pub enum Key {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// Text; the only keys that JSON knows.
    String(Arc<str>),
}

impl Key {
    /// The key as an expression sees it.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::String(text) => Value::String(Arc::clone(text)),
        }
    }

    /// The text of a string key.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The key that a value stands for: bools, ints, uints, strings, and doubles and decimals
    /// that are whole numbers (as expressions compare numbers across types).
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Int(value) => Some(Self::Int(*value)),
            Value::Uint(value) => Some(Self::Uint(*value)),
            Value::String(text) => Some(Self::String(Arc::clone(text))),
            Value::Double(double, _) => whole(*double),
            Value::Decimal(decimal) if decimal.is_whole() => {
                decimal.to_i64().map(Self::Int).or_else(|| decimal.to_u64().map(Self::Uint))
            }
            _ => None,
        }
    }

    /// Whether the key is this text.
    #[inline]
    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::String(known) if same(known.as_bytes(), text.as_bytes()))
    }

    /// The string form, as JSON needs it.
    pub fn to_text(&self) -> Arc<str> {
        match self {
            Self::Bool(value) => value.to_string().into(),
            Self::Int(value) => value.to_string().into(),
            Self::Uint(value) => value.to_string().into(),
            Self::String(text) => Arc::clone(text),
        }
    }
}

fn whole(double: f64) -> Option<Key> {
    // Both bounds are powers of two, so the comparisons are exact.
    const INT_END: f64 = 9_223_372_036_854_775_808.0;
    if double.trunc() != double {
        None
    } else if (-INT_END..INT_END).contains(&double) {
        Some(Key::Int(double as i64))
    } else if (INT_END..INT_END * 2.0).contains(&double) {
        Some(Key::Uint(double as u64))
    } else {
        None
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::String(left), Self::String(right)) => same(left.as_bytes(), right.as_bytes()),
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Uint(left), Self::Uint(right)) => left == right,
            (Self::Int(int), Self::Uint(uint)) | (Self::Uint(uint), Self::Int(int)) => {
                u64::try_from(*int) == Ok(*uint)
            }
            (Self::Bool(left), Self::Bool(right)) => left == right,
            _ => false,
        }
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Bool(value) => state.write_u8(u8::from(*value)),
            // Two's complement maps equal ints and uints to the same bits.
            Self::Int(value) => state.write_u64(value.cast_unsigned()),
            Self::Uint(value) => state.write_u64(*value),
            Self::String(text) => text.hash(state),
        }
    }
}

/// A borrowed string key, for look-ups without an allocation.
#[derive(Hash)]
pub(super) struct TextKey<'a>(pub(super) &'a str);

impl Equivalent<Key> for TextKey<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::String(text) if **text == *self.0)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<Arc<str>> for Key {
    fn from(text: Arc<str>) -> Self {
        Self::String(text)
    }
}
