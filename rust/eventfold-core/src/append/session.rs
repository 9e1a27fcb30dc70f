//! Appends of a session: many in one message.

use std::sync::Arc;

use super::decode::{Found, Time, each_field, whole};
use super::{Append, NewIds, Origin, invalid};
use crate::error::CoreError;
use crate::rules::{Rules, Steps};
use crate::wire::fields::{Span, Value};

/// A serialised `AppendSessionRequest`, whose appends are taken from it one after the other.
#[derive(Debug)]
pub struct SessionMessage<B> {
    message: B,
    appends: Vec<Span>,
    taken: usize,
}

/// One `SessionAppend`.
#[derive(Debug)]
pub struct InSession {
    /// Chosen by the client.
    pub number: u64,
    /// Bytes of the `SessionAppend`.
    pub size_bytes: usize,
    /// How long it may wait, in seconds; `None`: it does not say.
    pub timeout_s: Option<f64>,
    /// What to append, or why not.
    pub append: Result<Append, CoreError>,
}

#[derive(Default)]
struct FoundInSession {
    number: u64,
    append: Found,
    timeout: Option<Time>,
}

impl FoundInSession {
    fn decode(message: &[u8], span: Span) -> Result<Self, CoreError> {
        let mut found = Self::default();
        each_field(message, span, |number, value| {
            match (number, value) {
                (1, Value::Number(number)) => found.number = number,
                (2, Value::Bytes(span)) => found.append.merge(message, span)?,
                (3, Value::Bytes(span)) => {
                    found.timeout.get_or_insert_default().merge(message, span)?
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(found)
    }
}

impl<B: AsRef<[u8]>> SessionMessage<B> {
    /// Makes sure that all of the message can be read; what its appends are worth shows when they
    /// are taken.
    pub fn decode(message: B) -> Result<Self, CoreError> {
        let bytes = message.as_ref();
        let mut appends = Vec::new();
        each_field(bytes, whole(bytes)?, |number, value| {
            if let (1, Value::Bytes(span)) = (number, value) {
                FoundInSession::decode(bytes, span)?;
                appends.push(span);
            }
            Ok(())
        })?;
        Ok(Self { message, appends, taken: 0 })
    }

    /// Bytes of the next append; `None` when all were taken.
    pub fn next_bytes(&self) -> Option<usize> {
        self.appends.get(self.taken).map(Span::len)
    }

    /// Takes the next append, and checks it.
    pub fn take(
        &mut self,
        origin: &Arc<Origin>,
        rules: &Rules,
        steps: &mut Steps,
        ids: NewIds<'_>,
    ) -> Option<InSession> {
        let span = *self.appends.get(self.taken)?;
        self.taken += 1;
        // The append keeps these bytes alone, whatever else the message holds.
        let message = span.of(self.message.as_ref());
        let found = whole(message).and_then(|span| FoundInSession::decode(message, span));
        // It was read before.
        let found = found.unwrap_or_default();
        Some(InSession {
            number: found.number,
            size_bytes: span.len(),
            timeout_s: found.timeout.map(Time::seconds),
            append: found.check(message, origin, rules, steps, ids),
        })
    }
}

impl FoundInSession {
    fn check(
        &self,
        message: &[u8],
        origin: &Arc<Origin>,
        rules: &Rules,
        steps: &mut Steps,
        ids: NewIds<'_>,
    ) -> Result<Append, CoreError> {
        if self.timeout.is_some_and(|time| time.seconds() <= 0.0) {
            return Err(invalid("timeout", "must be above 0", None));
        }
        if self.append.follow {
            return Err(invalid("follow", "is not for sessions", None));
        }
        self.append.check_values()?;
        Append::alone(message, &self.append, origin, rules, steps, ids)
    }
}
