//! A schema on stored events, before it is in force.

use crate::envelope::{FLAG_ABSENT, FLAG_VALIDATED_V1, uuid_text};
use crate::error::CoreError;
use crate::fold::failure::Place;
use crate::json::absent::{Shown, without_absent};
use crate::json::check::check_object;
use crate::limits::MISFIT_VIOLATIONS_MAX;
use crate::mapping::{Mapper, Mapping};
use crate::privacy::withheld::withheld;
use crate::rows::{Page, Row};

use super::{Schema, Violation};

/// What events said of a schema.
#[derive(Debug, Default)]
pub struct Trial {
    /// Events that were tried; deleted ones are left out.
    pub events: u64,
    /// Those that do not fit.
    pub misfits: u64,
    /// The first of these, in their order.
    pub first: Vec<Misfit>,
}

/// A stored event that does not fit.
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
    /// Where: the first of its violations.
    pub violations: Vec<Violation>,
    /// Why it could not be read, if that is so: then there are no violations.
    pub error: Option<CoreError>,
}

impl Schema {
    /// Tries a page of events of one type with names of streams, as they are read under the mapping
    /// of the type, and notes the first `first_max` that do not fit.
    pub fn try_page(
        &self,
        page: &impl Page,
        mapping: Option<&Mapping>,
        first_max: usize,
    ) -> Result<Trial, CoreError> {
        let mut trial = Trial::default();
        let mut mapper = Mapper::default();
        let mut mapped = Vec::new();
        for index in 0..page.len() {
            let mut row = page.row(index)?;
            if row.deleted {
                continue;
            }
            let stream = row.stream.unwrap_or_default();
            trial.events += 1;
            let shown = withheld(page, index, &row)?;
            if let Some(shown) = &shown {
                row.data = shown;
                row.flags |= FLAG_ABSENT;
            }
            let (violations, error) = match read(&row, stream, mapping, &mut mapper, &mut mapped) {
                Ok(data) => (self.misfits(data)?, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            if violations.is_empty() && error.is_none() {
                continue;
            }
            trial.misfits += 1;
            if trial.first.len() < first_max {
                trial.first.push(Misfit {
                    stream: stream.to_owned(),
                    version: row.version,
                    position: row.position,
                    event_id: uuid_text(row.event_id),
                    violations,
                    error,
                });
            }
        }
        Ok(trial)
    }

    /// Where data do not fit in which the words of absent values may stand.
    fn misfits(&self, data: &[u8]) -> Result<Vec<Violation>, CoreError> {
        let found = match without_absent(data) {
            None => self.violations(data, MISFIT_VIOLATIONS_MAX)?,
            Some(Shown { text, mut erased, withheld }) => {
                erased.extend(withheld);
                self.violations_beside(&text, &erased, MISFIT_VIOLATIONS_MAX)?
            }
        };
        Ok(found.first)
    }
}

/// The data of an event as they are read.
fn read<'a>(
    row: &Row<'a>,
    stream: &str,
    mapping: Option<&Mapping>,
    mapper: &mut Mapper,
    mapped: &'a mut Vec<u8>,
) -> Result<&'a [u8], CoreError> {
    let Some(mapping) = mapping else {
        if row.flags & (FLAG_VALIDATED_V1 | FLAG_ABSENT) == 0 {
            let corrupt = |name| Place { fold: "", stream, row }.corrupt(name);
            check_object(row.data).map_err(|found| corrupt(found.problem.name()))?;
        }
        return Ok(row.data);
    };
    mapped.clear();
    let changed = mapping.apply(row, stream, mapper, mapped)?.is_some();
    Ok(if changed { mapped } else { row.data })
}
