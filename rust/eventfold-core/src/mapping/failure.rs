//! What goes wrong with an event whose data are changed, and what the error tells of it: never a
//! value.

use crate::cel::EvalError;
use crate::envelope::uuid_text;
use crate::error::CoreError;
use crate::limits::{EVENT_DATA_BYTES_MAX, JSON_DEPTH_MAX};
use crate::rows::Row;

/// A failure of an entry, or of the whole.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) path: Option<String>,
    pub(crate) problem: String,
    pub(crate) limit: Option<u64>,
}

impl Failure {
    pub(crate) fn new(problem: impl Into<String>) -> Box<Self> {
        Box::new(Self { path: None, problem: problem.into(), limit: None })
    }

    pub(crate) fn too_deep() -> Box<Self> {
        let problem = format!("the data would nest deeper than {JSON_DEPTH_MAX} levels");
        Self::new(problem).limit(JSON_DEPTH_MAX as u64)
    }

    pub(crate) fn too_large() -> Box<Self> {
        let problem = format!("the data would have more than {EVENT_DATA_BYTES_MAX} bytes");
        Self::new(problem).limit(EVENT_DATA_BYTES_MAX as u64)
    }

    pub(crate) fn of_evaluation(error: EvalError) -> Box<Self> {
        let mut problem = error.message;
        if let Some(offset) = error.offset {
            problem.push_str(&format!(" (at byte {offset} of the expression)"));
        }
        let mut failure = Self::new(problem);
        failure.limit = error.limit;
        failure
    }

    pub(crate) fn path(mut self: Box<Self>, path: &str) -> Box<Self> {
        self.path.get_or_insert_with(|| path.to_owned());
        self
    }

    fn limit(mut self: Box<Self>, limit: u64) -> Box<Self> {
        self.limit = Some(limit);
        self
    }

    /// The error of the catalogue for an event of a stream.
    pub(super) fn into_error(self, row: &Row<'_>, stream: &str) -> CoreError {
        let mut whereabouts = format!("the mapping of `{}`", row.event_type);
        if let Some(path) = &self.path {
            whereabouts.push_str(&format!(", `{path}`"));
        }
        let message =
            format!("{whereabouts}: {} (stream {stream}, version {})", self.problem, row.version);
        let mut error = CoreError::new("MAPPING_FAILED", message).fact("type", row.event_type);
        if let Some(path) = self.path {
            error = error.fact("path", path);
        }
        error = error
            .fact("stream", stream)
            .fact("version", row.version)
            .fact("position", row.position)
            .fact("event_id", uuid_text(row.event_id));
        if let Some(limit) = self.limit {
            error = error.fact("limit", limit);
        }
        error.fact("problem", self.problem)
    }
}
