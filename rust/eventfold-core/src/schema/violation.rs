//! Where an event does not fit, in words of the schema alone.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;

use super::document::join;
use super::known_as;
use super::words::words;
use crate::limits::VIOLATION_POINTER_BYTES_MAX;

/// Keywords whose members are schemas under names of the author's.
const NAMING: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// What a schema says that closes an object and names no property.
const NO_PROPERTY: &str = "must have no property";

/// One place of an event that does not fit its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer to the place in the event's data; empty: the whole. One that would be longer
    /// than [`VIOLATION_POINTER_BYTES_MAX`] leads to what is around it.
    pub pointer: String,
    /// The keyword that it breaks; `false` for the schema of that name.
    pub rule: String,
    /// JSON Pointer to that keyword in the schema, behind `$id` and `#` in another document.
    pub schema_pointer: String,
    /// What the schema says, without values of the event.
    pub message: String,
}

impl Violation {
    /// What one error of the validation says, for a schema of that `$id`.
    pub(super) fn of<'a>(
        error: &'a ValidationError<'_>,
        id: Option<&str>,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let kind = error.kind();
        let closed = matches!(kind, ValidationErrorKind::FalseSchema)
            && is_closed_object(error.schema_path().as_str());
        let rule = match (kind, error.schema_path().as_str().rsplit('/').next()) {
            (ValidationErrorKind::FalseSchema, _) if closed => "additionalProperties",
            (ValidationErrorKind::FalseSchema, _) => "false",
            (ValidationErrorKind::Contains, Some(one @ ("minContains" | "maxContains"))) => one,
            (kind, _) => kind.keyword(),
        };
        let mut schema_pointer = within(error.schema_path().as_str());
        if let Some(uri) = error.absolute_keyword_location() {
            let document = uri.as_str().split('#').next().unwrap_or_default();
            let document = known_as(document);
            if id != Some(document) {
                schema_pointer = format!("{document}#{schema_pointer}");
            }
        }
        let violation = Self {
            pointer: within(error.instance_path().as_str()),
            rule: rule.to_owned(),
            schema_pointer,
            message: if closed { NO_PROPERTY.to_owned() } else { words(kind) },
        };
        // Members that are too many have a place of their own.
        let members: &[String] = match kind {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected,
            _ => &[],
        };
        let whole = members.is_empty().then(|| violation.clone());
        let place = error.instance_path().as_str();
        whole.into_iter().chain(
            members
                .iter()
                .map(move |name| Self { pointer: within(&join(place, name)), ..violation.clone() }),
        )
    }
}

/// Whether the path leads to the keyword `additionalProperties`, and not to a schema under that
/// name. Where an object has no `properties` beside that keyword, the validator tells only of a
/// `false` there, and of the object as a whole.
fn is_closed_object(schema_path: &str) -> bool {
    let mut is_name = false;
    let mut last = "";
    for token in schema_path.split('/').skip(1) {
        last = if is_name { "" } else { token };
        is_name = !is_name && NAMING.contains(&token);
    }
    last == "additionalProperties"
}

/// As much of a pointer as fits, in whole tokens.
fn within(pointer: &str) -> String {
    let mut fits = pointer;
    while fits.len() > VIOLATION_POINTER_BYTES_MAX {
        fits = fits.rsplit_once('/').map_or("", |(before, _)| before);
    }
    fits.to_owned()
}
