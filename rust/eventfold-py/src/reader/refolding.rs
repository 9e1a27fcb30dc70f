//! Verifications, retries and trials of projections, for asyncio.

use std::future::Future;
use std::sync::Arc;

use eventfold_reader::{
    Compared, ReadError, Retried, Retry, RetryStatements, Runtime, SetAside, Trial, Tried,
    TriedRows, Verifier, VerifyStatements,
};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::done::{Answer, Completions, Done};

/// The thread of a projector, and the way of its answers.
#[derive(Clone)]
pub struct Line {
    pub runtime: Arc<Runtime>,
    pub completions: Arc<Completions>,
}

impl Line {
    /// Begins what is carried through: nobody cancels it.
    pub fn begin(
        &self,
        future: Py<PyAny>,
        work: impl Future<Output = Result<Done, ReadError>> + Send + 'static,
    ) -> PyResult<()> {
        let answer = Answer::new(future, &self.completions);
        let job = self.runtime.spawn(async move { answer.give(work.await) });
        job.map(drop).ok_or_else(|| {
            PyRuntimeError::new_err("the projector is closed, or of another process")
        })
    }
}

/// The statements of a verification; the keys are those of `VerifyStatements` in Rust.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct VerifyArgument {
    sample: String,
    spelled: String,
}

impl VerifyArgument {
    pub fn statements(self) -> VerifyStatements {
        VerifyStatements { sample: self.sample.into(), spelled: self.spelled.into() }
    }
}

/// The statements of a retry; the keys are those of `RetryStatements` in Rust.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct RetryArgument {
    keys: String,
    events: String,
    hold: String,
}

impl RetryArgument {
    pub fn statements(self) -> RetryStatements {
        RetryStatements {
            keys: self.keys.into(),
            events: self.events.into(),
            hold: self.hold.into(),
        }
    }
}

/// A verification under way.
#[pyclass(frozen, module = "eventfold._core")]
pub struct ProjectionVerifier {
    pub line: Line,
    pub verifier: Verifier,
}

#[pymethods]
impl ProjectionVerifier {
    fn go_on(&self, future: Py<PyAny>) -> PyResult<()> {
        let verifier = self.verifier.clone();
        self.line.begin(future, async move {
            Ok(verifier
                .go_on()
                .await?
                .map_or(Done::Nothing, |compared| Done::Compared(Box::new(compared))))
        })
    }
}

/// How far a verification has come.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct ProjectionComparison {
    position: i64,
    to_position: i64,
    done: bool,
    rows_shown: i64,
    rows_hidden: i64,
    keys_checked: usize,
    table_checksum: String,
    fold_checksum: String,
    keys_differing: usize,
    differing: Vec<String>,
}

impl ProjectionComparison {
    pub fn new(compared: Compared) -> Self {
        let done = compared.found.is_some();
        let found = compared.found.unwrap_or_default();
        Self {
            position: compared.position,
            to_position: compared.to_position,
            done,
            rows_shown: found.rows_shown,
            rows_hidden: found.rows_hidden,
            keys_checked: found.keys_checked,
            table_checksum: found.table_checksum,
            fold_checksum: found.fold_checksum,
            keys_differing: found.keys_differing,
            differing: found.differing,
        }
    }
}

/// A retry under way.
#[pyclass(frozen, module = "eventfold._core")]
pub struct ProjectionRetry {
    pub line: Line,
    pub retry: Retry,
}

#[pymethods]
impl ProjectionRetry {
    fn go_on(&self, future: Py<PyAny>) -> PyResult<()> {
        let retry = self.retry.clone();
        self.line.begin(future, async move { Ok(Done::Retried(retry.go_on().await?)) })
    }
}

/// What one transaction of a retry came to.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct ProjectionRetried {
    mended: usize,
    events: u64,
    failed: usize,
    done: bool,
    fenced: bool,
}

impl ProjectionRetried {
    pub fn new(retried: Retried) -> Self {
        let Retried { mended, events, failed, done, fenced } = retried;
        Self { mended, events, failed, done, fenced }
    }
}

/// A trial under way.
#[pyclass(frozen, module = "eventfold._core")]
pub struct ProjectionTrial {
    pub line: Line,
    pub trial: Trial,
}

#[pymethods]
impl ProjectionTrial {
    fn go_on(&self, future: Py<PyAny>) -> PyResult<()> {
        let trial = self.trial.clone();
        self.line.begin(future, async move { Ok(Done::Tried(Box::new(trial.go_on().await?))) })
    }

    fn rows(&self, future: Py<PyAny>) -> PyResult<()> {
        let trial = self.trial.clone();
        self.line.begin(future, async move { Ok(Done::TriedRows(Box::new(trial.rows().await?))) })
    }
}

/// How far a trial has come.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct ProjectionTried {
    position: i64,
    events: u64,
    done: bool,
    stopped: Option<String>,
}

impl ProjectionTried {
    pub fn new(tried: Tried) -> Self {
        let Tried { position, events, done, stopped } = tried;
        Self { position, events, done, stopped }
    }
}

/// What came of a trial.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct ProjectionTriedRows {
    keys: Vec<String>,
    versions: Vec<i64>,
    positions: Vec<i64>,
    columns: Vec<Vec<Option<String>>>,
    hidden: usize,
    parked: Vec<(String, String, i64, u64)>,
}

impl ProjectionTriedRows {
    pub fn new(rows: TriedRows) -> Self {
        let told = |SetAside { key, error, position, events }| (key, error, position, events);
        Self {
            keys: rows.keys,
            versions: rows.versions,
            positions: rows.positions,
            columns: rows.columns,
            hidden: rows.hidden,
            parked: rows.parked.into_iter().map(told).collect(),
        }
    }
}
