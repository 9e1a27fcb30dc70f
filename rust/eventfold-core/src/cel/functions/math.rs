use super::super::budget::Budget;
use super::super::error::Eval;
use super::{Function, no_overload};
use crate::value::Value;
pub(super) fn call(function: Function, args: &[Value], _budget: &mut Budget<'_>) -> Eval<Value> {
    no_overload(function, args)
}
