//! Beginning to read a stream: what it is, its first page, and where the read ends, in one round
//! trip.

use std::sync::Arc;

use eventfold_core::error::CoreError;
use tokio_postgres::Row;

use crate::error::ReadError;
use crate::hydration::{Statement, rest_of};
use crate::pages::{KEY, LOWER, Page, Pages, ROWS, Range, Reading, STATEMENT_ROWS_MAX, UPPER};
use crate::param::Param;
use crate::pool::Pool;
use crate::rules::ReadRules;

/// A read of a stream that is known by its name alone.
#[derive(Debug)]
pub struct Opening {
    /// Name of the stream.
    pub stream: String,
    /// Answers number, version and lifecycle of the stream, a version where the read may end, bytes
    /// about it, the version of the catalogue, and the stream that it was opened from; no row for a
    /// stream without events.
    pub head: Statement,
    /// The statement of `range`, with the name of the stream as key.
    pub first: Arc<str>,
    /// The range, as far as it is known without the stream: its key is put in, and bounds that lie
    /// beyond the stream become its head.
    pub range: Range,
}

/// A stream that is there.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its number.
    pub stream_no: i64,
    /// Its version when the read began; no later event is read.
    pub version: i64,
    /// The number of the proto's Lifecycle.
    pub lifecycle: i16,
    /// The stream whose books were closed, where this one was opened from it.
    pub opened_from: Option<String>,
}

/// A version where a read may end, and bytes about it.
pub type End = (i64, Vec<u8>);

/// A read that has begun.
#[derive(Debug)]
pub struct Opened {
    /// The stream.
    pub found: Found,
    /// What was known of where it may end.
    pub end: Option<End>,
    /// The first page.
    pub page: Page,
    /// The pages behind it; `None` if it is the last.
    pub rest: Option<Pages>,
}

impl Opening {
    /// Begins to read; `None` if the stream never had an event.
    pub async fn run(mut self, pool: Pool) -> Result<Option<Opened>, ReadError> {
        let mut params = self.range.params.clone();
        let rows_max = self.range.bound(ROWS).min(STATEMENT_ROWS_MAX);
        params[KEY] = Param::Text(self.stream);
        params[ROWS] = Param::Int(rows_max);
        let mut lease = pool.lend().await?;
        // The head first: what comes in between is left out of the page.
        let (head, rows) =
            lease.query_both((&self.head.0, &self.head.1), (&self.first, &params)).await?;
        let Some(head) = head else {
            rest_of(rows, lease).await?;
            return Ok(None);
        };
        let (found, end, catalogue_version) = read_head(&head).map_err(|_| {
            ReadError::Core(CoreError::new("BUG", "the head of a stream cannot be decoded"))
        })?;
        if let Err(stale) = ReadRules::check(self.range.rules.as_ref(), catalogue_version) {
            rest_of(rows, lease).await?;
            return Err(stale);
        }
        let as_asked = cut(&mut self.range, &found);
        let mut reading = Reading::new(pool, self.range);
        if as_asked && !reading.is_done() {
            reading.take_up(rows, lease, rows_max);
        } else {
            rest_of(rows, lease).await?;
        }
        let page = reading.page().await?;
        let rest = (!page.done).then(|| Pages::go_on(reading));
        Ok(Some(Opened { found, end, page, rest }))
    }
}

/// Puts the number of the stream into the range, and its head for bounds beyond; false if the
/// statement that was sent looks at other events.
fn cut(range: &mut Range, found: &Found) -> bool {
    range.params[KEY] = Param::Int(found.stream_no);
    range.params[UPPER] = Param::Int(range.bound(UPPER).min(found.version));
    let as_asked = !range.backwards || range.bound(LOWER) <= found.version;
    if !as_asked {
        range.params[LOWER] = Param::Int(found.version);
    }
    as_asked
}

fn read_head(row: &Row) -> Result<(Found, Option<End>, i64), tokio_postgres::Error> {
    let found = Found {
        stream_no: row.try_get(0)?,
        version: row.try_get(1)?,
        lifecycle: row.try_get(2)?,
        opened_from: row.try_get(6)?,
    };
    let version: Option<i64> = row.try_get(3)?;
    let bytes: Option<Vec<u8>> = row.try_get(4)?;
    Ok((found, version.zip(bytes), row.try_get(5)?))
}
