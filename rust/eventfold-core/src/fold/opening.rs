//! Where a stream starts that goes on from another one: at the state that its opening event carries
//! for the fold.
//!
//! A fold with a handler for the type of that event never comes here: to it, the event is one like
//! any other.

use std::cmp::Reverse;

use crate::envelope::{FLAG_ABSENT, FLAG_VALIDATED_V1};
use crate::error::CoreError;
use crate::json::check::Checker;
use crate::json::scan::scan_value;
use crate::rows::Row;
use crate::value::{Map, Value};

use super::Fold;
use super::failure::Place;

/// A state that an opening event carries.
#[derive(Debug)]
pub(super) struct Carried {
    /// False: the fold has deleted the aggregate.
    pub(super) exists: bool,
    pub(super) state: Value,
}

/// Why no state is there to start from.
#[derive(Debug, Clone, Copy)]
enum Lack {
    /// No state of this fold was carried.
    NotCarried,
    /// One was, of another digest.
    OtherDigest,
    /// The events that count begin behind the opening event.
    OpeningLeftOut,
}

impl Lack {
    fn name(self) -> &'static str {
        match self {
            Self::NotCarried => "not_carried",
            Self::OtherDigest => "other_digest",
            Self::OpeningLeftOut => "opening_left_out",
        }
    }
}

/// The state that an opening event carries for a fold.
pub(super) fn carried(fold: &Fold, stream: &str, row: &Row<'_>) -> Result<Carried, CoreError> {
    let place = Place { fold: fold.name(), stream, row };
    if row.deleted {
        return Err(place.corrupt("the payload of the event was deleted"));
    }
    if row.flags & (FLAG_VALIDATED_V1 | FLAG_ABSENT) == 0 {
        // Others may have written this row: nothing is known of it.
        let checked = Checker::default().check(row.data);
        checked.map_err(|refusal| place.corrupt(refusal.problem.name()))?;
    }
    let data = scan_value(row.data)
        .map_err(|_| place.corrupt("the stored bytes are not the JSON that was validated"))?;
    let predecessor = text(data.as_map(), "predecessor").unwrap_or_default();
    let states = data.as_map().and_then(|data| data.get("states")).and_then(Value::as_list);
    let mut known = false;
    let mut found: Option<(Reverse<usize>, &Map)> = None;
    for state in states.into_iter().flat_map(|states| states.iter()) {
        let state = state.as_map().filter(|state| text(Some(state), "fold") == Some(fold.name()));
        let Some(state) = state else { continue };
        known = true;
        // Its own digest comes first, then those that it accepts, in their order.
        let rank = text(Some(state), "digest").and_then(|digest| rank(fold, digest)).map(Reverse);
        if let Some(rank) = rank
            && found.is_none_or(|(best, _)| rank > best)
        {
            found = Some((rank, state));
        }
    }
    let Some((_, state)) = found else {
        let lack = if known { Lack::OtherDigest } else { Lack::NotCarried };
        return Err(not_carried(fold, stream, predecessor, lack));
    };
    Ok(Carried {
        exists: !matches!(state.get("exists"), Some(Value::Bool(false))),
        state: state.get("state").cloned().unwrap_or(Value::Null),
    })
}

/// The refusal of a stream whose opening event does not count, though later ones do.
#[cold]
pub(super) fn left_out(fold: &Fold, stream: &str) -> CoreError {
    not_carried(fold, stream, "", Lack::OpeningLeftOut)
}

fn rank(fold: &Fold, digest: &str) -> Option<usize> {
    if digest == fold.digest() {
        return Some(0);
    }
    fold.accepts().iter().position(|accepted| accepted == digest).map(|place| place + 1)
}

fn text<'a>(map: Option<&'a Map>, key: &str) -> Option<&'a str> {
    map?.get(key)?.as_str()
}

fn not_carried(fold: &Fold, stream: &str, predecessor: &str, lack: Lack) -> CoreError {
    let fold = fold.name();
    let why = match lack {
        Lack::NotCarried => "its opening event carries no state of the fold",
        Lack::OtherDigest => "its opening event carries a state of another version of the fold",
        Lack::OpeningLeftOut => "its opening event lies outside the events that count",
    };
    let message = format!("fold `{fold}` cannot start on {stream}: {why}");
    let mut error = CoreError::new("STATE_NOT_CARRIED", message)
        .fact("stream", stream)
        .fact("fold", fold)
        .fact("problem", lack.name());
    if !predecessor.is_empty() {
        error = error.fact("predecessor", predecessor);
    }
    error
}
