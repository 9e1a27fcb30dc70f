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

/// What an expression is: a column, or a value that names none.
pub(super) fn operand<'a>(
    expr: &Expr,
    table: &'a Table,
    evaluator: &mut Evaluator,
) -> Parsed<Operand<'a>> {
    if let Kind::Ident { name, absolute: false } = &expr.kind {
        if let Some(column) = table.get(name) {
            return Ok(Operand::Column(column));
        }
        if !is_value(name) {
            return Err(unknown(expr, name, table));
        }
    }
    names_no_column(expr, table)?;
    evaluator.constant(expr).map(Operand::Constant)
}

/// Refuses what would be computed of a row.
fn names_no_column(expr: &Expr, table: &Table) -> Parsed<()> {
    let ast = Ast { root: Box::new(expr.clone()) };
    for name in ast.identifiers() {
        if table.get(name).is_some() {
            let problem = format!("nothing is computed of columns, such as `{name}`");
            return Err(CelError::within(expr.span, problem)
                .hint("compare the column as it is, or give the document a column for it"));
        }
        if !is_value(name) {
            return Err(unknown(expr, name, table));
        }
    }
    Ok(())
}

fn unknown(expr: &Expr, name: &str, table: &Table) -> Box<CelError> {
    CelError::within(expr.span, format!("`{name}` is no column; there are {}", table.names()))
        .hint("put texts in quotes")
}
