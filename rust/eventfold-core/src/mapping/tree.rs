//! The places that a pass names, as a tree of keys from the root of an event.

use std::sync::Arc;

use crate::json::walk::RawKey;
use crate::json::write::write_string;

/// The node of the event itself.
pub(super) const ROOT: usize = 0;

/// Nodes by number; parents come before their children.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) key: Arc<str>,
    /// The key as it is written, with its quotes.
    pub(super) written: Vec<u8>,
    /// Of the root: itself.
    pub(super) parent: usize,
    pub(super) children: Vec<usize>,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// The node of a path; it is made if there is none.
    pub(super) fn add(&mut self, keys: &[Arc<str>]) -> usize {
        keys.iter().fold(ROOT, |parent, key| {
            let mut known = self.nodes[parent].children.iter();
            let known = known.find(|child| self.nodes[**child].key == *key).copied();
            known.unwrap_or_else(|| {
                let mut written = Vec::with_capacity(key.len() + 2);
                write_string(key, &mut written);
                let node = self.nodes.len();
                self.nodes.push(Node { key: Arc::clone(key), written, parent, children: vec![] });
                self.nodes[parent].children.push(node);
                node
            })
        })
    }

    /// The node of a key inside of a node, if a path names it.
    #[inline]
    pub(super) fn child(&self, node: usize, key: &RawKey<'_>) -> Option<usize> {
        self.nodes[node].children.iter().copied().find(|child| key.is(&self.nodes[*child].key))
    }

    /// The names of the nodes from the root to this one, joined by dots.
    pub(super) fn path(&self, node: usize) -> String {
        let mut keys = Vec::new();
        let mut at = node;
        while at != ROOT {
            keys.push(&*self.nodes[at].key);
            at = self.nodes[at].parent;
        }
        keys.reverse();
        keys.join(".")
    }
}
