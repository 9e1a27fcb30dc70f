//! Source text to tokens.

use std::sync::Arc;

use super::error::{CelError, Parsed};
use super::literal;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Ident(Arc<str>),
    /// A name in backquotes, allowed after a dot only.
    Quoted(Arc<str>),
    Int(Arc<str>),
    Uint(Arc<str>),
    Double(Arc<str>),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// Operators and brackets, longest first.
const SIGNS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}", "=", "&",
];

/// Reads tokens one after the other.
pub(crate) struct Lexer<'a> {
    source: &'a str,
    place: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self { source, place: 0 }
    }

    /// The next token and where it begins.
    pub(crate) fn next(&mut self) -> Parsed<(Token, usize)> {
        self.skip_blanks();
        let start = self.place;
        let rest = &self.source.as_bytes()[start..];
        let token = match rest {
            [] => Token::End,
            [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => self.number()?,
            [b'"' | b'\'', ..]
            | [b'r' | b'R' | b'b' | b'B', b'"' | b'\'', ..]
            | [b'b' | b'B', b'r' | b'R', b'"' | b'\'', ..] => {
                let (token, length) = literal::text(&self.source[start..], start)?;
                self.place += length;
                token
            }
            [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => Token::Ident(self.word().into()),
            [b'`', ..] => self.quoted()?,
            _ => self.sign()?,
        };
        Ok((token, start))
    }

    /// The end of the last token.
    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// Whether a digit follows at once, as after a sign.
    pub(crate) fn number_follows(&self) -> bool {
        matches!(&self.source.as_bytes()[self.place..], [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..])
    }

    fn skip_blanks(&mut self) {
        let bytes = self.source.as_bytes();
        loop {
            match bytes.get(self.place..) {
                Some([b' ' | b'\t' | b'\n' | b'\r' | 0x0c, ..]) => self.place += 1,
                Some([b'/', b'/', rest @ ..]) => {
                    self.place += 2 + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn word(&mut self) -> &'a str {
        let start = self.place;
        let bytes = self.source.as_bytes();
        while bytes.get(self.place).is_some_and(|byte| is_word(*byte)) {
            self.place += 1;
        }
        &self.source[start..self.place]
    }

    fn quoted(&mut self) -> Parsed<Token> {
        let start = self.place;
        let rest = &self.source[start + 1..];
        let length = rest
            .find('`')
            .ok_or_else(|| CelError::invalid(start, "the name in backquotes does not end"))?;
        let name = &rest[..length];
        let plain = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'-' | b'/' | b' ');
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(CelError::invalid(
                start,
                "a name in backquotes holds only letters, digits, `_`, `.`, `-`, `/` and spaces",
            ));
        }
        self.place += length + 2;
        Ok(Token::Quoted(name.into()))
    }

    fn sign(&mut self) -> Parsed<Token> {
        let rest = &self.source[self.place..];
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(*sign));
        match sign {
            Some("=") => Err(CelError::invalid(self.place, "write `==` to compare")),
            Some("&") | None => Err(CelError::invalid(self.place, "unexpected character")),
            Some(sign) => {
                self.place += sign.len();
                Ok(Token::Sign(sign))
            }
        }
    }

    fn digits(&mut self) {
        let bytes = self.source.as_bytes();
        while bytes.get(self.place).is_some_and(u8::is_ascii_digit) {
            self.place += 1;
        }
    }

    fn number(&mut self) -> Parsed<Token> {
        let start = self.place;
        let bytes = self.source.as_bytes();
        let mut double = false;
        if let [b'0', b'x' | b'X', ..] = &bytes[start..] {
            self.place += 2;
            while bytes.get(self.place).is_some_and(u8::is_ascii_hexdigit) {
                self.place += 1;
            }
            if self.place == start + 2 {
                return Err(CelError::invalid(start, "hexadecimal digits are missing"));
            }
        } else {
            self.digits();
            if let [b'.', b'0'..=b'9', ..] = &bytes[self.place..] {
                double = true;
                self.place += 1;
                self.digits();
            }
            if let [b'e' | b'E', b'0'..=b'9', ..] | [b'e' | b'E', b'+' | b'-', b'0'..=b'9', ..] =
                &bytes[self.place..]
            {
                double = true;
                self.place += 2;
                self.digits();
            }
        }
        let text: Arc<str> = self.source[start..self.place].into();
        let unsigned = matches!(bytes.get(self.place), Some(b'u' | b'U')) && !double;
        self.place += usize::from(unsigned);
        if bytes.get(self.place).is_some_and(|byte| is_word(*byte)) {
            return Err(CelError::invalid(start, "the number runs into a name"));
        }
        Ok(match (double, unsigned) {
            (true, _) => Token::Double(text),
            (false, true) => Token::Uint(text),
            (false, false) => Token::Int(text),
        })
    }
}

/// Whether a byte may stand in a name.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
