//! What events of a page refer to, looked up before they are folded.

use std::sync::Arc;

use eventfold_core::error::CoreError;
use eventfold_core::projection::{References, Resolved};
use eventfold_core::rows::Page;

use super::Generation;
use crate::error::ReadError;
use crate::mapping::RowMapper;
use crate::param::Param;
use crate::pool::Pool;
use crate::row::PgRows;
use crate::rules::ReadRules;

/// Finds what the rows of a page refer to, from the row at an index on. The page then ends with the
/// last row of which that is known: what the rows refer to may be far larger than they are.
///
/// Nothing is kept from page to page: what an event holds may be erased meanwhile.
pub(super) async fn resolve<P: Page + Send + 'static>(
    page: P,
    from: usize,
    pool: &Pool,
    generation: &Generation,
    rules: &ReadRules,
) -> Result<Resolved<P>, ReadError> {
    if !generation.projection.resolves() || from >= page.len() {
        return Ok(Resolved::nothing(page));
    }
    let projection = Arc::clone(&generation.projection);
    let (page, references) = in_thread(move || {
        let references = projection.references(&page, from);
        (page, references)
    })
    .await?;
    let references = references?;
    let (known, found) = look_up(&references, pool, generation, rules).await?;
    Ok(in_thread(move || references.resolve(page, known, &found)).await??)
}

/// Looks the first ids up, as many as there is room for; gives their number, and what there is.
async fn look_up(
    references: &References,
    pool: &Pool,
    generation: &Generation,
    rules: &ReadRules,
) -> Result<(usize, Vec<PgRows>), ReadError> {
    let bounds = &generation.bounds;
    let ids = &references.ids;
    let (mut known, mut bytes, mut found) = (0, 0, Vec::new());
    let mut mapper = RowMapper::of(Some(rules), None);
    // The first row is folded however much it refers to.
    while known < ids.len() && (bytes < bounds.targets_bytes || known < references.needed()) {
        let end = ids.len().min(known.saturating_add(bounds.targets_max));
        // Room for one at least: no answer would mean that there is none.
        let room = bounds.targets_bytes.saturating_sub(bytes).max(1);
        let params = vec![
            Param::Uuids(ids[known..end].to_vec()),
            Param::Int(i64::try_from(room).unwrap_or(i64::MAX)),
        ];
        let mut lease = pool.lend().await?;
        let mut answer = lease.query(&generation.statements.targets, &params).await?;
        let mut rows = PgRows::default();
        let mut stored_bytes = 0;
        while let Some(row) = answer.next().await? {
            stored_bytes += row.raw_size_bytes();
            let (row, changed) = match &mut mapper {
                Some(mapper) => mapper.map_target(row).await?,
                None => (row, None),
            };
            rows.push(row, changed);
        }
        lease.finish().await?;
        // If there was no room for all, those behind the last one are not known.
        let last = rows.len().checked_sub(1).filter(|_| stored_bytes >= room);
        known = match last.map(|index| rows.event_id(index)).transpose()? {
            None => end,
            Some(last) => {
                let place = ids[known..end].iter().position(|id| id == last);
                known + 1 + place.ok_or_else(|| bug("an event was not asked for"))?
            }
        };
        bytes += rows.bytes;
        found.push(rows);
    }
    Ok((known, found))
}

/// Runs what may take long.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CoreError> {
    let panicked = |_| bug("the core panicked; the server's log says where");
    tokio::task::spawn_blocking(work).await.map_err(panicked)
}

fn bug(problem: &str) -> CoreError {
    CoreError::new("BUG", problem)
}
