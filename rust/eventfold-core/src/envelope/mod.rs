//! Envelopes: everything that an append must satisfy before it may be stored.

mod digest;
mod references;
mod uuid;
mod uuid5;
mod uuid7;

use std::collections::HashSet;

use crate::append::Origin;
use crate::error::CoreError;
use crate::limits::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, EVENT_DATA_BYTES_MAX, EVENT_METADATA_BYTES_MAX,
};
use crate::names::{check_event_type, check_tags};
use crate::rules::{Judge, Rules, Ruling, Steps, Subject};

pub use digest::{sent_digest, stored_digest};
pub use references::References;
pub use uuid::{UUID_TEXT_BYTES, parse_uuid, uuid_text, write_uuid};
pub use uuid5::uuid5;
pub use uuid7::Uuid7Source;

/// Data and metadata passed the strict check of format 1 before they were stored.
pub const FLAG_VALIDATED_V1: i32 = 1;
/// A key of the data is spelled with an escape.
pub const FLAG_ESCAPED_KEYS: i32 = 2;
/// At least one value of the data is sealed.
pub const FLAG_SEALED: i32 = 4;
/// Its metadata names events or streams in `refs`.
pub const FLAG_REFERS: i32 = 8;
/// Data did not fit the schema in force when the event was stored, under the mode `warn`.
pub const FLAG_SCHEMA_VIOLATED: i32 = 16;
/// The data is not what is stored: the mapping of its type has changed it. Never stored.
pub const FLAG_MAPPED: i32 = 32;
/// The event closes the books of its stream.
pub const FLAG_CLOSES: i32 = 64;
/// The event opens its stream for the period after that of another stream, whose states it may
/// carry.
pub const FLAG_OPENS: i32 = 128;
/// A later event of the stream cancels it; only in reads that ask for it, never stored.
pub const FLAG_CANCELLED: i32 = 256;
/// The data was opened, and holds the words of absent values; never stored or sent.
pub const FLAG_ABSENT: i32 = 512;

/// First microsecond of the year 1, from 1970.
pub const MICROS_MIN: i64 = -62_135_596_800_000_000;
/// Last microsecond of the year 9999, from 1970.
pub const MICROS_MAX: i64 = 253_402_300_799_999_999;

/// Metadata of an event that came without.
pub const NO_METADATA: &[u8] = b"{}";

/// An event as it came in.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    /// Event id; an empty one is still to be made.
    pub id: &'a str,
    /// Event type.
    pub event_type: &'a str,
    /// JSON text.
    pub data: &'a [u8],
    /// JSON text; empty: none.
    pub metadata: &'a [u8],
    /// Tags, in any order.
    pub tags: Vec<&'a str>,
    /// Microseconds since 1970; `None`: the time at which the event is recorded.
    pub occurred_us: Option<i64>,
}

/// What an append becomes once it passed.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckedAppend<'a> {
    /// Category of the stream.
    pub category: &'a str,
    /// The events, in their order.
    pub events: Vec<CheckedEvent<'a>>,
    /// Data, metadata, types, tags and the stream name together, as sent.
    pub total_bytes: usize,
}

/// What an event becomes once it passed.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckedEvent<'a> {
    /// Event id; `None`: it is still to be made.
    pub id: Option<[u8; 16]>,
    /// Tags, sorted and without repetitions.
    pub tags: Vec<&'a str>,
    /// Sum of the `FLAG_` constants.
    pub flags: i32,
    /// What its metadata refers to.
    pub references: References,
    /// Digest of the event as sent; empty metadata counts as `{}`.
    pub sent_digest: [u8; 32],
    /// Digest of the stored bytes.
    pub stored_digest: [u8; 32],
}

/// Checks an append that no rule is about.
///
/// In this order: stream name, number of events, sizes of data and metadata, size of the whole;
/// then event by event type, id, tags, time, data, metadata, references; at last ids that stand
/// twice. The first refusal is returned, with `event_index` where it concerns one event.
pub fn check_append<'a>(
    stream: &'a str,
    events: &[NewEvent<'a>],
) -> Result<CheckedAppend<'a>, CoreError> {
    let rules = Rules::default();
    let origin = Origin::default();
    let mut steps = Steps::whole();
    let mut judge = Judge::new(&rules, &origin, &mut steps);
    check_append_under(stream, events, &mut judge, &mut Ruling::default())
}

/// As [`check_append`], and notes in `ruling` what the rules say of the data, which refuses nothing
/// here.
pub(crate) fn check_append_under<'a>(
    stream: &'a str,
    events: &[NewEvent<'a>],
    judge: &mut Judge<'_>,
    ruling: &mut Ruling,
) -> Result<CheckedAppend<'a>, CoreError> {
    let category = judge.stream(stream)?;
    check_count(events.len())?;
    check_sizes(events)?;
    let total_bytes = stream.len() + events.iter().map(NewEvent::bytes).sum::<usize>();
    check_total(total_bytes)?;
    let mut checked = Vec::with_capacity(events.len());
    for (index, event) in events.iter().enumerate() {
        let subject = Subject { index, event_type: event.event_type, category };
        let event = event.check(subject, judge, ruling);
        checked.push(event.map_err(|error| error.fact("event_index", index))?);
    }
    // Most appends are one event.
    if checked.len() > 1 {
        check_ids_unique(checked.iter().map(|event| event.id), &mut HashSet::new())?;
    }
    Ok(CheckedAppend { category, events: checked, total_bytes })
}

