//! The state of a stream: what a fold makes of its events, folded while the next ones arrive.

mod head;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eventfold_core::error::CoreError;
use eventfold_core::fold::{Fold, FoldResult, FoldRun, Start};
use eventfold_core::privacy::Whose;
use eventfold_core::rows::Page as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::head::{bad_head, read_head};
use crate::ahead::RowsAhead;
use crate::connection::Rows;
use crate::error::ReadError;
use crate::kept::{KeptPlace, KeptText, is_sealed};
use crate::keys::{Keyring, unavailable};
use crate::mapping::RowMapper;
use crate::param::Param;
use crate::pool::{Lease, Pool};
use crate::row::PgRows;
use crate::rules::ReadRules;

/// A part of the events is folded when it has so many bytes or events; the first one at once,
/// where it came, the others by a thread.
const FIRST_PART_BYTES: usize = 128 * 1024;
const FIRST_PART_ROWS: usize = 512;
const PART_BYTES: usize = 512 * 1024;
const PART_ROWS: usize = 2_048;
/// Parts that may wait for the one that is folded.
const PARTS_AHEAD: usize = 2;
/// The stream was deleted: the number of the proto's Lifecycle.
const DELETED: i16 = 3;

/// A statement and its arguments.
pub type Statement = (Arc<str>, Vec<Param>);

/// What to fold.
pub struct Hydration {
    /// Name of the stream.
    pub stream: String,
    /// The fold.
    pub fold: Arc<Fold>,
    /// The text that the registered fold must have for `fold` to be it; `None`: it was not asked
    /// for by its name.
    pub source: Option<String>,
    /// A state to go on from, if the database has no newer one; of a version up to `up_to`.
    pub kept: Option<Kept>,
    /// Whether the database's kept state counts.
    pub may_go_on: bool,
    /// Ids of all events that others cancel, up to where this reads; for a fold that skips them.
    pub cancelled: Vec<[u8; 16]>,
    /// The version that the stream must have; `None`: any.
    pub up_to: Option<i64>,
    /// Answers one row, whatever there is: number, version, lifecycle and root of the stream,
    /// digest, kept digest and text of the fold, version, event id, existence and text of a newer
    /// kept state, and the version of the catalogue.
    pub head: Statement,
    /// The first events, from the version of `kept` on, by the name of the stream.
    pub first: Statement,
    /// Most events that `first` answers.
    pub first_rows: usize,
    /// Events by the number of the stream, which stands first; then from which version on.
    pub rest: Statement,
    /// What events are read by, and the states are kept under; `None`: as they are stored.
    pub rules: Option<ReadRules>,
    /// Evaluation steps after which folding goes on in a thread.
    pub inline_steps_max: u64,
    /// Evaluation steps after which a fold lets others have the thread.
    pub slice_steps_max: u64,
}

/// A state that folding can go on from.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Version of the last event that it has seen; 0: it comes from the periods before the stream,
    /// and is no kept state but one to start from.
    pub version: i64,
    /// Id of that event.
    pub event_id: [u8; 16],
    /// When that event was recorded, in microseconds since 1970, if that is known.
    pub recorded_us: Option<i64>,
    /// Whether the aggregate exists.
    pub exists: bool,
    /// JSON text, or that of a sealed value.
    pub state: Vec<u8>,
    /// Whose personal values went into it, if it is not sealed.
    pub whose: Whose,
}

/// What the database knows of stream and fold.
#[derive(Debug, Clone)]
pub struct Head {
    /// `None`: the stream never had an event.
    pub stream_no: Option<i64>,
    /// Version of the stream.
    pub version: i64,
    /// The number of the proto's Lifecycle.
    pub lifecycle: i16,
    /// First stream of the line of periods.
    pub root: String,
    /// Text of the fold that was asked for by its name.
    pub source: Option<String>,
}

/// What a hydration came to.
#[derive(Debug)]
pub enum Outcome {
    /// Stream or fold are not what was expected: nothing was folded.
    Unexpected,
    /// The kept state is not one of this log.
    False(Kept),
    /// A state.
    Folded(Box<Folded>),
}

/// A state, and how it was come by.
#[derive(Debug)]
pub struct Folded {
    /// The state.
    pub result: FoldResult,
    /// The state that folding went on from.
    pub kept: Option<Kept>,
    /// Id of the last event, and when it was recorded; `None` without events.
    pub last: Option<([u8; 16], i64)>,
    /// The lowest epoch of the keyring in which a value of the events was opened; `None`: none was.
    pub opened_epoch: Option<u64>,
}

