//! A filter as a condition of SQL.
//!
//! Parts may be NULL where a row has no value: `AND`, `OR` and `WHERE` take that as false, and
//! `NOT`, which would not, is written `IS NOT TRUE`. So a filter is true or false of every row, and
//! its negation the opposite.

use crate::cel::ast::{Binary, Element, Expr, Kind, Literal, Unary};
use crate::cel::{Ast, CelError};

use super::super::ColumnType;
use super::constant::{Constant, Evaluator};
use super::fit::{Fitted, Parameters, fit};
use super::known::{Known, Table};
use super::operand::{Operand, operand};

type Parsed<T> = Result<T, Box<CelError>>;

const CONDITIONS: &str = "a filter is made of comparisons (==, !=, <, <=, >, >=), in, \
                          startsWith, boolean columns, &&, || and !";

/// The condition that a filter stands for.
pub(super) fn compile(
    ast: &Ast,
    table: &Table,
    evaluator: Evaluator,
    parameters: &mut Parameters,
) -> Parsed<String> {
    Compiler { table, evaluator, parameters }.condition(&ast.root)
}

struct Compiler<'a> {
    table: &'a Table,
    evaluator: Evaluator,
    parameters: &'a mut Parameters,
}

impl<'a> Compiler<'a> {
    /// SQL that is true of the rows of which the expression is. Recursion is bounded, as that of
    /// every walk, by `EXPRESSION_DEPTH_MAX`.
    fn condition(&mut self, expr: &Expr) -> Parsed<String> {
        match &expr.kind {
            Kind::And(operands) => self.joined(operands, " AND "),
            Kind::Or(operands) => self.joined(operands, " OR "),
            Kind::Unary(Unary::Not, operand) => {
                Ok(format!("({} IS NOT TRUE)", self.condition(operand)?))
            }
            Kind::Binary(Binary::In, value, list) => self.within(expr, value, list),
            Kind::Binary(operator, left, right) => self.comparison(expr, *operator, left, right),
            Kind::Call { target: Some(target), function, args } if **function == *"startsWith" => {
                self.starts_with(expr, target, args)
            }
            Kind::Literal(Literal::Bool(value)) => Ok(truth(*value)),
            Kind::Ident { .. } | Kind::Select { .. } => match self.operand(expr)? {
                Operand::Column(Known { kind: ColumnType::Boolean, sql, .. }) => Ok(sql.clone()),
                _ => Err(CelError::within(expr.span, "this is not true or false")
                    .hint("compare it with a value")),
            },
            _ => Err(CelError::within(expr.span, "this cannot stand in a filter").hint(CONDITIONS)),
        }
    }

    fn joined(&mut self, operands: &[Expr], operator: &str) -> Parsed<String> {
        let parts: Parsed<Vec<String>> =
            operands.iter().map(|operand| self.condition(operand)).collect();
        Ok(format!("({})", parts?.join(operator)))
    }

