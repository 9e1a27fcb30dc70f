//! Comparing the table of a generation with a fold from scratch.
//!
//! One statement, and so one snapshot, tells the position of the generation, counts its rows, and
//! answers those of some keys. All else happens behind it, and holds up nobody: the events up to a
//! position never change. Half of the keys are drawn from events of the source, so that a row that
//! is missing in the table is found too; the rest from the table. Keys that are parked are left
//! out, since their rows are known to be old.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventfold_core::error::CoreError;
use eventfold_core::projection::{KeyKind, Projecting};
use eventfold_core::rows::Page;
use rand::seq::SliceRandom as _;
use tokio::sync::Mutex;

use super::Generation;
use super::chosen::Chosen;
use super::digests::{Digest, checksum, of_fold, of_table};
use super::drawing::Drawing;
use super::reading::SourcePage;
use super::resolving::resolve;
use super::sheet::{Cell, Sheet};
use super::streams::Streams;
use crate::error::ReadError;
use crate::pages::{Content, Reading};
use crate::param::Param;
use crate::pool::Pool;
use crate::row::PgRows;
use crate::rules::ReadRules;

/// A call works for about this long, so that progress is seen.
const TURN_TIME: Duration = Duration::from_millis(250);
/// Rows whose columns one statement spells.
const SPELLED_BYTES_MAX: usize = 1024 * 1024;
const SPELLED_ROWS_MAX: usize = 1_000;
/// Keys that are named as differing.
const DIFFERING_MAX: usize = 100;

/// The statements of a verification; `storage/sql/projections.sql` says what they take and answer.
#[derive(Debug)]
pub struct VerifyStatements {
    /// Position, numbers of rows, and the rows of some keys.
    pub sample: Arc<str>,
    /// Texts of columns, as their types spell them.
    pub spelled: Arc<str>,
}

/// How far a verification has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Position up to which events were looked at; where single streams are read, the like share.
    pub position: i64,
    /// Position at which table and fold are compared.
    pub to_position: i64,
    /// What was found, at the end.
    pub found: Option<Verified>,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rows that are shown.
    pub rows_shown: i64,
    /// Rows that are not.
    pub rows_hidden: i64,
    /// Keys that were folded afresh.
    pub keys_checked: usize,
    /// Of the rows as the table has them.
    pub table_checksum: String,
    /// Of the rows as folded afresh.
    pub fold_checksum: String,
    /// Number of keys that differ.
    pub keys_differing: usize,
    /// The first of them, in byte order.
    pub differing: Vec<String>,
}

/// A verification under way. Clones share it; calls take turns.
#[derive(Clone)]
pub struct Verifier(Arc<Mutex<Verifying>>);

struct Verifying {
    pool: Pool,
    streams: Streams,
    generation: Generation,
    statements: VerifyStatements,
    rules: ReadRules,
    keys_max: usize,
    sample: Option<Sample>,
}

/// What the snapshot told, and what was folded since.
struct Sample {
    position: i64,
    shown: i64,
    hidden: i64,
    table: BTreeMap<String, Option<Digest>>,
    fold: BTreeMap<String, Option<Digest>>,
    /// The keys in no order at all.
    keys: Vec<String>,
    /// `None` while it is with the thread that folds.
    sheet: Option<Sheet>,
    /// Keys whose streams were read.
    done: usize,
    /// Position up to which the source was.
    passed: i64,
}

impl Verifier {
    /// Begins nothing yet; at most `keys_max` keys are to be folded afresh.
    pub fn new(
        pool: Pool,
        generation: Generation,
        statements: VerifyStatements,
        rules: ReadRules,
        keys_max: usize,
    ) -> Self {
        Self(Arc::new(Mutex::new(Verifying {
            pool,
            streams: Streams::default(),
            generation,
            statements,
            rules,
            keys_max: keys_max.max(1),
            sample: None,
        })))
    }

    /// Goes on for a while; to be called until something is found. `None`: the generation is gone.
    pub async fn go_on(&self) -> Result<Option<Compared>, ReadError> {
        self.0.lock().await.go_on().await
    }
}

impl Verifying {
    async fn go_on(&mut self) -> Result<Option<Compared>, ReadError> {
        let Some(mut sample) = self.sample.take() else {
            self.sample = self.draw().await?;
            return Ok(self.sample.as_ref().map(Sample::progress));
        };
        let until = Instant::now() + TURN_TIME;
        let mut done = false;
        while !done && Instant::now() < until {
            done = match self.generation.projection.key() {
                KeyKind::Expression => self.pass(&mut sample).await?,
                KeyKind::Root | KeyKind::Stream => self.fold_keys(&mut sample, until).await?,
            };
        }
        let mut compared = sample.progress();
        if done {
            compared = Compared {
                position: sample.position,
                to_position: sample.position,
                found: Some(sample.found()),
            };
        } else {
            self.sample = Some(sample);
        }
        Ok(Some(compared))
    }

