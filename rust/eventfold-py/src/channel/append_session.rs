//! Sessions of appends.

use std::sync::Arc;

use bytes::Bytes;
use eventfold_client::{self as client, Ticket};
use pyo3::prelude::*;

use super::seconds;
use super::told::{Completions, Told, future_reply};
use super::wait::Slot;

/// One call that carries many appends.
#[pyclass(frozen, module = "eventfold._core")]
pub struct AppendSession {
    session: client::AppendSession,
    completions: Arc<Completions>,
}

#[pymethods]
impl AppendSession {
    fn put(&self, request: &[u8], timeout: f64) -> Option<SentAppend> {
        let slot = Arc::new(Slot::default());
        let request = Bytes::copy_from_slice(request);
        let reply = || slot.reply(Told::Append);
        let ticket = self.session.put(request, seconds(timeout), reply)?;
        Some(SentAppend { ticket, slot: Some(slot) })
    }

    fn begin_put(&self, future: Py<PyAny>, request: &[u8], timeout: f64) -> Option<SentAppend> {
        let request = Bytes::copy_from_slice(request);
        let reply = || future_reply(future, &self.completions, Told::Append);
        let ticket = self.session.put(request, seconds(timeout), reply)?;
        Some(SentAppend { ticket, slot: None })
    }

    fn __len__(&self) -> usize {
        self.session.len()
    }

    #[getter]
    fn sent(&self) -> usize {
        self.session.sent()
    }

    #[getter]
    fn is_over(&self) -> bool {
        self.session.is_over()
    }
}

impl AppendSession {
    pub fn new(session: client::AppendSession, completions: &Arc<Completions>) -> Self {
        Self { session, completions: Arc::clone(completions) }
    }
}

/// An append of a session, on its way.
#[pyclass(frozen, module = "eventfold._core")]
pub struct SentAppend {
    ticket: Ticket,
    /// None: a future is told.
    slot: Option<Arc<Slot>>,
}

#[pymethods]
impl SentAppend {
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(slot) = &self.slot else { return Ok(py.None().into_bound(py)) };
        let result = slot.wait(py);
        if result.is_err() {
            self.ticket.leave();
        }
        result
    }

    fn leave(&self) {
        self.ticket.leave();
    }
}
