//! Arrays in PostgreSQL's binary form, written straight into the message.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::IsNull;

pub(crate) type Written = Result<IsNull, Box<dyn Error + Sync + Send>>;

pub(crate) const BYTEA: u32 = 17;
pub(crate) const INT8: u32 = 20;
pub(crate) const INT4: u32 = 23;
pub(crate) const TEXT: u32 = 25;
pub(crate) const UUID: u32 = 2950;
pub(crate) const BOOL: u32 = 16;

/// Writes an array whose elements `write` writes; false stands for NULL.
pub(crate) fn array<T>(
    element: u32,
    items: impl Iterator<Item = T>,
    out: &mut BytesMut,
    mut write: impl FnMut(T, &mut BytesMut) -> bool,
) -> Written {
    let start = out.len();
    // Dimensions, whether there are NULLs, type, length, and the index of the first.
    out.put_i32(1);
    out.put_i32(0);
    out.put_u32(element);
    out.put_i32(0);
    out.put_i32(1);
    let mut count = 0_i32;
    let mut nulls = false;
    for item in items {
        let place = out.len();
        out.put_i32(0);
        let length = if write(item, out) {
            i32::try_from(out.len() - place - 4)?
        } else {
            nulls = true;
            -1
        };
        out[place..place + 4].copy_from_slice(&length.to_be_bytes());
        count += 1;
    }
    if count == 0 {
        out.truncate(start + 12);
        out[start..start + 4].copy_from_slice(&0_i32.to_be_bytes());
    } else {
        out[start + 4..start + 8].copy_from_slice(&i32::from(nulls).to_be_bytes());
        out[start + 12..start + 16].copy_from_slice(&count.to_be_bytes());
    }
    Ok(IsNull::No)
}

/// Writes an element as it is.
pub(crate) fn bytes(value: &[u8], out: &mut BytesMut) -> bool {
    out.put_slice(value);
    true
}

/// Writes an `integer`.
pub(crate) fn int(value: usize, out: &mut BytesMut) -> bool {
    // Numbers within a batch.
    out.put_i32(i32::try_from(value).unwrap_or(i32::MAX));
    true
}

/// Writes a `bigint`.
pub(crate) fn bigint(value: i64, out: &mut BytesMut) -> bool {
    out.put_i64(value);
    true
}
