//! Where the bytes stand that decide in a JSON text, found for 64 bytes at a time.

use wide::u8x16;

const BLOCK_BYTES: usize = 64;

/// The marks of a text: quotes and backslashes, and with `NESTING` brackets and braces too.
///
/// A block of the text is compared when a search comes to it; further searches in the block only
/// look at the bits that are left of it.
pub(super) struct Marks<'a, const NESTING: bool> {
    text: &'a [u8],
    /// Where the block begins whose marks are known.
    start: usize,
    /// One bit for each byte of the block, the lowest for the first.
    bits: u64,
}

impl<'a, const NESTING: bool> Marks<'a, NESTING> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        // There is nothing at the end: this block serves no place of the text.
        Self { text, start: text.len(), bits: 0 }
    }

    /// The first mark at a place or behind it.
    #[inline]
    pub(super) fn next(&mut self, mut place: usize) -> Option<usize> {
        loop {
            let offset = place.wrapping_sub(self.start);
            if offset < BLOCK_BYTES {
                let bits = self.bits >> offset;
                if bits != 0 {
                    return Some(place + bits.trailing_zeros() as usize);
                }
                place = self.start + BLOCK_BYTES;
            }
            self.load(place)?;
        }
    }

    /// Compares the block that begins at a place of the text.
    #[inline]
    fn load(&mut self, place: usize) -> Option<()> {
        let rest = self.text.get(place..).filter(|rest| !rest.is_empty())?;
        self.bits = match (rest.first_chunk(), self.text.last_chunk()) {
            (Some(block), _) => marks(block, NESTING),
            // The last block of the text, without the bytes before the place.
            (None, Some(block)) => marks(block, NESTING) >> (BLOCK_BYTES - rest.len()),
            (None, None) => {
                let mut block = [0; BLOCK_BYTES];
                block[..rest.len()].copy_from_slice(rest);
                marks(&block, NESTING)
            }
        };
        self.start = place;
        Some(())
    }
}

#[inline]
fn marks(block: &[u8; BLOCK_BYTES], nesting: bool) -> u64 {
    let (parts, _) = block.as_chunks();
    let bits = |part: [u8; 16]| {
        let part = u8x16::new(part);
        let mut marks = part.simd_eq(u8x16::splat(b'"')) | part.simd_eq(u8x16::splat(b'\\'));
        if nesting {
            // With this bit set, brackets become braces, and nothing else does.
            let folded = part | u8x16::splat(b'{' ^ b'[');
            marks |= folded.simd_eq(u8x16::splat(b'{')) | folded.simd_eq(u8x16::splat(b'}'));
        }
        u64::from(marks.to_bitmask())
    };
    bits(parts[0]) | bits(parts[1]) << 16 | bits(parts[2]) << 32 | bits(parts[3]) << 48
}
