//! Appends from the bytes of a request to those of the answer, beside an independent protobuf.

#[path = "common/requests.rs"]
mod requests;

use std::sync::Arc;

use eventfold_core::append::{
    ANY, Append, Decision, EXISTS, InSession, Origin, Outcome, Positions, SessionMessage,
    append_many_response, append_response, session_answer, session_answers,
};
use eventfold_core::envelope::{sent_digest, stored_digest, uuid_text};
use eventfold_core::error::CoreError;
use eventfold_core::rules::{Rules, Steps};
use proptest::prelude::*;
use prost::Message;
use requests::{
    Answers, Empty, Expected, Kind, Many, ManyResponse, NewEvent, Request, Response, SessionAppend,
    SessionRequest, Time,
};

fn origin() -> Arc<Origin> {
    Arc::new(Origin { writer: "me".to_owned(), ..Origin::default() })
}

/// Ids 1, 2, 3 and so on.
fn counted() -> impl FnMut() -> [u8; 16] {
    let mut count = 0_u128;
    move || {
        count += 1;
        count.to_be_bytes()
    }
}

fn check(request: &Request) -> Result<Append, CoreError> {
    Append::of_request(
        &request.encode_to_vec(),
        &origin(),
        &Rules::default(),
        &mut Steps::whole(),
        &mut counted(),
    )
}

fn expected(kind: Kind) -> Option<Expected> {
    Some(Expected { kind: Some(kind) })
}

fn event() -> NewEvent {
    NewEvent { event_type: "T".to_owned(), data: b"{}".to_vec(), ..NewEvent::default() }
}

