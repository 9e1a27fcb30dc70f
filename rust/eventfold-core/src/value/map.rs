//! Maps that keep the order of first insertion.

use indexmap::IndexMap;

use super::key::TextKey;
use super::{Key, Value};

/// Up to this many entries a map is a plain vector: a scan beats hashing.
const SMALL_ENTRIES_MAX: usize = 8;

/// A map from keys to values that keeps the order of first insertion; equality ignores order.
#[derive(Debug, Clone, Default)]
pub struct Map {
    entries: Entries,
    depth: u32,
    /// Some key or value is not JSON, or was not.
    foreign: bool,
}

#[derive(Debug, Clone)]
enum Entries {
    Small(Vec<(Key, Value)>),
    Large(IndexMap<Key, Value>),
}

impl Default for Entries {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl Map {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty map with room for `capacity` entries.
    pub fn with_capacity(capacity: usize) -> Self {
        let entries = if capacity <= SMALL_ENTRIES_MAX {
            Entries::Small(Vec::with_capacity(capacity))
        } else {
            Entries::Large(IndexMap::with_capacity(capacity))
        };
        Self { entries, depth: 0, foreign: false }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        match &self.entries {
            Entries::Small(entries) => entries.len(),
            Entries::Large(entries) => entries.len(),
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more than the deepest value.
    pub fn depth(&self) -> usize {
        1 + self.depth as usize
    }

    /// Whether all keys are strings and all values JSON; known without a walk. May be false
    /// after what was not JSON has been replaced.
    pub fn is_json(&self) -> bool {
        !self.foreign
    }

    /// The value of a string key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match &self.entries {
            Entries::Small(entries) => {
                entries.iter().find(|(known, _)| known.is_text(key)).map(|(_, value)| value)
            }
            Entries::Large(entries) => entries.get(&TextKey(key)),
        }
    }

    /// The value of a key.
    pub fn get_key(&self, key: &Key) -> Option<&Value> {
        match &self.entries {
            Entries::Small(entries) => {
                entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            Entries::Large(entries) => entries.get(key),
        }
    }

    /// Sets a key; a new key comes last, a known one keeps its place. Returns the value before.
    pub fn insert(&mut self, key: impl Into<Key>, value: Value) -> Option<Value> {
        let key = key.into();
        self.note(value.depth(), key.as_str().is_some() && value.is_json());
        match &mut self.entries {
            Entries::Small(entries) => {
                if let Some((_, old)) = entries.iter_mut().find(|(known, _)| *known == key) {
                    return Some(std::mem::replace(old, value));
                }
                if entries.len() < SMALL_ENTRIES_MAX {
                    entries.push((key, value));
                } else {
                    let mut large: IndexMap<Key, Value> = entries.drain(..).collect();
                    large.insert(key, value);
                    self.entries = Entries::Large(large);
                }
                None
            }
            Entries::Large(entries) => entries.insert(key, value),
        }
    }

    /// Replaces the value of a key that is there, and returns the value before; gives the new
    /// value back if the key is not there.
    pub fn replace(&mut self, key: &Key, value: Value) -> Result<Value, Value> {
        let place = match &mut self.entries {
            Entries::Small(entries) => {
                entries.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            Entries::Large(entries) => entries.get_mut(key),
        };
        let Some(place) = place else { return Err(value) };
        let (depth, json) = (value.depth(), value.is_json());
        let old = std::mem::replace(place, value);
        self.note(depth, json && key.as_str().is_some());
        Ok(old)
    }

    /// The int of a key, to be replaced by another; `None` if there is no int.
    #[inline]
    pub fn int_mut(&mut self, key: &Key) -> Option<&mut i64> {
        let value = match &mut self.entries {
            Entries::Small(entries) => {
                entries.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            Entries::Large(entries) => entries.get_mut(key),
        };
        match value {
            Some(Value::Int(int)) => Some(int),
            _ => None,
        }
    }

    /// Changes the value of a string key in place, or the `null` that is put there first.
    pub fn modify<R>(&mut self, key: &str, change: impl FnOnce(&mut Value) -> R) -> R {
        self.modify_key(Key::from(key), change)
    }

    /// Changes the value of a key in place, or the `null` that is put there first.
    pub fn modify_key<R>(&mut self, key: Key, change: impl FnOnce(&mut Value) -> R) -> R {
        if self.get_key(&key).is_none() {
            self.insert(key.clone(), Value::Null);
        }
        let value = match &mut self.entries {
            Entries::Small(entries) => {
                entries.iter_mut().find(|(known, _)| *known == key).map(|(_, value)| value)
            }
            Entries::Large(entries) => entries.get_mut(&key),
        };
        let mut absent = Value::Null;
        let value = value.unwrap_or(&mut absent);
        let result = change(value);
        let (depth, json) = (value.depth(), value.is_json());
        self.note(depth, json);
        result
    }

    /// Removes a string key; the others keep their order.
    pub fn shift_remove(&mut self, key: &str) -> Option<Value> {
        match &mut self.entries {
            Entries::Small(entries) => {
                let place = entries.iter().position(|(known, _)| known.is_text(key))?;
                Some(entries.remove(place).1)
            }
            Entries::Large(entries) => entries.shift_remove(&TextKey(key)),
        }
    }

    /// The entries in order.
    pub fn iter(&self) -> MapIter<'_> {
        MapIter(match &self.entries {
            Entries::Small(entries) => Iter::Small(entries.iter()),
            Entries::Large(entries) => Iter::Large(entries.iter()),
        })
    }

    fn note(&mut self, depth: usize, json: bool) {
        self.foreign |= !json;
        self.depth = self.depth.max(u32::try_from(depth).unwrap_or(u32::MAX));
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = (&'a Key, &'a Value);
    type IntoIter = MapIter<'a>;

    fn into_iter(self) -> MapIter<'a> {
        self.iter()
    }
}

impl<K: Into<Key>> FromIterator<(K, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut map = Self::with_capacity(entries.size_hint().0);
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

/// The entries of a map in order.
#[derive(Debug, Clone)]
pub struct MapIter<'a>(Iter<'a>);

#[derive(Debug, Clone)]
enum Iter<'a> {
    Small(std::slice::Iter<'a, (Key, Value)>),
    Large(indexmap::map::Iter<'a, Key, Value>),
}

impl<'a> Iterator for MapIter<'a> {
    type Item = (&'a Key, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Iter::Small(entries) => entries.next().map(|(key, value)| (key, value)),
            Iter::Large(entries) => entries.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Iter::Small(entries) => entries.size_hint(),
            Iter::Large(entries) => entries.size_hint(),
        }
    }
}

impl ExactSizeIterator for MapIter<'_> {}
