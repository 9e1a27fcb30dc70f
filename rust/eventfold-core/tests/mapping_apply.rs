//! Mappings on single events: what becomes of the bytes, and what fails.

mod common;

use common::{Event, columns};
use eventfold_core::envelope::{FLAG_ABSENT, FLAG_ESCAPED_KEYS, FLAG_MAPPED, FLAG_VALIDATED_V1};
use eventfold_core::error::CoreError;
use eventfold_core::mapping::{Mapper, Mapping};
use eventfold_core::rows::{Page, Rows};

fn parse(source: &str) -> Mapping {
    Mapping::parse(source).unwrap_or_else(|error| panic!("{source}\n{error} {:?}", error.facts))
}

/// The flags and data of an event as it is read; `None`: as it is stored.
fn apply_to(mapping: &Mapping, event: Event) -> Result<Option<(i32, String)>, CoreError> {
    let rows = Rows::decode(columns(&[event])).unwrap();
    let row = rows.row(0).unwrap();
    // What stood there before stays, whatever comes of the event.
    let mut out = b"before".to_vec();
    let flags = mapping.apply(&row, "user-1", &mut Mapper::default(), &mut out);
    let added = out.strip_prefix(b"before").unwrap();
    assert!(matches!(flags, Ok(Some(_))) || added.is_empty());
    Ok(flags?.map(|flags| (flags, String::from_utf8(added.to_vec()).unwrap())))
}

fn apply(source: &str, data: &str) -> Option<String> {
    let mapping = parse(&format!("mapping: A\n{source}"));
    let mapped = apply_to(&mapping, Event::new(1, "A", data)).unwrap_or_else(|error| {
        panic!("{source} on {data}: {error}");
    });
    mapped.map(|(flags, data)| {
        assert_eq!(flags & !FLAG_ESCAPED_KEYS, FLAG_VALIDATED_V1 | FLAG_MAPPED);
        data
    })
}

fn mapped(source: &str, data: &str) -> String {
    apply(source, data).unwrap_or_else(|| panic!("{source} leaves {data} as it is"))
}

