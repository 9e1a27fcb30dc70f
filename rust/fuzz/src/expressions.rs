//! Expressions: the parser, the normal form, the compiler, the evaluator.

use std::collections::BTreeMap;

use eventfold_core::cel::{Ast, Budget, Env, MapScope, StaticType, compile, parse};
use eventfold_core::json::scan::scan_value;
use eventfold_core::json::write::{to_json_value, write_value};
use eventfold_core::limits::{EXPRESSION_BYTES_MAX, JSON_DEPTH_MAX};
use eventfold_core::value::Value;

/// Enough for every operator many times over, and over in milliseconds.
const STEPS: u64 = 20_000;

/// What parses has a normal form, which parses to the same tree and is its own normal form.
pub fn expr_parse(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let ast = match parse(source) {
        Ok(ast) => ast,
        Err(error) => {
            assert!(error.offset <= source.len(), "{error}");
            error.show(source);
            return;
        }
    };
    let printed = ast.print();
    // Quotes and spaces may make the normal form longer than an expression may be.
    if printed.len() <= EXPRESSION_BYTES_MAX {
        let again = parse(&printed).unwrap_or_else(|error| panic!("{}", error.show(&printed)));
        assert_eq!(again, ast, "{printed}");
        assert_eq!(again.print(), printed);
    }
}

/// The first line is an expression; the rest may be the JSON of `event`.
pub fn expr_eval(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (source, event) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(ast) = parse(source) else { return };
    let event = scan_value(event.as_bytes()).unwrap_or(Value::Null);
    let state = scan_value(br#"{"n":1,"d":1.50,"s":"text","l":[1,2.0,"x"],"m":{"k":{}}}"#);
    let values = BTreeMap::from([
        ("event".to_owned(), event),
        ("state".to_owned(), state.expect("the state is JSON")),
        ("x".to_owned(), Value::Int(7)),
    ]);
    let lenient = evaluate(&ast, Env::new().lenient_names(true), &values);
    let strict = evaluate(&ast, Env::new().strict_numbers(true), &values);
    // The rules of folds refuse expressions, and change no result.
    if let (Some(lenient), Some(strict)) = (lenient, strict) {
        assert_eq!(lenient, strict, "{source}");
    }
}

/// The JSON text of the value or the reason of the error; `None` if it does not compile.
fn evaluate(
    ast: &Ast,
    mut env: Env,
    values: &BTreeMap<String, Value>,
) -> Option<Result<Vec<u8>, &'static str>> {
    for name in values.keys() {
        env.declare(name);
    }
    let program = compile(ast, &mut env).ok()?;
    let value = match program.eval(&MapScope::new(&env, values), &mut Budget::new(STEPS)) {
        Ok(value) => value,
        Err(error) => return Some(Err(error.reason)),
    };
    let inferred = match program.static_type() {
        StaticType::Known(kind) => *kind == value.type_value(),
        StaticType::List(_) => matches!(value, Value::List(_)),
        StaticType::Map(..) => matches!(value, Value::Map(_)),
        StaticType::Optional(_) => matches!(value, Value::Optional(_)),
        StaticType::Dyn => true,
    };
    assert!(inferred, "a {} was inferred as {:?}", value.type_name(), program.static_type());
    Some(written(value))
}

/// The JSON text of a value, which must read back as the same text.
fn written(value: Value) -> Result<Vec<u8>, &'static str> {
    let mut direct = Vec::new();
    let result = write_value(&value, &mut direct);
    let json = to_json_value(value);
    assert_eq!(result.is_ok(), json.is_ok());
    let json = json.map_err(|error| error.reason)?;
    assert!(json.is_json() && json.depth() <= JSON_DEPTH_MAX + 1);
    let mut text = Vec::new();
    assert!(write_value(&json, &mut text).is_ok());
    assert_eq!(text, direct);
    let again = scan_value(&text).expect("what was written is JSON");
    let mut second = Vec::new();
    assert!(write_value(&again, &mut second).is_ok());
    assert_eq!(second, text);
    Ok(text)
}