/// The answer to a hydration.
#[derive(Debug)]
pub struct Hydrated {
    /// Digest of the fold.
    pub fold_digest: String,
    /// What the database knows.
    pub head: Head,
    /// What became of it.
    pub outcome: Outcome,
}

impl Hydration {
    /// Reads and folds.
    pub async fn run(self, pool: Pool) -> Result<Hydrated, ReadError> {
        let (head, outcome) = self.fold(pool).await?;
        Ok(Hydrated { fold_digest: self.fold.digest().to_owned(), head, outcome })
    }

    async fn fold(&self, pool: Pool) -> Result<(Head, Outcome), ReadError> {
        let mut lease = pool.lend().await?;
        let (row, rows) =
            lease.query_both((&self.head.0, &self.head.1), (&self.first.0, &self.first.1)).await?;
        let row = row.ok_or_else(|| ReadError::Lost("the head did not come".to_owned()))?;
        let catalogue_version = row.try_get(11).map_err(bad_head)?;
        if let Err(stale) = ReadRules::check(self.rules.as_ref(), catalogue_version) {
            rest_of(rows, lease).await?;
            return Err(stale);
        }
        let (head, newer) = read_head(&row, &self.stream)?;
        if !self.is_expected(&head) {
            rest_of(rows, lease).await?;
            return Ok((head, Outcome::Unexpected));
        }
        let newer = newer.filter(|_| self.may_go_on);
        let from_database = newer.is_some();
        let kept = newer.or_else(|| self.kept.clone()).filter(|_| head.stream_no.is_some());
        let keyring_epoch = self.keyring().map(Keyring::epoch);
        let opened = match &kept {
            Some(kept) if is_sealed(&kept.state) => Some(self.open(kept).await?),
            _ => None,
        };
        let opened = match (opened, kept.as_ref()) {
            (Some(KeptText::Open(text, whose)), _) => Some((text, whose)),
            (Some(_), Some(kept)) => {
                rest_of(rows, lease).await?;
                return Ok((head, Outcome::False(kept.clone())));
            }
            _ => None,
        };
        let mut folding = Folding::new(self, &head.root, kept);
        folding.opened_epoch = opened.as_ref().and(keyring_epoch);
        folding.opened = opened;
        let mut next = if from_database {
            rest_of(rows, lease).await?;
            folding.kept.as_ref().map(|kept| kept.version)
        } else {
            let count = match folding.feed_all(rows, lease).await? {
                ControlFlow::Break(kept) => return Ok((head, Outcome::False(kept))),
                ControlFlow::Continue(count) => count,
            };
            (count >= self.first_rows).then(|| folding.version + 1)
        };
        if let Some(from) = next.take() {
            let mut params = self.rest.1.clone();
            params[0] = head.stream_no.map_or(Param::Null, Param::Int);
            params[1] = Param::Int(from);
            let mut lease = pool.lend().await?;
            let rows = lease.query(&self.rest.0, &params).await?;
            if let ControlFlow::Break(kept) = folding.feed_all(rows, lease).await? {
                return Ok((head, Outcome::False(kept)));
            }
        }
        match folding.finish().await? {
            ControlFlow::Break(kept) => Ok((head, Outcome::False(kept))),
            ControlFlow::Continue(folded) => Ok((head, Outcome::Folded(Box::new(folded)))),
        }
    }

    fn keyring(&self) -> Option<&Keyring> {
        let showing = self.rules.as_ref().and_then(|rules| rules.showing.as_ref());
        showing.map(|showing| showing.keyring.as_ref())
    }

    /// A sealed state.
    async fn open(&self, kept: &Kept) -> Result<KeptText, CoreError> {
        let kept_digest = self.fold.kept_digest();
        let mapping_digest = self.rules.as_ref().map_or("", |rules| &rules.mapping_digest);
        let place =
            KeptPlace { event_id: &kept.event_id, kept_digest: &kept_digest, mapping_digest };
        let keyring = self.keyring();
        let found = place.open(&kept.state, keyring)?;
        let (KeptText::Missing(subject), Some(keyring)) = (&found, keyring) else {
            return Ok(found);
        };
        keyring.fetch(&[*subject]).await?;
        match place.open(&kept.state, Some(keyring))? {
            KeptText::Missing(_) => Err(unavailable("a key went while it was used")),
            found => Ok(found),
        }
    }

