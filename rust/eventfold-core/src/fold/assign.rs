//! Assignments to places of a state, in place where nothing else holds it.

use std::sync::Arc;

use crate::value::{Key, List, Map, Value};

use super::size::{Sizer, int_bytes};

/// One step of a path whose expressions are evaluated.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The key of a map.
    Key(Key),
    /// The index of a list, or the key of the same digits of a map.
    Index(i64, Key),
}

impl Step {
    pub(crate) fn key(name: &str) -> Self {
        Self::Key(Key::from(name))
    }

    pub(crate) fn index(index: i64) -> Self {
        Self::Index(index, Key::from(index.to_string().as_str()))
    }

    /// The step that a value stands for: texts and truth values are keys, whole numbers indexes.
    pub(crate) fn from_value(value: &Value) -> Result<Self, String> {
        match Key::from_value(value) {
            Some(Key::Int(index)) => Ok(Self::index(index)),
            Some(key) => Ok(Self::Key(Key::String(key.to_text()))),
            None => Err(format!("a {} is neither a key nor an index", value.type_name())),
        }
    }

    fn map_key(&self) -> &Key {
        match self {
            Self::Key(key) | Self::Index(_, key) => key,
        }
    }
}

/// What happens at a place.
#[derive(Debug)]
pub(crate) enum Change {
    Set(Value),
    /// As to set it; where an int stands, this costs less.
    SetInt(i64),
    /// Remove the key or item, if it is there.
    Remove,
    /// Add the items to the list that is there.
    Append(List),
    /// Nothing.
    Skip,
}

/// The value at a place, if every step leads through a map.
pub(crate) fn peek<'a>(state: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(state, |value, step| value.as_map()?.get_key(step.map_key()))
}

/// A state that is being changed, and the bytes of its JSON text.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) value: Value,
    pub(crate) bytes: usize,
}

impl State {
    pub(crate) fn new(value: Value) -> Self {
        let bytes = Sizer::default().value(&value);
        Self { value, bytes }
    }

    /// Replaces the int that stands at a key of the root by another; false if none stands there.
    #[inline]
    pub(crate) fn replace_int(&mut self, steps: &[Step], int: i64) -> bool {
        let ([step], Value::Map(map)) = (steps, &mut self.value) else { return false };
        let Some(known) = Arc::make_mut(map).int_mut(step.map_key()) else { return false };
        self.bytes = self.bytes + int_bytes(int) - int_bytes(*known);
        *known = int;
        true
    }

    /// Makes a change; an error leaves the state half changed. Errors name no values.
    pub(crate) fn change(
        &mut self,
        steps: &[Step],
        change: Change,
        sizer: &mut Sizer,
    ) -> Result<(), String> {
        let change = match change {
            Change::SetInt(int) => Change::Set(Value::Int(int)),
            Change::Skip => return Ok(()),
            change => change,
        };
        let mut editor = Editor { sizer, grown: 0 };
        editor.change(&mut self.value, steps, change)?;
        self.bytes = self.bytes.saturating_add_signed(editor.grown);
        Ok(())
    }
}

struct Editor<'a> {
    sizer: &'a mut Sizer,
    /// Bytes by which the JSON text of the state grew.
    grown: isize,
}

impl Editor<'_> {
    /// Recursion is bounded: paths are shorter than the depth that states may have.
    fn change(&mut self, target: &mut Value, steps: &[Step], change: Change) -> Result<(), String> {
        let Some((step, rest)) = steps.split_first() else {
            return self.change_here(target, change);
        };
        match target {
            Value::Map(map) => self.change_map(Arc::make_mut(map), step.map_key(), rest, change),
            Value::List(list) => self.change_list(list, step, rest, change),
            // What is absent stays so: a map with this alone in it would lack all that folds may
            // read of the whole one.
            Value::Absent(_) => Ok(()),
            other => Err(format!("the path leads through a {}", other.type_name())),
        }
    }

    fn change_here(&mut self, target: &mut Value, change: Change) -> Result<(), String> {
        match (change, target) {
            (Change::Set(value), target) => {
                self.grow(&value);
                self.shrink(target);
                *target = value;
                Ok(())
            }
            (Change::Append(items), Value::List(list)) => {
                let mut commas = items.len();
                if list.is_empty() {
                    commas = commas.saturating_sub(1);
                }
                self.grown += commas.cast_signed();
                for item in &items {
                    self.grow(item);
                    list.push(item.clone());
                }
                Ok(())
            }
            (Change::Skip, _) => Ok(()),
            (Change::SetInt(int), target) => self.change_here(target, Change::Set(Value::Int(int))),
            (Change::Append(_), other) => {
                Err(format!("items cannot be added to a {}", other.type_name()))
            }
            (Change::Remove, _) => {
                Err("the whole state cannot be removed; `delete` ends an aggregate".to_owned())
            }
        }
    }

    fn change_map(
        &mut self,
        map: &mut Map,
        key: &Key,
        rest: &[Step],
        change: Change,
    ) -> Result<(), String> {
        let change = match change {
            Change::Set(value) if rest.is_empty() => {
                self.set(map, key, value);
                return Ok(());
            }
            change => change,
        };
        let known = map.get_key(key).is_some();
        match change {
            Change::Remove if rest.is_empty() => {
                let text = key.to_text();
                if let Some(old) = map.shift_remove(&text) {
                    let comma = usize::from(!map.is_empty());
                    self.grown -= (self.sizer.text(&text) + 1 + comma).cast_signed();
                    self.shrink(&old);
                }
                Ok(())
            }
            Change::Remove if !known => Ok(()),
            change if known => {
                map.modify_key(key.clone(), |child| self.change(child, rest, change))
            }
            Change::Set(value) => {
                // Missing maps on the way are made, the innermost first.
                let value = rest.iter().rev().fold(value, |inner, step| {
                    let mut map = Map::with_capacity(1);
                    map.insert(step.map_key().clone(), inner);
                    Value::map(map)
                });
                self.set(map, key, value);
                Ok(())
            }
            _ => Err("there is no list to add items to".to_owned()),
        }
    }

    /// Sets a key of a map.
    fn set(&mut self, map: &mut Map, key: &Key, value: Value) {
        self.grow(&value);
        match map.replace(key, value) {
            Ok(old) => self.shrink(&old),
            Err(value) => {
                let comma = usize::from(!map.is_empty());
                self.grown += (self.sizer.text(&key.to_text()) + 1 + comma).cast_signed();
                map.insert(key.clone(), value);
            }
        }
    }

    fn change_list(
        &mut self,
        list: &mut List,
        step: &Step,
        rest: &[Step],
        change: Change,
    ) -> Result<(), String> {
        let Step::Index(index, _) = step else {
            return Err("the path names a key of a list".to_owned());
        };
        let Some(index) = usize::try_from(*index).ok().filter(|index| *index < list.len()) else {
            return Err("the index lies beyond the list".to_owned());
        };
        if rest.is_empty() && matches!(change, Change::Remove) {
            if let Some(old) = list.remove(index) {
                self.grown -= usize::from(!list.is_empty()).cast_signed();
                self.shrink(&old);
            }
            return Ok(());
        }
        list.modify(index, |child| self.change(child, rest, change)).unwrap_or(Ok(()))
    }

    fn grow(&mut self, value: &Value) {
        self.grown += self.sizer.value(value).cast_signed();
    }

    fn shrink(&mut self, value: &Value) {
        self.grown -= self.sizer.value(value).cast_signed();
    }
}
