//! Whose personal values went into something that was made of many events.

use super::SubjectId;

/// A personal value of an event that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedValue {
    /// Pointer to it.
    pub pointer: String,
    /// Whose it is.
    pub subject: SubjectId,
}

/// Whose personal values went into something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whose {
    /// None did.
    #[default]
    Nobody,
    /// Those of one subject.
    One(SubjectId),
    /// Those of several, so that it can be sealed for none of them.
    Several,
}

impl Whose {
    /// Whose values these are.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a OpenedValue>) -> Self {
        let one = values.into_iter().map(|value| Self::One(value.subject));
        one.fold(Self::Nobody, Self::with)
    }

    /// With what else went into it.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        match (self, other) {
            (one, Self::Nobody) | (Self::Nobody, one) => one,
            (one, other) if one == other => one,
            _ => Self::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OpenedValue, Whose};

    #[test]
    fn values_of_two_subjects_are_of_several() {
        let value = |subject| OpenedValue { pointer: "/a".to_owned(), subject: [subject; 16] };
        assert_eq!(Whose::of(&[]), Whose::Nobody);
        assert_eq!(Whose::of(&[value(1), value(1)]), Whose::One([1; 16]));
        assert_eq!(Whose::of(&[value(1), value(2)]), Whose::Several);
        assert_eq!(Whose::Nobody.with(Whose::One([1; 16])), Whose::One([1; 16]));
        assert_eq!(Whose::Several.with(Whose::Nobody), Whose::Several);
    }
}
