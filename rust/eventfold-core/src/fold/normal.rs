//! The normal form of a document, and its digest.
//!
//! Canonical JSON: keys sorted as RFC 8785 says, its escapes, numbers as their text. Assignments
//! are lists of pairs, because their order has a meaning. Name, `keep`, comments and layout stay
//! outside, and so does the form in which a handler is written.

use sha2::{Digest, Sha256};

use crate::json::write::write_value;
use crate::value::{Key, Map, Value};

use super::document::{Action, Case, Document, Handler, Let, Right};

/// SHA-256 of the normal form, in lower-case hexadecimal.
pub(crate) fn digest(document: &Document) -> String {
    let mut text = Vec::new();
    // The document holds JSON values only, so writing cannot fail.
    let _ = write_value(&sorted(&normal_form(document)), &mut text);
    hexadecimal(Sha256::new().chain_update(&text))
}

/// The digest of what was hashed, in lower-case hexadecimal.
pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn normal_form(document: &Document) -> Value {
    let handlers: Map = document
        .handlers
        .iter()
        .map(|handler| (handler.event_type.as_str(), handler_form(handler)))
        .collect();
    object([
        ("initial", document.initial.clone()),
        ("let", lets_form(&document.lets)),
        ("handlers", Value::map(handlers)),
        ("skip_cancelled", Value::Bool(document.skip_cancelled)),
    ])
}

fn handler_form(handler: &Handler) -> Value {
    Value::list(handler.cases.iter().map(case_form).collect())
}

fn case_form(case: &Case) -> Value {
    let mut form = Map::new();
    if !case.lets.is_empty() {
        form.insert("let", lets_form(&case.lets));
    }
    if let Some(when) = &case.when {
        form.insert("when", Value::string(when.ast.print()));
    }
    match &case.action {
        Action::Delete => form.insert("delete", Value::Bool(true)),
        Action::Assign(assignments) => {
            let pairs = assignments.iter().map(|assignment| {
                let right = match &assignment.right {
                    Right::Literal(value) => value.clone(),
                    Right::Expression(expression) => Value::string(expression.ast.print()),
                };
                Value::list(vec![Value::string(assignment.path.print()), right])
            });
            form.insert("assign", Value::list(pairs.collect()))
        }
    };
    Value::map(form)
}

/// A list, because a `let` sees those before it.
pub(crate) fn lets_form(lets: &[Let]) -> Value {
    let pair = |entry: &Let| {
        let expression = Value::string(entry.expression.ast.print());
        Value::list(vec![Value::string(entry.name.as_str()), expression])
    };
    Value::list(lets.iter().map(pair).collect())
}

pub(crate) fn object<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::map(entries.into_iter().collect())
}

/// The same value with the keys of every map in the order of RFC 8785: by UTF-16 code units.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::List(list) => Value::list(list.iter().map(sorted).collect()),
        Value::Map(map) => {
            let mut entries: Vec<(&Key, &Value)> = map.iter().collect();
            entries.sort_by(|(left, _), (right, _)| {
                left.to_text().encode_utf16().cmp(right.to_text().encode_utf16())
            });
            Value::map(
                entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect(),
            )
        }
        other => other.clone(),
    }
}
