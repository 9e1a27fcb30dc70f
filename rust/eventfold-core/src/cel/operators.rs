//! Operators on values: arithmetic, order, equality, membership.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::limits::EVALUATION_TEXT_BYTES_MAX;
use crate::number::{Decimal, NumberError, compare_int_double};
use crate::value::{Key, Value};

use super::absent;
use super::budget::Budget;
use super::error::{EVALUATION_LIMIT, Eval, EvalError, NUMBER_RANGE};
use super::node::{Arithmetic, Comparison};

const COMPUTED_DOUBLE: &str = "a computed double meets an exact number: \
     write double(..) around the number or decimal(..) around the double";

pub(crate) fn failed<T>(message: impl Into<String>) -> Eval<T> {
    Err(Box::new(EvalError::failed(message)))
}

/// The error of an operator or function that does not take these types.
pub(crate) fn no_overload<T>(function: &str, values: &[&Value]) -> Eval<T> {
    let types: Vec<_> = values.iter().map(|value| value.type_name()).collect();
    failed(format!("`{function}` does not take ({})", types.join(", ")))
}

/// Checks the size of a text before it is built, and takes its steps.
pub(crate) fn check_text(bytes: usize, budget: &mut Budget<'_>) -> Eval<()> {
    if bytes > EVALUATION_TEXT_BYTES_MAX {
        let message = format!("a text would be longer than {EVALUATION_TEXT_BYTES_MAX} bytes");
        return Err(Box::new(EvalError::limit(message, EVALUATION_TEXT_BYTES_MAX as u64)));
    }
    budget.spend_bytes(bytes)
}

pub(crate) fn number_result(result: Result<Decimal, NumberError>) -> Eval<Value> {
    match result {
        Ok(decimal) => Ok(Value::Decimal(decimal)),
        Err(NumberError::DivisionByZero) => failed("division by zero"),
        Err(NumberError::Range) => Err(Box::new(EvalError::new(
            NUMBER_RANGE,
            "the number would need more than 28 digits or an exponent out of range",
        ))),
    }
}

/// A number as a decimal, where it meets an exact number: `Some(None)` for a computed double.
fn exact(value: &Value) -> Option<Option<Decimal>> {
    match value {
        Value::Int(value) => Some(Some(Decimal::from_i64(*value))),
        Value::Uint(value) => Some(Some(Decimal::from_u64(*value))),
        Value::Decimal(value) => Some(Some(value.clone())),
        Value::Double(_, literal) => Some(literal.as_deref().cloned()),
        _ => None,
    }
}

/// `left op right` for every operator of arithmetic.
#[inline]
pub(crate) fn arithmetic(
    op: Arithmetic,
    left: &Value,
    right: &Value,
    budget: &mut Budget<'_>,
) -> Eval<Value> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => ints(op, *left, *right),
        (Value::Decimal(left), Value::Decimal(right)) => decimals(op, left, right),
        _ => arithmetic_slow(op, left, right, budget),
    }
}

#[inline(never)]
fn arithmetic_slow(
    op: Arithmetic,
    left: &Value,
    right: &Value,
    budget: &mut Budget<'_>,
) -> Eval<Value> {
    match (left, right) {
        (Value::Decimal(left), Value::Int(right)) => decimals(op, left, &Decimal::from_i64(*right)),
        (Value::Int(left), Value::Decimal(right)) => decimals(op, &Decimal::from_i64(*left), right),
        (Value::Uint(left), Value::Uint(right)) => uints(op, *left, *right),
        (Value::Double(left, _), Value::Double(right, _)) => doubles(op, *left, *right),
        (Value::Int(_), Value::Uint(_)) | (Value::Uint(_), Value::Int(_)) => failed(format!(
            "`{}` does not take an int and a uint: write int(..) or uint(..)",
            op.symbol()
        )),
        (Value::String(left), Value::String(right)) if op == Arithmetic::Add => {
            check_text(left.len() + right.len(), budget)?;
            let mut text = String::with_capacity(left.len() + right.len());
            text.push_str(left);
            text.push_str(right);
            Ok(Value::String(text.into()))
        }
        (Value::Bytes(left), Value::Bytes(right)) if op == Arithmetic::Add => {
            check_text(left.len() + right.len(), budget)?;
            Ok(Value::Bytes([&**left, &**right].concat().into()))
        }
        (Value::List(left), Value::List(right)) if op == Arithmetic::Add => {
            budget.spend(right.len() + left.len() / 64)?;
            Ok(Value::List(left.clone().concat(right)))
        }
        (Value::Absent(_), _) | (_, Value::Absent(_)) => absent::of([left, right]),
        _ => match (exact(left), exact(right)) {
            (Some(Some(left)), Some(Some(right))) => decimals(op, &left, &right),
            (Some(_), Some(_)) => failed(COMPUTED_DOUBLE),
            _ => times(op, left, right),
        },
    }
}

