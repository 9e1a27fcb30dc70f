//! Transform documents, and the copies that they make of events.

use eventfold_core::envelope::{
    FLAG_CLOSES, FLAG_ESCAPED_KEYS, FLAG_VALIDATED_V1, sent_digest, stored_digest,
};
use eventfold_core::error::CoreError;
use eventfold_core::json::check::check_object;
use eventfold_core::rows::Page;
use eventfold_core::rules::Rules;
use eventfold_core::transform::{Copied, Copies, Job, StreamHashes, Transform, copy_id};

use super::choices::Choices;

const JOB: [u8; 16] = [7; 16];
const EVENTS: [&str; 4] = [
    r#"{"a":1,"b":{"c":[2.50], "d":{}},"e":"x"}"#,
    r#"{ "b" : null , "\u0061" : {"c":"\"b\\"} }"#,
    r#"{"e":-1.50,"c":[],"d":true}"#,
    "{ }",
];
const METADATA: [&str; 3] = ["{}", r#"{ "refs" : {"streams":["x-1"]} , "m":1}"#, "{"];
const TYPES: [&str; 4] = ["A", "B", "C", "$Closed"];
const STREAMS: [&str; 4] = ["a-1", "a-b-c", "b-1", "$audit"];
const HEAD: &str =
    "transform: t\nsource: {log: true}\ninto: [b]\nstream: \"'b-' + meta.stream_id\"\n";
const DOCUMENTS: [&str; 6] = [
    "others: keep",
    "events: {A: {type: T, data: {a: event.?b, x.y: event.e}}, $Closed: {type: Done}}",
    "events: {A: [{type: X, data: event}, {when: event.d, metadata: {b: event.a}}], B: drop}",
    "let: {k: event.e}\nothers: keep\nevents: {B: {stream: \"'b-' + k\", tags: \"[k]\"}}",
    "events: {A: {data: {e: optional.none()}, metadata: \"{'m': event}\", tags: event.c}}",
    "others: keep\nevents: {A: {stream: event.e}, C: {data: {'.': event.b}}}",
];

/// A document compiles or says where it is wrong; the same text has the same digest, and the copies
/// that it makes are sound.
pub fn transform_document(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let transform = match Transform::parse(source) {
        Ok(transform) => transform,
        Err(error) => {
            let fact = |name| error.facts.iter().any(|(known, _)| *known == name);
            let placed = fact("line") && fact("column");
            assert!(placed || error.reason == "TRANSFORM_TOO_LARGE", "{error}");
            return;
        }
    };
    assert!(transform.digest().len() == 64 && !transform.name().is_empty());
    let again = Transform::parse(source).expect("it compiled before");
    assert_eq!(again.digest(), transform.digest());
    let named = transform.event_types().iter().map(String::as_str);
    for event_type in named.take(3).chain(TYPES) {
        for event in EVENTS {
            let event = Stored { data: event.as_bytes(), event_type, ..Stored::default() };
            sound(&transform, &event);
        }
    }
}

/// Whatever the bytes of an event are, a transform makes copies that can be appended, or says why
/// not.
pub fn transform_copy(data: &[u8]) {
    let mut choices = Choices::new(data);
    let source = format!("{HEAD}{}", choices.of(&DOCUMENTS));
    let transform = Transform::parse(&source).expect("the document compiles");
    let event = Stored {
        event_type: choices.of(&TYPES),
        stream: choices.of(&STREAMS),
        metadata: choices.of(&METADATA).as_bytes(),
        marks: choices.of(&[0, FLAG_CLOSES]),
        cancels: choices.of(&[None, Some([9; 16])]),
        data: choices.take(usize::MAX),
    };
    sound(&transform, &event);
}

/// A stored event.
struct Stored<'a> {
    event_type: &'a str,
    stream: &'a str,
    data: &'a [u8],
    metadata: &'a [u8],
    marks: i32,
    cancels: Option<[u8; 16]>,
}

