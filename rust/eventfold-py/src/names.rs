//! Names of streams and event types.

use eventfold_core::names;
use pyo3::prelude::*;

use super::errors;

/// Checks the name of a stream; returns its category.
#[pyfunction]
#[pyo3(signature = (name, *, system = false))]
pub fn check_stream_name(py: Python<'_>, name: &str, system: bool) -> PyResult<String> {
    let check = if system { names::check_readable_stream_name } else { names::check_stream_name };
    check(name).map(str::to_owned).map_err(|error| errors::raise(py, error))
}

/// Checks an event type that clients may append.
#[pyfunction]
#[pyo3(signature = (name, /))]
pub fn check_event_type(py: Python<'_>, name: &str) -> PyResult<()> {
    names::check_event_type(name).map_err(|error| errors::raise(py, error))
}
