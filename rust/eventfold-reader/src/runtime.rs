//! The thread that all reading happens on, and the one for all writing.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// What folds that are told to stop get to do so.
const STOP: Duration = Duration::from_secs(2);

/// An event loop on a thread of its own, with a few more threads for folds that take long.
pub struct Runtime {
    handle: Handle,
    /// The process that has the thread: a child after a fork has none.
    process: u32,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

/// Work that can be given up.
#[derive(Debug)]
pub struct Job(AbortHandle);

impl Job {
    /// Ends the work where it is; nothing happens if it is done.
    pub fn cancel(&self) {
        self.0.abort();
    }
}

impl Runtime {
    /// Starts the thread, under a name.
    pub fn start(name: &str, fold_threads: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(fold_threads)
            .thread_name("fold")
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Ends when it is told to, or with whoever could tell.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(STOP);
        })?;
        let thread = Mutex::new(Some((stop, thread)));
        Ok(Self { handle, process: std::process::id(), thread })
    }

    /// Begins some work; `None` if the thread is gone: after `stop`, or in the child of a fork.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Option<Job> {
        if self.process != std::process::id() || self.thread().is_none() {
            return None;
        }
        Some(Job(self.handle.spawn(work).abort_handle()))
    }

    /// Ends the thread, and all work where it is.
    pub fn stop(&self) {
        let Some((stop, thread)) = self.thread().take() else { return };
        if self.process != std::process::id() {
            return;
        }
        let _ = stop.send(());
        // It does not panic: tasks do, and are caught.
        let _ = thread.join();
    }

    fn thread(&self) -> std::sync::MutexGuard<'_, Option<(oneshot::Sender<()>, JoinHandle<()>)>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
