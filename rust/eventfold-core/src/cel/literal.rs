//! String and bytes literals.

use super::error::{CelError, Parsed};
use super::lexer::Token;

/// A string or bytes literal at the begin of `source`, and its length. `offset` is the place
/// of `source` in the expression, for errors.
pub(crate) fn text(source: &str, offset: usize) -> Parsed<(Token, usize)> {
    let bytes = source.as_bytes();
    let mut place = 0;
    let (mut raw, mut binary) = (false, false);
    while let Some(prefix @ (b'r' | b'R' | b'b' | b'B')) = bytes.get(place) {
        raw |= prefix.eq_ignore_ascii_case(&b'r');
        binary |= prefix.eq_ignore_ascii_case(&b'b');
        place += 1;
    }
    let quote = source[place..].chars().next().unwrap_or('"');
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let long = source[place..].starts_with(&triple);
    let mark = if long { &triple[..] } else { &triple[..1] };
    let mut reader = Reader { source, place: place + mark.len(), offset, raw, binary, long };
    let mut content = Vec::new();
    while !reader.source[reader.place..].starts_with(mark) {
        reader.item(&mut content)?;
    }
    let length = reader.place + mark.len();
    if binary {
        return Ok((Token::Bytes(content.into()), length));
    }
    // Only whole characters were pushed.
    let content = String::from_utf8(content)
        .map_err(|_| CelError::invalid(offset, "the string is not valid UTF-8"))?;
    Ok((Token::String(content.into()), length))
}

struct Reader<'a> {
    source: &'a str,
    place: usize,
    offset: usize,
    raw: bool,
    binary: bool,
    long: bool,
}

impl Reader<'_> {
    /// Reads one character or escape.
    fn item(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        let Some(character) = self.source[self.place..].chars().next() else {
            return Err(CelError::invalid(self.offset, "the string does not end"));
        };
        if !self.long && matches!(character, '\n' | '\r') {
            return Err(CelError::invalid(self.offset, "the string does not end on its line"));
        }
        self.place += character.len_utf8();
        if character == '\\' && !self.raw {
            return self.escape(out);
        }
        push(out, character);
        Ok(())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        let start = self.place - 1;
        let Some(letter) = self.source[self.place..].chars().next() else {
            return Err(CelError::invalid(self.offset, "the string does not end"));
        };
        self.place += letter.len_utf8();
        let byte = match letter {
            '\\' | '?' | '"' | '\'' | '`' => letter as u32,
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            'x' | 'X' => self.digits(start, 2, 16)?,
            'u' if !self.binary => self.digits(start, 4, 16)?,
            'U' if !self.binary => self.digits(start, 8, 16)?,
            '0'..='3' => {
                self.place -= 1;
                self.digits(start, 3, 8)?
            }
            _ => return Err(self.invalid(start)),
        };
        if self.binary {
            out.push(u8::try_from(byte).map_err(|_| self.invalid(start))?);
        } else {
            push(out, char::from_u32(byte).ok_or_else(|| self.invalid(start))?);
        }
        Ok(())
    }

    fn digits(&mut self, start: usize, count: usize, radix: u32) -> Parsed<u32> {
        let digits = self.source.get(self.place..self.place + count);
        let value = digits
            .filter(|digits| digits.bytes().all(|digit| char::from(digit).is_digit(radix)))
            .and_then(|digits| u32::from_str_radix(digits, radix).ok())
            .ok_or_else(|| self.invalid(start))?;
        self.place += count;
        Ok(value)
    }

    fn invalid(&self, start: usize) -> Box<CelError> {
        CelError::invalid(self.offset + start, "unknown escape in a string")
    }
}

fn push(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}
