//! Folds and their runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use eventfold_core::envelope::{parse_uuid, stored_metadata};
use eventfold_core::error;
use eventfold_core::fold::{self, Keep, Start};
use eventfold_core::json::absent::{Shown, without_absent};
use eventfold_core::rows::{Page, Row, Tags};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;

use super::batch::Batch;
use super::errors;
use super::mapping::Mapping;
use super::personal;
use super::recorded::RecordedEvent;

/// A compiled fold.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Fold(Arc<fold::Fold>);

#[pymethods]
impl Fold {
    #[new]
    fn new(py: Python<'_>, source: PyBackedStr) -> PyResult<Self> {
        let fold = errors::run(py, source.len(), || fold::Fold::parse(&source))?;
        Ok(Self(Arc::new(fold)))
    }

    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn digest(&self) -> &str {
        self.0.digest()
    }

    #[getter]
    fn kept_digest(&self) -> String {
        self.0.kept_digest()
    }

    #[getter]
    fn initial<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.initial())
    }

    #[getter]
    fn event_types(&self) -> Vec<&str> {
        self.0.event_types().iter().map(String::as_str).collect()
    }

    #[getter]
    fn needs_envelope(&self) -> bool {
        self.0.needs_envelope()
    }

    #[getter]
    fn skip_cancelled(&self) -> bool {
        self.0.skip_cancelled()
    }

    #[getter]
    fn keep_every(&self) -> Option<u64> {
        match self.0.keep() {
            Keep::Unsaid => None,
            Keep::Off => Some(0),
            Keep::Every(events) => Some(events),
        }
    }

    #[getter]
    fn accepts(&self) -> Vec<&str> {
        self.0.accepts().iter().map(String::as_str).collect()
    }

    #[pyo3(signature = (types, everywhere = vec![], mappings = vec![]),
        text_signature = "($self, types, everywhere=(), mappings=())")]
    fn personal_paths(
        &self,
        py: Python<'_>,
        types: HashMap<String, Vec<PyBackedStr>>,
        everywhere: Vec<PyBackedStr>,
        mappings: Vec<Bound<'_, Mapping>>,
    ) -> PyResult<Vec<String>> {
        let mappings = personal::mappings(&mappings);
        errors::run(py, errors::ANY_BYTES, || {
            let declared = personal::declared(&types, &everywhere)?;
            Ok(self.0.marks(&declared, &mappings, &[])?.pointers())
        })
    }

    fn coverage(&self) -> Coverage {
        Coverage(Arc::new(fold::Coverage::new(&self.0)))
    }

    #[pyo3(signature = (
        stream, root, *, state = None, exists = true, version = 0, position = 0,
        cancelled = vec![], cancelled_to = None, coverage = None, whose = vec![]
    ), text_signature = "($self, stream, root, *, state=None, exists=True, version=0, position=0, \
        cancelled=(), cancelled_to=None, coverage=None, whose=b'')")]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn run(
        &self,
        py: Python<'_>,
        stream: &str,
        root: &str,
        state: Option<PyBackedBytes>,
        exists: bool,
        version: i64,
        position: i64,
        cancelled: Vec<PyBackedStr>,
        cancelled_to: Option<i64>,
        coverage: Option<&Bound<'_, Coverage>>,
        whose: Vec<u8>,
    ) -> PyResult<FoldRun> {
        let coverage = coverage.map(|coverage| Arc::clone(&coverage.get().0));
        let bytes = state.as_ref().map_or(0, |state| state.len());
        let fold = Arc::clone(&self.0);
        let run = errors::run(py, bytes, move || {
            let ids = cancelled.iter().map(|id| uuid(id)).collect::<Result<Vec<_>, _>>()?;
            let run = fold::FoldRun::new(fold, stream, root);
            let mut run = run.with_cancelled_events(ids, cancelled_to.unwrap_or(i64::MAX));
            if let Some(coverage) = coverage {
                run = run.with_coverage(coverage)?;
            }
            match state {
                None if version == 0 => Ok(run),
                state => {
                    let exists = exists && state.is_some();
                    let state = state.map_or_else(Vec::new, |state| state.to_vec());
                    let whose = personal::whose_of(&whose);
                    run.resume(&Start { exists, state, version, position, whose })
                }
            }
        })?;
        Ok(FoldRun { stop: run.stop_flag(), run: Mutex::new(run) })
    }
}

