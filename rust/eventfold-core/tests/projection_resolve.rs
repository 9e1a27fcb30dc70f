//! Events that refer to others: what names of `resolve` stand for, where they can be read, and that
//! it does not matter how pages are cut and looked up.

mod common;
#[path = "common/tables.rs"]
mod tables;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::error::CoreError;
use eventfold_core::limits::PROJECTION_RESOLVED_MAX;
use eventfold_core::projection::{self, Projecting, Projection};
use eventfold_core::rows::Rows;
use tables::{Table, fact, log, parse, resolved_step};

const PURPOSES: &str = "projection: purposes\nresolve: {booked: event.booked}\nkey: event.purpose\n\
    initial: {sum: 0}\nhandlers:\n  Tagged: {sum: state.sum + booked.data.amount}\n\
    columns: {sum: numeric}\n";

/// The id of the event with a number from 1, as `log` makes it.
fn id(number: i64) -> String {
    format!("00000000-0000-{number:04}-0000-000000000001")
}

/// Events of what was booked, each the first of its stream, so that it has the id of its number.
fn booked(amounts: &[&str]) -> Vec<(String, String, String)> {
    let event = |(number, amount): (usize, &&str)| {
        let data = format!("{{\"amount\":{amount}}}");
        (format!("Transaction-{number}"), "Booked".to_owned(), data)
    };
    amounts.iter().enumerate().map(event).collect()
}

/// A log of what is booked, and of what then happens to it, each a type and data.
fn ledger(amounts: &[&str], then: &[(&str, String)]) -> Vec<Event> {
    let mut events = booked(amounts);
    for (number, (event_type, data)) in then.iter().enumerate() {
        events.push((format!("Tag-{number}"), (*event_type).to_owned(), data.clone()));
    }
    let borrowed: Vec<_> = events.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
    log(&borrowed)
}

