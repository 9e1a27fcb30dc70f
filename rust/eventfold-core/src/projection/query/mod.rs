//! Queries of a projection's table: filter, order and page as parts of a parameterised statement.
//!
//! Names get into SQL only if the document has them, and quoted; what a caller writes gets there
//! as parameters only. The statement around the parts is `storage/sql/projections.sql`.

mod constant;
mod filter;
mod fit;
mod known;
mod operand;
mod order;
mod select;

use crate::cel;
use crate::error::CoreError;
use crate::fold::refuse_alone;
use crate::value::Timestamp;

use super::Column;
use constant::Evaluator;
use known::Table;

pub use fit::{Parameter, Parameters};
pub use order::{Branch, Order};

/// What a caller asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// An expression that must be true of a row; empty: all rows.
    pub filter: &'a str,
    /// What rows are ordered by, before their keys.
    pub order: &'a [Order],
    /// Names of the columns to return; empty: all.
    pub columns: &'a [String],
    /// Names of the columns whose values are sealed.
    pub sealed: &'a [String],
    /// The place of a row of this order (`Query::place`), behind which rows begin; `None`: with the
    /// first.
    pub after: Option<&'a [Option<String>]>,
}

/// The parts of the statement that answers a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What must be true of a row.
    pub condition: String,
    /// The rows, part by part: all of one come before those of the next.
    pub branches: Vec<Branch>,
    /// The columns that the other parts read.
    pub names: Vec<String>,
    /// JSON text of a row `u`.
    pub json: String,
    /// About as many bytes as that has, told without reading long values.
    pub bytes: String,
    /// The place of a row `u` in the order, as an array of texts.
    pub place: String,
    /// What the parts refer to as `$n`.
    pub parameters: Vec<Parameter>,
}

impl Query {
    /// Compiles a query. `now` is what `now` and `today` mean; parameters are numbered from
    /// `first_parameter` on.
    ///
    /// Refused with INVALID_EXPRESSION, EXPRESSION_TOO_LONG and EXPRESSION_TOO_DEEP for the filter,
    /// with INVALID_REQUEST for the others.
    pub fn compile(
        columns: &[Column],
        asked: &Asked<'_>,
        now: Timestamp,
        first_parameter: usize,
    ) -> Result<Self, CoreError> {
        let table = Table::new(columns, asked.sealed);
        let compiled = Self::of_table(&table, asked, now, first_parameter);
        // Whatever else is wrong with it.
        table.check()?;
        compiled
    }

    fn of_table(
        table: &Table,
        asked: &Asked<'_>,
        now: Timestamp,
        first_parameter: usize,
    ) -> Result<Self, CoreError> {
        let mut parameters = Parameters::from(first_parameter);
        let condition = match asked.filter {
            "" => "TRUE".to_owned(),
            text => {
                let ast = cel::parse(text).map_err(|error| refuse_alone(text, error))?;
                filter::compile(&ast, table, Evaluator::new(now), &mut parameters)
                    .map_err(|error| refuse_alone(text, *error))?
            }
        };
        let sorted = order::sorted(table, asked.order)?;
        let branches = order::branches(&sorted, asked.after, &mut parameters)?;
        let returned = select::returned(table, asked.columns)?;
        let mut names: Vec<String> = Vec::new();
        for column in returned.iter().chain(&sorted.columns()) {
            if column.is_of_document && !names.contains(&column.sql) {
                names.push(column.sql.clone());
            }
        }
        Ok(Self {
            condition,
            branches,
            names,
            json: select::json(&returned),
            bytes: select::bytes(&returned),
            place: select::place(&sorted.columns()),
            parameters: parameters.into_values(),
        })
    }
}
