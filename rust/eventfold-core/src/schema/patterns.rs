//! Patterns of schemas: each compiled once, and all of them bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fancy_regex::Expr;
use jsonschema::{Keyword, ValidationError};
use regex_automata::meta;
use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_syntax::hir::Hir;

use super::instance::Instance;
use super::work;
use crate::json::tree::{Kind, Place};
use crate::limits::{
    PATTERN_BACKTRACKS_MAX, PATTERN_BYTES_MAX, PATTERN_MATCH_BYTES_MAX, PATTERN_SOURCE_BYTES_MAX,
    SCHEMA_PATTERNS_BYTES_MAX,
};

/// A regular expression of ECMA 262.
#[derive(Debug)]
pub(super) enum Pattern {
    /// Matched in time that is linear in the text.
    Linear { regex: meta::Regex, bytes: usize },
    /// With look-around or references back, for which it may have to go back.
    Backtracking(fancy_regex::Regex),
}

/// Why a text is not taken as a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is none, or larger than its bound.
    None,
    /// It has look-around or references back, which names do not.
    NotLinear,
    /// With those before it, it takes more memory than all may.
    All,
}

/// Bytes that going back once may look at: what a step of the budget stands for.
const BACKTRACK_BYTES: usize = 64;

/// Going back so often is one step.
const BACKTRACKS_OF_STEP: usize = 4;

/// About what a part of a backtracking pattern takes that is matched by an engine of its own.
const PART_BYTES: usize = 6 * 1024;

impl Pattern {
    /// Compiles a text, and says how many bytes it takes, if that are at most so many.
    fn new(source: &str, bytes_max: usize) -> Result<(Self, usize), Problem> {
        let translated = translated(source)?;
        let Ok(hir) = regex_syntax::parse(&translated) else {
            let bytes = size_of_parts(&translated).ok_or(Problem::None)?;
            held(bytes, bytes_max)?;
            let regex = fancy_regex::RegexBuilder::new(&translated)
                .backtrack_limit(PATTERN_BACKTRACKS_MAX)
                .delegate_size_limit(PATTERN_BYTES_MAX)
                .delegate_dfa_size_limit(PATTERN_MATCH_BYTES_MAX)
                .build()
                .map_err(|_| Problem::None)?;
            return Ok((Self::Backtracking(regex), bytes));
        };
        let config = meta::Config::new()
            .nfa_size_limit(Some(PATTERN_BYTES_MAX.min(bytes_max)))
            .onepass_size_limit(Some(PATTERN_MATCH_BYTES_MAX))
            .hybrid_cache_capacity(PATTERN_MATCH_BYTES_MAX);
        let regex = meta::Builder::new().configure(config).build_from_hir(&hir);
        let regex = regex.map_err(|_| too_large(bytes_max))?;
        let bytes = regex.memory_usage();
        held(bytes, bytes_max)?;
        Ok((Self::Linear { regex, bytes }, bytes))
    }

    /// Whether a text has a match. Ends the validation as a whole if that takes too long to find:
    /// whatever stands around the pattern would make something of a yes or a no.
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Linear { regex, bytes } => {
                work::matching(text.len(), *bytes);
                regex.is_match(text)
            }
            Self::Backtracking(regex) => {
                // Going back may look at all of the text each time.
                let each = 1 + text.len() / BACKTRACK_BYTES;
                work::steps((PATTERN_BACKTRACKS_MAX * each / BACKTRACKS_OF_STEP) as u64);
                regex.is_match(text).unwrap_or_else(|_| work::pattern_failed())
            }
        }
    }
}

fn translated(source: &str) -> Result<String, Problem> {
    // What it takes to read one is many times its length.
    if source.len() > PATTERN_SOURCE_BYTES_MAX {
        return Err(Problem::None);
    }
    Ok(jsonschema_regex::to_rust_regex(source).map_err(|_| Problem::None)?.into_owned())
}

/// Of a pattern that the crate that validates compiles, about the bytes that it takes then.
fn size_of_name(source: &str, bytes_max: usize) -> Result<usize, Problem> {
    let translated = translated(source)?;
    match regex_syntax::parse(&translated) {
        Ok(hir) => size(&hir, bytes_max),
        Err(_) => match Expr::parse_tree(&translated) {
            Ok(_) => Err(Problem::NotLinear),
            Err(_) => Err(Problem::None),
        },
    }
}

