//! The normal form of a mapping document, and its digest.
//!
//! Canonical JSON, as for folds. The event type, comments, layout and the order of entries stay
//! outside. Defaults are in it as their texts, so that one digest is one way to write an event.

use sha2::{Digest, Sha256};

use crate::fold::normal::{hexadecimal, object, sorted};
use crate::json::write::write_value;
use crate::value::{Map, Value};

use super::document::Document;

/// SHA-256 of the normal form, in lower-case hexadecimal.
pub(super) fn digest(document: &Document) -> String {
    let renames: Map = document
        .renames
        .iter()
        .map(|rename| (&*rename.from.printed, Value::from(&*rename.to.printed)))
        .collect();
    let defaults: Map = document
        .defaults
        .iter()
        .map(|(target, value)| (&*target.printed, Value::string(json_text(value))))
        .collect();
    let computed: Map = document
        .computed
        .iter()
        .map(|(target, value)| (&*target.printed, Value::string(value.ast.print())))
        .collect();
    let form = object([
        ("renames", Value::map(renames)),
        ("defaults", Value::map(defaults)),
        ("computed", Value::map(computed)),
    ]);
    hexadecimal(Sha256::new().chain_update(json_text(&sorted(&form))))
}

/// The JSON text of a literal.
pub(super) fn json_text(value: &Value) -> String {
    let mut text = Vec::new();
    // Literals are JSON values, so writing cannot fail.
    let _ = write_value(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
