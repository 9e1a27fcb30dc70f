//! What of a projection can be personal.

use crate::cel::marks::{Mark, Marked};
use crate::error::CoreError;
use crate::fold::marks::{Declared, Marks, slot_mark, state_mark};
use crate::fold::scope::{EVENT, FIRST_LET};
use crate::mapping::Mappings;

use super::Projection;
use super::event::EventInputs;
use super::row::{KEY, RowPrograms, STATE};

/// What of a projection can be personal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectionMarks {
    /// Its keys.
    pub key: bool,
    /// Parts of the states of its rows.
    pub state: Marks,
    /// Its columns, in the order of the document.
    pub columns: Vec<bool>,
}

impl ProjectionMarks {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        !self.key && self.state.is_empty() && !self.columns.contains(&true)
    }
}

impl Projection {
    /// What of its keys, states and columns can be personal, also where it comes from events that
    /// its own refer to, of which `referred` is declared. Refused with PERSONAL_KEY as
    /// [`Fold::marks`](crate::fold::Fold::marks).
    pub fn marks(
        &self,
        declared: &Declared,
        referred: Option<&Declared>,
        mappings: &Mappings,
    ) -> Result<ProjectionMarks, CoreError> {
        // What a name of `resolve` stands for may be an event of any type.
        let mut given = Mark::default();
        if let Some(referred) = referred {
            given.put(&[Some("data".into())], &referred.any_event(mappings));
        }
        let types = self.types.iter().map(String::as_str);
        let handlers: Vec<_> =
            types.clone().filter_map(|name| self.handler(name.as_bytes())).collect();
        let state = state_mark(&self.name, &handlers, declared, mappings, &given, Mark::default())?;
        let key = self.key.expression().is_some_and(|key| {
            types.map(|name| declared.event(name, mappings)).any(|event| {
                let scope = KeyScope { inputs: &key.inputs, event: &event, given: &given };
                key.program.mark(&scope).any()
            })
        });
        if self.plaintext {
            let columns = vec![false; self.columns.len()];
            return Ok(ProjectionMarks { key: false, state: Marks::default(), columns });
        }
        let mut columns = self.rows.marks(&state, key);
        for (marked, column) in columns.iter_mut().zip(&self.columns) {
            *marked &= !column.plaintext;
        }
        Ok(ProjectionMarks { key, state: Marks::new(state), columns })
    }
}

struct KeyScope<'a> {
    inputs: &'a EventInputs,
    event: &'a Mark,
    given: &'a Mark,
}

impl Marked for KeyScope<'_> {
    fn variable(&self, index: usize) -> Mark {
        match index {
            EVENT => self.event.clone(),
            index if index >= FIRST_LET => self.given.clone(),
            _ => Mark::default(),
        }
    }

    fn slot(&self, slot: usize) -> Mark {
        slot_mark(&self.inputs.sources, &self.inputs.inputs, slot, &Mark::default(), self.event)
    }
}

impl RowPrograms {
    /// Which columns can hold personal values.
    fn marks(&self, state: &Mark, key: bool) -> Vec<bool> {
        let scope = RowScope { rows: self, state, key };
        self.columns.iter().map(|column| column.program.mark(&scope).any()).collect()
    }
}

struct RowScope<'a> {
    rows: &'a RowPrograms,
    state: &'a Mark,
    key: bool,
}

impl Marked for RowScope<'_> {
    fn variable(&self, index: usize) -> Mark {
        match index {
            STATE => self.state.clone(),
            KEY => Mark::whole_if(self.key),
            _ => Mark::default(),
        }
    }

    fn slot(&self, slot: usize) -> Mark {
        self.state.part(self.rows.fields.get(slot).map(String::as_str))
    }
}
