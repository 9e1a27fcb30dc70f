//! The fold by keys: events of many streams in, changes of rows out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::envelope::uuid_text;
use crate::error::CoreError;
use crate::fold::assign::State;
use crate::fold::compile::TypeHandler;
use crate::fold::engine::{self, Engine, Outcome, read_brief};
use crate::fold::scope::Names;
use crate::json::scan::scan_value;
use crate::limits::{PROJECTION_CACHE_BYTES, PROJECTION_CHANGES_BYTES, PROJECTION_STEPS};
use crate::privacy::Whose;
use crate::rows::{self, Page, Row};

use super::Projection;
use super::cache::{Cache, Entry, RowState};
use super::changes::{ChangedRow, Changes};
use super::event::EventMemory;
use super::keys::{Keys, Known, NO_KEY};
use super::row::RowMemory;

/// A generation of a projection on its way along the log, with a cache of the rows of its keys.
///
/// For each page: [`Projecting::keys`], then [`Projecting::know`] for each key that is
/// [`Projecting::unknown`], then [`Projecting::fold`], until all rows of the page are folded. What
/// one fold gives, or several in a row, is to be written in one transaction, and then
/// [`Projecting::committed`] is called; if it may not have been written, [`Projecting::forget`].
///
/// With [`Projecting::fold_on`] many pages go into one transaction, whose rows
/// [`Projecting::hand_out`] gives at its end; the next may be folded before [`Projecting::written`]
/// tells of it.
#[derive(Debug)]
pub struct Projecting {
    projection: Arc<Projection>,
    pub(super) parks: bool,
    pub(super) stops_at_cancellations: bool,
    /// Whether the personal values of a row must be those of one subject.
    of_one_subject: bool,
    cache_bytes: usize,
    pub(super) cache: Cache,
    /// The table has nothing that the cache has not.
    pub(super) complete: bool,
    /// Number of the batch that comes next.
    pub(super) batch: u64,
    /// Places of the rows that changed since rows were handed out, and what they take together.
    pub(super) dirty: Vec<usize>,
    dirty_bytes: usize,
    /// The row of a key that has none.
    pub(super) absent: RowState,
    engine: Engine,
    key_memory: EventMemory,
    row_memory: RowMemory,
    /// Keys of one page by their number in it.
    numbers: HashMap<Arc<str>, u32>,
}

impl Projecting {
    /// Begins with an empty cache.
    pub fn new(projection: Arc<Projection>) -> Self {
        Self {
            parks: projection.parks,
            stops_at_cancellations: false,
            of_one_subject: false,
            cache_bytes: PROJECTION_CACHE_BYTES,
            cache: Cache::default(),
            complete: false,
            batch: 1,
            dirty: Vec::new(),
            dirty_bytes: 0,
            absent: RowState::absent(&State::new(projection.fold.initial.clone())),
            engine: Engine::default(),
            key_memory: EventMemory::default(),
            row_memory: RowMemory::default(),
            numbers: HashMap::new(),
            projection,
        }
    }

    /// Says that the table has no row and no key is parked, as before the first event: then no
    /// key needs to be loaded for as long as all fit the cache.
    #[must_use]
    pub fn of_empty_table(mut self) -> Self {
        self.complete = true;
        self
    }

    /// Refuses events that bring personal values of another subject into a row.
    #[must_use]
    pub fn of_one_subject(mut self, of_one: bool) -> Self {
        self.of_one_subject = of_one;
        self
    }

    /// Parks keys, or stops, whatever the document says.
    #[must_use]
    pub fn with_parking(mut self, parks: bool) -> Self {
        self.parks = parks;
        self
    }

    /// Bounds the cache by another number of bytes.
    #[must_use]
    pub fn with_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// The projection.
    pub fn projection(&self) -> &Arc<Projection> {
        &self.projection
    }

