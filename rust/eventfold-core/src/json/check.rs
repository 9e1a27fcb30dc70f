//! The strict check of one JSON text, in one pass and without recursion.
//!
//! What passes here is trusted by every later scan: the text is UTF-8, one object in the grammar
//! of RFC 8259, its keys are unique in their unescaped form, it holds neither NUL nor a lone
//! surrogate, and it nests at most [`JSON_DEPTH_MAX`] levels.

use crate::error::CoreError;
use crate::limits::JSON_DEPTH_MAX;

use super::cursor::Cursor;

/// What the check learned about a text that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// At least one key is spelled with an escape, so a search by its raw bytes would miss it.
    pub escaped_keys: bool,
}

/// Why a text did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It does not follow the grammar.
    Syntax,
    /// It is not UTF-8.
    Utf8,
    /// It holds NUL, raw or as an escape.
    Nul,
    /// An escape is one half of a surrogate pair without the other.
    LoneSurrogate,
    /// An object has the same key twice.
    DuplicateKey,
    /// The outermost value is not an object.
    NotAnObject,
    /// It nests too deep.
    TooDeep,
}

/// Where and why a text did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub problem: Problem,
    /// Byte at which it shows, from 0.
    pub offset: usize,
}

impl Problem {
    /// The name in the fact `problem`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Utf8 => "utf8",
            Self::Nul => "nul",
            Self::LoneSurrogate => "lone_surrogate",
            Self::DuplicateKey => "duplicate_key",
            Self::NotAnObject => "not_an_object",
            Self::TooDeep => "too_deep",
        }
    }

    fn prose(self) -> &'static str {
        match self {
            Self::Syntax => "is not valid JSON",
            Self::Utf8 => "is not valid UTF-8",
            Self::Nul => "holds a NUL character",
            Self::LoneSurrogate => "holds half of a surrogate pair",
            Self::DuplicateKey => "has the same key twice in one object",
            Self::NotAnObject => "is not a JSON object",
            Self::TooDeep => "nests too deep",
        }
    }
}

impl Refusal {
    /// The error of the catalogue, for the field `data` or `metadata`.
    pub fn into_error(self, field: &'static str) -> CoreError {
        let message = format!("{field} {} at byte {}", self.problem.prose(), self.offset);
        match self.problem {
            Problem::TooDeep => CoreError::new("JSON_TOO_DEEP", message)
                .fact("field", field)
                .fact("offset", self.offset)
                .fact("limit", JSON_DEPTH_MAX),
            problem => CoreError::new("INVALID_JSON", message)
                .fact("field", field)
                .fact("problem", problem.name())
                .fact("offset", self.offset),
        }
    }
}

/// Is told of every part of a text as it passes, in the order of the text; a text that is refused
/// later leaves it with a part. The check alone needs none of that, and takes `()`.
pub(crate) trait Sink {
    /// A text begins.
    fn begin(&mut self) {}
    /// An object or an array begins at a byte.
    fn open(&mut self, _text: &[u8], _start: usize) {}
    /// The innermost container that is open ends.
    fn close(&mut self, _text: &[u8]) {}
    /// A key: the bytes of the text between its quotes, and what they stand for if some are
    /// escapes.
    fn key(&mut self, _start: usize, _end: usize, _unescaped: Option<&[u8]>) {}
    /// A scalar, with the quotes of a string; whether it is a string with an escape.
    fn scalar(&mut self, _text: &[u8], _start: usize, _end: usize, _escaped: bool) {}
}

impl Sink for () {}

/// Checks one text; see the module.
pub fn check_object(text: &[u8]) -> Result<Checked, Refusal> {
    Checker::default().check(text)
}

/// A checker that keeps its memory between texts.
#[derive(Debug, Default)]
pub struct Checker {
    /// Keys of all open objects, outermost first.
    keys: Vec<Key>,
    /// Unescaped forms of the keys that are spelled with escapes.
    unescaped: Vec<u8>,
}

/// A key, as a range of the text or of `Checker::unescaped`.
#[derive(Debug, Clone, Copy)]
struct Key {
    start: usize,
    end: usize,
    /// Where the key begins in the text.
    offset: usize,
    escaped: bool,
}

/// Stands in the stack of open containers for an array; objects have the index of their first key.
const ARRAY: usize = usize::MAX;

/// Up to this many keys are compared each with each; more are sorted.
const PAIRWISE_KEYS_MAX: usize = 8;

impl Checker {
    /// Checks one text; see the module.
    pub fn check(&mut self, text: &[u8]) -> Result<Checked, Refusal> {
        self.check_into(text, true, &mut ())
    }

