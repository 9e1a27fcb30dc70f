//! Which parts of what an expression gives can hold personal values.
//!
//! A mark follows values as an absence does ([`Follow`]): through arguments, results, lists, maps
//! and macros; not through conditions, truth values and sizes. It says what can be so, whatever
//! the values are.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits::{MARK_DEPTH_MAX, MARK_NODES_MAX};
use crate::value::{Key, Value};

use super::functions::{Follow, Function, follow};
use super::node::{Arithmetic, Entry, Loop, LoopKind, Node, Op};
use super::program::Program;

/// Which parts of a value can be personal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// All of it.
    whole: bool,
    /// Parts by their keys, or indexes in digits.
    fields: BTreeMap<Arc<str>, Mark>,
    /// Parts under keys and indexes that are not known, which can be any.
    every: Option<Box<Mark>>,
}

/// What a step of a path is to marks: a key or an index in digits; `None`: one that is not known.
pub(crate) type MarkStep = Option<Arc<str>>;

impl Mark {
    pub(crate) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// The whole if something is so, else nothing.
    pub(crate) fn whole_if(marked: bool) -> Self {
        Self { whole: marked, ..Self::default() }
    }

    /// A value whose every part is marked so.
    fn of_every(mark: Self) -> Self {
        let every = mark.any().then(|| Box::new(mark));
        Self { every, ..Self::default() }.bounded()
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether anything is marked.
    pub(crate) fn any(&self) -> bool {
        self.whole || self.every.is_some() || !self.fields.is_empty()
    }

    /// Parts by their keys; those that all others have come last, under `None`.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &Mark)> {
        let fields = self.fields.iter().map(|(name, mark)| (Some(name), mark));
        fields.chain(self.every.iter().map(|mark| (None, &**mark)))
    }

    /// Adds what another one marks.
    pub(crate) fn join(&mut self, other: &Self) {
        if self.whole {
            return;
        }
        if other.whole {
            *self = Self::whole();
            return;
        }
        for (name, mark) in &other.fields {
            self.fields.entry(Arc::clone(name)).or_default().join(mark);
        }
        if let Some(mark) = &other.every {
            self.every.get_or_insert_default().join(mark);
        }
    }

    fn joined(mut self, other: &Self) -> Self {
        self.join(other);
        self
    }

    /// What a field or index leads to; `None`: one that is not known.
    pub(crate) fn part(&self, step: Option<&str>) -> Self {
        if self.whole {
            return Self::whole();
        }
        let every = self.every.as_deref().cloned().unwrap_or_default();
        match step {
            Some(name) => self.fields.get(name).map_or(every.clone(), |mark| every.joined(mark)),
            None => self.fields.values().fold(every, Self::joined),
        }
    }

    /// What items of a list are: of their index nothing is known, but that it is one.
    pub(crate) fn items(&self) -> Self {
        if self.whole {
            return Self::whole();
        }
        let indexes = self.fields.iter().filter(|(name, _)| is_index(name));
        let every = self.every.as_deref().cloned().unwrap_or_default();
        indexes.fold(every, |mark, (_, index)| mark.joined(index))
    }

    /// What parts under keys are that are not named.
    pub(crate) fn every(&self) -> Self {
        if self.whole { Self::whole() } else { self.every.as_deref().cloned().unwrap_or_default() }
    }

    /// Marks what a path leads to.
    pub(crate) fn put(&mut self, path: &[MarkStep], mark: &Self) {
        if !self.whole && mark.any() {
            match path.split_first() {
                None => self.join(mark),
                Some((Some(name), rest)) => {
                    self.fields.entry(Arc::clone(name)).or_default().put(rest, mark);
                }
                Some((None, rest)) => self.every.get_or_insert_default().put(rest, mark),
            }
        }
    }

    /// Replaces what known keys lead to, unless all around it is marked.
    pub(crate) fn replace(&mut self, path: &[Arc<str>], mark: &Self) {
        let Some((name, rest)) = path.split_first() else {
            *self = mark.clone();
            return;
        };
        if self.whole || (!mark.any() && !self.fields.contains_key(name)) {
            return;
        }
        let inner = self.fields.entry(Arc::clone(name)).or_default();
        inner.replace(rest, mark);
        if !inner.any() {
            self.fields.remove(name);
        }
    }

    /// The same, where items may stand at other indexes.
    fn listed(&self) -> Self {
        if self.whole { Self::whole() } else { Self::of_every(self.part(None)) }
    }

    /// The same, or the whole where that would have too many parts or be too deep: so there is an
    /// end to how far marks grow.
    pub(crate) fn bounded(self) -> Self {
        let mut left = MARK_NODES_MAX;
        if self.fits(MARK_DEPTH_MAX, &mut left) { self } else { Self::whole() }
    }

    fn fits(&self, depth: usize, left: &mut usize) -> bool {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        self.parts().all(|(_, mark)| depth > 0 && mark.fits(depth - 1, left))
    }
}

/// The marks of what an expression may name.
pub(crate) trait Marked {
    /// That of a variable, by its index.
    fn variable(&self, index: usize) -> Mark;

    /// That of a field of a variable, by its slot.
    fn slot(&self, slot: usize) -> Mark;
}

impl Program {
    /// Which parts of its values can be personal.
    pub(crate) fn mark(&self, marked: &dyn Marked) -> Mark {
        Marking { marked, locals: Vec::new() }.of(self.root())
    }
}

struct Marking<'a> {
    marked: &'a dyn Marked,
    locals: Vec<Mark>,
}

