//! Schemas that compile, and every reason why one does not.

use eventfold_core::error::CoreError;
use eventfold_core::limits::{
    JSON_DEPTH_MAX, PATTERN_SOURCE_BYTES_MAX, SCHEMA_ALL_BYTES_MAX, SCHEMA_BYTES_MAX,
    SCHEMA_CHAIN_MAX, SCHEMA_PARTS_MAX, SCHEMA_PATTERNS_BYTES_MAX, SCHEMA_PATTERNS_MAX,
};
use eventfold_core::schema::{Draft, Schema};

fn compile_with(source: &str, resources: &[(&str, &str)]) -> Result<Schema, CoreError> {
    let owned = |(id, text): &(&str, &str)| ((*id).to_owned(), (*text).to_owned());
    Schema::compile(source, &resources.iter().map(owned).collect::<Vec<_>>(), false)
}

fn compiled(source: &str) -> Schema {
    compile_with(source, &[]).unwrap_or_else(|error| panic!("{error}: {source}"))
}

/// `problem path reference` of the refusal.
fn refused_with(source: &str, resources: &[(&str, &str)]) -> String {
    let error = compile_with(source, resources).expect_err(source);
    assert_eq!(error.reason, "INVALID_SCHEMA", "{error}");
    let fact = |name| {
        let found = error.facts.iter().find(|(known, _)| *known == name);
        found.map_or("-", |(_, value)| value.as_str())
    };
    format!("{} {} {}", fact("problem"), fact("path"), fact("reference"))
}

fn refused(source: &str) -> String {
    refused_with(source, &[])
}

