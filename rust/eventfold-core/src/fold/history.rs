//! States in time: what a stream was after each of its events, and what each event changed.
//!
//! Both are answered page by page in messages of bounded size: a call folds rows until its
//! message is full, and says where the next call goes on.

use std::sync::Arc;

use crate::error::CoreError;
use crate::json::write::write_value;
use crate::limits::STATES_MESSAGE_BYTES;
use crate::rows::{Page, Row};
use crate::value::Value;
use crate::wire::{ChangeList, write_explained_event, write_historic_state};

use super::difference::differences;
use super::run::FoldRun;

/// A call ends after about this many compared values, so that none takes long when events change
/// little of large states.
const COMPARED_VALUES_MAX: usize = 1_000_000;
/// And after about this many evaluation steps, so that folds that cost much take turns.
const CALL_STEPS_MAX: u64 = 1_000_000;

/// What the last call encoded beyond the end of its message: the event is folded already.
#[derive(Debug)]
pub(super) struct Held {
    version: i64,
    bytes: Vec<u8>,
}

/// A part of an answer.
#[derive(Debug, Default)]
struct Message {
    bytes: Vec<u8>,
    compared: usize,
}

impl FoldRun {
    /// Folds the rows of a page from index `first` on, and encodes the states after versions from
    /// `from_version` on as a `HydrateHistoryResponse` of about 1 MiB, or of one state. Returns
    /// it with the index of the row that the next call begins with; behind the last row, the
    /// page is done. It may be a cancellation that is not known: then the run is at its end.
    ///
    /// When a row fails, what was encoded before it is returned with the index of that row, and
    /// the next call gives the error.
    pub fn history(
        &mut self,
        rows: &impl Page,
        first: usize,
        from_version: i64,
    ) -> Result<(Vec<u8>, usize), CoreError> {
        self.history_within(rows, first, from_version, None)
    }

    /// As [`FoldRun::history`], and begins no further event after `steps_max` evaluation steps.
    pub fn history_within(
        &mut self,
        rows: &impl Page,
        first: usize,
        from_version: i64,
        steps_max: Option<u64>,
    ) -> Result<(Vec<u8>, usize), CoreError> {
        let mut state = Vec::new();
        let steps_max = steps_max.unwrap_or(CALL_STEPS_MAX);
        self.encode(rows, first, from_version, steps_max, |run, row, message| {
            let fold = Arc::clone(&run.fold);
            run.event(&fold, fold.handlers.get(row.event_type.as_bytes()), row)?;
            state.clear();
            run.write_state(&mut state)?;
            write_historic_state(row, run.exists, &state, &mut message.bytes);
            Ok(())
        })
    }

    /// As [`FoldRun::history`], but encodes what each event changed, as an `ExplainResponse`: the
    /// smallest paths that differ, as [`differences`] finds them. Before the first event there
    /// is the initial state, after a delete `null`.
    ///
    /// Changes beyond 1,000, and those that would take the message of their event to gRPC's
    /// 4 MiB, are only counted.
    pub fn explain(
        &mut self,
        rows: &impl Page,
        first: usize,
        from_version: i64,
    ) -> Result<(Vec<u8>, usize), CoreError> {
        self.encode(rows, first, from_version, CALL_STEPS_MAX, |run, row, message| {
            let before = run.before.take().unwrap_or_else(|| run.visible_state());
            let fold = Arc::clone(&run.fold);
            let handler = fold.handlers.get(row.event_type.as_bytes());
            run.event(&fold, handler, row)?;
            let mut changes = ChangeList::default();
            message.compared += changes_between(&before, &run.visible_state(), &mut changes);
            let handled = handler.is_some();
            write_explained_event(row, handled, run.exists, &changes, &mut message.bytes);
            Ok(())
        })
    }

    /// Folds rows; `step` folds those from `from_version` on and adds them to the message.
    fn encode(
        &mut self,
        rows: &impl Page,
        first: usize,
        from_version: i64,
        steps_max: u64,
        mut step: impl FnMut(&mut Self, &Row<'_>, &mut Message) -> Result<(), CoreError>,
    ) -> Result<(Vec<u8>, usize), CoreError> {
        let fold = Arc::clone(&self.fold);
        let mut message = Message::default();
        let mut index = first;
        let mut brief = Row::blank();
        let steps_end = self.steps().saturating_add(steps_max);
        while index < rows.len()
            && message.compared < COMPARED_VALUES_MAX
            && self.steps() < steps_end
            && !self.stops_at(rows, index)?
        {
            let end = message.bytes.len();
            let done = self.guarded(|run| {
                let version = rows.version(index)?;
                if version < from_version {
                    return run.index(&fold, rows, index, &mut brief);
                }
                match run.held.take().filter(|held| held.version == version) {
                    Some(held) => message.bytes.extend_from_slice(&held.bytes),
                    None => {
                        let row = rows.row(index)?;
                        run.see(rows, index, fold.handlers.get(row.event_type.as_bytes()));
                        step(run, &row, &mut message)?;
                    }
                }
                if end > 0 && message.bytes.len() > STATES_MESSAGE_BYTES {
                    run.held = Some(Held { version, bytes: message.bytes.split_off(end) });
                }
                Ok(())
            });
            match done {
                Err(error) if end == 0 => return Err(error),
                Err(_) => {
                    message.bytes.truncate(end);
                    break;
                }
                Ok(()) if self.held.is_some() => break,
                Ok(()) => index += 1,
            }
        }
        Ok((message.bytes, index))
    }

    /// The state as answers show it; shares the parts of the state.
    pub fn visible_state(&self) -> Value {
        if self.deleted { Value::Null } else { self.state.value.clone() }
    }
}

/// Lists the changes from one state to another; returns how many values were compared.
fn changes_between(before: &Value, after: &Value, changes: &mut ChangeList) -> usize {
    let mut texts = (Vec::new(), Vec::new());
    let write = |value: Option<&Value>, text: &mut Vec<u8>| {
        text.clear();
        // States hold only what can be written.
        let _ = value.map(|value| write_value(value, text));
    };
    differences(before, after, &mut |path, old, new| {
        if changes.is_full() {
            changes.leave_out();
            return;
        }
        write(old, &mut texts.0);
        write(new, &mut texts.1);
        changes.push(path, &texts.0, &texts.1);
    })
}
