//! What the reader has done for a future of asyncio.

use std::sync::Arc;

use eventfold_core::error::CoreError;
use eventfold_reader::{
    Compared, Hydrated, Opened, Page, ReadError, Resolved, Retried, Step, Tried, TriedRows,
    WriteError,
};
use pyo3::prelude::*;

use super::writer::Stored;
use crate::completions;

/// What a call came to.
pub enum Done {
    Nothing,
    Page(Box<Page>),
    Hydrated(Box<Hydrated>),
    Opened(Box<Opened>),
    Resolved(Resolved),
    Stored(Result<Stored, WriteError>),
    Step(Step),
    Compared(Box<Compared>),
    Retried(Retried),
    Tried(Box<Tried>),
    TriedRows(Box<TriedRows>),
}

pub type Completions = completions::Completions<Result<Done, ReadError>>;

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
            self.completions.put(future, result);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let message = "the reader stopped or panicked; the server's log says more";
        self.put(Err(CoreError::new("BUG", message).into()));
    }
}
