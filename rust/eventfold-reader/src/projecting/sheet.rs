//! Rows of a projection in memory, where it is folded without being written.

use std::collections::HashMap;

use eventfold_core::error::CoreError;
use eventfold_core::projection::{ChangedRow, Changes, Keys, Known, Projecting};
use eventfold_core::rows::Page;

/// States that are handed over before folding goes on; what did not fit follows in the next round.
const KNOWN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Rows by their keys.
///
/// Stands for the table: whatever was folded is committed to it at once, and is taken from it when
/// the fold asks for a key.
#[derive(Debug)]
pub(super) struct Sheet {
    projecting: Projecting,
    pub rows: HashMap<String, Cell>,
    /// Keys that failed, and why; in the order in which they did.
    pub failed: Vec<(String, CoreError)>,
    /// The events of these from the failing one on.
    pub set_aside: Vec<(String, i64)>,
    /// Number of events that were folded.
    pub events: u64,
    /// Why folding ended.
    pub stopped: Option<CoreError>,
    /// Of all rows.
    pub bytes: usize,
}

/// What the sheet has of a key.
#[derive(Debug)]
pub(super) enum Cell {
    /// As it came from the table; its columns are not known.
    Loaded(ChangedRow),
    /// Changed since.
    Changed(ChangedRow),
    /// Deleted since.
    Gone,
    /// Set aside since an event of it failed. With it the row from before that event.
    Parked(Box<Cell>),
}

impl Cell {
    /// The row that a table would have.
    pub(super) fn row(&self) -> Option<&ChangedRow> {
        match self {
            Self::Loaded(row) | Self::Changed(row) => Some(row),
            Self::Gone => None,
            Self::Parked(before) => before.row(),
        }
    }

    /// The same.
    pub(super) fn into_row(self) -> Option<ChangedRow> {
        match self {
            Self::Loaded(row) | Self::Changed(row) => Some(row),
            Self::Gone => None,
            Self::Parked(before) => before.into_row(),
        }
    }
}

impl Sheet {
    pub(super) fn new(projecting: Projecting) -> Self {
        Self {
            projecting,
            rows: HashMap::new(),
            failed: Vec::new(),
            set_aside: Vec::new(),
            events: 0,
            stopped: None,
            bytes: 0,
        }
    }

    /// The keys of the rows of a page from an index on, of as many as take no long time.
    pub(super) fn keys(&mut self, page: &impl Page, from: usize) -> Result<Keys, CoreError> {
        self.projecting.keys(page, from)
    }

    /// Takes over what the table has of a key.
    pub(super) fn load(&mut self, key: &str, known: Known<'_>) {
        if let Known::Row { state, version, position, shown, whose } = known {
            let (key, state, columns) = (key.to_owned(), state.to_vec(), Vec::new());
            let row = ChangedRow { key, state, shown, version, position, columns, whose };
            self.put(row.key.clone(), Cell::Loaded(row));
        }
    }

    /// Folds the rows of a page from `from` on; gives the index of the first that is not folded,
    /// which is the end, unless `stopped` says why.
    pub(super) fn fold(&mut self, page: &impl Page, from: usize) -> Result<usize, CoreError> {
        let mut next = from;
        let mut idle = 0;
        while next < page.len() {
            let keys = self.projecting.keys(page, next)?;
            let mut known = 0;
            for key in self.projecting.unknown(&keys) {
                if known >= KNOWN_BYTES_MAX {
                    break;
                }
                known += self.know(&key)?;
            }
            let changes = self.projecting.fold(page, &keys)?;
            idle = if changes.next == next { idle + 1 } else { 0 };
            next = changes.next;
            self.take_over(changes);
            self.projecting.committed();
            if self.stopped.is_some() {
                return Ok(next);
            }
            if idle > 1 {
                return Err(CoreError::new("BUG", "a fold by keys does not go on"));
            }
        }
        Ok(next)
    }

    /// Tells the fold what there is of a key; gives the bytes of its state.
    fn know(&mut self, key: &str) -> Result<usize, CoreError> {
        let known = match self.rows.get(key) {
            None | Some(Cell::Gone) => Known::Absent,
            Some(Cell::Parked(_)) => Known::Parked,
            Some(Cell::Loaded(row) | Cell::Changed(row)) => Known::Row {
                state: &row.state,
                version: row.version,
                position: row.position,
                shown: row.shown,
                whose: row.whose,
            },
        };
        let bytes = if let Known::Row { state, .. } = known { state.len() } else { 0 };
        self.projecting.know(key, known)?;
        Ok(bytes + key.len())
    }

    fn take_over(&mut self, changes: Changes) {
        for row in changes.upserts {
            self.put(row.key.clone(), Cell::Changed(row));
        }
        for key in changes.deletes {
            self.put(key, Cell::Gone);
        }
        for (key, error) in changes.parked_keys {
            let before = self.rows.remove(&key).unwrap_or(Cell::Gone);
            self.rows.insert(key.clone(), Cell::Parked(Box::new(before)));
            self.failed.push((key, error));
        }
        self.set_aside.extend(changes.parked_events);
        self.events += changes.events;
        self.stopped = changes.stopped;
    }

    fn put(&mut self, key: String, cell: Cell) {
        self.bytes += size_of_cell(&key, &cell);
        if let Some(old) = self.rows.get(&key) {
            self.bytes = self.bytes.saturating_sub(size_of_cell(&key, old));
        }
        self.rows.insert(key, cell);
    }

    /// Takes a key out, whose events are not to come any more.
    pub(super) fn take(&mut self, key: &str) -> Cell {
        let Some(cell) = self.rows.remove(key) else { return Cell::Gone };
        self.bytes = self.bytes.saturating_sub(size_of_cell(key, &cell));
        cell
    }
}

fn size_of_cell(key: &str, cell: &Cell) -> usize {
    let row = cell.row().map_or(0, |row| {
        let columns = row.columns.iter().map(|text| 24 + text.as_ref().map_or(0, String::len));
        row.key.len() + row.state.len() + columns.sum::<usize>()
    });
    size_of::<Cell>() + key.len() + row
}
