//! Reading a range of events page by page, one page ahead of whoever takes them.

use std::sync::Arc;

use eventfold_core::rows::Page as _;
use eventfold_core::wire;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::connection::Rows;
use crate::error::ReadError;
use crate::param::Param;
use crate::pool::{Lease, Pool};
use crate::row::{One, PgRows};

/// Where the arguments stand that change from one statement of a range to the next: the lower
/// bound, the upper one (both inclusive), and the most rows that it may answer.
const LOWER: usize = 1;
const UPPER: usize = 2;
const ROWS: usize = 3;
/// Most rows that one statement answers, so that none holds its snapshot for long.
const STATEMENT_ROWS_MAX: i64 = 20_000;

/// What the rows of a range are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Versions of one stream.
    Versions,
    /// Positions of the log.
    Positions,
    /// Streams, as the database numbers them, and their versions: the lower bound is the name of
    /// a stream, the upper one a version, and rows come from behind that event.
    Streams,
}

/// What becomes of the rows of a page.
#[derive(Debug, Clone)]
pub enum Form {
    /// Field 1 of a read's message; the name of the stream, where rows leave it out.
    Encoded(Option<String>),
    /// Rows as they are.
    Rows,
}

/// A range to be read.
#[derive(Debug, Clone)]
pub struct Range {
    /// The statement, with the columns that the core expects.
    pub sql: Arc<str>,
    /// All its arguments; the second to the fourth are those of the first statement.
    pub params: Vec<Param>,
    /// What the rows are ordered by.
    pub order: Order,
    /// Whether from the upper bound down.
    pub backwards: bool,
    /// Width of the part of the range that one statement looks at, where few rows of many may be
    /// wanted; `None`: all of it.
    pub window: Option<i64>,
    /// What pages hold.
    pub form: Form,
    /// A page ends with the event that reaches this.
    pub page_bytes: usize,
}

/// What a page holds.
#[derive(Debug)]
pub enum Content {
    /// See [`Form::Encoded`].
    Encoded(Vec<u8>),
    /// See [`Form::Rows`].
    Rows(PgRows),
}

/// Some of the events of a range, in order.
#[derive(Debug)]
pub struct Page {
    /// The events.
    pub content: Content,
    /// Their number.
    pub rows: usize,
    /// Version of the last event; 0 without one.
    pub last_version: i64,
    /// Position of the last event; 0 without one.
    pub last_position: i64,
    /// Up to where the range was looked at, by version or position; `None`: not even its
    /// beginning.
    pub looked_at: Option<i64>,
    /// Whether this is the last page; only that one may be empty.
    pub done: bool,
}

/// The pages of a range. While one is worked on, the next is fetched.
#[derive(Debug)]
pub struct Pages(mpsc::Receiver<Result<Page, ReadError>>);

impl Pages {
    /// Begins to read; to be called on the thread of the runtime.
    pub fn begin(pool: Pool, range: Range) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut reading = Reading::new(pool, range);
            if let Err(error) = reading.run(&sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Self(receiver)
    }

    /// The next page; `None` behind the last one, and after an error.
    pub async fn next(&mut self) -> Option<Result<Page, ReadError>> {
        self.0.recv().await
    }
}

/// A statement that is under way.
struct Statement {
    rows: Rows,
    lease: Lease,
    /// Most rows that it answers, and how many it has answered.
    rows_max: i64,
    rows_seen: i64,
    /// Where the part of the range ends that it looks at.
    end: i64,
}

/// A range on its way.
struct Reading {
    pool: Pool,
    /// Its arguments are those of what is left.
    range: Range,
    rows_left: i64,
    looked_at: Option<i64>,
    /// All of the range was looked at.
    exhausted: bool,
    statement: Option<Statement>,
}

impl Reading {
    fn new(pool: Pool, range: Range) -> Self {
        let mut reading =
            Self { pool, rows_left: 0, range, looked_at: None, exhausted: false, statement: None };
        reading.rows_left = reading.bound(ROWS);
        reading.exhausted =
            reading.range.order != Order::Streams && reading.bound(LOWER) > reading.bound(UPPER);
        reading
    }

    /// Sends all pages. The room for one is waited for before it is read, so that there is never
    /// more than one ahead.
    async fn run(&mut self, pages: &mpsc::Sender<Result<Page, ReadError>>) -> Result<(), ReadError> {
        let grace = self.pool.settings().grace;
        loop {
            let room = match timeout(grace, pages.reserve()).await {
                Ok(room) => room,
                Err(_) => {
                    // The reader takes its time: the connection is for others meanwhile.
                    self.statement = None;
                    pages.reserve().await
                }
            };
            // Nobody wants more.
            let Ok(room) = room else { return Ok(()) };
            let page = self.page().await?;
            let done = page.done;
            room.send(Ok(page));
            if done {
                return Ok(());
            }
        }
    }

