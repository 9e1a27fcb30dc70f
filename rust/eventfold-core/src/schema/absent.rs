//! Schemas and values that are absent, because they were erased or are withheld: such a value fits
//! any schema.
//!
//! It stands as `null` in the text. What is found at it or within it counts for nothing, and so
//! does what is found of a value around it by a keyword that looks at what is inside.

use crate::json::pointer::Pattern;

use super::{Violation, Violations};

/// Keywords that say nothing of the values inside of an object or array.
const OF_THE_OUTSIDE: [&str; 8] = [
    "additionalProperties",
    "dependentRequired",
    "maxItems",
    "maxProperties",
    "minItems",
    "minProperties",
    "required",
    "type",
];

/// Those of violations that count although there are values absent at some pointers.
pub(super) fn that_count(found: Violations, absent: &[Pattern], first_max: usize) -> Violations {
    let mut first: Vec<_> =
        found.first.into_iter().filter(|violation| counts(violation, absent)).collect();
    let count = first.len();
    first.truncate(first_max);
    Violations { first, count }
}

fn counts(violation: &Violation, absent: &[Pattern]) -> bool {
    let Ok(place) = Pattern::pointer(&violation.pointer) else {
        // It is found of the whole, around all that is absent.
        return OF_THE_OUTSIDE.contains(&violation.rule.as_str());
    };
    absent.iter().filter(|absent| absent.meets(&place)).all(|absent| {
        place.depth() < absent.depth() && OF_THE_OUTSIDE.contains(&violation.rule.as_str())
    })
}
