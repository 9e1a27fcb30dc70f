//! What metadata refer to, and what an append demands of the store: every way to be wrong, and what
//! the append brings itself.

#[path = "common/requests.rs"]
mod requests;

use std::collections::HashSet;
use std::sync::Arc;

use eventfold_core::append::{Append, Demands, Origin};
use eventfold_core::envelope::{FLAG_REFERS, References, uuid_text};
use eventfold_core::error::CoreError;
use eventfold_core::json::check::check_object;
use eventfold_core::rules::{Rules, Steps};
use proptest::prelude::*;
use prost::Message;
use requests::{Empty, Expected, Kind, Many, NewEvent, Request};
use serde_json::{Value, json};

fn id(number: u128) -> [u8; 16] {
    number.to_be_bytes()
}

fn text(number: u128) -> String {
    uuid_text(&id(number))
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// What is found in metadata that pass the strict check.
fn of(metadata: &str) -> Result<References, CoreError> {
    let checked = check_object(metadata.as_bytes()).expect("metadata");
    References::of(metadata.as_bytes(), checked.escaped_keys)
}

fn problem(refs: &Value) -> (String, String) {
    let error = of(&json!({ "refs": refs }).to_string()).expect_err("it must be refused");
    assert_eq!(error.reason, "INVALID_REFERENCES");
    (fact(&error, "problem").to_owned(), fact(&error, "limit").to_owned())
}

#[test]
fn references_are_found_wherever_the_key_stands() {
    let upper = text(0xabcd).to_uppercase();
    let found = References {
        events: [id(0xabcd)].into_iter().collect(),
        streams: ["user-é"].map(Arc::from).into_iter().collect(),
    };
    let inner = format!(r#"{{"streams":["user-\u00e9"],"events":["{upper}"]}}"#);
    for metadata in [
        format!(r#"{{"refs":{inner}}}"#),
        format!(r#"{{ "a" : {{"refs": 1}}, "refs" : {inner}, "b": "\"refs\"" }}"#),
        format!(r#"{{"\u0072ef\u0073":{inner}}}"#),
        format!(r#"{{"refs":{}}}"#, inner.replace("events", r"\u0065vents")),
    ] {
        assert_eq!(of(&metadata).unwrap(), found, "{metadata}");
    }
    let nothing = References::default();
    for metadata in [
        "{}",
        r#"{"refs":{}}"#,
        r#"{"refs":{"events":[],"streams":[]}}"#,
        r#"{"ref":{"events":[1]}}"#,
        r#"{"a":{"refs":{"events":[1]}}}"#,
        r#"{"a":"\"refs\":1"}"#,
        r#"{"a\"refs":1,"b":"refs"}"#,
    ] {
        assert_eq!(of(metadata).unwrap(), nothing, "{metadata}");
    }
}

#[test]
fn each_way_to_be_wrong_has_its_problem() {
    let one = text(1);
    let shapes = [
        json!(null),
        json!([]),
        json!("x"),
        json!(1.5),
        json!({ "events": null }),
        json!({ "events": one }),
        json!({ "events": [1] }),
        json!({ "streams": [["a-1"]] }),
        json!({ "event": [one] }),
        json!({ "events": [one], "": [] }),
    ];
    for refs in shapes {
        assert_eq!(problem(&refs).0, "shape", "{refs}");
    }
    let error = of(r#"{"refs":1e99999999999999999999}"#).unwrap_err();
    assert_eq!(fact(&error, "problem"), "shape");
    for bad in ["", "x", &one[1..], &format!("{{{one}}}"), &one.replace('-', "")] {
        assert_eq!(problem(&json!({ "events": [one, bad] })).0, "event_id", "{bad}");
    }
    for bad in ["", "user", "-1", "us er-1", "user-\u{7f}"] {
        assert_eq!(problem(&json!({ "streams": ["a-1", bad] })).0, "stream_name", "{bad}");
    }
    let low = text(0xa);
    assert_eq!(problem(&json!({ "events": [low, low.to_uppercase()] })).0, "twice");
    assert_eq!(problem(&json!({ "streams": ["a-1", "a-1"] })).0, "twice");
    assert!(of(r#"{"refs":{"streams":["a-1","A-1","$audit"]}}"#).is_ok());
}

#[test]
fn a_hundred_at_the_most() {
    let refs = |events: u128, streams: u128| {
        let events: Vec<_> = (0..events).map(text).collect();
        let streams: Vec<_> = (0..streams).map(|number| format!("a-{number}")).collect();
        json!({ "events": events, "streams": streams })
    };
    for (events, streams) in [(100, 0), (0, 100), (60, 40)] {
        let found = of(&json!({ "refs": refs(events, streams) }).to_string()).unwrap();
        assert_eq!(found.len(), 100);
    }
    for (events, streams) in [(101, 0), (0, 101), (60, 41)] {
        assert_eq!(problem(&refs(events, streams)), ("too_many".to_owned(), "100".to_owned()));
    }
}

/// Ids and names as texts, in their order.
fn named(references: &References) -> (Vec<String>, Vec<String>) {
    let events = references.events.iter().map(uuid_text).collect();
    (events, references.streams.iter().map(|name| name.to_string()).collect())
}

/// Any JSON, with what references are made of.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("refs".to_owned()),
        Just("events".to_owned()),
        Just("streams".to_owned()),
        Just("\"refs\"".to_owned()),
        Just("user-1".to_owned()),
        (0_u128..3).prop_map(text),
        ".{0,4}".prop_filter("NUL is refused before", |text| !text.contains('\0')),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Whether the metadata should pass, and with what, told by another reader of JSON.
fn expected(metadata: &Value) -> Option<(Vec<String>, Vec<String>)> {
    let Some(refs) = metadata.get("refs") else { return Some(Default::default()) };
    let known = ["events", "streams"];
    if !refs.as_object()?.keys().all(|key| known.contains(&key.as_str())) {
        return None;
    }
    let list = |name| -> Option<Vec<String>> {
        let Some(list) = refs.get(name) else { return Some(Vec::new()) };
        list.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let (events, streams) = (list("events")?, list("streams")?);
    let once = |list: &[String]| list.iter().collect::<HashSet<_>>().len() == list.len();
    let ids = events.iter().all(|event| (0..3).any(|number| text(number) == *event));
    let names = streams.iter().all(|stream| stream == "user-1");
    (ids && names && once(&events) && once(&streams)).then_some((events, streams))
}

proptest! {
    #[test]
    fn another_reader_finds_the_same(
        members in prop::collection::btree_map(
            prop_oneof![Just("refs".to_owned()), "[a-s]{0,3}"], any_json(), 0..4),
        escape in any::<bool>(),
    ) {
        let metadata = Value::Object(members.into_iter().collect());
        // Names of streams that chance makes are not told apart here.
        let names = metadata.pointer("/refs/streams").and_then(Value::as_array);
        prop_assume!(names.into_iter().flatten().filter_map(Value::as_str).all(
            |name| name == "user-1" || !name.contains('-') && !name.starts_with('$')));
        let mut written = metadata.to_string();
        if escape {
            written = written.replace("refs\":", "\\u0072efs\":");
        }
        let found = of(&written).ok().map(|found| named(&found));
        prop_assert_eq!(found, expected(&metadata), "{}", written);
    }
}

fn event(number: u128, event_type: &str, events: &[u128], streams: &[&str]) -> NewEvent {
    let events: Vec<_> = events.iter().copied().map(text).collect();
    NewEvent {
        id: text(number),
        event_type: event_type.to_owned(),
        data: b"{}".to_vec(),
        metadata: json!({ "refs": { "events": events, "streams": streams } }).to_string().into(),
        ..NewEvent::default()
    }
}

fn part(stream: &str, events: Vec<NewEvent>) -> Request {
    let expected_version = Some(Expected { kind: Some(Kind::Any(Empty {})) });
    Request { stream: stream.to_owned(), expected_version, events }
}

fn many(parts: Vec<Request>) -> Append {
    let request = Many { appends: parts, checks: Vec::new() };
    let origin = Arc::new(Origin { writer: "me".to_owned(), ..Origin::default() });
    Append::of_many(
        &request.encode_to_vec(),
        &origin,
        &Rules::default(),
        &mut Steps::whole(),
        &mut || [0; 16],
    )
    .expect("it passes")
}

fn demands(append: &Append) -> Demands {
    Demands::of(append, |event_type| event_type == "Strict")
}

fn sought(demands: &Demands) -> (Vec<String>, Vec<String>) {
    named(&demands.sought())
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn marks_stand_on_events_that_refer() {
    let plain =
        NewEvent { metadata: br#"{"refs":{"events":[]}}"#.to_vec(), ..event(2, "T", &[], &[]) };
    let append = many(vec![part("a-1", vec![event(1, "T", &[], &["b-1"]), plain])]);
    let flags: Vec<_> = append.parts[0].events().map(|event| event.flags & FLAG_REFERS).collect();
    assert_eq!(flags, [FLAG_REFERS, 0]);
    let bad = NewEvent { metadata: br#"{"refs":1}"#.to_vec(), ..event(2, "T", &[], &[]) };
    let request =
        Many { appends: vec![part("a-1", vec![event(1, "T", &[], &[]), bad])], ..Many::default() };
    let origin = Arc::new(Origin::default());
    let error = Append::of_many(
        &request.encode_to_vec(),
        &origin,
        &Rules::default(),
        &mut Steps::whole(),
        &mut || [0; 16],
    )
    .unwrap_err();
    let place = (fact(&error, "event_index"), fact(&error, "append_index"));
    assert_eq!((error.reason, place), ("INVALID_REFERENCES", ("1", "0")));
}

#[test]
fn what_the_append_brings_before_is_not_demanded() {
    let append = many(vec![
        part("a-1", vec![event(1, "T", &[], &[]), event(2, "Strict", &[1], &["a-1"])]),
        part("b-1", vec![event(3, "Strict", &[1, 2], &["a-1"])]),
    ]);
    assert!(demands(&append).is_empty());
    assert!(demands(&many(vec![part("a-1", vec![event(1, "T", &[9], &["z-1"])])])).is_empty());
}

#[test]
fn the_rest_is_looked_up_once() {
    let append = many(vec![
        part("a-1", vec![event(1, "Strict", &[9, 8], &["a-1", "c-1"])]),
        part("b-1", vec![event(2, "Strict", &[9, 1], &["a-1", "c-1", "d-1"])]),
        part("d-1", vec![event(3, "T", &[7], &["e-1"])]),
    ]);
    let demands = demands(&append);
    // Its own stream has not begun at the first event, and a later part's has not either.
    assert_eq!(sought(&demands), (vec![text(9), text(8)], texts(&["a-1", "c-1", "d-1"])));
    assert!(demands.refusals(&HashSet::new(), &HashSet::new()).is_empty());

    let refusals = demands.refusals(&HashSet::from([id(8)]), &HashSet::from(["d-1".to_owned()]));
    let told: Vec<_> = refusals
        .iter()
        .map(|(part, error)| (*part, error.reason, fact(error, "problem"), fact(error, "count")))
        .collect();
    let told_of = |part| (part, "REFERENCE_NOT_FOUND", "missing", "1");
    assert_eq!(told, [told_of(0), told_of(1)]);
    assert_eq!(fact(&refusals[0].1, "event_id"), text(8));
    assert_eq!(fact(&refusals[1].1, "stream"), "d-1");
}

#[test]
fn own_and_later_events_are_never_there() {
    let append = many(vec![
        part("a-1", vec![event(1, "T", &[], &[]), event(2, "Strict", &[2, 3, 9], &[])]),
        part("b-1", vec![event(3, "T", &[3], &[])]),
        part("c-1", vec![event(4, "Strict", &[5], &[]), event(5, "Strict", &[5], &[])]),
    ]);
    let demands = demands(&append);
    assert!(!demands.is_empty());
    assert_eq!(sought(&demands), (vec![text(9)], texts(&[])));
    let refusals = demands.refusals(&HashSet::from([id(9)]), &HashSet::new());
    let told: Vec<_> = refusals
        .iter()
        .map(|(part, error)| {
            let fact = |name| fact(error, name).to_owned();
            (*part, fact("event_index"), fact("problem"), fact("event_id"), fact("count"))
        })
        .collect();
    let told_of = |part, event: &str, problem: &str, id, count: &str| {
        (part, event.to_owned(), problem.to_owned(), text(id), count.to_owned())
    };
    assert_eq!(told, [told_of(0, "1", "own", 2, "3"), told_of(2, "0", "later", 5, "2")]);
}
