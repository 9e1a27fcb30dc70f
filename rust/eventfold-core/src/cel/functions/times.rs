use super::super::error::Eval;
use super::{Function, no_overload};
use crate::value::Value;
pub(super) fn call(function: Function, args: &[Value]) -> Eval<Value> {
    no_overload(function, args)
}
