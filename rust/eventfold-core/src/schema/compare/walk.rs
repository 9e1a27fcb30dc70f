//! The walk through two schemas: what one demands that does not follow from the other.
//!
//! Nothing is found where every value that fits the first schema is certain to fit the second.
//! Both are taken apart in the same way: the old schema is what is known of the values at a place,
//! and each keyword of the new one is a demand that either follows from it or is a finding.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use crate::limits::{SCHEMA_DIFFERENCES_MAX, VIOLATION_POINTER_BYTES_MAX};

use super::super::document::escaped;
use super::super::work;
use super::facts::{Facts, Known};
use super::node::{Identity, Part, Place};
use super::rules::{ArrayRule, ObjectRule, Reading};
use super::types::{Types, copied};
use super::words::Words;

/// Most places, one inside another, that are looked into.
const DEPTH_MAX: usize = 64;
/// Steps of making a finding, and of telling it from others.
const FINDING_STEPS: u64 = 32;

/// A step from a place to one inside of it.
#[derive(Debug, Clone)]
pub(super) enum Step<'r> {
    /// To the property of that name.
    Property(&'r str),
    /// To any other property, whose name matches these patterns and no others of these.
    Other { matched: Vec<&'r str>, others: Rc<Vec<&'r str>> },
    /// To the element at an index; `true`: and to all behind it.
    Element(usize, bool),
}

/// A value of the old schema that the new one may refuse, at the place of a finding.
#[derive(Debug, Clone)]
pub(super) enum Probe<'r> {
    /// Any that fits.
    Any,
    /// One of these types.
    Typed(Types),
    /// This one.
    Value(Value),
    /// A text of that many characters.
    Text(usize),
    /// An object without that property.
    Without(&'r str),
    /// An object of that many properties, or a list of that many elements.
    Sized(u64),
}

/// A demand that does not follow.
#[derive(Debug, Clone)]
pub(super) struct Finding<'r> {
    /// The places on the way from the root, each with the step that leads on.
    pub(super) path: Vec<(Rc<Place<'r>>, Step<'r>)>,
    /// What is known at the place.
    pub(super) place: Rc<Place<'r>>,
    pub(super) keyword: &'static str,
    pub(super) message: String,
    /// The likeliest first; none: no value is to decide it.
    pub(super) probes: Vec<Probe<'r>>,
}

pub(super) struct Walk<'k, 'r> {
    pub(super) known: &'k Known,
    pub(super) words: Words,
    pub(super) findings: Vec<Finding<'r>>,
    /// Whether something was found; all that is noted of it while `quiet` is not 0.
    failed: bool,
    quiet: usize,
    depth: usize,
    path: Vec<(Rc<Place<'r>>, Step<'r>)>,
    /// The pairs that are looked at, and how far from the root that began.
    open: HashMap<[Identity<'r>; 2], usize>,
}

impl<'k, 'r> Walk<'k, 'r> {
    pub(super) fn new(known: &'k Known, words: Words) -> Self {
        Self {
            known,
            words,
            findings: Vec::new(),
            failed: false,
            quiet: 0,
            depth: 0,
            path: Vec::new(),
            open: HashMap::new(),
        }
    }

    /// Notes a demand that does not follow from what is known at a place.
    pub(super) fn find(
        &mut self,
        place: &Rc<Place<'r>>,
        keyword: &'static str,
        message: impl FnOnce(&Words) -> String,
        mut probes: Vec<Probe<'r>>,
    ) {
        self.failed = true;
        if self.quiet > 0 || self.findings.len() >= SCHEMA_DIFFERENCES_MAX {
            return;
        }
        work::steps(FINDING_STEPS);
        let message = message(&self.words);
        if !probes.is_empty() {
            probes.push(Probe::Any);
        }
        let (path, place) = (self.path.clone(), Rc::clone(place));
        self.findings.push(Finding { path, place, keyword, message, probes });
    }

    /// Whether there is nothing more to learn.
    pub(super) fn is_done(&self) -> bool {
        self.failed && (self.quiet > 0 || self.findings.len() >= SCHEMA_DIFFERENCES_MAX)
    }

    /// Goes a step further with `work`.
    pub(super) fn inside(
        &mut self,
        place: &Rc<Place<'r>>,
        step: Step<'r>,
        work: impl FnOnce(&mut Self),
    ) {
        self.path.push((Rc::clone(place), step));
        work(self);
        self.path.pop();
    }

    /// Whether it is certain that all values of one place fit another; notes nothing.
    pub(super) fn implies(&mut self, old: &Rc<Place<'r>>, new: &Place<'r>) -> bool {
        self.holds(|walk| walk.compare(old, new, ""))
    }

    /// Whether `work` finds nothing; notes nothing.
    pub(super) fn holds(&mut self, work: impl FnOnce(&mut Self)) -> bool {
        let failed = std::mem::take(&mut self.failed);
        self.quiet += 1;
        work(self);
        self.quiet -= 1;
        !std::mem::replace(&mut self.failed, failed)
    }

    /// Finds what is demanded at the new place and does not follow from the old one. `keyword` is
    /// the one that leads to the new place.
    pub(super) fn compare(&mut self, old: &Rc<Place<'r>>, new: &Place<'r>, keyword: &'static str) {
        if self.is_done() || new.is_anything() {
            return;
        }
        if self.depth >= DEPTH_MAX || !self.known.step() {
            return self.find(old, keyword, Words::too_large, Vec::new());
        }
        let pair = [old.identity(), new.identity()];
        match self.open.get(&pair) {
            // What is inside of a value is smaller: there, it holds if it holds here.
            Some(level) if *level < self.path.len() => return,
            Some(_) => return self.find(old, keyword, Words::too_large, Vec::new()),
            None => {}
        }
        self.open.insert(pair.clone(), self.path.len());
        self.depth += 1;
        self.compare_alternatives(old, new, keyword);
        self.depth -= 1;
        self.open.remove(&pair);
    }

