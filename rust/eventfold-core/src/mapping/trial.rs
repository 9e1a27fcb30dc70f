//! A mapping on stored events, before it is in force.

use crate::envelope::{FLAG_ABSENT, uuid_text};
use crate::error::CoreError;
use crate::privacy::withheld::withheld;
use crate::rows::Page;

use super::{Mapper, Mapping};

/// What events said of a mapping.
#[derive(Debug, Default)]
pub struct Trial {
    /// Events that were tried; deleted ones are left out.
    pub events: u64,
    /// Those that it changes.
    pub changed: u64,
    /// Those on which it fails.
    pub misfits: u64,
    /// The first of these, in their order.
    pub first: Vec<Misfit>,
}

/// A stored event on which a mapping fails.
#[derive(Debug)]
pub struct Misfit {
    /// Its stream.
    pub stream: String,
    /// Its version.
    pub version: i64,
    /// Its position.
    pub position: i64,
    /// Its id.
    pub event_id: String,
    /// Why.
    pub error: CoreError,
}

impl Mapping {
    /// Tries all events of its type in a page with names of streams, and notes the first
    /// `first_max` on which it fails.
    pub fn try_page(&self, page: &impl Page, first_max: usize) -> Result<Trial, CoreError> {
        let mut trial = Trial::default();
        let mut mapper = Mapper::default();
        let mut mapped = Vec::new();
        for index in 0..page.len() {
            let mut row = page.row(index)?;
            if row.deleted || row.event_type != self.event_type() {
                continue;
            }
            let shown = withheld(page, index, &row)?;
            if let Some(shown) = &shown {
                row.data = shown;
                row.flags |= FLAG_ABSENT;
            }
            let stream = row.stream.unwrap_or_default();
            trial.events += 1;
            mapped.clear();
            match self.apply(&row, stream, &mut mapper, &mut mapped) {
                Ok(flags) => trial.changed += u64::from(flags.is_some()),
                Err(error) => {
                    trial.misfits += 1;
                    if trial.first.len() < first_max {
                        trial.first.push(Misfit {
                            stream: stream.to_owned(),
                            version: row.version,
                            position: row.position,
                            event_id: uuid_text(row.event_id),
                            error,
                        });
                    }
                }
            }
        }
        Ok(trial)
    }
}
