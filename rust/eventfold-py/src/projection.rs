//! Projection documents.

use std::sync::Arc;

use eventfold_core::projection::{self, KeyKind};
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
        let bytes = source.len() + fold_source.as_ref().map_or(0, |source| source.len());
        let projection = errors::run(py, bytes, || {
            projection::Projection::parse(&source, fold_source.as_deref())
        })?;
        Ok(Self(Arc::new(projection)))
    }

    #[staticmethod]
    fn fold_name(py: Python<'_>, source: PyBackedStr) -> PyResult<Option<String>> {
        errors::run(py, source.len(), || projection::fold_name(&source))
    }

    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn digest(&self) -> &str {
        self.0.digest()
    }

    #[getter]
    fn categories(&self) -> Option<Vec<&str>> {
        Some(self.0.categories()?.iter().map(String::as_str).collect())
    }

    #[getter]
    fn types(&self) -> Vec<&str> {
        self.0.types().iter().map(String::as_str).collect()
    }

    #[getter]
    fn columns(&self) -> Vec<(&str, String)> {
        self.0.columns().iter().map(|column| (&*column.name, column.kind.sql())).collect()
    }

    #[getter]
    fn indexes(&self) -> Vec<Vec<&str>> {
        self.0.indexes().iter().map(|index| index.iter().map(String::as_str).collect()).collect()
    }

    #[getter]
    fn parks(&self) -> bool {
        self.0.parks()
    }

    #[getter]
    fn key_kind(&self) -> &'static str {
        match self.0.key() {
            KeyKind::Root => "root",
            KeyKind::Stream => "stream",
            KeyKind::Expression => "expression",
        }
    }

    fn compatible_with(&self, other: &Bound<'_, Self>) -> bool {
        self.0.compatible_with(&other.get().0)
    }
}

impl Projection {
    /// The projection itself.
    #[cfg(unix)]
    pub(super) fn shared(&self) -> Arc<projection::Projection> {
        Arc::clone(&self.0)
    }
}
