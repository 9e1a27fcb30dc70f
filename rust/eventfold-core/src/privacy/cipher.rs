//! Sealing one value: AES-256-GCM under a key of its subject.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::CoreError;

use super::SubjectId;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce. They are random: one key seals at most 2^32 values.
pub const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// How every sealed value of this format begins.
const PREFIX: &str = "$sealed:1:";
const HEADER_BYTES: usize = 16 + 4 + NONCE_BYTES;
/// How what is bound to a value begins.
const BOUND_PREFIX: &[u8] = b"eventfold sealed value 1\n";
/// Bytes of it but for the path.
const BOUND_BYTES: usize = BOUND_PREFIX.len() + 5 * 8 + 3 * 16 + 4;

/// A version of the key of a subject. It prints nothing of itself.
pub struct DataKey {
    subject: SubjectId,
    version: u32,
    key: LessSafeKey,
    digests: hmac::Key,
}

impl DataKey {
    /// From its bytes; `None`: they are not as many as a key has.
    pub fn new(subject: SubjectId, version: u32, bytes: &[u8]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?);
        // A key of its own for each purpose.
        let of_digests = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let of_digests = hmac::sign(&of_digests, b"eventfold sent event 1");
        let digests = hmac::Key::new(hmac::HMAC_SHA256, of_digests.as_ref());
        Some(Self { subject, version, key, digests })
    }

    /// Whose it is.
    pub fn subject(&self) -> &SubjectId {
        &self.subject
    }

    /// Its version, from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// A digest that nobody can compare with a guess who does not have the key.
    pub fn digest(&self, bytes: &[u8]) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&self.digests, bytes).as_ref());
        digest
    }

    /// Seals a value for a place. The text needs no escapes in JSON.
    pub fn seal(
        &self,
        place: &Place<'_>,
        value: &[u8],
        nonce: [u8; NONCE_BYTES],
    ) -> Result<String, CoreError> {
        let mut sealed = Vec::with_capacity(HEADER_BYTES + value.len() + TAG_BYTES);
        sealed.extend_from_slice(&self.subject);
        sealed.extend_from_slice(&self.version.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        let mut text = value.to_vec();
        let aad = Aad::from(place.bound(&self.subject, self.version));
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .map_err(|_| CoreError::new("BUG", "a value could not be sealed"))?;
        sealed.extend_from_slice(&text);
        let mut out = String::with_capacity(PREFIX.len() + sealed.len().div_ceil(3) * 4);
        out.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&sealed, &mut out);
        Ok(out)
    }

    /// Opens a value of a place; `None`: it was not sealed under this key for this place.
    pub fn open(&self, place: &Place<'_>, sealed: Sealed) -> Option<Vec<u8>> {
        let Sealed { nonce, mut bytes, .. } = sealed;
        let aad = Aad::from(place.bound(&self.subject, self.version));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let text = bytes.get_mut(HEADER_BYTES..)?;
        let length = self.key.open_in_place(nonce, aad, text).ok()?.len();
        bytes.truncate(HEADER_BYTES + length);
        bytes.drain(..HEADER_BYTES);
        Some(bytes)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Where a sealed value stands: it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The store; its id never changes.
    pub store_id: &'a [u8; 16],
    /// The event.
    pub event_id: &'a [u8; 16],
    /// Pointer to the value, or another name of a place that belongs to the event.
    pub path: &'a str,
}

impl Place<'_> {
    /// What is bound to the value: format, place, subject and version of the key, each part after
    /// its length, so that no two places are the same bytes.
    fn bound(&self, subject: &SubjectId, version: u32) -> Vec<u8> {
        let version = version.to_be_bytes();
        let parts: [&[u8]; 5] =
            [self.store_id, self.event_id, self.path.as_bytes(), subject, &version];
        let mut bound = Vec::with_capacity(BOUND_BYTES + self.path.len());
        bound.extend_from_slice(BOUND_PREFIX);
        for part in parts {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part);
        }
        bound
    }
}

/// A sealed value, read from its text.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Whose key it needs.
    pub subject: SubjectId,
    /// Which version of it.
    pub version: u32,
    nonce: [u8; NONCE_BYTES],
    /// All of it; the text begins behind the header.
    bytes: Vec<u8>,
}

impl Sealed {
    /// Reads the text of a sealed value; `None`: it is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.strip_prefix(PREFIX.as_bytes())?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (subject, rest) = bytes.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (nonce, text) = rest.split_first_chunk()?;
        let (subject, version, nonce) = (*subject, u32::from_be_bytes(*version), *nonce);
        (text.len() >= TAG_BYTES).then_some(Self { subject, version, nonce, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::{DataKey, Place, Sealed};

    const STORE: [u8; 16] = [1; 16];
    const EVENT: [u8; 16] = [2; 16];

    fn key(version: u32) -> DataKey {
        DataKey::new([3; 16], version, &[4; 32]).unwrap()
    }

    fn place(path: &str) -> Place<'_> {
        Place { store_id: &STORE, event_id: &EVENT, path }
    }

    #[test]
    fn a_value_opens_where_it_was_sealed_and_nowhere_else() {
        let text = key(1).seal(&place("/a"), b"\"x\"", [5; 12]).unwrap();
        let sealed = Sealed::parse(text.as_bytes()).unwrap();
        assert_eq!((sealed.subject, sealed.version), ([3; 16], 1));
        let open = |key: &DataKey, place: &Place<'_>| key.open(place, sealed.clone());
        assert_eq!(open(&key(1), &place("/a")).unwrap(), b"\"x\"");
        assert_eq!(open(&key(1), &place("/b")), None);
        assert_eq!(open(&key(2), &place("/a")), None);
        let other = [9; 16];
        assert_eq!(open(&key(1), &Place { store_id: &other, ..place("/a") }), None);
        assert_eq!(open(&key(1), &Place { event_id: &other, ..place("/a") }), None);
        assert_eq!(open(&DataKey::new(other, 1, &[4; 32]).unwrap(), &place("/a")), None);
        assert_eq!(open(&DataKey::new([3; 16], 1, &[6; 32]).unwrap(), &place("/a")), None);
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let text = key(1).seal(&place("/a"), b"17", [5; 12]).unwrap();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let opened = Sealed::parse(&changed)
                .filter(|sealed| sealed.subject == [3; 16] && sealed.version == 1)
                .and_then(|sealed| key(1).open(&place("/a"), sealed));
            assert_eq!(opened, None, "{at}");
        }
    }

    #[test]
    fn digests_depend_on_the_key() {
        let other = DataKey::new([3; 16], 1, &[6; 32]).unwrap();
        assert_ne!(key(1).digest(b"x"), other.digest(b"x"));
        assert_eq!(key(1).digest(b"x"), key(1).digest(b"x"));
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        assert!(DataKey::new([3; 16], 1, &[4; 31]).is_none());
        assert!(!format!("{:?}", key(1)).contains('4'));
    }
}
