//! Reads of the database and writes to it, for asyncio.

mod answers;
mod arguments;
mod done;
mod projector;
mod refolding;
mod rules;
mod writer;

use std::future::Future;
use std::sync::Arc;

use eventfold_reader::{self as reader, Hydration, Opening, Pool, ReadError, Resolving, Runtime};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use tokio::sync::Mutex;

pub use answers::{Hydrated, KeptState, Opened, Page, ReaderError, StaleRules};
pub use projector::{ProjectionStep, ProjectionWorker, Projector, failpoints};
pub use refolding::{
    ProjectionComparison, ProjectionRetried, ProjectionRetry, ProjectionTrial, ProjectionTried,
    ProjectionTriedRows, ProjectionVerifier,
};
pub use rules::ReadRules;
pub use writer::{AppendBatch, Decision, Outcome, Writer, encode_session_answers};

use super::fold::Fold;
use super::references::References;
use arguments::{KeptArgument, SettingsArgument};
use done::{Answer, Completions, Done};

/// Connections to one database, and the thread that reads from them.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Reader {
    runtime: Arc<Runtime>,
    pool: Pool,
    completions: Arc<Completions>,
}

#[pymethods]
impl Reader {
    #[new]
    fn new(settings: SettingsArgument) -> PyResult<Self> {
        let runtime = Runtime::start("reader", settings.fold_threads)?;
        Ok(Self {
            runtime: Arc::new(runtime),
            pool: Pool::new(settings.settings()?),
            completions: Arc::new(Completions::new()?),
        })
    }

    fn fileno(&self) -> i32 {
        self.completions.fileno()
    }

    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers::take(py, &self.completions)
    }

    fn nothing(&self, future: Py<PyAny>) -> PyResult<ReadJob> {
        self.begin(future, async { Ok(Done::Nothing) })
    }

    #[pyo3(signature = (sql, params, order, page_bytes, *, backwards = false, window = None,
        encoded = true, stream = None, refers = false, rules = None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn pages(
        &self,
        sql: String,
        params: &Bound<'_, PyTuple>,
        order: &str,
        page_bytes: usize,
        backwards: bool,
        window: Option<i64>,
        encoded: bool,
        stream: Option<String>,
        refers: bool,
        rules: Option<&Bound<'_, ReadRules>>,
    ) -> PyResult<Pages> {
        let range = arguments::range(
            sql, params, order, backwards, window, encoded, stream, refers, page_bytes, rules,
        )?;
        Ok(Pages(Arc::new(Mutex::new(Reading::New(self.pool.clone(), Box::new(range))))))
    }

    #[pyo3(signature = (future, stream, *, head, first, rest, params, page_bytes, backwards,
        refers = false, rules))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn open(
        &self,
        future: Py<PyAny>,
        stream: String,
        head: (String, Bound<'_, PyTuple>),
        first: String,
        rest: String,
        params: &Bound<'_, PyTuple>,
        page_bytes: usize,
        backwards: bool,
        refers: bool,
        rules: Option<&Bound<'_, ReadRules>>,
    ) -> PyResult<ReadJob> {
        let name = Some(stream.clone());
        let range = arguments::range(
            rest, params, "versions", backwards, None, true, name, refers, page_bytes, rules,
        )?;
        let opening =
            Opening { stream, head: arguments::statement(head)?, first: first.into(), range };
        let pool = self.pool.clone();
        self.begin(future, async move {
            let opened = opening.run(pool).await?;
            Ok(opened.map_or(Done::Nothing, |opened| Done::Opened(Box::new(opened))))
        })
    }

    fn next(&self, future: Py<PyAny>, pages: &Bound<'_, Pages>) -> PyResult<ReadJob> {
        let pages = Arc::clone(&pages.get().0);
        self.begin(future, async move {
            let mut pages = pages.lock().await;
            pages.next().await.map(|page| Done::Page(Box::new(page)))
        })
    }

    #[pyo3(signature = (future, references, *, sql, field, room, whole, rules))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn resolve(
        &self,
        future: Py<PyAny>,
        references: &Bound<'_, References>,
        sql: String,
        field: u32,
        room: usize,
        whole: bool,
        rules: Option<&Bound<'_, ReadRules>>,
    ) -> PyResult<ReadJob> {
        let ids = references.get().ids();
        let rules = rules.map(|rules| rules.get().shared());
        let resolving = Resolving { sql: sql.into(), ids, field, room, whole, rules };
        let pool = self.pool.clone();
        self.begin(future, async move { Ok(Done::Resolved(resolving.run(pool).await?)) })
    }

    #[pyo3(signature = (future, stream, fold, *, source, kept, may_go_on, cancelled, up_to, head,
        first, first_rows, rest, rules, inline_steps_max, slice_steps_max))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn hydrate(
        &self,
        future: Py<PyAny>,
        stream: String,
        fold: &Bound<'_, Fold>,
        source: Option<String>,
        kept: Option<KeptArgument>,
        may_go_on: bool,
        cancelled: Vec<[u8; 16]>,
        up_to: Option<i64>,
        head: (String, Bound<'_, PyTuple>),
        first: (String, Bound<'_, PyTuple>),
        first_rows: usize,
        rest: (String, Bound<'_, PyTuple>),
        rules: Option<&Bound<'_, ReadRules>>,
        inline_steps_max: u64,
        slice_steps_max: u64,
    ) -> PyResult<ReadJob> {
        let hydration = Hydration {
            stream,
            fold: fold.get().shared(),
            source,
            kept: kept.map(arguments::kept),
            may_go_on,
            cancelled,
            up_to,
            head: arguments::statement(head)?,
            first: arguments::statement(first)?,
            first_rows,
            rest: arguments::statement(rest)?,
            rules: rules.map(|rules| rules.get().shared()),
            inline_steps_max,
            slice_steps_max,
        };
        let pool = self.pool.clone();
        self.begin(future, async move { Ok(Done::Hydrated(Box::new(hydration.run(pool).await?))) })
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            self.pool.close();
            self.runtime.stop();
        });
    }
}

impl Reader {
    fn begin(
        &self,
        future: Py<PyAny>,
        work: impl Future<Output = Result<Done, ReadError>> + Send + 'static,
    ) -> PyResult<ReadJob> {
        let answer = Answer::new(future, &self.completions);
        self.runtime
            .spawn(async move { answer.give(work.await) })
            .map(ReadJob)
            .ok_or_else(|| PyRuntimeError::new_err("the reader is closed, or of another process"))
    }
}

/// Work under way.
#[pyclass(frozen, module = "eventfold._core")]
pub struct ReadJob(reader::Job);

#[pymethods]
impl ReadJob {
    fn cancel(&self) {
        self.0.cancel();
    }
}

/// The pages of a range.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Pages(Arc<Mutex<Reading>>);

impl Pages {
    fn begun(pages: reader::Pages) -> Self {
        Self(Arc::new(Mutex::new(Reading::Begun(pages))))
    }
}

enum Reading {
    /// Nothing was asked for yet.
    New(Pool, Box<reader::Range>),
    Begun(reader::Pages),
}

impl Reading {
    async fn next(&mut self) -> Result<reader::Page, ReadError> {
        if let Self::New(pool, range) = self {
            *self = Self::Begun(reader::Pages::begin(pool.clone(), reader::Range::clone(range)));
        }
        match self {
            Self::Begun(pages) => pages.next().await,
            Self::New(..) => unreachable!("it was begun"),
        }
    }
}
