//! Whether a schema describes properties.

use std::collections::HashSet;

use referencing::Registry;
use serde_json::Value;

use crate::error::CoreError;
use crate::limits::{SCHEMA_CHAIN_MAX, SCHEMA_COMPARISON_STEPS_MAX};

use super::super::work;
use super::facts::Known;
use super::keywords::{Holds, holds};
use super::node::Schema;
use super::{Parsed, registry, root};

/// Keywords whose schemas hold for the same value.
const SAME_VALUE: [&str; 8] =
    ["allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas", "dependencies"];

impl crate::schema::Schema {
    /// Those of some names of properties of events that it does not describe, in their order; none
    /// where that takes too many steps to tell.
    pub fn undeclared<'n>(&self, names: &[&'n str]) -> Result<Vec<&'n str>, CoreError> {
        self.with_root(|root| {
            let known = Known::default();
            let mut schemas = OfValue::default();
            schemas.gather(root, 0);
            let declared = |name: &str| schemas.found.iter().any(|one| declares(&known, one, name));
            names.iter().copied().filter(|name| !declared(name)).collect()
        })
    }

    fn with_root<T: Default>(&self, work: impl FnOnce(&Schema<'_>) -> T) -> Result<T, CoreError> {
        let parsed = Parsed::of(self)?;
        let version = parsed.version(&|_| true);
        let registry: Option<Registry<'_>> = registry(&version);
        let root = registry.as_ref().and_then(|registry| root(&version, registry));
        let bug = || CoreError::new("BUG", "the references of a schema cannot be followed");
        let root = root.ok_or_else(bug)?;
        let done = work::limited(SCHEMA_COMPARISON_STEPS_MAX, || work(&root));
        Ok(done.unwrap_or_default())
    }
}

/// A schema, and all that hold or may hold for the same value.
#[derive(Default)]
struct OfValue<'r> {
    found: Vec<Schema<'r>>,
    seen: HashSet<u64>,
}

impl<'r> OfValue<'r> {
    fn gather(&mut self, schema: &Schema<'r>, depth: usize) {
        let deep = depth > SCHEMA_CHAIN_MAX;
        if deep || !schema.value.is_object() || !self.seen.insert(schema.identity()) {
            return;
        }
        self.found.push(schema.clone());
        schema.followed().iter().flatten().for_each(|target| self.gather(target, depth + 1));
        for keyword in SAME_VALUE {
            let inner: Vec<_> = match holds(schema.draft, keyword) {
                Holds::List => schema.list(keyword),
                Holds::Schema => schema.schema(keyword).into_iter().collect(),
                Holds::Map | Holds::MapOrNames => {
                    schema.members(keyword).map(|(_, value)| schema.inner(value)).collect()
                }
                _ => continue,
            };
            inner.iter().for_each(|inner| self.gather(inner, depth + 1));
        }
    }
}

/// Whether a schema by itself describes a property.
fn declares(known: &Known, schema: &Schema<'_>, name: &str) -> bool {
    let mut named = schema.members("properties").map(|(known, _)| known);
    let mut patterns = schema.members("patternProperties").map(|(pattern, _)| pattern);
    named.any(|known| known == name)
        || patterns.any(|pattern| known.matches(pattern, name) != Some(false))
        || describes_others(schema)
}

/// Whether a schema says what properties hold that it does not name.
fn describes_others(schema: &Schema<'_>) -> bool {
    let others = schema.get("additionalProperties").and_then(Value::as_object);
    others.is_some_and(|others| !others.is_empty())
}
