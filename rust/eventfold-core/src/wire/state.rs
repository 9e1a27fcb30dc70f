//! `HistoricState` and `ExplainedEvent` of `proto/eventfold/v1/folds.proto`.

use super::proto;
use crate::envelope::uuid_text;
use crate::fold::FoldResult;
use crate::json::absent::{Shown, without_absent};
use crate::limits::{EXPLAINED_CHANGES_BYTES_MAX, EXPLAINED_CHANGES_MAX};
use crate::rows::Row;

// The same fields in both messages.
const VERSION: u32 = 1;
const POSITION: u32 = 2;
const EVENT_ID: u32 = 3;
const TYPE: u32 = 4;
const RECORDED_AT: u32 = 5;
const OCCURRED_AT: u32 = 6;

const STATE_EXISTS: u32 = 7;
const STATE_STATE: u32 = 8;
const STATE_ERASED_PATHS: u32 = 9;
const STATE_WITHHELD_PATHS: u32 = 10;

const EXPLAINED_HANDLED: u32 = 7;
const EXPLAINED_EXISTS: u32 = 8;
const EXPLAINED_CHANGES: u32 = 9;
const EXPLAINED_CHANGES_LEFT_OUT: u32 = 10;

const CHANGE_PATH: u32 = 1;
const CHANGE_BEFORE: u32 = 2;
const CHANGE_AFTER: u32 = 3;
/// The two of `before`; those of `after` follow.
const CHANGE_PATHS: [u32; 2] = [4, 6];

const HYDRATED_ERASED_PATHS: u32 = 10;
const HYDRATED_WITHHELD_PATHS: u32 = 11;

/// Writes the state after an event as field 1 (`states`) of a `HydrateHistoryResponse`.
pub fn write_historic_state(row: &Row<'_>, exists: bool, state: &[u8], out: &mut Vec<u8>) {
    let mut head = head(row);
    proto::number(STATE_EXISTS, u64::from(exists), &mut head);
    let shown = without_absent(state);
    let state = shown.as_ref().map_or(state, |shown| &shown.text);
    let (mut paths, fields) = (Vec::new(), [STATE_ERASED_PATHS, STATE_WITHHELD_PATHS]);
    write_paths(shown.as_ref(), fields, &mut paths);
    proto::key(1, proto::LENGTH_DELIMITED, out);
    let length = head.len() + proto::bytes_size(STATE_STATE, state) + paths.len();
    proto::varint(length as u64, out);
    out.extend_from_slice(&head);
    proto::bytes(STATE_STATE, state, out);
    out.extend_from_slice(&paths);
}

/// Writes which parts of a text are absent.
fn write_paths(shown: Option<&Shown>, [erased, withheld]: [u32; 2], out: &mut Vec<u8>) {
    if let Some(shown) = shown {
        proto::texts(erased, &shown.erased, out);
        proto::texts(withheld, &shown.withheld, out);
    }
}

/// Writes what an event did as field 1 (`events`) of an `ExplainResponse`.
pub fn write_explained_event(
    row: &Row<'_>,
    handled: bool,
    exists: bool,
    changes: &ChangeList,
    out: &mut Vec<u8>,
) {
    let mut head = head(row);
    proto::number(EXPLAINED_HANDLED, u64::from(handled), &mut head);
    proto::number(EXPLAINED_EXISTS, u64::from(exists), &mut head);
    let left_out = proto::number_size(EXPLAINED_CHANGES_LEFT_OUT, changes.left_out);
    proto::key(1, proto::LENGTH_DELIMITED, out);
    proto::varint((head.len() + changes.bytes.len() + left_out) as u64, out);
    out.extend_from_slice(&head);
    out.extend_from_slice(&changes.bytes);
    proto::number(EXPLAINED_CHANGES_LEFT_OUT, changes.left_out, out);
}

