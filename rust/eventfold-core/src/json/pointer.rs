//! JSON pointers (RFC 6901), patterns of them, and the values that they lead to in a text.
//!
//! Memory-safe on any bytes, as `scan` is: `None` stands for a text that is not JSON.

use std::fmt;
use std::ops::Range;

use crate::limits::JSON_DEPTH_MAX;

use super::escapes::unescape;
use super::scan::Scanner;

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Every element of an array, or every member of an object.
    Every,
    /// The member of that name, or the element of that index.
    Name(Box<str>),
}

/// A pointer, in a pattern with `*` for every element or member. It leads below the whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

/// A value that a pattern leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which of the patterns, from 0.
    pub pattern: usize,
    /// The pointer to it.
    pub pointer: String,
    /// Where it stands in the text.
    pub value: Range<usize>,
}

/// Why a text is no pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointerProblem {
    /// It is empty, and leads to the whole text.
    Whole,
    /// It does not begin with `/`.
    NoSlash,
    /// A `~` is followed by something else than `0` or `1`.
    Escape,
    /// It has more steps than a text may nest.
    TooDeep,
}

impl PointerProblem {
    /// For people.
    pub fn prose(self) -> &'static str {
        match self {
            Self::Whole => "leads to the whole; `/*` is every member of it",
            Self::NoSlash => "does not begin with `/`",
            Self::Escape => "has a `~` that is neither `~0` nor `~1`",
            Self::TooDeep => "has more steps than JSON may nest",
        }
    }
}

impl Pattern {
    /// A pattern, in which `*` is every element or member.
    pub fn parse(text: &str) -> Result<Self, PointerProblem> {
        Self::read(text, true)
    }

    /// A pointer to one value, in which `*` is a name.
    pub fn pointer(text: &str) -> Result<Self, PointerProblem> {
        Self::read(text, false)
    }

    fn read(text: &str, stars: bool) -> Result<Self, PointerProblem> {
        let Some(steps) = text.strip_prefix('/') else {
            let problem =
                if text.is_empty() { PointerProblem::Whole } else { PointerProblem::NoSlash };
            return Err(problem);
        };
        let token = |step: &str| match step {
            "*" if stars => Ok(Token::Every),
            _ => Ok(Token::Name(unescaped(step).ok_or(PointerProblem::Escape)?.into())),
        };
        let tokens: Vec<Token> = steps.split('/').map(token).collect::<Result<_, _>>()?;
        if tokens.len() > JSON_DEPTH_MAX { Err(PointerProblem::TooDeep) } else { Ok(Self(tokens)) }
    }

    /// How many steps it has.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// How often it says `*`.
    pub fn stars(&self) -> usize {
        self.0.iter().filter(|token| **token == Token::Every).count()
    }

    /// The name of the member of the whole that it leads into; `None`: of every one.
    pub fn first(&self) -> Option<&str> {
        match self.0.first() {
            Some(Token::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// Its steps: names, and `None` for every element or member.
    pub fn steps(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().map(|token| match token {
            Token::Name(name) => Some(&**name),
            Token::Every => None,
        })
    }

    /// Whether a value can be one that this leads to, or lie within one, or hold one, and the same
    /// be so for another pattern.
    pub fn meets(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(one, other)| *one == Token::Every || *other == Token::Every || one == other)
    }

    /// The pattern with each `*` in turn made what it stands for in a pointer that `of` has led to,
    /// as far as both begin in the same way.
    pub fn beside(&self, of: &Self, pointer: &str) -> Self {
        let Ok(found) = Self::pointer(pointer) else { return self.clone() };
        let mut same = true;
        let token = |(place, token): (usize, &Token)| {
            same &= of.0.get(place) == Some(token);
            match (token, found.0.get(place)) {
                (Token::Every, Some(step)) if same => step.clone(),
                _ => token.clone(),
            }
        };
        Self(self.0.iter().enumerate().map(token).collect())
    }

    /// The values that patterns lead to in a text that was strictly checked, in the order of the
    /// text. Of values within each other only the outermost is found.
    pub fn find(patterns: &[Self], text: &[u8]) -> Option<Vec<Found>> {
        let mut search = Search {
            text,
            scanner: Scanner::new(text),
            patterns,
            pointer: String::new(),
            found: Vec::new(),
        };
        search.scanner.blanks();
        let all: Vec<usize> = (0..patterns.len()).collect();
        search.value(&all, 0)?;
        Some(search.found)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|token| match token {
            Token::Every => f.write_str("/*"),
            Token::Name(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
        })
    }
}

struct Search<'a> {
    text: &'a [u8],
    scanner: Scanner<'a>,
    patterns: &'a [Pattern],
    /// To where it stands.
    pointer: String,
    found: Vec<Found>,
}

impl Search<'_> {
    /// Looks at the value that begins here for those patterns that lead here or further in.
    fn value(&mut self, live: &[usize], depth: usize) -> Option<()> {
        if depth > JSON_DEPTH_MAX {
            return None;
        }
        if live.is_empty() {
            return self.scanner.skip();
        }
        let here = live.iter().find(|pattern| self.patterns[**pattern].0.len() == depth);
        if let Some(pattern) = here {
            let start = self.scanner.place;
            self.scanner.skip()?;
            let blanks = self.text.get(start..self.scanner.place)?;
            let value = start..start + blanks.trim_ascii_end().len();
            self.found.push(Found { pattern: *pattern, pointer: self.pointer.clone(), value });
            return Some(());
        }
        if self.scanner.eat(b'{') {
            self.members(live, depth)
        } else if self.scanner.eat(b'[') {
            self.elements(live, depth)
        } else {
            self.scanner.skip()
        }
    }

