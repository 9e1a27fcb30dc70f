//! The events of an append that have personal values.

use super::Append;
use crate::error::CoreError;
use crate::privacy::PersonalValue;
use crate::transform::personal::two_subjects;

/// An event of which the rules say that values are personal.
#[derive(Debug, Clone)]
pub(super) struct PersonalEvent {
    /// Which of its part, from 0.
    pub(super) index: usize,
    /// None: it cannot be told whose they are.
    pub(super) values: Vec<PersonalValue>,
    /// `None`: nothing of it may go to the database.
    pub(super) sealed: Option<SealedEvent>,
}

/// What is stored of it.
#[derive(Debug, Clone)]
pub(super) struct SealedEvent {
    pub(super) data: Vec<u8>,
    /// Pointers to the sealed values, as the text of an array of PostgreSQL.
    pub(super) paths: String,
    pub(super) sent_digest: [u8; 32],
    pub(super) stored_digest: [u8; 32],
}

impl Append {
    /// Adds values that were personal before they came into the events of the first part, by the
    /// indexes of these. They stay with their subjects, whatever the rules say of where they stand
    /// now; PERSONAL_TWO_SUBJECTS where the rules make one value of those of several.
    pub fn carry(&mut self, carried: Vec<(usize, Vec<PersonalValue>)>) -> Result<(), CoreError> {
        let part = &mut self.parts[0];
        for (index, values) in carried {
            match part.personal.binary_search_by_key(&index, |event| event.index) {
                Err(place) => {
                    part.personal.insert(place, PersonalEvent { index, values, sealed: None });
                }
                // Nothing of it may be stored, whatever is added.
                Ok(place) if part.personal[place].values.is_empty() => {}
                Ok(place) => {
                    let declared = std::mem::take(&mut part.personal[place].values);
                    part.personal[place].values = merged(declared, values)
                        .map_err(|error| error.fact("event_index", index))?;
                }
            }
        }
        Ok(())
    }
}

/// Both kinds of values, in the order of the data; of those within each other the outermost.
fn merged(
    declared: Vec<PersonalValue>,
    mut carried: Vec<PersonalValue>,
) -> Result<Vec<PersonalValue>, CoreError> {
    for value in declared {
        let meets = |one: &PersonalValue| {
            one.value.start < value.value.end && value.value.start < one.value.end
        };
        let Some(first) = carried.iter().find(|one| meets(one)).cloned() else {
            carried.push(value);
            continue;
        };
        if first.value.start <= value.value.start && value.value.end <= first.value.end {
            continue;
        }
        if carried.iter().any(|one| meets(one) && one.subject != first.subject) {
            return Err(two_subjects(&value.pointer));
        }
        carried.retain(|one| !meets(one));
        carried.push(PersonalValue { subject: first.subject, ..value });
    }
    carried.sort_by_key(|value| value.value.start);
    Ok(carried)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::merged;
    use crate::privacy::{PersonalValue, SubjectName};

    fn value(pointer: &str, value: Range<usize>, subject: Option<u8>) -> PersonalValue {
        let subject = subject.map_or(SubjectName::Root, |id| SubjectName::Known([id; 16]));
        PersonalValue { pointer: pointer.to_owned(), value, subject }
    }

    #[test]
    fn what_is_carried_keeps_its_subject() {
        let declared = vec![value("/a", 5..9, None), value("/b", 14..30, None)];
        let carried = vec![value("/a", 5..9, Some(1)), value("/b/c", 20..22, Some(2))];
        let found = merged(declared, carried).unwrap();
        assert_eq!(found, [value("/a", 5..9, Some(1)), value("/b", 14..30, Some(2))]);
        // Inside of what is carried, and apart from it.
        let declared = vec![value("/a/b", 6..7, None), value("/z", 40..41, None)];
        let found = merged(declared.clone(), vec![value("/a", 5..9, Some(1))]).unwrap();
        assert_eq!(found, [value("/a", 5..9, Some(1)), declared[1].clone()]);
    }

    #[test]
    fn one_value_is_not_made_of_two_subjects() {
        let carried = vec![value("/b/c", 20..22, Some(2)), value("/b/d", 24..26, Some(3))];
        let error = merged(vec![value("/b", 14..30, None)], carried).unwrap_err();
        assert_eq!(error.reason, "PERSONAL_TWO_SUBJECTS");
    }
}
