//! Names of streams, which many events share: rows come with the number of their stream.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use eventfold_core::error::CoreError;
use eventfold_core::rows::{COLUMNS, Page};

use super::Generation;
use crate::error::ReadError;
use crate::param::Param;
use crate::pool::Pool;
use crate::row::{PgRows, cell};

/// Streams whose names are kept; beyond that all of them are looked up again.
const STREAMS_MAX: usize = 50_000;
/// Columns of a page: the name of the stream, and of its root behind all others.
const NAME: usize = 0;
const ROOT: usize = COLUMNS;

/// What is known of streams, by their numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<i64, Arc<Stream>>>>);

#[derive(Debug)]
struct Stream {
    name: Vec<u8>,
    root: Vec<u8>,
}

/// Rows with the stream of each.
#[derive(Debug)]
pub(super) struct NamedRows {
    rows: PgRows,
    streams: Vec<Arc<Stream>>,
}

impl Page for NamedRows {
    fn len(&self) -> usize {
        self.rows.len()
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        match column {
            NAME => self.streams.get(index).map(|stream| stream.name.as_slice()),
            ROOT => self.streams.get(index).map(|stream| stream.root.as_slice()),
            _ => self.rows.cell(column, index),
        }
    }
}

impl Streams {
    /// Finds the streams of rows whose first column has their numbers.
    pub(super) async fn name(
        &self,
        rows: PgRows,
        pool: &Pool,
        generation: &Generation,
    ) -> Result<NamedRows, ReadError> {
        let number = |index| {
            let bytes = rows.cell(NAME, index).and_then(|cell| cell.try_into().ok());
            bytes.map(i64::from_be_bytes).ok_or_else(|| bug("an event has no number of a stream"))
        };
        let numbers = (0..rows.len()).map(number).collect::<Result<Vec<_>, _>>()?;
        let unknown = self.unknown(&numbers);
        if !unknown.is_empty() {
            self.look_up(unknown, pool, generation).await?;
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = |number: &i64| {
            known.get(number).cloned().ok_or_else(|| bug("an event is of no stream"))
        };
        let streams = numbers.iter().map(stream).collect::<Result<Vec<_>, _>>()?;
        drop(known);
        Ok(NamedRows { rows, streams })
    }

    /// The streams that must be looked up; makes room for them.
    fn unknown(&self, numbers: &[i64]) -> Vec<i64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |known: &HashMap<i64, _>| {
            let missing: HashSet<i64> =
                numbers.iter().copied().filter(|number| !known.contains_key(number)).collect();
            missing
        };
        let mut unknown = missing(&known);
        if !unknown.is_empty() && known.len() + unknown.len() > STREAMS_MAX {
            known.clear();
            unknown = missing(&known);
        }
        unknown.into_iter().collect()
    }

    async fn look_up(
        &self,
        numbers: Vec<i64>,
        pool: &Pool,
        generation: &Generation,
    ) -> Result<(), ReadError> {
        let mut lease = pool.lend().await?;
        let mut rows = lease.query(&generation.statements.streams, &[Param::Ints(numbers)]).await?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().await? {
            let text = |column| cell(&row, column).map(<[u8]>::to_vec);
            let stream = text(1).zip(text(2)).map(|(name, root)| Stream { name, root });
            let stream = stream.ok_or_else(|| bug("a stream has no name"))?;
            found.push((row.try_get(0)?, Arc::new(stream)));
        }
        lease.finish().await?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        Ok(())
    }
}

fn bug(problem: &str) -> ReadError {
    CoreError::new("BUG", problem).into()
}
