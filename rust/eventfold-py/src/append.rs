//! Appends: bytes of requests in, checked appends out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use eventfold_core::append::{self, Origin, SessionMessage as Message, StoredEvent};
use eventfold_core::envelope::{parse_uuid, uuid_text};
use eventfold_core::error::CoreError;
use eventfold_core::privacy::{CarriedPersonal, SubjectId};
use eventfold_core::rules::{self, Steps};
use eventfold_core::value::Timestamp;
use eventfold_reader::keys::unavailable;
use eventfold_reader::new_id;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyList, PyTuple};

use super::errors;
use super::keyring::{Keyring, Nonces};
use super::personal;
use super::references::References;
use super::schema::{Rules, Violation};
use super::transform::CopiedAppend;

/// An append that passed every check that needs no database.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Append {
    /// Another one when it is checked again.
    append: Mutex<Arc<append::Append>>,
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

type Check = fn(
    &[u8],
    &Arc<Origin>,
    &rules::Rules,
    &mut Steps,
    append::NewIds<'_>,
) -> Result<append::Append, CoreError>;

/// Pointers to personal values, and the id of their subject.
type Carried = (Vec<PyBackedStr>, SubjectId);

fn origin(writer: String, trace_context: Option<String>, marks: i32) -> Origin {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let called_us = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    Origin { writer, trace_context, called_us, marks, ..Origin::default() }
}

impl Append {
    fn new(append: append::Append, message_bytes: usize) -> Self {
        Self {
            size_bytes: append.size_bytes,
            events: append.events(),
            plain: append.is_plain(),
            append: Mutex::new(Arc::new(append)),
            number: 0,
            message_bytes,
            timeout_s: None,
        }
    }

    fn check(
        py: Python<'_>,
        message: &[u8],
        origin: &Arc<Origin>,
        rules: &Bound<'_, Rules>,
        check: Check,
    ) -> PyResult<Self> {
        let rules = rules.get().inner();
        // The event loop waits for this: rules that take longer are for `check_again`. So a small
        // message never holds the GIL for long, and mostly for less time than passing it on takes.
        let mut steps = Steps::at_once();
        let check = || check(message, origin, rules, &mut steps, &mut new_id);
        let append = errors::run(py, message.len(), check)?;
        Ok(Self::new(append, message.len()))
    }

    fn take(&self, append: append::Append) {
        *self.append.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(append);
    }

