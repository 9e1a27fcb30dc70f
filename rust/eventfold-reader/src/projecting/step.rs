//! One step after the other, of one generation under one lease.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use eventfold_core::error::CoreError;
use eventfold_core::mapping::Mappings;
use eventfold_core::projection::{Changes, Keys, Projecting, ProjectionMarks};
use eventfold_core::rows::Page as _;
use futures_util::future::join;
use tokio::sync::Mutex;

use super::batch::Batch;
use super::reading::{Ahead, Anchor, SourcePage};
use super::seals::Seals;
use super::stored::error_json;
use super::streams::Streams;
use super::writing::write;
use super::{Generation, Step, rows};
use crate::error::ReadError;
use crate::failpoint::{Failpoint, reach};
use crate::pool::Pool;
use crate::rules::ReadRules;

/// Over about this time the rate is averaged.
const RATE_S: f64 = 5.0;
/// The table is no more: the generation was dropped.
const UNDEFINED_TABLE: &str = "42P01";

/// Builds one generation under one lease. Clones share it; steps take turns.
#[derive(Clone)]
pub struct Worker(Arc<Mutex<Building>>);

/// How far the database is.
#[derive(Debug, Clone)]
struct Place {
    /// Position that was written.
    position: i64,
    /// No event of the source lies between `position` and here.
    looked_at: i64,
    rate: f64,
    written: Instant,
}

/// What is remembered from step to step; all of it can be had from the database again.
pub(super) struct Building {
    pub(super) read: Pool,
    pub(super) write: Pool,
    pub(super) generation: Arc<Generation>,
    /// `None`: to be asked for.
    place: Option<Place>,
    /// `None` while it is with the thread that folds, or after that failed.
    pub(super) projecting: Option<Projecting>,
    streams: Streams,
    /// What was read was read by these.
    pub(super) rules: ReadRules,
    /// The event at the end of what is read, from before it is read.
    anchor: Option<Anchor>,
    /// What did not fit into the last batch.
    page: Option<SourcePage>,
    ahead: Option<Ahead>,
    /// Of the keyring, when what is remembered was read.
    epoch: u64,
}

/// What became of a page.
enum Folded {
    /// The keys of the next rows must be loaded first.
    Unknown(Keys, Vec<String>),
    /// Some rows or all of them are folded.
    Changes(Changes),
}

impl Worker {
    /// Begins with what the database says. Events are read through one pool, rows are read and
    /// written through the other.
    pub fn new(read: Pool, write: Pool, generation: Generation) -> Self {
        let rules = ReadRules::new(0, Mappings::default());
        Self(Arc::new(Mutex::new(Building {
            read,
            write,
            generation: Arc::new(generation),
            place: None,
            projecting: None,
            streams: Streams::default(),
            rules,
            anchor: None,
            page: None,
            ahead: None,
            epoch: 0,
        })))
    }

    /// Goes on by a few batches, up to a position that is not above the head. Must not be dropped
    /// on the way: what was begun is carried through. Nothing is done if the store has other rules.
    pub async fn step(
        &self,
        up_to: i64,
        rules: ReadRules,
        marks: Arc<ProjectionMarks>,
    ) -> Result<Step, ReadError> {
        let mut building = self.0.lock().await;
        building.go_by(rules, marks);
        let result = building.step(up_to).await;
        match &result {
            Ok(step) if !step.fenced => {}
            Err(ReadError::Stale(_)) => {}
            Err(ReadError::Refused { sqlstate, .. }) if sqlstate == UNDEFINED_TABLE => {
                building.forget();
                return Ok(Step { fenced: true, ..Step::default() });
            }
            _ => building.forget(),
        }
        result
    }

    /// Forgets whatever is remembered, after the step under way.
    pub async fn forget(&self) {
        self.0.lock().await.forget();
    }
}

