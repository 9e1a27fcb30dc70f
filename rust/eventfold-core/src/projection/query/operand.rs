//! The two sides of a comparison.

use crate::cel::ast::{Expr, Kind};
use crate::cel::{Ast, CelError};

use super::constant::{Constant, Evaluator, is_value};
use super::known::{Known, Table};

/// A side of a comparison.
#[derive(Debug)]
pub(super) enum Operand<'a> {
    Column(&'a Known),
    Constant(Constant),
}

type Parsed<T> = Result<T, Box<CelError>>;

/// Before the name of a column that is a word of the language or one of the values: `row.in`.
const ROW: &str = "row";

/// What an expression is: a column, or a value that names none.
pub(super) fn operand<'a>(
    expr: &Expr,
    table: &'a Table,
    evaluator: &mut Evaluator,
) -> Parsed<Operand<'a>> {
    if let Some(name) = named(expr) {
        let column = table.get(name).ok_or_else(|| unknown(expr, name, table))?;
        return Ok(Operand::Column(column));
    }
    names_no_column(expr, table)?;
    evaluator.constant(expr).map(Operand::Constant)
}

/// The name of the column that an expression is.
fn named(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        Kind::Ident { name, absolute: false } if !is_value(name) => Some(name),
        Kind::Select { operand, field, optional: false } => match &operand.kind {
            Kind::Ident { name, absolute: false } if **name == *ROW => Some(field),
            _ => None,
        },
        _ => None,
    }
}

/// Refuses what would be computed of a row.
fn names_no_column(expr: &Expr, table: &Table) -> Parsed<()> {
    let ast = Ast { root: Box::new(expr.clone()) };
    for name in ast.identifiers() {
        if is_value(name) {
            continue;
        }
        if table.get(name).is_none() && name != ROW {
            return Err(unknown(expr, name, table));
        }
        return Err(CelError::within(expr.span, "nothing is computed of columns")
            .hint("compare the column as it is, or give the document a column for it"));
    }
    Ok(())
}

fn unknown(expr: &Expr, name: &str, table: &Table) -> Box<CelError> {
    CelError::within(expr.span, format!("`{name}` is no column; there are {}", table.names()))
        .hint("put texts in quotes")
}