    /// What the cache takes, roughly. It is bounded when changes are written; whoever loads rows
    /// of many keys may stop where it grows far beyond, and fold what is known.
    pub fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// The keys of the rows of a page from index `from` on; ends before the first whose key fails.
    /// An error is that of a page that cannot be read.
    pub fn keys(&mut self, page: &impl Page, from: usize) -> Result<Keys, CoreError> {
        let projection = Arc::clone(&self.projection);
        let rows = Vec::with_capacity(page.len().saturating_sub(from));
        let mut keys = Keys { first: from, end: from, failed: None, rows, names: Vec::new() };
        self.numbers.clear();
        let steps_end = self.key_memory.steps.saturating_add(PROJECTION_STEPS);
        let skips = projection.skip_cancelled();
        while keys.end < page.len()
            && self.key_memory.steps < steps_end
            && !self.stops_at(page, keys.end)
        {
            let index = keys.end;
            let passed = skips && rows::is_cancellation(page, index);
            let number = if passed || handler(&projection, page, index).is_none() {
                NO_KEY
            } else {
                let memory = &mut self.key_memory;
                match projection.key.of(page, index, &projection, memory)? {
                    Ok(Some(key)) => self.number(&key, &mut keys.names),
                    Ok(None) => NO_KEY,
                    Err(error) => {
                        keys.failed = Some(error);
                        break;
                    }
                }
            };
            keys.rows.push(number);
            keys.end += 1;
        }
        Ok(keys)
    }

    /// The number of a key in a page.
    fn number(&mut self, key: &str, names: &mut Vec<Arc<str>>) -> u32 {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let shared = self.cache.needed_key(key, self.batch).unwrap_or_else(|| key.into());
        // A page has far fewer rows.
        let number = names.len() as u32;
        names.push(Arc::clone(&shared));
        self.numbers.insert(shared, number);
        number
    }

    /// The keys whose rows must be loaded ([`Projecting::know`]) before they can be folded, in the
    /// order of their first events.
    pub fn unknown(&self, keys: &Keys) -> Vec<String> {
        if self.complete {
            return Vec::new();
        }
        let unknown = keys.names.iter().filter(|key| self.cache.place(key).is_none());
        unknown.map(|key| key.to_string()).collect()
    }

    /// Takes over what the table has of a key.
    pub fn know(&mut self, key: &str, known: Known<'_>) -> Result<(), CoreError> {
        let (parked, row) = match known {
            Known::Absent => (false, self.absent.clone()),
            Known::Parked => (true, self.absent.clone()),
            Known::Row { state, version, position, shown, whose } => {
                let value = scan_value(state)
                    .map_err(|_| CoreError::new("BUG", "the state of a row is not valid JSON"))?;
                let state = State::new(value);
                (false, RowState { exists: true, state, shown, version, position, whose })
            }
        };
        self.cache.put(key.into(), parked, row, self.batch);
        Ok(())
    }

    /// Folds the rows of a page that `keys` are the keys of, from `keys.first` on. Ends early where
    /// the changes grow large, it took long, a key comes that is not known, or an event fails that
    /// stops the projection: `next` tells. An error is that of a page that cannot be read, or of a
    /// caller; all keys must be forgotten then.
    pub fn fold(&mut self, page: &impl Page, keys: &Keys) -> Result<Changes, CoreError> {
        let mut changes = self.fold_on(page, keys)?;
        self.hand_out(&mut changes)?;
        Ok(changes)
    }

    /// The same, but for the rows that changed: these are handed out once for many pages.
    pub fn fold_on(&mut self, page: &impl Page, keys: &Keys) -> Result<Changes, CoreError> {
        let mut places: Vec<Option<usize>> =
            keys.names.iter().map(|key| self.cache.place(key)).collect();
        if self.complete {
            for (place, key) in places.iter_mut().zip(&keys.names) {
                if place.is_none() {
                    let absent = self.absent.clone();
                    *place = Some(self.cache.put(Arc::clone(key), false, absent, self.batch));
                }
            }
        }
        let mut batch = Batch {
            keys,
            places: &places,
            touched: Vec::new(),
            changes: Changes { next: keys.first, ..Changes::default() },
        };
        self.fold_rows(page, &mut batch)?;
        let Batch { touched, mut changes, .. } = batch;
        changes.up_to = self.up_to(page, &changes)?;
        for place in touched {
            let entry = self.cache.entry(place);
            entry.touched = false;
            let Some(before) = entry.before.take() else { continue };
            if !entry.dirty {
                entry.dirty = true;
                entry.stored = before.exists;
                self.dirty.push(place);
            }
        }
        Ok(changes)
    }

    /// What the rows take, roughly, that changed since rows were handed out.
    pub fn changed_bytes(&self) -> usize {
        self.dirty_bytes
    }

