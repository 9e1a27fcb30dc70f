//! Operators on values that are absent.

use crate::value::{Absence, Value};

use super::error::Eval;

/// What an operator makes of operands of which one is absent.
#[cold]
pub(super) fn of<'a>(operands: impl IntoIterator<Item = &'a Value>) -> Eval<Value> {
    Ok(Absence::among(operands).map_or(Value::Null, Value::Absent))
}
