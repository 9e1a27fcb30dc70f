//! What goes wrong with an event in the expressions of a projection: never a value.

use crate::cel::{EVALUATION_LIMIT, EvalError};
use crate::envelope::uuid_text;
use crate::error::CoreError;
use crate::limits::EVALUATION_STEPS_MAX;
use crate::rows::Row;

/// A failure on its way up; whoever knows more adds it.
#[derive(Debug)]
pub(super) struct Failure {
    problem: String,
    path: String,
    limit: Option<u64>,
}

impl Failure {
    pub(super) fn new(problem: impl Into<String>) -> Box<Self> {
        Box::new(Self { problem: problem.into(), path: String::new(), limit: None })
    }

    pub(super) fn of_evaluation(error: EvalError) -> Box<Self> {
        let mut problem = error.message;
        if let Some(offset) = error.offset {
            problem.push_str(&format!(" (at byte {offset} of the expression)"));
        }
        let mut failure = Self::new(problem);
        if error.reason == EVALUATION_LIMIT {
            failure.limit = Some(error.limit.unwrap_or(EVALUATION_STEPS_MAX));
        }
        failure
    }

    pub(super) fn path(mut self: Box<Self>, path: &str) -> Box<Self> {
        path.clone_into(&mut self.path);
        self
    }

    pub(super) fn limit(mut self: Box<Self>, limit: usize) -> Box<Self> {
        self.limit = Some(limit as u64);
        self
    }

    /// The error of the catalogue; `key` is that of the row, where it is known.
    pub(super) fn into_error(
        self,
        projection: &str,
        key: Option<&str>,
        stream: &str,
        row: &Row<'_>,
    ) -> CoreError {
        let Self { problem, path, limit } = self;
        let message = format!(
            "projection `{projection}`, path `{path}`: {problem} (stream {stream}, version {}, \
             position {})",
            row.version, row.position
        );
        let mut error = CoreError::new("PROJECTION_FAILED", message)
            .fact("projection", projection)
            .fact("path", path);
        if let Some(key) = key {
            error = error.fact("key", key);
        }
        error = error
            .fact("stream", stream)
            .fact("version", row.version)
            .fact("position", row.position)
            .fact("event_id", uuid_text(row.event_id));
        if let Some(limit) = limit {
            error = error.fact("limit", limit);
        }
        error.fact("problem", problem)
    }
}
