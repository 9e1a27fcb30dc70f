//! Steps of projections, for asyncio.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use eventfold_reader::{
    self as reader, Bounds, Generation, Pool, ProjectionStatements, Retry, Runtime, Seals, Trial,
    Verifier, Worker,
};
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::answers;
use super::arguments::SettingsArgument;
use super::done::{Completions, Done};
use super::refolding::{
    Line, ProjectionRetry, ProjectionTrial, ProjectionVerifier, RetryArgument, VerifyArgument,
};
use super::rules::ReadRules;
use crate::projection::{Projection, ProjectionMarks};

/// The statements of a generation; the keys are those of `ProjectionStatements` in Rust.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct StatementsArgument {
    page: String,
    key_events: String,
    targets: String,
    anchor: String,
    streams: String,
    progress: String,
    rows: String,
    advance: String,
    upsert: String,
    delete: String,
    park_keys: String,
    park_events: String,
    unpark_keys: String,
    park_again: String,
}

impl StatementsArgument {
    fn statements(self) -> ProjectionStatements {
        ProjectionStatements {
            page: self.page.into(),
            key_events: self.key_events.into(),
            targets: self.targets.into(),
            anchor: self.anchor.into(),
            streams: self.streams.into(),
            progress: self.progress.into(),
            rows: self.rows.into(),
            advance: self.advance.into(),
            upsert: self.upsert.into(),
            delete: self.delete.into(),
            park_keys: self.park_keys.into(),
            park_events: self.park_events.into(),
            unpark_keys: self.unpark_keys.into(),
            park_again: self.park_again.into(),
        }
    }
}

/// What bounds a step; the keys are those of `Bounds` in Rust, with seconds for times.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct BoundsArgument {
    page_bytes: usize,
    page_age_s: f64,
    window: i64,
    span: i64,
    targets_bytes: usize,
    targets_max: usize,
    cache_bytes: usize,
    rows_bytes: i64,
    batch_bytes: usize,
    batch_events: u64,
    batch_s: f64,
    batches: usize,
    lease_s: f64,
    quiet_s: f64,
    sheet_bytes: usize,
    draw_s: f64,
    retry_keys: i64,
    retry_events: i64,
}

impl BoundsArgument {
    fn bounds(&self) -> Bounds {
        Bounds {
            page_bytes: self.page_bytes,
            page_age: Duration::from_secs_f64(self.page_age_s),
            window: self.window,
            span: self.span,
            targets_bytes: self.targets_bytes,
            targets_max: self.targets_max,
            cache_bytes: self.cache_bytes,
            rows_bytes: self.rows_bytes,
            batch_bytes: self.batch_bytes,
            batch_events: self.batch_events,
            batch_time: Duration::from_secs_f64(self.batch_s),
            batches: self.batches,
            lease: Duration::from_secs_f64(self.lease_s),
            quiet: Duration::from_secs_f64(self.quiet_s),
            sheet_bytes: self.sheet_bytes,
            draw_time: Duration::from_secs_f64(self.draw_s),
            retry_keys: self.retry_keys,
            retry_events: self.retry_events,
        }
    }
}

/// Connections that read events and write projections, and the thread that does it.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Projector {
    line: Line,
    read: Pool,
    write: Pool,
    /// For what people ask for, so that no generation waits for it.
    aside: Pool,
}

#[pymethods]
impl Projector {
    #[new]
    fn new(
        read: SettingsArgument,
        write: SettingsArgument,
        aside: SettingsArgument,
    ) -> PyResult<Self> {
        let runtime = Arc::new(Runtime::start("projector", write.fold_threads)?);
        Ok(Self {
            line: Line { runtime, completions: Arc::new(Completions::new()?) },
            read: Pool::new(read.settings()?),
            write: Pool::new(write.settings()?),
            aside: Pool::new(aside.settings()?),
        })
    }

