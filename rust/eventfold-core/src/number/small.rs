//! A decimal of at most 28 digits in 16 bytes.

use std::cmp::Ordering;

use super::{DIGITS_MAX, EXPONENT_MAX, EXPONENT_MIN, PLAIN_CHARS_MAX};

/// Powers of ten that fit 128 bits.
const POWERS: [u128; 39] = {
    let mut powers = [1; 39];
    let mut index = 1;
    while index < 39 {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

/// The first magnitude with more than 28 digits.
const MAGNITUDE_END: u128 = POWERS[DIGITS_MAX as usize];

/// Up to this size of the exponent no magnitude leaves the range.
const EXPONENT_SURE: u64 = 6_000;

/// `10^exponent`, where it fits.
pub(super) fn power(exponent: u32) -> Option<u128> {
    POWERS.get(exponent as usize).copied()
}

/// Decimal digits of a number; 1 for zero.
pub(super) fn digits(magnitude: u128) -> u32 {
    magnitude.checked_ilog10().map_or(1, |log| log + 1)
}

/// `±magnitude × 10^exponent`, with a magnitude of at most 28 digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Small {
    low: u64,
    high: u32,
    exponent: i16,
    negative: bool,
    /// The number was read and not computed: it is written with all its zeros.
    moved: bool,
}

impl Small {
    /// The number, if it has at most 28 digits (zeros at the end not counted) and an exponent
    /// in range.
    pub(super) fn checked(negative: bool, mut magnitude: u128, mut exponent: i64) -> Option<Self> {
        if magnitude == 0 {
            // Zero has no size: its exponent only says how it was written.
            exponent = exponent.clamp(-64, 0);
        } else {
            while magnitude >= MAGNITUDE_END {
                if !magnitude.is_multiple_of(10) {
                    return None;
                }
                magnitude /= 10;
                exponent += 1;
            }
            // Counting digits is slow, and not needed far from the bounds.
            if exponent.unsigned_abs() > EXPONENT_SURE {
                let adjusted = exponent + i64::from(digits(magnitude)) - 1;
                if !(i64::from(EXPONENT_MIN)..=i64::from(EXPONENT_MAX)).contains(&adjusted) {
                    return None;
                }
            }
        }
        Some(Self {
            low: magnitude as u64,
            high: (magnitude >> 64) as u32,
            exponent: i16::try_from(exponent).ok()?,
            negative,
            moved: false,
        })
    }

    pub(super) fn from_signed(value: i128, exponent: i32) -> Option<Self> {
        Self::checked(value < 0, value.unsigned_abs(), i64::from(exponent))
    }

    /// An integer of 64 bits.
    pub(super) fn from_u64(negative: bool, magnitude: u64) -> Self {
        Self { low: magnitude, high: 0, exponent: 0, negative, moved: false }
    }

    /// The same number, to be written as it was read.
    pub(super) fn as_moved(mut self) -> Self {
        self.moved = true;
        self
    }

    /// Whether the number is written as it was read.
    pub(super) fn is_moved(self) -> bool {
        self.moved
    }

    /// The same number, to be written as a result.
    pub(super) fn as_computed(mut self) -> Self {
        self.moved = false;
        self.negative &= !self.is_zero();
        self
    }

    #[inline]
    pub(super) fn magnitude(self) -> u128 {
        (u128::from(self.high) << 64) | u128::from(self.low)
    }

    /// The magnitude with its sign; at most 28 digits, so it fits.
    #[inline]
    pub(super) fn signed(self) -> i128 {
        let magnitude = self.magnitude() as i128;
        if self.negative { -magnitude } else { magnitude }
    }

    #[inline]
    pub(super) fn exponent(self) -> i32 {
        i32::from(self.exponent)
    }

    pub(super) fn is_zero(self) -> bool {
        self.low == 0 && self.high == 0
    }

    /// Less than zero; minus zero is not.
    pub(super) fn is_negative(self) -> bool {
        self.negative && !self.is_zero()
    }

    pub(super) fn negated(mut self) -> Self {
        self.negative = !self.negative;
        self.as_computed()
    }

    /// The same number without zeros at the end of its magnitude.
    pub(super) fn stripped(self) -> Self {
        let (magnitude, exponent) = self.stripped_parts();
        Self::checked(self.negative, magnitude, i64::from(exponent)).unwrap_or(self)
    }

    /// Whether the number has no fraction.
    pub(super) fn is_whole(self) -> bool {
        // Most numbers end on a digit that decides.
        let small = self.high == 0 && self.exponent < 0 && !self.low.is_multiple_of(10);
        self.exponent >= 0 || !small && self.stripped_parts().1 >= 0
    }

    fn stripped_parts(self) -> (u128, i32) {
        let (mut magnitude, mut exponent) = (self.magnitude(), self.exponent());
        if magnitude == 0 {
            return (0, 0);
        }
        if self.high == 0 && !self.low.is_multiple_of(10) {
            return (magnitude, exponent);
        }
        for step in [16, 8, 4, 2, 1] {
            let power = POWERS[step as usize];
            while magnitude.is_multiple_of(power) {
                magnitude /= power;
                exponent += step;
            }
        }
        (magnitude, exponent)
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        if self.exponent == other.exponent {
            return self.signed().cmp(&other.signed());
        }
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return 0.cmp(&other.signed()),
            (false, true) => return self.signed().cmp(&0),
            (false, false) => {}
        }
        if self.negative != other.negative {
            return other.negative.cmp(&self.negative);
        }
        let sizes = self.compare_magnitude(other);
        if self.negative { sizes.reverse() } else { sizes }
    }

    fn compare_magnitude(self, other: Self) -> Ordering {
        let (left, right) = (self.magnitude(), other.magnitude());
        let (left_digits, right_digits) = (digits(left), digits(right));
        let left_first = self.exponent() + left_digits as i32;
        let right_first = other.exponent() + right_digits as i32;
        // With the same first place, both magnitudes scaled to one length keep 28 digits.
        left_first.cmp(&right_first).then_with(|| {
            let left = left * POWERS[right_digits.saturating_sub(left_digits) as usize];
            let right = right * POWERS[left_digits.saturating_sub(right_digits) as usize];
            left.cmp(&right)
        })
    }

    /// Bytes of the text that `write` makes.
    pub(super) fn written_bytes(self) -> usize {
        if self.moved {
            let count = digits(self.magnitude()) as i32;
            return (plain_length(count, self.exponent()) + i32::from(self.negative)) as usize;
        }
        let (magnitude, exponent) = self.stripped_parts();
        let count = digits(magnitude) as i32;
        let sign = i32::from(self.is_negative());
        let plain = (plain_length(count, exponent) + sign) as usize;
        if plain <= PLAIN_CHARS_MAX {
            return plain;
        }
        let point = usize::from(count > 1);
        let first = (exponent + count - 1).unsigned_abs();
        sign as usize + count as usize + point + 2 + digits(u128::from(first)) as usize
    }

    /// The text as JSON: as read if moved, else in the form of results.
    pub(super) fn write(self, out: &mut String) {
        if self.moved {
            return plain(self.negative, &self.magnitude().to_string(), self.exponent(), out);
        }
        let (magnitude, exponent) = self.stripped_parts();
        let digits = magnitude.to_string();
        let negative = self.is_negative();
        let count = digits.len() as i32;
        let length = plain_length(count, exponent) + i32::from(negative);
        if length as usize <= PLAIN_CHARS_MAX {
            plain(negative, &digits, exponent, out);
        } else {
            scientific(negative, &digits, exponent + count - 1, out);
        }
    }
}

/// Characters of the plain form of that many digits, without a sign.
fn plain_length(count: i32, exponent: i32) -> i32 {
    if exponent >= 0 {
        count + exponent
    } else if -exponent < count {
        count + 1
    } else {
        2 - exponent
    }
}

fn plain(negative: bool, digits: &str, exponent: i32, out: &mut String) {
    if negative {
        out.push('-');
    }
    if exponent >= 0 {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', exponent as usize));
        return;
    }
    let fraction = exponent.unsigned_abs() as usize;
    match digits.len().checked_sub(fraction) {
        None | Some(0) => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', fraction - digits.len()));
            out.push_str(digits);
        }
        Some(whole) => {
            out.push_str(&digits[..whole]);
            out.push('.');
            out.push_str(&digits[whole..]);
        }
    }
}

fn scientific(negative: bool, digits: &str, exponent: i32, out: &mut String) {
    if negative {
        out.push('-');
    }
    out.push_str(&digits[..1]);
    if digits.len() > 1 {
        out.push('.');
        out.push_str(&digits[1..]);
    }
    out.push_str(if exponent < 0 { "e-" } else { "e+" });
    out.push_str(&exponent.unsigned_abs().to_string());
}
