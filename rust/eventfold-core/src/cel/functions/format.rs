use super::super::budget::Budget;
use super::super::error::Eval;
use crate::value::Value;
pub(super) fn call(args: &[Value], _budget: &mut Budget<'_>) -> Eval<Value> {
    super::no_overload(super::Function::Format, args)
}
