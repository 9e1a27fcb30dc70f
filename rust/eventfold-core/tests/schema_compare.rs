//! What changes of schemas mean.

mod common;

use common::schemas::{compare, compare_with, lines};
use eventfold_core::schema::compare::Change;
use serde_json::json;

/// Checks the differences of two schemas, each as `change pointer keyword: message`.
macro_rules! differ {
    ($old:tt => $new:tt, $($line:literal),* $(,)?) => {
        let differences = compare(&json!($old), &json!($new));
        let expected: Vec<&str> = vec![$($line),*];
        assert_eq!(lines(&differences), expected, "{} => {}", json!($old), json!($new));
    };
}

#[test]
fn types_are_compared() {
    differ!({"type": "string"} => {"type": "string"},);
    differ!({"type": "string"} => {"type": ["string", "null"]},
        "wider  type: `null` is allowed now");
    differ!({"type": ["string", "null"]} => {"type": "string"},
        "narrower  type: `null` is no longer allowed");
    differ!({"type": "integer"} => {"type": "number"},
        "wider  type: a `number` with a fraction is allowed now");
    differ!({"type": "number"} => {"type": "integer"},
        "narrower  type: a `number` with a fraction is no longer allowed");
    differ!({"type": "number", "multipleOf": 2} => {"type": "integer", "multipleOf": 2},);
    differ!({"type": "string"} => {"type": "integer"},
        "narrower  type: `string` is no longer allowed", "wider  type: `integer` is allowed now");
    differ!(true => {}, );
    differ!({} => false, "narrower  : a value here is no longer allowed");
    differ!(false => {"type": "string"}, "wider  : a value here is allowed now");
    differ!({"type": "boolean"} => {"enum": [true, false]},);
    differ!({"type": ["boolean", "null"]} => {"enum": [true]},
        "narrower  enum: `null`, `false` is no longer allowed");
}

#[test]
fn lists_of_values_are_compared() {
    differ!({"enum": ["a", "b"]} => {"enum": ["b", "c", "a"]},
        "wider  enum: `\"c\"` is allowed now");
    differ!({"enum": ["a", "b", 1]} => {"enum": ["b", 1.0]},
        "narrower  enum: `\"a\"` is no longer allowed");
    differ!({"const": 1} => {"enum": [1, 2]}, "wider  const: `2` is allowed now");
    differ!({"const": 1} => {"const": 2},
        "narrower  const: `1` is no longer allowed");
    differ!({"enum": ["a", "bb"]} => {"type": "string", "maxLength": 2},
        "wider  enum: values other than those of `enum` are allowed now");
    differ!({"enum": ["a", "bb"]} => {"type": "string", "maxLength": 1},
        "narrower  maxLength: `\"bb\"` is no longer allowed",
        "wider  enum: values other than those of `enum` are allowed now");
    differ!({"type": "string"} => {"enum": ["a"]},
        "narrower  enum: only the values of `enum` are allowed now");
    differ!({"enum": [1, 2, 3, 4, 5]} => {"enum": []},
        "narrower  enum: `1`, `2`, `3` and 2 more are no longer allowed");
}

#[test]
fn bounds_are_compared() {
    differ!({"minimum": 1} => {"minimum": 0}, "wider  minimum: `minimum` is `0`, it was `1`");
    differ!({"minimum": 0} => {"minimum": 1}, "narrower  minimum: `minimum` is `1`, it was `0`");
    differ!({"minimum": 0} => {"exclusiveMinimum": 0},
        "narrower  exclusiveMinimum: `exclusiveMinimum` `0` is new");
    differ!({"exclusiveMinimum": 0} => {"minimum": 0},
        "wider  exclusiveMinimum: `exclusiveMinimum` `0` is gone");
    differ!({"type": "integer", "exclusiveMinimum": 0} => {"type": "integer", "minimum": 1},);
    differ!({"type": "integer", "maximum": 9.5} => {"type": "integer", "maximum": 9},);
    differ!({"type": "string", "minimum": 1} => {"type": "string", "minimum": 5},);
    differ!({"maximum": 10} => {}, "wider  maximum: `maximum` `10` is gone");
    differ!({"maximum": 0.1} => {"maximum": 0.01},
        "narrower  maximum: `maximum` is `0.01`, it was `0.1`");
    differ!({"multipleOf": 0.02} => {"multipleOf": 0.01},
        "wider  multipleOf: `multipleOf` is `0.01`, it was `0.02`");
    differ!({"multipleOf": 0.01} => {"multipleOf": 0.02},
        "narrower  multipleOf: `multipleOf` is `0.02`, it was `0.01`");
    differ!({"type": "integer"} => {"type": "integer", "multipleOf": 0.5},);
}

