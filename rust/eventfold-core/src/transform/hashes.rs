//! Hashes of streams of copies, to compare what was to be written with what stands there.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::envelope::{FLAG_ABSENT, FLAG_MAPPED};
use crate::error::CoreError;
use crate::json::absent::without_absent;
use crate::rows::Page;

use super::copy::Copied;

/// The copies in one stream: how many, and a chain of SHA-256 over them in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamHash {
    /// Copies.
    pub events: u64,
    /// All zeros without any.
    pub hash: [u8; 32],
}

impl StreamHash {
    /// Adds the next copy of the stream.
    fn add(&mut self, part: &Part<'_>, key: Option<&[u8; 32]>) {
        let mut hash = Sha256::new_with_prefix(b"eventfold copied event 1\n");
        // All that follows has fixed lengths, so that a key in front is enough.
        hash.update(key.map_or(&[][..], |key| key));
        hash.update(self.hash);
        hash.update(part.id);
        hash.update(part.copied_from);
        hash.update([u8::from(part.cancels.is_some())]);
        hash.update(part.cancels.unwrap_or(&[0; 16]));
        hash.update(part.occurred_us.to_be_bytes());
        hash.update(part.sent_digest);
        self.events += 1;
        self.hash = hash.finalize().into();
    }
}

/// What is hashed of a copy.
struct Part<'a> {
    id: &'a [u8; 16],
    copied_from: &'a [u8; 16],
    cancels: Option<&'a [u8; 16]>,
    occurred_us: i64,
    /// Of type, data, metadata and tags.
    sent_digest: [u8; 32],
}

/// The hashes of streams, each of which is read from its first copy on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamHashes {
    streams: BTreeMap<String, StreamHash>,
    key: Option<[u8; 32]>,
}

/// Streams whose copies are not the same: the name, and both hashes.
pub type Differences = Vec<(String, StreamHash, StreamHash)>;

impl StreamHashes {
    /// Hashes that were taken before, of streams that are to be gone on with.
    pub fn of(streams: impl IntoIterator<Item = (String, StreamHash)>) -> Self {
        Self { streams: streams.into_iter().collect(), key: None }
    }

    /// The same under a key: nobody without it can compare a hash with a guess of what was hashed.
    #[must_use]
    pub fn keyed(mut self, key: Option<[u8; 32]>) -> Self {
        self.key = key;
        self
    }

    /// Adds copies as a transform makes them.
    pub fn add_copies(&mut self, copies: &[Copied]) {
        for copy in copies {
            let part = Part {
                id: &copy.id,
                copied_from: &copy.copied_from,
                cancels: copy.cancels.as_ref(),
                occurred_us: copy.occurred_us,
                sent_digest: copy.sent_digest,
            };
            self.add(&copy.stream, &part);
        }
    }

    /// Adds the copies of a page of stored events, in the order of their versions or positions,
    /// with the names of their streams. Events that are no copies are passed by.
    pub fn add_page(&mut self, page: &impl Page) -> Result<(), CoreError> {
        for row in page.iter() {
            let row = row?;
            let Some(copied_from) = row.copied_from else { continue };
            if row.flags & FLAG_MAPPED != 0 {
                return Err(CoreError::new("BUG", "copies are compared as they are stored"));
            }
            let stream = row
                .stream
                .ok_or_else(|| CoreError::new("BUG", "the page has no names of streams"))?;
            let tags: Vec<&str> = row.tags.iter().collect();
            // What was erased since is `null` in what a transform makes now.
            let shown = match row.flags & FLAG_ABSENT {
                0 => None,
                _ => without_absent(row.data),
            };
            let data = shown.as_ref().map_or(row.data, |shown| &shown.text);
            let part = Part {
                id: row.event_id,
                copied_from,
                cancels: row.cancels,
                occurred_us: row.occurred_us,
                sent_digest: crate::envelope::sent_digest(
                    row.event_type,
                    data,
                    row.metadata,
                    &tags,
                ),
            };
            self.add(stream, &part);
        }
        Ok(())
    }

    fn add(&mut self, stream: &str, part: &Part<'_>) {
        if let Some(hash) = self.streams.get_mut(stream) {
            hash.add(part, self.key.as_ref());
            return;
        }
        let mut hash = StreamHash::default();
        hash.add(part, self.key.as_ref());
        self.streams.insert(stream.to_owned(), hash);
    }

    /// The hash of a stream; `None`: it has no copies.
    pub fn get(&self, stream: &str) -> Option<&StreamHash> {
        self.streams.get(stream)
    }

    /// All streams, in byte order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &StreamHash)> {
        self.streams.iter().map(|(name, hash)| (&**name, hash))
    }

    /// The number of streams.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there is no stream.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The copies in all streams.
    pub fn events(&self) -> u64 {
        self.streams.values().map(|hash| hash.events).sum()
    }

    /// The number of streams that differ from those of another, and the first of them in byte
    /// order. A stream that one does not have is empty there.
    pub fn differences(&self, other: &Self, first_max: usize) -> (usize, Differences) {
        let mut names: Vec<&String> = self.streams.keys().chain(other.streams.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let (mut count, mut first) = (0, Vec::new());
        for name in names {
            let hash = |of: &Self| of.streams.get(name).copied().unwrap_or_default();
            let (left, right) = (hash(self), hash(other));
            if left != right {
                count += 1;
                if first.len() < first_max {
                    first.push((name.clone(), left, right));
                }
            }
        }
        (count, first)
    }
}
