//! Lists that grow in place give the same states and the same errors as the plain evaluation.
//!
//! Every random document is written twice: with `state.l + items`, which the compiler turns into
//! growth in place where it may, and with `state['l'] + items`, which it does not.

mod common;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::fold::{Fold, FoldRun};
use eventfold_core::rows::Rows;
use proptest::prelude::*;

/// The state after every event, or the reason of the error.
fn history(source: &str, events: &[Event]) -> Vec<Result<String, (&'static str, String)>> {
    let fold = Arc::new(Fold::parse(source).unwrap_or_else(|error| panic!("{source}\n{error}")));
    let mut run = FoldRun::new(fold, "a-1", "a-1");
    let mut states = Vec::new();
    for event in events {
        let rows = Rows::decode(columns(std::slice::from_ref(event))).unwrap();
        let _ = run.feed(&rows);
        states.push(
            run.finish()
                .map(|result| String::from_utf8(result.state).unwrap())
                .map_err(|error| (error.reason, path_of(&error.facts))),
        );
    }
    states
}

fn path_of(facts: &[(&'static str, String)]) -> String {
    facts.iter().find(|(name, _)| *name == "path").map(|(_, path)| path.clone()).unwrap_or_default()
}

/// Right-hand sides; `{}` stands for the place that grows.
const RIGHTS: [&str; 10] = [
    "{} + [event.x]",
    "{} + [event.x, state.n, 1.50]",
    "{} + event.list",
    "{} + [timestamp('2020-01-01T00:00:00Z'), 1u, {1: event.x}]",
    "{} + [[[event.x]]]",
    "{} + (event.x == 1 ? [] : [event.x])",
    "{} + [size({})]",
    "[event.x]",
    "optional.none()",
    "{} + event.x",
];

fn document(rights: &[(usize, usize)], indexed: bool) -> String {
    let mut source = "fold: f\ninitial: {n: 0, l: [], m: {l: [1]}}\nhandlers:\n".to_owned();
    for (kind, (left, right)) in rights.iter().enumerate() {
        let places = ["l", "m.l", "k"];
        let place = match (indexed, left % 3) {
            (false, left) => format!("state.{}", places[left]),
            (true, 0) => "state['l']".to_owned(),
            (true, 1) => "state.m['l']".to_owned(),
            (true, _) => "state['k']".to_owned(),
        };
        let expression = RIGHTS[right % RIGHTS.len()].replace("{}", &place);
        source.push_str(&format!(
            "  E{kind}:\n    n: state.n + 1\n    {}: \"{expression}\"\n",
            places[left % 3]
        ));
        if right % 4 == 0 {
            // Another assignment may reach the same place: then nothing may grow early.
            source.push_str("    \"[event.key]\": \"[event.x]\"\n");
        }
    }
    source
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn growth_in_place_is_invisible(
        rights in proptest::collection::vec((0..3usize, 0..40usize), 1..4),
        events in proptest::collection::vec((0..4usize, 0..6usize), 1..40),
    ) {
        let events: Vec<Event> = (1..)
            .zip(events)
            .map(|(version, (kind, data))| {
                let data = [
                    r#"{"x":1,"list":[1,2.50],"key":"l"}"#,
                    r#"{"x":"a\"b","list":[],"key":"q"}"#,
                    r#"{"x":{"y":[1.10]},"list":["a"],"key":"k"}"#,
                    r#"{"x":[7],"list":[[]],"key":"r"}"#,
                    r#"{"x":null,"list":[null],"key":"m"}"#,
                    r#"{"x":-5,"list":{},"key":"q"}"#,
                ][data];
                Event::new(version, &format!("E{kind}"), data)
            })
            .collect();
        let plain = history(&document(&rights, true), &events);
        let in_place = history(&document(&rights, false), &events);
        prop_assert_eq!(plain, in_place);
    }
}

#[test]
fn the_state_size_is_followed_exactly() {
    // The last event decides by one byte, after many changes of every kind.
    let source = "
fold: f
initial: {l: [], m: {}, s: ''}
handlers:
  Add: {l: 'state.l + [event.x, 1.50]'}
  Put: {'m[event.k].v': event.x}
  Drop: {'m[event.k]': optional.none()}
  Item: {'l[0]': optional.none()}
  Fill: {s: event.s}
";
    let mut events = Vec::new();
    for round in 0..40 {
        let key = ["a", "b\\\"", "c\\u0001", "ü"][round % 4];
        for (name, data) in [
            ("Add", format!(r#"{{"x":{round}}}"#)),
            ("Put", format!(r#"{{"k":"{key}","x":[-{round},null,true,"\n"]}}"#)),
            ("Drop", format!(r#"{{"k":"{key}"}}"#)),
            ("Put", format!(r#"{{"k":"{key}{round}","x":{{"a":{round}.10}}}}"#)),
            ("Item", "{}".to_owned()),
        ] {
            let mut event = Event::new(events.len() as i64 + 1, name, &data);
            event.flags = 0;
            events.push(event);
        }
    }
    let base = history(source, &events).pop().unwrap().unwrap().len();
    let room = 3 * 1024 * 1024 - base;
    for (length, fits) in [(room, true), (room + 1, false)] {
        let mut run_events = events.clone();
        let version = events.len() as i64;
        let half = length / 2;
        let parts = [("x".repeat(half), 1), ("y".repeat(length), 2)];
        for (text, step) in parts {
            let data = format!(r#"{{"s":"{text}"}}"#);
            run_events.push(Event::new(version + step, "Fill", &data));
        }
        let fold = Arc::new(Fold::parse(source).unwrap());
        let mut run = FoldRun::new(fold, "a-1", "a-1");
        let fed = run.feed(&Rows::decode(columns(&run_events)).unwrap());
        assert_eq!(fed.is_ok(), fits, "{length}");
        if !fits {
            assert_eq!(fed.unwrap_err().reason, "STATE_TOO_LARGE");
        }
    }
}

#[test]
fn folds_need_little_stack() {
    let deep = format!("{}1{}", "[".repeat(63), "]".repeat(63));
    let nested = format!("{}event.x{}", "[".repeat(60), "]".repeat(60));
    let path: Vec<String> = (0..60).map(|part| format!("p{part}")).collect();
    let source = format!(
        "fold: f\nhandlers:\n  E:\n    a: event.x\n    {}: 1\n  F:\n    b: \"{nested}\"\n",
        path.join(".")
    );
    let data = format!(r#"{{"x":{deep}}}"#);
    let work = move || {
        let events = [Event::new(1, "E", &data), Event::new(2, "F", r#"{"x":1}"#)];
        let states = history(&source, &events);
        // `a` sits one level below the root, so that 63 levels are the most.
        assert!(states.iter().all(Result::is_ok), "{states:?}");
        let over = format!(r#"{{"x":[{}]}}"#, &data[5..data.len() - 1]);
        let mut event = Event::new(1, "E", &over);
        event.flags = 0;
        assert!(history(&source, &[event])[0].is_err());
    };
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(work);
    thread.unwrap().join().unwrap();
}

#[test]
fn a_list_that_doubles_pays_for_its_growth_however_it_is_spelled() {
    // Short items reach the limit of steps first, long ones that of the state.
    for (items, reason) in [("[0]", "EVALUATION_LIMIT"), ("['a long text']", "STATE_TOO_LARGE")] {
        let histories = ["state.l", "state['l']"].map(|place| {
            let source = format!(
                "fold: f\ninitial: {{l: {items}}}\nhandlers:\n  E: {{l: \"{place} + {place}\"}}\n"
            );
            let events: Vec<Event> = (1..24).map(|at| Event::new(at, "E", "{}")).collect();
            history(&source, &events)
        });
        assert!(histories[0] == histories[1], "{items}");
        let failed = histories[0].iter().find_map(|state| state.as_ref().err());
        assert_eq!(failed.map(|(reason, _)| *reason), Some(reason));
    }
}
