//! Goal: expressions behave as the CEL specification says, save where exact numbers differ.
//! Method: run the specification's own cases; `cel/deviations.txt` lists the differences.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use eventfold_core::cel::{Budget, Env, MapScope, compile, parse};
use eventfold_core::value::{Map, Value};
use serde_json::Value as Json;

/// A CEL value as protobuf JSON, in a form that is easy to compare: `Debug` text of the type
/// and value, maps sorted.
fn expected(json: &Json) -> String {
    let (kind, value) = json.as_object().and_then(|object| object.iter().next()).expect("a value");
    match kind.as_str() {
        "nullValue" => "null".to_owned(),
        "boolValue" => format!("bool {value}"),
        "int64Value" => format!("int {}", value.as_str().expect("text")),
        "uint64Value" => format!("uint {}", value.as_str().expect("text")),
        "doubleValue" => {
            let double = match value {
                Json::String(text) if text == "Infinity" => f64::INFINITY,
                Json::String(text) if text == "-Infinity" => f64::NEG_INFINITY,
                Json::String(_) => f64::NAN,
                number => number.as_f64().expect("a number"),
            };
            format!("double {:?}", double + 0.0)
        }
        "stringValue" => format!("string {:?}", value.as_str().expect("text")),
        "bytesValue" => format!("bytes {}", value.as_str().expect("text")),
        "typeValue" => format!("type {}", value.as_str().expect("text")),
        "listValue" => {
            let items = value.get("values").and_then(Json::as_array).cloned().unwrap_or_default();
            format!("{:?}", items.iter().map(expected).collect::<Vec<_>>())
        }
        "mapValue" => {
            let entries = value.get("entries").and_then(Json::as_array).cloned();
            let entries: BTreeMap<_, _> = entries
                .unwrap_or_default()
                .iter()
                .map(|entry| (expected(&entry["key"]), expected(&entry["value"])))
                .collect();
            format!("{entries:?}")
        }
        other => panic!("unknown kind {other}"),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("bool {value}"),
        Value::Int(value) => format!("int {value}"),
        Value::Uint(value) => format!("uint {value}"),
        Value::Double(value, _) => format!("double {:?}", value + 0.0),
        Value::Decimal(value) => format!("decimal {value}"),
        Value::String(text) => format!("string {text:?}"),
        Value::Bytes(bytes) => {
            format!("bytes {}", base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        Value::List(list) => format!("{:?}", list.iter().map(shown).collect::<Vec<_>>()),
        Value::Map(map) => {
            let entries: BTreeMap<_, _> =
                map.iter().map(|(key, value)| (shown(&key.to_value()), shown(value))).collect();
            format!("{entries:?}")
        }
        Value::Type(kind) => format!("type {}", kind.name()),
        other => format!("{other:?}"),
    }
}

fn binding(json: &Json) -> Value {
    let (kind, value) = json.as_object().and_then(|object| object.iter().next()).expect("a value");
    let text = || value.as_str().expect("text");
    match kind.as_str() {
        "nullValue" => Value::Null,
        "boolValue" => Value::Bool(value.as_bool().expect("a bool")),
        "int64Value" => Value::Int(text().parse().expect("an int")),
        "uint64Value" => Value::Uint(text().parse().expect("a uint")),
        "doubleValue" => Value::double(value.as_f64().expect("a number")),
        "stringValue" => Value::from(text()),
        "bytesValue" => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text()).expect("base64");
            Value::Bytes(bytes.into())
        }
        "listValue" => {
            let items = value.get("values").and_then(Json::as_array).cloned().unwrap_or_default();
            items.iter().map(binding).collect::<Vec<_>>().pipe(Value::list)
        }
        "mapValue" => {
            let entries = value.get("entries").and_then(Json::as_array).cloned();
            let map: Map = entries
                .unwrap_or_default()
                .iter()
                .map(|entry| {
                    let key = binding(&entry["key"]);
                    let key = eventfold_core::value::Key::from_value(&key).expect("a key");
                    (key, binding(&entry["value"]))
                })
                .collect();
            Value::map(map)
        }
        other => panic!("unknown kind {other}"),
    }
}

trait Pipe: Sized {
    fn pipe<R>(self, then: impl FnOnce(Self) -> R) -> R {
        then(self)
    }
}

impl<T> Pipe for T {}

fn outcome(case: &Json) -> Result<String, String> {
    let values: BTreeMap<String, Value> = case
        .get("bindings")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), binding(&value["value"])))
        .collect();
    let mut env = Env::new().lenient_names(true);
    for name in values.keys() {
        env.declare(name);
    }
    let source = case["expr"].as_str().expect("an expression");
    let ast = parse(source).map_err(|error| error.show(source))?;
    let printed = ast.print();
    assert_eq!(parse(&printed).as_ref(), Ok(&ast), "{source} is printed as {printed}");
    let program = compile(&ast, &mut env).map_err(|error| error.show(source))?;
    let scope = MapScope::new(&env, &values);
    program
        .eval(&scope, &mut Budget::default())
        .map(|value| shown(&value))
        .map_err(|error| error.to_string())
}

/// What is wrong with a case; `None` if it passes.
fn complaint(case: &Json) -> Option<String> {
    let outcome = outcome(case);
    if case.get("evalError").is_some() {
        return outcome.ok().map(|value| format!("expected an error, got {value}"));
    }
    let expected = case.get("value").map_or_else(|| "bool true".to_owned(), expected);
    match outcome {
        Ok(value) if value == expected => None,
        Ok(value) => Some(format!("expected {expected}, got {value}")),
        Err(error) => Some(format!("expected {expected}, got the error {error}")),
    }
}

#[test]
fn the_cases_of_the_specification() {
    let cases: Vec<Json> =
        serde_json::from_str(include_str!("cel/conformance.json")).expect("the cases");
    let listed: BTreeSet<&str> = include_str!("cel/deviations.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once(": ").expect("`suite / name: reason`").0)
        .collect();
    let mut known = BTreeSet::new();
    let mut complaints = Vec::new();
    let mut passed = 0;
    for case in &cases {
        let name = format!(
            "{} / {}",
            case["suite"].as_str().expect("text"),
            case["name"].as_str().expect("text")
        );
        let deviates = listed.contains(&*name);
        match complaint(case) {
            None if deviates => complaints.push(format!("{name}: passes, but is listed")),
            None => passed += 1,
            Some(_) if deviates => {
                known.insert(name);
            }
            Some(complaint) => {
                complaints.push(format!("{name}: {} : {complaint}", case["expr"]));
            }
        }
    }
    assert!(complaints.is_empty(), "{passed} passed\n{}", complaints.join("\n"));
    assert_eq!(known.len(), listed.len(), "deviations.txt names cases that do not exist");
    assert_eq!(cases.len(), 794);
}
