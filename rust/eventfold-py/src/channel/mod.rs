//! The SDK's channel to a server: for threads, which wait here, and for event loops.

mod append_session;
mod call;
mod told;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use eventfold_client::{self as client, Authorities, Reply, SessionLimits};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

pub use append_session::{AppendSession, SentAppend};
pub use call::Call;
pub use told::{CallError, decode_appended};

use told::{Completions, Told, future_reply};

/// How to connect; the keys are those of `eventfold._core.ChannelSettings`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct ChannelSettings {
    target: String,
    is_tls: bool,
    authorities: Option<Vec<u8>>,
    user_agent: String,
    token: Option<String>,
    message_bytes_max: usize,
    backoff_s: (f64, f64),
    keepalive_s: (f64, f64),
}

impl ChannelSettings {
    fn settings(self) -> Result<client::Settings, String> {
        let authorities = self.authorities.map_or(Authorities::System, Authorities::Pem);
        let pair =
            |(first, second)| (Duration::from_secs_f64(first), Duration::from_secs_f64(second));
        client::Settings::new(
            &self.target,
            self.is_tls.then_some(authorities),
            &self.user_agent,
            self.token.as_deref(),
            self.message_bytes_max,
            pair(self.backoff_s),
            pair(self.keepalive_s),
        )
    }
}

/// A channel to one server; calls share one connection.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Channel {
    channel: client::Channel,
    completions: Arc<Completions>,
    message_bytes_max: usize,
}

#[pymethods]
impl Channel {
    #[new]
    fn new(settings: ChannelSettings) -> PyResult<Self> {
        let message_bytes_max = settings.message_bytes_max;
        let settings = settings.settings().map_err(PyValueError::new_err)?;
        Ok(Self {
            channel: client::Channel::new(settings).map_err(PyOSError::new_err)?,
            completions: Arc::new(Completions::new()?),
            message_bytes_max,
        })
    }

    #[staticmethod]
    fn check(settings: ChannelSettings) -> PyResult<()> {
        let settings = settings.settings().map_err(PyValueError::new_err)?;
        client::Channel::check(&settings).map_err(PyValueError::new_err)
    }

    fn fileno(&self) -> i32 {
        self.completions.fileno()
    }

    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        told::tell(py, &self.completions)
    }

    fn unary<'py>(
        &self,
        py: Python<'py>,
        path: &str,
        request: &[u8],
        timeout: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        wait::told(py, |reply| {
            let reply = Reply::new(move |result| reply.give(result.map(Told::Message)));
            Some(self.channel.unary(path, request, seconds(timeout), reply))
        })
    }

    fn begin_unary(&self, future: Py<PyAny>, path: &str, request: &[u8], timeout: f64) -> Job {
        let reply = future_reply(future, &self.completions, Told::Message);
        Job(self.channel.unary(path, request, seconds(timeout), reply))
    }

    #[pyo3(signature = (path, request, timeout))]
    fn stream(&self, path: &str, request: &[u8], timeout: Option<f64>) -> Call {
        self.call(self.channel.stream(path, request, timeout.map(seconds)))
    }

    fn session(&self, path: &str) -> Call {
        self.call(self.channel.session(path))
    }

    #[pyo3(signature = (path, *, appends_max, bytes_max, message_bytes_max, idle_s))]
    fn append_session(
        &self,
        path: &str,
        appends_max: usize,
        bytes_max: usize,
        message_bytes_max: usize,
        idle_s: f64,
    ) -> AppendSession {
        let idle = seconds(idle_s);
        let limits = SessionLimits { appends_max, bytes_max, message_bytes_max, idle };
        AppendSession::new(self.channel.append_session(path, limits), &self.completions)
    }

    fn close(&self) {
        self.channel.close();
    }

    fn begin_close(&self, future: Py<PyAny>) {
        self.channel.finish(future_reply(future, &self.completions, |()| Told::Nothing));
    }
}

impl Channel {
    fn call(&self, call: client::Call) -> Call {
        Call::new(call, &self.completions, self.message_bytes_max)
    }
}

/// Timeouts were checked; what is none all the same means now.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Work under way.
#[pyclass(frozen, module = "eventfold._core")]
pub struct Job(client::Job);

#[pymethods]
impl Job {
    fn cancel(&self) {
        self.0.cancel();
    }
}