    fn fold_rows(&mut self, page: &impl Page, batch: &mut Batch<'_>) -> Result<(), CoreError> {
        let steps_end = self.steps().saturating_add(PROJECTION_STEPS);
        let projection = Arc::clone(&self.projection);
        while batch.changes.next < batch.keys.end {
            let index = batch.changes.next;
            let Some(number) = batch.number(index) else {
                batch.changes.next += 1;
                continue;
            };
            let is_crowded = self.dirty_bytes > PROJECTION_CHANGES_BYTES;
            if (is_crowded && index > batch.keys.first) || self.steps() >= steps_end {
                return Ok(());
            }
            let Some(place) = batch.places.get(number).copied().flatten() else { return Ok(()) };
            if self.cache.entry(place).parked {
                batch.set_aside(self.cache.entry(place), page.position(index)?);
            } else {
                match self.event(&projection, page, index, place) {
                    Ok(()) => batch.changes.events += 1,
                    Err(error) if error.reason == "BUG" => return Err(error),
                    Err(error) => {
                        self.restore(&projection, page, batch, index, place)?;
                        if !self.parks {
                            batch.changes.stopped = Some(error);
                            self.weigh(place, batch);
                            return Ok(());
                        }
                        let entry = self.cache.entry(place);
                        entry.parked = true;
                        batch.changes.parked_keys.push((entry.key.to_string(), error));
                        batch.set_aside(entry, page.position(index)?);
                    }
                }
                self.weigh(place, batch);
            }
            batch.changes.next += 1;
        }
        if batch.changes.next == batch.keys.end {
            batch.changes.stopped = batch.keys.failed.clone();
        }
        Ok(())
    }

    /// Evaluation steps of all events and rows so far.
    fn steps(&self) -> u64 {
        self.engine.steps + self.row_memory.steps
    }

    /// Folds one event into the row of its key. After an error the row may be half changed.
    fn event(
        &mut self,
        projection: &Projection,
        page: &impl Page,
        index: usize,
        place: usize,
    ) -> Result<(), CoreError> {
        let handler = handler(projection, page, index)
            .ok_or_else(|| CoreError::new("BUG", "the page is not that of the keys"))?;
        let mut brief = Row::blank();
        let row = match read_brief(page, index, Some(handler), &mut brief)? {
            true => brief,
            false => page.row(index)?,
        };
        let stream = page.stream(index)?.unwrap_or_default();
        let root = page.root(index)?.unwrap_or(stream);
        let entry = self.cache.entry(place);
        let given = match projection.given(page, index, &handler.given)? {
            Ok(given) => given,
            Err(error) => return Err(error.fact("key", &entry.key)),
        };
        let read = |pointer: &str| handler.inputs.reads_value(pointer, row.flags);
        let whose = entry.row.whose.with(page.whose(index, &read));
        if whose == Whose::Several && self.of_one_subject {
            return Err(two_subjects(projection, &entry.key, stream, &row));
        }
        let first = entry.before.is_none();
        if first {
            entry.before = Some(Box::new(entry.row.clone()));
        }
        let names = Names::OfEvent { stream, root };
        let event = engine::Event { names, row: &row, given: &given };
        match self.engine.fold(&projection.fold, handler, event, &mut entry.row.state)? {
            Outcome::Nothing => {
                if first {
                    entry.before = None;
                }
                return Ok(());
            }
            Outcome::Deleted => {
                entry.row.exists = false;
                entry.row.shown = false;
                entry.row.whose = Whose::Nobody;
                return Ok(());
            }
            Outcome::Changed => entry.row.exists = true,
        }
        let Entry { key, row: known, columns, .. } = entry;
        known.version = row.version;
        known.position = row.position;
        known.whose = whose;
        let made = projection.rows.make(&known.state.value, key, columns, &mut self.row_memory);
        known.shown =
            made.map_err(|failure| failure.into_error(&projection.name, Some(key), stream, &row))?;
        Ok(())
    }

    /// Brings the row of a key back to what it was before the event at an index failed: what the
    /// page did to it before is done again, and does not fail.
    fn restore(
        &mut self,
        projection: &Projection,
        page: &impl Page,
        batch: &Batch<'_>,
        index: usize,
        place: usize,
    ) -> Result<(), CoreError> {
        let number = batch.number(index);
        let entry = self.cache.entry(place);
        if let Some(before) = entry.before.take() {
            entry.row = *before;
            if entry.dirty && entry.row.exists {
                let Entry { key, row, columns, .. } = entry;
                let made =
                    projection.rows.make(&row.state.value, key, columns, &mut self.row_memory);
                made.map_err(|_| CoreError::new("BUG", "a row that was made cannot be made"))?;
            }
        }
        for earlier in batch.keys.first..index {
            if batch.number(earlier) == number {
                self.event(projection, page, earlier, place)?;
            }
        }
        Ok(())
    }

