//! Appends: from the bytes of a request to what is stored, and from what the database decided to
//! the bytes of the answer.

mod answer;
mod decode;
mod many;
mod part;
mod personal;
mod references;
#[cfg(feature = "sealing")]
mod sealing;
mod session;

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::CoreError;
use crate::privacy::CarriedPersonal;
use crate::rules::{EventViolation, Judge, Rules, Steps};

pub use answer::{
    Decision, Outcome, Positions, append_many_response, append_response, session_answer,
    session_answers,
};
pub use part::{StoredEvent, StreamAppend};
pub use references::Demands;
#[cfg(feature = "sealing")]
pub use sealing::{Sealing, SubjectKeys, Subjects};
pub use session::{InSession, SessionMessage};

/// What an expectation says when it names no version: the stream has at least one event.
pub const EXISTS: i64 = -1;
/// The stream may be at any version.
pub const ANY: i64 = -2;
/// No stream is at this version.
pub(crate) const NEVER: i64 = i64::MAX;

/// Who appends, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Name of the caller.
    pub writer: String,
    /// W3C traceparent that came with the call.
    pub trace_context: Option<String>,
    /// When the call came, by the server's clock, in microseconds since 1970.
    pub called_us: i64,
    /// Sum of the `FLAG_` constants that all events get; 0: they are a client's. Only with a mark
    /// may they have types of the server.
    pub marks: i32,
    /// The server writes by itself: streams and types may be its own, with names that start with
    /// `$`.
    pub system: bool,
    /// What the server itself knows to be personal of the events.
    pub carried: Vec<CarriedPersonal>,
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
#[derive(Debug, Clone)]
pub struct Append {
    /// At least one.
    pub parts: Vec<StreamAppend>,
    /// Of other streams.
    pub checks: Vec<StreamCheck>,
    /// Who appends.
    pub origin: Arc<Origin>,
    /// Data, metadata, types, tags and names together.
    pub size_bytes: usize,
    /// Version of the rules that it was checked under.
    pub catalogue_version: i64,
    /// What must be there by these rules.
    pub demands: Demands,
    /// Whether it was held to the rules; else that takes longer than the steps that were given, and
    /// what the rules say is known after [`check_again`](Self::check_again).
    pub judged: bool,
}

/// A part of an append that the rules refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPart {
    /// Which part, from 0.
    pub part: usize,
    /// Why.
    pub error: CoreError,
}

/// Makes ids for events that come without.
pub type NewIds<'a> = &'a mut dyn FnMut() -> [u8; 16];

impl Append {
    /// Checks a serialised `AppendRequest`, and holds it to the rules if that takes no more than
    /// `steps`; in this order: expectation and times can be read, the
    /// name of the stream, there is an expectation, then as
    /// [`check_append`](crate::envelope::check_append) does.
    pub fn of_request(
        message: &[u8],
        origin: &Arc<Origin>,
        rules: &Rules,
        steps: &mut Steps,
        ids: NewIds<'_>,
    ) -> Result<Self, CoreError> {
        let found = decode::Found::of_request(message)?;
        found.check_values()?;
        Self::alone(message, &found, origin, rules, steps, ids)
    }

    /// Checks the `AppendRequest` in a serialised `CheckAppendRequest`.
    pub fn of_check(
        message: &[u8],
        origin: &Arc<Origin>,
        rules: &Rules,
        steps: &mut Steps,
        ids: NewIds<'_>,
    ) -> Result<Self, CoreError> {
        let found = decode::Found::of_check(message)?;
        found.check_values()?;
        Self::alone(message, &found, origin, rules, steps, ids)
    }

    /// Checks a serialised `AppendManyRequest`.
    pub fn of_many(
        message: &[u8],
        origin: &Arc<Origin>,
        rules: &Rules,
        steps: &mut Steps,
        ids: NewIds<'_>,
    ) -> Result<Self, CoreError> {
        many::check(message, origin, rules, steps, ids)
    }

    fn alone(
        message: &[u8],
        found: &decode::Found,
        origin: &Arc<Origin>,
        rules: &Rules,
        steps: &mut Steps,
        ids: NewIds<'_>,
    ) -> Result<Self, CoreError> {
        steps.begin();
        let mut judge = Judge::new(rules, origin, steps);
        let part = StreamAppend::check(message, found, &mut judge, ids)?;
        let mut append = Self {
            size_bytes: part.size_bytes(),
            parts: vec![part],
            checks: Vec::new(),
            origin: Arc::clone(origin),
            catalogue_version: rules.version(),
            demands: Demands::default(),
            judged: true,
        };
        append.demand(rules);
        append.judged_within(steps);
        Ok(append)
    }

    /// Holds the events to rules, instead of those that they were held to before, with all the
    /// steps that an append may take.
    pub fn check_again(&mut self, rules: &Rules) -> Result<(), CoreError> {
        let mut steps = Steps::whole();
        let mut judge = Judge::new(rules, &self.origin, &mut steps);
        for part in &mut self.parts {
            part.check_again(&mut judge)?;
        }
        self.demand(rules);
        self.catalogue_version = rules.version();
        self.judged = true;
        Ok(())
    }

    /// Notes whether the steps were enough.
    fn judged_within(&mut self, steps: &Steps) {
        self.judged = !steps.gave_up();
        if !self.judged {
            self.parts.iter_mut().for_each(StreamAppend::unjudged);
        }
    }

    /// Finds out what must be there; what of it the append itself makes wrong is noted.
    fn demand(&mut self, rules: &Rules) {
        self.demands = Demands::of(self, |event_type| {
            rules.of_type(event_type).is_some_and(|of_type| of_type.references_enforced)
        });
        self.lack(&HashSet::new(), &HashSet::new());
    }

    /// Where events do not fit their schemas, whatever comes of it; at most
    /// [`VIOLATIONS_MAX`](crate::limits::VIOLATIONS_MAX).
    pub fn violations(&self) -> impl Iterator<Item = &EventViolation> {
        self.parts.iter().flat_map(StreamAppend::violations)
    }

    /// What the rules refuse, each part for one reason.
    pub fn refused(&self) -> Vec<RefusedPart> {
        let refused = |(part, append): (usize, &StreamAppend)| {
            append.refusal().map(|error| RefusedPart { part, error })
        };
        self.parts.iter().enumerate().filter_map(refused).collect()
    }

    /// Notes which of the events and streams are not there that must be, instead of what was noted
    /// before.
    pub fn lack(&mut self, events: &HashSet<[u8; 16]>, streams: &HashSet<String>) {
        self.parts.iter_mut().for_each(|part| part.lack(None));
        for (part, error) in self.demands.refusals(events, streams) {
            self.parts[part].lack(Some(error));
        }
    }

    /// Whether it goes to the stream that takes events where its own is closed.
    pub fn follows(&self) -> bool {
        self.parts.iter().any(StreamAppend::follows)
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
