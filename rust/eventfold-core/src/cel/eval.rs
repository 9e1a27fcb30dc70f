//! Evaluation of compiled nodes.
//!
//! Every kind of node has a function of its own, so that the frame of `node` stays small: it is
//! on the stack once for each level of the expression.

use crate::limits::VALUE_DEPTH_MAX;
use crate::value::Value;

use super::access;
use super::budget::Budget;
use super::containers::{self, shallow, too_deep};
use super::error::{EVALUATION_LIMIT, Eval, EvalError};
use super::functions;
use super::loops;
use super::node::{Arithmetic, Bind, Comparison, Field, Matches, Node, Op};
use super::operators::{self, failed, no_overload};
use super::optionals;
use super::scope::Scope;

/// What an evaluation works with.
pub(crate) struct Context<'a, 'b> {
    pub(crate) scope: &'a dyn Scope,
    pub(crate) budget: &'a mut Budget<'b>,
    /// The variables of macros.
    pub(crate) locals: Vec<Value>,
}

/// An operand: constants are used where they are.
pub(crate) enum Operand<'a> {
    Owned(Value),
    Constant(&'a Value),
}

impl std::ops::Deref for Operand<'_> {
    type Target = Value;

    #[inline]
    fn deref(&self) -> &Value {
        match self {
            Self::Owned(value) => value,
            Self::Constant(value) => value,
        }
    }
}

#[inline]
pub(crate) fn operand<'a>(node: &'a Node, context: &mut Context<'_, '_>) -> Eval<Operand<'a>> {
    match &node.op {
        Op::Const(value) => Ok(Operand::Constant(value)),
        // The most common operand by far; it saves one call.
        Op::Slot(slot, name) => {
            context.budget.step()?;
            match slot_field(*slot, name, context) {
                Ok(value) => Ok(Operand::Owned(value)),
                Err(error) => Err(located(error, node)),
            }
        }
        _ => eval(node, context).map(Operand::Owned),
    }
}

/// The value of a node. Errors carry the place of the innermost node that failed.
pub(crate) fn eval(node: &Node, context: &mut Context<'_, '_>) -> Eval<Value> {
    let result = match context.budget.step() {
        Ok(()) => dispatch(node, context),
        Err(limit) => Err(limit),
    };
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(located(error, node)),
    }
}

#[cold]
#[inline(never)]
fn located(mut error: Box<EvalError>, node: &Node) -> Box<EvalError> {
    error.offset.get_or_insert(node.offset as usize);
    error
}

#[inline]
fn dispatch(node: &Node, context: &mut Context<'_, '_>) -> Eval<Value> {
    match &node.op {
        Op::Const(value) => Ok(value.clone()),
        Op::Variable(index) => variable(*index, context),
        Op::Local(index) => local(*index, context),
        Op::Slot(slot, name) => slot_field(*slot, name, context),
        Op::SlotHas(slot) => slot_has(*slot, context),
        Op::SlotOptional(slot) => slot_optional(*slot, context),
        Op::Field(field) => select(field, context),
        Op::HasField(field) => has_field(field, context),
        Op::OptionalField(field) => optional_field(field, context),
        Op::Index(parts) => index(parts, context),
        Op::OptionalIndex(parts) => optional_index(parts, context),
        Op::Not(inner) => not(inner, context),
        Op::Negate(inner) => negate(inner, context),
        Op::And(operands) => logic(operands, false, context),
        Op::Or(operands) => logic(operands, true, context),
        Op::Conditional(parts) => conditional(parts, context),
        Op::Arithmetic(first, rest) => arithmetic(first, rest, context),
        Op::Compare(op, parts) => compare(*op, parts, context),
        Op::Equal(wanted, parts) => equal(*wanted, parts, context),
        Op::In(parts) => is_in(parts, context),
        Op::List(items) => containers::list(items, context),
        Op::Map(entries) => containers::map(entries, context),
        Op::Call(function, args) => call(*function, args, context),
        Op::Matches(matches) => matches_constant(matches, context),
        Op::OptionalOr { value, operands } => optionals::or(*value, operands, context),
        Op::Bind(bind) => bound(bind, context),
        Op::OptionalMap { flat, bind } => optionals::map(*flat, bind, context),
        Op::Loop(each) => loops::run(each, context),
        Op::SortBy(bind) => loops::sort_by(bind, context),
        Op::Unknown(message) => unknown(message),
    }
}