impl Default for Stored<'_> {
    fn default() -> Self {
        let (data, metadata) = (&b"{}"[..], &b"{}"[..]);
        Self { event_type: "A", stream: "a-1", data, metadata, marks: 0, cancels: None }
    }
}

/// A page of one event, which says that its bytes were validated, or does not.
struct Alone<'a>(&'a Stored<'a>, [u8; 4]);

impl Page for Alone<'_> {
    fn len(&self) -> usize {
        1
    }

    fn cell(&self, column: usize, _: usize) -> Option<&[u8]> {
        let Self(event, flags) = self;
        Some(match column {
            0 | 17 => event.stream.as_bytes(),
            1 | 2 | 8 => &[0, 0, 0, 0, 0, 0, 0, 1],
            3 => &[5; 16],
            4 => event.event_type.as_bytes(),
            5 => event.data,
            6 => event.metadata,
            10 => b"me",
            11 => flags,
            13 => return event.cancels.as_ref().map(|id| &id[..]),
            _ => return None,
        })
    }
}

fn copies(transform: &Transform, event: &Stored<'_>, flags: i32) -> Copies {
    let page = Alone(event, (flags | event.marks).to_be_bytes());
    let job = Job {
        id: &JOB,
        rules: &Rules::default(),
        pseudonym_key: None,
        seals: true,
        hides: &Rules::default(),
        examples_max: 1,
    };
    transform.copy(&page, 0, job).expect("the page can be read")
}

fn sound(transform: &Transform, event: &Stored<'_>) {
    // Bytes that are wrongly said to be valid may give anything but a panic.
    let trusted = copies(transform, event, FLAG_VALIDATED_V1 | FLAG_ESCAPED_KEYS);
    let checked = copies(transform, event, 0);
    let valid = check_object(event.data).is_ok() && check_object(event.metadata).is_ok();
    if valid {
        let told = |copies: &Copies| (copies.events.clone(), copies.failed.clone());
        assert_eq!(told(&trusted), told(&checked));
    }
    for copies in [trusted, checked] {
        match &copies.failed {
            None => assert_eq!(copies.next, 1),
            Some(error) => {
                assert!((copies.next, copies.events.len()) == (0, 0), "all or nothing");
                refused(error, valid);
            }
        }
        copies.events.iter().for_each(|copy| appendable(transform, event, copy));
        let in_appends: usize = copies.appends().iter().map(Vec::len).sum();
        assert_eq!(in_appends, copies.events.len());
        let mut hashes = StreamHashes::default();
        hashes.add_copies(&copies.events);
        assert_eq!(hashes.events(), copies.events.len() as u64);
    }
}

fn refused(error: &CoreError, valid: bool) {
    assert!(error.reason == "TRANSFORM_FAILED" || !valid && error.reason == "EVENT_CORRUPT");
}

fn appendable(transform: &Transform, event: &Stored<'_>, copy: &Copied) {
    let category = copy.category();
    assert!(transform.target_categories().iter().any(|known| known == category));
    assert!(*copy.stream != *event.stream && !copy.event_type.starts_with('$'));
    let escaped = check_object(&copy.data).expect("data is valid").escaped_keys;
    check_object(&copy.metadata).expect("metadata is valid");
    assert!(escaped == (copy.flags & FLAG_ESCAPED_KEYS != 0));
    let tags: Vec<&str> = copy.tags.iter().map(String::as_str).collect();
    assert!(tags.is_sorted_by(|left, right| left < right));
    let sent = sent_digest(&copy.event_type, &copy.data, &copy.metadata, &tags);
    assert_eq!(
        (copy.sent_digest, copy.stored_digest),
        (sent, stored_digest(&copy.data, &copy.metadata))
    );
    assert_eq!(copy.id, copy_id(&JOB, &[5; 16], copy.ordinal));
    assert_eq!(copy.cancels, event.cancels.map(|id| copy_id(&JOB, &id, copy.ordinal)));
}
