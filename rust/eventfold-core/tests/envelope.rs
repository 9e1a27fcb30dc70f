//! Whole appends: every limit at its edge, the order of the checks, and what the digests cover.

use eventfold_core::envelope::{
    FLAG_ESCAPED_KEYS, FLAG_VALIDATED_V1, NewEvent, check_append, parse_uuid, stored_digest,
    uuid_text,
};
use eventfold_core::error::CoreError;

/// An append, owned, that tests change before they check it.
struct Sent {
    stream: String,
    ids: Vec<String>,
    types: Vec<String>,
    data: Vec<Vec<u8>>,
    metadata: Vec<Vec<u8>>,
    tags: Vec<Vec<String>>,
    occurred_us: Vec<Option<i64>>,
}

type Change = fn(&mut Sent);

/// What a check returns, owned.
#[derive(Debug)]
struct Passed {
    ids: Vec<Option<String>>,
    tags: Vec<Vec<String>>,
    flags: Vec<i32>,
    sent: Vec<[u8; 32]>,
    stored: Vec<[u8; 32]>,
    total_bytes: usize,
}

impl Sent {
    fn new(events: usize) -> Self {
        Self {
            stream: "account-1".to_owned(),
            ids: (0..events).map(|index| uuid_text(&(index as u128).to_be_bytes())).collect(),
            types: vec!["A".to_owned(); events],
            data: vec![b"{}".to_vec(); events],
            metadata: vec![Vec::new(); events],
            tags: vec![Vec::new(); events],
            occurred_us: vec![None; events],
        }
    }

    fn check(&self) -> Result<Passed, CoreError> {
        let event = |index: usize| NewEvent {
            id: &self.ids[index],
            event_type: &self.types[index],
            data: &self.data[index],
            metadata: &self.metadata[index],
            tags: self.tags[index].iter().map(String::as_str).collect(),
            occurred_us: self.occurred_us[index],
        };
        let events: Vec<_> = (0..self.ids.len()).map(event).collect();
        check_append(&self.stream, &events).map(|checked| {
            assert_eq!(checked.category, "account");
            let owned = |tags: &Vec<&str>| tags.iter().map(|tag| (*tag).to_owned()).collect();
            let events = &checked.events;
            Passed {
                ids: events.iter().map(|event| event.id.as_ref().map(uuid_text)).collect(),
                tags: events.iter().map(|event| owned(&event.tags)).collect(),
                flags: events.iter().map(|event| event.flags).collect(),
                sent: events.iter().map(|event| event.sent_digest).collect(),
                stored: events.iter().map(|event| event.stored_digest).collect(),
                total_bytes: checked.total_bytes,
            }
        })
    }

    fn refused(&self) -> CoreError {
        self.check().expect_err("the append must be refused")
    }
}

fn one(change: impl FnOnce(&mut Sent)) -> Sent {
    let mut sent = Sent::new(1);
    change(&mut sent);
    sent
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// A JSON object of exactly that many bytes.
fn object(bytes: usize) -> Vec<u8> {
    format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8)).into_bytes()
}