impl Building {
    fn forget(&mut self) {
        self.place = None;
        self.projecting = None;
        self.streams = Streams::default();
        self.anchor = None;
        self.page = None;
        self.ahead = None;
    }

    /// Goes by these rules from now on: what was read by others is read again.
    fn go_by(&mut self, rules: ReadRules, marks: Arc<ProjectionMarks>) {
        if self.rules.mapping_digest != rules.mapping_digest {
            (self.page, self.ahead) = (None, None);
        }
        let keyring = rules.showing.as_ref().map(|showing| Arc::clone(&showing.keyring));
        let epoch = keyring.as_ref().map_or(0, |keyring| keyring.epoch());
        let known = self.generation.seals();
        if *known.marks != *marks || self.epoch != epoch {
            // What is remembered may be of somebody who was erased, or be personal by now.
            self.forget();
            self.epoch = epoch;
        }
        let seals = Seals { marks, keyring, ..known };
        *self.generation.seals.write().unwrap_or_else(PoisonError::into_inner) = seals;
        self.rules = rules;
    }

    async fn step(&mut self, up_to: i64) -> Result<Step, ReadError> {
        if self.place.is_none()
            && let Some(ended) = self.begin().await?
        {
            return Ok(ended);
        }
        let bounds = self.generation.bounds;
        self.drop_pages(up_to);
        let mut place = self.place.clone().ok_or_else(lost)?;
        if up_to > place.looked_at {
            self.find_anchor(up_to).await?;
        }
        let mut step = Step { position: place.position, ..Step::default() };
        let mut batch = self.fold_batch(place.looked_at, up_to).await?;
        for left in (0..bounds.batches.max(1)).rev() {
            step.done = batch.position >= up_to && batch.stopped.is_none();
            if batch.is_empty() && step.done && !self.is_due(&place, &batch) {
                place.looked_at = batch.position.max(place.looked_at);
                self.place = Some(place);
                // Nothing was changed, and what was loaded may go.
                self.committed(&batch)?;
                break;
            }
            let rate = rate(&place, &batch);
            let (pool, generation) = (self.write.clone(), Arc::clone(&self.generation));
            let writing = write(pool, &generation, place.position, rate, &batch);
            let (written, next) = if left == 0 || step.done || batch.stopped.is_some() {
                (writing.await, None)
            } else {
                let folding = self.fold_batch(batch.position, up_to);
                let (written, next) = join(writing, folding).await;
                (written, Some(next))
            };
            if !written? {
                return Ok(Step { done: false, fenced: true, ..step });
            }
            self.committed(&batch)?;
            place = Place::written(&batch, rate);
            self.place = Some(place.clone());
            step.add(&batch);
            match next {
                Some(next) => batch = next?,
                None => break,
            }
        }
        if step.stopped.is_some() {
            self.forget();
        }
        Ok(step)
    }

    /// Finds the event at the end of what is to be read. While the log has it, all before it is
    /// what it was: events are lost from the end only.
    async fn find_anchor(&mut self, up_to: i64) -> Result<(), ReadError> {
        if up_to > 0 && self.anchor.is_none_or(|(position, _)| position != up_to) {
            self.anchor =
                Some(rows::anchor(&self.read, &self.generation, &self.rules, up_to).await?);
        }
        Ok(())
    }

    /// Drops pages that are old or go too far, with what else was read with them: a fail-over may
    /// have taken it back.
    fn drop_pages(&mut self, up_to: i64) {
        let page_age = self.generation.bounds.page_age;
        let fits = |read: Instant, end: i64| read.elapsed() <= page_age && end <= up_to;
        let page = self.page.take_if(|page| !fits(page.read_at, page.looked_at));
        let ahead = self.ahead.take_if(|ahead| !fits(ahead.begun, ahead.up_to));
        if page.is_some() || ahead.is_some() {
            self.streams = Streams::default();
        }
    }

