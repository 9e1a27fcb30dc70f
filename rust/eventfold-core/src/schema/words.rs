//! What a keyword demands, in words that hold nothing of an event.

use std::fmt::{self, Write};

use jsonschema::JsonTypeSet;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

use super::document::{SHORT_CHARS_MAX, short};

/// Most values that a message names.
const VALUES_NAMED_MAX: usize = 5;

/// What the keyword says that an error is of.
pub(super) fn words(kind: &Kind) -> String {
    match kind {
        Kind::AdditionalItems { limit } => format!("must have at most {limit} elements"),
        Kind::AdditionalProperties { .. } => "the schema has no such property".to_owned(),
        Kind::AnyOf { .. } => "must fit at least one of the schemas".to_owned(),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            "must match the pattern, which takes too long to find".to_owned()
        }
        Kind::Constant { expected_value } => format!("must be {}", quoted(expected_value)),
        Kind::Contains => "must have as many elements that fit as the schema says".to_owned(),
        Kind::ContentEncoding { .. } | Kind::FromUtf8 { .. } => {
            "must have the encoding of the schema".to_owned()
        }
        Kind::ContentMediaType { .. } => "must have the media type of the schema".to_owned(),
        Kind::Custom { message, .. } => message.clone(),
        Kind::Enum { options } => format!("must be {}", one_of(options)),
        Kind::ExclusiveMaximum { limit } => format!("must be below {}", quoted(limit)),
        Kind::ExclusiveMinimum { limit } => format!("must be above {}", quoted(limit)),
        Kind::FalseSchema => "the schema allows nothing here".to_owned(),
        Kind::Format { format } => format!("must be of the format `{}`", short(format)),
        Kind::MaxItems { limit } => format!("must have at most {limit} elements"),
        Kind::Maximum { limit } => format!("must be at most {}", quoted(limit)),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} properties"),
        Kind::MinItems { limit } => format!("must have at least {limit} elements"),
        Kind::Minimum { limit } => format!("must be at least {}", quoted(limit)),
        Kind::MinLength { limit } => format!("must have at least {limit} characters"),
        Kind::MinProperties { limit } => format!("must have at least {limit} properties"),
        Kind::MultipleOf { multiple_of } => {
            format!("must be a multiple of {}", quoted(multiple_of))
        }
        Kind::Not { .. } => "must not fit the schema".to_owned(),
        Kind::OneOfMultipleValid { .. } => {
            "must fit exactly one of the schemas, and fits several".to_owned()
        }
        Kind::OneOfNotValid { .. } => {
            "must fit exactly one of the schemas, and fits none".to_owned()
        }
        Kind::Pattern { pattern } => format!("must match the pattern `{}`", short(pattern)),
        Kind::PropertyNames { error } => format!("the name of a property {}", words(error.kind())),
        Kind::Required { property } => {
            format!("must have the property `{}`", short(property.as_str().unwrap_or_default()))
        }
        Kind::Type { kind: TypeKind::Single(one) } => format!("must be of type {one}"),
        Kind::Type { kind: TypeKind::Multiple(types) } => {
            format!("must be of one of the types {}", names(*types))
        }
        Kind::UnevaluatedItems { .. } => "the schema has no such elements".to_owned(),
        Kind::UnevaluatedProperties { .. } => "the schema has no such property".to_owned(),
        Kind::UniqueItems => "must have no element twice".to_owned(),
        Kind::Referencing(_) => "a reference of the schema leads nowhere".to_owned(),
    }
}

fn one_of(options: &Value) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    let named: Vec<_> = options.iter().take(VALUES_NAMED_MAX).map(quoted).collect();
    let more = match options.len().saturating_sub(VALUES_NAMED_MAX) {
        0 => String::new(),
        more => format!(" or one of {more} others"),
    };
    match (&named[..], more.as_str()) {
        ([only], "") => only.clone(),
        (named, _) => format!("one of {}{more}", named.join(", ")),
    }
}

/// A value of a schema, cut where it is long.
pub(super) fn quoted(value: &Value) -> String {
    let mut beginning = Beginning { text: String::new(), left: SHORT_CHARS_MAX + 1 };
    // It ends early where there is enough of it.
    let _ = write!(beginning, "{value}");
    format!("`{}`", short(&beginning.text))
}

/// As much of a text as a message holds, and one character more.
struct Beginning {
    text: String,
    left: usize,
}

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(char);
        }
        Ok(())
    }
}

fn names(types: JsonTypeSet) -> String {
    types.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}
