//! The function `format`: `%s`, `%d`, `%f`, `%e`, `%b`, `%o`, `%x`, `%X`, `%%`.

use std::fmt::Write;

use crate::number::{Decimal, Rounding};
use crate::value::{Absence, Map, Value};

use super::super::budget::Budget;
use super::super::error::Eval;
use super::super::operators::{check_text, failed};
use super::convert::double_text;
use super::{Function, no_overload};

/// Most digits after the point that `%.nf` and `%.ne` write.
const PRECISION_MAX: usize = 1_000;
/// Digits after the point without a precision.
const PRECISION_DEFAULT: usize = 6;

pub(super) fn call(args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    let [Value::String(pattern), Value::List(values)] = args else {
        return no_overload(Function::Format, args);
    };
    budget.spend_bytes(pattern.len())?;
    let mut out = String::new();
    let mut rest = &**pattern;
    let mut index = 0;
    while let Some(place) = rest.find('%') {
        out.push_str(&rest[..place]);
        rest = &rest[place + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (clause, length) = clause(rest)?;
        rest = &rest[length..];
        let Some(value) = values.get(index) else {
            return failed("`format` has more clauses than values");
        };
        index += 1;
        budget.step()?;
        // As much is looked at as is written.
        if value.absence_within().is_some() {
            let absence = Absence::among_all(values);
            return Ok(absence.map_or(Value::Null, Value::Absent));
        }
        let before = out.len();
        write_clause(&clause, value, &mut out, budget)?;
        budget.spend_bytes(out.len() - before)?;
        check_text(out.len(), &mut Budget::new(u64::MAX))?;
    }
    out.push_str(rest);
    check_text(out.len(), budget)?;
    Ok(Value::string(out))
}

struct Clause {
    letter: char,
    precision: Option<usize>,
}

/// The clause after a `%`, and its length.
fn clause(text: &str) -> Eval<(Clause, usize)> {
    let mut precision = None;
    let mut length = 0;
    if let Some(digits) = text.strip_prefix('.') {
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        precision = digits[..count].parse().ok().filter(|digits| *digits <= PRECISION_MAX);
        if precision.is_none() {
            return failed("`format` has a precision that is missing or too large");
        }
        length = 1 + count;
    }
    match text[length..].chars().next() {
        Some(letter @ ('s' | 'd' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X')) => {
            Ok((Clause { letter, precision }, length + 1))
        }
        _ => failed("`format` has a clause that it does not know"),
    }
}

fn write_clause(
    clause: &Clause,
    value: &Value,
    out: &mut String,
    budget: &mut Budget<'_>,
) -> Eval<()> {
    let precision = clause.precision.unwrap_or(PRECISION_DEFAULT);
    let done = match clause.letter {
        's' => return write_string(value, out, budget),
        'd' => write_digits(value, out),
        'f' => write_fixed(value, precision, out),
        'e' => write_scientific(value, precision, out),
        'b' => write_bits(value, out),
        'o' => write_octal(value, out),
        _ => write_hexadecimal(value, clause.letter == 'X', out, budget)?,
    };
    if done {
        return Ok(());
    }
    failed(format!("`%{}` of `format` does not take {}", clause.letter, value.type_name()))
}

/// `%s`: the text of any value. The depth of values bounds the recursion.
fn write_string(value: &Value, out: &mut String, budget: &mut Budget<'_>) -> Eval<()> {
    budget.step()?;
    match value {
        Value::String(text) => {
            check_text(text.len(), budget)?;
            out.push_str(text);
        }
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(_) | Value::Uint(_) | Value::Double(..) | Value::Decimal(_) => {
            write_digits(value, out);
        }
        Value::Bytes(bytes) => {
            check_text(bytes.len(), budget)?;
            out.push_str(&String::from_utf8_lossy(bytes));
        }
        Value::Timestamp(time) => push(out, time),
        Value::Duration(duration) => push(out, duration),
        Value::Type(kind) => out.push_str(kind.name()),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_string(item, out, budget)?;
            }
            out.push(']');
        }
        Value::Map(map) => write_map(map, out, budget)?,
        // Nothing absent comes here.
        Value::Optional(_) | Value::Absent(_) => {
            return failed("`%s` of `format` does not take optional_type");
        }
    }
    check_text(out.len(), &mut Budget::new(u64::MAX))
}

