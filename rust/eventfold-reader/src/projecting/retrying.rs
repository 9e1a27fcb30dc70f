//! Folding the events of parked keys after the mend.
//!
//! Who retries has taken the lease of the generation, so that whoever built it is fenced, and
//! begins anew with what the database says, once it has the lease again. Some keys at a time are
//! folded from their rows along their lists, and written in one transaction, which begins with the
//! check of the lease as each step's does. A key that fails again keeps its row and its list.

use std::sync::Arc;
use std::time::Instant;

use eventfold_core::error::CoreError;
use eventfold_core::projection::{Known, Projecting};
use eventfold_core::rows::Page as _;
use tokio::sync::Mutex;

use super::Generation;
use super::batch::Batch;
use super::reading::Anchor;
use super::rows;
use super::sheet::{Cell, Sheet};
use super::writing::{hold, write};
use crate::error::ReadError;
use crate::pages::{Content, Form, Order, Range, Reading};
use crate::param::Param;
use crate::pool::Pool;
use crate::row::PgRows;

/// The statements of a retry; `storage/sql/projections.sql` says what they take and answer.
#[derive(Debug)]
pub struct RetryStatements {
    /// The next parked keys.
    pub keys: Arc<str>,
    /// The events on their lists.
    pub events: Arc<str>,
    /// Prolongs the lease while nothing is written.
    pub hold: Arc<str>,
}

/// What one transaction came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retried {
    /// Keys that are parked no longer.
    pub mended: usize,
    /// Their events.
    pub events: u64,
    /// Keys that failed again.
    pub failed: usize,
    /// No key is left.
    pub done: bool,
    /// The lease is somebody else's, or the generation is gone: nothing was written.
    pub fenced: bool,
}

/// A retry under way. Clones share it; calls take turns.
#[derive(Clone)]
pub struct Retry(Arc<Mutex<Retrying>>);

struct Retrying {
    read: Pool,
    write: Pool,
    generation: Generation,
    statements: RetryStatements,
    /// `None`: all that are parked.
    wanted: Option<Vec<String>>,
    /// The last key that was tried.
    after: String,
}

impl Retry {
    /// Begins nothing yet; of the parked keys those that are `wanted`, or all.
    pub fn new(
        read: Pool,
        write: Pool,
        generation: Generation,
        statements: RetryStatements,
        wanted: Option<Vec<String>>,
    ) -> Self {
        let after = String::new();
        Self(Arc::new(Mutex::new(Retrying { read, write, generation, statements, wanted, after })))
    }

    /// Tries the next keys. What was begun must be carried through.
    pub async fn go_on(&self) -> Result<Retried, ReadError> {
        self.0.lock().await.go_on().await
    }
}

