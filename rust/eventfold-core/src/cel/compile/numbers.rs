//! Literals of numbers, and the rules for arithmetic on numbers of known types.

use std::sync::Arc;

use crate::number::Decimal;
use crate::value::{TypeValue, Value};

use super::super::ast::Span;
use super::super::error::{CelError, Parsed};
use super::super::node::Arithmetic;
use super::super::types::StaticType;

/// Most significant digits of a double literal under strict rules: every double keeps them.
const DOUBLE_DIGITS_MAX: usize = 15;

/// An int literal, with its sign.
pub(super) fn int(text: &str, span: Span) -> Parsed<Value> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let value = match hexadecimal(digits) {
        Some(digits) => i64::from_str_radix(&format!("{sign}{digits}"), 16),
        None => text.parse(),
    };
    value.map(Value::Int).map_err(|_| {
        CelError::within(span, "the int leaves 64 bits")
            .hint("write decimal('...') for a larger one")
    })
}

/// A uint literal without its `u`.
pub(super) fn uint(text: &str, span: Span) -> Parsed<Value> {
    let value = match hexadecimal(text) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    value.map(Value::Uint).map_err(|_| CelError::within(span, "the uint leaves 64 bits"))
}

fn hexadecimal(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

/// A double literal, with its sign and the decimal that it spells.
pub(super) fn double(text: &str, strict: bool, span: Span) -> Parsed<Value> {
    if strict && significant_digits(text) > DOUBLE_DIGITS_MAX {
        return Err(CelError::within(span, format!("a double keeps {DOUBLE_DIGITS_MAX} digits"))
            .hint("write decimal('...') for more"));
    }
    let value: f64 = text
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
        .ok_or_else(|| CelError::within(span, "the double is out of range"))?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    // `.5` is a double literal, but no JSON number.
    let zero = if digits.starts_with('.') { "0" } else { "" };
    let text = format!("{sign}{zero}{digits}");
    let decimal = match Decimal::parse(&text) {
        Some(Ok(decimal)) => Some(decimal),
        // Too long to compute with, but not to compare.
        _ => Decimal::from_json(&text),
    };
    Ok(Value::Double(value, decimal.map(Arc::new)))
}

fn significant_digits(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').trim_end_matches('0').len()
}

/// Refuses an operand of `/` or `%` whose type is not known before evaluation: whether it is an
/// int or a decimal would change the result.
pub(super) fn check_operand(op: Arithmetic, kind: &StaticType, operand: Span) -> Parsed<()> {
    if kind.known().is_some() {
        return Ok(());
    }
    let problem = format!("the type of this operand of `{}` is not known", op.symbol());
    Err(CelError::within(operand, problem).hint("write decimal(..) or int(..) around it"))
}

/// The type of `left op right`.
pub(super) fn result_type(op: Arithmetic, left: StaticType, right: StaticType) -> StaticType {
    use TypeValue as T;
    let (Some(left_known), Some(right_known)) = (left.known(), right.known()) else {
        return StaticType::Dyn;
    };
    let known = match (left_known, right_known) {
        (T::Int, T::Int) => T::Int,
        (T::Uint, T::Uint) => T::Uint,
        (T::Double, T::Double) => T::Double,
        // A double that meets an exact number counts as its decimal, or fails.
        (T::Decimal, T::Int | T::Uint | T::Double | T::Decimal)
        | (T::Int | T::Uint | T::Double, T::Decimal)
        | (T::Int | T::Uint, T::Double)
        | (T::Double, T::Int | T::Uint) => T::Decimal,
        (T::String, T::String) => T::String,
        (T::Bytes, T::Bytes) => T::Bytes,
        (T::List, T::List) => return left.join(right),
        (T::Timestamp, T::Duration) | (T::Duration, T::Timestamp) => T::Timestamp,
        (T::Timestamp, T::Timestamp) if op == Arithmetic::Subtract => T::Duration,
        (T::Duration, T::Duration) => T::Duration,
        _ => return StaticType::Dyn,
    };
    StaticType::Known(known)
}
