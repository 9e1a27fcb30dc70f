//! Drawing keys from the log: from events at random places of the source.

use std::collections::HashSet;
use std::time::Instant;

use eventfold_core::projection::Projecting;
use eventfold_core::rows::Page;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::Generation;
use super::reading::SourcePage;
use super::streams::Streams;
use crate::error::ReadError;
use crate::pool::Pool;
use crate::rules::ReadRules;

/// Events that are read at a random place. A place between two events that lie far apart is likely,
/// so that the first event behind it would be drawn too often.
const PLACE_EVENTS: i64 = 200;
/// Keys of them that are drawn.
const PLACE_KEYS: usize = 8;
/// A source with fewer events is drawn whole.
const WHOLE_EVENTS: i64 = 2_000;
/// Places in a row that brought nothing new: hardly a key is left then.
const IDLE_PLACES_MAX: usize = 200;

/// Draws keys of a generation.
pub(super) struct Drawing<'a> {
    pub pool: &'a Pool,
    pub generation: &'a Generation,
    pub streams: &'a Streams,
    pub rules: &'a ReadRules,
    pub projecting: Projecting,
    /// Most keys.
    pub wanted: usize,
    pub drawn: HashSet<String>,
}

impl Drawing<'_> {
    /// Draws keys of events up to a position.
    pub(super) async fn draw(mut self, up_to: i64) -> Result<Vec<String>, ReadError> {
        let until = Instant::now() + self.generation.bounds.draw_time;
        let Some(first) = self.first(up_to, until).await? else { return Ok(Vec::new()) };
        let begin = first.rows.position(0)?;
        let whole = first.looked_at >= up_to && (first.rows.len() as i64) < WHOLE_EVENTS;
        self.take(&first.rows, if whole { usize::MAX } else { PLACE_KEYS })?;
        let mut idle = 0;
        while !whole
            && self.drawn.len() < self.wanted
            && idle < IDLE_PLACES_MAX
            && Instant::now() < until
        {
            let after = rand::rng().random_range(begin..=up_to) - 1;
            let page = self.page(after, up_to, PLACE_EVENTS).await?;
            idle += 1;
            if self.take(&page.rows, PLACE_KEYS)? {
                idle = 0;
            }
        }
        Ok(self.drawn.into_iter().collect())
    }

    /// The first events of the source.
    async fn first(&self, up_to: i64, until: Instant) -> Result<Option<SourcePage>, ReadError> {
        let mut after = 0;
        while after < up_to && Instant::now() < until {
            let page = self.page(after, up_to, WHOLE_EVENTS).await?;
            if !page.rows.is_empty() {
                return Ok(Some(page));
            }
            after = page.looked_at.max(after + 1);
        }
        Ok(None)
    }

    async fn page(&self, after: i64, up_to: i64, events: i64) -> Result<SourcePage, ReadError> {
        let (pool, generation) = (self.pool.clone(), self.generation);
        SourcePage::read(pool, generation, self.streams, self.rules, after, up_to, events).await
    }

    /// Takes the keys of some of the rows; whether one was new.
    fn take(&mut self, rows: &impl Page, keys_max: usize) -> Result<bool, ReadError> {
        let keys = self.projecting.keys(rows, 0)?;
        let mut indexes: Vec<usize> = (0..keys.end).collect();
        indexes.shuffle(&mut rand::rng());
        let before = self.drawn.len();
        for key in indexes.into_iter().take(keys_max).filter_map(|index| keys.of(index)) {
            if self.drawn.len() >= self.wanted {
                break;
            }
            self.drawn.insert(key.to_owned());
        }
        Ok(self.drawn.len() > before)
    }
}