    pub fn inner(&self) -> Arc<append::Append> {
        // What stands there is whole, whatever went wrong beside it.
        Arc::clone(&self.append.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Append {
    #[staticmethod]
    #[pyo3(signature = (message, writer, trace_context, rules, /, *, marks = 0, carried = vec![]),
        text_signature = "(message, writer, trace_context, rules, /, *, marks=0, carried=())")]
    fn of_request(
        py: Python<'_>,
        message: &[u8],
        writer: String,
        trace_context: Option<String>,
        rules: &Bound<'_, Rules>,
        marks: i32,
        carried: Vec<Carried>,
    ) -> PyResult<Self> {
        let one = |(texts, subject): &Carried| {
            Ok(CarriedPersonal { pointers: personal::patterns(texts)?, subject: *subject })
        };
        let carried: Result<_, CoreError> = carried.iter().map(one).collect();
        let carried = carried.map_err(|error| errors::raise(py, error))?;
        let origin = Arc::new(Origin { carried, ..origin(writer, trace_context, marks) });
        Self::check(py, message, &origin, rules, append::Append::of_request)
    }

    #[staticmethod]
    fn of_system(
        py: Python<'_>,
        message: &[u8],
        writer: String,
        trace_context: Option<String>,
        rules: &Bound<'_, Rules>,
    ) -> PyResult<Self> {
        let origin = Origin { system: true, ..origin(writer, trace_context, 0) };
        Self::check(py, message, &Arc::new(origin), rules, append::Append::of_request)
    }

    #[staticmethod]
    fn of_many(
        py: Python<'_>,
        message: &[u8],
        writer: String,
        trace_context: Option<String>,
        rules: &Bound<'_, Rules>,
    ) -> PyResult<Self> {
        let origin = Arc::new(origin(writer, trace_context, 0));
        Self::check(py, message, &origin, rules, append::Append::of_many)
    }

    #[staticmethod]
    fn of_check(
        py: Python<'_>,
        message: &[u8],
        writer: String,
        trace_context: Option<String>,
        rules: &Bound<'_, Rules>,
    ) -> PyResult<Self> {
        let origin = Arc::new(origin(writer, trace_context, 0));
        Self::check(py, message, &origin, rules, append::Append::of_check)
    }

    #[getter]
    fn follows(&self) -> bool {
        self.inner().follows()
    }

    #[getter]
    fn stream(&self) -> String {
        self.inner().parts[0].stream().to_owned()
    }

    #[getter]
    fn demanded(&self) -> i64 {
        self.inner().parts[0].demanded()
    }

    #[getter]
    fn ids(&self) -> Vec<String> {
        self.inner().parts[0].events().map(|event| uuid_text(event.id)).collect()
    }

    #[getter]
    fn sent_digests<'py>(&self, py: Python<'py>) -> Vec<Option<Bound<'py, PyBytes>>> {
        let append = self.inner();
        let digest = |event: StoredEvent<'_>| event.sent_digest.map(|it| PyBytes::new(py, it));
        append.parts[0].events().map(digest).collect()
    }

    fn carry(&self, py: Python<'_>, copied: &Bound<'_, CopiedAppend>) -> PyResult<()> {
        let mut append = append::Append::clone(&self.inner());
        let carried = copied.get().personal().to_vec();
        append.carry(carried).map_err(|error| errors::raise(py, error))?;
        self.take(append);
        Ok(())
    }

    #[getter]
    fn is_personal(&self) -> bool {
        self.inner().is_personal()
    }

    #[getter]
    fn subject_streams(&self) -> Vec<String> {
        self.inner().subject_streams().into_iter().collect()
    }

    #[getter]
    fn subject_ids<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let ids = self.inner().subject_ids();
        ids.iter().map(|subject| PyBytes::new(py, subject)).collect()
    }

    fn subjects(&self, roots: HashMap<String, String>) -> Vec<String> {
        self.inner().subjects(&roots).into_iter().collect()
    }

    fn seal(
        &self,
        py: Python<'_>,
        keyring: &Bound<'_, Keyring>,
        roots: HashMap<String, String>,
    ) -> PyResult<Vec<String>> {
        let keyring = keyring.get().shared();
        let (sealed, missing) = errors::run(py, self.size_bytes, || {
            if !keyring.is_leased() {
                return Err(unavailable("the lease of this server has run out"));
            }
            let mut append = append::Append::clone(&self.inner());
            let mut nonces = Nonces::new();
            let missing = append.seal(&mut append::Sealing {
                store_id: keyring.store_id(),
                roots: &roots,
                subjects: keyring.as_ref(),
                nonces: &mut || nonces.next(),
            })?;
            Ok((append, missing))
        })?;
        if missing.is_empty() {
            self.take(sealed);
        }
        Ok(missing)
    }

    /// The arguments of a statement for one append, in the order of the append functions: times as
    /// texts, and the tags of all events in one list with the end of each.
    #[getter]
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let append = self.inner();
        let part = &append.parts[0];
        let mut columns = vec![
            part.stream().into_bound_py_any(py)?,
            part.category().into_bound_py_any(py)?,
            part.demanded().into_bound_py_any(py)?,
        ];
        columns.extend(event_columns(py, part.events(), part.tags())?);
        columns.extend([
            append.origin.writer.as_str().into_bound_py_any(py)?,
            append.origin.trace_context.as_deref().into_bound_py_any(py)?,
            append.catalogue_version.into_bound_py_any(py)?,
        ]);
        PyTuple::new(py, columns)
    }

    /// Of each event the pointers to sealed values, as the text of an array of PostgreSQL.
    #[getter]
    fn sealed_paths(&self) -> Option<Vec<Option<String>>> {
        let append = self.inner();
        let paths = |event: StoredEvent<'_>| event.sealed_paths.map(str::to_owned);
        append.is_personal().then(|| append.parts[0].events().map(paths).collect())
    }

    /// What the root of the stream must be.
    #[getter]
    fn root(&self) -> Option<String> {
        self.inner().parts[0].root().map(str::to_owned)
    }

    #[getter]
    fn catalogue_version(&self) -> i64 {
        self.inner().catalogue_version
    }

    #[getter]
    fn judged(&self) -> bool {
        self.inner().judged
    }

    #[getter]
    fn violations(&self) -> Vec<Violation> {
        self.inner().violations().map(Violation::of_event).collect()
    }

    #[getter]
    fn refused(&self, py: Python<'_>) -> Vec<RefusedPart> {
        let append = self.inner();
        let refused = append.refused().into_iter();
        refused.map(|refused| RefusedPart::of(py, &append, refused)).collect()
    }

    #[getter]
    fn references(&self) -> Option<References> {
        References::of(self.inner().demands.sought())
    }

    fn lack(&self, events: Vec<String>, streams: Vec<String>) {
        let events = events.iter().filter_map(|id| parse_uuid(id)).collect();
        let streams = streams.into_iter().collect();
        let mut append = append::Append::clone(&self.inner());
        append.lack(&events, &streams);
        self.take(append);
    }

    fn check_again(&self, py: Python<'_>, rules: &Bound<'_, Rules>) -> PyResult<()> {
        let rules = rules.get().inner();
        let again = errors::run(py, errors::ANY_BYTES, || {
            let mut again = append::Append::clone(&self.inner());
            again.check_again(rules)?;
            Ok(again)
        })?;
        self.take(again);
        Ok(())
    }
}

