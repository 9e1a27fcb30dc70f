//! The one place where an error of the core becomes an exception of Python.

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
#[expect(dead_code, reason = "no binding can be refused yet; the first one removes this line")]
pub fn raise(py: Python<'_>, refusal: error::CoreError) -> PyErr {
    let exception = CoreError::new_err(refusal.to_string());
    match set_attributes(exception.value(py), refusal) {
        Ok(()) => exception,
        Err(failure) => failure,
    }
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
