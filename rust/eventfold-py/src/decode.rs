//! JSON texts to objects of Python, in one pass and without a value in between.
//!
//! Strict, since what the server stores was checked strictly: no duplicate keys, no lone
//! surrogates, no control characters in strings, nothing behind the value.

use std::sync::Mutex;

use eventfold_core::error::CoreError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyType};

use super::errors;

/// Deepest nesting that is read. Twice what an event may have, and more than a state can have;
/// a frame of `value` takes a few hundred bytes of the stack.
const DEPTH_MAX: usize = 256;
/// Longest integer, in digits, that becomes an `int`: Python refuses 4,300, and its conversion
/// takes quadratic time.
const INT_DIGITS_MAX: usize = 4_000;
/// Digits that fit an `i64` whatever they are.
const SMALL_DIGITS_MAX: usize = 18;
/// Keys that are remembered over calls, and the longest of them in bytes.
const KEYS: usize = 1_024;
const KEY_BYTES_MAX: usize = 64;

/// Keys of earlier texts: most texts of a store have the same few.
static KNOWN_KEYS: Mutex<Vec<Option<Known>>> = Mutex::new(Vec::new());

/// A key in its place, which follows from its bytes. Another key of that place drives it out, so
/// that no choice of keys can make a look-up slow.
struct Known {
    text: Box<str>,
    object: Py<PyString>,
}

fn place_of(key: &str) -> usize {
    // FNV-1a.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as usize % KEYS
}

/// Reads a JSON text; `numbers` is `decimal` or `float`.
#[pyfunction]
#[pyo3(signature = (text, numbers = "decimal"))]
pub fn decode_json<'py>(
    py: Python<'py>,
    text: &[u8],
    numbers: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let exact = is_exact(py, numbers)?;
    value(py, text, exact)
}

/// Whether numbers keep all of their digits; `numbers` is `decimal` or `float`.
pub fn is_exact(py: Python<'_>, numbers: &str) -> PyResult<bool> {
    match numbers {
        "decimal" => Ok(true),
        "float" => Ok(false),
        _ => {
            let message = "numbers is `decimal` or `float`";
            Err(errors::raise(py, CoreError::new("INVALID_REQUEST", message)))
        }
    }
}

/// The object for a JSON text.
pub fn value<'py>(py: Python<'py>, text: &[u8], exact: bool) -> PyResult<Bound<'py, PyAny>> {
    let text = std::str::from_utf8(text)
        .map_err(|error| invalid(py, "it is not UTF-8", error.valid_up_to()))?;
    // Held by another thread, or by this one when making an object ran foreign code: then without.
    let mut guard = KNOWN_KEYS.try_lock().ok();
    let keys = guard.as_deref_mut();
    let mut decoder = Decoder { py, text, place: 0, exact, keys };
    decoder.blanks();
    let value = decoder.value(0)?;
    decoder.blanks();
    if decoder.place < text.len() {
        return Err(decoder.invalid("something follows the value"));
    }
    Ok(value)
}

fn invalid(py: Python<'_>, problem: &str, offset: usize) -> PyErr {
    let message = format!("not JSON that a store takes: {problem} (at byte {offset})");
    errors::raise(py, CoreError::new("INVALID_JSON", message).fact("offset", offset))
}

struct Decoder<'py, 'a> {
    py: Python<'py>,
    text: &'a str,
    place: usize,
    exact: bool,
    keys: Option<&'a mut Vec<Option<Known>>>,
}

