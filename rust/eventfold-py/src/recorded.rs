//! Events of an answer: thin objects that make what is touched of the bytes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use eventfold_core::envelope::{FLAG_CANCELLED, FLAG_MAPPED};
use eventfold_core::error::CoreError;
use eventfold_core::value::{Timestamp, Value};
use eventfold_core::wire::{self, WireEvent};
use pyo3::exceptions::{PyIndexError, PyOverflowError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};

use super::{convert, decode, errors, event, references};

/// One message of an answer.
#[pyclass(frozen, module = "eventfold._core")]
pub struct EventPage {
    page: wire::EventPage<PyBackedBytes>,
    exact: bool,
    /// What the references of its events lead to, if they were followed.
    leads: PyOnceLock<Py<PyAny>>,
}

#[pymethods]
impl EventPage {
    #[new]
    #[pyo3(signature = (message, numbers = "decimal"))]
    fn new(py: Python<'_>, message: PyBackedBytes, numbers: &str) -> PyResult<Self> {
        let exact = decode::is_exact(py, numbers)?;
        let page = errors::run(py, message.len(), || wire::EventPage::decode(message))?;
        Ok(Self { page, exact, leads: PyOnceLock::new() })
    }

    fn __len__(&self) -> usize {
        self.page.len()
    }

    fn resolve(&self, py: Python<'_>, leads: Py<PyAny>) {
        // Only the first counts.
        let _ = self.leads.set(py, leads);
    }

    #[getter]
    fn rest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.page.rest())
    }

    fn __getitem__(slf: &Bound<'_, Self>, index: usize) -> PyResult<RecordedEvent> {
        let events = slf.get().page.len();
        if index >= events {
            return Err(PyIndexError::new_err(format!("event {index} of {events}")));
        }
        Ok(RecordedEvent::at(slf.clone().unbind(), index))
    }

    #[pyo3(signature = (first = 0))]
    fn events(slf: &Bound<'_, Self>, first: usize) -> EventIterator {
        let last = AtomicUsize::new(slf.get().page.len());
        EventIterator { page: slf.clone().unbind(), next: AtomicUsize::new(first), last }
    }
}

/// The events of a page. They are made one by one, so that those that nobody keeps are gone again
/// while their memory is warm.
#[pyclass(frozen, module = "eventfold._core")]
pub struct EventIterator {
    page: Py<EventPage>,
    next: AtomicUsize,
    last: AtomicUsize,
}

#[pymethods]
impl EventIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> Option<RecordedEvent> {
        let last = self.last.load(Ordering::Relaxed);
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |index| {
            (index < last).then_some(index + 1)
        });
        taken.ok().map(|index| RecordedEvent::at(self.page.clone_ref(py), index))
    }

    #[getter]
    fn next_index(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    fn close(&self) {
        self.last.store(0, Ordering::Relaxed);
    }
}

/// A stored event.
///
/// Its fields are looked up in the bytes of the answer when they are touched; data and metadata are
/// decoded when they are first touched, and then kept: treat them as constants. An event keeps the
/// message that it came in, about 1 MiB; `copy.copy(event)` has bytes of its own. Two recorded
/// events are equal if all that is stored of them is equal.
///
/// Args:
///     message: a serialised `eventfold.v1.RecordedEvent`.
///     numbers: `decimal` (the default) or `float`, as for clients.
#[pyclass(frozen, module = "eventfold")]
pub struct RecordedEvent {
    page: Py<EventPage>,
    index: usize,
    data: PyOnceLock<Py<PyAny>>,
    metadata: PyOnceLock<Py<PyAny>>,
}

#[pymethods]
impl RecordedEvent {
    #[new]
    #[pyo3(signature = (message, numbers = "decimal"))]
    fn new(py: Python<'_>, message: PyBackedBytes, numbers: &str) -> PyResult<Self> {
        let exact = decode::is_exact(py, numbers)?;
        let page = errors::run(py, message.len(), || wire::EventPage::of_event(message))?;
        let page = EventPage { page, exact, leads: PyOnceLock::new() };
        Ok(Self::at(Py::new(py, page)?, 0))
    }

