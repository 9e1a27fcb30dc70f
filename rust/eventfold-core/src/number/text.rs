//! Texts of numbers of any length: their parts, and their exact order.

use std::cmp::Ordering;

/// The parts of a number in JSON's grammar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) negative: bool,
    /// Digits before the point.
    pub(super) whole: &'a str,
    /// Digits after the point; empty without one.
    pub(super) fraction: &'a str,
    pub(super) exponent: Option<Exponent<'a>>,
}

/// The exponent of a number: its sign and its digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exponent<'a> {
    pub(super) negative: bool,
    pub(super) digits: &'a str,
}

impl Exponent<'_> {
    /// The value, where it has at most 18 digits.
    pub(super) fn value(self) -> Option<i64> {
        let digits = self.digits.trim_start_matches('0');
        if digits.len() > 18 {
            return None;
        }
        let value: i64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        Some(if self.negative { -value } else { value })
    }
}

/// Splits a number; `None` if the text is not a number in JSON's grammar.
pub(super) fn split(text: &str) -> Option<Parts<'_>> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(place) => (&rest[..place], Some(split_exponent(&rest[place + 1..])?)),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || leading_zero || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    Some(Parts { negative, whole, fraction, exponent })
}

fn split_exponent(text: &str) -> Option<Exponent<'_>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    (!digits.is_empty() && is_digits(digits)).then_some(Exponent { negative, digits })
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number of any length in a form that can be compared: `0.digits × 10^first`.
#[derive(Debug)]
pub(super) struct Long {
    negative: bool,
    /// Significant digits without zeros at either end; empty for zero.
    digits: Vec<u8>,
    first: First,
}

/// An exponent of any size: small, or as sign and digits when it has more than 18.
#[derive(Debug)]
enum First {
    Near(i64),
    Far { negative: bool, digits: Vec<u8> },
}

impl Long {
    /// The comparable form of a text that `split` accepts.
    pub(super) fn new(text: &str) -> Option<Self> {
        let parts = split(text)?;
        let mut digits: Vec<u8> = parts.whole.bytes().chain(parts.fraction.bytes()).collect();
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        // The text is in memory, so its length fits.
        let shift = parts.whole.len() as i64 - zeros as i64;
        let first = match parts.exponent {
            None => First::Near(shift),
            Some(exponent) => match exponent.value() {
                Some(value) => First::Near(value + shift),
                None => far(exponent, shift),
            },
        };
        Some(Self { negative: parts.negative && !digits.is_empty(), digits, first })
    }

    /// The number of digits before the point and behind it; `None` if the exponent is far.
    pub(super) fn places(&self) -> Option<(u64, u64)> {
        let First::Near(first) = self.first else { return None };
        let behind = self.digits.len() as i64 - first;
        Some((u64::try_from(first).unwrap_or(0), u64::try_from(behind).unwrap_or(0)))
    }

    /// Significant digits without zeros at either end, in ASCII; empty for zero.
    pub(super) fn digits(&self) -> &[u8] {
        &self.digits
    }

    /// The exponent of the last digit; `None` if it is far.
    pub(super) fn exponent(&self) -> Option<i64> {
        let First::Near(first) = self.first else { return None };
        Some(first - self.digits.len() as i64)
    }

    /// Whether the exponent is far below zero.
    pub(super) fn is_tiny(&self) -> bool {
        matches!(self.first, First::Far { negative: true, .. })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return sign(!other.negative),
            (false, true) => return sign(self.negative),
            (false, false) => {}
        }
        if self.negative != other.negative {
            return sign(self.negative);
        }
        let sizes = self.first.compare(&other.first).then_with(|| self.digits.cmp(&other.digits));
        if self.negative { sizes.reverse() } else { sizes }
    }
}

fn sign(less: bool) -> Ordering {
    if less { Ordering::Less } else { Ordering::Greater }
}

/// The sum of an exponent of more than 18 digits and a shift that is small beside it.
fn far(exponent: Exponent<'_>, shift: i64) -> First {
    let mut digits: Vec<u8> =
        exponent.digits.trim_start_matches('0').bytes().map(|digit| digit - b'0').collect();
    let outward = if exponent.negative { -shift } else { shift };
    let mut carry = outward;
    for digit in digits.iter_mut().rev() {
        if carry == 0 {
            break;
        }
        let sum = i64::from(*digit) + carry;
        *digit = sum.rem_euclid(10) as u8;
        carry = sum.div_euclid(10);
    }
    // Carries out of the first digit are 0 or 1: the shift has far fewer digits.
    if carry > 0 {
        digits.insert(0, 1);
    }
    if digits.first() == Some(&0) {
        digits.remove(0);
    }
    First::Far { negative: exponent.negative, digits }
}

impl First {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Near(left), Self::Near(right)) => left.cmp(right),
            (Self::Near(value), Self::Far { negative, digits }) => {
                compare_far(*negative, digits, *value).reverse()
            }
            (Self::Far { negative, digits }, Self::Near(value)) => {
                compare_far(*negative, digits, *value)
            }
            (
                Self::Far { negative: left_negative, digits: left },
                Self::Far { negative: right_negative, digits: right },
            ) => {
                if left_negative != right_negative {
                    return sign(*left_negative);
                }
                let sizes = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
                if *left_negative { sizes.reverse() } else { sizes }
            }
        }
    }
}

/// Compares a far exponent with a near one. The two overlap only just above 18 digits.
fn compare_far(negative: bool, digits: &[u8], value: i64) -> Ordering {
    let far = digits.iter().try_fold(0_i128, |sum, digit| {
        sum.checked_mul(10).map(|sum| sum + i128::from(*digit)).filter(|sum| *sum < 1 << 100)
    });
    match far {
        Some(far) => (if negative { -far } else { far }).cmp(&i128::from(value)),
        None => sign(negative),
    }
}
