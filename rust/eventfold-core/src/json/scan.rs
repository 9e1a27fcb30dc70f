//! JSON texts to values, trusting that the text was strictly checked before.
//!
//! Memory-safe on any bytes: a text that is not JSON gives an error or some value, never a
//! panic, and nesting is bounded.

use std::sync::Arc;

use memchr::memchr2;

use crate::cel::EvalError;
use crate::limits::JSON_DEPTH_MAX;
use crate::number::Decimal;
use crate::value::{List, Map, Value};

/// Room that is made for the members of an object before they are counted.
const MEMBERS_GUESS: usize = 4;

/// The value of a whole JSON text.
pub fn scan_value(text: &[u8]) -> Result<Value, EvalError> {
    let mut scanner = Scanner { text, place: 0 };
    scanner.blanks();
    let value = scanner.value(0)?;
    scanner.blanks();
    if scanner.place < text.len() {
        return Err(invalid());
    }
    Ok(value)
}

/// Reads the wanted top-level members of an object in one pass into `out` (one place for each
/// wanted name; an absent member leaves its place alone) and stops when all are found. The
/// values of other members are skipped, not read. With `escaped_keys`, keys are compared after
/// their escapes are resolved; without, the bytes of the text are.
pub fn scan_fields<N: AsRef<str>>(
    object: &[u8],
    wanted: &[N],
    escaped_keys: bool,
    out: &mut [Option<Value>],
) -> Result<(), EvalError> {
    let mut scanner = Scanner { text: object, place: 0 };
    scanner.blanks();
    scanner.expect(b'{')?;
    let mut missing = wanted.len().min(out.len());
    scanner.blanks();
    if missing == 0 || scanner.eat(b'}') {
        return Ok(());
    }
    loop {
        scanner.blanks();
        let (key, escaped) = scanner.raw_string()?;
        let found = if escaped_keys && escaped {
            let key = unescape(key)?;
            wanted.iter().position(|name| name.as_ref() == key)
        } else {
            wanted.iter().position(|name| name.as_ref().as_bytes() == key)
        };
        scanner.blanks();
        scanner.expect(b':')?;
        scanner.blanks();
        match found.and_then(|index| out.get_mut(index)) {
            Some(place) => {
                *place = Some(scanner.value(1)?);
                missing -= 1;
                if missing == 0 {
                    return Ok(());
                }
            }
            None => scanner.skip()?,
        }
        scanner.blanks();
        if !scanner.eat(b',') {
            return scanner.expect(b'}');
        }
    }
}

fn invalid() -> EvalError {
    EvalError::failed("the text is not the JSON that was checked")
}

struct Scanner<'a> {
    text: &'a [u8],
    place: usize,
}

