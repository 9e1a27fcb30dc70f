//! The strict check of JSON texts: each rule by example, then against a reference built on
//! `serde_json` over random texts and random damage to them.

use std::collections::HashSet;
use std::fmt;

use eventfold_core::json::check::{Checked, Problem, check_object};
use eventfold_core::limits::JSON_DEPTH_MAX;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::de::Deserializer;

fn refusal(text: impl AsRef<[u8]>) -> (Problem, usize) {
    let refusal = check_object(text.as_ref()).expect_err("the text must be refused");
    (refusal.problem, refusal.offset)
}

fn accept(text: impl AsRef<[u8]>) -> Checked {
    check_object(text.as_ref()).expect("the text must pass")
}

#[test]
fn good_texts_pass() {
    for text in [
        "{}",
        " \t\r\n{ } \n",
        r#"{"a":1,"b":[true,false,null,-0.5e+10,"x"],"c":{"a":{}}}"#,
        r#"{"":0,"a":[[],[[]],{}]}"#,
        "{\"grüße\":\"\u{10FFFF}\u{7f}\"}",
        r#"{"a":"\"\\\/\b\f\n\r\t\u0001\uD83D\ude00"}"#,
        r#"{"n":123456789012345678901234567890.12345678901234567890e-400}"#,
    ] {
        assert!(!accept(text).escaped_keys, "{text}");
    }
}