    /// As `check`, and tells `sink` what it sees. With `object` false, the outermost value may be
    /// any.
    pub(crate) fn check_into<S: Sink>(
        &mut self,
        text: &[u8],
        object: bool,
        sink: &mut S,
    ) -> Result<Checked, Refusal> {
        self.keys.clear();
        self.unescaped.clear();
        sink.begin();
        if let Err(error) = simdutf8::compat::from_utf8(text) {
            return Err(Refusal { problem: Problem::Utf8, offset: error.valid_up_to() });
        }
        let mut cursor = Cursor { text, at: 0 };
        cursor.skip_space();
        match cursor.peek() {
            Some(b'{') => self.check_containers(&mut cursor, sink)?,
            Some(_) if !object => self.check_containers(&mut cursor, sink)?,
            Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                return Err(cursor.refuse(Problem::NotAnObject));
            }
            _ => return Err(cursor.syntax()),
        }
        cursor.skip_space();
        match cursor.peek() {
            None => Ok(Checked { escaped_keys: !self.unescaped.is_empty() }),
            Some(_) => Err(cursor.syntax()),
        }
    }

    /// Walks from the first byte of a value at the cursor to its end.
    fn check_containers<S: Sink>(
        &mut self,
        cursor: &mut Cursor<'_>,
        sink: &mut S,
    ) -> Result<(), Refusal> {
        let mut open = [ARRAY; JSON_DEPTH_MAX];
        let mut depth = 0;
        loop {
            // The cursor stands at the first byte of a value.
            let opened = match cursor.peek() {
                Some(byte @ (b'{' | b'[')) => {
                    if depth == JSON_DEPTH_MAX {
                        return Err(cursor.refuse(Problem::TooDeep));
                    }
                    open[depth] = if byte == b'{' { self.keys.len() } else { ARRAY };
                    depth += 1;
                    sink.open(cursor.text, cursor.at);
                    cursor.at += 1;
                    cursor.skip_space();
                    true
                }
                _ => {
                    let start = cursor.at;
                    let escaped = cursor.scalar()?;
                    sink.scalar(cursor.text, start, cursor.at, escaped);
                    false
                }
            };
            if opened && !cursor.at_close(open[depth - 1] == ARRAY) {
                if open[depth - 1] != ARRAY {
                    self.key(cursor, sink)?;
                }
                continue;
            }
            // A value is complete: close what ends here, and go on behind the next comma.
            loop {
                cursor.skip_space();
                let Some(&container) = depth.checked_sub(1).and_then(|last| open.get(last)) else {
                    return Ok(());
                };
                if cursor.at_close(container == ARRAY) {
                    if container != ARRAY {
                        self.close_object(cursor.text, container)?;
                    }
                    cursor.at += 1;
                    depth -= 1;
                    sink.close(cursor.text);
                    continue;
                }
                cursor.expect(b',')?;
                cursor.skip_space();
                if container != ARRAY {
                    self.key(cursor, sink)?;
                }
                break;
            }
        }
    }

    /// Reads a key, its colon, and the space behind them.
    fn key<S: Sink>(&mut self, cursor: &mut Cursor<'_>, sink: &mut S) -> Result<(), Refusal> {
        let offset = cursor.at;
        if cursor.peek() != Some(b'"') {
            return Err(cursor.syntax());
        }
        let escaped = cursor.string()?;
        let (mut start, mut end) = (offset + 1, cursor.at - 1);
        if escaped {
            let first = self.unescaped.len();
            unescape(&cursor.text[start..end], &mut self.unescaped);
            // An escape never vanishes, so `unescaped` is not empty once a key was escaped.
            sink.key(start, end, Some(&self.unescaped[first..]));
            (start, end) = (first, self.unescaped.len());
        } else {
            sink.key(start, end, None);
        }
        self.keys.push(Key { start, end, offset, escaped });
        cursor.skip_space();
        cursor.expect(b':')?;
        cursor.skip_space();
        Ok(())
    }

    /// Compares the keys of the object that ends, and forgets them.
    fn close_object(&mut self, text: &[u8], first: usize) -> Result<(), Refusal> {
        let unescaped = &self.unescaped;
        let bytes = |key: &Key| match key.escaped {
            true => &unescaped[key.start..key.end],
            false => &text[key.start..key.end],
        };
        let keys = &mut self.keys[first..];
        let mut repeated: Option<usize> = None;
        if keys.len() <= PAIRWISE_KEYS_MAX {
            for (index, key) in keys.iter().enumerate().skip(1) {
                if keys[..index].iter().any(|other| bytes(other) == bytes(key)) {
                    repeated = Some(key.offset);
                    break;
                }
            }
        } else {
            keys.sort_unstable_by(|left, right| {
                bytes(left).cmp(bytes(right)).then(left.offset.cmp(&right.offset))
            });
            repeated = keys
                .windows(2)
                .filter(|pair| bytes(&pair[0]) == bytes(&pair[1]))
                .map(|pair| pair[1].offset)
                .min();
        }
        self.keys.truncate(first);
        match repeated {
            Some(offset) => Err(Refusal { problem: Problem::DuplicateKey, offset }),
            None => Ok(()),
        }
    }
}

/// Appends the unescaped form of the inside of a string that was checked.
fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let kind = text.get(at).copied().unwrap_or(b'\\');
        at += 1;
        out.push(match kind {
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = hex(text, at);
                at += 4;
                if (0xD800..0xDC00).contains(&code) {
                    code = 0x10000 + ((code - 0xD800) << 10) + (hex(text, at + 2) & 0x3FF);
                    at += 6;
                }
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        });
    }
}

fn hex(text: &[u8], at: usize) -> u32 {
    let digits = text.get(at..at + 4).unwrap_or_default();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0);
    digits.iter().fold(0, |code, byte| code * 16 + digit(byte))
}