#[test]
fn texts_are_compared() {
    differ!({"type": "string", "maxLength": 5} => {"type": "string", "maxLength": 9},
        "wider  maxLength: `maxLength` is `9`, it was `5`");
    differ!({"type": "string", "maxLength": 9} => {"type": "string", "maxLength": 5},
        "narrower  maxLength: `maxLength` is `5`, it was `9`");
    differ!({"type": "string"} => {"type": "string", "minLength": 1},
        "narrower  minLength: `minLength` `1` is new");
    differ!({"type": "string", "pattern": "^a"} => {"type": "string", "pattern": "^ab"},
        "narrower  pattern: `pattern` is `\"^ab\"`, it was `\"^a\"`");
    // That one contains the other is not known.
    differ!({"type": "string", "pattern": "^ab"} => {"type": "string", "pattern": "^a"},
        "undecided  pattern: `pattern` is `\"^a\"`, it was `\"^ab\"`");
    differ!({"type": "string"} => {"type": "string", "pattern": "^a"},
        "narrower  pattern: `pattern` `\"^a\"` is new");
    differ!({"type": "string"} => {"type": "string", "pattern": ".*"},
    );
    differ!({"type": "string", "pattern": "^a"} => {"type": "string"},
        "wider  pattern: `pattern` `\"^a\"` is gone");
}