#[test]
fn what_passes() {
    let sent = one(|sent| {
        sent.ids = vec!["00000000-0000-7000-8000-00000000ABCD".to_owned()];
        sent.tags = vec![["b", "a", "b"].map(str::to_owned).to_vec()];
        sent.data = vec![br#"{"\u0061":1}"#.to_vec()];
        sent.occurred_us = vec![Some(-1)];
    });
    let passed = sent.check().unwrap();
    assert_eq!(passed.ids[0].as_deref(), Some("00000000-0000-7000-8000-00000000abcd"));
    assert_eq!(passed.tags, [["a", "b"]]);
    assert_eq!(passed.flags, [FLAG_VALIDATED_V1 | FLAG_ESCAPED_KEYS]);
    assert_eq!(passed.stored, [stored_digest(&sent.data[0], b"{}")]);
    assert_eq!(passed.total_bytes, "account-1".len() + 1 + 12 + 3);
    let missing = one(|sent| sent.ids = vec![String::new()]);
    assert_eq!(missing.check().unwrap().ids, [None]);
    // Ids that are still to be made do not count as repeated.
    let mut two = Sent::new(2);
    two.ids = vec![String::new(); 2];
    assert!(two.check().is_ok());
}

#[test]
fn limits_hold_exactly() {
    assert_eq!(Sent::new(0).refused().reason, "EMPTY_APPEND");
    assert!(Sent::new(1_000).check().is_ok());
    let error = Sent::new(1_001).refused();
    assert_eq!((error.reason, fact(&error, "actual")), ("TOO_MANY_EVENTS", "1001"));

    assert!(one(|sent| sent.data = vec![object(1 << 20)]).check().is_ok());
    let error = one(|sent| sent.data = vec![object((1 << 20) + 1)]).refused();
    assert_eq!((error.reason, fact(&error, "event_index")), ("EVENT_TOO_LARGE", "0"));
    assert_eq!((fact(&error, "limit"), fact(&error, "actual")), ("1048576", "1048577"));

    assert!(one(|sent| sent.metadata = vec![object(1 << 16)]).check().is_ok());
    let error = one(|sent| sent.metadata = vec![object((1 << 16) + 1)]).refused();
    assert_eq!(error.reason, "METADATA_TOO_LARGE");

    let mut whole = Sent::new(3);
    whole.data = vec![object(1 << 20); 3];
    whole.data[2] = object((1 << 20) - "account-1".len() - 3);
    assert_eq!(whole.check().unwrap().total_bytes, 3 << 20);
    whole.tags[1].push("t".to_owned());
    let error = whole.refused();
    assert_eq!((error.reason, fact(&error, "actual")), ("APPEND_TOO_LARGE", "3145729"));

    let micros = |micros| one(|sent| sent.occurred_us = vec![Some(micros)]);
    assert!(micros(-62_135_596_800_000_000).check().is_ok());
    assert!(micros(253_402_300_799_999_999).check().is_ok());
    for outside in [-62_135_596_800_000_001, 253_402_300_800_000_000, i64::MIN, i64::MAX] {
        assert_eq!(micros(outside).refused().reason, "INVALID_TIME");
    }
}

#[test]
fn each_field_has_its_reason_and_index() {
    let changes: [(&str, Change); 7] = [
        ("INVALID_EVENT_TYPE", |sent| sent.types[1].clear()),
        ("INVALID_EVENT_ID", |sent| sent.ids[1].push('0')),
        ("INVALID_TAG", |sent| sent.tags[1].push(String::new())),
        ("INVALID_TIME", |sent| sent.occurred_us[1] = Some(i64::MAX)),
        ("INVALID_JSON", |sent| sent.data[1] = b"[]".to_vec()),
        ("JSON_TOO_DEEP", |sent| sent.data[1] = r#"{"a":"#.repeat(99).into_bytes()),
        ("INVALID_JSON", |sent| sent.metadata[1] = b"null".to_vec()),
    ];
    for (reason, change) in changes {
        let mut sent = Sent::new(2);
        change(&mut sent);
        let error = sent.refused();
        assert_eq!((error.reason, fact(&error, "event_index")), (reason, "1"));
    }
    let error = one(|sent| sent.stream = "x".to_owned()).refused();
    assert_eq!(error.reason, "INVALID_STREAM_NAME");
    // The earlier check wins: types come before data.
    let error = one(|sent| {
        sent.types[0].clear();
        sent.data[0].clear();
    });
    assert_eq!(error.refused().reason, "INVALID_EVENT_TYPE");
}

#[test]
fn an_id_may_stand_once() {
    let mut sent = Sent::new(3);
    sent.ids[0] = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa".to_owned();
    sent.ids[2] = sent.ids[0].to_uppercase();
    let error = sent.refused();
    assert_eq!((error.reason, fact(&error, "event_index")), ("EVENT_ID_REUSED", "2"));
    assert_eq!(fact(&error, "event_id"), sent.ids[0]);
}

#[test]
fn only_the_canonical_form_is_a_uuid() {
    let id = "01234567-89ab-cdef-0123-456789abcdef";
    assert_eq!(parse_uuid(id).as_ref().map(uuid_text).as_deref(), Some(id));
    assert_eq!(parse_uuid(&id.to_uppercase()), parse_uuid(id));
    for text in [
        "",
        "0123456789abcdef0123456789abcdef",
        "{01234567-89ab-cdef-0123-456789abcdef}",
        "01234567-89ab-cdef-0123-456789abcde",
        "01234567-89ab-cdef-0123-456789abcdeg",
        "01234567-89ab-cdef-01234-56789abcdef",
        "012345678-9ab-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123-456789abcd\u{e9}",
    ] {
        assert_eq!(parse_uuid(text), None, "{text}");
    }
}

#[test]
fn the_digest_covers_type_data_metadata_and_tags_alone() {
    let digest = |change: Change| one(change).check().unwrap().sent[0];
    let base = digest(|_| ());
    let same: [Change; 4] = [
        |sent| sent.ids[0].clear(),
        |sent| sent.occurred_us[0] = Some(5),
        |sent| sent.stream = "account-2".to_owned(),
        |sent| sent.metadata[0] = b"{}".to_vec(),
    ];
    for change in same {
        assert_eq!(digest(change), base);
    }
    let different: [Change; 5] = [
        |sent| sent.types[0].push('B'),
        |sent| sent.data[0].push(b' '),
        |sent| sent.metadata[0] = b"{ }".to_vec(),
        |sent| sent.tags[0].push("a".to_owned()),
        |sent| sent.tags[0] = vec!["a".to_owned(), "b".to_owned()],
    ];
    let mut seen = vec![base];
    for change in different {
        let found = digest(change);
        assert!(!seen.contains(&found));
        seen.push(found);
    }
    let tags = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        one(|sent| sent.tags = vec![tags]).check().unwrap().sent[0]
    };
    assert_eq!(tags(&["b", "a", "a"]), tags(&["a", "b"]));
    assert_ne!(tags(&["ab"]), tags(&["a", "b"]));
    // Moving a byte between the parts changes both digests.
    assert_ne!(stored_digest(b"{}", b"{} "), stored_digest(b"{} ", b"{}"));
}
