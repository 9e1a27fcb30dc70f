//! Wire encoding: protobuf messages written straight from rows, and events read straight from
//! messages, without message objects.

mod event;
mod proto;
mod read;
mod state;

use crate::error::CoreError;
use crate::rows::Rows;

pub use event::{event_size, write_event};
pub use read::{EventPage, WireEvent};
pub use state::{ChangeList, write_explained_event, write_historic_state};

/// Encodes a page as field 1 (`events`) of a `ReadResponse` or `ReadAllResponse`.
///
/// The result is a valid serialised message; a serialised `end` may follow. `stream` is the name
/// for pages that leave it out.
pub fn encode_page<B: AsRef<[u8]>>(
    rows: &Rows<B>,
    stream: Option<&str>,
) -> Result<Vec<u8>, CoreError> {
    /// Room for what an event has beside its texts: id, numbers, times, keys and lengths.
    const EVENT_BYTES: usize = 120;
    let stream_bytes = stream.map_or(0, str::len);
    let mut out =
        Vec::with_capacity(rows.payload_bytes() + rows.len() * (EVENT_BYTES + stream_bytes));
    for row in rows.iter() {
        let row = row?;
        let Some(stream) = row.stream.or(stream) else {
            return Err(CoreError::new("BUG", "a page without stream names was not given one"));
        };
        proto::key(1, proto::LENGTH_DELIMITED, &mut out);
        proto::varint(event_size(&row, stream) as u64, &mut out);
        write_event(&row, stream, &mut out);
    }
    Ok(out)
}
