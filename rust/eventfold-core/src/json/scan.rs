//! JSON texts to values, trusting that the text was strictly checked before.
//!
//! Memory-safe on any bytes: a text that is not JSON gives an error or some value, never a
//! panic, and nesting is bounded.

use std::sync::Arc;

use crate::bytes::same;
use crate::cel::EvalError;
use crate::limits::JSON_DEPTH_MAX;
use crate::number::Decimal;
use crate::value::{Absence, List, Map, Value};

use super::escapes::unescape;
use super::marks::Marks;

/// Room that is made for the members of an object before they are counted.
const MEMBERS_GUESS: usize = 4;

/// The value of a whole JSON text.
pub fn scan_value(text: &[u8]) -> Result<Value, EvalError> {
    let mut scanner = Scanner::new(text);
    scanner.whole().ok_or_else(invalid)
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
    let mut scanner = Scanner::new(object);
    scanner.fields(wanted, escaped_keys, out).ok_or_else(invalid)
}

#[cold]
fn invalid() -> EvalError {
    EvalError::failed("the text is not the JSON that was checked")
}

pub(super) struct Scanner<'a> {
    text: &'a [u8],
    pub(super) place: usize,
    marks: Marks<'a, false>,
}

/// `None` stands for a text that is not JSON.
impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, place: 0, marks: Marks::new(text) }
    }

    fn whole(&mut self) -> Option<Value> {
        self.blanks();
        let value = self.value(0)?;
        self.blanks();
        (self.place == self.text.len()).then_some(value)
    }

    fn fields<N: AsRef<str>>(
        &mut self,
        wanted: &[N],
        escaped_keys: bool,
        out: &mut [Option<Value>],
    ) -> Option<()> {
        self.blanks();
        self.expect(b'{')?;
        let mut missing = wanted.len().min(out.len());
        self.blanks();
        if missing == 0 || self.eat(b'}') {
            return Some(());
        }
        loop {
            self.blanks();
            let (key, escaped) = self.raw_string()?;
            let found = if escaped_keys && escaped {
                let key = unescape(key)?;
                wanted.iter().position(|name| name.as_ref() == key)
            } else {
                wanted.iter().position(|name| same(name.as_ref().as_bytes(), key))
            };
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            match found.and_then(|index| out.get_mut(index)) {
                Some(place) => {
                    *place = match self.small_int() {
                        Some(int) => Some(Value::Int(int)),
                        None => Some(self.value(1)?),
                    };
                    missing -= 1;
                    if missing == 0 {
                        return Some(());
                    }
                }
                None => self.skip()?,
            }
            self.blanks();
            if !self.eat(b',') {
                return self.expect(b'}');
            }
        }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.place).copied()
    }

    #[inline]
    pub(super) fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.place += 1;
        }
    }

    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.place += usize::from(found);
        found
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(b'e' | b'w') => self.absent(),
            Some(_) => self.number(),
            None => None,
        }
    }

    /// The words of absent values, which only opened data and states in memory hold.
    #[cold]
    fn absent(&mut self) -> Option<Value> {
        [Absence::Erased, Absence::Withheld]
            .into_iter()
            .find_map(|absence| self.word(absence.word().as_bytes(), Value::Absent(absence)))
    }

    fn word(&mut self, word: &[u8], value: Value) -> Option<Value> {
        if !self.text[self.place..].starts_with(word) {
            return None;
        }
        self.place += word.len();
        Some(value)
    }

    fn deeper(&self, depth: usize) -> Option<()> {
        (depth <= JSON_DEPTH_MAX).then_some(())
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.deeper(depth)?;
        self.place += 1;
        self.blanks();
        if self.eat(b'}') {
            return Some(Value::map(Map::new()));
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
                return Some(Value::map(map));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.deeper(depth)?;
        self.place += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.eat(b']') {
            return Some(Value::List(List::default()));
        }
        loop {
            self.blanks();
            items.push(self.value(depth)?);
            self.blanks();
            if !self.eat(b',') {
                self.expect(b']')?;
                return Some(Value::list(items));
            }
        }
    }

    /// An int of few digits, the most common number by far. `None`, and nothing is read, if
    /// something else stands here.
    #[inline]
    fn small_int(&mut self) -> Option<i64> {
        const DIGITS_MAX: usize = 18;
        let negative = self.peek() == Some(b'-');
        let first = self.place + usize::from(negative);
        let mut end = first;
        let mut magnitude = 0_i64;
        let next = loop {
            let digit = self.text.get(end)?.wrapping_sub(b'0');
            if digit > 9 || end - first == DIGITS_MAX {
                break digit.wrapping_add(b'0');
            }
            magnitude = magnitude * 10 + i64::from(digit);
            end += 1;
        };
        // `-0` is no int.
        if magnitude == 0 && (negative || end == first) || !matches!(next, b',' | b'}' | b']') {
            return None;
        }
        self.place = end;
        Some(if negative { -magnitude } else { magnitude })
    }

    fn number(&mut self) -> Option<Value> {
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
                Some(Value::Int(if negative { -value } else { value }))
            }
        }
    }

    /// A number of few digits with a point, the usual amount of money, without its text.
    fn fraction(&mut self, start: usize, negative: bool, mut digits: u64) -> Option<Value> {
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
        Decimal::from_digits(negative, digits, places).map(Value::Decimal)
    }

    fn long_number(&mut self, start: usize) -> Option<Value> {
        self.place = start;
        while let Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') = self.peek() {
            self.place += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.place]).ok()?;
        number_value(text)
    }

    /// The bytes between the quotes of a string, and whether an escape is among them.
    #[inline]
    pub(super) fn raw_string(&mut self) -> Option<(&'a [u8], bool)> {
        self.expect(b'"')?;
        let start = self.place;
        let mut escaped = false;
        loop {
            let end = self.marks.next(self.place)?;
            if self.text[end] == b'"' {
                self.place = end + 1;
                return Some((&self.text[start..end], escaped));
            }
            escaped = true;
            self.place = end + 2;
        }
    }

    fn string(&mut self) -> Option<Arc<str>> {
        match self.raw_string()? {
            (raw, true) => unescape(raw).map(Arc::from),
            (raw, false) => std::str::from_utf8(raw).map(Arc::from).ok(),
        }
    }

    /// Passes over a value.
    #[inline]
    pub(super) fn skip(&mut self) -> Option<()> {
        match self.peek() {
            Some(b'"') => self.raw_string().map(|_| ()),
            Some(b'{' | b'[') => self.skip_nested(),
            _ => {
                while let Some(byte) = self.peek()
                    && !matches!(byte, b',' | b'}' | b']')
                {
                    self.place += 1;
                }
                Some(())
            }
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut marks = Marks::<true>::new(self.text);
        let mut open = 0_usize;
        let mut in_string = false;
        loop {
            self.place = marks.next(self.place)?;
            match self.text[self.place] {
                b'\\' => self.place += 1,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => open += 1,
                _ => open -= 1,
            }
            self.place += 1;
            if open == 0 {
                return Some(());
            }
        }
    }
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
