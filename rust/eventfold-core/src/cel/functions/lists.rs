//! Functions on lists.

use std::sync::Arc;

use crate::value::{List, Value};

use super::super::budget::Budget;
use super::super::error::Eval;
use super::super::loops::sorted;
use super::super::operators::{equal, failed};
use super::{Function, no_overload};

/// Most items that `lists.range` makes.
const RANGE_ITEMS_MAX: i64 = 1_000_000;

pub(super) fn call(function: Function, args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    match (function, args) {
        (Function::Range, [Value::Int(end)]) => range(*end, budget),
        (Function::Flatten, [Value::List(list)]) => flatten(list, 1, budget),
        (Function::Flatten, [Value::List(list), Value::Int(levels)]) => {
            flatten(list, *levels, budget)
        }
        (Function::Slice, [Value::List(list), Value::Int(from), Value::Int(to)]) => {
            slice(list, *from, *to, budget)
        }
        (Function::Sort, [Value::List(list)]) => {
            budget.spend(list.len())?;
            let keyed = list.iter().map(|item| (item.clone(), Value::Null)).collect();
            let items = sorted(keyed, budget)?;
            Ok(Value::List(items.into_iter().map(|(item, _)| item).collect()))
        }
        (Function::Distinct, [Value::List(list)]) => distinct(list, budget),
        (Function::Reverse, [Value::List(list)]) => {
            budget.spend(list.len())?;
            let mut items: Vec<Value> = list.iter().cloned().collect();
            items.reverse();
            Ok(Value::list(items))
        }
        (Function::First, [Value::List(list)]) => Ok(optional(list.get(0))),
        (Function::Last, [Value::List(list)]) => {
            Ok(optional(list.len().checked_sub(1).and_then(|last| list.get(last))))
        }
        _ => no_overload(function, args),
    }
}

fn optional(item: Option<&Value>) -> Value {
    Value::Optional(item.cloned().map(Arc::new))
}

fn range(end: i64, budget: &mut Budget<'_>) -> Eval<Value> {
    let end = end.max(0);
    // The budget stops anything near the bound; the bound keeps the conversion exact.
    budget.spend(usize::try_from(end.min(RANGE_ITEMS_MAX + 1)).unwrap_or(usize::MAX))?;
    if end > RANGE_ITEMS_MAX {
        return failed(format!("`lists.range` makes at most {RANGE_ITEMS_MAX} items"));
    }
    Ok(Value::List((0..end).map(Value::Int).collect()))
}

fn flatten(list: &List, levels: i64, budget: &mut Budget<'_>) -> Eval<Value> {
    if levels < 0 {
        return failed("`flatten` takes a number of levels from 0");
    }
    let mut items = Vec::new();
    flatten_into(list, levels, &mut items, budget)?;
    Ok(Value::list(items))
}

/// The depth of values bounds the recursion.
fn flatten_into(
    list: &List,
    levels: i64,
    items: &mut Vec<Value>,
    budget: &mut Budget<'_>,
) -> Eval<()> {
    for item in list {
        budget.step()?;
        match item {
            Value::List(inner) if levels > 0 => flatten_into(inner, levels - 1, items, budget)?,
            other => items.push(other.clone()),
        }
    }
    Ok(())
}

fn slice(list: &List, from: i64, to: i64, budget: &mut Budget<'_>) -> Eval<Value> {
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to && to <= list.len() => {
            budget.spend(to - from)?;
            Ok(Value::List((from..to).filter_map(|place| list.get(place)).cloned().collect()))
        }
        _ => failed("the slice lies outside the list"),
    }
}

fn distinct(list: &List, budget: &mut Budget<'_>) -> Eval<Value> {
    let mut items: Vec<Value> = Vec::new();
    'items: for item in list {
        for known in &items {
            budget.step()?;
            if equal(item, known, budget)? {
                continue 'items;
            }
        }
        items.push(item.clone());
    }
    Ok(Value::list(items))
}
