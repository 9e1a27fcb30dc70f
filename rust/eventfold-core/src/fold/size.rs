//! The length of JSON texts without writing them, so that the size of a state can be followed
//! from change to change.

use crate::json::write::{write_string, write_value};
use crate::value::Value;

/// Measures values; keeps its memory between them.
#[derive(Debug, Default)]
pub(crate) struct Sizer {
    scratch: Vec<u8>,
}

impl Sizer {
    /// Bytes of the JSON text of a value with JSON types only. Recursion is bounded by the depth
    /// of states.
    pub(crate) fn value(&mut self, value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(true) => 4,
            Value::Bool(false) => 5,
            Value::Int(value) => int_bytes(*value),
            Value::Decimal(decimal) => decimal.written_bytes(),
            Value::String(text) => self.text(text),
            Value::Absent(absence) => absence.word().len(),
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
    pub(crate) fn text(&mut self, text: &str) -> usize {
        let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        if text.bytes().all(plain) {
            return text.len() + 2;
        }
        self.scratch.clear();
        write_string(text, &mut self.scratch);
        self.scratch.len()
    }
}

/// Bytes of the JSON text of an int.
#[inline]
pub(crate) fn int_bytes(value: i64) -> usize {
    digits(value.unsigned_abs()) + usize::from(value < 0)
}

/// The number of decimal digits.
#[inline]
fn digits(value: u64) -> usize {
    const POWERS: [u64; 20] = {
        let mut powers = [1; 20];
        let mut power = 1;
        while power < powers.len() {
            powers[power] = powers[power - 1] * 10;
            power += 1;
        }
        powers
    };
    // The bits times the logarithm of two: right, or one too few.
    let bits = u64::BITS - (value | 1).leading_zeros();
    let guess = (bits as usize * 1233) >> 12;
    guess + usize::from((value | 1) >= POWERS[guess])
}

#[cfg(test)]
mod tests {
    use super::digits;

    /// The digits of all numbers next to powers of ten and of two, against their text.
    #[test]
    fn digits_are_those_of_the_text() {
        let tens = (0..20).map(|power| 10_u64.pow(power));
        let twos = (0..64).map(|power| 1_u64 << power);
        for near in tens.chain(twos).chain([u64::MAX]) {
            for value in [near.saturating_sub(1), near, near.saturating_add(1)] {
                assert_eq!(digits(value), value.to_string().len(), "{value}");
            }
        }
        assert_eq!(digits(0), 1);
    }
}
