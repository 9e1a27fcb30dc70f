//! The documents of a schema: strictly read, and told apart.

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use super::Draft;
use crate::error::CoreError;
use crate::fold::normal::{hexadecimal, sorted};
use crate::json::check::{Checker, Problem, Refusal};
use crate::json::scan::scan_value;
use crate::json::tree::{Kind, Place, Tree};
use crate::json::write::write_value;
use crate::limits::{JSON_DEPTH_MAX, SCHEMA_ALL_BYTES_MAX, SCHEMA_BYTES_MAX};

/// Longest text of a schema that is put into a message, in characters.
pub(super) const SHORT_CHARS_MAX: usize = 100;

/// A document that was read.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// The `$id` by which it is known; empty: the schema itself.
    pub(super) id: &'a str,
    pub(super) source: &'a str,
    pub(super) value: Value,
}

impl<'a> Document<'a> {
    /// The schema, and then its resources; their sizes are held to the limits.
    pub(super) fn read(
        source: &'a str,
        resources: &'a [(String, String)],
    ) -> Result<Vec<Self>, CoreError> {
        let texts = || resources.iter().map(|(id, text)| (id.as_str(), text.as_str()));
        for (_, text) in [("", source)].into_iter().chain(texts()) {
            within(text.len(), SCHEMA_BYTES_MAX, "the schema")?;
        }
        let all = source.len() + texts().map(|(_, text)| text.len()).sum::<usize>();
        within(all, SCHEMA_ALL_BYTES_MAX, "the schema with all that it refers to")?;
        let read = |(id, source)| Ok(Self { id, source, value: parse(source, id)? });
        [("", source)].into_iter().chain(texts()).map(read).collect()
    }

    /// The dialect that it names.
    pub(super) fn draft(&self) -> Result<Option<Draft>, CoreError> {
        draft_of(&self.value).map_err(|name| self.unknown_draft(&name, "/$schema"))
    }

    pub(super) fn unknown_draft(&self, name: &str, pointer: &str) -> CoreError {
        let message = format!("`{}` is none of draft-07, 2019-09 and 2020-12", short(name));
        self.invalid(pointer, "unknown_draft", message)
    }

    /// The refusal of something at a pointer.
    pub(super) fn invalid(
        &self,
        pointer: &str,
        problem: &'static str,
        message: impl Into<String>,
    ) -> CoreError {
        let path = if self.id.is_empty() { pointer } else { &format!("{}#{pointer}", self.id) };
        invalid(path, problem, message)
    }
}

/// The dialect that a schema names, or the name, if it is none.
pub(super) fn draft_of(schema: &Value) -> Result<Option<Draft>, String> {
    let Some(name) = schema.get("$schema") else { return Ok(None) };
    let name = name.as_str().unwrap_or_default();
    match name.strip_suffix('#').unwrap_or(name) {
        "http://json-schema.org/draft-07/schema" => Ok(Some(Draft::Draft7)),
        "https://json-schema.org/draft/2019-09/schema" => Ok(Some(Draft::Draft201909)),
        "https://json-schema.org/draft/2020-12/schema" => Ok(Some(Draft::Draft202012)),
        _ => Err(name.to_owned()),
    }
}

/// The refusal of a schema.
pub(super) fn invalid(path: &str, problem: &'static str, message: impl Into<String>) -> CoreError {
    let message = message.into();
    let place = if path.is_empty() { "the schema".to_owned() } else { format!("`{path}`") };
    CoreError::new("INVALID_SCHEMA", format!("{place}: {message}"))
        .fact("path", path)
        .fact("problem", problem)
}

/// SHA-256 of canonical JSON: keys in the order of RFC 8785 and its escapes, numbers as their text.
pub(super) fn digest(schema: &str, resources: &[(&str, &str)], formats: bool) -> String {
    let mut resources = resources.to_vec();
    resources.sort_unstable();
    let mut hash = Sha256::new_with_prefix(b"eventfold schema 1\n");
    hash.update([u8::from(formats)]);
    let mut part = |text: &[u8]| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    part(&canonical(schema));
    for (id, text) in resources {
        part(id.as_bytes());
        part(&canonical(text));
    }
    hexadecimal(hash)
}

/// A text that is put into a message.
pub(super) fn short(text: &str) -> String {
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(SHORT_CHARS_MAX).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// A pointer with one more token.
pub(super) fn join(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", escaped(token))
}

/// A token of a pointer.
pub(super) fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

fn within(actual: usize, limit: usize, what: &str) -> Result<(), CoreError> {
    if actual <= limit {
        return Ok(());
    }
    let message = format!("{what} has {actual} bytes; at most {limit} are allowed");
    Err(CoreError::new("SCHEMA_TOO_LARGE", message).fact("limit", limit).fact("actual", actual))
}

fn canonical(text: &str) -> Vec<u8> {
    let mut canonical = Vec::new();
    // The text was read before, so it is JSON.
    if let Ok(value) = scan_value(text.as_bytes()) {
        let _ = write_value(&sorted(&value), &mut canonical);
    }
    canonical
}

fn parse(text: &str, id: &str) -> Result<Value, CoreError> {
    let mut tree = Tree::default();
    let checked = Checker::default().check_into(text.as_bytes(), false, &mut tree);
    checked.map_err(|refusal| refused(refusal, id))?;
    Ok(value(tree.root(text)))
}

fn refused(refusal: Refusal, id: &str) -> CoreError {
    let Refusal { problem, offset } = refusal;
    let message = match problem {
        Problem::TooDeep => format!("nests deeper than {JSON_DEPTH_MAX} levels, at byte {offset}"),
        _ => format!("is no JSON ({}), at byte {offset}", problem.name()),
    };
    invalid(id, problem.name(), message)
}

fn value(place: Place<'_>) -> Value {
    match place.kind() {
        Kind::Null => Value::Null,
        Kind::True => Value::Bool(true),
        Kind::False => Value::Bool(false),
        Kind::Number => Value::Number(Number::from_string_unchecked(place.spelling().to_owned())),
        Kind::String => Value::String(place.string().into_owned()),
        Kind::Array => Value::Array(place.values().map(value).collect()),
        Kind::Object => {
            let member = |member: Place<'_>| (member.key().to_owned(), value(member));
            Value::Object(place.values().map(member).collect::<Map<_, _>>())
        }
    }
}
