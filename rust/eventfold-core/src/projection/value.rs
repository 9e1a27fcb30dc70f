//! Values of expressions as values of columns. They fit exactly, or not at all: nothing is rounded,
//! cut or guessed, so that what the table holds is what the fold says.

use std::fmt::Write as _;

use crate::envelope::{parse_uuid, uuid_text};
use crate::json::absent::without_absent;
use crate::json::write::{to_json_value, write_value};
use crate::limits::PROJECTION_NUMBER_CHARS_MAX;
use crate::number::Decimal;
use crate::value::{List, Timestamp, TypeValue, Value};

use super::column::ColumnType;

/// Digits before the point that an unbounded `numeric` has room for.
const NUMERIC_WHOLE_DIGITS_MAX: u64 = 131_072;
/// Digits behind the point.
const NUMERIC_FRACTION_DIGITS_MAX: u64 = 16_383;
const SECONDS_PER_DAY: i64 = 86_400;

/// How large a value is; both at least, and hardly more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Bytes of its JSON text in an answer.
    pub(super) json: usize,
    /// Bytes that it takes in an index.
    pub(super) indexed: usize,
}

impl Size {
    fn fixed(json: usize) -> Self {
        Self { json, indexed: 16 }
    }
}

/// What a value comes to; an error says what is wrong with it, and never the value.
type Written = Result<Option<Size>, String>;

impl ColumnType {
    /// Whether values of that type can fit.
    pub(super) fn may_hold(self, kind: TypeValue) -> bool {
        use TypeValue::{Bool, Decimal, Double, Int, List, Null, Optional, String, Type, Uint};
        match kind {
            Null | Optional => return true,
            Type => return false,
            _ => {}
        }
        match self {
            Self::Text | Self::Uuid => kind == String,
            Self::Boolean => kind == Bool,
            Self::Integer
            | Self::Bigint
            | Self::Numeric
            | Self::NumericOf { .. }
            | Self::DoublePrecision => matches!(kind, Int | Uint | Decimal | Double),
            Self::Date | Self::Timestamptz => matches!(kind, String | TypeValue::Timestamp),
            Self::Jsonb => true,
            Self::TextArray => kind == List,
        }
    }

    /// Writes the text that PostgreSQL casts to exactly this value, behind what `out` holds;
    /// `None`: there is no value, and the column is NULL.
    pub(super) fn write(self, value: &Value, out: &mut String) -> Written {
        let value = match value {
            Value::Null | Value::Optional(None) | Value::Absent(_) => return Ok(None),
            Value::Optional(Some(inner)) => return self.write(inner, out),
            value => value,
        };
        match self {
            Self::Text => text(value, out),
            Self::Boolean => match value {
                Value::Bool(value) => {
                    out.push_str(if *value { "true" } else { "false" });
                    Ok(Some(Size::fixed(5)))
                }
                other => Err(self.unfit(other)),
            },
            Self::Integer => self.int(value, i64::from(i32::MIN)..=i64::from(i32::MAX), out),
            Self::Bigint => self.int(value, i64::MIN..=i64::MAX, out),
            Self::Numeric | Self::NumericOf { .. } => self.numeric(value, out),
            Self::DoublePrecision => self.double(value, out),
            Self::Date => self.date(value, out),
            Self::Timestamptz => self.time(value, out),
            Self::Uuid => match value {
                Value::String(text) => match parse_uuid(text) {
                    Some(uuid) => {
                        out.push_str(&uuid_text(&uuid));
                        Ok(Some(Size::fixed(38)))
                    }
                    None => Err("the text is not a uuid".to_owned()),
                },
                other => Err(self.unfit(other)),
            },
            Self::Jsonb => json(value, out),
            Self::TextArray => match value {
                Value::List(list) => texts(list, out),
                other => Err(self.unfit(other)),
            },
        }
    }

    fn unfit(self, value: &Value) -> String {
        format!("a {} does not fit the type {self}", value.type_name())
    }