impl<'a> Scanner<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.place).copied()
    }

    #[inline]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.place += 1;
        }
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.place += usize::from(found);
        found
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), EvalError> {
        if self.eat(byte) { Ok(()) } else { Err(invalid()) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, EvalError> {
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(_) => self.number(),
            None => Err(invalid()),
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, EvalError> {
        if !self.text[self.place..].starts_with(word) {
            return Err(invalid());
        }
        self.place += word.len();
        Ok(value)
    }

    fn deeper(&self, depth: usize) -> Result<(), EvalError> {
        if depth > JSON_DEPTH_MAX { Err(invalid()) } else { Ok(()) }
    }

    fn object(&mut self, depth: usize) -> Result<Value, EvalError> {
        self.deeper(depth)?;
        self.place += 1;
        self.blanks();
        if self.eat(b'}') {
            return Ok(Value::map(Map::new()));
        }
        let mut map = Map::with_capacity(MEMBERS_GUESS);
        loop {
            self.blanks();
            let key = self.string()?;
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            map.insert(key, self.value(depth)?);
            self.blanks();
            if !self.eat(b',') {
                self.expect(b'}')?;
                return Ok(Value::map(map));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, EvalError> {
        self.deeper(depth)?;
        self.place += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.eat(b']') {
            return Ok(Value::List(List::default()));
        }
        loop {
            self.blanks();
            items.push(self.value(depth)?);
            self.blanks();
            if !self.eat(b',') {
                self.expect(b']')?;
                return Ok(Value::list(items));
            }
        }
    }

    fn number(&mut self) -> Result<Value, EvalError> {
        let start = self.place;
        let negative = self.eat(b'-');
        let mut magnitude = 0_u64;
        // 18 digits fit an int, whatever they are.
        while let Some(digit @ b'0'..=b'9') = self.peek()
            && self.place - start < 18
        {
            magnitude = magnitude * 10 + u64::from(digit - b'0');
            self.place += 1;
        }
        if self.place == start + usize::from(negative) {
            return self.long_number(start);
        }
        match self.peek() {
            Some(b'.') => self.fraction(start, negative, magnitude),
            Some(b'0'..=b'9' | b'e' | b'E') => self.long_number(start),
            _ if negative && magnitude == 0 => self.long_number(start),
            _ => {
                let value = magnitude.cast_signed();
                Ok(Value::Int(if negative { -value } else { value }))
            }
        }
    }

    /// A number of few digits with a point, the usual amount of money, without its text.
    fn fraction(
        &mut self,
        start: usize,
        negative: bool,
        mut digits: u64,
    ) -> Result<Value, EvalError> {
        let point = self.place;
        self.place += 1;
        while let Some(digit @ b'0'..=b'9') = self.peek()
            && self.place - start < 19
        {
            digits = digits * 10 + u64::from(digit - b'0');
            self.place += 1;
        }
        let places = (self.place - point - 1) as u32;
        if places == 0 || matches!(self.peek(), Some(b'0'..=b'9' | b'e' | b'E')) {
            return self.long_number(start);
        }
        Decimal::from_digits(negative, digits, places).map(Value::Decimal).ok_or_else(invalid)
    }

    fn long_number(&mut self, start: usize) -> Result<Value, EvalError> {
        self.place = start;
        while let Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') = self.peek() {
            self.place += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.place]).map_err(|_| invalid())?;
        number_value(text).ok_or_else(invalid)
    }

    /// The bytes between the quotes of a string, and whether an escape is among them.
    #[inline]
    fn raw_string(&mut self) -> Result<(&'a [u8], bool), EvalError> {
        self.expect(b'"')?;
        let start = self.place;
        let mut escaped = false;
        loop {
            let rest = self.text.get(self.place..).unwrap_or_default();
            let length = special(rest).ok_or_else(invalid)?;
            self.place += length;
            if rest[length] == b'"' {
                let raw = &self.text[start..self.place];
                self.place += 1;
                return Ok((raw, escaped));
            }
            escaped = true;
            self.place += 2;
        }
    }

    fn string(&mut self) -> Result<Arc<str>, EvalError> {
        match self.raw_string()? {
            (raw, true) => unescape(raw).map(Arc::from),
            (raw, false) => std::str::from_utf8(raw).map(Arc::from).map_err(|_| invalid()),
        }
    }

    /// Passes over a value.
    fn skip(&mut self) -> Result<(), EvalError> {
        match self.peek() {
            Some(b'"') => self.raw_string().map(|_| ()),
            Some(b'{' | b'[') => self.skip_nested(),
            _ => {
                while let Some(byte) = self.peek()
                    && !matches!(byte, b',' | b'}' | b']')
                {
                    self.place += 1;
                }
                Ok(())
            }
        }
    }

    fn skip_nested(&mut self) -> Result<(), EvalError> {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.raw_string()?;
                    continue;
                }
                Some(b'{' | b'[') => open += 1,
                Some(b'}' | b']') => open -= 1,
                Some(_) => {}
                None => return Err(invalid()),
            }
            self.place += 1;
            if open == 0 {
                return Ok(());
            }
        }
    }
}

/// Where the first quote or backslash stands. Most strings are short, and for those the call of
/// a vector search costs more than it saves.
#[inline]
fn special(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    const SHORT: usize = 16;
    let mut length = 0;
    while length < SHORT
        && let Some(chunk) = text.get(length..).and_then(<[u8]>::first_chunk::<8>)
    {
        // Bit tricks over eight bytes; the lowest marked byte is always a true hit.
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let hits =
            (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash);
        let hits = hits & HIGHS;
        if hits != 0 {
            return Some(length + (hits.trailing_zeros() / 8) as usize);
        }
        length += 8;
    }
    memchr2(b'"', b'\\', &text[length..]).map(|place| length + place)
}

/// The value of a JSON number: an int if the text is a plain integer that fits 64 bits, else a
/// decimal that keeps the text. `None` if the text is not a JSON number.
pub fn number_value(text: &str) -> Option<Value> {
    let integer = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if integer
        && text != "-0"
        && let Ok(value) = text.parse()
    {
        return Some(Value::Int(value));
    }
    Decimal::from_json(text).map(Value::Decimal)
}

/// Resolves the escapes of a string.
fn unescape(raw: &[u8]) -> Result<String, EvalError> {
    let raw = std::str::from_utf8(raw).map_err(|_| invalid())?;
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(place) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..place]);
        let (character, length) = escape(&rest.as_bytes()[place..]).ok_or_else(invalid)?;
        out.push(character);
        rest = &rest[place + length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The character of an escape and the length of its spelling.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unicode(text),
        letter @ (b'"' | b'\\' | b'/') => char::from(*letter),
        _ => return None,
    };
    Some((character, 2))
}

fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let high = hex(text.get(2..6)?)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 6));
    }
    let low = match text.get(6..12)? {
        [b'\\', b'u', digits @ ..] => hex(digits)?,
        _ => return None,
    };
    let point = 0x10000 + ((high - 0xd800) << 10) + low.checked_sub(0xdc00)?;
    Some((char::from_u32(point)?, 12))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}
