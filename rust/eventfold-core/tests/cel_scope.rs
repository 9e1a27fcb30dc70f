//! Goal: expressions read only the fields that they name, and JSON goes in and out unchanged.
//! Method: slots of an environment, scans of wanted fields, and texts there and back.

use std::cell::RefCell;
use std::sync::Arc;

use eventfold_core::cel::{Budget, Env, EvalError, Program, Scope, StaticType, compile, parse};
use eventfold_core::json::scan::{scan_fields, scan_value};
use eventfold_core::json::write::{to_json_value, write_value};
use eventfold_core::value::{List, Map, Value};

fn compiled(env: &mut Env, source: &str) -> Program {
    compile(&parse(source).expect(source), env).expect(source)
}

#[test]
fn fields_of_variables_are_slots() {
    let mut env = Env::new();
    let event = env.declare("event");
    let state = env.declare("state");
    let first =
        compiled(&mut env, "state.total + event.amount + event['amount'] + event.?tip.orValue(0)");
    let second = compiled(&mut env, "has(event.note) ? event.note : state.lines[0].text");
    let third = compiled(&mut env, "event.map(event, event.x)");
    let fourth = compiled(&mut env, "state == null || size(state['lines']) > 0");
    let slots: Vec<_> = env.slots().iter().map(|(variable, name)| (*variable, &name[..])).collect();
    assert_eq!(
        slots,
        [(state, "total"), (event, "amount"), (event, "tip"), (event, "note"), (state, "lines")]
    );
    assert_eq!(first.slots(), [0, 1, 2]);
    assert_eq!(second.slots(), [3, 4]);
    assert!(!first.uses_variable(event) && !first.uses_variable(state));
    assert!(third.uses_variable(event) && third.slots().is_empty());
    assert!(fourth.uses_variable(state) && !fourth.uses_variable(event));
}

/// A scope that answers from a list and notes what was asked.
struct Recorder {
    fields: Vec<Option<Value>>,
    asked: RefCell<Vec<usize>>,
}

impl Scope for Recorder {
    fn variable(&self, _index: usize) -> Result<Value, EvalError> {
        Err(EvalError::failed("no whole variables here"))
    }

    fn field(&self, slot: usize) -> Result<Option<Value>, EvalError> {
        self.asked.borrow_mut().push(slot);
        Ok(self.fields[slot].clone())
    }
}

#[test]
fn only_what_is_needed_is_asked_for() {
    let mut env = Env::new();
    env.declare("event");
    env.declare_whole("half", StaticType::Dyn);
    let program = compiled(&mut env, "has(event.a) ? event.b : event.c");
    let scope = Recorder {
        fields: vec![None, Some(Value::Int(1)), Some(Value::Int(2))],
        asked: RefCell::default(),
    };
    let value = program.eval(&scope, &mut Budget::default()).expect("a value");
    assert!(matches!(value, Value::Int(2)));
    assert_eq!(*scope.asked.borrow(), [0, 2]);
    let absent = compiled(&mut env, "event.a + 1");
    let error = absent.eval(&scope, &mut Budget::default()).expect_err("absent");
    assert_eq!((error.offset, &error.message[..]), (Some(0), "there is no field `a`"));
    let whole = compiled(&mut env, "half.x");
    assert!(whole.slots().is_empty() && whole.uses_variable(1));
}

#[test]
fn wanted_fields_are_found_in_one_pass() {
    let text = br#" { "skip" : [1, {"a": "}]\""}, "x"], "a" :1.50,"b":{"a":2},
        "s": "\u00e9\n", "n":null, "\u0061b": true } "#;
    let mut out = vec![None; 5];
    scan_fields(text, &["b", "a", "missing", "s", "ab"], true, &mut out).expect("JSON");
    let shown: Vec<_> = out.iter().map(|value| value.as_ref().map(text_of)).collect();
    assert_eq!(
        shown,
        [
            Some("{\"a\":2}".to_owned()),
            Some("1.50".to_owned()),
            None,
            Some("\"é\\n\"".to_owned()),
            Some("true".to_owned())
        ]
    );
    let mut out = vec![None; 1];
    scan_fields(text, &["ab"], false, &mut out).expect("JSON");
    assert!(out[0].is_none());
    // What comes after the last wanted field is not looked at.
    scan_fields(br#"{"a":1, garbage"#, &["a"], false, &mut out).expect("found");
    assert!(matches!(out[0], Some(Value::Int(1))));
    scan_fields(b"{}", &["a"], false, &mut [None]).expect("empty");
    assert!(scan_fields(b"[]", &["a"], false, &mut [None]).is_err());
}

fn text_of(value: &Value) -> String {
    let mut out = Vec::new();
    write_value(value, &mut out).expect("JSON");
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn texts_come_back_byte_for_byte() {
    for text in [
        r#"{"b":1,"a":[true,false,null,-0,0,-5,9223372036854775807,9223372036854775808]}"#,
        r#"[1.10,1e2,1E+2,-0.0,0.1e-7,123456789012345678901234567890.123456789]"#,
        r#"{"":{"":[]},"é":"🐱","q":"\"\\\n\u0001"}"#,
        r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10}"#,
    ] {
        let value = scan_value(text.as_bytes()).expect(text);
        assert_eq!(text_of(&value), text);
        assert_eq!(text_of(&to_json_value(value).expect(text)), text);
    }
}

