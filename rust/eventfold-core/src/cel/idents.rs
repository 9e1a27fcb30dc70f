//! The names that an expression uses.

use std::collections::BTreeSet;

use crate::value::TypeValue;

use super::ast::{Ast, Element, Expr, Kind};
use super::functions::is_namespace;

impl Ast {
    /// The names that may be variables, in byte order. Those of macros are among them; names of
    /// types, fields and functions are not.
    pub fn identifiers(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        collect(&self.root, &mut names);
        names
    }
}

/// Recursion is bounded, as that of every walk, by `EXPRESSION_DEPTH_MAX`.
fn collect<'a>(expr: &'a Expr, names: &mut BTreeSet<&'a str>) {
    match &expr.kind {
        Kind::Literal(_) => {}
        Kind::Ident { name, .. } => {
            if TypeValue::from_name(name).is_none() {
                names.insert(name);
            }
        }
        Kind::Select { operand, .. } | Kind::Unary(_, operand) => collect(operand, names),
        Kind::Index { operand: left, index: right, .. } | Kind::Binary(_, left, right) => {
            collect(left, names);
            collect(right, names);
        }
        Kind::Call { target, args, .. } => {
            // `math.abs(x)`: a variable of that name would hide the function.
            match target.as_deref() {
                Some(Expr { kind: Kind::Ident { name, .. }, .. }) if is_namespace(name) => {}
                Some(target) => collect(target, names),
                None => {}
            }
            args.iter().for_each(|argument| collect(argument, names));
        }
        Kind::List(items) => items.iter().for_each(|Element { expr, .. }| collect(expr, names)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                collect(&key.expr, names);
                collect(value, names);
            }
        }
        Kind::Arithmetic(first, rest) => {
            collect(first, names);
            rest.iter().for_each(|(_, operand)| collect(operand, names));
        }
        Kind::And(operands) | Kind::Or(operands) => {
            operands.iter().for_each(|operand| collect(operand, names));
        }
        Kind::Conditional(parts) => parts.iter().for_each(|part| collect(part, names)),
    }
}
