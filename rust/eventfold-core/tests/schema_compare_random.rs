//! Random schemas and changes of them: no change is called wider that refuses an event that was
//! valid.

mod common;

use std::sync::LazyLock;

use common::schemas::{Side, compare_with, lines, validator};
use eventfold_core::schema::compare::Change;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

const DRAFTS: [&str; 3] = [
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
];
const NAMES: [&str; 4] = ["a", "b", "xa", "c"];
const PATTERNS: [&str; 5] = ["^x", "a", "^[ab]$", "", "(?=a)"];

/// A keyword and what stands behind it.
type Said = (&'static str, Value);

fn scalar() -> impl Strategy<Value = Value> {
    select(vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(1.0),
        json!(2),
        json!(3),
        json!(-1),
        json!(0.5),
        json!(2.5),
        json!(""),
        json!("a"),
        json!("b"),
        json!("xa"),
        json!("abc"),
    ])
}

fn name() -> impl Strategy<Value = &'static str> {
    select(NAMES.to_vec())
}

fn value() -> impl Strategy<Value = Value> {
    let member = (name(), scalar());
    prop_oneof![
        4 => scalar(),
        1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::Array),
        1 => prop::collection::vec(member, 0..3).prop_map(object),
    ]
}

fn object(members: Vec<(&str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn rule() -> BoxedStrategy<Said> {
    let types = ["null", "boolean", "integer", "number", "string", "array", "object"];
    let bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
    let counts = [
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minContains",
        "maxContains",
    ];
    let numbers = vec![json!(-1), json!(0), json!(1), json!(1.5), json!(2), json!(3)];
    let names = || prop::collection::btree_set(name(), 0..3);
    prop_oneof![
        4 => select(types.to_vec()).prop_map(|name| ("type", json!(name))),
        2 => prop::collection::btree_set(select(types.to_vec()), 1..4)
            .prop_map(|names| ("type", json!(names))),
        2 => prop::collection::vec(value(), 1..4).prop_map(|values| ("enum", json!(values))),
        1 => value().prop_map(|value| ("const", value)),
        3 => (select(bounds.to_vec()), select(numbers)),
        1 => select(vec![json!(1), json!(0.5), json!(2), json!(1.5)])
            .prop_map(|divisor| ("multipleOf", divisor)),
        4 => (select(counts.to_vec()), (0..4_u64).prop_map(|count| json!(count))),
        1 => select(PATTERNS.to_vec()).prop_map(|pattern| ("pattern", json!(pattern))),
        1 => select(vec!["date", "uuid", "none"]).prop_map(|format| ("format", json!(format))),
        1 => any::<bool>().prop_map(|unique| ("uniqueItems", json!(unique))),
        3 => names().prop_map(|names| ("required", json!(names))),
        1 => (name(), names())
            .prop_map(|(name, names)| ("dependentRequired", json!({name: names}))),
        1 => Just(("$ref", json!("#"))),
        1 => select(vec!["#/$defs/a", "#/$defs/b"]).prop_map(|to| ("$ref", json!(to))),
    ]
    .boxed()
}

/// Keywords that hold schemas.
fn applicator(inner: BoxedStrategy<Value>) -> BoxedStrategy<Said> {
    let single = [
        "additionalProperties",
        "unevaluatedProperties",
        "propertyNames",
        "items",
        "additionalItems",
        "unevaluatedItems",
        "contains",
        "not",
        "if",
        "then",
        "else",
    ];
    let some = || prop::collection::vec(inner.clone(), 1..3);
    let by = |name: BoxedStrategy<&'static str>| {
        prop::collection::vec((name, inner.clone()), 1..3).prop_map(object)
    };
    let mapped = ["properties", "properties", "properties", "dependentSchemas", "dependencies"];
    prop_oneof![
        4 => (select(mapped.to_vec()), by(name().boxed())),
        1 => by(select(PATTERNS.to_vec()).boxed()).prop_map(|by| ("patternProperties", by)),
        4 => (select(single.to_vec()), inner.clone()),
        1 => some().prop_map(|list| ("prefixItems", json!(list))),
        1 => some().prop_map(|list| ("items", json!(list))),
        3 => (select(vec!["allOf", "anyOf", "oneOf", "anyOf", "oneOf"]), some())
            .prop_map(|(keyword, list)| (keyword, json!(list))),
    ]
    .boxed()
}

fn said(depth: u32) -> BoxedStrategy<Said> {
    match depth {
        0 => rule(),
        _ => prop_oneof![1 => rule(), 1 => applicator(schema(depth - 1))].boxed(),
    }
}

fn schema(depth: u32) -> BoxedStrategy<Value> {
    prop_oneof![
        1 => any::<bool>().prop_map(Value::Bool),
        12 => prop::collection::vec(said(depth), 0..4).prop_map(object),
    ]
    .boxed()
}

/// A change: which schema of a document, which of its keywords goes, what is said there then.
type Edit = (usize, usize, Option<Said>);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (0..8_usize, 0..4_usize, prop::option::weighted(0.7, said(1)));
    prop::collection::vec(edit, 1..3)
}

fn edited(mut document: Value, edits: &[Edit]) -> Value {
    for (place, gone, said) in edits {
        let mut places = *place;
        if !edit(&mut document, &mut places, *gone, said.as_ref()) {
            edit(&mut document, &mut 0, *gone, said.as_ref());
        }
    }
    document
}

