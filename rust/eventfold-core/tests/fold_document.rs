//! Fold documents: what is accepted, what is refused and where, and what the digest covers.

use eventfold_core::error::CoreError;
use eventfold_core::fold::{Fold, Keep};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn parse(source: &str) -> Fold {
    Fold::parse(source).unwrap_or_else(|error| panic!("{source}\n{error} {:?}", error.facts))
}

fn refuse(source: &str) -> CoreError {
    match Fold::parse(source) {
        Ok(_) => panic!("must be refused:\n{source}"),
        Err(error) => error,
    }
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// Asserts that a document is refused at a place, with this text in the problem.
fn refused_at(source: &str, line: usize, column: usize, problem: &str) -> CoreError {
    let error = refuse(source);
    let found = (fact(&error, "line"), fact(&error, "column"));
    assert_eq!(error.reason, "INVALID_FOLD", "{source}\n{error}");
    assert_eq!(found, (&*line.to_string(), &*column.to_string()), "{source}\n{error}");
    assert!(fact(&error, "problem").contains(problem), "{error} lacks `{problem}`");
    let excerpt: Vec<&str> = fact(&error, "excerpt").split('\n').collect();
    assert!(excerpt.len() == 2 && excerpt[1].ends_with('^'), "{excerpt:?}");
    error
}

#[test]
fn what_a_document_says() {
    let fold = parse(
        "# A comment\nfold: a.b-c_1\ninitial: {x: [1, 2.50, 'y', ~, True]}\nkeep: {every: 500}\n\
         skip_cancelled: true\nhandlers:\n  B: {}\n  A: delete\n  $Closed: 'delete'\n",
    );
    assert_eq!(fold.name(), "a.b-c_1");
    assert_eq!(fold.event_types(), ["B", "A", "$Closed"]);
    assert_eq!(fold.initial(), br#"{"x":[1,2.50,"y",null,true]}"#);
    assert_eq!((fold.keep(), fold.skip_cancelled()), (Keep::Every(500), true));
    let bare = parse("fold: a");
    assert_eq!((bare.initial(), bare.keep()), (b"{}".to_vec(), Keep::Unsaid));
    for off in ["off", "false", "'off'"] {
        assert_eq!(parse(&format!("fold: a\nkeep: {off}")).keep(), Keep::Off);
    }
}

#[test]
fn literals_follow_the_core_schema() {
    for (written, json) in [
        ("1.10", "1.10"),
        ("+5", "5"),
        ("-0", "-0"),
        ("007", "7"),
        (".5", "0.5"),
        ("1.", "1.0"),
        ("-1e3", "-1e3"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("99999999999999999999", "99999999999999999999"),
        ("null", "null"),
        ("NULL", "null"),
        ("yes", r#""yes""#),
        ("1_000", r#""1_000""#),
        ("0b1", r#""0b1""#),
        ("1e", r#""1e""#),
        (".", r#"".""#),
        ("'1'", r#""1""#),
        ("2020-01-01", r#""2020-01-01""#),
        ("\"\\u00e9\\n\"", "\"é\\n\""),
        ("|\n    a\n    b", r#""a\nb\n""#),
        ("[]", "[]"),
        ("<<", r#""<<""#),
    ] {
        let fold = parse(&format!("fold: a\ninitial:\n  x: {written}\n"));
        let expected = format!(r#"{{"x":{json}}}"#);
        assert_eq!(String::from_utf8(fold.initial()).unwrap(), expected, "{written}");
    }
    refused_at("fold: a\ninitial: {x: .inf}", 2, 14, "infinities");
    refused_at("fold: a\ninitial: .NaN", 2, 10, "NaN");
}

#[test]
fn json_is_read_too() {
    let source = "{\n\t\"fold\":\t\"a\",\n\t\"initial\": {\"\\ud83d\\ude00\\t\": \"\\/\\u00e9\"},\n\
                  \t\"handlers\": {\"E\": {\"x\": \"'\\ud83d\\ude00'\", \"y\": 1.0}}\n}";
    let fold = parse(source);
    assert_eq!(String::from_utf8(fold.initial()).unwrap(), "{\"😀\\t\":\"/é\"}");
    let yaml = "fold: b\ninitial: {\"😀\\t\": /é}\nhandlers: {E: {x: \"'😀'\", y: 1.0}}";
    assert_eq!(fold.digest(), parse(yaml).digest());
    let error = refuse("{\n\t\"fold\": \"a\",\n\t\"nope\": 1\n}");
    assert_eq!((fact(&error, "line"), fact(&error, "column")), ("3", "2"));
}

#[test]
fn refusals_have_their_place() {
    let handlers = |lines: &str| format!("fold: a\nhandlers:\n  E:\n{lines}");
    refused_at("", 1, 1, "empty");
    refused_at("[]", 1, 1, "mapping");
    refused_at("initial: {}", 1, 1, "`fold`");
    refused_at("fold: a\nfold: b", 2, 1, "stands twice");
    refused_at("fold: a b", 1, 7, "name of a fold");
    refused_at("fold: a\nnope: 1", 2, 1, "no key `nope`");
    refused_at("fold: a\nkeep: {every: 0}", 2, 15, "`keep`");
    refused_at("fold: a\nskip_cancelled: 1", 2, 17, "true or false");
    refused_at("fold: a\n---\nfold: b", 2, 1, "one document");
    refused_at("fold: a\ninitial: &x {a: 1}", 2, 10, "anchors");
    refused_at("fold: a\ninitial: {a: *x}", 2, 14, "");
    refused_at("fold: a\ninitial: !!str x", 2, 10, "tags");
    refused_at("fold: a\ninitial: {a: \"\\0\"}", 2, 14, "NUL");
    refused_at("fold: a\ninitial: {[1]: 2}", 2, 11, "key must be a text");
    refused_at("fold: a\nhandlers: []", 2, 11, "maps event types");
    refused_at("fold: a\nhandlers: {E: 5}", 2, 15, "a handler is");
    refused_at(&handlers("    x: event.a +\n"), 4, 17, "");
    refused_at(&handlers("    x: \"event.a + nope\"\n"), 4, 19, "nope");
    refused_at(&handlers("    'x[event.': 1\n"), 4, 7, "not closed");
    refused_at(&handlers("    'a..b': 1\n"), 4, 8, "a path is");
    refused_at(&handlers("    a-b: 1\n"), 4, 6, "a path is");
    refused_at(&handlers("    'x[nope]': 1\n"), 4, 8, "nope");
    refused_at(&handlers("    a.b: 1\n    a: 2\n"), 5, 5, "same place");
    refused_at(&handlers("    .: 1\n    a: 2\n"), 5, 5, "same place");
    refused_at(&handlers("    \"a['b']\": 1\n    a.b.c: 2\n"), 5, 5, "same place");
    refused_at(&handlers("    \"a[event.x]\": 1\n    'a[ event.x ]': 2\n"), 5, 5, "same place");
    refused_at(&handlers("    when: \"'x'\"\n    a: 1\n"), 4, 11, "true or false");
    refused_at(&handlers("    delete: true\n    a: 1\n"), 4, 5, "not both");
    refused_at(&handlers("    delete: false\n"), 4, 13, "only be true");
    refused_at(&handlers("    let: {state: '1'}\n    a: 1\n"), 4, 11, "name of a `let`");
    refused_at(&handlers("    let: {a b: '1'}\n    a: 1\n"), 4, 11, "name of a `let`");
    refused_at("fold: a\nlet: {x: '1', y: z}\n", 2, 18, "z");
    let shadowed = "fold: a\nlet: {x: '1'}\nhandlers:\n  E: {let: {x: '2'}, a: x}\n";
    refused_at(shadowed, 4, 16, "taken");
    // A `let` of one handler is unknown to others.
    let leaked = "fold: a\nhandlers:\n  E: {let: {v: '2'}, a: v}\n  F: {b: v}\n";
    refused_at(leaked, 4, 10, "v");
    let error = refused_at(&handlers("    x: event.a / 2\n"), 4, 8, "");
    assert_eq!((fact(&error, "handler"), fact(&error, "path")), ("E", "x"));
    let error = refused_at(&handlers("    x: \"0.1234567890123456\"\n"), 4, 9, "15 digits");
    assert!(fact(&error, "hint").contains("decimal('...')"), "{error}");
    let error = refused_at(&handlers("    x: event.y / 2\n"), 4, 8, "operand of `/`");
    assert!(fact(&error, "hint").contains("decimal(..) or int(..)"), "{error}");
}

#[test]
fn places_are_found_in_every_style() {
    let handlers = |lines: &str| format!("fold: a\nhandlers:\n  E:\n{lines}");
    refused_at(&handlers("    x: |\n      event.a +\n      nope\n"), 6, 7, "nope");
    refused_at(&handlers("    x: >\n      event.a + nope\n"), 5, 17, "nope");
    refused_at(&handlers("    x: \"event['é'] + nope\"\n"), 4, 22, "nope");
    refused_at("{\"fold\": \"a\", \"handlers\": {\"E\": {\"x\": \"1 + nope\"}}}", 1, 44, "nope");
    refused_at("fold: a\r\nhandlers:\r\n  E:\r\n    x: nope\r\n", 4, 8, "nope");
    // With escapes the place may only be that of the text.
    refused_at(&handlers("    x: \"\\x6eope\"\n"), 4, 8, "nope");
    refused_at(&handlers("    x: \"\\x31 + nope\"\n"), 4, 16, "nope");
}

#[test]
fn unquoted_expressions_get_a_hint() {
    for line in [
        "x: {a: 1}",
        "x: [1, 2]",
        "x: !event.open",
        "x: *event",
        "x: &event",
        "x: event.a ? 'b': 'c'",
        "x: 'a' + event.b",
        "x: \"a\" + event.b",
        "x: @a",
        "x: %a",
    ] {
        let error = refuse(&format!("fold: a\nhandlers:\n  E:\n    {line}\n    y: 1\n"));
        assert_eq!(fact(&error, "hint"), "put the expression in quotes", "{line}: {error}");
        assert_eq!(fact(&error, "line"), "4", "{line}: {error}");
    }
}

#[test]
fn sizes_and_depths_are_limited() {
    let error = refuse(&format!("fold: a\n#{}", "x".repeat(64 * 1024)));
    assert_eq!((error.reason, fact(&error, "limit")), ("FOLD_TOO_LARGE", "65536"));
    let long = format!("fold: a\nhandlers:\n  E:\n    x: '1{}'\n", " ".repeat(4096));
    let error = refuse(&long);
    assert_eq!((error.reason, fact(&error, "actual")), ("EXPRESSION_TOO_LONG", "4097"));
    assert_eq!((fact(&error, "handler"), fact(&error, "path")), ("E", "x"));
    let deep = |depth| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("fold: a\nhandlers:\n  E:\n    x: '{open}{close}'\n")
    };
    assert_eq!(refuse(&deep(200)).reason, "EXPRESSION_TOO_DEEP");
    let initial = |depth| format!("fold: a\ninitial: {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Fold::parse(&initial(64)).is_ok());
    assert_eq!(refuse(&initial(65)).reason, "INVALID_FOLD");
    assert_eq!(refuse(&initial(30_000)).reason, "INVALID_FOLD");
    let path = |parts| format!("fold: a\nhandlers: {{E: {{{}: 1}}}}", vec!["a"; parts].join("."));
    assert!(Fold::parse(&path(64)).is_ok());
    assert_eq!(refuse(&path(65)).reason, "INVALID_FOLD");
}

#[test]
fn no_document_costs_seconds_or_gigabytes() {
    let many = |count: usize, part: fn(usize) -> String| -> String {
        (0..count).map(part).collect::<Vec<_>>().join(", ")
    };
    let lets = |count| format!("fold: a\nlet: {{{}}}", many(count, |n| format!("x{n}: '1'")));
    assert!(Fold::parse(&lets(200)).is_ok());
    assert_eq!(refuse(&lets(201)).reason, "INVALID_FOLD");
    let fields = |count: usize| many(count, |n| format!("event.f{n}")).replace(", ", " + ");
    let sums: Vec<_> = (0..12).map(|n| format!("  y{n}: {}\n", fields(300))).collect();
    let handlers = many(1_000, |n| format!("h{n}: {{a: y1}}"));
    let source = format!("fold: a\nlet:\n{}handlers: {{{handlers}}}", sums.concat());
    assert!(source.len() < 64 * 1024);
    let started = std::time::Instant::now();
    let _ = Fold::parse(&source);
    let assignments = many(5_500, |n| format!("a{n}: 1"));
    let _ = Fold::parse(&format!("fold: a\nhandlers: {{E: {{{assignments}}}}}"));
    let growing = many(1_800, |n| format!("a{n}: 'state.a{n} + [1]'"));
    let _ = Fold::parse(&format!("fold: a\nhandlers: {{E: {{{growing}}}}}"));
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn the_digest_is_that_of_the_meaning() {
    let base = parse(
        "fold: a\ninitial: {x: 1.10, y: 2}\nlet: {d: event.x}\n\
         handlers:\n  A: {p: d + 1, q: true}\n\
         \x20 B: delete\n",
    );
    let digest = base.digest();
    assert_eq!(digest.len(), 64);
    // Name, `keep`, comments, layout, the order of keys and types, spacing of expressions.
    let same = "# c\nkeep: off\nfold: b\nlet: {d: event.x}\nhandlers:\n  B: {delete: true}\n\
                \x20 A: [{p: '(d  +  1)', \"['q']\": true}]\ninitial: {y: 2, x: 1.10}\n\
                skip_cancelled: false";
    assert_eq!(parse(same).digest(), digest);
    let with = |initial: &str, handlers: &str| {
        let source =
            format!("fold: a\ninitial: {initial}\nlet: {{d: event.x}}\nhandlers: {handlers}");
        parse(&source).digest().to_owned()
    };
    let handlers = "{A: {p: d + 1, q: true}, B: delete}";
    assert_eq!(with("{x: 1.10, y: 2}", handlers), digest);
    for (initial, handlers) in [
        ("{x: 1.1, y: 2}", handlers),
        ("{x: '1.10', y: 2}", handlers),
        ("{x: 1.10, y: 2}", "{A: {p: d + 2, q: true}, B: delete}"),
        ("{x: 1.10, y: 2}", "{A: {q: true, p: d + 1}, B: delete}"),
        ("{x: 1.10, y: 2}", "{A: {p: d + 1, q: true}}"),
        ("{x: 1.10, y: 2}", "{A: {when: d > 1, p: d + 1, q: true}, B: delete}"),
    ] {
        assert_ne!(with(initial, handlers), digest, "{initial} {handlers}");
    }
}

#[test]
fn the_kept_digest_knows_the_order_of_the_initial_state_and_the_name() {
    let base = parse("fold: a\ninitial: {x: 1, y: {p: 1, q: 2}}\nhandlers: {E: {x: '1'}}");
    let same =
        parse("fold: a\nkeep: off\nhandlers: {E: {x: '1'}}\ninitial:\n  x: 1\n  y: {p: 1, q: 2}");
    assert_eq!(same.kept_digest(), base.kept_digest());
    let named = parse("fold: b\ninitial: {x: 1, y: {p: 1, q: 2}}\nhandlers: {E: {x: '1'}}");
    assert_ne!(named.kept_digest(), base.kept_digest());
    assert_eq!(named.state_digest(), base.state_digest());
    assert_eq!(base.kept_digest().len(), 64);
    for initial in ["{y: {p: 1, q: 2}, x: 1}", "{x: 1, y: {q: 2, p: 1}}"] {
        let other = parse(&format!("fold: a\ninitial: {initial}\nhandlers: {{E: {{x: '1'}}}}"));
        assert_eq!(other.digest(), base.digest());
        assert_ne!(other.kept_digest(), base.kept_digest());
    }
    let other = parse("fold: a\ninitial: {x: 1, y: {p: 1, q: 2}}\nhandlers: {E: {x: '2'}}");
    assert_ne!(other.kept_digest(), base.kept_digest());
}

#[test]
fn the_digest_never_changes() {
    // Kept states and registered folds hang on it: a change here needs a new semantics number.
    let fold = parse("fold: a\ninitial: {x: 1.10}\nhandlers: {E: {x: 'state.x + event.y'}}");
    assert_eq!(fold.digest(), EXPECTED_DIGEST);
}

const EXPECTED_DIGEST: &str = "ede5023693e57641914e8406286cbb84eeb2e72657b0d93f09d7f53f00dcce98";

#[test]
fn no_document_can_exhaust_a_small_stack() {
    let sources = [
        format!("fold: a\ninitial: {}", "[".repeat(60_000)),
        format!("fold: a\ninitial: {}", "{a: ".repeat(15_000)),
        format!(
            "fold: a\ninitial:\n{}",
            (0..300).map(|n| " ".repeat(n) + "- \n").collect::<String>()
        ),
        "- ".repeat(30_000),
        "? ".repeat(30_000),
        "[".repeat(64_000),
        format!("fold: a\nhandlers:\n  E:\n    x: '{}1'", "-".repeat(4_000)),
        format!("fold: a\nhandlers:\n  E:\n    x: '1{}'", "+(1".repeat(1_300)),
        format!("fold: a\nhandlers:\n  E:\n    'x{}': 1", "[x".repeat(2_000)),
        format!("fold: a\nhandlers:\n  E:\n    'x[{}]': 1", "]".repeat(3_000)),
    ];
    let thread = std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(move || sources.iter().filter(|source| Fold::parse(source).is_err()).count());
    assert_eq!(thread.unwrap().join().unwrap(), 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn damaged_documents_do_no_worse_than_an_error(
        damage in vec((any::<Index>(), any::<u8>(), 0..3), 1..6),
    ) {
        let mut source: Vec<char> = DAMAGED.chars().collect();
        let alphabet: Vec<char> = "{}[]:,-?&*!|>'\"%@`#\n\t .a0é\u{0}\u{85}".chars().collect();
        for (place, byte, kind) in damage {
            let at = place.index(source.len());
            let character = alphabet[usize::from(byte) % alphabet.len()];
            match kind {
                0 => source[at] = character,
                1 => source.insert(at, character),
                _ => drop(source.remove(at)),
            }
        }
        let source: String = source.into_iter().collect();
        if let Err(error) = Fold::parse(&source) {
            prop_assert!(error.facts.iter().map(|(_, value)| value.len()).sum::<usize>() < 4096);
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(source in "\\PC{0,200}") {
        let _ = Fold::parse(&source);
    }
}

const DAMAGED: &str = r#"
fold: account
initial: {balance: 0, open: false, transfers: [], limits: {}}
let: {a: event.amount}
handlers:
  MoneyDeposited:
    - when: a > 0
      balance: "state.balance + a"
  LimitSet:
    "limits[event.kind]": |
      event.?value.orValue(0)
  AccountClosed: delete
"#;
