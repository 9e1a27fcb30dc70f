//! Literals of a document: the core schema of YAML 1.2, with number texts kept.

use crate::json::scan::number_value;
use crate::limits::JSON_DEPTH_MAX;
use crate::value::{Map, Value};

use super::refusal::{Parsed, Refusal};
use super::tree::{Kind, Node};

/// What a plain scalar stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plain {
    Null,
    Bool(bool),
    /// The text of a JSON number.
    Number(String),
    /// `.inf` or `.nan`, which JSON lacks.
    NotFinite,
    Text,
}

/// Reads a plain scalar.
pub(crate) fn plain(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Plain::NotFinite,
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Plain::NotFinite;
    }
    let based = |digits: &str, radix| u64::from_str_radix(digits, radix).ok();
    let hexadecimal = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
    let octal = text.strip_prefix("0o").filter(|digits| !digits.starts_with('+'));
    if let Some(number) = hexadecimal.and_then(|digits| based(digits, 16)) {
        return Plain::Number(number.to_string());
    }
    if let Some(number) = octal.and_then(|digits| based(digits, 8)) {
        return Plain::Number(number.to_string());
    }
    decimal_number(text, unsigned).map_or(Plain::Text, Plain::Number)
}

/// The JSON spelling of `[-+]? (digits [. digits?]? | . digits) ([eE] [-+]? digits)?`: as written,
/// save what JSON lacks (a plus sign, leading zeros, a bare dot).
fn decimal_number(text: &str, unsigned: &str) -> Option<String> {
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => unsigned.split_at(at),
        None => (unsigned, ""),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let digits_or_none = |text: &str| text.is_empty() || digits(text);
    if !digits_or_none(whole) || !fraction.is_none_or(digits_or_none) {
        return None;
    }
    if whole.is_empty() && !fraction.is_some_and(digits) {
        return None;
    }
    let power = exponent.strip_prefix(['e', 'E']);
    if power.is_some_and(|power| !digits(power.strip_prefix(['-', '+']).unwrap_or(power))) {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    let fraction = match fraction {
        None => String::new(),
        Some("") => ".0".to_owned(),
        Some(fraction) => format!(".{fraction}"),
    };
    Some(format!("{sign}{whole}{fraction}{exponent}"))
}

/// The value of a literal: scalars, lists and maps, as in `initial`.
pub(crate) fn literal_value(node: &Node) -> Parsed<Value> {
    let value = value_of(node)?;
    if value.depth() > JSON_DEPTH_MAX {
        let problem = format!("the value nests deeper than {JSON_DEPTH_MAX} levels");
        return Err(Refusal::new(node.at, problem));
    }
    Ok(value)
}

/// Recursion is bounded: the tree of a document has a limited depth.
fn value_of(node: &Node) -> Parsed<Value> {
    match &node.kind {
        Kind::Scalar { text, plain: true } => scalar_value(node, text),
        Kind::Scalar { text, plain: false } => Ok(Value::from(text.as_str())),
        Kind::List(items) => {
            Ok(Value::list(items.iter().map(value_of).collect::<Parsed<Vec<_>>>()?))
        }
        Kind::Map(entries) => {
            let mut map = Map::with_capacity(entries.len());
            for (key, value) in entries {
                map.insert(key.text().unwrap_or_default(), value_of(value)?);
            }
            Ok(Value::map(map))
        }
    }
}

fn scalar_value(node: &Node, text: &str) -> Parsed<Value> {
    match plain(text) {
        Plain::Text => Ok(Value::from(text)),
        other => plain_value(node, other),
    }
}

/// The value of a plain scalar that is not a text.
pub(crate) fn plain_value(node: &Node, plain: Plain) -> Parsed<Value> {
    match plain {
        Plain::Null | Plain::Text => Ok(Value::Null),
        Plain::Bool(value) => Ok(Value::Bool(value)),
        Plain::Number(number) => number_value(&number)
            .ok_or_else(|| Refusal::new(node.at, "the number is outside the range of decimals")),
        Plain::NotFinite => {
            Err(Refusal::new(node.at, "JSON has no infinities and no NaN: states cannot hold them"))
        }
    }
}