    fn operand(&mut self, expr: &Expr) -> Parsed<Operand<'a>> {
        operand(expr, self.table, &mut self.evaluator)
    }

    fn comparison(
        &mut self,
        expr: &Expr,
        operator: Binary,
        left: &Expr,
        right: &Expr,
    ) -> Parsed<String> {
        let operands = (self.operand(left)?, self.operand(right)?);
        match operands {
            (Operand::Column(column), Operand::Constant(value)) => {
                self.with_constant(column, operator, &value, expr, right)
            }
            (Operand::Constant(value), Operand::Column(column)) => {
                self.with_constant(column, mirrored(operator), &value, expr, left)
            }
            (Operand::Column(left), Operand::Column(right)) => {
                of_columns(expr, left, operator, right)
            }
            _ => Err(CelError::within(expr.span, "neither side is a column")
                .hint("compare a column with a value")),
        }
    }

    /// `column operator value`, of which `at` is the place of the value.
    fn with_constant(
        &mut self,
        column: &Known,
        operator: Binary,
        value: &Constant,
        expr: &Expr,
        at: &Expr,
    ) -> Parsed<String> {
        let sql = &column.sql;
        if matches!(value, Constant::Null) {
            return match operator {
                Binary::Equal => Ok(format!("({sql} IS NULL)")),
                Binary::NotEqual => Ok(format!("({sql} IS NOT NULL)")),
                _ => Err(CelError::within(at.span, "null has no place in an order")
                    .hint("compare with null by == or !=")),
            };
        }
        let fitted = fitted(value, column, at)?;
        check_order(expr, operator, column)?;
        let value = self.parameters.value(fitted);
        Ok(match operator {
            Binary::NotEqual => format!("({sql} IS DISTINCT FROM {value})"),
            _ => format!("({sql} {} {value})", in_sql(operator)),
        })
    }

    /// `value in list`: of values for a column, or a text in a column of texts.
    fn within(&mut self, expr: &Expr, value: &Expr, list: &Expr) -> Parsed<String> {
        if let Kind::List(items) = &list.kind {
            let Operand::Column(column) = self.operand(value)? else {
                return Err(CelError::within(value.span, "a list is compared with a column")
                    .hint("write column in ['a', 'b']"));
            };
            return self.in_list(column, items);
        }
        let tags = match self.operand(list)? {
            Operand::Column(column @ Known { kind: ColumnType::TextArray, .. }) => &column.sql,
            _ => {
                return Err(CelError::within(list.span, "this is no list")
                    .hint("write a list, such as ['a', 'b'], or a text[] column"));
            }
        };
        match self.operand(value)? {
            Operand::Column(Known { kind: ColumnType::Text, sql, .. }) => {
                Ok(format!("({sql} = ANY ({tags}))"))
            }
            Operand::Constant(value @ Constant::Text(_)) => {
                let fitted = fit(&value, ColumnType::Text)
                    .map_err(|(problem, hint)| CelError::within(expr.span, problem).hint(hint))?;
                Ok(format!("({tags} @> ARRAY[{}])", self.parameters.value(fitted)))
            }
            _ => Err(CelError::within(value.span, "a text[] column has texts only")
                .hint("write 'text' in column")),
        }
    }

    fn in_list(&mut self, column: &Known, items: &[Element]) -> Parsed<String> {
        let mut has_null = false;
        let mut texts = Vec::new();
        let mut cast: Option<&'static str> = None;
        for Element { optional, expr } in items {
            if *optional {
                return Err(CelError::within(
                    expr.span,
                    "a list of a filter has no optional items",
                ));
            }
            let Operand::Constant(value) = self.operand(expr)? else {
                return Err(CelError::within(expr.span, "a list of a filter has values only")
                    .hint("compare columns with == and ||"));
            };
            if matches!(value, Constant::Null) {
                has_null = true;
                continue;
            }
            let fitted = fitted(&value, column, expr)?;
            texts.push(fitted.text);
            // Of two types the wider one holds both.
            cast =
                Some(cast.filter(|cast| *cast != fitted.cast).map_or(fitted.cast, |_| "numeric"));
        }
        let sql = &column.sql;
        let among = cast.map(|cast| {
            let values = self.parameters.values(texts, cast);
            format!("({sql} = ANY ({values}))")
        });
        Ok(match (among, has_null) {
            (Some(among), true) => format!("({sql} IS NULL OR {among})"),
            (Some(among), false) => among,
            (None, true) => format!("({sql} IS NULL)"),
            (None, false) => truth(false),
        })
    }

    /// As a range, which an index serves: texts are compared byte by byte.
    fn starts_with(&mut self, expr: &Expr, target: &Expr, args: &[Expr]) -> Parsed<String> {
        let Operand::Column(column @ Known { kind: ColumnType::Text, .. }) =
            self.operand(target)?
        else {
            return Err(CelError::within(target.span, "`startsWith` is asked of a text column")
                .hint("write column.startsWith('text')"));
        };
        let prefix = match args {
            [argument] => match self.operand(argument)? {
                Operand::Constant(value @ Constant::Text(_)) => fitted(&value, column, argument)?,
                _ => {
                    return Err(CelError::within(argument.span, "the beginning must be a text")
                        .hint("write column.startsWith('text')"));
                }
            },
            _ => {
                return Err(CelError::within(expr.span, "`startsWith` takes one text")
                    .hint("write column.startsWith('text')"));
            }
        };
        let sql = &column.sql;
        let Some(end) = end_of_prefix(&prefix.text) else {
            let from = self.parameters.value(prefix);
            return Ok(format!("({sql} >= {from})"));
        };
        let end = Fitted { text: end, cast: prefix.cast };
        let (from, to) = (self.parameters.value(prefix), self.parameters.value(end));
        Ok(format!("({sql} >= {from} AND {sql} < {to})"))
    }
}