impl Retrying {
    async fn go_on(&mut self) -> Result<Retried, ReadError> {
        let fenced = Retried { fenced: true, ..Retried::default() };
        let Some(progress) = rows::progress(&self.write, &self.generation).await? else {
            return Ok(fenced);
        };
        let keys = self.next_keys().await?;
        if keys.is_empty() {
            return Ok(Retried { done: true, ..Retried::default() });
        }
        let mut sheet =
            Sheet::new(Projecting::new(Arc::clone(&self.generation.projection)).with_parking(true));
        let names: Vec<String> = keys.iter().map(|(key, _)| key.clone()).collect();
        let load = |key: &str, known: Known<'_>, _: bool| {
            sheet.load(key, known);
            Ok(())
        };
        let known = rows::of_keys(&self.write, &self.generation, &names, load).await?;
        let (keys, names) = (&keys[..known], &names[..known]);
        let Some((sheet, last)) = self.fold(sheet, names).await? else { return Ok(fenced) };
        let (batch, retried) = outcome(sheet, keys, progress.position, last);
        let pool = self.write.clone();
        if !write(pool, &self.generation, progress.position, progress.rate, &batch).await? {
            return Ok(fenced);
        }
        if let Some(last) = names.last() {
            self.after.clone_from(last);
        }
        Ok(retried)
    }

    /// The next parked keys in byte order, with the lengths of their lists.
    async fn next_keys(&self) -> Result<Vec<(String, i64)>, ReadError> {
        let params = [
            Param::Int(self.generation.generation_no),
            Param::Text(self.after.clone()),
            self.wanted.clone().map_or(Param::Null, Param::Texts),
            Param::Int(self.generation.bounds.retry_keys),
            Param::Int(self.generation.bounds.retry_events),
        ];
        let mut lease = self.write.lend().await?;
        let mut rows = lease.query(&self.statements.keys, &params).await?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next().await? {
            let read = || Ok((row.try_get(0)?, row.try_get(1)?));
            let bad = |_: tokio_postgres::Error| bug("parked keys cannot be decoded");
            keys.push(read().map_err(bad)?);
        }
        lease.finish().await?;
        Ok(keys)
    }

    /// Folds the lists of the keys, and gives the last event on them; `None` if the lease was lost
    /// meanwhile.
    async fn fold(
        &self,
        mut sheet: Sheet,
        keys: &[String],
    ) -> Result<Option<(Sheet, Option<Anchor>)>, ReadError> {
        let mut last = None;
        let mut held_at = Instant::now();
        let mut reading = Reading::new(self.read.clone(), self.lists(keys));
        while !reading.is_done() {
            let Content::Rows(rows) = reading.page().await?.content else {
                return Err(bug("a page of rows was asked for"));
            };
            if let Some(index) = rows.len().checked_sub(1) {
                last = Some((rows.position(index)?, *rows.event_id(index)?));
            }
            sheet = fold_page(sheet, rows).await?;
            if held_at.elapsed() >= self.generation.bounds.lease / 3 {
                if !hold(&self.write, &self.generation, &self.statements.hold).await? {
                    return Ok(None);
                }
                held_at = Instant::now();
            }
        }
        Ok(Some((sheet, last)))
    }

    fn lists(&self, keys: &[String]) -> Range {
        Range {
            sql: Arc::clone(&self.statements.events),
            params: vec![
                Param::Texts(keys.to_vec()),
                Param::Int(1),
                Param::Int(i64::MAX),
                Param::Int(i64::MAX),
                Param::Int(self.generation.generation_no),
            ],
            order: Order::Positions,
            backwards: false,
            window: None,
            form: Form::Rows,
            page_bytes: self.generation.bounds.page_bytes,
        }
    }
}

/// Folds a page in a thread; the keys' own events only.
async fn fold_page(mut sheet: Sheet, rows: PgRows) -> Result<Sheet, ReadError> {
    let folding = tokio::task::spawn_blocking(move || {
        sheet.fold(&rows, 0)?;
        // Only a key can stop it, and that of an event on a list did not fail before.
        match sheet.stopped.take() {
            Some(error) => Err(error),
            None => Ok(sheet),
        }
    });
    let panicked = |_| bug("the core panicked; the server's log says where");
    Ok(folding.await.map_err(panicked)??)
}

/// What is to be written, and what that comes to.
fn outcome(
    mut sheet: Sheet,
    keys: &[(String, i64)],
    at: i64,
    last: Option<Anchor>,
) -> (Batch, Retried) {
    let mut batch = Batch::new(at);
    batch.hold_on(last);
    batch.failed_again = std::mem::take(&mut sheet.failed);
    for (key, events) in keys {
        match sheet.take(key) {
            Cell::Parked(_) => continue,
            Cell::Changed(row) => {
                batch.upserts.push(row);
            }
            Cell::Loaded(_) => {}
            Cell::Gone => {
                batch.deletes.push(key.clone());
            }
        }
        batch.mended.push(key.clone());
        batch.events += events.unsigned_abs();
    }
    let retried = Retried {
        mended: batch.mended.len(),
        events: batch.events,
        failed: batch.failed_again.len(),
        ..Retried::default()
    };
    (batch, retried)
}

fn bug(message: &'static str) -> ReadError {
    CoreError::new("BUG", message).into()
}