#[test]
fn escaped_keys_are_reported() {
    assert!(accept(r#"{"\u0061":1}"#).escaped_keys);
    assert!(accept(r#"{"a":[{"b\n":1}]}"#).escaped_keys);
    assert!(!accept(r#"{"a":"\u0061"}"#).escaped_keys);
}

#[test]
fn grammar_is_strict() {
    for (text, offset) in [
        ("", 0),
        ("  ", 2),
        ("\u{feff}{}", 0),
        ("{", 1),
        ("}", 0),
        ("{}x", 2),
        ("{} {}", 3),
        (r#"{"a"}"#, 4),
        (r#"{"a":}"#, 5),
        (r#"{"a":1,}"#, 7),
        (r#"{"a":1 "b":2}"#, 7),
        (r#"{"a":[1,]}"#, 8),
        (r#"{"a":[,1]}"#, 6),
        (r#"{"a":[1}"#, 7),
        (r#"{"a":{]}"#, 6),
        (r#"{a:1}"#, 1),
        (r#"{'a':1}"#, 1),
        (r#"{"a":01}"#, 6),
        (r#"{"a":1.}"#, 7),
        (r#"{"a":.1}"#, 5),
        (r#"{"a":+1}"#, 5),
        (r#"{"a":-}"#, 6),
        (r#"{"a":1e}"#, 7),
        (r#"{"a":1e+}"#, 8),
        (r#"{"a":NaN}"#, 5),
        (r#"{"a":nul}"#, 8),
        (r#"{"a":True}"#, 5),
        (r#"{"a":"\x"}"#, 7),
        (r#"{"a":"\u12G4"}"#, 10),
        (r#"{"a":"\u12"#, 10),
        ("{\"a\":\"\n\"}", 6),
        ("{\"a\":\"\u{1f}\"}", 6),
        (r#"{"a":"x"#, 7),
        (r#"{"a":1}//"#, 7),
    ] {
        assert_eq!(refusal(text), (Problem::Syntax, offset), "{text}");
    }
}

#[test]
fn other_problems_have_their_names() {
    assert_eq!(refusal(b"{\"a\":\"\xff\"}"), (Problem::Utf8, 6));
    assert_eq!(refusal(b"{\"a\":\"\xed\xa0\x80\"}"), (Problem::Utf8, 6));
    assert_eq!(refusal(b"{\"\xc0\xaf\":1}"), (Problem::Utf8, 2));
    assert_eq!(refusal("{\"a\":\"b\0\"}"), (Problem::Nul, 7));
    assert_eq!(refusal("{}\0"), (Problem::Nul, 2));
    assert_eq!(refusal(r#"{"a":"\u0000"}"#), (Problem::Nul, 6));
    assert_eq!(refusal(r#"{"\u0000":1}"#), (Problem::Nul, 2));
    assert_eq!(refusal(r#"{"a":"\ud800"}"#), (Problem::LoneSurrogate, 6));
    assert_eq!(refusal(r#"{"a":"\ud800\n"}"#), (Problem::LoneSurrogate, 6));
    assert_eq!(refusal(r#"{"a":"\ud800\ud800"}"#), (Problem::LoneSurrogate, 6));
    assert_eq!(refusal(r#"{"a":"x\udc00"}"#), (Problem::LoneSurrogate, 7));
    for text in ["[]", "1", "\"a\"", "null", "true", "false", "-1"] {
        assert_eq!(refusal(text), (Problem::NotAnObject, 0), "{text}");
    }
}

#[test]
fn keys_are_compared_unescaped_and_per_object() {
    assert_eq!(refusal(r#"{"a":1,"a":2}"#), (Problem::DuplicateKey, 7));
    assert_eq!(refusal(r#"{"a":1,"\u0061":2}"#), (Problem::DuplicateKey, 7));
    assert_eq!(refusal(r#"{"x":[{"\n":1,"\u000A":2}]}"#), (Problem::DuplicateKey, 14));
    assert_eq!(refusal(r#"{"😀":1,"\uD83D\uDE00":2}"#), (Problem::DuplicateKey, 10));
    accept(r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#);
    accept(r#"{"a":1,"A":2}"#);
    // Many keys take another way; the first repetition in the text is named.
    let keys = |names: &[usize]| {
        let fields: Vec<_> = names.iter().map(|name| format!(r#""k{name}":0"#)).collect();
        format!("{{{}}}", fields.join(","))
    };
    let mut names: Vec<usize> = (10..60).collect();
    accept(keys(&names));
    names.insert(20, 15);
    names.push(11);
    assert_eq!(refusal(keys(&names)), (Problem::DuplicateKey, 1 + 20 * 8));
}

#[test]
fn depth_is_limited_exactly() {
    let objects =
        |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth - 1), "{}") + &"}".repeat(depth - 1);
    let arrays =
        |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    for text in [objects(JSON_DEPTH_MAX - 1), objects(JSON_DEPTH_MAX), arrays(JSON_DEPTH_MAX)] {
        accept(text);
    }
    let too_deep = (Problem::TooDeep, 5 * JSON_DEPTH_MAX);
    assert_eq!(refusal(objects(JSON_DEPTH_MAX + 1)), too_deep);
    assert_eq!(refusal(arrays(JSON_DEPTH_MAX + 1)).0, Problem::TooDeep);
    // A million levels cost no stack: the check ends at the limit.
    assert_eq!(refusal(format!(r#"{{"a":{}"#, "[".repeat(1_000_000))).0, Problem::TooDeep);
}

#[test]
fn errors_carry_the_facts_of_the_catalogue() {
    let error = check_object(br#"{"a":1,"a":2}"#).unwrap_err().into_error("data");
    assert_eq!(error.reason, "INVALID_JSON");
    let fact = |name, value: &str| (name, value.to_owned());
    let facts = vec![fact("field", "data"), fact("problem", "duplicate_key"), fact("offset", "7")];
    assert_eq!(error.facts, facts);
    let text = r#"{"a":"#.repeat(65);
    let error = check_object(text.as_bytes()).unwrap_err().into_error("metadata");
    assert_eq!(error.reason, "JSON_TOO_DEEP");
    assert_eq!(error.facts.last(), Some(&fact("limit", "64")));
}

/// What the reference finds in a value; the depth, or that it must be refused.
struct Reference(Option<usize>);

struct ReferenceVisitor;

impl<'de> serde_core::Deserialize<'de> for Reference {
    fn deserialize<D: serde_core::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(ReferenceVisitor)
    }
}

impl<'de> serde_core::de::Visitor<'de> for ReferenceVisitor {
    type Value = Reference;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Reference, E> {
        Ok(Reference(Some(0)))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Reference, E> {
        Ok(Reference(Some(0)))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Reference, E> {
        Ok(Reference(Some(0)))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Reference, E> {
        Ok(Reference(Some(0)))
    }
    fn visit_unit<E>(self) -> Result<Reference, E> {
        Ok(Reference(Some(0)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Reference, E> {
        Ok(Reference((!text.contains('\0')).then_some(0)))
    }
    fn visit_seq<A: serde_core::de::SeqAccess<'de>>(
        self,
        mut items: A,
    ) -> Result<Reference, A::Error> {
        let mut depth = Some(0);
        while let Some(Reference(item)) = items.next_element()? {
            depth = depth.zip(item).map(|(left, right)| left.max(right));
        }
        Ok(Reference(depth.map(|depth| depth + 1)))
    }
    fn visit_map<A: serde_core::de::MapAccess<'de>>(
        self,
        mut entries: A,
    ) -> Result<Reference, A::Error> {
        let mut depth = Some(0);
        let mut keys = HashSet::new();
        while let Some((key, Reference(item))) = entries.next_entry::<String, Reference>()? {
            depth = depth.zip(item).map(|(left, right)| left.max(right));
            if key.contains('\0') || !keys.insert(key) {
                depth = None;
            }
        }
        Ok(Reference(depth.map(|depth| depth + 1)))
    }
}

/// Whether the reference accepts a text; `None` where `serde_json` itself has a limit.
fn reference_accepts(text: &[u8]) -> Option<bool> {
    let mut input = Deserializer::from_slice(text);
    let found = <Reference as serde_core::Deserialize>::deserialize(&mut input)
        .and_then(|found| input.end().map(|()| found));
    match found {
        Ok(Reference(depth)) => {
            let object = text.trim_ascii_start().first() == Some(&b'{');
            Some(object && depth.is_some_and(|depth| depth <= JSON_DEPTH_MAX))
        }
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(_) => Some(false),
    }
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-c]{0,9}",
        1 => Just("\\u0061".to_owned()),
        1 => Just("\\n".to_owned()),
        1 => Just("\\ud83d\\ude00".to_owned()),
        1 => Just("😀é".to_owned()),
        1 => prop_oneof![Just("\\u0000"), Just("\\ud800"), Just("\\udc00")].prop_map(str::to_owned),
    ];
    vec(piece, 0..3).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        string(),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(str::to_owned),
    ];
    scalar.prop_recursive(5, 60, 12, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(", "))),
            vec((string(), inner), 0..12).prop_map(|entries| {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_the_reference(text in json(), wrap in any::<bool>()) {
        let text = if wrap { format!("{{\"w\":{text}}}") } else { text };
        if let Some(expected) = reference_accepts(text.as_bytes()) {
            prop_assert_eq!(check_object(text.as_bytes()).is_ok(), expected);
        }
    }

    #[test]
    fn agrees_on_damaged_texts(
        text in json(),
        damage in vec((any::<Index>(), any::<u8>(), 0..3), 1..4),
    ) {
        let mut text = format!("{{\"w\":{text}}}").into_bytes();
        for (place, byte, kind) in damage {
            let at = place.index(text.len());
            match kind {
                0 => text[at] = byte,
                1 => text.insert(at, b"{}[]\",:\\0\x00\xff "[usize::from(byte) % 12]),
                _ => drop(text.remove(at)),
            }
            if text.is_empty() {
                return Ok(());
            }
        }
        if let Some(expected) = reference_accepts(&text) {
            prop_assert_eq!(check_object(&text).is_ok(), expected);
        }
    }
}
