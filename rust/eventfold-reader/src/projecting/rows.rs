//! What the database has of a generation: its progress, and rows by their keys.

use eventfold_core::error::CoreError;
use eventfold_core::projection::{Known, Projecting};
use tokio_postgres::Row;

use super::Generation;
use super::reading::Anchor;
use crate::error::ReadError;
use crate::param::Param;
use crate::pool::Pool;
use crate::row::cell;
use crate::rules::ReadRules;

/// How far a generation is.
#[derive(Debug)]
pub(super) struct Progress {
    pub position: i64,
    pub rate: f64,
    /// Why it stopped, as JSON.
    pub stopped: Option<String>,
}

/// How far it is; `None` if the lease is somebody else's, or the generation gone.
pub(super) async fn progress(
    pool: &Pool,
    generation: &Generation,
) -> Result<Option<Progress>, ReadError> {
    let mut lease = pool.lend().await?;
    let params = [Param::Int(generation.generation_no), Param::Int(generation.lease)];
    let mut rows = lease.query(&generation.statements.progress, &params).await?;
    let mut row = None;
    while let Some(next) = rows.next().await? {
        row = Some(next);
    }
    lease.finish().await?;
    let read = |row: Row| {
        Ok(Progress { position: row.try_get(0)?, rate: row.try_get(1)?, stopped: row.try_get(2)? })
    };
    let bad = |_: tokio_postgres::Error| CoreError::new("BUG", "progress cannot be decoded");
    Ok(row.map(read).transpose().map_err(bad)?)
}

/// Loads what the table has of keys; of as many as there is room for, in order.
pub(super) async fn load(
    pool: &Pool,
    generation: &Generation,
    projecting: &mut Projecting,
    keys: &[String],
) -> Result<(), ReadError> {
    let told = |key: &str, known: Known<'_>, parked: bool| {
        projecting.know(key, if parked { Known::Parked } else { known })
    };
    of_keys(pool, generation, keys, told).await.map(drop)
}

/// Tells what the table has of keys, whether they are parked or not, of as many as there is room
/// for, in order; gives their number.
pub(super) async fn of_keys(
    pool: &Pool,
    generation: &Generation,
    keys: &[String],
    mut tell: impl FnMut(&str, Known<'_>, bool) -> Result<(), CoreError>,
) -> Result<usize, ReadError> {
    let seals = generation.seals();
    let mut lease = pool.lend().await?;
    let room = generation.bounds.rows_bytes;
    let params =
        [Param::Texts(keys.to_vec()), Param::Int(generation.generation_no), Param::Int(room)];
    let mut rows = lease.query(&generation.statements.rows, &params).await?;
    // Keys of which no row comes have none.
    let mut known = 0;
    let mut loaded = 0;
    while let Some(row) = rows.next().await? {
        let number: i64 = row.try_get(0)?;
        let index = usize::try_from(number - 1).ok().filter(|index| *index < keys.len());
        let index = index.ok_or_else(|| CoreError::new("BUG", "a row was not asked for"))?;
        for key in &keys[known..index] {
            tell(key, Known::Absent, false)?;
        }
        known = index + 1;
        let state = cell(&row, 1);
        loaded += state.map_or(0, |state| state.len() as i64);
        let opened = match state {
            Some(state) => seals.state(generation.generation_no, &keys[index], state).await?,
            None => Default::default(),
        };
        let found = match state {
            Some(_) => Known::Row {
                state: &opened.0,
                whose: opened.1,
                shown: row.try_get(2)?,
                version: row.try_get(3)?,
                position: row.try_get(4)?,
            },
            None => Known::Absent,
        };
        tell(&keys[index], found, row.try_get(5)?)?;
    }
    lease.finish().await?;
    if loaded < room {
        for key in &keys[known..] {
            tell(key, Known::Absent, false)?;
        }
        known = keys.len();
    }
    Ok(known)
}

/// The event at a position that the log has reached; unless other rules are in force by now.
pub(super) async fn anchor(
    pool: &Pool,
    generation: &Generation,
    rules: &ReadRules,
    position: i64,
) -> Result<Anchor, ReadError> {
    let mut lease = pool.lend().await?;
    let params = [Param::Ints(vec![position])];
    let mut rows = lease.query(&generation.statements.anchor, &params).await?;
    let mut found = None;
    while let Some(row) = rows.next().await? {
        let id = cell(&row, 1).and_then(|id| id.try_into().ok());
        found = id.zip(Some(row.try_get(2)?));
    }
    lease.finish().await?;
    let shorter = || ReadError::Lost("the log is shorter than it was".to_owned());
    let (id, catalogue_version) = found.ok_or_else(shorter)?;
    ReadRules::check(Some(rules), catalogue_version)?;
    Ok((position, id))
}
