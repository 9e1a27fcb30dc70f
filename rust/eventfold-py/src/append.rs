//! Appends: columns of Python values in, columns of checked values out.

use eventfold_core::envelope::{self, Append};
use eventfold_core::names;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyList};

use super::errors;

/// Checks the name of a stream; returns its category.
#[pyfunction]
#[pyo3(signature = (name, *, system = false))]
pub fn check_stream_name(py: Python<'_>, name: &str, system: bool) -> PyResult<String> {
    let check = if system { names::check_readable_stream_name } else { names::check_stream_name };
    check(name).map(str::to_owned).map_err(|error| errors::raise(py, error))
}

/// What an append becomes once it passed.
#[pyclass(frozen, module = "eventfold._core")]
pub struct CheckedAppend {
    #[pyo3(get)]
    category: String,
    #[pyo3(get)]
    ids: Py<PyList>,
    #[pyo3(get)]
    metadata: Py<PyList>,
    #[pyo3(get)]
    tags: Py<PyList>,
    #[pyo3(get)]
    flags: Py<PyList>,
    #[pyo3(get)]
    sent_digests: Py<PyList>,
    #[pyo3(get)]
    stored_digests: Py<PyList>,
    #[pyo3(get)]
    total_bytes: usize,
}

/// Checks a whole append, column by column.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one argument a column, as in the stub")]
pub fn check_append(
    py: Python<'_>,
    stream: PyBackedStr,
    ids: Vec<PyBackedStr>,
    types: Vec<PyBackedStr>,
    data: Vec<PyBackedBytes>,
    metadata: Vec<PyBackedBytes>,
    tags: Vec<Vec<PyBackedStr>>,
    occurred_us: Vec<Option<i64>>,
) -> PyResult<CheckedAppend> {
    let append = Append {
        stream: &stream,
        ids: &ids,
        types: &types,
        data: &data,
        metadata: &metadata,
        tags: &tags,
        occurred_us: &occurred_us,
    };
    let bytes = data.iter().map(|data| data.len()).sum();
    let checked = errors::run(py, bytes, || envelope::check_append(&append))?;

    let bytes = |digest: &[u8; 32]| PyBytes::new(py, digest);
    // A backed value becomes the very object that came in: nothing is copied.
    let stored = |sent: &PyBackedBytes| match sent.is_empty() {
        true => Ok(PyBytes::new(py, envelope::NO_METADATA).into_any()),
        false => sent.into_bound_py_any(py),
    };
    let metadata = metadata.iter().map(stored).collect::<PyResult<Vec<_>>>()?;
    Ok(CheckedAppend {
        category: checked.category.to_owned(),
        metadata: PyList::new(py, metadata)?.unbind(),
        ids: PyList::new(py, checked.ids)?.unbind(),
        tags: PyList::new(py, checked.tags)?.unbind(),
        flags: PyList::new(py, checked.flags)?.unbind(),
        sent_digests: PyList::new(py, checked.sent_digests.iter().map(bytes))?.unbind(),
        stored_digests: PyList::new(py, checked.stored_digests.iter().map(bytes))?.unbind(),
        total_bytes: checked.total_bytes,
    })
}
