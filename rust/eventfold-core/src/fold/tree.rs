//! The YAML text of a document as a tree, with the place of every node.
//!
//! Number texts stay as written. What YAML has beyond JSON's model is refused: anchors, aliases,
//! tags, several documents, keys that are not scalars, and keys that stand twice.

use std::borrow::Cow;
use std::collections::HashSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use crate::json::check::check_object;
use crate::limits::JSON_DEPTH_MAX;

use super::refusal::{Parsed, Position, QUOTE_HINT, Refusal, Source};

/// Levels of a document: those of its `initial` state, and those around it.
const DOCUMENT_DEPTH_MAX: usize = JSON_DEPTH_MAX + 1;

/// A part of a document.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) at: Position,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// Plain scalars may be literals, quoted ones are always texts.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// A list or map that is still open.
enum Open {
    List(Vec<Node>),
    Map { entries: Vec<(Node, Node)>, keys: HashSet<String>, key: Option<Node> },
}

/// Parses the text of a document.
pub(crate) fn parse(text: &str, source: &Source<'_>) -> Parsed<Node> {
    let readable = readable_json(text);
    let mut parser = Parser::new_from_str(&readable);
    let mut builder = Builder { open: Vec::new(), root: None };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let at = position(*error.marker());
            let refusal = Refusal::new(at, format!("the YAML is not valid: {}", error.info()));
            if looks_unquoted(source, at) { refusal.hint(QUOTE_HINT) } else { refusal }
        })?;
        builder.event(event, span)?;
    }
    builder.root.ok_or_else(|| Refusal::new(START, "the document is empty"))
}

const START: Position = Position { line: 1, column: 1 };

fn position(marker: Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// Whether the trouble may come from a value that YAML takes for its own syntax. The parser may
/// notice only on the next line.
fn looks_unquoted(source: &Source<'_>, at: Position) -> bool {
    let has_value = |line: usize| {
        source.line(line).split_once(": ").is_some_and(|(_, value)| !value.trim().is_empty())
    };
    has_value(at.line) || at.line > 1 && has_value(at.line - 1)
}

/// JSON is read as YAML; two spellings that only JSON allows are rewritten first: tabs between
/// tokens, and characters escaped as surrogate pairs.
fn readable_json(text: &str) -> Cow<'_, str> {
    let json_only = text.contains('\t') || text.contains("\\u");
    if !json_only || check_object(text.as_bytes()).is_err() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\t', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let pair = surrogate_pair(rest);
        let taken = if let Some(character) = pair {
            out.push_str(&format!("\\U{:08X}", u32::from(character)));
            12
        } else if let Some(escape) = rest.strip_prefix('\\') {
            // The next character belongs to the escape, even if it is a backslash.
            let taken = 1 + escape.chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..taken]);
            taken
        } else {
            out.push(' ');
            1
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of an escaped surrogate pair at the start of a text.
fn surrogate_pair(text: &str) -> Option<char> {
    let unit = |from: usize| {
        let digits = text.get(from..from + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(0).filter(|unit| (0xD800..0xDC00).contains(unit))?;
    char::decode_utf16([first, unit(6)?]).next()?.ok()
}

struct Builder {
    open: Vec<(Position, Open)>,
    root: Option<Node>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Parsed<()> {
        let at = position(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some())?;
                if text.contains('\0') {
                    return Err(Refusal::new(at, "a text holds a NUL character"));
                }
                let plain = style == ScalarStyle::Plain;
                self.place(Node { kind: Kind::Scalar { text: text.into_owned(), plain }, at })
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some())?;
                self.begin(at, Open::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some())?;
                let open = Open::Map { entries: Vec::new(), keys: HashSet::new(), key: None };
                self.begin(at, open)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(_) => {
                Err(Refusal::new(at, "aliases (`*`) are not supported").hint(QUOTE_HINT))
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Refusal::new(at, "a source holds one document only"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: Position, open: Open) -> Parsed<()> {
        if self.open.len() >= DOCUMENT_DEPTH_MAX {
            let problem = format!("the document nests deeper than {DOCUMENT_DEPTH_MAX} levels");
            return Err(Refusal::new(at, problem));
        }
        if let Some((_, Open::Map { key: None, .. })) = self.open.last() {
            return Err(Refusal::new(at, "a key must be a text").hint(QUOTE_HINT));
        }
        self.open.push((at, open));
        Ok(())
    }

    fn end(&mut self) -> Parsed<()> {
        let Some((at, open)) = self.open.pop() else { return Ok(()) };
        let kind = match open {
            Open::List(items) => Kind::List(items),
            Open::Map { entries, .. } => Kind::Map(entries),
        };
        self.place(Node { kind, at })
    }

    /// Puts a complete node where it belongs.
    fn place(&mut self, node: Node) -> Parsed<()> {
        match self.open.last_mut().map(|(_, open)| open) {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map { entries, keys, key }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let text = node.text().unwrap_or_default();
                    if !keys.insert(text.to_owned()) {
                        let problem = format!("the key `{text}` stands twice");
                        return Err(Refusal::new(node.at, problem));
                    }
                    *key = Some(node);
                }
            },
        }
        Ok(())
    }
}

fn refuse_extras(at: Position, anchor: usize, tag: bool) -> Parsed<()> {
    if anchor != 0 {
        return Err(Refusal::new(at, "anchors (`&`) are not supported").hint(QUOTE_HINT));
    }
    if tag {
        return Err(Refusal::new(at, "tags (`!`) are not supported").hint(QUOTE_HINT));
    }
    Ok(())
}