    /// Folds events behind a position until there is something to write, or nothing to read.
    async fn fold_batch(&mut self, after: i64, up_to: i64) -> Result<Batch, ReadError> {
        let bounds = self.generation.bounds;
        let mut batch = Batch::new(after);
        batch.stopped = self.generation.seals().uncovered(&self.generation.projection);
        while batch.position < up_to && !batch.is_full(&bounds) {
            let page = self.next_page(batch.position, up_to).await?;
            self.fold(page, &mut batch).await?;
        }
        let mut projecting = self.projecting.take().ok_or_else(lost)?;
        let handing_out = tokio::task::spawn_blocking(move || {
            let mut changes = Changes::default();
            let number = projecting.hand_out(&mut changes);
            (projecting, number, changes)
        });
        let (projecting, number, changes) = handing_out.await.map_err(panicked)?;
        self.projecting = Some(projecting);
        (batch.number, batch.upserts, batch.deletes) = (number?, changes.upserts, changes.deletes);
        Ok(batch)
    }

    /// Learns how far the generation is; a step if there is nothing to do about it.
    async fn begin(&mut self) -> Result<Option<Step>, ReadError> {
        self.forget();
        let found = rows::progress(&self.write, &self.generation).await?;
        let Some(found) = found else {
            return Ok(Some(Step { fenced: true, ..Step::default() }));
        };
        if found.stopped.is_some() {
            let (position, stopped) = (found.position, found.stopped);
            return Ok(Some(Step { position, stopped, ..Step::default() }));
        }
        let projecting = self
            .generation
            .projecting()
            .with_cache_bytes(self.generation.bounds.cache_bytes)
            .stopping_at_cancellations();
        // Before its first event nothing can be in the table.
        self.projecting =
            Some(if found.position == 0 { projecting.of_empty_table() } else { projecting });
        self.place = Some(Place {
            position: found.position,
            looked_at: found.position,
            rate: found.rate,
            written: Instant::now(),
        });
        Ok(None)
    }

    /// Whether the lease, or what people see of the position, asks for a transaction.
    fn is_due(&self, place: &Place, batch: &Batch) -> bool {
        let bounds = &self.generation.bounds;
        let age = place.written.elapsed();
        age >= bounds.lease / 3 || (batch.position > place.position && age >= bounds.quiet)
    }

    /// The page behind a position; begins to read the one behind that.
    async fn next_page(&mut self, after: i64, up_to: i64) -> Result<SourcePage, ReadError> {
        if let Some(page) = self.page.take() {
            return Ok(page);
        }
        let page = match self.ahead.take() {
            Some(ahead) if ahead.is_behind(after) => ahead.page().await?,
            _ => self.reading(after, up_to).await?,
        };
        reach(Failpoint::Read);
        if page.looked_at < up_to {
            let after = page.looked_at;
            self.ahead = Some(Ahead::begin(self.reading(after, up_to), after, up_to));
        }
        Ok(page)
    }

