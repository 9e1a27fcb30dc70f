//! Conversions between types.

use std::sync::Arc;

use crate::number::{Decimal, NumberError};
use crate::value::{Duration, Timestamp, Value};

use super::super::budget::Budget;
use super::super::error::Eval;
use super::super::operators::{check_text, failed, number_result, overflow};
use super::{Function, no_overload};

pub(super) fn call(function: Function, args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    let [value] = args else {
        return no_overload(function, args);
    };
    match value {
        Value::String(text) => budget.spend_bytes(text.len())?,
        Value::Bytes(bytes) => budget.spend_bytes(bytes.len())?,
        _ => {}
    }
    let converted = match function {
        Function::Bool => bool(value),
        Function::Int => int(value)?,
        Function::Uint => uint(value)?,
        Function::Double => double(value),
        Function::Decimal => decimal(value)?,
        Function::String => string(value, budget)?,
        Function::Bytes => bytes(value),
        Function::Timestamp => timestamp(value)?,
        Function::Duration => duration(value)?,
        _ => None,
    };
    match (converted, value) {
        (Some(converted), _) => Ok(converted),
        (None, Value::String(_)) => failed(format!("`{}` cannot read the text", function.name())),
        (None, _) => no_overload(function, args),
    }
}

fn bool(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(text) => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Some(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

fn int(value: &Value) -> Eval<Option<Value>> {
    let int = match value {
        Value::Int(_) => return Ok(Some(value.clone())),
        Value::Uint(value) => i64::try_from(*value).ok(),
        Value::Decimal(value) => value.to_i64(),
        // The bounds themselves are refused: the doubles nearest to them lie outside.
        Value::Double(value, _) => (*value > -9_223_372_036_854_775_808.0
            && *value < 9_223_372_036_854_775_808.0)
            .then_some(*value as i64),
        Value::Timestamp(time) => Some(time.seconds()),
        Value::Duration(duration) => Some(duration.seconds()),
        Value::String(text) => return Ok(text.parse().ok().map(Value::Int)),
        _ => return Ok(None),
    };
    int.map(|int| Some(Value::Int(int))).ok_or_else(|| overflow("int"))
}

fn uint(value: &Value) -> Eval<Option<Value>> {
    let uint = match value {
        Value::Uint(_) => return Ok(Some(value.clone())),
        Value::Int(value) => u64::try_from(*value).ok(),
        Value::Decimal(value) => value.to_u64(),
        Value::Double(value, _) => {
            (*value > -1.0 && *value < 18_446_744_073_709_551_616.0).then_some(*value as u64)
        }
        Value::String(text) => return Ok(text.parse().ok().map(Value::Uint)),
        _ => return Ok(None),
    };
    uint.map(|uint| Some(Value::Uint(uint))).ok_or_else(|| overflow("uint"))
}

fn double(value: &Value) -> Option<Value> {
    Some(Value::double(match value {
        Value::Double(value, _) => *value,
        Value::Int(value) => *value as f64,
        Value::Uint(value) => *value as f64,
        Value::Decimal(value) => value.to_f64(),
        Value::String(text) => parse_double(text)?,
        _ => return None,
    }))
}

/// A double as CEL writes it: digits, or the names of the values without digits.
fn parse_double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" | "+Infinity" | "Inf" | "+Inf" => Some(f64::INFINITY),
        "-Infinity" | "-Inf" => Some(f64::NEG_INFINITY),
        _ if text
            .bytes()
            .any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E')) =>
        {
            None
        }
        _ => text.parse().ok(),
    }
}

fn decimal(value: &Value) -> Eval<Option<Value>> {
    let decimal = match value {
        Value::Decimal(_) => return Ok(Some(value.clone())),
        Value::Int(value) => Decimal::from_i64(*value),
        Value::Uint(value) => Decimal::from_u64(*value),
        Value::Double(_, Some(literal)) => (**literal).clone(),
        Value::Double(value, None) => match Decimal::from_f64(*value) {
            Some(decimal) => decimal,
            None => return failed("NaN and infinities have no decimal"),
        },
        Value::String(text) => match Decimal::parse(text) {
            Some(Ok(decimal)) => decimal,
            Some(Err(_)) => return number_result(Err(NumberError::Range)).map(Some),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(Value::Decimal(decimal)))
}

/// The text of a double as CEL writes it.
pub(super) fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-5..1e21).contains(&size) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if exponent.starts_with('-') => {
                format!("{digits}e-{:0>2}", &exponent[1..])
            }
            Some((digits, exponent)) => format!("{digits}e+{exponent:0>2}"),
            None => text,
        };
    }
    format!("{value}")
}

fn string(value: &Value, budget: &mut Budget<'_>) -> Eval<Option<Value>> {
    Ok(Some(match value {
        Value::String(_) => value.clone(),
        Value::Bool(value) => Value::from(if *value { "true" } else { "false" }),
        Value::Int(value) => Value::string(value.to_string()),
        Value::Uint(value) => Value::string(value.to_string()),
        Value::Double(value, _) => Value::string(double_text(*value)),
        Value::Decimal(value) => {
            check_text(value.text_bytes(), budget)?;
            Value::string(value.to_string())
        }
        Value::Timestamp(time) => Value::string(time.to_string()),
        Value::Duration(duration) => Value::string(duration.to_string()),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => return failed("the bytes are not UTF-8"),
        },
        _ => return Ok(None),
    }))
}

fn bytes(value: &Value) -> Option<Value> {
    match value {
        Value::Bytes(_) => Some(value.clone()),
        Value::String(text) => Some(Value::Bytes(Arc::from(text.as_bytes()))),
        _ => None,
    }
}

fn timestamp(value: &Value) -> Eval<Option<Value>> {
    let time = match value {
        Value::Timestamp(_) => return Ok(Some(value.clone())),
        Value::Int(seconds) => Timestamp::new(*seconds, 0),
        Value::String(text) => return Ok(Timestamp::parse(text).map(Value::Timestamp)),
        _ => return Ok(None),
    };
    time.map_or_else(|| failed("the time is out of range"), |time| Ok(Some(Value::Timestamp(time))))
}

fn duration(value: &Value) -> Eval<Option<Value>> {
    let duration = match value {
        Value::Duration(_) => return Ok(Some(value.clone())),
        Value::Int(seconds) => seconds.checked_mul(1_000_000_000).map(Duration::from_nanos),
        Value::String(text) => return Ok(Duration::parse(text).map(Value::Duration)),
        _ => return Ok(None),
    };
    duration.map_or_else(
        || failed("the duration is out of range"),
        |duration| Ok(Some(Value::Duration(duration))),
    )
}
