//! The one error type that leaves this crate.

use std::fmt;

/// A refusal with a reason of the catalogue (`proto/eventfold/v1/errors.proto`) and its facts.
///
/// Facts never carry payload values: only names, offsets, counts, limits and identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreError {
    /// Name of the `ErrorReason` without its enum prefix, such as `INVALID_JSON`.
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
    /// Facts for programs, in the order in which they help.
    pub facts: Vec<(&'static str, String)>,
}

impl CoreError {
    /// Makes an error without facts.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), facts: Vec::new() }
    }

    /// Adds one fact.
    #[must_use]
    pub fn fact(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.facts.push((name, value.to_string()));
        self
    }
}

impl fmt::Display for CoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for CoreError {}
