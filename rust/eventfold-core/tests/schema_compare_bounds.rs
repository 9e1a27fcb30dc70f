//! Comparisons of schemas that are made to take long, or to go deep: they end, and what they do not
//! come to is undecided.

mod common;

use std::fmt::Write;

use common::schemas::{compare, lines, validator};
use eventfold_core::schema::Schema;
use eventfold_core::schema::compare::{Change, Difference};
use serde_json::{Map, Value, json};

/// Compares two schemas with the judge that a server has.
fn judged(old: &Value, new: &Value) -> Vec<Difference> {
    let schema = |document: &Value| Schema::compile(&document.to_string(), &[], false).unwrap();
    schema(new).compare(&schema(old), true).unwrap()
}

/// Whether the comparison ended before it came to all.
fn is_cut(differences: &[Difference]) -> bool {
    differences.iter().any(|one| one.change < Change::Wider && one.message.contains("too large"))
}

fn is_safe(differences: &[Difference]) -> bool {
    differences.iter().all(|one| one.change >= Change::Wider)
}

fn named(count: usize, value: impl Fn(usize) -> Value) -> Value {
    let members = (0..count).map(|index| (format!("p{index}"), value(index)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn listed(count: usize, value: impl Fn(usize) -> Value) -> Value {
    (0..count).map(value).collect()
}

/// A schema of that many lists, one inside another, a reference after each 50.
fn nested(depth: usize, innermost: &str) -> String {
    const LEVELS: usize = 50;
    let chain = depth / LEVELS;
    let mut text = String::from(r##"{"$ref":"#/$defs/0","$defs":{"##);
    for index in 0..chain {
        let (open, close) = (r#"{"items":"#.repeat(LEVELS), "}".repeat(LEVELS));
        let next = index + 1;
        write!(text, r##""{index}":{open}{{"$ref":"#/$defs/{next}"}}{close},"##).unwrap();
    }
    write!(text, r#""{chain}":{innermost}}}}}"#).unwrap();
    text
}

#[test]
fn schemas_one_inside_another_do_not_overflow_the_stack() {
    // As large as that of a server's thread; whoever validates takes much of it in a debug build.
    let thread = std::thread::Builder::new().stack_size(64 * 1024 * 1024);
    let compared = thread.spawn(|| {
        let compile = |text: &str| Schema::compile(text, &[], false).unwrap();
        let schemas = [r#"{"type":"object"}"#, r#"{"type":"array"}"#, r#"{"title":"t"}"#]
            .map(|innermost| compile(&nested(9_000, innermost)));
        let on_a_small_stack = || {
            let [object, array, annotated] = &schemas;
            let pairs = [(object, object), (object, array), (annotated, object)];
            let differences = pairs.map(|(old, new)| new.compare(old, false).unwrap());
            (differences, object.undeclared(&["a"]).unwrap())
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(4 * 1024 * 1024);
            thread.spawn_scoped(scope, on_a_small_stack).unwrap().join().unwrap()
        })
    });
    let (differences, undeclared) = compared.unwrap().join().unwrap();
    assert!(differences.iter().all(|found| is_cut(found)), "{differences:#?}");
    assert_eq!(undeclared, ["a"]);
}

/// A tree whose nodes are described by a definition, before and after a change of what it says of
/// `a`; `{"b": {"a": {}}}` fits the first alone.
fn grafted(known: &Value, a: &Value, definitions: &Value) -> [Value; 2] {
    let tree = |a: &Value| {
        let mut definitions = definitions.clone();
        definitions["n"] = json!({"type": "object", "properties": {"a": a}});
        json!({
            "type": "object",
            "properties": {"b": {"$ref": "#/$defs/n"}},
            "$defs": definitions,
        })
    };
    [tree(known), tree(a)]
}

fn assert_told(old: &Value, new: &Value, event: &Value) {
    assert!(validator((old, &[], false)).is_valid(event));
    assert!(!validator((new, &[], false)).is_valid(event));
    let differences = compare(old, new);
    assert!(!is_safe(&differences), "{old}\n{new}\n{:#?}", lines(&differences));
}

#[test]
fn what_allows_nothing_is_another_place_than_what_is_beside_it() {
    let node = json!({"$ref": "#/$defs/n"});
    let nothing = json!({"allOf": [node, false]});
    for a in [
        nothing.clone(),
        json!({"if": true, "then": nothing}),
        json!({"anyOf": [nothing]}),
        json!({"if": false, "else": nothing}),
        json!({"oneOf": [nothing]}),
    ] {
        let [old, new] = grafted(&node, &a, &json!({}));
        assert_told(&old, &new, &json!({"b": {"a": {}}}));
    }
}

#[test]
fn what_cannot_be_followed_is_another_place_than_what_is_beside_it() {
    // A longer chain than any that a checked schema has.
    let mut definitions = json!({"d200": {"required": ["x"]}});
    for index in 0..200 {
        definitions[format!("d{index}")] = json!({"$ref": format!("#/$defs/d{}", index + 1)});
    }
    let node = json!({"$ref": "#/$defs/n"});
    for first in [0, 130] {
        let chain = json!({"$ref": format!("#/$defs/d{first}")});
        let [old, new] = grafted(&node, &json!({"allOf": [node, chain]}), &definitions);
        assert_told(&old, &new, &json!({"b": {"a": {}}}));
    }
}

#[test]
fn chains_of_references_as_long_as_a_schema_may_have_are_followed() {
    let chain = |least: u64| {
        let mut definitions = json!({"d90": {"properties": {"a": {"minimum": least}}}});
        for index in 0..90 {
            definitions[format!("d{index}")] = json!({"$ref": format!("#/$defs/d{}", index + 1)});
        }
        json!({"$ref": "#/$defs/d0", "$defs": definitions})
    };
    let differences = judged(&chain(1), &chain(0));
    assert_eq!(lines(&differences), ["wider /a minimum: `minimum` is `0`, it was `1`"]);
}

#[test]
fn schemas_that_hold_twice_count_once() {
    // Each holds the next one twice: 2,048 times the last.
    let doubling = |most: u64| {
        let mut definitions = json!({"d11": {"maxProperties": most}});
        for index in 0..11 {
            let next = json!({"$ref": format!("#/$defs/d{}", index + 1)});
            definitions[format!("d{index}")] = json!({
                "properties": {"a": true},
                "allOf": [next, next],
            });
        }
        json!({"$ref": "#/$defs/d0", "$defs": definitions})
    };
    let differences = judged(&doubling(3), &doubling(2));
    let expected = ["narrower  maxProperties: `maxProperties` is `2`, it was `3`"];
    assert_eq!(lines(&differences)[..1], expected);
    assert!(!is_cut(&differences));
}

#[test]
fn a_schema_that_holds_twice_is_taken_in_where_it_matters() {
    let definitions = json!({
        "a": {"properties": {"a": {"type": "integer"}}},
        "same": {"allOf": [{"$ref": "#/$defs/a"}]},
    });
    let to = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    for name in ["a", "same"] {
        let closed = json!({"allOf": [to(name)], "unevaluatedProperties": false});
        for all in [
            json!([to("a"), closed]),
            json!([to("a"), to(name), closed]),
            json!([closed, to("a"), closed]),
        ] {
            let schema = |limit: &Value| {
                let properties = json!({"a": limit});
                json!({"allOf": all, "properties": properties, "$defs": definitions})
            };
            let [old, new] = [schema(&json!({})), schema(&json!({"maximum": 3}))];
            assert_told(&old, &new, &json!({"a": 4}));
            let differences = judged(&new, &old);
            assert_eq!(lines(&differences), ["wider /a maximum: `maximum` `3` is gone"]);
        }
    }
}

#[test]
fn lists_of_many_values_are_held_against_many_rules() {
    let old = json!({"enum": listed(5_000, |index| json!({"a": index}))});
    let rules = named(200, |_| json!(["z"]));
    let differences = judged(&old, &json!({"dependentRequired": rules}));
    let undecided = differences.iter().filter(|one| one.change == Change::Undecided);
    assert_eq!(undecided.count(), 200);
    // Another list is no matter.
    let new = json!({"enum": listed(4_999, |index| json!({"a": 1 + index}))});
    let expected = ["narrower  enum: `{\"a\":0}` is no longer allowed"];
    assert_eq!(lines(&judged(&old, &new)), expected);
}

#[test]
fn conditions_of_many_properties_are_told_apart() {
    let conditions = |most: u64| {
        let list = listed(20, |index| {
            let rule = json!({"maxLength": most + index as u64});
            json!({"if": {"$ref": "#/$defs/many"}, "properties": {"q": rule}})
        });
        let many = named(50, |_| json!({"minLength": 1, "maxLength": 9}));
        json!({"type": "object", "allOf": list, "$defs": {"many": {"properties": many}}})
    };
    let wider = judged(&conditions(1), &conditions(100_000));
    assert!(!wider.is_empty());
    assert!(!is_safe(&judged(&conditions(100_000), &conditions(1))));
}

#[test]
fn many_schemas_at_one_place_are_cut() {
    let closed = |least: u64| {
        let list = listed(500, |index| {
            json!({
                "properties": {format!("p{index}"): {"minimum": least}},
                "unevaluatedProperties": {"minimum": index},
            })
        });
        json!({"allOf": list})
    };
    assert!(is_cut(&judged(&closed(1), &closed(2))));
}

#[test]
fn values_that_would_be_large_are_not_made() {
    let texts = |most: u64| {
        let mut properties = named(200, |index| json!({"maxLength": most + index as u64}));
        let text = "x".repeat(200_000);
        properties["l"] = json!({"type": "array", "minItems": 900, "items": {"const": text}});
        json!({"required": ["l"], "properties": properties})
    };
    let differences = judged(&texts(10), &texts(5));
    assert_eq!(differences.len(), 200);
    assert!(differences.iter().all(|one| one.change == Change::Undecided));
}

#[test]
fn pointers_and_messages_are_short() {
    let name = "n".repeat(100_000);
    let schema = |least: usize| {
        let inner = named(300, |index| json!({"minimum": least + index}));
        let inner = json!({"properties": inner, "dependentRequired": {&name: [least.to_string()]}});
        json!({"properties": {&name: inner}, "title": least.to_string()})
    };
    let differences = judged(&schema(1), &schema(2));
    assert!(differences.len() > 2);
    for one in differences {
        assert!(one.pointer.len() + one.message.len() < 1_000, "{} {}", one.pointer, one.message);
    }
}

#[test]
fn numbers_and_patterns_of_many_characters_are_counted() {
    let digits = "9".repeat(200);
    let numbers = |first: usize| {
        let list: Vec<_> = (first..first + 1_000).map(|end| format!("{digits}{end}")).collect();
        let text = format!(r#"{{"enum":[{}]}}"#, list.join(","));
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let [added, gone] = [numbers(1_000), numbers(1_001)];
    let differences =
        judged(&json!({"properties": {"a": added}}), &json!({"properties": {"a": gone}}));
    let changes: Vec<_> = differences.iter().map(|one| one.change).collect();
    assert_eq!(changes, [Change::Narrower, Change::Wider]);

    let patterns = |least: u64| {
        let patterns =
            (0..40).map(|index| (format!("^\\p{{L}}{{8}}x{index}$"), json!({"minimum": least})));
        let patterns: Map<_, _> = patterns.collect();
        let properties = named(50, |_| json!({"minimum": least}));
        json!({"properties": properties, "patternProperties": patterns})
    };
    assert!(!is_safe(&judged(&patterns(1), &patterns(2))));
}
