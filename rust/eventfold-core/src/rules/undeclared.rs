//! Fields that a fold reads, and that no schema describes.

use crate::error::CoreError;
use crate::fold::Fold;

use super::Rules;

impl Rules {
    /// The top-level fields that handlers of a fold name and that neither the schema of their type
    /// describes nor its mapping gives, each with the type. Types without a schema are passed over.
    pub fn undeclared_fields(&self, fold: &Fold) -> Result<Vec<(String, String)>, CoreError> {
        let mut undeclared = Vec::new();
        for (event_type, fields) in fold.fields() {
            let rules = self.of_type(event_type);
            let Some(in_force) = rules.and_then(|rules| rules.schema.as_ref()) else { continue };
            let mapping = self.mappings.get(event_type.as_bytes());
            let is_given = |field: &&str| {
                mapping
                    .is_some_and(|mapping| mapping.assigned().iter().any(|name| **name == **field))
            };
            let names: Vec<&str> =
                fields.iter().map(String::as_str).filter(|field| !is_given(field)).collect();
            let missing = in_force.schema.undeclared(&names)?;
            undeclared.extend(missing.into_iter().map(|name| (event_type.into(), name.into())));
        }
        Ok(undeclared)
    }
}
