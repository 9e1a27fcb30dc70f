//! Projection documents.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use eventfold_core::error;
#[cfg(unix)]
use eventfold_core::privacy::Keys;
#[cfg(unix)]
use eventfold_core::projection::RowPlace;
use eventfold_core::projection::{self, KeyKind};
#[cfg(unix)]
use eventfold_reader::keys::unavailable;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;

use super::batch::Batch;
use super::errors;
#[cfg(unix)]
use super::keyring::Keyring;
use super::mapping::Mapping;
use super::personal;

/// A compiled projection.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Projection(Arc<projection::Projection>);

/// Columns of a row, names of those that are erased and withheld, and subjects whose keys are
/// missing.
type OpenRow<'py> = (String, Vec<String>, Vec<String>, Vec<Bound<'py, PyBytes>>);

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
    fn said_copies(&self) -> Option<bool> {
        self.0.said_copies()
    }

    #[getter]
    fn with_copies(&self) -> bool {
        self.0.with_copies()
    }

    #[getter]
    fn types(&self) -> Vec<&str> {
        self.0.types().iter().map(String::as_str).collect()
    }

    #[getter]
    fn skip_cancelled(&self) -> bool {
        self.0.skip_cancelled()
    }

    #[getter]
    fn resolves(&self) -> bool {
        self.0.resolves()
    }

    #[pyo3(signature = (types, everywhere = vec![], mappings = vec![]),
        text_signature = "($self, types, everywhere=(), mappings=())")]
    fn personal(
        &self,
        py: Python<'_>,
        types: HashMap<String, Vec<PyBackedStr>>,
        everywhere: Vec<PyBackedStr>,
        mappings: Vec<Bound<'_, Mapping>>,
    ) -> PyResult<(bool, Vec<String>, Vec<String>)> {
        let mappings = personal::mappings(&mappings);
        errors::run(py, errors::ANY_BYTES, || {
            let declared = personal::declared(&types, &everywhere)?;
            let referred = self.0.resolves().then_some(&declared);
            let marks = self.0.marks(&declared, referred, &mappings)?;
            let columns = self.0.columns().iter().zip(&marks.columns);
            let columns = columns.filter(|(_, marked)| **marked);
            let columns = columns.map(|(column, _)| column.name.clone()).collect();
            Ok((marks.key, marks.state.pointers(), columns))
        })
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

    #[pyo3(signature = (event_type, names, /))]
    #[expect(clippy::needless_pass_by_value, reason = "as Python gives it")]
    fn key_reads(&self, event_type: &str, names: Vec<String>) -> Vec<String> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.0.key_reads(event_type, &names).into_iter().map(str::to_owned).collect()
    }

    #[pyo3(signature = (event_type, names, /))]
    #[expect(clippy::needless_pass_by_value, reason = "as Python gives it")]
    fn fold_reads(&self, event_type: &str, names: Vec<String>) -> Vec<String> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.0.fold_reads(event_type, &names).into_iter().map(str::to_owned).collect()
    }

    #[cfg(unix)]
    #[expect(clippy::needless_pass_by_value, reason = "as Python gives it")]
    fn open_row<'py>(
        &self,
        py: Python<'py>,
        columns: &str,
        key: &str,
        generation_no: i64,
        sealed: Vec<String>,
        keyring: Option<&Bound<'py, Keyring>>,
    ) -> PyResult<OpenRow<'py>> {
        let keyring = keyring.map(|keyring| Arc::clone(keyring.get().shared()));
        let found = errors::run(py, columns.len(), || {
            if keyring.as_ref().is_some_and(|keyring| !keyring.is_leased()) {
                return Err(unavailable("the lease of this server has run out"));
            }
            let store_id = keyring.as_ref().map_or(&[0; 16], |keyring| keyring.store_id());
            let place = RowPlace { store_id, generation_no, key };
            let keys = keyring.as_deref().map(|keyring| keyring as &dyn Keys);
            place.show(columns.as_bytes(), self.0.columns(), &sealed, keys)
        })?;
        let json = String::from_utf8_lossy(&found.json).into_owned();
        let missing = found.missing.iter().map(|subject| PyBytes::new(py, subject)).collect();
        Ok((json, found.erased, found.withheld, missing))
    }

    fn compatible_with(&self, other: &Bound<'_, Self>) -> bool {
        self.0.compatible_with(&other.get().0)
    }
}

