//! What the client of an append sends and gets, without message objects.

use std::ops::Range;
use std::time::Duration;

use super::fields::{Fields, Span, Value};
use super::proto;
use super::read::{cut_off, malformed, micros, too_long};
use crate::error::CoreError;

/// Writes field 1 (`appends`) of an `AppendSessionRequest`.
pub fn write_session_append(number: u64, append: &[u8], timeout: Duration, out: &mut Vec<u8>) {
    let (seconds, nanos) = (timeout.as_secs(), u64::from(timeout.subsec_nanos()));
    let duration = proto::number_size(1, seconds) + proto::number_size(2, nanos);
    let size = proto::number_size(1, number)
        + proto::delimited_size(2, append.len())
        + proto::delimited_size(3, duration);
    proto::key(1, proto::LENGTH_DELIMITED, out);
    proto::varint(size as u64, out);
    proto::number(1, number, out);
    proto::delimited(2, append, out);
    proto::key(3, proto::LENGTH_DELIMITED, out);
    proto::varint(duration as u64, out);
    proto::number(1, seconds, out);
    proto::number(2, nanos, out);
}

/// An event to be stored, as its client hands it in.
#[derive(Debug)]
pub struct NewEvent<'a, T> {
    /// UUID in canonical form.
    pub id: &'a str,
    /// Name of what happened.
    pub event_type: &'a str,
    /// A JSON object.
    pub data: &'a [u8],
    /// A JSON object; empty for none.
    pub metadata: &'a [u8],
    /// Its tags.
    pub tags: &'a [T],
    /// Microseconds since 1970; none for the time of recording.
    pub occurred_us: Option<i64>,
}

impl<T: AsRef<str>> NewEvent<'_, T> {
    fn size(&self) -> usize {
        let tag = |tag: &T| proto::delimited_size(5, tag.as_ref().len());
        proto::bytes_size(1, self.id.as_bytes())
            + proto::bytes_size(2, self.event_type.as_bytes())
            + proto::bytes_size(3, self.data)
            + proto::bytes_size(4, self.metadata)
            + self.tags.iter().map(tag).sum::<usize>()
            + self.occurred_us.map_or(0, |micros| proto::timestamp_size(6, micros))
    }

    fn write(&self, out: &mut Vec<u8>) {
        proto::bytes(1, self.id.as_bytes(), out);
        proto::bytes(2, self.event_type.as_bytes(), out);
        proto::bytes(3, self.data, out);
        proto::bytes(4, self.metadata, out);
        for tag in self.tags {
            proto::delimited(5, tag.as_ref().as_bytes(), out);
        }
        if let Some(micros) = self.occurred_us {
            proto::timestamp(6, micros, out);
        }
    }
}

/// The version that an append expects its stream at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// This very one.
    Exact(i64),
    /// The stream has an event.
    Exists,
    /// Whatever it is.
    Any,
}

/// An `AppendRequest`, or the `StreamAppend` of an append to several streams.
pub fn encode_append<T: AsRef<str>>(
    stream: &str,
    expected: Expected,
    events: &[NewEvent<'_, T>],
) -> Vec<u8> {
    /// Expectation, and its keys and lengths.
    const FRAME_BYTES: usize = 24;
    let size: usize = events.iter().map(|event| proto::delimited_size(3, event.size())).sum();
    let mut out = Vec::with_capacity(size + stream.len() + FRAME_BYTES);
    proto::bytes(1, stream.as_bytes(), &mut out);
    proto::key(2, proto::LENGTH_DELIMITED, &mut out);
    match expected {
        // One of several: zero is written too.
        Expected::Exact(version) => {
            let version = version.cast_unsigned();
            proto::varint(1 + proto::varint_size(version) as u64, &mut out);
            proto::key(1, proto::VARINT, &mut out);
            proto::varint(version, &mut out);
        }
        Expected::Exists => out.extend_from_slice(&[2, 2 << 3 | 2, 0]),
        Expected::Any => out.extend_from_slice(&[2, 3 << 3 | 2, 0]),
    }
    for event in events {
        proto::key(3, proto::LENGTH_DELIMITED, &mut out);
        proto::varint(event.size() as u64, &mut out);
        event.write(&mut out);
    }
    out
}

/// One answer of a session: which append it is for, and where in the message its outcome stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionAnswer {
    /// The number that the client gave to the append.
    pub number: u64,
    /// What became of it.
    pub outcome: SessionOutcome,
}

