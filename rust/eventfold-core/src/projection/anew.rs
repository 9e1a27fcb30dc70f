//! Rows that are folded anew, because an event that is in them was cancelled.

use std::sync::Arc;

use crate::error::CoreError;
use crate::fold::assign::State;
use crate::json::scan::scan_value;
use crate::rows::{self, Page};

use super::cache::RowState;
use super::changes::ChangedRow;
use super::projecting::Projecting;

impl Projecting {
    /// Stops before each event that cancels another, if the fold skips what is cancelled: whoever
    /// calls folds its key anew, and [replaces](Self::replace) its row. Else they are passed over.
    #[must_use]
    pub fn stopping_at_cancellations(mut self) -> Self {
        self.stops_at_cancellations = self.projection().skip_cancelled();
        self
    }

    /// Whether the row at an index is an event at which this stops.
    pub fn stops_at(&self, page: &impl Page, index: usize) -> bool {
        self.stops_at_cancellations && rows::is_cancellation(page, index)
    }

    /// Whether events of a key are set aside; `None`: the key is not known.
    pub fn is_parked(&mut self, key: &str) -> Option<bool> {
        if self.complete && self.cache.place(key).is_none() {
            self.cache.put(Arc::from(key), false, self.absent.clone(), self.batch);
        }
        let place = self.cache.place(key)?;
        self.cache.count(place, self.batch);
        Some(self.cache.entry(place).parked)
    }

    /// Parks a key that is known, whose row stays as it is; false: this stops instead.
    pub fn park(&mut self, key: &str) -> bool {
        if let Some(place) = self.cache.place(key).filter(|_| self.parks) {
            self.cache.entry(place).parked = true;
        }
        self.parks
    }

    /// Puts a row in the place of that of a key that is known; `None`: there is none.
    pub fn replace(&mut self, key: &str, row: Option<ChangedRow>) -> Result<(), CoreError> {
        let bug = |problem: &str| CoreError::new("BUG", problem.to_owned());
        let place = self.cache.place(key).ok_or_else(|| bug("the key of a row is not known"))?;
        let (row, columns) = match row {
            None => (self.absent.clone(), Vec::new()),
            Some(row) => {
                let state = scan_value(&row.state).map_err(|_| bug("a state is not valid JSON"))?;
                let ChangedRow { shown, version, position, columns, whose, .. } = row;
                let state = State::new(state);
                (RowState { exists: true, state, shown, version, position, whose }, columns)
            }
        };
        let entry = self.cache.entry(place);
        if !entry.dirty {
            entry.dirty = true;
            entry.stored = entry.row.exists;
            self.dirty.push(place);
        }
        (entry.row, entry.columns) = (row, columns);
        self.count_changed(place);
        Ok(())
    }
}