fn fitted(value: &Constant, column: &Known, at: &Expr) -> Parsed<Fitted> {
    fit(value, column.kind).map_err(|(problem, hint)| {
        let problem = format!("`{}` is {}: {problem}", column.name, column.kind);
        CelError::within(at.span, problem).hint(hint)
    })
}

/// Refuses `<` and the like for what is only equal or not.
fn check_order(expr: &Expr, operator: Binary, column: &Known) -> Parsed<()> {
    let orders = !matches!(operator, Binary::Equal | Binary::NotEqual);
    if orders && column.kind == ColumnType::Boolean {
        return Err(CelError::within(expr.span, "booleans have no order")
            .hint("write the column alone, or ! before it"));
    }
    Ok(())
}

/// A comparison of two columns; two without a value are equal.
fn of_columns(expr: &Expr, left: &Known, operator: Binary, right: &Known) -> Parsed<String> {
    let family = family(left.kind);
    if family.is_none() || family != self::family(right.kind) {
        let problem = format!(
            "`{}` is {}, `{}` is {}: these are not compared",
            left.name, left.kind, right.name, right.kind
        );
        return Err(CelError::within(expr.span, problem).hint("compare columns of one kind"));
    }
    check_order(expr, operator, left)?;
    let (left, right) = (&left.sql, &right.sql);
    Ok(match operator {
        Binary::Equal => format!("({left} IS NOT DISTINCT FROM {right})"),
        Binary::NotEqual => format!("({left} IS DISTINCT FROM {right})"),
        _ => format!("({left} {} {right})", in_sql(operator)),
    })
}

/// Types whose values are compared with each other, exactly.
fn family(kind: ColumnType) -> Option<u8> {
    use ColumnType as T;
    Some(match kind {
        T::Text => 1,
        T::Boolean => 2,
        T::Integer | T::Bigint | T::Numeric | T::NumericOf { .. } => 3,
        T::DoublePrecision => 4,
        T::Date => 5,
        T::Timestamptz => 6,
        T::Uuid => 7,
        T::Jsonb | T::TextArray => return None,
    })
}

/// `a < b` as `b > a`.
fn mirrored(operator: Binary) -> Binary {
    match operator {
        Binary::Less => Binary::Greater,
        Binary::LessEqual => Binary::GreaterEqual,
        Binary::Greater => Binary::Less,
        Binary::GreaterEqual => Binary::LessEqual,
        other => other,
    }
}

fn in_sql(operator: Binary) -> &'static str {
    match operator {
        Binary::Equal => "=",
        other => other.symbol(),
    }
}

fn truth(value: bool) -> String {
    if value { "TRUE" } else { "FALSE" }.to_owned()
}

/// The least text above all that begin with this one; `None`: there is none.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Behind U+D7FF come surrogates, which no text has.
        let next = (last as u32 + 1..=last as u32 + 0x801).find_map(char::from_u32);
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}
