//! Writes to the database, for asyncio.

use std::collections::HashSet;
use std::sync::Arc;

use eventfold_core::append::{
    self, append_many_response, append_response, session_answer, session_answers,
};
use eventfold_core::envelope::uuid_text;
use eventfold_reader::{self as reader, Runtime, Statements, WriteError};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::answers;
use super::arguments::SettingsArgument;
use super::done::{Answer, Completions, Done};
use crate::append::{Append, RefusedPart};

/// A connection to one database that appends go through, and the thread that has it.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Writer {
    runtime: Runtime,
    writer: reader::Writer,
    completions: Arc<Completions>,
}

#[pymethods]
impl Writer {
    #[new]
    fn new(settings: SettingsArgument, alone: String, batch: String) -> PyResult<Self> {
        let runtime = Runtime::start("writer", settings.fold_threads)?;
        let statements = Statements { alone: alone.into(), batch: batch.into() };
        Ok(Self {
            runtime,
            writer: reader::Writer::new(settings.settings()?, statements),
            completions: Arc::new(Completions::new()?),
        })
    }

    fn fileno(&self) -> i32 {
        self.completions.fileno()
    }

    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers::take(py, &self.completions)
    }

    #[getter]
    fn is_ready(&self) -> bool {
        self.writer.is_ready()
    }

    fn ready(&self, future: Py<PyAny>) -> PyResult<()> {
        let writer = self.writer.clone();
        self.begin(future, async move { writer.ready().await.map(|()| Done::Nothing) })
    }

    fn store(&self, future: Py<PyAny>, batch: &mut AppendBatch) -> PyResult<()> {
        let writer = self.writer.clone();
        let batch = std::mem::take(batch).appends;
        self.begin(future, async move {
            let stored = writer.store(&batch).await;
            Ok(Done::Stored(stored.map(|decisions| Stored { batch, decisions })))
        })
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.runtime.stop());
    }
}

impl Writer {
    fn begin(
        &self,
        future: Py<PyAny>,
        work: impl Future<Output = Result<Done, reader::ReadError>> + Send + 'static,
    ) -> PyResult<()> {
        let answer = Answer::new(future, &self.completions);
        let job = self.runtime.spawn(async move { answer.give(work.await) });
        // What was begun is carried through: nobody cancels it.
        job.map(drop)
            .ok_or_else(|| PyRuntimeError::new_err("the writer is closed, or of another process"))
    }
}

/// Appends that go into one transaction.
#[pyclass(module = "eventfold._core")]
#[derive(Default)]
pub struct AppendBatch {
    appends: Vec<Arc<append::Append>>,
    ids: HashSet<[u8; 16]>,
}

#[pymethods]
impl AppendBatch {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __len__(&self) -> usize {
        self.appends.len()
    }

    fn add(&mut self, append: &Bound<'_, Append>) -> bool {
        let append = append.get().inner();
        // Others are decided by themselves, where they see what stands before them.
        if append.is_plain() {
            let ids = || append.parts[0].events().map(|event| event.id);
            if ids().any(|id| self.ids.contains(id)) {
                return false;
            }
            self.ids.extend(ids());
        }
        self.appends.push(append);
        true
    }
}

/// A batch, and what the database decided on each of its appends.
pub struct Stored {
    batch: Vec<Arc<append::Append>>,
    decisions: Vec<Vec<append::Decision>>,
}

impl Stored {
    /// The outcomes, and the position of the newest event that was stored.
    pub fn outcomes(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let mut newest = None;
        let mut outcomes = Vec::with_capacity(self.batch.len());
        for (append, decisions) in self.batch.into_iter().zip(self.decisions) {
            for (part, decision) in append.parts.iter().zip(&decisions) {
                newest = newest.max(decision.newest_position(part.events().len()));
            }
            outcomes.push(Bound::new(py, Outcome { append, decisions })?);
        }
        (outcomes, newest).into_pyobject(py).map(Bound::into_any)
    }
}

/// The exception for a write that failed.
pub fn exception(py: Python<'_>, error: WriteError) -> PyErr {
    let kind = match &error {
        WriteError::Refused(_) => "refused",
        WriteError::Unsent => "unsent",
        WriteError::Unknown(_) => "unknown",
        WriteError::Unreplicated => "unreplicated",
    };
    let message = error.to_string();
    let inner = match error {
        WriteError::Refused(error) => error,
        _ => reader::ReadError::Lost(message),
    };
    let exception = answers::exception(py, inner);
    match exception.value(py).setattr("kind", kind) {
        Ok(()) => exception,
        Err(failure) => failure,
    }
}

/// What became of an append.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Outcome {
    append: Arc<append::Append>,
    /// At least one.
    decisions: Vec<append::Decision>,
}

impl Outcome {
    fn all_stored(&self) -> bool {
        self.decisions.iter().all(|decision| decision.outcome.is_stored())
    }
}

