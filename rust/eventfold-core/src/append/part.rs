//! An append to one stream, ready to be stored.

use super::decode::{Found, text_of};
use super::personal::PersonalEvent;
use super::{ANY, NEVER, NewIds, Origin, invalid};
use crate::envelope::{
    CheckedEvent, FLAG_SCHEMA_VIOLATED, FLAG_SEALED, NO_METADATA, References, check_append_under,
};
use crate::error::CoreError;
use crate::rows::{Row, Tags};
use crate::rules::{EventViolation, Judge, Ruling, Subject};
use crate::wire::fields::Span;

/// Events for one stream, and what is expected of it. The texts stay where they stood in the
/// request.
#[derive(Debug, Clone)]
pub struct StreamAppend {
    message: Box<[u8]>,
    stream: Span,
    category_bytes: usize,
    expected: i64,
    events: Vec<Entry>,
    /// Of all events, those of each sorted and without repetitions.
    tags: Vec<Span>,
    /// Of the events that have some, by their indexes.
    references: Vec<(usize, References)>,
    ids_made: bool,
    follows: bool,
    size_bytes: usize,
    ruling: Ruling,
    /// Why what its events refer to is not as it must be.
    lack: Option<CoreError>,
    /// The events with personal values, by their indexes.
    pub(super) personal: Vec<PersonalEvent>,
    /// What the root of the stream must be for the subjects to be right, once they are sealed.
    pub(super) root: Option<String>,
    /// Why personal values may not be stored.
    pub(super) erased: Option<CoreError>,
}

#[derive(Debug, Clone)]
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
    /// Digest of the event as sent; `None`: nobody can make it any more.
    pub sent_digest: Option<&'a [u8; 32]>,
    /// Digest of the stored bytes.
    pub stored_digest: &'a [u8; 32],
    /// Pointers to the sealed values, as the text of an array of PostgreSQL; `None`: none.
    pub sealed_paths: Option<&'a str>,
}

