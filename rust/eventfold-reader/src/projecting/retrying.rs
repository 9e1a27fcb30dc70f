//! Folding the events of parked keys after the mend.
//!
//! Who retries has taken the lease of the generation, so that whoever built it is fenced, and
//! begins anew with what the database says, once it has the lease again. Some keys at a time are
//! folded from their rows along their lists, and written in one transaction, which begins with the
//! check of the lease as each step's does. A key that fails again keeps its row and its list.

use std::sync::Arc;
use std::time::Instant;

use eventfold_core::error::CoreError;
use eventfold_core::projection::Known;
use eventfold_core::rows::Page as _;
use tokio::sync::Mutex;

use super::Generation;
use super::batch::Batch;
use super::reading::Anchor;
use super::resolving::resolve;
use super::rows;
use super::sheet::{Cell, Sheet};
use super::writing::{hold, write};
use crate::error::ReadError;
use crate::pages::{Content, Range, Reading};
use crate::param::Param;
use crate::pool::Pool;
use crate::row::PgRows;
use crate::rules::ReadRules;

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
    rules: ReadRules,
    /// `None`: all that are parked.
    wanted: Option<Vec<String>>,
    /// The last key that was tried.
    after: String,
}

impl Retry {
    /// Begins nothing yet; of the parked keys those that are `wanted`, or all.
    pub fn new(
        (read, write): (Pool, Pool),
        generation: Generation,
        statements: RetryStatements,
        rules: ReadRules,
        wanted: Option<Vec<String>>,
    ) -> Self {
        let after = String::new();
        Self(Arc::new(Mutex::new(Retrying {
            read,
            write,
            generation,
            statements,
            rules,
            wanted,
            after,
        })))
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
        if let Some(error) = self.generation.seals().uncovered(&self.generation.projection) {
            return Err(error.into());
        }
        let mut sheet = Sheet::new(self.generation.projecting().with_parking(true));
        let names: Vec<String> = keys.iter().map(|(key, _)| key.clone()).collect();
        // What is cancelled by now may be in the row: then all events of the key are folded.
        let anew = self.generation.projection.skip_cancelled();
        let load = |key: &str, known: Known<'_>, _: bool| {
            if !anew {
                sheet.load(key, known);
            }
            Ok(())
        };
        let known = rows::of_keys(&self.write, &self.generation, &names, load).await?;
        let (keys, names) = (&keys[..known], &names[..known]);
        let ranges = match anew {
            false => vec![self.lists(names)],
            true => names.iter().map(|key| self.events(key, progress.position)).collect(),
        };
        let Some((sheet, last)) = self.fold(sheet, ranges).await? else { return Ok(fenced) };
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

    /// Folds events of the keys, and gives the last of them; `None` if the lease was lost
    /// meanwhile.
    async fn fold(
        &self,
        mut sheet: Sheet,
        ranges: Vec<Range>,
    ) -> Result<Option<(Sheet, Option<Anchor>)>, ReadError> {
        let mut last: Option<Anchor> = None;
        let mut held_at = Instant::now();
        for range in ranges {
            let mut reading = Reading::new(self.read.clone(), range);
            while !reading.is_done() {
                let Content::Rows(rows) = reading.page().await?.content else {
                    return Err(bug("a page of rows was asked for"));
                };
                if let Some(index) = rows.len().checked_sub(1) {
                    last = last.max(Some((rows.position(index)?, *rows.event_id(index)?)));
                }
                sheet = self.fold_page(sheet, rows).await?;
                if held_at.elapsed() >= self.generation.bounds.lease / 3 {
                    if !hold(&self.write, &self.generation, &self.statements.hold).await? {
                        return Ok(None);
                    }
                    held_at = Instant::now();
                }
            }
        }
        Ok(Some((sheet, last)))
    }

    /// All events of a key that count, up to where the generation is.
    fn events(&self, key: &str, up_to: i64) -> Range {
        self.generation.key_range(&self.rules, key, up_to, i64::MAX)
    }

    /// Folds a page in threads; the keys' own events only.
    async fn fold_page(&self, mut sheet: Sheet, mut rows: PgRows) -> Result<Sheet, ReadError> {
        let mut next = 0;
        while next < rows.len() {
            let resolved = resolve(rows, next, &self.read, &self.generation, &self.rules).await?;
            let folding = tokio::task::spawn_blocking(move || {
                sheet.fold(&resolved, next)?;
                // Only a key can stop it, and that of an event on a list did not fail before.
                match sheet.stopped.take() {
                    Some(error) => Err(error),
                    None => Ok((sheet, resolved)),
                }
            });
            let panicked = |_| bug("the core panicked; the server's log says where");
            let folded = folding.await.map_err(panicked)??;
            sheet = folded.0;
            next = folded.1.len();
            rows = folded.1.into_page();
        }
        Ok(sheet)
    }

    fn lists(&self, keys: &[String]) -> Range {
        let params = vec![
            Param::Texts(keys.to_vec()),
            Param::Int(1),
            Param::Int(i64::MAX),
            Param::Int(i64::MAX),
            Param::Int(self.generation.generation_no),
        ];
        self.generation.rows_of(&self.statements.events, params, &self.rules)
    }
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