    /// What does not follow from the old place as a whole may follow from each of its
    /// alternatives.
    fn compare_alternatives(
        &mut self,
        old: &Rc<Place<'r>>,
        new: &Place<'r>,
        keyword: &'static str,
    ) {
        let first = self.findings.len();
        let failed = std::mem::take(&mut self.failed);
        self.demand(old, new, keyword);
        if self.failed
            && self.known.step()
            && self.depth < DEPTH_MAX
            && let Some(alternatives) = self.known.alternatives(old)
        {
            self.failed = false;
            self.findings.truncate(first);
            self.depth += 1;
            for alternative in alternatives {
                if !self.known.is_empty(&alternative) && !self.is_done() {
                    self.compare_alternatives(&Rc::new(alternative), new, keyword);
                }
            }
            self.depth -= 1;
            self.forget_repeated(first);
        }
        self.failed |= failed;
    }

    fn forget_repeated(&mut self, first: usize) {
        work::steps(FINDING_STEPS * (self.findings.len() - first) as u64);
        let mut seen = std::collections::HashSet::new();
        let kept = self.findings.split_off(first).into_iter().filter(|finding| {
            seen.insert((finding.pointer(), finding.keyword, finding.message.clone()))
        });
        self.findings.extend(kept.collect::<Vec<_>>());
    }

    /// Goes through all that the new place demands.
    fn demand(&mut self, old: &Rc<Place<'r>>, new: &Place<'r>, keyword: &'static str) {
        let mut facts = self.known.facts(old);
        if facts.types.is_empty() {
            return;
        }
        if new.never {
            return self.find(old, keyword, Words::nothing_allowed, vec![Probe::Any]);
        }
        if new.unknown {
            self.find(old, "$ref", Words::too_large, Vec::new());
        }
        let old = &self.demand_types(old, new, &mut facts);
        if facts.types.is_empty() || self.demand_values(old, new, &facts) {
            return;
        }
        let rules = Rules {
            objects: ObjectRule::all(old, Reading::Known),
            arrays: ArrayRule::all(old, Reading::Known),
        };
        for (index, part) in new.parts.iter().enumerate() {
            if self.is_done() {
                return;
            }
            if old.parts.iter().any(|known| self.known.same(&known.schema, &part.schema)) {
                continue;
            }
            let facts = &facts;
            self.demand_scalars(old, facts, &part.schema);
            if facts.types.meets(Types::ARRAY) {
                self.demand_elements(old, facts, &rules, new, index);
            }
            if facts.types.meets(Types::OBJECT) {
                self.demand_properties(old, facts, &rules, new, index);
            }
            self.demand_logic(old, facts, part);
        }
    }

    /// Demands the types; returns the old place without those that are refused.
    fn demand_types(
        &mut self,
        old: &Rc<Place<'r>>,
        new: &Place<'r>,
        facts: &mut Rc<Facts<'r>>,
    ) -> Rc<Place<'r>> {
        let types = |part: &Part<'r>| part.schema.get("type").map(Types::of_keyword);
        let wanted = new.parts.iter().filter_map(types);
        let wanted = wanted.fold(Types::ALL, |all, types| all & types);
        let refused = facts.types.without(wanted);
        if refused.is_empty() {
            return Rc::clone(old);
        }
        let probes = refused.each().into_iter().map(Probe::Typed).collect();
        self.find(old, "type", |words| words.types(refused), probes);
        let rest = Rc::new(old.only(wanted));
        *facts = self.known.facts(&rest);
        rest
    }

    /// Demands all at once of the values, if there is a list of them.
    fn demand_values(&mut self, old: &Rc<Place<'r>>, new: &Place<'r>, facts: &Facts<'r>) -> bool {
        let Some(values) = &facts.values else { return false };
        let mut broken: Vec<(&'static str, Vec<&'r Value>)> = Vec::new();
        let mut unsure = false;
        for value in values {
            match self.known.fits(new, value) {
                Some(true) => {}
                Some(false) => {
                    let keyword = self.known.broken(new, value).unwrap_or("enum");
                    match broken.iter_mut().find(|(known, _)| *known == keyword) {
                        Some((_, values)) => values.push(value),
                        None => broken.push((keyword, vec![value])),
                    }
                }
                None => unsure = true,
            }
        }
        for (keyword, values) in broken {
            let probes = values.iter().take(3).map(|value| Probe::Value(copied(value)));
            let probes = probes.collect();
            self.find(old, keyword, |words| words.values(&values), probes);
        }
        // What could not be told of single values is found by the demands themselves.
        !unsure
    }
}

/// What the old place says of properties and elements.
pub(super) struct Rules<'r> {
    pub(super) objects: Vec<ObjectRule<'r>>,
    pub(super) arrays: Vec<ArrayRule<'r>>,
}

impl Finding<'_> {
    /// Where it is, as a JSON Pointer with `*`; what is around it where that would be too long.
    pub(super) fn pointer(&self) -> String {
        let mut pointer = String::new();
        for (_, step) in &self.path {
            let token = match step {
                Step::Property(name) if name.len() > VIOLATION_POINTER_BYTES_MAX => break,
                Step::Property(name) => escaped(name),
                Step::Element(index, false) => index.to_string(),
                Step::Other { .. } | Step::Element(_, true) => "*".to_owned(),
            };
            if pointer.len() + 1 + token.len() > VIOLATION_POINTER_BYTES_MAX {
                break;
            }
            pointer.push('/');
            pointer.push_str(&token);
        }
        pointer
    }
}
