//! Names, fields, and the slots of variables' fields.

use std::sync::Arc;

use crate::value::{TypeValue, Value};

use super::super::ast::{Expr, Kind};
use super::super::error::{CelError, Parsed};
use super::super::node::{Node, Op};
use super::super::types::StaticType;
use super::{Compiler, Typed, known, node};

impl Compiler<'_> {
    pub(super) fn ident(&mut self, expr: &Expr, name: &Arc<str>, absolute: bool) -> Parsed<Typed> {
        if !absolute && let Some(place) = self.local(name) {
            let kind = self.locals[place].1.clone();
            return Ok((node(expr, Op::Local(place)), kind));
        }
        if let Some(variable) = self.env.variable(name) {
            return Ok(self.variable(expr, variable));
        }
        if let Some(kind) = TypeValue::from_name(name) {
            return Ok((node(expr, Op::Const(Value::Type(kind))), known(TypeValue::Type)));
        }
        self.unknown(expr, format!("there is no variable `{name}`"))
    }

    /// An error, or a node that fails when evaluated if the environment is lenient.
    pub(super) fn unknown(&self, expr: &Expr, message: String) -> Parsed<Typed> {
        if self.env.lenient_names {
            return Ok((node(expr, Op::Unknown(message)), StaticType::Dyn));
        }
        Err(CelError::within(expr.span, message))
    }

    pub(super) fn local(&self, name: &str) -> Option<usize> {
        self.locals.iter().rposition(|(known, _)| **known == *name)
    }

    fn variable(&mut self, expr: &Expr, variable: usize) -> Typed {
        if !self.variables.contains(&variable) {
            self.variables.push(variable);
        }
        (node(expr, Op::Variable(variable)), self.env.variable_type(variable))
    }

    /// The variable that an expression names and whose fields have slots.
    fn slot_variable(&self, operand: &Expr) -> Option<usize> {
        match &operand.kind {
            Kind::Ident { name, absolute } if *absolute || self.local(name).is_none() => {
                self.env.variable(name).filter(|variable| self.env.has_slots(*variable))
            }
            _ => None,
        }
    }

    fn slot_of(&mut self, variable: usize, name: &str) -> usize {
        let slot = self.env.slot(variable, name);
        if !self.slots.contains(&slot) {
            self.slots.push(slot);
        }
        slot
    }

    /// `operand.name` or `operand['name']` as a slot, if the operand is a variable.
    pub(super) fn slot(
        &mut self,
        expr: &Expr,
        operand: &Expr,
        name: &Arc<str>,
        optional: bool,
    ) -> Option<Typed> {
        let variable = self.slot_variable(operand)?;
        let kind = self.env.field_type(variable, name);
        let slot = self.slot_of(variable, name);
        Some(if optional {
            (node(expr, Op::SlotOptional(slot)), StaticType::optional(kind))
        } else {
            (node(expr, Op::Slot(slot, Arc::clone(name))), kind)
        })
    }

    pub(super) fn select(
        &mut self,
        expr: &Expr,
        operand: &Expr,
        name: &Arc<str>,
        optional: bool,
    ) -> Parsed<Typed> {
        if !optional && let Some(typed) = self.qualified(expr) {
            return Ok(typed);
        }
        if let Some(typed) = self.slot(expr, operand, name, optional) {
            return Ok(typed);
        }
        let (operand, operand_type) = self.expr(operand)?;
        let kind = operand_type.element();
        let field = Self::field(operand, name);
        if !optional {
            return Ok((node(expr, Op::Field(field)), kind));
        }
        let kind = match operand_type {
            StaticType::Optional(_) => kind,
            _ => StaticType::optional(kind),
        };
        Ok((node(expr, Op::OptionalField(field)), kind))
    }

    /// `has(operand.name)`.
    pub(super) fn has(&mut self, expr: &Expr, argument: &Expr) -> Parsed<Typed> {
        let Kind::Select { operand, field, optional } = &argument.kind else {
            return Err(CelError::within(argument.span, "`has` takes a field, as in has(a.b)"));
        };
        let op = match self.slot_variable(operand) {
            Some(variable) if !optional => Op::SlotHas(self.slot_of(variable, field)),
            _ => Op::HasField(Self::field(self.expr(operand)?.0, field)),
        };
        Ok((node(expr, op), known(TypeValue::Bool)))
    }

    /// `a.b.c` where a variable or a type has that name; the longest name wins.
    fn qualified(&mut self, expr: &Expr) -> Option<Typed> {
        let name = dotted(expr)?;
        let root = name.trim_start_matches('.').split('.').next()?;
        if !name.starts_with('.') && self.local(root).is_some() {
            return None;
        }
        let name = name.trim_start_matches('.');
        if let Some(variable) = self.env.variable(name) {
            return Some(self.variable(expr, variable));
        }
        let kind = TypeValue::from_name(name)?;
        Some((
            Node { op: Op::Const(Value::Type(kind)), offset: expr.span.start },
            known(TypeValue::Type),
        ))
    }
}

/// The name that a chain of plain fields spells.
pub(super) fn dotted(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident { name, absolute } => {
            Some(format!("{}{name}", if *absolute { "." } else { "" }))
        }
        Kind::Select { operand, field, optional: false } => {
            Some(format!("{}.{field}", dotted(operand)?))
        }
        _ => None,
    }
}
