//! The tokens of a JSON text, read strictly.

use super::check::{Problem, Refusal};

/// A place in a text that is known to be UTF-8.
pub(super) struct Cursor<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl Cursor<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    pub(super) fn at_close(&self, array: bool) -> bool {
        self.peek() == Some(if array { b']' } else { b'}' })
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.peek() != Some(byte) {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn refuse(&self, problem: Problem) -> Refusal {
        Refusal { problem, offset: self.at }
    }

    /// What is wrong where the grammar does not go on: a raw NUL has a name of its own.
    pub(super) fn syntax(&self) -> Refusal {
        self.refuse(if self.peek() == Some(0) { Problem::Nul } else { Problem::Syntax })
    }

    /// Reads the scalar that begins at the cursor; says whether it is a string with an escape.
    pub(super) fn scalar(&mut self) -> Result<bool, Refusal> {
        match self.peek() {
            Some(b'"') => return self.string(),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            _ => return Err(self.syntax()),
        }
        Ok(false)
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Refusal> {
        for &byte in word {
            self.expect(byte)?;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Refusal> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Refusal> {
        let first = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == first { Err(self.syntax()) } else { Ok(()) }
    }

    /// Reads the string that begins at the cursor; says whether it holds an escape.
    pub(super) fn string(&mut self) -> Result<bool, Refusal> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_length(&self.text[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let refuse = |problem| Err(Refusal { problem, offset: start });
                match self.code_unit()? {
                    0 => return refuse(Problem::Nul),
                    0xD800..=0xDBFF => {
                        let pair = self.text.get(self.at..self.at + 2) == Some(br"\u");
                        if !pair {
                            return refuse(Problem::LoneSurrogate);
                        }
                        self.at += 1;
                        if !(0xDC00..=0xDFFF).contains(&self.code_unit()?) {
                            return refuse(Problem::LoneSurrogate);
                        }
                    }
                    0xDC00..=0xDFFF => return refuse(Problem::LoneSurrogate),
                    _ => {}
                }
            }
            _ => return Err(self.syntax()),
        }
        Ok(())
    }

    /// Reads the `u` at the cursor and four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u32, Refusal> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.syntax())?;
            self.at += 1;
        }
        Ok(unit)
    }
}

/// How many bytes stand before the next quote, backslash or control character.
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let mut length = 0;
    while let Some(chunk) = text.get(length..).and_then(<[u8]>::first_chunk::<8>) {
        // Bit tricks over eight bytes; the lowest marked byte is always a true hit.
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let hits = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let hits = hits & HIGHS;
        if hits != 0 {
            return length + (hits.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    length + text[length..].iter().position(special).unwrap_or(text.len() - length)
}
