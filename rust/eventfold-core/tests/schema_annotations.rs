//! Goal: what a schema says is personal is what is sealed, or the schema is refused.
//!
//! Method: annotations in every place that a schema has, against the pointers that they stand for.

use eventfold_core::privacy::{Declared, PersonalField, PrivacyRules};
use eventfold_core::schema::Schema;

fn fields(source: &str) -> Vec<PersonalField> {
    Schema::compile(source, &[], false).unwrap().personal().unwrap()
}

fn normal_form(source: &str) -> String {
    let declared = Declared::EventType("T".to_owned());
    PrivacyRules::new(declared, fields(source)).normal_form().to_owned()
}

/// The place and the words of a refusal.
fn refused(source: &str) -> (String, String) {
    let schema = Schema::compile(source, &[], false).unwrap();
    let error = schema.personal().unwrap_err();
    assert_eq!(error.reason, "INVALID_SCHEMA", "{source}");
    let path = error.facts.iter().find(|(name, _)| *name == "path").unwrap().1.clone();
    (path, error.message)
}

fn pointers(source: &str) -> Vec<String> {
    fields(source).iter().map(|field| field.pointer.to_string()).collect()
}

#[test]
fn annotations_are_a_document() {
    let source = r##"{
        "properties": {
            "email": {"type": "string", "x-personal": true},
            "a/b": {"x-personal": {"erased": "nobody"},
                    "x-subject": {"pointer": "/userId", "category": "User"}},
            "people": {"items": {"properties": {
                "name": {"x-personal": true, "x-subject": "/people/*/id"}}}},
            "pair": {"prefixItems": [{}, {"x-personal": true}]},
            "notes": {"additionalProperties": {"$ref": "#/$defs/note"}},
            "city": {"x-personal": false}
        },
        "allOf": [{"properties": {"phone": {"x-personal": true}, "email": {"x-personal": true}}}],
        "$defs": {"note": {"properties": {"text": {"x-personal": true}}},
                  "unused": {"x-personal": true}}
    }"##;
    let form = concat!(
        r#"{"personal":{"/a~1b":{"erased":"nobody","subject":{"category":"User","#,
        r#""pointer":"/userId"}},"/email":{},"/notes/*/text":{},"/pair/1":{},"#,
        r#""/people/*/name":{"subject":"/people/*/id"},"/phone":{}},"privacy":"T"}"#
    );
    assert_eq!(normal_form(source), form);
    assert_eq!(PrivacyRules::parse(form).unwrap().normal_form(), form);
    assert_eq!(fields(r#"{"properties": {"email": {}}}"#), []);
}

#[test]
fn older_drafts_and_what_stands_beside_a_reference() {
    let old = r##"{"$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {
            "pair": {"items": [{"x-personal": true}, {}]},
            "email": {"$ref": "#/definitions/text", "x-personal": true}},
        "definitions": {"text": {"type": "string"}}}"##;
    assert_eq!(pointers(old), ["/email", "/pair/0"]);
}

#[test]
fn other_documents_are_followed() {
    let shared = r#"{"$id": "urn:person", "properties": {"email": {"x-personal": true}}}"#;
    let resources = [("urn:person".to_owned(), shared.to_owned())];
    let source = r#"{"properties": {"by": {"$ref": "urn:person"}}}"#;
    let schema = Schema::compile(source, &resources, false).unwrap();
    let found = schema.personal().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].pointer.to_string(), "/by/email");
}

#[test]
fn what_does_not_hold_for_all_events_is_refused_with_its_place() {
    for keyword in ["anyOf", "oneOf"] {
        let source = format!(
            r#"{{"{keyword}": [{{"properties": {{"a": {{"x-personal": true}}}}}}, {{}}]}}"#
        );
        let (path, message) = refused(&source);
        assert_eq!(path, format!("/{keyword}/0/properties/a/x-personal"));
        assert!(message.contains(&format!("inside of `{keyword}`")), "{message}");
    }
    for keyword in ["if", "not", "contains", "propertyNames"] {
        let source =
            format!(r#"{{"properties": {{"a": {{"{keyword}": {{"x-personal": true}}}}}}}}"#);
        assert_eq!(refused(&source).0, format!("/properties/a/{keyword}/x-personal"));
    }
    let named = r#"{"patternProperties": {"^a": {"x-personal": true}}}"#;
    assert_eq!(refused(named).0, "/patternProperties/^a/x-personal");
    let others = r#"{"properties": {"id": {}}, "additionalProperties": {"x-personal": true}}"#;
    assert_eq!(refused(others).0, "/additionalProperties/x-personal");
    let rest = r#"{"properties": {"l": {"prefixItems": [{}], "items": {"x-personal": true}}}}"#;
    assert_eq!(refused(rest).0, "/properties/l/items/x-personal");
    assert_eq!(refused(r#"{"x-personal": true}"#).0, "/x-personal");
    assert_eq!(
        refused(r#"{"properties": {"*": {"x-personal": true}}}"#).0,
        "/properties/*/x-personal"
    );
}

#[test]
fn values_at_any_depth_are_refused() {
    let tree = r##"{"properties": {"name": {"x-personal": true},
        "children": {"items": {"$ref": "#"}}}}"##;
    assert!(refused(tree).1.contains("leads back to itself"));
    // One without personal values may.
    let beside = r##"{"properties": {"name": {"x-personal": true}, "tree": {"$ref": "#/$defs/t"}},
        "$defs": {"t": {"properties": {"inner": {"$ref": "#/$defs/t"}}}}}"##;
    assert_eq!(pointers(beside), ["/name"]);
}

#[test]
fn annotations_of_another_form_are_refused() {
    let of = |said: &str| format!(r#"{{"properties": {{"a": {{{said}}}}}}}"#);
    for said in [r#""x-personal": "yes""#, r#""x-personal": {"erase": 1}"#] {
        assert_eq!(refused(&of(said)).0, "/properties/a/x-personal");
    }
    for said in [
        r#""x-subject": "/b""#,
        r#""x-personal": true, "x-subject": "b""#,
        r#""x-personal": true, "x-subject": {"category": "User"}"#,
        r#""x-personal": true, "x-subject": {"pointer": "/b", "category": "a b"}"#,
        r#""x-personal": true, "x-subject": {"pointer": "/b/*", "category": "User"}"#,
    ] {
        assert_eq!(refused(&of(said)).0, "/properties/a/x-subject", "{said}");
    }
    let nested = r#"{"properties": {"a": {"x-personal": true,
        "properties": {"b": {"x-personal": true}}}}}"#;
    let (path, message) = refused(nested);
    assert_eq!(path, "/properties/a/properties/b/x-personal");
    assert!(message.contains("into each other"), "{message}");
}

#[test]
fn many_ways_to_an_annotation_are_bounded() {
    // 2^20 ways to one schema.
    let mut definitions = vec![r#""d0": {"x-personal": true}"#.to_owned()];
    for level in 1..=20 {
        let below = level - 1;
        definitions.push(format!(
            r##""d{level}": {{"properties": {{"a": {{"$ref": "#/$defs/d{below}"}},
                "b": {{"$ref": "#/$defs/d{below}"}}}}}}"##
        ));
    }
    let source = format!(r##"{{"$ref": "#/$defs/d20", "$defs": {{{}}}}}"##, definitions.join(","));
    assert!(refused(&source).1.contains("too many subschemas"));
}