/// Entries in the order of the texts of their keys, as CEL wants it.
fn write_map(map: &Map, out: &mut String, budget: &mut Budget<'_>) -> Eval<()> {
    let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.to_text(), value)).collect();
    budget.spend(entries.len())?;
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    out.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        check_text(key.len(), budget)?;
        out.push_str(&key);
        out.push_str(": ");
        write_string(value, out, budget)?;
    }
    out.push('}');
    Ok(())
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

fn write_digits(value: &Value, out: &mut String) -> bool {
    match value {
        Value::Int(value) => push(out, value),
        Value::Uint(value) => push(out, value),
        Value::Decimal(value) => push(out, value),
        Value::Double(value, _) => out.push_str(&double_text(*value)),
        _ => return false,
    }
    true
}

/// A number as a double for `%e`, and for `%f` of doubles.
fn as_double(value: &Value) -> Option<f64> {
    match value {
        Value::Double(value, _) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        Value::Uint(value) => Some(*value as f64),
        Value::Decimal(value) => Some(value.to_f64()),
        _ => None,
    }
}

fn write_fixed(value: &Value, precision: usize, out: &mut String) -> bool {
    let decimal = match value {
        Value::Decimal(value) => Some(value.clone()),
        Value::Int(value) => Some(Decimal::from_i64(*value)),
        Value::Uint(value) => Some(Decimal::from_u64(*value)),
        _ => None,
    };
    // Exact numbers stay exact; only those that leave plain digits go through a double.
    let exact = decimal
        .and_then(|decimal| decimal.round(precision as i64, Rounding::HalfEven).ok())
        .map(|decimal| decimal.to_string())
        .filter(|text| !text.contains('e'));
    if let Some(text) = exact {
        let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        out.push_str(&text);
        if precision > digits {
            out.push_str(if digits == 0 { "." } else { "" });
            out.extend(std::iter::repeat_n('0', precision - digits));
        }
        return true;
    }
    match as_double(value) {
        Some(value) if value.is_finite() => push(out, format_args!("{value:.precision$}")),
        Some(value) => out.push_str(&double_text(value)),
        None => return false,
    }
    true
}

fn write_scientific(value: &Value, precision: usize, out: &mut String) -> bool {
    let Some(value) = as_double(value) else {
        return false;
    };
    if !value.is_finite() {
        out.push_str(&double_text(value));
        return true;
    }
    let text = format!("{value:.precision$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            push(out, format_args!("{digits}e{sign}{exponent:0>2}"));
        }
        None => out.push_str(&text),
    }
    true
}

/// The sign and magnitude of an integer.
fn integer(value: &Value) -> Option<(&'static str, u64)> {
    match value {
        Value::Int(value) => Some((if *value < 0 { "-" } else { "" }, value.unsigned_abs())),
        Value::Uint(value) => Some(("", *value)),
        _ => None,
    }
}

fn write_bits(value: &Value, out: &mut String) -> bool {
    match (value, integer(value)) {
        (Value::Bool(value), _) => out.push(if *value { '1' } else { '0' }),
        (_, Some((sign, magnitude))) => push(out, format_args!("{sign}{magnitude:b}")),
        _ => return false,
    }
    true
}

fn write_octal(value: &Value, out: &mut String) -> bool {
    match integer(value) {
        Some((sign, magnitude)) => push(out, format_args!("{sign}{magnitude:o}")),
        None => return false,
    }
    true
}

fn write_hexadecimal(
    value: &Value,
    upper: bool,
    out: &mut String,
    budget: &mut Budget<'_>,
) -> Eval<bool> {
    let bytes = match value {
        Value::String(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        other => {
            let Some((sign, magnitude)) = integer(other) else {
                return Ok(false);
            };
            if upper {
                push(out, format_args!("{sign}{magnitude:X}"));
            } else {
                push(out, format_args!("{sign}{magnitude:x}"));
            }
            return Ok(true);
        }
    };
    check_text(bytes.len().saturating_mul(2), budget)?;
    for byte in bytes {
        if upper {
            push(out, format_args!("{byte:02X}"));
        } else {
            push(out, format_args!("{byte:02x}"));
        }
    }
    Ok(true)
}
