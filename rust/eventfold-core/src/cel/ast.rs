//! The syntax tree of an expression, as written.

use std::sync::Arc;

use crate::limits::EXPRESSION_DEPTH_MAX;

use super::error::{CelError, EXPRESSION_TOO_DEEP, Parsed};

/// A parsed expression. Equality is that of the normal form: places and spacing do not count.
#[derive(Debug, Clone, PartialEq)]
pub struct Ast {
    pub(crate) root: Box<Expr>,
}

/// A part of the source, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// One node of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    /// Levels of nodes from here down, this one included.
    depth: u16,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Literal(Literal),
    /// A name; with a leading dot it is absolute.
    Ident {
        name: Arc<str>,
        absolute: bool,
    },
    Select {
        operand: Box<Expr>,
        field: Arc<str>,
        optional: bool,
    },
    Index {
        operand: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    Call {
        target: Option<Box<Expr>>,
        function: Arc<str>,
        args: Vec<Expr>,
    },
    List(Vec<Element>),
    Map(Vec<(Element, Expr)>),
    Unary(Unary, Box<Expr>),
    /// A relation of two operands.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `a + b - c` or `a * b / c`, from left to right: operators that bind equally.
    Arithmetic(Box<Expr>, Vec<(Binary, Expr)>),
    /// `a && b && c`: chains, as those of arithmetic, are one node, so that long ones are not deep.
    And(Vec<Expr>),
    /// `a || b || c`.
    Or(Vec<Expr>),
    Conditional([Box<Expr>; 3]),
}

/// An item of a list or a key of a map; `?` before it makes it optional.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Element {
    pub(crate) optional: bool,
    pub(crate) expr: Expr,
}

/// A literal; numbers keep their text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(Arc<str>),
    Uint(Arc<str>),
    Double(Arc<str>),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Negate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Binary {
    /// The operator as written.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }

    /// Whether it computes a value of its operands; the others are relations.
    pub(crate) fn is_arithmetic(self) -> bool {
        self.precedence() > 3
    }

    /// How tightly the operator binds: relations 3, sums 4, products 5.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Remainder => 5,
            _ => 3,
        }
    }
}

impl Expr {
    /// Makes a node; refuses one that makes the tree deeper than allowed.
    pub(crate) fn new(kind: Kind, span: Span) -> Parsed<Box<Self>> {
        let depth = 1 + kind.children_depth();
        if usize::from(depth) > EXPRESSION_DEPTH_MAX {
            return Err(too_deep(span.start as usize));
        }
        Ok(Box::new(Self { kind, span, depth }))
    }
}

pub(crate) fn too_deep(offset: usize) -> Box<CelError> {
    Box::new(CelError {
        offset,
        end: offset + 1,
        message: format!("the expression nests deeper than {EXPRESSION_DEPTH_MAX} levels"),
        reason: EXPRESSION_TOO_DEEP,
        hint: None,
    })
}

impl Kind {
    fn children_depth(&self) -> u16 {
        match self {
            Self::Literal(_) | Self::Ident { .. } => 0,
            Self::Select { operand, .. } | Self::Unary(_, operand) => operand.depth,
            Self::Index { operand: left, index: right, .. } | Self::Binary(_, left, right) => {
                left.depth.max(right.depth)
            }
            Self::Call { target, args, .. } => deepest(args.iter().chain(target.as_deref())),
            Self::List(items) => deepest(items.iter().map(|item| &item.expr)),
            Self::Map(entries) => {
                deepest(entries.iter().flat_map(|(key, value)| [&key.expr, value]))
            }
            Self::Arithmetic(first, rest) => {
                deepest(rest.iter().map(|(_, operand)| operand).chain([&**first]))
            }
            Self::And(operands) | Self::Or(operands) => deepest(operands.iter()),
            Self::Conditional(parts) => deepest(parts.iter().map(|part| &**part)),
        }
    }
}

fn deepest<'a>(parts: impl Iterator<Item = &'a Expr>) -> u16 {
    parts.map(|part| part.depth).max().unwrap_or(0)
}
