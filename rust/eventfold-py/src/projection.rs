//! Documents of projections.

use std::sync::Arc;

use eventfold_core::projection;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::errors;

/// A compiled projection.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Projection(Arc<projection::Projection>);

#[pymethods]
impl Projection {
    #[new]
    #[pyo3(signature = (source, fold_source = None))]
    fn new(
        py: Python<'_>,
        source: PyBackedStr,
        fold_source: Option<PyBackedStr>,
    ) -> PyResult<Self> {
        let parsed = errors::run(py, source.len(), || {
            projection::Projection::parse(&source, fold_source.as_deref())
        })?;
        Ok(Self(Arc::new(parsed)))
    }

    #[getter]
    fn columns(&self) -> Vec<(&str, String)> {
        self.0.columns().iter().map(|column| (column.name.as_str(), column.kind.sql())).collect()
    }

    #[getter]
    fn categories(&self) -> Option<Vec<String>> {
        self.0.categories().map(<[String]>::to_vec)
    }

    #[getter]
    fn indexes(&self) -> Vec<Vec<String>> {
        self.0.indexes().to_vec()
    }
}

impl Projection {
    /// The projection itself.
    #[cfg(unix)]
    pub(super) fn shared(&self) -> Arc<projection::Projection> {
        Arc::clone(&self.0)
    }
}
