//! Answers that hold events, as a client gets them: indexed in one pass, nothing is copied.

use std::fmt;

use super::event::{
    CANCELS, COPIED_FROM, DATA, DELETED, ERASED_PATHS, FLAGS, ID, METADATA, OCCURRED_AT, POSITION,
    RECORDED_AT, STREAM, TAGS, TRACE_CONTEXT, TYPE, VERSION, WITHHELD_PATHS, WRITER,
};
use super::fields::{Fields, Span, Value};
use crate::envelope::{
    FLAG_ABSENT, FLAG_MAPPED, FLAG_OPENS, References, parse_uuid, stored_metadata,
};
use crate::error::CoreError;
use crate::json::absent::with_absent;
use crate::json::check::Checker;
use crate::rows::{Row, Tags};

/// The events of every answer that has some, such as `events` of a `ReadResponse`.
const EVENTS: u32 = 1;

/// One message of an answer: the bytes, and where the fields of its events stand in them.
#[derive(Debug)]
pub struct EventPage<B> {
    bytes: B,
    events: Vec<Entry>,
    lists: Lists,
    /// All between the events.
    others: Vec<Span>,
}

/// The items of the lists of all events of a page.
#[derive(Debug, Default)]
struct Lists {
    tags: Vec<Span>,
    erased: Vec<Span>,
    withheld: Vec<Span>,
}

/// One event of a page.
#[derive(Debug, Default)]
struct Entry {
    whole: Span,
    id: Span,
    stream: Span,
    event_type: Span,
    writer: Span,
    data: Span,
    metadata: Span,
    copied_from: Span,
    cancels: Span,
    trace_context: Span,
    /// Of the lists of the page.
    tags: Span,
    erased: Span,
    withheld: Span,
    version: i64,
    position: i64,
    recorded_us: i64,
    occurred_us: i64,
    flags: u32,
    deleted: bool,
}

impl<B: AsRef<[u8]>> EventPage<B> {
    /// Indexes a serialised answer that has its events in field 1, such as a `ReadResponse`, and
    /// checks that every event in it can be read.
    pub fn decode(bytes: B) -> Result<Self, CoreError> {
        let message = bytes.as_ref();
        let mut events = Vec::new();
        let mut lists = Lists::default();
        let mut others = Vec::new();
        let mut fields = Fields::of_message(message).ok_or_else(too_long)?;
        let mut first = fields.place();
        while let Some((number, value)) = fields.next() {
            match (number, value) {
                (EVENTS, Value::Bytes(span)) => {
                    events.push(Entry::index(message, span, &mut lists)?)
                }
                _ => others.push(Span { first: first as u32, last: fields.place() as u32 }),
            }
            first = fields.place();
        }
        fields.finish().ok_or_else(cut_off)?;
        Ok(Self { bytes, events, lists, others })
    }

    /// Takes one serialised `RecordedEvent` for a page of its own.
    pub fn of_event(bytes: B) -> Result<Self, CoreError> {
        let message = bytes.as_ref();
        let whole = Fields::of_message(message).ok_or_else(too_long)?.rest();
        let mut lists = Lists::default();
        let events = vec![Entry::index(message, whole, &mut lists)?];
        Ok(Self { bytes, events, lists, others: Vec::new() })
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The message without its events, serialised.
    pub fn rest(&self) -> Vec<u8> {
        let bytes = self.bytes.as_ref();
        self.others.iter().flat_map(|span| span.of(bytes)).copied().collect()
    }

    /// The event at an index from 0; `None` beyond the last.
    pub fn event(&self, index: usize) -> Option<WireEvent<'_>> {
        let entry = self.events.get(index)?;
        Some(WireEvent { bytes: self.bytes.as_ref(), entry, lists: &self.lists })
    }
}