/// What became of an append of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOutcome {
    /// An `AppendResponse`.
    Appended(Range<usize>),
    /// The whole `SessionAnswer`, which has a status, and violations beside it.
    Refused(Range<usize>),
    /// Neither, which no server sends.
    Empty,
}

/// The answers of an `AppendSessionResponse`.
pub fn session_answers(message: &[u8]) -> Result<Vec<SessionAnswer>, CoreError> {
    let mut answers = Vec::new();
    let mut fields = Fields::of_message(message).ok_or_else(too_long)?;
    while let Some(field) = fields.next() {
        if let (1, Value::Bytes(span)) = field {
            answers.push(session_answer(message, span)?);
        }
    }
    fields.finish().ok_or_else(cut_off)?;
    Ok(answers)
}

fn session_answer(message: &[u8], span: Span) -> Result<SessionAnswer, CoreError> {
    let mut answer = SessionAnswer { number: 0, outcome: SessionOutcome::Empty };
    let mut fields = Fields::within(message, span);
    let range = |span: Span| span.first as usize..span.last as usize;
    while let Some(field) = fields.next() {
        match field {
            (1, Value::Number(number)) => answer.number = number,
            (2, Value::Bytes(span)) => answer.outcome = SessionOutcome::Appended(range(span)),
            (3, Value::Bytes(_)) => answer.outcome = SessionOutcome::Refused(range(span)),
            _ => {}
        }
    }
    fields.finish().ok_or_else(cut_off)?;
    Ok(answer)
}

/// An `AppendResponse`, but for the ids that the server made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// Version of the first event.
    pub first_version: i64,
    /// Version of the last event.
    pub last_version: i64,
    /// Position of each event.
    pub positions: Vec<i64>,
    /// Whether the events were stored already.
    pub duplicate: bool,
    /// Microseconds since 1970.
    pub recorded_us: i64,
}

impl Appended {
    /// Reads a serialised `AppendResponse`.
    pub fn decode(message: &[u8]) -> Result<Self, CoreError> {
        let mut found = Self::default();
        let mut fields = Fields::of_message(message).ok_or_else(too_long)?;
        while let Some(field) = fields.next() {
            match field {
                (1, Value::Number(number)) => found.first_version = number.cast_signed(),
                (2, Value::Number(number)) => found.last_version = number.cast_signed(),
                // Packed, as servers write them, or one by one.
                (3, Value::Bytes(span)) => packed(message, span, &mut found.positions)?,
                (3, Value::Number(number)) => found.positions.push(number.cast_signed()),
                (5, Value::Number(number)) => found.duplicate = number != 0,
                (6, Value::Bytes(span)) => found.recorded_us = micros(message, span)?,
                _ => {}
            }
        }
        fields.finish().ok_or_else(cut_off)?;
        Ok(found)
    }
}

