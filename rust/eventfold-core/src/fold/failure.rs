//! What goes wrong with an event of a fold, and what the error tells of it: never a value.

use crate::cel::{EVALUATION_FAILED, EVALUATION_LIMIT, EvalError};
use crate::envelope::uuid_text;
use crate::error::CoreError;
use crate::limits::{EVALUATION_STEPS_MAX, JSON_DEPTH_MAX, STATE_BYTES_MAX};
use crate::rows::Row;

/// A failure on its way up; whoever knows more adds it.
#[derive(Debug)]
pub(crate) struct Failure {
    reason: &'static str,
    problem: String,
    limit: u64,
    handler: String,
    path: Option<String>,
}

impl Failure {
    fn new(reason: &'static str, problem: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            reason,
            problem: problem.into(),
            limit: EVALUATION_STEPS_MAX,
            handler: String::new(),
            path: None,
        })
    }

    /// An expression or an assignment that does not work out.
    pub(crate) fn failed(problem: impl Into<String>) -> Box<Self> {
        Self::new("FOLD_FAILED", problem)
    }

    /// Too much work.
    pub(crate) fn limit(problem: impl Into<String>) -> Box<Self> {
        Self::new(EVALUATION_LIMIT, problem)
    }

    /// A state that would nest too deep.
    pub(crate) fn too_deep() -> Box<Self> {
        let problem = format!("the state would nest deeper than {JSON_DEPTH_MAX} levels");
        let mut failure = Self::limit(problem);
        failure.limit = JSON_DEPTH_MAX as u64;
        failure
    }

    pub(crate) fn of_evaluation(error: EvalError) -> Box<Self> {
        let reason = if error.reason == EVALUATION_FAILED { "FOLD_FAILED" } else { error.reason };
        let mut problem = error.message;
        if let Some(offset) = error.offset {
            problem.push_str(&format!(" (at byte {offset} of the expression)"));
        }
        let mut failure = Self::new(reason, problem);
        failure.limit = error.limit.unwrap_or(failure.limit);
        failure
    }

    pub(crate) fn handler(mut self: Box<Self>, handler: &str) -> Box<Self> {
        handler.clone_into(&mut self.handler);
        self
    }

    pub(crate) fn path(mut self: Box<Self>, path: &str) -> Box<Self> {
        self.path = Some(path.to_owned());
        self
    }
}

/// The event on which something failed.
pub(crate) struct Place<'a> {
    pub(crate) fold: &'a str,
    pub(crate) stream: &'a str,
    pub(crate) row: &'a Row<'a>,
}

impl Place<'_> {
    pub(crate) fn error(&self, failure: Failure) -> CoreError {
        let Self { fold, stream, row } = self;
        let mut whereabouts = format!("fold `{fold}`, handler `{}`", failure.handler);
        if let Some(path) = &failure.path {
            whereabouts.push_str(&format!(", path `{path}`"));
        }
        let message = format!(
            "{whereabouts}: {} (stream {}, version {})",
            failure.problem, stream, row.version
        );
        let mut error = CoreError::new(failure.reason, message)
            .fact("fold", fold)
            .fact("handler", failure.handler);
        if let Some(path) = failure.path {
            error = error.fact("path", path);
        }
        error = error
            .fact("stream", stream)
            .fact("version", row.version)
            .fact("event_id", uuid_text(row.event_id));
        if failure.reason == EVALUATION_LIMIT {
            error = error.fact("limit", failure.limit);
        }
        error.fact("problem", failure.problem)
    }

    pub(crate) fn corrupt(&self, problem: &str) -> CoreError {
        let Self { stream, row, .. } = self;
        if row.deleted {
            // It was deleted while its stream was folded.
            return CoreError::new("STREAM_DELETED", "the stream was deleted")
                .fact("stream", stream);
        }
        let message =
            format!("the event at version {} of {} cannot be read: {problem}", row.version, stream);
        CoreError::new("EVENT_CORRUPT", message)
            .fact("stream", stream)
            .fact("version", row.version)
            .fact("position", row.position)
            .fact("event_id", uuid_text(row.event_id))
            .fact("problem", problem)
    }

    pub(crate) fn too_large(&self, actual: usize) -> CoreError {
        let Self { fold, stream, row } = self;
        let message = format!(
            "fold `{fold}`: the state has {actual} bytes of JSON at version {} of {}; at most \
             {STATE_BYTES_MAX} are allowed",
            row.version, stream
        );
        CoreError::new("STATE_TOO_LARGE", message)
            .fact("fold", fold)
            .fact("stream", stream)
            .fact("version", row.version)
            .fact("limit", STATE_BYTES_MAX)
            .fact("actual", actual)
    }
}
