//! Named points at which a test can have the process kill itself, or stand
//! still; see `python/eventfold_server/failpoints.py`, which has those of Python.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// The environment variable that arms a point: its name, or `name:n` for the n-th time;
/// `name:n:stop` stops the process there.
const ENVIRONMENT: &str = "EVENTFOLD_FAILPOINT";

/// All points, in the order in which a step reaches them.
pub const FAILPOINTS: [&str; 8] =
    ["read", "folded", "fenced", "rows", "parked", "unparked", "before_commit", "after_commit"];

/// A point of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failpoint {
    /// A page of events was read.
    Read,
    /// A page was folded; nothing is written.
    Folded,
    /// The position is moved, in a transaction that has not ended.
    Fenced,
    /// Rows are written or removed too.
    Rows,
    /// Keys are parked and events on their lists, if there are any.
    Parked,
    /// A retry has taken keys off, with their lists.
    Unparked,
    /// All is written, and the transaction not committed.
    BeforeCommit,
    /// It is committed, and nobody knows.
    AfterCommit,
}

/// The point that is armed, and the times that are left.
struct Armed {
    name: String,
    left: AtomicU64,
    signal: Signal,
}

/// Ends the process here, as if the machine had lost power, or stops it, if this point is armed.
pub(crate) fn reach(point: Failpoint) {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| std::env::var(ENVIRONMENT).ok().map(|text| parse(&text)));
    let Some(armed) = armed else { return };
    if armed.name == FAILPOINTS[point as usize] && armed.left.fetch_sub(1, Ordering::SeqCst) == 1 {
        let _ = kill_process(getpid(), armed.signal);
        if armed.signal == Signal::STOP {
            return;
        }
        // It may take a moment to arrive.
        loop {
            std::thread::park();
        }
    }
}

fn parse(text: &str) -> Armed {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default().to_owned();
    let left = AtomicU64::new(parts.next().and_then(|times| times.parse().ok()).unwrap_or(1));
    let signal = if parts.next() == Some("stop") { Signal::STOP } else { Signal::KILL };
    Armed { name, left, signal }
}

#[cfg(test)]
mod tests {
    use super::{FAILPOINTS, Failpoint, Signal, parse};

    #[test]
    fn points_have_their_names() {
        assert_eq!(FAILPOINTS[Failpoint::Read as usize], "read");
        assert_eq!(FAILPOINTS[Failpoint::AfterCommit as usize], "after_commit");
        assert_eq!(FAILPOINTS.len(), Failpoint::AfterCommit as usize + 1);
        let armed = parse("rows:3");
        assert_eq!((armed.name.as_str(), armed.left.into_inner()), ("rows", 3));
        assert_eq!(armed.signal, Signal::KILL);
        assert_eq!(parse("rows").left.into_inner(), 1);
        assert_eq!(parse("rows:1:stop").signal, Signal::STOP);
    }
}
