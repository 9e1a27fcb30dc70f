//! Where events do not fit their schemas: exactly, bounded, and without their values.

use eventfold_core::limits::{VIOLATION_POINTER_BYTES_MAX, VIOLATIONS_MAX};
use eventfold_core::schema::{Schema, Violation};

fn schema(source: &str) -> Schema {
    Schema::compile(source, &[], true).unwrap_or_else(|error| panic!("{error}: {source}"))
}

fn violations(source: &str, data: &str) -> Vec<Violation> {
    schema(source).violations(data.as_bytes(), VIOLATIONS_MAX).unwrap().first
}

fn fits(source: &str, value: &str) -> bool {
    schema(source).violations_of_any(value.as_bytes(), 1).unwrap().count == 0
}

/// `pointer rule schema_pointer: message`.
fn lines(source: &str, data: &str) -> Vec<String> {
    violations(source, data)
        .into_iter()
        .map(|found| {
            let Violation { pointer, rule, schema_pointer, message } = found;
            format!("{pointer} {rule} {schema_pointer}: {message}")
        })
        .collect()
}

#[test]
fn a_violation_says_where_and_what_the_schema_says() {
    let source = r##"{
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "amount": {"type": "number", "minimum": 0, "multipleOf": 0.01},
            "tags": {"type": "array", "maxItems": 1, "uniqueItems": true,
                "items": {"$ref": "#/$defs/tag"}},
            "kind": {"enum": ["a", "b", 3, null, true, 6, 7]},
            "a/b~c": {"const": {"x": 1}},
            "none": false
        },
        "$defs": {"tag": {"type": ["string", "null"], "minLength": 2, "pattern": "^[a-z]+$"}}
    }"##;
    let data = r#"{
        "amount": -1.005, "tags": ["A", "A", 7], "kind": "secret", "a/b~c": "secret", "none": 1,
        "more/secret": 1, "extra": 2
    }"#;
    let mut found = lines(source, data);
    found.sort();
    let mut expected = [
        " required /required: must have the property `id`",
        "/a~1b~0c const /properties/a~1b~0c/const: must be `{\"x\":1}`",
        "/amount minimum /properties/amount/minimum: must be at least `0`",
        "/amount multipleOf /properties/amount/multipleOf: must be a multiple of `0.01`",
        "/extra additionalProperties /additionalProperties: the schema has no such property",
        "/kind enum /properties/kind/enum: must be one of `\"a\"`, `\"b\"`, `3`, `null`, `true` or \
         one of 2 others",
        "/more~1secret additionalProperties /additionalProperties: the schema has no such property",
        "/none false /properties/none: the schema allows nothing here",
        "/tags maxItems /properties/tags/maxItems: must have at most 1 elements",
        "/tags uniqueItems /properties/tags/uniqueItems: must have no element twice",
        "/tags/0 minLength /$defs/tag/minLength: must have at least 2 characters",
        "/tags/0 pattern /$defs/tag/pattern: must match the pattern `^[a-z]+$`",
        "/tags/1 minLength /$defs/tag/minLength: must have at least 2 characters",
        "/tags/1 pattern /$defs/tag/pattern: must match the pattern `^[a-z]+$`",
        "/tags/2 type /$defs/tag/type: must be of one of the types null, string",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    let format = r#"{"id": "not-a-uuid"}"#;
    let expected = "/id format /properties/id/format: must be of the format `uuid`";
    assert_eq!(lines(source, format), [expected]);
}

