//! What is demanded of objects.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use super::super::work;
use super::facts::Facts;
use super::node::{Place, Schema};
use super::patterns::is_trivial;
use super::rules::{ObjectRule, Reading, other_properties, property};
use super::types::Types;
use super::walk::{Probe, Rules, Step, Walk};
use super::words::Words;

/// Most patterns of which all combinations are looked at.
const PATTERNS_MAX: usize = 6;

impl<'r> Walk<'_, 'r> {
    pub(super) fn demand_properties(
        &mut self,
        old: &Rc<Place<'r>>,
        facts: &Facts<'r>,
        rules: &Rules<'r>,
        new: &Place<'r>,
        index: usize,
    ) {
        let Some(part) = new.parts.get(index) else { return };
        let required = part.schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            work::bytes(name.len());
            if !facts.required.contains(name) {
                let finding = |walk: &mut Self| walk.find_missing(old, name, "required", None);
                self.inside_object(old, name, finding);
            }
        }
        let most = facts.properties.1.min(named_only(rules));
        let counts = (facts.properties.0, most);
        self.demand_count(old, counts, &part.schema, ["minProperties", "maxProperties"]);
        if most == 0 {
            return;
        }
        for rule in ObjectRule::of(new, index, Reading::Demanded) {
            self.demand_named(old, rules, &rule);
            self.demand_others(old, rules, &rule);
        }
        self.demand_names(old, rules, &part.schema);
        self.demand_dependent(old, facts, rules, &part.schema);
    }

    /// Notes findings that are about a property at the property, though they are the object's.
    fn inside_object(&mut self, old: &Rc<Place<'r>>, name: &'r str, work: impl FnOnce(&mut Self)) {
        self.inside(old, Step::Property(name), work);
    }

    /// Notes that a property must be there; `with`: where there is another.
    fn find_missing(
        &mut self,
        old: &Rc<Place<'r>>,
        name: &'r str,
        keyword: &'static str,
        with: Option<&'r str>,
    ) {
        let probes = vec![Probe::Without(name)];
        match with {
            None => self.find(old, keyword, |words| words.required(), probes),
            Some(with) => self.find(old, keyword, |words| words.required_with(with), probes),
        }
    }

    /// Demands what a rule says of the properties that one of the sides names.
    fn demand_named(&mut self, old: &Rc<Place<'r>>, rules: &Rules<'r>, wanted: &ObjectRule<'r>) {
        let known = rules.objects.iter().flat_map(ObjectRule::names);
        let names: BTreeSet<&'r str> = known.chain(wanted.names()).collect();
        for name in names {
            if self.is_done() {
                return;
            }
            let applied = wanted.apply(self.known, name, Reading::Demanded);
            let new = Place::of(&applied.schemas);
            if new.is_anything() {
                continue;
            }
            let (place, named) = property(self.known, &rules.objects, name);
            if self.known.is_empty(&place) {
                continue;
            }
            let place = Rc::new(place);
            self.inside(old, Step::Property(name), |walk| {
                if new.never {
                    let probes = vec![Probe::Any];
                    walk.find(&place, wanted.keyword, |words| words.property_allowed(), probes);
                } else if !named && place.is_anything() {
                    // It was never described: what events hold there is not said by any schema,
                    // so that only the events can tell.
                    walk.find(&place, "properties", |words| words.property_named(), Vec::new());
                } else {
                    walk.compare(&place, &new, "properties");
                }
            });
        }
    }

    /// Demands what a rule says of the properties that no side names.
    fn demand_others(&mut self, old: &Rc<Place<'r>>, rules: &Rules<'r>, wanted: &ObjectRule<'r>) {
        let known = rules.objects.iter().flat_map(ObjectRule::patterns);
        let patterns: BTreeSet<&'r str> = known.chain(wanted.patterns()).collect();
        if patterns.len() > PATTERNS_MAX {
            let keyword = "patternProperties";
            return self.find(old, keyword, Words::too_large, Vec::new());
        }
        let patterns: Vec<_> = patterns.into_iter().collect();
        for choice in 0..1_u32 << patterns.len() {
            let chosen = |index: usize| choice & (1 << index) != 0;
            let (mut matched, mut others) = (Vec::new(), Vec::new());
            for (index, pattern) in patterns.iter().enumerate() {
                if chosen(index) { matched.push(*pattern) } else { others.push(*pattern) }
            }
            if others.iter().any(|pattern| is_trivial(pattern)) || self.is_done() {
                continue;
            }
            let applied = wanted.apply_others(&matched);
            let new = Place::of(&applied.schemas);
            let (place, _) = other_properties(&rules.objects, &matched);
            if new.is_anything() || self.known.is_empty(&place) {
                continue;
            }
            let place = Rc::new(place);
            let keyword = if applied.named { "patternProperties" } else { wanted.keyword };
            let step = Step::Other { matched, others: Rc::new(others) };
            self.inside(old, step, |walk| match new.never {
                true => {
                    let probes = vec![Probe::Any];
                    walk.find(&place, keyword, |words| words.others_allowed(), probes);
                }
                false => walk.compare(&place, &new, keyword),
            });
        }
    }

    fn demand_names(&mut self, old: &Rc<Place<'r>>, rules: &Rules<'r>, new: &Schema<'r>) {
        let Some(wanted) = new.schema("propertyNames") else { return };
        let wanted = Place::of([&wanted]);
        let known = old.parts.iter().filter_map(|part| part.schema.schema("propertyNames"));
        let known = Place::of(&known.collect::<Vec<_>>()).only(Types::STRING);
        let closed = rules.objects.iter().filter(|rule| is_closed(rule));
        let named = closed.into_iter().any(|rule| {
            rule.names()
                .all(|name| self.known.fits(&wanted, &Value::String(name.to_owned())) == Some(true))
        });
        if !named && !self.implies(&Rc::new(known), &wanted) {
            let keyword = "propertyNames";
            self.find(old, keyword, |words| words.changed(keyword), vec![Probe::Sized(3)]);
        }
    }

    /// Demands what must hold where a property is there.
    fn demand_dependent(
        &mut self,
        old: &Rc<Place<'r>>,
        facts: &Facts<'r>,
        rules: &Rules<'r>,
        new: &Schema<'r>,
    ) {
        for keyword in ["dependentRequired", "dependentSchemas", "dependencies"] {
            for (name, wanted) in new.members(keyword) {
                if self.known.is_empty(&property(self.known, &rules.objects, name).0) {
                    continue;
                }
                let known = Rc::new(where_present(old, name));
                match wanted.as_array() {
                    Some(others) => {
                        let facts = self.known.facts(&known);
                        for other in others.iter().filter_map(Value::as_str) {
                            work::bytes(other.len());
                            if !facts.required.contains(other) {
                                self.inside_object(&known, other, |walk| {
                                    walk.find_missing(&known, other, keyword, Some(name));
                                });
                            }
                        }
                    }
                    None if facts.types.meets(Types::OBJECT) => {
                        let known = Rc::new(known.only(Types::OBJECT));
                        self.compare(&known, &Place::of([&new.inner(wanted)]), keyword);
                    }
                    None => {}
                }
            }
        }
    }
}

/// What is known at a place of the objects that have a property.
fn where_present<'r>(place: &Place<'r>, name: &'r str) -> Place<'r> {
    let mut present = place.having(name);
    for part in &place.parts {
        for keyword in ["dependentRequired", "dependentSchemas", "dependencies"] {
            for (_, then) in part.schema.members(keyword).filter(|(known, _)| *known == name) {
                match then.as_array() {
                    Some(names) => {
                        names.iter().filter_map(Value::as_str).for_each(|name| present.has(name));
                    }
                    None => present.add(&part.schema.inner(then)),
                }
            }
        }
    }
    present
}

/// Whether a rule allows no properties but those that it names.
fn is_closed(rule: &ObjectRule<'_>) -> bool {
    rule.patterns().next().is_none() && Place::of(&rule.apply_others(&[]).schemas).never
}

/// The number of properties that there can be where only named ones are allowed.
fn named_only(rules: &Rules<'_>) -> u64 {
    let closed = rules.objects.iter().filter(|rule| is_closed(rule));
    closed.map(|rule| rule.names().count() as u64).min().unwrap_or(u64::MAX)
}
