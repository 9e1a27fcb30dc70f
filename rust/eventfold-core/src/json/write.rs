//! Values to JSON texts, and to values that hold only JSON.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cel::{EvalError, STATE_NOT_JSON};
use crate::limits::JSON_DEPTH_MAX;
use crate::number::Decimal;
use crate::value::{Key, List, Map, Value};

/// Writes the JSON text of a value: timestamps in RFC 3339 and UTC, durations as `"3.5s"`,
/// bytes in base64, doubles as the decimal of their shortest spelling. NaN, infinities, types
/// and optionals are `STATE_NOT_JSON`, and so are two keys with one string form. Absent values are
/// the bare words `erased` and `withheld`: texts that leave the process go through
/// [`without_absent`](super::absent::without_absent) first.
pub fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), EvalError> {
    if value.depth() > JSON_DEPTH_MAX && real_depth(value) > JSON_DEPTH_MAX {
        return Err(too_deep());
    }
    write(value, out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), EvalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(value) => write_number(value, out),
        Value::Uint(value) => write_number(value, out),
        Value::Decimal(value) => write_number(value, out),
        Value::String(text) => write_string(text, out),
        Value::List(list) => return write_list(list, out),
        Value::Map(map) => return write_map(map, out),
        Value::Absent(absence) => out.extend_from_slice(absence.word().as_bytes()),
        other => return write(&scalar(other)?, out),
    }
    Ok(())
}

fn write_number(value: impl Display, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{value}");
}

fn write_list(list: &List, out: &mut Vec<u8>) -> Result<(), EvalError> {
    out.push(b'[');
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_map(map: &Map, out: &mut Vec<u8>) -> Result<(), EvalError> {
    if map.iter().any(|(key, _)| key.as_str().is_none()) {
        return write_map(&json_map(map)?, out);
    }
    out.push(b'{');
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(key.as_str().unwrap_or_default(), out);
        out.push(b':');
        write(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// Writes a string with its quotes; only what JSON demands is escaped.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut clean_from = 0;
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x00..0x20 => 0,
            _ => continue,
        };
        out.extend_from_slice(&bytes[clean_from..index]);
        clean_from = index + 1;
        if short == 0 {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
    }
    out.extend_from_slice(&bytes[clean_from..]);
    out.push(b'"');
}

/// The same value with JSON types only, as a state holds it. A value that is JSON already is
/// returned as it is. Deeper than `JSON_DEPTH_MAX` is `EVALUATION_LIMIT`.
#[inline]
pub fn to_json_value(value: Value) -> Result<Value, EvalError> {
    match value {
        // Most results are of these; they need no look at what they hold.
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_) | Value::Absent(_) => {
            Ok(value)
        }
        value => nested_to_json(value),
    }
}

fn nested_to_json(value: Value) -> Result<Value, EvalError> {
    if value.depth() > JSON_DEPTH_MAX && real_depth(&value) > JSON_DEPTH_MAX {
        return Err(too_deep());
    }
    if value.is_json() { Ok(value) } else { convert(&value) }
}

fn too_deep() -> EvalError {
    let message = format!("the value nests deeper than {JSON_DEPTH_MAX} levels");
    EvalError::limit(message, JSON_DEPTH_MAX as u64)
}

/// The depth by a walk: the stored one is an upper bound.
fn real_depth(value: &Value) -> usize {
    match value {
        Value::List(list) => 1 + list.iter().map(real_depth).max().unwrap_or(0),
        Value::Map(map) => 1 + map.iter().map(|(_, value)| real_depth(value)).max().unwrap_or(0),
        Value::Optional(Some(inner)) => 1 + real_depth(inner),
        _ => 0,
    }
}

fn convert(value: &Value) -> Result<Value, EvalError> {
    if value.is_json() {
        return Ok(value.clone());
    }
    match value {
        Value::List(list) => list.to_json(convert).map(Value::List),
        Value::Map(map) => Ok(Value::map(json_map(map)?)),
        other => scalar(other),
    }
}

fn json_map(map: &Map) -> Result<Map, EvalError> {
    let mut json = Map::with_capacity(map.len());
    for (key, value) in map {
        if json.insert(Key::String(key.to_text()), convert(value)?).is_some() {
            return Err(EvalError::new(STATE_NOT_JSON, "two keys of a map have one string form"));
        }
    }
    Ok(json)
}

fn scalar(value: &Value) -> Result<Value, EvalError> {
    Ok(match value {
        Value::Uint(value) => match i64::try_from(*value) {
            Ok(value) => Value::Int(value),
            Err(_) => Value::Decimal(Decimal::from_u64(*value)),
        },
        Value::Double(value, _) => match Decimal::from_f64(*value) {
            Some(decimal) => return scalar(&Value::Decimal(decimal)),
            None => return Err(not_json("NaN and infinities")),
        },
        Value::Timestamp(time) => Value::string(time.to_string()),
        Value::Duration(duration) => Value::string(duration.to_string()),
        Value::Bytes(bytes) => Value::string(STANDARD.encode(bytes)),
        Value::Type(_) => return Err(not_json("types")),
        Value::Optional(_) => return Err(not_json("optionals inside a value")),
        Value::List(_) | Value::Map(_) => return convert(value),
        Value::String(text) => Value::String(Arc::clone(text)),
        // What a state's text would be read as again, so that a state is the same whether it
        // was kept as a value or as a text.
        Value::Decimal(decimal) => match decimal.as_json_int() {
            Some(int) => Value::Int(int),
            None => value.clone(),
        },
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Absent(_) => value.clone(),
    })
}

fn not_json(what: &str) -> EvalError {
    EvalError::new(STATE_NOT_JSON, format!("{what} have no JSON form"))
}