    fn reading(
        &self,
        after: i64,
        up_to: i64,
    ) -> impl Future<Output = Result<SourcePage, ReadError>> + Send + 'static {
        let (pool, generation) = (self.read.clone(), Arc::clone(&self.generation));
        let (streams, rules, anchor) = (self.streams.clone(), self.rules.clone(), self.anchor);
        async move {
            let rows_max = i64::MAX;
            let page =
                SourcePage::read(pool, &generation, &streams, &rules, after, up_to, rows_max)
                    .await?;
            Ok(SourcePage { anchor, ..page })
        }
    }

    /// Folds what is left of a page, and keeps what does not fit into the batch.
    async fn fold(&mut self, mut page: SourcePage, batch: &mut Batch) -> Result<(), ReadError> {
        batch.hold_on(page.anchor);
        while page.next < page.rows.len() {
            if batch.is_full(&self.generation.bounds) {
                self.page = Some(page);
                return Ok(());
            }
            if self.projecting.as_ref().ok_or_else(lost)?.stops_at(&page.rows, page.next) {
                self.fold_anew(&page, batch).await?;
                if batch.stopped.is_some() {
                    return Ok(());
                }
                page.next += 1;
                continue;
            }
            let mut folded;
            (page, folded) = self.fold_rows(page, None).await?;
            if let Folded::Unknown(keys, unknown) = folded {
                let projecting = self.projecting.as_mut().ok_or_else(lost)?;
                rows::load(&self.write, &self.generation, projecting, &unknown).await?;
                batch.is_crowded =
                    projecting.cache_bytes() / 2 > self.generation.bounds.cache_bytes;
                (page, folded) = self.fold_rows(page, Some(keys)).await?;
            }
            let Folded::Changes(changes) = folded else { return Err(lost()) };
            if changes.next == page.next && changes.stopped.is_none() {
                return Err(CoreError::new("BUG", "folding does not get on").into());
            }
            page.next = changes.next;
            batch.add(changes, self.projecting.as_ref().map_or(0, Projecting::changed_bytes));
            if batch.stopped.is_some() {
                return Ok(());
            }
        }
        batch.position = page.looked_at;
        batch.stopped = page.failed.take();
        reach(Failpoint::Folded);
        Ok(())
    }

    /// Folds rows in a thread, since few events can take seconds. With keys whose rows are loaded
    /// as far as there was room, it folds as far.
    async fn fold_rows(
        &mut self,
        page: SourcePage,
        keys: Option<Keys>,
    ) -> Result<(SourcePage, Folded), ReadError> {
        let mut projecting = self.projecting.take().ok_or_else(lost)?;
        let folding = tokio::task::spawn_blocking(move || {
            let folded = fold_page(&mut projecting, &page, keys);
            (projecting, page, folded)
        });
        let (projecting, page, folded) = folding.await.map_err(panicked)?;
        self.projecting = Some(projecting);
        Ok((page, folded?))
    }

    /// Tells the core that what it gave is in the table.
    fn committed(&mut self, batch: &Batch) -> Result<(), ReadError> {
        self.projecting.as_mut().ok_or_else(lost)?.written(batch.number);
        Ok(())
    }
}

impl Place {
    fn written(batch: &Batch, rate: f64) -> Self {
        let position = batch.position;
        Self { position, looked_at: position, rate, written: Instant::now() }
    }
}

impl Step {
    /// Adds a batch that is written.
    fn add(&mut self, batch: &Batch) {
        self.position = batch.position;
        self.events += batch.events;
        self.rows += batch.upserts.len() + batch.deletes.len();
        self.parked += batch.parked_keys.len();
        self.stopped = batch.stopped.as_ref().map(error_json);
    }
}

fn fold_page(
    projecting: &mut Projecting,
    page: &SourcePage,
    keys: Option<Keys>,
) -> Result<Folded, CoreError> {
    let keys = match keys {
        Some(keys) => keys,
        None => {
            let keys = projecting.keys(&page.rows, page.next)?;
            let unknown = projecting.unknown(&keys);
            if !unknown.is_empty() {
                return Ok(Folded::Unknown(keys, unknown));
            }
            keys
        }
    };
    projecting.fold_on(&page.rows, &keys).map(Folded::Changes)
}

/// Positions a second, the last few seconds counting most.
fn rate(place: &Place, batch: &Batch) -> f64 {
    let seconds = place.written.elapsed().as_secs_f64().max(1e-6);
    let now = (batch.position - place.position) as f64 / seconds;
    let weight = 1.0 - (-seconds / RATE_S).exp();
    if place.rate == 0.0 { now } else { place.rate + weight * (now - place.rate) }
}

fn panicked(_: tokio::task::JoinError) -> CoreError {
    CoreError::new("BUG", "the core panicked; the server's log says where")
}

fn lost() -> ReadError {
    CoreError::new("BUG", "a step before failed halfway").into()
}