    /// UUID in canonical lower case.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyString::from_bytes(py, self.wire(py)?.id())
    }

    /// Name of its stream.
    #[getter]
    fn stream<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyString::from_bytes(py, self.wire(py)?.stream())
    }

    /// Name of what happened.
    #[getter]
    fn r#type<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyString::from_bytes(py, self.wire(py)?.event_type())
    }

    /// The data, a `dict`. Numbers with fraction or exponent are `Decimal`, unless the client was
    /// made with `numbers="float"`. `{}` if the payload was deleted.
    ///
    /// Raises:
    ///     InvalidValue: a number is beyond what its class can hold.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.decoded(py, &self.data, |event| event.data())
    }

    /// The data as it was sent, byte for byte.
    #[getter]
    fn data_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.wire(py)?.data()))
    }

    /// The metadata, a `dict`.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.decoded(py, &self.metadata, |event| event.metadata())
    }

    /// The metadata as they were sent, byte for byte.
    #[getter]
    fn metadata_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.wire(py)?.metadata()))
    }

    /// Its tags, sorted bytewise.
    #[getter]
    fn tags<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        texts(py, self.wire(py)?.tags())
    }

    /// Its place in the stream, from 1 and without gaps.
    #[getter]
    fn version(&self, py: Python<'_>) -> PyResult<i64> {
        Ok(self.wire(py)?.version())
    }

    /// Its place in the log, from 1, without gaps, in the order of commits.
    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<i64> {
        Ok(self.wire(py)?.position())
    }

    /// When the server recorded it, in UTC; never decreases with the position.
    #[getter]
    fn recorded_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time(py, self.wire(py)?.recorded_us())
    }

    /// When it happened, as the writer said, in UTC; else `recorded_at`.
    #[getter]
    fn occurred_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time(py, self.wire(py)?.occurred_us())
    }

    /// Who appended it: the name of the token, or `anonymous`.
    #[getter]
    fn writer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyString::from_bytes(py, self.wire(py)?.writer())
    }

    /// Marks of the server.
    #[getter]
    fn flags<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static FLAGS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        FLAGS.import(py, "eventfold._events", "EventFlags")?.call1((self.wire(py)?.flags(),))
    }

    /// Whether the mapping of its type has changed its data: they are not what is stored.
    #[getter]
    fn mapped(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.wire(py)?.flags().cast_signed() & FLAG_MAPPED != 0)
    }

    /// Id of the event that this one is a copy of.
    #[getter]
    fn copied_from<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional(py, self.wire(py)?.copied_from())
    }

    /// Whether a later event of the stream cancels it, as far as the read asked for that.
    #[getter]
    fn cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.wire(py)?.flags().cast_signed() & FLAG_CANCELLED != 0)
    }

    /// Id of the event that this one cancels.
    #[getter]
    fn cancels<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional(py, self.wire(py)?.cancels())
    }

    /// W3C `traceparent` of the call that appended it.
    #[getter]
    fn trace_context<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional(py, self.wire(py)?.trace_context())
    }

    /// Whether data, metadata and tags were deleted.
    #[getter]
    fn deleted(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.wire(py)?.deleted())
    }

    /// Pointers (RFC 6901) to the values of its data that were personal and whose subject was
    /// erased; `None` stands there.
    #[getter]
    fn erased_paths<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        texts(py, self.wire(py)?.erased_paths())
    }

    /// Pointers to the personal values that the caller may not see; `None` stands there.
    #[getter]
    fn withheld_paths<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        texts(py, self.wire(py)?.withheld_paths())
    }

    /// What it refers to; nothing once the payload was deleted.
    #[getter]
    fn references<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static REFERENCES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let found = references::References::from(self.wire(py)?.references());
        let arguments = (found.events(), found.streams());
        event::helper(py, &REFERENCES, "_references", "recorded", arguments)
    }

    /// What its references lead to, if the read was asked for that; not in copies.
    ///
    /// Raises:
    ///     RuntimeError: it was read without `resolve=True`.
    #[getter]
    fn resolved<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.page.get().leads.get(py) {
            Some(leads) => leads.bind(py).call_method1("of", (self.references(py)?,)),
            None => Err(PyRuntimeError::new_err("the event was read without resolve=True")),
        }
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        Ok(self.wire(py)? == other.wire(py)?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        let event = self.wire(py)?;
        let mut hasher = DefaultHasher::new();
        (event.id(), event.position()).hash(&mut hasher);
        Ok(hasher.finish())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let event = self.wire(py)?;
        let text = String::from_utf8_lossy;
        let (kind, stream) = (text(event.event_type()), text(event.stream()));
        Ok(format!("<RecordedEvent {kind} {stream}@{} #{}>", event.version(), event.position()))
    }

    /// Takes along its own bytes alone, not the message that it came in.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let event = slf.get();
        let message = event.wire(py)?.serialised();
        let numbers = if event.page.get().exact { "decimal" } else { "float" };
        (slf.get_type(), (PyBytes::new(py, message), numbers)).into_pyobject(py)
    }
}

