//! Arithmetic on decimals: exact, or refused; only division and rounding round.

use num_bigint::BigUint;

use super::decimal::Decimal;
use super::small::{Small, digits, power};
use super::{DIGITS_MAX, NumberError};

/// Where a number in the middle between two goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the even neighbour.
    HalfEven,
    /// Away from zero.
    HalfUp,
    /// Every fraction goes towards zero.
    Down,
    /// Every fraction goes towards negative infinity.
    Floor,
    /// Every fraction goes towards positive infinity.
    Ceiling,
}

/// Digits that one step of long division makes: a rest of 28 digits times this fits 128 bits.
const DIVISION_STEP_DIGITS: u32 = 10;

impl Decimal {
    /// The exact sum.
    pub fn checked_add(&self, other: &Self) -> Result<Self, NumberError> {
        let (left, right) = both(self, other)?;
        add(left, right).map(Self::computed)
    }

    /// The exact difference.
    pub fn checked_sub(&self, other: &Self) -> Result<Self, NumberError> {
        let (left, right) = both(self, other)?;
        add(left, right.negated()).map(Self::computed)
    }

    /// The exact product.
    pub fn checked_mul(&self, other: &Self) -> Result<Self, NumberError> {
        let (left, right) = both(self, other)?;
        multiply(left, right).ok_or(NumberError::Range).map(Self::computed)
    }

    /// The quotient, rounded half-even to 28 digits.
    pub fn checked_div(&self, other: &Self) -> Result<Self, NumberError> {
        let (left, right) = both(self, other)?;
        if right.is_zero() {
            return Err(NumberError::DivisionByZero);
        }
        divide(left, right).ok_or(NumberError::Range).map(Self::computed)
    }

    /// The exact rest of the division rounded towards zero; it has the sign of `self`.
    pub fn checked_rem(&self, other: &Self) -> Result<Self, NumberError> {
        let (left, right) = both(self, other)?;
        if right.is_zero() {
            return Err(NumberError::DivisionByZero);
        }
        remainder(left, right).ok_or(NumberError::Range).map(Self::computed)
    }

    /// The opposite number.
    pub fn checked_neg(&self) -> Result<Self, NumberError> {
        self.small().map(|small| Self::computed(small.negated())).ok_or(NumberError::Range)
    }

    /// The number rounded to that many digits after the point (before it, if negative).
    pub fn round(&self, places: i64, rounding: Rounding) -> Result<Self, NumberError> {
        let small = self.small().ok_or(NumberError::Range)?;
        round(small, places, rounding).ok_or(NumberError::Range).map(Self::computed)
    }
}

#[inline]
fn both(left: &Decimal, right: &Decimal) -> Result<(Small, Small), NumberError> {
    match (left.small(), right.small()) {
        (Some(left), Some(right)) => Ok((left, right)),
        _ => Err(NumberError::Range),
    }
}

fn add(left: Small, right: Small) -> Result<Small, NumberError> {
    if left.is_zero() {
        return Ok(right);
    }
    if right.is_zero() {
        return Ok(left);
    }
    add_aligned(left, right)
        // Zeros at the end may have kept the two from one exponent.
        .or_else(|| add_aligned(left.stripped(), right.stripped()))
        .ok_or(NumberError::Range)
}

fn add_aligned(left: Small, right: Small) -> Option<Small> {
    let exponent = left.exponent().min(right.exponent());
    let sum = aligned(left, exponent)?.checked_add(aligned(right, exponent)?)?;
    Small::from_signed(sum, exponent)
}

/// The number as a multiple of `10^exponent`, which is not above its own.
#[inline]
fn aligned(number: Small, exponent: i32) -> Option<i128> {
    let shift = number.exponent() - exponent;
    if shift == 0 {
        return Some(number.signed());
    }
    let power = power(shift.unsigned_abs())?;
    number.signed().checked_mul(i128::try_from(power).ok()?)
}

