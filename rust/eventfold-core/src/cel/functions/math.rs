//! Functions on numbers.

use std::cmp::Ordering;

use crate::number::{Decimal, Rounding};
use crate::value::{Absence, Value};

use super::super::budget::Budget;
use super::super::error::Eval;
use super::super::operators::{failed, is_number, number_result, order, overflow};
use super::{Function, no_overload};

pub(super) fn call(function: Function, args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    match (function, args) {
        (Function::Greatest, args) => extreme(function, args, Ordering::Greater, budget),
        (Function::Least, args) => extreme(function, args, Ordering::Less, budget),
        (Function::Round, [value, Value::Int(places)]) => {
            round_to(function, value, *places, Rounding::HalfEven)
        }
        (Function::RoundHalfUp, [value, Value::Int(places)]) => {
            round_to(function, value, *places, Rounding::HalfUp)
        }
        (Function::Abs | Function::Sign, [value]) => signs(function, value),
        (
            Function::Ceil | Function::Floor | Function::MathRound | Function::Trunc,
            [Value::Double(value, _)],
        ) => Ok(Value::double(rounded(function, *value))),
        (Function::Ceil, [Value::Decimal(value)]) => whole(value, Rounding::Ceiling),
        (Function::Floor, [Value::Decimal(value)]) => whole(value, Rounding::Floor),
        (Function::MathRound, [Value::Decimal(value)]) => whole(value, Rounding::HalfUp),
        (Function::Trunc, [Value::Decimal(value)]) => whole(value, Rounding::Down),
        (Function::IsNaN, [Value::Double(value, _)]) => Ok(Value::Bool(value.is_nan())),
        (Function::IsInf, [Value::Double(value, _)]) => Ok(Value::Bool(value.is_infinite())),
        (Function::IsFinite, [Value::Double(value, _)]) => Ok(Value::Bool(value.is_finite())),
        (Function::IsNaN | Function::IsInf, [Value::Decimal(_)]) => Ok(Value::Bool(false)),
        (Function::IsFinite, [Value::Decimal(_)]) => Ok(Value::Bool(true)),
        (Function::Sqrt, [value]) => match value {
            Value::Double(value, _) => Ok(Value::double(value.sqrt())),
            Value::Int(value) => Ok(Value::double((*value as f64).sqrt())),
            Value::Uint(value) => Ok(Value::double((*value as f64).sqrt())),
            Value::Decimal(value) => Ok(Value::double(value.to_f64().sqrt())),
            _ => no_overload(function, args),
        },
        _ => bits(function, args),
    }
}

/// The items of a list; of another value nothing.
fn items_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_list().into_iter().flat_map(|list| list.iter())
}

/// The greatest or least of the arguments, or of the items of the only one.
fn extreme(
    function: Function,
    args: &[Value],
    wanted: Ordering,
    budget: &mut Budget<'_>,
) -> Eval<Value> {
    let items: Vec<&Value> = match args {
        [Value::List(list)] => {
            budget.spend(list.len())?;
            list.iter().collect()
        }
        args => args.iter().collect(),
    };
    let mut best: Option<&Value> = None;
    for item in items {
        if !is_number(item) {
            // Items of a list are arguments in all but form.
            if let Some(absence) = Absence::among(args.iter().flat_map(items_of)) {
                return Ok(Value::Absent(absence));
            }
            return failed(format!(
                "`{}` takes numbers, not {}",
                function.name(),
                item.type_name()
            ));
        }
        best = Some(match best {
            Some(best) if order(function.name(), item, best, budget)? != Some(wanted) => best,
            _ => item,
        });
    }
    match best {
        Some(best) => Ok(best.clone()),
        None => failed(format!("`{}` of an empty list", function.name())),
    }
}

fn rounded(function: Function, value: f64) -> f64 {
    match function {
        Function::Ceil => value.ceil(),
        Function::Floor => value.floor(),
        Function::MathRound => value.round(),
        _ => value.trunc(),
    }
}

