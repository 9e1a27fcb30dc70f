//! The compiled form of an expression: names resolved, macros expanded, constants made.

use std::sync::Arc;

use regex::Regex;

use crate::value::{Key, Value};

use super::functions::Function;

/// One compiled node and the place in the source that it comes from.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) offset: u32,
}

#[derive(Debug)]
pub(crate) enum Op {
    Const(Value),
    /// A whole variable of the environment.
    Variable(usize),
    /// A variable of a macro.
    Local(usize),
    /// A field of a variable, read through the scope.
    Slot(usize, Arc<str>),
    SlotHas(usize),
    SlotOptional(usize),
    Field(Box<Field>),
    HasField(Box<Field>),
    OptionalField(Box<Field>),
    Index(Box<[Node; 2]>),
    OptionalIndex(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Conditional(Box<[Node; 3]>),
    /// Operators of arithmetic from left to right.
    Arithmetic(Box<Node>, Box<[(Arithmetic, Node)]>),
    Compare(Comparison, Box<[Node; 2]>),
    /// `==`, or `!=` if the flag is false.
    Equal(bool, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    List(Box<[Item]>),
    Map(Box<[Entry]>),
    Call(Function, Box<[Node]>),
    /// `matches` with a constant pattern.
    Matches(Box<Matches>),
    /// `or` and `orValue`: the second operand is evaluated only if needed.
    OptionalOr {
        value: bool,
        operands: Box<[Node; 2]>,
    },
    Bind(Box<Bind>),
    /// `optMap`, or `optFlatMap` if `flat`.
    OptionalMap {
        flat: bool,
        bind: Box<Bind>,
    },
    Loop(Box<Loop>),
    SortBy(Box<Bind>),
    /// A name that no environment knows, let through by the compiler.
    Unknown(String),
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) operand: Node,
    pub(crate) name: Arc<str>,
    pub(crate) key: Key,
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) optional: bool,
    pub(crate) node: Node,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) optional: bool,
    pub(crate) key: Node,
    pub(crate) value: Node,
}

#[derive(Debug)]
pub(crate) struct Matches {
    pub(crate) text: Node,
    pub(crate) pattern: Regex,
}

/// A name for the value of one node inside another.
#[derive(Debug)]
pub(crate) struct Bind {
    pub(crate) local: usize,
    pub(crate) value: Node,
    pub(crate) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }
}

/// A macro that goes over a list or a map.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) kind: LoopKind,
    pub(crate) range: Node,
    /// Locals of the first and, in forms with two variables, the second variable.
    pub(crate) first: usize,
    pub(crate) second: Option<usize>,
    /// Only what fulfils this takes part (three-argument `map` and its kin).
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// `map` and `transformList`.
    Map,
    Filter,
    TransformMap,
    TransformMapEntry,
}
