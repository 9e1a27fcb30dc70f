//! Paths of assignments: `name`, `['any key']` and `[CEL]`, joined by `.`.

use std::sync::Arc;

use crate::cel::{self, Ast, CelError, Env};
use crate::limits::EXPRESSION_BYTES_MAX;
use crate::value::Value;

/// One step of a path.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    /// A key that is known; `name` and `['name']` are the same.
    Key(Arc<str>),
    /// An index that is known.
    Index(i64),
    /// A key or index that an expression gives.
    Computed(Computed),
}

/// The expression of a segment.
#[derive(Debug, Clone)]
pub(crate) struct Computed {
    pub(crate) ast: Ast,
    /// Byte of the path at which the expression begins.
    pub(crate) offset: usize,
}

/// A place in the state; without segments the whole state.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) segments: Vec<Segment>,
}

/// Why a text is not a path, and at which byte.
#[derive(Debug)]
pub(crate) enum PathError {
    Syntax(usize, &'static str),
    /// An expression in brackets; offsets count from the start of the path.
    Expression(CelError),
    TooLong(usize),
}

impl Path {
    /// Parses a path.
    pub(crate) fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(PathError::TooLong(text.len()));
        }
        let mut segments = Vec::new();
        if text == "." {
            return Ok(Self { segments });
        }
        if text.is_empty() {
            return Err(PathError::Syntax(0, "a path is empty"));
        }
        let mut at = 0;
        while at < text.len() {
            if !segments.is_empty() {
                match text.as_bytes()[at] {
                    b'.' => at += 1,
                    b'[' => {}
                    _ => return Err(PathError::Syntax(at, SYNTAX)),
                }
            }
            let (segment, end) = match text[at..].strip_prefix('[') {
                Some(_) => bracket(text, at)?,
                None => name(text, at)?,
            };
            segments.push(segment);
            at = end;
        }
        Ok(Self { segments })
    }

    /// The text of the path in normal form.
    pub(crate) fn print(&self) -> String {
        if self.segments.is_empty() {
            return ".".to_owned();
        }
        let mut out = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Key(key) if name_length(key) == key.len() && !key.is_empty() => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(key);
                }
                Segment::Key(key) => {
                    let mut quoted = Vec::new();
                    crate::json::write::write_string(key, &mut quoted);
                    out.push_str(&format!("[{}]", String::from_utf8_lossy(&quoted)));
                }
                Segment::Index(index) => out.push_str(&format!("[{index}]")),
                Segment::Computed(computed) => {
                    out.push_str(&format!("[{}]", computed.ast.print()));
                }
            }
        }
        out
    }

    /// Whether every segment is known before evaluation.
    pub(crate) fn is_static(&self) -> bool {
        !self.segments.iter().any(|segment| matches!(segment, Segment::Computed(_)))
    }

    /// Whether both paths surely name the same place, or one a place inside of the other.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.pairs(other).all(|(left, right)| match (left, right) {
            (Segment::Computed(left), Segment::Computed(right)) => left.ast == right.ast,
            _ => left.same_known(right) == Some(true),
        })
    }

    /// Whether they may do so, depending on computed segments.
    pub(crate) fn may_overlap(&self, other: &Self) -> bool {
        self.pairs(other).all(|(left, right)| left.same_known(right) != Some(false))
    }

    fn pairs<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a Segment, &'a Segment)> {
        self.segments.iter().zip(&other.segments)
    }
}

impl Segment {
    /// Whether two known segments name the same; `None` if one is computed. An index also names
    /// the key of the same digits, because a map takes it as such.
    fn same_known(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Key(left), Self::Key(right)) => Some(left == right),
            (Self::Index(left), Self::Index(right)) => Some(left == right),
            (Self::Key(key), Self::Index(index)) | (Self::Index(index), Self::Key(key)) => {
                Some(**key == *index.to_string())
            }
            _ => None,
        }
    }
}

/// Adds a key to the text of a path, as a document writes it: as a name where that is possible.
/// At the start of a path the words of handlers are no names.
pub(crate) fn push_key(key: &str, path: &mut String) {
    let word = path.is_empty() && matches!(key, "when" | "let" | "delete");
    if !word && !key.is_empty() && name_length(key) == key.len() {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        return;
    }
    path.push_str("['");
    for character in key.chars() {
        match character {
            '\'' | '\\' => path.extend(['\\', character]),
            '\n' => path.push_str("\\n"),
            '\r' => path.push_str("\\r"),
            '\t' => path.push_str("\\t"),
            '\0'..' ' | '\x7f' => path.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => path.push(character),
        }
    }
    path.push_str("']");
}

/// Adds an index to the text of a path.
pub(crate) fn push_index(index: usize, path: &mut String) {
    path.push_str(&format!("[{index}]"));
}

const SYNTAX: &str = "a path is `name`, `['any key']` or `[expression]`, joined by `.`";

/// How many bytes at the start of a text are a name.
fn name_length(text: &str) -> usize {
    let other = |byte: u8| !(byte.is_ascii_alphanumeric() || byte == b'_');
    let length = text.bytes().position(other).unwrap_or(text.len());
    if text.starts_with(|first: char| first.is_ascii_digit()) { 0 } else { length }
}

fn name(text: &str, at: usize) -> Result<(Segment, usize), PathError> {
    match name_length(&text[at..]) {
        0 => Err(PathError::Syntax(at, SYNTAX)),
        length => Ok((Segment::Key(text[at..at + length].into()), at + length)),
    }
}

/// Reads the brackets at `at`. The expression ends at the first `]` before which it is whole:
/// one inside of a text or of inner brackets leaves a part that does not parse.
fn bracket(text: &str, at: usize) -> Result<(Segment, usize), PathError> {
    let start = at + 1;
    let mut failure = None;
    for (end, _) in text[start..].match_indices(']').map(|(end, part)| (start + end, part)) {
        match cel::parse(&text[start..end]) {
            Ok(ast) => return Ok((segment(ast, start), end + 1)),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(mut error) => {
            error.offset += start;
            Err(PathError::Expression(error))
        }
        None => Err(PathError::Syntax(at, "a `[` is not closed")),
    }
}

fn segment(ast: Ast, offset: usize) -> Segment {
    // Constants are known, however they are spelled; what does not compile here, without
    // variables, is compiled with them later.
    let program = cel::compile(&ast, &mut Env::new());
    match program.as_ref().ok().and_then(|program| program.constant()) {
        Some(Value::String(key)) => Segment::Key(Arc::clone(key)),
        Some(Value::Int(index)) => Segment::Index(*index),
        _ => Segment::Computed(Computed { ast, offset }),
    }
}
