//! Transform documents: what is accepted, what is refused and where, and what the digest covers.

use eventfold_core::error::CoreError;
use eventfold_core::limits::{
    TRANSFORM_CATEGORIES_MAX, TRANSFORM_COPIES_MAX, TRANSFORM_ENTRIES_MAX,
    TRANSFORM_SOURCE_BYTES_MAX, TRANSFORM_SOURCE_STREAMS_MAX,
};
use eventfold_core::transform::{Source, Transform};

fn parse(source: &str) -> Transform {
    Transform::parse(source).unwrap_or_else(|error| panic!("{source}\n{error} {:?}", error.facts))
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// Asserts that a document is refused at a place, with this text in the problem.
fn refused_at(source: &str, line: usize, column: usize, problem: &str) -> CoreError {
    let error = Transform::parse(source).expect_err(source);
    let found = (fact(&error, "line"), fact(&error, "column"));
    assert_eq!(error.reason, "INVALID_TRANSFORM", "{source}\n{error}");
    assert_eq!(found, (&*line.to_string(), &*column.to_string()), "{source}\n{error}");
    assert!(fact(&error, "problem").contains(problem), "{error} lacks `{problem}`");
    let excerpt: Vec<&str> = fact(&error, "excerpt").split('\n').collect();
    assert!(excerpt.len() == 2 && excerpt[1].ends_with('^'), "{excerpt:?}");
    error
}

/// A document that copies the category `a` into `b`, with these lines behind.
fn document(rest: &str) -> String {
    format!("transform: t\nsource: {{category: a}}\ninto: [b]\n{rest}")
}

/// The same with a stream, and what becomes of one type on line 5.
fn rule(rule: &str) -> String {
    document(&format!("stream: \"'b-' + meta.stream_id\"\nevents: {{T: {rule}}}"))
}

fn refused_rule(text: &str, column: usize, problem: &str) -> CoreError {
    refused_at(&rule(text), 5, column, problem)
}

#[test]
fn a_document_says_what_it_is() {
    let transform = parse(
        "transform: by-month\nsource: {categories: [b, a]}\ninto: [d, c]\nstream: \"'c-1'\"\n\
         others: keep\nverify: {from: old, to: new}\nevents: {B: {}, A: drop, $Closed: {type: C}}",
    );
    assert_eq!(transform.name(), "by-month");
    assert_eq!(transform.source(), &Source::Categories(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(transform.target_categories(), ["c", "d"]);
    assert_eq!(transform.event_types(), ["B", "A", "$Closed"]);
    assert_eq!(transform.verify(), Some(("old", "new")));
    assert!(transform.keeps_others() && !transform.reads_root());
    let source = |source: &str| {
        parse(&format!("transform: t\nsource: {source}\ninto: c\nstream: \"'c-1'\"\nothers: keep"))
            .source()
            .clone()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(source("{category: a}"), Source::Categories(names(&["a"])));
    assert_eq!(source("{stream: a-1}"), Source::Streams(names(&["a-1"])));
    assert_eq!(
        source("{streams: [a-2, c-9, a-1]}"),
        Source::Streams(names(&["a-1", "a-2", "c-9"]))
    );
    assert_eq!(source("{log: true}"), Source::Log);
}

#[test]
fn it_says_whether_it_reads_roots() {
    let reads = |expression: &str| {
        parse(&document(&format!(
            "stream: \"'b-1'\"\nevents: {{T: {{data: {{x: {expression}}}}}}}"
        )))
        .reads_root()
    };
    assert!(reads("meta.root") && reads("meta") && !reads("meta.stream"));
    let by_let = |name: &str| {
        parse(&document(&format!(
            "let: {{r: meta.root, s: \"'x'\"}}\nstream: \"'b-' + {name}\"\nothers: keep"
        )))
        .reads_root()
    };
    assert!(by_let("r") && !by_let("s"));
}

#[test]
fn refusals_say_where() {
    refused_at("[]", 1, 1, "a transform document is a mapping");
    refused_at("source: {log: true}", 1, 1, "the key `transform`");
    refused_at("transform: t\ninto: [b]", 1, 1, "the key `source`");
    refused_at("transform: t\nsource: {log: true}", 1, 1, "the key `into`");
    refused_at("transform: 'a b'", 1, 12, "the name of a transform has");
    let error = refused_at(&document("handlers: {}"), 4, 1, "no key `handlers`");
    assert!(fact(&error, "hint").contains("`events`"), "{error}");
    for (source, column, problem) in [
        ("Customer", 9, "with one of the keys"),
        ("{}", 9, "with one of the keys"),
        ("{category: a, stream: b-1}", 9, "with one of the keys"),
        ("{category: a-1}", 20, "a category has"),
        ("{categories: a}", 22, "is a list of 1 to 100"),
        ("{categories: []}", 22, "is a list of 1 to 100"),
        ("{categories: [a, a]}", 26, "stands twice"),
        ("{stream: a}", 18, "needs a `-`"),
        ("{streams: [$audit]}", 20, "server's own"),
        ("{streams: [a-1, a-1]}", 25, "stands twice"),
        ("{log: false}", 15, "only be true"),
        ("{logs: true}", 10, "no key `logs`"),
    ] {
        let source = format!("transform: t\nsource: {source}\ninto: [b]");
        assert_eq!(fact(&refused_at(&source, 2, column, problem), "path"), "source");
    }
    for (into, column, problem) in [
        ("b-1", 7, "categories, such as `b`"),
        ("[b c]", 8, "a category has"),
        ("[]", 7, "is a list of 1 to 100"),
        ("{b: c}", 7, "is a list of 1 to 100"),
    ] {
        let source = format!("transform: t\nsource: {{category: a}}\ninto: {into}");
        assert_eq!(fact(&refused_at(&source, 3, column, problem), "path"), "into");
    }
    refused_at(&document("others: copy"), 4, 9, "`drop` or `keep`");
    for verify in ["old", "{from: a}", "{from: a, to: b, by: c}"] {
        refused_at(&document(&format!("verify: {verify}")), 4, 9, "names of registered folds");
    }
    refused_at(&document("let: [a]"), 4, 6, "maps names to expressions");
    refused_at(&document("let: {event: '1'}"), 4, 7, "cannot be the name");
    refused_at(&document("events: [A]"), 4, 9, "maps event types to rules");
}

#[test]
fn a_transform_does_not_write_into_its_source() {
    // Whoever starts one that reads and writes a category is told TRANSFORM_INTO_SOURCE; should it
    // be run, nothing is written there.
    let category =
        "transform: t\nsource: {categories: [a, b]}\ninto: [c, b]\nothers: keep\nstream: ";
    parse(&format!("{category}\"'b-' + meta.id\""));
    refused_at(&format!("{category}\"'b-1'\""), 5, 9, "one that the transform reads");
    // Other streams of the category may be written to.
    let streams = |stream: &str| {
        format!(
            "transform: t\nsource: {{streams: [a-1, a-2]}}\ninto: a\nothers: keep\nstream: {stream}"
        )
    };
    parse(&streams("\"'a-3'\""));
    let error = refused_at(&streams("\"'a-2'\""), 5, 9, "one that the transform reads");
    assert_eq!(fact(&error, "path"), "stream");
}

#[test]
fn everything_that_is_copied_has_a_stream() {
    refused_at(&document("others: keep"), 1, 1, "there is none");
    let source =
        document("events:\n  A: {stream: \"'b-1'\"}\n  B:\n  - {stream: \"'b-1'\"}\n  - {}");
    let error = refused_at(&source, 8, 5, "names no target stream");
    assert_eq!(fact(&error, "handler"), "B[1]");
    parse(&document("events: {A: {stream: \"'b-1'\"}, B: drop}"));
    for nothing in ["", "events: {}", "events: {A: drop}\nothers: drop"] {
        refused_at(&document(nothing), 1, 1, "drops every event");
    }
}

#[test]
fn streams_that_are_known_are_checked() {
    for (stream, problem) in [
        ("'b'", "needs a `-`"),
        ("'$b-1'", "server's own"),
        ("'c-' + '1'", "not in `into`"),
        ("''", "empty"),
        ("'$c-' + meta.id", "the category `$c`, which is not in `into`"),
        ("'c-' + meta.id + '-x'", "the category `c`, which is not in `into`"),
    ] {
        let error = refused_rule(&format!("{{stream: \"{stream}\"}}"), 22, problem);
        assert_eq!((fact(&error, "handler"), fact(&error, "path")), ("T", "stream"));
    }
    refused_rule("{stream: \"1\"}", 22, "`stream` is a string, and the expression is a int");
    refused_rule("{stream: \"[meta.stream_id]\"}", 22, "the expression is a list");
    // The default stream is looked at even where no rule needs it.
    let source = document("stream: \"'c-1'\"\nevents: {T: {stream: \"'b-1'\"}}");
    refused_at(&source, 4, 9, "not in `into`");
}

#[test]
fn rules_that_are_none() {
    for (text, column, problem, hint) in [
        ("keep", 13, "a rule is", "`{}` copies"),
        ("", 11, "a rule is", "`{}` copies"),
        ("null", 13, "a rule is", "`{}` copies"),
        ("PurchaseMade", 13, "a rule is", "`{type: PurchaseMade}`"),
        ("{drop: true}", 14, "no key `drop`", "write `drop` in place"),
        ("{rename: B}", 14, "no key `rename`", "the keys are `type`"),
        ("[drop]", 14, "a rule is", "is left out"),
        ("[]", 13, "a type has 1 to 32 rules", ""),
        ("{type: \"$B\"}", 20, "server's own", ""),
        ("{type: ''}", 20, "is empty", ""),
        ("{type: [A]}", 20, "no expression", ""),
        ("{type: \"'A'\"}", 20, "no expression", "inner quotes"),
        ("{amount: event.x}", 14, "no key `amount`", "stand under `data`"),
        ("{when: \"1\"}", 20, "a condition must be", ""),
        ("{tags: [a]}", 20, "a YAML list stands", "in quotes"),
        ("{tags: \"'a'\"}", 20, "`tags` is a list of strings, and", ""),
        ("{data: \"'a'\"}", 20, "`data` is a map, and the expression is a string", ""),
        ("{metadata: \"[]\"}", 24, "`metadata` is a map, and", ""),
        ("{data: {'.': \"[1]\"}}", 26, "`data` is a map, and", ""),
        ("{data: {'.': \"{}\", a: \"1\"}}", 21, "the only path", ""),
        ("{data: {a: \"1\", a.b: \"2\"}}", 29, "name the same place", ""),
        ("{data: {'a[0]': \"1\"}}", 21, "the path of a transform has keys only", ""),
        ("{data: {'a b': \"1\"}}", 23, "a path is", ""),
        ("{data: {a: {b: 1}}}", 24, "a YAML mapping stands", "in quotes"),
        ("{data: {a: state.b}}", 24, "state", ""),
        ("{data: {a: event.b / 2}}", 24, "", "decimal("),
        ("{data: {a: m}}", 24, "", ""),
    ] {
        let error = refused_rule(text, column, problem);
        assert!(fact(&error, "hint").contains(hint), "{text}: {error}");
        assert!(fact(&error, "handler").starts_with('T'), "{text}: {error}");
    }
    let closed = document("stream: \"'b-1'\"\nevents:\n  $Closed: {tags: \"[]\"}");
    let error = refused_at(&closed, 6, 12, "only the server writes");
    assert!(fact(&error, "hint").contains("a `type` to rename"), "{error}");
}

#[test]
fn the_likeliest_slip_is_told_what_to_write() {
    // A name of a stream, as if it were no expression.
    for stream in ["b-1", "b", "\"b-1\""] {
        let source = document(&format!("stream: {stream}\nothers: keep"));
        let error = Transform::parse(&source).expect_err(stream);
        assert!(fact(&error, "hint").contains("texts stand in quotes"), "{stream}: {error}");
    }
    let error = Transform::parse(&document("stream: 'b-' + meta.id\nothers: keep")).unwrap_err();
    assert!(fact(&error, "hint").contains("quotes"), "{error}");
}

#[test]
fn the_digest_covers_what_it_does() {
    let base = "transform: t\nsource: {categories: [a, b]}\ninto: [c, d]\nstream: \"'c-' + x\"\n\
                let: {x: meta.id}\nevents: {A: {data: {e: event.f, g: '1'}}, B: drop}";
    let digest = |source: &str| parse(source).digest().to_owned();
    for same in [
        base.replace("transform: t", "transform: other # comment"),
        base.replace("[a, b]", "[b, a]").replace("[c, d]", "[d, c]"),
        base.replace(
            "A: {data: {e: event.f, g: '1'}}, B: drop",
            "B: drop, A: {data: {g: '1', e: event.f}}",
        ),
        base.replace("'c-' + x", "'c-'+x"),
        format!("{base}\nverify: {{from: a, to: b}}\nothers: drop"),
    ] {
        assert_eq!(digest(&same), digest(base), "{same}");
    }
    for other in [
        base.replace("[a, b]", "[a]"),
        base.replace("[c, d]", "[c]"),
        base.replace("'c-' + x", "'d-' + x"),
        base.replace("B: drop", "B: {}"),
        base.replace("meta.id", "meta.stream_id"),
        base.replace("event.f", "event.h"),
        base.replace("{data", "{type: T, data"),
        base.replace("{data", "{metadata"),
        base.replace("{data", "{when: \"true\", data"),
        base.replace("{data", "{stream: \"'c-1'\", data"),
        base.replace("{data", "{tags: \"[]\", data"),
        format!("{base}\nothers: keep"),
    ] {
        assert_ne!(digest(&other), digest(base), "{other}");
    }
    // One copy is one copy, however it is written.
    assert_eq!(
        digest(&rule("{data: \"{'a': 1}\"}")),
        digest(&rule("[{data: {'.': \"{'a': 1}\"}}]"))
    );
}

#[test]
fn limits() {
    let start = rule("{}") + "\n#";
    let source = |bytes: usize| format!("{start}{}", "x".repeat(bytes - start.len()));
    parse(&source(TRANSFORM_SOURCE_BYTES_MAX));
    let error = Transform::parse(&source(TRANSFORM_SOURCE_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(
        (error.reason, fact(&error, "limit"), fact(&error, "actual")),
        ("TRANSFORM_TOO_LARGE", "65536", "65537")
    );
    let list = |count: usize, item: &dyn Fn(usize) -> String| {
        (0..count).map(item).collect::<Vec<_>>().join(", ")
    };
    let copies = |count: usize| rule(&format!("[{}]", list(count, &|_| "{}".to_owned())));
    parse(&copies(TRANSFORM_COPIES_MAX));
    refused_at(&copies(TRANSFORM_COPIES_MAX + 1), 5, 13, "1 to 32 rules");
    for section in ["data", "metadata"] {
        let paths = |count: usize| {
            rule(&format!("{{{section}: {{{}}}}}", list(count, &|n| format!("a{n}: '1'"))))
        };
        parse(&paths(TRANSFORM_ENTRIES_MAX));
        let column = 16 + section.len();
        refused_at(&paths(TRANSFORM_ENTRIES_MAX + 1), 5, column, "201 paths; at most 200");
    }
    let from = |source: &str, into: &str| {
        format!(
            "transform: t\nsource: {{{source}}}\ninto: [{into}]\nstream: \"'z0-x'\"\nothers: keep"
        )
    };
    let categories = |count: usize| list(count, &|n| format!("a{n}"));
    parse(&from(&format!("categories: [{}]", categories(TRANSFORM_CATEGORIES_MAX)), "z0"));
    let many = format!("categories: [{}]", categories(TRANSFORM_CATEGORIES_MAX + 1));
    refused_at(&from(&many, "z0"), 2, 22, "1 to 100");
    let into = |count: usize| list(count, &|n| format!("z{n}"));
    parse(&from("log: true", &into(TRANSFORM_CATEGORIES_MAX)));
    refused_at(&from("log: true", &into(TRANSFORM_CATEGORIES_MAX + 1)), 3, 7, "1 to 100");
    let streams = |count: usize| format!("streams: [{}]", list(count, &|n| format!("a-{n}")));
    parse(&from(&streams(TRANSFORM_SOURCE_STREAMS_MAX), "z0"));
    refused_at(&from(&streams(TRANSFORM_SOURCE_STREAMS_MAX + 1), "z0"), 2, 19, "1 to 1000");

    let long = rule(&format!("{{data: {{a: \"'{}'\"}}}}", "x".repeat(4095)));
    assert_eq!(Transform::parse(&long).unwrap_err().reason, "EXPRESSION_TOO_LONG");
    let deep = rule(&format!("{{when: \"{}1{}\"}}", "(".repeat(99), ")".repeat(99)));
    assert_eq!(Transform::parse(&deep).unwrap_err().reason, "EXPRESSION_TOO_DEEP");
}
