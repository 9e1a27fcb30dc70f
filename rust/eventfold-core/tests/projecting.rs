//! The fold by keys: which row an event goes to, and what happens where one fails.

mod common;
#[path = "common/tables.rs"]
mod tables;

use common::columns;
use eventfold_core::limits::PROJECTION_KEY_BYTES_MAX;
use eventfold_core::projection::{Changes, Known, Projecting};
use eventfold_core::rows::Rows;
use tables::{Table, fact, log, parse, project, step};

const TOTALS: &str = "projection: totals\ninitial: {sum: 0}\n\
    handlers:\n  Added: {sum: state.sum + event.n}\n  Maybe: [{when: event.n > 0, sum: event.n}]\n\
    \u{20} Gone: delete\ncolumns: {sum: bigint}\n";

/// Key, first column, version and position of each row.
fn sums(table: &Table) -> Vec<(&str, &str, i64, i64)> {
    (table.rows.values())
        .map(|row| {
            let first = row.columns[0].as_deref().unwrap_or("NULL");
            (&*row.key, first, row.version, row.position)
        })
        .collect()
}

#[test]
fn rows_by_root_stream_and_expression() {
    let mut events = log(&[
        ("a-1", "Added", r#"{"n":1,"k":"x"}"#),
        ("a-2", "Added", r#"{"n":2,"k":"x"}"#),
        ("a-1", "Other", r#"{"n":100}"#),
        ("b-1", "Added", r#"{"n":4,"k":"y"}"#),
        ("a-1", "Added", r#"{"n":8,"k":"y"}"#),
    ]);
    events[1].root = Some("a-1".to_owned());
    let table = project(TOTALS, &events, &[]);
    assert_eq!(sums(&table), [("a-1", "11", 3, 50), ("b-1", "4", 1, 40)]);
    assert_eq!((table.events, table.position), (4, 50));
    let by = |key: &str| project(&format!("{TOTALS}key: {key}\n"), &events, &[2]);
    assert_eq!(sums(&by("meta.root")), sums(&table));
    assert_eq!(
        sums(&by("meta.stream")),
        [("a-1", "9", 3, 50), ("a-2", "2", 1, 20), ("b-1", "4", 1, 40)]
    );
    assert_eq!(sums(&by("event.k")), [("x", "3", 1, 20), ("y", "12", 3, 50)]);
    assert_eq!(sums(&by("meta.category")), [("a", "11", 3, 50), ("b", "4", 1, 40)]);
    assert_eq!(sums(&by("\"meta.root + '/' + meta.stream_id\"")).len(), 3);
    let said = project(&format!("{TOTALS}source: {{types: [Gone]}}\n"), &events, &[]);
    assert_eq!((said.rows.len(), said.events, said.position), (0, 0, 50));
}

#[test]
fn what_keys_can_be() {
    let keyed = |data: &str| {
        let document = format!("{TOTALS}key: event.k\n");
        let data = format!("{{\"n\":1,\"k\":{data}}}");
        let table = project(&document, &log(&[("a-1", "Added", &data)]), &[]);
        match table.stopped {
            None => Ok(table.rows.into_keys().next().unwrap()),
            Some(error) => {
                assert!(table.rows.is_empty());
                assert_eq!((error.reason, fact(&error, "path")), ("PROJECTION_FAILED", "key"));
                assert_eq!((fact(&error, "position"), fact(&error, "stream")), ("10", "a-1"));
                assert!(!error.facts.iter().any(|(name, _)| *name == "key"));
                Err(fact(&error, "problem").to_owned())
            }
        }
    };
    let long = "é".repeat(PROJECTION_KEY_BYTES_MAX / 2);
    for (json, key) in [
        ("\"a b\"", "a b"),
        ("7", "7"),
        ("-7", "-7"),
        ("true", "true"),
        ("1.50", "1.5"),
        ("2.0", "2"),
        ("1e3", "1000"),
        (&format!("\"{long}\""), &*long),
    ] {
        assert_eq!(keyed(json).as_deref(), Ok(key), "{json}");
    }
    for (json, problem) in [
        ("\"\"", "empty"),
        ("null", "a null_type cannot be a key"),
        ("[1]", "a list cannot be a key"),
        ("{}", "a map cannot be a key"),
        (&format!("\"{long}x\""), "513 bytes"),
        ("1234567890123456789012345678901234567890", "more digits"),
    ] {
        assert!(keyed(json).unwrap_err().contains(problem), "{json}: {:?}", keyed(json));
    }
    for key in ["\"double(event.n)\"", "\"event.k + 'x'\"", "\"'a\\\\x00'\""] {
        let document = format!("{TOTALS}key: {key}\n");
        let table = project(&document, &log(&[("a-1", "Added", r#"{"n":1,"k":1}"#)]), &[]);
        assert_eq!(fact(&table.stopped.unwrap(), "path"), "key", "{key}");
    }
}

/// A key that fails stops, even if the document parks; what came before is kept.
#[test]
fn a_failing_key_stops_always() {
    let events = log(&[
        ("a-1", "Added", r#"{"n":1,"k":"x"}"#),
        ("a-1", "Other", "{}"),
        ("a-1", "Added", r#"{"n":2}"#),
        ("a-1", "Added", r#"{"n":4,"k":"x"}"#),
    ]);
    for on_error in ["stop", "park"] {
        let document = format!("{TOTALS}key: event.k\non_error: {on_error}\n");
        for cut in 0..=4 {
            let table = project(&document, &events, &[cut]);
            assert_eq!(sums(&table), [("x", "1", 1, 10)]);
            assert_eq!((table.position, table.events, table.parked.len()), (29, 1, 0));
            let error = table.stopped.unwrap();
            assert_eq!((fact(&error, "version"), fact(&error, "position")), ("3", "30"));
        }
    }
    // Bytes that others wrote, where the key needs them.
    let mut corrupt = log(&[("a-1", "Added", "{")]);
    corrupt[0].flags = 0;
    let table = project(&format!("{TOTALS}key: event.k\non_error: park\n"), &corrupt, &[]);
    assert_eq!(table.stopped.unwrap().reason, "EVENT_CORRUPT");
    let table = project(&format!("{TOTALS}on_error: park\n"), &corrupt, &[]);
    assert_eq!((table.stopped, table.parked["a-1"].0.reason), (None, "EVENT_CORRUPT"));
}

#[test]
fn deletes_and_events_that_do_nothing() {
    let events = log(&[
        ("a-1", "Maybe", r#"{"n":0}"#),
        ("a-1", "Gone", "{}"),
        ("a-1", "Added", r#"{"n":1}"#),
        ("a-1", "Maybe", r#"{"n":0}"#),
        ("a-1", "Gone", "{}"),
        ("a-1", "Maybe", r#"{"n":-1}"#),
        ("a-1", "Added", r#"{"n":4}"#),
    ]);
    for (count, expected) in [
        (2, vec![]),
        (4, vec![("a-1", "1", 3, 30)]),
        (5, vec![]),
        (6, vec![]),
        (7, vec![("a-1", "4", 7, 70)]),
    ] {
        for cut in 0..=count {
            let table = project(TOTALS, &events[..count], &[cut, cut + 1]);
            assert_eq!(sums(&table), expected, "{count} events, {cut}");
            assert_eq!(table.events, count as u64);
        }
    }
}

const GUARDED: &str = "projection: guarded\ninitial: {n: 0}\nhandlers:\n  \
    Set: {n: event.n}\n  Gone: delete\nwhere: \"has(state.n) && state.n > 0\"\n\
    columns: {n: integer, inverse: {type: integer, value: \"100 / int(state.n)\"}}\n";

#[test]
fn hidden_rows_keep_their_state_and_no_columns() {
    let set = |n: i64| format!("{{\"n\":{n}}}");
    let (zero, four, minus) = (set(0), set(4), set(-1));
    let events = log(&[("a-1", "Set", &zero), ("a-1", "Set", &four), ("a-1", "Set", &minus)]);
    for (count, shown, texts) in
        [(1, false, [None, None]), (2, true, [Some("4"), Some("25")]), (3, false, [None, None])]
    {
        let table = project(GUARDED, &events[..count], &[1]);
        let row = &table.rows["a-1"];
        assert_eq!((row.shown, row.version), (shown, count as i64));
        assert_eq!(row.columns.iter().map(Option::as_deref).collect::<Vec<_>>(), texts);
        let data = String::from_utf8(events[count - 1].data.clone().unwrap()).unwrap();
        assert_eq!(String::from_utf8_lossy(&row.state), data);
    }
}

/// An event may fail in its handler, its assignments, `where` or a column; the row stays as it was
/// before, and the events before and behind it count or do not, whatever the cuts.
#[test]
fn stop_and_park_at_each_place() {
    let handlers = "initial: {n: 1, list: []}\nhandlers:\n  Set: {n: event.n, other: event.n}\n  \
        Index: {n: event.n, \"list[5]\": \"1\"}\n";
    let rest = "where: \"state.n != 13\"\ncolumns: {n: {type: integer, value: state.n}}\n";
    for (kind, data, reason, path) in [
        ("Set", r#"{"x":1}"#, "FOLD_FAILED", "n"),
        ("Index", r#"{"n":5}"#, "FOLD_FAILED", "list[5]"),
        ("Set", r#"{"n":"text"}"#, "PROJECTION_FAILED", "columns.n"),
        ("Set", r#"{"n":3000000000}"#, "PROJECTION_FAILED", "columns.n"),
    ] {
        let events = log(&[
            ("a-1", "Set", r#"{"n":2}"#),
            ("a-2", "Set", r#"{"n":3}"#),
            ("a-1", kind, data),
            ("a-2", "Set", r#"{"n":4}"#),
            ("a-1", "Set", r#"{"n":5}"#),
            ("a-3", "Set", r#"{"n":6}"#),
        ]);
        for cuts in [vec![], vec![1], vec![2], vec![3], vec![1, 2, 3, 4, 5], vec![2, 2, 2, 4]] {
            let stopping = format!("projection: p\n{handlers}{rest}");
            let table = project(&stopping, &events, &cuts);
            assert_eq!(sums(&table), [("a-1", "2", 1, 10), ("a-2", "3", 1, 20)]);
            assert_eq!((table.position, table.events), (29, 2));
            let error = table.stopped.unwrap();
            assert_eq!((error.reason, fact(&error, "path")), (reason, path));
            assert_eq!((fact(&error, "stream"), fact(&error, "version")), ("a-1", "2"));

            let parking = format!("{stopping}on_error: park\n");
            let table = project(&parking, &events, &cuts);
            let rows = [("a-1", "2", 1, 10), ("a-2", "4", 2, 40), ("a-3", "6", 1, 60)];
            assert_eq!(sums(&table), rows);
            assert_eq!((table.position, table.events, &table.stopped), (60, 4, &None));
            assert_eq!(table.parked.len(), 1);
            assert_eq!(table.parked["a-1"], (error, vec![30, 50]));
        }
    }
}

/// As a retry does: the events on the list of a parked key are folded behind its row.
#[test]
fn what_was_parked_can_be_folded_later() {
    let document = |kind: &str| {
        format!(
            "projection: p\nhandlers: {{Set: {{n: event.n}}}}\ncolumns: {{n: {kind}}}\n\
                 on_error: park\n"
        )
    };
    let events = log(&[
        ("a-1", "Set", r#"{"n":1}"#),
        ("a-1", "Set", r#"{"n":3000000000}"#),
        ("a-1", "Set", r#"{"n":2}"#),
        ("a-1", "Set", r#"{"n":"x"}"#),
    ]);
    let mut table = project(&document("integer"), &events, &[]);
    let (_, listed) = table.parked.remove("a-1").unwrap();
    assert_eq!(listed, [20, 30, 40]);
    let mut retry = Projecting::new(parse(&document("bigint"))).with_parking(true);
    step(&mut retry, &events[1..], &mut table);
    assert_eq!(sums(&table), [("a-1", "2", 3, 30)]);
    assert_eq!(table.parked["a-1"].1, [40]);
    let mut stopping = Projecting::new(parse(&document("bigint"))).with_parking(false);
    table.parked.clear();
    step(&mut stopping, &events[3..], &mut table);
    assert_eq!(fact(table.stopped.as_ref().unwrap(), "path"), "columns.n");
    assert_eq!(table.position, 39);
}

#[test]
fn a_key_that_is_not_known_ends_the_batch() {
    let events = log(&[("a-1", "Added", r#"{"n":1}"#), ("a-2", "Added", r#"{"n":1}"#)]);
    let rows = Rows::decode(columns(&events)).unwrap();
    let mut projecting = Projecting::new(parse(TOTALS));
    let keys = projecting.keys(&rows, 0).unwrap();
    assert_eq!(projecting.unknown(&keys), ["a-1", "a-2"]);
    let nothing = projecting.fold(&rows, &keys).unwrap();
    assert_eq!((nothing.next, nothing.up_to, nothing.upserts.len()), (0, 0, 0));
    projecting.know("a-1", Known::Absent).unwrap();
    assert_eq!(projecting.unknown(&keys), ["a-2"]);
    let changes = projecting.fold(&rows, &keys).unwrap();
    assert_eq!((changes.next, changes.up_to, changes.upserts.len()), (1, 10, 1));
    let bad =
        Known::Row { state: b"{", version: 1, position: 1, shown: true, whose: Default::default() };
    assert_eq!(projecting.know("a-2", bad).unwrap_err().reason, "BUG");
    projecting.forget();
    assert_eq!(projecting.unknown(&keys), ["a-1", "a-2"]);
    let empty = projecting.keys(&rows, 2).unwrap();
    assert_eq!(
        projecting.fold(&rows, &empty).unwrap(),
        Changes { next: 2, up_to: 20, ..Changes::default() }
    );
}

/// Batches end when their changes are large, or cost much; nothing else changes.
#[test]
fn batches_are_bounded() {
    let document = "projection: p\nhandlers: {Set: {s: event.s}}\ncolumns: {n: bigint}\n";
    let data = format!("{{\"s\":\"{}\"}}", "x".repeat(1_000_000));
    let names: Vec<String> = (0..40).map(|index| format!("a-{index}")).collect();
    let events: Vec<_> = names.iter().map(|name| (&**name, "Set", &*data)).collect();
    let events = log(&events);
    let rows = Rows::decode(columns(&events)).unwrap();
    let mut projecting = Projecting::new(parse(document)).of_empty_table();
    let keys = projecting.keys(&rows, 0).unwrap();
    let changes = projecting.fold(&rows, &keys).unwrap();
    assert!((10..30).contains(&changes.next), "{}", changes.next);
    assert_eq!(changes.upserts.len(), changes.next);
    // The cache holds less than it was given: what it drops must be loaded again.
    projecting.committed();
    assert!(projecting.cache_bytes() <= 64 * 1024 * 1024);
    let keys = projecting.keys(&rows, 0).unwrap();
    assert!(!projecting.unknown(&keys).is_empty());

    let costly = "projection: p\nlet: {ten: '[1,2,3,4,5,6,7,8,9,9]'}\nhandlers: {Set: {s: \
        'ten.map(a, ten.map(b, ten.map(c, ten.map(d, ten.map(e, e + 1))))).size()'}}\n\
        columns: {s: bigint}\n";
    let events: Vec<_> = (0..300).map(|_| ("a-1", "Set", "{}")).collect();
    let events = log(&events);
    let rows = Rows::decode(columns(&events)).unwrap();
    let mut projecting = Projecting::new(parse(costly)).of_empty_table();
    let keys = projecting.keys(&rows, 0).unwrap();
    let changes = projecting.fold(&rows, &keys).unwrap();
    assert!((20..299).contains(&changes.next), "{}", changes.next);
    assert_eq!(changes.upserts[0].columns, [Some("10".to_owned())]);
}

#[test]
fn skip_cancelled_is_accepted() {
    let document = format!("{TOTALS}skip_cancelled: true\n");
    let events = log(&[("a-1", "Added", r#"{"n":1}"#)]);
    assert_eq!(sums(&project(&document, &events, &[])), [("a-1", "1", 1, 10)]);
}
