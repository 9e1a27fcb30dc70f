//! Steps of projections, for asyncio.

use std::sync::Arc;
use std::time::Duration;

use eventfold_reader::{
    self as reader, Bounds, Generation, Pool, ProjectionStatements, ReadError, Runtime, Worker,
};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::answers;
use super::arguments::SettingsArgument;
use super::done::{Answer, Completions, Done};
use crate::projection::Projection;

/// The statements of a generation; the keys are those of `ProjectionStatements` in Rust.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct StatementsArgument {
    page: String,
    streams: String,
    progress: String,
    rows: String,
    advance: String,
    upsert: String,
    delete: String,
    park_keys: String,
    park_events: String,
}

impl StatementsArgument {
    fn statements(self) -> ProjectionStatements {
        ProjectionStatements {
            page: self.page.into(),
            streams: self.streams.into(),
            progress: self.progress.into(),
            rows: self.rows.into(),
            advance: self.advance.into(),
            upsert: self.upsert.into(),
            delete: self.delete.into(),
            park_keys: self.park_keys.into(),
            park_events: self.park_events.into(),
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
    rows_bytes: i64,
    batch_bytes: usize,
    batch_events: u64,
    batch_s: f64,
    batches: usize,
    lease_s: f64,
    quiet_s: f64,
}

impl BoundsArgument {
    fn bounds(&self) -> Bounds {
        Bounds {
            page_bytes: self.page_bytes,
            page_age: Duration::from_secs_f64(self.page_age_s),
            window: self.window,
            span: self.span,
            rows_bytes: self.rows_bytes,
            batch_bytes: self.batch_bytes,
            batch_events: self.batch_events,
            batch_time: Duration::from_secs_f64(self.batch_s),
            batches: self.batches,
            lease: Duration::from_secs_f64(self.lease_s),
            quiet: Duration::from_secs_f64(self.quiet_s),
        }
    }
}

/// Connections that read events and write projections, and the thread that does it.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Projector {
    runtime: Runtime,
    read: Pool,
    write: Pool,
    completions: Arc<Completions>,
}

#[pymethods]
impl Projector {
    #[new]
    fn new(read: SettingsArgument, write: SettingsArgument) -> PyResult<Self> {
        let runtime = Runtime::start("projector", write.fold_threads)?;
        Ok(Self {
            runtime,
            read: Pool::new(read.settings()?),
            write: Pool::new(write.settings()?),
            completions: Arc::new(Completions::new()?),
        })
    }

    fn fileno(&self) -> i32 {
        self.completions.fileno()
    }

    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers::take(py, &self.completions)
    }

    #[pyo3(signature = (projection, *, generation_no, lease, statements, bounds))]
    fn worker(
        &self,
        projection: &Bound<'_, Projection>,
        generation_no: i64,
        lease: i64,
        statements: StatementsArgument,
        bounds: BoundsArgument,
    ) -> ProjectionWorker {
        let generation = Generation {
            generation_no,
            lease,
            projection: projection.get().shared(),
            statements: statements.statements(),
            bounds: bounds.bounds(),
        };
        ProjectionWorker(Worker::new(self.read.clone(), self.write.clone(), generation))
    }

    fn step(
        &self,
        future: Py<PyAny>,
        worker: &Bound<'_, ProjectionWorker>,
        up_to: i64,
    ) -> PyResult<()> {
        let worker = worker.get().0.clone();
        self.begin(future, async move { Ok(Done::Step(worker.step(up_to).await?)) })
    }

    fn forget(&self, future: Py<PyAny>, worker: &Bound<'_, ProjectionWorker>) -> PyResult<()> {
        let worker = worker.get().0.clone();
        self.begin(future, async move {
            worker.forget().await;
            Ok(Done::Nothing)
        })
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            self.read.close();
            self.write.close();
            self.runtime.stop();
        });
    }
}

impl Projector {
    fn begin(
        &self,
        future: Py<PyAny>,
        work: impl Future<Output = Result<Done, ReadError>> + Send + 'static,
    ) -> PyResult<()> {
        let answer = Answer::new(future, &self.completions);
        let job = self.runtime.spawn(async move { answer.give(work.await) });
        // What was begun is carried through: nobody cancels it.
        job.map(drop).ok_or_else(|| {
            PyRuntimeError::new_err("the projector is closed, or of another process")
        })
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
