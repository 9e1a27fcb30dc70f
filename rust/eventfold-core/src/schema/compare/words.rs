//! What differences are called.

use serde_json::Value;

use super::super::document::short;
use super::super::words::quoted;
use super::types::Types;

/// Most values that a message names.
const VALUES_NAMED_MAX: usize = 3;

/// The words for demands that one schema makes and the other does not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Words {
    /// The new schema makes them.
    New,
    /// The old schema made them.
    Old,
}

impl Words {
    fn pick<T>(self, new: T, old: T) -> T {
        match self {
            Self::New => new,
            Self::Old => old,
        }
    }

    /// What becomes of something that one schema allows and the other does not.
    fn allowed(self) -> &'static str {
        self.pick("no longer allowed", "allowed now")
    }

    pub(super) fn too_large(&self) -> String {
        "this is too large or too deep to be compared".to_owned()
    }

    pub(super) fn nothing_allowed(&self) -> String {
        format!("a value here is {}", self.allowed())
    }

    pub(super) fn property_allowed(&self) -> String {
        self.pick("the property is no longer allowed", "the property is new").to_owned()
    }

    pub(super) fn property_named(&self) -> String {
        let new = "the property is new, and events may hold anything under its name";
        self.pick(new, "the property is no longer described").to_owned()
    }

    pub(super) fn others_allowed(&self) -> String {
        format!("properties that the schema does not name are {}", self.allowed())
    }

    pub(super) fn elements_allowed(&self, first: usize) -> String {
        match first {
            0 => format!("elements are {}", self.allowed()),
            _ => format!("elements behind the first {first} are {}", self.allowed()),
        }
    }

    pub(super) fn types(&self, types: Types) -> String {
        format!("{} is {}", types.names(), self.allowed())
    }

    pub(super) fn values(&self, values: &[&Value]) -> String {
        let named: Vec<_> = values.iter().take(VALUES_NAMED_MAX).map(|one| quoted(one)).collect();
        let named = named.join(", ");
        match values.len() - values.len().min(VALUES_NAMED_MAX) {
            0 => format!("{named} is {}", self.allowed()),
            more => format!("{named} and {more} more are {}", self.allowed()),
        }
    }

    pub(super) fn only_values(&self, keyword: &str) -> String {
        let new = format!("only the values of `{keyword}` are allowed now");
        self.pick(new, format!("values other than those of `{keyword}` are allowed now"))
    }

    /// A keyword whose value is `demanded` in the one schema, and `known` in the other, or is not
    /// there.
    pub(super) fn rule(&self, keyword: &str, demanded: &Value, known: Option<&Value>) -> String {
        let demanded = quoted(demanded);
        let known = known.map(quoted);
        match (self, known) {
            (Self::New, None) => format!("`{keyword}` {demanded} is new"),
            (Self::New, Some(known)) => format!("`{keyword}` is {demanded}, it was {known}"),
            (Self::Old, None) => format!("`{keyword}` {demanded} is gone"),
            (Self::Old, Some(known)) => format!("`{keyword}` is {known}, it was {demanded}"),
        }
    }

    pub(super) fn required(&self) -> String {
        self.pick("the property is required now", "the property is no longer required").to_owned()
    }

    pub(super) fn required_with(&self, name: &str) -> String {
        let now = self.pick("is required now", "is no longer required");
        format!("the property {now} where there is `{}`", short(name))
    }

    /// A rule that is made of schemas.
    pub(super) fn changed(&self, keyword: &str) -> String {
        format!("what `{keyword}` says is not the same")
    }

    pub(super) fn no_branch(&self, keyword: &str) -> String {
        let new = format!("values may fit no schema of `{keyword}`");
        self.pick(new, format!("`{keyword}` allows more"))
    }

    pub(super) fn several_branches(&self) -> String {
        let new = "values may fit several schemas of `oneOf`";
        self.pick(new, "`oneOf` allows more").to_owned()
    }
}
