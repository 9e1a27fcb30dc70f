//! Wire encoding: protobuf messages written straight from rows, and events read straight from
//! messages, without message objects.

mod append;
mod event;
pub(crate) mod fields;
pub(crate) mod proto;
mod read;
mod reference;
mod state;

use crate::error::CoreError;
use crate::rows::{Page, Row};

pub use append::{
    Appended, Expected, NewEvent, SessionAnswer, SessionOutcome, encode_append, session_answers,
    write_session_append,
};
pub use event::{event_size, write_event};
pub use read::{EventPage, WireEvent};
pub use reference::{Lead, write_resolved};
pub use state::{ChangeList, encode_hydrated, write_explained_event, write_historic_state};

/// Encodes a page as field 1 (`events`) of a `ReadResponse` or `ReadAllResponse`.
///
/// The result is a valid serialised message; a serialised `end` may follow. `stream` is the name
/// for pages that leave it out.
pub fn encode_page(rows: &impl Page, stream: Option<&str>) -> Result<Vec<u8>, CoreError> {
    /// Room for what an event has beside its texts: id, numbers, times, keys and lengths.
    const EVENT_BYTES: usize = 120;
    let stream_bytes = stream.map_or(0, str::len);
    let mut out =
        Vec::with_capacity(rows.payload_bytes() + rows.len() * (EVENT_BYTES + stream_bytes));
    for row in rows.iter() {
        write_row(&row?, stream, &mut out)?;
    }
    Ok(out)
}

/// Writes one row of a page, as [`encode_page`] does.
pub fn write_row(row: &Row<'_>, stream: Option<&str>, out: &mut Vec<u8>) -> Result<(), CoreError> {
    let Some(stream) = row.stream.or(stream) else {
        return Err(CoreError::new("BUG", "a page without stream names was not given one"));
    };
    proto::key(1, proto::LENGTH_DELIMITED, out);
    proto::varint(event_size(row, stream) as u64, out);
    write_event(row, stream, out);
    Ok(())
}
