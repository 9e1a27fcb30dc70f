//! What the reader found, as Python takes it.

use eventfold_core::wire::encode_hydrated;
use eventfold_reader::{self as reader, Content, Folded, Outcome, ReadError};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::Pages;
use super::done::{Completions, Done};
use super::projector::ProjectionStep;
use super::refolding::{
    ProjectionComparison, ProjectionRetried, ProjectionTried, ProjectionTriedRows,
};
use super::writer;
use crate::batch::Batch;
use crate::errors;
use crate::fold::FoldResult;
use crate::references::References;

pyo3::create_exception!(
    eventfold._core,
    StaleRules,
    PyException,
    "The catalogue of the store is another than that of the rules that a read was to go by."
);

pyo3::create_exception!(
    eventfold._core,
    ReaderError,
    PyException,
    "PostgreSQL refused, or cannot be reached."
);

/// What has been done since the last time: a future each, whether it has a result, and that or the
/// exception.
pub fn take<'py>(py: Python<'py>, completions: &Completions) -> PyResult<Bound<'py, PyList>> {
    let done = completions.take().into_iter().map(|(future, result)| told(py, future, result));
    PyList::new(py, done.collect::<PyResult<Vec<_>>>()?)
}

fn told<'py>(
    py: Python<'py>,
    future: Py<PyAny>,
    result: Result<Done, ReadError>,
) -> PyResult<(Py<PyAny>, bool, Bound<'py, PyAny>)> {
    let told = result.map_err(|error| exception(py, error)).and_then(|done| value(py, done));
    Ok(match told {
        Ok(value) => (future, true, value),
        Err(error) => (future, false, error.into_value(py).into_bound(py).into_any()),
    })
}

/// The exception for an error of the reader.
pub fn exception(py: Python<'_>, error: ReadError) -> PyErr {
    let (sqlstate, message, constraint) = match error {
        ReadError::Core(error) => return errors::raise(py, error),
        ReadError::Stale(version) => return stale(py, version),
        ReadError::Refused { sqlstate, message, constraint } => {
            (Some(sqlstate), message, constraint)
        }
        ReadError::Lost(message) => (None, message, None),
    };
    let exception = ReaderError::new_err(message.clone());
    let value = exception.value(py);
    let set = value
        .setattr("sqlstate", sqlstate)
        .and_then(|()| value.setattr("message", message))
        .and_then(|()| value.setattr("constraint", constraint));
    match set {
        Ok(()) => exception,
        Err(failure) => failure,
    }
}

fn stale(py: Python<'_>, version: i64) -> PyErr {
    let exception = StaleRules::new_err(format!("the catalogue has version {version}"));
    match exception.value(py).setattr("catalogue_version", version) {
        Ok(()) => exception,
        Err(failure) => failure,
    }
}

fn value(py: Python<'_>, done: Done) -> PyResult<Bound<'_, PyAny>> {
    match done {
        Done::Nothing => Ok(py.None().into_bound(py)),
        Done::Page(page) => Ok(Bound::new(py, Page::new(py, *page)?)?.into_any()),
        Done::Opened(opened) => {
            let reader::Opened { found, end, page, rest } = *opened;
            let rest = rest.map(|rest| Py::new(py, Pages::begun(rest))).transpose()?;
            let opened = (Opened::new(py, found, end), Page::new(py, page)?, rest);
            Ok(opened.into_pyobject(py)?.into_any())
        }
        Done::Resolved(resolved) => {
            let rest = References::of_events(resolved.rest);
            let rest = rest.map(|rest| Py::new(py, rest)).transpose()?;
            let encoded = PyBytes::new(py, &resolved.encoded);
            Ok((encoded, rest, resolved.opened_epoch).into_pyobject(py)?.into_any())
        }
        Done::Stored(stored) => stored.map_err(|error| writer::exception(py, error))?.outcomes(py),
        Done::Step(step) => Ok(Bound::new(py, ProjectionStep::new(step))?.into_any()),
        Done::Compared(compared) => {
            Ok(Bound::new(py, ProjectionComparison::new(*compared))?.into_any())
        }
        Done::Retried(retried) => Ok(Bound::new(py, ProjectionRetried::new(retried))?.into_any()),
        Done::Tried(tried) => Ok(Bound::new(py, ProjectionTried::new(*tried))?.into_any()),
        Done::TriedRows(rows) => Ok(Bound::new(py, ProjectionTriedRows::new(*rows))?.into_any()),
        Done::Hydrated(hydrated) => Ok(Bound::new(py, Hydrated::new(py, *hydrated)?)?.into_any()),
    }
}

/// Some of the events of a range.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct Page {
    /// None: the page holds rows.
    encoded: Option<Py<PyBytes>>,
    /// None: the page is encoded.
    batch: Option<Py<Batch>>,
    rows: usize,
    size_bytes: usize,
    last_version: i64,
    last_position: i64,
    last_id: Py<PyBytes>,
    /// None: they refer to nothing, or nobody asked.
    references: Option<Py<References>>,
    looked_at: Option<i64>,
    /// None: no value was opened for it.
    opened_epoch: Option<u64>,
    done: bool,
}