impl Fold {
    /// The fold, to look at.
    pub(super) fn inner(&self) -> &fold::Fold {
        &self.0
    }

    /// The fold itself.
    #[cfg(unix)]
    pub(super) fn shared(&self) -> Arc<fold::Fold> {
        Arc::clone(&self.0)
    }
}

/// A fold on its way along one stream.
#[pyclass(frozen, module = "eventfold._core")]
pub struct FoldRun {
    /// Locked only inside of work that may run without the GIL, so that nobody waits for both.
    run: Mutex<fold::FoldRun>,
    stop: Arc<AtomicBool>,
}

#[pymethods]
impl FoldRun {
    #[pyo3(signature = (batch, first = 0, last = None, steps_max = None))]
    fn feed(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, Batch>,
        first: usize,
        last: Option<isize>,
        steps_max: Option<u64>,
    ) -> PyResult<usize> {
        let batch = batch.get();
        // Counted from row numbers, an end may lie before the first row: then there is no row.
        let last = last.map_or(batch.rows.len(), |last| usize::try_from(last).unwrap_or(0));
        // A few events can cost seconds.
        errors::run(py, errors::ANY_BYTES, || {
            self.with_run(|run| {
                run.feed_within(&batch.rows, first..last, steps_max.unwrap_or(u64::MAX))
            })
        })
    }

    #[pyo3(signature = (batch, first, from_version, steps_max = None))]
    fn history<'py>(
        &self,
        py: Python<'py>,
        batch: &Bound<'_, Batch>,
        first: usize,
        from_version: i64,
        steps_max: Option<u64>,
    ) -> PyResult<(Bound<'py, PyBytes>, usize)> {
        let rows = &batch.get().rows;
        self.encode(py, |run| run.history_within(rows, first, from_version, steps_max))
    }

    fn explain<'py>(
        &self,
        py: Python<'py>,
        batch: &Bound<'_, Batch>,
        first: usize,
        from_version: i64,
    ) -> PyResult<(Bound<'py, PyBytes>, usize)> {
        let rows = &batch.get().rows;
        self.encode(py, |run| run.explain(rows, first, from_version))
    }

    fn explain_from(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<()> {
        let other = other.get();
        errors::run(py, 0, || {
            // One after the other, so that nobody waits for both.
            let state = other.with_run(|other| Ok(other.visible_state()))?;
            self.with_run(|run| {
                run.explain_from(state);
                Ok(())
            })
        })
    }

    fn stops_at(&self, py: Python<'_>, batch: &Bound<'_, Batch>, index: usize) -> PyResult<bool> {
        let rows = &batch.get().rows;
        errors::run(py, 0, || self.with_run(|run| run.stops_at(rows, index)))
    }

    #[pyo3(signature = (
        r#type, data, metadata, tags, event_id, version, position, recorded_us, occurred_us,
        writer
    ))]
    #[expect(clippy::too_many_arguments, reason = "the fields of an event")]
    fn feed_event(
        &self,
        py: Python<'_>,
        r#type: &str,
        data: &[u8],
        metadata: &[u8],
        tags: Vec<PyBackedStr>,
        event_id: &str,
        version: i64,
        position: i64,
        recorded_us: i64,
        occurred_us: i64,
        writer: &str,
    ) -> PyResult<()> {
        errors::run(py, data.len(), || {
            let tags: Vec<&str> = tags.iter().map(|tag| &**tag).collect();
            let row = Row {
                stream: None,
                version,
                position,
                event_id: &uuid(event_id)?,
                event_type: r#type,
                data,
                metadata: stored_metadata(metadata),
                tags: Tags::from_texts(&tags),
                recorded_us,
                occurred_us,
                writer,
                // Not validated: the run checks what it needs.
                flags: 0,
                copied_from: None,
                cancels: None,
                trace_context: None,
                deleted: false,
            };
            self.with_run(|run| run.feed_row(&row))
        })
    }

    fn feed_recorded(&self, py: Python<'_>, event: &Bound<'_, RecordedEvent>) -> PyResult<()> {
        let event = event.get().wire(py)?;
        errors::run(py, event.data().len(), || {
            event.with_row(|row| self.with_run(|run| run.feed_row(row)))
        })
    }

    fn go_on_in(&self, py: Python<'_>, stream: &str) -> PyResult<()> {
        errors::run(py, 0, || self.with_run(|run| run.go_on_in(stream)))
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn finish(&self, py: Python<'_>) -> PyResult<FoldResult> {
        let result = errors::run(py, 0, || self.with_run(|run| run.finish()))?;
        Ok(FoldResult::new(py, &result))
    }
}

