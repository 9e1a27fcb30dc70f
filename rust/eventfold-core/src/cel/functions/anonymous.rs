//! What makes personal values less so: pseudonyms, and values that are told less exactly. Only
//! transforms have these functions, since what they give is no more taken for personal.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::Date;
use sha2::Sha256;

use crate::number::{Decimal, Rounding};
use crate::value::{Civil, Value};

use super::super::budget::Budget;
use super::super::error::Eval;
use super::super::operators::{failed, number_result};
use super::{Function, no_overload};

/// Bytes of the digest that a pseudonym shows: 22 characters, which do not meet by chance.
const PSEUDONYM_BYTES: usize = 16;

pub(super) fn call(function: Function, args: &[Value], budget: &mut Budget<'_>) -> Eval<Value> {
    match (function, args) {
        (Function::Pseudonym, [value, Value::String(purpose)]) => pseudonym(value, purpose, budget),
        (Function::GeneraliseDate, [value, Value::String(part)]) => date(value, part),
        (Function::GeneraliseRange, [value, Value::Int(width)]) => range(value, *width),
        (Function::GeneralisePrefix, [Value::String(text), Value::Int(kept)]) => {
            let Ok(kept) = usize::try_from(*kept) else {
                return failed("`generalise.prefix` keeps 0 characters or more");
            };
            budget.spend_bytes(text.len())?;
            Ok(Value::from(text.chars().take(kept).collect::<String>().as_str()))
        }
        _ => no_overload(function, args),
    }
}

/// The text of a value, keyed: the same for the same text, key and purpose.
fn pseudonym(value: &Value, purpose: &str, budget: &mut Budget<'_>) -> Eval<Value> {
    let text = match value {
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Decimal(number) => number.to_string(),
        other => return no_overload(Function::Pseudonym, std::slice::from_ref(other)),
    };
    budget.spend_bytes(text.len() + purpose.len())?;
    let Some(key) = budget.pseudonym_key() else {
        return failed("`pseudonym` needs a server with keys");
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return failed("`pseudonym` has no key");
    };
    // Where the purpose ends is told, so that no two pairs are one text.
    mac.update(&(purpose.len() as u64).to_be_bytes());
    mac.update(purpose.as_bytes());
    mac.update(text.as_bytes());
    let digest = mac.finalize().into_bytes();
    Ok(Value::from(URL_SAFE_NO_PAD.encode(&digest[..PSEUDONYM_BYTES]).as_str()))
}

/// A date, or the date of a point in time in UTC, up to a part.
fn date(value: &Value, part: &str) -> Eval<Value> {
    let (year, month, day) = match value {
        Value::Timestamp(time) => {
            let civil = Civil::new(*time, 0);
            (civil.year, civil.month, civil.day)
        }
        Value::String(text) => {
            // A date, alone or in front of a time.
            let read = text.get(..10).and_then(|date| date.parse::<Date>().ok());
            let rest = text.get(10..).unwrap_or_default();
            match read.filter(|_| rest.is_empty() || rest.starts_with(['T', 't', ' '])) {
                Some(date) => {
                    (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()))
                }
                None => return failed("`generalise.date` cannot read the date"),
            }
        }
        other => return no_overload(Function::GeneraliseDate, std::slice::from_ref(other)),
    };
    let text = match part {
        "year" => format!("{year:04}"),
        "quarter" => format!("{year:04}-Q{}", (month - 1) / 3 + 1),
        "month" => format!("{year:04}-{month:02}"),
        "day" => format!("{year:04}-{month:02}-{day:02}"),
        _ => return failed("`generalise.date` takes 'year', 'quarter', 'month' or 'day'"),
    };
    Ok(Value::from(text.as_str()))
}

/// The range of whole numbers of a width in which a number lies, such as `[30,40)`: the lower bound
/// is in it, a multiple of the width.
fn range(value: &Value, width: i64) -> Eval<Value> {
    if width < 1 {
        return failed("the ranges of `generalise.range` are 1 or wider");
    }
    let whole = match value {
        Value::Int(number) => Some(*number),
        Value::Uint(number) => i64::try_from(*number).ok(),
        Value::Decimal(number) => floor(number)?,
        Value::Double(_, Some(literal)) => floor(literal)?,
        other => return no_overload(Function::GeneraliseRange, std::slice::from_ref(other)),
    };
    let lower = whole.and_then(|number| number.checked_sub(number.rem_euclid(width)));
    match lower.and_then(|lower| lower.checked_add(width).map(|upper| (lower, upper))) {
        Some((lower, upper)) => Ok(Value::from(format!("[{lower},{upper})").as_str())),
        None => failed("`generalise.range` takes numbers of 64 bits"),
    }
}

