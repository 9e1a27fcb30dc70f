//! An append to one stream, ready to be stored.

use super::NewIds;
use super::decode::{Found, text_of};
use crate::envelope::{CheckedEvent, NO_METADATA, check_append};
use crate::error::CoreError;
use crate::wire::fields::Span;

/// Events for one stream, and what is expected of it. The texts stay where they stood in the
/// request.
#[derive(Debug)]
pub struct StreamAppend {
    message: Box<[u8]>,
    stream: Span,
    category_bytes: usize,
    expected: i64,
    events: Vec<Entry>,
    /// Of all events, those of each sorted and without repetitions.
    tags: Vec<Span>,
    ids_made: bool,
    size_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    id: [u8; 16],
    event_type: Span,
    data: Span,
    metadata: Span,
    /// Of the tags of the append.
    tags: Span,
    occurred_us: Option<i64>,
    flags: i32,
    sent_digest: [u8; 32],
    stored_digest: [u8; 32],
}

/// An event as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredEvent<'a> {
    /// Event id.
    pub id: &'a [u8; 16],
    /// Event type.
    pub event_type: &'a [u8],
    /// JSON text.
    pub data: &'a [u8],
    /// JSON text.
    pub metadata: &'a [u8],
    /// Where its tags end among those of the append.
    pub tags_end: usize,
    /// Microseconds since 1970; `None`: the time at which it is recorded.
    pub occurred_us: Option<i64>,
    /// Sum of the `FLAG_` constants.
    pub flags: i32,
    /// Digest of the event as sent.
    pub sent_digest: &'a [u8; 32],
    /// Digest of the stored bytes.
    pub stored_digest: &'a [u8; 32],
}

impl StreamAppend {
    /// Checks what was found in a message, whose values passed, and takes it over.
    pub(super) fn check(message: &[u8], found: &Found, ids: NewIds<'_>) -> Result<Self, CoreError> {
        let stream = text_of(message, found.stream);
        // The name is told before anything that names the stream.
        crate::names::check_stream_name(stream)?;
        let Some(expected) = found.expected else {
            let message = "an append names the version that it was decided on, `exists` or `any`";
            return Err(CoreError::new("EXPECTED_VERSION_REQUIRED", message).fact("stream", stream));
        };
        let expected = expected.number()?;
        let checked = check_append(stream, &found.new_events(message))?;
        let mut part = Self {
            message: message.into(),
            stream: found.stream,
            category_bytes: checked.category.len(),
            expected,
            events: Vec::with_capacity(found.events.len()),
            tags: Vec::with_capacity(found.tags.len()),
            ids_made: false,
            size_bytes: checked.total_bytes,
        };
        for (found, event) in found.events.iter().zip(checked.events) {
            let first = part.tags.len() as u32;
            part.tags.extend(event.tags.iter().map(|tag| Span::within(message, tag.as_bytes())));
            let tags = Span { first, last: part.tags.len() as u32 };
            let CheckedEvent { id, flags, sent_digest, stored_digest, .. } = event;
            part.ids_made |= id.is_none();
            part.events.push(Entry {
                id: id.unwrap_or_else(&mut *ids),
                event_type: found.event_type,
                data: found.data,
                metadata: found.metadata,
                tags,
                occurred_us: found.occurred_us(),
                flags,
                sent_digest,
                stored_digest,
            });
        }
        Ok(part)
    }

    /// Name of the stream.
    pub fn stream(&self) -> &str {
        text_of(&self.message, self.stream)
    }

    /// Category of the stream.
    pub fn category(&self) -> &str {
        &self.stream()[..self.category_bytes]
    }

    /// The version, [`EXISTS`](super::EXISTS) or [`ANY`](super::ANY).
    pub fn expected(&self) -> i64 {
        self.expected
    }

    /// Whether an id of an event was made here.
    pub fn ids_made(&self) -> bool {
        self.ids_made
    }

    /// Data, metadata, types, tags and the name together, as sent.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The events, in their order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = StoredEvent<'_>> + Clone {
        self.events.iter().map(|event| StoredEvent {
            id: &event.id,
            event_type: event.event_type.of(&self.message),
            data: event.data.of(&self.message),
            metadata: match event.metadata.len() {
                0 => NO_METADATA,
                _ => event.metadata.of(&self.message),
            },
            tags_end: event.tags.last as usize,
            occurred_us: event.occurred_us,
            flags: event.flags,
            sent_digest: &event.sent_digest,
            stored_digest: &event.stored_digest,
        })
    }

    /// The id of the event at an index from 0.
    pub fn id(&self, index: usize) -> Option<&[u8; 16]> {
        self.events.get(index).map(|event| &event.id)
    }

    /// Tags of all events, those of each sorted and without repetitions.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.tags.iter().map(|tag| tag.of(&self.message))
    }
}