fn multiply(left: Small, right: Small) -> Option<Small> {
    let negative = left.is_negative() != right.is_negative();
    let exponent = i64::from(left.exponent() + right.exponent());
    if let Some(product) = left.magnitude().checked_mul(right.magnitude()) {
        return Small::checked(negative, product, exponent);
    }
    let mut product = BigUint::from(left.magnitude()) * BigUint::from(right.magnitude());
    let mut exponent = exponent;
    let ten = BigUint::from(10_u32);
    let zero = BigUint::default();
    while product.bits() > 94 {
        if &product % &ten != zero {
            return None;
        }
        product /= &ten;
        exponent += 1;
    }
    Small::checked(negative, u128::try_from(product).ok()?, exponent)
}

fn divide(left: Small, right: Small) -> Option<Small> {
    let negative = left.is_negative() != right.is_negative();
    let divisor = right.magnitude();
    let mut exponent = i64::from(left.exponent() - right.exponent());
    let mut quotient = left.magnitude() / divisor;
    let mut rest = left.magnitude() % divisor;
    while rest != 0 && (quotient == 0 || digits(quotient) < DIGITS_MAX) {
        let room = if quotient == 0 { DIGITS_MAX } else { DIGITS_MAX - digits(quotient) };
        let step = room.min(DIVISION_STEP_DIGITS);
        let power = power(step)?;
        rest *= power;
        quotient = quotient * power + rest / divisor;
        rest %= divisor;
        exponent -= i64::from(step);
    }
    if rest != 0 {
        quotient += u128::from(rounds_up(quotient, rest, divisor, negative, Rounding::HalfEven));
    }
    Small::checked(negative, quotient, exponent)
}

/// Whether a quotient with a rest goes to the next magnitude.
fn rounds_up(quotient: u128, rest: u128, divisor: u128, negative: bool, mode: Rounding) -> bool {
    let half = rest.cmp(&(divisor - rest));
    match mode {
        Rounding::HalfEven => half.is_gt() || (half.is_eq() && quotient % 2 == 1),
        Rounding::HalfUp => half.is_ge(),
        Rounding::Down => false,
        Rounding::Floor => negative && rest != 0,
        Rounding::Ceiling => !negative && rest != 0,
    }
}

pub(super) fn remainder(left: Small, right: Small) -> Option<Small> {
    let (dividend, divisor) = (left.magnitude(), right.magnitude());
    let shift = left.exponent() - right.exponent();
    if shift < 0 {
        // A divisor that does not fit is larger than any dividend.
        let divisor = power(shift.unsigned_abs()).and_then(|power| divisor.checked_mul(power));
        let rest = divisor.map_or(dividend, |divisor| dividend % divisor);
        return Small::checked(left.is_negative(), rest, i64::from(left.exponent()));
    }
    let mut rest = dividend % divisor;
    let mut shift = shift.unsigned_abs();
    while shift > 0 && rest != 0 {
        let step = shift.min(DIVISION_STEP_DIGITS);
        rest = rest * power(step)? % divisor;
        shift -= step;
    }
    Small::checked(left.is_negative(), rest, i64::from(right.exponent()))
}

fn round(number: Small, places: i64, mode: Rounding) -> Option<Small> {
    let exponent = places.checked_neg()?;
    let drop = exponent.saturating_sub(i64::from(number.exponent()));
    if drop <= 0 || number.is_zero() {
        return Some(number);
    }
    let negative = number.is_negative();
    let magnitude = number.magnitude();
    let power = u32::try_from(drop).ok().and_then(power);
    let (quotient, up) = match power {
        Some(power) => {
            let (quotient, rest) = (magnitude / power, magnitude % power);
            (quotient, rest != 0 && rounds_up(quotient, rest, power, negative, mode))
        }
        // The whole number is a fraction far below one half.
        None => (0, rounds_up(0, 1, 4, negative, mode)),
    };
    Small::checked(negative, quotient + u128::from(up), exponent)
}
