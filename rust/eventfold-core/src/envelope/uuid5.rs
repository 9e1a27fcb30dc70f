//! UUIDs of version 5 (RFC 9562): the same name in the same namespace has the same one.

use sha1::{Digest, Sha1};

/// The UUID of a name, given in parts, in a namespace.
pub fn uuid5(namespace: &[u8; 16], name: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha1::new_with_prefix(namespace);
    name.iter().for_each(|part| hash.update(part));
    let digest: [u8; 20] = hash.finalize().into();
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x50;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{parse_uuid, uuid_text};

    #[test]
    fn the_example_of_the_rfc() {
        let dns = parse_uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8").unwrap();
        let uuid = uuid5(&dns, &[b"www.", b"example.com"]);
        assert_eq!(uuid_text(&uuid), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }
}
