//! The normal form of a transform document, and its digest.
//!
//! Canonical JSON, as for folds. Name, `verify`, comments, layout, and the order of types and of
//! paths stay outside; `.` and an expression in place of paths are one.

use sha2::{Digest, Sha256};

use crate::fold::document::Expression;
use crate::fold::normal::{hexadecimal, lets_form, object, sorted};
use crate::json::write::write_value;
use crate::value::{Map, Value};

use super::Source;
use super::document::{Document, RulePart, ShapePart};

/// SHA-256 of the normal form, in lower-case hexadecimal.
pub(super) fn digest(document: &Document) -> String {
    let mut text = Vec::new();
    // The form holds texts and truth values only, so writing cannot fail.
    let _ = write_value(&sorted(&normal_form(document)), &mut text);
    hexadecimal(Sha256::new().chain_update(&text))
}

fn normal_form(document: &Document) -> Value {
    let types: Map = document
        .types
        .iter()
        .map(|part| {
            let rules = part.rules.iter().map(rule_form).collect();
            (part.event_type.as_str(), Value::list(rules))
        })
        .collect();
    let mut form = vec![
        ("source", source_form(&document.source)),
        ("into", texts(&document.into)),
        ("others", Value::Bool(document.keeps_others)),
        ("let", lets_form(&document.lets)),
        ("events", Value::map(types)),
    ];
    form.extend(document.stream.as_ref().map(|stream| ("stream", printed(stream))));
    object(form)
}

fn source_form(source: &Source) -> Value {
    match source {
        Source::Categories(names) => object([("categories", texts(names))]),
        Source::Streams(names) => object([("streams", texts(names))]),
        Source::Log => object([("log", Value::Bool(true))]),
    }
}

fn rule_form(rule: &RulePart) -> Value {
    let new_type = rule.event_type.as_deref().map(Value::from);
    let parts = [
        ("type", new_type),
        ("when", rule.when.as_ref().map(printed)),
        ("stream", rule.stream.as_ref().map(printed)),
        ("data", rule.data.as_ref().map(shape_form)),
        ("metadata", rule.metadata.as_ref().map(shape_form)),
        ("tags", rule.tags.as_ref().map(printed)),
    ];
    object(parts.into_iter().filter_map(|(key, value)| Some((key, value?))))
}

fn shape_form(shape: &ShapePart) -> Value {
    match shape {
        ShapePart::Whole(expression) => object([(".", printed(expression))]),
        ShapePart::Fields(fields) => {
            object(fields.iter().map(|(target, value)| (&*target.printed, printed(value))))
        }
    }
}

fn printed(expression: &Expression) -> Value {
    Value::string(expression.ast.print())
}

fn texts(names: &[String]) -> Value {
    Value::list(names.iter().map(|name| Value::from(name.as_str())).collect())
}
