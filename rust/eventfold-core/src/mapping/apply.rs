//! The data of one event as it is read.

use crate::cel::Budget;
use crate::envelope::{FLAG_ABSENT, FLAG_ESCAPED_KEYS, FLAG_MAPPED, FLAG_VALIDATED_V1};
use crate::error::CoreError;
use crate::fold::engine::read_event;
use crate::fold::failure::Place;
use crate::fold::scope::{EventScope, EventValues, Names};
use crate::json::check::Checker;
use crate::limits::{EVALUATION_STEPS_MAX, EVENT_DATA_BYTES_MAX};
use crate::rows::Row;
use crate::value::Value;

use super::Mapping;
use super::changes::{Changes, Trouble};
use super::compile::Pass;
use super::failure::Failure;

/// Memory for mapping events one after the other, and what they have cost.
#[derive(Debug)]
pub struct Mapper {
    /// Evaluation steps of all events so far.
    pub steps: u64,
    /// Those that one event may take.
    pub(crate) steps_max: u64,
    checker: Checker,
    changes: Changes,
    /// The data between two passes, and behind the one that runs.
    data: Vec<u8>,
    next: Vec<u8>,
    fields: Vec<Option<Value>>,
}

impl Default for Mapper {
    fn default() -> Self {
        Self {
            steps: 0,
            steps_max: EVALUATION_STEPS_MAX,
            checker: Checker::default(),
            changes: Changes::default(),
            data: Vec::new(),
            next: Vec::new(),
            fields: Vec::new(),
        }
    }
}

impl Mapping {
    /// Adds the data of an event as it is read to `out`, and returns its flags; `None`, and nothing
    /// is added, if it is read as it is stored: nothing about it changes, or its payload was
    /// deleted. `row` is of the type of this mapping, `stream` the name of its stream.
    ///
    /// Refused with MAPPING_FAILED, and with EVENT_CORRUPT for an event that this store did not
    /// validate and that is not valid; then nothing is added either.
    pub fn apply(
        &self,
        row: &Row<'_>,
        stream: &str,
        mapper: &mut Mapper,
        out: &mut Vec<u8>,
    ) -> Result<Option<i32>, CoreError> {
        if row.deleted {
            return Ok(None);
        }
        if let Some(problem) = &self.broken {
            return Err(Failure::new(problem.as_str()).into_error(row, stream));
        }
        match mapper.map(self, row, stream) {
            Ok(Some(flags)) => {
                out.extend_from_slice(&mapper.data);
                Ok(Some(flags))
            }
            Ok(None) => Ok(None),
            Err(Trouble::Corrupt(problem)) => Err(Place { fold: "", stream, row }.corrupt(problem)),
            Err(Trouble::Failed(failure)) => Err(failure.into_error(row, stream)),
        }
    }
}

impl Mapper {
    /// Leaves the mapped data in `data`, if they are not those of the row.
    fn map(
        &mut self,
        mapping: &Mapping,
        row: &Row<'_>,
        stream: &str,
    ) -> Result<Option<i32>, Trouble> {
        let mut flags = row.flags;
        if flags & FLAG_ABSENT != 0 {
            // This process has opened it; absent values are no JSON that could be checked.
            if flags & FLAG_VALIDATED_V1 == 0 {
                flags |= FLAG_ESCAPED_KEYS;
            }
        } else if flags & FLAG_VALIDATED_V1 == 0 {
            // Others may have written this row: nothing is known of it.
            let mut check = |text| self.checker.check(text).map_err(|found| found.problem.name());
            let found = check(row.data).map_err(Trouble::Corrupt)?;
            check(row.metadata).map_err(Trouble::Corrupt)?;
            if found.escaped_keys {
                flags |= FLAG_ESCAPED_KEYS;
            }
        }
        let mut changed = false;
        for pass in &mapping.passes {
            let data = std::mem::take(&mut self.data);
            let text = if changed { &*data } else { row.data };
            let written = self.pass(mapping, pass, row, text, stream, &mut flags);
            self.data = data;
            if written? {
                std::mem::swap(&mut self.data, &mut self.next);
                changed = true;
            }
        }
        if !changed || self.data == row.data {
            return Ok(None);
        }
        if self.data.len() > EVENT_DATA_BYTES_MAX {
            return Err(Failure::too_large().into());
        }
        // Whether the bytes were checked is as it was.
        Ok(Some(flags | FLAG_MAPPED))
    }

    /// Makes the changes of a pass to a text; false: there was none, and nothing is in `next`.
    fn pass(
        &mut self,
        mapping: &Mapping,
        pass: &Pass,
        row: &Row<'_>,
        text: &[u8],
        stream: &str,
        flags: &mut i32,
    ) -> Result<bool, Trouble> {
        if pass.computes {
            let view = Row { data: text, flags: *flags | FLAG_VALIDATED_V1, ..row.clone() };
            self.compute(mapping, pass, &view, stream).map_err(|trouble| match trouble {
                Trouble::Corrupt(_) if self.checker.check(text).is_ok() => {
                    Failure::new("a number of the event is outside the range of decimals").into()
                }
                trouble => trouble,
            })?;
        }
        self.next.clear();
        let changed = self.changes.make(pass, text, &mut self.next)?;
        if changed && (pass.escapes || pass.computes && self.changes.has_escapes()) {
            *flags |= FLAG_ESCAPED_KEYS;
        }
        Ok(changed)
    }

    /// Evaluates what a pass computes into `changes`.
    fn compute(
        &mut self,
        mapping: &Mapping,
        pass: &Pass,
        row: &Row<'_>,
        stream: &str,
    ) -> Result<(), Trouble> {
        self.changes.clear();
        let mut values = EventValues {
            row,
            names: Names::OfEvent { stream, root: "" },
            event_type: &mapping.event_type,
            fields: std::mem::take(&mut self.fields),
            whole: None,
            metadata: None,
            given: &[],
        };
        let read = read_event(&mut self.checker, &mapping.computed.inputs, &mut values);
        let mut budget = Budget::new(self.steps_max);
        let evaluated = read
            .map_err(Trouble::Corrupt)
            .and_then(|()| self.evaluate(mapping, pass, &values, &mut budget));
        self.fields = values.fields;
        self.steps += self.steps_max - budget.steps_left();
        evaluated
    }

    fn evaluate(
        &mut self,
        mapping: &Mapping,
        pass: &Pass,
        event: &EventValues<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<(), Trouble> {
        let sources = &mapping.computed.sources;
        let scope = EventScope { state: &Value::Null, event, sources, lets: &[] };
        for (name, depth, program) in pass.computed() {
            let value = program.eval(&scope, budget).map_err(Failure::of_evaluation);
            let taken = value.and_then(|value| self.changes.take(value, depth));
            taken.map_err(|failure| failure.path(name))?;
        }
        Ok(())
    }
}
