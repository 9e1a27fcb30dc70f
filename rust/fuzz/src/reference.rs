//! JSON as `serde_json` understands it, with numbers as their texts.

use std::fmt;

use eventfold_core::limits::JSON_DEPTH_MAX;
use eventfold_core::number::Decimal;
use eventfold_core::value::Value;
use serde_core::Deserialize;
use serde_core::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

#[derive(Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

/// A text that an append accepts, read by other code.
pub struct Document {
    pub root: Json,
    /// A key is spelled with an escape.
    pub escaped_keys: bool,
}

/// Members in order, keys and values as they are spelled.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

impl Document {
    /// Reads a text by the rules of an append; `None` if they refuse it.
    pub fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut document = Self { root: Json::Null, escaped_keys: false };
        document.root = document.value(text, 0)?;
        matches!(document.root, Json::Map(_)).then_some(document)
    }

    fn value(&mut self, text: &str, depth: usize) -> Option<Json> {
        let text = text.trim_matches([' ', '\t', '\n', '\r']);
        let nested = matches!(text.as_bytes().first(), Some(b'{' | b'['));
        if nested && depth >= JSON_DEPTH_MAX {
            return None;
        }
        Some(match text.as_bytes().first()? {
            b'{' => {
                let Members(members) = serde_json::from_str(text).ok()?;
                let mut map: Vec<(String, Json)> = Vec::with_capacity(members.len());
                for (key, value) in members {
                    self.escaped_keys |= key.get().contains('\\');
                    let key = string(key.get())?;
                    if map.iter().any(|(known, _)| *known == key) {
                        return None;
                    }
                    map.push((key, self.value(value.get(), depth + 1)?));
                }
                Json::Map(map)
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let read = |item: &RawValue| self.value(item.get(), depth + 1);
                Json::List(items.into_iter().map(read).collect::<Option<_>>()?)
            }
            b'"' => Json::String(string(text)?),
            b't' | b'f' => Json::Bool(serde_json::from_str(text).ok()?),
            b'n' => serde_json::from_str::<()>(text).ok().map(|()| Json::Null)?,
            _ => Json::Number(serde_json::from_str::<&RawValue>(text).ok()?.get().to_owned()),
        })
    }
}

fn string(text: &str) -> Option<String> {
    serde_json::from_str::<String>(text).ok().filter(|text| !text.contains('\0'))
}

/// Whether a value of the core is what the reference read.
pub fn same(value: &Value, json: &Json) -> bool {
    match (value, json) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(value), Json::Bool(json)) => value == json,
        (Value::Int(value), Json::Number(text)) => value.to_string() == *text,
        // An integer that fits must be an int, and a decimal keeps its text.
        (Value::Decimal(value), Json::Number(text)) => {
            let fits = text.parse::<i64>().is_ok() && text != "-0";
            !fits && value.to_string() == *text && Decimal::from_json(text).as_ref() == Some(value)
        }
        (Value::String(value), Json::String(json)) => **value == **json,
        (Value::List(value), Json::List(json)) => {
            value.len() == json.len() && value.iter().zip(json).all(|(one, two)| same(one, two))
        }
        (Value::Map(value), Json::Map(json)) => {
            value.len() == json.len()
                && value.iter().zip(json).all(|((key, value), (name, json))| {
                    key.as_str() == Some(name) && same(value, json)
                })
        }
        _ => false,
    }
}