fn request() -> Request {
    Request {
        stream: "a-1".to_owned(),
        expected_version: expected(Kind::Any(Empty {})),
        events: vec![event()],
    }
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

fn refused(change: impl FnOnce(&mut Request)) -> CoreError {
    let mut request = request();
    change(&mut request);
    check(&request).expect_err("it must be refused")
}

#[test]
fn refusals_come_in_their_order() {
    let bad_time = Some(Time { seconds: i64::MAX, nanos: 0 });
    let error = refused(|request| {
        request.expected_version = expected(Kind::Exact(-1));
        request.events[0].occurred_at = bad_time;
        request.stream.clear();
    });
    assert_eq!(error.reason, "INVALID_REQUEST");
    assert_eq!(error.message, "expected_version.exact: must be at least 0");
    assert_eq!((fact(&error, "field"), fact(&error, "limit")), ("expected_version.exact", "0"));
    let error = refused(|request| {
        request.events.push(NewEvent { occurred_at: bad_time, ..event() });
        request.stream.clear();
    });
    assert_eq!((error.reason, fact(&error, "problem")), ("INVALID_TIME", "range"));
    assert_eq!((fact(&error, "field"), fact(&error, "event_index")), ("occurred_at", "1"));
    let error = refused(|request| {
        request.stream.clear();
        request.expected_version = None;
    });
    assert_eq!(error.reason, "INVALID_STREAM_NAME");
    for nothing in [None, Some(Expected { kind: None })] {
        let error = refused(|request| {
            request.expected_version = nothing;
            request.events.clear();
        });
        assert_eq!(error.reason, "EXPECTED_VERSION_REQUIRED");
        assert_eq!(fact(&error, "stream"), "a-1");
    }
    assert_eq!(refused(|request| request.events.clear()).reason, "EMPTY_APPEND");
    assert_eq!(refused(|request| request.events[0].data.clear()).reason, "INVALID_JSON");
}

#[test]
fn times_are_whole_microseconds() {
    let at = |seconds, nanos| {
        let mut request = request();
        request.events[0].occurred_at = Some(Time { seconds, nanos });
        check(&request)
            .map(|append| append.parts[0].events().next().and_then(|event| event.occurred_us))
    };
    let (first, last) = (-62_135_596_800, 253_402_300_799);
    assert_eq!(at(0, 0), Ok(Some(0)));
    assert_eq!(at(-1, 999_999_000), Ok(Some(-1)));
    assert_eq!(at(first, 0), Ok(Some(first * 1_000_000)));
    assert_eq!(at(last, 999_999_000), Ok(Some(last * 1_000_000 + 999_999)));
    let problem = |seconds, nanos| fact(&at(seconds, nanos).unwrap_err(), "problem").to_owned();
    for nanos in [1, 999, 1_000_000_000, -1_000, i32::MIN, i32::MAX] {
        assert_eq!(problem(0, nanos), "finer_than_microseconds");
    }
    for (seconds, nanos) in [(first - 1, 999_999_000), (last + 1, 0), (i64::MIN, 1), (i64::MAX, 1)]
    {
        assert_eq!(problem(seconds, nanos), "range");
    }
}

#[test]
fn what_is_no_message_is_told_so() {
    let good = request().encode_to_vec();
    let mut broken: Vec<Vec<u8>> = (1..good.len()).map(|end| good[..end].to_vec()).collect();
    // Some beginnings are messages: those that end with a field.
    broken.retain(|bytes| Request::decode(&bytes[..]).is_err());
    assert!(broken.len() > 10);
    broken.push([&good[..], &[0x0a, 1, 0xff]].concat()); // a name that is not UTF-8
    broken.push([&good[..], &[0x1a, 3, 0x2a, 1, 0xff]].concat()); // a tag that is not UTF-8
    broken.push([&good[..], &[0x12, 2, 0x1a, 1]].concat()); // `any` that is cut off
    broken.push([&good[..], &[0x00, 0]].concat()); // field 0
    broken.push([&good[..], &[0x7c]].concat()); // the end of a group that has no beginning
    broken.push([&good[..], &[0x7b, 0x84, 0x01]].concat()); // a group that ends as another
    broken.push([&good[..], &[0x7b; 200], &[0x7c; 200]].concat()); // groups too deep
    broken.push([&good[..], &[0x78], &[0xff; 10]].concat()); // a number without an end
    for bytes in broken {
        let error = Append::of_request(
            &bytes,
            &origin(),
            &Rules::default(),
            &mut Steps::whole(),
            &mut counted(),
        )
        .unwrap_err();
        assert_eq!(fact(&error, "problem"), "malformed", "{bytes:?}");
        assert_eq!(fact(&error, "field"), "request");
    }
}

#[test]
fn as_any_decoder_of_protobuf() {
    let mut base = request();
    base.expected_version = expected(Kind::Exact(3));
    let decoded = |more: &[u8]| {
        let bytes = [base.encode_to_vec(), more.to_vec()].concat();
        Append::of_request(
            &bytes,
            &origin(),
            &Rules::default(),
            &mut Steps::whole(),
            &mut counted(),
        )
        .unwrap()
    };
    // Fields that nobody knows, and known ones of another type, are passed by.
    let unknown = [0x7a, 1, 0xff, 0x78, 1, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7b];
    let more = [&unknown[..], &[0x08, 7, 0x7c, 0x08, 7, 0x18, 9, 0x10, 9]].concat();
    let append = decoded(&more);
    assert_eq!((append.parts[0].stream(), append.events()), ("a-1", 1));
    // The last name counts, events add up, and expectations are merged.
    let mut second = request();
    second.stream = "b-2".to_owned();
    second.expected_version = Some(Expected { kind: None });
    let append = decoded(&second.encode_to_vec());
    let part = &append.parts[0];
    assert_eq!((part.stream(), part.category(), part.expected()), ("b-2", "b", 3));
    assert_eq!(append.events(), 2);
    second.expected_version = expected(Kind::Exists(Empty {}));
    assert_eq!(decoded(&second.encode_to_vec()).parts[0].expected(), EXISTS);
}

#[test]
fn a_session_goes_on_past_what_is_refused() {
    let one = |number, change: fn(&mut SessionAppend)| {
        let mut one = SessionAppend { number, append: Some(request()), timeout: None };
        change(&mut one);
        one
    };
    let wait =
        |one: &mut SessionAppend, seconds, nanos| one.timeout = Some(Time { seconds, nanos });
    let sent = SessionRequest {
        appends: vec![
            one(7, |_| ()),
            one(u64::MAX, |one| one.append = None),
            one(0, |one| one.append.as_mut().unwrap().events[0].data = b"[]".to_vec()),
            one(8, |one| one.timeout = Some(Time { seconds: 2, nanos: 500_000_000 })),
            SessionAppend { number: 9, append: Some(request()), timeout: None },
        ],
    };
    let mut sent = sent;
    wait(&mut sent.appends[4], 0, 0);
    let sizes: Vec<_> = sent.appends.iter().map(Message::encoded_len).collect();
    let bytes = sent.encode_to_vec();
    let mut message = SessionMessage::decode(&bytes[..]).unwrap();
    let mut taken = Vec::new();
    while let Some(next) = message.next_bytes() {
        let one = message
            .take(&origin(), &Rules::default(), &mut Steps::whole(), &mut counted())
            .unwrap();
        assert_eq!(one.size_bytes, next);
        taken.push(one);
    }
    assert!(
        message.take(&origin(), &Rules::default(), &mut Steps::whole(), &mut counted()).is_none()
    );
    assert_eq!(taken.iter().map(|one| one.size_bytes).collect::<Vec<_>>(), sizes);
    let told: Vec<_> = taken
        .iter()
        .map(|InSession { number, timeout_s, append, .. }| {
            let reason = append.as_ref().map_or_else(|error| error.reason, |_| "");
            (*number, *timeout_s, reason)
        })
        .collect();
    let expected = [
        (7, None, ""),
        (u64::MAX, None, "INVALID_STREAM_NAME"),
        (0, None, "INVALID_JSON"),
        (8, Some(2.5), ""),
        (9, Some(0.0), "INVALID_REQUEST"),
    ];
    assert_eq!(told, expected);
    assert_eq!(fact(taken[4].append.as_ref().unwrap_err(), "field"), "timeout");
    // One that cannot be read at all ends the session.
    assert!(SessionMessage::decode(&bytes[..bytes.len() - 1]).is_err());
}

type Change = fn(&mut Many);

fn many(change: impl FnOnce(&mut Many)) -> Result<Append, CoreError> {
    let mut second = request();
    second.stream = "b-1".to_owned();
    let exact = Request { expected_version: expected(Kind::Exact(7)), ..Request::default() };
    let check = Request { stream: "$c".to_owned(), ..exact };
    let mut many = Many { appends: vec![request(), second], checks: vec![check] };
    change(&mut many);
    Append::of_many(
        &many.encode_to_vec(),
        &origin(),
        &Rules::default(),
        &mut Steps::whole(),
        &mut counted(),
    )
}

#[test]
fn several_streams_are_held_to_the_limits_of_one() {
    let append = many(|_| ()).unwrap();
    assert!(!append.is_plain());
    assert_eq!((append.parts.len(), append.events()), (2, 2));
    assert_eq!((append.checks[0].stream.as_str(), append.checks[0].expected), ("$c", 7));
    assert_eq!(append.size_bytes, 2 * "a-1T{}".len() + "$c".len());
    let id = "00000000-0000-7000-8000-00000000abcd";
    let changes: [(&str, &str, Change); 9] = [
        ("EMPTY_APPEND", "", |many| many.appends.clear()),
        ("EMPTY_APPEND", "append 1", |many| many.appends[1].events.clear()),
        ("TOO_MANY_EVENTS", "", |many| many.appends[1].events = vec![event(); 1_000]),
        ("INVALID_REQUEST", "", |many| many.checks = vec![many.checks[0].clone(); 1_001]),
        ("INVALID_REQUEST", "append 1", |many| many.appends[1].stream = "a-1".to_owned()),
        ("INVALID_REQUEST", "check 0", |many| many.checks[0].stream = "a-1".to_owned()),
        ("INVALID_REQUEST", "check 0", |many| {
            many.checks[0].expected_version = expected(Kind::Any(Empty {}));
        }),
        ("EXPECTED_VERSION_REQUIRED", "check 0", |many| many.checks[0].expected_version = None),
        ("APPEND_TOO_LARGE", "", |many| {
            let text = format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 19));
            many.appends[0].events = vec![NewEvent { data: text.into_bytes(), ..event() }; 4];
            many.appends[1].events = many.appends[0].events[..2].to_vec();
        }),
    ];
    for (reason, place, change) in changes {
        let error = many(change).unwrap_err();
        let told = match (fact(&error, "append_index"), fact(&error, "check_index")) {
            ("", "") => String::new(),
            (append, "") => format!("append {append}"),
            (_, check) => format!("check {check}"),
        };
        assert_eq!((error.reason, told.as_str()), (reason, place), "{error}");
    }
    let error = many(|many| {
        many.appends[0].events[0].id = id.to_owned();
        many.appends[1].events[0].id = id.to_uppercase();
    });
    let error = error.unwrap_err();
    assert_eq!((error.reason, fact(&error, "problem")), ("EVENT_ID_REUSED", "twice_in_append"));
    assert_eq!((fact(&error, "event_id"), fact(&error, "append_index")), (id, "1"));
}