impl Page {
    fn new(py: Python<'_>, page: reader::Page) -> PyResult<Self> {
        let (encoded, batch, size_bytes) = match page.content {
            Content::Encoded(bytes) => (Some(PyBytes::new(py, &bytes).unbind()), None, bytes.len()),
            Content::Rows(rows) => {
                let bytes = rows.bytes;
                (None, Some(Py::new(py, Batch::of_rows(rows))?), bytes)
            }
        };
        Ok(Self {
            encoded,
            batch,
            rows: page.rows,
            size_bytes,
            last_version: page.last_version,
            last_position: page.last_position,
            last_id: PyBytes::new(py, &page.last_id).unbind(),
            references: References::of(page.references)
                .map(|references| Py::new(py, references))
                .transpose()?,
            looked_at: page.looked_at,
            opened_epoch: page.opened_epoch,
            done: page.done,
        })
    }
}

/// What is known of a stream when a read begins.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct Opened {
    stream_no: i64,
    version: i64,
    lifecycle: i16,
    end_version: i64,
    end_bytes: Py<PyBytes>,
    opened_from: Option<String>,
}

impl Opened {
    fn new(py: Python<'_>, found: reader::Found, end: Option<reader::End>) -> Self {
        let (end_version, end_bytes) = end.unwrap_or_default();
        Self {
            stream_no: found.stream_no,
            version: found.version,
            lifecycle: found.lifecycle,
            end_version,
            end_bytes: PyBytes::new(py, &end_bytes).unbind(),
            opened_from: found.opened_from,
        }
    }
}

/// A kept state.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct KeptState {
    version: i64,
    event_id: Py<PyBytes>,
    recorded_us: Option<i64>,
    exists: bool,
    state: Py<PyBytes>,
}

impl KeptState {
    fn new(py: Python<'_>, kept: &reader::Kept) -> Self {
        Self {
            version: kept.version,
            event_id: PyBytes::new(py, &kept.event_id).unbind(),
            recorded_us: kept.recorded_us,
            exists: kept.exists,
            state: PyBytes::new(py, &kept.state).unbind(),
        }
    }
}

/// The answer to a hydration.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct Hydrated {
    /// The answer as a `HydrateResponse`; empty if nothing was folded.
    encoded: Py<PyBytes>,
    stream_no: Option<i64>,
    version: i64,
    lifecycle: i16,
    root: String,
    source: Option<String>,
    /// None: nothing was folded.
    result: Option<Py<FoldResult>>,
    /// The state that folding went on from, or, without a result, the one that is not the log's.
    kept: Option<Py<KeptState>>,
    last_id: Option<Py<PyBytes>>,
    last_recorded_us: i64,
    /// None: no value was opened for it.
    opened_epoch: Option<u64>,
}

impl Hydrated {
    fn new(py: Python<'_>, hydrated: reader::Hydrated) -> PyResult<Self> {
        let head = hydrated.head;
        let (folded, kept, opened_epoch) = match hydrated.outcome {
            Outcome::Unexpected => (None, None, None),
            Outcome::False(kept) => (None, Some(kept), None),
            Outcome::Folded(folded) => {
                let Folded { result, kept, last, opened_epoch } = *folded;
                (Some((result, last)), kept, opened_epoch)
            }
        };
        let (result, last) = folded.unzip();
        let encoded = result.as_ref().map_or_else(Vec::new, |result| {
            let kept_version = kept.as_ref().map_or(0, |kept| kept.version);
            encode_hydrated(result, &hydrated.fold_digest, kept_version)
        });
        let last = last.flatten();
        Ok(Self {
            encoded: PyBytes::new(py, &encoded).unbind(),
            stream_no: head.stream_no,
            version: head.version,
            lifecycle: head.lifecycle,
            root: head.root,
            source: head.source,
            result: result.map(|result| Py::new(py, FoldResult::new(py, &result))).transpose()?,
            kept: kept.map(|kept| Py::new(py, KeptState::new(py, &kept))).transpose()?,
            last_id: last.map(|(id, _)| PyBytes::new(py, &id).unbind()),
            last_recorded_us: last.map_or(0, |(_, time)| time),
            opened_epoch,
        })
    }
}
