//! The functions that expressions call.

mod absent;
mod anonymous;
mod convert;
mod core;
mod format;
mod lists;
mod math;
mod strings;
mod table;
mod times;

use crate::value::Value;

use super::budget::Budget;
use super::error::Eval;

pub(crate) use self::core::{compile_pattern, matches};
pub(crate) use absent::{Follow, follow};
pub(crate) use table::{Found, Function, find, is_namespace, result_type};

/// Calls a function with its arguments, the receiver first.
pub(crate) fn call(function: Function, args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    match absent::result(function, args) {
        Some(value) => Ok(value),
        None => apply(function, args, budget),
    }
}

fn apply(function: Function, args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    match function {
        Function::Size
        | Function::Contains
        | Function::StartsWith
        | Function::EndsWith
        | Function::Matches
        | Function::Type
        | Function::Dyn
        | Function::Erased
        | Function::Withheld
        | Function::OptionalNone
        | Function::OptionalOf
        | Function::OptionalOfNonZero
        | Function::OptionalUnwrap
        | Function::OptionalUnwrapMember
        | Function::HasValue
        | Function::OptionalValue
        | Function::Base64Encode
        | Function::Base64Decode => core::call(function, args, budget),
        Function::Bool
        | Function::Int
        | Function::Uint
        | Function::Double
        | Function::Decimal
        | Function::String
        | Function::Bytes
        | Function::Timestamp
        | Function::Duration => convert::call(function, args, budget),
        Function::CharAt
        | Function::IndexOf
        | Function::LastIndexOf
        | Function::LowerAscii
        | Function::UpperAscii
        | Function::Replace
        | Function::Split
        | Function::Substring
        | Function::Trim
        | Function::Join
        | Function::Quote => strings::call(function, args, budget),
        Function::Reverse => match args {
            [Value::String(_)] => strings::call(function, args, budget),
            _ => lists::call(function, args, budget),
        },
        Function::Format => format::call(args, budget),
        Function::Flatten
        | Function::Slice
        | Function::Sort
        | Function::Distinct
        | Function::Range
        | Function::First
        | Function::Last => lists::call(function, args, budget),
        Function::GetFullYear
        | Function::GetMonth
        | Function::GetDate
        | Function::GetDayOfMonth
        | Function::GetDayOfYear
        | Function::GetDayOfWeek
        | Function::GetHours
        | Function::GetMinutes
        | Function::GetSeconds
        | Function::GetMilliseconds => times::call(function, args),
        Function::Pseudonym
        | Function::GeneraliseDate
        | Function::GeneraliseRange
        | Function::GeneralisePrefix => anonymous::call(function, args, budget),
        _ => math::call(function, args, budget),
    }
}

/// The error of a function that does not take these arguments.
fn no_overload(function: Function, args: &[Value]) -> Eval<Value> {
    let args: Vec<&Value> = args.iter().collect();
    super::operators::no_overload(function.name(), &args)
}
