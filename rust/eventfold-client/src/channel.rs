//! A channel: one connection, opened when it is needed and again when it broke.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use h2::client::SendRequest;
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::connect::{self, Connection};
use crate::error::CallError;
use crate::keepalive;
use crate::reply::Reply;
use crate::runtime;
use crate::settings::Settings;

/// For names, TCP and TLS together.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// A channel to one server. It belongs to the process that made it.
pub struct Channel {
    shared: Arc<Shared>,
    process: u32,
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    runtime: Handle,
    tls: Option<Arc<ClientConfig>>,
    state: Mutex<State>,
    /// Connections in a row of which no call came back.
    failures: AtomicUsize,
    /// Becomes true once.
    closed: watch::Sender<bool>,
    /// The number of calls under way.
    calls: watch::Sender<usize>,
}

enum State {
    Idle,
    /// Changes, or is gone, when the attempt is over.
    Connecting(watch::Receiver<()>),
    Ready(Ready),
    /// No attempt is made before that moment.
    Failed(Instant, CallError),
    Closed,
}

struct Ready {
    sender: SendRequest<Bytes>,
    connected: Arc<Connected>,
}

/// What is known of one connection.
#[derive(Default)]
pub(crate) struct Connected {
    signs: AtomicU64,
    calls: AtomicUsize,
    is_used: AtomicBool,
}

impl Connected {
    /// Counts what has come.
    pub(crate) fn signs(&self) -> u64 {
        self.signs.load(Ordering::Relaxed)
    }

    /// Whether calls are under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.calls.load(Ordering::Relaxed) > 0
    }
}

/// One call's tie to its connection.
pub(crate) struct Life {
    shared: Arc<Shared>,
    connected: Arc<Connected>,
}

impl Life {
    fn new(shared: &Arc<Shared>, connected: &Arc<Connected>) -> Self {
        connected.calls.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(shared), connected: Arc::clone(connected) }
    }

    /// Something came.
    pub(crate) fn sign(&self) {
        self.connected.signs.fetch_add(1, Ordering::Relaxed);
        if !self.connected.is_used.swap(true, Ordering::Relaxed) {
            self.shared.failures.store(0, Ordering::Relaxed);
        }
    }

    /// What a failure of the stream means.
    pub(crate) fn error(&self, error: &h2::Error) -> CallError {
        if self.shared.is_closed() { CallError::closed() } else { CallError::of_h2(error) }
    }

    /// The connection takes no more calls.
    pub(crate) fn gone(&self) {
        self.shared.lost(&self.connected, None);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.connected.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call under way, until it has been told.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.calls.send_modify(|calls| *calls += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.calls.send_modify(|calls| *calls -= 1);
    }
}

