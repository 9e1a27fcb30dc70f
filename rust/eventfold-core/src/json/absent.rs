//! The words of absent values in texts: replaced by `null` and told by their pointers where a text
//! leaves the process, and put back where it comes into one that folds.
//!
//! Memory-safe on any bytes, as `scan` is.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::limits::JSON_DEPTH_MAX;
use crate::privacy::{ERASED, WITHHELD};
use crate::value::Absence;

use super::escapes::unescape;
use super::pointer::push_step;
use super::scan::Scanner;

const NULL: &[u8] = b"null";

/// A text as others may see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The text with `null` in place of what is absent, all else byte for byte.
    pub text: Vec<u8>,
    /// Pointers (RFC 6901) to values that were erased, in the order of the text; empty: the whole.
    pub erased: Vec<String>,
    /// Pointers to values that are withheld.
    pub withheld: Vec<String>,
}

/// A text whose absent values are `null`, and which they are; `None`: it has none, and may be sent
/// as it is.
pub fn without_absent(text: &[u8]) -> Option<Shown> {
    static WORDS: LazyLock<[Finder<'static>; 2]> =
        LazyLock::new(|| [Finder::new(ERASED), Finder::new(WITHHELD)]);
    // Nearly all texts have neither word, not even in a string.
    if WORDS.iter().all(|word| word.find(text).is_none()) {
        return None;
    }
    let mut shown = Shown::default();
    let mut done = 0;
    visit(text, &mut |pointer, place| {
        let list = match &text[place.clone()] {
            word if word == ERASED.as_bytes() => &mut shown.erased,
            word if word == WITHHELD.as_bytes() => &mut shown.withheld,
            _ => return,
        };
        list.push(pointer.to_owned());
        shown.text.extend_from_slice(&text[done..place.start]);
        shown.text.extend_from_slice(NULL);
        done = place.end;
    });
    shown.text.extend_from_slice(&text[done..]);
    (done > 0).then_some(shown)
}

/// The text with the words of absent values where a `null` stands at one of these pointers; others
/// count for nothing.
pub fn with_absent<'a>(
    text: &[u8],
    erased: impl IntoIterator<Item = &'a str>,
    withheld: impl IntoIterator<Item = &'a str>,
) -> Vec<u8> {
    let erased = erased.into_iter().map(|pointer| (pointer, Absence::Erased));
    let withheld = withheld.into_iter().map(|pointer| (pointer, Absence::Withheld));
    let absent: HashMap<&str, Absence> = withheld.chain(erased).collect();
    let mut out = Vec::with_capacity(text.len() + absent.len() * (WITHHELD.len() - NULL.len()));
    let mut done = 0;
    visit(text, &mut |pointer, place| {
        if let Some(absence) = absent.get(pointer)
            && &text[place.clone()] == NULL
        {
            out.extend_from_slice(&text[done..place.start]);
            out.extend_from_slice(absence.word().as_bytes());
            done = place.end;
        }
    });
    out.extend_from_slice(&text[done..]);
    out
}

/// Takes the pointer to a bare word and where it stands.
type Visitor<'a> = dyn FnMut(&str, Range<usize>) + 'a;

/// Visits the bare words of a text, in its order, but for `true` and `false`; stops where the text
/// is not JSON.
fn visit(text: &[u8], visitor: &mut Visitor<'_>) {
    let mut scanner = Scanner::new(text);
    scanner.blanks();
    let _ = Walk { text, scanner, pointer: String::new(), visitor }.value(0);
}

struct Walk<'a, 'b> {
    text: &'a [u8],
    scanner: Scanner<'a>,
    /// To where it stands.
    pointer: String,
    visitor: &'a mut Visitor<'b>,
}

