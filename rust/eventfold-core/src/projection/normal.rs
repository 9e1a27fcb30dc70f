//! The normal form of a projection document, and its digest.
//!
//! Canonical JSON, as for folds. Name, `on_error`, comments and layout stay outside; the fold is in
//! it by its own digest, with the order of the keys of its initial state, which rows keep.

use sha2::{Digest, Sha256};

use crate::fold::document::Let;
use crate::fold::normal::{hexadecimal, object, sorted};
use crate::json::write::write_value;
use crate::value::{Map, Value};

use super::document::Document;

/// SHA-256 of the normal form, in lower-case hexadecimal. `key` is the key as printed, `types` are
/// the event types that are folded.
pub(super) fn digest(document: &Document, key: &str, types: &[String], fold: &str) -> String {
    let texts = |texts: &[String]| {
        Value::list(texts.iter().map(|text| Value::from(text.as_str())).collect())
    };
    let mut types = types.to_vec();
    types.sort_unstable();
    let column = |column: &super::document::ColumnPart| {
        Value::list(vec![
            Value::from(column.name.as_str()),
            Value::string(column.kind.to_string()),
            Value::string(column.value.ast.print()),
        ])
    };
    let mut form = vec![
        ("categories", document.source.categories.as_deref().map_or(Value::Null, texts)),
        ("types", texts(&types)),
        ("key", Value::from(key)),
        ("fold", Value::from(fold)),
        (
            "where",
            document.shown.as_ref().map_or(Value::Null, |shown| Value::string(shown.ast.print())),
        ),
        ("columns", Value::list(document.columns.iter().map(column).collect())),
        ("indexes", Value::list(document.indexes.iter().map(|index| texts(index)).collect())),
    ];
    // All only where they are said, so that other documents keep the digests that they had before.
    if !document.resolve.is_empty() {
        let mut names = Map::with_capacity(document.resolve.len());
        for Let { name, expression } in &document.resolve {
            names.insert(name.as_str(), Value::string(expression.ast.print()));
        }
        form.push(("resolve", Value::map(names)));
    }
    if document.plaintext || document.columns.iter().any(|column| column.plaintext) {
        let plain = document.columns.iter().filter(|column| document.plaintext || column.plaintext);
        let names: Vec<String> = plain.map(|column| column.name.clone()).collect();
        form.push(("plaintext", texts(&names)));
        form.push(("plaintext_all", Value::Bool(document.plaintext)));
    }
    if let Some(copies) = document.source.copies {
        form.push(("copies", Value::from(if copies { "include" } else { "exclude" })));
    }
    let mut text = Vec::new();
    // There are texts, lists and nulls only, so writing cannot fail.
    let _ = write_value(&sorted(&object(form)), &mut text);
    hexadecimal(Sha256::new().chain_update(&text))
}
