//! Mappings as a whole: what they are called, and what they read.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::fold::normal::hexadecimal;

use super::{Mapping, Mappings};

impl Mappings {
    /// The mappings of some event types.
    #[must_use]
    pub fn of_types(&self, event_types: &[String]) -> Self {
        let found = event_types.iter().filter_map(|event_type| self.get(event_type.as_bytes()));
        Self::new(found.cloned())
    }

    /// SHA-256 of all of them with their event types, in lower-case hexadecimal; empty, if there is
    /// none. Under one digest all events are read alike.
    pub fn digest(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut all: Vec<&Arc<Mapping>> = self.iter().collect();
        all.sort_unstable_by(|a, b| a.event_type().cmp(b.event_type()));
        let mut digest = Sha256::new();
        for mapping in all {
            // All digests have one length, and so types cannot run into each other.
            digest.update(mapping.digest());
            digest.update((mapping.event_type().len() as u64).to_be_bytes());
            digest.update(mapping.event_type());
        }
        hexadecimal(digest)
    }

    /// Whether one reads more of an event than its data.
    pub fn needs_envelope(&self) -> bool {
        self.iter().any(|mapping| mapping.needs_envelope())
    }
}

impl Mapping {
    fn needs_envelope(&self) -> bool {
        self.computed.inputs.needs_meta || self.computed.inputs.needs_metadata
    }
}
