//! Building a generation of a projection: events are read, folded by their keys, and written as
//! rows, states and a position, in one transaction a batch.
//!
//! A step makes a few batches of what is there. Pages of events are read ahead while those before
//! are folded, and a batch is folded while the one before is written; what of a page does not fit
//! into a batch stays for the next. Behind a step nothing is under way. States are cached from step
//! to step; whenever one fails, or nobody knows whether a commit came through, all that is
//! remembered is forgotten, and the next begins with what the database says. The first statement of
//! each transaction moves the position, on condition that lease and position are those that the
//! batch began with: whoever was overtaken changes nothing.

mod anew;
mod arguments;
mod batch;
mod chosen;
mod digests;
mod drawing;
mod reading;
mod resolving;
mod retrying;
mod rows;
mod seals;
mod sheet;
mod step;
mod stored;
mod streams;
mod trying;
mod verifying;
mod writing;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use eventfold_core::projection::{Projecting, Projection};

use crate::pages::{Form, Order, Range};
use crate::param::Param;
use crate::rules::ReadRules;

pub use retrying::{Retried, Retry, RetryStatements};
pub use seals::Seals;
pub use step::Worker;
pub use trying::{SetAside, Trial, Tried, TriedRows};
pub use verifying::{Compared, Verified, Verifier, VerifyStatements};

/// The statements of a generation; `storage/sql/projections.sql` says what they take and answer.
#[derive(Debug)]
pub struct ProjectionStatements {
    /// Events of the source: of the types `$1`, positions `$2` to `$3`, `$4` at the most, with
    /// copies if `$5`, of the categories `$6` if the source names some; with the number of its
    /// stream for its name.
    pub page: Arc<str>,
    /// The events of one key that is a stream, or the root of some.
    pub key_events: Arc<str>,
    /// Events by their ids `$1`, in the order of these, with the names of their streams; ends with
    /// the one whose data and metadata pass `$2` bytes.
    pub targets: Arc<str>,
    /// Positions and ids of the events at the positions `$1`.
    pub anchor: Arc<str>,
    /// Names and roots of streams by their numbers.
    pub streams: Arc<str>,
    /// How far the generation is.
    pub progress: Arc<str>,
    /// Rows by their keys.
    pub rows: Arc<str>,
    /// Moves the position.
    pub advance: Arc<str>,
    /// Writes rows.
    pub upsert: Arc<str>,
    /// Removes rows.
    pub delete: Arc<str>,
    /// Parks keys.
    pub park_keys: Arc<str>,
    /// Puts events onto the lists of parked keys.
    pub park_events: Arc<str>,
    /// Takes keys off, with their lists.
    pub unpark_keys: Arc<str>,
    /// Gives parked keys other errors.
    pub park_again: Arc<str>,
}

/// What bounds a step, in memory and in time.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// A page of events ends with the one that reaches this.
    pub page_bytes: usize,
    /// One that was read longer ago is read again: what it holds may have been erased meanwhile.
    pub page_age: Duration,
    /// Positions that one statement looks at.
    pub window: i64,
    /// Positions that a page looks at, where most are of other sources.
    pub span: i64,
    /// A page ends where what its events refer to passes this, behind its first event.
    pub targets_bytes: usize,
    /// Events that are referred to, and looked up by one statement.
    pub targets_max: usize,
    /// States that are remembered take about this much when a batch is written, and at most twice
    /// as much before.
    pub cache_bytes: usize,
    /// States that are loaded at once end with the one that passes this.
    pub rows_bytes: i64,
    /// A batch ends with the page in which what it is to write passes this.
    pub batch_bytes: usize,
    /// The same by events.
    pub batch_events: u64,
    /// The same by time.
    pub batch_time: Duration,
    /// Batches of a step, each a transaction.
    pub batches: usize,
    /// How long the lease lasts from each step on.
    pub lease: Duration,
    /// A position that moves without events is not written more often than once in this time.
    pub quiet: Duration,
    /// Rows that are folded without being written.
    pub sheet_bytes: usize,
    /// Drawing keys for a verification from the log ends here, however few were found.
    pub draw_time: Duration,
    /// Parked keys that one transaction of a retry takes.
    pub retry_keys: i64,
    /// The same by events, behind the first key.
    pub retry_events: i64,
}

/// A generation, and the lease that it is built under.
#[derive(Debug)]
pub struct Generation {
    /// Its number.
    pub generation_no: i64,
    /// The fencing token.
    pub lease: i64,
    /// The document.
    pub projection: Arc<Projection>,
    /// Its statements.
    pub statements: ProjectionStatements,
    /// What bounds its steps.
    pub bounds: Bounds,
    /// How its rows are sealed under the rules that it goes by.
    pub seals: RwLock<Seals>,
}

impl Generation {
    fn seals(&self) -> Seals {
        self.seals.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The fold by its keys, with nothing known.
    fn projecting(&self) -> Projecting {
        let marks = self.seals().marks;
        let of_one = !marks.state.is_empty() || marks.columns.contains(&true);
        Projecting::new(Arc::clone(&self.projection)).of_one_subject(of_one)
    }

    /// A page of rows for it, by a statement.
    fn rows_of(&self, sql: &Arc<str>, params: Vec<Param>, rules: &ReadRules) -> Range {
        Range {
            sql: Arc::clone(sql),
            params,
            order: Order::Positions,
            backwards: false,
            window: None,
            form: Form::Rows(None),
            page_bytes: self.bounds.page_bytes,
            rules: Some(rules.clone()),
        }
    }
}

/// What a step came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Position up to which the generation is, as the database has it.
    pub position: i64,
    /// Events that were folded or put onto lists.
    pub events: u64,
    /// Rows that were written or removed.
    pub rows: usize,
    /// Keys that were parked.
    pub parked: usize,
    /// No event of the source is left up to where the step was to go.
    pub done: bool,
    /// The lease is somebody else's, or the generation is gone: nothing more was written.
    pub fenced: bool,
    /// Why the generation stopped at the event behind `position`: JSON with reason, message, facts.
    pub stopped: Option<String>,
}
