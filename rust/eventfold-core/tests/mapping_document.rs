//! Mapping documents: what is accepted, what is refused and where, and what the digest covers.

use std::sync::Arc;

use eventfold_core::error::CoreError;
use eventfold_core::limits::{MAPPING_ENTRIES_MAX, MAPPING_SOURCE_BYTES_MAX};
use eventfold_core::mapping::{Mapping, Mappings};

fn parse(source: &str) -> Mapping {
    Mapping::parse(source).unwrap_or_else(|error| panic!("{source}\n{error} {:?}", error.facts))
}

fn fact<'a>(error: &'a CoreError, name: &str) -> &'a str {
    error.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// Asserts that a document is refused at a place, with this text in the problem.
fn refused_at(source: &str, line: usize, column: usize, problem: &str) -> CoreError {
    let error = Mapping::parse(source).expect_err(source);
    let found = (fact(&error, "line"), fact(&error, "column"));
    assert_eq!(error.reason, "INVALID_MAPPING", "{source}\n{error}");
    assert_eq!(found, (&*line.to_string(), &*column.to_string()), "{source}\n{error}");
    assert!(fact(&error, "problem").contains(problem), "{error} lacks `{problem}`");
    let excerpt: Vec<&str> = fact(&error, "excerpt").split('\n').collect();
    assert!(excerpt.len() == 2 && excerpt[1].ends_with('^'), "{excerpt:?}");
    error
}

#[test]
fn refusals_say_where() {
    refused_at("[]", 1, 1, "a mapping document is a mapping");
    refused_at("renames: {a: b}", 1, 1, "the key `mapping`");
    refused_at("mapping: A", 1, 1, "has no entry");
    refused_at("mapping: $A\nrenames: {a: b}", 1, 10, "server's own");
    refused_at("mapping: ''\nrenames: {a: b}", 1, 10, "empty");
    let error = refused_at("mapping: A\nrename: {a: b}", 2, 1, "no key `rename`");
    assert_eq!(fact(&error, "hint"), "the keys are `mapping`, `renames`, `defaults`, `computed`");
    refused_at("mapping: A\nmapping: B\nrenames: {a: b}", 2, 1, "stands twice");
    let error = refused_at("mapping: A\nrenames: [a]", 2, 10, "maps old paths to new ones");
    assert_eq!(fact(&error, "path"), "renames");
    let error = refused_at("mapping: A\nrenames: {a: [b]}", 2, 14, "must be a text");
    assert_eq!(fact(&error, "path"), "renames.a");
    let error = refused_at("mapping: A\nrenames: {a: b c}", 2, 15, "a path is `name`");
    assert_eq!(fact(&error, "path"), "renames.a");
    let error = refused_at("mapping: A\ndefaults:\n  x: {a: .inf}", 3, 10, "no infinities");
    assert_eq!(fact(&error, "path"), "defaults.x");
    let error = refused_at("mapping: A\ncomputed:\n  x: event.a +", 3, 15, "");
    assert_eq!(
        (fact(&error, "path"), fact(&error, "excerpt")),
        ("computed.x", "  x: event.a +\n              ^")
    );
    let error = refused_at("mapping: A\ncomputed: {x: {a: 1}}", 2, 15, "a YAML mapping stands");
    assert_eq!(fact(&error, "hint"), "put the expression in quotes");
}

#[test]
fn paths_have_keys_only() {
    for path in ["'.'", "a[0]", "'a[event.x]'", "\"a['x' + event.y]\""] {
        for section in ["defaults", "computed"] {
            let source = format!("mapping: A\n{section}:\n  {path}: 1");
            refused_at(&source, 3, 3, "the path of a mapping has");
        }
        let source = format!("mapping: A\nrenames:\n  x: {path}");
        refused_at(&source, 3, 6, "the path of a mapping has");
    }
    let long = |keys: usize| format!("mapping: A\ndefaults:\n  a{}: 1", ".a".repeat(keys - 1));
    parse(&long(64));
    refused_at(&long(65), 3, 3, "1 to 64 keys");
}

#[test]
fn places_of_a_kind_lie_apart() {
    let problem = "name the same place, or one inside of the other";
    for renames in
        ["a: b, b: c", "a: a", "a: c, b: c", "a: a.b", "a.b: a", "a: c.d, e: c", "a: x, a.b: y"]
    {
        let error =
            Mapping::parse(&format!("mapping: A\nrenames: {{{renames}}}")).expect_err(renames);
        assert!(fact(&error, "problem").contains(problem), "{renames}: {error}");
    }
    refused_at("mapping: A\ndefaults:\n  a.b: 1\n  \"['a'].b\": 2", 4, 3, problem);
    refused_at("mapping: A\ndefaults: {a: {}, a.b: 1}", 2, 19, problem);
    refused_at("mapping: A\ncomputed: {a.b: '1', a: '2'}", 2, 22, problem);
    // Sections come one after the other.
    parse("mapping: A\nrenames: {a: b}\ndefaults: {b: 1, a: 2}\ncomputed: {b: event.b, a.c: '1'}");
}

