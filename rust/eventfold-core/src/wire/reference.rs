//! `ResolvedReference` of `proto/eventfold/v1/event_store.proto`, of events.

use super::event::{event_size, write_event};
use super::proto;
use crate::envelope::{UUID_TEXT_BYTES, write_uuid};
use crate::error::CoreError;
use crate::rows::Row;

const EVENT_ID: u32 = 1;
const EVENT: u32 = 3;
const DELETED: u32 = 5;
const LEFT_OUT: u32 = 6;

/// What the reference to an event leads to.
#[derive(Debug, Clone, Copy)]
pub enum Lead<'a> {
    /// Nowhere.
    Missing,
    /// To an event, which stands in the answer unless it was deleted.
    Event(&'a Row<'a>),
    /// To an event that the answer has no room for.
    LeftOut,
}

/// Writes what the reference to an event leads to, as one of the messages in a field.
pub fn write_resolved(
    field: u32,
    id: &[u8; 16],
    lead: Lead<'_>,
    out: &mut Vec<u8>,
) -> Result<(), CoreError> {
    let event = match lead {
        Lead::Event(row) if !row.deleted => {
            let stream = row.stream.ok_or_else(|| {
                CoreError::new("BUG", "an event that was looked up has no name of a stream")
            })?;
            Some((row, stream))
        }
        _ => None,
    };
    let event_bytes = event.map(|(row, stream)| event_size(row, stream));
    let deleted = u64::from(matches!(lead, Lead::Event(row) if row.deleted));
    let left_out = u64::from(matches!(lead, Lead::LeftOut));
    let size = proto::delimited_size(EVENT_ID, UUID_TEXT_BYTES)
        + event_bytes.map_or(0, |bytes| proto::delimited_size(EVENT, bytes))
        + proto::number_size(DELETED, deleted)
        + proto::number_size(LEFT_OUT, left_out);
    proto::key(field, proto::LENGTH_DELIMITED, out);
    proto::varint(size as u64, out);
    proto::key(EVENT_ID, proto::LENGTH_DELIMITED, out);
    proto::varint(UUID_TEXT_BYTES as u64, out);
    write_uuid(id, out);
    if let (Some((row, stream)), Some(bytes)) = (event, event_bytes) {
        proto::key(EVENT, proto::LENGTH_DELIMITED, out);
        proto::varint(bytes as u64, out);
        write_event(row, stream, out);
    }
    proto::number(DELETED, deleted, out);
    proto::number(LEFT_OUT, left_out, out);
    Ok(())
}
