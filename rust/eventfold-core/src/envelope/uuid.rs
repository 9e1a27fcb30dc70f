//! UUIDs: sixteen bytes in the database, canonical text on the wire.

/// Where the four hyphens of the canonical form stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// Characters of the canonical form.
pub const UUID_TEXT_BYTES: usize = 36;

/// Reads the canonical form 8-4-4-4-12, in either case; nothing else.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; UUID_TEXT_BYTES] = text.as_bytes().try_into().ok()?;
    let mut uuid = [0; 16];
    let mut digits = 0;
    for (index, &byte) in text.iter().enumerate() {
        if HYPHENS.contains(&index) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = char::from(byte).to_digit(16)?;
        uuid[digits / 2] = (uuid[digits / 2] << 4) | digit as u8;
        digits += 1;
    }
    Some(uuid)
}

/// Writes the canonical form, in lower case.
pub fn write_uuid(uuid: &[u8; 16], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; UUID_TEXT_BYTES];
    let mut at = 0;
    for byte in uuid {
        if HYPHENS.contains(&at) {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    out.extend_from_slice(&text);
}

/// The canonical form, in lower case.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = Vec::with_capacity(UUID_TEXT_BYTES);
    write_uuid(uuid, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
