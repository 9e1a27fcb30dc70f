//! Waiting for what a call comes to, without the GIL.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use eventfold_client::{CallError, Job, Reply};
use pyo3::prelude::*;

use super::told::{self, Told};

/// So long Ctrl-C may go unnoticed.
const SIGNALS: Duration = Duration::from_millis(50);

/// Where one thread waits.
#[derive(Default)]
pub struct Slot {
    result: Mutex<Option<Result<Told, CallError>>>,
    come: Condvar,
}

impl Slot {
    /// A reply that wakes whoever waits.
    pub fn reply<T>(self: &Arc<Self>, told: impl FnOnce(T) -> Told + Send + 'static) -> Reply<T> {
        let slot = Arc::clone(self);
        Reply::new(move |result| {
            *slot.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.map(told));
            slot.come.notify_one();
        })
    }

    /// Waits; a signal's handler may raise.
    pub fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        loop {
            if let Some(result) = py.detach(|| self.come_within(SIGNALS)) {
                return told::value(py, result);
            }
            py.check_signals()?;
        }
    }

    fn come_within(&self, time: Duration) -> Option<Result<Told, CallError>> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.come.wait_timeout_while(result, time, |result| result.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

/// Begins some work and waits for it; work that is not waited for to its end is given up.
pub fn told<'py>(
    py: Python<'py>,
    begin: impl FnOnce(Reply<Told>) -> Option<Job>,
) -> PyResult<Bound<'py, PyAny>> {
    let slot = Arc::new(Slot::default());
    let job = begin(slot.reply(|told| told));
    let result = slot.wait(py);
    if let (Err(_), Some(job)) = (&result, job) {
        job.cancel();
    }
    result
}
