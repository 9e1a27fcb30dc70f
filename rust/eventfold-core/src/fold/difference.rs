//! What differs between two states.

use std::sync::Arc;

use crate::value::{List, Map, Value};

use super::path::{push_index, push_key};

/// Takes a difference: its path, and what was and is there. Absent: there was, or is, nothing.
pub type Found<'a> = dyn FnMut(&str, Option<&Value>, Option<&Value>) + 'a;

/// Finds the smallest paths on which two states differ; returns how many values were compared.
///
/// They come in the order of the new state; what a map lost follows the map's other
/// differences, in its old order. Lists are compared index by index, so that an added item is
/// one difference, and an item removed from the middle shifts those behind it. Numbers of other
/// digits differ (1.1 and 1.10), maps that differ only in the order of their keys do not.
///
/// Parts that the states share are passed over. Recursion is bounded by the depth of states.
pub fn differences(before: &Value, after: &Value, found: &mut Found<'_>) -> usize {
    let mut comparison = Comparison { path: String::new(), compared: 0, found };
    comparison.place(Some(before), Some(after), |_| {});
    comparison.compared
}

struct Comparison<'a, 'b> {
    /// The path of the values that are compared; empty for the whole state.
    path: String,
    compared: usize,
    found: &'a mut Found<'b>,
}

impl Comparison<'_, '_> {
    fn values(&mut self, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Map(before), Value::Map(after)) => self.maps(before, after),
            (Value::List(before), Value::List(after)) => self.lists(before, after),
            _ => self.report(Some(before), Some(after)),
        }
    }

    fn report(&mut self, before: Option<&Value>, after: Option<&Value>) {
        let path = if self.path.is_empty() { "." } else { &self.path };
        (self.found)(path, before, after);
    }

    /// One place inside of a map or list; `step` adds it to the path.
    fn place(
        &mut self,
        before: Option<&Value>,
        after: Option<&Value>,
        step: impl FnOnce(&mut String),
    ) {
        self.compared += 1;
        if let (Some(before), Some(after)) = (before, after)
            && same_at_a_glance(before, after)
        {
            return;
        }
        let length = self.path.len();
        step(&mut self.path);
        match (before, after) {
            (Some(before), Some(after)) => self.values(before, after),
            _ => self.report(before, after),
        }
        self.path.truncate(length);
    }

    fn maps(&mut self, before: &Map, after: &Map) {
        // Most keys keep their place from event to event, and need no look-up.
        let mut in_step = before.iter();
        let mut known = 0;
        for (key, value) in after {
            let old = match in_step.next() {
                Some((same, old)) if same == key => Some(old),
                _ => before.get_key(key),
            };
            known += usize::from(old.is_some());
            self.place(old, Some(value), |path| push_key(&key.to_text(), path));
        }
        if known == before.len() {
            return;
        }
        for (key, old) in before {
            if after.get_key(key).is_none() {
                self.place(Some(old), None, |path| push_key(&key.to_text(), path));
            }
        }
    }

    fn lists(&mut self, before: &List, after: &List) {
        for (index, old, new) in before.zip_unshared(after) {
            self.place(old, new, |path| push_index(index, path));
        }
    }
}

/// Whether two values are surely the same: the same scalar, or one map or list that both share.
fn same_at_a_glance(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Absent(left), Value::Absent(right)) => left == right,
        (Value::Decimal(left), Value::Decimal(right)) => left.to_string() == right.to_string(),
        (Value::Map(left), Value::Map(right)) => Arc::ptr_eq(left, right),
        // States hold no other scalars.
        _ => false,
    }
}
