//! What of folds and projections can be personal, under the rules in force and those before.

use crate::error::CoreError;
use crate::fold::{Declared, Fold, Marks};
use crate::json::pointer::Pattern;
use crate::privacy;
use crate::projection::{Projection, ProjectionMarks};
use crate::transform::Transform;

use super::Rules;

/// What opens a stream carries states of the stream before, whatever they were folded from.
const OPENED: &str = "$Opened";
const CARRIED_STATES: &str = "/states";

impl Rules {
    /// What is declared personal of events of some categories, or was once: values that were sealed
    /// then are opened now. `None`: of all categories. Where anything is, so are the states that an
    /// opening event carries.
    pub fn declared(&self, categories: Option<&[String]>) -> Declared {
        let declared = self.declared_now(categories);
        let declared =
            self.past_personal.iter().fold(declared, |declared, (of, personal)| match of {
                privacy::Declared::EventType(name) => declared.with(Some(name), personal),
                privacy::Declared::Category(name)
                    if categories.is_none_or(|named| named.contains(name)) =>
                {
                    declared.with(None, personal)
                }
                privacy::Declared::Category(_) => declared,
            });
        let named = |category: &String| categories.is_none_or(|named| named.contains(category));
        let carried = self.carried.iter().filter(|(category, _)| named(category));
        let declared =
            carried.fold(declared, |declared, (_, patterns)| declared.with_all(patterns));
        if declared.is_empty() {
            return declared;
        }
        let opened = Pattern::parse(CARRIED_STATES);
        declared.with_type(OPENED, opened.iter()).read_before(&self.past_mappings)
    }

    /// Whether something can be personal in events of some categories; `None`: of all.
    pub fn declares(&self, categories: Option<&[String]>) -> bool {
        !self.declared(categories).is_empty()
    }

    /// An event type and a field of its data that can be personal on streams of a category and that
    /// a fold reads, for whatever it makes of it; `None`: it reads none.
    pub fn read_by<'f>(&self, fold: &'f Fold, category: &str) -> Option<(&'f str, String)> {
        let declared = self.declared(Some(&[category.to_owned()]));
        if declared.is_empty() {
            return None;
        }
        fold.reads_marked(&declared, &self.mappings)
    }

    /// What a transform brings of personal values into its target categories that is not declared
    /// there: a category and a pointer each.
    pub fn carried_by(&self, transform: &Transform) -> Vec<(String, String)> {
        let sources = transform.source_categories();
        let declared = self.declared(sources.as_deref());
        let patterns = transform.personal(&declared);
        let into = transform.target_categories().iter();
        let missing = |category: &String| {
            let missing = self.uncovered(category, "", &patterns).into_iter();
            missing.map(|pointer| (category.clone(), pointer)).collect::<Vec<_>>()
        };
        into.flat_map(missing).collect()
    }

    /// Those of patterns that are not declared of events of a type in a category; an empty type is
    /// any.
    pub fn uncovered(&self, category: &str, event_type: &str, patterns: &[Pattern]) -> Vec<String> {
        let declared = self.declared(Some(&[category.to_owned()]));
        let missing = patterns.iter().filter(|pattern| !declared.covers(event_type, pattern));
        missing.map(ToString::to_string).collect()
    }

    fn declared_now(&self, categories: Option<&[String]>) -> Declared {
        let named = |category: &String| categories.is_none_or(|named| named.contains(category));
        let whole = self.personal_categories.iter().filter(|(category, _)| named(category));
        let mut found = 0;
        let declared = whole.fold(Declared::default(), |declared, (_, personal)| {
            found += 1;
            declared.with(None, personal)
        });
        // Where the categories say it, what is said of types does not count.
        if categories.is_some_and(|categories| found >= categories.len()) {
            return declared;
        }
        self.types.iter().fold(declared, |declared, rules| match &rules.personal {
            Some(personal) => declared.with(Some(&rules.event_type), personal),
            None => declared,
        })
    }

    /// Which parts of the states of a fold can be personal, on streams of a category.
    pub fn fold_marks(&self, fold: &Fold, category: &str) -> Result<Marks, CoreError> {
        let declared = self.declared(Some(&[category.to_owned()]));
        // States that it accepts of other folds can be personal where its own are not.
        let whole = Marks::all();
        let accepts = !declared.is_empty() && fold.accepts_others();
        let carried: Vec<&Marks> = accepts.then_some(&whole).into_iter().collect();
        fold.marks(&declared, &self.mappings, &carried)
    }

    /// What of a projection can be personal. What its events refer to can be in any category.
    pub fn projection_marks(&self, projection: &Projection) -> Result<ProjectionMarks, CoreError> {
        let own = self.declared(projection.categories());
        let referred = projection.resolves().then(|| self.declared(None));
        projection.marks(&own, referred.as_ref(), &self.mappings)
    }
}
