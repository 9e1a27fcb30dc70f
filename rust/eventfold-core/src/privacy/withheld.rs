//! Stored data for those who try something on them: without the values that are sealed.

use std::ops::Range;

use crate::error::CoreError;
use crate::json::pointer::Pattern;
use crate::rows::Row;

use super::WITHHELD;

/// The data of an event with the word for a withheld value at the pointers to its sealed values.
/// EVENT_CORRUPT, if they do not lead there.
pub(crate) fn withheld(row: &Row<'_>, sealed: &[&str]) -> Result<Vec<u8>, CoreError> {
    let patterns = sealed.iter().map(|pointer| Pattern::pointer(pointer));
    let patterns = patterns.collect::<Result<Vec<_>, _>>().ok();
    let found = patterns.and_then(|patterns| Pattern::find(&patterns, row.data));
    let Some(found) = found.filter(|found| found.len() == sealed.len()) else {
        let problem = "its sealed values are not where they are listed";
        return Err(CoreError::new(
            "EVENT_CORRUPT",
            format!("the event cannot be read: {problem}"),
        )
        .fact("problem", problem)
        .fact("position", row.position)
        .fact("version", row.version));
    };
    Ok(replaced(row.data, found.into_iter().map(|value| value.value), WITHHELD))
}

/// Data with a word in other places, which stand in their order and apart.
pub(crate) fn replaced(
    data: &[u8],
    places: impl IntoIterator<Item = Range<usize>>,
    word: &str,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut done = 0;
    for place in places {
        out.extend_from_slice(&data[done..place.start]);
        out.extend_from_slice(word.as_bytes());
        done = place.end;
    }
    out.extend_from_slice(&data[done..]);
    out
}
