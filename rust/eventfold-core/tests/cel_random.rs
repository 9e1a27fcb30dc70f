//! Goal: no expression makes the engine panic, and every result that has a JSON form reads back
//! as the same text; no error shows a value.
//! Method: random expressions over every function, macro and operator, on random JSON.

use std::collections::BTreeMap;

use eventfold_core::cel::{Budget, Env, MapScope, Program, compile, parse};
use eventfold_core::json::scan::scan_value;
use eventfold_core::json::write::{to_json_value, write_value};
use eventfold_core::value::Value;
use proptest::prelude::*;

const MEMBERS: [&str; 47] = [
    "size",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "lowerAscii",
    "upperAscii",
    "replace",
    "split",
    "substring",
    "trim",
    "join",
    "reverse",
    "format",
    "flatten",
    "slice",
    "sort",
    "distinct",
    "first",
    "last",
    "unwrapOpt",
    "hasValue",
    "value",
    "or",
    "orValue",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfYear",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "a",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "sortBy",
    "optMap",
    "optFlatMap",
];

const GLOBALS: [&str; 38] = [
    "size",
    "bool",
    "int",
    "uint",
    "double",
    "decimal",
    "string",
    "bytes",
    "timestamp",
    "duration",
    "type",
    "dyn",
    "round",
    "roundHalfUp",
    "strings.quote",
    "math.greatest",
    "math.least",
    "math.ceil",
    "math.floor",
    "math.round",
    "math.trunc",
    "math.abs",
    "math.sign",
    "math.sqrt",
    "math.isNaN",
    "math.isInf",
    "math.isFinite",
    "math.bitAnd",
    "math.bitOr",
    "math.bitXor",
    "math.bitNot",
    "math.bitShiftLeft",
    "math.bitShiftRight",
    "lists.range",
    "base64.encode",
    "base64.decode",
    "optional.of",
    "optional.ofNonZeroValue",
];

const LEAVES: [&str; 40] = [
    "x",
    "event",
    "event.a",
    "event.s",
    "event.l",
    "event.?b",
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "3",
    "100",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615u",
    "2u",
    "0.1",
    "-2.5",
    "1e300",
    "1e-320",
    "0.0",
    "decimal('9999999999999999999999999999')",
    "decimal('1e-6000')",
    "''",
    "'aé🐱a'",
    "'%s %d %.2f %x'",
    "'2024-02-29T23:59:59.5Z'",
    "'-1.5h'",
    "'Europe/Berlin'",
    "b'\\xff'",
    "[]",
    "[1, 2.5, 3u]",
    "['a', 'b']",
    "{}",
    "{'a': 1, 2: 'b'}",
    "optional.none()",
    "timestamp('9999-12-31T23:59:59Z')",
    "duration('2562047h')",
];

fn expression() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(&LEAVES[..]).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let args = proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            (proptest::sample::select(&GLOBALS[..]), args.clone())
                .prop_map(|(name, args)| format!("{name}({})", args.join(", "))),
            (inner.clone(), proptest::sample::select(&MEMBERS[..]), args)
                .prop_map(|(x, name, args)| format!("({x}).{name}({})", args.join(", "))),
            (inner.clone(), proptest::sample::select(&MEMBERS[..]), inner.clone())
                .prop_map(|(x, name, body)| format!("({x}).{name}(x, {body})")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("[{x}, {y}]")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("{{{x}: {y}}}")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("({x})[{y}]")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("({x})[?{y}]")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(x, y, z)| format!("({x}) ? ({y}) : ({z})")),
            (inner.clone(), inner.clone())
                .prop_map(|(x, y)| format!("({x}).transformMap(x, y, {y})")),
            inner.clone().prop_map(|x| format!("-({x})")),
            (
                inner.clone(),
                proptest::sample::select(
                    &["+", "-", "*", "/", "%", "<", ">=", "==", "!=", "in", "&&", "||"][..],
                ),
                inner,
            )
                .prop_map(|(x, operator, y)| format!("({x}) {operator} ({y})")),
        ]
    })
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?(e-?[0-9]{1,4})?",
        "\"qzq[a-zé]{0,5}\"",
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            inner.prop_map(|value| format!("{{\"a\":{value}}}")),
        ]
    })
}

/// A part of every text of the event, which no error may show.
const SECRET: &str = "qzq";

fn check(source: &str, event: &str) -> Result<(), TestCaseError> {
    let Ok(event) = scan_value(event.as_bytes()) else {
        return Err(TestCaseError::fail(format!("not scanned: {event}")));
    };
    let values = BTreeMap::from([("event".to_owned(), event), ("x".to_owned(), Value::Int(1))]);
    let mut env = Env::new().lenient_names(true);
    env.declare("event");
    env.declare("x");
    let Ok(program) = compile(&parse(source).expect(source), &mut env) else {
        return Ok(());
    };
    let scope = MapScope::new(&env, &values);
    let value = match program.eval(&scope, &mut Budget::new(20_000)) {
        Ok(value) => value,
        Err(error) => {
            prop_assert!(!error.message.contains(SECRET), "{}: {}", source, error);
            prop_assert!(error.offset.is_some_and(|offset| offset < source.len()), "{}", source);
            return Ok(());
        }
    };
    let mut direct = Vec::new();
    let written = write_value(&value, &mut direct);
    match to_json_value(value) {
        Err(_) => prop_assert!(written.is_err(), "{}", source),
        Ok(value) => {
            prop_assert!(value.is_json(), "{}", source);
            let mut out = Vec::new();
            prop_assert!(write_value(&value, &mut out).is_ok());
            prop_assert_eq!(&out, &direct, "{}", source);
            let again = scan_value(&out).expect("what was written");
            let mut second = Vec::new();
            prop_assert!(write_value(&again, &mut second).is_ok());
            prop_assert_eq!(&out, &second, "{}", source);
            // A state that was kept as a text has the types of one that was kept as a value.
            prop_assert_eq!(types(&value), types(&again), "{}", source);
        }
    }
    Ok(())
}

fn types(value: &Value) -> String {
    match value {
        Value::List(list) => format!("{:?}", list.iter().map(types).collect::<Vec<_>>()),
        Value::Map(map) => {
            format!("{:?}", map.iter().map(|(_, value)| types(value)).collect::<Vec<_>>())
        }
        other => other.type_name().to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn random_expressions_do_no_harm(
        source in expression(),
        a in json(),
        s in "qzq[a-zé🐱%. ]{0,6}",
        list in json(),
    ) {
        check(&source, &format!("{{\"a\":{a},\"s\":\"{s}\",\"l\":[{list},2,2.0]}}"))?;
    }
}

#[test]
fn programs_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Program>();
    crosses::<Value>();
    crosses::<Env>();
}
