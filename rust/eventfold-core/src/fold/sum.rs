//! Sums of two numbers, the most common right-hand side by far: `state.balance + event.amount`.

use crate::cel::ast::{Ast, Binary, Expr, Kind, Literal};
use crate::cel::{Budget, Env};
use crate::json::write::to_json_value;
use crate::number::Decimal;
use crate::value::Value;

use super::assign::Change;
use super::scope::EventScope;

/// `a + b` or `a - b` of operands that are fields of variables, or whole numbers as written.
#[derive(Debug)]
pub(crate) struct Sum {
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
    pub(crate) fn of(ast: &Ast, env: &Env) -> Option<Self> {
        let Kind::Arithmetic(left, rest) = &ast.root.kind else { return None };
        let [(operator, right)] = rest.as_slice() else { return None };
        let subtract = match operator {
            Binary::Add => false,
            Binary::Subtract => true,
            _ => return None,
        };
        let (left, right) = (Operand::of(left, env)?, Operand::of(right, env)?);
        let steps = 1 + left.steps() + right.steps();
        Some(Self { subtract, left, right, steps })
    }

    /// The change to the sum of two ints or decimals; `None` if it is not so simple. The budget
    /// pays as for an evaluation, if there is a sum.
    #[inline]
    pub(crate) fn add(&self, scope: &EventScope<'_>, budget: &mut Budget<'_>) -> Option<Change> {
        let sum = match (self.left.number(scope)?, self.right.number(scope)?) {
            (Number::Int(left), Number::Int(right)) => Change::SetInt(match self.subtract {
                false => left.checked_add(right)?,
                true => left.checked_sub(right)?,
            }),
            (Number::Decimal(left), Number::Decimal(right)) => self.decimals(left, right)?,
            (Number::Decimal(left), Number::Int(right)) => {
                self.decimals(left, &Decimal::from_i64(right))?
            }
            (Number::Int(left), Number::Decimal(right)) => {
                self.decimals(&Decimal::from_i64(left), right)?
            }
        };
        // The evaluation that follows meets the same limit, and has words for it.
        budget.spend(self.steps).ok()?;
        Some(sum)
    }

    #[inline(never)]
    fn decimals(&self, left: &Decimal, right: &Decimal) -> Option<Change> {
        let sum = match self.subtract {
            false => left.checked_add(right),
            true => left.checked_sub(right),
        };
        to_json_value(Value::Decimal(sum.ok()?)).ok().map(Change::Set)
    }
}

enum Number<'a> {
    Int(i64),
    Decimal(&'a Decimal),
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
    fn number<'a>(&self, scope: &EventScope<'a>) -> Option<Number<'a>> {
        match self {
            Self::Int(value) => Some(Number::Int(*value)),
            Self::Slot(slot) => match scope.stored_field(*slot)? {
                Value::Int(value) => Some(Number::Int(*value)),
                Value::Decimal(value) => Some(Number::Decimal(value)),
                _ => None,
            },
        }
    }
}
