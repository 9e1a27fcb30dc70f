//! Exact decimal numbers.
//!
//! Numbers of up to 28 significant digits are computed with exactly; longer ones, and those
//! beyond the exponents of IEEE decimal128, are kept as text and compared exactly.

mod arithmetic;
mod decimal;
mod multiple;
mod small;
mod text;

use std::cmp::Ordering;

pub use arithmetic::Rounding;
pub use decimal::Decimal;
pub use multiple::Divisor;

/// Most significant digits that are computed with.
pub const DIGITS_MAX: u32 = 28;
/// Smallest exponent of a number written as `d.ddd` times a power of ten.
pub const EXPONENT_MIN: i32 = -6_143;
/// Largest exponent of a number written as `d.ddd` times a power of ten.
pub const EXPONENT_MAX: i32 = 6_144;
/// Longest text of a computed decimal that is written without an exponent.
pub const PLAIN_CHARS_MAX: usize = 34;

/// Why a decimal has no exact result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberError {
    /// More than 28 digits, or an exponent out of range.
    Range,
    /// Division by zero.
    DivisionByZero,
}

/// Compares a 64-bit integer (as `i128`) with a double, exactly; `None` for NaN.
pub fn compare_int_double(int: i128, double: f64) -> Option<Ordering> {
    // Integers of 64 bits lie well inside these bounds, and so does every truncation below.
    const BOUND: f64 = 1e30;
    if double.is_nan() {
        return None;
    }
    if double >= BOUND {
        return Some(Ordering::Less);
    }
    if double <= -BOUND {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    let fraction = double - whole;
    let by_fraction = 0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal);
    Some(int.cmp(&(whole as i128)).then(by_fraction))
}
