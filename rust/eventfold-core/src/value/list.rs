//! Lists that share what they have in common.

use std::sync::Arc;

use super::Value;

/// Items of one full chunk.
const CHUNK_ITEMS: usize = 64;

/// A list of values. Appending to a shared list copies one chunk and the table of chunks, not
/// the items, so that a state may hold a growing list.
#[derive(Debug, Clone, Default)]
pub struct List(Arc<Inner>);

#[derive(Debug, Clone, Default)]
struct Inner {
    /// Full chunks, `CHUNK_ITEMS` items each.
    full: Vec<Chunk>,
    /// The items after the last full chunk, fewer than `CHUNK_ITEMS`.
    tail: Vec<Value>,
    depth: u32,
    /// Some item is not JSON.
    foreign: bool,
}

#[derive(Debug, Clone)]
struct Chunk {
    items: Arc<Vec<Value>>,
    foreign: bool,
}

impl Chunk {
    fn new(items: Vec<Value>) -> Self {
        let foreign = !items.iter().all(Value::is_json);
        Self { items: Arc::new(items), foreign }
    }
}

impl List {
    /// The number of items.
    pub fn len(&self) -> usize {
        self.0.full.len() * CHUNK_ITEMS + self.0.tail.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more than the deepest item.
    pub fn depth(&self) -> usize {
        1 + self.0.depth as usize
    }

    /// Whether all items are JSON; known without a walk.
    pub fn is_json(&self) -> bool {
        !self.0.foreign
    }

    /// The list of what `convert` makes of the items; parts that are JSON are shared.
    pub fn to_json<E>(&self, convert: impl Fn(&Value) -> Result<Value, E>) -> Result<List, E> {
        let mut full = Vec::with_capacity(self.0.full.len());
        for chunk in &self.0.full {
            full.push(if chunk.foreign {
                Chunk::new(chunk.items.iter().map(&convert).collect::<Result<_, _>>()?)
            } else {
                chunk.clone()
            });
        }
        let tail = self.0.tail.iter().map(&convert).collect::<Result<Vec<_>, _>>()?;
        // Conversion makes scalars of scalars.
        let depth = self.0.depth;
        let foreign = full.iter().any(|chunk| chunk.foreign) || !tail.iter().all(Value::is_json);
        Ok(Self(Arc::new(Inner { full, tail, depth, foreign })))
    }

    /// The item at an index from 0.
    pub fn get(&self, index: usize) -> Option<&Value> {
        match self.0.full.get(index / CHUNK_ITEMS) {
            Some(chunk) => chunk.items.get(index % CHUNK_ITEMS),
            None => self.0.tail.get(index.checked_sub(self.0.full.len() * CHUNK_ITEMS)?),
        }
    }

    /// Adds an item at the end; in place if nothing else holds this list.
    pub fn push(&mut self, value: Value) {
        Arc::make_mut(&mut self.0).push(value);
    }

    /// Replaces the item at an index with what `change` makes of it; `None` beyond the end.
    pub fn modify<R>(&mut self, index: usize, change: impl FnOnce(&mut Value) -> R) -> Option<R> {
        if index >= self.len() {
            return None;
        }
        let inner = Arc::make_mut(&mut self.0);
        let item = match inner.full.get_mut(index / CHUNK_ITEMS) {
            Some(chunk) => Arc::make_mut(&mut chunk.items).get_mut(index % CHUNK_ITEMS)?,
            None => inner.tail.get_mut(index % CHUNK_ITEMS)?,
        };
        let result = change(item);
        let (depth, foreign) = (depth_of(item), !item.is_json());
        inner.depth = inner.depth.max(depth);
        inner.foreign |= foreign;
        if let Some(chunk) = inner.full.get_mut(index / CHUNK_ITEMS) {
            chunk.foreign |= foreign;
        }
        Some(result)
    }

    /// Removes the item at an index; the later ones move up. `None` beyond the end.
    pub fn remove(&mut self, index: usize) -> Option<Value> {
        if index >= self.len() {
            return None;
        }
        let mut items: Vec<Value> = self.iter().cloned().collect();
        let removed = items.remove(index);
        *self = Self::from(items);
        Some(removed)
    }

    /// This list and then the items of another. Costs the items of the other list, and a
    /// sixty-fourth of this one's.
    #[must_use]
    pub fn concat(mut self, other: &List) -> List {
        if self.is_empty() {
            return other.clone();
        }
        let inner = Arc::make_mut(&mut self.0);
        for item in other {
            inner.push(item.clone());
        }
        self
    }

    /// The indexes of the longer of two lists in order, with what each list has there, save
    /// those in parts that both lists share.
    pub fn zip_unshared<'a>(
        &'a self,
        other: &'a List,
    ) -> impl Iterator<Item = (usize, Option<&'a Value>, Option<&'a Value>)> {
        let longest = if Arc::ptr_eq(&self.0, &other.0) { 0 } else { self.len().max(other.len()) };
        let shared = |chunk: usize| match (self.0.full.get(chunk), other.0.full.get(chunk)) {
            (Some(left), Some(right)) => Arc::ptr_eq(&left.items, &right.items),
            _ => false,
        };
        (0..longest.div_ceil(CHUNK_ITEMS))
            .filter(move |chunk| !shared(*chunk))
            .flat_map(move |chunk| chunk * CHUNK_ITEMS..((chunk + 1) * CHUNK_ITEMS).min(longest))
            .map(|index| (index, self.get(index), other.get(index)))
    }

