//! Events as they are handed in, and appends of them.

use eventfold_core::wire::{self, Expected, NewEvent};
use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use super::uuid7::uuid7;

/// An event to be stored.
///
/// Data and metadata are encoded when the object is made, so that a repeated append sends the
/// same bytes under the same id, and later changes of the mapping change nothing.
///
/// Attributes:
///     type: name of what happened, such as `MoneyDeposited`; 1 to 128 bytes of UTF-8.
///     data: a mapping or a dataclass that becomes a JSON object of at most 1 MiB, or `bytes`
///         that hold one. `Decimal`, long ints, aware `datetime`, `UUID`, dataclasses may stand
///         anywhere in it. Default: `{}`.
///     metadata: the same, at most 64 KiB. Reserved names: `causation_id`, `correlation_id`,
///         `refs`. Default: `{}`.
///     tags: a set of strings of 1 to 128 bytes, at most 64. Default: none.
///     id: UUID of the event, as `UUID` or text. Default: a new one of version 7. It makes an
///         append idempotent: the same events again are not stored twice.
///     occurred_at: when it happened; a `datetime` with a time zone. Default: the time at which
///         the server records the event.
///     refs: `eventfold.References`: what it refers to. Becomes `refs` of the metadata, which must
///         be a mapping without it. Default: nothing.
///
/// Raises:
///     InvalidValue: data or metadata have no JSON form or are no object, the id is no UUID,
///         `occurred_at` has no time zone, or the metadata hold `refs` already.
///     TypeError: `type` is no string, `tags` are no strings or a single one, or `refs` come with
///         metadata that are no mapping.
#[pyclass(frozen, module = "eventfold")]
pub struct Event {
    #[pyo3(get)]
    r#type: Py<PyString>,
    #[pyo3(get)]
    data: Py<PyAny>,
    #[pyo3(get)]
    metadata: Py<PyAny>,
    #[pyo3(get)]
    tags: Py<PyTuple>,
    #[pyo3(get)]
    id: Py<PyString>,
    #[pyo3(get)]
    occurred_at: Option<Py<PyAny>>,
    /// The data as they are sent.
    #[pyo3(get)]
    data_json: Py<PyBytes>,
    /// The metadata as they are sent; empty: none.
    #[pyo3(get)]
    metadata_json: Py<PyBytes>,
    tag_texts: Vec<String>,
    occurred_us: Option<i64>,
}

type Fields<'py> = (
    Bound<'py, PyString>,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Bound<'py, PyTuple>,
    Bound<'py, PyString>,
    Option<Bound<'py, PyAny>>,
);

#[pymethods]
impl Event {
    #[classattr]
    fn __match_args__() -> [&'static str; 6] {
        ["type", "data", "metadata", "tags", "id", "occurred_at"]
    }

    #[new]
    #[pyo3(signature = (r#type, data = None, metadata = None, tags = None, id = None,
        occurred_at = None, *, refs = None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        r#type: &Bound<'_, PyAny>,
        data: Option<Bound<'_, PyAny>>,
        metadata: Option<Bound<'_, PyAny>>,
        tags: Option<Bound<'_, PyAny>>,
        id: Option<Bound<'_, PyAny>>,
        occurred_at: Option<Bound<'_, PyAny>>,
        refs: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let Ok(kind) = r#type.cast::<PyString>() else {
            let shown = r#type.repr()?;
            return Err(PyTypeError::new_err(format!("the event type must be a str, not {shown}")));
        };
        let tags = tuple(py, tags)?;
        let id = match id {
            None => PyString::new(py, &uuid7()?),
            Some(id) => helper(py, &AS_UUID_TEXT, "_json", "as_uuid_text", (id,))?.cast_into()?,
        };
        text(kind, "type")?;
        let data = data.unwrap_or_else(|| PyDict::new(py).into_any());
        let data_json = object_text(&data, "data")?;
        let mut metadata = metadata.unwrap_or_else(|| PyDict::new(py).into_any());
        if let Some(refs) = refs {
            metadata = helper(py, &WITH_REFS, "_references", "with_refs", (metadata, refs))?;
        }
        // Empty metadata are left out on the wire; empty data must be an object.
        let metadata_json = if metadata.is_truthy()? {
            object_text(&metadata, "metadata")?
        } else {
            PyBytes::new(py, b"")
        };
        Self::restored(
            (kind.clone(), data, metadata, tags, id, occurred_at),
            data_json,
            metadata_json,
        )
    }

    /// The time at which it happened, in microseconds since 1970, if one was named.
    #[getter]
    fn _occurred_us(&self) -> Option<i64> {
        self.occurred_us
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        self.fields(py).into_pyobject(py)?.eq(other.fields(py).into_pyobject(py)?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.id.bind(py).hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let mut shown = Vec::new();
        for (name, value) in Self::__match_args__().iter().zip(self.fields(py).into_pyobject(py)?) {
            shown.push(format!("{name}={}", value.repr()?));
        }
        Ok(format!("Event({})", shown.join(", ")))
    }

    /// Takes along what is sent, whatever became of the mappings.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.import("eventfold._core")?.getattr("restore_event")?;
        let json = (self.data_json.bind(py), self.metadata_json.bind(py));
        (restore, (self.fields(py), json.0, json.1)).into_pyobject(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.data)?;
        visit.call(&self.metadata)
    }
}

