//! The length of JSON texts without writing them, so that the size of a state can be followed
//! from change to change.

use crate::json::write::{write_string, write_value};
use crate::value::Value;

/// Measures values; keeps its memory between them.
#[derive(Debug, Default)]
pub(super) struct Sizer {
    scratch: Vec<u8>,
}

impl Sizer {
    /// Bytes of the JSON text of a value with JSON types only. Recursion is bounded by the depth
    /// of states.
    pub(super) fn value(&mut self, value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(true) => 4,
            Value::Bool(false) => 5,
            Value::Int(value) => {
                let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
                digits + usize::from(*value < 0)
            }
            Value::Decimal(decimal) => decimal.written_bytes(),
            Value::String(text) => self.text(text),
            Value::List(list) => {
                let items: usize = list.iter().map(|item| self.value(item)).sum();
                2 + items + list.len().saturating_sub(1)
            }
            Value::Map(map) => {
                let entries: usize = map
                    .iter()
                    .map(|(key, value)| self.text(&key.to_text()) + 1 + self.value(value))
                    .sum();
                2 + entries + map.len().saturating_sub(1)
            }
            other => {
                self.scratch.clear();
                // What cannot be written is refused before it comes into a state.
                let _ = write_value(other, &mut self.scratch);
                self.scratch.len()
            }
        }
    }

    /// Bytes of the JSON text of a string.
    pub(super) fn text(&mut self, text: &str) -> usize {
        let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        if text.bytes().all(plain) {
            return text.len() + 2;
        }
        self.scratch.clear();
        write_string(text, &mut self.scratch);
        self.scratch.len()
    }
}
