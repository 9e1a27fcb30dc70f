//! Reading a range of events page by page, one page ahead of whoever takes them.

use std::sync::Arc;

use eventfold_core::envelope::References;
use eventfold_core::error::CoreError;
use eventfold_core::rows::{COLUMNS, Page as _};
use eventfold_core::wire;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::ahead::RowsAhead;
use crate::connection::Rows;
use crate::error::ReadError;
use crate::mapping::RowMapper;
use crate::param::Param;
use crate::pool::{Lease, Pool};
use crate::row::{Changed, One, PgRows, cell};
use crate::rules::ReadRules;

/// Where the arguments stand that change from one statement of a range to the next: the key, the
/// lower bound, the upper one (both inclusive), and the most rows that it may answer.
pub(crate) const KEY: usize = 0;
pub(crate) const LOWER: usize = 1;
pub(crate) const UPPER: usize = 2;
pub(crate) const ROWS: usize = 3;
/// Most rows that one statement answers, so that none holds its snapshot for long.
pub(crate) const STATEMENT_ROWS_MAX: i64 = 20_000;
/// Where the version of the catalogue stands, in rows that have it: behind the name of the root.
const CATALOGUE: usize = COLUMNS + 1;

/// What the rows of a range are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Versions of one stream.
    Versions,
    /// Positions of the log.
    Positions,
    /// Spans of versions of several streams, one after the other: the key and the bounds are arrays
    /// with an element for each, and each holds an event.
    Spans,
}

/// What becomes of the rows of a page.
#[derive(Debug, Clone)]
pub enum Form {
    /// Field 1 of a read's message; the name of the stream, where rows leave it out.
    Encoded(Option<String>),
    /// The same, and the page tells what its events refer to.
    Referring(Option<String>),
    /// Rows; the name of the stream, where these leave it out.
    Rows(Option<String>),
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
    /// What events are read by; `None`: as they are stored. The first row may say behind all other
    /// columns which version the catalogue has: if that is another, nothing is read.
    pub rules: Option<ReadRules>,
}

impl Range {
    pub(crate) fn bound(&self, at: usize) -> i64 {
        match self.params.get(at) {
            Some(Param::Int(value)) => *value,
            _ => 0,
        }
    }
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
    /// Id of the last event; nil without one.
    pub last_id: [u8; 16],
    /// What the events refer to, where the form asks for it.
    pub references: References,
    /// Up to where the range was looked at, by version or position; `None`: not even its
    /// beginning.
    pub looked_at: Option<i64>,
    /// The lowest epoch of the keyring in which a value of it was opened: to be held to before it
    /// leaves the process; `None`: none was.
    pub opened_epoch: Option<u64>,
    /// Whether this is the last page; only that one may be empty.
    pub done: bool,
}

/// The pages of a range. While one is worked on, the next is fetched.
#[derive(Debug)]
pub struct Pages(mpsc::Receiver<Result<Page, ReadError>>);

impl Pages {
    /// Begins to read; to be called on the thread of the runtime.
    pub fn begin(pool: Pool, range: Range) -> Self {
        Self::go_on(Reading::new(pool, range))
    }

    /// Goes on with a range.
    pub(crate) fn go_on(mut reading: Reading) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            if let Err(error) = reading.run(&sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Self(receiver)
    }

    /// The next page; not to be asked for behind the last one, or after an error.
    pub async fn next(&mut self) -> Result<Page, ReadError> {
        // The task has panicked if it left without a word: no page must seem to be the last.
        let message = "the reader stopped or panicked; the server's log says more";
        self.0.recv().await.unwrap_or_else(|| Err(CoreError::new("BUG", message).into()))
    }
}

/// A statement that is under way.
struct Statement {
    rows: RowsAhead,
    lease: Lease,
    /// Most rows that it answers, and how many it has answered.
    rows_max: i64,
    rows_seen: i64,
    /// Where the part of the range ends that it looks at.
    end: i64,
}

/// A range on its way.
pub(crate) struct Reading {
    pool: Pool,
    /// Its arguments are those of what is left.
    range: Range,
    rows_left: i64,
    looked_at: Option<i64>,
    /// All of the range was looked at.
    exhausted: bool,
    /// The rules are known to be new enough.
    is_fresh: bool,
    /// `None`: events are read as they are stored.
    mapper: Option<RowMapper>,
    /// Why the event behind the last page cannot be read.
    failed: Option<CoreError>,
    /// The stream of the first span, once a row of it came.
    stream: Option<String>,
    statement: Option<Statement>,
}