fn decision(outcome: Outcome, positions: Positions) -> Decision {
    Decision {
        outcome,
        part: Some(0),
        check: None,
        first_version: 5,
        positions,
        recorded_us: 1_500_000,
        actual_version: 4,
        successor: None,
        differs_at: None,
        problem: None,
        catalogue_version: 1,
    }
}

#[test]
fn answers_can_be_read() {
    let mut two = request();
    two.events = vec![event(); 2];
    two.events[0].id = "00000000-0000-7000-8000-00000000ABCD".to_owned();
    let append = check(&two).unwrap();
    let stored = decision(Outcome::Append, Positions::From(300));
    let mut bytes = Vec::new();
    append_response(&append.parts[0], &stored, &mut bytes);
    let response = Response::decode(&bytes[..]).unwrap();
    let expected = Response {
        first_version: 5,
        last_version: 6,
        positions: vec![300, 301],
        ids: vec![two.events[0].id.to_lowercase(), uuid_text(&1_u128.to_be_bytes())],
        duplicate: false,
        recorded_at: Some(Time { seconds: 1, nanos: 500_000_000 }),
    };
    assert_eq!(response, expected);
    assert_eq!(stored.newest_position(2), Some(301));

    two.events[1].id = "00000000-0000-7000-8000-00000000abce".to_owned();
    let append = check(&two).unwrap();
    let known = decision(Outcome::Duplicate, Positions::Listed(vec![7, 9]));
    assert_eq!(known.newest_position(2), None);
    let duplicate =
        Response { positions: vec![7, 9], ids: Vec::new(), duplicate: true, ..expected };
    let many = append_many_response(&append.parts, std::slice::from_ref(&known));
    let many = ManyResponse::decode(&many[..]).unwrap();
    assert_eq!(many.stored.unwrap().appends, std::slice::from_ref(&duplicate));

    let mut out = Vec::new();
    for number in [0, u64::MAX] {
        let mut answer = Vec::new();
        session_answer(number, &append.parts[0], &known, &mut answer);
        session_answers(&answer, &mut out);
    }
    let answers = Answers::decode(&out[..]).unwrap().answers;
    assert_eq!(answers.iter().map(|one| one.number).collect::<Vec<_>>(), [0, u64::MAX]);
    assert!(answers.iter().all(|one| one.appended.as_ref() == Some(&duplicate)));
}