#[test]
fn expressions_see_single_events() {
    for field in ["id", "stream", "writer", "recorded_at", "metadata", "copied_from"] {
        parse(&format!("mapping: A\ncomputed: {{a: meta.{field}}}"));
    }
    for expression in
        ["meta", "meta.root", "meta.mapped", "meta.version", "meta.position", "meta['root']"]
    {
        let source = format!("mapping: A\ncomputed:\n  a: {expression}");
        refused_at(&source, 3, 6, "none of `version`, `position`, `root` and `mapped`");
    }
    refused_at("mapping: A\ncomputed: {a: state.b}", 2, 15, "state");
    let error = refused_at("mapping: A\ncomputed: {a: event.b / 2}", 2, 15, "");
    assert!(fact(&error, "hint").contains("decimal("), "{error}");
}

#[test]
fn the_digest_covers_what_it_does() {
    let base = parse("mapping: A\nrenames: {a: b, c: d}\ndefaults: {e: {x: 1, y: 2}}");
    for same in [
        "# A comment\nmapping: B\ndefaults:\n  \"['e']\": {x: 1, y: 2}\nrenames:\n  c: d\n  \
         a: \"['b']\"",
        "{\"mapping\": \"A\", \"renames\": {\"a\": \"b\", \"c\": \"d\"}, \"computed\": {}, \
         \"defaults\": {\"e\": {\"x\": 1, \"y\": 2}}}",
    ] {
        assert_eq!(parse(same).digest(), base.digest(), "{same}");
    }
    for other in [
        "mapping: A\nrenames: {a: d, c: b}\ndefaults: {e: {x: 1, y: 2}}",
        "mapping: A\nrenames: {a: b, c: d}\ndefaults: {e: {x: 1.0, y: 2}}",
        // It would be written in another order.
        "mapping: A\nrenames: {a: b, c: d}\ndefaults: {e: {y: 2, x: 1}}",
        "mapping: A\nrenames: {a: b, c: d}\ncomputed: {e: \"{'x': 1, 'y': 2}\"}",
    ] {
        assert_ne!(parse(other).digest(), base.digest(), "{other}");
    }
    let spelled = ["event.a+1", "event.a + 1"]
        .map(|text| parse(&format!("mapping: A\ncomputed: {{a: {text}}}")).digest().to_owned());
    assert_eq!(spelled[0], spelled[1]);
}

#[test]
fn limits() {
    let entries = |count: usize| {
        let renames: String = (1..count).map(|n| format!("  a{n}: b{n}\n")).collect();
        format!("mapping: A\ndefaults: {{x: 1}}\nrenames:\n{renames}")
    };
    parse(&entries(MAPPING_ENTRIES_MAX));
    refused_at(&entries(MAPPING_ENTRIES_MAX + 1), 1, 1, "201 entries; at most 200");

    let start = "mapping: A\nrenames: {a: b}\n#";
    let source = |bytes: usize| format!("{start}{}", "x".repeat(bytes - start.len()));
    parse(&source(MAPPING_SOURCE_BYTES_MAX));
    let error = Mapping::parse(&source(MAPPING_SOURCE_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(
        (error.reason, fact(&error, "limit"), fact(&error, "actual")),
        ("MAPPING_TOO_LARGE", "65536", "65537")
    );

    let long = format!("mapping: A\ncomputed:\n  a: \"'{}'\"", "x".repeat(4095));
    assert_eq!(Mapping::parse(&long).unwrap_err().reason, "EXPRESSION_TOO_LONG");
    let deep = format!("mapping: A\ncomputed:\n  a: \"{}1{}\"", "(".repeat(99), ")".repeat(99));
    assert_eq!(Mapping::parse(&deep).unwrap_err().reason, "EXPRESSION_TOO_DEEP");
    let nested = |levels: usize| {
        format!("mapping: A\ndefaults: {{a.b: {}{}}}", "[".repeat(levels), "]".repeat(levels))
    };
    parse(&nested(62));
    refused_at(&nested(63), 2, 17, "nest deeper than 64");
}

#[test]
fn mappings_are_found_by_type() {
    for count in [0, 1, 12, 13, 500] {
        let mapping = |n| Arc::new(parse(&format!("mapping: T{n}\nrenames: {{a: b}}")));
        let mappings = Mappings::new((0..count).map(mapping));
        assert_eq!(mappings.is_empty(), count == 0);
        assert_eq!(mappings.iter().count(), count);
        for n in 0..count {
            let name = format!("T{n}");
            let found = mappings.get(name.as_bytes()).expect("it is there");
            assert_eq!(found.event_type(), name);
        }
        assert!(mappings.get(format!("T{count}").as_bytes()).is_none());
        assert!(mappings.get(b"\xff").is_none());
    }
}