#[cold]
#[inline(never)]
fn unknown(message: &str) -> Eval<Value> {
    failed(message)
}

#[inline]
fn variable(index: usize, context: &mut Context<'_, '_>) -> Eval<Value> {
    context.scope.variable(index).map_err(Box::new)
}

#[inline]
fn local(index: usize, context: &mut Context<'_, '_>) -> Eval<Value> {
    match context.locals.get(index) {
        Some(value) => Ok(value.clone()),
        None => failed("the variable has no value"),
    }
}

#[inline]
fn slot_field(slot: usize, name: &str, context: &mut Context<'_, '_>) -> Eval<Value> {
    match context.scope.field(slot) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => access::no_field(name),
        Err(error) => Err(Box::new(error)),
    }
}

fn slot_has(slot: usize, context: &mut Context<'_, '_>) -> Eval<Value> {
    let value = context.scope.field(slot).map_err(Box::new)?;
    Ok(Value::Bool(value.is_some_and(|value| !access::is_none(&value))))
}

fn slot_optional(slot: usize, context: &mut Context<'_, '_>) -> Eval<Value> {
    let value = context.scope.field(slot).map_err(Box::new)?;
    Ok(access::optional(value))
}

#[inline(never)]
fn select(field: &Field, context: &mut Context<'_, '_>) -> Eval<Value> {
    let operand = operand(&field.operand, context)?;
    access::field(&operand, &field.name, &field.key)
}

#[inline(never)]
fn has_field(field: &Field, context: &mut Context<'_, '_>) -> Eval<Value> {
    let operand = operand(&field.operand, context)?;
    access::has_field(&operand, &field.key).map(Value::Bool)
}

#[inline(never)]
fn optional_field(field: &Field, context: &mut Context<'_, '_>) -> Eval<Value> {
    let operand = operand(&field.operand, context)?;
    access::optional_field(&operand, &field.key)
}

#[inline(never)]
fn index(parts: &[Node; 2], context: &mut Context<'_, '_>) -> Eval<Value> {
    let container = operand(&parts[0], context)?;
    let index = operand(&parts[1], context)?;
    access::index(&container, &index)
}

#[inline(never)]
fn optional_index(parts: &[Node; 2], context: &mut Context<'_, '_>) -> Eval<Value> {
    let container = operand(&parts[0], context)?;
    let index = operand(&parts[1], context)?;
    access::optional_index(&container, &index)
}

#[inline(never)]
fn not(inner: &Node, context: &mut Context<'_, '_>) -> Eval<Value> {
    match eval(inner, context)? {
        Value::Bool(value) => Ok(Value::Bool(!value)),
        Value::Absent(_) => Ok(Value::Bool(true)),
        other => no_overload("!", &[&other]),
    }
}

#[inline(never)]
fn negate(inner: &Node, context: &mut Context<'_, '_>) -> Eval<Value> {
    operators::negate(&*operand(inner, context)?)
}

/// `&&` (decided by false) and `||` (decided by true): an operand that decides outweighs errors
/// of the others, whatever their order. What is absent counts as false, here and wherever a
/// condition stands.
#[inline(never)]
fn logic(operands: &[Node], decides: bool, context: &mut Context<'_, '_>) -> Eval<Value> {
    let mut error = None;
    for node in operands {
        match eval(node, context) {
            Ok(Value::Bool(value)) if value == decides => return Ok(Value::Bool(decides)),
            Ok(Value::Absent(_)) if !decides => return Ok(Value::Bool(false)),
            Ok(Value::Bool(_) | Value::Absent(_)) => {}
            Ok(other) => {
                error = error.or_else(|| Some(not_bool(decides, &other, node)));
            }
            Err(limit) if limit.reason == EVALUATION_LIMIT => return Err(limit),
            Err(first) => error = error.or(Some(first)),
        }
    }
    error.map_or(Ok(Value::Bool(!decides)), Err)
}

