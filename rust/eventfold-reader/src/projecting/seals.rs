//! Sealing what is personal of the rows of a generation, and opening it again.

use std::sync::Arc;

use eventfold_core::error::CoreError;
use eventfold_core::privacy::{Look, NONCE_BYTES, SubjectId, Whose};
use eventfold_core::projection::{ChangedRow, Projection, ProjectionMarks, RowPlace, RowText};

use crate::keys::{Keyring, unavailable};

/// Nonces that are drawn at once.
const DRAWN_AT_ONCE: usize = 64;

/// What is personal of the rows of a generation, and the keys for it.
#[derive(Debug, Clone)]
pub struct Seals {
    /// What can be personal under the rules in force.
    pub marks: Arc<ProjectionMarks>,
    /// Which columns of the table are sealed.
    pub columns: Arc<[bool]>,
    /// `None`: nothing can be opened or sealed.
    pub keyring: Option<Arc<Keyring>>,
}

impl Seals {
    /// Whether no row needs any of it.
    pub(super) fn is_empty(&self) -> bool {
        self.marks.is_empty() && !self.columns.contains(&true)
    }

    /// Why rows may not be written: a column that can be personal is not sealed in the table.
    pub(super) fn uncovered(&self, projection: &Projection) -> Option<CoreError> {
        let refused = |column: &str| {
            let message = format!(
                "the column `{column}` can hold personal values by now, and is not sealed: the \
                 projection must be rebuilt"
            );
            CoreError::new("PERSONAL_COLUMN", message)
                .fact("projection", projection.name())
                .fact("column", column)
        };
        if self.marks.key {
            return Some(refused("key"));
        }
        let columns = projection.columns().iter().zip(&self.marks.columns).zip(&*self.columns);
        let mut open = columns.filter(|((_, marked), sealed)| **marked && !**sealed);
        open.next().map(|((column, _), _)| refused(&column.name))
    }

    /// The rows as they are written.
    pub(super) async fn sealed(
        &self,
        generation_no: i64,
        rows: &[ChangedRow],
    ) -> Result<Option<Vec<ChangedRow>>, CoreError> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut sealed = rows.to_vec();
        let mut nonces = Nonces::default();
        for row in &mut sealed {
            self.seal(generation_no, row, &mut nonces).await?;
        }
        Ok(Some(sealed))
    }

    async fn seal(
        &self,
        generation_no: i64,
        row: &mut ChangedRow,
        nonces: &mut Nonces,
    ) -> Result<(), CoreError> {
        let key = match row.whose {
            Whose::Nobody => None,
            Whose::One(subject) => self.current(&subject).await?,
            Whose::Several => return Err(CoreError::new("BUG", "a row is of two subjects")),
        };
        let name = row.key.clone();
        let place = RowPlace { store_id: self.store_id(), generation_no, key: &name };
        let nonce = &mut || nonces.next();
        place.seal(row, &self.marks.state, &self.columns, key.as_deref(), nonce)
    }

    async fn current(
        &self,
        subject: &SubjectId,
    ) -> Result<Option<Arc<eventfold_core::privacy::DataKey>>, CoreError> {
        let keyring = self.keyring()?;
        if matches!(keyring.current(subject), Look::Missing) {
            keyring.fetch(&[*subject]).await?;
        }
        match keyring.current(subject) {
            Look::Key(key) => Ok(Some(key)),
            Look::Erased | Look::Lost => Ok(None),
            Look::Missing => Err(unavailable("a key went while it was used")),
        }
    }

    /// The state of a row, and whose values are in it.
    pub(super) async fn state(
        &self,
        generation_no: i64,
        key: &str,
        text: &[u8],
    ) -> Result<(Vec<u8>, Whose), CoreError> {
        let Some(keyring) = self.keyring.as_ref().filter(|_| !self.marks.state.is_empty()) else {
            return Ok((text.to_vec(), Whose::Nobody));
        };
        let place = RowPlace { store_id: keyring.store_id(), generation_no, key };
        loop {
            let keyring = self.keyring()?;
            match place.open_state(text, &self.marks.state, keyring.as_ref())? {
                RowText::Open(state, whose) => return Ok((state, whose)),
                RowText::Missing(subject) => keyring.fetch(&[subject]).await?,
                RowText::Erased => return Err(CoreError::new("BUG", "a state is no column")),
            }
        }
    }

    /// The text of a column; `None`: it was erased.
    pub(super) async fn column(
        &self,
        generation_no: i64,
        key: &str,
        column: usize,
        text: &str,
    ) -> Result<Option<Vec<u8>>, CoreError> {
        let place = RowPlace { store_id: self.store_id(), generation_no, key };
        loop {
            let keyring = self.keyring()?;
            match place.open_column(column, text, keyring.as_ref())? {
                RowText::Open(text, _) => return Ok(Some(text)),
                RowText::Erased => return Ok(None),
                RowText::Missing(subject) => keyring.fetch(&[subject]).await?,
            }
        }
    }

    fn store_id(&self) -> &[u8; 16] {
        self.keyring.as_ref().map_or(&[0; 16], |keyring| keyring.store_id())
    }

    fn keyring(&self) -> Result<&Arc<Keyring>, CoreError> {
        let keyring = self.keyring.as_ref();
        let keyring = keyring.ok_or_else(|| unavailable("this server has no key store"))?;
        match keyring.is_leased() {
            true => Ok(keyring),
            false => Err(unavailable("the lease of this server has run out")),
        }
    }
}

/// Nonces, drawn many at once.
#[derive(Debug, Default)]
struct Nonces(Vec<[u8; NONCE_BYTES]>);

impl Nonces {
    fn next(&mut self) -> [u8; NONCE_BYTES] {
        if self.0.is_empty() {
            self.0 = (0..DRAWN_AT_ONCE).map(|_| rand::random()).collect();
        }
        self.0.pop().unwrap_or_else(rand::random)
    }
}
