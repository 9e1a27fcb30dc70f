//! Following references to events: look-ups by id, a batch at a time.

use std::sync::Arc;

use eventfold_core::rows::Page as _;
use eventfold_core::wire::{Lead, write_resolved};

use crate::ahead::RowsAhead;
use crate::error::ReadError;
use crate::mapping::RowMapper;
use crate::param::Param;
use crate::pool::Pool;
use crate::row::One;
use crate::rules::ReadRules;

/// Most events that one statement looks for.
const STATEMENT_EVENTS_MAX: usize = 500;

/// References to events that are to be followed.
#[derive(Debug)]
pub struct Resolving {
    /// Answers those of the events with the ids `$1` that are there, in the order of the ids, with
    /// the columns that the core expects.
    pub sql: Arc<str>,
    /// The events, of which none stands twice.
    pub ids: Vec<[u8; 16]>,
    /// The field of a message that holds what they lead to.
    pub field: u32,
    /// Room for what they lead to, in bytes.
    pub room: usize,
    /// Whether all of them are to be told, without the events that find no room; else as many as
    /// there is room for, and one of any size.
    pub whole: bool,
    /// What the events are read by; `None`: as they are stored.
    pub rules: Option<ReadRules>,
}

/// What references to events lead to.
#[derive(Debug)]
pub struct Resolved {
    /// Serialised `ResolvedReference`s, in the order of the ids, each in its field.
    pub encoded: Vec<u8>,
    /// The events that are still to be looked for.
    pub rest: Vec<[u8; 16]>,
    /// The lowest epoch of the keyring in which a value of them was opened; `None`: none was.
    pub opened_epoch: Option<u64>,
}

impl Resolving {
    /// Follows them.
    pub async fn run(mut self, pool: Pool) -> Result<Resolved, ReadError> {
        let mut mapper = RowMapper::of(self.rules.as_ref(), None);
        let mut encoded = Vec::new();
        let mut done = 0;
        while done < self.ids.len() && (self.whole || encoded.len() < self.room) {
            let end = self.ids.len().min(done + STATEMENT_EVENTS_MAX);
            let ids = &self.ids[done..end];
            done += self.statement(&pool, ids, mapper.as_mut(), &mut encoded).await?;
        }
        let opened_epoch = mapper.as_mut().and_then(RowMapper::take_opened);
        Ok(Resolved { encoded, rest: self.ids.split_off(done), opened_epoch })
    }

    /// Looks for some of them; the number of those that were told.
    async fn statement(
        &self,
        pool: &Pool,
        ids: &[[u8; 16]],
        mut mapper: Option<&mut RowMapper>,
        out: &mut Vec<u8>,
    ) -> Result<usize, ReadError> {
        let mut lease = pool.lend().await?;
        let rows = lease.query(&self.sql, &[Param::Uuids(ids.to_vec())]).await?;
        let mut rows = RowsAhead::new(rows);
        let mut told = 0;
        while let Some(row) = rows.next().await? {
            let (row, changed) = match &mut mapper {
                Some(mapper) => mapper.map(row, &mut rows).await?,
                None => (row, None),
            };
            let one = One(&row);
            let mut row = one.row(0)?;
            if let Some(changed) = &changed {
                (row.data, row.flags) = (&changed.data, changed.flags);
            }
            while let Some(missing) = ids.get(told).filter(|id| *id != row.event_id) {
                write_resolved(self.field, missing, Lead::Missing, out)?;
                told += 1;
            }
            let before = out.len();
            write_resolved(self.field, row.event_id, Lead::Event(&row), out)?;
            if self.whole && out.len() > self.room {
                out.truncate(before);
                write_resolved(self.field, row.event_id, Lead::LeftOut, out)?;
            }
            told += 1;
            // The last row needs no such end.
            if !self.whole && out.len() >= self.room && told < ids.len() {
                return Ok(told);
            }
        }
        lease.finish().await?;
        for missing in ids.get(told..).unwrap_or_default() {
            write_resolved(self.field, missing, Lead::Missing, out)?;
        }
        Ok(ids.len())
    }
}
