//! The decimal number of values: small and fast, or a text.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::small::Small;
use super::text::{Long, Parts, split};
use super::{DIGITS_MAX, NumberError};

/// An exact decimal number. One that was read from a text writes the same text again; one that
/// was computed is written in one form (`Display`).
#[derive(Debug, Clone)]
pub struct Decimal(pub(super) Repr);

#[derive(Debug, Clone)]
pub(super) enum Repr {
    Small(Small),
    Text(Arc<Text>),
}

/// A number whose text says more than its value.
#[derive(Debug)]
pub(super) struct Text {
    text: Box<str>,
    /// The value, if it can be computed with.
    small: Option<Small>,
}

impl Decimal {
    /// The number of a JSON text, which it keeps; `None` if the text is not a JSON number.
    pub fn from_json(text: &str) -> Option<Self> {
        let parts = split(text)?;
        let small = value_of(&parts);
        let digits = parts.whole.len() + parts.fraction.len();
        // Then magnitude and exponent say all: `plain` in `small.rs` gives the same text.
        let repeatable = parts.exponent.is_none()
            && digits <= DIGITS_MAX as usize + usize::from(parts.whole == "0");
        Some(Self(match small {
            Some(small) if repeatable => Repr::Small(small.as_moved()),
            small => Repr::Text(Arc::new(Text { text: text.into(), small })),
        }))
    }

    /// The number whose JSON text is `whole.fraction` without an exponent, from all its digits,
    /// which it keeps: 110 with two places is 1.10.
    pub fn from_digits(negative: bool, digits: u64, places: u32) -> Option<Self> {
        let small = Small::checked(negative, u128::from(digits), -i64::from(places))?;
        Some(Self(Repr::Small(small.as_moved())))
    }

    /// The number of a text as the function `decimal` takes it: JSON's grammar, and a `+` or
    /// zeros in front. The text is not kept. `None` if it is not a number.
    pub fn parse(text: &str) -> Option<Result<Self, NumberError>> {
        let (sign, digits) = match text.as_bytes().first()? {
            b'-' => ("-", &text[1..]),
            b'+' => ("", &text[1..]),
            _ => ("", text),
        };
        let bare = digits.trim_start_matches('0');
        let zero = if bare.starts_with(|first: char| first.is_ascii_digit()) {
            ""
        } else if bare.len() < digits.len() {
            "0"
        } else {
            return None;
        };
        let text = format!("{sign}{zero}{bare}");
        let small = value_of(&split(&text)?);
        Some(small.map(Self::computed).ok_or(NumberError::Range))
    }

    /// The decimal of an int.
    pub fn from_i64(value: i64) -> Self {
        Self(Repr::Small(Small::from_u64(value < 0, value.unsigned_abs())))
    }

    /// The decimal of a uint.
    pub fn from_u64(value: u64) -> Self {
        Self(Repr::Small(Small::from_u64(false, value)))
    }