/// As [`check_append_under`], of one event alone; returns the category too.
pub(crate) fn check_event_under<'a>(
    stream: &'a str,
    event: &NewEvent<'a>,
    judge: &mut Judge<'_>,
    ruling: &mut Ruling,
) -> Result<(&'a str, CheckedEvent<'a>), CoreError> {
    let category = judge.stream(stream)?;
    check_sizes(std::slice::from_ref(event))?;
    check_total(stream.len() + event.bytes())?;
    let subject = Subject { index: 0, event_type: event.event_type, category };
    Ok((category, event.check(subject, judge, ruling)?))
}

/// The metadata that is stored for metadata as sent.
pub fn stored_metadata(sent: &[u8]) -> &[u8] {
    if sent.is_empty() { NO_METADATA } else { sent }
}

/// Holds the number of events of a whole append to its limit.
pub(crate) fn check_count(events: usize) -> Result<(), CoreError> {
    if events == 0 {
        return Err(CoreError::new("EMPTY_APPEND", "the append holds no event"));
    }
    if events > APPEND_EVENTS_MAX {
        let message =
            format!("the append holds {events} events; at most {APPEND_EVENTS_MAX} are allowed");
        return Err(CoreError::new("TOO_MANY_EVENTS", message)
            .fact("limit", APPEND_EVENTS_MAX)
            .fact("actual", events));
    }
    Ok(())
}

fn check_sizes(events: &[NewEvent<'_>]) -> Result<(), CoreError> {
    type Field = for<'e, 'a> fn(&'e NewEvent<'a>) -> &'a [u8];
    let checks: [(_, _, _, Field); 2] = [
        ("EVENT_TOO_LARGE", "data", EVENT_DATA_BYTES_MAX, |event| event.data),
        ("METADATA_TOO_LARGE", "metadata", EVENT_METADATA_BYTES_MAX, |event| event.metadata),
    ];
    for (reason, field, limit, bytes) in checks {
        for (index, event) in events.iter().enumerate() {
            let actual = bytes(event).len();
            if actual > limit {
                let message =
                    format!("{field} of the event has {actual} bytes; at most {limit} are allowed");
                return Err(CoreError::new(reason, message)
                    .fact("limit", limit)
                    .fact("actual", actual)
                    .fact("event_index", index));
            }
        }
    }
    Ok(())
}

/// Holds the bytes of a whole append to their limit.
pub(crate) fn check_total(actual: usize) -> Result<(), CoreError> {
    if actual > APPEND_BYTES_MAX {
        let message =
            format!("the append has {actual} bytes; at most {APPEND_BYTES_MAX} are allowed");
        return Err(CoreError::new("APPEND_TOO_LARGE", message)
            .fact("limit", APPEND_BYTES_MAX)
            .fact("actual", actual));
    }
    Ok(())
}

impl<'a> NewEvent<'a> {
    pub(crate) fn bytes(&self) -> usize {
        let tags = self.tags.iter().map(|tag| tag.len()).sum::<usize>();
        self.event_type.len() + self.data.len() + self.metadata.len() + tags
    }

    fn check(
        &self,
        subject: Subject<'_>,
        judge: &mut Judge<'_>,
        ruling: &mut Ruling,
    ) -> Result<CheckedEvent<'a>, CoreError> {
        let &Origin { marks, system, .. } = judge.origin();
        if !(system || marks != 0) || !self.event_type.starts_with('$') {
            check_event_type(self.event_type)?;
        }
        let id = if self.id.is_empty() { None } else { Some(event_id(self.id)?) };
        let tags = check_tags(self.tags.clone())?;
        if let Some(micros) = self.occurred_us {
            check_time(micros, "occurred_at")?;
        }
        let (found, violated) = judge.data(subject, self.data, ruling)?;
        let metadata = stored_metadata(self.metadata);
        let kept = judge.form(metadata).map_err(|refusal| refusal.into_error("metadata"))?;
        let references = References::of(metadata, kept.escaped_keys)?;
        let escaped = if found.escaped_keys { FLAG_ESCAPED_KEYS } else { 0 };
        let refers = if references.is_empty() { 0 } else { FLAG_REFERS };
        Ok(CheckedEvent {
            id,
            flags: FLAG_VALIDATED_V1 | escaped | refers | violated | marks,
            references,
            sent_digest: sent_digest(self.event_type, self.data, metadata, &tags),
            stored_digest: stored_digest(self.data, metadata),
            tags,
        })
    }
}

fn event_id(text: &str) -> Result<[u8; 16], CoreError> {
    parse_uuid(text).ok_or_else(|| {
        let message = "the event id is not a UUID of 32 hexadecimal digits with hyphens";
        CoreError::new("INVALID_EVENT_ID", message).fact("problem", "syntax")
    })
}

/// Checks that a time lies in the years 1 to 9999.
pub fn check_time(micros: i64, field: &'static str) -> Result<(), CoreError> {
    if (MICROS_MIN..=MICROS_MAX).contains(&micros) {
        return Ok(());
    }
    let message = format!("{field} is outside the years 1 to 9999");
    Err(CoreError::new("INVALID_TIME", message).fact("field", field).fact("problem", "range"))
}

/// Refuses an id that was seen before, and notes the others.
pub(crate) fn check_ids_unique(
    ids: impl Iterator<Item = Option<[u8; 16]>>,
    seen: &mut HashSet<[u8; 16]>,
) -> Result<(), CoreError> {
    for (index, id) in ids.enumerate() {
        let Some(id) = id else { continue };
        if !seen.insert(id) {
            let id = uuid_text(&id);
            let message = format!("the event id {id} stands twice in the append");
            return Err(CoreError::new("EVENT_ID_REUSED", message)
                .fact("event_id", id)
                .fact("problem", "twice_in_append")
                .fact("event_index", index));
        }
    }
    Ok(())
}
