//! Queries of projections, as parts of SQL.

use eventfold_core::error;
use eventfold_core::projection::query::{Asked, Branch, Order, Parameter, Query};
use eventfold_core::projection::{Column, ColumnType};
use eventfold_core::value::Timestamp;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyList;

use super::errors;

/// The parts of the statement that answers a query.
#[pyclass(frozen, module = "eventfold._core")]
pub struct ProjectionQuery(Query);

#[pymethods]
impl ProjectionQuery {
    #[new]
    #[pyo3(signature = (table, *, filter, order = Vec::new(), columns = Vec::new(), after = None,
        now_us, first_parameter, sealed = Vec::new()))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        table: Vec<(String, String)>,
        filter: PyBackedStr,
        order: Vec<(String, bool)>,
        columns: Vec<String>,
        after: Option<Vec<Option<String>>>,
        now_us: i64,
        first_parameter: usize,
        sealed: Vec<String>,
    ) -> PyResult<Self> {
        let order: Vec<Order> =
            order.into_iter().map(|(column, descending)| Order { column, descending }).collect();
        errors::run(py, filter.len(), || {
            let table = table.into_iter().map(column).collect::<Result<Vec<_>, _>>()?;
            let now = Timestamp::from_micros(now_us)
                .ok_or_else(|| error::CoreError::new("BUG", "the clock is out of range"))?;
            let asked = Asked {
                filter: &filter,
                order: &order,
                columns: &columns,
                after: after.as_deref(),
                sealed: &sealed,
            };
            Query::compile(&table, &asked, now, first_parameter)
        })
        .map(Self)
    }

    /// What must be true of a row.
    #[getter]
    fn condition(&self) -> &str {
        &self.0.condition
    }

    /// Condition and order of each part.
    #[getter]
    fn branches(&self) -> Vec<(&str, &str)> {
        self.0.branches.iter().map(|Branch { condition, order }| (&**condition, &**order)).collect()
    }

    /// The columns that the parts read.
    #[getter]
    fn names(&self) -> Vec<&str> {
        self.0.names.iter().map(String::as_str).collect()
    }

    /// JSON text of a row `u`.
    #[getter]
    fn json(&self) -> &str {
        &self.0.json
    }

    /// About as many bytes as that has.
    #[getter]
    fn bytes(&self) -> &str {
        &self.0.bytes
    }

    /// The place of a row `u`, an array of texts.
    #[getter]
    fn place(&self) -> &str {
        &self.0.place
    }

    /// Texts and lists of texts.
    #[getter]
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let parameters = PyList::empty(py);
        for parameter in &self.0.parameters {
            match parameter {
                Parameter::Text(text) => parameters.append(text)?,
                Parameter::Texts(texts) => parameters.append(texts.as_slice())?,
            }
        }
        Ok(parameters)
    }
}

/// The column of a name and a type, as `Projection.columns` has them.
fn column((name, kind): (String, String)) -> Result<Column, error::CoreError> {
    let kind = ColumnType::parse(kind.split(" COLLATE ").next().unwrap_or_default())
        .ok_or_else(|| error::CoreError::new("BUG", "a column has an unknown type"))?;
    Ok(Column { name, kind, plaintext: false })
}