    fn int(self, value: &Value, range: std::ops::RangeInclusive<i64>, out: &mut String) -> Written {
        let int = match value {
            Value::Int(value) => Some(*value),
            Value::Uint(value) => i64::try_from(*value).ok(),
            other => {
                let decimal = self.decimal(other)?;
                if !decimal.is_whole() {
                    return Err(format!("a number with a fraction does not fit the type {self}"));
                }
                decimal.to_i64()
            }
        };
        match int.filter(|int| range.contains(int)) {
            Some(int) => {
                // Writing to memory cannot fail.
                let _ = write!(out, "{int}");
                Ok(Some(Size::fixed(20)))
            }
            None => Err(format!("the number is out of the range of {self}")),
        }
    }

    /// The decimal that a number stands for: a double for its shortest spelling, as in states.
    fn decimal(self, value: &Value) -> Result<Decimal, String> {
        match value {
            Value::Int(value) => Ok(Decimal::from_i64(*value)),
            Value::Uint(value) => Ok(Decimal::from_u64(*value)),
            Value::Decimal(decimal) => Ok(decimal.clone()),
            Value::Double(_, Some(decimal)) => Ok((**decimal).clone()),
            Value::Double(double, None) => {
                Decimal::from_f64(*double).ok_or_else(|| format!("{NOT_FINITE} the type {self}"))
            }
            other => Err(self.unfit(other)),
        }
    }

    fn numeric(self, value: &Value, out: &mut String) -> Written {
        if let (Self::Numeric, Value::Int(int)) = (self, value) {
            let _ = write!(out, "{int}");
            return Ok(Some(Size::fixed(20)));
        }
        let decimal = self.decimal(value)?;
        let chars = number_chars(&decimal)
            .ok_or_else(|| format!("the number has more digits than fit the type {self}"))?;
        if let Self::NumericOf { precision, scale } = self {
            let (whole, fraction) = decimal.places().unwrap_or((u64::MAX, 0));
            if fraction > u64::from(scale) {
                return Err(format!("the number has more than {scale} digits behind the point"));
            }
            if whole > u64::from(precision - scale) {
                let room = precision - scale;
                return Err(format!("the number has more than {room} digits before the point"));
            }
        }
        let start = out.len();
        let _ = write!(out, "{decimal}");
        Ok(Some(Size { json: chars, indexed: out.len() - start + 12 }))
    }

    /// A number fits if it is the shortest spelling of a double, as 0.1 is.
    fn double(self, value: &Value, out: &mut String) -> Written {
        let double = match value {
            Value::Double(double, None) if double.is_finite() => *double,
            other => {
                let decimal = self.decimal(other)?;
                let double = decimal.to_f64();
                if Decimal::from_f64(double).is_none_or(|nearest| nearest != decimal) {
                    return Err(format!(
                        "the number is not one that the type {self} holds exactly"
                    ));
                }
                double
            }
        };
        // There is no minus zero among the numbers of states.
        let _ = write!(out, "{:?}", double + 0.0);
        Ok(Some(Size::fixed(24)))
    }

    fn date(self, value: &Value, out: &mut String) -> Written {
        const DATE_CHARS: usize = 10;
        let time = match value {
            Value::Timestamp(time) => Some(*time),
            Value::String(text) if text.len() == DATE_CHARS => {
                Timestamp::parse(&format!("{text}T00:00:00Z"))
            }
            Value::String(text) => Timestamp::parse(text),
            other => return Err(self.unfit(other)),
        };
        let Some(time) = time else {
            return Err("the text is not a date of the form YYYY-MM-DD".to_owned());
        };
        if time.nanos() != 0 || time.seconds().rem_euclid(SECONDS_PER_DAY) != 0 {
            return Err("the time is not midnight in UTC, and so no date".to_owned());
        }
        let start = out.len();
        let _ = write!(out, "{time}");
        out.truncate(start + DATE_CHARS);
        Ok(Some(Size::fixed(12)))
    }

    fn time(self, value: &Value, out: &mut String) -> Written {
        let time = match value {
            Value::Timestamp(time) => *time,
            Value::String(text) => Timestamp::parse(text)
                .ok_or_else(|| "the text is not a time as RFC 3339 writes it".to_owned())?,
            other => return Err(self.unfit(other)),
        };
        if !time.nanos().is_multiple_of(1_000) {
            return Err(format!("the time is finer than the microseconds of {self}"));
        }
        let _ = write!(out, "{time}");
        Ok(Some(Size::fixed(40)))
    }
}

