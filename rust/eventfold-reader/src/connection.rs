//! One session of PostgreSQL.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::future::{FutureExt, join, poll_fn, try_join};
use futures_util::{StreamExt, pin_mut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Row, RowStream, Statement};

use crate::cancel::cancel;
use crate::error::ReadError;
use crate::param::Param;
use crate::settings::{Attempt, Settings};

/// The server is starting, or stopping: another one may be there.
const CANNOT_CONNECT_NOW: &str = "57P03";
const QUERY_CANCELED: &str = "57014";

/// A session, for one statement at a time.
pub(crate) struct Connection {
    client: Client,
    settings: Arc<Settings>,
    /// The one that let us in.
    attempt: Attempt,
    /// By their text; behind a pooler there are none.
    statements: HashMap<Arc<str>, Statement>,
    in_transaction: bool,
    /// PostgreSQL warned that a commit did not wait for its standby.
    unreplicated: Arc<AtomicBool>,
    task: AbortHandle,
    pub(crate) used_at: Instant,
}

/// Rows of a statement that is still under way.
pub(crate) struct Rows {
    stream: std::pin::Pin<Box<RowStream>>,
    settings: Arc<Settings>,
}

impl Rows {
    /// The next row; `None` when the statement is done.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, ReadError> {
        // Most rows are there already, and need no timer.
        let next = match self.stream.next().now_or_never() {
            Some(next) => next,
            None => timeout(self.settings.answer_timeout, self.stream.next())
                .await
                .map_err(|_| ReadError::timeout())?,
        };
        Ok(next.transpose()?)
    }
}

impl Connection {
    /// Tries each way to a server, until one lets us in.
    pub(crate) async fn open(settings: &Arc<Settings>) -> Result<Self, ReadError> {
        let mut last = ReadError::Lost("there is no server to connect to".to_owned());
        for session in settings.sessions() {
            for (index, attempt) in settings.attempts.iter().enumerate() {
                let config = settings.config(attempt, *session);
                let connecting = config.connect(settings.tls.connector());
                let error = match timeout(settings.connect_timeout, connecting).await {
                    Ok(Ok((client, connection))) => {
                        let unreplicated = Arc::new(AtomicBool::new(false));
                        let task = tokio::spawn(drive(connection, Arc::clone(&unreplicated)));
                        return Ok(Self {
                            client,
                            settings: Arc::clone(settings),
                            attempt: attempt.clone(),
                            statements: HashMap::new(),
                            in_transaction: false,
                            unreplicated,
                            task: task.abort_handle(),
                            used_at: Instant::now(),
                        });
                    }
                    Ok(Err(error)) => ReadError::from(error),
                    Err(_) => ReadError::timeout(),
                };
                if !may_go_on(&error, attempt, settings.attempts.get(index + 1)) {
                    return Err(error);
                }
                last = error;
            }
        }
        Err(last)
    }

    /// Whether the connection is known to be broken.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Begins a statement.
    pub(crate) async fn query(
        &mut self,
        sql: &Arc<str>,
        params: &[Param],
    ) -> Result<Rows, ReadError> {
        let limit = self.settings.answer_timeout;
        let settings = Arc::clone(&self.settings);
        let stream = timeout(limit, async {
            if self.settings.pooled {
                self.query_unnamed(sql, params).await
            } else {
                let statement = self.statement(sql).await?;
                self.client.query_raw(&statement, arguments(params)).await
            }
        })
        .await
        .map_err(|_| ReadError::timeout())??;
        Ok(Rows { stream: Box::pin(stream), settings })
    }

