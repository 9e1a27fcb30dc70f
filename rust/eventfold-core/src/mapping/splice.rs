//! Changes to places of a JSON text, which leave all around them as it is.
//!
//! The places that a pass names are found in one walk; changes are noted at them, and written at
//! the end. Recursion is bounded: paths are no longer than JSON may nest.

use crate::json::walk::Walker;

use super::tree::{ROOT, Tree};

/// What a text has at a place, and what it shall have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spot {
    found: Found,
    now: Now,
    /// Something inside of the object changes.
    touched: bool,
    /// Its place among the members of its object, from 0.
    index: u32,
    /// Bytes: the end of the member before it, or the place behind `{`; key and value.
    before: u32,
    key: u32,
    key_end: u32,
    value: u32,
    value_end: u32,
    /// Of an object: its members, and the end of the last.
    members: u32,
    last_end: u32,
    /// The named members that were found, in the order of the text; 0: none.
    first_child: u32,
    /// The members that are new, in the order in which they came; 0: none.
    first_new: u32,
    last_new: u32,
    /// In the one list or the other.
    next_sibling: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Found {
    #[default]
    Nothing,
    /// An object whose members were looked at.
    Object,
    /// Another value, or an object in which no place is named.
    Value,
    /// A value that is absent, and so is all that may have been inside of it.
    Absent,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Now {
    #[default]
    AsFound,
    Gone,
    /// Its key becomes that of another node, which is then `Elsewhere`.
    Renamed(usize),
    Elsewhere,
    /// It has the value that was found at another node.
    Moved(usize),
    /// A part of the new texts.
    Text(usize, usize),
    /// An object that is made for what is inside of it.
    Made,
}

/// The place that a path leads through and that is no object, as a node.
pub(super) struct NoObject(pub(super) usize);

/// A text on its way through a pass.
pub(super) struct Splice<'a> {
    tree: &'a Tree,
    text: &'a [u8],
    /// New texts.
    texts: &'a [u8],
    spots: &'a mut [Spot],
    changed: bool,
}

impl<'a> Splice<'a> {
    /// Finds the places of a tree in a text; `None`: it is not JSON, or no object. `memory` is used
    /// again from text to text.
    pub(super) fn new(
        tree: &'a Tree,
        text: &'a [u8],
        texts: &'a [u8],
        memory: &'a mut Vec<Spot>,
    ) -> Option<Self> {
        memory.clear();
        memory.resize(tree.nodes.len(), Spot::default());
        let mut splice = Self { tree, text, texts, spots: memory, changed: false };
        let mut walker = Walker::new(text);
        splice.spots[ROOT].found = Found::Object;
        if !walker.enter() {
            return None;
        }
        splice.find(&mut walker, ROOT)?;
        Some(splice)
    }

    /// Looks at the members of the object that the walker has entered.
    fn find(&mut self, walker: &mut Walker<'_>, node: usize) -> Option<()> {
        let tree = self.tree;
        let mut before = walker.place();
        let mut index = 0;
        let mut last = None;
        while let Some(key) = walker.key(index == 0)? {
            let named = tree.child(node, &key);
            // Keys do not stand twice; should one, the first counts.
            match named.filter(|child| self.spots[*child].found == Found::Nothing) {
                None => walker.pass()?,
                Some(child) => {
                    let mut found = Found::Value;
                    if !tree.nodes[child].children.is_empty() && walker.enter() {
                        found = Found::Object;
                        self.find(walker, child)?;
                    } else {
                        if walker.at_absent() {
                            found = Found::Absent;
                        }
                        walker.pass()?;
                    }
                    let spot = &mut self.spots[child];
                    spot.found = found;
                    spot.index = index;
                    spot.before = before as u32;
                    spot.key = key.start as u32;
                    spot.key_end = key.end as u32;
                    spot.value = key.value as u32;
                    spot.value_end = walker.place() as u32;
                    match last.replace(child) {
                        None => self.spots[node].first_child = child as u32,
                        Some(sibling) => self.spots[sibling].next_sibling = child as u32,
                    }
                }
            }
            before = walker.place();
            index += 1;
        }
        self.spots[node].members = index;
        self.spots[node].last_end = before as u32;
        Some(())
    }

    /// Whether a node has a value.
    pub(super) fn is_there(&self, node: usize) -> bool {
        match self.spots[node].now {
            Now::AsFound => {
                self.spots[node].found != Found::Nothing || self.within_absent(node).is_some()
            }
            Now::Gone | Now::Renamed(_) => false,
            Now::Elsewhere | Now::Moved(_) | Now::Text(..) | Now::Made => true,
        }
    }

    /// The absent value that a node lies inside of.
    fn within_absent(&self, node: usize) -> Option<usize> {
        let mut at = node;
        while at != ROOT {
            at = self.tree.nodes[at].parent;
            if self.spots[at].found == Found::Absent {
                return Some(at);
            }
        }
        None
    }

