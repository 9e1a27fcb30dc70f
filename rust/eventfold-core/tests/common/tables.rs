//! Tables of projections, written as a database would be.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use eventfold_core::error::CoreError;
use eventfold_core::projection::{ChangedRow, Changes, Known, Projecting, Projection};
use eventfold_core::rows::{Page, Rows};

use crate::common::{Event, columns};

/// What the table of a projection has, as whoever writes the changes leaves it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Table {
    pub rows: BTreeMap<String, ChangedRow>,
    /// Keys that are parked, why, and the positions on their lists.
    pub parked: BTreeMap<String, (CoreError, Vec<i64>)>,
    pub events: u64,
    pub position: i64,
    pub stopped: Option<CoreError>,
}

impl Table {
    fn write(&mut self, changes: Changes) {
        for row in changes.upserts {
            self.rows.insert(row.key.clone(), row);
        }
        for key in changes.deletes {
            assert!(self.rows.remove(&key).is_some(), "{key} was there to be deleted");
        }
        for (key, error) in changes.parked_keys {
            assert!(self.parked.insert(key, (error, Vec::new())).is_none());
        }
        for (key, position) in changes.parked_events {
            self.parked.get_mut(&key).expect("its key is parked").1.push(position);
        }
        self.events += changes.events;
        self.position = changes.up_to;
        self.stopped = changes.stopped;
    }

    fn known(&self, key: &str) -> Known<'_> {
        match self.rows.get(key) {
            _ if self.parked.contains_key(key) => Known::Parked,
            None => Known::Absent,
            Some(row) => Known::Row {
                state: &row.state,
                version: row.version,
                position: row.position,
                shown: row.shown,
                whose: row.whose,
            },
        }
    }
}

/// Folds a page into a table, as the projector does: loads what is not known, writes what changed.
pub fn step(projecting: &mut Projecting, page: &[Event], table: &mut Table) {
    let rows = Rows::decode(columns(page)).unwrap();
    fold(projecting, &rows, 0, table);
}

/// The same with what events refer to, found in a log; `ids_max` of their ids are looked up at
/// once, or what the next event needs.
pub fn resolved_step(
    projecting: &mut Projecting,
    page: &[Event],
    log: &[Event],
    ids_max: usize,
    table: &mut Table,
) {
    let log = [Rows::decode(columns(log)).unwrap()];
    let mut rows = Rows::decode(columns(page)).unwrap();
    let mut next = 0;
    while next < page.len() && table.stopped.is_none() {
        let references = projecting.projection().references(&rows, next).unwrap();
        let known = references.ids.len().min(ids_max.max(references.needed()));
        let resolved = references.resolve(rows, known, &log).unwrap();
        assert!(resolved.len() > next);
        fold(projecting, &resolved, next, table);
        next = resolved.len();
        rows = resolved.into_page();
    }
}

fn fold(projecting: &mut Projecting, rows: &impl Page, from: usize, table: &mut Table) {
    let mut next = from;
    while next < rows.len() && table.stopped.is_none() {
        let keys = projecting.keys(rows, next).unwrap();
        for key in projecting.unknown(&keys) {
            projecting.know(&key, table.known(&key)).unwrap();
        }
        assert!(projecting.unknown(&keys).is_empty());
        let changes = projecting.fold(rows, &keys).unwrap();
        let done = changes.next;
        assert!(done > next || changes.stopped.is_some());
        table.write(changes);
        projecting.committed();
        next = done;
    }
}

pub fn parse(document: &str) -> Arc<Projection> {
    Arc::new(
        Projection::parse(document, None)
            .unwrap_or_else(|error| panic!("{document}\n{error} {:?}", error.facts)),
    )
}

/// Folds all events in pages that end before these indexes, by a new process for every third.
pub fn project(document: &str, events: &[Event], cuts: &[usize]) -> Table {
    let projection = parse(document);
    let mut table = Table::default();
    let mut projecting = Projecting::new(Arc::clone(&projection)).of_empty_table();
    let mut first = 0;
    for (number, end) in cuts.iter().copied().chain([events.len()]).enumerate() {
        if number % 3 == 2 {
            // Nothing is remembered, and hardly anything kept from then on.
            projecting = Projecting::new(Arc::clone(&projection)).with_cache_bytes(1);
        }
        let end = end.clamp(first, events.len());
        if end > first {
            step(&mut projecting, &events[first..end], &mut table);
        }
        first = end;
    }
    table
}

/// Events of streams, each a type and data, in the order of the log; every tenth position is one.
pub fn log(events: &[(&str, &str, &str)]) -> Vec<Event> {
    let mut versions: BTreeMap<&str, i64> = BTreeMap::new();
    let mut log = Vec::new();
    for (number, (stream, event_type, data)) in (1_i64..).zip(events) {
        let version = versions.entry(stream).or_default();
        *version += 1;
        let mut event = Event::new(*version, event_type, data);
        event.stream = Some((*stream).to_owned());
        event.position = number * 10;
        event.id[..8].copy_from_slice(&number.to_be_bytes());
        log.push(event);
    }
    log
}

/// A fact of an error; empty if it has none of that name.
pub fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}