prop_compose! {
    fn any_event()(
        id in prop_oneof![Just(String::new()), any::<[u8; 16]>().prop_map(|id| uuid_text(&id))],
        event_type in "[A-Za-z]{1,9}",
        data in prop::collection::vec("[a-z]{1,5}", 0..3),
        metadata in prop_oneof![Just(""), Just("{}"), Just(r#"{"a": 1}"#)],
        tags in prop::collection::vec("[a-zß]{1,4}", 0..5),
        micros in prop::option::of(-62_135_596_800_000_000_i64..253_402_300_800_000_000),
    ) -> NewEvent {
        let fields = data.iter().enumerate().map(|(n, text)| format!(r#""{text}{n}":{n}"#));
        NewEvent {
            id,
            event_type,
            data: format!("{{{}}}", fields.collect::<Vec<_>>().join(",")).into_bytes(),
            metadata: metadata.as_bytes().to_vec(),
            tags,
            occurred_at: micros.map(|micros| Time {
                seconds: micros.div_euclid(1_000_000),
                nanos: (micros.rem_euclid(1_000_000) * 1_000) as i32,
            }),
        }
    }
}

prop_compose! {
    fn any_request()(
        stream in "[a-z]{1,4}-[a-zé]{1,4}",
        kind in prop_oneof![
            (0..i64::MAX).prop_map(Kind::Exact),
            Just(Kind::Exists(Empty {})),
            Just(Kind::Any(Empty {})),
        ],
        events in prop::collection::vec(any_event(), 1..5),
    ) -> Request {
        Request { stream, expected_version: expected(kind), events }
    }
}

proptest! {
    #[test]
    fn all_that_is_sent_is_stored(request in any_request()) {
        let append = match check(&request) {
            Ok(append) => append,
            // Nothing else is wrong with these.
            Err(error) => {
                prop_assert_eq!(error.reason, "EVENT_ID_REUSED");
                return Ok(());
            }
        };
        let part = &append.parts[0];
        prop_assert_eq!(part.stream(), &request.stream);
        prop_assert_eq!(part.category(), request.stream.split('-').next().unwrap());
        let number = match request.expected_version.unwrap().kind.unwrap() {
            Kind::Exact(version) => version,
            Kind::Exists(_) => EXISTS,
            Kind::Any(_) => ANY,
        };
        prop_assert_eq!(part.expected(), number);
        prop_assert_eq!(part.events().len(), request.events.len());
        prop_assert_eq!(part.ids_made(), request.events.iter().any(|event| event.id.is_empty()));
        let tags: Vec<_> = part.tags().collect();
        let mut first = 0;
        for (stored, sent) in part.events().zip(&request.events) {
            if !sent.id.is_empty() {
                prop_assert_eq!(uuid_text(stored.id), &*sent.id);
            }
            let metadata = if sent.metadata.is_empty() { b"{}" } else { &sent.metadata[..] };
            prop_assert_eq!(stored.event_type, sent.event_type.as_bytes());
            prop_assert_eq!((stored.data, stored.metadata), (&sent.data[..], metadata));
            let mut sorted: Vec<_> = sent.tags.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            sorted.dedup();
            let found: Vec<_> = tags[first..stored.tags_end].to_vec();
            prop_assert_eq!(found, sorted.iter().map(|tag| tag.as_bytes()).collect::<Vec<_>>());
            first = stored.tags_end;
            let micros = sent.occurred_at
                .map(|time| time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000);
            prop_assert_eq!(stored.occurred_us, micros);
            let digest = sent_digest(&sent.event_type, &sent.data, metadata, &sorted);
            prop_assert_eq!(stored.sent_digest, Some(&digest));
            prop_assert_eq!(stored.stored_digest, &stored_digest(&sent.data, metadata));
        }
        prop_assert_eq!(first, tags.len());
    }

    /// Bytes that are a message for the other decoder are one here.
    #[test]
    fn what_others_can_read_can_be_read(
        request in any_request(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = request.encode_to_vec();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        let (rules, mut steps) = (Rules::default(), Steps::whole());
        let result = Append::of_request(&bytes, &origin(), &rules, &mut steps, &mut counted());
        if Request::decode(&bytes[..]).is_ok() {
            let malformed = result.is_err_and(|error| fact(&error, "problem") == "malformed");
            prop_assert!(!malformed, "{:?}", bytes);
        }
    }
}

#[test]
fn only_the_server_itself_writes_to_its_streams() {
    let mut request = request();
    request.stream = "$audit".to_owned();
    request.events[0].event_type = "$KeyRotated".to_owned();
    let of = |system| {
        let origin = Arc::new(Origin { system, ..(*origin()).clone() });
        Append::of_request(
            &request.encode_to_vec(),
            &origin,
            &Rules::default(),
            &mut Steps::whole(),
            &mut counted(),
        )
    };
    let append = of(true).unwrap();
    assert_eq!((append.parts[0].stream(), append.parts[0].category()), ("$audit", "$audit"));
    let refused = of(false).unwrap_err();
    assert_eq!(refused.reason, "INVALID_STREAM_NAME");
}
