//! What is demanded by schemas that are put together.

use std::rc::Rc;

use super::facts::Facts;
use super::node::{Part, Place, Schema};
use super::walk::{Probe, Walk};

/// Demands one keyword of a schema.
type Demand<'k, 'r> = fn(&mut Walk<'k, 'r>, &Rc<Place<'r>>, &Schema<'r>);

impl<'k, 'r> Walk<'k, 'r> {
    pub(super) fn demand_logic(&mut self, old: &Rc<Place<'r>>, facts: &Facts<'r>, new: &Part<'r>) {
        let schema = &new.schema;
        let demands: [(&str, Demand<'k, 'r>); 3] =
            [("anyOf", Self::demand_any), ("oneOf", Self::demand_one), ("not", Self::demand_not)];
        for (keyword, demand) in demands {
            if schema.get(keyword).is_some() {
                self.demand_by_type(old, facts, schema, demand);
            }
        }
        if schema.get("if").is_some() {
            self.demand_condition(old, schema);
        }
    }

    /// What does not follow for all types together may follow for each.
    fn demand_by_type(
        &mut self,
        old: &Rc<Place<'r>>,
        facts: &Facts<'r>,
        schema: &Schema<'r>,
        demand: Demand<'k, 'r>,
    ) {
        let types = facts.types.each();
        if types.len() > 1 && self.holds(|walk| demand(walk, old, schema)) {
            return;
        }
        for types in types {
            demand(self, &Rc::new(old.only(types)), schema);
        }
    }

    fn demand_any(&mut self, old: &Rc<Place<'r>>, schema: &Schema<'r>) {
        let branches = schema.list("anyOf");
        let follows = branches.iter().any(|branch| self.implies(old, &Place::of([branch])));
        if !follows {
            self.find_branch(old, &branches, "anyOf");
        }
    }

    fn demand_one(&mut self, old: &Rc<Place<'r>>, schema: &Schema<'r>) {
        let branches = schema.list("oneOf");
        if self.keeps_branches(old, &branches) {
            return;
        }
        let possible: Vec<_> =
            branches.iter().filter(|branch| !self.known.disjoint(old, branch)).collect();
        match possible[..] {
            [only] if self.implies(old, &Place::of([only])) => {}
            [_, _, ..] if possible.iter().any(|one| self.implies(old, &Place::of([*one]))) => {
                self.find(old, "oneOf", |words| words.several_branches(), vec![Probe::Any]);
            }
            _ => self.find_branch(old, &branches, "oneOf"),
        }
    }

    /// Whether all branches of an old `oneOf` are there again, and no other can fit.
    fn keeps_branches(&mut self, old: &Rc<Place<'r>>, branches: &[Schema<'r>]) -> bool {
        old.parts.iter().any(|part| {
            let mut added: Vec<_> = branches.iter().collect();
            let known = part.schema.list("oneOf");
            let kept = known.iter().all(|known| {
                let again = added.iter().position(|branch| self.known.same(known, branch));
                again.map(|place| added.remove(place)).is_some()
            });
            kept && !known.is_empty() && added.iter().all(|branch| self.known.disjoint(old, branch))
        })
    }

    /// Finds what keeps values from the one branch that they may fit.
    fn find_branch(&mut self, old: &Rc<Place<'r>>, branches: &[Schema<'r>], keyword: &'static str) {
        let possible: Vec<_> =
            branches.iter().filter(|branch| !self.known.disjoint(old, branch)).collect();
        match possible[..] {
            [only] => self.compare(old, &Place::of([only]), keyword),
            [] if !self.allows_type(old, branches) => {
                let types = self.known.facts(old).types;
                self.find(old, keyword, |words| words.types(types), vec![Probe::Any]);
            }
            _ => self.find(old, keyword, |words| words.no_branch(keyword), vec![Probe::Any]),
        }
    }

    /// Whether a branch allows a type that there can be.
    fn allows_type(&self, old: &Place<'r>, branches: &[Schema<'r>]) -> bool {
        let types = self.known.facts(old).types;
        branches.iter().any(|branch| self.known.facts(&Place::of([branch])).types.meets(types))
    }

    fn demand_not(&mut self, old: &Rc<Place<'r>>, schema: &Schema<'r>) {
        let Some(refused) = schema.schema("not") else { return };
        if self.known.disjoint(old, &refused) {
            return;
        }
        let both = Rc::new(old.with(&refused));
        let follows = old.parts.iter().any(|part| {
            let known = part.schema.schema("not");
            known.is_some_and(|known| self.implies(&both, &Place::of([&known])))
        });
        if !follows {
            self.find(old, "not", |words| words.changed("not"), vec![Probe::Any]);
        }
    }

    fn demand_condition(&mut self, old: &Rc<Place<'r>>, schema: &Schema<'r>) {
        let Some(condition) = schema.schema("if") else { return };
        if let Some(then) = schema.schema("then") {
            let mut holds = old.with(&condition);
            for part in &old.parts {
                let (known, then) = (part.schema.schema("if"), part.schema.schema("then"));
                if known.is_some_and(|known| self.known.same(&known, &condition)) {
                    then.iter().for_each(|then| holds.add(then));
                }
            }
            let holds = Rc::new(holds);
            if !self.known.is_empty(&holds) {
                self.compare(&holds, &Place::of([&then]), "then");
            }
        }
        if let Some(otherwise) = schema.schema("else") {
            let mut fails = (**old).clone();
            for part in &old.parts {
                let (known, otherwise) = (part.schema.schema("if"), part.schema.schema("else"));
                if known.is_some_and(|known| self.known.same(&known, &condition)) {
                    otherwise.iter().for_each(|otherwise| fails.add(otherwise));
                }
            }
            let fails = Rc::new(fails);
            self.compare(&fails, &Place::of([&otherwise]), "else");
        }
    }
}