    /// Counts what the row of a key adds to the changes.
    fn weigh(&mut self, place: usize, batch: &mut Batch<'_>) {
        let entry = self.cache.entry(place);
        if entry.before.is_none() {
            return;
        }
        if !entry.touched {
            entry.touched = true;
            batch.touched.push(place);
        }
        self.count_changed(place);
    }

    /// Counts the row of a key that changed.
    pub(super) fn count_changed(&mut self, place: usize) {
        let entry = self.cache.entry(place);
        let columns: usize = entry.columns.iter().flatten().map(String::len).sum();
        let weight = 1 + entry.key.len() + entry.row.state.bytes + columns;
        self.dirty_bytes = self.dirty_bytes - entry.weight + weight;
        entry.weight = weight;
        self.cache.count(place, self.batch);
    }

    fn up_to(&self, page: &impl Page, changes: &Changes) -> Result<i64, CoreError> {
        if changes.stopped.is_some() {
            return Ok(page.position(changes.next)? - 1);
        }
        match changes.next.checked_sub(1) {
            Some(last) => page.position(last),
            None => Ok(0),
        }
    }

    /// Adds the rows that changed since the last time to changes that [`Projecting::fold_on`] gave,
    /// and gives the number of the batch that they are; what is folded then is of the next.
    pub fn hand_out(&mut self, changes: &mut Changes) -> Result<u64, CoreError> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable_by(|left, right| self.cache.key(*left).cmp(self.cache.key(*right)));
        self.dirty_bytes = 0;
        self.batch += 1;
        for place in dirty {
            let entry = self.cache.entry(place);
            entry.weight = 0;
            entry.dirty = false;
            let columns = std::mem::take(&mut entry.columns);
            let key = entry.key.to_string();
            if entry.row.exists {
                changes.upserts.push(ChangedRow::new(key, &entry.row, columns)?);
            } else if entry.stored {
                changes.deletes.push(key);
            }
        }
        Ok(self.batch - 1)
    }

    /// All changes that were handed out are in the table.
    pub fn committed(&mut self) {
        self.written(self.batch - 1);
    }

    /// The changes of a batch, and of those before it, are in the table; keys that later ones need
    /// stay.
    pub fn written(&mut self, batch: u64) {
        // Not where rows are still to be handed out, which are told by their places.
        if self.dirty.is_empty() && self.cache.shrink(self.cache_bytes, batch + 1) {
            self.complete = false;
        }
    }

    /// The changes may not have come into the table, or others wrote there: forgets all keys.
    pub fn forget(&mut self) {
        self.cache.clear();
        self.dirty.clear();
        self.dirty_bytes = 0;
        self.complete = false;
    }
}

fn two_subjects(projection: &Projection, key: &str, stream: &str, row: &Row<'_>) -> CoreError {
    let message = "the row would hold personal values of two subjects, and can be sealed for one";
    CoreError::new("PERSONAL_TWO_SUBJECTS", message)
        .fact("projection", &projection.name)
        .fact("key", key)
        .fact("stream", stream)
        .fact("position", row.position)
        .fact("event_id", uuid_text(row.event_id))
}

/// A batch on its way.
struct Batch<'a> {
    keys: &'a Keys,
    /// Places in the cache by number of the key; `None`: the key is not known.
    places: &'a [Option<usize>],
    /// Places of the rows that are touched.
    touched: Vec<usize>,
    changes: Changes,
}

impl Batch<'_> {
    /// The number of the key of the row at an index; `None`: it is not folded.
    fn number(&self, index: usize) -> Option<usize> {
        self.keys.number(index)
    }

    /// Puts an event on the list of its key, which is parked.
    fn set_aside(&mut self, entry: &Entry, position: i64) {
        self.changes.parked_events.push((entry.key.to_string(), position));
    }
}

/// The handler of the row at an index, if it is one of the events that are folded.
fn handler<'a>(
    projection: &'a Projection,
    page: &impl Page,
    index: usize,
) -> Option<&'a TypeHandler> {
    projection.handler(rows::event_type_bytes(page, index)?)
}
