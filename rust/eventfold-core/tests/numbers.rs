//! Goal: decimals compute exactly or refuse, and compare exactly at any length.
//! Method: random decimals against big integers; fixed texts for the forms that are written.

use std::cmp::Ordering;

use eventfold_core::number::{Decimal, NumberError, Rounding};
use num_bigint::{BigInt, BigUint};
use proptest::prelude::*;

/// `value × 10^exponent`, of any size.
#[derive(Debug, Clone)]
struct Exact {
    value: BigInt,
    exponent: i64,
}

fn ten_to(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).expect("a small exponent"))
}

impl Exact {
    fn parse(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let value = format!("{whole}{fraction}").parse().expect("digits");
        let exponent: i64 = exponent.parse().expect("an exponent");
        Self { value, exponent: exponent - fraction.len() as i64 }
    }

    fn scaled(&self, exponent: i64) -> BigInt {
        &self.value * ten_to(self.exponent - exponent)
    }

    fn aligned(&self, other: &Self) -> (BigInt, BigInt, i64) {
        let exponent = self.exponent.min(other.exponent);
        (self.scaled(exponent), other.scaled(exponent), exponent)
    }

    fn stripped(mut self) -> Self {
        if self.value == BigInt::ZERO {
            self.exponent = 0;
            return self;
        }
        while &self.value % 10 == BigInt::ZERO {
            self.value /= 10;
            self.exponent += 1;
        }
        self
    }

    fn digits(&self) -> usize {
        self.value.magnitude().to_string().len()
    }
}

fn assert_same(result: Result<Decimal, NumberError>, exact: Exact) -> Result<(), TestCaseError> {
    let exact = exact.stripped();
    match result {
        Err(error) => {
            prop_assert_eq!(error, NumberError::Range);
            prop_assert!(exact.digits() > 28, "{:?} was refused", exact);
        }
        Ok(decimal) => {
            let got = Exact::parse(&decimal.to_string()).stripped();
            prop_assert_eq!((got.value, got.exponent), (exact.value, exact.exponent));
        }
    }
    Ok(())
}

/// The quotient of two integers with its rest rounded half-even.
fn half_even(dividend: &BigInt, divisor: &BigInt) -> BigInt {
    let (dividend_size, divisor_size) = (dividend.magnitude(), divisor.magnitude());
    let mut quotient: BigUint = dividend_size / divisor_size;
    let twice = (dividend_size % divisor_size) * 2_u32;
    let up = match twice.cmp(divisor_size) {
        Ordering::Less => false,
        Ordering::Equal => quotient.bit(0),
        Ordering::Greater => true,
    };
    quotient += u32::from(up);
    let negative = (dividend < &BigInt::ZERO) != (divisor < &BigInt::ZERO);
    if negative { -BigInt::from(quotient) } else { BigInt::from(quotient) }
}

fn divided(left: &Exact, right: &Exact) -> Exact {
    // Enough digits that the quotient has at least 28; then cut to 28 in one rounding.
    let mut shift = 28 + right.digits() as i64 - left.digits() as i64;
    let dividend = |shift: i64| {
        if shift >= 0 { &left.value * ten_to(shift) } else { left.value.clone() }
    };
    let divisor = |shift: i64| {
        if shift >= 0 { right.value.clone() } else { &right.value * ten_to(-shift) }
    };
    let quotient = (dividend(shift) / divisor(shift)).magnitude().to_string();
    if quotient.len() > 28 {
        shift -= 1;
    }
    let value = half_even(&dividend(shift), &divisor(shift));
    Exact { value, exponent: left.exponent - right.exponent - shift }
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,27})",
        "-?(0|[1-9][0-9]{0,12})\\.[0-9]{1,15}",
        "-?[1-9][0-9]{0,3}0{0,20}",
        "-?[1-9](\\.[0-9]{1,20})?[eE][-+]?[0-9]{1,2}",
        "-?[0-9]\\.0{0,10}[0-9]{1,4}",
    ]
}

