//! Values of columns: each type at its edges. What does not fit exactly fails, and names its place.

mod common;

use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::error::CoreError;
use eventfold_core::limits::{
    PROJECTION_INDEX_BYTES_MAX, PROJECTION_NUMBER_CHARS_MAX, PROJECTION_ROW_BYTES_MAX,
};
use eventfold_core::projection::{Projecting, Projection};
use eventfold_core::rows::Rows;

/// What a document makes of one event with that data: the texts of the columns.
fn project(document: &str, data: &str) -> Result<Vec<Option<String>>, CoreError> {
    let projection = Projection::parse(document, None)
        .unwrap_or_else(|error| panic!("{document}\n{error} {:?}", error.facts));
    let mut event = Event::new(1, "E", data);
    event.stream = Some("a-1".to_owned());
    let rows = Rows::decode(columns(&[event])).unwrap();
    let mut projecting = Projecting::new(Arc::new(projection)).of_empty_table();
    let keys = projecting.keys(&rows, 0).unwrap();
    let mut changes = projecting.fold(&rows, &keys).unwrap();
    match changes.stopped {
        None => Ok(changes.upserts.remove(0).columns),
        Some(error) => Err(error),
    }
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// A document with one column of that type, and the expression over the state `s`, the event.
fn document(kind: &str, value: &str) -> String {
    format!(
        "projection: p\nhandlers: {{E: {{s: event}}}}\n\
         columns:\n  c:\n    type: {kind}\n    value: {}\n",
        format_args!("'{}'", value.replace('\'', "''"))
    )
}

fn value(kind: &str, value: &str, data: &str) -> Result<Option<String>, CoreError> {
    project(&document(kind, value), data).map(|mut columns| columns.remove(0))
}

/// The text that an event's `v` becomes in a column.
fn held(kind: &str, json: &str) -> Option<String> {
    value(kind, "state.s.v", &format!("{{\"v\":{json}}}"))
        .unwrap_or_else(|error| panic!("{kind} {json}: {error}"))
}

fn refused(kind: &str, json: &str, problem: &str) {
    let error = match value(kind, "state.s.v", &format!("{{\"v\":{json}}}")) {
        Ok(held) => panic!("{kind} holds {json} as {held:?}"),
        Err(error) => error,
    };
    assert_eq!((error.reason, fact(&error, "path")), ("PROJECTION_FAILED", "columns.c"));
    assert!(fact(&error, "problem").contains(problem), "{error} lacks `{problem}`");
}

#[test]
fn nothing_is_null() {
    let kinds = [
        "text",
        "boolean",
        "integer",
        "bigint",
        "numeric",
        "numeric(5,2)",
        "double precision",
        "date",
        "timestamptz",
        "uuid",
        "jsonb",
        "text[]",
    ];
    for kind in kinds {
        assert_eq!(held(kind, "null"), None);
        assert_eq!(value(kind, "optional.none()", "{}"), Ok(None));
        assert_eq!(value(kind, "state.s.?v", "{}"), Ok(None));
        assert_eq!(value(kind, "optional.of(null)", "{}"), Ok(None));
    }
    assert_eq!(value("bigint", "state.s.?v", "{\"v\":5}"), Ok(Some("5".to_owned())));
}

#[test]
fn texts() {
    for json in ["", "a'b", "\u{10ffff}", "NULL", "  "] {
        assert_eq!(held("text", &format!("\"{json}\"")), Some(json.to_owned()));
    }
    assert_eq!(held("text", r#""\u0001\"""#), Some("\u{1}\"".to_owned()));
    refused("text", "1", "a int does not fit the type text");
    let error = value("text", r"'a\x00b'", "{}").unwrap_err();
    assert!(fact(&error, "problem").contains("NUL"), "{error}");
}

#[test]
fn truth() {
    assert_eq!(held("boolean", "true"), Some("true".to_owned()));
    assert_eq!(held("boolean", "false"), Some("false".to_owned()));
    refused("boolean", "0", "does not fit");
    refused("boolean", "\"true\"", "does not fit");
}

#[test]
fn whole_numbers() {
    for (kind, low, high) in [
        ("integer", "-2147483648", "2147483647"),
        ("bigint", "-9223372036854775808", "9223372036854775807"),
    ] {
        for number in [low, high, "0"] {
            assert_eq!(held(kind, number), Some(number.to_owned()));
        }
        assert_eq!(held(kind, "2.0"), Some("2".to_owned()));
        assert_eq!(held(kind, "1e3"), Some("1000".to_owned()));
        assert_eq!(held(kind, "-0.0"), Some("0".to_owned()));
        refused(kind, "1.5", "fraction");
        refused(kind, "1e-400", "fraction");
        refused(kind, "1e30", "out of the range");
        refused(kind, "\"1\"", "a string does not fit");
        refused(kind, "true", "does not fit");
    }
    refused("integer", "2147483648", "out of the range");
    refused("integer", "-2147483649", "out of the range");
    refused("bigint", "9223372036854775808", "out of the range");
    assert_eq!(value("bigint", "uint(7)", "{}"), Ok(Some("7".to_owned())));
    assert_eq!(value("bigint", "4.0 / 2.0", "{}"), Ok(Some("2".to_owned())));
    assert!(value("bigint", "18446744073709551615u", "{}").is_err());
    assert!(value("bigint", "1.0 / 0.0", "{}").is_err());
}

#[test]
fn decimals() {
    for number in ["0", "1.10", "-0.001", "1e20", "123456789012345678901234567890.12", "-7"] {
        assert_eq!(held("numeric", number), Some(number.to_owned()));
    }
    assert_eq!(value("numeric", "0.1 + 0.2", "{}").unwrap().unwrap(), "0.30000000000000004");
    assert_eq!(value("numeric", "1.19", "{}").unwrap().unwrap(), "1.19");
    let digits = |count: usize| "1".repeat(count);
    assert!(held("numeric", &digits(PROJECTION_NUMBER_CHARS_MAX)).is_some());
    refused("numeric", &digits(PROJECTION_NUMBER_CHARS_MAX + 1), "more digits");
    assert!(held("numeric", "1e131071").is_some());
    refused("numeric", "1e131072", "more digits");
    assert!(held("numeric", "1e-16383").is_some());
    refused("numeric", "1e-16384", "more digits");
    refused("numeric", "1e99999999999999999999999", "more digits");
    refused("numeric", "\"1\"", "a string does not fit");

    for number in ["999.99", "-999.99", "0.010", "100e-1", "1.0000", "0"] {
        assert_eq!(held("numeric(5,2)", number), Some(number.to_owned()));
    }
    refused("numeric(5,2)", "1000", "3 digits before the point");
    refused("numeric(5,2)", "1e3", "3 digits before the point");
    refused("numeric(5,2)", "0.001", "2 digits behind the point");
    refused("numeric(2,2)", "1", "0 digits before the point");
    assert_eq!(held("numeric(2,2)", "0.99"), Some("0.99".to_owned()));
}

#[test]
fn doubles() {
    for (json, text) in [
        ("0.1", "0.1"),
        ("-0.0", "0.0"),
        ("1", "1.0"),
        ("9007199254740992", "9007199254740992.0"),
        ("1.7976931348623157e308", "1.7976931348623157e308"),
        ("5e-324", "5e-324"),
        ("1.50", "1.5"),
    ] {
        assert_eq!(held("double precision", json), Some(text.to_owned()));
    }
    for json in ["9007199254740993", "0.1234567890123456789", "1e400", "1e-400"] {
        refused("double precision", json, "exactly");
    }
    assert_eq!(
        value("double precision", "0.1 + 0.2", "{}").unwrap().unwrap(),
        "0.30000000000000004"
    );
    for not_finite in ["0.0 / 0.0", "1.0 / 0.0", "-1.0 / 0.0"] {
        let error = value("double precision", not_finite, "{}").unwrap_err();
        assert!(fact(&error, "problem").contains("NaN and infinities"), "{error}");
        assert!(value("numeric", not_finite, "{}").is_err());
    }
}

#[test]
fn dates_and_times() {
    for date in ["0001-01-01", "9999-12-31", "2000-02-29", "1970-01-01"] {
        assert_eq!(held("date", &format!("\"{date}\"")), Some(date.to_owned()));
        assert_eq!(held("date", &format!("\"{date}T00:00:00Z\"")), Some(date.to_owned()));
    }
    assert_eq!(held("date", "\"2000-01-01T02:00:00+02:00\""), Some("2000-01-01".to_owned()));
    assert_eq!(
        value("date", "timestamp('2000-01-01T00:00:00Z')", "{}"),
        Ok(Some("2000-01-01".to_owned()))
    );
    for bad in ["2001-02-29", "0000-01-01", "2000-1-01", "20000101", "2000-01-01 ", "today", ""] {
        refused("date", &format!("\"{bad}\""), "not a date");
    }
    refused("date", "\"2000-01-01T00:00:01Z\"", "midnight");
    refused("date", "\"2000-01-01T00:00:00.000000001Z\"", "midnight");
    refused("date", "\"2000-01-01T00:00:00+01:00\"", "midnight");
    refused("date", "20000101", "a int does not fit");

    for (json, text) in [
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2000-01-01T00:00:00.1+01:30", "1999-12-31T22:30:00.1Z"),
    ] {
        assert_eq!(held("timestamptz", &format!("\"{json}\"")), Some(text.to_owned()));
    }
    refused("timestamptz", "\"2000-01-01T00:00:00.0000001Z\"", "microseconds");
    refused("timestamptz", "\"2000-01-01\"", "not a time");
    refused("timestamptz", "\"2000-01-01T00:00:00\"", "not a time");
    refused("timestamptz", "\"2000-01-01T24:00:00Z\"", "not a time");
    refused("timestamptz", "0", "does not fit");
}

#[test]
fn uuids() {
    let uuid = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
    assert_eq!(held("uuid", &format!("\"{uuid}\"")), Some(uuid.to_owned()));
    assert_eq!(held("uuid", &format!("\"{}\"", uuid.to_uppercase())), Some(uuid.to_owned()));
    for bad in ["", &uuid[1..], "{f47ac10b-58cc-4372-a567-0e02b2c3d479}"] {
        refused("uuid", &format!("\"{bad}\""), "not a uuid");
    }
    refused("uuid", "1", "does not fit");
}

#[test]
fn json() {
    for json in [r#"{"b":1,"a":[null,true,1.50,"x"]}"#, "[]", "1e5", "\"x\"", "false"] {
        assert_eq!(held("jsonb", json), Some(json.to_owned()));
    }
    let computed = value("jsonb", "[timestamp('2000-01-01T00:00:00Z'), {1: 2u}]", "{}");
    assert_eq!(computed, Ok(Some(r#"["2000-01-01T00:00:00Z",{"1":2}]"#.to_owned())));
    refused("jsonb", "[1e131072]", "more digits");
    refused("jsonb", "{\"a\":1e-16384}", "more digits");
    for bad in ["[0.0 / 0.0]", "[optional.none()]", r"['a\x00']", r"{'a\x00': 1}"] {
        assert_eq!(value("jsonb", bad, "{}").unwrap_err().reason, "PROJECTION_FAILED", "{bad}");
    }
}

#[test]
fn lists_of_texts() {
    for (json, text) in [
        ("[]", "{}"),
        (r#"["a","NULL","","a b"]"#, r#"{"a","NULL","","a b"}"#),
        (r#"["a\"b","\\","{}","\\\"\\"]"#, r#"{"a\"b","\\","{}","\\\"\\"}"#),
    ] {
        assert_eq!(held("text[]", json), Some(text.to_owned()));
    }
    refused("text[]", "[1]", "an item is a int");
    refused("text[]", "[null]", "an item is a null_type");
    refused("text[]", "\"a\"", "does not fit");
    assert!(value("text[]", r"['a\x00']", "{}").is_err());
}

#[test]
fn rows_and_indexes_have_room_for_so_much() {
    let rows = "projection: p\nhandlers: {E: {s: event.s}}\n\
                columns: {a: {type: text, value: state.s}, b: {type: text, value: state.s}}\n";
    // Each text has its quotes.
    let half = PROJECTION_ROW_BYTES_MAX / 2 - 2;
    let data = |count: usize| format!("{{\"s\":\"{}\"}}", "x".repeat(count));
    assert!(project(rows, &data(half)).is_ok());
    let error = project(rows, &data(half + 1)).unwrap_err();
    let facts = (fact(&error, "path"), fact(&error, "limit"));
    assert_eq!(facts, ("columns.b", &*PROJECTION_ROW_BYTES_MAX.to_string()));
    // Numbers count as PostgreSQL writes them: 6 bytes become 131 KB.
    let numbers = format!("{{\"s\":[{}]}}", vec!["1e131071"; 30].join(","));
    let json = "projection: p\nhandlers: {E: {s: event.s}}\ncolumns: {s: jsonb}\n";
    assert_eq!(fact(&project(json, &numbers).unwrap_err(), "path"), "columns.s");
    // And texts as JSON escapes them.
    let escaped = format!("{{\"s\":\"{}\"}}", "\\u0001".repeat(PROJECTION_ROW_BYTES_MAX / 10));
    assert_eq!(fact(&project(rows, &escaped).unwrap_err(), "path"), "columns.b");

    let indexed = format!("{rows}indexes: [[a], [a, b]]\n");
    // A text takes four bytes more than it has.
    let half = PROJECTION_INDEX_BYTES_MAX / 2 - 4;
    assert!(project(&indexed, &data(half)).is_ok());
    let error = project(&indexed, &data(half + 1)).unwrap_err();
    let facts = (fact(&error, "path"), fact(&error, "limit"));
    assert_eq!(facts, ("columns.b", &*PROJECTION_INDEX_BYTES_MAX.to_string()));
}

#[test]
fn what_an_error_says() {
    let error = value("date", "state.s.v", "{\"v\":\"secret\"}").unwrap_err();
    let names: Vec<&str> = error.facts.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["projection", "path", "key", "stream", "version", "position", "event_id", "problem"]
    );
    let values: Vec<&str> = error.facts.iter().map(|(_, value)| &**value).take(6).collect();
    assert_eq!(values, ["p", "columns.c", "a-1", "a-1", "1", "101"]);
    assert!(!format!("{error:?}").contains("secret"));
    let error = value("bigint", "[1, 2, 3].map(a, state.s.v)[2]", "{}").unwrap_err();
    assert!(fact(&error, "problem").contains("at byte"), "{error}");
    let steps = "[1,2,3,4,5,6,7,8,9,9].map(a, [1,2,3,4,5,6,7,8,9,9].map(b, \
                 [1,2,3,4,5,6,7,8,9,9].map(c, [1,2,3,4,5,6,7,8,9,9].map(d, \
                 [1,2,3,4,5,6,7,8,9,9].map(e, [1,2,3,4,5,6,7,8,9,9].map(f, f + 1))))))";
    let error = value("jsonb", steps, "{}").unwrap_err();
    assert_eq!((error.reason, fact(&error, "limit")), ("PROJECTION_FAILED", "1000000"));
}
