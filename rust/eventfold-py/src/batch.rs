//! Pages of rows.

use eventfold_core::envelope::uuid_text;
use eventfold_core::error::CoreError;
use eventfold_core::privacy::OpenedValue;
use eventfold_core::rows::{Compact, Page, Row, Rows};
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
    /// In a copy of either.
    Compact(Compact),
}

impl Page for Source {
    fn len(&self) -> usize {
        match self {
            Self::Packed(rows) => rows.len(),
            #[cfg(unix)]
            Self::Rows(rows) => rows.len(),
            Self::Compact(rows) => rows.len(),
        }
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        match self {
            Self::Packed(rows) => rows.cell(column, index),
            #[cfg(unix)]
            Self::Rows(rows) => rows.cell(column, index),
            Self::Compact(rows) => rows.cell(column, index),
        }
    }

    #[inline]
    fn opened(&self, index: usize) -> &[OpenedValue] {
        match self {
            Self::Packed(rows) => rows.opened(index),
            #[cfg(unix)]
            Self::Rows(rows) => rows.opened(index),
            Self::Compact(rows) => rows.opened(index),
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

    /// A copy that holds on to nothing else.
    fn compact(&self, py: Python<'_>) -> PyResult<Self> {
        self.copied(py, || Compact::of(&self.rows))
    }

    /// A copy of the rows of one stream, from a row on.
    fn of_stream(&self, py: Python<'_>, stream: PyBackedStr, first: usize) -> PyResult<Self> {
        self.copied(py, || Compact::of_stream(&self.rows, first, &stream))
    }

    /// Whether a row is a copy.
    #[getter]
    fn has_copies(&self) -> bool {
        self.rows.has_copies()
    }

    /// What the rows take.
    #[getter]
    fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Ids of all rows in order, 16 bytes each.
    fn event_ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut ids = Vec::with_capacity(16 * self.rows.len());
        for index in 0..self.rows.len() {
            ids.extend(self.rows.event_id(index).map_err(|error| errors::raise(py, error))?);
        }
        Ok(PyBytes::new(py, &ids))
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

    fn copied(
        &self,
        py: Python<'_>,
        copy: impl FnOnce() -> Option<Compact> + Send,
    ) -> PyResult<Self> {
        let rows = errors::run(py, self.bytes, || {
            copy().ok_or_else(|| CoreError::new("BUG", "a page of 4 GiB or more"))
        })?;
        Ok(Self { bytes: rows.size_bytes(), rows: Source::Compact(rows) })
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
