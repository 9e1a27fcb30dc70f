//! Copies held to the rules in force, and the hashes by which what was made is compared with what
//! is stored.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::envelope::{FLAG_MAPPED, FLAG_SCHEMA_VIOLATED, FLAG_VALIDATED_V1};
use eventfold_core::error::CoreError;
use eventfold_core::mapping::Mapping;
use eventfold_core::rows::Rows;
use eventfold_core::rules::{Mode, Rules, SchemaInForce, TypeRules};
use eventfold_core::schema::Schema;
use eventfold_core::transform::{Copied, Copies, Job, StreamHashes, Transform};

fn source(version: i64, event_type: &str, data: &str) -> Event {
    Event { stream: Some("a-1".to_owned()), ..Event::new(version, event_type, data) }
}

fn copy(rule: &str, events: &[Event], rules: &Rules) -> Copies {
    let source = format!(
        "transform: t\nsource: {{category: a}}\ninto: [b]\nstream: \"'b-' + event.k\"\n\
         events: {{T: {rule}}}"
    );
    let rows = Rows::decode(columns(events)).unwrap();
    let job = Job {
        id: &[7; 16],
        rules,
        pseudonym_key: None,
        seals: true,
        hides: &Rules::default(),
        examples_max: 0,
    };
    Transform::parse(&source).unwrap().copy(&rows, 0, job).unwrap()
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// A schema and a mapping for events of the type U, which T is renamed to.
fn rules(mode: Mode) -> Rules {
    let schema = r#"{"properties": {"n": {"type": "integer"}}}"#;
    let schema = Arc::new(Schema::compile(schema, &[], false).unwrap());
    let mut of_type = TypeRules::new("U");
    of_type.schema = Some(SchemaInForce { revision: 1, schema });
    of_type.mode = Some(mode);
    let mapping = "mapping: U\ncomputed: {m: \"event.n * 2\"}";
    of_type.mapping = Some(Arc::new(Mapping::parse(mapping).unwrap()));
    Rules::new(1, vec![of_type], HashMap::new())
}

#[test]
fn copies_are_held_to_the_rules_in_force() {
    let enforced = rules(Mode::Enforce);
    let with = |data: &str, rules: &Rules| copy("{type: U}", &[source(1, "T", data)], rules);
    let copies = with(r#"{"k":"x","n":1}"#, &enforced);
    // It is stored as it is, and mapped when it is read.
    assert_eq!(copies.events[0].data, br#"{"k":"x","n":1}"#);
    let error = with(r#"{"k":"x","n":"1"}"#, &enforced).failed.unwrap();
    assert_eq!(
        (error.reason, fact(&error, "cause"), fact(&error, "path")),
        ("TRANSFORM_FAILED", "SCHEMA_VIOLATION", "data")
    );
    assert!(fact(&error, "problem").contains("the schema of its type: `/n`"), "{error}");
    let error = with(r#"{"k":"x"}"#, &enforced).failed.unwrap();
    assert_eq!((fact(&error, "cause"), fact(&error, "rule")), ("MAPPING_FAILED", "T"));
    assert!(fact(&error, "problem").starts_with("the mapping of its type fails"), "{error}");
    let copies = with(r#"{"k":"x","n":2.5}"#, &rules(Mode::Warn));
    assert_eq!(copies.events[0].flags, FLAG_VALIDATED_V1 | FLAG_SCHEMA_VIOLATED);
    // The rules are those of the new type.
    let kept = copy("{}", &[source(1, "T", r#"{"k":"x","n":"1"}"#)], &enforced);
    assert_eq!(kept.events.len(), 1);
}

/// A copy as it is read once it is stored.
fn stored(position: i64, copy: &Copied) -> Event {
    Event {
        stream: Some(copy.stream.to_string()),
        position,
        id: copy.id,
        event_type: copy.event_type.to_string(),
        data: Some(copy.data.clone()),
        metadata: Some(copy.metadata.clone()),
        tags: copy.tags.clone(),
        recorded_us: 1_800_000_000_000_000,
        occurred_us: Some(copy.occurred_us),
        flags: copy.flags,
        copied_from: Some(copy.copied_from),
        cancels: copy.cancels,
        ..Event::new(1, "", "")
    }
}

fn hashes_of(events: &[Event]) -> StreamHashes {
    let mut hashes = StreamHashes::default();
    // In two pages: hashes go on where they were.
    let (left, right) = events.split_at(events.len() / 2);
    for part in [left, right] {
        hashes.add_page(&Rows::decode(columns(part)).unwrap()).unwrap();
    }
    hashes
}

#[test]
fn what_was_made_is_told_from_what_is_stored() {
    let events: Vec<_> = (1..=6)
        .map(|n| Event {
            metadata: Some(b"{\"m\":1}".to_vec()),
            tags: vec!["t".to_owned()],
            cancels: (n == 5).then_some([3; 16]),
            ..source(n, "T", &format!("{{\"k\":\"{}\"}}", n % 2))
        })
        .collect();
    let copies = copy("[{}, {type: U}]", &events, &Rules::default());
    let mut made = StreamHashes::default();
    made.add_copies(&copies.events);
    assert_eq!((made.len(), made.events(), made.is_empty()), (2, 12, false));
    let all: Vec<_> = (1..).zip(&copies.events).map(|(n, copy)| stored(n, copy)).collect();
    assert_eq!(made.differences(&hashes_of(&all), 9), (0, vec![]));
    // In order of streams, and with events between that are no copies.
    let mut by_stream = all.clone();
    by_stream.sort_by_key(|event| event.stream.clone());
    by_stream.insert(3, Event { copied_from: None, ..all[0].clone() });
    assert_eq!(made, hashes_of(&by_stream));

    type Change = fn(&mut Event);
    let changes: [Change; 9] = [
        |event| event.id = [1; 16],
        |event| event.event_type = "V".to_owned(),
        |event| event.data = Some(b"{\"k\": \"1\"}".to_vec()),
        |event| event.metadata = Some(b"{}".to_vec()),
        |event| event.tags.clear(),
        |event| event.occurred_us = Some(5),
        |event| event.copied_from = Some([1; 16]),
        |event| event.cancels = Some([1; 16]),
        |event| event.stream = Some("b-other".to_owned()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = all.clone();
        change(&mut changed[8]);
        let (count, first) = made.differences(&hashes_of(&changed), 1);
        assert_eq!((count, first.len()), (1 + usize::from(number == 8), 1), "change {number}");
        assert_eq!(first[0].0, "b-1");
    }
    let differs = |events: &[Event]| made.differences(&hashes_of(events), 0).0;
    assert_eq!(differs(&all[..11]), 1);
    let mut turned = all.clone();
    turned.swap(0, 1);
    assert_eq!(differs(&turned), 1);
    // The same stream without copies and no such stream are one.
    let (count, first) = StreamHashes::default().differences(&made, 9);
    assert_eq!((count, first[0].1.events, first[0].2.events), (2, 0, 6));
}

#[test]
fn hashes_can_be_kept_and_gone_on_with() {
    let events: Vec<_> = (1..=4).map(|n| source(n, "T", "{\"k\":\"x\"}")).collect();
    let copies = copy("{}", &events, &Rules::default()).events;
    let mut whole = StreamHashes::default();
    whole.add_copies(&copies);
    let mut begun = StreamHashes::default();
    begun.add_copies(&copies[..3]);
    let kept = begun.iter().map(|(name, hash)| (name.to_owned(), *hash));
    let mut again = StreamHashes::of(kept);
    again.add_copies(&copies[3..]);
    assert_eq!(again, whole);
    assert_eq!(whole.get("b-x").map(|hash| hash.events), Some(4));
    assert_eq!(whole.get("b-y"), None);
}

#[test]
fn pages_must_have_what_is_needed() {
    let refused = |event: Event| {
        let event = Event { copied_from: Some([1; 16]), ..event };
        let rows = Rows::decode(columns(&[event])).unwrap();
        let error = StreamHashes::default().add_page(&rows).unwrap_err();
        assert_eq!(error.reason, "BUG");
        error.message
    };
    assert!(refused(Event::new(1, "T", "{}")).contains("names of streams"));
    let mapped = Event { flags: FLAG_MAPPED, ..source(1, "T", "{}") };
    assert!(refused(mapped).contains("as they are stored"));
}
