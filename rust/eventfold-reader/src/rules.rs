//! The rules that a read goes by.

use std::collections::HashMap;
use std::sync::Arc;

use eventfold_core::mapping::Mappings;
use eventfold_core::privacy::{Personal, Sight};

use crate::error::ReadError;
use crate::keys::Keyring;

/// What is in force at one version of the catalogue, as far as it concerns a read.
#[derive(Debug, Clone)]
pub struct ReadRules {
    /// Version of the catalogue.
    pub version: i64,
    /// How events are read; those of other types are read as they are stored.
    pub mappings: Arc<Mappings>,
    /// Of the mappings; empty: there is none.
    pub mapping_digest: Arc<str>,
    /// Whether a statement may find an older catalogue in the store: it was sent before a change.
    /// If not, the store may have gone back, and these rules never were.
    pub may_be_newer: bool,
    /// How sealed values are read; `None`: as they are stored.
    pub showing: Option<Showing>,
}

/// How sealed values are read.
#[derive(Debug, Clone)]
pub struct Showing {
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// What the reader may see.
    pub sight: Sight,
    /// What is said of event types whose erased values are replaced.
    pub personal: Arc<HashMap<Box<str>, Arc<Personal>>>,
}

impl ReadRules {
    /// The rules of a version.
    pub fn new(version: i64, mappings: Mappings) -> Self {
        let mapping_digest = mappings.digest().into();
        Self {
            version,
            mappings: Arc::new(mappings),
            mapping_digest,
            may_be_newer: false,
            showing: None,
        }
    }

    /// The same without the mappings: events are read as they are stored, but for what is sealed.
    #[must_use]
    pub fn unmapped(&self) -> Self {
        let mappings = Arc::new(Mappings::default());
        Self { mappings, mapping_digest: "".into(), ..self.clone() }
    }

    /// Refuses to go on if the store has another catalogue; `None` for rules: the read is raw.
    pub(crate) fn check(rules: Option<&Self>, version: i64) -> Result<(), ReadError> {
        let is_of = |rules: &Self| {
            version == rules.version || (version < rules.version && rules.may_be_newer)
        };
        if rules.is_none_or(is_of) { Ok(()) } else { Err(ReadError::Stale(version)) }
    }
}
