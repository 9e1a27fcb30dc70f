//! Values as parameters of a statement: texts that PostgreSQL casts to the type of the column that
//! they meet.

use crate::value::Timestamp;

use super::super::ColumnType;
use super::constant::{Constant, Day};

/// A parameter: a text, or an array of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// `text`
    Text(String),
    /// `text[]`
    Texts(Vec<String>),
}

/// The parameters of a statement, numbered in the order in which they are added.
#[derive(Debug)]
pub struct Parameters {
    first: usize,
    values: Vec<Parameter>,
}

impl Parameters {
    pub(super) fn from(first: usize) -> Self {
        Self { first, values: Vec::new() }
    }

    /// SQL for a value.
    pub(super) fn value(&mut self, fitted: Fitted) -> String {
        let number = self.push(Parameter::Text(fitted.text));
        match fitted.cast {
            "text" => format!("${number}::text"),
            cast => format!("${number}::text::{cast}"),
        }
    }

    /// SQL for an array of values that are cast alike.
    pub(super) fn values(&mut self, texts: Vec<String>, cast: &str) -> String {
        let number = self.push(Parameter::Texts(texts));
        format!("${number}::text[]::{cast}[]")
    }

    pub(super) fn into_values(self) -> Vec<Parameter> {
        self.values
    }

    fn push(&mut self, parameter: Parameter) -> usize {
        self.values.push(parameter);
        self.first + self.values.len() - 1
    }
}

/// A value that fits a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) text: String,
    /// The type to cast it to: that of the column, so that an index serves; or a wider one where
    /// the column's cannot hold it.
    pub(super) cast: &'static str,
}

/// Why a value does not fit, and what would.
pub(super) type Misfit = (&'static str, &'static str);

const NUMERIC: &str = "numeric";

/// The value as one of a column of this type.
pub(super) fn fit(constant: &Constant, kind: ColumnType) -> Result<Fitted, Misfit> {
    use ColumnType as T;
    let fitted = |text: String, cast| Ok(Fitted { text, cast });
    match (kind, constant) {
        (T::Text, Constant::Text(text)) if text.contains('\0') => {
            Err(("no text has a NUL in it", "leave it out"))
        }
        (T::Text, Constant::Text(text)) => fitted(text.to_string(), "text"),
        (T::Text, _) => Err(("a text is compared with texts", "write it in quotes: 'text'")),
        (T::Boolean, Constant::Bool(value)) => fitted(value.to_string(), "boolean"),
        (T::Boolean, _) => Err(("a boolean is true or false", "write true or false")),
        (T::Integer, Constant::Number(text)) => fitted(text.clone(), whole::<i32>(text, "integer")),
        (T::Bigint, Constant::Number(text)) => fitted(text.clone(), whole::<i64>(text, "bigint")),
        (T::Numeric | T::NumericOf { .. }, Constant::Number(text)) => fitted(text.clone(), NUMERIC),
        (T::DoublePrecision, Constant::Number(text)) => double(text),
        (T::Integer | T::Bigint | T::Numeric | T::NumericOf { .. } | T::DoublePrecision, _) => {
            Err(("a number is compared with numbers", "write it without quotes: 18"))
        }
        (T::Date, Constant::Day(day)) => fitted(day.text(), "date"),
        (T::Date, Constant::Text(text)) => {
            Day::parse(text).map(|day| Fitted { text: day.text(), cast: "date" }).ok_or(NO_DATE)
        }
        (T::Date, _) => Err(NO_DATE),
        (T::Timestamptz, Constant::Time(time)) => timestamp(*time),
        (T::Timestamptz, Constant::Day(day)) => timestamp(day.midnight()),
        (T::Timestamptz, Constant::Text(text)) => {
            Timestamp::parse(text).ok_or(NO_TIME).and_then(timestamp)
        }
        (T::Timestamptz, _) => Err(NO_TIME),
        (T::Uuid, Constant::Text(text)) => uuid(text),
        (T::Uuid, _) => Err(NO_UUID),
        (T::Jsonb, _) => {
            Err(("a jsonb column is compared with null only", "give what is asked for a column"))
        }
        (T::TextArray, _) => Err((
            "a text[] column is compared with null only",
            "write 'text' in it, with the column on the right",
        )),
    }
}

const NO_DATE: Misfit = (
    "a date is compared with dates",
    "write 'YYYY-MM-DD', today, days_before(today, 7) or years_before(today, 18)",
);
const NO_TIME: Misfit =
    ("a time is compared with times", "write '2024-02-29T12:00:00Z', now or days_before(now, 7)");
const NO_UUID: Misfit =
    ("a uuid is compared with uuids", "write 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'");

/// The column's own type, if that holds the number.
fn whole<T: std::str::FromStr>(text: &str, own: &'static str) -> &'static str {
    if text.parse::<T>().is_ok() { own } else { NUMERIC }
}

/// The double next to the number.
fn double(text: &str) -> Result<Fitted, Misfit> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => {
            Ok(Fitted { text: format!("{value:e}"), cast: "double precision" })
        }
        _ => Err(("the number is out of the range of doubles", "write a smaller one")),
    }
}

fn timestamp(time: Timestamp) -> Result<Fitted, Misfit> {
    if !time.nanos().is_multiple_of(1_000) {
        let problem = "times are whole microseconds";
        return Err((problem, "write at most six digits behind the point"));
    }
    Ok(Fitted { text: time.to_string(), cast: "timestamptz" })
}

fn uuid(text: &str) -> Result<Fitted, Misfit> {
    let is_canonical = text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if !is_canonical {
        return Err(NO_UUID);
    }
    Ok(Fitted { text: text.to_ascii_lowercase(), cast: "uuid" })
}
