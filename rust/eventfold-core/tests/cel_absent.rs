//! Goal: expressions are total over values that are absent: whatever stands where, there is no
//! error, and what comes out follows one rule for each kind of operator.
//! Method: a table of expressions with what they give, as JSON with the words of absent values.

use std::collections::BTreeMap;

use eventfold_core::cel::{Budget, Env, MapScope, compile, parse};
use eventfold_core::json::scan::scan_value;
use eventfold_core::json::write::write_value;
use eventfold_core::value::Value;

const EVENT: &str = r#"{"name": erased, "hint": withheld, "list": [1, erased, 3], "n": 2,
    "map": {"a": erased, "b": 1}, "tags": ["b", withheld, "a"]}"#;

fn evaluate(source: &str) -> String {
    let event = scan_value(EVENT.as_bytes()).expect("words are read");
    let values = BTreeMap::from([
        ("event".to_owned(), event),
        ("x".to_owned(), scan_value(b" erased ").expect("a word")),
        ("w".to_owned(), scan_value(b"withheld").expect("a word")),
    ]);
    let mut env = Env::new();
    for name in ["event", "x", "w"] {
        env.declare(name);
    }
    let program = compile(&parse(source).expect(source), &mut env)
        .unwrap_or_else(|error| panic!("{}", error.show(source)));
    let value = program.eval(&MapScope::new(&env, &values), &mut Budget::default());
    let value = value.unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut text = Vec::new();
    let value = match value {
        Value::Optional(Some(inner)) => Value::list(vec!["optional".into(), (*inner).clone()]),
        Value::Type(kind) => kind.name().into(),
        value => value,
    };
    write_value(&value, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn assert_table(table: &[(&str, &str)]) {
    for (source, expected) in table {
        assert_eq!(evaluate(source), *expected, "{source}");
    }
}

#[test]
fn operators_that_give_values() {
    assert_table(&[
        ("x", "erased"),
        ("event.hint", "withheld"),
        ("x + 1", "erased"),
        ("1 - x", "erased"),
        ("'a' + w", "withheld"),
        ("x * w", "erased"),
        ("w / x", "erased"),
        ("w % 2", "withheld"),
        ("[1] + x", "erased"),
        ("1 + 2 + w + 3", "withheld"),
        ("timestamp('2024-01-01T00:00:00Z') - w", "withheld"),
        ("-x", "erased"),
        ("x.field", "erased"),
        ("event.name.first.second", "erased"),
        ("x['k']", "erased"),
        ("event.map[x]", "erased"),
        ("event.list[w]", "withheld"),
        ("5[w]", "withheld"),
        ("w[x]", "erased"),
        ("event.list[1]", "erased"),
        ("event.?name", r#"["optional",erased]"#),
        ("x.?field", r#"["optional",erased]"#),
        ("x[?'k']", r#"["optional",erased]"#),
        ("event.map[?w]", r#"["optional",withheld]"#),
        ("optional.none()[?w].hasValue()", "false"),
        ("x.?field.orValue(1)", "erased"),
        ("event.?missing.orValue(x)", "erased"),
        ("optional.none().or(x)", "erased"),
        ("x.orValue(1)", "erased"),
        ("x.or(optional.of(1))", "erased"),
        ("x.optMap(v, 1)", "erased"),
        ("x.optFlatMap(v, optional.of(1))", "erased"),
        ("event.?n.optFlatMap(v, x)", "erased"),
        ("event.?name.optMap(v, v + 'b')", r#"["optional",erased]"#),
        ("true ? x : 1", "erased"),
        ("cel.bind(a, x, [a, a])", "[erased,erased]"),
    ]);
}

#[test]
fn operators_that_give_truth() {
    assert_table(&[
        ("x == x", "false"),
        ("x == null", "false"),
        ("x != x", "true"),
        ("x != 'a'", "true"),
        ("[x] == [x]", "false"),
        ("{'a': x} != {'a': x}", "true"),
        ("x < 1", "false"),
        ("1 >= w", "false"),
        ("x <= x", "false"),
        ("'a' > w", "false"),
        ("1 in x", "false"),
        ("x in [x]", "false"),
        ("x in event.map", "false"),
        ("x in 5", "false"),
        ("!x", "true"),
        ("x && true", "false"),
        ("true && w", "false"),
        ("x || true", "true"),
        ("x || w", "false"),
        ("x ? 1 : 2", "2"),
        ("has(event.name)", "true"),
        ("has(event.name.first)", "true"),
        ("has(event.missing)", "false"),
        ("event.name.matches('a+')", "false"),
        ("event.name.matches(event.hint)", "false"),
        ("event.name.startsWith('a')", "false"),
        ("event.?name.hasValue()", "true"),
        ("size(x)", "0"),
        ("x.size()", "0"),
        ("type(x)", r#""null_type""#),
    ]);
}

#[test]
fn absence_can_be_told() {
    assert_table(&[
        ("erased(x)", "true"),
        ("erased(w)", "false"),
        ("withheld(w)", "true"),
        ("withheld(x)", "false"),
        ("erased(null)", "false"),
        ("erased(event.?name)", "true"),
        ("erased(event.?missing)", "false"),
        ("erased(event.list)", "false"),
        ("erased(event.list[1])", "true"),
        ("erased(event.name + event.hint)", "true"),
    ]);
}

/// There are no items in what is absent; absent items are items.
#[test]
fn macros() {
    assert_table(&[
        ("x.all(i, false)", "true"),
        ("x.exists(i, true)", "false"),
        ("x.exists_one(i, true)", "false"),
        ("x.map(i, i)", "[]"),
        ("x.filter(i, true)", "[]"),
        ("x.transformList(k, v, v)", "[]"),
        ("x.transformMap(k, v, v)", "{}"),
        ("x.transformMapEntry(k, v, {k: v})", "{}"),
        ("x.sortBy(i, i)", "[]"),
        ("event.list.map(i, i)", "[1,erased,3]"),
        ("event.list.map(i, i * 2)", "[2,erased,6]"),
        ("event.list.filter(i, i > 0)", "[1,3]"),
        ("event.list.filter(i, !erased(i))", "[1,3]"),
        ("[x, true].map(i, i, 1)", "[1]"),
        ("event.list.exists(i, i == 3)", "true"),
        ("event.list.all(i, i)", "false"),
        ("event.list.exists_one(i, erased(i))", "true"),
        ("event.list.transformMap(i, v, v)", r#"{"0":1,"1":erased,"2":3}"#),
        ("event.list.transformMapEntry(i, v, x)", "{}"),
        ("event.list.transformMapEntry(i, v, {v: i})", r#"{"1":0,"3":2}"#),
        ("event.list.sortBy(i, -i)", "[3,1,erased]"),
        ("event.tags.sortBy(t, x)", r#"["b",withheld,"a"]"#),
    ]);
}

#[test]
fn lists_and_maps_hold_what_is_absent() {
    assert_table(&[
        ("[x, 1, w]", "[erased,1,withheld]"),
        ("[?event.?name, ?event.?missing]", "[erased]"),
        ("[?x]", "[erased]"),
        ("{'a': x, ?'b': x}", r#"{"a":erased,"b":erased}"#),
        ("{x: 1, 'b': 2}", r#"{"b":2}"#),
        ("event.list.sort()", "[1,3,erased]"),
        ("event.tags.sort()", r#"["a","b",withheld]"#),
        ("event.list.reverse()", "[3,erased,1]"),
        ("[x, x, 1, 1].distinct()", "[erased,erased,1]"),
        ("[[x], [1]].flatten()", "[erased,1]"),
        ("event.list.slice(0, 2)", "[1,erased]"),
        ("event.list.last()", r#"["optional",3]"#),
        ("[x].first()", r#"["optional",erased]"#),
        ("size(event.list)", "3"),
        ("optional.unwrap([optional.of(1), x])", "[1,erased]"),
        ("event.map", r#"{"a":erased,"b":1}"#),
        // What is made of all items of a list is absent if one of them is.
        ("math.greatest(event.list)", "erased"),
        ("event.tags.join(',')", "withheld"),
        ("'%s and %d'.format([[x], 1])", "erased"),
        ("'%s'.format([event.n])", r#""2""#),
    ]);
}