    fn members(&mut self, live: &[usize], depth: usize) -> Option<()> {
        self.scanner.blanks();
        if self.scanner.eat(b'}') {
            return Some(());
        }
        loop {
            self.scanner.blanks();
            let (raw, escaped) = self.scanner.raw_string()?;
            let key: std::borrow::Cow<'_, str> = match escaped {
                true => unescape(raw)?.into(),
                false => std::str::from_utf8(raw).ok()?.into(),
            };
            self.scanner.blanks();
            self.scanner.expect(b':')?;
            self.scanner.blanks();
            self.step(live, depth, &key)?;
            self.scanner.blanks();
            if !self.scanner.eat(b',') {
                return self.scanner.expect(b'}');
            }
        }
    }

    fn elements(&mut self, live: &[usize], depth: usize) -> Option<()> {
        self.scanner.blanks();
        if self.scanner.eat(b']') {
            return Some(());
        }
        let mut index = 0_usize;
        loop {
            self.scanner.blanks();
            self.step(live, depth, &index.to_string())?;
            index += 1;
            self.scanner.blanks();
            if !self.scanner.eat(b',') {
                return self.scanner.expect(b']');
            }
        }
    }

    fn step(&mut self, live: &[usize], depth: usize, name: &str) -> Option<()> {
        let goes_on = |pattern: &usize| match &self.patterns[*pattern].0[depth] {
            Token::Every => true,
            Token::Name(wanted) => **wanted == *name,
        };
        let live: Vec<usize> = live.iter().copied().filter(goes_on).collect();
        if live.is_empty() {
            return self.scanner.skip();
        }
        let before = self.pointer.len();
        push_step(&mut self.pointer, name);
        self.value(&live, depth + 1)?;
        self.pointer.truncate(before);
        Some(())
    }
}

/// Adds a step to the text of a pointer.
pub(crate) fn push_step(pointer: &mut String, name: &str) {
    pointer.push('/');
    if name.contains(['~', '/']) {
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    } else {
        pointer.push_str(name);
    }
}

/// A step of a pointer without its escapes; `None`: it has one that means nothing.
fn unescaped(step: &str) -> Option<String> {
    let mut text = String::with_capacity(step.len());
    let mut parts = step.split('~');
    text.push_str(parts.next()?);
    for part in parts {
        let mut rest = part.chars();
        text.push(match rest.next()? {
            '0' => '~',
            '1' => '/',
            _ => return None,
        });
        text.push_str(rest.as_str());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{Pattern, PointerProblem};

    fn find(patterns: &[&str], text: &str) -> Vec<(usize, String, String)> {
        let patterns: Vec<_> = patterns.iter().map(|one| Pattern::parse(one).unwrap()).collect();
        let found = Pattern::find(&patterns, text.as_bytes()).unwrap();
        found
            .into_iter()
            .map(|found| (found.pattern, found.pointer, text[found.value].to_owned()))
            .collect()
    }

    fn one(pattern: usize, pointer: &str, value: &str) -> (usize, String, String) {
        (pattern, pointer.to_owned(), value.to_owned())
    }

    #[test]
    fn members_and_elements_are_found_where_they_stand() {
        let text =
            r#" { "a" : [ {"b": 1 }, {"b" : {"c": []}} , 7 ] , "a\u007e/": null, "x": {"b": 2} } "#;
        assert_eq!(
            find(&["/a/*/b", "/a~0~1"], text),
            [one(0, "/a/0/b", "1"), one(0, "/a/1/b", r#"{"c": []}"#), one(1, "/a~0~1", "null")]
        );
        assert_eq!(find(&["/a/2"], text), [one(0, "/a/2", "7")]);
        assert_eq!(find(&["/x/*", "/none", "/x/b/c"], text), [one(0, "/x/b", "2")]);
        assert_eq!(find(&["/*"], text).len(), 3);
    }

    #[test]
    fn of_values_within_each_other_the_outermost_is_found() {
        assert_eq!(find(&["/a/b", "/a"], r#"{"a": {"b": 1}}"#), [one(1, "/a", r#"{"b": 1}"#)]);
    }

    #[test]
    fn a_pattern_beside_another_stands_in_the_same_element() {
        let of = Pattern::parse("/people/*/email").unwrap();
        let beside =
            |text: &str| Pattern::parse(text).unwrap().beside(&of, "/people/3/email").to_string();
        assert_eq!(beside("/people/*/id"), "/people/3/id");
        assert_eq!(beside("/others/*/id"), "/others/*/id");
        assert_eq!(beside("/id"), "/id");
    }

    #[test]
    fn what_is_no_pointer_is_told() {
        let problem = |text: &str| Pattern::parse(text).unwrap_err();
        assert_eq!(problem(""), PointerProblem::Whole);
        assert_eq!(problem("a"), PointerProblem::NoSlash);
        assert_eq!(problem("/a~2"), PointerProblem::Escape);
        assert_eq!(problem("/a~"), PointerProblem::Escape);
        assert_eq!(problem(&"/a".repeat(1000)), PointerProblem::TooDeep);
    }

    #[test]
    fn patterns_meet_where_one_value_can_be_of_both() {
        let meet = |one: &str, other: &str| {
            Pattern::parse(one).unwrap().meets(&Pattern::parse(other).unwrap())
        };
        assert!(meet("/a", "/a/b") && meet("/*/b", "/a") && meet("/*", "/x"));
        assert!(!meet("/a/b", "/a/c") && !meet("/a", "/b"));
    }
}
