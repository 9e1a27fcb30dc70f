//! Goal: functions and macros beyond the specification's cases behave as documented, and errors
//! say what failed and where, without values.
//! Method: expressions that must be true, and expressions that must fail with a message.

use std::collections::BTreeMap;

use eventfold_core::cel::{Budget, Env, EvalError, MapScope, compile, parse};
use eventfold_core::json::scan::scan_value;
use eventfold_core::value::Value;

fn evaluate(source: &str) -> Result<Value, EvalError> {
    let event = scan_value(br#"{"name":"Ada","tags":["b","a"],"at":"2024-03-10T01:30:00Z"}"#);
    let values = BTreeMap::from([("event".to_owned(), event.expect("JSON"))]);
    let mut env = Env::new();
    env.declare("event");
    let program = compile(&parse(source).expect(source), &mut env)
        .unwrap_or_else(|error| panic!("{}", error.show(source)));
    program.eval(&MapScope::new(&env, &values), &mut Budget::default())
}

fn assert_true(sources: &[&str]) {
    for source in sources {
        let value = evaluate(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert!(matches!(value, Value::Bool(true)), "{source} is {value:?}");
    }
}

#[test]
fn lists() {
    assert_true(&[
        "lists.range(3) == [0, 1, 2]",
        "lists.range(-1) == []",
        "[[1], [2, [3]]].flatten() == [1, 2, [3]]",
        "[[1], [2, [3]]].flatten(2) == [1, 2, 3]",
        "[1, 2, 3, 4].slice(1, 3) == [2, 3]",
        "[3, 1.5, 2u].sort() == [1.5, 2u, 3]",
        "['b', 'a', 'c'].sort() == ['a', 'b', 'c']",
        "[[2, 'x'], [1, 'y'], [2, 'z']].sortBy(e, e[0]).map(e, e[1]) == ['y', 'x', 'z']",
        "lists.range(100).reverse().sort() == lists.range(100)",
        "[1, 1.0, 1u, 'a', 'a', null].distinct() == [1, 'a', null]",
        "[1, 2, 3].reverse() == [3, 2, 1]",
        "'añb'.reverse() == 'bña'",
        "[1, 2].first().value() == 1 && [1, 2].last().value() == 2 && !([].first().hasValue())",
        "event.tags.sort().join(',') == 'a,b'",
        "event.tags[?5].orValue('none') == 'none'",
        "[optional.of(1), optional.none()].unwrapOpt() == [1]",
        "optional.unwrap([optional.none(), optional.of('x')]) == ['x']",
    ]);
}

#[test]
fn macros() {
    assert_true(&[
        "[1, 2, 3].map(x, x > 1, x * 10) == [20, 30]",
        "{'a': 1, 'b': 2}.map(k, k) == ['a', 'b']",
        "{'b': 1, 'a': 2}.transformList(k, v, k + string(v)) == ['b1', 'a2']",
        "[5, 6].transformList(i, v, i > 0, i + v) == [7]",
        "[5, 6].transformMap(i, v, v * 2) == {0: 10, 1: 12}",
        "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v) == {'b': 2}",
        "{'a': 'x', 'b': 'y'}.transformMapEntry(k, v, {v: k}) == {'x': 'a', 'y': 'b'}",
        "[1, 2].all(i, v, v == i + 1) && [1, 2].exists(i, v, i == 1 && v == 2)",
        "[1, 2, 2].existsOne(i, v, v == 1) && ![1, 2, 2].exists_one(v, v == 2)",
        "[1].map(x, [2].map(y, x + y)) == [[3]]",
        "[1].map(x, [2].map(x, x)) == [[2]]",
        "cel.bind(a, 1, cel.bind(b, a + 1, a + b)) == 3",
        "[0, 2].exists(x, 4 / x == 2)",
        "![0, 2].all(x, 4 / x == 5)",
        "event.?name.optMap(n, n + '!').orValue('') == 'Ada!'",
        "event.?nick.or(event.?name).value() == 'Ada'",
        "optional.of(1).orValue(1 / 0) == 1",
        "{?'a': event.?name, ?'b': event.?nick} == {'a': 'Ada'}",
        "[?event.?name, ?event.?nick] == ['Ada']",
    ]);
}

#[test]
fn times() {
    assert_true(&[
        "timestamp(event.at).getHours('America/New_York') == 20",
        "timestamp('2024-03-10T07:30:00Z').getHours('America/New_York') == 3",
        "timestamp('2024-02-29T00:00:00Z').getDayOfYear() == 59",
        "timestamp('2024-12-31T23:59:59Z').getDayOfYear() == 365",
        "timestamp('0001-01-01T00:00:00Z').getDayOfWeek() == 1",
        "timestamp('2000-02-29T00:00:00Z') + duration('24h') == timestamp('2000-03-01T00:00:00Z')",
        "timestamp('1969-12-31T23:59:59.5Z').getMilliseconds() == 500",
        "string(timestamp('1969-12-31T23:59:59.5Z')) == '1969-12-31T23:59:59.5Z'",
        "timestamp('2024-01-01T00:00:00-03:30') == timestamp('2024-01-01T03:30:00Z')",
        "timestamp('2024-01-01T00:00:00Z').getMinutes('-03:30') == 30",
        "string(duration('1h30m1.5s')) == '5401.5s' && duration('90m').getHours() == 1",
        "duration('1ms') < duration('2ms') && duration('-1s') == -duration('1s')",
        "int(timestamp(1700000000)) == 1700000000",
    ]);
    for source in [
        "timestamp('2023-02-29T00:00:00Z')",
        "timestamp('2024-01-01')",
        "timestamp('2024-01-01T24:00:00Z')",
        "timestamp('2024-01-01 00:00:00Z')",
        "timestamp('0000-01-01T00:00:00Z')",
        "timestamp(event.at).getHours('Nowhere/City')",
        "duration('1')",
        "duration('')",
        "duration('1y')",
    ] {
        assert!(evaluate(source).is_err(), "{source}");
    }
}

#[test]
fn texts() {
    assert_true(&[
        "'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'é🐱'.split('') == ['é', '🐱']",
        "'abc'.replace('', '-') == '-a-b-c-'",
        "'aXbX'.replace('X', 'yy', 1) == 'ayybX'",
        "'é🐱x'.charAt(1) == '🐱' && 'é🐱x'.substring(1, 2) == '🐱'",
        "size('é🐱x') == 3",
        "'Ada' in ['Ada'] && 'name' in event && !('nick' in event)",
        "event.name.matches('^A[a-z]+$') && event.name.matches('^' + 'A')",
        "'%s %d %.1f %e'.format(['a', 5, 2.25, 1500.0]) == 'a 5 2.2 1.500000e+03'",
        "'%b %o %x'.format([5, 8, 255]) == '101 10 ff'",
        "'%s'.format([{'b': [1, null], 'a': true}]) == '{a: true, b: [1, null]}'",
        "string(1e21) == '1e+21' && string(0.1) == '0.1' && string(1e-7) == '1e-07'",
        "base64.encode(b'hi') == 'aGk=' && base64.decode('aGk') == b'hi'",
        "bytes('é') == b'\\xc3\\xa9' && string(b'\\xc3\\xa9') == 'é'",
        "'a' + 'b' == 'ab' && b'a' + b'b' == b'ab'",
        "bool('true') && uint('7') == 7u && double('1e3') == 1000.0 && int('-7') == -7",
    ]);
}

#[test]
fn errors_name_the_place_and_no_value() {
    for (source, offset, message) in [
        ("1 + event.nick", 4, "there is no field `nick`"),
        ("event.name + 1", 0, "`+` does not take (string, int)"),
        ("true && event.name.size()", 8, "`&&` takes bools, not int"),
        ("[1, 2].map(x, x / (x - 1))", 14, "division by zero"),
        ("event.tags[5]", 0, "the index lies beyond the list"),
        ("event['tags']['x']", 0, "a string is no index of a list"),
        ("int(event.name)", 0, "`int` cannot read the text"),
        ("event.name.first()", 0, "`first` does not take (string)"),
        ("{'a': 1, 'a': 2}", 0, "the map has a key twice"),
        ("event.name ? 1 : 2", 0, "`? :` does not take (string)"),
        ("event.name.x", 0, "a string has no field `x`"),
        ("optional.none().value()", 0, "`value()` of an optional that holds nothing"),
    ] {
        let error = evaluate(source).expect_err(source);
        assert_eq!((error.offset, &error.message[..]), (Some(offset), message), "{source}");
    }
}

#[test]
fn mistakes_are_found_when_compiling() {
    for (source, message) in [
        ("event.name.size(1)", "`size` is not called with these arguments"),
        ("sizes(event)", "there is no function `sizes`"),
        ("events.name", "there is no variable `events`"),
        ("[1].map(x.y, 1)", "the variable of a macro is a plain name"),
        ("[1].all(x, x, true)", "the two variables have one name"),
        ("has(event)", "`has` takes a field, as in has(a.b)"),
        (
            "event.name.matches('(')",
            "the pattern of `matches` is not a regular expression, or is too large",
        ),
        (
            "event.name.matches('((a{100}){100}){100}')",
            "the pattern of `matches` is not a regular expression, or is too large",
        ),
        ("99999999999999999999", "the int leaves 64 bits"),
        ("1e999", "the double is out of range"),
    ] {
        let mut env = Env::new();
        env.declare("event");
        let error = compile(&parse(source).expect(source), &mut env).expect_err(source);
        assert_eq!(error.message, message, "{source}");
    }
    for source in [
        "if",
        "event.",
        "a b",
        "1 +",
        "(1",
        "[1",
        "{1}",
        "'x",
        "a = 1",
        "a & b",
        "1u.",
        "Msg{a: 1}",
        "'\\q'",
    ] {
        assert!(parse(source).is_err(), "{source}");
    }
}