fn whole(value: &Decimal, rounding: Rounding) -> Eval<Value> {
    number_result(value.round(0, rounding))
}

fn round_to(function: Function, value: &Value, places: i64, rounding: Rounding) -> Eval<Value> {
    let decimal = match value {
        Value::Decimal(value) => value.clone(),
        Value::Int(value) => Decimal::from_i64(*value),
        Value::Uint(value) => Decimal::from_u64(*value),
        Value::Double(_, Some(literal)) => (**literal).clone(),
        Value::Double(..) => {
            return failed(format!(
                "`{}` takes exact numbers: write decimal(..) around the double",
                function.name()
            ));
        }
        other => return no_overload(function, &[other.clone(), Value::Int(places)]),
    };
    number_result(decimal.round(places, rounding))
}

fn signs(function: Function, value: &Value) -> Eval<Value> {
    let abs = function == Function::Abs;
    match value {
        Value::Int(value) if abs => {
            value.checked_abs().map(Value::Int).ok_or_else(|| overflow("int"))
        }
        Value::Int(value) => Ok(Value::Int(value.signum())),
        Value::Uint(value) if abs => Ok(Value::Uint(*value)),
        Value::Uint(value) => Ok(Value::Uint(u64::from(*value > 0))),
        Value::Double(value, _) if abs => Ok(Value::double(value.abs())),
        Value::Double(value, _) if *value == 0.0 || value.is_nan() => Ok(Value::double(*value)),
        Value::Double(value, _) => Ok(Value::double(value.signum())),
        Value::Decimal(value) if abs && value.sign() < 0 => number_result(value.checked_neg()),
        Value::Decimal(_) if abs => Ok(value.clone()),
        Value::Decimal(value) => Ok(Value::Decimal(Decimal::from_i64(value.sign()))),
        other => no_overload(function, std::slice::from_ref(other)),
    }
}

fn bits(function: Function, args: &[Value]) -> Eval<Value> {
    Ok(match (function, args) {
        (Function::BitNot, [Value::Int(value)]) => Value::Int(!value),
        (Function::BitNot, [Value::Uint(value)]) => Value::Uint(!value),
        (Function::BitAnd, [Value::Int(left), Value::Int(right)]) => Value::Int(left & right),
        (Function::BitAnd, [Value::Uint(left), Value::Uint(right)]) => Value::Uint(left & right),
        (Function::BitOr, [Value::Int(left), Value::Int(right)]) => Value::Int(left | right),
        (Function::BitOr, [Value::Uint(left), Value::Uint(right)]) => Value::Uint(left | right),
        (Function::BitXor, [Value::Int(left), Value::Int(right)]) => Value::Int(left ^ right),
        (Function::BitXor, [Value::Uint(left), Value::Uint(right)]) => Value::Uint(left ^ right),
        (Function::BitShiftLeft, [Value::Int(value), Value::Int(by)]) => {
            Value::Int(shifted(value.cast_unsigned(), *by, u64::checked_shl)?.cast_signed())
        }
        (Function::BitShiftLeft, [Value::Uint(value), Value::Int(by)]) => {
            Value::Uint(shifted(*value, *by, u64::checked_shl)?)
        }
        // The sign is a bit like the others, as in CEL.
        (Function::BitShiftRight, [Value::Int(value), Value::Int(by)]) => {
            Value::Int(shifted(value.cast_unsigned(), *by, u64::checked_shr)?.cast_signed())
        }
        (Function::BitShiftRight, [Value::Uint(value), Value::Int(by)]) => {
            Value::Uint(shifted(*value, *by, u64::checked_shr)?)
        }
        _ => return no_overload(function, args),
    })
}

fn shifted(value: u64, by: i64, shift: impl Fn(u64, u32) -> Option<u64>) -> Eval<u64> {
    if by < 0 {
        return failed("a shift by a negative number of bits");
    }
    Ok(u32::try_from(by).ok().and_then(|by| shift(value, by)).unwrap_or(0))
}
