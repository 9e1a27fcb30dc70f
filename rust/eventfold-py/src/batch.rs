//! Pages of rows.

use eventfold_core::envelope::uuid_text;
use eventfold_core::rows::{Page, Row, Rows};
use eventfold_core::wire;
#[cfg(unix)]
use eventfold_reader::PgRows;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;

use super::errors;

/// Where the rows of a batch are.
pub enum Source {
    /// In arrays of columns.
    Packed(Box<Rows<PyBackedBytes>>),
    /// In the rows that PostgreSQL sent.
    #[cfg(unix)]
    Rows(PgRows),
}

impl Page for Source {
    fn len(&self) -> usize {
        match self {
            Self::Packed(rows) => rows.len(),
            #[cfg(unix)]
            Self::Rows(rows) => rows.len(),
        }
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        match self {
            Self::Packed(rows) => rows.cell(column, index),
            #[cfg(unix)]
            Self::Rows(rows) => rows.cell(column, index),
        }
    }
}

/// One page of stored events, held as the bytes that PostgreSQL sent.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Batch {
    pub(super) rows: Source,
    /// Bytes of all columns; decides whether work on the page is worth releasing the GIL.
    pub(super) bytes: usize,
}

#[pymethods]
impl Batch {
    #[new]
    fn new(py: Python<'_>, columns: Vec<Option<PyBackedBytes>>) -> PyResult<Self> {
        let bytes = columns.iter().flatten().map(|column| column.len()).sum();
        let rows = errors::run(py, bytes, || Rows::decode(columns))?;
        Ok(Self { rows: Source::Packed(Box::new(rows)), bytes })
    }

    fn __len__(&self) -> usize {
        self.rows.len()
    }

    /// Version of the first row; 0 for a page without rows.
    #[getter]
    fn first_version(&self, py: Python<'_>) -> PyResult<i64> {
        self.number(py, 0, |row| row.version)
    }

    /// Version of the last row; 0 for a page without rows.
    #[getter]
    fn last_version(&self, py: Python<'_>) -> PyResult<i64> {
        self.number(py, self.last(), |row| row.version)
    }

    /// Position of the first row; 0 for a page without rows.
    #[getter]
    fn first_position(&self, py: Python<'_>) -> PyResult<i64> {
        self.number(py, 0, |row| row.position)
    }

    /// Position of the last row; 0 for a page without rows.
    #[getter]
    fn last_position(&self, py: Python<'_>) -> PyResult<i64> {
        self.number(py, self.last(), |row| row.position)
    }

    fn version(&self, py: Python<'_>, index: usize) -> PyResult<i64> {
        self.check(index)?;
        self.rows.version(index).map_err(|error| errors::raise(py, error))
    }

    fn position(&self, py: Python<'_>, index: usize) -> PyResult<i64> {
        self.check(index)?;
        self.number(py, index, |row| row.position)
    }

    fn event_id(&self, py: Python<'_>, index: usize) -> PyResult<String> {
        self.check(index)?;
        self.rows.event_id(index).map(uuid_text).map_err(|error| errors::raise(py, error))
    }

    fn recorded_us(&self, py: Python<'_>, index: usize) -> PyResult<i64> {
        self.check(index)?;
        self.number(py, index, |row| row.recorded_us)
    }

    fn streams(&self, py: Python<'_>) -> PyResult<Vec<(&str, usize, usize)>> {
        let runs = errors::run(py, self.bytes, || self.rows.streams())?;
        Ok(runs.into_iter().map(|(name, rows)| (name, rows.start, rows.end)).collect())
    }

    /// The rows as field 1 of a `ReadResponse` or `ReadAllResponse`.
    #[pyo3(signature = (stream = None))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        stream: Option<PyBackedStr>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let encode = || wire::encode_page(&self.rows, stream.as_deref());
        Ok(PyBytes::new(py, &errors::run(py, self.bytes, encode)?))
    }
}

impl Batch {
    /// Rows as they came.
    #[cfg(unix)]
    pub(super) fn of_rows(rows: PgRows) -> Self {
        Self { bytes: rows.bytes, rows: Source::Rows(rows) }
    }

    fn check(&self, index: usize) -> PyResult<()> {
        if index < self.rows.len() {
            return Ok(());
        }
        Err(PyIndexError::new_err(format!("row {index} of {}", self.rows.len())))
    }

    fn last(&self) -> usize {
        self.rows.len().saturating_sub(1)
    }

    fn number(&self, py: Python<'_>, index: usize, field: fn(&Row<'_>) -> i64) -> PyResult<i64> {
        if self.rows.is_empty() {
            return Ok(0);
        }
        self.rows.row(index).map(|row| field(&row)).map_err(|error| errors::raise(py, error))
    }
}