    fn is_expected(&self, head: &Head) -> bool {
        head.lifecycle != DELETED
            && (self.source.is_none() || self.source == head.source)
            && self.up_to.is_none_or(|version| version <= head.version)
    }
}

/// Reads the few rows that are not needed, which is faster than to cancel them.
pub(crate) async fn rest_of(mut rows: Rows, mut lease: Lease) -> Result<(), ReadError> {
    while rows.next().await?.is_some() {}
    lease.finish().await
}

/// A run on its way along the events of a stream.
struct Folding {
    fold: Arc<Fold>,
    stream: String,
    root: String,
    cancelled: Vec<[u8; 16]>,
    /// `None`: events are read as they are stored.
    mapper: Option<RowMapper>,
    /// Not gone on from yet while there is no run.
    kept: Option<Kept>,
    /// Its text, and whose it is, if it is sealed.
    opened: Option<(Vec<u8>, Whose)>,
    /// Epoch of the keyring in which it was opened.
    opened_epoch: Option<u64>,
    /// `None`: before the first event, and while the thread has it.
    run: Option<FoldRun>,
    thread: Option<Thread>,
    /// For the first part; 0 behind it.
    inline_steps_max: u64,
    slice_steps_max: u64,
    /// Version, id and time of the last event that came.
    version: i64,
    last: Option<([u8; 16], i64)>,
}