#[test]
fn properties_are_compared() {
    let closed = json!({"type": "object", "additionalProperties": false,
        "properties": {"a": {"type": "string"}}});
    let mut more = closed.clone();
    more["properties"]["b"] = json!({"type": "string"});
    assert_eq!(
        lines(&compare(&closed, &more)),
        ["wider /b additionalProperties: the property is new"]
    );
    assert_eq!(
        lines(&compare(&more, &closed)),
        ["narrower /b additionalProperties: the property is no longer allowed"]
    );
    differ!({"type": "object"} => {"type": "object", "properties": {"a": {"type": "string"}}},
        "undecided /a properties: the property is new, and events may hold anything under its \
         name");
    differ!({"properties": {"a": {"type": "string"}}} => {},
        "wider /a properties: the property is no longer described");
    differ!({"properties": {"a": {}}} => {"properties": {"a": {}}, "required": ["a"]},
        "narrower /a required: the property is required now");
    differ!({"required": ["a", "b"]} => {"required": ["a"]},
        "wider /b required: the property is no longer required");
    differ!({"properties": {"a": {}}} => {"properties": {"a": {}}, "additionalProperties": false},
        "narrower /* additionalProperties: properties that the schema does not name are no \
         longer allowed");
    differ!({"properties": {"a": {}}, "additionalProperties": false} => {"properties": {"a": {}}},
        "wider /* additionalProperties: properties that the schema does not name are allowed now");
    differ!({"properties": {"a": {"properties": {"b/c": {"type": "integer"}}}}}
        => {"properties": {"a": {"properties": {"b/c": {"type": "number"}}}}},
        "wider /a/b~1c type: a `number` with a fraction is allowed now");
    differ!({"additionalProperties": {"type": "integer"}}
        => {"properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "integer"}},
        "narrower /a type: `integer` is no longer allowed",
        "wider /a type: `string` is allowed now");
    differ!({"patternProperties": {"^x": {"type": "integer"}}}
        => {"patternProperties": {"^x": {"type": "number"}}},
        "wider /* type: a `number` with a fraction is allowed now");
    differ!({"patternProperties": {"^x": {"type": "number"}}}
        => {"patternProperties": {"^x": {"type": "integer"}}},
        "narrower /* type: a `number` with a fraction is no longer allowed");
    differ!({"maxProperties": 2} => {"maxProperties": 1},
        "narrower  maxProperties: `maxProperties` is `1`, it was `2`");
    differ!({"properties": {"a": {}, "b": {}}, "additionalProperties": false}
        => {"properties": {"a": {}, "b": {}}, "additionalProperties": false, "maxProperties": 2},);
    differ!({"propertyNames": {"maxLength": 3}} => {"propertyNames": {"maxLength": 4}},
        "wider  propertyNames: what `propertyNames` says is not the same");
    differ!({"dependentRequired": {"a": ["b"]}} => {"dependentRequired": {"a": ["b", "c"]}},
        "narrower /c dependentRequired: the property is required now where there is `a`");
    differ!({"dependentRequired": {"a": ["b"]}} => {"required": ["b"]},
        "narrower /b required: the property is required now");
    differ!({"required": ["b"]} => {"dependentRequired": {"a": ["b"]}},
        "wider /b required: the property is no longer required");
}

#[test]
fn elements_are_compared() {
    differ!({"items": {"type": "integer"}} => {"items": {"type": "number"}},
        "wider /* type: a `number` with a fraction is allowed now");
    differ!({"items": {"type": "number"}} => {"items": {"type": "integer"}},
        "narrower /* type: a `number` with a fraction is no longer allowed");
    differ!({"type": "array"} => {"type": "array", "items": {"type": "integer"}},
        "narrower /* type: `object`, `array`, `string`, `boolean`, `null`, a `number` with a \
         fraction is no longer allowed");
    differ!({"prefixItems": [{"type": "integer"}]}
        => {"prefixItems": [{"type": "number"}], "items": false},
        "narrower  items: elements behind the first 1 are no longer allowed",
        "wider /0 type: a `number` with a fraction is allowed now");
    differ!({"minItems": 1} => {"minItems": 2},
        "narrower  minItems: `minItems` is `2`, it was `1`");
    differ!({"maxItems": 1} => {"maxItems": 1, "uniqueItems": true},);
    differ!({} => {"uniqueItems": true}, "narrower  uniqueItems: `uniqueItems` `true` is new");
    differ!({"contains": {"type": "integer"}} => {"contains": {"type": "number"}},
        "wider  contains: what `contains` says is not the same");
    differ!({"contains": {"type": "number"}, "minContains": 2} => {"contains": {"type": "number"}},
        "wider  minContains: what `minContains` says is not the same");
}

#[test]
fn alternatives_are_compared() {
    differ!({"anyOf": [{"type": "string"}, {"type": "null"}]} => {"type": ["null", "string"]},);
    differ!({"type": ["null", "string"]} => {"anyOf": [{"type": "string"}, {"type": "null"}]},);
    differ!({"anyOf": [{"type": "string"}]} => {"anyOf": [{"type": "null"}, {"type": "string"}]},
        "wider  anyOf: `null` is allowed now");
    differ!({"oneOf": [{"type": "string"}]} => {"oneOf": [{"type": "string"}, {"type": "object"}]},
        "wider  oneOf: `object` is allowed now");
    differ!({"oneOf": [{"type": "string", "maxLength": 4}, {"type": "null"}]}
        => {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
        "narrower  maxLength: `maxLength` is `3`, it was `4`");
    // The two may both fit.
    differ!({"oneOf": [{"minimum": 3}, {"type": "string"}]}
        => {"oneOf": [{"minimum": 3}, {"type": "string"}, {"maximum": 5}]},
        "narrower  oneOf: values may fit several schemas of `oneOf`",
        "wider  minimum: `minimum` `3` is gone");
    differ!({"not": {"type": "string"}} => {"not": {"type": "string", "minLength": 3}},
        "wider  not: what `not` says is not the same");
    differ!({"type": "integer"} => {"type": "integer", "not": {"type": "string"}},);
    differ!({"allOf": [{"minimum": 3}, {"type": "integer"}]} => {"type": "integer", "minimum": 2},
        "wider  minimum: `minimum` is `2`, it was `3`");
    differ!({"if": {"type": "string"}, "then": {"maxLength": 3}, "else": {"minimum": 1}}
        => {"if": {"type": "string"}, "then": {"maxLength": 4}, "else": {"minimum": 2}},
        "narrower  minimum: `minimum` is `2`, it was `1`",
        "wider  maxLength: `maxLength` is `4`, it was `3`");
}

#[test]
fn tagged_alternatives_are_compared_one_by_one() {
    let card = json!({"properties": {"kind": {"const": "card"}, "number": {"type": "string"}},
        "required": ["kind", "number"]});
    let bill = json!({"properties": {"kind": {"const": "bill"}, "due": {"type": "string"}},
        "required": ["kind"]});
    let gift = json!({"properties": {"kind": {"const": "gift"}}, "required": ["kind"]});
    let old = json!({"type": "object", "oneOf": [card, bill]});
    let more = json!({"type": "object", "oneOf": [gift, card, bill]});
    assert_eq!(lines(&compare(&old, &more)), ["wider  oneOf: `oneOf` allows more"]);
    let mut strict = old.clone();
    strict["oneOf"][1]["required"] = json!(["kind", "due"]);
    assert_eq!(
        lines(&compare(&old, &strict)),
        ["narrower /due required: the property is required now"]
    );
}

#[test]
fn references_are_followed() {
    differ!({"$defs": {"a": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}
        => {"properties": {"x": {"type": "integer"}}},);
    differ!({"$defs": {"a": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}
        => {"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
        "narrower /x type: `integer` is no longer allowed",
        "wider /x type: `string` is allowed now");
    let tree = |of: &str| {
        json!({"type": "object",
    "properties": {"next": {"$ref": "#"}, "v": {"type": of}}})
    };
    assert!(lines(&compare(&tree("integer"), &tree("integer"))).is_empty());
    assert_eq!(
        lines(&compare(&tree("integer"), &tree("number"))),
        ["wider /v type: a `number` with a fraction is allowed now"]
    );
    assert_eq!(
        lines(&compare(&tree("number"), &tree("integer"))),
        ["narrower /v type: a `number` with a fraction is no longer allowed"]
    );
    // Draft 7 does not look at what stands beside a reference.
    differ!({"$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a": {"type": "integer"}},
            "properties": {"x": {"$ref": "#/definitions/a", "minimum": 3}}}
        => {"$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a": {"type": "integer"}},
            "properties": {"x": {"$ref": "#/definitions/a"}}},);
}

#[test]
fn other_documents_are_followed() {
    let document = json!({"properties": {"at": {"$ref": "https://a.example/place"}}});
    let place = |of: &str| {
        let place = json!({"$id": "https://a.example/place", "properties": {"zip": {"type": of}}});
        vec![("https://a.example/place".to_owned(), place)]
    };
    let sides = |one: &str, other: &str| {
        compare_with((&document, &place(one), false), (&document, &place(other), false))
    };
    assert!(sides("string", "string").is_empty());
    assert_eq!(
        lines(&sides("integer", "number")),
        ["wider /at/zip type: a `number` with a fraction is allowed now"]
    );
}

#[test]
fn unevaluated_properties_are_compared() {
    let schema = |property: &str| {
        json!({"$defs": {"base": {"properties": {"a": {"type": "string"}}}},
            "$ref": "#/$defs/base", "properties": {property: {"type": "string"}},
            "unevaluatedProperties": false})
    };
    let mut more = schema("b");
    more["properties"]["c"] = json!({});
    assert_eq!(
        lines(&compare(&schema("b"), &more)),
        ["wider /c unevaluatedProperties: the property is new"]
    );
    assert_eq!(
        lines(&compare(&more, &schema("b"))),
        ["narrower /c unevaluatedProperties: the property is no longer allowed"]
    );
}

#[test]
fn formats_count_where_they_are_checked() {
    let mail = json!({"type": "string", "format": "email"});
    let text = json!({"type": "string"});
    let sides =
        |old, formats, new, checked| lines(&compare_with((old, &[], formats), (new, &[], checked)));
    assert_eq!(sides(&mail, false, &mail, true), ["narrower  format: `format` `\"email\"` is new"]);
    assert_eq!(sides(&mail, true, &mail, false), ["wider  format: `format` `\"email\"` is gone"]);
    assert_eq!(sides(&text, false, &text, true), [""; 0]);
    assert_eq!(sides(&text, false, &mail, false), ["annotation  format: `format` is new"]);
    assert_eq!(sides(&text, true, &mail, true), ["narrower  format: `format` `\"email\"` is new"]);
}

#[test]
fn annotations_are_told() {
    differ!({"title": "A", "properties": {"a": {"description": "x", "default": 1}}}
        => {"properties": {"a": {"description": "y", "default": 1, "x-own": 1}}, "examples": [1]},
        "annotation  examples: `examples` is new",
        "annotation  title: `title` is gone",
        "annotation /a description: `description` is another",
        "annotation /a x-own: `x-own` is new");
}

#[test]
fn drafts_are_compared_by_what_they_mean() {
    let new = json!({"$schema": "https://json-schema.org/draft/2020-12/schema",
        "prefixItems": [{"type": "integer"}], "items": {"type": "string"}});
    let old = json!({"$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{"type": "integer"}], "additionalItems": {"type": "string"}});
    assert_eq!(lines(&compare(&old, &new)), ["annotation  $schema: `$schema` is another"]);
}

#[test]
fn differences_that_count_most_are_told_first() {
    let old = json!({"properties": {"a": {"type": ["string", "null"]}, "z": {"minimum": 3}}});
    let new = json!({"title": "t", "properties": {
        "a": {"type": "string"}, "z": {"minimum": 2}, "b": {"type": "string"}}});
    let changes: Vec<Change> = compare(&old, &new).iter().map(|one| one.change).collect();
    let expected = [Change::Narrower, Change::Undecided, Change::Wider, Change::Annotation];
    assert_eq!(changes, expected);
}
