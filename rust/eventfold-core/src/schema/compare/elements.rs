//! What is demanded of arrays.

use std::rc::Rc;

use serde_json::Value;

use super::facts::Facts;
use super::node::{Place, Schema};
use super::rules::{ArrayRule, Reading, element};
use super::types::count;
use super::walk::{Probe, Rules, Step, Walk};
use super::words::Words;

/// Most elements with schemas of their own that are looked at one by one.
const FIRST_MAX: usize = 1_000;

impl<'r> Walk<'_, 'r> {
    pub(super) fn demand_elements(
        &mut self,
        old: &Rc<Place<'r>>,
        facts: &Facts<'r>,
        rules: &Rules<'r>,
        new: &Place<'r>,
        index: usize,
    ) {
        let Some(part) = new.parts.get(index) else { return };
        self.demand_count(old, facts.items, &part.schema, ["minItems", "maxItems"]);
        let unique = part.schema.get("uniqueItems") == Some(&Value::Bool(true));
        if unique && !facts.unique && facts.items.1 > 1 {
            self.find_rule(old, &part.schema, "uniqueItems", vec![Probe::Sized(2)]);
        }
        for rule in ArrayRule::of(new, index, Reading::Demanded) {
            self.demand_rule(old, facts, rules, &rule);
        }
        self.demand_contained(old, facts, &part.schema);
    }

    fn demand_rule(
        &mut self,
        old: &Rc<Place<'r>>,
        facts: &Facts<'r>,
        rules: &Rules<'r>,
        wanted: &ArrayRule<'r>,
    ) {
        let known = rules.arrays.iter().map(|rule| rule.first.len()).max().unwrap_or(0);
        let first = known.max(wanted.first.len());
        if first > FIRST_MAX {
            return self.find(old, wanted.keywords.0, Words::too_large, Vec::new());
        }
        // Those behind the first are all alike.
        for index in 0..=first {
            if (index as u64) >= facts.items.1 || self.is_done() {
                return;
            }
            let Some(schema) = wanted.apply(index) else { continue };
            let place = Rc::new(element(&rules.arrays, index));
            let own = index < wanted.first.len();
            let keyword = if own { wanted.keywords.0 } else { wanted.keywords.1 };
            if self.known.is_empty(&place) {
                continue;
            }
            let new = Place::of([schema]);
            if new.never {
                let message = |words: &Words| words.elements_allowed(index);
                let probe = Probe::Sized((index as u64 + 1).max(facts.items.0));
                self.find(old, keyword, message, vec![probe]);
                return;
            }
            let step = Step::Element(index, index == first);
            self.inside(old, step, |walk| walk.compare(&place, &new, keyword));
        }
    }

    /// Demands that elements of a kind are there.
    fn demand_contained(&mut self, old: &Rc<Place<'r>>, facts: &Facts<'r>, new: &Schema<'r>) {
        let Some(wanted) = new.schema("contains") else { return };
        let (least, most) = contained(new);
        if least == 0 && most.is_none() {
            return;
        }
        let place = Place::of([&wanted]);
        let mut follows = false;
        for part in &old.parts {
            let Some(known) = part.schema.schema("contains") else { continue };
            let counts = contained(&part.schema);
            let kind = Rc::new(Place::of([&known]));
            let implied = counts.0 >= least
                && most.is_none()
                && self.holds(|walk| {
                    walk.inside(old, Step::Element(0, true), |walk| {
                        walk.compare(&kind, &place, "contains");
                    });
                });
            let limits = most.is_none_or(|most| counts.1.is_some_and(|known| known <= most));
            let kept = counts.0 >= least && limits && self.known.same(&known, &wanted);
            follows |= implied || kept;
        }
        if !follows {
            let keyword = ["contains", "minContains", "maxContains"]
                .into_iter()
                .find(|keyword| {
                    let value = new.get(keyword);
                    value.is_some()
                        && old.parts.iter().all(|part| part.schema.get(keyword) != value)
                })
                .unwrap_or("contains");
            let probes = vec![Probe::Any, Probe::Sized(facts.items.0)];
            self.find(old, keyword, |words| words.changed(keyword), probes);
        }
    }
}

/// Least and most elements of the kind that `contains` names.
fn contained(schema: &Schema<'_>) -> (u64, Option<u64>) {
    let least = schema.get("minContains").map_or(1, |least| count(least).unwrap_or(u64::MAX));
    let most = schema.get("maxContains").map(|most| count(most).unwrap_or(u64::MAX));
    (least, most)
}