fn packed(message: &[u8], span: Span, numbers: &mut Vec<i64>) -> Result<(), CoreError> {
    let mut fields = Fields::within(message, span);
    while !fields.is_over() {
        let number = fields.varint().ok_or_else(|| malformed("numbers are cut off"))?;
        numbers.push(number.cast_signed());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[derive(PartialEq, Message)]
    struct Stamp {
        #[prost(int64, tag = "1")]
        seconds: i64,
        #[prost(int32, tag = "2")]
        nanos: i32,
    }

    #[derive(PartialEq, Message)]
    struct Append {
        #[prost(uint64, tag = "1")]
        number: u64,
        #[prost(bytes = "vec", tag = "2")]
        append: Vec<u8>,
        #[prost(message, tag = "3")]
        timeout: Option<Stamp>,
    }

    #[derive(PartialEq, Message)]
    struct Request {
        #[prost(message, repeated, tag = "1")]
        appends: Vec<Append>,
    }

    #[derive(PartialEq, Message)]
    struct Empty {}

    #[derive(PartialEq, Message)]
    struct Version {
        #[prost(oneof = "Kind", tags = "1, 2, 3")]
        kind: Option<Kind>,
    }

    #[derive(PartialEq, prost::Oneof)]
    enum Kind {
        #[prost(int64, tag = "1")]
        Exact(i64),
        #[prost(message, tag = "2")]
        Exists(Empty),
        #[prost(message, tag = "3")]
        Any(Empty),
    }

    #[derive(PartialEq, Message)]
    struct Event {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(string, tag = "2")]
        event_type: String,
        #[prost(bytes = "vec", tag = "3")]
        data: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        metadata: Vec<u8>,
        #[prost(string, repeated, tag = "5")]
        tags: Vec<String>,
        #[prost(message, tag = "6")]
        occurred_at: Option<Stamp>,
    }

    #[derive(PartialEq, Message)]
    struct AppendRequest {
        #[prost(string, tag = "1")]
        stream: String,
        #[prost(message, tag = "2")]
        expected_version: Option<Version>,
        #[prost(message, repeated, tag = "3")]
        events: Vec<Event>,
    }

    #[test]
    fn an_append_is_written_as_protobuf_writes_it() {
        let long = "x".repeat(300);
        let cases = [
            (Expected::Exact(0), Kind::Exact(0)),
            (Expected::Exact(i64::MAX), Kind::Exact(i64::MAX)),
            (Expected::Exact(-1), Kind::Exact(-1)),
            (Expected::Exists, Kind::Exists(Empty {})),
            (Expected::Any, Kind::Any(Empty {})),
        ];
        for (expected, kind) in cases {
            let whole = NewEvent {
                id: "i",
                event_type: &long,
                data: b"{}",
                metadata: b"{\"a\":1}",
                tags: &["", "b"],
                occurred_us: Some(-1),
            };
            let bare = NewEvent {
                id: "",
                event_type: "A",
                data: b"{}",
                metadata: b"",
                tags: &[],
                occurred_us: None,
            };
            let written = encode_append("a-1", expected, &[whole, bare]);
            let request = AppendRequest {
                stream: "a-1".to_owned(),
                expected_version: Some(Version { kind: Some(kind) }),
                events: vec![
                    Event {
                        id: "i".to_owned(),
                        event_type: long.clone(),
                        data: b"{}".to_vec(),
                        metadata: b"{\"a\":1}".to_vec(),
                        tags: vec![String::new(), "b".to_owned()],
                        occurred_at: Some(Stamp { seconds: -1, nanos: 999_999_000 }),
                    },
                    Event { event_type: "A".to_owned(), data: b"{}".to_vec(), ..Event::default() },
                ],
            };
            assert_eq!(written, request.encode_to_vec());
        }
    }

    #[derive(PartialEq, Message)]
    struct Response {
        #[prost(int64, tag = "1")]
        first_version: i64,
        #[prost(int64, tag = "2")]
        last_version: i64,
        #[prost(int64, repeated, tag = "3")]
        positions: Vec<i64>,
        #[prost(string, repeated, tag = "4")]
        ids: Vec<String>,
        #[prost(bool, tag = "5")]
        duplicate: bool,
        #[prost(message, tag = "6")]
        recorded_at: Option<Stamp>,
    }

    #[test]
    fn appends_are_written_as_protobuf_reads_them() {
        let mut out = Vec::new();
        let long = vec![7; 300];
        write_session_append(1, &long, Duration::from_millis(1_500), &mut out);
        write_session_append(300, b"", Duration::from_nanos(1), &mut out);
        let read = Request::decode(&out[..]).unwrap().appends;
        let timeout = |seconds, nanos| Some(Stamp { seconds, nanos });
        assert_eq!(
            read,
            [
                Append { number: 1, append: long, timeout: timeout(1, 500_000_000) },
                Append { number: 300, append: Vec::new(), timeout: timeout(0, 1) },
            ]
        );
    }

    #[test]
    fn an_answer_is_read_as_protobuf_writes_it() {
        let response = Response {
            first_version: 3,
            last_version: 5,
            positions: vec![1, 300, i64::MAX],
            ids: vec!["x".to_owned()],
            duplicate: true,
            recorded_at: Some(Stamp { seconds: -1, nanos: 5_000 }),
        };
        let found = Appended::decode(&response.encode_to_vec()).unwrap();
        assert_eq!((found.first_version, found.last_version), (3, 5));
        assert_eq!(found.positions, response.positions);
        assert_eq!((found.duplicate, found.recorded_us), (true, -999_995));
        assert_eq!(Appended::decode(&[]).unwrap(), Appended::default());
    }

    #[test]
    fn answers_that_are_cut_are_refused() {
        let message = [10, 6, 8, 1, 18, 2, 8, 1, 10, 4, 8, 2, 26, 0, 10, 2, 8, 3];
        let outcomes: Vec<_> =
            session_answers(&message).unwrap().into_iter().map(|a| (a.number, a.outcome)).collect();
        assert_eq!(
            outcomes,
            [
                (1, SessionOutcome::Appended(6..8)),
                (2, SessionOutcome::Refused(10..14)),
                (3, SessionOutcome::Empty),
            ]
        );
        for end in [1, 3, 7, 9, 12] {
            assert!(session_answers(&message[..end]).is_err(), "{end}");
        }
        assert!(Appended::decode(&[26, 1, 128]).is_err());
    }
}
