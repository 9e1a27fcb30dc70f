//! Appends: from the bytes of a request to what is stored, and from what the database decided to
//! the bytes of the answer.

mod answer;
mod decode;
mod many;
mod part;
mod session;

use std::sync::Arc;

use crate::error::CoreError;

pub use answer::{
    Decision, Outcome, Positions, append_many_response, append_response, session_answer,
    session_answers,
};
pub use part::{StoredEvent, StreamAppend};
pub use session::{InSession, SessionMessage};

/// What an expectation says when it names no version: the stream has at least one event.
pub const EXISTS: i64 = -1;
/// The stream may be at any version.
pub const ANY: i64 = -2;

/// Who appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Name of the caller.
    pub writer: String,
    /// W3C traceparent that came with the call.
    pub trace_context: Option<String>,
}

/// What is expected of a stream that is not written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamCheck {
    /// Name of the stream.
    pub stream: String,
    /// The version, or [`EXISTS`].
    pub expected: i64,
}

/// What is stored whole or not at all: events for one stream or several, and checks. It passed
/// every check that needs no database.
#[derive(Debug)]
pub struct Append {
    /// At least one.
    pub parts: Vec<StreamAppend>,
    /// Of other streams.
    pub checks: Vec<StreamCheck>,
    /// Who appends.
    pub origin: Arc<Origin>,
    /// Data, metadata, types, tags and names together.
    pub size_bytes: usize,
}

/// Makes ids for events that come without.
pub type NewIds<'a> = &'a mut dyn FnMut() -> [u8; 16];

impl Append {
    /// Checks a serialised `AppendRequest`; in this order: expectation and times can be read, the
    /// name of the stream, there is an expectation, then as
    /// [`check_append`](crate::envelope::check_append) does.
    pub fn of_request(
        message: &[u8],
        origin: &Arc<Origin>,
        ids: NewIds<'_>,
    ) -> Result<Self, CoreError> {
        let found = decode::Found::of_request(message)?;
        found.check_values()?;
        Ok(Self::alone(StreamAppend::check(message, &found, ids)?, origin))
    }

    /// Checks the `AppendRequest` in a serialised `CheckAppendRequest`.
    pub fn of_check(
        message: &[u8],
        origin: &Arc<Origin>,
        ids: NewIds<'_>,
    ) -> Result<Self, CoreError> {
        let found = decode::Found::of_check(message)?;
        found.check_values()?;
        Ok(Self::alone(StreamAppend::check(message, &found, ids)?, origin))
    }

    /// Checks a serialised `AppendManyRequest`.
    pub fn of_many(
        message: &[u8],
        origin: &Arc<Origin>,
        ids: NewIds<'_>,
    ) -> Result<Self, CoreError> {
        many::check(message, origin, ids)
    }

    fn alone(part: StreamAppend, origin: &Arc<Origin>) -> Self {
        let size_bytes = part.size_bytes();
        Self { parts: vec![part], checks: Vec::new(), origin: Arc::clone(origin), size_bytes }
    }

    /// Whether it goes to one stream and looks at no other.
    pub fn is_plain(&self) -> bool {
        self.parts.len() == 1 && self.checks.is_empty()
    }

    /// Events of all parts.
    pub fn events(&self) -> usize {
        self.parts.iter().map(|part| part.events().len()).sum()
    }
}

/// The refusal of one field of a request.
fn invalid(field: &str, problem: &str, limit: Option<usize>) -> CoreError {
    let error = CoreError::new("INVALID_REQUEST", format!("{field}: {problem}"))
        .fact("field", field)
        .fact("problem", problem);
    match limit {
        Some(limit) => error.fact("limit", limit),
        None => error,
    }
}
