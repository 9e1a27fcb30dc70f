//! Values that are not there: what reads as one, and how two of them come together.

use crate::privacy::{ERASED, WITHHELD};

use super::Value;

/// Why a value is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Absence {
    /// Its key was destroyed.
    Erased,
    /// Whoever reads may not see it.
    Withheld,
}

impl Absence {
    /// The bare word that stands for it in JSON texts in memory; it is never sent.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Erased => ERASED,
            Self::Withheld => WITHHELD,
        }
    }

    /// What is absent because both are: erased wins, as it is for good.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Withheld, Self::Withheld) => Self::Withheld,
            _ => Self::Erased,
        }
    }

    /// As [`Absence::among`], with what stands inside of the values.
    pub fn among_all<'a>(values: impl IntoIterator<Item = &'a Value>) -> Option<Self> {
        values.into_iter().filter_map(Value::absence_within).reduce(Self::and)
    }

    /// Why what is made of these values is absent; `None` if all are there.
    pub fn among<'a>(values: impl IntoIterator<Item = &'a Value>) -> Option<Self> {
        values.into_iter().filter_map(Value::absence).reduce(Self::and)
    }
}

impl Value {
    /// Why the value is absent; `None` if it is there.
    #[inline]
    pub fn absence(&self) -> Option<Absence> {
        match self {
            Self::Absent(absence) => Some(*absence),
            _ => None,
        }
    }

    /// Why the value, or any inside of it, is absent. A walk, whose depth that of values bounds.
    pub fn absence_within(&self) -> Option<Absence> {
        let all = |found: Option<Absence>, value: &Self| match (found, value.absence_within()) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        match self {
            Self::Absent(absence) => Some(*absence),
            Self::List(list) => list.iter().fold(None, all),
            Self::Map(map) => map.iter().fold(None, |found, (_, value)| all(found, value)),
            Self::Optional(Some(inner)) => inner.absence_within(),
            _ => None,
        }
    }
}
