//! Whole numbers and multiples, exact at any length.

use num_bigint::BigUint;

use super::arithmetic::remainder;
use super::decimal::Decimal;
use super::small::Small;
use super::text::Long;

/// Most significant digits of a divisor.
const DIVISOR_DIGITS_MAX: usize = 1_000;

/// Decimal digits that are taken at once: ten to this power fits 64 bits.
const CHUNK_DIGITS: usize = 19;

impl Decimal {
    /// Whether it has no fraction.
    pub fn is_integer(&self) -> bool {
        match (self.places(), Long::new(&self.to_string())) {
            (Some((_, behind)), _) => behind == 0,
            (None, Some(long)) => !long.is_tiny(),
            (None, None) => false,
        }
    }
}

/// What a number is to be a multiple of.
#[derive(Debug)]
pub struct Divisor {
    small: Option<Small>,
    /// Its digits without zeros at either end, and the exponent of the last.
    digits: BigUint,
    exponent: i64,
}

impl Divisor {
    /// `None` for zero, for more than 1,000 significant digits, and for an exponent of more than 18
    /// digits.
    pub fn new(number: &Decimal) -> Option<Self> {
        let long = Long::new(&number.to_string())?;
        if !(1..=DIVISOR_DIGITS_MAX).contains(&long.digits().len()) {
            return None;
        }
        let ten = BigUint::from(10_u32);
        let digits = long
            .digits()
            .iter()
            .fold(BigUint::default(), |sum, digit| sum * &ten + BigUint::from(digit - b'0'));
        Some(Self { small: number.small(), digits, exponent: long.exponent()? })
    }

    /// Whether it divides a number without a rest.
    pub fn divides(&self, number: &Decimal) -> bool {
        if number.is_zero() {
            return true;
        }
        if let (Some(number), Some(divisor)) = (number.small(), self.small)
            && let Some(rest) = remainder(number, divisor)
        {
            return rest.is_zero();
        }
        Long::new(&number.to_string()).is_some_and(|number| self.divides_long(&number))
    }

    fn divides_long(&self, number: &Long) -> bool {
        let shift = match number.exponent() {
            // Far below or above any divisor.
            None if number.is_tiny() => return false,
            None => i64::MAX,
            // The last digit of the number is not 0: smaller places of the divisor are not made up.
            Some(exponent) if exponent < self.exponent => return false,
            Some(exponent) => exponent.saturating_sub(self.exponent),
        };
        let rest = number.digits().chunks(CHUNK_DIGITS).fold(BigUint::default(), |rest, chunk| {
            let value = chunk.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
            (rest * 10_u64.pow(chunk.len() as u32) + value) % &self.digits
        });
        // From here on, further zeros clear no more factors of two and five.
        let zeros = shift.unsigned_abs().min(self.digits.bits());
        let power = BigUint::from(10_u32).modpow(&BigUint::from(zeros), &self.digits);
        rest * power % &self.digits == BigUint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, Divisor};

    fn number(text: &str) -> Decimal {
        Decimal::from_json(text).unwrap()
    }

    #[test]
    fn integers_have_no_fraction_however_they_are_spelled() {
        let long = format!("1{}", "0".repeat(50));
        for text in [
            "0",
            "-0.0",
            "1.0",
            "12e1",
            "1.50e1",
            "1e1000000",
            "0e-9",
            &long,
            "1e99999999999999999999",
        ] {
            assert!(number(text).is_integer(), "{text}");
        }
        let long = format!("{long}.5");
        for text in ["0.1", "-1.5", "15e-1", "1e-1000000", &long, "1e-99999999999999999999"] {
            assert!(!number(text).is_integer(), "{text}");
        }
    }

    #[test]
    fn multiples_are_exact() {
        let nines = "9".repeat(60);
        let cases = [
            ("4.35", "0.01", true),
            ("4.351", "0.01", false),
            ("19.99", "0.01", true),
            ("0", "7", true),
            ("-21", "7", true),
            ("1e308", "0.123456789", false),
            ("1e1000000", "0.5", true),
            ("1e1000000", "3", false),
            ("3e1000000", "3", true),
            ("1e1000000", "1e1000001", false),
            ("1e-1000000", "1", false),
            ("1e-1000000", "1e-1000001", true),
            ("1e99999999999999999999", "1024", true),
            ("1e99999999999999999999", "7", false),
            ("1e-99999999999999999999", "7", false),
            (&nines, "9", true),
            (&nines, "11", true),
            (&nines, "13", true),
            (&nines, "1000", false),
            ("12345678901234567890123456789012345678.5", "0.5", true),
            ("12345678901234567890123456789012345678.5", "1", false),
            // Eight takes three zeros, not two.
            ("1e2", "8", false),
            ("1e3", "8", true),
        ];
        for (multiple, divisor, expected) in cases {
            let divisor = Divisor::new(&number(divisor)).unwrap();
            assert_eq!(divisor.divides(&number(multiple)), expected, "{multiple} {divisor:?}");
        }
    }

    #[test]
    fn a_divisor_has_its_limits() {
        assert!(Divisor::new(&number("0.000")).is_none());
        assert!(Divisor::new(&number(&"7".repeat(1_000))).is_some());
        assert!(Divisor::new(&number(&"7".repeat(1_001))).is_none());
        assert!(Divisor::new(&number("1e999999999999999999")).is_some());
        assert!(Divisor::new(&number("1e9999999999999999999")).is_none());
    }
}
