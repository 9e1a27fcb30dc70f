//! Envelopes: everything that an append must satisfy before it may be stored.

mod digest;
mod uuid;
mod uuid7;

use std::collections::HashSet;

use crate::error::CoreError;
use crate::json::check::Checker;
use crate::limits::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, EVENT_DATA_BYTES_MAX, EVENT_METADATA_BYTES_MAX,
};
use crate::names::{check_event_type, check_stream_name, check_tags};

pub use digest::{sent_digest, stored_digest};
pub use uuid::{UUID_TEXT_BYTES, parse_uuid, uuid_text, write_uuid};
pub use uuid7::Uuid7Source;

/// Data and metadata passed the strict check of format 1 before they were stored.
pub const FLAG_VALIDATED_V1: i32 = 1;
/// A key of the data is spelled with an escape.
pub const FLAG_ESCAPED_KEYS: i32 = 2;
/// At least one value of the data is sealed.
pub const FLAG_SEALED: i32 = 4;

/// First microsecond of the year 1, from 1970.
pub const MICROS_MIN: i64 = -62_135_596_800_000_000;
/// Last microsecond of the year 9999, from 1970.
pub const MICROS_MAX: i64 = 253_402_300_799_999_999;

/// Metadata of an event that came without.
pub const NO_METADATA: &[u8] = b"{}";

/// The events of one append, column by column; all columns have the same length.
#[derive(Debug)]
pub struct Append<'a, S, B> {
    /// Name of the stream.
    pub stream: &'a str,
    /// Event ids; an empty one is still to be made.
    pub ids: &'a [S],
    /// Event types.
    pub types: &'a [S],
    /// JSON texts.
    pub data: &'a [B],
    /// JSON texts; empty: none.
    pub metadata: &'a [B],
    /// Tags of each event.
    pub tags: &'a [Vec<S>],
    /// Microseconds since 1970; `None`: the time at which the event is recorded.
    pub occurred_us: &'a [Option<i64>],
}

/// What an append becomes once it passed.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckedAppend<'a> {
    /// Category of the stream.
    pub category: &'a str,
    /// Event ids in lower case; an empty one is still to be made.
    pub ids: Vec<String>,
    /// Tags of each event, sorted and without repetitions.
    pub tags: Vec<Vec<&'a str>>,
    /// Sum of the `FLAG_` constants for each event.
    pub flags: Vec<i32>,
    /// Digest of each event as sent; empty metadata counts as `{}`.
    pub sent_digests: Vec<[u8; 32]>,
    /// Digest of the stored bytes of each event.
    pub stored_digests: Vec<[u8; 32]>,
    /// Data, metadata, types, tags and the stream name together, as sent.
    pub total_bytes: usize,
}

/// Checks an append.
///
/// In this order: stream name, number of events, sizes of data and metadata, size of the whole;
/// then event by event type, id, tags, time, data, metadata; at last ids that stand twice. The
/// first refusal is returned, with `event_index` where it concerns one event.
pub fn check_append<'a, S: AsRef<str>, B: AsRef<[u8]>>(
    append: &Append<'a, S, B>,
) -> Result<CheckedAppend<'a>, CoreError> {
    let category = check_stream_name(append.stream)?;
    let events = append.count()?;
    append.check_sizes()?;
    let total_bytes = append.check_total()?;
    let mut checked = CheckedAppend {
        category,
        ids: Vec::with_capacity(events),
        tags: Vec::with_capacity(events),
        flags: Vec::with_capacity(events),
        sent_digests: Vec::with_capacity(events),
        stored_digests: Vec::with_capacity(events),
        total_bytes,
    };
    let mut checker = Checker::default();
    for index in 0..events {
        append
            .check_event(index, &mut checker, &mut checked)
            .map_err(|error| error.fact("event_index", index))?;
    }
    check_ids_unique(&checked.ids)?;
    Ok(checked)
}

/// The metadata that is stored for metadata as sent.
pub fn stored_metadata(sent: &[u8]) -> &[u8] {
    if sent.is_empty() { NO_METADATA } else { sent }
}

