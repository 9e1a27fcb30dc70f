//! Pages from PostgreSQL's bytes to protobuf messages, read back with an independent decoder.

mod common;

use common::{Event, columns};
use eventfold_core::envelope::{FLAG_ABSENT, uuid_text};
use eventfold_core::rows::{Page, Rows};
use eventfold_core::wire::{EventPage, WireEvent, encode_page};
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct RecordedEvent {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    stream: String,
    #[prost(string, tag = "3")]
    event_type: String,
    #[prost(int64, tag = "4")]
    version: i64,
    #[prost(int64, tag = "5")]
    position: i64,
    #[prost(message, tag = "6")]
    recorded_at: Option<Timestamp>,
    #[prost(message, tag = "7")]
    occurred_at: Option<Timestamp>,
    #[prost(string, tag = "8")]
    writer: String,
    #[prost(bytes = "vec", tag = "9")]
    data: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    metadata: Vec<u8>,
    #[prost(string, repeated, tag = "11")]
    tags: Vec<String>,
    #[prost(uint32, tag = "12")]
    flags: u32,
    #[prost(string, tag = "13")]
    copied_from: String,
    #[prost(string, tag = "14")]
    cancels: String,
    #[prost(string, tag = "15")]
    trace_context: String,
    #[prost(bool, tag = "16")]
    deleted: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    events: Vec<RecordedEvent>,
}

/// A `ReadResponse` whose end is any bytes.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, repeated, tag = "1")]
    events: Vec<RecordedEvent>,
    #[prost(bytes = "vec", optional, tag = "2")]
    end: Option<Vec<u8>>,
}

fn as_message(event: &WireEvent<'_>) -> RecordedEvent {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let time = |micros: i64| {
        let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap();
        Some(Timestamp { seconds: micros.div_euclid(1_000_000), nanos })
    };
    RecordedEvent {
        id: text(event.id()),
        stream: text(event.stream()),
        event_type: text(event.event_type()),
        version: event.version(),
        position: event.position(),
        recorded_at: time(event.recorded_us()),
        occurred_at: time(event.occurred_us()),
        writer: text(event.writer()),
        data: event.data().to_vec(),
        metadata: event.metadata().to_vec(),
        tags: event.tags().map(text).collect(),
        flags: event.flags(),
        copied_from: text(event.copied_from()),
        cancels: text(event.cancels()),
        trace_context: text(event.trace_context()),
        deleted: event.deleted(),
    }
}

fn expected(event: &Event) -> RecordedEvent {
    let time = |micros: i64| {
        let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap();
        Some(Timestamp { seconds: micros.div_euclid(1_000_000), nanos })
    };
    let id = |id: &Option<[u8; 16]>| id.as_ref().map(uuid_text).unwrap_or_default();
    let none: &[u8] = if event.deleted { b"" } else { b"{}" };
    RecordedEvent {
        id: uuid_text(&event.id),
        stream: event.stream.clone().unwrap_or_else(|| "given-1".to_owned()),
        event_type: event.event_type.clone(),
        version: event.version,
        position: event.position,
        recorded_at: time(event.recorded_us),
        occurred_at: time(event.occurred_us.unwrap_or(event.recorded_us)),
        writer: event.writer.clone(),
        data: event.data.clone().unwrap_or_default(),
        metadata: event.metadata.clone().unwrap_or_else(|| none.to_vec()),
        tags: event.tags.clone(),
        // That something is absent is no mark of the event.
        flags: (event.flags & !FLAG_ABSENT).cast_unsigned(),
        copied_from: id(&event.copied_from),
        cancels: id(&event.cancels),
        trace_context: event.trace_context.clone().unwrap_or_default(),
        deleted: event.deleted,
    }
}

fn event() -> impl Strategy<Value = Event> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300));
    let micros = || -62_135_596_800_000_000i64..=253_402_300_799_999_999;
    let names = (proptest::option::of("[a-z]{1,5}-.{1,80}"), ".{0,40}", "[ -~]{0,20}");
    let tags = proptest::collection::vec("[^\0]{1,20}", 0..4);
    let ids = (any::<[u8; 16]>(), any::<Option<[u8; 16]>>(), any::<Option<[u8; 16]>>());
    let numbers = (any::<i64>(), any::<i64>(), any::<i32>(), any::<bool>());
    let times = (micros(), proptest::option::of(micros()));
    (names, bytes(), bytes(), tags, ids, numbers, times, proptest::option::of(".{0,60}")).prop_map(
        |(names, data, metadata, tags, ids, numbers, times, trace_context)| Event {
            stream: names.0,
            version: numbers.0,
            position: numbers.1,
            id: ids.0,
            event_type: names.1,
            data,
            metadata,
            tags,
            recorded_us: times.0,
            occurred_us: times.1,
            writer: names.2,
            flags: numbers.2,
            copied_from: ids.1,
            cancels: ids.2,
            trace_context,
            deleted: numbers.3,
            sealed_paths: Vec::new(),
            root: None,
        },
    )
}

