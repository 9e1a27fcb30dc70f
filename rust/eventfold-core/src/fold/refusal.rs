//! Why a document is refused, and where.

use crate::cel::{CelError, EXPRESSION_INVALID, EXPRESSION_TOO_DEEP, EXPRESSION_TOO_LONG};
use crate::error::CoreError;
use crate::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};

/// A place in a document; line and column count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A refusal on its way up; whoever knows more adds it.
#[derive(Debug)]
pub(crate) struct Refusal {
    reason: &'static str,
    at: Position,
    problem: String,
    hint: Option<String>,
    handler: Option<String>,
    path: Option<String>,
    limit: Option<usize>,
    actual: Option<usize>,
}

/// A result of parsing or compiling; boxed, so that good results stay small.
pub(crate) type Parsed<T> = Result<T, Box<Refusal>>;

/// What to do about an expression that YAML does not read as a text.
pub(crate) const QUOTE_HINT: &str = "put the expression in quotes";

impl Refusal {
    pub(crate) fn new(at: Position, problem: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            reason: "INVALID_FOLD",
            at,
            problem: problem.into(),
            hint: None,
            handler: None,
            path: None,
            limit: None,
            actual: None,
        })
    }

    /// The refusal of an expression, at its place in the document.
    pub(crate) fn of_expression(at: Position, error: CelError) -> Box<Self> {
        let mut refusal = Self::new(at, error.message);
        refusal.hint = error.hint.map(str::to_owned);
        if error.reason != EXPRESSION_INVALID {
            refusal.reason = error.reason;
        }
        refusal
    }

    /// The same with the limit, where one was met; `text` is the expression.
    pub(crate) fn of_text(at: Position, text: &str, error: CelError) -> Box<Self> {
        let reason = error.reason;
        let refusal = Self::of_expression(at, error);
        match reason {
            EXPRESSION_TOO_LONG => refusal.limit(reason, EXPRESSION_BYTES_MAX, Some(text.len())),
            EXPRESSION_TOO_DEEP => refusal.limit(reason, EXPRESSION_DEPTH_MAX, None),
            _ => refusal,
        }
    }

    /// The same about another document than a fold, or an expression that stands in none.
    pub(crate) fn of(mut self: Box<Self>, reason: &'static str) -> Box<Self> {
        if self.reason == "INVALID_FOLD" {
            self.reason = reason;
        }
        self
    }

    pub(crate) fn hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }

    /// A hint, unless there is one that knows more.
    pub(crate) fn hint_if_none(mut self: Box<Self>, hint: &str) -> Box<Self> {
        self.hint.get_or_insert_with(|| hint.to_owned());
        self
    }

    pub(crate) fn limit(
        mut self: Box<Self>,
        reason: &'static str,
        limit: usize,
        actual: Option<usize>,
    ) -> Box<Self> {
        self.reason = reason;
        self.limit = Some(limit);
        self.actual = actual;
        self
    }

    /// Names the handler, unless an inner caller did.
    pub(crate) fn handler(mut self: Box<Self>, handler: &str) -> Box<Self> {
        self.handler.get_or_insert_with(|| handler.to_owned());
        self
    }

    /// Names the path, unless an inner caller did.
    pub(crate) fn path(mut self: Box<Self>, path: &str) -> Box<Self> {
        self.path.get_or_insert_with(|| path.to_owned());
        self
    }

    /// The error of the catalogue, with the line of the document and a caret.
    pub(crate) fn into_error(self, source: &Source<'_>) -> CoreError {
        let Position { line, column } = self.at;
        let mut message = format!("line {line}, column {column}: {}", self.problem);
        if let Some(hint) = &self.hint {
            message.push_str("; ");
            message.push_str(hint);
        }
        let mut error =
            CoreError::new(self.reason, message).fact("line", line).fact("column", column);
        let facts = [("handler", self.handler), ("path", self.path)];
        for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            error = error.fact(name, shortened(&value));
        }
        for (name, value) in [("limit", self.limit), ("actual", self.actual)] {
            if let Some(value) = value {
                error = error.fact(name, value);
            }
        }
        if !matches!(self.reason, EXPRESSION_TOO_LONG | EXPRESSION_TOO_DEEP) {
            error = error.fact("problem", shortened(&self.problem));
            if let Some(hint) = self.hint {
                error = error.fact("hint", shortened(&hint));
            }
            error = error.fact("excerpt", source.excerpt(self.at));
        }
        error
    }
}

/// The error of the catalogue for an expression that stands in no document.
pub(crate) fn refuse_alone(source: &str, error: CelError) -> CoreError {
    let text = Source::new(source);
    let at = text.inside(Position { line: 1, column: 1 }, source, error.offset);
    Refusal::of_text(at, source, error).of("INVALID_EXPRESSION").into_error(&text)
}

/// Errors travel in headers of limited size: a fact is cut at this many characters.
const FACT_CHARS_MAX: usize = 300;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(FACT_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The text of a document, by lines.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        // YAML ends lines with `\n`, `\r\n` and a lone `\r`.
        let mut lines = Vec::new();
        let mut rest = text;
        while let Some(end) = rest.find(['\n', '\r']) {
            lines.push(&rest[..end]);
            let wide = rest[end..].starts_with("\r\n");
            rest = &rest[end + 1 + usize::from(wide)..];
        }
        lines.push(rest);
        Self { lines }
    }

    pub(crate) fn line(&self, number: usize) -> &'a str {
        number.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or("")
    }

    /// The place of byte `offset` of the expression whose scalar begins at `start`: exact where
    /// the line of the expression stands in the document as it is, else the start.
    pub(crate) fn inside(&self, start: Position, expression: &str, offset: usize) -> Position {
        let mut offset = offset.min(expression.len());
        while !expression.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &expression[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let skipped = before.matches('\n').count();
        let wanted = expression[line_start..].lines().next().unwrap_or("").trim();
        if wanted.is_empty() {
            return start;
        }
        let indent = expression[line_start..].len() - expression[line_start..].trim_start().len();
        let within = before[line_start..].chars().count().saturating_sub(indent);
        // A block begins on the line below its header, a quoted text on its own line.
        for line in start.line + skipped..=start.line + skipped + 1 {
            let text = self.line(line);
            let from = if line == start.line { byte_of(text, start.column) } else { 0 };
            if let Some(found) = text[from..].find(wanted) {
                let column = text[..from + found].chars().count() + within + 1;
                return Position { line, column };
            }
        }
        start
    }

    /// The line of a place, and below it a caret; long lines are cut around the place.
    fn excerpt(&self, at: Position) -> String {
        const BEFORE: usize = 60;
        const AFTER: usize = 40;
        let column = at.column.saturating_sub(1);
        let first = column.saturating_sub(BEFORE);
        let shown: String =
            self.line(at.line).chars().skip(first).take(column - first + AFTER).collect();
        format!("{}\n{}^", shown.replace('\t', " "), " ".repeat(column - first))
    }
}

/// The byte at which the character of a column begins.
fn byte_of(line: &str, column: usize) -> usize {
    line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(byte, _)| byte)
}