fn fails(source: &str, data: &str) -> CoreError {
    let mapping = parse(&format!("mapping: A\n{source}"));
    let error = apply_to(&mapping, Event::new(3, "A", data)).unwrap_err();
    assert_eq!(error.reason, "MAPPING_FAILED", "{error}");
    error
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

#[test]
fn a_rename_keeps_bytes_and_place() {
    let rename = "renames: {mail: email}";
    assert_eq!(mapped(rename, r#"{"mail":"a"}"#), r#"{"email":"a"}"#);
    assert_eq!(
        mapped(rename, "{ \"x\" : 1.50 ,\t\"mail\"\n: {\"a\": [1e2, \"\\u00e9\"]} , \"y\":2}"),
        "{ \"x\" : 1.50 ,\t\"email\"\n: {\"a\": [1e2, \"\\u00e9\"]} , \"y\":2}"
    );
    assert_eq!(mapped(rename, r#"{"m\u0061il":null}"#), r#"{"email":null}"#);
    // The source is missing, or the target is there.
    for data in ["{}", r#"{"x":{"mail":1}}"#, r#"{"mail":1,"email":null}"#] {
        assert_eq!(apply(rename, data), None);
    }
}

#[test]
fn a_rename_moves_between_objects() {
    let inside = "renames: {plz: address.zip}";
    assert_eq!(
        mapped(inside, r#"{"plz": "01" , "address": {"city": "B" } }"#),
        r#"{"address": {"city": "B","zip":"01" } }"#
    );
    assert_eq!(mapped(inside, r#"{"a":1, "plz":"01"}"#), r#"{"a":1,"address":{"zip":"01"}}"#);
    assert_eq!(mapped(inside, r#"{"plz":"01"}"#), r#"{"address":{"zip":"01"}}"#);
    assert_eq!(mapped(inside, r#"{"address":{},"plz":1}"#), r#"{"address":{"zip":1}}"#);
    let outside = "renames: {address.plz: zip}";
    assert_eq!(mapped(outside, r#"{"address":{"plz":1}}"#), r#"{"address":{},"zip":1}"#);
    // There is no such source: that is no failure.
    for data in [r#"{"address":null}"#, r#"{"address":[1]}"#, "{}"] {
        assert_eq!(apply(outside, data), None);
    }
    let error = fails(inside, r#"{"plz":"secret","address":"secret"}"#);
    assert_eq!(fact(&error, "path"), "renames.plz");
    assert_eq!(fact(&error, "problem"), "`address` is there, and is no object");
    assert_eq!((fact(&error, "type"), fact(&error, "stream")), ("A", "user-1"));
    assert_eq!((fact(&error, "version"), fact(&error, "position")), ("3", "103"));
    assert_eq!(fact(&error, "event_id"), "00000000-0000-0000-0000-000000000003");
    assert!(!format!("{error:?}").contains("secret"));
}

#[test]
fn members_leave_with_one_comma() {
    let all = "renames: {a: n.a, b: n.b, d: n.d}";
    for (data, expected) in [
        (r#"{"a":1,"b":2,"c":3,"d":4}"#, r#"{"c":3,"n":{"a":1,"b":2,"d":4}}"#),
        (r#"{ "a":1 , "b":2 , "c":3 , "d":4 }"#, r#"{ "c":3,"n":{"a":1,"b":2,"d":4} }"#),
        (r#"{ "c":3 , "b":2 , "a":1 }"#, r#"{ "c":3,"n":{"a":1,"b":2} }"#),
        (r#"{ "a":1 , "b":2 , "d":4 }"#, r#"{ "n":{"a":1,"b":2,"d":4} }"#),
        (r#"{ "b":2 , "c":3 , "a":1 , "e":5}"#, r#"{ "c":3 , "e":5,"n":{"a":1,"b":2}}"#),
        (r#"{"n":{},"d":4}"#, r#"{"n":{"d":4}}"#),
    ] {
        assert_eq!(mapped(all, data), expected, "{data}");
    }
}

#[test]
fn a_default_stands_where_nothing_is() {
    let defaults = "defaults: {country: CH, address.city: null, address.zip: 1.50}";
    assert_eq!(mapped(defaults, "{ }"), r#"{"address":{"city":null,"zip":1.50},"country":"CH" }"#);
    assert_eq!(
        mapped(defaults, r#"{"country":null, "address":{"city":"B" }}"#),
        r#"{"country":null, "address":{"city":"B","zip":1.50 }}"#
    );
    assert_eq!(apply(defaults, r#"{"country":1,"address":{"city":2,"zip":3}}"#), None);
    let error = fails(defaults, r#"{"address":null}"#);
    assert_eq!(fact(&error, "path"), "defaults.address.city");
    // An object is one default; its keys stand as they were written.
    assert_eq!(mapped("defaults: {a: {z: 1, b: [x]}}", "{}"), r#"{"a":{"z":1,"b":["x"]}}"#);
}

#[test]
fn keys_may_have_any_characters() {
    let source = r#"renames: {"['a.b']": "['q\"\\\\']"}"#;
    let mapping = parse(&format!("mapping: A\n{source}"));
    let event = Event::new(1, "A", r#"{"a.b":1}"#);
    let (flags, data) = apply_to(&mapping, event).unwrap().unwrap();
    assert_eq!(data, r#"{"q\"\\":1}"#);
    assert_eq!(flags, FLAG_VALIDATED_V1 | FLAG_MAPPED | FLAG_ESCAPED_KEYS);
    assert_eq!(mapped(r#"renames: {"['é']": "['ü']"}"#, r#"{"\u00E9":1}"#), r#"{"ü":1}"#);
}

#[test]
fn computed_values_see_renames_and_defaults() {
    let source = "renames: {first: name.first}\ndefaults: {name.last: X}\n\
                  computed: {full: \"event.name.first + ' ' + event.name.last\"}";
    assert_eq!(
        mapped(source, r#"{"first":"A"}"#),
        r#"{"name":{"first":"A","last":"X"},"full":"A X"}"#
    );
    // They do not see each other, and take the place of what is there.
    assert_eq!(
        mapped("computed: {a: event.b, b: event.a}", r#"{"a":1,"b":2}"#),
        r#"{"a":2,"b":1}"#
    );
    assert_eq!(mapped("computed: {a: optional.none()}", r#"{"a":1, "b":2}"#), r#"{"b":2}"#);
    assert_eq!(mapped("computed: {a.b: event.?x}", r#"{"a":{"b":1}}"#), r#"{"a":{}}"#);
    assert_eq!(apply("computed: {a.b: optional.none()}", r#"{"a":7}"#), None);
    assert_eq!(apply("computed: {a: event.a}", r#"{"a":1.50}"#), None);
    assert_eq!(mapped("computed: {a: event.a}", r#"{"a":"\u0041"}"#), r#"{"a":"A"}"#);
    let error = fails("computed: {a: event.b}", "{}");
    assert_eq!(fact(&error, "path"), "computed.a");
    assert!(fact(&error, "problem").contains("there is no field `b`"));
}

#[test]
fn a_default_sees_what_renames_did() {
    let renamed = "renames: {mail: email}\ndefaults: {email: x}";
    assert_eq!(mapped(renamed, r#"{"mail":1}"#), r#"{"email":1}"#);
    assert_eq!(mapped(renamed, "{}"), r#"{"email":"x"}"#);
    let inside = "renames: {a: b}\ndefaults: {b.c: 1}";
    assert_eq!(mapped(inside, r#"{"a":{"c":2}}"#), r#"{"b":{"c":2}}"#);
    assert_eq!(mapped(inside, r#"{"a":{}}"#), r#"{"b":{"c":1}}"#);
    assert_eq!(
        mapped("renames: {a: b}\ndefaults: {a.c: 1}", r#"{"a":{"c":2}}"#),
        r#"{"b":{"c":2},"a":{"c":1}}"#
    );
    let around = "renames: {a: b.c}\ndefaults: {b: 1}";
    assert_eq!(mapped(around, r#"{"a":2}"#), r#"{"b":{"c":2}}"#);
    assert_eq!(mapped(around, "{}"), r#"{"b":1}"#);
}

#[test]
fn what_is_as_before_is_not_marked() {
    let there_and_back = "renames: {a: b}\ncomputed: {a: event.b, b: optional.none()}";
    assert_eq!(apply(there_and_back, r#"{"a":1}"#), None);
}

#[test]
fn limits_of_what_comes_out() {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(63), "]".repeat(63));
    assert!(mapped("renames: {a: b}", &deep).starts_with(r#"{"b":[["#));
    let error = fails("renames: {a: b.c}", &deep);
    assert_eq!((fact(&error, "path"), fact(&error, "limit")), ("renames.a", "64"));
    assert_eq!(fact(&fails("computed: {b.c: event.a}", &deep), "limit"), "64");

    let room = 1024 * 1024 - r#"{"a":"","b":0}"#.len();
    let data = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes));
    assert_eq!(mapped("defaults: {b: 0}", &data(room)).len(), 1024 * 1024);
    let error = fails("defaults: {b: 0}", &data(room + 1));
    assert_eq!(fact(&error, "limit"), "1048576");
}

#[test]
fn deleted_and_foreign_events() {
    let mapping = parse("mapping: A\ndefaults: {b: 0}");
    let deleted = Event { data: None, deleted: true, ..Event::new(1, "A", "") };
    assert_eq!(apply_to(&mapping, deleted).unwrap(), None);
    // What others wrote is checked, and stays marked as not checked.
    let foreign = |data: &str| Event { flags: 0, ..Event::new(1, "A", data) };
    let (flags, data) = apply_to(&mapping, foreign(r#"{"\u0061":1}"#)).unwrap().unwrap();
    assert_eq!((flags, &*data), (FLAG_MAPPED | FLAG_ESCAPED_KEYS, r#"{"\u0061":1,"b":0}"#));
    for bad in ["[]", r#"{"a":1,"a":2}"#, "{\"a\":\"\u{0}\"}", ""] {
        let error = apply_to(&mapping, foreign(bad)).unwrap_err();
        assert_eq!(error.reason, "EVENT_CORRUPT", "{bad}");
    }
}

/// Renames move absent values, out of what is absent as a whole too; defaults are not for them, and
/// what is computed of them is absent. Into what is absent nothing is put.
#[test]
fn absent_values_are_mapped() {
    let flags = FLAG_VALIDATED_V1 | FLAG_ABSENT;
    let absent = |source: &str, data: &str| {
        let mapping = parse(&format!("mapping: A\n{source}"));
        let event = Event { flags, ..Event::new(1, "A", data) };
        let mapped = apply_to(&mapping, event).unwrap();
        mapped.map(|(mapped, data)| {
            assert_eq!(mapped & !FLAG_ESCAPED_KEYS, flags | FLAG_MAPPED);
            data
        })
    };
    for (source, data, expected) in [
        ("renames: {a: b}", r#"{"a":erased}"#, Some(r#"{"b":erased}"#)),
        ("renames: {a: b.c}", r#"{"a":withheld,"x":1}"#, Some(r#"{"x":1,"b":{"c":withheld}}"#)),
        ("renames: {a.b: c}", r#"{"a": erased }"#, Some(r#"{"a": erased,"c":erased }"#)),
        ("renames: {a.b.c: d}", r#"{"a":{"b":erased}}"#, Some(r#"{"a":{"b":erased},"d":erased}"#)),
        ("renames: {a.b: a.c}", r#"{"a":erased}"#, None),
        ("renames: {a: b.c}", r#"{"a":1,"b":erased}"#, None),
        ("defaults: {a: 1}", r#"{"a":erased}"#, None),
        ("defaults: {a.b: 1}", r#"{"a":erased}"#, None),
        ("computed: {b: event.a + 1}", r#"{"a":erased}"#, Some(r#"{"a":erased,"b":erased}"#)),
        ("computed: {a.b: \"1\"}", r#"{"a":erased}"#, None),
        ("computed: {b: size(event.a)}", r#"{"a":erased}"#, Some(r#"{"a":erased,"b":0}"#)),
    ] {
        assert_eq!(absent(source, data).as_deref(), expected, "{source} on {data}");
    }
}
