//! Parts of timestamps and durations.

use std::sync::OnceLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::value::{Civil, Duration, Timestamp, Value, parse_offset};

use super::super::error::Eval;
use super::super::operators::failed;
use super::{Function, no_overload};

pub(super) fn call(function: Function, args: &[Value]) -> Eval<Value> {
    let part = match args {
        [Value::Timestamp(time)] => part(function, *time, 0),
        [Value::Timestamp(time), Value::String(zone)] => match offset(zone, *time) {
            Some(offset) => part(function, *time, offset),
            None => return failed("the time zone is not known"),
        },
        [Value::Duration(duration)] => match duration_part(function, *duration) {
            Some(part) => part,
            None => return no_overload(function, args),
        },
        _ => return no_overload(function, args),
    };
    Ok(Value::Int(part))
}

fn part(function: Function, time: Timestamp, offset: i64) -> i64 {
    let civil = Civil::new(time, offset);
    match function {
        Function::GetFullYear => civil.year,
        // CEL counts months, days of the month and days of the year from 0, save `getDate`.
        Function::GetMonth => civil.month - 1,
        Function::GetDate => civil.day,
        Function::GetDayOfMonth => civil.day - 1,
        Function::GetDayOfYear => civil.day_of_year - 1,
        Function::GetDayOfWeek => civil.day_of_week,
        Function::GetHours => civil.hour,
        Function::GetMinutes => civil.minute,
        Function::GetSeconds => civil.second,
        _ => i64::from(time.nanos() / 1_000_000),
    }
}

fn duration_part(function: Function, duration: Duration) -> Option<i64> {
    let seconds = duration.seconds();
    match function {
        Function::GetHours => Some(seconds / 3_600),
        Function::GetMinutes => Some(seconds / 60),
        Function::GetSeconds => Some(seconds),
        Function::GetMilliseconds => Some(duration.nanos() % 1_000_000_000 / 1_000_000),
        _ => None,
    }
}

/// Seconds east of UTC in a zone at a point in time. Zones are offsets (`+02:00`, `02:00`) or
/// names of the tz database that is built in: never the machine's, so that every machine
/// gives the same answer.
fn offset(zone: &str, time: Timestamp) -> Option<i64> {
    if let Some(offset) = parse_offset(zone.strip_prefix('+').unwrap_or(zone)) {
        return Some(offset);
    }
    if let Some(offset) = zone.strip_prefix('-').and_then(parse_offset) {
        return Some(-offset);
    }
    if zone.is_empty() || zone == "UTC" {
        return Some(0);
    }
    static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
    let zone: TimeZone = ZONES.get_or_init(TimeZoneDatabase::bundled).get(zone).ok()?;
    let instant = jiff::Timestamp::from_second(time.seconds()).ok()?;
    Some(i64::from(zone.to_offset(instant).seconds()))
}
