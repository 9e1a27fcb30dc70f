//! Data without personal values, for those who try something on them.

use std::ops::Range;

use crate::envelope::FLAG_ABSENT;
use crate::error::CoreError;
use crate::json::pointer::Pattern;
use crate::rows::{Page, Row};

use super::WITHHELD;

/// The data of the row at an index of a page with the word for a withheld value in place of sealed
/// ones; `None`: it has none, or they were shown already. EVENT_CORRUPT, if they are not where they
/// are listed.
pub(crate) fn withheld(
    page: &impl Page,
    index: usize,
    row: &Row<'_>,
) -> Result<Option<Vec<u8>>, CoreError> {
    let sealed: Vec<&str> = page.sealed_paths(index)?.iter().collect();
    if sealed.is_empty() || row.flags & FLAG_ABSENT != 0 || !page.opened(index).is_empty() {
        return Ok(None);
    }
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
    Ok(Some(replaced(row.data, found.into_iter().map(|value| value.value), WITHHELD)))
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
