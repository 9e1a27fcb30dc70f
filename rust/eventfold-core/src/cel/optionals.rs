//! Macros on values that may be absent.

use std::sync::Arc;

use crate::value::Value;

use super::containers::shallow;
use super::error::Eval;
use super::eval::{Context, eval, set_local};
use super::node::{Bind, Node};
use super::operators::no_overload;

#[inline(never)]
pub(super) fn or(value: bool, operands: &[Node; 2], context: &mut Context<'_, '_>) -> Eval<Value> {
    match eval(&operands[0], context)? {
        Value::Optional(Some(inner)) if value => Ok(Arc::unwrap_or_clone(inner)),
        present @ Value::Optional(Some(_)) => Ok(present),
        Value::Optional(None) => {
            let other = eval(&operands[1], context)?;
            match other {
                Value::Optional(_) => Ok(other),
                _ if value => Ok(other),
                Value::Absent(_) => Ok(other),
                other => no_overload("or", &[&other]),
            }
        }
        absent @ Value::Absent(_) => Ok(absent),
        other => no_overload(if value { "orValue" } else { "or" }, &[&other]),
    }
}

#[inline(never)]
pub(super) fn map(flat: bool, bind: &Bind, context: &mut Context<'_, '_>) -> Eval<Value> {
    match eval(&bind.value, context)? {
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => {
            set_local(bind.local, Arc::unwrap_or_clone(inner), context);
            let result = eval(&bind.body, context)?;
            match result {
                Value::Optional(_) | Value::Absent(_) if flat => Ok(result),
                other if flat => no_overload("optFlatMap", &[&other]),
                other => shallow(Value::Optional(Some(Arc::new(other)))),
            }
        }
        absent @ Value::Absent(_) => Ok(absent),
        other => no_overload(if flat { "optFlatMap" } else { "optMap" }, &[&other]),
    }
}
