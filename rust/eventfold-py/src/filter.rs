//! Filters on pages of rows.

use eventfold_core::filter::{self, Demands};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;

use super::batch::Batch;
use super::errors;

/// A compiled filter.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Filter(filter::Filter);

#[pymethods]
impl Filter {
    #[new]
    #[pyo3(signature = (*, stream = None, categories = Vec::new(), types = Vec::new(),
        tags = Vec::new(), with_system = false, with_copies = false, condition = None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        stream: Option<String>,
        categories: Vec<String>,
        types: Vec<String>,
        tags: Vec<String>,
        with_system: bool,
        with_copies: bool,
        condition: Option<PyBackedStr>,
    ) -> PyResult<Self> {
        let demands = Demands { stream, categories, types, tags, with_system, with_copies };
        errors::run(py, 0, || filter::Filter::new(demands, condition.as_deref())).map(Self)
    }

    /// Those of some fields at the top of the data that its condition reads.
    #[expect(clippy::needless_pass_by_value, reason = "as Python gives it")]
    fn reads(&self, names: Vec<String>) -> Vec<String> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.0.reads(&names).into_iter().map(str::to_owned).collect()
    }

    /// What passes of a page from a row on.
    #[pyo3(signature = (batch, first, *, stream = None, steps_max))]
    fn select(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, Batch>,
        first: usize,
        stream: Option<PyBackedStr>,
        steps_max: u64,
    ) -> PyResult<Selection> {
        let batch = batch.get();
        let select = || self.0.select(&batch.rows, first, stream.as_deref(), steps_max);
        let selected = errors::run(py, batch.bytes, select)?;
        Ok(Selection {
            encoded: PyBytes::new(py, &selected.encoded).unbind(),
            rows: selected.positions.len(),
            positions: selected.positions,
            next: selected.next,
            position: selected.position,
            failure: selected.failure.map(|failure| errors::raise(py, failure).into_value(py)),
        })
    }
}

/// What passed of a page.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct Selection {
    encoded: Py<PyBytes>,
    rows: usize,
    positions: Vec<i64>,
    next: usize,
    position: i64,
    failure: Option<Py<pyo3::exceptions::PyBaseException>>,
}
