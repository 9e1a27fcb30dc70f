//! Names of streams, which many events share: rows come with the number of their stream.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use eventfold_core::error::CoreError;
use eventfold_core::mapping::Mapper;
use eventfold_core::privacy::{OpenedValue, SubjectId};
use eventfold_core::rows::{COLUMNS, Page};

use super::Generation;
use crate::error::ReadError;
use crate::mapping::change;
use crate::param::Param;
use crate::pool::Pool;
use crate::row::{PgRows, cell};
use crate::rules::ReadRules;
use crate::showing::{is_sealed, show};

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

/// How far rows were mapped.
#[derive(Debug)]
pub(super) enum MapEnd {
    /// All of them were.
    All,
    /// Up to this index: keys of these subjects must be fetched first.
    Missing(usize, Vec<SubjectId>),
    /// They end before the last that was read.
    Cut(MappedEnd),
}

/// Why rows end before the last that was read.
#[derive(Debug)]
pub(super) struct MappedEnd {
    /// Position behind which they go on.
    pub looked_at: i64,
    /// Why the next one cannot be read; `None`: there was no room for more.
    pub failed: Option<CoreError>,
}

impl NamedRows {
    /// Shows and maps the rows in order, from one on, until all together pass a number of bytes, or
    /// one fails.
    pub(super) fn map(
        &mut self,
        from: usize,
        rules: &ReadRules,
        end: usize,
    ) -> Result<MapEnd, CoreError> {
        let mut mapper = Mapper::default();
        for index in from..self.len() {
            let (cut, failed) = match self.map_row(index, rules, &mut mapper) {
                Ok(Some(missing)) => return Ok(MapEnd::Missing(index, missing)),
                Ok(None) if self.rows.bytes <= end => continue,
                Ok(None) => (index + 1, None),
                Err(error) => (index, Some(error)),
            };
            if cut == self.len() {
                break;
            }
            let looked_at = self.position(cut)? - 1;
            self.rows.truncate(cut);
            self.streams.truncate(cut);
            return Ok(MapEnd::Cut(MappedEnd { looked_at, failed }));
        }
        Ok(MapEnd::All)
    }

    /// Bytes of all rows.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes
    }

    /// Shows and maps a row; subjects whose keys must be fetched first, if some must.
    fn map_row(
        &mut self,
        index: usize,
        rules: &ReadRules,
        mapper: &mut Mapper,
    ) -> Result<Option<Vec<SubjectId>>, CoreError> {
        let shown = match &rules.showing {
            Some(showing) if is_sealed(&*self, index)? => match show(showing, &*self, index)? {
                Ok(shown) => shown,
                Err(missing) => return Ok(Some(missing)),
            },
            _ => None,
        };
        let mapping = rules.mappings.get(self.event_type(index)?.as_bytes());
        let changed = match mapping {
            Some(mapping) => change(mapping, (&*self, index), shown, "", mapper)?,
            None => shown,
        };
        if let Some(changed) = changed {
            self.rows.change(index, changed);
        }
        Ok(None)
    }
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

    #[inline]
    fn opened(&self, index: usize) -> &[OpenedValue] {
        self.rows.opened(index)
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