fn long_number() -> impl Strategy<Value = String> {
    prop_oneof![
        number(),
        "-?[1-9][0-9]{20,60}",
        "-?[1-9][0-9]{0,30}\\.[0-9]{1,40}",
        "-?[1-9]\\.[0-9]{1,40}e-?[1-9][0-9]{0,2}",
    ]
}

fn decimal(text: &str) -> Decimal {
    Decimal::from_json(text).expect(text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn sums_differences_and_products_are_exact(left in number(), right in number()) {
        let (a, b) = (Exact::parse(&left), Exact::parse(&right));
        let (x, y, exponent) = a.aligned(&b);
        let (left, right) = (decimal(&left), decimal(&right));
        assert_same(left.checked_add(&right), Exact { value: &x + &y, exponent })?;
        assert_same(left.checked_sub(&right), Exact { value: &x - &y, exponent })?;
        let product = Exact { value: &a.value * &b.value, exponent: a.exponent + b.exponent };
        assert_same(left.checked_mul(&right), product)?;
    }

    #[test]
    fn lengths_are_those_of_the_texts(left in number(), right in number(), digits in 0..40u32) {
        let (left, right) = (decimal(&left), decimal(&right));
        let zeros = "0".repeat(digits as usize);
        let moved = Decimal::from_json(&format!("-0.{zeros}{}0", digits * 7));
        let results = [
            left.checked_add(&right).ok(),
            left.checked_mul(&right).ok(),
            left.checked_sub(&left).ok(),
            left.checked_div(&right).ok(),
            Decimal::from_digits(digits % 2 == 0, u64::from(digits) * 1_000_003, digits % 19),
            moved,
            Some(left),
            Some(right),
        ];
        for number in results.into_iter().flatten() {
            prop_assert_eq!(number.written_bytes(), number.to_string().len(), "{}", number);
        }
    }

    #[test]
    fn quotients_have_28_digits_half_even_and_rests_are_exact(
        left in number(),
        right in number(),
    ) {
        let (a, b) = (Exact::parse(&left), Exact::parse(&right));
        let (left, right) = (decimal(&left), decimal(&right));
        if b.value == BigInt::ZERO {
            prop_assert_eq!(left.checked_div(&right), Err(NumberError::DivisionByZero));
            prop_assert_eq!(left.checked_rem(&right), Err(NumberError::DivisionByZero));
        } else {
            assert_same(left.checked_div(&right), divided(&a, &b))?;
            let (x, y, exponent) = a.aligned(&b);
            assert_same(left.checked_rem(&right), Exact { value: x % y, exponent })?;
        }
    }

    #[test]
    fn rounding_is_half_even_or_half_up(text in number(), places in -5_i64..20) {
        let exact = Exact::parse(&text);
        let rounded = decimal(&text).round(places, Rounding::HalfEven);
        if exact.exponent >= -places {
            assert_same(rounded, exact)?;
        } else {
            let unit = ten_to(-places - exact.exponent);
            let value = half_even(&exact.value, &unit);
            assert_same(rounded, Exact { value, exponent: -places })?;
            let away = decimal(&text).round(places, Rounding::HalfUp);
            let half = BigInt::from(exact.value.magnitude().clone()) * 2 + &unit;
            let size: BigInt = half / (unit * 2);
            let value = if exact.value < BigInt::ZERO { -size } else { size };
            assert_same(away, Exact { value, exponent: -places })?;
        }
    }

    #[test]
    fn order_is_exact_at_any_length(left in long_number(), right in long_number()) {
        let (x, y, _) = Exact::parse(&left).aligned(&Exact::parse(&right));
        prop_assert_eq!(decimal(&left).compare(&decimal(&right)), x.cmp(&y));
        prop_assert_eq!(decimal(&left).compare(&decimal(&left)), Ordering::Equal);
    }

    #[test]
    fn a_moved_number_keeps_its_text(text in long_number()) {
        prop_assert_eq!(decimal(&text).to_string(), text);
    }

    #[test]
    fn a_computed_number_reads_back_as_itself(left in number(), right in number()) {
        if let Ok(product) = decimal(&left).checked_mul(&decimal(&right)) {
            let text = product.to_string();
            prop_assert_eq!(decimal(&text).compare(&product), Ordering::Equal);
            prop_assert!(text.len() <= 34 || text.contains('e'), "{}", text);
        }
    }

    #[test]
    fn doubles_become_their_shortest_decimal(value in any::<f64>()) {
        if let Some(decimal) = Decimal::from_f64(value) {
            prop_assert_eq!(decimal.to_f64(), value);
        } else {
            prop_assert!(!value.is_finite());
        }
    }
}

#[test]
fn computed_forms() {
    let one = decimal("1");
    for (text, written) in [
        ("0.00", "0"),
        ("-0", "0"),
        ("-0.0e5", "0"),
        ("1.50", "1.5"),
        ("100e-2", "1"),
        ("1e33", "1000000000000000000000000000000000"),
        ("1e34", "1e+34"),
        ("-1e33", "-1e+33"),
        ("1.5e34", "1.5e+34"),
        ("1e-32", "0.00000000000000000000000000000001"),
        ("1e-33", "1e-33"),
        ("123e-40", "1.23e-38"),
        ("1e6144", "1e+6144"),
        ("1e-6143", "1e-6143"),
    ] {
        let computed = decimal(text).checked_mul(&one).expect(text);
        assert_eq!(computed.to_string(), written, "{text}");
    }
}

#[test]
fn ranges() {
    let big = decimal("9999999999999999999999999999");
    assert_eq!(big.checked_add(&decimal("0.1")), Err(NumberError::Range));
    assert_eq!(
        big.checked_add(&decimal("1")).expect("ten to 28").to_string(),
        "1".to_owned() + &"0".repeat(28)
    );
    assert_eq!(big.checked_mul(&big), Err(NumberError::Range));
    assert_eq!(decimal("1e6144").checked_mul(&decimal("10")), Err(NumberError::Range));
    assert_eq!(decimal("1e6145").checked_add(&decimal("1")), Err(NumberError::Range));
    assert_eq!(decimal("1e6000").checked_add(&decimal("1")), Err(NumberError::Range));
    assert_eq!(decimal("1e-6143").checked_div(&decimal("10")), Err(NumberError::Range));
    let long = decimal("1.00000000000000000000000000000000001");
    assert_eq!(long.checked_add(&decimal("1")), Err(NumberError::Range));
    assert_eq!(long.to_string(), "1.00000000000000000000000000000000001");
    assert_eq!(long.compare(&decimal("1")), Ordering::Greater);
    // Zeros at the end carry no value, so they do not count as digits.
    let zeros = decimal("1.0000000000000000000000000000000000");
    assert_eq!(zeros.checked_add(&decimal("1")).expect("two").to_string(), "2");
    assert_eq!(zeros.to_string(), "1.0000000000000000000000000000000000");
}

#[test]
fn far_exponents_compare() {
    let ordered = [
        "-1e999999999999999999999999",
        "-1e99999999999999999999",
        "-5",
        "1e-999999999999999999999999",
        "9e-999999999999999999999999",
        "10e-999999999999999999999999",
        "1e-99999999999999999999",
        "5",
        "1e999999999999999999",
        "0.1e1000000000000000001",
        "1e99999999999999999999",
        "10e99999999999999999999",
        "1e100000000000000000001",
    ];
    for (left_place, left) in ordered.iter().enumerate() {
        for (right_place, right) in ordered.iter().enumerate() {
            let order = decimal(left).compare(&decimal(right));
            assert_eq!(order, left_place.cmp(&right_place), "{left} and {right}");
        }
    }
    assert!(decimal("0e999999999999999999999").compare(&decimal("0")).is_eq());
}

#[test]
fn texts_that_are_no_numbers() {
    for text in ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "1 ", "١", "--1", "1.2.3"] {
        assert!(Decimal::from_json(text).is_none(), "{text}");
    }
    for (text, value) in [("+1.50", "1.5"), ("007", "7"), ("-00.5", "-0.5"), ("1e2", "100")] {
        assert_eq!(Decimal::parse(text).expect(text).expect(text).to_string(), value);
    }
    for text in ["", "-", "+", ".5", "1.", "1_000", "e5", "NaN", "--1", "+-1"] {
        assert!(Decimal::parse(text).is_none(), "{text}");
    }
}