fn tagged(purpose: &str, number: i64) -> (&'static str, String) {
    ("Tagged", format!(r#"{{"purpose":"{purpose}","booked":"{}"}}"#, id(number)))
}

/// Folds a log page by page.
fn project(document: &str, events: &[Event], cuts: &[usize], ids_max: usize) -> Table {
    let mut projecting = Projecting::new(parse(document)).of_empty_table();
    let mut table = Table::default();
    let mut first = 0;
    for end in cuts.iter().copied().chain([events.len()]) {
        resolved_step(&mut projecting, &events[first..end], events, ids_max, &mut table);
        first = end;
    }
    table
}

/// Key and first column of each row.
fn cells(table: &Table) -> Vec<(&str, &str)> {
    let cell = |row: &eventfold_core::projection::ChangedRow| {
        row.columns[0].clone().unwrap_or_else(|| "NULL".to_owned())
    };
    table.rows.values().map(|row| (&*row.key, &*cell(row).leak())).collect()
}

#[test]
fn sums_of_what_is_not_copied() {
    let tags = [tagged("rent", 1), tagged("food", 2), tagged("food", 3), tagged("rent", 2)];
    let events = ledger(&["900.10", "4.35", "0.65"], &tags);
    let whole = project(PURPOSES, &events, &[], usize::MAX);
    assert_eq!(cells(&whole), [("food", "5"), ("rent", "904.45")]);
    assert_eq!((whole.events, whole.position), (4, 70));
    for (cuts, ids_max) in [(vec![], 0), (vec![], 1), (vec![3, 5], 2), ((1..7).collect(), 1)] {
        assert_eq!(project(PURPOSES, &events, &cuts, ids_max), whole, "{cuts:?} {ids_max}");
    }
    // A table in memory finds them among what it was fed.
    let mut table = projection::Table::new(parse(PURPOSES));
    for page in [&events[..2], &events[2..5], &events[5..]] {
        table.feed(&Rows::decode(columns(page)).unwrap()).unwrap();
    }
    assert_eq!(table.rows, whole.rows);
}

#[test]
fn what_an_expression_sees_of_the_event() {
    let document = r#"
projection: p
resolve: {of: "meta.metadata.?refs.events[?0]"}
key: "of == null ? 'none' : of.id"
let: {kind: "of == null ? 'none' : of.type"}
handlers:
  Tagged: [{when: of != null, let: {same: of}, all: of, kind: kind, data: same.data}]
columns: {all: jsonb, kind: text, data: jsonb}
"#;
    let mut events = ledger(&["1.50"], &[("Tagged", "{}".to_owned()), ("Tagged", "{}".to_owned())]);
    let refs = format!(r#"{{"refs":{{"events":["{}"]}}}}"#, id(1).to_uppercase());
    events[1].metadata = Some(refs.into_bytes());
    let table = project(document, &events, &[], usize::MAX);
    let [row] = table.rows.values().collect::<Vec<_>>()[..] else { panic!("{table:?}") };
    assert_eq!(row.key, id(1));
    let all = format!(
        "{{\"id\":\"{}\",\"stream\":\"Transaction-0\",\"type\":\"Booked\",\"version\":1,\
         \"position\":10,\"recorded_at\":\"2023-11-14T22:13:20.000001Z\",\
         \"data\":{{\"amount\":1.50}},\"deleted\":false}}",
        id(1)
    );
    let texts: Vec<_> = row.columns.iter().map(|text| text.as_deref().unwrap()).collect();
    assert_eq!(texts, [&*all, "Booked", r#"{"amount":1.50}"#]);
    // The other one touches no row, and has a key all the same.
    assert_eq!((table.events, table.position), (2, 30));
}

#[test]
fn nothing_is_null() {
    let document = "projection: p\nresolve: {of: event.?of}\nkey: event.k\nhandlers:\n\
        \u{20} Tagged: {found: of != null}\ncolumns: {found: boolean}\n";
    let of = |k: &str, of: &str| ("Tagged", format!(r#"{{"k":"{k}","of":{of}}}"#));
    let quoted = |number| format!("\"{}\"", id(number));
    let tags = [
        ("Tagged", r#"{"k":"absent"}"#.to_owned()),
        of("null", "null"),
        of("missing", &quoted(999)),
        of("there", &quoted(1)),
        of("itself", &quoted(6)),
        of("later", &quoted(8)),
        of("tag", &quoted(7)),
    ];
    let mut events = ledger(&["1"], &tags);
    let found = |events: &[Event]| {
        let table = project(document, events, &[], usize::MAX);
        let cells = cells(&table);
        cells.into_iter().map(|(k, text)| (k.to_owned(), text == "true")).collect::<Vec<_>>()
    };
    let all = [
        ("absent", false),
        ("itself", false),
        ("later", false),
        ("missing", false),
        ("null", false),
        ("tag", true),
        ("there", true),
    ];
    assert_eq!(found(&events), all.map(|(k, found)| (k.to_owned(), found)));
    // One that was deleted was there.
    events[0].deleted = true;
    events[0].data = None;
    assert_eq!(found(&events), all.map(|(k, found)| (k.to_owned(), found)));
}

#[test]
fn a_deleted_event_says_so() {
    let document = "projection: p\nresolve: {by: event.by}\nkey: event.k\nhandlers:\n\
        \u{20} Tagged: {by: \"by == null || by.deleted ? 'Anonymous' : by.data.amount\", all: by}\n\
        columns: {by: jsonb, all: jsonb}\n";
    let tag = |k: &str, by| ("Tagged", format!(r#"{{"k":"{k}","by":"{}"}}"#, id(by)));
    let mut events = ledger(&["1", "2"], &[tag("a", 1), tag("b", 2), tag("c", 99)]);
    events[0].deleted = true;
    events[0].data = None;
    let table = project(document, &events, &[], usize::MAX);
    assert_eq!(cells(&table), [("a", "\"Anonymous\""), ("b", "2"), ("c", "\"Anonymous\"")]);
    let all = |key: &str| table.rows[key].columns[1].as_deref();
    assert_eq!((all("a"), all("c")), (Some(r#"{"deleted":true}"#), None));
}

#[test]
fn names_are_told_only_of_events_that_read_them() {
    // `Other` has no field `of`, and nothing that asks for it.
    let document = "projection: p\nresolve: {of: event.of, by: event.by}\nkey: event.k\nhandlers:\n\
        \u{20} Tagged: {a: of.data.amount}\n  Other: {a: event.a}\n  Third: {a: by == null}\n\
        columns: {a: jsonb}\n";
    let tags = [
        ("Tagged", format!(r#"{{"k":"a","of":"{}"}}"#, id(1))),
        ("Other", r#"{"k":"b","a":2}"#.to_owned()),
        ("Third", r#"{"k":"c","by":null}"#.to_owned()),
    ];
    let table = project(document, &ledger(&["7"], &tags), &[], usize::MAX);
    assert_eq!(cells(&table), [("a", "7"), ("b", "2"), ("c", "true")]);
    let references = parse(document)
        .references(&Rows::decode(columns(&ledger(&["7"], &tags))).unwrap(), 0)
        .unwrap();
    assert_eq!((references.ids.len(), references.needed()), (1, 0));
}

#[test]
fn what_is_no_id_fails_the_event() {
    let failed = |by: &str, parks: bool, in_key: bool| {
        let key = if in_key { "\"of == null ? 'none' : of.id\"" } else { "event.purpose" };
        let parks = if parks { "on_error: park\n" } else { "" };
        let document = format!(
            "projection: p\nresolve: {{of: event.of}}\nkey: {key}\nhandlers:\n\
             \u{20} Tagged: {{sum: of == null}}\ncolumns: {{sum: boolean}}\n{parks}"
        );
        let data = format!(r#"{{"purpose":"rent","of":{by}}}"#);
        let next = ("Tagged", r#"{"purpose":"food","of":null}"#.to_owned());
        project(&document, &ledger(&["1"], &[("Tagged", data), next]), &[], usize::MAX)
    };
    let check = |error: &CoreError, key: &str, problem: &str| {
        assert_eq!((error.reason, fact(error, "path")), ("PROJECTION_FAILED", "resolve.of"));
        assert_eq!((fact(error, "stream"), fact(error, "version")), ("Tag-0", "1"));
        assert_eq!((fact(error, "position"), fact(error, "event_id")), ("20", &*id(2)));
        assert_eq!((fact(error, "projection"), fact(error, "key")), ("p", key));
        assert!(fact(error, "problem").contains(problem), "{error}");
    };
    let no_id = "not the id of an event";
    for (by, problem) in [("\"x\"", no_id), ("\"\"", no_id), ("7", "a int cannot"), ("[]", "list")]
    {
        let table = failed(by, false, false);
        check(&table.stopped.unwrap(), "rent", problem);
        assert_eq!((table.events, table.position), (0, 19));
        let table = failed(by, true, false);
        let (error, positions) = &table.parked["rent"];
        check(error, "rent", problem);
        assert_eq!((&positions[..], cells(&table)), (&[20][..], vec![("food", "true")]));
        // An event without a key always stops.
        let table = failed(by, true, true);
        check(&table.stopped.unwrap(), "", problem);
    }
    let hyphens = format!("\"{{{}}}\"", id(1));
    check(&failed(&hyphens, false, false).stopped.unwrap(), "rent", no_id);
}

#[test]
fn an_event_that_cannot_be_read() {
    let mut events = ledger(&["1"], &[tagged("rent", 1)]);
    events[0].data = Some(b"{\"amount\":1".to_vec());
    for flags in [0, 1] {
        events[0].flags = flags;
        let error = project(PURPOSES, &events, &[], usize::MAX).stopped.unwrap();
        assert_eq!((error.reason, fact(&error, "path")), ("PROJECTION_FAILED", "resolve.booked"));
        assert!(fact(&error, "problem").contains("cannot be read"), "{error}");
    }
    // One that another wrote is checked.
    events[0].data = Some(b"{\"amount\":1.0}".to_vec());
    events[0].flags = 0;
    assert_eq!(cells(&project(PURPOSES, &events, &[], usize::MAX)), [("rent", "1")]);
}

#[test]
fn a_page_that_was_not_resolved_is_a_mistake() {
    let events = ledger(&["1"], &[tagged("rent", 1)]);
    let rows = Rows::decode(columns(&events)).unwrap();
    let mut projecting = Projecting::new(parse(PURPOSES)).of_empty_table();
    let keys = projecting.keys(&rows, 0).unwrap();
    assert_eq!(projecting.fold(&rows, &keys).unwrap_err().reason, "BUG");
}

fn refused(document: &str, path: &str, problem: &str) -> CoreError {
    let fold = "fold: user\nhandlers: {Tagged: {a: event.a}}";
    let Err(error) = Projection::parse(document, Some(fold)) else { panic!("{document}") };
    assert_eq!((error.reason, fact(&error, "path")), ("INVALID_PROJECTION", path), "{error}");
    assert!(fact(&error, "problem").contains(problem), "{error} lacks `{problem}`");
    assert!(!fact(&error, "line").is_empty() && !fact(&error, "excerpt").is_empty());
    error
}

#[test]
fn refusals() {
    let with = |resolve: &str, right: &str| {
        format!(
            "projection: p\nresolve: {{{resolve}}}\nlet: {{x: \"1\"}}\n\
             handlers: {{Tagged: {{a: {right}}}}}\ncolumns: {{a: jsonb}}\n"
        )
    };
    assert!(Projection::parse(&with("of: event.of", "of"), None).is_ok());
    refused(&with("of: event.of", "x"), "resolve.of", "nothing reads `of`");
    refused(&with("of: event.", "of"), "resolve.of", "a name is missing");
    refused(&with("of: state.of", "of"), "resolve.of", "there is no variable `state`");
    refused(&with("of: event.of, by: of.id", "of"), "resolve.by", "there is no variable `of`");
    for kind in ["1", "true", "[event.of]", "'7' == event.of"] {
        refused(&with(&format!("of: \"{kind}\""), "of"), "resolve.of", "the id of an event is");
    }
    for kind in ["'x' + event.of", "null", "event.?of", "optional.none()", "event.a ? null : 'x'"] {
        let document = with(&format!("of: \"{kind}\""), "of");
        assert!(Projection::parse(&document, None).is_ok(), "{kind}");
    }
    for name in ["state", "event", "meta", "a b", "true", "''"] {
        let path = format!("resolve.{}", name.trim_matches('\''));
        refused(
            &with(&format!("{name}: event.of"), "1"),
            &path,
            "cannot be the name of a `resolve`",
        );
    }
    refused(&with("x: event.of", "x"), "let.x", "taken by `resolve`");
    let of_handler = "{let: {of: \"1\"}, b: of}";
    let document = format!(
        "projection: p\nresolve: {{of: event.of}}\nkey: of.id\nhandlers: {{Tagged: {of_handler}}}\n\
         columns: {{a: jsonb}}\n"
    );
    refused(&document, "let.of", "taken by `resolve`");
    // Rows are of the state.
    let document = with("of: event.of", "of").replace("a: jsonb", "a: {type: jsonb, value: of.id}");
    refused(&document, "columns.a", "there is no variable `of`");
    let lists = with("of: event.of", "of").replace("{of: event.of}", "[event.of]");
    refused(&lists, "resolve", "maps names to expressions");
}

#[test]
fn a_registered_fold_cannot_read_them() {
    let fold = "fold: user\nhandlers: {Tagged: {a: event.a}}";
    let named = "projection: p\nfold: user\nresolve: {of: event.of}\ncolumns: {a: jsonb}\n";
    let error = refused(named, "resolve.of", "nothing reads `of`");
    assert!(fact(&error, "hint").contains("a registered fold knows nothing"), "{error}");
    let keyed = format!("{named}key: of.id\n");
    assert!(Projection::parse(&keyed, Some(fold)).is_ok());
    let error = Projection::parse(named, Some("fold: user\nhandlers: {Tagged: {a: of}}"));
    assert_eq!(error.unwrap_err().reason, "INVALID_FOLD");
}

#[test]
fn as_many_names_as_allowed() {
    let with = |names: usize| {
        let said: Vec<_> = (0..names).map(|n| format!("n{n}: event.of")).collect();
        let read: Vec<_> = (0..names).map(|n| format!("n{n}")).collect();
        format!(
            "projection: p\nresolve: {{{}}}\nhandlers: {{Tagged: {{a: \"[{}]\"}}}}\n\
             columns: {{a: jsonb}}\n",
            said.join(", "),
            read.join(", ")
        )
    };
    let tag = ("Tagged", format!(r#"{{"of":"{}"}}"#, id(1)));
    let table = project(&with(PROJECTION_RESOLVED_MAX), &ledger(&["1"], &[tag]), &[], 1);
    let list = table.rows.values().next().unwrap().columns[0].as_deref().unwrap();
    assert_eq!(list.matches("amount").count(), PROJECTION_RESOLVED_MAX);
    refused(&with(PROJECTION_RESOLVED_MAX + 1), "resolve", "has at most 16 names");
}

#[test]
fn the_digest_and_what_may_take_its_place() {
    let with = |resolve: &str, key: &str, right: &str| {
        parse(&format!(
            "projection: p\nresolve: {{{resolve}}}\nkey: {key}\nhandlers: {{T: {{a: {right}}}}}\n\
             columns: {{a: jsonb}}\n"
        ))
    };
    let one = with("of: event.of, by: event.by", "event.k", "\"[of, by]\"");
    let same = with("by: event .by, of: \"event['of']\"", "event.k", "\"[of, by]\"");
    let other = with("of: event.of, by: event.?by", "event.k", "\"[of, by]\"");
    // The order and the layout do not count, the expressions do.
    let spelled = with("by: event .by, of: event.of", "event.k", "\"[of, by]\"");
    assert_eq!(one.digest(), spelled.digest());
    assert_ne!(one.digest(), other.digest());
    assert_ne!(one.digest(), same.digest());
    assert!(one.compatible_with(&other));
    let keyed = |of: &str| with(of, "of.id", "by");
    let first = keyed("of: event.of, by: event.by");
    assert!(first.compatible_with(&keyed("of: event.of, by: event.?by")));
    assert!(!first.compatible_with(&keyed("of: event.?of, by: event.by")));
    let plain = Arc::new(Projection::parse(
        "projection: p\nhandlers: {T: {a: event.a}}\ncolumns: {a: jsonb}\n",
        None,
    ));
    assert!(!plain.as_ref().as_ref().unwrap().resolves() && one.resolves());
}
