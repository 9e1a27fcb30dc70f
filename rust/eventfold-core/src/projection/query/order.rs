//! The order of rows, and where in it a page begins.
//!
//! Rows without a value come last in either direction, which no index has for descending columns,
//! and no row comparison can tell. So the rows behind a place are told as parts that follow each
//! other: those equal in all columns but the last, where they come later; those equal in one column
//! less; and so on. In each part an index on the columns finds the beginning and gives the order.

use crate::error::CoreError;
use crate::limits::{QUERY_ORDER_COLUMNS_MAX, QUERY_PLACE_BYTES_MAX};
use crate::number::Decimal;

use super::super::ColumnType;
use super::constant::Constant;
use super::fit::{Parameters, fit};
use super::known::{Known, Table};

/// A column that rows are ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub column: String,
    /// From the largest value to the smallest.
    pub descending: bool,
}

/// Rows that follow each other in the order, without others between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// What tells them from the rest.
    pub condition: String,
    /// What follows ORDER BY.
    pub order: String,
}

/// A whole order: its last column, which is the key, tells all rows apart.
#[derive(Debug)]
pub(super) struct Sorted<'a>(Vec<(&'a Known, bool)>);

/// The order that was asked for, with the key behind it.
pub(super) fn sorted<'a>(table: &'a Table, asked: &[Order]) -> Result<Sorted<'a>, CoreError> {
    if asked.len() > QUERY_ORDER_COLUMNS_MAX {
        return Err(invalid("order", format!("at most {QUERY_ORDER_COLUMNS_MAX} columns"))
            .fact("limit", QUERY_ORDER_COLUMNS_MAX));
    }
    let mut columns: Vec<(&Known, bool)> = Vec::new();
    for Order { column: name, descending } in asked {
        let Some(column) = table.get(name) else {
            let problem = format!("one is no column; there are {}", table.names());
            return Err(invalid("order", problem));
        };
        if matches!(column.kind, ColumnType::Jsonb | ColumnType::TextArray) {
            let problem = format!("`{name}` is {}, which has no order", column.kind);
            return Err(invalid("order", problem));
        }
        if columns.iter().any(|(known, _)| known.name == *name) {
            return Err(invalid("order", format!("`{name}` is there twice")));
        }
        columns.push((column, *descending));
    }
    // Behind the key no column tells anything more.
    if let Some(index) = columns.iter().position(|(column, _)| is_key(column)) {
        columns.truncate(index + 1);
    } else if let Some(key) = table.get("key") {
        columns.push((key, false));
    }
    Ok(Sorted(columns))
}

fn is_key(column: &Known) -> bool {
    column.name == "key" && !column.is_of_document
}

fn invalid(field: &'static str, problem: impl Into<String>) -> CoreError {
    let problem = problem.into();
    CoreError::new("INVALID_REQUEST", format!("{field}: {problem}"))
        .fact("field", field)
        .fact("problem", problem)
}

impl<'a> Sorted<'a> {
    pub(super) fn columns(&self) -> Vec<&'a Known> {
        self.0.iter().map(|(column, _)| *column).collect()
    }

    /// What follows ORDER BY for rows that are equal in the columns before `from`. `valued`: all of
    /// them have a value in that one.
    fn order(&self, from: usize, valued: bool) -> String {
        let columns = self.0[from..].iter().enumerate().map(|(index, (column, descending))| {
            let Known { sql, is_nullable, .. } = column;
            let may_be_without = *is_nullable && !(valued && index == 0);
            match (descending, may_be_without) {
                (false, _) => sql.clone(),
                // As an index has it that is read backwards.
                (true, false) => format!("{sql} DESC"),
                (true, true) => format!("{sql} DESC NULLS LAST"),
            }
        });
        columns.collect::<Vec<_>>().join(", ")
    }
}

/// The parts that make up all rows, or those behind a place.
pub(super) fn branches(
    sorted: &Sorted<'_>,
    after: Option<&[Option<String>]>,
    parameters: &mut Parameters,
) -> Result<Vec<Branch>, CoreError> {
    let Some(after) = after else { return Ok(all(sorted)) };
    let values = values(sorted, after, parameters)?;
    let mut branches = Vec::new();
    for (index, (column, descending)) in sorted.0.iter().enumerate().rev() {
        // Behind rows without a value there is nothing.
        let Some(value) = &values[index] else { continue };
        let sql = &column.sql;
        let mut equal: Vec<String> = sorted.0[..index]
            .iter()
            .zip(&values)
            .map(|((column, _), value)| match value {
                Some(value) => format!("{} = {value}", column.sql),
                None => format!("{} IS NULL", column.sql),
            })
            .collect();
        let without = equal.clone();
        equal.push(format!("{sql} {} {value}", if *descending { "<" } else { ">" }));
        branches.push(Branch { condition: equal.join(" AND "), order: sorted.order(index, true) });
        if column.is_nullable {
            branches.push(without_value(sorted, index, without));
        }
    }
    Ok(branches)
}

/// All rows: in two parts where those without a value would not come last by themselves.
fn all(sorted: &Sorted<'_>) -> Vec<Branch> {
    match sorted.0.first() {
        Some((column, true)) if column.is_nullable => {
            let condition = format!("{} IS NOT NULL", column.sql);
            let valued = Branch { condition, order: sorted.order(0, true) };
            vec![valued, without_value(sorted, 0, Vec::new())]
        }
        _ => vec![Branch { condition: "TRUE".to_owned(), order: sorted.order(0, false) }],
    }
}

/// The rows that have no value in a column, equal in those before it.
fn without_value(sorted: &Sorted<'_>, index: usize, mut conditions: Vec<String>) -> Branch {
    conditions.push(format!("{} IS NULL", sorted.0[index].0.sql));
    let order = sorted.order(index + 1, false);
    Branch { condition: conditions.join(" AND "), order }
}

/// SQL for the values of a place. It came from a caller, and the document may have changed since.
fn values(
    sorted: &Sorted<'_>,
    after: &[Option<String>],
    parameters: &mut Parameters,
) -> Result<Vec<Option<String>>, CoreError> {
    let stale = || invalid("page_token", "is of another order, or the columns have changed");
    if after.len() != sorted.0.len() {
        return Err(stale());
    }
    let mut values = Vec::new();
    for ((column, _), text) in sorted.0.iter().zip(after) {
        let Some(text) = text else {
            if !column.is_nullable {
                return Err(stale());
            }
            values.push(None);
            continue;
        };
        if text.len() > QUERY_PLACE_BYTES_MAX {
            return Err(stale());
        }
        let value = written(text, column.kind).ok_or_else(stale)?;
        let fitted = fit(&value, column.kind).map_err(|_| stale())?;
        values.push(Some(parameters.value(fitted)));
    }
    Ok(values)
}

/// The value of a column of which that is the text.
fn written(text: &str, kind: ColumnType) -> Option<Constant> {
    use ColumnType as T;
    Some(match kind {
        T::Boolean => Constant::Bool(text.parse().ok()?),
        T::Integer | T::Bigint | T::Numeric | T::NumericOf { .. } | T::DoublePrecision => {
            Decimal::from_json(text)?;
            // PostgreSQL writes only doubles with exponents, and refuses what leads too far.
            let plain = kind == T::DoublePrecision || !text.contains(['e', 'E']);
            plain.then(|| Constant::Number(text.to_owned()))?
        }
        _ => Constant::Text(text.into()),
    })
}
