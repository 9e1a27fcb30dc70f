//! What the database decided, and the answer that it makes.

use super::StreamAppend;
use crate::envelope::{UUID_TEXT_BYTES, write_uuid};
use crate::wire::proto;

/// What became of a part of an append, or of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored, or would be.
    Append,
    /// It was stored before.
    Duplicate,
    /// The stream is at another version.
    Conflict,
    /// The stream is closed.
    Closed,
    /// The stream was deleted.
    Deleted,
    /// One of its ids is stored otherwise.
    Reused,
    /// The rules have changed since it was checked.
    Stale,
}

impl Outcome {
    const NAMES: [(Self, &str); 7] = [
        (Self::Append, "append"),
        (Self::Duplicate, "duplicate"),
        (Self::Conflict, "conflict"),
        (Self::Closed, "closed"),
        (Self::Deleted, "deleted"),
        (Self::Reused, "reused"),
        (Self::Stale, "stale"),
    ];

    /// By the name that the database has for it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(outcome, _)| *outcome)
    }

    /// The name that the database has for it.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// Whether the events are in the log.
    pub fn is_stored(self) -> bool {
        matches!(self, Self::Append | Self::Duplicate)
    }
}

/// Where the events of an append stand in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Positions {
    /// One after the other, from this one on.
    From(i64),
    /// Each by itself.
    Listed(Vec<i64>),
}

/// What the database decided on a part of an append, or on a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What became of it.
    pub outcome: Outcome,
    /// Which part, from 0; `None`: it is on a check.
    pub part: Option<usize>,
    /// Which check, from 0.
    pub check: Option<usize>,
    /// Version of the first event, where it is stored.
    pub first_version: i64,
    /// Where the events stand, where they are stored.
    pub positions: Positions,
    /// Microseconds since 1970.
    pub recorded_us: i64,
    /// The version at which the stream is.
    pub actual_version: i64,
    /// The stream that goes on from a closed one.
    pub successor: Option<String>,
    /// Index of the first event that is not the one stored, from 0.
    pub differs_at: Option<usize>,
    /// Why it differs.
    pub problem: Option<String>,
    /// Of the rules in force.
    pub catalogue_version: i64,
}

impl Decision {
    /// The position of the last event, where the events are stored now.
    pub fn newest_position(&self, events: usize) -> Option<i64> {
        match (self.outcome, &self.positions) {
            (Outcome::Append, Positions::From(first)) => Some(first + events as i64 - 1),
            _ => None,
        }
    }
}

// Fields of `AppendResponse`.
const FIRST_VERSION: u32 = 1;
const LAST_VERSION: u32 = 2;
const POSITIONS: u32 = 3;
const IDS: u32 = 4;
const DUPLICATE: u32 = 5;
const RECORDED_AT: u32 = 6;

// Fields of `SessionAnswer`.
const NUMBER: u32 = 1;
const APPENDED: u32 = 2;

/// Writes an `AppendResponse` for a part that is stored.
pub fn append_response(part: &StreamAppend, decision: &Decision, out: &mut Vec<u8>) {
    let events = part.events().len() as i64;
    let first = decision.first_version;
    proto::number(FIRST_VERSION, first.cast_unsigned(), out);
    proto::number(LAST_VERSION, (first + events - 1).cast_unsigned(), out);
    let position = |index: i64| match &decision.positions {
        Positions::From(first) => (first + index).cast_unsigned(),
        Positions::Listed(listed) => {
            listed.get(index as usize).copied().unwrap_or_default().cast_unsigned()
        }
    };
    let size = (0..events).map(|index| proto::varint_size(position(index))).sum::<usize>();
    proto::key(POSITIONS, proto::LENGTH_DELIMITED, out);
    proto::varint(size as u64, out);
    (0..events).for_each(|index| proto::varint(position(index), out));
    if part.ids_made() {
        for event in part.events() {
            proto::key(IDS, proto::LENGTH_DELIMITED, out);
            proto::varint(UUID_TEXT_BYTES as u64, out);
            write_uuid(event.id, out);
        }
    }
    proto::number(DUPLICATE, u64::from(decision.outcome == Outcome::Duplicate), out);
    proto::timestamp(RECORDED_AT, decision.recorded_us, out);
}

/// Writes a `SessionAnswer` for an append that is stored.
pub fn session_answer(number: u64, part: &StreamAppend, decision: &Decision, out: &mut Vec<u8>) {
    let mut response = Vec::with_capacity(64);
    append_response(part, decision, &mut response);
    proto::number(NUMBER, number, out);
    proto::delimited(APPENDED, &response, out);
}

/// Writes a serialised `SessionAnswer` as one of the `answers` of an `AppendSessionResponse`.
pub fn session_answers(answer: &[u8], out: &mut Vec<u8>) {
    proto::delimited(1, answer, out);
}

/// Encodes an `AppendManyResponse` for an append whose parts are all stored.
pub fn append_many_response(parts: &[StreamAppend], decisions: &[Decision]) -> Vec<u8> {
    let mut stored = Vec::new();
    let mut response = Vec::new();
    for (part, decision) in parts.iter().zip(decisions) {
        response.clear();
        append_response(part, decision, &mut response);
        proto::delimited(1, &response, &mut stored);
    }
    let mut out = Vec::with_capacity(stored.len() + 8);
    proto::delimited(1, &stored, &mut out);
    out
}
