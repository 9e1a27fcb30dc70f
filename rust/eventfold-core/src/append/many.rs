//! Appends to several streams: held to the limits of one.

use std::collections::HashSet;
use std::sync::Arc;

use super::decode::{Expected, Found, each_field, merge_expected, text, text_of, whole};
use super::{ANY, Append, Demands, NewIds, Origin, StreamAppend, StreamCheck, invalid};
use crate::envelope::{check_count, check_ids_unique, check_total};
use crate::error::CoreError;
use crate::limits::APPEND_CHECKS_MAX;
use crate::names::check_readable_stream_name;
use crate::rules::{Judge, Rules, Steps};
use crate::wire::fields::{Span, Value};

/// A `VersionCheck`.
#[derive(Default)]
struct FoundCheck {
    stream: Span,
    expected: Option<Expected>,
}

impl FoundCheck {
    fn decode(message: &[u8], span: Span) -> Result<Self, CoreError> {
        let mut found = Self::default();
        each_field(message, span, |number, value| {
            match (number, value) {
                (1, Value::Bytes(span)) => found.stream = text(message, span)?,
                (2, Value::Bytes(span)) => merge_expected(message, span, &mut found.expected)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn check(&self, message: &[u8]) -> Result<StreamCheck, CoreError> {
        let stream = text_of(message, self.stream);
        check_readable_stream_name(stream)?;
        let Some(expected) = self.expected else {
            let message = "a check names the version that the decision was made on, or `exists`";
            return Err(CoreError::new("EXPECTED_VERSION_REQUIRED", message).fact("stream", stream));
        };
        let expected = expected.number()?;
        if expected == ANY {
            return Err(invalid("checks.expected_version", "`any` demands nothing", None));
        }
        Ok(StreamCheck { stream: stream.to_owned(), expected })
    }
}

fn of_append(error: CoreError, index: usize) -> CoreError {
    error.fact("append_index", index)
}

fn of_check(error: CoreError, index: usize) -> CoreError {
    error.fact("check_index", index)
}

/// Checks an `AppendManyRequest`: what can be read of all parts, their numbers, then part by part
/// and check by check, the size of the whole. A refusal says which of them it concerns.
pub(super) fn check(
    message: &[u8],
    origin: &Arc<Origin>,
    rules: &Rules,
    steps: &mut Steps,
    ids: NewIds<'_>,
) -> Result<Append, CoreError> {
    let (appends, checks) = decode(message)?;
    check_numbers(&appends, &checks)?;
    let mut streams = HashSet::new();
    let mut seen = HashSet::new();
    let mut size_bytes = 0;
    steps.begin();
    let mut judge = Judge::new(rules, origin, steps);
    let mut parts = Vec::with_capacity(appends.len());
    for (index, (message, found)) in appends.iter().enumerate() {
        let part = StreamAppend::check(message, found, &mut judge, ids)
            .and_then(|part| {
                once(text_of(message, found.stream), &mut streams, "appends")?;
                check_ids_unique(part.events().map(|event| Some(*event.id)), &mut seen)?;
                Ok(part)
            })
            .map_err(|error| of_append(error, index))?;
        size_bytes += part.size_bytes();
        parts.push(part);
    }
    let mut demands = Vec::with_capacity(checks.len());
    for (index, found) in checks.iter().enumerate() {
        let demand = found
            .check(message)
            .and_then(|demand| {
                once(text_of(message, found.stream), &mut streams, "checks")?;
                Ok(demand)
            })
            .map_err(|error| of_check(error, index))?;
        size_bytes += demand.stream.len();
        demands.push(demand);
    }
    check_total(size_bytes)?;
    let mut append = Append {
        parts,
        checks: demands,
        origin: Arc::clone(origin),
        size_bytes,
        catalogue_version: rules.version(),
        demands: Demands::default(),
        judged: true,
    };
    append.demand(rules);
    append.judged_within(steps);
    Ok(append)
}

/// A `StreamAppend`, and where its fields stand in it.
type FoundAppend<'a> = (&'a [u8], Found);

fn decode(message: &[u8]) -> Result<(Vec<FoundAppend<'_>>, Vec<FoundCheck>), CoreError> {
    let mut appends = Vec::new();
    let mut checks = Vec::new();
    each_field(message, whole(message)?, |number, value| {
        match (number, value) {
            (1, Value::Bytes(span)) => {
                let append = span.of(message);
                appends.push((append, Found::of_request(append)?));
            }
            (2, Value::Bytes(span)) => checks.push(FoundCheck::decode(message, span)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok((appends, checks))
}

fn check_numbers(appends: &[FoundAppend<'_>], checks: &[FoundCheck]) -> Result<(), CoreError> {
    for (index, (_, append)) in appends.iter().enumerate() {
        append.check_values().map_err(|error| of_append(error, index))?;
    }
    for (index, check) in checks.iter().enumerate() {
        if let Some(expected) = check.expected {
            expected.number().map_err(|error| of_check(error, index))?;
        }
    }
    if appends.is_empty() {
        let message = "the append names no stream to append to";
        return Err(CoreError::new("EMPTY_APPEND", message));
    }
    // An append without events is told with its index.
    check_count(appends.iter().map(|(_, append)| append.events.len()).sum::<usize>().max(1))?;
    if checks.len() > APPEND_CHECKS_MAX {
        let problem = format!("at most {APPEND_CHECKS_MAX} checks");
        return Err(invalid("checks", &problem, Some(APPEND_CHECKS_MAX)));
    }
    Ok(())
}

fn once<'a>(
    stream: &'a str,
    streams: &mut HashSet<&'a str>,
    field: &'static str,
) -> Result<(), CoreError> {
    if streams.insert(stream) {
        return Ok(());
    }
    Err(invalid(field, "a stream stands twice in the request", None))
}
