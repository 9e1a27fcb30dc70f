//! Pages of a projection's source, one of them read ahead.

use std::time::Instant;

use eventfold_core::error::CoreError;
use tokio::task::JoinHandle;

use super::Generation;
use super::streams::{NamedRows, Streams};
use crate::error::ReadError;
use crate::pages::{Content, Form, Order, Range, Reading};
use crate::param::Param;
use crate::pool::Pool;

/// Position and id of an event.
pub(super) type Anchor = (i64, [u8; 16]);

/// Events of the source, in order.
#[derive(Debug)]
pub(super) struct SourcePage {
    pub rows: NamedRows,
    /// Index of the first row that is not folded yet.
    pub next: usize,
    /// Position up to which there are no other events of the source.
    pub looked_at: i64,
    pub read_at: Instant,
    /// If the log has this event, the page is of the log.
    pub anchor: Option<Anchor>,
}

impl SourcePage {
    /// Reads the events behind a position, up to another that lies above it; at most so many.
    pub(super) async fn read(
        pool: Pool,
        generation: &Generation,
        streams: &Streams,
        after: i64,
        up_to: i64,
        rows_max: i64,
    ) -> Result<Self, ReadError> {
        let bounds = &generation.bounds;
        let end = up_to.min(after.saturating_add(bounds.span));
        let mut params = vec![
            Param::Texts(generation.projection.types().to_vec()),
            Param::Int(after + 1),
            Param::Int(end),
            Param::Int(rows_max),
        ];
        params.extend(generation.projection.categories().map(|c| Param::Texts(c.to_vec())));
        let range = Range {
            sql: generation.statements.page.clone(),
            params,
            order: Order::Positions,
            backwards: false,
            window: Some(bounds.window),
            form: Form::Rows,
            page_bytes: bounds.page_bytes,
        };
        let page = Reading::new(pool.clone(), range).page().await?;
        let Content::Rows(rows) = page.content else {
            return Err(CoreError::new("BUG", "a page of rows was asked for").into());
        };
        let rows = streams.name(rows, &pool, generation).await?;
        let looked_at = page.looked_at.unwrap_or(after);
        Ok(Self { rows, next: 0, looked_at, read_at: Instant::now(), anchor: None })
    }
}

/// A page on its way, while the one before is folded and written.
#[derive(Debug)]
pub(super) struct Ahead {
    after: i64,
    pub up_to: i64,
    pub begun: Instant,
    task: JoinHandle<Result<SourcePage, ReadError>>,
}

impl Ahead {
    /// Begins to read.
    pub(super) fn begin(
        reading: impl Future<Output = Result<SourcePage, ReadError>> + Send + 'static,
        after: i64,
        up_to: i64,
    ) -> Self {
        Self { after, up_to, begun: Instant::now(), task: tokio::spawn(reading) }
    }

    /// Whether it begins behind this position.
    pub(super) fn is_behind(&self, position: i64) -> bool {
        self.after == position
    }

    /// The page.
    pub(super) async fn page(mut self) -> Result<SourcePage, ReadError> {
        let panicked = |_| CoreError::new("BUG", "reading panicked; the server's log says where");
        (&mut self.task).await.map_err(panicked)?
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}