impl<'py> Decoder<'py, '_> {
    fn invalid(&self, problem: &str) -> PyErr {
        invalid(self.py, problem, self.place)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.place).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.place += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == Some(byte);
        self.place += usize::from(eaten);
        eaten
    }

    fn value(&mut self, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        match self.peek() {
            Some(b'"') => Ok(self.string()?.into_any()),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.list(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", PyBool::new(self.py, true).to_owned().into_any()),
            Some(b'f') => self.word("false", PyBool::new(self.py, false).to_owned().into_any()),
            Some(b'n') => self.word("null", self.py.None().into_bound(self.py)),
            _ => Err(self.invalid("a value is missing")),
        }
    }

    fn word(&mut self, word: &str, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if !self.text.as_bytes()[self.place..].starts_with(word.as_bytes()) {
            return Err(self.invalid("a value is missing"));
        }
        self.place += word.len();
        Ok(value)
    }

    fn enter(&mut self, depth: usize) -> PyResult<()> {
        self.place += 1;
        self.blanks();
        if depth > DEPTH_MAX {
            return Err(self.invalid("it nests too deep"));
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        self.enter(depth)?;
        let object = PyDict::new(self.py);
        if self.eat(b'}') {
            return Ok(object.into_any());
        }
        let mut members = 0;
        loop {
            let key = self.key()?;
            self.blanks();
            if !self.eat(b':') {
                return Err(self.invalid("a `:` is missing"));
            }
            self.blanks();
            object.set_item(key, self.value(depth)?)?;
            members += 1;
            self.blanks();
            if self.eat(b',') {
                self.blanks();
            } else if self.eat(b'}') {
                break;
            } else {
                return Err(self.invalid("a `,` or a `}` is missing"));
            }
        }
        if object.len() < members {
            return Err(self.invalid("an object that ends here has one key twice"));
        }
        Ok(object.into_any())
    }

    fn list(&mut self, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        self.enter(depth)?;
        let mut items = Vec::new();
        if !self.eat(b']') {
            loop {
                items.push(self.value(depth)?);
                self.blanks();
                if self.eat(b',') {
                    self.blanks();
                } else if self.eat(b']') {
                    break;
                } else {
                    return Err(self.invalid("a `,` or a `]` is missing"));
                }
            }
        }
        Ok(PyList::new(self.py, items)?.into_any())
    }

    /// The bytes between the quotes, and whether there is a backslash among them.
    fn raw(&mut self) -> PyResult<(usize, usize, bool)> {
        self.place += 1;
        let start = self.place;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            while let Some(chunk) = bytes[self.place..].first_chunk::<8>()
                && is_plain(u64::from_le_bytes(*chunk))
            {
                self.place += 8;
            }
            match bytes.get(self.place) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.place = (self.place + 2).min(bytes.len());
                }
                Some(byte) if *byte >= 0x20 => self.place += 1,
                Some(_) => return Err(self.invalid("a string holds a control character")),
                None => return Err(self.invalid("a string does not end")),
            }
        }
        let end = self.place;
        self.place += 1;
        Ok((start, end, escaped))
    }

    fn string(&mut self) -> PyResult<Bound<'py, PyString>> {
        let (start, end, escaped) = self.raw()?;
        let raw = &self.text[start..end];
        if !escaped {
            return Ok(PyString::new(self.py, raw));
        }
        let bad = || invalid(self.py, "a string has an escape that is none", start);
        Ok(PyString::new(self.py, &unescaped(raw).ok_or_else(bad)?))
    }

    fn key(&mut self) -> PyResult<Bound<'py, PyString>> {
        if self.peek() != Some(b'"') {
            return Err(self.invalid("a key is missing"));
        }
        let before = self.place;
        let (start, end, escaped) = self.raw()?;
        if escaped {
            self.place = before;
            return self.string();
        }
        let raw = &self.text[start..end];
        let keys = match &mut self.keys {
            Some(keys) if raw.len() <= KEY_BYTES_MAX => keys,
            _ => return Ok(PyString::new(self.py, raw)),
        };
        if keys.is_empty() {
            keys.resize_with(KEYS, || None);
        }
        let place = &mut keys[place_of(raw)];
        if let Some(known) = place
            && *known.text == *raw
        {
            return Ok(known.object.bind(self.py).clone());
        }
        let key = PyString::intern(self.py, raw);
        *place = Some(Known { text: raw.into(), object: key.clone().unbind() });
        Ok(key)
    }

    fn number(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let start = self.place;
        self.eat(b'-');
        let first = self.place;
        let digits = self.digits();
        if digits == 0 || (digits > 1 && self.text.as_bytes()[first] == b'0') {
            return Err(self.invalid("a number is none"));
        }
        let mut is_int = true;
        if self.eat(b'.') {
            is_int = false;
            if self.digits() == 0 {
                return Err(self.invalid("a digit is missing"));
            }
        }
        if self.eat(b'e') || self.eat(b'E') {
            is_int = false;
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            if self.digits() == 0 {
                return Err(self.invalid("a digit is missing"));
            }
        }
        let text = &self.text[start..self.place];
        if is_int {
            return self.int(text, digits);
        }
        if self.exact { self.decimal(text) } else { self.float(text) }
    }

    fn digits(&mut self) -> usize {
        let start = self.place;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.place += 1;
        }
        self.place - start
    }

    fn int(&self, text: &str, digits: usize) -> PyResult<Bound<'py, PyAny>> {
        if digits <= SMALL_DIGITS_MAX
            && let Ok(value) = text.parse::<i64>()
        {
            return Ok(PyInt::new(self.py, value).into_any());
        }
        if !self.exact {
            return match (text.parse::<i64>(), text.parse::<u64>()) {
                (Ok(value), _) => Ok(PyInt::new(self.py, value).into_any()),
                (_, Ok(value)) => Ok(PyInt::new(self.py, value).into_any()),
                _ => self.float(text),
            };
        }
        if digits <= INT_DIGITS_MAX
            // Refused if somebody lowered `sys.set_int_max_str_digits`.
            && let Ok(value) = self.py.get_type::<PyInt>().call1((text,))
        {
            return Ok(value);
        }
        self.decimal(text)
    }

    fn decimal(&self, text: &str) -> PyResult<Bound<'py, PyAny>> {
        static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let decimal = DECIMAL.import(self.py, "decimal", "Decimal")?;
        decimal
            .call1((text,))
            .map_err(|_| self.invalid("a number has an exponent beyond that of Decimal"))
    }

    fn float(&self, text: &str) -> PyResult<Bound<'py, PyAny>> {
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(PyFloat::new(self.py, value).into_any()),
            _ => Err(self.invalid("a number is too large for a float")),
        }
    }
}

/// Whether none of eight bytes ends a string, escapes, or is a control character. May miss plain
/// ones, never the others.
fn is_plain(chunk: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
    (control | zero(chunk ^ (ONES * 0x22)) | zero(chunk ^ (ONES * 0x5c))) & HIGHS == 0
}

/// Resolves the escapes of a string; `None` if one is none, or half of a character.
fn unescaped(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(place) = rest.find('\\') {
        out.push_str(&rest[..place]);
        let letter = *rest.as_bytes().get(place + 1)?;
        rest = &rest[place..];
        let (character, length) = match letter {
            b'"' | b'\\' | b'/' => (char::from(letter), 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => code_point(rest)?,
            _ => return None,
        };
        out.push(character);
        rest = rest.get(length..)?;
    }
    out.push_str(rest);
    Some(out)
}

/// The character of `\uXXXX` or of a pair of them, and the bytes of its spelling.
fn code_point(text: &str) -> Option<(char, usize)> {
    let high = hex(text.get(2..6)?)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 6));
    }
    let low = hex(text.get(6..12)?.strip_prefix("\\u")?)?;
    if !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12))
}

fn hex(digits: &str) -> Option<u32> {
    digits.chars().try_fold(0, |sum, digit| Some(sum * 16 + digit.to_digit(16)?))
}
