//! What functions make of values that are absent.

use crate::value::{Absence, Value};

use super::Function;
use super::table::Result;

/// What follows from the arguments of a function to what it gives: the absence of a value, and
/// the mark of one that is personal, which are mirror images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// What is made of an absent value is absent.
    Value,
    /// A truth value tells at most whether something is so: an absent value is not.
    Truth,
    /// A size tells how much there is: of an absent value nothing.
    Size,
    /// It takes absent values as any others, and passes them on inside of what it gives.
    Moves,
    /// It takes absent values as any others, and says something about them.
    Tells,
    /// What is made of an absent value is absent, and what is made of a personal one is not
    /// personal any more.
    Anonymises,
}

/// What follows from the arguments of a function.
pub(crate) fn follow(function: Function) -> Follow {
    match function {
        Function::Size => Follow::Size,
        Function::Dyn | Function::OptionalOf | Function::OptionalOfNonZero => Follow::Moves,
        Function::Type | Function::Erased | Function::Withheld => Follow::Tells,
        other if other.anonymises() => Follow::Anonymises,
        other => match other.result() {
            Result::Bool => Follow::Truth,
            _ => Follow::Value,
        },
    }
}

/// What a function gives for arguments of which one is absent; `None`: it is to be called.
#[inline]
pub(super) fn result(function: Function, args: &[Value]) -> Option<Value> {
    Absence::among(args).and_then(|absence| of(function, absence))
}

#[cold]
fn of(function: Function, absence: Absence) -> Option<Value> {
    match follow(function) {
        Follow::Value | Follow::Anonymises => Some(Value::Absent(absence)),
        Follow::Truth => Some(Value::Bool(false)),
        Follow::Size => Some(Value::Int(0)),
        Follow::Moves | Follow::Tells => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Function, call};
    use super::{Follow, follow};
    use crate::cel::Budget;
    use crate::value::{Absence, Value};

    const TRUTHS: &str = "startsWith endsWith contains matches bool hasValue math.isNaN math.isInf \
        math.isFinite";
    const SIZES: &str = "size";
    const MOVES: &str = "dyn optional.of optional.ofNonZeroValue";
    const TELLS: &str = "type erased withheld";
    const ANONYMISES: &str = "pseudonym generalise.date generalise.range generalise.prefix";
    /// Takes nothing that could be absent.
    const NONE: &str = "optional.none";
    const VALUES: &str = "int uint double decimal string bytes timestamp duration round \
        roundHalfUp charAt indexOf lastIndexOf lowerAscii upperAscii replace split substring trim \
        join reverse format strings.quote math.greatest math.least math.ceil math.floor math.round \
        math.trunc math.abs math.sign math.sqrt math.bitAnd math.bitOr math.bitXor math.bitNot \
        math.bitShiftLeft math.bitShiftRight flatten slice sort distinct lists.range first last \
        base64.encode base64.decode optional.unwrap unwrapOpt value getFullYear getMonth getDate \
        getDayOfMonth getDayOfYear getDayOfWeek getHours getMinutes getSeconds getMilliseconds";

    fn expected(function: Function) -> Vec<Follow> {
        let lists = [
            (TRUTHS, Follow::Truth),
            (SIZES, Follow::Size),
            (MOVES, Follow::Moves),
            (TELLS, Follow::Tells),
            (ANONYMISES, Follow::Anonymises),
            (NONE, Follow::Value),
            (VALUES, Follow::Value),
        ];
        let stands = |(names, _): &(&str, Follow)| {
            names.split_whitespace().any(|name| name == function.name())
        };
        lists.into_iter().filter(stands).map(|(_, follow)| follow).collect()
    }

    /// Whoever adds a function says here what it makes of what is absent.
    #[test]
    fn every_function_stands_in_one_list() {
        for function in Function::ALL {
            assert_eq!(expected(*function), [follow(*function)], "{}", function.name());
        }
    }

    /// Whatever the other arguments are, and whichever one is absent, there is no error.
    #[test]
    fn no_function_fails_for_what_is_absent() {
        let others = [Value::Null, Value::Int(-1), Value::from("x"), Value::list(vec![])];
        for function in Function::ALL {
            for count in (1..=4).filter(|count| function.takes(*count)) {
                for place in 0..count {
                    for other in &others {
                        let mut args = vec![other.clone(); count];
                        args[place] = Value::Absent(Absence::Withheld);
                        check(*function, &args);
                    }
                }
            }
        }
    }

    fn check(function: Function, args: &[Value]) {
        let name = function.name();
        let value = call(function, args, &mut Budget::default());
        let value = value.unwrap_or_else(|error| panic!("{name}: {}", error.message));
        let fits = match follow(function) {
            Follow::Value | Follow::Anonymises => value.absence() == Some(Absence::Withheld),
            Follow::Truth => matches!(value, Value::Bool(false)),
            Follow::Size => matches!(value, Value::Int(0)),
            Follow::Moves => value.absence_within() == Some(Absence::Withheld),
            Follow::Tells => value.absence_within().is_none(),
        };
        assert!(fits, "{name}: {value:?}");
    }
}