#[test]
fn applicators_say_what_they_are() {
    for (source, data, expected) in [
        (
            r#"{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}"#,
            "{}",
            " anyOf /anyOf: must fit at least one of the schemas",
        ),
        (
            r#"{"oneOf": [{}, {}]}"#,
            "{}",
            " oneOf /oneOf: must fit exactly one of the schemas, and fits several",
        ),
        (
            r#"{"oneOf": [false, {"required": ["a"]}]}"#,
            "{}",
            " oneOf /oneOf: must fit exactly one of the schemas, and fits none",
        ),
        (r#"{"not": {"required": ["a"]}}"#, r#"{"a": 1}"#, " not /not: must not fit the schema"),
        (
            r#"{"propertyNames": {"maxLength": 3}}"#,
            r#"{"long": 1}"#,
            " propertyNames /propertyNames/maxLength: the name of a property must have at most 3 \
             characters",
        ),
        (
            r#"{"unevaluatedProperties": false, "properties": {"a": true}}"#,
            r#"{"a": 1, "b": 2}"#,
            "/b unevaluatedProperties /unevaluatedProperties: the schema has no such property",
        ),
        (
            r#"{"additionalProperties": false}"#,
            r#"{"b": 2, "c": 3}"#,
            " additionalProperties /additionalProperties: must have no property",
        ),
        (
            r#"{"properties": {"properties": {"additionalProperties": false}}}"#,
            r#"{"properties": {"b": 2}}"#,
            "/properties additionalProperties /properties/properties/additionalProperties: must \
             have no property",
        ),
        (
            r#"{"properties": {"additionalProperties": false}}"#,
            r#"{"additionalProperties": 2}"#,
            "/additionalProperties false /properties/additionalProperties: the schema allows \
             nothing here",
        ),
        (
            r#"{"dependentRequired": {"a": ["b"]}}"#,
            r#"{"a": 1}"#,
            " required /dependentRequired: must have the property `b`",
        ),
        (
            r#"{"properties": {"a": {"contains": {"const": 1}, "minContains": 2}}}"#,
            r#"{"a": [1]}"#,
            "/a minContains /properties/a/minContains: must have as many elements that fit as the \
             schema says",
        ),
    ] {
        assert_eq!(lines(source, data), [expected], "{source}");
    }
}

#[test]
fn numbers_are_exact() {
    let near = "0.1000000000000000000000000000001";
    for (source, value, expected) in [
        (r#"{"multipleOf": 0.01}"#, "4.35", true),
        (r#"{"multipleOf": 0.01}"#, "4.351", false),
        (r#"{"multipleOf": 0.0001}"#, "0.0075", true),
        (r#"{"exclusiveMinimum": 0.1}"#, near, true),
        (r#"{"maximum": 0.1}"#, near, false),
        (r#"{"exclusiveMaximum": 1e400}"#, "9.9e399", true),
        (r#"{"minimum": 9007199254740993}"#, "9007199254740992", false),
        (r#"{"const": 9007199254740993}"#, "9007199254740992", false),
        (r#"{"const": 100}"#, "1.00e2", true),
        (r#"{"enum": [0.1, 2]}"#, "0.10", true),
        (r#"{"enum": [0.1, 2]}"#, near, false),
        (r#"{"enum": [1, 2]}"#, "2.0", true),
        (r#"{"const": 0}"#, "-0.0", true),
        (r#"{"const": {"a": [1e2]}}"#, r#"{"a": [100]}"#, true),
        (r#"{"uniqueItems": true}"#, "[1, 1.0]", false),
        (r#"{"uniqueItems": true}"#, "[0, -0.0]", false),
        (r#"{"uniqueItems": true}"#, "[9007199254740993, 9007199254740992]", true),
        (r#"{"uniqueItems": true}"#, r#"[{"a": 1, "b": 2}, {"b": 2.0, "a": 1}]"#, false),
        (r#"{"uniqueItems": true}"#, r#"["a", "\u0061"]"#, false),
        (r#"{"uniqueItems": true}"#, r#"[[1], [true], {"a": 1}, "1", 1, true, null]"#, true),
        (r#"{"type": "integer"}"#, "1.0", true),
        (r#"{"type": "integer"}"#, "1.5e1", true),
        (r#"{"type": "integer"}"#, "1e1000000", true),
        (r#"{"type": "integer"}"#, "1e-1000000", false),
        (r#"{"type": "integer"}"#, "123456789012345678901234567890.5", false),
        (r#"{"multipleOf": 0.5}"#, "1e1000000", true),
        (r#"{"multipleOf": 3}"#, "1e1000000", false),
        (r#"{"minimum": 1e999999}"#, "1e1000000", true),
        (r#"{"minimum": 1e99999999999999999999}"#, "1e99999999999999999998", false),
        (r#"{"enum": [1e1000000, "x"]}"#, "10e999999", true),
        (r#"{"minLength": 2, "maxLength": 2}"#, r#""\ud83d\ude00é""#, true),
    ] {
        assert_eq!(fits(source, value), expected, "{source} {value}");
    }
}

#[test]
fn large_numbers_neither_hang_nor_take_memory() {
    let digits = "7".repeat(900_000);
    for value in ["1e1000000000", "-1e-1000000000", &digits, &format!("0.{digits}")] {
        for source in [
            r#"{"multipleOf": 0.0007}"#,
            r#"{"minimum": 1e-500}"#,
            r#"{"const": 1e1000000000}"#,
            r#"{"enum": [1, 2, 3]}"#,
            r#"{"type": "integer"}"#,
        ] {
            schema(source).violations_of_any(value.as_bytes(), 9).unwrap();
        }
    }
}

#[test]
fn a_pattern_says_nothing_of_what_is_no_string() {
    for value in ["[null]", "[]", "{}", r#"{"a": 1}"#, "17", "null", "true"] {
        assert!(fits(r#"{"pattern": "b"}"#, value), "{value}");
    }
}

#[test]
fn patterns_that_explode_end() {
    let data = format!(r#"{{"a": "{}!"}}"#, "a".repeat(5_000));
    for pattern in [
        "^(a+)+$",
        "^(a|a)*$",
        "^(a|aa)+$",
        "(.*a){20}b",
        "^(?=(a+)+$)b",
        "^((a+)+)\\\\2$",
        "(?!(a*)*b)c",
    ] {
        let source = format!(r#"{{"properties": {{"a": {{"pattern": "{pattern}"}}}}}}"#);
        let found = violations(&source, &data);
        assert_eq!(found.len(), 1, "{pattern}");
        assert!(["pattern", "limit"].contains(&found[0].rule.as_str()), "{found:?}");
    }
    let many: Vec<_> = (0..2_000).map(|_| format!("\"{}!\"", "a".repeat(40))).collect();
    let data = format!(r#"{{"a": [{}]}}"#, many.join(","));
    let source = r#"{"properties": {"a": {"items": {"pattern": "^(?=(a+)+$)b"}}}}"#;
    assert!(!violations(source, &data).is_empty());
    // Look-around that is harmless works.
    assert!(fits(r#"{"pattern": "^(?=.*[a-z])(?=.*\\d).{8,}$"}"#, r#""passw0rd""#));
    assert!(!fits(r#"{"pattern": "^(?=.*[a-z])(?=.*\\d).{8,}$"}"#, r#""password""#));
    assert!(fits(r#"{"pattern": "^(.)\\1$"}"#, r#""aa""#));
}

#[test]
fn a_pattern_that_explodes_ends_all_of_the_validation() {
    let pattern = r#"{"pattern": "^(?:(?=a)(?:a|aa))*b|^(?:(?=a)(?:a|aa))*c$"}"#;
    let long = format!("{}c", "a".repeat(60));
    for (schema, of_short) in [
        (pattern.to_owned(), 0),
        (format!(r#"{{"not": {pattern}}}"#), 1),
        (format!(r#"{{"not": {{"not": {pattern}}}}}"#), 0),
        (format!(r#"{{"if": {pattern}, "then": false}}"#), 1),
        (format!(r#"{{"oneOf": [{pattern}, true]}}"#), 1),
        (format!(r#"{{"anyOf": [{pattern}, true]}}"#), 0),
    ] {
        let source = format!(r#"{{"properties": {{"a": {schema}}}}}"#);
        assert_eq!(violations(&source, r#"{"a": "aaac"}"#).len(), of_short, "{schema}");
        let found = violations(&source, &format!(r#"{{"a": "{long}"}}"#));
        let rules: Vec<_> = found.iter().map(|found| found.rule.as_str()).collect();
        assert_eq!(rules, ["limit"], "{schema}");
    }
    let names = format!(r#"{{"propertyNames": {{"not": {pattern}}}}}"#);
    assert_eq!(violations(&names, &format!(r#"{{"{long}": 1}}"#))[0].rule, "limit");
}

#[test]
fn work_is_bounded_whatever_schema_and_event_are() {
    let elements = vec!["1"; 300_000].join(",");
    let list = format!(r#"{{"a": [{elements}]}}"#);
    let all = vec![r#"{"type": "string"}"#; 500].join(",");
    let source = format!(r#"{{"properties": {{"a": {{"items": {{"allOf": [{all}]}}}}}}}}"#);
    let found = schema(&source).violations(list.as_bytes(), VIOLATIONS_MAX).unwrap();
    assert!(!found.first.is_empty() && found.first.len() <= VIOLATIONS_MAX);
    // So many that the first is told alone.
    let source = r#"{"properties": {"a": {"items": {"type": "string"}}}}"#;
    let found = schema(source).violations(list.as_bytes(), VIOLATIONS_MAX).unwrap();
    assert_eq!((found.first.len(), found.count), (1, 1));
    assert_eq!((found.first[0].pointer.as_str(), found.first[0].rule.as_str()), ("/a/0", "type"));
    // As many as fit are counted, and the first are told.
    let some = format!(r#"{{"a": [{}]}}"#, vec!["1"; 5_000].join(","));
    let found = schema(source).violations(some.as_bytes(), VIOLATIONS_MAX).unwrap();
    assert_eq!((found.first.len(), found.count), (VIOLATIONS_MAX, 5_000));
    // Each with each.
    let unique = r#"{"properties": {"a": {"uniqueItems": true}}}"#;
    let numbers: Vec<_> = (0..150_000).map(|number| number.to_string()).collect();
    let data = format!(r#"{{"a": [{}]}}"#, numbers.join(","));
    assert_eq!(schema(unique).violations(data.as_bytes(), 1).unwrap().count, 0);
    let alike: Vec<_> =
        (0..20_000).map(|number| format!("0.1{}{number:06}", "0".repeat(20))).collect();
    let data = format!(r#"{{"a": [{}]}}"#, alike.join(","));
    assert!(schema(unique).violations(data.as_bytes(), 1).unwrap().count <= 1);
    // Many patterns on many names.
    let patterns: Vec<_> = (0..400).map(|number| format!(r#""x{number}$": {{}}"#)).collect();
    let source = format!(r#"{{"patternProperties": {{{}}}}}"#, patterns.join(","));
    let members: Vec<_> = (0..60_000).map(|number| format!(r#""y{number}": 1"#)).collect();
    let data = format!("{{{}}}", members.join(","));
    assert_eq!(schema(&source).violations(data.as_bytes(), 1).unwrap().first[0].rule, "limit");
}

#[test]
fn deep_events_and_recursive_schemas_do_not_overflow_the_stack() {
    let source = r##"{
        "$ref": "#/$defs/1",
        "$defs": {
            "1": {"allOf": [{"anyOf": [{"$ref": "#/$defs/2"}]}]},
            "2": {"oneOf": [{"if": true, "then": {"$ref": "#/$defs/3"}}]},
            "3": {"properties": {"a": {"$ref": "#"}}, "additionalProperties": false}
        }
    }"##;
    let deep = format!("{}{{}}{}", r#"{"a":"#.repeat(63), "}".repeat(63));
    assert_eq!(violations(source, &deep), []);
    let wrong = format!(r#"{}{{"b":1}}{}"#, r#"{"a":"#.repeat(63), "}".repeat(63));
    assert!(!violations(source, &wrong).is_empty());
}

#[test]
fn violations_hold_no_value_and_pointers_are_bounded() {
    let secret = "s3cret".repeat(20);
    let source = r#"{
        "properties": {
            "a": {"type": "integer"}, "b": {"enum": ["x"]}, "c": {"const": 1},
            "d": {"pattern": "^x"},
            "e": {"format": "date-time"}, "f": {"not": {"type": "string"}}, "g": {"maxLength": 1},
            "h": {"anyOf": [{"type": "integer"}, {"const": "y"}]}, "i": {"items": {"type": "null"}},
            "j": {"unevaluatedItems": false}, "k": {"oneOf": [true, true]},
            "l": {"uniqueItems": true}
        }
    }"#;
    let members: Vec<_> = ('a'..='h').map(|name| format!(r#""{name}": "{secret}""#)).collect();
    let lists: Vec<_> =
        ('i'..='l').map(|name| format!(r#""{name}": ["{secret}", "{secret}"]"#)).collect();
    let data = format!("{{{}, {}}}", members.join(","), lists.join(","));
    let found = violations(source, &data);
    assert!(found.len() >= 13, "{found:?}");
    assert!(!format!("{found:?}").contains("s3cret"), "{found:?}");
    let long = "k".repeat(VIOLATION_POINTER_BYTES_MAX - 3);
    let source = r#"{"additionalProperties": {"additionalProperties": {"type": "integer"}}}"#;
    let pointer = |inner: &str| {
        let data = format!(r#"{{"{long}": {{"{inner}": "x"}}}}"#);
        violations(source, &data)[0].pointer.clone()
    };
    assert_eq!(pointer("i"), format!("/{long}/i"));
    assert_eq!(pointer("ij"), format!("/{long}"));
}

#[test]
fn data_must_be_what_events_are() {
    let schema = schema("{}");
    for (data, reason) in [
        ("[]", "INVALID_JSON"),
        ("{", "INVALID_JSON"),
        (r#"{"a": 1, "a": 2}"#, "INVALID_JSON"),
        (&*format!("{}{}", r#"{"a":"#.repeat(65), "}".repeat(65)), "JSON_TOO_DEEP"),
    ] {
        assert_eq!(schema.violations(data.as_bytes(), 1).unwrap_err().reason, reason);
    }
    assert_eq!(schema.violations_of_any(b"[]", 1).unwrap().count, 0);
    assert_eq!(schema.violations_of_any(b"[", 1).unwrap_err().reason, "INVALID_JSON");
}

#[test]
fn formats_are_checked_when_asked() {
    for (format, good, bad) in [
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("date-time", "2024-02-29T12:00:00Z", "2023-02-29T12:00:00Z"),
        ("date", "2024-02-29", "2024-02-30"),
        ("time", "12:00:00Z", "25:00:00Z"),
        ("email", "a@example.com", "a@"),
        ("uri", "https://example.com/a", "a b"),
        ("ipv4", "192.0.2.1", "192.0.2.256"),
    ] {
        let source = format!(r#"{{"format": "{format}"}}"#);
        assert!(fits(&source, &format!("\"{good}\"")), "{format}");
        assert!(!fits(&source, &format!("\"{bad}\"")), "{format}");
        let unasked = Schema::compile(&source, &[], false).unwrap();
        assert_eq!(unasked.violations_of_any(format!("\"{bad}\"").as_bytes(), 1).unwrap().count, 0);
    }
    assert!(fits(r#"{"format": "unheard-of"}"#, "\"x\""));
}

#[test]
fn absent_values_fit_any_schema() {
    let beside = |source: &str, data: &str, absent: &[&str]| {
        let absent: Vec<String> = absent.iter().map(|pointer| (*pointer).to_owned()).collect();
        let found = schema(source).violations_beside(data.as_bytes(), &absent, 10).unwrap();
        let rules: Vec<_> = found.first.iter().map(|one| one.rule.clone()).collect();
        assert_eq!(found.count, rules.len());
        rules
    };
    let source = r#"{"properties": {"a": {"type": "string", "minLength": 2}, "b": {"const": 1}},
        "required": ["a"], "minProperties": 2}"#;
    assert_eq!(beside(source, r#"{"a": null, "b": 1}"#, &["/a"]), [""; 0]);
    assert_eq!(beside(source, r#"{"a": null, "b": 2}"#, &["/a"]), ["const"]);
    assert_eq!(beside(source, r#"{"a": null, "b": 1}"#, &["/c"]), ["type"]);
    // What is around it counts where it does not matter what is inside.
    assert_eq!(beside(source, r#"{"b": null}"#, &["/b"]), ["minProperties", "required"]);
    let inside = r#"{"properties": {"l": {"type": "array", "uniqueItems": true,
        "items": {"properties": {"x": {"type": "integer"}}}}}}"#;
    assert_eq!(beside(inside, r#"{"l": [{"x": null}, {"x": null}]}"#, &["/l/0/x"]), ["type"]);
    assert_eq!(beside(inside, r#"{"l": null}"#, &["/l"]), [""; 0]);
    assert_eq!(beside(inside, r#"{"l": {"x": null}}"#, &["/l/x"]), ["type"]);
    let either = r#"{"anyOf": [{"properties": {"a": {"type": "string"}}}]}"#;
    assert_eq!(beside(either, r#"{"a": null}"#, &["/a"]), [""; 0]);
    assert_eq!(beside(either, r#"{"a": null}"#, &[]), ["anyOf"]);
}
