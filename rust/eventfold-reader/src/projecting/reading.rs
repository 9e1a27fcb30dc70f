//! Pages of a projection's source, one of them read ahead.

use std::time::Instant;

use eventfold_core::error::CoreError;
use eventfold_core::projection::Resolved;
use eventfold_core::rows::Page as _;
use tokio::task::{JoinError, JoinHandle};

use super::Generation;
use super::resolving::resolve;
use super::streams::{MapEnd, MappedEnd, NamedRows, Streams};
use crate::error::ReadError;
use crate::pages::{Content, Form, Order, Range, Reading};
use crate::param::Param;
use crate::pool::Pool;
use crate::rules::ReadRules;

/// A page of mapped events ends with the one whose new data pass this, together with those before.
const MAPPED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Position and id of an event.
pub(super) type Anchor = (i64, [u8; 16]);

/// Events of the source, in order.
#[derive(Debug)]
pub(super) struct SourcePage {
    /// With what they refer to.
    pub rows: Resolved<NamedRows>,
    /// Index of the first row that is not folded yet.
    pub next: usize,
    /// Position up to which there are no other events of the source.
    pub looked_at: i64,
    pub read_at: Instant,
    /// Why the event behind the last row, and behind `looked_at`, cannot be read.
    pub failed: Option<CoreError>,
    /// If the log has this event, the page is of the log.
    pub anchor: Option<Anchor>,
}

impl SourcePage {
    /// Reads the events behind a position, up to another that lies above it; at most so many. They
    /// end before one that cannot be read.
    pub(super) async fn read(
        pool: Pool,
        generation: &Generation,
        streams: &Streams,
        rules: &ReadRules,
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
            Param::Bool(generation.projection.with_copies()),
        ];
        params.extend(generation.projection.categories().map(|c| Param::Texts(c.to_vec())));
        let range = Range {
            sql: generation.statements.page.clone(),
            params,
            order: Order::Positions,
            backwards: false,
            window: Some(bounds.window),
            form: Form::Rows(None),
            page_bytes: bounds.page_bytes,
            // Their streams have no names yet.
            rules: None,
        };
        let page = Reading::new(pool.clone(), range).page().await?;
        let Content::Rows(rows) = page.content else {
            return Err(CoreError::new("BUG", "a page of rows was asked for").into());
        };
        let rows = streams.name(rows, &pool, generation).await?;
        let (rows, mapped) = mapped(rows, rules).await?;
        let all = rows.len();
        let rows = resolve(rows, 0, &pool, generation, rules).await?;
        let (looked_at, failed) = match (rows.len(), mapped) {
            (len, _) if len < all => (rows.position(len - 1)?, None),
            (_, Some(end)) => (end.looked_at, end.failed),
            (_, None) => (page.looked_at.unwrap_or(after), None),
        };
        Ok(Self { rows, next: 0, looked_at, read_at: Instant::now(), failed, anchor: None })
    }
}

/// Rows with their events mapped, in a thread; as many of them as do not grow too large, and where
/// they end before all others.
async fn mapped(
    mut rows: NamedRows,
    rules: &ReadRules,
) -> Result<(NamedRows, Option<MappedEnd>), ReadError> {
    if rows.is_empty() || (rules.mappings.is_empty() && rules.showing.is_none()) {
        return Ok((rows, None));
    }
    let (mut from, bytes_max) = (0, rows.bytes() + MAPPED_BYTES_MAX);
    loop {
        let by = rules.clone();
        let mapping = tokio::task::spawn_blocking(move || {
            let end = rows.map(from, &by, bytes_max)?;
            Ok::<_, CoreError>((rows, end))
        });
        let end;
        (rows, end) = mapping.await.map_err(panicked)??;
        match (end, &rules.showing) {
            (MapEnd::All, _) => return Ok((rows, None)),
            (MapEnd::Cut(end), _) => return Ok((rows, Some(end))),
            (MapEnd::Missing(index, missing), Some(showing)) => {
                showing.keyring.fetch(&missing).await?;
                from = index;
            }
            (MapEnd::Missing(..), None) => {
                return Err(CoreError::new("BUG", "a key is missing for what is not shown").into());
            }
        }
    }
}

fn panicked(_: JoinError) -> CoreError {
    CoreError::new("BUG", "reading panicked; the server's log says where")
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
        (&mut self.task).await.map_err(panicked)?
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}
