//! Goal: no expression overflows the stack, runs without end or builds without bound.
//! Method: the worst sources that fit 4 KiB go through every walk in a thread with a small
//! stack, and through budgets.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use eventfold_core::cel::{
    Budget, CelError, EVALUATION_LIMIT, EXPRESSION_TOO_DEEP, EXPRESSION_TOO_LONG, Env, EvalError,
    MapScope, compile, parse,
};
use eventfold_core::json::scan::scan_value;
use eventfold_core::json::write::{to_json_value, write_value};
use eventfold_core::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, JSON_DEPTH_MAX};
use eventfold_core::value::{Map, Value};

const STACK_BYTES: usize = 512 * 1024;

fn on_small_stack<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    thread.expect("a thread").join().expect("no panic")
}

fn evaluate(source: &str, budget: &mut Budget<'_>) -> Result<Value, EvalError> {
    let values = BTreeMap::from([("a".to_owned(), Value::map(Map::new()))]);
    let mut env = Env::new();
    env.declare("a");
    let program = compile(&parse(source).expect("parses"), &mut env).expect("compiles");
    program.eval(&MapScope::new(&env, &values), budget)
}

/// Parses, prints, compiles, evaluates and drops; the error of parsing, if any.
fn everything(source: &str) -> Result<(), CelError> {
    let source = source.to_owned();
    on_small_stack(move || {
        let ast = parse(&source)?;
        let printed = ast.print();
        // Printing adds spaces, so the normal form may be longer than a source may be.
        if printed.len() <= EXPRESSION_BYTES_MAX {
            assert!(parse(&printed).is_ok_and(|again| again == ast), "{printed}");
        }
        let values = BTreeMap::from([("a".to_owned(), Value::map(Map::new()))]);
        let mut env = Env::new().lenient_names(true);
        env.declare("a");
        let program = compile(&ast, &mut env)?;
        let result = program.eval(&MapScope::new(&env, &values), &mut Budget::default());
        if let Ok(value) = result {
            let _ = write_value(&value, &mut Vec::new());
            let _ = to_json_value(value);
        }
        Ok(())
    })
}

/// `open` repeated, `middle`, `close` repeated.
fn nested(open: &str, middle: &str, close: &str, levels: usize) -> String {
    format!("{}{middle}{}", open.repeat(levels), close.repeat(levels))
}

const NESTINGS: [(&str, &str, &str); 18] = [
    ("(", "1", ")"),
    ("[", "1", "]"),
    ("{1:", "1", "}"),
    ("size([", "1", "])"),
    ("-(", "1", ")"),
    ("!", "true", ""),
    ("1+(1*", "1", ")"),
    ("(1*(1+(1<", "1", ")))"),
    ("true ? 1 : ", "2", ""),
    ("(true ? ", "1", " : 2)"),
    ("a[", "1", "]"),
    ("[1].map(x,", "x", ")"),
    ("[1].transformMap(x, y,", "x", ")"),
    ("cel.bind(x, 1,", "x", ")"),
    ("optional.of(", "1", ")"),
    ("(true && (false ||", "true", "))"),
    ("[1].exists(x,", "x", ")"),
    ("1 in [", "1", "]"),
];

#[test]
fn nesting_is_refused_beyond_the_limit_and_safe_below_it() {
    for (open, middle, close) in NESTINGS {
        for levels in [1, 15, 23, 24, 31, 32, 47, 48, 94, 95, 96, 97, 300] {
            let source = nested(open, middle, close, levels);
            if source.len() > EXPRESSION_BYTES_MAX {
                continue;
            }
            let result = everything(&source);
            if levels > EXPRESSION_DEPTH_MAX {
                let error = result.expect_err(&source);
                assert_eq!(error.reason, EXPRESSION_TOO_DEEP, "{source}");
            }
        }
        assert_eq!(everything(&nested(open, middle, close, 15)), Ok(()), "{open}");
    }
}

#[test]
fn chains_are_safe() {
    for (first, link) in [
        ("a", ".a"),
        ("a", "[0]"),
        ("a", ".a()"),
        ("a", ".?a"),
        ("a", ".or(a)"),
        ("1", "==1"),
        ("1", "?1:1"),
    ] {
        let count = (EXPRESSION_BYTES_MAX - first.len()) / link.len();
        let error = everything(&format!("{first}{}", link.repeat(count))).expect_err(link);
        assert_eq!(error.reason, EXPRESSION_TOO_DEEP, "{link}");
        assert_eq!(everything(&format!("{first}{}", link.repeat(60))), Ok(()), "{link}");
    }
    // Chains of operators that are joined from the left are flat: as long as the source may be.
    for (first, link) in [
        ("true", "&&true"),
        ("true", "||false"),
        ("1", "+1"),
        ("1", "-1"),
        ("1", "*-1"),
        ("9", "/1"),
        ("1", "+1*2"),
        ("a", "+a"),
        ("''", "+'a'"),
        ("[]", "+[1]"),
        ("b''", "+b'a'"),
        ("(1", "+1)+(1"),
    ] {
        let count = (EXPRESSION_BYTES_MAX - first.len() - 1) / link.len();
        let end = if first.starts_with('(') { ")" } else { "" };
        let source = format!("{first}{}{end}", link.repeat(count));
        assert_eq!(everything(&source), Ok(()), "{link}");
    }
}

