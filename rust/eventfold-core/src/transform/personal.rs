//! Personal values of copies: what of a source event was opened follows its values into the copy,
//! where it is sealed again for the same subject.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cel::Program;
use crate::cel::marks::{Mark, Marked};
use crate::error::CoreError;
use crate::fold::marks::{Marks, slot_mark};
use crate::fold::scope::{EVENT, FIRST_LET};
use crate::json::pointer::Pattern;
use crate::mapping::failure::Failure;
use crate::privacy::withheld::replaced;
use crate::privacy::{OpenedValue, PersonalValue, SubjectId, SubjectName};

use super::compile::{Rule, Shape, TypeRules};
use super::failure::Failed;

/// All of an object, whose members are sealed one by one.
const EVERY_MEMBER: &str = "/*";

/// The personal values of a source event that were opened, by whose they are.
#[derive(Debug, Default)]
pub(super) struct Opened<'a> {
    values: &'a [OpenedValue],
    subjects: BTreeMap<SubjectId, Mark>,
}

impl<'a> Opened<'a> {
    pub(super) fn of(values: &'a [OpenedValue]) -> Self {
        let mut subjects = BTreeMap::<SubjectId, Mark>::new();
        for value in values {
            let mark = subjects.entry(value.subject).or_default();
            match Pattern::pointer(&value.pointer) {
                // Items of an event stand where they stand.
                Ok(pointer) => {
                    let path: Vec<_> = pointer.steps().map(|step| step.map(Arc::from)).collect();
                    mark.put(&path, &Mark::whole());
                }
                Err(_) => *mark = Mark::whole(),
            }
        }
        Self { values, subjects }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values of a copy that are personal, in the order of its data. Fails where one would come
    /// to stand where nothing is sealed, or would be of two subjects.
    pub(super) fn of_copy(
        &self,
        types: &TypeRules,
        rule: &Rule,
        data: &[u8],
    ) -> Result<Vec<PersonalValue>, Failed> {
        let mut found = Vec::new();
        for (subject, event) in &self.subjects {
            let scope = Scope::new(types, event);
            scope.check(rule).map_err(|failure| Failed::new(&rule.name, failure))?;
            let patterns = match &rule.data {
                Shape::Kept => self.pointers(subject),
                Shape::Whole(program) => patterns(program.mark(&scope)),
                Shape::Fields(pass) => patterns(pass.marks(event, &scope)),
            };
            let values = Pattern::find(&patterns, data).unwrap_or_default();
            found.extend(values.into_iter().map(|value| PersonalValue {
                pointer: value.pointer,
                value: value.value,
                subject: SubjectName::Known(*subject),
            }));
        }
        found.sort_by_key(|value| value.value.start);
        let refused = |refusal| Failed::refused(&rule.name, refusal);
        if let Some(both) = found.windows(2).find(|pair| pair[0].value.end > pair[1].value.start) {
            return Err(refused(two_subjects(&both[1].pointer)));
        }
        Ok(found)
    }

    /// Data without these values.
    pub(super) fn shown(&self, data: &[u8]) -> Vec<u8> {
        let pointers = self.values.iter().filter_map(|one| Pattern::pointer(&one.pointer).ok());
        let found = Pattern::find(&pointers.collect::<Vec<_>>(), data).unwrap_or_default();
        replaced(data, found.into_iter().map(|value| value.value), "null")
    }

    fn pointers(&self, subject: &SubjectId) -> Vec<Pattern> {
        let of = self.values.iter().filter(|value| value.subject == *subject);
        of.filter_map(|value| Pattern::pointer(&value.pointer).ok()).collect()
    }
}

/// The refusal of a value that personal values of two subjects went into.
pub(crate) fn two_subjects(pointer: &str) -> CoreError {
    let message = format!("the value at `{pointer}` would be of two subjects");
    CoreError::new("PERSONAL_TWO_SUBJECTS", message).fact("pointer", pointer)
}

fn patterns(mark: Mark) -> Vec<Pattern> {
    let marks = Marks::new(mark.bounded());
    let whole = || Pattern::parse(EVERY_MEMBER).into_iter().collect();
    if marks.is_whole() {
        return whole();
    }
    let pointers = marks.pointers();
    let parsed = pointers.iter().map(|pointer| Pattern::parse(pointer));
    parsed.collect::<Result<_, _>>().unwrap_or_else(|_| whole())
}

/// The marks that the expressions of a rule see of one subject.
struct Scope<'a> {
    types: &'a TypeRules,
    event: &'a Mark,
    lets: Vec<Mark>,
}

impl<'a> Scope<'a> {
    fn new(types: &'a TypeRules, event: &'a Mark) -> Self {
        let mut scope = Self { types, event, lets: vec![Mark::default(); types.lets_count] };
        for (variable, entry) in &types.lets {
            let mark = entry.program.mark(&scope);
            if let Some(place) = scope.lets.get_mut(variable - FIRST_LET) {
                *place = mark;
            }
        }
        scope
    }

    /// Names, tags and metadata are never sealed.
    fn check(&self, rule: &Rule) -> Result<(), Box<Failure>> {
        let refuse = |name: &str| {
            let problem =
                format!("`{name}` can hold personal values, which are never sealed there");
            Err(Failure::new(problem).path(name))
        };
        let marked = |program: &Program| program.mark(self).any();
        if marked(&rule.stream) {
            return refuse("stream");
        }
        if rule.tags.as_ref().is_some_and(marked) {
            return refuse("tags");
        }
        let metadata = match &rule.metadata {
            Shape::Kept => false,
            Shape::Whole(program) => marked(program),
            Shape::Fields(pass) => pass.computed().any(|(.., program)| marked(program)),
        };
        if metadata { refuse("metadata") } else { Ok(()) }
    }
}

impl Marked for Scope<'_> {
    fn variable(&self, index: usize) -> Mark {
        match index {
            EVENT => self.event.clone(),
            // `meta` is never sealed.
            index if index < FIRST_LET => Mark::default(),
            index => self.lets.get(index - FIRST_LET).cloned().unwrap_or_default(),
        }
    }

    fn slot(&self, slot: usize) -> Mark {
        let TypeRules { inputs, sources, .. } = self.types;
        slot_mark(sources, inputs, slot, &Mark::default(), self.event)
    }
}