fn ints(op: Arithmetic, left: i64, right: i64) -> Eval<Value> {
    let result = match op {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide | Arithmetic::Remainder if right == 0 => {
            return failed("division by zero");
        }
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => left.checked_rem(right),
    };
    result.map(Value::Int).ok_or_else(|| overflow("int"))
}

fn uints(op: Arithmetic, left: u64, right: u64) -> Eval<Value> {
    let result = match op {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide | Arithmetic::Remainder if right == 0 => {
            return failed("division by zero");
        }
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => left.checked_rem(right),
    };
    result.map(Value::Uint).ok_or_else(|| overflow("uint"))
}

/// The error of an integer that leaves 64 bits.
pub(crate) fn overflow(kind: &str) -> Box<EvalError> {
    Box::new(EvalError::new(NUMBER_RANGE, format!("the {kind} leaves 64 bits")))
}

fn doubles(op: Arithmetic, left: f64, right: f64) -> Eval<Value> {
    Ok(Value::double(match op {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => return failed("`%` does not take (double, double)"),
    }))
}

fn decimals(op: Arithmetic, left: &Decimal, right: &Decimal) -> Eval<Value> {
    number_result(match op {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => left.checked_rem(right),
    })
}

fn times(op: Arithmetic, left: &Value, right: &Value) -> Eval<Value> {
    let result = match (op, left, right) {
        (Arithmetic::Add, Value::Timestamp(time), Value::Duration(duration))
        | (Arithmetic::Add, Value::Duration(duration), Value::Timestamp(time)) => {
            time.checked_add(*duration).map(Value::Timestamp)
        }
        (Arithmetic::Subtract, Value::Timestamp(time), Value::Duration(duration)) => duration
            .checked_neg()
            .and_then(|duration| time.checked_add(duration))
            .map(Value::Timestamp),
        (Arithmetic::Subtract, Value::Timestamp(left), Value::Timestamp(right)) => {
            left.checked_since(*right).map(Value::Duration)
        }
        (Arithmetic::Add, Value::Duration(left), Value::Duration(right)) => {
            left.checked_add(*right).map(Value::Duration)
        }
        (Arithmetic::Subtract, Value::Duration(left), Value::Duration(right)) => {
            left.checked_sub(*right).map(Value::Duration)
        }
        _ => return no_overload(op.symbol(), &[left, right]),
    };
    result.map_or_else(|| failed("the time is out of range"), Ok)
}

/// Unary minus.
pub(crate) fn negate(value: &Value) -> Eval<Value> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or_else(|| overflow("int")),
        Value::Decimal(value) => number_result(value.checked_neg()),
        Value::Double(value, literal) => {
            let literal = literal.as_deref().and_then(|literal| literal.checked_neg().ok());
            Ok(Value::Double(-value, literal.map(Arc::new)))
        }
        Value::Duration(value) => match value.checked_neg() {
            Some(value) => Ok(Value::Duration(value)),
            None => failed("the time is out of range"),
        },
        Value::Absent(_) => Ok(value.clone()),
        other => no_overload("-", &[other]),
    }
}

/// The order of two numbers; `None` if one is NaN. Not called with other values.
fn compare_numbers(left: &Value, right: &Value) -> Eval<Option<Ordering>> {
    let int = |value: &Value| match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        _ => None,
    };
    match (left, right) {
        (Value::Double(left, _), Value::Double(right, _)) => return Ok(left.partial_cmp(right)),
        (Value::Double(left, None), right) => {
            if let Some(right) = int(right) {
                return Ok(compare_int_double(right, *left).map(Ordering::reverse));
            }
        }
        (left, Value::Double(right, None)) => {
            if let Some(left) = int(left) {
                return Ok(compare_int_double(left, *right));
            }
        }
        (left, right) => {
            if let (Some(left), Some(right)) = (int(left), int(right)) {
                return Ok(Some(left.cmp(&right)));
            }
        }
    }
    match (exact(left), exact(right)) {
        (Some(Some(left)), Some(Some(right))) => Ok(Some(left.compare(&right))),
        _ => failed(COMPUTED_DOUBLE),
    }
}

