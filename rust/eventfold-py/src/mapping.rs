//! Mapping documents.

use std::sync::Arc;

use eventfold_core::envelope::{parse_uuid, stored_metadata};
use eventfold_core::mapping::{self, Mapper, Trial};
use eventfold_core::rows::{Row, Tags};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;

use super::batch::Batch;
use super::errors;

/// A compiled mapping.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Mapping(Arc<mapping::Mapping>);

impl Mapping {
    pub fn inner(&self) -> &Arc<mapping::Mapping> {
        &self.0
    }
}

#[pymethods]
impl Mapping {
    #[new]
    fn new(py: Python<'_>, source: PyBackedStr) -> PyResult<Self> {
        let mapping = errors::run(py, source.len(), || mapping::Mapping::parse(&source))?;
        Ok(Self(Arc::new(mapping)))
    }

    #[staticmethod]
    #[pyo3(signature = (event_type, digest, source, /))]
    fn stored(
        py: Python<'_>,
        event_type: &str,
        digest: &str,
        source: PyBackedStr,
    ) -> PyResult<Self> {
        let stored = || Ok(mapping::Mapping::stored(event_type, digest, &source));
        Ok(Self(Arc::new(errors::run(py, source.len(), stored)?)))
    }

    #[getter]
    fn event_type(&self) -> &str {
        self.0.event_type()
    }

    #[getter]
    fn digest(&self) -> &str {
        self.0.digest()
    }

    #[pyo3(signature = (
        data, *, stream = "", metadata = None, tags = vec![], event_id = None, version = 0,
        position = 0, recorded_us = 0, occurred_us = None, writer = ""
    ), text_signature = "($self, data, *, stream='', metadata=None, tags=(), event_id=None, \
        version=0, position=0, recorded_us=0, occurred_us=None, writer='')")]
    #[expect(clippy::too_many_arguments, reason = "the fields of an event")]
    fn apply<'py>(
        &self,
        py: Python<'py>,
        data: &[u8],
        stream: &str,
        metadata: Option<&[u8]>,
        tags: Vec<PyBackedStr>,
        event_id: Option<&str>,
        version: i64,
        position: i64,
        recorded_us: i64,
        occurred_us: Option<i64>,
        writer: &str,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let event_id = match event_id {
            None => [0; 16],
            Some(text) => {
                parse_uuid(text).ok_or_else(|| PyValueError::new_err("event_id is not a UUID"))?
            }
        };
        let mapped = errors::run(py, errors::ANY_BYTES, || {
            let tags: Vec<&str> = tags.iter().map(|tag| &**tag).collect();
            let row = Row {
                stream: None,
                version,
                position,
                event_id: &event_id,
                event_type: self.0.event_type(),
                data,
                metadata: stored_metadata(metadata.unwrap_or_default()),
                tags: Tags::from_texts(&tags),
                recorded_us,
                occurred_us: occurred_us.unwrap_or(recorded_us),
                writer,
                // Not validated: it is checked first.
                flags: 0,
                copied_from: None,
                cancels: None,
                trace_context: None,
                deleted: false,
            };
            let mut out = Vec::new();
            let flags = self.0.apply(&row, stream, &mut Mapper::default(), &mut out)?;
            Ok(flags.map(|_| out))
        })?;
        Ok(mapped.map(|data| PyBytes::new(py, &data)))
    }

    fn try_batch(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, Batch>,
        first_max: usize,
    ) -> PyResult<MappingTrial> {
        let rows = &batch.get().rows;
        let trial = errors::run(py, errors::ANY_BYTES, || self.0.try_page(rows, first_max))?;
        Ok(MappingTrial::new(py, trial))
    }
}

impl Mapping {
    /// The mapping itself.
    pub fn shared(&self) -> Arc<mapping::Mapping> {
        Arc::clone(&self.0)
    }
}

/// A stored event that does not fit: stream, version, position, id, and why.
type Misfit = (String, i64, i64, String, Py<PyAny>);

/// What events said of a mapping.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct MappingTrial {
    events: u64,
    changed: u64,
    misfits: u64,
    first: Vec<Misfit>,
}

impl MappingTrial {
    fn new(py: Python<'_>, trial: Trial) -> Self {
        let misfit = |found: mapping::Misfit| {
            let error = errors::raise(py, found.error).into_value(py).into_any();
            (found.stream, found.version, found.position, found.event_id, error)
        };
        Self {
            events: trial.events,
            changed: trial.changed,
            misfits: trial.misfits,
            first: trial.first.into_iter().map(misfit).collect(),
        }
    }
}
