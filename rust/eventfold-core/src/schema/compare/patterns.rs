//! Regular expressions of schemas: what they match, and texts that they match.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::limits::PATTERN_BYTES_MAX;

use super::super::work;

/// Steps of reading a byte of a pattern, and of compiling a range of characters.
const PATTERN_BYTE_STEPS: u64 = 16;
const RANGE_STEPS: u64 = 16;
/// Longest text that is made for a pattern, in bytes.
const SAMPLE_BYTES_MAX: usize = 4 * 1024;

/// Patterns that were compiled, by their text; `None` for those that this engine does not know,
/// such as those that look ahead.
#[derive(Debug, Default)]
pub(super) struct Patterns(HashMap<String, Option<Regex>>);

impl Patterns {
    /// Whether a pattern matches somewhere in a text; `None` if that cannot be told.
    pub(super) fn matches(&mut self, pattern: &str, text: &str) -> Option<bool> {
        if is_trivial(pattern) {
            return Some(true);
        }
        if !self.0.contains_key(pattern) {
            self.0.insert(pattern.to_owned(), compile(pattern));
        }
        work::bytes(pattern.len());
        let compiled = self.0.get(pattern)?.as_ref()?;
        work::steps(1 + text.len() as u64);
        Some(compiled.is_match(text))
    }
}

fn compile(pattern: &str) -> Option<Regex> {
    let translated = jsonschema_regex::to_rust_regex(pattern).ok()?;
    work::steps(weight(&parsed(&translated)?));
    RegexBuilder::new(&translated).size_limit(PATTERN_BYTES_MAX).build().ok()
}

/// Whether every text matches.
pub(super) fn is_trivial(pattern: &str) -> bool {
    matches!(pattern, "" | "^" | "$" | ".*" | "^.*" | ".*$")
}

/// A short text that a pattern most likely matches.
pub(super) fn sample(pattern: &str) -> Option<String> {
    let translated = jsonschema_regex::to_rust_regex(pattern).ok()?;
    let mut text = String::new();
    append(&parsed(&translated)?, &mut text)?;
    Some(text)
}

fn parsed(pattern: &str) -> Option<Hir> {
    work::steps(PATTERN_BYTE_STEPS.saturating_mul(1 + pattern.len() as u64));
    regex_syntax::parse(pattern).ok()
}

/// Steps of compiling a pattern, which repeats what is repeated.
fn weight(hir: &Hir) -> u64 {
    let all = |parts: &[Hir]| parts.iter().map(weight).fold(1, u64::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() as u64 * RANGE_STEPS,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            weight(&repetition.sub).saturating_mul(u64::from(times))
        }
        HirKind::Capture(capture) => weight(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => all(parts),
    }
}

fn append(hir: &Hir, text: &mut String) -> Option<()> {
    work::steps(1);
    if text.len() > SAMPLE_BYTES_MAX {
        return None;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(Class::Unicode(class)) => {
            let holds = |wanted: &char| {
                class.iter().any(|range| (range.start()..=range.end()).contains(wanted))
            };
            let plain = ['a', 'A', '1', ' '].into_iter().find(|wanted| holds(wanted));
            text.push(plain.or_else(|| class.iter().next().map(|range| range.start()))?);
        }
        HirKind::Class(Class::Bytes(class)) => {
            text.push(char::from(class.iter().next()?.start()));
        }
        HirKind::Repetition(repetition) => {
            for _ in 0..repetition.min {
                append(&repetition.sub, text)?;
            }
        }
        HirKind::Capture(capture) => append(&capture.sub, text)?,
        HirKind::Concat(parts) => {
            for part in parts {
                append(part, text)?;
            }
        }
        HirKind::Alternation(choices) => append(choices.first()?, text)?,
    }
    Some(())
}