impl Walk<'_, '_> {
    fn value(&mut self, depth: usize) -> Option<()> {
        // A kept state may stand one level further in than what it is a state of.
        if depth > JSON_DEPTH_MAX + 1 {
            return None;
        }
        match self.scanner.peek()? {
            b'{' => self.members(depth),
            b'[' => self.elements(depth),
            b'e' | b'w' | b'n' => {
                let start = self.scanner.place;
                self.scanner.skip()?;
                let word = self.text.get(start..self.scanner.place)?.trim_ascii_end();
                (self.visitor)(&self.pointer, start..start + word.len());
                Some(())
            }
            _ => self.scanner.skip(),
        }
    }

    fn members(&mut self, depth: usize) -> Option<()> {
        self.scanner.expect(b'{')?;
        self.scanner.blanks();
        if self.scanner.eat(b'}') {
            return Some(());
        }
        loop {
            self.scanner.blanks();
            let (raw, escaped) = self.scanner.raw_string()?;
            let length = self.pointer.len();
            match escaped {
                true => push_step(&mut self.pointer, &unescape(raw)?),
                false => push_step(&mut self.pointer, std::str::from_utf8(raw).ok()?),
            }
            self.scanner.blanks();
            self.scanner.expect(b':')?;
            self.scanner.blanks();
            self.value(depth + 1)?;
            self.pointer.truncate(length);
            self.scanner.blanks();
            if !self.scanner.eat(b',') {
                return self.scanner.expect(b'}');
            }
        }
    }

    fn elements(&mut self, depth: usize) -> Option<()> {
        self.scanner.expect(b'[')?;
        self.scanner.blanks();
        if self.scanner.eat(b']') {
            return Some(());
        }
        for index in 0_usize.. {
            self.scanner.blanks();
            let length = self.pointer.len();
            push_step(&mut self.pointer, &index.to_string());
            self.value(depth + 1)?;
            self.pointer.truncate(length);
            self.scanner.blanks();
            if !self.scanner.eat(b',') {
                break;
            }
        }
        self.scanner.expect(b']')
    }
}

#[cfg(test)]
mod tests {
    use super::{Shown, with_absent, without_absent};

    const TEXT: &str = r#" { "a" : erased , "b~/":[1,withheld ,null,"erased",{"c":erased}],
        "d\u0041": withheld, "e": true, "withheld": "null" } "#;

    fn shown() -> Shown {
        without_absent(TEXT.as_bytes()).unwrap()
    }

    /// The words become null, all around them stays, and the pointers say which.
    #[test]
    fn words_become_null_and_are_told() {
        let expected = TEXT
            .replace(": erased", ": null")
            .replace(":erased", ":null")
            .replace(",withheld", ",null")
            .replace(": withheld,", ": null,");
        let shown = shown();
        assert_eq!(String::from_utf8(shown.text).unwrap(), expected);
        assert_eq!(shown.erased, ["/a", "/b~0~1/4/c"]);
        assert_eq!(shown.withheld, ["/b~0~1/1", "/dA"]);
    }

    #[test]
    fn the_words_come_back_to_their_places() {
        let shown = shown();
        let erased = shown.erased.iter().map(String::as_str);
        let text = with_absent(&shown.text, erased, shown.withheld.iter().map(String::as_str));
        assert_eq!(String::from_utf8(text).unwrap(), TEXT);
    }

    /// Pointers that lead nowhere, or to another value than null, change nothing.
    #[test]
    fn other_pointers_count_for_nothing() {
        let text = br#"{"a": 1, "b": {"c": "null"}}"#;
        assert_eq!(with_absent(text, ["/a", "/b", "/b/c", "/d", ""], ["a"]), text);
    }

    #[test]
    fn the_whole_text_may_be_absent() {
        let shown = without_absent(b"erased").unwrap();
        assert_eq!(
            (shown.text.as_slice(), shown.erased.as_slice()),
            (&b"null"[..], &[String::new()][..])
        );
        assert_eq!(with_absent(b"null", [""], []), b"erased");
    }

    #[test]
    fn texts_without_words_stay_as_they_are() {
        for text in ["null", r#"{"a": "erased, withheld", "withheld": 1}"#, "", "{", "[\"erased\""]
        {
            assert_eq!(without_absent(text.as_bytes()), None, "{text}");
        }
    }
}
