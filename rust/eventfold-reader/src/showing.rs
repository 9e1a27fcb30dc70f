//! Showing the sealed values of rows as they come.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use eventfold_core::envelope::FLAG_SEALED;
use eventfold_core::error::CoreError;
use eventfold_core::privacy::{
    DataKey, Keys, Look, Personal, SealedPointers, ShowError, Sight, SubjectId, show_data,
};
use eventfold_core::rows::{Page, Tags};
use tokio_postgres::Row;

use crate::ahead::RowsAhead;
use crate::keys::{Keyring, unavailable};
use crate::row::{Changed, One};
use crate::rules::Showing;

/// In-memory mark of data in which values are absent; never stored or sent.
const FLAG_ABSENT: i32 = 512;

/// How often keys are asked for that go while they are used, before the reader is told.
const FETCHES_MAX: usize = 4;
/// Keys of rows before that are at hand; in most logs neighbours need the same ones.
const NEAR_KEYS_MAX: usize = 4;

/// Shows the rows of one read, one after the other.
pub(crate) struct Shower {
    showing: Showing,
    near: Near,
    last: LastPointers,
    opened: Option<u64>,
}

/// The pointers of the row that was shown last: those of the next one are mostly the same.
#[derive(Default)]
struct LastPointers(RefCell<(Vec<Box<str>>, Arc<SealedPointers>)>);

impl LastPointers {
    fn of(&self, paths: &Tags<'_>) -> Arc<SealedPointers> {
        let (texts, pointers) = &mut *self.0.borrow_mut();
        if !paths.iter().eq(texts.iter().map(|text| &**text)) {
            *texts = paths.iter().map(Box::from).collect();
            *pointers = Arc::new(SealedPointers::of(paths.iter()));
        }
        Arc::clone(pointers)
    }
}

impl Shower {
    pub(crate) fn new(showing: Showing) -> Self {
        let near = Near { keyring: Arc::clone(&showing.keyring), keys: RefCell::default() };
        Self { showing, near, last: LastPointers::default(), opened: None }
    }

    /// The lowest epoch of the keyring in which a value was opened since this was asked last.
    pub(crate) fn take_opened(&mut self) -> Option<u64> {
        self.opened.take()
    }

    /// The row with its sealed values shown; `None`: it has none. Keys that are missing are asked
    /// for together with those of the rows that come next.
    pub(crate) async fn show(
        &mut self,
        row: &Row,
        mut ahead: Option<&mut RowsAhead>,
    ) -> Result<Option<Changed>, CoreError> {
        if !is_sealed(&One(row), 0)? {
            return Ok(None);
        }
        for _ in 0..FETCHES_MAX {
            let missing = match self.try_show(row)? {
                Ok(shown) => return Ok(shown),
                Err(missing) => missing,
            };
            if let Some(rows) = ahead.take() {
                let mut wanted: HashSet<SubjectId> = missing.into_iter().collect();
                for row in rows.look().await {
                    wanted.extend(self.missing(row));
                }
                // What cannot be had of them concerns the rows that need it.
                _ = self.showing.keyring.fetch(&wanted.into_iter().collect::<Vec<_>>()).await;
            } else {
                self.showing.keyring.fetch(&missing).await?;
            }
        }
        Err(unavailable("keys go faster than they are used"))
    }

    fn try_show(
        &mut self,
        row: &Row,
    ) -> Result<Result<Option<Changed>, Vec<SubjectId>>, CoreError> {
        let epoch = self.near.begin();
        let shown =
            show_by(&self.showing, &self.near, &self.last, &One(row), 0).inspect_err(|error| {
                if error.reason == "EVENT_CORRUPT" {
                    self.showing.keyring.count_failed();
                }
            })?;
        if shown.is_ok() && self.showing.sight != Sight::Withhold {
            self.opened = Some(self.opened.map_or(epoch, |opened| opened.min(epoch)));
        }
        Ok(shown)
    }

    /// Subjects of a row whose keys are missing. Whatever is wrong with it shows when its turn
    /// comes.
    fn missing(&self, row: &Row) -> Vec<SubjectId> {
        let is_sealed = is_sealed(&One(row), 0).unwrap_or(false);
        let shown = is_sealed.then(|| {
            // What is shown next is another row than those ahead.
            show_by(&self.showing, &self.near, &LastPointers::default(), &One(row), 0)
        });
        match shown {
            Some(Ok(Err(missing))) => missing,
            _ => Vec::new(),
        }
    }
}

