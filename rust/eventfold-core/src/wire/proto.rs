//! The protobuf encoding, as far as it is needed. Fields with their default value are left out.

pub(crate) const VARINT: u32 = 0;
pub(crate) const FIXED_64: u32 = 1;
pub(crate) const LENGTH_DELIMITED: u32 = 2;
pub(crate) const GROUP_START: u32 = 3;
pub(crate) const GROUP_END: u32 = 4;
pub(crate) const FIXED_32: u32 = 5;

/// Bytes of a key; all our field numbers are under 16 or 2,048.
pub(crate) fn key_size(field: u32) -> usize {
    if field < 16 { 1 } else { 2 }
}

pub(crate) fn varint_size(value: u64) -> usize {
    // Seven bits a byte; zero takes one byte too.
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(crate) fn key(field: u32, wire_type: u32, out: &mut Vec<u8>) {
    varint(u64::from(field << 3 | wire_type), out);
}

pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Size of a string, bytes or message field that is present.
pub(crate) fn delimited_size(field: u32, length: usize) -> usize {
    key_size(field) + varint_size(length as u64) + length
}

pub(crate) fn bytes_size(field: u32, bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { delimited_size(field, bytes.len()) }
}

pub(crate) fn bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        delimited(field, bytes, out);
    }
}

pub(crate) fn delimited(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    key(field, LENGTH_DELIMITED, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Size of a repeated string field.
pub(crate) fn texts_size(field: u32, texts: &[String]) -> usize {
    texts.iter().map(|text| delimited_size(field, text.len())).sum()
}

pub(crate) fn texts(field: u32, texts: &[String], out: &mut Vec<u8>) {
    for text in texts {
        delimited(field, text.as_bytes(), out);
    }
}

pub(crate) fn number_size(field: u32, value: u64) -> usize {
    if value == 0 { 0 } else { key_size(field) + varint_size(value) }
}

pub(crate) fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        key(field, VARINT, out);
        varint(value, out);
    }
}

/// Seconds and nanoseconds of a `google.protobuf.Timestamp`; the nanoseconds count forwards
/// before 1970 too. Negative seconds travel as ten bytes of two's complement.
fn timestamp_parts(micros: i64) -> (u64, u64) {
    let seconds = micros.div_euclid(1_000_000);
    (seconds.cast_unsigned(), micros.rem_euclid(1_000_000).cast_unsigned() * 1_000)
}

pub(crate) fn timestamp_size(field: u32, micros: i64) -> usize {
    let (seconds, nanos) = timestamp_parts(micros);
    delimited_size(field, number_size(1, seconds) + number_size(2, nanos))
}

pub(crate) fn timestamp(field: u32, micros: i64, out: &mut Vec<u8>) {
    let (seconds, nanos) = timestamp_parts(micros);
    key(field, LENGTH_DELIMITED, out);
    varint((number_size(1, seconds) + number_size(2, nanos)) as u64, out);
    number(1, seconds, out);
    number(2, nanos, out);
}