impl Marking<'_> {
    /// Bounded as the compiler is: by the depth of expressions.
    fn of(&mut self, node: &Node) -> Mark {
        match &node.op {
            Op::Const(_) | Op::Unknown(_) | Op::SlotHas(_) => Mark::default(),
            Op::Variable(index) => self.marked.variable(*index),
            Op::Local(index) => self.locals.get(*index).cloned().unwrap_or_default(),
            Op::Slot(slot, _) | Op::SlotOptional(slot) => self.marked.slot(*slot),
            Op::Field(field) | Op::OptionalField(field) => {
                self.of(&field.operand).part(Some(&field.name))
            }
            // Truth values.
            Op::HasField(_)
            | Op::Not(_)
            | Op::And(_)
            | Op::Or(_)
            | Op::Compare(..)
            | Op::Equal(..)
            | Op::In(_)
            | Op::Matches(_) => Mark::default(),
            Op::Index(parts) | Op::OptionalIndex(parts) => self.index(parts),
            Op::Negate(inner) => Mark::whole_if(self.of(inner).any()),
            Op::Conditional(parts) => self.of(&parts[1]).joined(&self.of(&parts[2])),
            Op::Arithmetic(first, rest) => self.arithmetic(first, rest),
            Op::List(items) => {
                let mark = self.all(items.iter().map(|item| &item.node));
                Mark::of_every(mark)
            }
            Op::Map(entries) => self.map(entries),
            Op::Call(function, args) => self.call(*function, args),
            Op::OptionalOr { operands, .. } => self.all(&**operands),
            Op::Bind(bind) | Op::OptionalMap { bind, .. } => {
                let value = self.of(&bind.value);
                self.set(bind.local, value);
                self.of(&bind.body)
            }
            Op::Loop(each) => self.each(each),
            Op::SortBy(bind) => self.of(&bind.value).listed(),
        }
    }

    fn all<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>) -> Mark {
        nodes.into_iter().fold(Mark::default(), |mark, node| mark.joined(&self.of(node)))
    }

    fn set(&mut self, local: usize, mark: Mark) {
        if self.locals.len() <= local {
            self.locals.resize(local + 1, Mark::default());
        }
        self.locals[local] = mark;
    }

    /// What is found by a personal key is personal.
    fn index(&mut self, [container, index]: &[Node; 2]) -> Mark {
        let (container, found) = (self.of(container), self.of(index));
        if found.any() {
            return Mark::whole();
        }
        match &index.op {
            Op::Const(value) => container.part(key_text(value).as_deref()),
            _ => container.part(None),
        }
    }

    /// Sums of lists have the items of both; all else is computed.
    fn arithmetic(&mut self, first: &Node, rest: &[(Arithmetic, Node)]) -> Mark {
        let mut mark = self.of(first).listed_unless_whole();
        for (op, node) in rest {
            let right = self.of(node).listed_unless_whole();
            mark = match op {
                Arithmetic::Add => mark.joined(&right),
                _ => Mark::whole_if(mark.any() || right.any()),
            };
        }
        mark.bounded()
    }

    fn map(&mut self, entries: &[Entry]) -> Mark {
        let mut map = Mark::default();
        for Entry { key, value, .. } in entries {
            let (key_mark, value) = (self.of(key), self.of(value));
            if key_mark.any() {
                return Mark::whole();
            }
            let known = match &key.op {
                Op::Const(key) => key_text(key),
                _ => None,
            };
            map.put(&[known], &value);
        }
        map.bounded()
    }

    fn call(&mut self, function: Function, args: &[Node]) -> Mark {
        match follow(function) {
            Follow::Truth | Follow::Size | Follow::Tells | Follow::Anonymises => {
                return Mark::default();
            }
            Follow::Moves => return self.all(args),
            Follow::Value => {}
        }
        let Some((first, others)) = args.split_first() else { return Mark::default() };
        let (first, others) = (self.of(first), self.all(others));
        match function {
            _ if others.any() => Mark::whole(),
            Function::OptionalValue => first,
            Function::First | Function::Last => first.part(None),
            Function::Slice
            | Function::Sort
            | Function::Distinct
            | Function::Reverse
            | Function::OptionalUnwrap
            | Function::OptionalUnwrapMember => first.listed(),
            _ => Mark::whole_if(first.any()),
        }
    }

    fn each(&mut self, each: &Loop) -> Mark {
        let range = self.of(&each.range);
        // Keys of maps, which may be what the macro goes over, are marked with the whole alone.
        let first = match each.second {
            Some(second) => {
                self.set(second, range.part(None));
                Mark::whole_if(range.is_whole())
            }
            None => range.part(None),
        };
        self.set(each.first, first);
        let body = self.of(&each.body);
        match each.kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Mark::default(),
            LoopKind::Map => Mark::of_every(body),
            LoopKind::Filter => range.listed(),
            LoopKind::TransformMap if range.is_whole() => Mark::whole(),
            LoopKind::TransformMap => Mark::of_every(body),
            LoopKind::TransformMapEntry => body,
        }
    }
}

impl Mark {
    /// Of operands of arithmetic: those with parts are lists.
    fn listed_unless_whole(self) -> Self {
        if self.fields.is_empty() { self } else { self.listed() }
    }
}

fn is_index(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit())
}

/// The key that a constant is, as states have it.
fn key_text(value: &Value) -> Option<Arc<str>> {
    Key::from_value(value).map(|key| key.to_text())
}
