//! The rows of a statement, of which some may be looked at before their turn.

use std::collections::VecDeque;

use tokio_postgres::Row;

use crate::connection::Rows;
use crate::error::ReadError;

/// Most rows that are looked at before their turn, and what they may take.
const ROWS_AHEAD_MAX: usize = 256;
const BYTES_AHEAD_MAX: usize = 1024 * 1024;

/// Rows as they come.
pub(crate) struct RowsAhead {
    rows: Rows,
    ahead: VecDeque<Row>,
    /// Nothing comes behind those that are here; why, if that is no good end.
    ended: Option<Result<(), ReadError>>,
}

impl RowsAhead {
    pub(crate) fn new(rows: Rows) -> Self {
        Self { rows, ahead: VecDeque::new(), ended: None }
    }

    /// The next row; `None` when the statement is done.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, ReadError> {
        if let Some(row) = self.ahead.pop_front() {
            return Ok(Some(row));
        }
        if let Some(ended) = self.ended.take() {
            self.ended = Some(Ok(()));
            return ended.map(|()| None);
        }
        let next = self.rows.next().await;
        if matches!(next, Ok(None)) {
            self.ended = Some(Ok(()));
        }
        next
    }

    /// The rows that come next, as many as may be held. A fault shows when its turn comes.
    pub(crate) async fn look(&mut self) -> &VecDeque<Row> {
        let mut bytes: usize = self.ahead.iter().map(Row::raw_size_bytes).sum();
        while self.ended.is_none() && self.ahead.len() < ROWS_AHEAD_MAX && bytes < BYTES_AHEAD_MAX {
            match self.rows.next().await {
                Ok(Some(row)) => {
                    bytes += row.raw_size_bytes();
                    self.ahead.push_back(row);
                }
                Ok(None) => self.ended = Some(Ok(())),
                Err(error) => self.ended = Some(Err(error)),
            }
        }
        &self.ahead
    }
}
