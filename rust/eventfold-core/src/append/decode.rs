//! Where the fields of a request to append stand. As any decoder of protobuf: fields that are not
//! known are passed by, of those that may stand once the last counts, messages that come again are
//! merged, and a text that is not UTF-8 makes the whole message none.

use super::invalid;
use crate::envelope::{MICROS_MAX, MICROS_MIN, NewEvent};
use crate::error::CoreError;
use crate::wire::fields::{Fields, Span, Value};

/// A version that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Exact(i64),
    Exists,
    Any,
}

/// An `AppendRequest` or a `StreamAppend`, which are laid out alike.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub stream: Span,
    pub expected: Option<Expected>,
    pub events: Vec<FoundEvent>,
    /// Tags of all events.
    pub tags: Vec<Span>,
    /// Whether the events go to the stream that takes them where this one is closed. A
    /// `StreamAppend` does not say.
    pub follow: bool,
}

/// A `NewEvent`.
#[derive(Debug, Default)]
pub(super) struct FoundEvent {
    pub id: Span,
    pub event_type: Span,
    pub data: Span,
    pub metadata: Span,
    /// Of the tags of the request.
    pub tags: Span,
    pub occurred_at: Option<Time>,
}

/// A `google.protobuf.Timestamp` or `Duration`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Time {
    pub seconds: i64,
    pub nanos: i32,
}

/// The refusal of what is no message of the method.
pub(super) fn malformed() -> CoreError {
    let message = "the request is not a message of the method, or has a text that is not UTF-8";
    CoreError::new("INVALID_REQUEST", message).fact("field", "request").fact("problem", "malformed")
}

/// Calls `take` with each field of a message that has a span in `message`.
pub(super) fn each_field(
    message: &[u8],
    span: Span,
    mut take: impl FnMut(u32, Value) -> Result<(), CoreError>,
) -> Result<(), CoreError> {
    let mut fields = Fields::within(message, span);
    while let Some((number, value)) = fields.next() {
        take(number, value)?;
    }
    fields.finish().ok_or_else(malformed)
}

/// All of a message.
pub(super) fn whole(message: &[u8]) -> Result<Span, CoreError> {
    Fields::of_message(message).map(|fields| fields.rest()).ok_or_else(malformed)
}

/// The span, if it is UTF-8.
pub(super) fn text(message: &[u8], span: Span) -> Result<Span, CoreError> {
    std::str::from_utf8(span.of(message)).map(|_| span).map_err(|_| malformed())
}

/// The text of a span that was found to be one.
pub(super) fn text_of(message: &[u8], span: Span) -> &str {
    std::str::from_utf8(span.of(message)).unwrap_or_default()
}

impl Time {
    pub(super) fn merge(&mut self, message: &[u8], span: Span) -> Result<(), CoreError> {
        each_field(message, span, |number, value| {
            match (number, value) {
                (1, Value::Number(seconds)) => self.seconds = seconds.cast_signed(),
                // The encoding widens 32 bits to 64.
                (2, Value::Number(nanos)) => self.nanos = nanos as i32,
                _ => {}
            }
            Ok(())
        })
    }

    /// As a length of time.
    pub(super) fn seconds(self) -> f64 {
        self.seconds as f64 + f64::from(self.nanos) / 1e9
    }

    fn micros(self) -> Result<i64, CoreError> {
        let mut problem = None;
        if !(0..=999_999_999).contains(&self.nanos) || self.nanos % 1_000 != 0 {
            problem = Some("finer_than_microseconds");
        }
        let nanos = i128::from(self.nanos);
        let micros = i128::from(self.seconds) * 1_000_000 + nanos.div_euclid(1_000);
        let micros = i64::try_from(micros).ok().filter(|us| (MICROS_MIN..=MICROS_MAX).contains(us));
        if micros.is_none() {
            problem = Some("range");
        }
        match (problem, micros) {
            (None, Some(micros)) => Ok(micros),
            (problem, _) => {
                let message = "times are whole microseconds between the years 1 and 9999";
                Err(CoreError::new("INVALID_TIME", message)
                    .fact("field", "occurred_at")
                    .fact("problem", problem.unwrap_or("range")))
            }
        }
    }
}