    /// Draws keys from the log, and takes the snapshot.
    async fn draw(&self) -> Result<Option<Sample>, ReadError> {
        let Some(known) = self.snapshot(&[], 0).await? else { return Ok(None) };
        let drawing = Drawing {
            pool: &self.pool,
            generation: &self.generation,
            streams: &self.streams,
            rules: &self.rules,
            projecting: self.projecting(),
            wanted: self.keys_max.div_ceil(2),
            drawn: HashSet::new(),
        };
        let drawn = drawing.draw(known.position).await?;
        let sample = self.snapshot(&drawn, self.keys_max as i64).await?;
        Ok(sample.map(|mut sample| {
            sample.keys = sample.table.keys().cloned().collect();
            sample.keys.shuffle(&mut rand::rng());
            sample
        }))
    }

    fn projecting(&self) -> Projecting {
        // A key that fails now, and did not before, is one that differs.
        self.generation.projecting().with_parking(true)
    }

    /// Position, numbers of rows, and the rows of the keys and of others, at most that many.
    async fn snapshot(&self, keys: &[String], keys_max: i64) -> Result<Option<Sample>, ReadError> {
        let mut lease = self.pool.lend().await?;
        let params = [
            Param::Int(self.generation.generation_no),
            Param::Texts(keys.to_vec()),
            Param::Int(keys_max),
            Param::Bool(self.generation.projection.skip_cancelled()),
        ];
        let mut rows = lease.query(&self.statements.sample, &params).await?;
        let mut sample: Option<Sample> = None;
        while let Some(row) = rows.next().await? {
            let (position, shown, hidden, key) = read_head(&row).map_err(undecoded)?;
            let sample = sample.get_or_insert_with(|| Sample {
                position,
                shown,
                hidden,
                table: BTreeMap::new(),
                fold: BTreeMap::new(),
                keys: Vec::new(),
                sheet: Some(Sheet::new(self.projecting().of_empty_table())),
                done: 0,
                passed: 0,
            });
            if let Some(key) = key {
                let digest = of_table(&row, &key, &self.generation).await?;
                sample.table.insert(key, digest);
            }
        }
        lease.finish().await?;
        Ok(sample)
    }

    /// Folds keys by their streams, one after the other; true behind the last.
    async fn fold_keys(&self, sample: &mut Sample, until: Instant) -> Result<bool, ReadError> {
        let mut cells = Vec::new();
        let mut bytes = 0;
        while sample.done < sample.keys.len() {
            let key = sample.keys[sample.done].clone();
            let to = sample.position;
            let range = self.generation.key_range(&self.rules, &key, to, to);
            let mut reading = Reading::new(self.pool.clone(), range);
            while !reading.is_done() {
                let mut rows = rows_of(reading.page().await?.content)?;
                let mut next = 0;
                while next < rows.len() {
                    let resolved =
                        resolve(rows, next, &self.pool, &self.generation, &self.rules).await?;
                    let of_key = key.clone();
                    let folded = sample.fold(resolved, next, move |key| key == of_key).await?;
                    next = folded.len();
                    rows = folded.into_page();
                }
            }
            let cell = sample.sheet()?.take(&key);
            sample.done += 1;
            bytes += cell.row().map_or(0, |row| row.state.len());
            cells.push((key, cell));
            if bytes >= SPELLED_BYTES_MAX
                || cells.len() >= SPELLED_ROWS_MAX
                || Instant::now() >= until
            {
                break;
            }
        }
        self.note(sample, cells).await?;
        Ok(sample.done >= sample.keys.len())
    }

    /// Folds some more of the source, as far as it is of the keys; true at its end.
    async fn pass(&self, sample: &mut Sample) -> Result<bool, ReadError> {
        if sample.passed < sample.position {
            let page = SourcePage::read(
                self.pool.clone(),
                &self.generation,
                &self.streams,
                &self.rules,
                sample.passed,
                sample.position,
                i64::MAX,
            )
            .await?;
            sample.passed = page.looked_at;
            let wanted: HashSet<String> = sample.table.keys().cloned().collect();
            sample.fold(page.rows, 0, move |key| wanted.contains(key)).await?;
            if let Some(failed) = page.failed {
                return Err(failed.into());
            }
            sample.make_room(self.generation.bounds.sheet_bytes)?;
            return Ok(false);
        }
        let keys = std::mem::take(&mut sample.keys);
        for keys in keys.chunks(SPELLED_ROWS_MAX) {
            let sheet = sample.sheet()?;
            let cells = keys.iter().map(|key| (key.clone(), sheet.take(key))).collect();
            self.note(sample, cells).await?;
        }
        Ok(true)
    }

