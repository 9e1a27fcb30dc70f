//! Whether two schemas say the same, word for word, wherever their references lead.

use std::collections::HashSet;

use serde_json::Value;

use super::super::work;
use super::facts::Known;
use super::keywords::{Holds, holds};
use super::node::Schema;
use super::types::equal;

/// Deepest schemas, one inside another, that are looked at.
const DEPTH_MAX: usize = 64;

/// The pairs of schemas that were looked at on the way, and how deep it went.
#[derive(Default)]
struct Seen {
    pairs: HashSet<(u64, u64)>,
    depth: usize,
}

impl Known {
    /// Whether two schemas say the same of what fits. False means that it is not known.
    pub(super) fn same<'r>(&self, left: &Schema<'r>, right: &Schema<'r>) -> bool {
        let pair = (left.identity(), right.identity());
        let known = self.same.borrow().get(&pair).copied();
        known.unwrap_or_else(|| {
            let same = same_but(left, right, &mut Seen::default());
            self.same.borrow_mut().insert(pair, same);
            same
        })
    }
}

/// As `same`, but for pairs that are looked at already.
fn same_but<'r>(left: &Schema<'r>, right: &Schema<'r>, seen: &mut Seen) -> bool {
    work::steps(1);
    if seen.depth >= DEPTH_MAX {
        return false;
    }
    seen.depth += 1;
    let same = same_within(left, right, seen);
    seen.depth -= 1;
    same
}

fn same_within<'r>(left: &Schema<'r>, right: &Schema<'r>, seen: &mut Seen) -> bool {
    if left.draft != right.draft {
        return false;
    }
    let (Some(first), Some(second)) = (left.value.as_object(), right.value.as_object()) else {
        return equal(left.value, right.value);
    };
    if !seen.pairs.insert((left.identity(), right.identity())) {
        return true;
    }
    work::steps((first.len() + second.len()) as u64);
    let keywords = first.keys().chain(second.keys().filter(|key| !first.contains_key(*key)));
    keywords.into_iter().all(|keyword| match holds(left.draft, keyword) {
        Holds::Nothing | Holds::Annotation => true,
        Holds::Reference => {
            let (one, other) = (left.followed(), right.followed());
            one.len() == other.len()
                && one.iter().zip(&other).all(|targets| match targets {
                    (Some(one), Some(other)) => same_but(one, other, seen),
                    _ => false,
                })
        }
        holds => match (left.get(keyword), right.get(keyword)) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                let formats = keyword != "format" || left.formats == right.formats;
                formats && same_behind(holds, (left, one), (right, other), seen)
            }
            _ => false,
        },
    })
}

/// Whether the same stands behind a keyword.
fn same_behind<'r>(
    holds: Holds,
    (left, one): (&Schema<'r>, &'r Value),
    (right, other): (&Schema<'r>, &'r Value),
    seen: &mut Seen,
) -> bool {
    let mut inner = |one, other| same_but(&left.inner(one), &right.inner(other), seen);
    match (holds, one, other) {
        (Holds::Rule, one, other) => equal(one, other),
        (Holds::List | Holds::SchemaOrList, Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| inner(one, other))
        }
        (Holds::Map | Holds::MapOrNames, Value::Object(one), Value::Object(other)) => {
            work::steps(one.len() as u64);
            one.len() == other.len()
                && one.iter().all(|(name, one)| match (one, other.get(name)) {
                    (Value::Array(_), Some(other)) => equal(one, other),
                    (one, Some(other)) => inner(one, other),
                    (_, None) => false,
                })
        }
        (Holds::List | Holds::Map | Holds::MapOrNames, ..) => false,
        (_, one, other) => inner(one, other),
    }
}