/// A run in the hands of the threads that fold.
struct Thread {
    parts: mpsc::Sender<(PgRows, usize)>,
    done: JoinHandle<Result<FoldRun, CoreError>>,
    /// Stops the run when nobody waits for it any more.
    _stop: StopOnDrop,
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Folding {
    fn new(hydration: &Hydration, root: &str, kept: Option<Kept>) -> Self {
        Self {
            fold: Arc::clone(&hydration.fold),
            stream: hydration.stream.clone(),
            root: root.to_owned(),
            cancelled: hydration.cancelled.clone(),
            mapper: RowMapper::of(hydration.rules.as_ref(), Some(&hydration.stream)),
            kept,
            opened: None,
            opened_epoch: None,
            run: None,
            thread: None,
            inline_steps_max: hydration.inline_steps_max,
            slice_steps_max: hydration.slice_steps_max,
            version: 0,
            last: None,
        }
    }

    /// Folds rows part by part as they come, and gives their number; breaks with the kept state
    /// that turned out not to be one of this log.
    async fn feed_all(
        &mut self,
        rows: Rows,
        mut lease: Lease,
    ) -> Result<ControlFlow<Kept, usize>, ReadError> {
        let mut rows = RowsAhead::new(rows);
        let mut count = 0;
        let mut part = PgRows::default();
        loop {
            let row = rows.next().await?;
            let ended = row.is_none();
            if let Some(row) = row {
                count += 1;
                let (row, changed) = match &mut self.mapper {
                    None => (row, None),
                    Some(mapper) => mapper.map(row, &mut rows).await?,
                };
                part.push(row, changed);
            }
            let (rows_max, bytes_max) = match self.thread {
                None => (FIRST_PART_ROWS, FIRST_PART_BYTES),
                Some(_) => (PART_ROWS, PART_BYTES),
            };
            if ended || part.len() >= rows_max || part.bytes >= bytes_max {
                if !part.is_empty() {
                    let part = std::mem::take(&mut part);
                    if let ControlFlow::Break(kept) = self.feed(part).await? {
                        return Ok(ControlFlow::Break(kept));
                    }
                }
                if ended {
                    lease.finish().await?;
                    return Ok(ControlFlow::Continue(count));
                }
            }
        }
    }

    async fn feed(&mut self, part: PgRows) -> Result<ControlFlow<Kept>, ReadError> {
        let last = part.len() - 1;
        self.version = part.version(last)?;
        self.last = Some((*part.event_id(last)?, part.recorded_us(last)?));
        let mut first = 0;
        if self.run.is_none() && self.thread.is_none() {
            match self.begin(&part)? {
                ControlFlow::Break(kept) => return Ok(ControlFlow::Break(kept)),
                ControlFlow::Continue(skipped) => first = skipped,
            }
        }
        if let Some(run) = &mut self.run
            && self.inline_steps_max > 0
        {
            // Size does not tell what an expression costs: few events can take seconds.
            first = run.feed_within(&part, first..part.len(), self.inline_steps_max)?;
            self.inline_steps_max = 0;
            if first >= part.len() {
                return Ok(ControlFlow::Continue(()));
            }
        }
        if let Some(run) = self.run.take() {
            self.thread = Some(Thread::start(run, self.slice_steps_max));
        }
        let Some(thread) = &self.thread else { return Ok(ControlFlow::Continue(())) };
        // Refused by a thread that failed; its error comes at the end.
        let fed = thread.parts.send((part, first)).await;
        if fed.is_err() {
            self.join().await?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Begins the run with the first row; gives the number of rows that it has seen already.
    fn begin(&mut self, part: &PgRows) -> Result<ControlFlow<Kept, usize>, ReadError> {
        let run = FoldRun::new(Arc::clone(&self.fold), &self.stream, &self.root)
            .with_cancelled_events(std::mem::take(&mut self.cancelled), i64::MAX);
        let Some(kept) = &mut self.kept else {
            self.run = Some(run);
            return Ok(ControlFlow::Continue(0));
        };
        if kept.version == 0 {
            self.run = Some(inherited(run, kept)?);
            self.kept = None;
            return Ok(ControlFlow::Continue(0));
        }
        let recorded_us = part.recorded_us(0)?;
        let same = part.version(0)? == kept.version
            && *part.event_id(0)? == kept.event_id
            && kept.recorded_us.is_none_or(|known| known == recorded_us);
        let (state, whose) = self.opened.take().unwrap_or_else(|| (kept.state.clone(), kept.whose));
        let start = Start {
            exists: kept.exists,
            state,
            version: kept.version,
            position: part.position(0)?,
            whose,
        };
        // A text that is no state at all is not one of this log either.
        let Some(run) = same.then(|| run.resume(&start).ok()).flatten() else {
            return Ok(ControlFlow::Break(kept.clone()));
        };
        kept.recorded_us = Some(recorded_us);
        self.run = Some(run);
        Ok(ControlFlow::Continue(1))
    }

    async fn finish(mut self) -> Result<ControlFlow<Kept, Folded>, ReadError> {
        if self.thread.is_some() {
            self.join().await?;
        }
        let run = match (self.run.take(), self.kept.take()) {
            (Some(run), kept) => {
                self.kept = kept;
                run
            }
            // No event counts.
            (None, Some(kept)) if kept.version == 0 => {
                let run = FoldRun::new(Arc::clone(&self.fold), &self.stream, &self.root);
                inherited(run, &kept)?
            }
            // Its own event did not come.
            (None, Some(kept)) => return Ok(ControlFlow::Break(kept)),
            (None, None) => FoldRun::new(Arc::clone(&self.fold), &self.stream, &self.root),
        };
        let of_events = self.mapper.as_mut().and_then(RowMapper::take_opened);
        let opened_epoch = [of_events, self.opened_epoch].into_iter().flatten().min();
        let (result, kept, last) = (run.finish()?, self.kept, self.last);
        let folded = Folded { result, kept, last, opened_epoch };
        Ok(ControlFlow::Continue(folded))
    }

    /// Takes the run back from the thread, once it has folded all.
    async fn join(&mut self) -> Result<(), ReadError> {
        let Some(Thread { parts, done, _stop }) = self.thread.take() else { return Ok(()) };
        drop(parts);
        self.run = Some(done.await.map_err(|_| panicked())??);
        Ok(())
    }
}

impl Thread {
    fn start(mut run: FoldRun, slice_steps_max: u64) -> Self {
        let stop = StopOnDrop(run.stop_flag());
        let (parts, mut come) = mpsc::channel::<(PgRows, usize)>(PARTS_AHEAD);
        let done = tokio::spawn(async move {
            while let Some((mut part, mut next)) = come.recv().await {
                // In slices, so that folds that take long take turns.
                while next < part.len() {
                    let slice = tokio::task::spawn_blocking(move || {
                        let fed = run.feed_within(&part, next..part.len(), slice_steps_max);
                        (run, part, fed)
                    });
                    let fed;
                    (run, part, fed) = slice.await.map_err(|_| panicked())?;
                    next = fed?;
                }
            }
            Ok(run)
        });
        Self { parts, done, _stop: stop }
    }
}

/// A run that starts from the state of the periods before.
fn inherited(run: FoldRun, kept: &Kept) -> Result<FoldRun, CoreError> {
    let &Kept { exists, whose, .. } = kept;
    let state = kept.state.clone();
    run.resume(&Start { exists, state, version: 0, position: 0, whose })
}

fn panicked() -> CoreError {
    CoreError::new("BUG", "the core panicked; the server's log says where")
}