    /// The bytes that were found at a node, or, if it lies inside of an absent value, at that.
    pub(super) fn found(&self, node: usize) -> &'a [u8] {
        let spot = &self.spots[self.within_absent(node).unwrap_or(node)];
        &self.text[spot.value as usize..spot.value_end as usize]
    }

    /// Takes what was found at a node to another one, which has nothing. What is taken into an
    /// absent value is lost, and what is taken out of one is absent.
    pub(super) fn rename(&mut self, from: usize, to: usize) -> Result<(), NoObject> {
        match (self.within_absent(from), self.within_absent(to)) {
            (None, None) => {}
            (None, Some(_)) => return self.remove(from),
            (Some(_), Some(_)) => return Ok(()),
            (Some(_), None) => {
                self.enter(to)?;
                self.spots[to].now = Now::Moved(from);
                return Ok(());
            }
        }
        self.enter(from)?;
        if self.tree.nodes[from].parent == self.tree.nodes[to].parent {
            self.spots[from].now = Now::Renamed(to);
            self.spots[to].now = Now::Elsewhere;
        } else {
            self.enter(to)?;
            self.spots[from].now = Now::Gone;
            self.spots[to].now = Now::Moved(from);
        }
        Ok(())
    }

    /// Gives a node a part of the new texts; inside of an absent value nothing changes.
    pub(super) fn put(&mut self, node: usize, first: usize, last: usize) -> Result<(), NoObject> {
        if self.within_absent(node).is_some() {
            return Ok(());
        }
        if self.spots[node].found != Found::Nothing && *self.found(node) == self.texts[first..last]
        {
            return Ok(());
        }
        self.enter(node)?;
        self.spots[node].now = Now::Text(first, last);
        Ok(())
    }

    /// Takes away what was found at a node, if there is something.
    pub(super) fn remove(&mut self, node: usize) -> Result<(), NoObject> {
        if self.spots[node].found == Found::Nothing {
            return Ok(());
        }
        self.enter(node)?;
        self.spots[node].now = Now::Gone;
        Ok(())
    }

    /// Notes that a node changes: all around it are objects, or become such.
    fn enter(&mut self, node: usize) -> Result<(), NoObject> {
        self.changed = true;
        let mut at = node;
        while at != ROOT {
            let parent = self.tree.nodes[at].parent;
            if self.spots[at].found == Found::Nothing {
                self.add(at, parent);
            }
            at = parent;
            let spot = &mut self.spots[at];
            match (spot.now, spot.found) {
                (Now::Made, _) => return Ok(()),
                (Now::AsFound, Found::Object) if spot.touched => return Ok(()),
                (Now::AsFound, Found::Object) => spot.touched = true,
                (Now::AsFound, Found::Nothing) => spot.now = Now::Made,
                _ => return Err(NoObject(at)),
            }
        }
        Ok(())
    }

    /// Adds a node to the new members of an object.
    fn add(&mut self, node: usize, parent: usize) {
        let last = std::mem::replace(&mut self.spots[parent].last_new, node as u32) as usize;
        match last {
            ROOT => self.spots[parent].first_new = node as u32,
            last => self.spots[last].next_sibling = node as u32,
        }
    }

    /// Writes the text with all changes; false: there was none, and nothing is written.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> bool {
        if self.changed {
            let mut writer = Writer { splice: self, copied: 0, out };
            writer.object(ROOT);
            writer.copy(self.text.len() as u32);
        }
        self.changed
    }

    /// The key behind the member that ends at a place, or that place, if it is the last.
    fn next_key(&self, end: u32) -> u32 {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let behind =
            |place: usize| place + self.text[place..].iter().take_while(|byte| blank(byte)).count();
        let comma = behind(end as usize);
        if self.text.get(comma) == Some(&b',') { behind(comma + 1) as u32 } else { end }
    }
}

struct Writer<'a, 'o> {
    splice: &'a Splice<'a>,
    /// Bytes of the text that were copied or left out.
    copied: u32,
    out: &'o mut Vec<u8>,
}

impl Writer<'_, '_> {
    fn copy(&mut self, end: u32) {
        if end > self.copied {
            let part = self.copied as usize..end as usize;
            self.out.extend_from_slice(&self.splice.text[part]);
            self.copied = end;
        }
    }

    /// Writes an object of the text up to its last change.
    fn object(&mut self, node: usize) {
        let splice = self.splice;
        // Members that are left out, and those of them before which none stays.
        let (mut gone, mut leading) = (0, 0);
        let mut child = splice.spots[node].first_child as usize;
        while child != ROOT {
            let spot = &splice.spots[child];
            match spot.now {
                Now::AsFound if spot.touched => self.object(child),
                Now::Gone if spot.index == leading => {
                    self.copy(spot.key);
                    self.copied = splice.next_key(spot.value_end);
                    leading += 1;
                    gone += 1;
                }
                Now::Gone => {
                    self.copy(spot.before);
                    self.copied = spot.value_end;
                    gone += 1;
                }
                Now::Renamed(to) => {
                    self.copy(spot.key);
                    self.out.extend_from_slice(&splice.tree.nodes[to].written);
                    self.copied = spot.key_end;
                }
                Now::Text(first, last) => {
                    self.copy(spot.value);
                    self.out.extend_from_slice(&splice.texts[first..last]);
                    self.copied = spot.value_end;
                }
                _ => {}
            }
            child = spot.next_sibling as usize;
        }
        let spot = &splice.spots[node];
        self.new_members(node, spot.last_end, gone < spot.members);
    }

    /// Writes members that the text does not have behind those that it has.
    fn new_members(&mut self, node: usize, end: u32, mut others: bool) {
        let splice = self.splice;
        let mut child = splice.spots[node].first_new as usize;
        while child != ROOT {
            self.copy(end);
            if std::mem::replace(&mut others, true) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&splice.tree.nodes[child].written);
            self.out.push(b':');
            match splice.spots[child].now {
                Now::Moved(from) => self.out.extend_from_slice(splice.found(from)),
                Now::Text(first, last) => {
                    self.out.extend_from_slice(&splice.texts[first..last]);
                }
                _ => {
                    self.out.push(b'{');
                    self.new_members(child, end, false);
                    self.out.push(b'}');
                }
            }
            child = splice.spots[child].next_sibling as usize;
        }
    }
}
