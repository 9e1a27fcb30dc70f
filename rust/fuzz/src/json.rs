//! JSON of events: the strict check, and the scans that trust it.

use eventfold_core::json::check::{Checker, check_object};
use eventfold_core::json::scan::{scan_fields, scan_value};
use eventfold_core::json::write::write_value;
use eventfold_core::value::Value;

use super::reference::{Document, Json, same};

/// The strict check accepts exactly what other code reads, and sees the same escapes in keys.
pub fn event_json(data: &[u8]) {
    let found = check_object(data);
    let reference = Document::read(data);
    match (&found, &reference) {
        (Ok(checked), Some(document)) => {
            assert_eq!(checked.escaped_keys, document.escaped_keys);
        }
        (Err(refusal), None) => {
            assert!(refusal.offset <= data.len());
            let error = refusal.into_error("data");
            assert!(matches!(error.reason, "INVALID_JSON" | "JSON_TOO_DEEP"));
        }
        _ => panic!("{found:?}, but the reference says {}", reference.is_some()),
    }
    // Memory that the checker keeps from one text says nothing about the next.
    let mut checker = Checker::default();
    let _ = checker.check(data);
    let _ = checker.check(br#"{"a":{"\u0061":1},"b":[{"#);
    assert_eq!(checker.check(data), found);
}

/// On what passed the check, the scans read what other code reads; on the rest they do no harm.
pub fn scan_vs_strict(data: &[u8]) {
    let checked = check_object(data);
    let whole = scan_value(data);
    let Ok(checked) = checked else {
        for escaped_keys in [false, true] {
            let mut out = [const { None }; 4];
            let _ = scan_fields(data, &["a", "b", "", "\u{e9}\n"], escaped_keys, &mut out);
        }
        return;
    };
    let document = Document::read(data).expect("the reference reads what was checked");
    let whole = whole.expect("the scan reads what was checked");
    assert!(same(&whole, &document.root));

    let mut text = Vec::new();
    write_value(&whole, &mut text).expect("JSON can be written");
    assert!(same(&scan_value(&text).expect("what was written is JSON"), &document.root));

    let Json::Map(members) = &document.root else { return };
    let mut wanted: Vec<&str> =
        members.iter().map(|(name, _)| &**name).step_by(2).take(9).collect();
    if !wanted.contains(&"absent") {
        wanted.insert(wanted.len() / 2, "absent");
    }
    wanted.reverse();
    fields(data, &wanted, checked.escaped_keys, members);
    fields(data, &wanted[..1], checked.escaped_keys, members);
    if !checked.escaped_keys {
        fields(data, &wanted, true, members);
    }
}

fn fields(data: &[u8], wanted: &[&str], escaped_keys: bool, members: &[(String, Json)]) {
    let mut out: Vec<Option<Value>> = vec![None; wanted.len()];
    scan_fields(data, wanted, escaped_keys, &mut out).expect("the scan reads what was checked");
    for (name, value) in wanted.iter().zip(out) {
        let expected = members.iter().find(|(known, _)| known == name);
        match (value, expected) {
            (Some(value), Some((_, json))) => assert!(same(&value, json), "{name}"),
            (None, None) => {}
            (value, _) => panic!("{name} was read as {value:?}"),
        }
    }
}