impl<'a, S: AsRef<str>, B: AsRef<[u8]>> Append<'a, S, B> {
    fn count(&self) -> Result<usize, CoreError> {
        let events = self.types.len();
        let columns = [
            self.ids.len(),
            self.data.len(),
            self.metadata.len(),
            self.tags.len(),
            self.occurred_us.len(),
        ];
        if columns.iter().any(|&length| length != events) {
            let message = "the columns of an append differ in length";
            return Err(CoreError::new("INVALID_REQUEST", message)
                .fact("field", "events")
                .fact("problem", "columns_differ"));
        }
        if events == 0 {
            return Err(CoreError::new("EMPTY_APPEND", "the append holds no event"));
        }
        if events > APPEND_EVENTS_MAX {
            let message = format!(
                "the append holds {events} events; at most {APPEND_EVENTS_MAX} are allowed"
            );
            return Err(CoreError::new("TOO_MANY_EVENTS", message)
                .fact("limit", APPEND_EVENTS_MAX)
                .fact("actual", events));
        }
        Ok(events)
    }

    fn check_sizes(&self) -> Result<(), CoreError> {
        let checks = [
            ("EVENT_TOO_LARGE", "data", EVENT_DATA_BYTES_MAX, self.data),
            ("METADATA_TOO_LARGE", "metadata", EVENT_METADATA_BYTES_MAX, self.metadata),
        ];
        for (reason, field, limit, column) in checks {
            for (index, bytes) in column.iter().enumerate() {
                let actual = bytes.as_ref().len();
                if actual > limit {
                    let message = format!(
                        "{field} of the event has {actual} bytes; at most {limit} are allowed"
                    );
                    return Err(CoreError::new(reason, message)
                        .fact("limit", limit)
                        .fact("actual", actual)
                        .fact("event_index", index));
                }
            }
        }
        Ok(())
    }

    fn check_total(&self) -> Result<usize, CoreError> {
        let bytes = |column: &[B]| column.iter().map(|cell| cell.as_ref().len()).sum::<usize>();
        let texts = |column: &[S]| column.iter().map(|cell| cell.as_ref().len()).sum::<usize>();
        let tags = self.tags.iter().map(|tags| texts(tags)).sum::<usize>();
        let actual =
            self.stream.len() + texts(self.types) + bytes(self.data) + bytes(self.metadata) + tags;
        if actual > APPEND_BYTES_MAX {
            let message =
                format!("the append has {actual} bytes; at most {APPEND_BYTES_MAX} are allowed");
            return Err(CoreError::new("APPEND_TOO_LARGE", message)
                .fact("limit", APPEND_BYTES_MAX)
                .fact("actual", actual));
        }
        Ok(actual)
    }

    fn check_event(
        &self,
        index: usize,
        checker: &mut Checker,
        checked: &mut CheckedAppend<'a>,
    ) -> Result<(), CoreError> {
        let event_type = self.types[index].as_ref();
        check_event_type(event_type)?;
        let id = self.ids[index].as_ref();
        if !id.is_empty() && parse_uuid(id).is_none() {
            let message = "the event id is not a UUID of 32 hexadecimal digits with hyphens";
            return Err(CoreError::new("INVALID_EVENT_ID", message).fact("problem", "syntax"));
        }
        let tags = check_tags(&self.tags[index])?;
        if let Some(micros) = self.occurred_us[index] {
            check_time(micros, "occurred_at")?;
        }
        let data = self.data[index].as_ref();
        let found = checker.check(data).map_err(|refusal| refusal.into_error("data"))?;
        let metadata = stored_metadata(self.metadata[index].as_ref());
        checker.check(metadata).map_err(|refusal| refusal.into_error("metadata"))?;

        let escaped = if found.escaped_keys { FLAG_ESCAPED_KEYS } else { 0 };
        checked.flags.push(FLAG_VALIDATED_V1 | escaped);
        checked.sent_digests.push(sent_digest(event_type, data, metadata, &tags));
        checked.stored_digests.push(stored_digest(data, metadata));
        checked.ids.push(id.to_ascii_lowercase());
        checked.tags.push(tags);
        Ok(())
    }
}

/// Checks that a time lies in the years 1 to 9999.
pub fn check_time(micros: i64, field: &'static str) -> Result<(), CoreError> {
    if (MICROS_MIN..=MICROS_MAX).contains(&micros) {
        return Ok(());
    }
    let message = format!("{field} is outside the years 1 to 9999");
    Err(CoreError::new("INVALID_TIME", message).fact("field", field).fact("problem", "range"))
}

fn check_ids_unique(ids: &[String]) -> Result<(), CoreError> {
    let mut seen = HashSet::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        if !id.is_empty() && !seen.insert(id.as_str()) {
            let message = format!("the event id {id} stands twice in the append");
            return Err(CoreError::new("EVENT_ID_REUSED", message)
                .fact("event_id", id)
                .fact("problem", "twice_in_append")
                .fact("event_index", index));
        }
    }
    Ok(())
}
