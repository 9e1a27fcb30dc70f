//! Reads a store in PostgreSQL: rows become the bytes of an answer, or the state of a fold. And
//! writes to it: a batch of checked appends becomes one statement, its rows become decisions;
//! events become the rows of a projection.
//!
//! The only crate of the product with I/O. It knows tokio-postgres and `eventfold-core`, neither
//! SQL nor Python: statements come as texts, with the columns of [`eventfold_core::rows`] in
//! their order. Everything here runs on the one thread of a [`Runtime`], but for folding that
//! takes long; what writes has a runtime of its own.

mod ahead;
mod arrays;
mod cancel;
mod connection;
mod error;
mod failpoint;
mod hydration;
mod kept;
pub mod keys;
mod mapping;
mod opening;
mod pages;
mod param;
mod pool;
mod projecting;
mod resolving;
mod row;
mod rules;
mod runtime;
mod settings;
mod showing;
mod tls;
mod writing;

pub use error::ReadError;
pub use failpoint::FAILPOINTS;
pub use hydration::{Folded, Head, Hydrated, Hydration, Kept, Outcome, Statement};
pub use kept::{KeptPlace, KeptText};
pub use opening::{End, Found, Opened, Opening};
pub use pages::{Content, Form, Order, Page, Pages, Range};
pub use param::Param;
pub use pool::Pool;
pub use projecting::{
    Bounds, Compared, Generation, ProjectionStatements, Retried, Retry, RetryStatements, Seals,
    SetAside, Step, Trial, Tried, TriedRows, Verified, Verifier, VerifyStatements, Worker,
};
pub use resolving::{Resolved, Resolving};
pub use row::PgRows;
pub use rules::{ReadRules, Showing};
pub use runtime::{Job, Runtime};
pub use settings::{Address, Attempt, Session, Settings, TlsUse};
pub use showing::replaced_types;
pub use tls::{Identity, Tls, Verify};
pub use writing::{Statements, WriteError, Writer, new_id};