impl Reading {
    pub(crate) fn new(pool: Pool, range: Range) -> Self {
        let stream = match &range.form {
            Form::Encoded(stream) | Form::Referring(stream) | Form::Rows(stream) => {
                stream.as_deref()
            }
        };
        let mut reading = Self {
            mapper: RowMapper::of(range.rules.as_ref(), stream),
            failed: None,
            pool,
            rows_left: 0,
            range,
            looked_at: None,
            exhausted: false,
            is_fresh: false,
            stream: None,
            statement: None,
        };
        reading.rows_left = reading.bound(ROWS);
        reading.exhausted = match reading.range.order {
            Order::Versions | Order::Positions => reading.bound(LOWER) > reading.bound(UPPER),
            Order::Spans => reading.spans(LOWER).is_empty(),
        };
        reading
    }

    /// Takes up a statement that was begun already, which may also answer events beyond the range.
    pub(crate) fn take_up(&mut self, rows: Rows, lease: Lease, rows_max: i64) {
        let end = self.bound(if self.range.backwards { LOWER } else { UPPER });
        let rows = RowsAhead::new(rows);
        self.statement = Some(Statement { rows, lease, rows_max, rows_seen: 0, end });
    }

    /// Sends all pages. The room for one is waited for before it is read, so that there is never
    /// more than one ahead.
    async fn run(
        &mut self,
        pages: &mpsc::Sender<Result<Page, ReadError>>,
    ) -> Result<(), ReadError> {
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

    /// The next page.
    pub(crate) async fn page(&mut self) -> Result<Page, ReadError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
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
            self.check_rules(&row)?;
            if self.is_beyond(&One(&row))? {
                continue;
            }
            let (row, changed) = match (&mut self.mapper, &mut self.statement) {
                (None, _) | (_, None) => (row, None),
                (Some(mapper), Some(statement)) => match mapper.map(row, &mut statement.rows).await
                {
                    Ok(mapped) => mapped,
                    // What was read before it is to arrive.
                    Err(error) if page.rows > 0 => {
                        self.failed = Some(error);
                        break;
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            self.rows_left -= 1;
            self.look_at_row(&One(&row))?;
            page.add(row, changed, &self.range.form)?;
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
        page.opened_epoch = self.mapper.as_mut().and_then(RowMapper::take_opened);
        page.done = self.is_done();
        Ok(page)
    }

    /// Looks at the first row for the version of the catalogue.
    fn check_rules(&mut self, row: &Row) -> Result<(), ReadError> {
        if !std::mem::replace(&mut self.is_fresh, true)
            && let Some(version) = cell(row, CATALOGUE).and_then(|cell| cell.try_into().ok())
        {
            ReadRules::check(self.range.rules.as_ref(), i64::from_be_bytes(version))?;
        }
        Ok(())
    }

    /// Whether an event came in after the bounds of the range were found.
    fn is_beyond(&self, row: &One<'_>) -> Result<bool, ReadError> {
        Ok(self.range.order == Order::Versions && row.version(0)? > self.bound(UPPER))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.exhausted || self.rows_left <= 0
    }

    async fn begin(&mut self) -> Result<Statement, ReadError> {
        let mut params = self.range.params.clone();
        let rows_max = self.rows_left.min(STATEMENT_ROWS_MAX);
        params[ROWS] = Param::Int(rows_max);
        let end = match self.range.order {
            Order::Versions | Order::Positions => self.cut_window(&mut params),
            Order::Spans => self.cut_spans(&mut params, rows_max),
        };
        let mut lease = self.pool.lend().await?;
        let rows = RowsAhead::new(lease.query(&self.range.sql, &params).await?);
        Ok(Statement { rows, lease, rows_max, rows_seen: 0, end })
    }

    /// Cuts what the statement looks at to the window; gives its end.
    fn cut_window(&self, params: &mut [Param]) -> i64 {
        let (lower, upper) = (self.bound(LOWER), self.bound(UPPER));
        match (self.range.backwards, self.range.window) {
            (false, None) => upper,
            (true, None) => lower,
            (false, Some(window)) => {
                let end = upper.min(lower.saturating_add(window - 1));
                params[UPPER] = Param::Int(end);
                end
            }
            (true, Some(window)) => {
                let end = lower.max(upper.saturating_sub(window - 1));
                params[LOWER] = Param::Int(end);
                end
            }
        }
    }

    /// Cuts what the statement looks at to the spans that may fill it, since it sorts all of them.
    fn cut_spans(&self, params: &mut [Param], rows_max: i64) -> i64 {
        let mut room = rows_max;
        let mut count = 0;
        for (lower, upper) in self.spans(LOWER).iter().zip(self.spans(UPPER)) {
            if room <= 0 {
                break;
            }
            room -= upper - lower + 1;
            count += 1;
        }
        for param in &mut params[KEY..=UPPER] {
            if let Param::Ints(values) = param {
                values.truncate(count);
            }
        }
        0
    }

    async fn end_of_statement(&mut self) -> Result<(), ReadError> {
        let Some(mut ended) = self.statement.take() else { return Ok(()) };
        ended.lease.finish().await?;
        match self.range.order {
            Order::Versions | Order::Positions if ended.rows_seen < ended.rows_max => {
                self.look_at(ended.end);
            }
            Order::Versions | Order::Positions => {}
            // Versions are dense: only in a log that lost its end is there less than there was.
            Order::Spans => self.exhausted |= ended.rows_seen == 0,
        }
        Ok(())
    }

    /// Notes that the range was looked at up to this row.
    fn look_at_row(&mut self, row: &One<'_>) -> Result<(), ReadError> {
        match self.range.order {
            Order::Versions => self.look_at(row.version(0)?),
            Order::Positions => self.look_at(row.position(0)?),
            Order::Spans => self.look_at_span(row.stream(0)?.unwrap_or_default(), row.version(0)?),
        }
        Ok(())
    }

    fn look_at(&mut self, end: i64) {
        self.looked_at = Some(end);
        if self.range.backwards {
            self.exhausted = end <= self.bound(LOWER);
            self.range.params[UPPER] = Param::Int(end.saturating_sub(1));
        } else {
            self.exhausted = end >= self.bound(UPPER);
            self.range.params[LOWER] = Param::Int(end.saturating_add(1));
        }
    }

    /// Notes that the spans were looked at up to this event.
    fn look_at_span(&mut self, stream: &str, version: i64) {
        if self.stream.as_deref().is_some_and(|known| known != stream) {
            self.next_span();
        }
        if self.stream.is_none() {
            self.stream = Some(stream.to_owned());
        }
        if self.spans(UPPER).first().is_none_or(|upper| *upper <= version) {
            self.next_span();
        } else if let Some(Param::Ints(lowers)) = self.range.params.get_mut(LOWER)
            && let Some(lower) = lowers.first_mut()
        {
            *lower = version + 1;
        }
        self.exhausted = self.spans(UPPER).is_empty();
    }

    fn next_span(&mut self) {
        self.stream = None;
        for param in &mut self.range.params[KEY..=UPPER] {
            if let Param::Ints(values) = param
                && !values.is_empty()
            {
                values.remove(0);
            }
        }
    }

    fn spans(&self, at: usize) -> &[i64] {
        match self.range.params.get(at) {
            Some(Param::Ints(values)) => values,
            _ => &[],
        }
    }

    fn bound(&self, at: usize) -> i64 {
        self.range.bound(at)
    }
}

impl Page {
    fn empty(form: &Form) -> Self {
        let content = match form {
            Form::Encoded(_) | Form::Referring(_) => Content::Encoded(Vec::new()),
            Form::Rows(_) => Content::Rows(PgRows::default()),
        };
        Self {
            content,
            rows: 0,
            last_version: 0,
            last_position: 0,
            last_id: [0; 16],
            references: References::default(),
            looked_at: None,
            opened_epoch: None,
            done: false,
        }
    }

    fn add(&mut self, row: Row, changed: Option<Changed>, form: &Form) -> Result<(), ReadError> {
        self.rows += 1;
        self.last_version = One(&row).version(0)?;
        self.last_position = One(&row).position(0)?;
        self.last_id = *One(&row).event_id(0)?;
        if let Form::Referring(_) = form {
            self.references.extend(One(&row).row(0)?.references());
        }
        match (&mut self.content, form) {
            (Content::Rows(rows), _) => rows.push(row, changed),
            (
                Content::Encoded(bytes),
                Form::Encoded(stream) | Form::Referring(stream) | Form::Rows(stream),
            ) => {
                let one = One(&row);
                let mut event = one.row(0)?;
                if let Some(changed) = &changed {
                    (event.data, event.flags) = (&changed.data, changed.flags);
                }
                wire::write_row(&event, stream.as_deref(), bytes)?;
            }
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