/// The arguments of the append functions for the events of one stream, in their order: from the ids
/// to the digests of what is stored. `tags` are those of all events.
pub fn event_columns<'py, 'a>(
    py: Python<'py>,
    events: impl Iterator<Item = StoredEvent<'a>> + Clone,
    tags: impl Iterator<Item = &'a [u8]>,
) -> PyResult<[Bound<'py, PyAny>; 10]> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let texts = |of: fn(StoredEvent<'a>) -> &'a [u8]| -> Vec<String> {
        events.clone().map(|event| text(of(event))).collect()
    };
    let bytes = |of: fn(StoredEvent<'a>) -> &'a [u8]| -> Vec<Bound<'py, PyBytes>> {
        events.clone().map(|event| PyBytes::new(py, of(event))).collect()
    };
    let time = |micros: i64| Timestamp::from_micros(micros).map(|time| time.to_string());
    let times = events.clone().map(|event| event.occurred_us.and_then(time));
    let ids = events.clone().map(|event| uuid_text(event.id));
    let digests = events.clone().map(|event| event.sent_digest.map(|it| PyBytes::new(py, it)));
    Ok([
        ids.collect::<Vec<_>>().into_bound_py_any(py)?,
        texts(|event| event.event_type).into_bound_py_any(py)?,
        bytes(|event| event.data).into_bound_py_any(py)?,
        bytes(|event| event.metadata).into_bound_py_any(py)?,
        tags.map(text).collect::<Vec<_>>().into_bound_py_any(py)?,
        events.clone().map(|event| event.tags_end).collect::<Vec<_>>().into_bound_py_any(py)?,
        times.collect::<Vec<_>>().into_bound_py_any(py)?,
        events.clone().map(|event| event.flags).collect::<Vec<_>>().into_bound_py_any(py)?,
        digests.collect::<Vec<_>>().into_bound_py_any(py)?,
        bytes(|event| event.stored_digest).into_bound_py_any(py)?,
    ])
}

/// A part of an append that the rules refuse.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct RefusedPart {
    append_index: usize,
    stream: String,
    error: Py<PyAny>,
    violations: Vec<Violation>,
}

impl RefusedPart {
    pub fn of(py: Python<'_>, append: &append::Append, refused: append::RefusedPart) -> Self {
        let append::RefusedPart { part: append_index, error } = refused;
        let part = &append.parts[append_index];
        let enforced = part.violations().iter().filter(|violation| violation.enforced);
        Self {
            append_index,
            stream: part.stream().to_owned(),
            error: errors::raise(py, error).into_value(py).into_any(),
            violations: enforced.map(Violation::of_event).collect(),
        }
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
        Ok(Self { message, bytes, origin: Arc::new(origin(writer, trace_context, 0)) })
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
        rules: &Bound<'py, Rules>,
    ) -> PyResult<Bound<'py, PyList>> {
        let Self { message, bytes, origin } = self;
        let rules = rules.get().inner();
        let taken = errors::run(py, *bytes, || {
            let (mut appends_room, mut bytes_room) = (appends_room, bytes_room);
            let mut taken = Vec::new();
            // All of them together: see `Append::check`.
            let mut steps = Steps::at_once();
            while let Some(bytes) = message.next_bytes() {
                let fits = appends_room > 0 && bytes as i64 <= bytes_room;
                if !(fits || any_size && taken.is_empty()) {
                    break;
                }
                appends_room -= 1;
                bytes_room -= bytes as i64;
                taken.extend(message.take(origin, rules, &mut steps, &mut new_id));
            }
            Ok(taken)
        })?;
        let taken = taken.into_iter().map(|one| in_session(py, one));
        PyList::new(py, taken.collect::<PyResult<Vec<_>>>()?)
    }
}

fn in_session(py: Python<'_>, one: append::InSession) -> PyResult<Bound<'_, PyAny>> {
    let append::InSession { number, size_bytes, timeout_s, append } = one;
    match append {
        Ok(append) => {
            Append { number, timeout_s, ..Append::new(append, size_bytes) }.into_bound_py_any(py)
        }
        Err(error) => RefusedAppend {
            number,
            message_bytes: size_bytes,
            error: errors::raise(py, error).into_value(py).into_any(),
        }
        .into_bound_py_any(py),
    }
}