impl FoldRun {
    fn encode<'py>(
        &self,
        py: Python<'py>,
        work: impl FnOnce(&mut fold::FoldRun) -> Result<(Vec<u8>, usize), error::CoreError> + Send,
    ) -> PyResult<(Bound<'py, PyBytes>, usize)> {
        let (bytes, next) = errors::run(py, errors::ANY_BYTES, || self.with_run(work))?;
        Ok((PyBytes::new(py, &bytes), next))
    }

    fn with_run<T>(
        &self,
        work: impl FnOnce(&mut fold::FoldRun) -> Result<T, error::CoreError>,
    ) -> Result<T, error::CoreError> {
        // Poisoned by a panic: the state may be half changed.
        let poisoned = |_| error::CoreError::new("BUG", "an earlier call on this run panicked");
        work(&mut *self.run.lock().map_err(poisoned)?)
    }
}

/// What runs of one fold reach.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Coverage(Arc<fold::Coverage>);

#[pymethods]
impl Coverage {
    fn unused_handlers(&self) -> Vec<String> {
        self.0.unused_handlers()
    }

    fn unseen_fields(&self) -> Vec<(String, String)> {
        self.0.unseen_fields()
    }
}

/// What a fold came to.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct FoldResult {
    exists: bool,
    state: Py<PyBytes>,
    /// The state as others may see it, and what of it is absent.
    public_state: Py<PyBytes>,
    erased_paths: Vec<String>,
    withheld_paths: Vec<String>,
    version: i64,
    position: i64,
    events_read: u64,
    events_folded: u64,
    /// Whose personal values may be in it.
    whose: Py<PyBytes>,
}

impl FoldResult {
    pub(super) fn new(py: Python<'_>, result: &fold::FoldResult) -> Self {
        let state = PyBytes::new(py, &result.state).unbind();
        let (public_state, erased_paths, withheld_paths) = match without_absent(&result.state) {
            None => (state.clone_ref(py), Vec::new(), Vec::new()),
            Some(Shown { text, erased, withheld }) => {
                (PyBytes::new(py, &text).unbind(), erased, withheld)
            }
        };
        Self {
            exists: result.exists,
            state,
            public_state,
            erased_paths,
            withheld_paths,
            version: result.version,
            position: result.position,
            events_read: result.events_read,
            events_folded: result.events_folded,
            whose: personal::whose_bytes(py, result.whose).unbind(),
        }
    }
}

fn uuid(text: &str) -> Result<[u8; 16], error::CoreError> {
    parse_uuid(text).ok_or_else(|| {
        let message = "the event id is not a UUID of 32 hexadecimal digits with hyphens";
        error::CoreError::new("INVALID_EVENT_ID", message).fact("problem", "syntax")
    })
}
