//! Walking through the members of objects in a JSON text that was strictly checked, without reading
//! values.
//!
//! Memory-safe on any bytes, as `scan` is: `None` stands for a text that is not JSON.

use crate::bytes::same;

use super::escapes::unescape;
use super::marks::Marks;
use super::scan::Scanner;

/// A place in a text.
pub(crate) struct Walker<'a> {
    text: &'a [u8],
    scanner: Scanner<'a>,
}

/// A key as it is spelled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawKey<'a> {
    /// Byte of its first quote.
    pub(crate) start: usize,
    /// Byte behind its last quote.
    pub(crate) end: usize,
    /// Byte of its value.
    pub(crate) value: usize,
    text: &'a [u8],
    escaped: bool,
}

impl RawKey<'_> {
    /// Whether it is the key of that name, however it is spelled.
    #[inline]
    pub(crate) fn is(&self, name: &str) -> bool {
        if self.escaped { self.is_unescaped(name) } else { same(name.as_bytes(), self.text) }
    }

    #[cold]
    fn is_unescaped(&self, name: &str) -> bool {
        unescape(self.text).is_some_and(|key| key == name)
    }
}

impl<'a> Walker<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let mut scanner = Scanner::new(text);
        scanner.blanks();
        Self { text, scanner }
    }

    /// The byte at which it stands.
    pub(crate) fn place(&self) -> usize {
        self.scanner.place
    }

    /// Goes into the object that begins here; false, and it stays, if something else does.
    #[inline]
    pub(crate) fn enter(&mut self) -> bool {
        self.scanner.eat(b'{')
    }

    /// Whether the word of an absent value begins here.
    #[inline]
    pub(crate) fn at_absent(&self) -> bool {
        matches!(self.scanner.peek(), Some(b'e' | b'w'))
    }

    /// Goes to the value of the next key of an object, `first` or behind a value. Without one it
    /// goes behind the object: the inner `None`.
    #[inline]
    pub(crate) fn key(&mut self, first: bool) -> Option<Option<RawKey<'a>>> {
        let scanner = &mut self.scanner;
        scanner.blanks();
        if scanner.eat(b'}') {
            return Some(None);
        }
        if !first {
            scanner.expect(b',')?;
            scanner.blanks();
        }
        let start = scanner.place;
        let (text, escaped) = scanner.raw_string()?;
        let end = scanner.place;
        scanner.blanks();
        scanner.expect(b':')?;
        scanner.blanks();
        Some(Some(RawKey { start, end, value: scanner.place, text, escaped }))
    }

    /// Goes to the end of the value that begins here.
    #[inline]
    pub(crate) fn pass(&mut self) -> Option<()> {
        let start = self.scanner.place;
        self.scanner.skip()?;
        while self.scanner.place > start
            && matches!(self.text[self.scanner.place - 1], b' ' | b'\n' | b'\r' | b'\t')
        {
            self.scanner.place -= 1;
        }
        Some(())
    }
}

/// How deep a value nests: 0 for a scalar, 1 for `[]` and `{}`.
pub(crate) fn depth(text: &[u8]) -> usize {
    let mut marks = Marks::<true>::new(text);
    let (mut open, mut deepest) = (0_usize, 0);
    let mut in_string = false;
    let mut place = 0;
    while let Some(mark) = marks.next(place) {
        place = mark + 1;
        match text[mark] {
            b'\\' => place += 1,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            _ => open = open.saturating_sub(1),
        }
    }
    deepest
}