impl Channel {
    /// Nothing is sent yet.
    ///
    /// Errors are sentences for people: the authorities cannot be read.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let tls = settings.authorities.as_ref().map(connect::tls).transpose()?;
        let runtime =
            runtime::handle().map_err(|error: io::Error| format!("no thread: {error}"))?;
        let shared = Shared {
            settings,
            runtime,
            tls,
            state: Mutex::new(State::Idle),
            failures: AtomicUsize::new(0),
            closed: watch::Sender::new(false),
            calls: watch::Sender::new(0),
        };
        Ok(Self { shared: Arc::new(shared), process: std::process::id() })
    }

    /// Closes the channel, and tells when all calls that were under way have been told.
    pub fn finish(&self, reply: Reply<()>) {
        self.close();
        let mut calls = self.shared.calls.subscribe();
        self.shared.runtime.spawn(async move {
            let over = calls.wait_for(|calls| *calls == 0).await;
            reply.give(over.map(|_| ()).map_err(|_| CallError::closed()));
        });
    }

    /// Ends the connection. Calls under way fail; closing twice is allowed.
    pub fn close(&self) {
        if self.process == std::process::id() {
            let before = std::mem::replace(&mut *self.shared.state(), State::Closed);
            self.shared.closed.send_replace(true);
            drop(before);
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.close();
        if self.process != std::process::id() {
            // A thread of the parent may have held a lock at the fork: what is its, is left alone.
            std::mem::forget(Arc::clone(&self.shared));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(&*self.state(), State::Closed)
    }

    /// Begins the work of a call.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let under_way = UnderWay::new(self);
        self.runtime.spawn(async move {
            work.await;
            drop(under_way);
        })
    }

    async fn until_closed(&self) {
        // An error cannot come: the sender is here.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// The way to the server, when there is one.
    pub(crate) async fn sender(self: &Arc<Self>) -> Result<(SendRequest<Bytes>, Life), CallError> {
        let mut is_new = true;
        loop {
            let mut attempt = match &mut *self.state() {
                State::Closed => return Err(CallError::closed()),
                State::Ready(ready) => {
                    return Ok((ready.sender.clone(), Life::new(self, &ready.connected)));
                }
                // Who waited for this very attempt shares its failure.
                State::Failed(until, error) if !is_new || Instant::now() < *until => {
                    return Err(error.clone());
                }
                State::Connecting(attempt) => attempt.clone(),
                state => {
                    let (done, attempt) = watch::channel(());
                    *state = State::Connecting(attempt.clone());
                    self.runtime.spawn(Arc::clone(self).connect(done));
                    attempt
                }
            };
            is_new = false;
            tokio::select! {
                // An error means the same: it is over.
                _ = attempt.changed() => {}
                () = self.until_closed() => {}
            }
        }
    }

    async fn connect(self: Arc<Self>, _done: watch::Sender<()>) {
        let opened = timeout(CONNECT_MAX, connect::open(&self.settings, self.tls.clone())).await;
        let late = || Err(CallError::unavailable("cannot connect: nobody answers"));
        let opened = opened.unwrap_or_else(|_| late());
        let mut state = self.state();
        if matches!(&*state, State::Closed) {
            return;
        }
        match opened {
            Err(error) => *state = self.failed(error),
            Ok((sender, connection)) => {
                let connected = Arc::new(Connected::default());
                let drive = Arc::clone(&self).drive(connection, Arc::clone(&connected));
                *state = State::Ready(Ready { sender, connected });
                drop(state);
                self.runtime.spawn(drive);
            }
        }
    }

    /// Sends and receives until the connection is over.
    async fn drive(self: Arc<Self>, mut connection: Connection, connected: Arc<Connected>) {
        let ping_pong = connection.ping_pong();
        let quiet = keepalive::lost(ping_pong, Arc::clone(&connected), self.settings.keepalive);
        let error = tokio::select! {
            end = connection => match end {
                Ok(()) => CallError::unavailable("the server closed the connection"),
                Err(error) => CallError::of_h2(&error),
            },
            () = quiet => CallError::unavailable("the server gives no sign of life"),
            () = self.until_closed() => return,
        };
        self.lost(&connected, Some(error));
    }

    /// A connection is of no more use.
    fn lost(&self, connected: &Arc<Connected>, error: Option<CallError>) {
        let mut state = self.state();
        let is_current =
            matches!(&*state, State::Ready(ready) if Arc::ptr_eq(&ready.connected, connected));
        if !is_current {
            return;
        }
        let before = match error {
            // It never was of use: whoever listens there may be no server.
            Some(error) if !connected.is_used.load(Ordering::Relaxed) => {
                let failed = self.failed(error);
                std::mem::replace(&mut *state, failed)
            }
            _ => std::mem::replace(&mut *state, State::Idle),
        };
        drop(state);
        // Without the way to it, the connection ends with the last call that is under way on it.
        drop(before);
    }

    fn failed(&self, error: CallError) -> State {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        State::Failed(Instant::now() + backoff(self.settings.backoff, failures), error)
    }
}

/// Pause after so many failures before: doubled each time, and between four and six fifths of that,
/// so that clients that failed together do not come back together.
fn backoff((first, longest): (Duration, Duration), failures: usize) -> Duration {
    let pause = first.saturating_mul(1 << failures.min(16)).min(longest);
    let noise = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    pause.mul_f64(0.8 + 0.4 * f64::from(noise % 1_024) / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let limits = (Duration::from_millis(50), Duration::from_secs(5));
        for (failures, pause_ms) in [(0, 50.0), (1, 100.0), (6, 3_200.0), (7, 5_000.0), (99, 5e3)] {
            let found = backoff(limits, failures).as_secs_f64() * 1e3 / pause_ms;
            assert!((0.799..1.201).contains(&found), "{failures}: {found}");
        }
    }
}
