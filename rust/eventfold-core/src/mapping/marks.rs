//! What of mapped data can be personal.

use std::sync::Arc;

use crate::cel::marks::{Mark, MarkStep, Marked};
use crate::fold::marks::slot_mark;
use crate::fold::scope::EVENT;

use super::Mapping;
use super::compile::{Computed, Pass, StepKind};
use super::tree::{ROOT, Tree};

impl Mapping {
    /// The mark of data as they are read, from that of those that are stored.
    pub(crate) fn marks(&self, stored: Mark) -> Mark {
        self.passes.iter().fold(stored, |event, pass| {
            let scope = PassScope { event: &event, computed: &self.computed };
            pass.marks(&event, &scope).bounded()
        })
    }
}

impl Pass {
    /// The mark of what it makes of an event, whose expressions see the marks of a scope.
    pub(crate) fn marks(&self, event: &Mark, scope: &dyn Marked) -> Mark {
        let mut mapped = event.clone();
        for step in &self.steps {
            match &step.kind {
                // An event that has both places keeps what was at the first.
                StepKind::Rename { from, to, .. } => {
                    let moved = keys(&self.tree, *from)
                        .iter()
                        .fold(event.clone(), |mark, key| mark.part(Some(key)));
                    let to: Vec<MarkStep> = keys(&self.tree, *to).into_iter().map(Some).collect();
                    mapped.put(&to, &moved);
                }
                StepKind::Default { .. } => {}
                StepKind::Compute { at, program, .. } => {
                    mapped.replace(&keys(&self.tree, *at), &program.mark(scope));
                }
            }
        }
        mapped
    }
}

/// The keys from the root to a node.
fn keys(tree: &Tree, node: usize) -> Vec<Arc<str>> {
    let mut keys = Vec::new();
    let mut at = node;
    while at != ROOT {
        keys.push(Arc::clone(&tree.nodes[at].key));
        at = tree.nodes[at].parent;
    }
    keys.reverse();
    keys
}

struct PassScope<'a> {
    event: &'a Mark,
    computed: &'a Computed,
}

impl Marked for PassScope<'_> {
    fn variable(&self, index: usize) -> Mark {
        if index == EVENT { self.event.clone() } else { Mark::default() }
    }

    fn slot(&self, slot: usize) -> Mark {
        let Computed { inputs, sources } = self.computed;
        slot_mark(sources, inputs, slot, &Mark::default(), self.event)
    }
}
