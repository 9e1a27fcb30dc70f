//! The thread of a process that all channels work on.

use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle};
use tokio::task::AbortHandle;

/// The process that has the thread, and the way to it.
static RUNTIME: Mutex<Option<(u32, Handle)>> = Mutex::new(None);

/// The way to the thread, which is started if this process has none: a child has none after a fork.
pub(crate) fn handle() -> io::Result<Handle> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, handle)) = &*runtime
        && *owner == process
    {
        return Ok(handle.clone());
    }
    // Names are resolved on another thread, which ends when it idles.
    let made = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_name("eventfold-names")
        .build()?;
    let handle = made.handle().clone();
    // It lives as long as the process, and a process may end while it works.
    std::thread::Builder::new()
        .name("eventfold".to_owned())
        .spawn(move || made.block_on(std::future::pending::<()>()))?;
    // What the parent had belongs to the parent: dropping it here could wait for a lock that one of
    // its threads held.
    std::mem::forget(runtime.replace((process, handle.clone())));
    Ok(handle)
}

/// Work that can be given up.
#[derive(Debug)]
pub struct Job {
    task: AbortHandle,
    process: u32,
}

impl Job {
    pub(crate) fn new(task: AbortHandle) -> Self {
        Self { task, process: std::process::id() }
    }

    /// Ends the work where it is; nothing happens if it is done, or is that of a parent.
    pub fn cancel(&self) {
        if self.process == std::process::id() {
            self.task.abort();
        }
    }
}