impl RecordedEvent {
    fn at(page: Py<EventPage>, index: usize) -> Self {
        Self { page, index, data: PyOnceLock::new(), metadata: PyOnceLock::new() }
    }

    pub(super) fn wire(&self, py: Python<'_>) -> PyResult<WireEvent<'_>> {
        self.page.get().page.event(self.index).ok_or_else(|| gone(py))
    }

    fn decoded<'py>(
        &self,
        py: Python<'py>,
        kept: &PyOnceLock<Py<PyAny>>,
        field: for<'a> fn(&WireEvent<'a>) -> &'a [u8],
    ) -> PyResult<Bound<'py, PyAny>> {
        let decode = || {
            let text = field(&self.wire(py)?);
            if text.is_empty() {
                return Ok(PyDict::new(py).into_any().unbind());
            }
            let value = decode::value(py, text, self.page.get().exact);
            value.map(Bound::unbind).map_err(|error| invalid_value(py, error))
        };
        Ok(kept.get_or_try_init(py, decode)?.bind(py).clone())
    }
}

/// Cannot come: the page was checked when it was indexed.
fn gone(py: Python<'_>) -> PyErr {
    errors::raise(py, CoreError::new("BUG", "an event is gone from its page"))
}

fn texts<'a, 'py>(
    py: Python<'py>,
    texts: impl Iterator<Item = &'a [u8]>,
) -> PyResult<Bound<'py, PyTuple>> {
    let texts = texts.map(|text| PyString::from_bytes(py, text));
    PyTuple::new(py, texts.collect::<PyResult<Vec<_>>>()?)
}

fn optional<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Option<Bound<'py, PyString>>> {
    (!text.is_empty()).then(|| PyString::from_bytes(py, text)).transpose()
}

/// Microseconds since 1970 as a `datetime` in UTC.
pub(super) fn time(py: Python<'_>, micros: i64) -> PyResult<Bound<'_, PyAny>> {
    let time = Timestamp::from_micros(micros)
        .ok_or_else(|| PyOverflowError::new_err("a time is outside of the years 1 to 9999"))?;
    convert::to_python(py, &Value::Timestamp(time))
}

/// The SDK's own error for JSON that it cannot read.
fn invalid_value(py: Python<'_>, error: PyErr) -> PyErr {
    static INVALID_VALUE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let made = INVALID_VALUE
        .import(py, "eventfold._errors", "InvalidValue")
        .and_then(|class| class.call1((error.value(py).getattr("message")?,)));
    match made {
        Ok(made) => {
            let made = PyErr::from_value(made);
            made.set_cause(py, Some(error));
            made
        }
        Err(failure) => failure,
    }
}
