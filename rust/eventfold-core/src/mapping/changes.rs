//! The changes of one pass to one text.

use std::sync::Arc;

use crate::json::walk::depth;
use crate::json::write::{to_json_value, write_value};
use crate::limits::{EVENT_DATA_BYTES_MAX, JSON_DEPTH_MAX};
use crate::value::Value;

use super::compile::{Pass, StepKind};
use super::failure::Failure;
use super::splice::{NoObject, Splice, Spot};

const NOT_JSON: &str = "the stored bytes are not the JSON that was validated";

/// Why an event has no changed data.
pub(crate) enum Trouble {
    /// Its stored bytes cannot be read.
    Corrupt(&'static str),
    Failed(Box<Failure>),
}

impl From<Box<Failure>> for Trouble {
    fn from(failure: Box<Failure>) -> Self {
        Self::Failed(failure)
    }
}

/// What a pass computes for one text, and memory that is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    spots: Vec<Spot>,
    /// Computed values, one after the other, and where they end; `None`: the place is taken away.
    texts: Vec<u8>,
    ends: Vec<Option<usize>>,
}

impl Changes {
    /// Forgets what was computed for another text.
    pub(crate) fn clear(&mut self) {
        self.texts.clear();
        self.ends.clear();
    }

    /// Takes what the next expression of a pass comes to, for a place at that depth.
    pub(crate) fn take(&mut self, value: Value, depth: usize) -> Result<(), Box<Failure>> {
        let value = match value {
            Value::Optional(None) => {
                self.ends.push(None);
                return Ok(());
            }
            Value::Optional(Some(inner)) => {
                Arc::try_unwrap(inner).unwrap_or_else(|inner| (*inner).clone())
            }
            value => value,
        };
        let value = to_json_value(value).map_err(Failure::of_evaluation)?;
        let start = self.texts.len();
        write_value(&value, &mut self.texts).map_err(Failure::of_evaluation)?;
        if nests_deeper(&self.texts[start..], JSON_DEPTH_MAX - depth) {
            return Err(Failure::too_deep());
        }
        // All of them stand in the text at last.
        if self.texts.len() > EVENT_DATA_BYTES_MAX {
            return Err(Failure::too_large());
        }
        self.ends.push(Some(self.texts.len()));
        Ok(())
    }

    /// Whether something of what was computed is spelled with an escape.
    pub(crate) fn has_escapes(&self) -> bool {
        self.texts.contains(&b'\\')
    }

    /// Adds a text with the changes of a pass to `out`; false, and nothing is added: there is none.
    pub(crate) fn make(
        &mut self,
        pass: &Pass,
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, Trouble> {
        let texts = if pass.computes { &self.texts } else { &pass.texts };
        let mut splice = Splice::new(&pass.tree, text, texts, &mut self.spots)
            .ok_or(Trouble::Corrupt(NOT_JSON))?;
        let mut first = 0;
        let mut ends = self.ends.iter().copied();
        for step in &pass.steps {
            let result = match &step.kind {
                StepKind::Rename { from, to, depth } => {
                    rename(&mut splice, *from, *to, *depth, pass)
                }
                StepKind::Default { at, .. } if splice.is_there(*at) => Ok(()),
                StepKind::Default { at, first, last } => put(&mut splice, *at, *first, *last, pass),
                StepKind::Compute { at, .. } => match ends.next().flatten() {
                    Some(last) => {
                        let from = std::mem::replace(&mut first, last);
                        put(&mut splice, *at, from, last, pass)
                    }
                    None => splice.remove(*at).map_err(|place| no_object(pass, &place)),
                },
            };
            result.map_err(|failure| failure.path(&step.name))?;
        }
        Ok(splice.write(out))
    }
}

fn rename(
    splice: &mut Splice<'_>,
    from: usize,
    to: usize,
    depth: usize,
    pass: &Pass,
) -> Result<(), Box<Failure>> {
    if !splice.is_there(from) || splice.is_there(to) {
        return Ok(());
    }
    if nests_deeper(splice.found(from), JSON_DEPTH_MAX - depth) {
        return Err(Failure::too_deep());
    }
    splice.rename(from, to).map_err(|place| no_object(pass, &place))
}

fn put(
    splice: &mut Splice<'_>,
    node: usize,
    first: usize,
    last: usize,
    pass: &Pass,
) -> Result<(), Box<Failure>> {
    splice.put(node, first, last).map_err(|place| no_object(pass, &place))
}

fn no_object(pass: &Pass, NoObject(node): &NoObject) -> Box<Failure> {
    Failure::new(format!("`{}` is there, and is no object", pass.tree.path(*node)))
}

/// Whether a JSON text nests deeper than so many levels.
fn nests_deeper(text: &[u8], levels: usize) -> bool {
    // What is shorter has no room for so many brackets.
    text.len() > 2 * levels && depth(text) > levels
}
