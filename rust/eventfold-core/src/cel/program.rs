//! A compiled expression.

use crate::value::Value;

use super::budget::Budget;
use super::error::EvalError;
use super::eval::{Context, eval};
use super::node::{Node, Op};
use super::scope::Scope;
use super::types::StaticType;

/// An expression that is ready to be evaluated on scopes of its environment.
#[derive(Debug)]
pub struct Program {
    root: Node,
    kind: StaticType,
    locals: usize,
    variables: Vec<usize>,
    slots: Vec<usize>,
}

impl Program {
    pub(super) fn new(
        root: Node,
        kind: StaticType,
        locals: usize,
        variables: Vec<usize>,
        slots: Vec<usize>,
    ) -> Self {
        Self { root, kind, locals, variables, slots }
    }

    /// The value of the expression on a scope.
    pub fn eval(&self, scope: &dyn Scope, budget: &mut Budget<'_>) -> Result<Value, EvalError> {
        let locals = Vec::with_capacity(self.locals);
        eval(&self.root, &mut Context { scope, budget, locals }).map_err(|error| *error)
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// What is known of the type of the value.
    pub fn static_type(&self) -> &StaticType {
        &self.kind
    }

    /// The value, if the expression is a constant.
    pub fn constant(&self) -> Option<&Value> {
        match &self.root.op {
            Op::Const(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the expression needs the whole variable of that index, and not only fields.
    pub fn uses_variable(&self, index: usize) -> bool {
        self.variables.contains(&index)
    }

    /// The slots of fields that the expression reads, as indexes into `Env::slots`.
    pub fn slots(&self) -> &[usize] {
        &self.slots
    }
}
