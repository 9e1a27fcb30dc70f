//! What calls came to, as Python takes it.

use std::sync::Arc;

use bytes::Bytes;
use eventfold_client::{self as client, Reply};
use eventfold_core::wire::Appended;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::completions;
use crate::{errors, recorded};

pyo3::create_exception!(
    eventfold._core,
    CallError,
    PyException,
    "A call failed: the code of gRPC, a sentence for people, a serialised `google.rpc.Status`."
);

/// What a call came to.
pub enum Told {
    Nothing,
    Message(Bytes),
    Next(Option<Bytes>),
    Append(client::Outcome),
}

pub type Completions = completions::Completions<Result<Told, client::CallError>>;

/// A reply that tells a future of asyncio.
pub fn future_reply<T>(
    future: Py<PyAny>,
    completions: &Arc<Completions>,
    told: impl FnOnce(T) -> Told + Send + 'static,
) -> Reply<T> {
    let completions = Arc::clone(completions);
    Reply::new(move |result| completions.put(future, result.map(told)))
}

/// Tells all futures whose calls are done. One that was cancelled does not listen.
pub fn tell(py: Python<'_>, completions: &Completions) -> PyResult<()> {
    let mut failure = Ok(());
    for (future, result) in completions.take() {
        let told = tell_one(future.bind(py), result);
        // The others are told nevertheless.
        failure = failure.and(told);
    }
    failure
}

fn tell_one(future: &Bound<'_, PyAny>, result: Result<Told, client::CallError>) -> PyResult<()> {
    let py = future.py();
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match value(py, result) {
        Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
        Err(error) => future.call_method1(intern!(py, "set_exception"), (error.into_value(py),))?,
    };
    Ok(())
}

/// What Python gets.
pub fn value<'py>(
    py: Python<'py>,
    result: Result<Told, client::CallError>,
) -> PyResult<Bound<'py, PyAny>> {
    match result.map_err(|error| exception(py, error))? {
        Told::Nothing | Told::Next(None) => Ok(py.None().into_bound(py)),
        Told::Message(message) | Told::Next(Some(message)) => {
            Ok(PyBytes::new(py, &message).into_any())
        }
        Told::Append(client::Outcome::Appended(message)) => Ok(appended(py, &message)?.into_any()),
        Told::Append(client::Outcome::Refused(answer)) => Ok(PyBytes::new(py, &answer).into_any()),
        Told::Append(client::Outcome::Late { is_sent }) => {
            Ok(is_sent.into_pyobject(py)?.to_owned().into_any())
        }
    }
}

fn exception(py: Python<'_>, error: client::CallError) -> PyErr {
    let exception = CallError::new_err(error.to_string());
    let value = exception.value(py);
    let set = || -> PyResult<()> {
        value.setattr(intern!(py, "code"), error.code.name())?;
        value.setattr(intern!(py, "message"), error.message)?;
        value.setattr(intern!(py, "details"), PyBytes::new(py, &error.details))
    };
    match set() {
        Ok(()) => exception,
        Err(failure) => failure,
    }
}

/// Reads a serialised `AppendResponse`.
#[pyfunction]
pub fn decode_appended<'py>(py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    appended(py, message)
}

fn appended<'py>(py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    let found = Appended::decode(message).map_err(|error| errors::raise(py, error))?;
    let positions = PyTuple::new(py, &found.positions)?;
    let time = recorded::time(py, found.recorded_us)?;
    (found.first_version, found.last_version, positions, found.duplicate, time).into_pyobject(py)
}
