//! Trying a document out: a bounded number of events is folded into memory, and nothing is kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventfold_core::error::CoreError;
use eventfold_core::projection::ChangedRow;
use eventfold_core::rows::Page as _;
use tokio::sync::Mutex;

use super::Generation;
use super::reading::SourcePage;
use super::sheet::{Cell, Sheet};
use super::stored::error_json;
use super::streams::Streams;
use crate::error::ReadError;
use crate::pool::Pool;
use crate::rules::ReadRules;

/// A call works for about this long.
const TURN_TIME: Duration = Duration::from_millis(100);
/// Parked keys that are told.
const PARKED_MAX: usize = 100;

/// How far a trial has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    /// Position up to which events were looked at.
    pub position: i64,
    /// Events that were folded.
    pub events: u64,
    /// It does not go on.
    pub done: bool,
    /// Why folding ended at the event behind `position`: JSON with reason, message, facts.
    pub stopped: Option<String>,
}

/// A key that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The key.
    pub key: String,
    /// Why: JSON with reason, message, facts.
    pub error: String,
    /// Position of the event that failed.
    pub position: i64,
    /// Number of events that were set aside.
    pub events: u64,
}

/// The rows that came of a trial, an element of each list for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriedRows {
    /// Keys of the rows that are shown, in byte order.
    pub keys: Vec<String>,
    /// Versions of the last events that touched them.
    pub versions: Vec<i64>,
    /// Positions of these.
    pub positions: Vec<i64>,
    /// For each column of the document the texts of its values.
    pub columns: Vec<Vec<Option<String>>>,
    /// Number of the rows that are not shown.
    pub hidden: usize,
    /// The first keys that were set aside, in byte order.
    pub parked: Vec<SetAside>,
}

/// A trial under way. Clones share it; calls take turns.
#[derive(Clone)]
pub struct Trial(Arc<Mutex<Trying>>);

struct Trying {
    read: Pool,
    streams: Streams,
    generation: Generation,
    rules: ReadRules,
    /// `None` while it is with the thread that folds, and at the end.
    sheet: Option<Sheet>,
    position: i64,
    up_to: i64,
    events_left: i64,
}

impl Trial {
    /// Begins nothing yet. Events behind a position are to be folded, up to another that is not
    /// above the head; at most `events_max` of the source. Of the generation only the document, the
    /// page statement and the bounds are used.
    pub fn new(
        read: Pool,
        generation: Generation,
        rules: ReadRules,
        after: i64,
        up_to: i64,
        events_max: i64,
    ) -> Self {
        let projecting = generation.projecting().of_empty_table();
        Self(Arc::new(Mutex::new(Trying {
            read,
            streams: Streams::default(),
            generation,
            rules,
            sheet: Some(Sheet::new(projecting)),
            position: after,
            up_to,
            events_left: events_max,
        })))
    }

    /// Goes on for a while.
    pub async fn go_on(&self) -> Result<Tried, ReadError> {
        self.0.lock().await.go_on().await
    }

    /// Gives out what came of it.
    pub async fn rows(&self) -> Result<TriedRows, ReadError> {
        let mut trying = self.0.lock().await;
        let sheet = trying.sheet.take().ok_or_else(|| bug("a trial was ended before"))?;
        let marked = trying.generation.seals().marks.columns.clone();
        let told = tokio::task::spawn_blocking(move || told(sheet, &marked)).await;
        told.map_err(|_| bug("the core panicked; the server's log says where"))
    }
}

impl Trying {
    async fn go_on(&mut self) -> Result<Tried, ReadError> {
        let until = Instant::now() + TURN_TIME;
        loop {
            let sheet = self.sheet.as_ref().ok_or_else(|| bug("a trial was ended before"))?;
            let done = self.position >= self.up_to
                || self.events_left <= 0
                || sheet.stopped.is_some()
                || sheet.bytes >= self.generation.bounds.sheet_bytes;
            if done || Instant::now() >= until {
                return Ok(Tried {
                    position: self.position,
                    events: sheet.events,
                    done,
                    stopped: sheet.stopped.as_ref().map(error_json),
                });
            }
            let page = SourcePage::read(
                self.read.clone(),
                &self.generation,
                &self.streams,
                &self.rules,
                self.position,
                self.up_to,
                self.events_left,
            )
            .await?;
            self.fold(page).await?;
        }
    }

    async fn fold(&mut self, page: SourcePage) -> Result<(), ReadError> {
        let mut sheet = self.sheet.take().ok_or_else(|| bug("a trial was ended before"))?;
        let folding = tokio::task::spawn_blocking(move || {
            let next = sheet.fold(&page.rows, 0);
            (sheet, page, next)
        });
        let panicked = |_| bug("the core panicked; the server's log says where");
        let (mut sheet, mut page, next) = folding.await.map_err(panicked)?;
        let next = next?;
        self.events_left -= page.rows.len() as i64;
        self.position = match sheet.stopped {
            Some(_) => page.rows.position(next)? - 1,
            None => page.looked_at,
        };
        if sheet.stopped.is_none() {
            sheet.stopped = page.failed.take();
        }
        self.sheet = Some(sheet);
        Ok(())
    }
}

/// What can be personal is left out: it would go to the database, which sorts the rows.
fn told(mut sheet: Sheet, marked: &[bool]) -> TriedRows {
    let mut told = TriedRows { columns: vec![Vec::new(); marked.len()], ..TriedRows::default() };
    told.parked = parked(&mut sheet);
    let mut rows: Vec<ChangedRow> = sheet.rows.into_values().filter_map(Cell::into_row).collect();
    let all = rows.len();
    rows.retain(|row| row.shown);
    told.hidden = all - rows.len();
    rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    for row in rows {
        told.keys.push(row.key);
        told.versions.push(row.version);
        told.positions.push(row.position);
        for ((values, value), marked) in told.columns.iter_mut().zip(row.columns).zip(marked) {
            values.push(value.filter(|_| !marked));
        }
    }
    told
}

fn parked(sheet: &mut Sheet) -> Vec<SetAside> {
    let mut lists: HashMap<String, (i64, u64)> = HashMap::new();
    for (key, position) in std::mem::take(&mut sheet.set_aside) {
        lists.entry(key).or_insert((position, 0)).1 += 1;
    }
    let mut failed = std::mem::take(&mut sheet.failed);
    failed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let told = |(key, error): (String, CoreError)| {
        let (position, events) = lists.get(&key).copied().unwrap_or_default();
        SetAside { key, error: error_json(&error), position, events }
    };
    failed.into_iter().take(PARKED_MAX).map(told).collect()
}

fn bug(message: &'static str) -> ReadError {
    CoreError::new("BUG", message).into()
}