impl Projection {
    /// The projection, to look at.
    pub(super) fn inner(&self) -> &projection::Projection {
        &self.0
    }

    /// The projection itself.
    #[cfg(unix)]
    pub(super) fn shared(&self) -> Arc<projection::Projection> {
        Arc::clone(&self.0)
    }
}

/// What of a projection can be personal.
#[pyclass(frozen, module = "eventfold._core")]
pub struct ProjectionMarks {
    marks: Arc<projection::ProjectionMarks>,
    columns: Vec<String>,
}

#[pymethods]
impl ProjectionMarks {
    #[getter]
    fn key(&self) -> bool {
        self.marks.key
    }

    #[getter]
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    #[getter]
    fn state(&self) -> Vec<String> {
        self.marks.state.pointers()
    }
}

impl ProjectionMarks {
    pub(super) fn new(marks: projection::ProjectionMarks, of: &projection::Projection) -> Self {
        let columns = of.columns().iter().zip(&marks.columns);
        let columns = columns.filter(|(_, marked)| **marked);
        let columns = columns.map(|(column, _)| column.name.clone()).collect();
        Self { marks: Arc::new(marks), columns }
    }

    #[cfg(unix)]
    pub(super) fn shared(&self) -> Arc<projection::ProjectionMarks> {
        Arc::clone(&self.marks)
    }
}

/// The table of a projection, in memory.
#[pyclass(frozen, module = "eventfold._core")]
pub struct ProjectedTable {
    /// Locked only inside of work that may run without the GIL, so that nobody waits for both.
    table: Mutex<projection::Table>,
}

/// A row: key, state, whether it is shown, version, position, texts of the columns.
type Row<'py> = (String, Bound<'py, PyBytes>, bool, i64, i64, Vec<Option<String>>);

/// A parked key: the key, why, and the positions of its events.
type Parked = (String, Py<PyAny>, Vec<i64>);

#[pymethods]
impl ProjectedTable {
    #[new]
    fn new(projection: &Bound<'_, Projection>) -> Self {
        Self { table: Mutex::new(projection::Table::new(Arc::clone(&projection.get().0))) }
    }

    fn feed(&self, py: Python<'_>, batch: &Bound<'_, Batch>) -> PyResult<()> {
        let rows = &batch.get().rows;
        errors::run(py, errors::ANY_BYTES, || self.with_table(|table| table.feed(rows)))
    }

    #[getter]
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Vec<Row<'py>>> {
        let rows = self.get(py, |table| table.rows.values().cloned().collect::<Vec<_>>())?;
        let row = |row: projection::ChangedRow| {
            let state = PyBytes::new(py, &row.state);
            (row.key, state, row.shown, row.version, row.position, row.columns)
        };
        Ok(rows.into_iter().map(row).collect())
    }

    #[getter]
    fn parked(&self, py: Python<'_>) -> PyResult<Vec<Parked>> {
        let parked = self.get(py, |table| table.parked.clone())?;
        let entry = |(key, parked): (String, projection::Parked)| {
            (key, errors::raise(py, parked.error).into_value(py).into_any(), parked.positions)
        };
        Ok(parked.into_iter().map(entry).collect())
    }

    #[getter]
    fn events(&self, py: Python<'_>) -> PyResult<u64> {
        self.get(py, |table| table.events)
    }

    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<i64> {
        self.get(py, |table| table.position)
    }

    #[getter]
    fn stopped(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let stopped = self.get(py, |table| table.stopped.clone())?;
        Ok(stopped.map(|error| errors::raise(py, error).into_value(py).into_any()))
    }
}

impl ProjectedTable {
    fn get<T: Send>(
        &self,
        py: Python<'_>,
        part: impl FnOnce(&projection::Table) -> T + Send,
    ) -> PyResult<T> {
        errors::run(py, 0, || self.with_table(|table| Ok(part(table))))
    }

    fn with_table<T>(
        &self,
        work: impl FnOnce(&mut projection::Table) -> Result<T, error::CoreError>,
    ) -> Result<T, error::CoreError> {
        // Poisoned by a panic: a row may be half changed.
        let poisoned = |_| error::CoreError::new("BUG", "an earlier call on this table panicked");
        work(&mut *self.table.lock().map_err(poisoned)?)
    }
}
