//! Values that a filter writes or names: literals, `now`, `today`, and what is computed of them.
//!
//! Whatever names no column is evaluated as any expression; days of the calendar, which
//! expressions do not have, are added here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cel::ast::{Expr, Kind, Span};
use crate::cel::{self, Ast, Budget, CelError, Env, MapScope, StaticType};
use crate::limits::QUERY_STEPS_MAX;
use crate::value::{Civil, Timestamp, TypeValue, Value};

/// What evaluates values: what `now` is, and steps that are left to all of a filter.
#[derive(Debug)]
pub(super) struct Evaluator {
    now: Timestamp,
    budget: Budget<'static>,
}

/// A day of the calendar, as its midnight in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day(Timestamp);

/// A value without a column.
#[derive(Debug, Clone)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    /// The text of a number.
    Number(String),
    Text(Arc<str>),
    Day(Day),
    Time(Timestamp),
}

type Parsed<T> = Result<T, Box<CelError>>;

const SECONDS_PER_DAY: i64 = 86_400;
const NOW: &str = "now";
const TODAY: &str = "today";
/// Every span of time within the years 1 to 9999 has fewer days.
const DAYS_MAX: i64 = 3_652_059;
const YEARS_MAX: i64 = 9_998;

impl Day {
    /// The day of a text `YYYY-MM-DD`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        (text.len() == 10).then(|| Timestamp::parse(&format!("{text}T00:00:00Z")).map(Self))?
    }

    pub(super) fn midnight(self) -> Timestamp {
        self.0
    }

    /// The text `YYYY-MM-DD`.
    pub(super) fn text(self) -> String {
        self.0.to_string()[..10].to_owned()
    }
}

impl Evaluator {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, budget: Budget::new(QUERY_STEPS_MAX) }
    }

    /// The value of an expression that names no column.
    pub(super) fn constant(&mut self, expr: &Expr) -> Parsed<Constant> {
        match &expr.kind {
            Kind::Ident { name, absolute: false } if **name == *TODAY => {
                self.today().map(Constant::Day).ok_or_else(|| out_of_range(expr.span))
            }
            Kind::Call { target: None, function, args } => match &**function {
                "date" => self.date(expr.span, args),
                "days_before" => self.before(expr, args, DAYS_MAX, days_before),
                "years_before" => self.before(expr, args, YEARS_MAX, years_before),
                _ => self.evaluated(expr),
            },
            _ => self.evaluated(expr),
        }
    }

    /// The day of `now` in UTC.
    fn today(&self) -> Option<Day> {
        let seconds = self.now.seconds();
        Timestamp::new(seconds - seconds.rem_euclid(SECONDS_PER_DAY), 0).map(Day)
    }

    fn date(&mut self, span: Span, args: &[Expr]) -> Parsed<Constant> {
        let [argument] = args else {
            return Err(
                CelError::within(span, "`date` takes one text").hint("write date('YYYY-MM-DD')")
            );
        };
        let day = match self.constant(argument)? {
            Constant::Text(text) => Day::parse(&text),
            _ => None,
        };
        day.map(Constant::Day).ok_or_else(|| {
            CelError::within(argument.span, "this is no date").hint("write date('YYYY-MM-DD')")
        })
    }

    /// A day or a time that many units before another.
    fn before(
        &mut self,
        expr: &Expr,
        args: &[Expr],
        most: i64,
        earlier: impl Fn(Timestamp, i64) -> Option<Timestamp>,
    ) -> Parsed<Constant> {
        let [from, count] = args else {
            let problem = "this takes a date or a time, and a whole number";
            return Err(CelError::within(expr.span, problem)
                .hint("write years_before(today, 18) or days_before(now, 7)"));
        };
        let number = match self.constant(count)? {
            Constant::Number(text) => text.parse().ok().filter(|count| (0..=most).contains(count)),
            _ => None,
        };
        let number = number.ok_or_else(|| {
            CelError::within(count.span, format!("this must be a whole number from 0 to {most}"))
        })?;
        let found = match self.constant(from)? {
            Constant::Day(Day(day)) => earlier(day, number).map(|day| Constant::Day(Day(day))),
            Constant::Time(time) => earlier(time, number).map(Constant::Time),
            _ => {
                return Err(CelError::within(from.span, "this must be a date or a time")
                    .hint("write today, now, date('YYYY-MM-DD') or timestamp('...')"));
            }
        };
        found.ok_or_else(|| out_of_range(expr.span))
    }

    /// What an expression gives that knows nothing but `now`.
    fn evaluated(&mut self, expr: &Expr) -> Parsed<Constant> {
        let ast = Ast { root: Box::new(expr.clone()) };
        let mut env = Env::new().strict_numbers(true);
        env.declare_typed(NOW, StaticType::Known(TypeValue::Timestamp));
        let program = cel::compile(&ast, &mut env).map_err(Box::new)?;
        let values = BTreeMap::from([(NOW.to_owned(), Value::Timestamp(self.now))]);
        let value = program
            .eval(&MapScope::new(&env, &values), &mut self.budget)
            .map_err(|error| CelError::within(expr.span, error.message))?;
        let type_name = value.type_name();
        of_value(value).ok_or_else(|| {
            CelError::within(expr.span, format!("no column has values of type {type_name}"))
                .hint("write a text, a number, true, false, null, a date or a time")
        })
    }
}

/// Whether a name is one of the values; it hides a column of that name.
pub(super) fn is_value(name: &str) -> bool {
    name == NOW || name == TODAY
}

fn days_before(time: Timestamp, days: i64) -> Option<Timestamp> {
    Timestamp::new(time.seconds() - days * SECONDS_PER_DAY, time.nanos())
}

/// The same month and day of an earlier year; 28 February where that year has no 29th.
fn years_before(time: Timestamp, years: i64) -> Option<Timestamp> {
    let civil = Civil::new(time, 0);
    let day = |day: i64| {
        let (year, month) = (civil.year - years, civil.month);
        Day::parse(&format!("{year:04}-{month:02}-{day:02}"))
    };
    let start = day(civil.day).or_else(|| day(28))?.midnight();
    let within = time.seconds().rem_euclid(SECONDS_PER_DAY);
    Timestamp::new(start.seconds() + within, time.nanos())
}

fn out_of_range(span: Span) -> Box<CelError> {
    CelError::within(span, "the time is not between the years 1 and 9999")
}

fn of_value(value: Value) -> Option<Constant> {
    Some(match value {
        Value::Null => Constant::Null,
        Value::Bool(value) => Constant::Bool(value),
        Value::Int(value) => Constant::Number(value.to_string()),
        Value::Uint(value) => Constant::Number(value.to_string()),
        Value::Double(_, Some(decimal)) => Constant::Number(decimal.to_string()),
        Value::Double(value, None) if value.is_finite() => Constant::Number(format!("{value:e}")),
        Value::Decimal(value) => Constant::Number(value.to_string()),
        Value::String(text) => Constant::Text(text),
        Value::Timestamp(time) => Constant::Time(time),
        _ => return None,
    })
}
