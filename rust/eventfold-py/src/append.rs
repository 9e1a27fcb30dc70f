//! Appends: bytes of requests in, checked appends out.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use eventfold_core::append::{self, Origin, SessionMessage as Message};
use eventfold_core::envelope::uuid_text;
use eventfold_core::error::CoreError;
use eventfold_reader::{Checked, new_id};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use super::errors;

/// An append that passed every check that needs no database.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Append {
    append: Arc<append::Append>,
    /// Of the rules that it was checked under.
    catalogue_version: AtomicI64,
    /// In its session.
    #[pyo3(get)]
    number: u64,
    #[pyo3(get)]
    message_bytes: usize,
    #[pyo3(get)]
    timeout_s: Option<f64>,
    #[pyo3(get)]
    size_bytes: usize,
    #[pyo3(get)]
    events: usize,
    #[pyo3(get)]
    plain: bool,
}

type Check = fn(&[u8], &Arc<Origin>, append::NewIds<'_>) -> Result<append::Append, CoreError>;

fn origin(writer: String, trace_context: Option<String>) -> Arc<Origin> {
    Arc::new(Origin { writer, trace_context })
}

impl Append {
    fn new(append: append::Append, message_bytes: usize, catalogue_version: i64) -> Self {
        Self {
            size_bytes: append.size_bytes,
            events: append.events(),
            plain: append.is_plain(),
            append: Arc::new(append),
            catalogue_version: AtomicI64::new(catalogue_version),
            number: 0,
            message_bytes,
            timeout_s: None,
        }
    }

    fn check(
        py: Python<'_>,
        message: &[u8],
        origin: &Arc<Origin>,
        catalogue_version: i64,
        check: Check,
    ) -> PyResult<Self> {
        let append = errors::run(py, message.len(), || check(message, origin, &mut new_id))?;
        Ok(Self::new(append, message.len(), catalogue_version))
    }

    pub fn inner(&self) -> &Arc<append::Append> {
        &self.append
    }

    pub fn checked(&self) -> Checked {
        let catalogue_version = self.catalogue_version.load(Ordering::Relaxed);
        Checked { append: Arc::clone(&self.append), catalogue_version }
    }
}

#[pymethods]
impl Append {
    #[staticmethod]
    fn of_request(
        py: Python<'_>,
        message: &[u8],
        writer: String,
        trace_context: Option<String>,
        catalogue_version: i64,
    ) -> PyResult<Self> {
        let origin = origin(writer, trace_context);
        Self::check(py, message, &origin, catalogue_version, append::Append::of_request)
    }

    #[staticmethod]
    fn of_many(
        py: Python<'_>,
        message: &[u8],
        writer: String,
        trace_context: Option<String>,
        catalogue_version: i64,
    ) -> PyResult<Self> {
        let origin = origin(writer, trace_context);
        Self::check(py, message, &origin, catalogue_version, append::Append::of_many)
    }

    #[staticmethod]
    fn of_check(
        py: Python<'_>,
        message: &[u8],
        writer: String,
        trace_context: Option<String>,
        catalogue_version: i64,
    ) -> PyResult<Self> {
        let origin = origin(writer, trace_context);
        Self::check(py, message, &origin, catalogue_version, append::Append::of_check)
    }

    #[getter]
    fn stream(&self) -> &str {
        self.append.parts[0].stream()
    }

    #[getter]
    fn expected(&self) -> i64 {
        self.append.parts[0].expected()
    }

    #[getter]
    fn ids(&self) -> Vec<String> {
        self.append.parts[0].events().map(|event| uuid_text(event.id)).collect()
    }

    #[getter]
    fn sent_digests<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.append.parts[0].events().map(|event| PyBytes::new(py, event.sent_digest)).collect()
    }

    #[getter]
    fn catalogue_version(&self) -> i64 {
        self.catalogue_version.load(Ordering::Relaxed)
    }

    fn check_again(&self, catalogue_version: i64) {
        // No rule is known to the server today but by its version.
        self.catalogue_version.store(catalogue_version, Ordering::Relaxed);
    }
}

/// An append of a session that did not pass.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct RefusedAppend {
    number: u64,
    message_bytes: usize,
    error: Py<PyAny>,
}

/// A message of a session of appends.
#[pyclass(module = "eventfold._core")]
pub struct SessionMessage {
    message: Message<PyBackedBytes>,
    bytes: usize,
    origin: Arc<Origin>,
}

#[pymethods]
impl SessionMessage {
    #[new]
    fn new(
        py: Python<'_>,
        message: PyBackedBytes,
        writer: String,
        trace_context: Option<String>,
    ) -> PyResult<Self> {
        let bytes = message.len();
        let message = errors::run(py, bytes, || Message::decode(message))?;
        Ok(Self { message, bytes, origin: origin(writer, trace_context) })
    }

    #[getter]
    fn done(&self) -> bool {
        self.message.next_bytes().is_none()
    }

    fn take<'py>(
        &mut self,
        py: Python<'py>,
        appends_room: i64,
        bytes_room: i64,
        any_size: bool,
        catalogue_version: i64,
    ) -> PyResult<Bound<'py, PyList>> {
        let Self { message, bytes, origin } = self;
        let taken = errors::run(py, *bytes, || {
            let (mut appends_room, mut bytes_room) = (appends_room, bytes_room);
            let mut taken = Vec::new();
            while let Some(bytes) = message.next_bytes() {
                let fits = appends_room > 0 && bytes as i64 <= bytes_room;
                if !(fits || any_size && taken.is_empty()) {
                    break;
                }
                appends_room -= 1;
                bytes_room -= bytes as i64;
                taken.extend(message.take(origin, &mut new_id));
            }
            Ok(taken)
        })?;
        let taken = taken.into_iter().map(|one| in_session(py, one, catalogue_version));
        PyList::new(py, taken.collect::<PyResult<Vec<_>>>()?)
    }
}

fn in_session(
    py: Python<'_>,
    one: append::InSession,
    catalogue_version: i64,
) -> PyResult<Bound<'_, PyAny>> {
    let append::InSession { number, size_bytes, timeout_s, append } = one;
    match append {
        Ok(append) => {
            Append { number, timeout_s, ..Append::new(append, size_bytes, catalogue_version) }
                .into_bound_py_any(py)
        }
        Err(error) => RefusedAppend {
            number,
            message_bytes: size_bytes,
            error: errors::raise(py, error).into_value(py).into_any(),
        }
        .into_bound_py_any(py),
    }
}
