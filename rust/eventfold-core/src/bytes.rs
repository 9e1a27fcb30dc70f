//! Comparing short texts.

/// Whether two texts are the same. Names are short, and the general comparison is a call that
/// costs more than they do.
#[inline]
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    const WORD: usize = 8;
    const HALF: usize = 4;
    if left.len() != right.len() {
        return false;
    }
    // The first and the last word overlap, and cover up to twice their length.
    match left.len() {
        WORD..=16 => {
            left.first_chunk::<WORD>() == right.first_chunk::<WORD>()
                && left.last_chunk::<WORD>() == right.last_chunk::<WORD>()
        }
        HALF..WORD => {
            left.first_chunk::<HALF>() == right.first_chunk::<HALF>()
                && left.last_chunk::<HALF>() == right.last_chunk::<HALF>()
        }
        0..HALF => left.iter().zip(right).all(|(left, right)| left == right),
        _ => left == right,
    }
}