impl Expected {
    /// The number that stands for it; a negative version is refused.
    pub(super) fn number(self) -> Result<i64, CoreError> {
        match self {
            Self::Exact(version) if version < 0 => {
                Err(invalid("expected_version.exact", "must be at least 0", Some(0)))
            }
            Self::Exact(version) => Ok(version),
            Self::Exists => Ok(super::EXISTS),
            Self::Any => Ok(super::ANY),
        }
    }
}

/// Reads an `ExpectedVersion` on top of what stood there before.
pub(super) fn merge_expected(
    message: &[u8],
    span: Span,
    expected: &mut Option<Expected>,
) -> Result<(), CoreError> {
    let nothing = |span| each_field(message, span, |_, _| Ok(()));
    each_field(message, span, |number, value| {
        match (number, value) {
            (1, Value::Number(version)) => *expected = Some(Expected::Exact(version.cast_signed())),
            (2, Value::Bytes(span)) => {
                nothing(span)?;
                *expected = Some(Expected::Exists);
            }
            (3, Value::Bytes(span)) => {
                nothing(span)?;
                *expected = Some(Expected::Any);
            }
            _ => {}
        }
        Ok(())
    })
}

impl FoundEvent {
    /// Microseconds since 1970; the time must have passed.
    pub(super) fn occurred_us(&self) -> Option<i64> {
        self.occurred_at.and_then(|time| time.micros().ok())
    }
}

impl Found {
    pub(super) fn of_request(message: &[u8]) -> Result<Self, CoreError> {
        let mut found = Self::default();
        found.merge(message, whole(message)?)?;
        Ok(found)
    }

    pub(super) fn of_check(message: &[u8]) -> Result<Self, CoreError> {
        let mut found = Self::default();
        each_field(message, whole(message)?, |number, value| match (number, value) {
            (1, Value::Bytes(span)) => found.merge(message, span),
            _ => Ok(()),
        })?;
        Ok(found)
    }

    pub(super) fn merge(&mut self, message: &[u8], span: Span) -> Result<(), CoreError> {
        each_field(message, span, |number, value| {
            match (number, value) {
                (1, Value::Bytes(span)) => self.stream = text(message, span)?,
                (2, Value::Bytes(span)) => merge_expected(message, span, &mut self.expected)?,
                (3, Value::Bytes(span)) => self.push_event(message, span)?,
                (4, Value::Number(follow)) => self.follow = follow != 0,
                _ => {}
            }
            Ok(())
        })
    }

    fn push_event(&mut self, message: &[u8], span: Span) -> Result<(), CoreError> {
        let mut event = FoundEvent::default();
        // A tag takes two bytes and more, so their number fits as well.
        event.tags.first = self.tags.len() as u32;
        each_field(message, span, |number, value| {
            match (number, value) {
                (1, Value::Bytes(span)) => event.id = text(message, span)?,
                (2, Value::Bytes(span)) => event.event_type = text(message, span)?,
                (3, Value::Bytes(span)) => event.data = span,
                (4, Value::Bytes(span)) => event.metadata = span,
                (5, Value::Bytes(span)) => self.tags.push(text(message, span)?),
                (6, Value::Bytes(span)) => {
                    event.occurred_at.get_or_insert_default().merge(message, span)?
                }
                _ => {}
            }
            Ok(())
        })?;
        event.tags.last = self.tags.len() as u32;
        self.events.push(event);
        Ok(())
    }

    /// Refuses an expectation and times that are none, before anything else is looked at.
    pub(super) fn check_values(&self) -> Result<(), CoreError> {
        if let Some(expected) = self.expected {
            expected.number()?;
        }
        for (index, event) in self.events.iter().enumerate() {
            if let Some(time) = event.occurred_at {
                time.micros().map_err(|error| error.fact("event_index", index))?;
            }
        }
        Ok(())
    }

    /// The events, for the checks; their times must have passed.
    pub(super) fn new_events<'a>(&self, message: &'a [u8]) -> Vec<NewEvent<'a>> {
        let event = |event: &FoundEvent| NewEvent {
            id: text_of(message, event.id),
            event_type: text_of(message, event.event_type),
            data: event.data.of(message),
            metadata: event.metadata.of(message),
            tags: self.tags[event.tags.first as usize..event.tags.last as usize]
                .iter()
                .map(|tag| text_of(message, *tag))
                .collect(),
            occurred_us: event.occurred_us(),
        };
        self.events.iter().map(event).collect()
    }
}
