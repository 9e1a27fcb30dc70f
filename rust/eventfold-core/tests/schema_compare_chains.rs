//! Goal: a comparison ends, soon, whatever the schemas are; what it could not look at is undecided
//! and never wider.
//!
//! Method: pairs of schemas whose places, alternatives, values or patterns are too many, where the
//! new schema of each refuses an event that the old one takes.

use std::time::{Duration, Instant};

use eventfold_core::schema::Schema;
use eventfold_core::schema::compare::{self, Change, Difference, Version};
use serde_json::{Map, Value, json};

/// For one comparison, in a build that is not optimized, on a machine that does other work too.
const SECONDS_MAX: u64 = 60;

fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    assert!(began.elapsed() < Duration::from_secs(SECONDS_MAX), "{what}: {:?}", began.elapsed());
    done
}

/// The differences of documents that would not all be put: no value is held to them.
fn unjudged(old: &Value, new: &Value) -> Vec<Difference> {
    let version = |document, fits| Version { document, resources: &[], formats: false, fits };
    compare::compare(&version(old, &|_| false), &version(new, &|_| true))
}

/// Checks that a change is not called wider, by which the event is refused.
fn refuses(what: &str, old: &Value, new: &Value, event: &Value) {
    let compiled = |document: &Value| {
        Schema::compile(&document.to_string(), &[], false)
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    };
    let (old, new) = (compiled(old), compiled(new));
    let count = |schema: &Schema| {
        schema.violations(event.to_string().as_bytes(), 1).expect("it is JSON").count
    };
    assert!(count(&old) == 0 && count(&new) > 0, "{what}");
    let differences = soon(what, || new.compare(&old, true).expect("they compiled"));
    let first = differences.first().map(|one| one.change);
    assert!(first.is_some_and(|first| first <= Change::Undecided), "{what}: {first:?}");
}

fn reference(index: usize) -> Value {
    json!({"$ref": format!("#/$defs/{index}")})
}

/// Definitions of which each refers to the next.
fn chain(count: usize, link: impl Fn(usize) -> Value, last: Value) -> Value {
    let links = (0..count).map(|index| (index.to_string(), link(index)));
    let definitions: Map<_, _> = links.chain([(count.to_string(), last)]).collect();
    json!({"$defs": definitions, "$ref": "#/$defs/0"})
}

/// An object of many members.
fn members(count: usize, member: impl Fn(usize) -> (String, Value)) -> Value {
    Value::Object((0..count).map(member).collect())
}

fn list(count: usize, item: impl Fn(usize) -> Value) -> Value {
    Value::Array((0..count).map(item).collect())
}

#[test]
fn chains_that_double_at_each_link_are_undecided() {
    // The number of places, or of schemas for one of them, is two to the power of 40.
    let below = |keyword: &str, last: &str| {
        let link = |index| {
            let next = reference(index + 1);
            match keyword {
                "properties" => json!({"properties": {"a": next, "b": next}, "maxProperties": 7}),
                _ => json!({keyword: [{"properties": {"a": next}, "required": ["a"]},
                    {"properties": {"b": {"allOf": [next]}}}]}),
            }
        };
        chain(40, link, json!({"type": last}))
    };
    let beside = |keyword: &str, last: &str| {
        let link = |index| {
            let other = json!({"$ref": format!("#/$defs/{}", index + 1), "minProperties": 1});
            json!({keyword: [reference(index + 1), other]})
        };
        chain(40, link, json!({"properties": {"z": {"type": last}}}))
    };
    for keyword in ["properties", "anyOf", "oneOf", "allOf"] {
        let mut pairs = vec![(below(keyword, "number"), below(keyword, "integer"))];
        if keyword != "properties" {
            pairs.push((beside(keyword, "number"), beside(keyword, "integer")));
        }
        for (old, new) in pairs {
            let differences = soon(keyword, || unjudged(&old, &new));
            let first = differences.first().map(|one| one.change);
            assert_eq!(first, Some(Change::Undecided), "{keyword}");
        }
    }
}

#[test]
fn chains_that_can_be_put_are_never_wrongly_wider() {
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let document = |last: &str| {
            let link = |index| {
                let next = reference(index + 1);
                json!({keyword: [{"properties": {"a": next}, "required": ["a"]},
                    {"properties": {"b": next}, "required": ["b"]}]})
            };
            chain(12, link, json!({"type": last}))
        };
        let wrap = |inner: Value| match keyword {
            "allOf" => json!({"a": inner, "b": inner}),
            _ => json!({"a": inner}),
        };
        let event = (0..12).fold(json!(0.5), |inner, _| wrap(inner));
        refuses(keyword, &document("number"), &document("integer"), &event);
    }
}

