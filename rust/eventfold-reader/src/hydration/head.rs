//! The row that a hydration begins with.

use eventfold_core::error::CoreError;
use eventfold_core::privacy::Whose;
use tokio_postgres::Row;

use super::{Head, Kept};
use crate::error::ReadError;
use crate::row::cell;

/// The answer of the database is not what its statement gives.
pub(super) fn bad_head(_: tokio_postgres::Error) -> ReadError {
    CoreError::new("BUG", "the head of a stream cannot be decoded").into()
}

/// What the row of the head says of a stream, and of a newer kept state.
pub(super) fn read_head(row: &Row, stream: &str) -> Result<(Head, Option<Kept>), ReadError> {
    let bad = bad_head;
    let head = Head {
        stream_no: row.try_get(0).map_err(bad)?,
        version: row.try_get::<_, Option<_>>(1).map_err(bad)?.unwrap_or(0),
        lifecycle: row.try_get::<_, Option<_>>(2).map_err(bad)?.unwrap_or(1),
        root: row.try_get::<_, Option<_>>(3).map_err(bad)?.unwrap_or_else(|| stream.to_owned()),
        source: row.try_get(6).map_err(bad)?,
    };
    let Some(version) = row.try_get::<_, Option<i64>>(7).map_err(bad)? else {
        return Ok((head, None));
    };
    let event_id = cell(row, 8).and_then(|id| id.try_into().ok());
    let kept = Kept {
        version,
        event_id: event_id.ok_or_else(|| {
            ReadError::Core(CoreError::new("BUG", "a kept state has no id of an event"))
        })?,
        recorded_us: None,
        exists: row.try_get(9).map_err(bad)?,
        state: row.try_get(10).map_err(bad)?,
        whose: Whose::Nobody,
    };
    Ok((head, Some(kept)))
}
