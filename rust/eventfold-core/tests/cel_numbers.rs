//! Goal: numbers in expressions follow the design: exact, literals remembered, types known.
//! Method: expressions over JSON data with the JSON text that must come out.

use std::collections::BTreeMap;

use eventfold_core::cel::{
    Budget, CelError, EVALUATION_FAILED, Env, EvalError, MapScope, NUMBER_RANGE, STATE_NOT_JSON,
    StaticType, compile, parse,
};
use eventfold_core::json::scan::scan_value;
use eventfold_core::json::write::{to_json_value, write_value};
use eventfold_core::value::{TypeValue, Value};

const EVENT: &str = r#"{"a":0.1,"b":0.2,"i":7,"n":1.10,"big":123456789012345678901234567890.5,
    "u64":18446744073709551615,"e":1e2,"z":-0,"list":[1,2.50,3],"s":"x","deep":{"x":2.5}}"#;

fn scope() -> BTreeMap<String, Value> {
    BTreeMap::from([("event".to_owned(), scan_value(EVENT.as_bytes()).expect("JSON"))])
}

fn env() -> Env {
    let mut env = Env::new();
    env.declare("event");
    env
}

fn evaluate(source: &str) -> Result<Value, EvalError> {
    let values = scope();
    let mut env = env();
    let program = compile(&parse(source).expect(source), &mut env).expect(source);
    program.eval(&MapScope::new(&env, &values), &mut Budget::default())
}

