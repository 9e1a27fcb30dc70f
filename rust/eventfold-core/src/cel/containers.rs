//! Lists and maps as expressions write them, and how deep a value may nest.

use std::sync::Arc;

use crate::limits::VALUE_DEPTH_MAX;
use crate::value::{Key, List, Map, Value};

use super::error::{Eval, EvalError};
use super::eval::{Context, eval};
use super::node::{Entry, Item};
use super::operators::failed;

/// The value of an optional item or entry: `None` to leave it out.
fn spread(optional: bool, value: Value) -> Eval<Option<Value>> {
    match (optional, value) {
        (false, value) => Ok(Some(value)),
        (true, Value::Optional(inner)) => Ok(inner.map(Arc::unwrap_or_clone)),
        (true, absent @ Value::Absent(_)) => Ok(Some(absent)),
        (true, other) => failed(format!("`?` takes an optional, not {}", other.type_name())),
    }
}

#[inline(never)]
pub(super) fn list(items: &[Item], context: &mut Context<'_, '_>) -> Eval<Value> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        let value = eval(&item.node, context)?;
        values.extend(spread(item.optional, value)?);
    }
    shallow(Value::List(List::from(values)))
}

#[inline(never)]
pub(super) fn map(entries: &[Entry], context: &mut Context<'_, '_>) -> Eval<Value> {
    let mut map = Map::with_capacity(entries.len());
    for entry in entries {
        let key = eval(&entry.key, context)?;
        let value = eval(&entry.value, context)?;
        if let Some(value) = spread(entry.optional, value)? {
            insert_new(&mut map, &key, value)?;
        }
    }
    shallow(Value::map(map))
}

/// Adds an entry to a map that must not have the key yet. An entry whose key is absent is left out.
pub(super) fn insert_new(map: &mut Map, key: &Value, value: Value) -> Eval<()> {
    let key = match key {
        Value::Absent(_) => return Ok(()),
        Value::Double(..) | Value::Decimal(_) => None,
        key => Key::from_value(key),
    };
    let Some(key) = key else {
        return failed("keys of maps are bools, ints, uints and strings");
    };
    match map.insert(key, value) {
        None => Ok(()),
        Some(_) => failed("the map has a key twice"),
    }
}

/// The value, unless it nests too deep.
pub(super) fn shallow(value: Value) -> Eval<Value> {
    if value.depth() > VALUE_DEPTH_MAX { too_deep() } else { Ok(value) }
}

#[cold]
pub(super) fn too_deep() -> Eval<Value> {
    let message = format!("the value nests deeper than {VALUE_DEPTH_MAX} levels");
    Err(Box::new(EvalError::limit(message, VALUE_DEPTH_MAX as u64)))
}