impl StreamAppend {
    /// Checks what was found in a message, whose values passed, and takes it over.
    pub(super) fn check(
        message: &[u8],
        found: &Found,
        judge: &mut Judge<'_>,
        ids: NewIds<'_>,
    ) -> Result<Self, CoreError> {
        let stream = text_of(message, found.stream);
        // The name is told before anything that names the stream.
        judge.stream(stream)?;
        let Some(expected) = found.expected else {
            let message = "an append names the version that it was decided on, `exists` or `any`";
            return Err(CoreError::new("EXPECTED_VERSION_REQUIRED", message).fact("stream", stream));
        };
        let expected = expected.number()?;
        if found.follow && expected != ANY {
            return Err(invalid("follow", "goes with the expectation `any` only", None));
        }
        let mut ruling = Ruling::default();
        let checked = check_append_under(stream, &found.new_events(message), judge, &mut ruling)?;
        let mut part = Self {
            message: message.into(),
            stream: found.stream,
            category_bytes: checked.category.len(),
            expected,
            events: Vec::with_capacity(found.events.len()),
            tags: Vec::with_capacity(found.tags.len()),
            references: Vec::new(),
            ids_made: false,
            follows: found.follow,
            size_bytes: checked.total_bytes,
            ruling,
            lack: None,
            personal: Vec::new(),
            root: None,
            erased: None,
        };
        for (found, event) in found.events.iter().zip(checked.events) {
            let first = part.tags.len() as u32;
            part.tags.extend(event.tags.iter().map(|tag| Span::within(message, tag.as_bytes())));
            let tags = Span { first, last: part.tags.len() as u32 };
            let CheckedEvent { id, flags, references, sent_digest, stored_digest, .. } = event;
            if !references.is_empty() {
                part.references.push((part.events.len(), references));
            }
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
        part.find_personal(judge);
        part.map(judge);
        Ok(part)
    }

    /// Holds the events to other rules, instead of those that they were held to before.
    pub(super) fn check_again(&mut self, judge: &mut Judge<'_>) -> Result<(), CoreError> {
        let mut ruling = Ruling::default();
        let category = &text_of(&self.message, self.stream)[..self.category_bytes];
        for (index, event) in self.events.iter_mut().enumerate() {
            let event_type = text_of(&self.message, event.event_type);
            let subject = Subject { index, event_type, category };
            let (_, flag) = judge.data(subject, event.data.of(&self.message), &mut ruling)?;
            event.flags = event.flags & !FLAG_SCHEMA_VIOLATED | flag;
        }
        self.ruling = ruling;
        self.find_personal(judge);
        self.map(judge);
        Ok(())
    }

    /// Finds the personal values, instead of those that were found before.
    fn find_personal(&mut self, judge: &Judge<'_>) {
        let category = &text_of(&self.message, self.stream)[..self.category_bytes];
        let mut ruling = std::mem::take(&mut self.ruling);
        self.personal.clear();
        for (index, event) in self.events.iter().enumerate() {
            let event_type = text_of(&self.message, event.event_type);
            let subject = Subject { index, event_type, category };
            let values = judge.personal(subject, event.data.of(&self.message), &mut ruling);
            let event = values.map(|values| PersonalEvent { index, values, sealed: None });
            self.personal.extend(event);
        }
        self.ruling = ruling;
        (self.root, self.erased) = (None, None);
    }

    #[cfg(feature = "sealing")]
    /// Of an event at an index: its id, and data, metadata and digest as they were sent.
    pub(super) fn to_seal(&self, index: usize) -> (&[u8; 16], &[u8], &[u8], &[u8; 32]) {
        let event = &self.events[index];
        (&event.id, event.data.of(&self.message), self.metadata(event), &event.sent_digest)
    }

    fn metadata(&self, event: &Entry) -> &[u8] {
        match event.metadata.len() {
            0 => NO_METADATA,
            _ => event.metadata.of(&self.message),
        }
    }

    /// What the root of the stream must be; `None`: anything.
    pub fn root(&self) -> Option<&str> {
        self.root.as_deref()
    }

    /// Makes sure that the events can be read once they are stored.
    fn map(&mut self, judge: &mut Judge<'_>) {
        // What is refused needs no second reason.
        if !judge.maps() || self.ruling.refuses() || judge.gave_up() {
            return;
        }
        let mut ruling = std::mem::take(&mut self.ruling);
        let tags: Vec<_> = self.tags.iter().map(|tag| text_of(&self.message, *tag)).collect();
        // Version and position are known when they are stored: no mapping reads them.
        let Origin { writer, called_us, .. } = judge.origin();
        for (index, (event, entry)) in self.sent().zip(&self.events).enumerate() {
            let (first, last) = (entry.tags.first as usize, entry.tags.last as usize);
            let row = Row {
                stream: None,
                version: 0,
                position: 0,
                event_id: event.id,
                event_type: text_of(&self.message, entry.event_type),
                data: event.data,
                metadata: event.metadata,
                tags: Tags::from_texts(&tags[first..last]),
                recorded_us: *called_us,
                occurred_us: event.occurred_us.unwrap_or(*called_us),
                writer,
                flags: event.flags,
                copied_from: None,
                cancels: None,
                trace_context: None,
                deleted: false,
            };
            if !judge.map(&row, index, self.stream(), &mut ruling) {
                break;
            }
        }
        self.ruling = ruling;
    }

    /// Forgets what the rules say.
    pub(super) fn unjudged(&mut self) {
        self.ruling = Ruling::default();
    }

    /// Where its events do not fit their schemas.
    pub fn violations(&self) -> &[EventViolation] {
        self.ruling.violations()
    }

    /// Why the rules refuse it; `None`: they do not.
    pub fn refusal(&self) -> Option<CoreError> {
        self.ruling.refusal().or_else(|| self.lack.clone()).or_else(|| self.erased.clone())
    }

    /// Notes why what its events refer to is not as it must be; `None`: it is.
    pub(super) fn lack(&mut self, lack: Option<CoreError>) {
        self.lack = lack;
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

    /// What the database is to hold the stream to. If the rules refuse the events, it is a version
    /// that no stream has: they can only turn out to be stored already.
    pub fn demanded(&self) -> i64 {
        let refused = self.ruling.refuses() || self.lack.is_some() || self.erased.is_some();
        if refused { NEVER } else { self.expected }
    }

    /// Whether an id of an event was made here.
    pub fn ids_made(&self) -> bool {
        self.ids_made
    }

    /// Whether it goes to the stream that takes events where this one is closed.
    pub(super) fn follows(&self) -> bool {
        self.follows
    }

    /// Data, metadata, types, tags and the name together, as sent.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The events as they are stored, in their order. One with personal values that are not sealed
    /// has no data: it is not to be stored, but may turn out to be there already.
    pub fn events(&self) -> impl ExactSizeIterator<Item = StoredEvent<'_>> + Clone {
        let mut personal = self.personal.iter().peekable();
        self.sent().enumerate().map(move |(index, sent)| {
            match personal.next_if(|event| event.index == index) {
                None => sent,
                Some(event) => match &event.sealed {
                    None => StoredEvent { data: b"{}", sent_digest: None, ..sent },
                    Some(sealed) => StoredEvent {
                        data: &sealed.data,
                        flags: sent.flags | FLAG_SEALED,
                        sent_digest: Some(&sealed.sent_digest),
                        stored_digest: &sealed.stored_digest,
                        sealed_paths: Some(&sealed.paths),
                        ..sent
                    },
                },
            }
        })
    }

    /// The events as they were sent.
    fn sent(&self) -> impl ExactSizeIterator<Item = StoredEvent<'_>> + Clone {
        self.events.iter().map(|event| StoredEvent {
            id: &event.id,
            event_type: event.event_type.of(&self.message),
            data: event.data.of(&self.message),
            metadata: self.metadata(event),
            tags_end: event.tags.last as usize,
            occurred_us: event.occurred_us,
            flags: event.flags,
            sent_digest: Some(&event.sent_digest),
            stored_digest: &event.stored_digest,
            sealed_paths: None,
        })
    }

    /// The id of the event at an index from 0.
    pub fn id(&self, index: usize) -> Option<&[u8; 16]> {
        self.events.get(index).map(|event| &event.id)
    }

    /// What its events refer to: the index of each that refers to something, from 0.
    pub fn references(&self) -> impl Iterator<Item = (usize, &References)> {
        self.references.iter().map(|(index, references)| (*index, references))
    }

    /// The type of the event at an index from 0.
    pub fn event_type(&self, index: usize) -> &str {
        self.events.get(index).map_or("", |event| text_of(&self.message, event.event_type))
    }

    /// Tags of all events, those of each sorted and without repetitions.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.tags.iter().map(|tag| tag.of(&self.message))
    }
}
