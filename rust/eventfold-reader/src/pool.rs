//! A few connections, lent one at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::Row;

use crate::connection::{Connection, Rows};
use crate::error::ReadError;
use crate::param::Param;
use crate::settings::Settings;

/// Connections to one database. Clones share them.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    settings: Arc<Settings>,
    permits: Arc<Semaphore>,
    /// The one used last stands last.
    idle: Mutex<Vec<Connection>>,
    closed: AtomicBool,
}

impl Pool {
    /// Opens nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Shared {
            permits: Arc::new(Semaphore::new(settings.connections_max)),
            settings: Arc::new(settings),
            idle: Mutex::default(),
            closed: AtomicBool::new(false),
        }))
    }

    /// The settings of all connections.
    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.0.settings
    }

    /// Lends a connection; waits for one if all are lent.
    pub(crate) async fn lend(&self) -> Result<Lease, ReadError> {
        let closed = || ReadError::Lost("the pool is closed".to_owned());
        let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| closed())?;
        let connection = loop {
            match self.idle().pop() {
                Some(connection) if connection.is_closed() => {}
                found => break found,
            }
        };
        let connection = match connection {
            Some(connection) => connection,
            None => Connection::open(&self.0.settings).await?,
        };
        Ok(Lease {
            connection: Some(connection),
            busy: false,
            writing: false,
            pool: self.clone(),
            permit: Some(permit),
        })
    }

    /// Closes the connections that are not lent, and the others once they come back.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.permits.close();
        self.idle().clear();
    }

    fn take_back(&self, connection: Connection) {
        if connection.is_closed() || self.0.closed.load(Ordering::SeqCst) {
            return;
        }
        let mut idle = self.idle();
        let limit = self.0.settings.idle_timeout;
        if let Some(oldest) = Instant::now().checked_sub(limit) {
            idle.retain(|connection| connection.used_at > oldest);
        }
        idle.push(connection);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is lent; it goes back when this is dropped.
pub(crate) struct Lease {
    connection: Option<Connection>,
    /// A statement is under way.
    busy: bool,
    /// A transaction that writes is: it is not for others to end.
    writing: bool,
    pool: Pool,
    /// Given back last, so that there are never more connections than permits.
    permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Begins a statement.
    pub(crate) async fn query(
        &mut self,
        sql: &Arc<str>,
        params: &[Param],
    ) -> Result<Rows, ReadError> {
        self.begin().query(sql, params).await
    }

    /// Begins two statements at once, of which the first answers one row.
    pub(crate) async fn query_both(
        &mut self,
        first: (&Arc<str>, &[Param]),
        second: (&Arc<str>, &[Param]),
    ) -> Result<(Option<Row>, Rows), ReadError> {
        self.begin().query_both(first, second).await
    }

    /// The connection for a transaction that writes; unless `wrote` tells that it ended, the
    /// connection is cut off with this.
    pub(crate) fn writing(&mut self) -> &mut Connection {
        self.writing = true;
        self.begin()
    }

    /// The transaction has ended, one way or the other.
    pub(crate) fn wrote(&mut self) {
        self.writing = false;
        self.busy = false;
    }

    /// To be called after the last row.
    pub(crate) async fn finish(&mut self) -> Result<(), ReadError> {
        let connection = self.connection.as_mut().expect("it is there until it is dropped");
        connection.finish().await?;
        self.busy = false;
        Ok(())
    }

    fn begin(&mut self) -> &mut Connection {
        self.busy = true;
        self.connection.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !self.busy {
            self.pool.take_back(connection);
            return;
        }
        if self.writing {
            connection.kill();
            return;
        }
        // At the end of the runtime there is nobody to drain it any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (pool, permit) = (self.pool.clone(), self.permit.take());
        runtime.spawn(async move {
            let mut connection = connection;
            if connection.drain().await {
                pool.take_back(connection);
            } else {
                connection.kill();
            }
            drop(permit);
        });
    }
}