#[test]
fn the_draft_is_the_one_that_the_schema_names() {
    let draft = |source: &str| compiled(source).draft().unwrap();
    assert_eq!(draft("{}"), Draft::Draft202012);
    assert_eq!(draft("true"), Draft::Draft202012);
    for (name, expected) in [
        ("http://json-schema.org/draft-07/schema#", Draft::Draft7),
        ("http://json-schema.org/draft-07/schema", Draft::Draft7),
        ("https://json-schema.org/draft/2019-09/schema", Draft::Draft201909),
        ("https://json-schema.org/draft/2020-12/schema", Draft::Draft202012),
    ] {
        assert_eq!(draft(&format!(r#"{{"$schema": "{name}"}}"#)), expected);
    }
    for name in ["http://json-schema.org/draft-06/schema#", "https://example.com/own", ""] {
        let source = format!(r#"{{"$schema": "{name}"}}"#);
        assert_eq!(refused(&source), "unknown_draft /$schema -");
    }
    assert_eq!(refused(r#"{"$schema": 7}"#), "unknown_draft /$schema -");
    let inside = r#"{"$defs": {"a": {"$id": "urn:a", "$schema": "urn:own"}}}"#;
    assert_eq!(refused(inside), "unknown_draft /$defs/a/$schema -");
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    for (source, expected) in [
        ("", "syntax  -"),
        ("{", "syntax  -"),
        (r#"{"type": "object"} x"#, "syntax  -"),
        (r#"{"type": "object", "type": "object"}"#, "duplicate_key  -"),
        (r#"{"const": "\ud800"}"#, "lone_surrogate  -"),
        ("[]", "invalid_keyword  -"),
        ("7", "invalid_keyword  -"),
        (r#"{"type": "objekt"}"#, "invalid_keyword /type -"),
        (
            r#"{"properties": {"a/b": {"minLength": -1}}}"#,
            "invalid_keyword /properties/a~1b/minLength -",
        ),
        (r#"{"required": "a"}"#, "invalid_keyword /required -"),
        (r#"{"multipleOf": 0}"#, "invalid_keyword /multipleOf -"),
        (r#"{"allOf": []}"#, "invalid_keyword /allOf -"),
        (r#"{"minimum": "1"}"#, "invalid_keyword /minimum -"),
        // Draft-07 has no booleans for these, and does not know the others.
        (
            r#"{"$schema": "http://json-schema.org/draft-07/schema#", "minimum": true}"#,
            "invalid_keyword /minimum -",
        ),
    ] {
        assert_eq!(refused(source), expected, "{source}");
    }
    compiled(r#"{"$schema": "http://json-schema.org/draft-07/schema#", "prefixItems": 7}"#);
}

#[test]
fn references_lead_somewhere_and_nothing_is_fetched() {
    for (source, expected) in [
        (
            r#"{"$ref": "https://example.com/a.json"}"#,
            "unknown_reference /$ref https://example.com/a.json",
        ),
        (
            r#"{"$ref": "https://example.com/a.json#/x"}"#,
            "unknown_reference /$ref https://example.com/a.json#/x",
        ),
        (r#"{"$ref": "file:///etc/passwd"}"#, "unknown_reference /$ref file:///etc/passwd"),
        (r#"{"$ref": "other.json"}"#, "unknown_reference /$ref other.json"),
        (
            r#"{"$id": "https://example.com/b/c", "items": {"$ref": "../a"}}"#,
            "unknown_reference /items/$ref https://example.com/a",
        ),
        (
            r##"{"properties": {"x": {"$ref": "#/$defs/none"}}}"##,
            "unknown_reference /properties/x/$ref #/$defs/none",
        ),
        (r##"{"$ref": "#none"}"##, "unknown_reference /$ref #none"),
        (r##"{"$ref": "#/minLength", "minLength": 3}"##, "unknown_reference /$ref #/minLength"),
        (r##"{"$dynamicRef": "#none"}"##, "unknown_reference /$dynamicRef #none"),
        // What nothing refers to must be right, too.
        (
            r##"{"$defs": {"a": {"$ref": "#/$defs/none"}}}"##,
            "unknown_reference /$defs/a/$ref #/$defs/none",
        ),
    ] {
        assert_eq!(refused(source), expected, "{source}");
    }
    // What is no schema has no references.
    compiled(r#"{"const": {"$ref": "https://example.com/a"}, "examples": [{"$ref": "urn:b"}]}"#);
    // The meta-schema of its draft is known.
    compiled(r#"{"$ref": "https://json-schema.org/draft/2020-12/schema"}"#);
}

#[test]
fn others_are_found_by_their_id() {
    let money = r#"{"$id": "https://example.com/money", "type": "object",
        "properties": {"currency": {"$ref": "currency"}}}"#;
    let currency = r#"{"$id": "https://example.com/currency", "enum": ["CHF", "EUR"]}"#;
    let unused = r#"{"$id": "https://example.com/unused"}"#;
    let source = r#"{"properties": {"price": {"$ref": "https://example.com/money"}}}"#;
    let resources = [
        ("https://example.com/unused", unused),
        ("https://example.com/money", money),
        ("https://example.com/currency", currency),
    ];
    let schema = compile_with(source, &resources).unwrap();
    let expected = ["https://example.com/currency", "https://example.com/money"];
    assert_eq!(schema.refers_to().unwrap(), expected);
    let found = schema.violations(br#"{"price": {"currency": "USD"}}"#, 9).unwrap();
    let [violation] = &found.first[..] else { panic!("{found:?}") };
    assert_eq!(violation.pointer, "/price/currency");
    assert_eq!(violation.schema_pointer, "https://example.com/currency#/enum");
    // The one that is missing is told, also where another document refers to it.
    let missing = refused_with(source, &resources[..2]);
    let expected = "unknown_reference https://example.com/money#/properties/currency/$ref \
        https://example.com/currency";
    assert_eq!(missing, expected);
    let broken = [("https://example.com/money", "{"), resources[2]];
    assert_eq!(refused_with(source, &broken), "syntax https://example.com/money -");
    // Of documents without a base, too.
    let schema = compile_with(
        r#"{"$ref": "a/b.json#/$defs/x"}"#,
        &[
            ("a/b.json", r#"{"$id": "a/b.json", "$defs": {"x": {"$ref": "c.json"}}}"#),
            ("a/c.json", r#"{"$id": "a/c.json", "type": "object"}"#),
        ],
    );
    assert_eq!(schema.unwrap().refers_to().unwrap(), ["a/b.json", "a/c.json"]);
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    let missing = |source: &str, resources: &[(&str, &str)]| {
        let owned = |(id, text): &(&str, &str)| ((*id).to_owned(), (*text).to_owned());
        let resources: Vec<_> = resources.iter().map(owned).collect();
        Schema::missing(source, &resources).unwrap()
    };
    let source = r#"{"$id": "https://example.com/a", "properties": {"x": {"$ref": "c#/$defs/y"},
        "y": {"$ref": "b"}, "z": {"$ref": "urn:z"}, "w": {"$ref": "b#/$defs/none"}}}"#;
    assert_eq!(missing(source, &[]), ["https://example.com/b", "https://example.com/c", "urn:z"]);
    let found = [
        ("https://example.com/b", r#"{"$ref": "d"}"#),
        ("https://example.com/c", r#"{"$defs": {"y": {"$ref": "b"}}}"#),
        ("urn:z", "true"),
    ];
    assert_eq!(missing(source, &found), ["https://example.com/d"]);
    assert!(missing(r#"{"$ref": "a.json"}"#, &[("a.json", "{}")]).is_empty());
    assert_eq!(missing(r#"{"$ref": "a.json"}"#, &[]), ["a.json"]);
    let none =
        r##"{"const": {"$ref": "urn:a"}, "$defs": {"a": {}}, "not": {"$ref": "#/$defs/a"}}"##;
    assert!(missing(none, &[]).is_empty());
}

#[test]
fn a_schema_knows_its_own_id_and_those_inside() {
    let id = |source: &str| compiled(source).id().unwrap().map(str::to_owned);
    assert_eq!(id("{}"), None);
    assert_eq!(id("true"), None);
    assert_eq!(
        id(r#"{"$id": "https://example.com/a/../b"}"#).as_deref(),
        Some("https://example.com/b")
    );
    assert_eq!(
        id(r#"{"$id": "urn:uuid:deadbeef-1234-ffff-ffff-4321feebdaed"}"#).as_deref(),
        Some("urn:uuid:deadbeef-1234-ffff-ffff-4321feebdaed")
    );
    assert_eq!(id(r#"{"$id": "invoice.json"}"#).as_deref(), Some("invoice.json"));
    let schema = compiled(
        r#"{"$id": "https://example.com/a", "properties": {"b": {"$ref": "inner"}},
            "$defs": {"x": {"$id": "inner", "type": "integer"}}}"#,
    );
    assert_eq!(schema.violations(br#"{"b": 1}"#, 1).unwrap().count, 0);
    assert_eq!(schema.violations(br#"{"b": ""}"#, 1).unwrap().count, 1);
}

#[test]
fn references_in_a_circle_are_refused_if_they_consume_nothing() {
    for (source, expected) in [
        (r##"{"$ref": "#"}"##, "circular_reference /$ref #"),
        (
            r##"{"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]},
                "b": {"$ref": "#/$defs/a"}}}"##,
            "circular_reference /$defs/b/$ref #/$defs/a",
        ),
        (
            r##"{"properties": {"x": {"not": {"$ref": "#/properties/x"}}}}"##,
            "circular_reference /properties/x/not/$ref #/properties/x",
        ),
        (r##"{"if": {"anyOf": [true, {"$ref": "#"}]}}"##, "circular_reference /if/anyOf/1/$ref #"),
        (
            r##"{"$dynamicAnchor": "a", "allOf": [{"$dynamicRef": "#a"}]}"##,
            "circular_reference /allOf/0/$dynamicRef #a",
        ),
        (
            r##"{"dependentSchemas": {"a": {"$ref": "#"}}}"##,
            "circular_reference /dependentSchemas/a/$ref #",
        ),
    ] {
        assert_eq!(refused(source), expected, "{source}");
    }
    // A tree is recursive and fine.
    let tree = compiled(
        r##"{"type": "object", "properties": {"value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#"}}}}"##,
    );
    let data = br#"{"children": [{"children": [{"value": "x"}, {"value": 1}]}]}"#;
    let found = tree.violations(data, 9).unwrap();
    assert_eq!(found.first[0].pointer, "/children/0/children/0/value");
    assert_eq!(found.count, 1);
}

#[test]
fn patterns_that_are_none_are_refused() {
    assert_eq!(
        refused(r#"{"properties": {"a": {"pattern": "("}}}"#),
        "invalid_pattern /properties/a/pattern -"
    );
    assert_eq!(
        refused(r#"{"patternProperties": {"a/(": {}}}"#),
        "invalid_pattern /patternProperties/a~1( -"
    );
    // A pattern of names must be linear: it is matched with all of them.
    assert_eq!(
        refused(r#"{"patternProperties": {"^(?!x)": {}}}"#),
        "invalid_pattern /patternProperties/^(?!x) -"
    );
    assert_eq!(refused(r#"{"pattern": "(a{1000}){1000}"}"#), "invalid_pattern /pattern -");
    compiled(r#"{"pattern": "^(?!x)(a)\\1$", "patternProperties": {"^\\p{L}+$": {}}}"#);
}

#[test]
fn sizes_are_held_to_their_limits() {
    let sized = |bytes: usize| {
        let text = r#"{"title": ""}"#;
        text.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - text.len())))
    };
    compiled(&sized(SCHEMA_BYTES_MAX));
    let too_large = |source: &str, resources: &[(&str, &str)]| {
        let error = compile_with(source, resources).unwrap_err();
        let facts: Vec<_> = error.facts.iter().map(|(_, value)| value.parse().unwrap()).collect();
        (error.reason, facts)
    };
    let expected = ("SCHEMA_TOO_LARGE", vec![SCHEMA_BYTES_MAX, SCHEMA_BYTES_MAX + 1]);
    assert_eq!(too_large(&sized(SCHEMA_BYTES_MAX + 1), &[]), expected);
    let (full, id) = (sized(SCHEMA_BYTES_MAX), |number: usize| format!("urn:{number}"));
    let ids: Vec<_> = (0..3).map(id).collect();
    let resources: Vec<_> = ids.iter().map(|id| (id.as_str(), full.as_str())).collect();
    compile_with(&full, &resources).unwrap();
    let one_more = [&resources[..], &[("urn:last", "{}")]].concat();
    let expected = ("SCHEMA_TOO_LARGE", vec![SCHEMA_ALL_BYTES_MAX, SCHEMA_ALL_BYTES_MAX + 2]);
    assert_eq!(too_large(&full, &one_more), expected);
}

#[test]
fn parts_chains_patterns_and_depth_are_held_to_their_limits() {
    let many = |parts: usize| {
        let names = (0..parts - 1).map(|index| format!("\"{index}\":true")).collect::<Vec<_>>();
        format!("{{\"properties\":{{{}}}}}", names.join(","))
    };
    compiled(&many(SCHEMA_PARTS_MAX));
    assert_eq!(refused(&many(SCHEMA_PARTS_MAX + 1)), "too_complex  -");
    let chain = |length: usize| {
        let last = length - 2;
        let link = |index: usize| match index {
            _ if index == last => format!("\"{index}\":{{\"type\":\"object\"}}"),
            _ => format!("\"{index}\":{{\"$ref\":\"#/$defs/{}\"}}", index + 1),
        };
        let links: Vec<_> = (0..=last).map(link).collect();
        format!("{{\"$ref\":\"#/$defs/0\",\"$defs\":{{{}}}}}", links.join(","))
    };
    let longest = compiled(&chain(SCHEMA_CHAIN_MAX));
    assert_eq!(longest.violations(b"{}", 1).unwrap().count, 0);
    assert_eq!(refused(&chain(SCHEMA_CHAIN_MAX + 1)), "too_complex  -");
    // Each level doubles what is below it.
    let levels: Vec<_> = (0..30)
        .map(|level| {
            let next = format!("{{\"$ref\":\"#/$defs/{}\"}}", level + 1);
            format!("\"{level}\":{{\"anyOf\":[{next},{next}]}}")
        })
        .collect();
    let doubling = format!(
        "{{\"$ref\":\"#/$defs/0\",\"$defs\":{{{},\"30\":{{\"type\":\"string\"}}}}}}",
        levels.join(",")
    );
    assert!(refused(&doubling).starts_with("too_complex /$defs/"), "{}", refused(&doubling));
    let patterns = |count: usize| {
        let parts = (0..count).map(|index| format!("{{\"pattern\":\"{index}\"}}"));
        format!("{{\"oneOf\":[{}]}}", parts.collect::<Vec<_>>().join(","))
    };
    compiled(&patterns(SCHEMA_PATTERNS_MAX));
    assert_eq!(refused(&patterns(SCHEMA_PATTERNS_MAX + 1)), "too_complex  -");
    let deep = |levels: usize| format!("{}true{}", "{\"not\":".repeat(levels), "}".repeat(levels));
    compiled(&deep(JSON_DEPTH_MAX));
    assert_eq!(refused(&deep(JSON_DEPTH_MAX + 1)), "too_deep  -");
}

#[test]
fn numbers_that_cannot_be_computed_with_are_refused() {
    let divisor = |digits: usize| format!("{{\"multipleOf\":0.{}}}", "7".repeat(digits));
    compiled(&divisor(1_000));
    assert_eq!(refused(&divisor(1_001)), "invalid_keyword /multipleOf -");
    assert_eq!(
        refused(r#"{"multipleOf": 1e99999999999999999999}"#),
        "invalid_keyword /multipleOf -"
    );
    for limit in ["1e1000000", "-1e1000000", "1e-1000000", "1e99999999999999999999"] {
        compiled(&format!("{{\"minimum\": {limit}, \"enum\": [{limit}], \"const\": {limit}}}"));
    }
    // Whatever becomes of them, nothing hangs or takes memory.
    for keyword in ["minLength", "maxItems", "maxProperties", "minContains"] {
        for limit in ["1e1000000", "1e400", "1.0", "18446744073709551616", "1e-5"] {
            let source = format!("{{\"{keyword}\": {limit}}}");
            if let Ok(schema) = compile_with(&source, &[]) {
                schema.violations(br#"{"a": ["b", 1]}"#, 9).unwrap();
            }
        }
    }
}

#[test]
fn the_digest_is_of_the_canonical_form() {
    let digest = |source: &str, resources: &[(&str, &str)], formats| {
        let owned = |(id, text): &(&str, &str)| ((*id).to_owned(), (*text).to_owned());
        let resources: Vec<_> = resources.iter().map(owned).collect();
        Schema::compile(source, &resources, formats).unwrap().digest().unwrap().to_owned()
    };
    let source =
        r#"{"type": "object", "properties": {"a": {"$ref": "urn:x"}, "é": {"minimum": 1.0}}}"#;
    let same =
        r#"{ "properties":{"\u00e9":{"minimum":1.0},"a":{"$ref":"urn:x"}}, "type":"object" }"#;
    let resources = [("urn:x", r#"{"$id": "urn:x", "type": "string"}"#)];
    let first = digest(source, &resources, false);
    assert_eq!(first.len(), 64);
    assert_eq!(first, digest(same, &resources, false));
    // What it does not refer to is not in it; what it refers to is.
    let more = [("urn:y", "{}"), resources[0]];
    assert_eq!(first, digest(source, &more, false));
    let other = [("urn:x", r#"{"$id": "urn:x", "type": "integer"}"#)];
    let others = [
        digest(source, &resources, true),
        digest(source, &other, false),
        digest(&source.replace("1.0", "1"), &resources, false),
    ];
    for other in others {
        assert_ne!(first, other);
    }
}

/// Schemas of so many patterns, of values and of names.
fn of_patterns(patterns: &[String]) -> [String; 2] {
    let quoted = |pattern: &String| serde_json::to_string(pattern).unwrap();
    let values = patterns.iter().map(|pattern| format!("{{\"pattern\":{}}}", quoted(pattern)));
    let names = patterns.iter().map(|pattern| format!("{}:{{}}", quoted(pattern)));
    [
        format!("{{\"allOf\":[{}]}}", values.collect::<Vec<_>>().join(",")),
        format!("{{\"patternProperties\":{{{}}}}}", names.collect::<Vec<_>>().join(",")),
    ]
}

#[test]
fn the_patterns_of_a_schema_are_bounded_together() {
    let large = |count: usize| (0..count).map(|at| format!("^\\p{{L}}{{20}}x{at}"));
    for source in of_patterns(&large(6).collect::<Vec<_>>()) {
        compiled(&source);
    }
    let before = std::time::Instant::now();
    for source in of_patterns(&large(490).collect::<Vec<_>>()) {
        let error = Schema::compile(&source, &[], false).unwrap_err();
        assert_eq!(error.reason, "INVALID_SCHEMA");
        let fact = |name| error.facts.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(fact("problem"), "too_complex");
        assert_eq!(fact("limit"), SCHEMA_PATTERNS_BYTES_MAX.to_string());
        let path = fact("path");
        assert!(path.starts_with("/allOf/") || path.starts_with("/patternProperties/"), "{path}");
    }
    // Few of them were compiled: all of them take 20 s.
    assert!(before.elapsed().as_secs() < 60);
    // Equal ones count once, wherever they stand.
    let equal = format!("{{\"allOf\":[{}]}}", [r#"{"pattern":"^\\p{L}{20}$"}"#; 400].join(","));
    compiled(&equal);
}

#[test]
fn what_is_too_large_or_long_is_no_pattern() {
    let parts = |count: usize| vec![format!("^{}$", "(?=[ab])".repeat(count))];
    let long = |bytes: usize| vec!["a".repeat(bytes)];
    let names = |patterns: Vec<String>| of_patterns(&patterns)[1].clone();
    let values = |patterns: Vec<String>| of_patterns(&patterns)[0].clone();
    // Each look-around has an engine of its own.
    compiled(&values(parts(100)));
    assert!(refused(&values(parts(1_000))).starts_with("invalid_pattern /allOf/0/pattern"));
    for place in [names, values] {
        compiled(&place(long(PATTERN_SOURCE_BYTES_MAX / 4)));
        let refused = refused(&place(long(PATTERN_SOURCE_BYTES_MAX + 1)));
        assert!(refused.starts_with("invalid_pattern "), "{refused}");
    }
}

#[test]
fn a_stored_schema_that_does_not_compile_says_so() {
    let schema = Schema::stored("{", &[], false);
    for _ in 0..2 {
        assert_eq!(schema.violations(b"{}", 1).unwrap_err().reason, "INVALID_SCHEMA");
    }
    assert_eq!(Schema::stored("{}", &[], false).violations(b"{}", 1).unwrap().count, 0);
}
