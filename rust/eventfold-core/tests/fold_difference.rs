//! Differences of states: applied to the state before, as assignments of a fold, they give the
//! state after.

use std::sync::Arc;

use eventfold_core::envelope::uuid_text;
use eventfold_core::fold::{Fold, FoldRun, Start, differences};
use eventfold_core::json::scan::scan_value;
use eventfold_core::json::write::{write_string, write_value};
use eventfold_core::rows::{Row, Tags};
use eventfold_core::value::Value;
use proptest::prelude::*;

#[derive(Debug, PartialEq)]
struct Change {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

fn text(value: &Value) -> String {
    let mut out = Vec::new();
    write_value(value, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    differences(before, after, &mut |path, before, after| {
        let (before, after) = (before.map(text), after.map(text));
        found.push(Change { path: path.to_owned(), before, after });
    });
    found
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_string(text, &mut out);
    String::from_utf8(out).unwrap()
}

/// Makes a change by a fold that assigns to its path.
fn apply(state: &str, change: &Change) -> String {
    let (mut path, mut right) = (change.path.clone(), "event.v");
    let data = format!("{{\"v\":{}}}", change.after.as_deref().unwrap_or("null"));
    let appended;
    if change.after.is_none() {
        right = "optional.none()";
    } else if change.before.is_none() && path.ends_with(']') && !path.ends_with("']") {
        // Behind the end of a list there is no place to assign to: the list gets an item.
        path.truncate(path.rfind('[').unwrap());
        appended = match path.as_str() {
            "" => "state + [event.v]".to_owned(),
            path if path.starts_with('[') => format!("state{path} + [event.v]"),
            path => format!("state.{path} + [event.v]"),
        };
        right = &appended;
        if path.is_empty() {
            path.push('.');
        }
    }
    let document =
        format!(r#"{{"fold":"f","handlers":{{"E":{{{}:{}}}}}}}"#, quoted(&path), quoted(right));
    let fold = Fold::parse(&document).unwrap_or_else(|error| panic!("{document}\n{error:?}"));
    let start = Start {
        exists: true,
        state: state.as_bytes().to_vec(),
        version: 1,
        position: 1,
        whose: Default::default(),
    };
    let mut run = FoldRun::new(Arc::new(fold), "a-1", "a-1").resume(&start).unwrap();
    let row = Row {
        stream: None,
        version: 2,
        position: 2,
        event_id: &[0; 16],
        event_type: "E",
        data: data.as_bytes(),
        metadata: b"{}",
        tags: Tags::none(),
        recorded_us: 0,
        occurred_us: 0,
        writer: "",
        flags: 0,
        copied_from: None,
        cancels: None,
        trace_context: None,
        deleted: false,
    };
    run.feed_row(&row).unwrap_or_else(|error| {
        panic!("{document}\n{state}\n{data}\n{error:?} {}", uuid_text(row.event_id))
    });
    String::from_utf8(run.finish().unwrap().state).unwrap()
}

/// Keys of every kind that a path has to spell.
const KEYS: [&str; 14] = [
    "a", "b2", "_", "", "2024", "per day", "it's", "b\\s", "\"", "é\n\t", "when", ".", "]", "a[0]",
];

fn state() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        (-2..3i64).prop_map(|number| number.to_string()),
        Just("1.10".to_owned()),
        Just("1.1".to_owned()),
        Just("1e400".to_owned()),
        Just(r#""text""#.to_owned()),
        Just(r#""\u0001\"""#.to_owned()),
    ];
    scalar.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::btree_map(0..KEYS.len(), inner, 0..5).prop_map(|map| {
                let entries: Vec<String> = map
                    .iter()
                    .map(|(key, value)| format!("{}:{value}", quoted(KEYS[*key])))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

/// The text with the keys of all maps sorted.
fn sorted(value: &Value) -> String {
    match value {
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(sorted).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(map) => {
            let mut entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{:?}{}", key, sorted(value))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
        scalar => text(scalar),
    }
}

fn parse(state: &str) -> Value {
    scan_value(state.as_bytes()).unwrap()
}

fn check(before: &str, after: &str) {
    let (old, new) = (parse(before), parse(after));
    let mut found = changes(&old, &new);
    assert!(found.iter().all(|change| change.before != change.after), "{found:?}");
    // An item that goes moves those behind it up, so that the last one has to go first.
    let gone = |change: &Change| change.after.is_none();
    let (mut removals, others): (Vec<Change>, Vec<Change>) = found.drain(..).partition(gone);
    removals.reverse();
    let mut state = before.to_owned();
    for change in others.iter().chain(&removals) {
        state = apply(&state, change);
    }
    assert_eq!(sorted(&parse(&state)), sorted(&new), "{before} {after} {others:?} {removals:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn changes_lead_from_one_state_to_the_other(before in state(), after in state()) {
        check(&before, &after);
    }

    #[test]
    fn small_changes_lead_to_it_too(state in state(), from in 0..4usize, to in 0..4usize) {
        let scalars = ["null", "1.10", "\"text\"", "[1]"];
        check(&state, &state.replacen(scalars[from], scalars[to], 1));
    }

    #[test]
    fn equal_states_do_not_differ(state in state()) {
        prop_assert_eq!(changes(&parse(&state), &parse(&state)), []);
    }
}

#[test]
fn the_order_of_changes_is_that_of_the_new_state() {
    let before = parse(r#"{"a":1,"b":{"x":1,"y":2},"c":[1,2,3],"d":4}"#);
    let after = parse(r#"{"n":0,"c":[1,5],"b":{"y":2},"a":2}"#);
    let paths: Vec<String> = changes(&before, &after).into_iter().map(|found| found.path).collect();
    assert_eq!(paths, ["n", "c[1]", "c[2]", "b.x", "a", "d"]);
}

#[test]
fn the_order_of_keys_alone_is_no_change() {
    assert_eq!(changes(&parse(r#"{"a":1,"b":2}"#), &parse(r#"{"b":2,"a":1}"#)), []);
}

#[test]
fn shared_parts_are_passed_over() {
    let many: Vec<String> = (0..10_000).map(|number| format!("{{\"n\":{number}}}")).collect();
    let before = parse(&format!(r#"{{"list":[{}],"map":{{"k":[{}]}}}}"#, many.join(","), many[0]));
    let mut map = before.as_map().unwrap().clone();
    map.modify("list", |list| match list {
        Value::List(list) => list.push(Value::Int(1)),
        _ => unreachable!(),
    });
    let after = Value::map(map);
    let mut paths = Vec::new();
    let compared = differences(&before, &after, &mut |path, _, _| paths.push(path.to_owned()));
    assert_eq!(paths, ["list[10000]"]);
    // The two entries of the state, and the last chunk of the list.
    assert!(compared < 70, "{compared}");
}

#[test]
fn deep_states_need_little_stack() {
    let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(64), "]".repeat(64));
    let work = move || {
        let found = changes(&parse(&nested("1")), &parse(&nested("2")));
        assert_eq!(found[0].path, "[0]".repeat(64));
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(work).unwrap().join().unwrap();
}
