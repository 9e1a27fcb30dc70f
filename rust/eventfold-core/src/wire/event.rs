//! `RecordedEvent` of `proto/eventfold/v1/event_store.proto`.

use super::proto;
use crate::envelope::{FLAG_ABSENT, UUID_TEXT_BYTES, write_uuid};
use crate::json::absent::{Shown, without_absent};
use crate::rows::Row;

pub(super) const ID: u32 = 1;
pub(super) const STREAM: u32 = 2;
pub(super) const TYPE: u32 = 3;
pub(super) const VERSION: u32 = 4;
pub(super) const POSITION: u32 = 5;
pub(super) const RECORDED_AT: u32 = 6;
pub(super) const OCCURRED_AT: u32 = 7;
pub(super) const WRITER: u32 = 8;
pub(super) const DATA: u32 = 9;
pub(super) const METADATA: u32 = 10;
pub(super) const TAGS: u32 = 11;
pub(super) const FLAGS: u32 = 12;
pub(super) const COPIED_FROM: u32 = 13;
pub(super) const CANCELS: u32 = 14;
pub(super) const TRACE_CONTEXT: u32 = 15;
pub(super) const DELETED: u32 = 16;
pub(super) const ERASED_PATHS: u32 = 17;
pub(super) const WITHHELD_PATHS: u32 = 18;

/// The number of bytes that [`write_event`] writes.
pub fn event_size(row: &Row<'_>, stream: &str) -> usize {
    match shown(row) {
        None => size(row, row.data, stream),
        Some(shown) => {
            size(row, &shown.text, stream)
                + proto::texts_size(ERASED_PATHS, &shown.erased)
                + proto::texts_size(WITHHELD_PATHS, &shown.withheld)
        }
    }
}

/// Writes the fields of one event. The words of absent values are never written.
pub fn write_event(row: &Row<'_>, stream: &str, out: &mut Vec<u8>) {
    match shown(row) {
        None => write(row, row.data, stream, out),
        Some(shown) => {
            write(row, &shown.text, stream, out);
            proto::texts(ERASED_PATHS, &shown.erased, out);
            proto::texts(WITHHELD_PATHS, &shown.withheld, out);
        }
    }
}

/// The data of an event that holds the words of absent values, as others may see them.
fn shown(row: &Row<'_>) -> Option<Shown> {
    if row.flags & FLAG_ABSENT == 0 { None } else { without_absent(row.data) }
}

fn size(row: &Row<'_>, data: &[u8], stream: &str) -> usize {
    let uuid = |field| proto::delimited_size(field, UUID_TEXT_BYTES);
    uuid(ID)
        + proto::bytes_size(STREAM, stream.as_bytes())
        + proto::bytes_size(TYPE, row.event_type.as_bytes())
        + proto::number_size(VERSION, row.version.cast_unsigned())
        + proto::number_size(POSITION, row.position.cast_unsigned())
        + proto::timestamp_size(RECORDED_AT, row.recorded_us)
        + proto::timestamp_size(OCCURRED_AT, row.occurred_us)
        + proto::bytes_size(WRITER, row.writer.as_bytes())
        + proto::bytes_size(DATA, data)
        + proto::bytes_size(METADATA, row.metadata)
        + row.tags.iter().map(|tag| proto::delimited_size(TAGS, tag.len())).sum::<usize>()
        + proto::number_size(FLAGS, flags(row))
        + row.copied_from.map_or(0, |_| uuid(COPIED_FROM))
        + row.cancels.map_or(0, |_| uuid(CANCELS))
        + proto::bytes_size(TRACE_CONTEXT, trace_context(row))
        + proto::number_size(DELETED, u64::from(row.deleted))
}

fn write(row: &Row<'_>, data: &[u8], stream: &str, out: &mut Vec<u8>) {
    uuid(ID, row.event_id, out);
    proto::bytes(STREAM, stream.as_bytes(), out);
    proto::bytes(TYPE, row.event_type.as_bytes(), out);
    proto::number(VERSION, row.version.cast_unsigned(), out);
    proto::number(POSITION, row.position.cast_unsigned(), out);
    proto::timestamp(RECORDED_AT, row.recorded_us, out);
    proto::timestamp(OCCURRED_AT, row.occurred_us, out);
    proto::bytes(WRITER, row.writer.as_bytes(), out);
    proto::bytes(DATA, data, out);
    proto::bytes(METADATA, row.metadata, out);
    for tag in &row.tags {
        proto::delimited(TAGS, tag.as_bytes(), out);
    }
    proto::number(FLAGS, flags(row), out);
    if let Some(id) = row.copied_from {
        uuid(COPIED_FROM, id, out);
    }
    if let Some(id) = row.cancels {
        uuid(CANCELS, id, out);
    }
    proto::bytes(TRACE_CONTEXT, trace_context(row), out);
    proto::number(DELETED, u64::from(row.deleted), out);
}

fn uuid(field: u32, id: &[u8; 16], out: &mut Vec<u8>) {
    proto::key(field, proto::LENGTH_DELIMITED, out);
    proto::varint(UUID_TEXT_BYTES as u64, out);
    write_uuid(id, out);
}

fn flags(row: &Row<'_>) -> u64 {
    u64::from((row.flags & !FLAG_ABSENT).cast_unsigned())
}

fn trace_context<'a>(row: &Row<'a>) -> &'a [u8] {
    row.trace_context.unwrap_or_default().as_bytes()
}