#[test]
fn bytes_that_are_not_json_do_no_harm() {
    for text in [
        "",
        "{",
        "[",
        "[1",
        "[1,",
        "\"",
        "\"\\",
        "\"\\u12",
        "\"\\ud800\"",
        "{\"a\"",
        "{\"a\":",
        "-",
        "tru",
        "nul",
        "1x",
        "{]",
        "[}",
        "\u{0}",
        "[1 2]",
        "{\"a\":1,}",
        "1e",
        "--1",
        "\"\\x\"",
    ] {
        let _ = scan_value(text.as_bytes());
        let _ = scan_fields(text.as_bytes(), &["a"], true, &mut [None]);
        let wrapped = format!("{{\"z\":{text}");
        let _ = scan_fields(wrapped.as_bytes(), &["a"], true, &mut [None]);
    }
    assert!(scan_value(b"\"\xff\"").is_err());
    assert!(scan_value(b"1 1").is_err());
}

#[test]
fn maps_keep_the_order_of_insertion() {
    let mut map = Map::new();
    for index in 0..20 {
        map.insert(format!("k{index}").as_str(), Value::Int(index));
    }
    map.insert("k3", Value::Null);
    map.shift_remove("k0");
    map.shift_remove("k12");
    map.modify("k5", |value| *value = Value::Bool(true));
    map.modify("new", |value| assert!(matches!(value, Value::Null)));
    let keys: Vec<_> = map.iter().filter_map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys.len(), map.len());
    assert_eq!((keys[0], keys[2], keys[11], keys[18]), ("k1", "k3", "k13", "new"));
    assert!(matches!(map.get("k3"), Some(Value::Null)));
    assert!(matches!(map.get("k5"), Some(Value::Bool(true))));
    assert!(map.get("k12").is_none());
}

#[test]
fn lists_share_what_they_have_in_common() {
    let mut list = List::default();
    let mut versions = Vec::new();
    for index in 0..1_000 {
        versions.push(list.clone());
        list.push(Value::Int(index));
    }
    let both = versions[300].clone().concat(&versions[130]);
    assert_eq!((both.len(), versions[300].len(), list.len()), (430, 300, 1_000));
    for (place, item) in both.iter().enumerate() {
        let expected = if place < 300 { place } else { place - 300 } as i64;
        assert!(matches!(item, Value::Int(value) if *value == expected));
        assert!(matches!(both.get(place), Some(Value::Int(value)) if *value == expected));
    }
    assert!(both.get(430).is_none());
    list.modify(70, |item| *item = Value::Null);
    assert!(matches!(list.get(70), Some(Value::Null)));
    assert!(matches!(versions[999].get(70), Some(Value::Int(70))));
    assert!(list.modify(1_000, |_| ()).is_none());
    assert!(matches!(list.remove(70), Some(Value::Null)));
    assert_eq!(list.len(), 999);
}

#[test]
fn what_is_json_is_known_without_a_walk() {
    let json = scan_value(br#"{"a":[1,{"b":1.5}]}"#).expect("JSON");
    assert!(json.is_json());
    let foreign = Value::list(vec![json, Value::Bytes(Arc::from(*b"x"))]);
    assert!(!foreign.is_json());
    let converted = to_json_value(foreign).expect("JSON");
    assert!(converted.is_json());
    assert_eq!(text_of(&converted), r#"[{"a":[1,{"b":1.5}]},"eA=="]"#);
    let long: List = (0..200).map(Value::Int).collect();
    let mut long = long;
    long.push(Value::Uint(1));
    let converted = to_json_value(Value::List(long)).expect("JSON");
    assert!(converted.is_json());
    assert_eq!(converted.as_list().map(List::len), Some(201));
}

#[test]
fn values_are_small() {
    assert_eq!(std::mem::size_of::<Value>(), 24);
}

#[test]
fn fields_are_found_wherever_blocks_of_the_text_end() {
    // A string of every length before the wanted field moves it, and everything special before
    // it, over all places of a block.
    for length in 0..200 {
        for special in ["", "\\\"", "\\\\", "\\u0041", "{[", "ü"] {
            let nested = format!(r#"[{{"\\":"]\"}}{special}"}},[],-0.5]"#);
            let text = format!(
                r#"{{"s":"{}{special}","nested":{nested},"n": {length} ,"t":1}}"#,
                "x".repeat(length)
            );
            let mut out = vec![None; 2];
            scan_fields(text.as_bytes(), &["n", "s"], false, &mut out).expect(&text);
            let expected = serde_json::from_str::<serde_json::Value>(&text).expect(&text);
            assert!(matches!(out[0], Some(Value::Int(found)) if found == length as i64), "{text}");
            assert_eq!(out[1].as_ref().and_then(Value::as_str), expected["s"].as_str());
            // A text that ends early has no such field, and does no harm.
            for end in (0..text.len()).step_by(7).filter(|end| *end < text.len() - 12) {
                let cut = scan_fields(&text.as_bytes()[..end], &["t"], false, &mut [None]);
                assert!(cut.is_err(), "{text} up to {end}");
            }
        }
    }
}
