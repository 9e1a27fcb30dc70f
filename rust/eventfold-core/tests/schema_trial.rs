//! Schemas on stored events.

mod common;

use common::{Event, columns};
use eventfold_core::mapping::Mapping;
use eventfold_core::rows::Rows;
use eventfold_core::schema::{Schema, Trial};
use serde_json::json;

fn attempt(mapping: Option<&str>, events: &[Event], first_max: usize) -> Trial {
    let schema = json!({"properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let schema = Schema::compile(&schema.to_string(), &[], false).unwrap();
    let mapping = mapping.map(|source| Mapping::parse(source).unwrap());
    let rows = Rows::decode(columns(events)).unwrap();
    schema.try_page(&rows, mapping.as_ref(), first_max).unwrap()
}

fn stored(version: i64, data: &str) -> Event {
    Event { stream: Some(format!("a-{version}")), ..Event::new(version, "T", data) }
}

fn places(trial: &Trial) -> Vec<(&str, i64, Vec<&str>)> {
    trial
        .first
        .iter()
        .map(|misfit| {
            let rules = misfit.violations.iter().map(|violation| &*violation.rule);
            (&*misfit.stream, misfit.version, rules.collect())
        })
        .collect()
}

#[test]
fn events_that_do_not_fit_are_counted_and_the_first_told() {
    let events = [
        stored(1, r#"{"n":1}"#),
        stored(2, r#"{"n":"x"}"#),
        stored(3, "{}"),
        stored(4, r#"{"n":1.5}"#),
        Event { data: None, deleted: true, ..stored(5, "{}") },
    ];
    let trial = attempt(None, &events, 2);
    assert_eq!((trial.events, trial.misfits), (4, 3));
    assert_eq!(places(&trial), [("a-2", 2, vec!["type"]), ("a-3", 3, vec!["required"])]);
    assert_eq!(trial.first[0].violations[0].pointer, "/n");
    assert_eq!(trial.first[0].position, events[1].position);
    assert!(attempt(None, &events, 0).first.is_empty());
}

#[test]
fn events_are_tried_as_they_are_read() {
    let events = [stored(1, r#"{"m":1}"#), stored(2, r#"{"m":"x"}"#), stored(3, r#"{"n":3}"#)];
    let trial = attempt(Some("mapping: T\nrenames: {m: n}\n"), &events, 10);
    assert_eq!((trial.events, trial.misfits), (3, 1));
    assert_eq!(places(&trial), [("a-2", 2, vec!["type"])]);

    let trial = attempt(Some("mapping: T\ncomputed: {n: \"int(event.m)\"}\n"), &events, 10);
    let error = trial.first[0].error.as_ref().unwrap();
    assert_eq!((error.reason, trial.misfits), ("MAPPING_FAILED", 2));
    assert!(trial.first[0].violations.is_empty());
}

#[test]
fn an_event_that_cannot_be_read_is_told() {
    let events = [Event { flags: 0, ..stored(1, r#"{"n":1,"n":2}"#) }];
    let trial = attempt(None, &events, 10);
    assert_eq!(trial.first[0].error.as_ref().unwrap().reason, "EVENT_CORRUPT");
}

#[test]
fn so_many_violations_of_one_event_are_told() {
    let names: Vec<String> = (0..11).map(|name| format!("p{name:02}")).collect();
    let told = |names: &[String]| {
        let schema = json!({"required": names}).to_string();
        let schema = Schema::compile(&schema, &[], false).unwrap();
        let rows = Rows::decode(columns(&[stored(1, "{}")])).unwrap();
        schema.try_page(&rows, None, 1).unwrap().first[0].violations.len()
    };
    assert_eq!((told(&names[..10]), told(&names)), (10, 10));
}

#[test]
fn what_is_sealed_fits_any_schema() {
    let sealed = |version, data: &str| Event {
        sealed_paths: vec!["/n".to_owned()],
        ..stored(version, data)
    };
    let events = [
        sealed(1, r#"{"n":"$sealed:1:abc"}"#),
        stored(2, r#"{"n":"$sealed:1:abc"}"#),
        sealed(3, r#"{"n":"$sealed:1:abc","m":1}"#),
    ];
    let trial = attempt(None, &events, 10);
    assert_eq!((trial.events, trial.misfits), (3, 1));
    assert_eq!(places(&trial), [("a-2", 2, vec!["type"])]);
    // It stays absent under another name.
    let renamed =
        [Event { sealed_paths: vec!["/m".to_owned()], ..stored(1, r#"{"m":"$sealed:1:abc"}"#) }];
    assert_eq!(attempt(Some("mapping: T\nrenames: {m: n}\n"), &renamed, 10).misfits, 0);
    let missing = [Event { sealed_paths: vec!["/gone".to_owned()], ..stored(1, "{}") }];
    let rows = Rows::decode(columns(&missing)).unwrap();
    let anything = Schema::compile("true", &[], false).unwrap();
    assert_eq!(anything.try_page(&rows, None, 1).unwrap_err().reason, "EVENT_CORRUPT");
}