/// Whether a value is a number of any kind.
pub(crate) fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(..) | Value::Decimal(_))
}

/// The order of two values of types that have one; `None` if one is NaN or absent.
pub(crate) fn order(
    function: &str,
    left: &Value,
    right: &Value,
    budget: &mut Budget<'_>,
) -> Eval<Option<Ordering>> {
    Ok(Some(match (left, right) {
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::String(left), Value::String(right)) => {
            budget.spend_bytes(left.len().min(right.len()))?;
            left.cmp(right)
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            budget.spend_bytes(left.len().min(right.len()))?;
            left.cmp(right)
        }
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Timestamp(left), Value::Timestamp(right)) => left.cmp(right),
        (Value::Duration(left), Value::Duration(right)) => left.cmp(right),
        _ if is_number(left) && is_number(right) => {
            budget.spend_bytes(text_bytes(left) + text_bytes(right))?;
            return compare_numbers(left, right);
        }
        (Value::Absent(_), _) | (_, Value::Absent(_)) => return Ok(None),
        _ => return no_overload(function, &[left, right]),
    }))
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Decimal(decimal) => decimal.text_bytes(),
        _ => 0,
    }
}

/// `<`, `<=`, `>`, `>=`.
pub(crate) fn compare(
    op: Comparison,
    left: &Value,
    right: &Value,
    budget: &mut Budget<'_>,
) -> Eval<bool> {
    let order = order(op.symbol(), left, right, budget)?;
    Ok(order.is_some_and(|order| match op {
        Comparison::Less => order.is_lt(),
        Comparison::LessEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterEqual => order.is_ge(),
    }))
}

/// `==`. Values of different types are not equal; numbers are compared across types. What is absent
/// equals nothing, itself included.
pub(crate) fn equal(left: &Value, right: &Value, budget: &mut Budget<'_>) -> Eval<bool> {
    Ok(match (left, right) {
        (Value::String(left), Value::String(right)) => {
            left.len() == right.len() && {
                budget.spend_bytes(left.len())?;
                left == right
            }
        }
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Bytes(left), Value::Bytes(right)) => left == right,
        (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
        (Value::Duration(left), Value::Duration(right)) => left == right,
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::Optional(left), Value::Optional(right)) => match (left, right) {
            (Some(left), Some(right)) => return equal(left, right, budget),
            (left, right) => left.is_none() == right.is_none(),
        },
        (Value::List(left), Value::List(right)) => {
            return equal_lists(left, right, budget);
        }
        (Value::Map(left), Value::Map(right)) => return equal_maps(left, right, budget),
        _ if is_number(left) && is_number(right) => {
            budget.spend_bytes(text_bytes(left) + text_bytes(right))?;
            compare_numbers(left, right)?.is_some_and(Ordering::is_eq)
        }
        _ => false,
    })
}

fn equal_lists(
    left: &crate::value::List,
    right: &crate::value::List,
    budget: &mut Budget<'_>,
) -> Eval<bool> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (left, right) in left.iter().zip(right) {
        budget.step()?;
        if !equal(left, right, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps(
    left: &crate::value::Map,
    right: &crate::value::Map,
    budget: &mut Budget<'_>,
) -> Eval<bool> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (key, left) in left {
        budget.step()?;
        match right.get_key(key) {
            Some(right) if equal(left, right, budget)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// `item in container`.
pub(crate) fn contains(item: &Value, container: &Value, budget: &mut Budget<'_>) -> Eval<bool> {
    match container {
        Value::List(list) => {
            let mut error = None;
            for candidate in list {
                budget.step()?;
                match equal(item, candidate, budget) {
                    Ok(true) => return Ok(true),
                    Ok(false) => {}
                    Err(limit) if limit.reason == EVALUATION_LIMIT => return Err(limit),
                    Err(first) => error = error.or(Some(first)),
                }
            }
            error.map_or(Ok(false), Err)
        }
        Value::Map(map) => Ok(Key::from_value(item).is_some_and(|key| map.get_key(&key).is_some())),
        Value::Absent(_) => Ok(false),
        _ if matches!(item, Value::Absent(_)) => Ok(false),
        other => no_overload("in", &[item, other]),
    }
}