impl Entry {
    /// Finds the fields of an event; one of a later version of the contract is passed by, and so
    /// is one with another type.
    fn index(message: &[u8], whole: Span, lists: &mut Lists) -> Result<Self, CoreError> {
        let Lists { tags, erased, withheld } = lists;
        let [first_tag, first_erased, first_withheld] = [&*tags, erased, withheld].map(Vec::len);
        let mut event = Self { whole, ..Self::default() };
        let mut fields = Fields::within(message, whole);
        while let Some((number, value)) = fields.next() {
            match (number, value) {
                (ID, Value::Bytes(span)) => event.id = span,
                (STREAM, Value::Bytes(span)) => event.stream = span,
                (TYPE, Value::Bytes(span)) => event.event_type = span,
                (VERSION, Value::Number(number)) => event.version = number.cast_signed(),
                (POSITION, Value::Number(number)) => event.position = number.cast_signed(),
                (RECORDED_AT, Value::Bytes(span)) => event.recorded_us = micros(message, span)?,
                (OCCURRED_AT, Value::Bytes(span)) => event.occurred_us = micros(message, span)?,
                (WRITER, Value::Bytes(span)) => event.writer = span,
                (DATA, Value::Bytes(span)) => event.data = span,
                (METADATA, Value::Bytes(span)) => event.metadata = span,
                (TAGS, Value::Bytes(span)) => tags.push(span),
                (ERASED_PATHS, Value::Bytes(span)) => erased.push(span),
                (WITHHELD_PATHS, Value::Bytes(span)) => withheld.push(span),
                (FLAGS, Value::Number(number)) => event.flags = number as u32,
                (COPIED_FROM, Value::Bytes(span)) => event.copied_from = span,
                (CANCELS, Value::Bytes(span)) => event.cancels = span,
                (TRACE_CONTEXT, Value::Bytes(span)) => event.trace_context = span,
                (DELETED, Value::Number(number)) => event.deleted = number != 0,
                _ => {}
            }
        }
        fields.finish().ok_or_else(cut_off)?;
        // An item takes two bytes and more, so their number fits as well.
        let of_event =
            |first: usize, list: &[Span]| Span { first: first as u32, last: list.len() as u32 };
        event.tags = of_event(first_tag, tags);
        event.erased = of_event(first_erased, erased);
        event.withheld = of_event(first_withheld, withheld);
        let texts = [event.id, event.stream, event.event_type, event.writer];
        let rare = [event.copied_from, event.cancels, event.trace_context];
        let paths = erased[first_erased..].iter().chain(&withheld[first_withheld..]);
        for span in texts.iter().chain(&rare).chain(&tags[first_tag..]).chain(paths) {
            text(span.of(message))?;
        }
        Ok(event)
    }
}

/// A `RecordedEvent` of a page. Its texts are UTF-8.
#[derive(Clone, Copy)]
pub struct WireEvent<'a> {
    bytes: &'a [u8],
    entry: &'a Entry,
    lists: &'a Lists,
}

/// The fields of the message, which explains them.
#[expect(missing_docs, reason = "the contract explains its fields")]
impl<'a> WireEvent<'a> {
    pub fn id(&self) -> &'a [u8] {
        self.entry.id.of(self.bytes)
    }

    pub fn stream(&self) -> &'a [u8] {
        self.entry.stream.of(self.bytes)
    }

    pub fn event_type(&self) -> &'a [u8] {
        self.entry.event_type.of(self.bytes)
    }

    pub fn version(&self) -> i64 {
        self.entry.version
    }

    pub fn position(&self) -> i64 {
        self.entry.position
    }

    /// In microseconds since 1970.
    pub fn recorded_us(&self) -> i64 {
        self.entry.recorded_us
    }

    /// In microseconds since 1970.
    pub fn occurred_us(&self) -> i64 {
        self.entry.occurred_us
    }

    pub fn writer(&self) -> &'a [u8] {
        self.entry.writer.of(self.bytes)
    }

    pub fn data(&self) -> &'a [u8] {
        self.entry.data.of(self.bytes)
    }

    pub fn metadata(&self) -> &'a [u8] {
        self.entry.metadata.of(self.bytes)
    }

    pub fn references(&self) -> References {
        References::marked(self.flags().cast_signed(), self.metadata())
    }

    pub fn tags(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.items(&self.lists.tags, self.entry.tags)
    }

    pub fn erased_paths(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.items(&self.lists.erased, self.entry.erased)
    }

    pub fn withheld_paths(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.items(&self.lists.withheld, self.entry.withheld)
    }

    pub fn flags(&self) -> u32 {
        self.entry.flags
    }

    pub fn copied_from(&self) -> &'a [u8] {
        self.entry.copied_from.of(self.bytes)
    }

    pub fn cancels(&self) -> &'a [u8] {
        self.entry.cancels.of(self.bytes)
    }

    pub fn trace_context(&self) -> &'a [u8] {
        self.entry.trace_context.of(self.bytes)
    }

    pub fn deleted(&self) -> bool {
        self.entry.deleted
    }
}

impl<'a> WireEvent<'a> {
    fn items(
        &self,
        list: &'a [Span],
        Span { first, last }: Span,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        list[first as usize..last as usize].iter().map(move |span| span.of(bytes))
    }

