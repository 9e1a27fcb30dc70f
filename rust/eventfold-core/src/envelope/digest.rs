//! Digests of events: one to know an append again, one to verify what is stored.

use sha2::{Digest, Sha256};

/// SHA-256 of what a client sent: type, data, metadata and tags, which must be sorted and unique.
///
/// Every part follows its length, and the tags follow their number, so that no two different
/// events feed the same bytes.
pub fn sent_digest(event_type: &str, data: &[u8], metadata: &[u8], tags: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"eventfold sent event 1\n");
    part(&mut hash, event_type.as_bytes());
    part(&mut hash, data);
    part(&mut hash, metadata);
    hash.update((tags.len() as u64).to_be_bytes());
    for tag in tags {
        part(&mut hash, tag.as_bytes());
    }
    hash.finalize().into()
}

/// SHA-256 of what is stored: data and metadata, each after its length.
pub fn stored_digest(data: &[u8], metadata: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"eventfold stored event 1\n");
    part(&mut hash, data);
    part(&mut hash, metadata);
    hash.finalize().into()
}

fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}
