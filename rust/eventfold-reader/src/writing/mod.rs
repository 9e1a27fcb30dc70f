//! Writes appends: one statement for a batch, on one connection that is kept.

mod columns;
mod ids;
mod outcomes;

use std::fmt;
use std::sync::Arc;

use eventfold_core::append::{Append, Decision};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;

use crate::connection::Connection;
use crate::error::ReadError;
use crate::settings::Settings;
use columns::{Alone, Numbered};

pub use ids::new_id;

/// The server became a standby, or always was one: a new connection may find the primary.
const READ_ONLY: &str = "25006";

/// Why nothing is known to be stored.
#[derive(Debug, Clone)]
pub enum WriteError {
    /// PostgreSQL refused the statement: nothing is stored.
    Refused(ReadError),
    /// There was no connection to send it on: nothing is stored.
    Unsent,
    /// The connection broke, or the answer made no sense: nobody knows.
    Unknown(String),
    /// The commit did not wait for its standby: it is on this disk, and may be lost with the
    /// machine.
    Unreplicated,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Unsent => f.write_str("there is no connection to PostgreSQL"),
            Self::Unknown(message) => f.write_str(message),
            Self::Unreplicated => f.write_str("the commit did not wait for its standby"),
        }
    }
}

impl std::error::Error for WriteError {}

impl From<ReadError> for WriteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Refused { .. } => Self::Refused(error),
            ReadError::Lost(message) => Self::Unknown(message),
            ReadError::Core(_) | ReadError::Stale(_) => Self::Unknown(error.to_string()),
        }
    }
}

/// The statements of a writer.
#[derive(Debug)]
pub struct Statements {
    /// Stores one append to one stream.
    pub alone: Arc<str>,
    /// Stores a batch.
    pub batch: Arc<str>,
}

/// Writes to one store, one batch at a time.
#[derive(Clone)]
pub struct Writer(Arc<Shared>);

struct Shared {
    settings: Arc<Settings>,
    statements: Statements,
    connection: Mutex<Option<Connection>>,
}

impl Writer {
    /// Opens nothing yet.
    pub fn new(settings: Settings, statements: Statements) -> Self {
        let settings = Arc::new(settings);
        Self(Arc::new(Shared { settings, statements, connection: Mutex::default() }))
    }

    /// Whether a batch could be sent now.
    pub fn is_ready(&self) -> bool {
        let connection = self.0.connection.try_lock();
        connection.is_ok_and(|connection| connection.as_ref().is_some_and(|c| !c.is_closed()))
    }

    /// Connects if need be.
    pub async fn ready(&self) -> Result<(), ReadError> {
        let mut connection = self.0.connection.lock().await;
        if connection.as_ref().is_none_or(Connection::is_closed) {
            *connection = None;
            *connection = Some(Connection::open(&self.0.settings).await?);
        }
        Ok(())
    }

    /// Decides on each append, in order, in one transaction.
    ///
    /// Plain ones come first; no two of these may be on one stream or hold the same id. The
    /// decisions on an append that is stored or known are one a part, in order; those on one that
    /// is not hold what did not pass. The work must not be dropped: the statement is carried
    /// through.
    pub async fn store(&self, batch: &[Arc<Append>]) -> Result<Vec<Vec<Decision>>, WriteError> {
        let mut slot = self.0.connection.lock().await;
        let Some(connection) = slot.as_mut().filter(|connection| !connection.is_closed()) else {
            return Err(WriteError::Unsent);
        };
        let written = timeout(self.0.settings.answer_timeout, self.send(connection, batch));
        let result = match written.await {
            Ok(Ok((_, true))) => Err(WriteError::Unreplicated),
            // It is committed, whatever came back.
            Ok(Ok((decisions, false))) => decisions
                .ok_or_else(|| WriteError::Unknown("PostgreSQL answered otherwise".to_owned())),
            Ok(Err(error)) => Err(WriteError::from(ReadError::from(error))),
            Err(_) => Err(ReadError::timeout().into()),
        };
        if let Err(error) = &result {
            let lost = match error {
                WriteError::Refused(ReadError::Refused { sqlstate, .. }) => sqlstate == READ_ONLY,
                WriteError::Unreplicated => false,
                _ => true,
            };
            if lost && let Some(connection) = slot.take() {
                connection.kill();
            }
        }
        result
    }

    /// What the database decided, if it can be read, and whether the commit did not wait for its
    /// standby.
    async fn send(
        &self,
        connection: &mut Connection,
        batch: &[Arc<Append>],
    ) -> Result<(Option<Vec<Vec<Decision>>>, bool), tokio_postgres::Error> {
        let statements = &self.0.statements;
        let decisions = if let [one] = batch
            && one.is_plain()
        {
            // Less work for PostgreSQL than a batch of one.
            let params = Alone::params(one);
            let rows = connection.write(&statements.alone, &as_dyn(&params)).await?;
            outcomes::of_one(&rows)
        } else {
            let numbered = Numbered::new(batch);
            let params = numbered.params();
            let rows = connection.write(&statements.batch, &as_dyn(&params)).await?;
            outcomes::of_batch(&rows, &numbered)
        };
        Ok((decisions, connection.take_unreplicated()))
    }
}

fn as_dyn<P: ToSql + Sync>(params: &[P]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}
