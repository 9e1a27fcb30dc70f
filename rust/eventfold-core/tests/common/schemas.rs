//! Schemas that are compared, judged by a validator of its own.

use eventfold_core::schema::compare::{self, Difference, Version};
use jsonschema::{Registry, Validator};
use serde_json::Value;

/// A schema: its document, the documents it refers to, whether formats are checked.
pub type Side<'a> = (&'a Value, &'a [(String, Value)], bool);

/// Compares two schemas that refer to no others, without formats.
pub fn compare(old: &Value, new: &Value) -> Vec<Difference> {
    compare_with((old, &[], false), (new, &[], false))
}

/// Compares two schemas.
pub fn compare_with(old: Side<'_>, new: Side<'_>) -> Vec<Difference> {
    let validators = (validator(old), validator(new));
    let fits = (
        |value: &Value| validators.0.is_valid(value),
        |value: &Value| validators.1.is_valid(value),
    );
    let version =
        |(document, resources, formats), fits| Version { document, resources, formats, fits };
    compare::compare(&version(old, &fits.0), &version(new, &fits.1))
}

/// What judges events.
pub fn validator((document, resources, formats): Side<'_>) -> Validator {
    let registry = Registry::new().extend(resources.iter().map(|(id, value)| (id, value)));
    let registry = registry.unwrap().prepare().unwrap();
    jsonschema::options()
        .with_registry(&registry)
        .should_validate_formats(formats)
        .build(document)
        .unwrap_or_else(|error| panic!("{error}: {document}"))
}

/// Each difference as `change pointer keyword: message`; annotations without the message.
pub fn lines(differences: &[Difference]) -> Vec<String> {
    let line = |one: &Difference| {
        let change = format!("{:?}", one.change).to_lowercase();
        format!("{change} {} {}: {}", one.pointer, one.keyword, one.message)
    };
    differences.iter().map(line).collect()
}
