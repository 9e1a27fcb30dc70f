//! The bridge to asyncio: what is done waits in a queue, and a pipe wakes the event loop.
//!
//! One byte is in the pipe while something is in the queue, so that a burst of answers costs one
//! system call and one turn of the loop.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventfold_core::error::CoreError;
use eventfold_reader::{Hydrated, Opened, Page, ReadError, WriteError};
use pyo3::prelude::*;

use super::writer::Stored;

/// What a call came to.
pub enum Done {
    Nothing,
    Page(Box<Page>),
    Hydrated(Box<Hydrated>),
    Opened(Box<Opened>),
    Stored(Result<Stored, WriteError>),
}

/// A future of asyncio and what it is to be told.
pub type Completion = (Py<PyAny>, Result<Done, ReadError>);

/// Answers on their way to the event loop.
pub struct Completions {
    waiting: Mutex<Vec<Completion>>,
    wake: PipeWriter,
    woken: PipeReader,
}

impl Completions {
    pub fn new() -> io::Result<Self> {
        let (woken, wake) = io::pipe()?;
        Ok(Self { waiting: Mutex::default(), wake, woken })
    }

    /// Readable while something is waiting.
    pub fn fileno(&self) -> RawFd {
        self.woken.as_raw_fd()
    }

    /// What has been done since the last time.
    pub fn take(&self) -> Vec<Completion> {
        let mut waiting = self.waiting();
        if !waiting.is_empty() {
            // It is there, so this does not wait.
            let _ = (&self.woken).read(&mut [0]);
        }
        std::mem::take(&mut waiting)
    }

    fn put(&self, completion: Completion) {
        let mut waiting = self.waiting();
        waiting.push(completion);
        if waiting.len() == 1 {
            // Fails only when nobody reads any more.
            let _ = (&self.wake).write(&[1]);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Completion>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to answer a future: one that is dropped unanswered, because the work panicked, says
/// so. A future that was cancelled is told too, and does not listen.
pub struct Answer {
    future: Option<Py<PyAny>>,
    completions: Arc<Completions>,
}

impl Answer {
    pub fn new(future: Py<PyAny>, completions: &Arc<Completions>) -> Self {
        Self { future: Some(future), completions: Arc::clone(completions) }
    }

    pub fn give(mut self, result: Result<Done, ReadError>) {
        self.put(result);
    }

    fn put(&mut self, result: Result<Done, ReadError>) {
        if let Some(future) = self.future.take() {
            self.completions.put((future, result));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let message = "the reader stopped or panicked; the server's log says more";
        self.put(Err(CoreError::new("BUG", message).into()));
    }
}