/// Edits the schema at a place, counted through the document; the first if there are fewer.
fn edit(value: &mut Value, places: &mut usize, gone: usize, said: Option<&Said>) -> bool {
    let Value::Object(map) = value else { return false };
    if *places == 0 {
        change(map, gone, said);
        return true;
    }
    *places -= 1;
    // Most documents do not refer to their definitions.
    let definitions = map.remove("$defs");
    let done = map.values_mut().any(|inner| match inner {
        Value::Array(list) => list.iter_mut().any(|inner| edit(inner, places, gone, said)),
        inner => edit(inner, places, gone, said),
    });
    let Some(mut definitions) = definitions else { return done };
    let done = done || edit(&mut definitions, places, gone, said);
    map.insert("$defs".to_owned(), definitions);
    done
}

fn change(map: &mut Map<String, Value>, gone: usize, said: Option<&Said>) {
    let name = map.keys().nth(gone).filter(|name| !name.starts_with('$')).cloned();
    match (said, name) {
        (Some((keyword, value)), _) => {
            map.insert((*keyword).to_owned(), value.clone());
        }
        (None, Some(name)) => {
            map.remove(&name);
        }
        (None, None) => {}
    }
}

fn document(draft: &str, body: Value, definitions: [&Value; 2]) -> Value {
    let mut document = match body {
        Value::Object(map) => map,
        boolean => return boolean,
    };
    document.insert("$schema".to_owned(), json!(draft));
    let [a, b] = definitions;
    document.insert("$defs".to_owned(), json!({"a": a, "b": b}));
    Value::Object(document)
}

/// Events of all shapes that the schemas may tell apart.
static EVENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut events = vec![
        json!(null),
        json!(true),
        json!(false),
        json!(-1),
        json!(0),
        json!(0.5),
        json!(1),
        json!(1.5),
        json!(2),
        json!(2.5),
        json!(3),
        json!(4),
        json!(""),
        json!("a"),
        json!("b"),
        json!("xa"),
        json!("abc"),
        json!("abcd"),
        json!("2000-01-01"),
    ];
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    for _ in 0..600 {
        let size = next(4);
        let known = events.len();
        let inner = |next: &mut dyn FnMut(usize) -> usize| {
            let limit = if next(3) == 0 { known } else { 19 };
            next(limit)
        };
        let event = if next(3) == 0 {
            let list = (0..size).map(|_| events[inner(&mut next)].clone());
            Value::Array(list.collect())
        } else {
            let members = (0..size).map(|_| (NAMES[next(4)], events[inner(&mut next)].clone()));
            object(members.collect())
        };
        events.push(event);
    }
    events
});

/// Whether the validator takes the document for a schema; it does not where references lead in a
/// circle.
fn is_schema(document: &Value) -> bool {
    jsonschema::options().build(document).is_ok() && !refers_to_itself(document)
}

/// Whether a schema refers to itself without a step into the event.
fn refers_to_itself(document: &Value) -> bool {
    fn follows(document: &Value, schema: &Value, steps: usize) -> bool {
        let Value::Object(map) = schema else { return false };
        if steps > 30 {
            return true;
        }
        map.iter().any(|(keyword, inner)| match (keyword.as_str(), inner) {
            ("$ref", Value::String(to)) => {
                let target = document.pointer(to.trim_start_matches('#'));
                target.is_some_and(|target| follows(document, target, steps + 1))
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(list)) => {
                list.iter().any(|inner| follows(document, inner, steps + 1))
            }
            ("not" | "if" | "then" | "else", inner) => follows(document, inner, steps + 1),
            ("dependentSchemas" | "dependencies", Value::Object(map)) => {
                map.values().any(|inner| follows(document, inner, steps + 1))
            }
            _ => false,
        })
    }
    let definitions = [document, &document["$defs"]["a"], &document["$defs"]["b"]];
    definitions.into_iter().any(|schema| follows(document, schema, 0))
}

fn check(old: Side<'_>, new: Side<'_>) -> Result<(), TestCaseError> {
    let (fits_old, fits_new) = (validator(old), validator(new));
    let refused = EVENTS.iter().find(|event| fits_old.is_valid(event) && !fits_new.is_valid(event));
    let differences = compare_with(old, new);
    let safe = differences.iter().all(|one| one.change >= Change::Wider);
    prop_assert!(
        refused.is_none() || !safe,
        "old: {}\nnew: {}\nevent: {}\ndifferences: {:#?}",
        old.0,
        new.0,
        refused.unwrap_or(&Value::Null),
        lines(&differences)
    );
    Ok(())
}

/// More than usual, as most schemas are not told apart by any event.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(1_500)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_change_is_called_wider_that_refuses_a_valid_event(
        draft in select(DRAFTS.to_vec()),
        body in schema(2),
        definitions in (schema(1), schema(1)),
        edits in edits(),
        formats in any::<(bool, bool)>(),
    ) {
        let old = document(draft, body, [&definitions.0, &definitions.1]);
        let new = edited(old.clone(), &edits);
        prop_assume!(is_schema(&old) && is_schema(&new));
        check((&old, &[], formats.0), (&new, &[], formats.1))?;
        check((&new, &[], formats.1), (&old, &[], formats.0))?;
    }

    #[test]
    fn unlike_schemas_are_compared_soundly(
        drafts in (select(DRAFTS.to_vec()), select(DRAFTS.to_vec())),
        bodies in (schema(2), schema(2)),
        definitions in (schema(1), schema(1)),
    ) {
        let old = document(drafts.0, bodies.0, [&definitions.0, &definitions.1]);
        let new = document(drafts.1, bodies.1, [&definitions.1, &definitions.0]);
        prop_assume!(is_schema(&old) && is_schema(&new));
        check((&old, &[], true), (&new, &[], true))?;
    }
}