proptest! {
    #[test]
    fn an_independent_decoder_reads_the_same(events in proptest::collection::vec(event(), 0..8)) {
        let rows = Rows::decode(columns(&events)).unwrap();
        prop_assert_eq!(rows.len(), events.len());
        let bytes = encode_page(&rows, Some("given-1")).unwrap();
        let decoded = ReadResponse::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(&decoded.events, &events.iter().map(expected).collect::<Vec<_>>());
        // The encoding is the canonical one, byte for byte.
        prop_assert_eq!(decoded.encode_to_vec(), bytes);
    }

    #[test]
    fn a_client_reads_what_an_independent_encoder_wrote(
        events in proptest::collection::vec(event(), 0..8),
        end in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
    ) {
        let events: Vec<_> = events.iter().map(expected).collect();
        let message = Answer { events: events.clone(), end: end.clone() }.encode_to_vec();
        let page = EventPage::decode(message.as_slice()).unwrap();
        prop_assert_eq!(page.len(), events.len());
        let rest = Answer { events: Vec::new(), end: end.clone() }.encode_to_vec();
        prop_assert_eq!(page.rest(), rest);
        prop_assert!(page.event(events.len()).is_none());
        for (index, event) in events.iter().enumerate() {
            prop_assert_eq!(&as_message(&page.event(index).unwrap()), event);
            let bytes = page.event(index).unwrap().serialised();
            prop_assert_eq!(bytes, event.encode_to_vec());
            let alone = EventPage::of_event(bytes).unwrap();
            prop_assert_eq!((alone.len(), alone.event(0)), (1, page.event(index)));
        }
    }

    #[test]
    fn a_message_that_is_cut_off_or_changed_is_refused_or_read_whole(
        event in event(), cut in 0usize..400, flip in any::<u8>(),
    ) {
        let mut message = Answer { events: vec![expected(&event)], end: None }.encode_to_vec();
        if cut > 0 && cut < message.len() {
            let refused = EventPage::decode(&message[..cut]).unwrap_err();
            prop_assert_eq!(refused.reason, "INVALID_REQUEST");
        }
        let place = cut % message.len();
        message[place] ^= flip;
        if let Ok(page) = EventPage::decode(message.as_slice()) {
            prop_assert!((0..page.len()).all(|index| page.event(index).is_some()));
        }
    }
}

#[test]
fn all_but_the_events_is_kept_in_order() {
    let page = EventPage::decode([0x10, 5, 0x0a, 0, 0x1a, 1, 7, 0x0a, 0, 0x20, 9]).unwrap();
    assert_eq!(page.len(), 2);
    assert_eq!(page.rest(), [0x10, 5, 0x1a, 1, 7, 0x20, 9]);
}

#[test]
fn fields_of_a_later_contract_are_passed_by() {
    // Field 99 in each wire type, then the id.
    let unknown: [&[u8]; 4] = [
        &[0x98, 0x06, 0x05],
        &[0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x9a, 0x06, 1, 7],
        &[0x9d, 0x06, 1, 2, 3, 4],
    ];
    for field in unknown {
        let page = EventPage::of_event([field, &[0x0a, 1, b'x']].concat()).unwrap();
        assert_eq!(page.event(0).unwrap().id(), b"x");
    }
    // Groups, field number 0, a varint of eleven bytes, text that is not UTF-8.
    let refused: [&[u8]; 4] = [
        &[0x0b],
        &[0x02, 0],
        &[0x20, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        &[0x0a, 1, 0xff],
    ];
    for bytes in refused {
        assert_eq!(EventPage::of_event(bytes).unwrap_err().reason, "INVALID_REQUEST");
    }
}

#[test]
fn times_around_1970_and_at_the_ends() {
    for micros in [0, -1, 1, -1_000_000, -1_500_000, -62_135_596_800_000_000] {
        let mut event = Event::new(1, "A", "{}");
        event.recorded_us = micros;
        let rows = Rows::decode(columns(&[event.clone()])).unwrap();
        let bytes = encode_page(&rows, Some("given-1")).unwrap();
        let decoded = ReadResponse::decode(bytes.as_slice()).unwrap();
        assert_eq!(decoded.events, [expected(&event)], "{micros}");
    }
}

#[test]
fn a_page_without_stream_names_needs_one() {
    let rows = Rows::decode(columns(&[Event::new(1, "A", "{}")])).unwrap();
    assert_eq!(encode_page(&rows, None).unwrap_err().reason, "BUG");
}