/// A keyring with some keys at hand, without a lock.
struct Near {
    keyring: Arc<Keyring>,
    /// Of one epoch, the oldest first.
    keys: RefCell<(u64, Vec<Arc<DataKey>>)>,
}

impl Near {
    /// Lets go of keys that may be gone by now; the epoch of what is found from now on.
    fn begin(&self) -> u64 {
        let epoch = self.keyring.epoch();
        let mut keys = self.keys.borrow_mut();
        if keys.0 != epoch {
            *keys = (epoch, Vec::new());
        }
        epoch
    }
}

impl Keys for Near {
    fn look(&self, subject: &SubjectId, version: u32) -> Look {
        let (_, keys) = &mut *self.keys.borrow_mut();
        let is_it = |key: &&Arc<DataKey>| key.version() == version && key.subject() == subject;
        if let Some(key) = keys.iter().find(is_it) {
            return Look::Key(Arc::clone(key));
        }
        let look = self.keyring.look(subject, version);
        if let Look::Key(key) = &look {
            if keys.len() == NEAR_KEYS_MAX {
                keys.remove(0);
            }
            keys.push(Arc::clone(key));
        }
        look
    }
}

/// Whether a row has sealed values that are still there.
pub(crate) fn is_sealed(page: &impl Page, index: usize) -> Result<bool, CoreError> {
    Ok(page.flags(index)? & FLAG_SEALED != 0)
}

/// The data and flags of a row at an index as its reader sees them; `Err` with subjects whose keys
/// must be fetched first.
pub(crate) fn show(
    showing: &Showing,
    page: &impl Page,
    index: usize,
) -> Result<Result<Option<Changed>, Vec<SubjectId>>, CoreError> {
    show_by(showing, showing.keyring.as_ref(), &LastPointers::default(), page, index)
}

/// The same, with keys that are found there.
fn show_by(
    showing: &Showing,
    keys: &dyn Keys,
    last: &LastPointers,
    page: &impl Page,
    index: usize,
) -> Result<Result<Option<Changed>, Vec<SubjectId>>, CoreError> {
    let row = page.row(index)?;
    if row.deleted {
        return Ok(Ok(None));
    }
    let keyring = &showing.keyring;
    if showing.sight != Sight::Withhold && !keyring.is_leased() {
        return Err(unavailable("the lease of this server has run out"));
    }
    let paths = page.sealed_paths(index)?;
    let personal = showing.personal.get(row.event_type);
    let (mut data, mut opened) = (Vec::with_capacity(row.data.len()), Vec::new());
    let shown = show_data(
        row.data,
        &last.of(&paths),
        (keyring.store_id(), row.event_id),
        showing.sight,
        keys,
        &|pointer| replacement(personal, pointer),
        &mut data,
        &mut opened,
    );
    match shown {
        Ok(absent) => {
            let flags = if absent { row.flags | FLAG_ABSENT } else { row.flags };
            Ok(Ok(Some(Changed { data, flags, opened })))
        }
        Err(ShowError::Missing(missing)) => {
            let mut subjects: Vec<_> = missing.into_iter().map(|(subject, _)| subject).collect();
            subjects.sort_unstable();
            subjects.dedup();
            Ok(Err(subjects))
        }
        Err(ShowError::Corrupt(error)) => Err(error
            .fact("position", row.position)
            .fact("version", row.version)
            .fact("event_id", eventfold_core::envelope::uuid_text(row.event_id))),
    }
}

fn replacement(personal: Option<&Arc<Personal>>, pointer: &str) -> Option<String> {
    personal?.replacement(pointer).map(ToOwned::to_owned)
}

/// Types with replacements, of all that is said of types.
pub fn replaced_types<'a>(
    types: impl IntoIterator<Item = (&'a str, &'a Arc<Personal>)>,
) -> HashMap<Box<str>, Arc<Personal>> {
    let replaces =
        |personal: &Personal| personal.fields().iter().any(|field| field.replacement.is_some());
    let types = types.into_iter().filter(|(_, personal)| replaces(personal));
    types.map(|(event_type, personal)| (event_type.into(), Arc::clone(personal))).collect()
}
