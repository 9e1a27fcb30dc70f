//! Fields and indexes of values, and of optionals.

use std::sync::Arc;

use crate::value::{Absence, Key, List, Value};

use super::absent;
use super::error::{Eval, EvalError};
use super::operators::{failed, no_overload};

#[cold]
#[inline(never)]
pub(crate) fn no_field<T>(name: &str) -> Eval<T> {
    failed(format!("there is no field `{name}`"))
}

/// The optional of what was found.
pub(crate) fn optional(value: Option<Value>) -> Value {
    Value::Optional(value.map(Arc::new))
}

/// Whether a value is the optional that holds nothing.
pub(crate) fn is_none(value: &Value) -> bool {
    matches!(value, Value::Optional(None))
}

/// `operand.name`.
#[inline]
pub(crate) fn field(operand: &Value, name: &str, key: &Key) -> Eval<Value> {
    match operand {
        Value::Map(map) => match map.get_key(key) {
            Some(value) => Ok(value.clone()),
            None => no_field(name),
        },
        Value::Optional(_) => optional_field(operand, key),
        Value::Absent(_) => Ok(operand.clone()),
        other => failed(format!("a {} has no field `{name}`", other.type_name())),
    }
}

/// `has(operand.name)`.
pub(crate) fn has_field(operand: &Value, key: &Key) -> Eval<bool> {
    match operand {
        Value::Map(map) => Ok(map.get_key(key).is_some_and(|value| !is_none(value))),
        Value::Optional(Some(inner)) => has_field(inner, key),
        Value::Optional(None) => Ok(false),
        // What was there may have had it; so reading it on is safe, and gives the absence.
        Value::Absent(_) => Ok(true),
        other => no_overload("has", &[other]),
    }
}

/// `operand.?name`.
pub(crate) fn optional_field(operand: &Value, key: &Key) -> Eval<Value> {
    match operand {
        Value::Map(map) => Ok(optional(map.get_key(key).cloned())),
        Value::Optional(Some(inner)) => optional_field(inner, key),
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Absent(_) => Ok(optional(Some(operand.clone()))),
        other => no_overload(".?", &[other]),
    }
}

/// `container[index]`.
pub(crate) fn index(container: &Value, index: &Value) -> Eval<Value> {
    match container {
        Value::Optional(_) => optional_index(container, index),
        _ if index.absence().is_some() => absent::of([container, index]),
        Value::Absent(_) => Ok(container.clone()),
        Value::List(list) => match list_item(list, index)? {
            Some(value) => Ok(value),
            None => failed("the index lies beyond the list"),
        },
        Value::Map(map) => match Key::from_value(index).map(|key| map.get_key(&key)) {
            Some(Some(value)) => Ok(value.clone()),
            Some(None) => failed("the map has no such key"),
            None => failed(format!("a {} is no key of a map", index.type_name())),
        },
        other => no_overload("[]", &[other, index]),
    }
}

/// `container[?index]`.
pub(crate) fn optional_index(container: &Value, index: &Value) -> Eval<Value> {
    match container {
        Value::Optional(None) => Ok(Value::Optional(None)),
        _ if Absence::among([container, index]).is_some() => {
            absent::of([container, index]).map(|absent| optional(Some(absent)))
        }
        Value::List(list) => list_item(list, index).map(optional),
        Value::Map(map) => match Key::from_value(index) {
            Some(key) => Ok(optional(map.get_key(&key).cloned())),
            None => failed(format!("a {} is no key of a map", index.type_name())),
        },
        Value::Optional(Some(inner)) => optional_index(inner, index),
        other => no_overload("[?]", &[other, index]),
    }
}

fn list_item(list: &List, index: &Value) -> Eval<Option<Value>> {
    let place = match (index, Key::from_value(index)) {
        (Value::Bool(_) | Value::String(_), _) | (_, None) => {
            return failed(format!("a {} is no index of a list", index.type_name()));
        }
        (_, Some(Key::Int(place))) => usize::try_from(place).ok(),
        (_, Some(Key::Uint(place))) => usize::try_from(place).ok(),
        (_, Some(_)) => None,
    };
    Ok(place.and_then(|place| list.get(place)).cloned())
}

/// The field of a value, for scopes: `None` if a map does not have it, an error if the value
/// is not a map. A field of what is absent is absent as well.
pub fn field_of(value: &Value, name: &str) -> Result<Option<Value>, EvalError> {
    match value {
        Value::Map(map) => Ok(map.get(name).cloned()),
        Value::Absent(_) => Ok(Some(value.clone())),
        other => Err(EvalError::failed(format!("a {} has no fields", other.type_name()))),
    }
}
