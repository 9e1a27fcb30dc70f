//! Kept states into which personal values of a subject went: sealed as a whole, in PostgreSQL and
//! in memory, so that they go with the keys of the subject.

use eventfold_core::error::CoreError;
use eventfold_core::privacy::{Keys, Look, NONCE_BYTES, Place, Sealed, SubjectId, Whose};

use crate::keys::{Keyring, unavailable};

/// No state begins so: it is JSON.
const SEALED: &[u8] = b"$sealed:";

/// What a kept state is bound to beside its event.
#[derive(Debug, Clone, Copy)]
pub struct KeptPlace<'a> {
    /// Id of the last event that it has seen.
    pub event_id: &'a [u8; 16],
    /// Kept digest of the fold.
    pub kept_digest: &'a str,
    /// Digest of the mappings.
    pub mapping_digest: &'a str,
}

/// A kept state, as it can be gone on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptText {
    /// Its JSON text, and whose values went into it.
    Open(Vec<u8>, Whose),
    /// The keys of this subject have to be brought first.
    Missing(SubjectId),
    /// Nobody can read it any more.
    Gone,
}

impl KeptPlace<'_> {
    fn path(&self) -> String {
        format!("$kept/{}/{}", self.kept_digest, self.mapping_digest)
    }

    /// The text of a state as it may be kept; `None`: it may not.
    pub fn seal(
        &self,
        state: &[u8],
        whose: Whose,
        keyring: Option<&Keyring>,
        nonce: impl FnOnce() -> [u8; NONCE_BYTES],
    ) -> Result<Option<Vec<u8>>, CoreError> {
        let subject = match whose {
            Whose::Nobody => return Ok(Some(state.to_vec())),
            Whose::Several => return Ok(None),
            Whose::One(subject) => subject,
        };
        let Some(keyring) = keyring.filter(|keyring| keyring.is_leased()) else { return Ok(None) };
        // One that is not in memory was used a moment ago: it may be erased by now.
        let Look::Key(key) = keyring.current(&subject) else { return Ok(None) };
        let path = self.path();
        let place = Place { store_id: keyring.store_id(), event_id: self.event_id, path: &path };
        Ok(Some(key.seal(&place, state, nonce())?.into_bytes()))
    }

    /// The state that was kept as a text.
    pub fn open(&self, text: &[u8], keyring: Option<&Keyring>) -> Result<KeptText, CoreError> {
        if !is_sealed(text) {
            return Ok(KeptText::Open(text.to_vec(), Whose::Nobody));
        }
        let (Some(keyring), Some(sealed)) = (keyring, Sealed::parse(text)) else {
            return Ok(KeptText::Gone);
        };
        if !keyring.is_leased() {
            return Err(unavailable("the lease of this server has run out"));
        }
        let subject = sealed.subject;
        let key = match keyring.look(&subject, sealed.version) {
            Look::Key(key) => key,
            Look::Missing => return Ok(KeptText::Missing(subject)),
            Look::Erased | Look::Lost => return Ok(KeptText::Gone),
        };
        let path = self.path();
        let place = Place { store_id: keyring.store_id(), event_id: self.event_id, path: &path };
        let opened = key.open(&place, sealed);
        Ok(opened.map_or(KeptText::Gone, |text| KeptText::Open(text, Whose::One(subject))))
    }
}

/// Whether the text of a kept state is sealed.
pub(crate) fn is_sealed(text: &[u8]) -> bool {
    text.starts_with(SEALED)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eventfold_core::privacy::{DataKey, Whose};

    use super::{KeptPlace, KeptText, is_sealed};
    use crate::keys::Keyring;

    const PLACE: KeptPlace<'_> =
        KeptPlace { event_id: &[1; 16], kept_digest: "f", mapping_digest: "m" };
    const STATE: &[u8] = br#"{"name":"Ada"}"#;

    fn ring() -> Keyring {
        let ring = Keyring::new(9, Box::new(|| ()));
        ring.renew(u64::MAX);
        let key = |version| Arc::new(DataKey::new([7; 16], version, &[version as u8; 32]).unwrap());
        ring.put([7; 16], None, vec![key(1), key(2)], ring.epoch());
        ring
    }

    #[test]
    fn a_state_of_one_subject_is_sealed_and_goes_with_its_keys() {
        let ring = ring();
        let text =
            PLACE.seal(STATE, Whose::One([7; 16]), Some(&ring), || [3; 12]).unwrap().unwrap();
        assert!(is_sealed(&text) && !text.windows(3).any(|part| part == b"Ada"));
        let open = |place: &KeptPlace<'_>, ring: &Keyring| place.open(&text, Some(ring)).unwrap();
        assert_eq!(open(&PLACE, &ring), KeptText::Open(STATE.to_vec(), Whose::One([7; 16])));
        let other = KeptPlace { kept_digest: "g", ..PLACE };
        assert_eq!(open(&other, &ring), KeptText::Gone);
        assert_eq!(PLACE.open(&text, None).unwrap(), KeptText::Gone);
        ring.evict_all();
        assert_eq!(open(&PLACE, &ring), KeptText::Missing([7; 16]));
        ring.erase([7; 16]);
        assert_eq!(open(&PLACE, &ring), KeptText::Gone);
        assert_eq!(PLACE.seal(STATE, Whose::One([7; 16]), Some(&ring), || [3; 12]), Ok(None));
        ring.end_lease();
        assert_eq!(PLACE.open(&text, Some(&ring)).unwrap_err().reason, "KEYS_UNAVAILABLE");
    }

    #[test]
    fn a_state_of_several_is_not_kept_and_one_of_nobody_as_it_is() {
        let ring = ring();
        assert_eq!(PLACE.seal(STATE, Whose::Several, Some(&ring), || [3; 12]), Ok(None));
        assert_eq!(PLACE.seal(STATE, Whose::Nobody, None, || [3; 12]), Ok(Some(STATE.to_vec())));
        let open = PLACE.open(STATE, None).unwrap();
        assert_eq!(open, KeptText::Open(STATE.to_vec(), Whose::Nobody));
    }
}
