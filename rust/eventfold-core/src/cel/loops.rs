//! Macros that go over lists and maps.

use std::cmp::Ordering;

use crate::value::{List, Map, Value};

use super::budget::Budget;
use super::containers::{insert_new, shallow};
use super::error::{EVALUATION_LIMIT, Eval, EvalError};
use super::eval::{Context, eval, set_local};
use super::node::{Bind, Loop, LoopKind, Node};
use super::operators::{failed, no_overload, order};

/// Runs a macro.
#[inline(never)]
pub(crate) fn run(each: &Loop, context: &mut Context<'_, '_>) -> Eval<Value> {
    let range = eval(&each.range, context)?;
    let mut state = State::new(each.kind);
    match &range {
        Value::List(list) => {
            for (index, item) in list.iter().enumerate() {
                let (first, second) = match each.second {
                    Some(_) => (Value::Int(index as i64), Some(item)),
                    None => (item.clone(), None),
                };
                if state.visit(each, first, second, context)? {
                    break;
                }
            }
        }
        Value::Map(map) => {
            for (key, value) in map.iter() {
                let second = each.second.map(|_| value);
                if state.visit(each, key.to_value(), second, context)? {
                    break;
                }
            }
        }
        // There are no items in what is absent.
        Value::Absent(_) => {}
        other => {
            return failed(format!("macros go over lists and maps, not {}", other.type_name()));
        }
    }
    state.finish()
}

/// What a macro has gathered so far.
struct State {
    kind: LoopKind,
    found: usize,
    error: Option<Box<EvalError>>,
    items: Vec<Value>,
    map: Map,
}

impl State {
    fn new(kind: LoopKind) -> Self {
        Self { kind, found: 0, error: None, items: Vec::new(), map: Map::new() }
    }

    /// Takes one element; true when the result is known.
    fn visit(
        &mut self,
        each: &Loop,
        first: Value,
        second: Option<&Value>,
        context: &mut Context<'_, '_>,
    ) -> Eval<bool> {
        context.budget.step()?;
        let key =
            matches!(each.kind, LoopKind::Filter | LoopKind::TransformMap).then(|| first.clone());
        set_local(each.first, first, context);
        if let (Some(local), Some(value)) = (each.second, second) {
            set_local(local, value.clone(), context);
        }
        if let Some(filter) = &each.filter
            && !truth(filter, context)?
        {
            return Ok(false);
        }
        match self.kind {
            LoopKind::All | LoopKind::Exists => return self.test(&each.body, context),
            LoopKind::ExistsOne => {
                self.found += usize::from(truth(&each.body, context)?);
            }
            LoopKind::Map => self.items.push(eval(&each.body, context)?),
            LoopKind::Filter => {
                if truth(&each.body, context)? {
                    self.items.extend(key);
                }
            }
            LoopKind::TransformMap => {
                let value = eval(&each.body, context)?;
                insert_new(&mut self.map, &key.unwrap_or(Value::Null), value)?;
            }
            LoopKind::TransformMapEntry => self.add_entries(&each.body, context)?,
        }
        Ok(false)
    }

    /// `all` and `exists`: an element that decides outweighs errors at others.
    fn test(&mut self, body: &Node, context: &mut Context<'_, '_>) -> Eval<bool> {
        let decides = self.kind == LoopKind::Exists;
        match truth(body, context) {
            Ok(value) if value == decides => {
                self.found = 1;
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(limit) if limit.reason == EVALUATION_LIMIT => Err(limit),
            Err(error) => {
                self.error.get_or_insert(error);
                Ok(false)
            }
        }
    }

    fn add_entries(&mut self, body: &Node, context: &mut Context<'_, '_>) -> Eval<()> {
        match eval(body, context)? {
            Value::Map(map) => {
                for (key, value) in map.iter() {
                    context.budget.step()?;
                    insert_new(&mut self.map, &key.to_value(), value.clone())?;
                }
                Ok(())
            }
            Value::Absent(_) => Ok(()),
            other => no_overload("transformMapEntry", &[&other]),
        }
    }

    fn finish(self) -> Eval<Value> {
        match self.kind {
            LoopKind::All | LoopKind::Exists => {
                let decides = self.kind == LoopKind::Exists;
                match self.error {
                    _ if self.found > 0 => Ok(Value::Bool(decides)),
                    Some(error) => Err(error),
                    None => Ok(Value::Bool(!decides)),
                }
            }
            LoopKind::ExistsOne => Ok(Value::Bool(self.found == 1)),
            LoopKind::Map | LoopKind::Filter => shallow(Value::List(List::from(self.items))),
            LoopKind::TransformMap | LoopKind::TransformMapEntry => shallow(Value::map(self.map)),
        }
    }
}

fn truth(node: &Node, context: &mut Context<'_, '_>) -> Eval<bool> {
    match eval(node, context)? {
        Value::Bool(value) => Ok(value),
        Value::Absent(_) => Ok(false),
        other => {
            let message = format!("the condition of a macro is a bool, not {}", other.type_name());
            Err(Box::new(EvalError::failed(message).at(node.offset as usize)))
        }
    }
}

/// `list.sortBy(item, key)`.
#[inline(never)]
pub(crate) fn sort_by(bind: &Bind, context: &mut Context<'_, '_>) -> Eval<Value> {
    let list = match eval(&bind.value, context)? {
        Value::List(list) => list,
        Value::Absent(_) => List::default(),
        other => return no_overload("sortBy", &[&other]),
    };
    let mut keyed = Vec::with_capacity(list.len());
    for item in &list {
        set_local(bind.local, item.clone(), context);
        keyed.push((eval(&bind.body, context)?, item.clone()));
    }
    let items = sorted(keyed, context.budget)?;
    Ok(Value::List(items.into_iter().map(|(_, item)| item).collect()))
}

/// Sorts by keys, equal ones in the order in which they came. The keys have one type, or are
/// numbers; absent ones come last. A merge of its own, because the order may fail at any pair.
pub(crate) fn sorted(
    mut keyed: Vec<(Value, Value)>,
    budget: &mut Budget<'_>,
) -> Eval<Vec<(Value, Value)>> {
    let mut run = 1;
    while run < keyed.len() {
        let mut merged = Vec::with_capacity(keyed.len());
        let mut rest = keyed.into_iter().peekable();
        while rest.peek().is_some() {
            let left: Vec<_> = rest.by_ref().take(run).collect();
            let right: Vec<_> = rest.by_ref().take(run).collect();
            merge(left, right, &mut merged, budget)?;
        }
        keyed = merged;
        run *= 2;
    }
    Ok(keyed)
}

fn merge(
    left: Vec<(Value, Value)>,
    right: Vec<(Value, Value)>,
    merged: &mut Vec<(Value, Value)>,
    budget: &mut Budget<'_>,
) -> Eval<()> {
    budget.spend(left.len() + right.len())?;
    let mut left = left.into_iter().peekable();
    let mut right = right.into_iter().peekable();
    while let (Some((left_key, _)), Some((right_key, _))) = (left.peek(), right.peek()) {
        let from_left = match (left_key, right_key) {
            (_, Value::Absent(_)) => true,
            (Value::Absent(_), _) => false,
            _ => match order("sort", left_key, right_key, budget)? {
                Some(order) => order != Ordering::Greater,
                None => return failed("NaN has no place in an order"),
            },
        };
        merged.extend(if from_left { left.next() } else { right.next() });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(())
}
