//! States by key, as the table has them with all that was folded since.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fold::assign::State;
use crate::privacy::Whose;

/// A state takes about this many times the bytes of its JSON text.
const STATE_FACTOR: usize = 4;
/// And this much beside it: the entry, its place in the index, its key.
const ENTRY_BYTES: usize = 256;

/// What is known of a key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Arc<str>,
    pub(super) parked: bool,
    pub(super) row: RowState,
    /// The texts of its columns, after it changed and before they are handed out.
    pub(super) columns: Vec<Option<String>>,
    /// What it was before the page, if the page touched it.
    pub(super) before: Option<Box<RowState>>,
    /// It is on the list of those that the page touched.
    pub(super) touched: bool,
    /// It is on the list of those that changed since rows were handed out.
    pub(super) dirty: bool,
    /// There was a row when they were.
    pub(super) stored: bool,
    /// Bytes that it adds to the changes.
    pub(super) weight: usize,
    /// Number of the last batch that needed it.
    used: u64,
    /// What was last counted of it.
    cost: usize,
}

/// The row of a key.
#[derive(Debug, Clone)]
pub(super) struct RowState {
    /// False: there is none, and the state is the initial one.
    pub(super) exists: bool,
    pub(super) state: State,
    pub(super) shown: bool,
    pub(super) version: i64,
    pub(super) position: i64,
    /// Whose personal values went into it.
    pub(super) whose: Whose,
}

impl RowState {
    /// No row.
    pub(super) fn absent(initial: &State) -> Self {
        let state = initial.clone();
        let whose = Whose::Nobody;
        Self { exists: false, state, shown: false, version: 0, position: 0, whose }
    }
}

/// The entries by key. Places stay the same until entries are dropped.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Vec<Entry>,
    places: HashMap<Arc<str>, usize>,
    /// What all entries take, roughly.
    bytes: usize,
}

impl Cache {
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        self.places.get(key).copied()
    }

    /// The key as the cache holds it, as needed by a batch.
    pub(super) fn needed_key(&mut self, key: &str, batch: u64) -> Option<Arc<str>> {
        let entry = &mut self.entries[*self.places.get(key)?];
        entry.used = batch;
        Some(Arc::clone(&entry.key))
    }

    pub(super) fn key(&self, place: usize) -> &str {
        &self.entries[place].key
    }

    pub(super) fn entry(&mut self, place: usize) -> &mut Entry {
        &mut self.entries[place]
    }

    /// Puts what is known of a key in the place of what was; returns its place.
    pub(super) fn put(&mut self, key: Arc<str>, parked: bool, row: RowState, batch: u64) -> usize {
        let entry = Entry {
            key: Arc::clone(&key),
            parked,
            row,
            columns: Vec::new(),
            before: None,
            touched: false,
            dirty: false,
            stored: false,
            weight: 0,
            used: batch,
            cost: 0,
        };
        let place = match self.places.get(&key) {
            Some(&place) => {
                self.bytes -= self.entries[place].cost;
                self.entries[place] = entry;
                place
            }
            None => {
                self.places.insert(key, self.entries.len());
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        self.count(place, batch);
        place
    }

    /// Counts an entry as it is now, as needed by a batch.
    pub(super) fn count(&mut self, place: usize, batch: u64) {
        let entry = &mut self.entries[place];
        entry.used = batch;
        let cost = ENTRY_BYTES + 2 * entry.key.len() + STATE_FACTOR * entry.row.state.bytes;
        self.bytes = self.bytes - entry.cost + cost;
        entry.cost = cost;
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops the entries that were needed the longest ago, down to three quarters of the bytes;
    /// none that the batch of that number or a later one needs. False: all fit.
    pub(super) fn shrink(&mut self, bytes_max: usize, batch: u64) -> bool {
        if self.bytes <= bytes_max {
            return false;
        }
        let mut order: Vec<(u64, usize)> =
            self.entries.iter().map(|entry| entry.used).zip(0..).collect();
        order.sort_unstable();
        let mut dropped = vec![false; self.entries.len()];
        let mut bytes = self.bytes;
        for (used, place) in order {
            if bytes <= bytes_max / 4 * 3 || used >= batch {
                break;
            }
            bytes -= self.entries[place].cost;
            dropped[place] = true;
        }
        let mut dropped = dropped.into_iter();
        self.entries.retain(|_| !dropped.next().unwrap_or(false));
        self.bytes = bytes;
        self.places.clear();
        let keys = self.entries.iter().map(|entry| Arc::clone(&entry.key));
        self.places.extend(keys.zip(0..));
        true
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
