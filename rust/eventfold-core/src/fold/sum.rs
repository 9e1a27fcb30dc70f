//! Sums of two numbers, the most common right-hand side by far: `state.balance + event.amount`.

use crate::cel::ast::{Ast, Binary, Expr, Kind, Literal};
use crate::cel::{Budget, Env};
use crate::value::Value;

use super::scope::EventScope;

/// `a + b` or `a - b` of operands that are fields of variables, or whole numbers as written.
#[derive(Debug)]
pub(super) struct Sum {
    subtract: bool,
    left: Operand,
    right: Operand,
    /// What the evaluation of the expression would take of the budget.
    steps: usize,
}

#[derive(Debug)]
enum Operand {
    Slot(usize),
    Int(i64),
}

impl Sum {
    /// The sum that an expression is, if it is one. It was compiled for the environment, which
    /// therefore knows the fields that it names.
    pub(super) fn of(ast: &Ast, env: &Env) -> Option<Self> {
        let Kind::Binary(operator, left, right) = &ast.root.kind else { return None };
        let subtract = match operator {
            Binary::Add => false,
            Binary::Subtract => true,
            _ => return None,
        };
        let (left, right) = (Operand::of(left, env)?, Operand::of(right, env)?);
        let steps = 1 + left.steps() + right.steps();
        Some(Self { subtract, left, right, steps })
    }

    /// The sum of two ints; `None` if it is not so simple. The budget pays as for an evaluation,
    /// if there is a sum.
    #[inline]
    pub(super) fn add(&self, scope: &EventScope<'_>, budget: &mut Budget<'_>) -> Option<Value> {
        let (left, right) = (self.left.int(scope)?, self.right.int(scope)?);
        let sum = match self.subtract {
            false => left.checked_add(right)?,
            true => left.checked_sub(right)?,
        };
        // The evaluation that follows meets the same limit, and has words for it.
        budget.spend(self.steps).ok()?;
        Some(Value::Int(sum))
    }
}

impl Operand {
    fn of(expr: &Expr, env: &Env) -> Option<Self> {
        match &expr.kind {
            Kind::Literal(Literal::Int(text)) => text.parse().ok().map(Self::Int),
            Kind::Select { operand, field, optional: false } => {
                let Kind::Ident { name, absolute: false } = &operand.kind else { return None };
                let variable = env.variable(name)?;
                let slots = env.slots();
                let slot =
                    |(known, name): &(usize, String)| *known == variable && **name == **field;
                slots.iter().position(slot).map(Self::Slot)
            }
            _ => None,
        }
    }

    /// Constants cost nothing.
    fn steps(&self) -> usize {
        usize::from(matches!(self, Self::Slot(_)))
    }

    #[inline]
    fn int(&self, scope: &EventScope<'_>) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Slot(slot) => match scope.stored_field(*slot)? {
                Value::Int(value) => Some(*value),
                _ => None,
            },
        }
    }
}