    /// Keeps digests of rows that were folded, their columns as PostgreSQL spells them.
    async fn note(&self, sample: &mut Sample, cells: Vec<(String, Cell)>) -> Result<(), ReadError> {
        let rows: Vec<_> = cells.iter().filter_map(|(_, cell)| cell.row()).collect();
        let digests =
            of_fold(&self.pool, &self.statements.spelled, &self.generation, &rows).await?;
        let mut digests = digests.into_iter();
        for (key, cell) in &cells {
            let digest = cell.row().and_then(|_| digests.next());
            // The table has no such row: the key would be parked.
            let failed = matches!(cell, Cell::Parked(_));
            let digest = if failed { Some([0; 32]) } else { digest };
            sample.fold.insert(key.clone(), digest);
        }
        Ok(())
    }
}

impl Sample {
    fn progress(&self) -> Compared {
        let by_keys = self.done as i128 * i128::from(self.position);
        let by_keys = by_keys.checked_div(self.keys.len() as i128).unwrap_or_default();
        let position = self.passed.max(i64::try_from(by_keys).unwrap_or_default());
        Compared { position, to_position: self.position, found: None }
    }

    fn sheet(&mut self) -> Result<&mut Sheet, ReadError> {
        self.sheet.as_mut().ok_or_else(|| bug("folding failed before"))
    }

    /// Folds the rows from an index on whose key is wanted, in a thread; gives the page back.
    async fn fold<P: Page + Send + 'static>(
        &mut self,
        rows: P,
        from: usize,
        wanted: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<P, ReadError> {
        let mut sheet = self.sheet.take().ok_or_else(|| bug("folding failed before"))?;
        let folding = tokio::task::spawn_blocking(move || {
            let folded = sheet.fold_wanted(&rows, from, wanted);
            (sheet, folded.map(|()| rows))
        });
        let (sheet, folded) =
            folding.await.map_err(|_| bug("the core panicked; the server's log says where"))?;
        self.sheet = Some(sheet);
        Ok(folded?)
    }

    /// Leaves keys out until the rows of the others fit.
    fn make_room(&mut self, bytes: usize) -> Result<(), ReadError> {
        while self.sheet()?.bytes > bytes && self.keys.len() > 1 {
            let Some(key) = self.keys.pop() else { break };
            self.sheet()?.take(&key);
            self.table.remove(&key);
        }
        Ok(())
    }

    fn found(&self) -> Verified {
        let differing: Vec<&String> = self
            .table
            .iter()
            .filter(|(key, row)| self.fold.get(*key) != Some(row))
            .map(|(key, _)| key)
            .collect();
        Verified {
            rows_shown: self.shown,
            rows_hidden: self.hidden,
            keys_checked: self.table.len(),
            table_checksum: checksum(&self.table),
            fold_checksum: checksum(&self.fold),
            keys_differing: differing.len(),
            differing: differing.into_iter().take(DIFFERING_MAX).cloned().collect(),
        }
    }
}

impl Sheet {
    /// Folds the rows of a page from an index on whose key is wanted.
    fn fold_wanted(
        &mut self,
        page: &impl Page,
        from: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), CoreError> {
        let mut rows = Vec::new();
        let mut next = from;
        while next < page.len() {
            let keys = self.keys(page, next)?;
            if let Some(error) = keys.failed {
                return Err(error);
            }
            rows.extend((next..keys.end).filter(|index| keys.of(*index).is_some_and(&wanted)));
            next = keys.end;
        }
        self.fold(&Chosen { page, rows }, 0)?;
        match self.stopped.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

fn read_head(
    row: &tokio_postgres::Row,
) -> Result<(i64, i64, i64, Option<String>), tokio_postgres::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
}

fn rows_of(content: Content) -> Result<PgRows, CoreError> {
    match content {
        Content::Rows(rows) => Ok(rows),
        Content::Encoded(_) => Err(CoreError::new("BUG", "a page of rows was asked for")),
    }
}

fn undecoded(_: tokio_postgres::Error) -> ReadError {
    bug("a sample of rows cannot be decoded")
}

fn bug(message: &'static str) -> ReadError {
    CoreError::new("BUG", message).into()
}