/// Bytes of the automata of an expression, which are most of it: one reads forwards, one backwards.
fn size(hir: &Hir, bytes_max: usize) -> Result<usize, Problem> {
    let mut bytes = 0;
    for reverse in [false, true] {
        let captures = if reverse { WhichCaptures::None } else { WhichCaptures::All };
        let config = Config::new()
            .nfa_size_limit(Some(PATTERN_BYTES_MAX.min(bytes_max)))
            .which_captures(captures)
            .reverse(reverse);
        let nfa = Compiler::new().configure(config).build_from_hir(hir);
        bytes += nfa.map_err(|_| too_large(bytes_max))?.memory_usage();
    }
    held(bytes, bytes_max)?;
    Ok(bytes)
}

fn too_large(bytes_max: usize) -> Problem {
    if bytes_max < PATTERN_BYTES_MAX { Problem::All } else { Problem::None }
}

fn held(bytes: usize, bytes_max: usize) -> Result<(), Problem> {
    if bytes <= bytes_max { Ok(()) } else { Err(Problem::All) }
}

/// About the bytes that a backtracking pattern takes, more rather than less; `None` if it is none,
/// or larger than its bound.
fn size_of_parts(translated: &str) -> Option<usize> {
    let tree = Expr::parse_tree(translated).ok()?;
    let mut parts = 0;
    let bytes = size_of_part(&tree.expr, &mut HashMap::new(), &mut parts)?;
    let bytes = bytes.saturating_add(parts * PART_BYTES);
    (bytes <= PATTERN_BYTES_MAX).then_some(bytes)
}

/// Without what each part takes alone, which are counted.
fn size_of_part<'a>(
    part: &'a Expr,
    known: &mut HashMap<&'a str, usize>,
    parts: &mut usize,
) -> Option<usize> {
    const NODE_BYTES: usize = 64;
    if let Expr::Delegate { inner, .. } = part {
        *parts += 1;
        if let Some(bytes) = known.get(inner.as_str()) {
            return Some(*bytes);
        }
        let bytes = size(&regex_syntax::parse(inner).ok()?, PATTERN_BYTES_MAX).ok()?;
        known.insert(inner, bytes);
        return Some(bytes);
    }
    let mut bytes = match part {
        Expr::Literal { val, .. } => NODE_BYTES * (1 + val.len()),
        Expr::Any { .. } | Expr::GeneralNewline { .. } | Expr::Assertion(_) => {
            *parts += 1;
            NODE_BYTES * 16
        }
        _ => NODE_BYTES,
    };
    for inner in part.children_iter() {
        bytes = bytes.saturating_add(size_of_part(inner, known, parts)?);
    }
    if let Expr::Repeat { lo, hi, .. } = part {
        let times = if *hi == usize::MAX { 1 + *lo } else { *hi };
        bytes = bytes.saturating_mul(times.max(1));
    }
    Some(bytes)
}

/// The patterns of one schema, by their source.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    values: HashMap<String, Arc<Pattern>>,
    names: HashMap<String, usize>,
    /// Of all of them.
    bytes: usize,
}

impl Patterns {
    /// The pattern of values.
    pub(super) fn value(&self, source: &str) -> Result<Arc<Pattern>, Problem> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pattern) = known.values.get(source) {
            return Ok(Arc::clone(pattern));
        }
        let (pattern, bytes) = Pattern::new(source, SCHEMA_PATTERNS_BYTES_MAX - known.bytes)?;
        known.bytes += bytes;
        let pattern = Arc::new(pattern);
        known.values.insert(source.to_owned(), Arc::clone(&pattern));
        Ok(pattern)
    }

    /// Makes sure that a text is a pattern of names, and says how many bytes it takes. It is the
    /// crate that validates that compiles it, once.
    pub(super) fn name(&self, source: &str) -> Result<usize, Problem> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = known.names.get(source) {
            return Ok(*bytes);
        }
        let bytes = size_of_name(source, SCHEMA_PATTERNS_BYTES_MAX - known.bytes)?;
        known.bytes += bytes;
        known.names.insert(source.to_owned(), bytes);
        Ok(bytes)
    }

    /// How many different ones there are, of values and of names.
    pub(super) fn len(&self) -> usize {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let both = known.names.keys().filter(|source| known.values.contains_key(*source)).count();
        known.values.len() + known.names.len() - both
    }
}

/// The keyword `pattern`, and what it says.
pub(super) struct Matches {
    pub(super) pattern: Arc<Pattern>,
    pub(super) words: String,
}

impl<'i> Keyword<'i, Instance> for Matches {
    fn validate(&self, instance: Place<'i>) -> Result<(), ValidationError<'i>> {
        match Keyword::<Instance>::is_valid(self, instance) {
            true => Ok(()),
            false => Err(ValidationError::custom(self.words.as_str())),
        }
    }

    fn is_valid(&self, instance: Place<'i>) -> bool {
        if instance.kind() != Kind::String {
            work::steps(1);
            return true;
        }
        work::bytes(instance.spelling().len());
        self.pattern.matches(&instance.string())
    }
}
