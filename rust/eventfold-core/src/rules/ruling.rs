//! What the rules say of events that are to be stored.

use crate::error::CoreError;
use crate::json::write::write_string;
use crate::limits::VIOLATIONS_TOLD_BYTES_MAX;
use crate::schema::{Violation, Violations};

/// Where an event of an append does not fit its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventViolation {
    /// Which event of its part, from 0.
    pub event_index: usize,
    /// Type of the event.
    pub event_type: String,
    /// Whether it refuses the append.
    pub enforced: bool,
    /// Where and why.
    pub violation: Violation,
}

/// What the rules say of the events for one stream.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ruling {
    violations: Vec<EventViolation>,
    /// Those that refuse it, listed or not.
    enforced: usize,
    /// Of the schema that the first of these breaks.
    revision: i32,
    /// The first of these, which is known even where there is no room to list it.
    first: Option<EventViolation>,
    /// Why the first of the events that cannot be mapped cannot, or that have a value of nobody.
    unfit: Option<CoreError>,
}

/// What is told of a failure of a mapping on an event that has no place in the log yet.
const OF_UNSTORED: [&str; 5] = ["type", "path", "problem", "stream", "limit"];

impl Ruling {
    /// Adds what was found in one event of an append that may list so many more; `of_event` tells
    /// the event.
    pub(crate) fn add(
        &mut self,
        found: Violations,
        revision: i32,
        room: &mut usize,
        of_event: impl Fn(Violation) -> EventViolation,
    ) {
        let mut violations = found.first.into_iter().map(of_event).peekable();
        if let Some(first) = violations.peek().filter(|first| first.enforced) {
            if self.first.is_none() {
                self.revision = revision;
                self.first = Some(first.clone());
            }
            self.enforced += found.count;
        }
        let before = self.violations.len();
        self.violations.extend(violations.take(*room));
        *room -= self.violations.len() - before;
    }

    /// Adds that it cannot be told whose a personal value of an event is.
    pub(crate) fn subjectless(&mut self, event_index: usize, event_type: &str, error: CoreError) {
        let error = || error.fact("event_index", event_index).fact("type", event_type);
        self.unfit.get_or_insert_with(error);
    }

    /// Adds the failure of a mapping on an event.
    pub(crate) fn unmapped(&mut self, event_index: usize, error: &CoreError) {
        if self.unfit.is_some() {
            return;
        }
        let fact = |name: &str| error.facts.iter().find(|(known, _)| *known == name);
        let problem = fact("problem").map_or(error.message.as_str(), |(_, problem)| problem);
        let message = format!("event {event_index} cannot be mapped: {problem}");
        let told = OF_UNSTORED.into_iter().filter_map(fact).cloned();
        let mut unmapped = CoreError::new(error.reason, message).fact("event_index", event_index);
        unmapped.facts.extend(told);
        self.unfit = Some(unmapped);
    }

    /// Where events do not fit, whatever comes of it.
    pub(crate) fn violations(&self) -> &[EventViolation] {
        &self.violations
    }

    /// Whether the events may not be stored.
    pub(crate) fn refuses(&self) -> bool {
        self.first.is_some() || self.unfit.is_some()
    }

    /// Why the events may not be stored; `None`: they may.
    pub(crate) fn refusal(&self) -> Option<CoreError> {
        let Some(EventViolation { event_index, event_type, violation, .. }) = &self.first else {
            return self.unfit.clone();
        };
        // The pointer to the whole is empty, which reads as nothing.
        let place = match violation.pointer.as_str() {
            "" => String::new(),
            pointer => format!("`{pointer}` "),
        };
        let message = format!(
            "event {event_index} does not fit the schema of {event_type}: {place}{}",
            violation.message
        );
        let error = CoreError::new("SCHEMA_VIOLATION", message)
            .fact("event_index", event_index)
            .fact("type", event_type)
            .fact("pointer", &violation.pointer)
            .fact("rule", &violation.rule)
            .fact("problem", &violation.message)
            .fact("count", self.enforced)
            .fact("revision", self.revision)
            .fact("violations", self.told());
        Some(error)
    }

    /// The first violations that refuse it, as JSON.
    fn told(&self) -> String {
        let mut told = "[".to_owned();
        for one in self.violations.iter().filter(|one| one.enforced) {
            let next = one.to_json();
            if told.len() + next.len() + 2 > VIOLATIONS_TOLD_BYTES_MAX {
                break;
            }
            if told.len() > 1 {
                told.push(',');
            }
            told.push_str(&next);
        }
        told + "]"
    }
}

impl EventViolation {
    fn to_json(&self) -> String {
        let Violation { pointer, rule, schema_pointer, message } = &self.violation;
        let texts = [
            ("event_type", &self.event_type),
            ("pointer", pointer),
            ("rule", rule),
            ("schema_pointer", schema_pointer),
            ("message", message),
        ];
        let mut json = format!("{{\"event_index\":{}", self.event_index).into_bytes();
        for (name, text) in texts {
            json.extend_from_slice(format!(",\"{name}\":").as_bytes());
            write_string(text, &mut json);
        }
        json.push(b'}');
        String::from_utf8(json).unwrap_or_default()
    }
}