#[cold]
fn not_bool(decides: bool, value: &Value, node: &Node) -> Box<EvalError> {
    let symbol = if decides { "||" } else { "&&" };
    let message = format!("`{symbol}` takes bools, not {}", value.type_name());
    Box::new(EvalError::failed(message).at(node.offset as usize))
}

#[inline(never)]
fn conditional(parts: &[Node; 3], context: &mut Context<'_, '_>) -> Eval<Value> {
    match eval(&parts[0], context)? {
        Value::Bool(true) => eval(&parts[1], context),
        Value::Bool(false) | Value::Absent(_) => eval(&parts[2], context),
        other => no_overload("? :", &[&other]),
    }
}

#[inline(never)]
fn arithmetic(
    first: &Node,
    rest: &[(Arithmetic, Node)],
    context: &mut Context<'_, '_>,
) -> Eval<Value> {
    // The node has paid for the first operator.
    context.budget.spend(rest.len().saturating_sub(1))?;
    let mut left = operand(first, context)?;
    for (op, node) in rest {
        let right = operand(node, context)?;
        left = Operand::Owned(operators::arithmetic(*op, &left, &right, context.budget)?);
        if let Value::List(list) = &*left
            && list.depth() > VALUE_DEPTH_MAX
        {
            return too_deep();
        }
    }
    match left {
        Operand::Owned(value) => Ok(value),
        Operand::Constant(value) => Ok(value.clone()),
    }
}

#[inline(never)]
fn compare(op: Comparison, parts: &[Node; 2], context: &mut Context<'_, '_>) -> Eval<Value> {
    let left = operand(&parts[0], context)?;
    let right = operand(&parts[1], context)?;
    operators::compare(op, &left, &right, context.budget).map(Value::Bool)
}

#[inline(never)]
fn equal(wanted: bool, parts: &[Node; 2], context: &mut Context<'_, '_>) -> Eval<Value> {
    let left = operand(&parts[0], context)?;
    let right = operand(&parts[1], context)?;
    let equal = operators::equal(&left, &right, context.budget)?;
    Ok(Value::Bool(equal == wanted))
}

#[inline(never)]
fn is_in(parts: &[Node; 2], context: &mut Context<'_, '_>) -> Eval<Value> {
    let item = operand(&parts[0], context)?;
    let container = operand(&parts[1], context)?;
    operators::contains(&item, &container, context.budget).map(Value::Bool)
}

#[inline(never)]
fn call(
    function: functions::Function,
    args: &[Node],
    context: &mut Context<'_, '_>,
) -> Eval<Value> {
    let value = match args {
        [] => functions::call(function, &[], context.budget),
        [one] => {
            let one = [eval(one, context)?];
            functions::call(function, &one, context.budget)
        }
        [one, two] => {
            let two = [eval(one, context)?, eval(two, context)?];
            functions::call(function, &two, context.budget)
        }
        many => {
            let mut values = Vec::with_capacity(many.len());
            for node in many {
                values.push(eval(node, context)?);
            }
            functions::call(function, &values, context.budget)
        }
    };
    shallow(value?)
}

#[inline(never)]
fn matches_constant(matches: &Matches, context: &mut Context<'_, '_>) -> Eval<Value> {
    match &*operand(&matches.text, context)? {
        Value::String(text) => {
            functions::matches(text, &matches.pattern, context.budget).map(Value::Bool)
        }
        Value::Absent(_) => Ok(Value::Bool(false)),
        other => no_overload("matches", &[other]),
    }
}

/// Sets the variable of a macro.
pub(crate) fn set_local(index: usize, value: Value, context: &mut Context<'_, '_>) {
    if context.locals.len() <= index {
        context.locals.resize(index + 1, Value::Null);
    }
    context.locals[index] = value;
}

#[inline(never)]
fn bound(bind: &Bind, context: &mut Context<'_, '_>) -> Eval<Value> {
    let value = eval(&bind.value, context)?;
    set_local(bind.local, value, context);
    eval(&bind.body, context)
}
