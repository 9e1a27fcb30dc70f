//! Filters: which events of a page somebody wants.

use crate::error::CoreError;
use crate::fold::{Condition, Evaluation};
use crate::rows::{Page, Row};
use crate::wire;

/// What an event must be to pass; an empty list demands nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demands {
    /// The stream that it must be of; with one, `with_system` says nothing.
    pub stream: Option<String>,
    /// The categories, of which its stream must have one.
    pub categories: Vec<String>,
    /// The types, of which it must have one.
    pub types: Vec<String>,
    /// The tags, of which it must have all.
    pub tags: Vec<String>,
    /// Whether it may be of a stream of the system.
    pub with_system: bool,
    /// Whether it may be a copy.
    pub with_copies: bool,
}

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    demands: Demands,
    condition: Option<Condition>,
}

/// What passed of a page.
#[derive(Debug, Default)]
pub struct Selected {
    /// The events as field 1 of a message.
    pub encoded: Vec<u8>,
    /// Their positions.
    pub positions: Vec<i64>,
    /// The index of the first row that was not looked at.
    pub next: usize,
    /// Position of the last row that was looked at; 0: none was.
    pub position: i64,
    /// Why the row at `next` could not be told to pass or not. All before it was.
    pub failure: Option<CoreError>,
}

impl Filter {
    /// Compiles a filter. `condition`: source text of an expression that must be true of the event.
    pub fn new(demands: Demands, condition: Option<&str>) -> Result<Self, CoreError> {
        Ok(Self { demands, condition: condition.map(Condition::parse).transpose()? })
    }

    /// Those of some fields at the top of the data that its condition reads.
    pub fn reads<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        self.condition.as_ref().map(|condition| condition.reads(names)).unwrap_or_default()
    }

    /// What passes of a page from the row at index `first` on. `stream` is the name for pages that
    /// leave it out. Stops early when expressions have taken `steps_max` evaluation steps.
    pub fn select(
        &self,
        page: &impl Page,
        first: usize,
        stream: Option<&str>,
        steps_max: u64,
    ) -> Result<Selected, CoreError> {
        let mut evaluation = Evaluation::default();
        let mut selected = Selected { next: first, ..Selected::default() };
        while selected.next < page.len() && evaluation.steps < steps_max {
            let row = page.row(selected.next)?;
            match self.passes(&row, row.stream.or(stream).unwrap_or_default(), &mut evaluation) {
                Ok(true) => {
                    wire::write_row(&row, stream, &mut selected.encoded)?;
                    selected.positions.push(row.position);
                }
                Ok(false) => {}
                Err(failure) => {
                    selected.failure = Some(failure);
                    return Ok(selected);
                }
            }
            selected.next += 1;
            selected.position = row.position;
        }
        Ok(selected)
    }

    fn passes(
        &self,
        row: &Row<'_>,
        stream: &str,
        evaluation: &mut Evaluation,
    ) -> Result<bool, CoreError> {
        let demands = &self.demands;
        let of_source = match &demands.stream {
            Some(wanted) => wanted == stream,
            None => demands.with_system || !stream.starts_with('$'),
        };
        let passes = of_source
            && (demands.with_copies || row.copied_from.is_none())
            && any(&demands.categories, crate::names::category(stream))
            && any(&demands.types, row.event_type)
            && demands.tags.iter().all(|wanted| row.tags.iter().any(|tag| tag == wanted));
        match &self.condition {
            Some(condition) if passes => condition.is_true(row, stream, evaluation),
            _ => Ok(passes),
        }
    }
}

fn any(wanted: &[String], value: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| one == value)
}