const NOT_FINITE: &str = "NaN and infinities do not fit";
const HAS_NUL: &str = "the text holds a NUL character, which PostgreSQL does not store";

fn text(value: &Value, out: &mut String) -> Written {
    match value {
        Value::String(text) => {
            if text.contains('\0') {
                return Err(HAS_NUL.to_owned());
            }
            out.push_str(text);
            Ok(Some(Size { json: json_bytes(text), indexed: text.len() + 4 }))
        }
        other => Err(ColumnType::Text.unfit(other)),
    }
}

/// The literal of an array: every item in quotes, so that none is taken for NULL or white space.
fn texts(list: &List, out: &mut String) -> Written {
    // A header, and for each item its length and what aligns the next.
    let mut size = Size { json: 2, indexed: 24 };
    out.push('{');
    // Of a text that is absent there is nothing to list.
    for (index, item) in list.iter().filter(|item| item.absence().is_none()).enumerate() {
        let Value::String(text) = item else {
            return Err(format!("an item is a {}, not a string", item.type_name()));
        };
        if text.contains('\0') {
            return Err(HAS_NUL.to_owned());
        }
        out.push_str(if index == 0 { "\"" } else { ",\"" });
        for part in text.split_inclusive(['"', '\\']) {
            match part.strip_suffix(['"', '\\']) {
                None => out.push_str(part),
                Some(before) => {
                    out.push_str(before);
                    out.push('\\');
                    out.push_str(&part[before.len()..]);
                }
            }
        }
        out.push('"');
        size.json += json_bytes(text) + 2;
        size.indexed += text.len() + 8;
    }
    out.push('}');
    Ok(Some(size))
}

fn json(value: &Value, out: &mut String) -> Written {
    let value = to_json_value(value.clone()).map_err(|error| error.message)?;
    let mut bytes = Vec::new();
    write_value(&value, &mut bytes).map_err(|error| error.message)?;
    if let Some(shown) = without_absent(&bytes) {
        bytes = shown.text;
    }
    let json = bytes.len() + check_json(&value)?;
    // Texts of JSON are UTF-8, and what they come from is.
    out.push_str(&String::from_utf8(bytes).map_err(|_| "the text is not UTF-8".to_owned())?);
    Ok(Some(Size { json, indexed: json }))
}

/// Refuses what JSON can say and PostgreSQL's cannot; returns by how much numbers and separators
/// grow when it writes them. Recursion is bounded by the depth of JSON values.
fn check_json(value: &Value) -> Result<usize, String> {
    match value {
        Value::Decimal(decimal) => number_chars(decimal)
            .ok_or_else(|| "a number has more digits than fit the type jsonb".to_owned()),
        Value::String(text) if text.contains('\0') => Err(HAS_NUL.to_owned()),
        Value::List(list) => {
            list.iter().try_fold(list.len(), |sum, item| Ok(sum + check_json(item)?))
        }
        Value::Map(map) => map.iter().try_fold(map.len() * 2, |sum, (key, item)| {
            if key.to_text().contains('\0') {
                return Err(HAS_NUL.to_owned());
            }
            Ok(sum + check_json(item)?)
        }),
        _ => Ok(0),
    }
}

/// The length of a number as PostgreSQL writes it; `None` if it has no room for it.
fn number_chars(decimal: &Decimal) -> Option<usize> {
    let written = decimal.written_bytes();
    let (whole, fraction) = decimal.places()?;
    let fits = written <= PROJECTION_NUMBER_CHARS_MAX
        && whole <= NUMERIC_WHOLE_DIGITS_MAX
        && fraction <= NUMERIC_FRACTION_DIGITS_MAX;
    // A sign, a zero before the point, and the point.
    fits.then(|| written.max((whole + fraction) as usize + 3))
}

/// Bytes of the JSON text of a string.
fn json_bytes(text: &str) -> usize {
    crate::fold::size::Sizer::default().text(text)
}