#[test]
fn products_of_alternatives_are_never_wrongly_wider() {
    for keyword in ["anyOf", "oneOf"] {
        let document = |least: u32| {
            let alternative = |index, value| {
                let name = format!("a{index}");
                json!({"properties": {&name: {"const": value}}, "required": [name]})
            };
            let each = |index| json!({keyword: list(20, |value| alternative(index, value))});
            json!({"allOf": list(40, each), "properties": {"z": {"minimum": least}}})
        };
        let mut event = members(40, |index| (format!("a{index}"), json!(0)));
        event["z"] = json!(1);
        refuses(keyword, &document(1), &document(2), &event);
    }
}

#[test]
fn circles_of_unlike_lengths_are_never_wrongly_wider() {
    // Each schema refers to several others, so that pairs of them are met on very many ways.
    let circle = |length: usize, of: &str| {
        let to = |steps| reference(steps % length);
        let link = |index: usize| {
            let both = json!({"allOf": [to(index + 1), to(index + 2)]});
            let when = json!({"properties": {"l": to(index + 3)}, "required": ["v"]});
            let schema = json!({"properties": {"l": both, "r": to(index + 2), "v": {"type": of}},
                "dependentSchemas": {"v": when}, "patternProperties": {"^l": to(index)}});
            (index.to_string(), schema)
        };
        json!({"$ref": "#/$defs/0", "$defs": members(length, link)})
    };
    let event = json!({"l": {"r": {"v": 0.5}}});
    refuses("circles", &circle(5, "number"), &circle(7, "integer"), &event);
}

#[test]
fn lists_of_very_many_values_are_never_wrongly_wider() {
    let listed = |first: usize| {
        let values = list(30_000, |index| json!(first + index));
        let to_list = json!({"$ref": "#/$defs/e"});
        json!({"$defs": {"e": {"enum": values}},
            "properties": members(100, |index| (format!("p{index}"), to_list.clone()))})
    };
    refuses("a value less", &listed(0), &listed(1), &json!({"p7": 0}));
    let alternatives = |first: usize| {
        let constants = list(2_000, |index| json!({"const": first + index}));
        json!({"properties": {"p": {"anyOf": constants}}})
    };
    refuses("constants", &alternatives(0), &alternatives(1), &json!({"p": 0}));
    let long = list(12_000, |index| json!([index]));
    let of = |last: u32| {
        let value = json!([long, last]);
        let property = |index| (format!("p{index}"), json!({"const": value}));
        json!({"$ref": "#/$defs/o", "$defs": {"o": {"properties": members(1, property),
            "additionalProperties": {"const": value}}}})
    };
    refuses("a long value", &of(1), &of(2), &json!({"p0": [long, 1]}));
}

#[test]
fn very_many_patterns_are_never_wrongly_wider() {
    let document = |of: &str| {
        let pattern = |index| (format!("(a|b|p){{1,{}}}[0-9]*x", 9 + index), json!({"type": of}));
        let named = |index| (format!("p{index}x"), json!({"minimum": 0}));
        json!({"patternProperties": members(100, pattern), "properties": members(2_000, named)})
    };
    refuses("patterns", &document("number"), &document("integer"), &json!({"p1x": 0.5}));
}

#[test]
fn schemas_that_are_dear_to_judge_are_judged_for_a_while() {
    // Each value that might show a difference is held to 2 to the power of 14 schemas.
    let document = |most: u32| {
        let link = |index| json!({"anyOf": [reference(index + 1), reference(index + 1)]});
        let mut document = chain(14, link, json!({"required": ["none"]}));
        document["anyOf"] = json!([{"$ref": "#/$defs/0"}, {}]);
        let object = document.as_object_mut().expect("it is an object");
        object.remove("$ref");
        object.insert(
            "properties".to_owned(),
            members(100, |index| (format!("p{index}"), json!({"maximum": most}))),
        );
        document
    };
    refuses("dear", &document(2), &document(1), &json!({"p99": 2}));
}

#[test]
fn schemas_that_nest_by_references_take_no_stack() {
    // Deeper than any event can be.
    let document = |of: &str| {
        chain(
            4_500,
            |index| json!({"properties": {"a": reference(index + 1)}}),
            json!({"type": of}),
        )
    };
    let (old, new) = (document("number"), document("integer"));
    let compiled = |document: &Value| Schema::compile(&document.to_string(), &[], false).unwrap();
    let (old, new) = (compiled(&old), compiled(&new));
    let differences = soon("nested", || new.compare(&old, true).unwrap());
    assert_eq!(differences.first().map(|one| one.change), Some(Change::Undecided));
    assert_eq!(new.undeclared(&["a", "b"]).unwrap(), ["b"]);
}