    fn fileno(&self) -> i32 {
        self.line.completions.fileno()
    }

    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers::take(py, &self.line.completions)
    }

    #[pyo3(signature = (projection, *, generation_no, lease, statements, bounds, sealed))]
    fn worker(
        &self,
        projection: &Bound<'_, Projection>,
        generation_no: i64,
        lease: i64,
        statements: StatementsArgument,
        bounds: BoundsArgument,
        sealed: Vec<bool>,
    ) -> ProjectionWorker {
        let seals = seals(None, None, sealed);
        let generation = generation(projection, (generation_no, lease), statements, &bounds, seals);
        ProjectionWorker(Worker::new(self.read.clone(), self.write.clone(), generation))
    }

    #[pyo3(signature = (projection, *, generation_no, statements, bounds, sealed, rules, marks,
        verify, keys_max))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn verifier(
        &self,
        projection: &Bound<'_, Projection>,
        generation_no: i64,
        statements: StatementsArgument,
        bounds: BoundsArgument,
        sealed: Vec<bool>,
        rules: &Bound<'_, ReadRules>,
        marks: &Bound<'_, ProjectionMarks>,
        verify: VerifyArgument,
        keys_max: usize,
    ) -> ProjectionVerifier {
        let seals = seals(Some(rules), Some(marks), sealed);
        let generation = generation(projection, (generation_no, 0), statements, &bounds, seals);
        let pool = self.aside.clone();
        let rules = rules.get().shared();
        let verifier = Verifier::new(pool, generation, verify.statements(), rules, keys_max);
        ProjectionVerifier { line: self.line.clone(), verifier }
    }

    #[pyo3(signature = (projection, *, generation_no, lease, statements, bounds, sealed, rules,
        marks, retry, keys))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn retry(
        &self,
        projection: &Bound<'_, Projection>,
        generation_no: i64,
        lease: i64,
        statements: StatementsArgument,
        bounds: BoundsArgument,
        sealed: Vec<bool>,
        rules: &Bound<'_, ReadRules>,
        marks: &Bound<'_, ProjectionMarks>,
        retry: RetryArgument,
        keys: Option<Vec<String>>,
    ) -> ProjectionRetry {
        let seals = seals(Some(rules), Some(marks), sealed);
        let generation = generation(projection, (generation_no, lease), statements, &bounds, seals);
        let pools = (self.aside.clone(), self.write.clone());
        let rules = rules.get().shared();
        let retry = Retry::new(pools, generation, retry.statements(), rules, keys);
        ProjectionRetry { line: self.line.clone(), retry }
    }

    #[pyo3(signature = (projection, *, statements, bounds, sealed, rules, marks, after, up_to,
        events_max))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn trial(
        &self,
        projection: &Bound<'_, Projection>,
        statements: StatementsArgument,
        bounds: BoundsArgument,
        sealed: Vec<bool>,
        rules: &Bound<'_, ReadRules>,
        marks: &Bound<'_, ProjectionMarks>,
        after: i64,
        up_to: i64,
        events_max: i64,
    ) -> ProjectionTrial {
        let seals = seals(Some(rules), Some(marks), sealed);
        let generation = generation(projection, (0, 0), statements, &bounds, seals);
        let (pool, rules) = (self.aside.clone(), rules.get().shared());
        let trial = Trial::new(pool, generation, rules, after, up_to, events_max);
        ProjectionTrial { line: self.line.clone(), trial }
    }

    fn step(
        &self,
        future: Py<PyAny>,
        worker: &Bound<'_, ProjectionWorker>,
        up_to: i64,
        rules: &Bound<'_, ReadRules>,
        marks: &Bound<'_, ProjectionMarks>,
    ) -> PyResult<()> {
        let (worker, rules) = (worker.get().0.clone(), rules.get().shared());
        let marks = marks.get().shared();
        let step = async move { Ok(Done::Step(worker.step(up_to, rules, marks).await?)) };
        self.line.begin(future, step)
    }

    fn forget(&self, future: Py<PyAny>, worker: &Bound<'_, ProjectionWorker>) -> PyResult<()> {
        let worker = worker.get().0.clone();
        self.line.begin(future, async move {
            worker.forget().await;
            Ok(Done::Nothing)
        })
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            self.read.close();
            self.write.close();
            self.aside.close();
            self.line.runtime.stop();
        });
    }
}

fn generation(
    projection: &Bound<'_, Projection>,
    (generation_no, lease): (i64, i64),
    statements: StatementsArgument,
    bounds: &BoundsArgument,
    seals: Seals,
) -> Generation {
    Generation {
        generation_no,
        lease,
        projection: projection.get().shared(),
        statements: statements.statements(),
        bounds: bounds.bounds(),
        seals: RwLock::new(seals),
    }
}

fn seals(
    rules: Option<&Bound<'_, ReadRules>>,
    marks: Option<&Bound<'_, ProjectionMarks>>,
    columns: Vec<bool>,
) -> Seals {
    let showing = rules.and_then(|rules| rules.get().shared().showing);
    Seals {
        marks: marks.map(|marks| marks.get().shared()).unwrap_or_default(),
        columns: columns.into(),
        keyring: showing.map(|showing| showing.keyring),
    }
}

/// Who builds one generation under one lease.
#[pyclass(frozen, module = "eventfold._core")]
pub struct ProjectionWorker(Worker);

/// What a step came to.
#[pyclass(frozen, get_all, module = "eventfold._core")]
pub struct ProjectionStep {
    position: i64,
    events: u64,
    rows: usize,
    parked: usize,
    done: bool,
    fenced: bool,
    stopped: Option<String>,
}

impl ProjectionStep {
    pub fn new(step: reader::Step) -> Self {
        Self {
            position: step.position,
            events: step.events,
            rows: step.rows,
            parked: step.parked,
            done: step.done,
            fenced: step.fenced,
            stopped: step.stopped,
        }
    }
}

/// The names of the points at which a test can have the process kill itself.
#[pyfunction]
pub fn failpoints() -> Vec<&'static str> {
    reader::FAILPOINTS.to_vec()
}
