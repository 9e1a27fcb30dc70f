//! The events of an append that have personal values.

use crate::privacy::PersonalValue;

/// An event of which the rules say that values are personal.
#[derive(Debug, Clone)]
pub(super) struct PersonalEvent {
    /// Which of its part, from 0.
    pub(super) index: usize,
    /// None: it cannot be told whose they are.
    pub(super) values: Vec<PersonalValue>,
    /// `None`: nothing of it may go to the database.
    pub(super) sealed: Option<SealedEvent>,
}

/// What is stored of it.
#[derive(Debug, Clone)]
pub(super) struct SealedEvent {
    pub(super) data: Vec<u8>,
    /// Pointers to the sealed values, as the text of an array of PostgreSQL.
    pub(super) paths: String,
    pub(super) sent_digest: [u8; 32],
    pub(super) stored_digest: [u8; 32],
}