fn json(source: &str) -> String {
    let value = to_json_value(evaluate(source).unwrap_or_else(|error| panic!("{source}: {error}")));
    let mut out = Vec::new();
    write_value(&value.expect(source), &mut out).expect(source);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn exact_arithmetic() {
    for (source, expected) in [
        ("event.a + event.b", "0.3"),
        ("event.i * 1.19", "8.33"),
        ("event.n * 1.19", "1.309"),
        ("event.n", "1.10"),
        ("event.e", "1e2"),
        ("event.e + 0", "100"),
        ("event.z", "-0"),
        ("event.z + 0", "0"),
        ("event.big", "123456789012345678901234567890.5"),
        ("event.u64", "18446744073709551615"),
        ("event.u64 + 1", "18446744073709551616"),
        ("[event.n, event.e]", "[1.10,1e2]"),
        ("event.list", "[1,2.50,3]"),
        ("event.list.map(x, x * 2)", "[2,5,6]"),
        ("event.i + 1", "8"),
        ("event.i + 1.0", "8"),
        ("7u + event.a", "7.1"),
        ("decimal(1) / decimal(3)", "0.3333333333333333333333333333"),
        ("decimal(2) / 3", "0.6666666666666666666666666667"),
        ("decimal('7.5') % 2", "1.5"),
        ("decimal('-7.5') % 2", "-1.5"),
        ("7 / 2", "3"),
        ("size('abc') / 2", "1"),
        ("round(event.n * 1.15, 2)", "1.26"),
        ("round(2.5, 0)", "2"),
        ("round(decimal('0.125'), 2)", "0.12"),
        ("roundHalfUp(2.5, 0)", "3"),
        ("roundHalfUp(-0.125, 2)", "-0.13"),
        ("round(1250, -2)", "1200"),
        ("-event.n", "-1.1"),
        ("int(event.n)", "1"),
        ("string(event.n)", "\"1.10\""),
        ("decimal('1.10')", "1.1"),
        ("decimal(event.n)", "1.10"),
        ("decimal(0.1 + 0.2)", "0.30000000000000004"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("double(event.a) + double(event.b)", "0.30000000000000004"),
        ("1.10", "1.1"),
        ("1e22", "10000000000000000000000"),
        ("2.0", "2"),
        ("math.floor(event.deep.x)", "2"),
        ("math.ceil(event.deep.x)", "3"),
        ("math.round(event.deep.x)", "3"),
        ("math.abs(-event.deep.x)", "2.5"),
        ("math.greatest(event.a, event.b, 0.15)", "0.2"),
        ("'%.2f'.format([event.n])", "\"1.10\""),
        ("'%d %s'.format([event.n, event.big])", "\"1.10 123456789012345678901234567890.5\""),
    ] {
        assert_eq!(json(source), expected, "{source}");
    }
}

#[test]
fn comparisons_are_exact() {
    for source in [
        "event.a == 0.1",
        "event.a < 0.2",
        "event.n == 1.1",
        "event.n == decimal('1.1000')",
        "event.i == 7.0",
        "event.i < 7.000001",
        "event.e == 100",
        "event.a in [0.1]",
        "0.1 in [event.a, event.b]",
        "2.5 in event.list",
        "event.big > 123456789012345678901234567890.0",
        "event.big > 9223372036854775807",
        "event.u64 == 18446744073709551615u",
        "{7: 'x'}[event.i] == 'x'",
        "[event.a, event.b] == [0.1, 0.2]",
        "(true ? 0.1 : 0.2) == event.a",
        "[0.1, 0.2].exists(x, x == event.a)",
        "cel.bind(x, 0.1, x == event.a)",
        "{'k': 0.1}.k == event.a",
        "-(-0.1) == event.a",
        "event.a != 'x'",
        "event.a != null",
        "type(event.a) == decimal && type(0.1) == double && type(event.i) == int",
        "double(event.a) == 0.1",
        "event.i == double(event.i)",
        "event.i < double('Infinity')",
        "event.list.sort() == [1, 2.5, 3]",
    ] {
        assert_eq!(json(source), "true", "{source}");
    }
}

#[test]
fn computed_doubles_do_not_meet_exact_numbers() {
    for source in [
        "event.a + (0.1 + 0.2)",
        "event.a == 0.1 + 0.2",
        "event.a < 1.0 * 2.0",
        "event.a in [0.1 + 0.2]",
        "event.i * (0.1 + 0.2)",
        "[event.a] == [0.1 + 0.2]",
    ] {
        let error = evaluate(source).expect_err(source);
        assert_eq!(error.reason, EVALUATION_FAILED, "{source}");
        assert!(error.message.contains("double(..)") && error.message.contains("decimal(..)"));
    }
}

#[test]
fn ranges_are_errors() {
    for source in [
        "event.big + 1",
        "9223372036854775807 + event.i",
        "18446744073709551615u + 1u",
        "decimal('9999999999999999999999999999') * 1.1",
        "decimal('123456789012345678901234567890.5')",
        "int(event.u64)",
        "-event.big",
    ] {
        let error = evaluate(source).expect_err(source);
        assert_eq!(error.reason, NUMBER_RANGE, "{source}");
        assert!(!error.message.contains("9223") && !error.message.contains("1234"));
    }
    assert!(evaluate("event.i / 0").is_err_and(|error| error.reason == EVALUATION_FAILED));
    assert!(evaluate("event.a / decimal(0)").is_err_and(|error| error.offset == Some(0)));
    assert!(evaluate("1 + 1u").is_err());
}

#[test]
fn what_has_no_json_form() {
    for source in ["0.0 / 0.0", "1.0 / 0.0", "int", "[optional.of(1)]", "{1: 1, '1': 2}"] {
        let value = evaluate(source).expect(source);
        assert_eq!(to_json_value(value.clone()).expect_err(source).reason, STATE_NOT_JSON);
        assert_eq!(write_value(&value, &mut Vec::new()).expect_err(source).reason, STATE_NOT_JSON);
    }
    for (source, expected) in [
        ("timestamp('2024-02-29T12:00:00.250+02:00')", "\"2024-02-29T10:00:00.25Z\""),
        ("duration('3500ms')", "\"3.5s\""),
        ("duration('-1h')", "\"-3600s\""),
        ("b'hi'", "\"aGk=\""),
        ("{1: true, true: 2u}", "{\"1\":true,\"true\":2}"),
        ("'a\\u0001\\n\"\\\\é'", "\"a\\u0001\\n\\\"\\\\é\""),
    ] {
        assert_eq!(json(source), expected, "{source}");
    }
}

fn strict(source: &str) -> Result<StaticType, CelError> {
    let mut env = Env::new().strict_numbers(true);
    env.declare("event");
    let meta = env.declare("meta");
    env.declare_field(meta, "version", TypeValue::Int);
    let list = StaticType::list(StaticType::Known(TypeValue::String));
    env.declare_field_typed(meta, "tags", list);
    env.declare_whole("half", StaticType::Known(TypeValue::Decimal));
    env.declare_whole("any", StaticType::Dyn);
    compile(&parse(source).expect(source), &mut env).map(|program| program.static_type().clone())
}

#[test]
fn strict_division_needs_known_types() {
    for source in [
        "size(event.list) / 2",
        "meta.version / 2",
        "meta.tags.size() % 2",
        "meta.tags.map(t, size(t) / 2)",
        "decimal(event.a) / 3",
        "int(event.i) % 2",
        "half / 2",
        "1.5 / 2",
        "[1, 2].map(x, x / 2)",
        "{'a': 1}.a / 2",
        "cel.bind(x, decimal(event.a), x / 2)",
        "[decimal(1)].map(x, x)[0] / 2",
        "(event.s == 'x' ? 1 : 2) / 2",
        "optional.of(4).orValue(2) / 2",
        "round(event.a, 2) / 4",
    ] {
        assert!(strict(source).is_ok(), "{source}: {:?}", strict(source));
    }
    for (source, operand) in [
        ("event.a / 2", "event.a"),
        ("2 / event.a", "event.a"),
        ("event.a % 2", "event.a"),
        ("event.list.map(x, x / 2)", "x"),
        ("cel.bind(x, event.a, x / 2)", "x"),
        ("any / 2", "any"),
        ("(event.a + 1) / 2", "event.a + 1"),
        ("dyn(1) / 2", "dyn(1)"),
        ("[1, 2.5].map(x, x / 2)", "x"),
        ("event.?a.orValue(1) / 2", "event.?a.orValue(1)"),
        ("meta.other / 2", "meta.other"),
    ] {
        let error = strict(source).expect_err(source);
        assert_eq!(error.hint, Some("write decimal(..) or int(..) around it"), "{source}");
        assert_eq!(&source[error.offset..error.end], operand, "{source}");
    }
}

#[test]
fn strict_double_literals_have_15_digits() {
    assert!(strict("event.a * 1.23456789012345").is_ok());
    assert!(strict("event.a * 1.2345678901234500000").is_ok());
    assert!(strict("event.a * 0.00000123456789012345").is_ok());
    let error = strict("event.a * 1.234567890123456").expect_err("16 digits");
    assert_eq!(error.hint, Some("write decimal('...') for more"));
    assert!(error.to_string().contains("decimal('...')"), "{error}");
}

#[test]
fn strict_names_are_known() {
    for source in ["nothing", "event.a + nothing.b", "unknown(1)", "event.a.unknown()"] {
        assert!(strict(source).is_err(), "{source}");
    }
    assert!(strict("event.a.trim(1)").is_err_and(|error| error.message.contains("trim")));
}
