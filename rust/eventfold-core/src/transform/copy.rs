//! Copies of events, as they are appended.

use std::sync::Arc;

use crate::append::StoredEvent;
use crate::envelope::uuid5;
use crate::privacy::PersonalValue;

/// The id of a copy: the UUID of version 5 in the namespace of the job, of the sixteen bytes of the
/// id of the source event and the ordinal of its rule as four bytes, the most significant first.
/// Whoever does the job again makes the same ids.
pub fn copy_id(job: &[u8; 16], source_id: &[u8; 16], ordinal: u32) -> [u8; 16] {
    uuid5(job, &[source_id, &ordinal.to_be_bytes()])
}

/// A copy of an event, which passed every check of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Index of the source event in its page.
    pub index: usize,
    /// Position of the source event.
    pub position: i64,
    /// The place of its rule in the list of the event type, from 0.
    pub ordinal: u32,
    /// Name of the target stream.
    pub stream: Arc<str>,
    /// How many bytes of the name are its category.
    pub category_bytes: usize,
    /// Event id.
    pub id: [u8; 16],
    /// Event type.
    pub event_type: Arc<str>,
    /// JSON text.
    pub data: Vec<u8>,
    /// JSON text.
    pub metadata: Vec<u8>,
    /// Sorted and without repetitions.
    pub tags: Vec<String>,
    /// Microseconds since 1970.
    pub occurred_us: i64,
    /// Sum of the `FLAG_` constants.
    pub flags: i32,
    /// Digest of the event as sent.
    pub sent_digest: [u8; 32],
    /// Digest of the stored bytes.
    pub stored_digest: [u8; 32],
    /// Id of the source event.
    pub copied_from: [u8; 16],
    /// The copy that it cancels, if the source event is a cancellation.
    pub cancels: Option<[u8; 16]>,
    /// Data, metadata, type and tags together.
    pub size_bytes: usize,
    /// Values of the source event that were opened, where they stand now.
    pub personal: Vec<PersonalValue>,
}

impl Copied {
    /// Category of the target stream.
    pub fn category(&self) -> &str {
        &self.stream[..self.category_bytes]
    }

    /// The event as it is stored but for what is sealed, of an append in which its tags end at a
    /// place.
    pub fn stored(&self, tags_end: usize) -> StoredEvent<'_> {
        StoredEvent {
            id: &self.id,
            event_type: self.event_type.as_bytes(),
            data: &self.data,
            metadata: &self.metadata,
            tags_end,
            occurred_us: Some(self.occurred_us),
            flags: self.flags,
            sent_digest: Some(&self.sent_digest),
            sealed_paths: None,
            stored_digest: &self.stored_digest,
        }
    }
}