#[test]
fn length_is_checked_first() {
    let error = parse(&"(".repeat(EXPRESSION_BYTES_MAX + 1)).expect_err("too long");
    assert_eq!(error.reason, EXPRESSION_TOO_LONG);
    for open in ["(", "[", "{", "-", "!", "a.", "a?", "'", "b\"\\", "1e", "0x", "`", "/", "&"] {
        let source = open.repeat(EXPRESSION_BYTES_MAX / open.len());
        assert!(everything(&source).is_err(), "{open}");
    }
}

#[test]
fn evaluation_ends() {
    let triple = "lists.range(200).map(x, lists.range(200).map(y, lists.range(200).map(z, x+y+z)))";
    for source in [
        triple,
        "lists.range(100000000)",
        "lists.range(1000).map(x, lists.range(1000)).flatten().size()",
        "lists.range(5000).map(x, string(x)).distinct()",
        "lists.range(200000).sort().sort().sort()",
    ] {
        let error = evaluate(source, &mut Budget::default()).expect_err(source);
        assert_eq!(error.reason, EVALUATION_LIMIT, "{source}");
    }
    assert!(evaluate("lists.range(1000).all(x, x < 1000)", &mut Budget::default()).is_ok());
    assert!(evaluate("1 + 2", &mut Budget::new(3)).is_ok());
    assert!(evaluate("1 + a.size()", &mut Budget::new(1)).is_err());
}

#[test]
fn a_spent_budget_is_not_absorbed() {
    let long = "lists.range(1000).all(x, lists.range(1000).size() == 1000)";
    for source in [format!("{long} || true"), format!("[1].exists(x, x == 1 && {long})")] {
        let error = evaluate(&source, &mut Budget::new(10_000)).expect_err(&source);
        assert_eq!(error.reason, EVALUATION_LIMIT, "{source}");
    }
}

#[test]
fn texts_and_lists_are_bounded() {
    let mut doubling = "x".to_owned();
    for _ in 0..30 {
        doubling = format!("cel.bind(x, x + x, {doubling})");
    }
    for start in ["'0123456789'", "b'0123456789'", "[0, 1, 2, 3]"] {
        let source = format!("cel.bind(x, {start}, {doubling})");
        let error = evaluate(&source, &mut Budget::default()).expect_err(&source);
        assert_eq!(error.reason, EVALUATION_LIMIT, "{start}");
    }
    let replaced = "'aaaaaaaaaa'.replace('a', 'aaaaaaaaaa')".to_owned()
        + &".replace('a', 'aaaaaaaaaa')".repeat(8);
    let error = evaluate(&replaced, &mut Budget::default()).expect_err("too long");
    assert_eq!(error.reason, EVALUATION_LIMIT);
    let long = "'0123456789'.replace('', 'yyyyyyyyyy').replace('y', 'zzzzzzzzzzzzzzzzzzzzzzzzz')";
    let joined = format!("lists.range(2000).map(x, 'x').join({long})");
    let error = evaluate(&joined, &mut Budget::default()).expect_err("too long");
    assert_eq!(error.reason, EVALUATION_LIMIT);
}

#[test]
fn values_nest_no_deeper_than_allowed() {
    let mut wrapping = "x".to_owned();
    for _ in 0..40 {
        wrapping = format!("cel.bind(x, [[[x]]], {wrapping})");
    }
    let error = evaluate(&format!("cel.bind(x, 1, {wrapping})"), &mut Budget::default())
        .expect_err("too deep");
    assert_eq!(error.reason, EVALUATION_LIMIT);
    let deep = evaluate(&nested("[", "1", "]", JSON_DEPTH_MAX + 1), &mut Budget::default());
    let error = to_json_value(deep.expect("a value")).expect_err("too deep");
    assert_eq!(error.reason, EVALUATION_LIMIT);
    let text = nested("[", "1", "]", JSON_DEPTH_MAX);
    assert!(scan_value(text.as_bytes()).is_ok());
    let text = nested("[", "1", "]", 1_000_000);
    on_small_stack(move || assert!(scan_value(text.as_bytes()).is_err()));
}

#[test]
fn cancellation_ends_an_evaluation() {
    let cancelled = AtomicBool::new(true);
    let mut budget = Budget::default().with_cancel(&cancelled);
    let error = evaluate("lists.range(5000).map(x, x + 1)", &mut budget).expect_err("cancelled");
    assert_eq!(error.reason, EVALUATION_LIMIT);
}
