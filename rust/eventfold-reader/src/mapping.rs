//! Events as their readers get them: sealed values shown, then mapped; one row after the other.

use std::sync::Arc;

use eventfold_core::error::CoreError;
use eventfold_core::mapping::{Mapper, Mapping};
use eventfold_core::rows::Page;
use tokio_postgres::Row;

use crate::ahead::RowsAhead;
use crate::row::{Changed, One};
use crate::rules::ReadRules;
use crate::showing::Shower;

/// Behind so many evaluation steps, or bytes of data, others have their turn.
const TURN_STEPS: u64 = 20_000;
const TURN_BYTES: usize = 256 * 1024;
/// The event behind one that took more evaluation steps than this is mapped by a thread: that costs
/// less than such an event, and the rest of it may be like that one.
const HEAVY_STEPS: u64 = 2_000;

/// What a mapping makes of an event, or why it fails on it.
type Mapped = Result<Option<Changed>, CoreError>;

/// Maps rows where they come.
pub(crate) struct RowMapper {
    rules: ReadRules,
    /// Name of the stream, where rows leave it out.
    stream: Arc<str>,
    /// `None`: sealed values come as they are stored.
    shower: Option<Shower>,
    mapper: Mapper,
    is_heavy: bool,
    /// Since others had their turn.
    turn_steps: u64,
    turn_bytes: usize,
}

impl RowMapper {
    /// For a read under these rules; `None` if all events are read as they are stored.
    pub(crate) fn of(rules: Option<&ReadRules>, stream: Option<&str>) -> Option<Self> {
        let rules = rules.filter(|rules| !rules.mappings.is_empty() || rules.showing.is_some())?;
        Some(Self {
            rules: rules.clone(),
            stream: stream.unwrap_or_default().into(),
            shower: rules.showing.clone().map(Shower::new),
            mapper: Mapper::default(),
            is_heavy: false,
            turn_steps: 0,
            turn_bytes: 0,
        })
    }

    /// The lowest epoch of the keyring in which a value was opened since this was asked last;
    /// `None`: none was.
    pub(crate) fn take_opened(&mut self) -> Option<u64> {
        self.shower.as_mut().and_then(Shower::take_opened)
    }

    /// The row again, and what its reader gets instead of what is stored; `None`: just that. Keys
    /// that are missing are looked for together with those of the rows `ahead`.
    pub(crate) async fn map(
        &mut self,
        row: Row,
        ahead: &mut RowsAhead,
    ) -> Result<(Row, Option<Changed>), CoreError> {
        let (row, changed) = self.try_map(row, Some(ahead)).await?;
        Ok((row, changed?))
    }

    /// The same of an event that others refer to: one that cannot be mapped concerns those alone,
    /// and comes with data that nobody can read.
    pub(crate) async fn map_target(
        &mut self,
        row: Row,
    ) -> Result<(Row, Option<Changed>), CoreError> {
        let (row, changed) = self.try_map(row, None).await?;
        match changed {
            Err(error) if matches!(error.reason, "BUG" | "KEYS_UNAVAILABLE") => Err(error),
            Err(_) => Ok((row, Some(Changed { data: Vec::new(), flags: 0, opened: Vec::new() }))),
            Ok(changed) => Ok((row, changed)),
        }
    }

    async fn try_map(
        &mut self,
        row: Row,
        ahead: Option<&mut RowsAhead>,
    ) -> Result<(Row, Mapped), CoreError> {
        let shown = match self.shown(&row, ahead).await {
            Ok(shown) => shown,
            Err(error) => return Ok((row, Err(error))),
        };
        let mapping = self.rules.mappings.get(One(&row).event_type(0)?.as_bytes()).cloned();
        let Some(mapping) = mapping else { return Ok((row, Ok(shown))) };
        if self.turn_steps >= TURN_STEPS || self.turn_bytes >= TURN_BYTES {
            (self.turn_steps, self.turn_bytes) = (0, 0);
            tokio::task::yield_now().await;
        }
        let before = self.mapper.steps;
        let (row, changed) = if self.is_heavy {
            self.in_thread(&mapping, row, shown).await?
        } else {
            let changed = change(&mapping, (&One(&row), 0), shown, &self.stream, &mut self.mapper);
            self.turn_steps += self.mapper.steps - before;
            self.turn_bytes += row.raw_size_bytes();
            (row, changed)
        };
        self.is_heavy = self.mapper.steps - before > HEAVY_STEPS;
        Ok((row, changed))
    }

    /// The row with its sealed values shown; `None`: it has none.
    async fn shown(&mut self, row: &Row, ahead: Option<&mut RowsAhead>) -> Mapped {
        let Some(shower) = &mut self.shower else { return Ok(None) };
        let shown = shower.show(row, ahead).await;
        shown.map_err(|error| match (error.reason, One(row).stream(0)) {
            ("EVENT_CORRUPT", Ok(name)) => error.fact("stream", name.unwrap_or(&self.stream)),
            _ => error,
        })
    }

    async fn in_thread(
        &mut self,
        mapping: &Arc<Mapping>,
        row: Row,
        shown: Option<Changed>,
    ) -> Result<(Row, Mapped), CoreError> {
        let (mapping, stream) = (Arc::clone(mapping), Arc::clone(&self.stream));
        let mut mapper = std::mem::take(&mut self.mapper);
        let work = tokio::task::spawn_blocking(move || {
            let changed = change(&mapping, (&One(&row), 0), shown, &stream, &mut mapper);
            (mapper, row, changed)
        });
        let panicked = |_| CoreError::new("BUG", "the core panicked; the server's log says where");
        let (mapper, row, changed) = work.await.map_err(panicked)?;
        self.mapper = mapper;
        Ok((row, changed))
    }
}

/// What a mapping makes of a row of its type, with its sealed values shown if it has some; `None`:
/// it is as it is stored. `stream`: its name, if the row leaves it out.
pub(crate) fn change(
    mapping: &Mapping,
    (page, index): (&impl Page, usize),
    shown: Option<Changed>,
    stream: &str,
    mapper: &mut Mapper,
) -> Result<Option<Changed>, CoreError> {
    let mut row = page.row(index)?;
    if let Some(shown) = &shown {
        (row.data, row.flags) = (&shown.data, shown.flags);
    }
    let mut data = Vec::new();
    let flags = mapping.apply(&row, row.stream.unwrap_or(stream), mapper, &mut data)?;
    let Some(flags) = flags else { return Ok(shown) };
    // What is computed of personal values is told by whose these were.
    let opened = shown.map(|shown| shown.opened).unwrap_or_default();
    Ok(Some(Changed { data, flags, opened }))
}
