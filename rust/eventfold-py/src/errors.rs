//! The one place where an error of the core becomes an exception of Python.

use std::panic::{AssertUnwindSafe, catch_unwind};

use eventfold_core::error;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyDict;

// Not a `#[pyclass]`: the stable ABI lets a native type extend an exception only from 3.12.
pyo3::create_exception!(
    eventfold._core,
    CoreError,
    PyException,
    "A refusal by the core: its reason in the catalogue, a sentence for people, the facts."
);

/// Turns a refusal into the exception; binding code writes `map_err(|e| errors::raise(py, e))`.
///
/// The attributes go into the instance's `__dict__`, which pickling and copying keep.
pub fn raise(py: Python<'_>, refusal: error::CoreError) -> PyErr {
    let exception = CoreError::new_err(refusal.to_string());
    match set_attributes(exception.value(py), refusal) {
        Ok(()) => exception,
        Err(failure) => failure,
    }
}

/// From this many bytes on, work is long enough to pay for giving the GIL away and waiting to
/// get it back.
const RELEASE_BYTES_MIN: usize = 16 * 1024;

/// The size of work whose time no number of bytes tells, such as running expressions.
pub const ANY_BYTES: usize = usize::MAX;

/// Runs work of the core on about `bytes` bytes, without the GIL if there is much of it.
///
/// A panic becomes a `CoreError` with the reason BUG: `PanicException` is no `Exception`, and
/// would pass the handlers that answer the client.
pub fn run<T: Send>(
    py: Python<'_>,
    bytes: usize,
    work: impl FnOnce() -> Result<T, error::CoreError> + Send,
) -> PyResult<T> {
    let guarded = || catch_unwind(AssertUnwindSafe(work));
    let result = if bytes >= RELEASE_BYTES_MIN { py.detach(guarded) } else { guarded() };
    let bug = || error::CoreError::new("BUG", "the core panicked; the server's log says where");
    result.unwrap_or_else(|_| Err(bug())).map_err(|refusal| raise(py, refusal))
}

/// Sets `reason`, `message` and `facts`; facts keep the core's order, most telling first.
fn set_attributes(exception: &Bound<'_, PyAny>, refusal: error::CoreError) -> PyResult<()> {
    let facts = PyDict::new(exception.py());
    for (name, value) in refusal.facts {
        facts.set_item(name, value)?;
    }
    exception.setattr("reason", refusal.reason)?;
    exception.setattr("message", refusal.message)?;
    exception.setattr("facts", facts)
}