impl Event {
    fn fields<'py>(&self, py: Python<'py>) -> Fields<'py> {
        (
            self.r#type.bind(py).clone(),
            self.data.bind(py).clone(),
            self.metadata.bind(py).clone(),
            self.tags.bind(py).clone(),
            self.id.bind(py).clone(),
            self.occurred_at.as_ref().map(|time| time.bind(py).clone()),
        )
    }

    fn restored(
        (kind, data, metadata, tags, id, time): Fields<'_>,
        data_json: Bound<'_, PyBytes>,
        metadata_json: Bound<'_, PyBytes>,
    ) -> PyResult<Self> {
        let mut tag_texts = Vec::with_capacity(tags.len());
        for tag in &tags {
            tag_texts.push(text(tag.cast::<PyString>()?, "tags")?);
        }
        let micros = |time: &Bound<'_, PyAny>| {
            let arguments = (time, intern!(time.py(), "occurred_at"));
            helper(time.py(), &MICROS, "_time", "micros", arguments)?.extract()
        };
        Ok(Self {
            occurred_us: time.as_ref().map(micros).transpose()?,
            tag_texts,
            r#type: kind.unbind(),
            data: data.unbind(),
            metadata: metadata.unbind(),
            tags: tags.unbind(),
            id: id.unbind(),
            occurred_at: time.map(Bound::unbind),
            data_json: data_json.unbind(),
            metadata_json: metadata_json.unbind(),
        })
    }

    fn wire<'a>(&'a self, py: Python<'a>) -> PyResult<NewEvent<'a, String>> {
        Ok(NewEvent {
            id: self.id.bind(py).to_str()?,
            event_type: self.r#type.bind(py).to_str()?,
            data: self.data_json.bind(py).as_bytes(),
            metadata: self.metadata_json.bind(py).as_bytes(),
            tags: &self.tag_texts,
            occurred_us: self.occurred_us,
        })
    }
}

/// Makes an event of what `copy` and `pickle` took along.
#[pyfunction]
pub fn restore_event(
    fields: Fields<'_>,
    data_json: Bound<'_, PyBytes>,
    metadata_json: Bound<'_, PyBytes>,
) -> PyResult<Event> {
    Event::restored(fields, data_json, metadata_json)
}

/// Serialises an `AppendRequest`, which is a `StreamAppend` too.
#[pyfunction]
pub fn encode_append<'py>(
    py: Python<'py>,
    stream: &str,
    expected: Option<i64>,
    must_exist: bool,
    events: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let expected = match expected {
        Some(version) => Expected::Exact(version),
        None if must_exist => Expected::Exists,
        None => Expected::Any,
    };
    if events.is_instance_of::<Event>() {
        return Err(PyTypeError::new_err("events must be a list of events, not one event"));
    }
    let mut taken = Vec::new();
    for event in events.try_iter()? {
        let event = event?;
        let Ok(event) = event.cast::<Event>() else {
            let kind = event.get_type().name()?;
            let problem = format!("events must be eventfold.Event, not {kind}");
            return Err(PyTypeError::new_err(problem));
        };
        taken.push(event.clone().unbind());
    }
    let wire = taken.iter().map(|event| event.get().wire(py)).collect::<PyResult<Vec<_>>>()?;
    Ok(PyBytes::new(py, &wire::encode_append(stream, expected, &wire)))
}

fn tuple<'py>(py: Python<'py>, tags: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyTuple>> {
    let Some(tags) = tags else { return Ok(PyTuple::empty(py)) };
    if tags.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("tags must be several strings, not one"));
    }
    PyTuple::new(py, tags.try_iter()?.collect::<PyResult<Vec<_>>>()?)
}

/// The text of a string.
fn text(string: &Bound<'_, PyString>, name: &str) -> PyResult<String> {
    match string.to_str() {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let failure = invalid(string.py(), &format!("{name} holds a lone surrogate"), name);
            failure.set_cause(string.py(), Some(error));
            Err(failure)
        }
    }
}

/// The JSON of a value, which has to be an object.
fn object_text<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
    let py = value.py();
    let text = if value.is_instance_of::<PyBytes>() {
        helper(py, &CHECK_JSON, "_json", "check_json", (value,))?
    } else {
        helper(py, &ENCODE, "_json", "encode", (value,))?
    };
    let text = text.cast_into::<PyBytes>()?;
    if text.as_bytes().trim_ascii_start().first() != Some(&b'{') {
        let problem = format!("{name} must be a JSON object, not {}", value.get_type().name()?);
        return Err(invalid(py, &problem, name));
    }
    Ok(text)
}

static AS_UUID_TEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static CHECK_JSON: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static ENCODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static INVALID_VALUE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static MICROS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static WITH_REFS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Calls a function of the SDK: what only Python can do with objects of Python.
pub(super) fn helper<'py>(
    py: Python<'py>,
    known: &PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
    arguments: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let import =
        || Ok::<_, PyErr>(py.import(format!("eventfold.{module}"))?.getattr(name)?.unbind());
    known.get_or_try_init(py, import)?.bind(py).call1(arguments)
}

fn invalid(py: Python<'_>, problem: &str, name: &str) -> PyErr {
    let facts = || {
        let facts = PyDict::new(py);
        facts.set_item("path", name)?;
        facts.set_item("problem", problem)?;
        helper(py, &INVALID_VALUE, "_errors", "InvalidValue", (problem, facts))
    };
    facts().map_or_else(|failure| failure, PyErr::from_value)
}
