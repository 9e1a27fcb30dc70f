//! Mapping documents, and what they make of events.

use eventfold_core::envelope::{FLAG_ESCAPED_KEYS, FLAG_MAPPED, FLAG_VALIDATED_V1};
use eventfold_core::error::CoreError;
use eventfold_core::json::check::check_object;
use eventfold_core::mapping::{Mapper, Mapping};
use eventfold_core::rows::{Row, Tags};

use super::choices::Choices;

const EVENTS: [&str; 4] = [
    r#"{"a":1,"b":{"c":[2.50], "d":{}},"e":"x"}"#,
    r#"{ "b" : null , "\u0061" : {"c":"\"b\\"} }"#,
    r#"{"e":-1.50,"c":[],"d":true}"#,
    "{ }",
];
const DOCUMENTS: [&str; 5] = [
    "mapping: A\nrenames: {a: b, c.d: e.f, g: h.i}",
    "mapping: A\ndefaults: {a.b.c: {d: [1.50]}, \"['q\\\"']\": null, e: x}",
    "mapping: A\nrenames: {a: b.c}\ndefaults: {a: 0, b.c.d: 1, b.e: 2}",
    "mapping: A\ncomputed: {a: event.?b, b.c: optional.none(), d.e: event.a}",
    "mapping: A\nrenames: {a: b, c: d}\ndefaults: {e: 5}\ncomputed: {f: \"event.e + 1\", g: event}",
];

/// A document compiles or says where it is wrong; the same text has the same digest, and what it
/// makes of events is sound.
pub fn mapping_document(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let mapping = match Mapping::parse(source) {
        Ok(mapping) => mapping,
        Err(error) => {
            let fact = |name| error.facts.iter().any(|(known, _)| *known == name);
            let placed = fact("line") && fact("column");
            assert!(placed || error.reason == "MAPPING_TOO_LARGE", "{error}");
            return;
        }
    };
    assert!(mapping.digest().len() == 64 && !mapping.event_type().is_empty());
    let again = Mapping::parse(source).expect("it compiled before");
    assert_eq!(again.digest(), mapping.digest());
    for event in EVENTS {
        sound(&mapping, event.as_bytes());
    }
}

/// Whatever the bytes of an event are, a mapping gives JSON of the same strictness, or an error.
pub fn mapping_apply(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mapping = Mapping::parse(choices.of(&DOCUMENTS)).expect("the document compiles");
    sound(&mapping, choices.take(usize::MAX));
}

fn sound(mapping: &Mapping, data: &[u8]) {
    // Bytes that are wrongly said to be valid may give anything but a panic.
    let trusted = apply(mapping, data, FLAG_VALIDATED_V1 | FLAG_ESCAPED_KEYS);
    let checked = apply(mapping, data, 0);
    let Ok(found) = check_object(data) else {
        assert_eq!(checked.expect_err("it is not valid").reason, "EVENT_CORRUPT");
        return;
    };
    let texts = |result: &Result<Option<(i32, Vec<u8>)>, CoreError>| match result {
        Ok(mapped) => Ok(mapped.as_ref().map(|(_, text)| text.clone())),
        Err(error) => Err(error.clone()),
    };
    assert_eq!(texts(&trusted), texts(&checked));
    match checked {
        Ok(None) => {}
        Ok(Some((flags, text))) => {
            assert!(text != data && flags & FLAG_MAPPED != 0);
            let escaped = check_object(&text).expect("what is mapped is valid").escaped_keys;
            assert!(flags & FLAG_ESCAPED_KEYS != 0 || !escaped && !found.escaped_keys);
        }
        Err(error) => assert_eq!(error.reason, "MAPPING_FAILED", "{error}"),
    }
}

fn apply(mapping: &Mapping, data: &[u8], flags: i32) -> Result<Option<(i32, Vec<u8>)>, CoreError> {
    let row = Row {
        stream: None,
        version: 1,
        position: 1,
        event_id: &[0; 16],
        event_type: mapping.event_type(),
        data,
        metadata: b"{}",
        tags: Tags::none(),
        recorded_us: 0,
        occurred_us: 0,
        writer: "me",
        flags,
        copied_from: None,
        cancels: None,
        trace_context: None,
        deleted: false,
    };
    let mut out = Vec::new();
    let flags = mapping.apply(&row, "a-1", &mut Mapper::default(), &mut out)?;
    Ok(flags.map(|flags| (flags, out)))
}
