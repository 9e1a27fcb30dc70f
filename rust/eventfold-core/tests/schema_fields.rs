//! What a schema describes, and what a fold reads that no schema does.

use std::collections::HashMap;
use std::sync::Arc;

use eventfold_core::fold::Fold;
use eventfold_core::mapping::Mapping;
use eventfold_core::rules::{Rules, SchemaInForce, TypeRules};
use eventfold_core::schema::Schema;
use serde_json::{Value, json};

fn schema(document: &Value) -> Schema {
    Schema::compile(&document.to_string(), &[], false).unwrap()
}

#[test]
fn all_schemas_for_the_same_value_describe_it() {
    let schema = schema(&json!({
        "$defs": {"money": {"properties": {"amount": {}, "currency": {}}}},
        "properties": {"to": {"$ref": "#/$defs/money"}, "a/b": true},
        "allOf": [{"properties": {"lines": {"items": {"properties": {"sku": {}}}}}}],
        "oneOf": [{"properties": {"card": {}}}, {"properties": {"bill": {}}}],
        "if": {"properties": {"kind": {}}},
        "then": {"patternProperties": {"^x-": {"properties": {"own": {}}}}},
        "not": {"properties": {"never": {}}},
    }));
    let described = ["to", "a/b", "lines", "card", "bill", "kind", "x-1"];
    assert!(schema.undeclared(&described).unwrap().is_empty());
    // What is inside of other properties, or must not be, is not described.
    let others = ["never", "amount", "sku", "own", "x"];
    assert_eq!(schema.undeclared(&others).unwrap(), others);
}

#[test]
fn schemas_that_hold_themselves_come_to_an_end() {
    let tree = schema(&json!({"properties": {"v": {}, "next": {"$ref": "#"}}}));
    assert_eq!(tree.undeclared(&["next", "v", "w"]).unwrap(), ["w"]);
}

#[test]
fn what_holds_for_other_properties_describes_them() {
    let map = schema(&json!({"additionalProperties": {"type": "integer"}}));
    assert!(map.undeclared(&["any"]).unwrap().is_empty());
    for others in [json!(true), json!({}), json!(false)] {
        let schema = schema(&json!({"properties": {"a": {}}, "additionalProperties": others}));
        assert_eq!(schema.undeclared(&["a", "b"]).unwrap(), ["b"]);
    }
}

#[test]
fn other_documents_count() {
    let place = json!({"$id": "https://a.example/place", "properties": {"zip": {}}}).to_string();
    let document = json!({"$ref": "https://a.example/place"}).to_string();
    let resources = [("https://a.example/place".to_owned(), place)];
    let schema = Schema::compile(&document, &resources, false).unwrap();
    assert_eq!(schema.undeclared(&["zip", "street"]).unwrap(), ["street"]);
}

#[test]
fn fields_that_a_fold_reads_and_no_schema_describes() {
    let fold = "
fold: f
initial: {n: 0}
handlers:
  Described: {n: event.amount + event.fee, who: event.?name, last: event.note.text}
  Unknown: {n: event.x}
  Whole: {all: event}
";
    let fold = Fold::parse(fold).unwrap();
    let described = schema(&json!({"properties": {"amount": {}, "note": {}}}));
    let whole = schema(&json!({"properties": {}}));
    let mut types = [("Described", described), ("Whole", whole)].map(|(name, schema)| {
        let mut rules = TypeRules::new(name);
        rules.schema = Some(SchemaInForce { revision: 1, schema: Arc::new(schema) });
        rules
    });
    let rules = Rules::new(1, types.to_vec(), HashMap::new());
    let missing = rules.undeclared_fields(&fold).unwrap();
    let field = |name: &str| ("Described".to_owned(), name.to_owned());
    assert_eq!(missing, [field("fee"), field("name")]);

    // What the mapping gives is there as well.
    let mapping = Mapping::parse("mapping: Described\nrenames: {fullName: name}\n").unwrap();
    types[0].mapping = Some(Arc::new(mapping));
    let rules = Rules::new(2, types.to_vec(), HashMap::new());
    assert_eq!(rules.undeclared_fields(&fold).unwrap(), [field("fee")]);
}
