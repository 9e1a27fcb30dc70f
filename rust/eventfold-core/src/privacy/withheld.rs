//! Stored data for those who try something on them: without the values that are sealed.

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
    let mut out = Vec::with_capacity(row.data.len());
    let mut done = 0;
    for value in found {
        out.extend_from_slice(&row.data[done..value.value.start]);
        out.extend_from_slice(WITHHELD.as_bytes());
        done = value.value.end;
    }
    out.extend_from_slice(&row.data[done..]);
    Ok(out)
}
