//! Reads of the database, for asyncio.

mod answers;
mod arguments;
mod done;

use std::future::Future;
use std::sync::Arc;

use eventfold_reader::{self as reader, Hydration, Pool, ReadError, Runtime};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use tokio::sync::Mutex;

pub use answers::{Hydrated, KeptState, Page, ReaderError};

use super::fold::Fold;
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
        let runtime = Runtime::start(settings.fold_threads)?;
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
        let done = self.completions.take();
        let done = done.into_iter().map(|(future, result)| answers::told(py, future, result));
        PyList::new(py, done.collect::<PyResult<Vec<_>>>()?)
    }

    fn nothing(&self, future: Py<PyAny>) -> PyResult<ReadJob> {
        self.begin(future, async { Ok(Done::Nothing) })
    }

    #[pyo3(signature = (sql, params, order, page_bytes, *, backwards = false, window = None,
        encoded = true, stream = None))]
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
    ) -> PyResult<Pages> {
        let range =
            arguments::range(sql, params, order, backwards, window, encoded, stream, page_bytes)?;
        Ok(Pages(Arc::new(Mutex::new(Reading::New(self.pool.clone(), Box::new(range))))))
    }

    fn next(&self, future: Py<PyAny>, pages: &Bound<'_, Pages>) -> PyResult<ReadJob> {
        let pages = Arc::clone(&pages.get().0);
        self.begin(future, async move {
            let mut pages = pages.lock().await;
            pages.next().await.map(|page| Done::Page(Box::new(page)))
        })
    }

    #[pyo3(signature = (future, stream, fold, *, source, kept, may_go_on, up_to, head, first,
        first_rows, rest, inline_steps_max, slice_steps_max))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn hydrate(
        &self,
        future: Py<PyAny>,
        stream: String,
        fold: &Bound<'_, Fold>,
        source: Option<String>,
        kept: Option<KeptArgument>,
        may_go_on: bool,
        up_to: Option<i64>,
        head: (String, Bound<'_, PyTuple>),
        first: (String, Bound<'_, PyTuple>),
        first_rows: usize,
        rest: (String, Bound<'_, PyTuple>),
        inline_steps_max: u64,
        slice_steps_max: u64,
    ) -> PyResult<ReadJob> {
        let hydration = Hydration {
            stream,
            fold: fold.get().shared(),
            source,
            kept: kept.map(arguments::kept),
            may_go_on,
            up_to,
            head: arguments::statement(head)?,
            first: arguments::statement(first)?,
            first_rows,
            rest: arguments::statement(rest)?,
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