#[pymethods]
impl Outcome {
    #[getter]
    fn stored(&self) -> bool {
        self.all_stored()
    }

    #[getter]
    fn stale(&self) -> Option<i64> {
        let first = &self.decisions[0];
        (first.outcome == append::Outcome::Stale).then_some(first.catalogue_version)
    }

    #[getter]
    fn refused(&self, py: Python<'_>) -> PyResult<Vec<Decision>> {
        let refused = self.decisions.iter().filter(|decision| !decision.outcome.is_stored());
        refused.map(|decision| Decision::of(py, &self.append, decision)).collect()
    }

    fn response<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut out = Vec::with_capacity(64);
        append_response(&self.append.parts[0], &self.decisions[0], &mut out);
        PyBytes::new(py, &out)
    }

    fn many_response<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &append_many_response(&self.append.parts, &self.decisions))
    }
}

/// What the database decided on a part of an append, or on a check.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct Decision {
    outcome: String,
    append_index: Option<usize>,
    check_index: Option<usize>,
    stream: String,
    expected: i64,
    actual_version: i64,
    successor: Option<String>,
    differs_at: Option<usize>,
    event_id: Option<String>,
    problem: Option<String>,
    /// Why no version of the stream would have done.
    refused_part: Option<Py<RefusedPart>>,
}

impl Decision {
    fn of(py: Python<'_>, append: &append::Append, decision: &append::Decision) -> PyResult<Self> {
        let part = decision.part.and_then(|part| append.parts.get(part));
        let check = decision.check.and_then(|check| append.checks.get(check));
        let (stream, expected) = match (part, check) {
            (Some(part), _) => (part.stream(), part.expected()),
            (None, Some(check)) => (check.stream.as_str(), check.expected),
            (None, None) => ("", 0),
        };
        let event_id = part.zip(decision.differs_at).and_then(|(part, index)| part.id(index));
        Ok(Self {
            outcome: decision.outcome.name().to_owned(),
            append_index: decision.part,
            check_index: decision.check,
            stream: stream.to_owned(),
            expected,
            actual_version: decision.actual_version,
            successor: decision.successor.clone(),
            differs_at: decision.differs_at,
            event_id: event_id.map(uuid_text),
            problem: decision.problem.clone(),
            refused_part: refused_part(py, append, decision.part, decision.outcome)?,
        })
    }
}

#[pymethods]
impl Decision {
    #[new]
    #[pyo3(signature = (outcome, append, *, actual_version, successor, differs_at, problem))]
    fn new(
        py: Python<'_>,
        outcome: String,
        append: &Bound<'_, Append>,
        actual_version: i64,
        successor: Option<String>,
        differs_at: Option<usize>,
        problem: Option<String>,
    ) -> PyResult<Self> {
        let append = append.get().inner();
        let part = &append.parts[0];
        let known = append::Outcome::from_name(&outcome);
        let known = known.ok_or_else(|| PyValueError::new_err("there is no such outcome"))?;
        Ok(Self {
            refused_part: refused_part(py, &append, Some(0), known)?,
            outcome,
            append_index: Some(0),
            check_index: None,
            stream: part.stream().to_owned(),
            expected: part.expected(),
            actual_version,
            successor,
            differs_at,
            event_id: differs_at.and_then(|index| part.id(index)).map(uuid_text),
            problem,
        })
    }
}

/// What the rules have against a part, if that is why the database decided against it.
fn refused_part(
    py: Python<'_>,
    append: &append::Append,
    part: Option<usize>,
    outcome: append::Outcome,
) -> PyResult<Option<Py<RefusedPart>>> {
    if outcome != append::Outcome::Conflict {
        return Ok(None);
    }
    let refused = append.refused().into_iter().find(|refused| Some(refused.part) == part);
    refused.map(|refused| Py::new(py, RefusedPart::of(py, append, refused))).transpose()
}

/// Answers of a session, as many as fit; the number of those that are left begins behind them.
#[pyfunction]
pub fn encode_session_answers<'py>(
    py: Python<'py>,
    ready: &Bound<'py, PyList>,
    bytes_max: usize,
) -> PyResult<(Bound<'py, PyBytes>, usize)> {
    let mut out = Vec::new();
    let mut answer = Vec::new();
    let mut taken = 0;
    for one in ready {
        answer.clear();
        let (number, outcome) = one.extract::<(u64, Bound<'py, PyAny>)>()?;
        match outcome.cast::<Outcome>() {
            Ok(outcome) => {
                let Outcome { append, decisions } = outcome.get();
                session_answer(number, &append.parts[0], &decisions[0], &mut answer);
            }
            Err(_) => answer.extend_from_slice(outcome.cast::<PyBytes>()?.as_bytes()),
        }
        session_answers(&answer, &mut out);
        taken += 1;
        if out.len() >= bytes_max {
            break;
        }
    }
    Ok((PyBytes::new(py, &out), taken))
}
