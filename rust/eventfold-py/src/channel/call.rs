//! Calls with many messages.

use std::sync::Arc;

use eventfold_client::{self as client, Reply};
use pyo3::prelude::*;

use super::told::{Completions, Told, future_reply};
use super::wait;

/// A call whose answer comes in many messages, and whose request may too.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Call {
    call: client::Call,
    completions: Arc<Completions>,
    message_bytes_max: usize,
}

#[pymethods]
impl Call {
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wait::told(py, |reply| {
            self.call.next(Reply::new(move |result| reply.give(result.map(Told::Next))));
            None
        })
    }

    fn begin_next(&self, future: Py<PyAny>) {
        self.call.next(future_reply(future, &self.completions, Told::Next));
    }

    fn send<'py>(&self, py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        wait::told(py, |reply| {
            let sent = Reply::new(move |result| reply.give(result.map(|()| Told::Nothing)));
            self.call.send(message, self.message_bytes_max, sent);
            None
        })
    }

    fn begin_send(&self, future: Py<PyAny>, message: &[u8]) {
        let sent = future_reply(future, &self.completions, |()| Told::Nothing);
        self.call.send(message, self.message_bytes_max, sent);
    }

    fn done_sending(&self) {
        self.call.done_sending();
    }

    fn cancel(&self) {
        self.call.cancel();
    }
}

impl Call {
    pub fn new(
        call: client::Call,
        completions: &Arc<Completions>,
        message_bytes_max: usize,
    ) -> Self {
        Self { call, completions: Arc::clone(completions), message_bytes_max }
    }
}
