//! Folding a key anew, because an event that is in its row was cancelled.

use eventfold_core::error::CoreError;
use eventfold_core::projection::{ChangedRow, Changes, KeyKind, Projecting};
use eventfold_core::rows::Page as _;

use super::Generation;
use super::batch::Batch;
use super::reading::SourcePage;
use super::resolving::resolve;
use super::rows;
use super::sheet::Sheet;
use super::step::Building;
use crate::error::ReadError;
use crate::pages::{Content, Range, Reading};
use crate::param::Param;
use crate::pool::Pool;
use crate::rules::ReadRules;

impl Generation {
    /// The events of a key that is a stream, or the root of some, up to a position. Where the fold
    /// skips what is cancelled, without what events up to `cancelled_to` cancel.
    pub(super) fn key_range(
        &self,
        rules: &ReadRules,
        key: &str,
        up_to: i64,
        cancelled_to: i64,
    ) -> Range {
        let projection = &self.projection;
        let categories = projection.categories();
        let params = vec![
            Param::Texts(projection.types().to_vec()),
            Param::Int(1),
            Param::Int(up_to),
            Param::Int(i64::MAX),
            categories.map_or(Param::Null, |categories| Param::Texts(categories.to_vec())),
            Param::Text(key.to_owned()),
            Param::Bool(projection.key() == KeyKind::Root),
            Param::Bool(projection.with_copies()),
            if projection.skip_cancelled() { Param::Int(cancelled_to) } else { Param::Null },
        ];
        self.rows_of(&self.statements.key_events, params, rules)
    }
}

impl Building {
    /// Takes in the cancellation at the next row of a page: its key is folded anew up to there.
    pub(super) async fn fold_anew(
        &mut self,
        page: &SourcePage,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let position = page.rows.position(page.next)?;
        let stream = page.rows.stream(page.next)?.unwrap_or_default();
        let key = match self.generation.projection.key() {
            KeyKind::Root => page.rows.root(page.next)?.unwrap_or(stream).to_owned(),
            _ => stream.to_owned(),
        };
        let projecting = self.projecting.as_mut().ok_or_else(lost)?;
        if projecting.is_parked(&key).is_none() {
            let keys = std::slice::from_ref(&key);
            rows::load(&self.write, &self.generation, projecting, keys).await?;
        }
        let mut changes = Changes { up_to: position, events: 1, ..Changes::default() };
        if projecting.is_parked(&key).ok_or_else(lost)? {
            changes.parked_events.push((key, position));
        } else {
            let folded =
                fold_key(&self.read, &self.generation, &self.rules, &key, position).await?;
            let projecting = self.projecting.as_mut().ok_or_else(lost)?;
            match folded {
                Ok(row) => projecting.replace(&key, row)?,
                Err(error) if projecting.park(&key) => {
                    changes.parked_keys.push((key.clone(), error));
                    changes.parked_events.push((key, position));
                }
                Err(error) => {
                    changes.stopped = Some(error);
                    changes.up_to = position - 1;
                    changes.events = 0;
                }
            }
        }
        batch.add(changes, self.projecting.as_ref().map_or(0, Projecting::changed_bytes));
        Ok(())
    }
}

/// The row that all events of a key make up to a position, without those that are cancelled by
/// now, or why one of them fails.
async fn fold_key(
    pool: &Pool,
    generation: &Generation,
    rules: &ReadRules,
    key: &str,
    up_to: i64,
) -> Result<Result<Option<ChangedRow>, CoreError>, ReadError> {
    let projecting = generation.projecting().with_parking(false);
    let mut sheet = Sheet::new(projecting.of_empty_table());
    let range = generation.key_range(rules, key, up_to, i64::MAX);
    let mut reading = Reading::new(pool.clone(), range);
    while !reading.is_done() {
        let page = match reading.page().await {
            Err(ReadError::Core(error)) if error.reason != "BUG" => return Ok(Err(error)),
            page => page?,
        };
        let Content::Rows(mut rows) = page.content else { return Err(lost()) };
        let mut next = 0;
        while next < rows.len() {
            let resolved = resolve(rows, next, pool, generation, rules).await?;
            let folding = tokio::task::spawn_blocking(move || {
                let folded = sheet.fold(&resolved, next);
                (sheet, resolved, folded)
            });
            let panicked = |_| CoreError::new("BUG", "the core panicked; the log says where");
            let (back, resolved, folded) = folding.await.map_err(panicked)?;
            sheet = back;
            folded?;
            if let Some(error) = sheet.stopped.take() {
                return Ok(Err(error));
            }
            next = resolved.len();
            rows = resolved.into_page();
        }
    }
    Ok(Ok(sheet.take(key).into_row()))
}

fn lost() -> ReadError {
    CoreError::new("BUG", "a key cannot be folded anew").into()
}
