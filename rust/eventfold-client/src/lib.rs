//! gRPC over HTTP/2 for the SDK: calls go out and come in on one thread of the process.
//!
//! Messages are bytes on both sides. Whoever calls is told by a [`Reply`], so that neither threads
//! nor event loops are known here. It stands on `h2` and not on a gRPC library: the framing of gRPC
//! is two pages, every failure keeps its cause, and no task stands between a call and its
//! connection.

mod appends;
mod call;
mod channel;
mod connect;
mod error;
mod keepalive;
mod message;
mod reply;
mod runtime;
mod settings;
mod stream;
mod target;

pub use appends::{AppendSession, Outcome, SessionLimits, Ticket};
pub use channel::Channel;
pub use error::{CallError, Code};
pub use reply::Reply;
pub use runtime::Job;
pub use settings::{Authorities, Settings};
pub use stream::Call;
