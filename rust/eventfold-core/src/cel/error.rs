//! What goes wrong with expressions: at compile time and at evaluation.

use std::fmt;

use super::ast::Span;

/// The expression is not valid.
pub const EXPRESSION_INVALID: &str = "EXPRESSION_INVALID";
/// The expression is longer than `EXPRESSION_BYTES_MAX`.
pub const EXPRESSION_TOO_LONG: &str = "EXPRESSION_TOO_LONG";
/// The expression nests deeper than `EXPRESSION_DEPTH_MAX`.
pub const EXPRESSION_TOO_DEEP: &str = "EXPRESSION_TOO_DEEP";
/// The expression has no value for this input.
pub const EVALUATION_FAILED: &str = "EVALUATION_FAILED";
/// A number left the range that is computed with exactly.
pub const NUMBER_RANGE: &str = "NUMBER_RANGE";
/// A value has no JSON form.
pub const STATE_NOT_JSON: &str = "STATE_NOT_JSON";
/// The evaluation took more steps, or built more, than allowed; or it was cancelled.
pub const EVALUATION_LIMIT: &str = "EVALUATION_LIMIT";

/// Why an expression is refused before it is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CelError {
    /// Byte offset in the source at which the trouble begins.
    pub offset: usize,
    /// Byte offset at which it ends; one after `offset` where only a place is known.
    pub end: usize,
    /// One sentence for people.
    pub message: String,
    /// `EXPRESSION_INVALID`, `EXPRESSION_TOO_LONG` or `EXPRESSION_TOO_DEEP`.
    pub reason: &'static str,
    /// What to write instead, where that is known.
    pub hint: Option<&'static str>,
}

impl CelError {
    pub(crate) fn invalid(offset: usize, message: impl Into<String>) -> Box<Self> {
        let message = message.into();
        let reason = EXPRESSION_INVALID;
        Box::new(Self { offset, end: offset + 1, message, reason, hint: None })
    }

    /// An error about a part of the source.
    pub(crate) fn within(span: Span, message: impl Into<String>) -> Box<Self> {
        let mut error = Self::invalid(span.start as usize, message);
        error.end = span.end as usize;
        error
    }

    /// The same error with what to write instead.
    pub(crate) fn hint(mut self: Box<Self>, hint: &'static str) -> Box<Self> {
        self.hint = Some(hint);
        self
    }

    /// The message, and the hint behind it.
    fn advice(&self) -> String {
        let hint = self.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}{hint}", self.message)
    }

    /// The message with line, column (in characters, both from 1) and the source line with
    /// carets under the place.
    pub fn show(&self, source: &str) -> String {
        let mut offset = self.offset.min(source.len());
        while !source.is_char_boundary(offset) {
            offset -= 1;
        }
        let start = source[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = source[offset..].find('\n').map_or(source.len(), |length| offset + length);
        let line = source[..start].matches('\n').count() + 1;
        let column = source[start..offset].chars().count();
        let marked = source.get(offset..self.end.min(end)).map_or(1, |part| part.chars().count());
        format!(
            "{} at line {line}, column {}\n{}\n{}{}",
            self.advice(),
            column + 1,
            source[start..end].trim_end_matches('\r'),
            " ".repeat(column),
            "^".repeat(marked.max(1))
        )
    }
}

impl fmt::Display for CelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} (at byte {})", self.reason, self.advice(), self.offset)
    }
}

impl std::error::Error for CelError {}

/// Why an evaluation has no value. Messages never contain values, only types, names of
/// functions, and field names as the expression writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError {
    /// `EVALUATION_FAILED`, `NUMBER_RANGE`, `STATE_NOT_JSON` or `EVALUATION_LIMIT`.
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
    /// Byte offset in the source of the part that failed, where known.
    pub offset: Option<usize>,
    /// The limit that was met, with `EVALUATION_LIMIT`: of steps, levels or bytes.
    pub limit: Option<u64>,
}

impl EvalError {
    /// An error without an offset.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), offset: None, limit: None }
    }

    /// An `EVALUATION_LIMIT` without an offset.
    pub fn limit(message: impl Into<String>, limit: u64) -> Self {
        Self { limit: Some(limit), ..Self::new(EVALUATION_LIMIT, message) }
    }

    /// An `EVALUATION_FAILED` without an offset.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(EVALUATION_FAILED, message)
    }

    /// The same error at an offset, unless it has one.
    #[must_use]
    pub fn at(mut self, offset: usize) -> Self {
        self.offset.get_or_insert(offset);
        self
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for EvalError {}

/// A result inside the parser and the compiler: the error is boxed to keep frames small.
pub(crate) type Parsed<T> = Result<T, Box<CelError>>;

/// A result inside the evaluator: the error is boxed, so that results stay as small as values.
pub(crate) type Eval<T> = Result<T, Box<EvalError>>;