    /// The data with the words of absent values; `None`: there are none, or the texts are not JSON,
    /// which whoever reads the data as they are tells.
    fn absent_data(&self) -> Result<Option<Vec<u8>>, CoreError> {
        if self.erased_paths().len() + self.withheld_paths().len() == 0 || self.deleted() {
            return Ok(None);
        }
        let mut checker = Checker::default();
        let texts = [self.data(), stored_metadata(self.metadata())];
        if texts.iter().any(|text| checker.check(text).is_err()) {
            return Ok(None);
        }
        let erased = self.erased_paths().map(text).collect::<Result<Vec<_>, _>>()?;
        let withheld = self.withheld_paths().map(text).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(with_absent(self.data(), erased, withheld)))
    }

    /// The serialised event.
    pub fn serialised(&self) -> &'a [u8] {
        self.entry.whole.of(self.bytes)
    }

    /// Calls `work` with the event as a row that is not known to be validated.
    ///
    /// The marks of the server are passed by: what came over a network is checked again. Only that
    /// it was mapped, or opens its stream, is taken along, and what of it is absent.
    pub fn with_row<T>(
        &self,
        work: impl FnOnce(&Row<'_>) -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        let tags = self.tags().map(text).collect::<Result<Vec<_>, _>>()?;
        let copied_from = optional_uuid(self.copied_from())?;
        let cancels = optional_uuid(self.cancels())?;
        let trace_context = text(self.trace_context())?;
        let metadata = self.metadata();
        let absent = self.absent_data()?;
        let flag = if absent.is_some() { FLAG_ABSENT } else { 0 };
        work(&Row {
            stream: Some(text(self.stream())?),
            version: self.version(),
            position: self.position(),
            event_id: &uuid(self.id())?,
            event_type: text(self.event_type())?,
            data: absent.as_deref().unwrap_or(self.data()),
            metadata: if self.deleted() { metadata } else { stored_metadata(metadata) },
            tags: Tags::from_texts(&tags),
            recorded_us: self.recorded_us(),
            occurred_us: self.occurred_us(),
            writer: text(self.writer())?,
            flags: self.flags().cast_signed() & (FLAG_MAPPED | FLAG_OPENS) | flag,
            copied_from: copied_from.as_ref(),
            cancels: cancels.as_ref(),
            trace_context: (!trace_context.is_empty()).then_some(trace_context),
            deleted: self.deleted(),
        })
    }
}

impl PartialEq for WireEvent<'_> {
    /// Whether all fields are equal; however they are spelled on the wire.
    fn eq(&self, other: &Self) -> bool {
        self.serialised() == other.serialised()
            || (self.numbers() == other.numbers()
                && self.texts() == other.texts()
                && self.tags().eq(other.tags())
                && self.erased_paths().eq(other.erased_paths())
                && self.withheld_paths().eq(other.withheld_paths()))
    }
}

impl Eq for WireEvent<'_> {}

impl fmt::Debug for WireEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WireEvent").field(self.entry).finish()
    }
}

impl<'a> WireEvent<'a> {
    fn numbers(&self) -> (i64, i64, i64, i64, u32, bool) {
        let times = (self.recorded_us(), self.occurred_us());
        (self.version(), self.position(), times.0, times.1, self.flags(), self.deleted())
    }

    fn texts(&self) -> [&'a [u8]; 9] {
        let event = self.entry;
        let named = [event.id, event.stream, event.event_type, event.writer, event.trace_context];
        let [id, stream, kind, writer, trace] = named.map(|span| span.of(self.bytes));
        let (data, metadata) = (self.data(), self.metadata());
        [id, stream, kind, writer, trace, data, metadata, self.copied_from(), self.cancels()]
    }
}

pub(super) fn malformed(problem: &str) -> CoreError {
    CoreError::new("INVALID_REQUEST", format!("no message with events: {problem}"))
        .fact("problem", problem)
}

pub(super) fn cut_off() -> CoreError {
    malformed("it is cut off, or garbled")
}

pub(super) fn too_long() -> CoreError {
    malformed("it has 4 GiB or more")
}

fn text(bytes: &[u8]) -> Result<&str, CoreError> {
    std::str::from_utf8(bytes).map_err(|_| malformed("a text is not UTF-8"))
}

fn uuid(bytes: &[u8]) -> Result<[u8; 16], CoreError> {
    parse_uuid(text(bytes)?).ok_or_else(|| malformed("an event id is no UUID"))
}

fn optional_uuid(bytes: &[u8]) -> Result<Option<[u8; 16]>, CoreError> {
    if bytes.is_empty() { Ok(None) } else { uuid(bytes).map(Some) }
}

/// A `google.protobuf.Timestamp` in microseconds since 1970.
pub(super) fn micros(message: &[u8], span: Span) -> Result<i64, CoreError> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::within(message, span);
    while let Some((number, value)) = fields.next() {
        match (number, value) {
            (1, Value::Number(number)) => seconds = number.cast_signed(),
            (2, Value::Number(number)) => nanos = number.cast_signed(),
            _ => {}
        }
    }
    fields.finish().ok_or_else(cut_off)?;
    seconds
        .checked_mul(1_000_000)
        .and_then(|micros| micros.checked_add(nanos / 1_000))
        .ok_or_else(|| malformed("a time is out of range"))
}