fn floor(number: &Decimal) -> Eval<Option<i64>> {
    match number_result(number.round(0, Rounding::Floor))? {
        Value::Decimal(whole) => Ok(whole.to_i64()),
        Value::Int(whole) => Ok(Some(whole)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Function, call};
    use crate::cel::Budget;
    use crate::number::Decimal;
    use crate::value::{Absence, Value};

    fn given(function: Function, args: &[Value]) -> Result<String, String> {
        keyed(function, args, &[1; 32])
    }

    fn keyed(function: Function, args: &[Value], key: &[u8; 32]) -> Result<String, String> {
        let mut budget = Budget::default().with_pseudonym_key(Some(key));
        match call(function, args, &mut budget) {
            Ok(Value::String(text)) => Ok(text.to_string()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.message),
        }
    }

    #[test]
    fn pseudonyms_are_stable_by_key_purpose_and_text() {
        let of = |text: &str, purpose: &str| {
            given(Function::Pseudonym, &[Value::from(text), Value::from(purpose)]).unwrap()
        };
        // HMAC-SHA256 by Python's hmac module, shortened.
        assert_eq!(of("Ada", "mail"), "vFINLvUBiIBwd8haph82og");
        assert_ne!(of("Ada", "mail"), of("Ada", "name"));
        assert_ne!(of("xAda", "mail"), of("Ada", "mailx"));
        let number = given(Function::Pseudonym, &[Value::Int(7), Value::from("id")]).unwrap();
        assert_eq!(number, of("7", "id"));
        let args = [Value::from("Ada"), Value::from("mail")];
        assert_ne!(keyed(Function::Pseudonym, &args, &[2; 32]).unwrap(), of("Ada", "mail"));
        let refused = call(Function::Pseudonym, &args, &mut Budget::default()).unwrap_err();
        assert_eq!(refused.message, "`pseudonym` needs a server with keys");
    }

    #[test]
    fn dates_are_told_up_to_a_part() {
        let of = |text: &str, part: &str| {
            given(Function::GeneraliseDate, &[Value::from(text), Value::from(part)])
        };
        assert_eq!(of("1987-05-31", "year").unwrap(), "1987");
        assert_eq!(of("1987-05-31", "quarter").unwrap(), "1987-Q2");
        assert_eq!(of("1987-05-31T23:59:59Z", "month").unwrap(), "1987-05");
        assert_eq!(of("1987-05-31 10:00", "day").unwrap(), "1987-05-31");
        for wrong in ["31.5.1987", "1987-13-01", "1987-05-31x", "", "1987"] {
            assert!(of(wrong, "year").is_err(), "{wrong}");
        }
        assert!(of("1987-05-31", "hour").is_err());
    }

    #[test]
    fn numbers_are_told_as_ranges() {
        let of = |value: Value, width: i64| {
            given(Function::GeneraliseRange, &[value, Value::Int(width)])
        };
        assert_eq!(of(Value::Int(34), 10).unwrap(), "[30,40)");
        assert_eq!(of(Value::Int(-1), 10).unwrap(), "[-10,0)");
        assert_eq!(of(Value::Int(30), 10).unwrap(), "[30,40)");
        assert_eq!(
            of(Value::Decimal(Decimal::from_json("39.99").unwrap()), 10).unwrap(),
            "[30,40)"
        );
        assert!(of(Value::Int(1), 0).is_err());
        assert!(of(Value::Int(i64::MAX), 10).is_err());
    }

    #[test]
    fn texts_are_told_by_their_beginnings() {
        let of = |text: &str, kept: i64| {
            given(Function::GeneralisePrefix, &[Value::from(text), Value::Int(kept)])
        };
        assert_eq!(of("80331", 2).unwrap(), "80");
        assert_eq!(of("é1", 1).unwrap(), "é");
        assert_eq!(of("1", 9).unwrap(), "1");
        assert!(of("1", -1).is_err());
    }

    #[test]
    fn what_is_absent_stays_so() {
        let args = [Value::Absent(Absence::Erased), Value::from("mail")];
        let value = call(Function::Pseudonym, &args, &mut Budget::default()).unwrap();
        assert_eq!(value.absence(), Some(Absence::Erased));
    }
}
