//! Personal values of copies: what of a source event was opened follows its values into the copy,
//! where it is sealed again for the same subject.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::cel::Program;
use crate::cel::marks::{Mark, Marked};
use crate::error::CoreError;
use crate::fold::marks::{Declared, Marks, slot_mark};
use crate::fold::scope::{EVENT, FIRST_LET};
use crate::json::absent::without_absent;
use crate::json::pointer::Pattern;
use crate::mapping::failure::Failure;
use crate::privacy::withheld::replaced;
use crate::privacy::{OpenedValue, Personal, PersonalValue, SubjectId, SubjectName};

use super::Transform;
use super::compile::{Rule, Shape, TypeRules};
use super::failure::Failed;

/// All of an object, whose members are sealed one by one.
const EVERY_MEMBER: &str = "/*";

/// The personal values of a source event that were opened, by whose they are.
#[derive(Debug, Default)]
pub(super) struct Opened<'a> {
    values: Cow<'a, [OpenedValue]>,
    subjects: BTreeMap<SubjectId, Mark>,
}

impl<'a> Opened<'a> {
    pub(super) fn of(values: impl Into<Cow<'a, [OpenedValue]>>) -> Self {
        let values = values.into();
        let mut subjects = BTreeMap::<SubjectId, Mark>::new();
        for value in values.iter() {
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
            scope.check(rule, event).map_err(|failure| Failed::new(&rule.name, failure))?;
            let patterns = self.places(types, rule, subject, event);
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

    /// Pointers to the values in the source.
    pub(super) fn in_source(&self) -> Vec<Pattern> {
        self.values.iter().filter_map(|one| Pattern::pointer(&one.pointer).ok()).collect()
    }

    /// With values that are declared personal and stand in the source as plaintext.
    pub(super) fn with_plaintext(
        &self,
        personal: Option<&Personal>,
        data: &[u8],
    ) -> Opened<'static> {
        let plaintext = personal.map(|personal| personal.places(data)).unwrap_or_default();
        let plaintext = plaintext.into_iter().map(|(pointer, _)| pointer);
        let opened = self.values.iter().map(|one| one.pointer.clone());
        // Whose they are counts for nothing here.
        let value = |pointer| OpenedValue { pointer, subject: SubjectId::default() };
        Opened::of(opened.chain(plaintext).map(value).collect::<Vec<_>>())
    }

    /// Where these values can be in a copy.
    pub(super) fn in_copy(&self, types: &TypeRules, rule: &Rule) -> Vec<Pattern> {
        let of_subject =
            |(subject, event): (&SubjectId, &Mark)| self.places(types, rule, subject, event);
        self.subjects.iter().flat_map(of_subject).collect()
    }

    fn places(
        &self,
        types: &TypeRules,
        rule: &Rule,
        subject: &SubjectId,
        event: &Mark,
    ) -> Vec<Pattern> {
        let scope = Scope::new(types, event);
        match &rule.data {
            Shape::Kept => self.pointers(subject),
            Shape::Whole(program) => patterns(program.mark(&scope)),
            Shape::Fields(pass) => patterns(pass.marks(event, &scope)),
        }
    }

    fn pointers(&self, subject: &SubjectId) -> Vec<Pattern> {
        let of = self.values.iter().filter(|value| value.subject == *subject);
        of.filter_map(|value| Pattern::pointer(&value.pointer).ok()).collect()
    }
}

impl Transform {
    /// Where copies can have personal values, if what is declared is all that the sources can have.
    pub fn personal(&self, declared: &Declared) -> Vec<Pattern> {
        let of_types = self.rules.types.iter().map(|types| (types, declared.stored(types.name())));
        let others = self.rules.others.iter().map(|others| (others, declared.any_stored()));
        let mut found = Mark::default();
        for (types, event) in of_types.chain(others).filter(|(_, event)| event.any()) {
            let scope = Scope::new(types, &event);
            for rule in &types.rules {
                found.join(&match &rule.data {
                    Shape::Kept => event.clone(),
                    Shape::Whole(program) => program.mark(&scope),
                    Shape::Fields(pass) => pass.marks(&event, &scope),
                });
            }
        }
        if found.any() { patterns(found) } else { Vec::new() }
    }
}

/// What of data is hidden from those who look at examples and errors.
pub(super) struct Hidden<'a> {
    patterns: Vec<Pattern>,
    personal: Option<&'a Personal>,
}

impl<'a> Hidden<'a> {
    pub(super) fn new(patterns: Vec<Pattern>, personal: Option<&'a Arc<Personal>>) -> Self {
        Self { patterns, personal: personal.map(Arc::as_ref) }
    }

    /// Where it stands, in the order of the text, each with the pointer to it.
    pub(super) fn places(&self, data: &[u8]) -> Vec<(String, Range<usize>)> {
        let found = Pattern::find(&self.patterns, data).unwrap_or_default();
        let mut places: Vec<_> = found.into_iter().map(|one| (one.pointer, one.value)).collect();
        places.extend(self.personal.map(|personal| personal.places(data)).unwrap_or_default());
        // Of places within each other the outermost counts.
        places.sort_by_key(|(_, place)| (place.start, usize::MAX - place.end));
        let mut end = 0;
        places.retain(|(_, place)| {
            let apart = place.start >= end;
            end = end.max(place.end);
            apart
        });
        places
    }

    /// Data with `null` in these places, and in those of what is absent.
    pub(super) fn shown(&self, data: &[u8]) -> Vec<u8> {
        let shown = without_absent(data);
        let data = shown.as_ref().map_or(data, |shown| &shown.text);
        replaced(data, self.places(data).into_iter().map(|(_, place)| place), "null")
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

    /// Names, tags and metadata are never sealed, and neither are the keys of the data.
    fn check(&self, rule: &Rule, event: &Mark) -> Result<(), Box<Failure>> {
        let data = match &rule.data {
            Shape::Kept => Mark::default(),
            Shape::Whole(program) => program.mark(self),
            Shape::Fields(pass) => pass.marks(event, self),
        };
        if data.is_whole() {
            let problem = "all of the data can be personal, also its keys, which are never sealed: \
                           put it under a field";
            return Err(Failure::new(problem).path("data"));
        }
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
