//! A fold on a stream that was opened from another one: it starts from what the opening event
//! carries for it, from what it is given, or not at all.

mod common;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::envelope::{FLAG_OPENS, FLAG_VALIDATED_V1};
use eventfold_core::error::CoreError;
use eventfold_core::fold::{Fold, FoldResult, FoldRun, Start};
use eventfold_core::rows::Rows;

const FOLD: &str = "fold: a\ninitial: {n: 0}\nhandlers:\n  Added: {n: state.n + event.n}\n";
const OLD: &str = "fold: a\ninitial: {n: 0}\nhandlers:\n  Added: {n: state.n + event.n * 2}\n";

fn fold(source: &str) -> Arc<Fold> {
    Arc::new(Fold::parse(source).unwrap())
}

fn accepting(digests: &[&str]) -> Arc<Fold> {
    fold(&format!("{FOLD}accepts: [{}]\n", digests.join(", ")))
}

fn opening(data: &str) -> Event {
    Event { flags: FLAG_VALIDATED_V1 | FLAG_OPENS, ..Event::new(1, "Opened", data) }
}

fn carrying(states: &[(&str, &str, &str)]) -> Event {
    let states: Vec<String> = states
        .iter()
        .map(|(fold, digest, rest)| format!(r#"{{"fold":"{fold}","digest":"{digest}",{rest}}}"#))
        .collect();
    opening(&format!(r#"{{"predecessor":"s-0","states":[{}]}}"#, states.join(",")))
}

fn added(version: i64, n: i64) -> Event {
    Event::new(version, "Added", &format!(r#"{{"n":{n}}}"#))
}

fn run(run: FoldRun, events: &[Event]) -> Result<FoldResult, CoreError> {
    let mut run = run;
    run.feed(&Rows::decode(columns(events)).unwrap())?;
    run.finish()
}

fn begun(fold: &Arc<Fold>) -> FoldRun {
    FoldRun::new(Arc::clone(fold), "s-1", "s-0")
}

fn state(fold: &Arc<Fold>, events: &[Event]) -> String {
    String::from_utf8(run(begun(fold), events).unwrap().state).unwrap()
}

fn problem(fold: &Arc<Fold>, events: &[Event]) -> String {
    let error = run(begun(fold), events).unwrap_err();
    let fact = |name: &str| {
        error.facts.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    };
    assert_eq!(error.reason, "STATE_NOT_CARRIED");
    assert_eq!((fact("stream").as_deref(), fact("fold").as_deref()), (Some("s-1"), Some("a")));
    fact("problem").unwrap()
}

#[test]
fn its_own_state_is_started_from() {
    let fold = fold(FOLD);
    let event = carrying(&[
        ("b", fold.digest(), r#""exists":true,"state":{"n":1}"#),
        ("a", fold.digest(), r#""exists":true,"state":{"n":5,"m":1.50}"#),
    ]);
    assert_eq!(state(&fold, std::slice::from_ref(&event)), r#"{"n":5,"m":1.50}"#);
    let found = run(begun(&fold), &[event, added(2, 3)]).unwrap();
    assert_eq!(found.state, br#"{"n":8,"m":1.50}"#);
    assert_eq!((found.exists, found.version), (true, 2));
    assert_eq!((found.events_read, found.events_folded), (2, 1));
}

#[test]
fn what_was_deleted_does_not_exist_until_it_is_handled_again() {
    let fold = fold(FOLD);
    let event = carrying(&[("a", fold.digest(), r#""exists":false,"state":null"#)]);
    let found = run(begun(&fold), std::slice::from_ref(&event)).unwrap();
    assert_eq!((found.exists, found.state.as_slice()), (false, b"null".as_slice()));
    assert_eq!(state(&fold, &[event, added(2, 3)]), r#"{"n":3}"#);
}

#[test]
fn another_state_is_none() {
    let (new, old) = (fold(FOLD), fold(OLD));
    let event = carrying(&[("a", old.digest(), r#""state":{"n":5}"#)]);
    assert_eq!(problem(&new, std::slice::from_ref(&event)), "other_digest");
    assert_eq!(state(&old, &[event]), r#"{"n":5}"#);
    assert_eq!(problem(&new, &[carrying(&[])]), "not_carried");
    assert_eq!(problem(&new, &[opening("{}")]), "not_carried");
    assert_eq!(problem(&new, &[opening(r#"{"states":[1,{"fold":"a"}]}"#)]), "other_digest");
}

#[test]
fn accepted_states_come_behind_its_own() {
    let (zero, one) = ("0".repeat(64), "1".repeat(64));
    let new = accepting(&[&one, &zero]);
    assert_eq!(new.digest(), fold(FOLD).digest());
    assert_ne!(new.kept_digest(), fold(FOLD).kept_digest());
    let states = [
        ("a", zero.as_str(), r#""state":{"n":0}"#),
        ("a", one.as_str(), r#""state":{"n":1}"#),
        ("a", new.digest(), r#""state":{"n":2}"#),
    ];
    assert_eq!(state(&new, &[carrying(&states)]), r#"{"n":2}"#);
    assert_eq!(state(&new, &[carrying(&states[..2])]), r#"{"n":1}"#);
    assert_eq!(state(&new, &[carrying(&states[..1])]), r#"{"n":0}"#);
}

#[test]
fn a_handler_makes_it_an_event_like_any_other() {
    let handling = fold("fold: a\nhandlers: {Opened: {p: event.predecessor}}\n");
    assert_eq!(state(&handling, &[carrying(&[])]), r#"{"p":"s-0"}"#);
}

#[test]
fn without_the_mark_it_opens_nothing() {
    let fold = fold(FOLD);
    let event = Event { flags: FLAG_VALIDATED_V1, ..carrying(&[]) };
    assert_eq!(state(&fold, &[event, added(2, 3)]), r#"{"n":3}"#);
}

#[test]
fn a_state_from_before_the_stream_goes_on() {
    let fold = fold(FOLD);
    let start = Start {
        exists: true,
        state: br#"{"n":7}"#.to_vec(),
        version: 0,
        position: 0,
        whose: Default::default(),
    };
    let inherits = begun(&fold).resume(&start).unwrap();
    let found = run(inherits, &[carrying(&[]), added(2, 1)]).unwrap();
    assert_eq!(found.state, br#"{"n":8}"#);
    let gone = Start {
        exists: false,
        state: b"null".to_vec(),
        version: 0,
        position: 0,
        whose: Default::default(),
    };
    let found = run(begun(&fold).resume(&gone).unwrap(), &[carrying(&[])]).unwrap();
    assert_eq!((found.exists, found.state.as_slice()), (false, b"null".as_slice()));
}

#[test]
fn one_run_goes_through_all_streams() {
    let added_up = "n: state.?n.orValue(0) + event.n, s: meta.stream, r: meta.root";
    let fold = fold(&format!("fold: a\nhandlers: {{Added: {{{added_up}}}}}\n"));
    let mut run = FoldRun::new(Arc::clone(&fold), "s-0", "s-0");
    run.feed(&Rows::decode(columns(&[added(1, 1), added(2, 2)])).unwrap()).unwrap();
    run.go_on_in("s-1").unwrap();
    run.feed(&Rows::decode(columns(&[carrying(&[]), added(2, 4)])).unwrap()).unwrap();
    let found = run.finish().unwrap();
    assert_eq!(found.state, br#"{"n":7,"s":"s-1","r":"s-0"}"#);
    assert_eq!((found.version, found.events_read, found.events_folded), (2, 4, 3));
}

#[test]
fn events_behind_an_opening_that_does_not_count_are_refused() {
    let fold = fold(FOLD);
    assert_eq!(problem(&fold, &[added(2, 3)]), "opening_left_out");
    // A stream of its own may begin wherever the caller likes.
    let alone = FoldRun::new(Arc::clone(&fold), "s-1", "s-1");
    assert_eq!(run(alone, &[added(2, 3)]).unwrap().state, br#"{"n":3}"#);
}

#[test]
fn what_others_wrote_is_checked() {
    let fold = fold(FOLD);
    let broken = |data: &str, deleted| Event {
        flags: FLAG_OPENS,
        deleted,
        metadata: Some(b"{}".to_vec()),
        ..Event::new(1, "Opened", data)
    };
    for (event, reason) in [
        (broken("{", false), "EVENT_CORRUPT"),
        (broken(r#"{"a":1,"a":2}"#, false), "EVENT_CORRUPT"),
        (broken("{}", true), "STREAM_DELETED"),
    ] {
        assert_eq!(run(begun(&fold), &[event]).unwrap_err().reason, reason);
    }
}
