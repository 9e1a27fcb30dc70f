//! Going on from a state's text gives what folding from the first event gives, byte for byte, and
//! so does a run whose earlier states somebody holds: then nothing can change in place.

mod common;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::fold::{Fold, FoldResult, FoldRun, Start};
use eventfold_core::rows::Rows;
use proptest::prelude::*;

/// Assignments of every kind: exact numbers, values that become JSON, growth in place, removal
/// and return of keys, computed paths, the whole state.
const ASSIGNMENTS: [&str; 24] = [
    "n: state.n + 1",
    "n: state.n + event.d",
    "n: state.n * decimal('1.5')",
    "n: event.d",
    "n: 9223372036854775807",
    "n: decimal(state.n) / decimal(3)",
    "n: 1.0",
    "n: '3u'",
    "big: \"decimal('1e30') + decimal(state.n)\"",
    "big: '18446744073709551615u'",
    "moved: event.d",
    "moved: state.n",
    "moved: double(state.n) * 3.0",
    "moved: \"[meta.recorded_at, duration('90s'), b'ab', {1: 2u, true: 1e3}]\"",
    "l: state.l + [event.d, state.n]",
    "'l[0]': event.d",
    "'l[0]': optional.none()",
    "'m[event.k]': event.d",
    "'m[event.k]': optional.none()",
    "'m[event.k].x[\"a b\"]': state.n",
    "m: optional.none()",
    "m: \"state.?m.orValue({'z': 1})\"",
    "kept: state.m.map(key, key)",
    "'.': \"{'n': 1, 'l': [state.n], 'm': {'q': event.d}}\"",
];

/// Data of events; numbers keep their spelling.
const DATA: [&str; 6] = [
    r#"{"d":1,"k":"a"}"#,
    r#"{"d":1.10,"k":"b"}"#,
    r#"{"d":-0.0,"k":"a"}"#,
    r#"{"d":1e2,"k":"c \"d\""}"#,
    r#"{"d":100000000000000000000,"k":"b"}"#,
    r#"{"d":{"x":[1.50,"\u0001é"]},"k":"a"}"#,
];

const KINDS: usize = 4;

/// A document with a handler for all kinds but the last; one of them may delete.
fn document(handlers: &[Vec<usize>], deletes: bool) -> Option<String> {
    let mut source = "fold: f\ninitial: {n: 0, l: [], m: {a: 1}}\nhandlers:\n".to_owned();
    for (kind, assignments) in handlers.iter().enumerate() {
        source.push_str(&format!("  E{kind}:\n"));
        for assignment in assignments {
            source.push_str(&format!("    {}\n", ASSIGNMENTS[*assignment]));
        }
    }
    if deletes {
        source.push_str("  E2: delete\n");
    }
    // Assignments that overlap do not compile.
    Fold::parse(&source).is_ok().then_some(source)
}

/// The result of some events, or the whole error.
fn finish(mut run: FoldRun, events: &[Event]) -> Result<FoldResult, String> {
    let _ = run.feed(&Rows::decode(columns(events)).unwrap());
    run.finish().map_err(|error| format!("{error} {:?}", error.facts))
}

/// The same by way of explanations, which hold the state from before each event.
fn explained(mut run: FoldRun, events: &[Event]) -> Result<FoldResult, String> {
    let rows = Rows::decode(columns(events)).unwrap();
    let mut index = 0;
    while index < events.len() {
        match run.explain(&rows, index, 1) {
            Ok((_, next)) => index = next,
            Err(_) => break,
        }
    }
    finish(run, &[])
}

fn check(source: &str, events: &[Event]) {
    let fold = Arc::new(Fold::parse(source).unwrap());
    let begin = || FoldRun::new(Arc::clone(&fold), "a-1", "a-1");
    let whole = finish(begin(), events);
    assert_eq!(explained(begin(), events), whole, "{source}\n{events:?}");
    for split in 1..events.len() {
        let (before, after) = events.split_at(split);
        let Ok(kept) = finish(begin(), before) else { return };
        let start = Start {
            exists: kept.exists,
            state: kept.state.clone(),
            version: kept.version,
            position: kept.position,
            whose: Default::default(),
        };
        let on = finish(begin().resume(&start).unwrap(), after).map(|mut result| {
            result.events_read += kept.events_read;
            result.events_folded += kept.events_folded;
            result
        });
        assert_eq!(on, whole, "{source}\nafter {split} of {events:?}\n{kept:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn states_are_gone_on_from(
        handlers in proptest::collection::vec(
            proptest::collection::vec(0..ASSIGNMENTS.len(), 1..4), 2..3
        ),
        deletes in any::<bool>(),
        events in proptest::collection::vec((0..KINDS, 0..DATA.len()), 2..14),
    ) {
        let Some(source) = document(&handlers, deletes) else { return Ok(()) };
        let event = |(version, (kind, data)): (i64, (usize, usize))| {
            Event::new(version, &format!("E{kind}"), DATA[data])
        };
        let events: Vec<Event> = (1..).zip(events).map(event).collect();
        check(&source, &events);
    }
}

#[test]
fn every_assignment_is_gone_on_from() {
    for (index, assignment) in ASSIGNMENTS.iter().enumerate() {
        let source = document(&[vec![index], vec![0]], true)
            .unwrap_or_else(|| panic!("`{assignment}` does not compile"));
        let kinds = [0, 1, 0, 3, 0, 2, 3, 0, 1, 0];
        for data in DATA {
            let event = |(version, kind)| Event::new(version, &format!("E{kind}"), data);
            check(&source, &(1..).zip(kinds).map(event).collect::<Vec<_>>());
        }
    }
}
