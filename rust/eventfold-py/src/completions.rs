//! The bridge to asyncio: what is done waits in a queue, and a pipe wakes the event loop.
//!
//! One byte is in the pipe while something is in the queue, so that a burst of answers costs one
//! system call and one turn of the loop.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

/// Futures of asyncio and what they are to be told, on their way to the event loop.
pub struct Completions<T> {
    waiting: Mutex<Vec<(Py<PyAny>, T)>>,
    wake: PipeWriter,
    woken: PipeReader,
}

impl<T> Completions<T> {
    pub fn new() -> io::Result<Self> {
        let (woken, wake) = io::pipe()?;
        Ok(Self { waiting: Mutex::default(), wake, woken })
    }

    /// Readable while something is waiting.
    pub fn fileno(&self) -> RawFd {
        self.woken.as_raw_fd()
    }

    /// What has been done since the last time.
    pub fn take(&self) -> Vec<(Py<PyAny>, T)> {
        let mut waiting = self.waiting();
        if !waiting.is_empty() {
            // It is there, so this does not wait.
            let _ = (&self.woken).read(&mut [0]);
        }
        std::mem::take(&mut waiting)
    }

    pub fn put(&self, future: Py<PyAny>, result: T) {
        let mut waiting = self.waiting();
        waiting.push((future, result));
        if waiting.len() == 1 {
            // Fails only when nobody reads any more.
            let _ = (&self.wake).write(&[1]);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Py<PyAny>, T)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