    async fn page(&mut self) -> Result<Page, ReadError> {
        let mut page = Page::empty(&self.range.form);
        while !self.is_done() {
            let statement = match &mut self.statement {
                Some(statement) => statement,
                None => {
                    let begun = self.begin().await?;
                    self.statement.insert(begun)
                }
            };
            let Some(row) = statement.rows.next().await? else {
                self.end_of_statement().await?;
                // A page does not wait for what a filter may find far away.
                if page.rows > 0 && self.range.window.is_some() {
                    break;
                }
                continue;
            };
            statement.rows_seen += 1;
            self.rows_left -= 1;
            self.look_at_row(&One(&row))?;
            page.add(row, &self.range.form)?;
            if page.bytes() >= self.range.page_bytes {
                break;
            }
        }
        if self.is_done()
            && let Some(mut statement) = self.statement.take()
            // It has answered all that it may; else it is given up.
            && statement.rows.next().await?.is_none()
        {
            statement.lease.finish().await?;
        }
        page.looked_at = self.looked_at;
        page.done = self.is_done();
        Ok(page)
    }

    fn is_done(&self) -> bool {
        self.exhausted || self.rows_left <= 0
    }

    async fn begin(&mut self) -> Result<Statement, ReadError> {
        let mut params = self.range.params.clone();
        let rows_max = self.rows_left.min(STATEMENT_ROWS_MAX);
        params[ROWS] = Param::Int(rows_max);
        let (lower, upper) = (self.bound(LOWER), self.bound(UPPER));
        let mut end = if self.range.backwards { lower } else { upper };
        if let Some(window) = self.range.window {
            end = if self.range.backwards {
                lower.max(upper.saturating_sub(window - 1))
            } else {
                upper.min(lower.saturating_add(window - 1))
            };
            params[if self.range.backwards { LOWER } else { UPPER }] = Param::Int(end);
        }
        let mut lease = self.pool.lend().await?;
        let rows = lease.query(&self.range.sql, &params).await?;
        Ok(Statement { rows, lease, rows_max, rows_seen: 0, end })
    }

    async fn end_of_statement(&mut self) -> Result<(), ReadError> {
        let Some(mut ended) = self.statement.take() else { return Ok(()) };
        ended.lease.finish().await?;
        if ended.rows_seen < ended.rows_max {
            match self.range.order {
                Order::Streams => self.exhausted = true,
                Order::Versions | Order::Positions => self.look_at(ended.end),
            }
        }
        Ok(())
    }

    /// Notes that the range was looked at up to this row.
    fn look_at_row(&mut self, row: &One<'_>) -> Result<(), ReadError> {
        match self.range.order {
            Order::Versions => self.look_at(row.version(0)?),
            Order::Positions => self.look_at(row.position(0)?),
            Order::Streams => {
                let name = row.stream(0)?.unwrap_or_default();
                self.range.params[LOWER] = Param::Text(name.to_owned());
                self.range.params[UPPER] = Param::Int(row.version(0)?);
            }
        }
        Ok(())
    }

    fn look_at(&mut self, end: i64) {
        self.looked_at = Some(end);
        if self.range.backwards {
            self.range.params[UPPER] = Param::Int(end - 1);
        } else {
            self.range.params[LOWER] = Param::Int(end + 1);
        }
        self.exhausted = self.bound(LOWER) > self.bound(UPPER);
    }

    fn bound(&self, at: usize) -> i64 {
        match self.range.params.get(at) {
            Some(Param::Int(value)) => *value,
            _ => 0,
        }
    }
}

impl Page {
    fn empty(form: &Form) -> Self {
        let content = match form {
            Form::Encoded(_) => Content::Encoded(Vec::new()),
            Form::Rows => Content::Rows(PgRows::default()),
        };
        Self { content, rows: 0, last_version: 0, last_position: 0, looked_at: None, done: false }
    }

    fn add(&mut self, row: Row, form: &Form) -> Result<(), ReadError> {
        self.rows += 1;
        self.last_version = One(&row).version(0)?;
        self.last_position = One(&row).position(0)?;
        match (&mut self.content, form) {
            (Content::Rows(rows), _) => rows.push(row),
            (Content::Encoded(bytes), Form::Encoded(stream)) => {
                wire::write_row(&One(&row).row(0)?, stream.as_deref(), bytes)?;
            }
            (Content::Encoded(_), Form::Rows) => {}
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        match &self.content {
            Content::Encoded(bytes) => bytes.len(),
            Content::Rows(rows) => rows.bytes,
        }
    }
}
