//! What goes wrong with an event of a transform, and what the error tells of it: never a value.

use std::ops::Range;

use crate::envelope::uuid_text;
use crate::error::CoreError;
use crate::mapping::failure::Failure;
use crate::rows::Row;

/// A rule that fails.
pub(super) struct Failed {
    pub(super) rule: String,
    pub(super) failure: Box<Failure>,
    /// The reason for which an append refuses the copy.
    pub(super) cause: Option<&'static str>,
}

impl Failed {
    pub(super) fn new(rule: &str, failure: Box<Failure>) -> Self {
        Self { rule: rule.to_owned(), failure, cause: None }
    }

    /// A copy that an append would refuse, of which some places are hidden: what lies within these
    /// is not told apart, since keys there can be personal too.
    pub(super) fn refused_within(
        rule: &str,
        mut refusal: CoreError,
        hidden: &[(String, Range<usize>)],
    ) -> Self {
        for (name, pointer) in &mut refusal.facts {
            let within = |place: &&(String, Range<usize>)| {
                let rest = pointer.strip_prefix(place.0.as_str());
                rest.is_some_and(|rest| rest.starts_with('/'))
            };
            if *name == "pointer"
                && let Some((place, _)) = hidden.iter().find(within)
            {
                *pointer = place.clone();
            }
        }
        Self::refused(rule, refusal)
    }

    /// A copy that an append would refuse.
    pub(super) fn refused(rule: &str, refusal: CoreError) -> Self {
        let fact = |name: &str| {
            let mut facts = refusal.facts.iter();
            facts.find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
        };
        let path = match refusal.reason {
            "INVALID_TAG" => "tags",
            "METADATA_TOO_LARGE" | "INVALID_REFERENCES" => "metadata",
            "INVALID_JSON" | "JSON_TOO_DEEP" => fact("field").unwrap_or("data"),
            _ => "data",
        };
        // What these two say counts the events of an append.
        let problem = match (refusal.reason, fact("problem")) {
            ("SCHEMA_VIOLATION", Some(problem)) => match fact("pointer").unwrap_or_default() {
                "" => format!("the copy does not fit the schema of its type: {problem}"),
                pointer => {
                    format!("the copy does not fit the schema of its type: `{pointer}` {problem}")
                }
            },
            ("MAPPING_FAILED", Some(problem)) => {
                format!("the mapping of its type fails on the copy: {problem}")
            }
            _ => refusal.message.clone(),
        };
        let mut failure = Failure::new(problem).path(path);
        failure.limit = fact("limit").and_then(|limit| limit.parse().ok());
        Self { rule: rule.to_owned(), failure, cause: Some(refusal.reason) }
    }

    /// The error of the catalogue for an event of a stream.
    pub(super) fn into_error(self, transform: &str, row: &Row<'_>, stream: &str) -> CoreError {
        let Failure { path, problem, limit } = *self.failure;
        let mut whereabouts = format!("transform `{transform}`, rule `{}`", self.rule);
        if let Some(path) = &path {
            whereabouts.push_str(&format!(", `{path}`"));
        }
        let message =
            format!("{whereabouts}: {problem} (stream {stream}, version {})", row.version);
        let mut error = CoreError::new("TRANSFORM_FAILED", message)
            .fact("transform", transform)
            .fact("rule", self.rule);
        if let Some(path) = path {
            error = error.fact("path", path);
        }
        error = error
            .fact("stream", stream)
            .fact("version", row.version)
            .fact("position", row.position)
            .fact("event_id", uuid_text(row.event_id));
        if let Some(cause) = self.cause {
            error = error.fact("cause", cause);
        }
        if let Some(limit) = limit {
            error = error.fact("limit", limit);
        }
        error.fact("problem", problem)
    }
}
