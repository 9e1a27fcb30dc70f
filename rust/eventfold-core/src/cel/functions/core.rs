//! Sizes, texts that contain texts, patterns, types, optionals, base64.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::{Regex, RegexBuilder};

use crate::value::{Absence, List, Value};

use super::super::budget::Budget;
use super::super::error::Eval;
use super::super::operators::{check_text, failed};
use super::{Function, no_overload};

/// Longest pattern of `matches`, in bytes.
const PATTERN_BYTES_MAX: usize = 1_024;
/// Largest compiled pattern, in bytes.
const PATTERN_COMPILED_BYTES_MAX: usize = 1 << 20;
/// What it costs to compile a pattern that is not constant.
const PATTERN_STEPS: usize = 2_000;

/// Standard base64, with or without padding at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Compiles a pattern of `matches`; the text says why it is refused.
pub(crate) fn compile_pattern(pattern: &str) -> Result<Regex, &'static str> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err("the pattern of `matches` is longer than 1024 bytes");
    }
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_COMPILED_BYTES_MAX)
        .dfa_size_limit(PATTERN_COMPILED_BYTES_MAX)
        .build()
        .map_err(|_| "the pattern of `matches` is not a regular expression, or is too large")
}

/// Whether a pattern matches anywhere in a text.
pub(crate) fn matches(text: &str, pattern: &Regex, budget: &mut Budget<'_>) -> Eval<bool> {
    // In the worst case a match looks at every position with every part of the pattern.
    budget.spend_bytes(text.len().saturating_mul(1 + pattern.as_str().len() / 8))?;
    Ok(pattern.is_match(text))
}

pub(super) fn call(function: Function, args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    match (function, args) {
        (Function::Size, [value]) => size(value, budget),
        (Function::Type, [value]) => Ok(Value::Type(value.type_value())),
        (Function::Erased, [value]) => Ok(Value::Bool(is_absent(value, Absence::Erased))),
        (Function::Withheld, [value]) => Ok(Value::Bool(is_absent(value, Absence::Withheld))),
        (Function::Dyn, [value]) => Ok(value.clone()),
        (Function::OptionalNone, _) => Ok(Value::Optional(None)),
        (Function::OptionalOf, [value]) => Ok(Value::Optional(Some(Arc::new(value.clone())))),
        (Function::OptionalOfNonZero, [value]) => {
            Ok(Value::Optional((!is_zero(value)).then(|| Arc::new(value.clone()))))
        }
        (Function::HasValue, [Value::Optional(inner)]) => Ok(Value::Bool(inner.is_some())),
        (Function::OptionalValue, [Value::Optional(Some(inner))]) => Ok((**inner).clone()),
        (Function::OptionalValue, [Value::Optional(None)]) => {
            failed("`value()` of an optional that holds nothing")
        }
        (Function::OptionalUnwrap | Function::OptionalUnwrapMember, [Value::List(list)]) => {
            unwrap(list, budget)
        }
        (Function::Base64Encode, [Value::Bytes(bytes)]) => {
            check_text(bytes.len() / 3 * 4 + 4, budget)?;
            Ok(Value::string(BASE64.encode(bytes)))
        }
        (Function::Base64Decode, [Value::String(text)]) => {
            check_text(text.len(), budget)?;
            match BASE64.decode(text.as_bytes()) {
                Ok(bytes) => Ok(Value::Bytes(bytes.into())),
                Err(_) => failed("the text is not base64"),
            }
        }
        (_, [Value::String(text), Value::String(part)]) => texts(function, text, part, budget),
        _ => no_overload(function, args),
    }
}

fn texts(function: Function, text: &str, part: &str, budget: &mut Budget<'_>) -> Eval<Value> {
    budget.spend_bytes(text.len())?;
    let found = match function {
        Function::Contains => text.contains(part),
        Function::StartsWith => text.starts_with(part),
        Function::EndsWith => text.ends_with(part),
        Function::Matches => {
            budget.spend(PATTERN_STEPS)?;
            match compile_pattern(part) {
                Ok(pattern) => matches(text, &pattern, budget)?,
                Err(message) => return failed(message),
            }
        }
        _ => return failed(format!("`{}` does not take (string, string)", function.name())),
    };
    Ok(Value::Bool(found))
}

fn size(value: &Value, budget: &mut Budget<'_>) -> Eval<Value> {
    let size = match value {
        Value::String(text) => {
            budget.spend_bytes(text.len())?;
            text.chars().count()
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => return no_overload(Function::Size, std::slice::from_ref(other)),
    };
    i64::try_from(size).map(Value::Int).or_else(|_| failed("the size leaves 64 bits"))
}

fn unwrap(list: &List, budget: &mut Budget<'_>) -> Eval<Value> {
    budget.spend(list.len())?;
    let mut items = Vec::new();
    for item in list {
        match item {
            Value::Optional(inner) => items.extend(inner.as_deref().cloned()),
            Value::Absent(_) => items.push(item.clone()),
            other => {
                return failed(format!("`unwrap` takes optionals, not {}", other.type_name()));
            }
        }
    }
    Ok(Value::list(items))
}

/// Whether a value, or the one that an optional holds, is absent for that reason.
fn is_absent(value: &Value, wanted: Absence) -> bool {
    match value {
        Value::Optional(Some(inner)) => is_absent(inner, wanted),
        value => value.absence() == Some(wanted),
    }
}

/// Whether a value is the zero value of its type.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Uint(value) => *value == 0,
        Value::Double(value, _) => *value == 0.0,
        Value::Decimal(value) => value.is_zero(),
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Duration(duration) => duration.nanos() == 0,
        Value::Timestamp(time) => time.seconds() == 0 && time.nanos() == 0,
        Value::Optional(inner) => inner.is_none(),
        Value::Type(_) | Value::Absent(_) => false,
    }
}