    /// The decimal of the shortest spelling of a double; `None` for infinities and NaN.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let text = format!("{value:e}");
        value_of(&split(&text)?).map(Self::computed)
    }

    pub(super) fn computed(small: Small) -> Self {
        Self(Repr::Small(small.as_computed()))
    }

    /// The value to compute with; `None` with more than 28 digits or out of range.
    pub(super) fn small(&self) -> Option<Small> {
        match &self.0 {
            Repr::Small(small) => Some(*small),
            Repr::Text(text) => text.small,
        }
    }

    /// Whether the number is zero.
    pub fn is_zero(&self) -> bool {
        self.small().is_some_and(Small::is_zero)
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i64 {
        match (self.small(), &self.0) {
            (Some(small), _) if small.is_zero() => 0,
            (Some(small), _) => 1 - 2 * i64::from(small.is_negative()),
            (None, Repr::Text(text)) => 1 - 2 * i64::from(text.text.starts_with('-')),
            (None, Repr::Small(_)) => 0,
        }
    }

    /// The exact order of two numbers of any length.
    pub fn compare(&self, other: &Self) -> Ordering {
        if let (Some(left), Some(right)) = (self.small(), other.small()) {
            return left.compare(right);
        }
        match (Long::new(&self.to_string()), Long::new(&other.to_string())) {
            (Some(left), Some(right)) => left.compare(&right),
            // Every text was split when it was read.
            _ => Ordering::Equal,
        }
    }

    /// The whole part as an int; `None` if it does not fit.
    pub fn to_i64(&self) -> Option<i64> {
        i64::try_from(self.whole()?).ok()
    }

    /// The whole part as a uint; `None` if it does not fit.
    pub fn to_u64(&self) -> Option<u64> {
        u64::try_from(self.whole()?).ok()
    }

    /// Whether the number has no fraction.
    pub fn is_whole(&self) -> bool {
        self.small().is_some_and(Small::is_whole)
    }

    /// The int that the JSON text of a computed decimal is read as; `None` if it is read as a
    /// decimal again.
    pub fn as_json_int(&self) -> Option<i64> {
        match &self.0 {
            Repr::Small(small) if !small.is_moved() && self.is_whole() => self.to_i64(),
            _ => None,
        }
    }

    fn whole(&self) -> Option<i128> {
        let small = self.small()?;
        let (value, exponent) = (small.signed(), small.exponent());
        let power = super::small::power(exponent.unsigned_abs());
        if exponent >= 0 {
            if value == 0 {
                return Some(0);
            }
            return value.checked_mul(i128::try_from(power?).ok()?);
        }
        // A power of ten that does not fit is larger than any magnitude.
        Some(power.and_then(|power| i128::try_from(power).ok()).map_or(0, |power| value / power))
    }

    /// The number of digits before the point and behind it, without zeros at the outer ends, as if
    /// written without an exponent; `None` if the exponent has more than 18 digits.
    pub fn places(&self) -> Option<(u64, u64)> {
        if let Some(small) = self.small() {
            if small.is_zero() {
                return Some((0, 0));
            }
            let small = small.stripped();
            let exponent = i64::from(small.exponent());
            let first = i64::from(super::small::digits(small.magnitude())) + exponent;
            return Some((
                u64::try_from(first).unwrap_or(0),
                u64::try_from(-exponent).unwrap_or(0),
            ));
        }
        Long::new(&self.to_string())?.places()
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Bytes of the text that `Display` writes.
    pub fn written_bytes(&self) -> usize {
        match &self.0 {
            Repr::Small(small) => small.written_bytes(),
            Repr::Text(text) => text.text.len(),
        }
    }

    /// Bytes of the text that are kept beside the value, for accounting.
    pub fn text_bytes(&self) -> usize {
        match &self.0 {
            Repr::Small(_) => 0,
            Repr::Text(text) => text.text.len(),
        }
    }
}

/// The value of a number of at most 28 digits and an exponent in range.
fn value_of(parts: &Parts<'_>) -> Option<Small> {
    let exponent = match parts.exponent {
        None => 0,
        // Zero is zero at any exponent.
        Some(exponent) => exponent.value().unwrap_or(i64::from(i32::MAX)),
    };
    let mut fraction = parts.fraction;
    let mut magnitude = collect(0, parts.whole);
    if let Some(whole) = magnitude {
        magnitude = collect(whole, fraction);
    }
    if magnitude.is_none() {
        // Too long as written: zeros at the end carry no value.
        fraction = fraction.trim_end_matches('0');
        let whole = parts.whole;
        if fraction.is_empty() {
            let bare = whole.trim_end_matches('0');
            let zeros = (whole.len() - bare.len()) as i64;
            return Small::checked(parts.negative, collect(0, bare)?, exponent + zeros);
        }
        magnitude = collect(collect(0, whole)?, fraction);
    }
    Small::checked(parts.negative, magnitude?, exponent - fraction.len() as i64)
}

/// Appends digits to a magnitude; `None` beyond 38 digits.
fn collect(start: u128, digits: &str) -> Option<u128> {
    digits
        .bytes()
        .try_fold(start, |sum, digit| sum.checked_mul(10)?.checked_add(u128::from(digit - b'0')))
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Small(small) => {
                let mut text = String::new();
                small.write(&mut text);
                formatter.write_str(&text)
            }
            Repr::Text(text) => formatter.write_str(&text.text),
        }
    }
}