/// What both messages say of the event.
fn head(row: &Row<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + row.event_type.len());
    proto::number(VERSION, row.version.cast_unsigned(), &mut out);
    proto::number(POSITION, row.position.cast_unsigned(), &mut out);
    proto::bytes(EVENT_ID, uuid_text(row.event_id).as_bytes(), &mut out);
    proto::bytes(TYPE, row.event_type.as_bytes(), &mut out);
    proto::timestamp(RECORDED_AT, row.recorded_us, &mut out);
    proto::timestamp(OCCURRED_AT, row.occurred_us, &mut out);
    out
}

/// The changes of one event: as many as fit one message, and the number of the others.
#[derive(Debug, Default)]
pub struct ChangeList {
    /// `changes`, one after the other.
    bytes: Vec<u8>,
    count: usize,
    left_out: u64,
}

impl ChangeList {
    /// Adds a change, or counts it if there is no room for it. Empty texts stand for nothing.
    pub fn push(&mut self, path: &str, before: &[u8], after: &[u8]) {
        let shown = [without_absent(before), without_absent(after)];
        let before = shown[0].as_ref().map_or(before, |shown| &shown.text);
        let after = shown[1].as_ref().map_or(after, |shown| &shown.text);
        let mut paths = Vec::new();
        for (shown, first) in shown.iter().zip(CHANGE_PATHS) {
            write_paths(shown.as_ref(), [first, first + 1], &mut paths);
        }
        let length = proto::bytes_size(CHANGE_PATH, path.as_bytes())
            + proto::bytes_size(CHANGE_BEFORE, before)
            + proto::bytes_size(CHANGE_AFTER, after)
            + paths.len();
        let size = proto::delimited_size(EXPLAINED_CHANGES, length);
        if self.is_full() || self.bytes.len() + size > EXPLAINED_CHANGES_BYTES_MAX {
            self.leave_out();
            return;
        }
        self.count += 1;
        proto::key(EXPLAINED_CHANGES, proto::LENGTH_DELIMITED, &mut self.bytes);
        proto::varint(length as u64, &mut self.bytes);
        proto::bytes(CHANGE_PATH, path.as_bytes(), &mut self.bytes);
        proto::bytes(CHANGE_BEFORE, before, &mut self.bytes);
        proto::bytes(CHANGE_AFTER, after, &mut self.bytes);
        self.bytes.extend_from_slice(&paths);
    }

    /// Whether there are as many changes as there may be.
    pub fn is_full(&self) -> bool {
        self.count >= EXPLAINED_CHANGES_MAX
    }

    /// Counts a change that is not added.
    pub fn leave_out(&mut self) {
        self.left_out += 1;
    }
}

/// Encodes a `HydrateResponse`. `kept_version` is that of the state that folding went on from; 0
/// for none. The run never sees the event there, which was read to compare its id.
pub fn encode_hydrated(result: &FoldResult, fold_digest: &str, kept_version: i64) -> Vec<u8> {
    /// Room for everything but the two texts.
    const FIELDS_BYTES: usize = 80;
    let shown = without_absent(&result.state);
    let state = shown.as_ref().map_or(&result.state, |shown| &shown.text);
    let mut out = Vec::with_capacity(state.len() + fold_digest.len() + FIELDS_BYTES);
    proto::number(1, u64::from(result.exists), &mut out);
    proto::bytes(2, state, &mut out);
    proto::number(3, result.version.cast_unsigned(), &mut out);
    proto::number(4, result.position.cast_unsigned(), &mut out);
    proto::number(5, result.events_read + u64::from(kept_version > 0), &mut out);
    proto::number(6, result.events_folded, &mut out);
    proto::bytes(7, fold_digest.as_bytes(), &mut out);
    proto::number(8, kept_version.cast_unsigned(), &mut out);
    write_paths(shown.as_ref(), [HYDRATED_ERASED_PATHS, HYDRATED_WITHHELD_PATHS], &mut out);
    out
}