    /// The items in order.
    pub fn iter(&self) -> ListIter<'_> {
        ListIter { list: &self.0, chunk: 0, items: [].iter() }
    }
}

impl Inner {
    fn push(&mut self, value: Value) {
        self.depth = self.depth.max(depth_of(&value));
        self.foreign |= !value.is_json();
        self.tail.push(value);
        if self.tail.len() == CHUNK_ITEMS {
            self.full.push(Chunk::new(std::mem::take(&mut self.tail)));
        }
    }
}

fn depth_of(value: &Value) -> u32 {
    u32::try_from(value.depth()).unwrap_or(u32::MAX)
}

impl From<Vec<Value>> for List {
    fn from(mut items: Vec<Value>) -> Self {
        let depth = items.iter().map(depth_of).max().unwrap_or(0);
        let mut full = Vec::new();
        if items.len() >= CHUNK_ITEMS {
            let mut rest = items.into_iter();
            loop {
                let chunk: Vec<Value> = rest.by_ref().take(CHUNK_ITEMS).collect();
                if chunk.len() < CHUNK_ITEMS {
                    items = chunk;
                    break;
                }
                full.push(Chunk::new(chunk));
            }
        }
        let foreign = full.iter().any(|chunk| chunk.foreign) || !items.iter().all(Value::is_json);
        Self(Arc::new(Inner { full, tail: items, depth, foreign }))
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        Self::from(items.into_iter().collect::<Vec<_>>())
    }
}

impl<'a> IntoIterator for &'a List {
    type Item = &'a Value;
    type IntoIter = ListIter<'a>;

    fn into_iter(self) -> ListIter<'a> {
        self.iter()
    }
}

/// The items of a list in order.
#[derive(Debug, Clone)]
pub struct ListIter<'a> {
    list: &'a Inner,
    /// The chunk to read next; one past the full ones is the tail.
    chunk: usize,
    items: std::slice::Iter<'a, Value>,
}

impl<'a> Iterator for ListIter<'a> {
    type Item = &'a Value;

    fn next(&mut self) -> Option<&'a Value> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(item);
            }
            self.items = match self.chunk.cmp(&self.list.full.len()) {
                std::cmp::Ordering::Less => self.list.full[self.chunk].items.iter(),
                std::cmp::Ordering::Equal => self.list.tail.iter(),
                std::cmp::Ordering::Greater => return None,
            };
            self.chunk += 1;
        }
    }
}
