//! The protocol of drivers, described in `drivers/protocol.py`: a JSON line asks for a cell of the
//! measurement, a JSON line answers.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What the harness asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Name of the workload.
    pub r#do: String,
    /// How long to repeat the operation; it runs once at the least.
    pub seconds: f64,
    /// How many callers do it side by side.
    pub in_flight: usize,
    /// Events of one append.
    pub batch: usize,
    /// Stream to read or fold.
    pub stream: String,
}

/// What one caller did.
#[derive(Debug, Default)]
pub struct Done {
    /// Time of each operation.
    pub latencies: Vec<Duration>,
    /// What the last operation returned: the number of its events, or the balance.
    pub result: i64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Answer {
    operations: usize,
    elapsed_s: f64,
    cpu_s: f64,
    latencies_us: Vec<u64>,
    result: i64,
}

/// A clock that runs over a cell.
pub struct Cell {
    start: Instant,
    cpu_s: f64,
    /// When callers stop to begin another operation.
    pub deadline: Instant,
}

impl Cell {
    /// Starts the clock.
    pub fn begin(seconds: f64) -> Self {
        let start = Instant::now();
        Self { start, cpu_s: cpu_seconds(), deadline: start + Duration::from_secs_f64(seconds) }
    }

    /// Stops the clock and sums up what all callers did.
    pub fn end(&self, done: Vec<Done>) -> Answer {
        let elapsed_s = self.start.elapsed().as_secs_f64();
        let latencies: Vec<_> = done.iter().flat_map(|one| &one.latencies).collect();
        Answer {
            operations: latencies.len(),
            elapsed_s,
            cpu_s: cpu_seconds() - self.cpu_s,
            latencies_us: latencies.iter().map(|one| one.as_micros() as u64).collect(),
            result: done.first().map_or(0, |one| one.result),
        }
    }
}

/// CPU time of this process so far.
fn cpu_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct that it is handed, and an all-zero rusage is valid.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