    /// Begins two statements at once, of which the first answers one row.
    pub(crate) async fn query_both(
        &mut self,
        first: (&Arc<str>, &[Param]),
        second: (&Arc<str>, &[Param]),
    ) -> Result<(Option<Row>, Rows), ReadError> {
        let limit = self.settings.answer_timeout;
        let settings = Arc::clone(&self.settings);
        let (row, stream) = timeout(limit, async {
            if self.settings.pooled {
                let stream = self.query_unnamed(first.0, first.1).await?;
                let row = only_row(stream).await?;
                return Ok((row, self.query_unnamed(second.0, second.1).await?));
            }
            let head = self.statement(first.0).await?;
            let page = self.statement(second.0).await?;
            // Polled in order, so sent in order; PostgreSQL answers in order too.
            try_join(
                async { only_row(self.client.query_raw(&head, arguments(first.1)).await?).await },
                self.client.query_raw(&page, arguments(second.1)),
            )
            .await
        })
        .await
        .map_err(|_| ReadError::timeout())??;
        Ok((row, Rows { stream: Box::pin(stream), settings }))
    }

    async fn statement(&mut self, sql: &Arc<str>) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(Arc::clone(sql), statement.clone());
        Ok(statement)
    }

    /// Sends a statement without a name, in a transaction of its own that says its settings; in one
    /// go with the beginning of the transaction.
    async fn query_unnamed(
        &mut self,
        sql: &Arc<str>,
        params: &[Param],
    ) -> Result<RowStream, tokio_postgres::Error> {
        let typed = arguments(params).map(|param| (param, Type::UNKNOWN));
        if self.in_transaction {
            return self.client.query_typed_raw(sql, typed).await;
        }
        let begin = self.begin("BEGIN READ ONLY");
        self.in_transaction = true;
        let begin = self.client.batch_execute(&begin);
        let query = self.client.query_typed_raw(sql, typed);
        try_join(begin, query).await.map(|(_, stream)| stream)
    }

    /// The rows that a statement answers which writes, as a transaction of its own.
    pub(crate) async fn write(
        &mut self,
        sql: &Arc<str>,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.unreplicated.store(false, Ordering::Relaxed);
        if !self.settings.pooled {
            let statement = self.statement(sql).await?;
            return self.client.query(&statement, params).await;
        }
        // Whatever the default is: the checks of an append need it.
        let begin = self.begin("BEGIN ISOLATION LEVEL READ COMMITTED");
        let typed = unnamed(params);
        let (begun, rows) =
            join(self.client.batch_execute(&begin), self.client.query_typed(sql, &typed)).await;
        let rows = begun.and(rows);
        let end = if rows.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.client.batch_execute(end).await;
        let rows = rows?;
        ended.map(|()| rows)
    }

    /// Begins a transaction that writes, in one go with its first statement; gives the number of
    /// rows that this changed.
    pub(crate) async fn begin_writing(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, ReadError> {
        let begin = self.begin("BEGIN ISOLATION LEVEL READ COMMITTED");
        let typed = unnamed(params);
        let begun = join(self.client.batch_execute(&begin), self.client.execute_typed(sql, &typed));
        let (begun, changed) =
            timeout(self.settings.answer_timeout, begun).await.map_err(|_| ReadError::timeout())?;
        begun?;
        Ok(changed?)
    }

    /// Goes on with it; gives the number of rows that were changed. Without names, since each table
    /// has statements of its own.
    pub(crate) async fn execute(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, ReadError> {
        let typed = unnamed(params);
        let executed = self.client.execute_typed(sql, &typed);
        let limit = self.settings.answer_timeout;
        Ok(timeout(limit, executed).await.map_err(|_| ReadError::timeout())??)
    }

    /// The rows that a statement answers which changes nothing, as a transaction of its own and
    /// without a name.
    pub(crate) async fn answers(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, ReadError> {
        let begin = self.begin("BEGIN READ ONLY");
        let typed = unnamed(params);
        let answered =
            join(self.client.batch_execute(&begin), self.client.query_typed(sql, &typed));
        let (begun, rows) = timeout(self.settings.answer_timeout, answered)
            .await
            .map_err(|_| ReadError::timeout())?;
        begun?;
        let rows = rows?;
        self.end_writing("COMMIT").await?;
        Ok(rows)
    }

    /// Ends it, by COMMIT or ROLLBACK.
    pub(crate) async fn end_writing(&mut self, end: &str) -> Result<(), ReadError> {
        self.used_at = Instant::now();
        timeout(self.settings.answer_timeout, self.client.batch_execute(end))
            .await
            .map_err(|_| ReadError::timeout())?
            .map_err(ReadError::from)
    }

    /// Whether the commit before did not wait for its standby.
    pub(crate) fn take_unreplicated(&self) -> bool {
        self.unreplicated.swap(false, Ordering::Relaxed)
    }

    /// Begins a transaction that says its settings.
    fn begin(&self, begin: &str) -> String {
        let mut begin = begin.to_owned();
        for (name, value) in &self.settings.told {
            begin.push_str(&format!("; SET LOCAL {name} = '{value}'"));
        }
        begin
    }

    /// Ends what was begun, after all rows were read.
    pub(crate) async fn finish(&mut self) -> Result<(), ReadError> {
        self.used_at = Instant::now();
        if std::mem::take(&mut self.in_transaction) {
            timeout(self.settings.answer_timeout, self.client.batch_execute("COMMIT"))
                .await
                .map_err(|_| ReadError::timeout())??;
        }
        Ok(())
    }

    /// Ends a statement whose rows nobody wants any more; false if the connection is of no more
    /// use.
    pub(crate) async fn drain(&mut self) -> bool {
        // PgBouncer 1.18 may end itself at a request to cancel. A connection that is cut off takes
        // its session with it, and a new one to the pooler is cheap.
        if self.settings.pooled {
            return false;
        }
        let drained = async {
            let token = self.client.cancel_token();
            if cancel(&token, &self.attempt, &self.settings).await.is_err() {
                // Nobody knows whether the request is still on its way.
                return false;
            }
            // Answered behind the rows that were left. A cancellation that came too late for the
            // statement hits this one; the next is beyond it.
            match self.client.batch_execute("").await {
                Err(error) if error.code().is_some_and(|code| code.code() == QUERY_CANCELED) => {
                    self.client.batch_execute("").await.is_ok()
                }
                result => result.is_ok(),
            }
        };
        self.used_at = Instant::now();
        timeout(self.settings.drain_timeout, drained).await.unwrap_or(false)
    }

    /// Cuts the connection off, whatever it is doing.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

/// Moves what is sent and received. A broken connection fails whatever waits for it, which tells.
async fn drive<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    unreplicated: Arc<AtomicBool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        // Told by the place in PostgreSQL's source, since the text comes in the server's
        // language. It comes before the end of the answer, so it is noted before that is read.
        if let AsyncMessage::Notice(notice) = message
            && notice.routine() == Some("SyncRepWaitForLSN")
        {
            unreplicated.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether the next attempt has a chance after this one failed.
fn may_go_on(error: &ReadError, attempt: &Attempt, next: Option<&Attempt>) -> bool {
    match error {
        ReadError::Refused { sqlstate, .. } if sqlstate != CANNOT_CONNECT_NOW => {
            // The same server may let in with TLS who it refuses without, or the reverse.
            next.is_some_and(|next| next.address == attempt.address && next.port == attempt.port)
        }
        _ => true,
    }
}

/// Arguments whose types the statement tells.
fn unnamed<'a>(params: &[&'a (dyn ToSql + Sync)]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().map(|param| (*param, Type::UNKNOWN)).collect()
}

fn arguments(
    params: &[Param],
) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> + Clone + use<'_> {
    params.iter().map(|param| param as &(dyn ToSql + Sync))
}

/// The row of a statement that answers one.
async fn only_row(stream: RowStream) -> Result<Option<Row>, tokio_postgres::Error> {
    pin_mut!(stream);
    let mut row = None;
    while let Some(next) = stream.next().await {
        row = Some(next?);
    }
    Ok(row)
}
