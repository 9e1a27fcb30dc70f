//! What says nothing of what fits: descriptions, defaults, and whatever the draft does not know.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use crate::limits::{SCHEMA_DIFFERENCES_MAX, VIOLATION_POINTER_BYTES_MAX};

use super::super::document::join;
use super::super::work;
use super::keywords::{Holds, holds};
use super::node::Schema;
use super::scalars::checked_format;
use super::types::weight;
use super::{Change, Difference};

/// Most schemas that are looked at, and deepest ones, one inside another.
const SCHEMAS_MAX: usize = 10_000;
const DEPTH_MAX: usize = 64;

/// Gathers the differences of annotations.
pub(super) struct Annotations<'d> {
    pub(super) differences: &'d mut Vec<Difference>,
    noted: usize,
    seen: HashSet<(u64, u64)>,
    depth: usize,
}

impl<'d> Annotations<'d> {
    pub(super) fn new(differences: &'d mut Vec<Difference>) -> Self {
        Self { differences, noted: 0, seen: HashSet::new(), depth: 0 }
    }

    /// Compares the annotations of two schemas that describe the same place, and of those inside.
    pub(super) fn compare<'r>(&mut self, old: &Schema<'r>, new: &Schema<'r>, pointer: &str) {
        let (Some(first), Some(second)) = (old.value.as_object(), new.value.as_object()) else {
            return;
        };
        let crowded = self.seen.len() >= SCHEMAS_MAX || self.depth >= DEPTH_MAX;
        if crowded || !self.seen.insert((old.identity(), new.identity())) {
            return;
        }
        self.depth += 1;
        self.compare_keywords((old, first), (new, second), pointer);
        for pair in old.followed().iter().zip(&new.followed()) {
            if let (Some(old), Some(new)) = pair {
                self.compare(old, new, pointer);
            }
        }
        self.depth -= 1;
    }

    fn compare_keywords<'r>(
        &mut self,
        (old, first): (&Schema<'r>, &'r Map<String, Value>),
        (new, second): (&Schema<'r>, &'r Map<String, Value>),
        pointer: &str,
    ) {
        work::steps((first.len() + second.len()) as u64);
        let keywords: BTreeSet<&str> =
            first.keys().chain(second.keys()).map(String::as_str).collect();
        for keyword in keywords {
            let (known, now) = (first.get(keyword), second.get(keyword));
            let draft = if now.is_some() { new.draft } else { old.draft };
            match holds(draft, keyword) {
                Holds::Annotation => self.note(keyword, known, now, pointer),
                Holds::Rule if keyword == "format" => {
                    let checked = checked_format(old).or_else(|| checked_format(new));
                    if checked.is_none() {
                        self.note(keyword, known, now, pointer);
                    }
                }
                Holds::Nothing if matches!(keyword, "$id" | "$schema") => {
                    self.note(keyword, known, now, pointer);
                }
                holds => self.inside(holds, keyword, old, new, pointer),
            }
        }
    }

    fn note(&mut self, keyword: &str, old: Option<&Value>, new: Option<&Value>, pointer: &str) {
        if self.noted >= SCHEMA_DIFFERENCES_MAX {
            return;
        }
        work::steps([old, new].into_iter().flatten().map(weight).fold(1, u64::saturating_add));
        let what = match (old, new) {
            (None, Some(_)) => "is new",
            (Some(_), None) => "is gone",
            (old, new) if old != new => "is another",
            _ => return,
        };
        self.noted += 1;
        self.differences.push(Difference {
            pointer: pointer.to_owned(),
            keyword: keyword.to_owned(),
            change: Change::Annotation,
            message: format!("`{keyword}` {what}"),
        });
    }

    fn inside<'r>(
        &mut self,
        holds: Holds,
        keyword: &str,
        old: &Schema<'r>,
        new: &Schema<'r>,
        pointer: &str,
    ) {
        let (Some(one), Some(other)) = (old.get(keyword), new.get(keyword)) else { return };
        let is_list = one.is_array() && other.is_array();
        match holds {
            Holds::List | Holds::SchemaOrList if is_list => {
                let pairs = old.list(keyword).into_iter().zip(new.list(keyword));
                for (index, (old, new)) in pairs.enumerate() {
                    let pointer = match keyword {
                        "prefixItems" | "items" => longer(pointer, &index.to_string()),
                        _ => pointer.to_owned(),
                    };
                    self.compare(&old, &new, &pointer);
                }
            }
            Holds::Map | Holds::MapOrNames => {
                for (name, value) in old.members(keyword) {
                    let Some(other) = other.get(name) else { continue };
                    let pointer = match keyword {
                        "properties" => longer(pointer, name),
                        "patternProperties" => longer(pointer, "*"),
                        _ => pointer.to_owned(),
                    };
                    self.compare(&old.inner(value), &new.inner(other), &pointer);
                }
            }
            Holds::Schema | Holds::SchemaOrList => {
                let pointer = match keyword {
                    "not" | "if" | "then" | "else" | "propertyNames" => pointer.to_owned(),
                    _ => longer(pointer, "*"),
                };
                self.compare(&old.inner(one), &new.inner(other), &pointer);
            }
            _ => {}
        }
    }
}

/// A pointer with one more token, unless that makes it too long: then it leads to what is around.
fn longer(pointer: &str, token: &str) -> String {
    let bytes = pointer.len() + 1 + token.len();
    if bytes > VIOLATION_POINTER_BYTES_MAX { pointer.to_owned() } else { join(pointer, token) }
}
