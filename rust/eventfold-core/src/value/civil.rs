//! The calendar, and times as text (RFC 3339, and durations in seconds).

use std::fmt::{self, Write};

use super::{Duration, Timestamp};

const SECONDS_PER_DAY: i64 = 86_400;

/// A point in time taken apart, in the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year; within a day of the years 1 to 9999.
    pub year: i64,
    /// Month from 1.
    pub month: i64,
    /// Day of the month from 1.
    pub day: i64,
    /// Day of the year from 1.
    pub day_of_year: i64,
    /// Day of the week from 0, Sunday.
    pub day_of_week: i64,
    /// Hour from 0.
    pub hour: i64,
    /// Minute from 0.
    pub minute: i64,
    /// Second from 0.
    pub second: i64,
}

/// Days from 1970-01-01 to a date. Years begin in March here, so that leap days come last.
fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + day_of_year - 719_468
}

fn date_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Civil {
    /// The parts of a point in time, at an offset from UTC in seconds.
    pub fn new(timestamp: Timestamp, offset_seconds: i64) -> Self {
        let seconds = timestamp.seconds() + offset_seconds;
        let days = seconds.div_euclid(SECONDS_PER_DAY);
        let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let (year, month, day) = date_from_days(days);
        Self {
            year,
            month,
            day,
            day_of_year: days - days_from_date(year, 1, 1) + 1,
            day_of_week: (days + 4).rem_euclid(7),
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let civil = Civil::new(*self, 0);
        write!(
            formatter,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
        )?;
        write_fraction(formatter, u64::from(self.nanos()))?;
        formatter.write_char('Z')
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos().unsigned_abs();
        let sign = if self.nanos() < 0 { "-" } else { "" };
        write!(formatter, "{sign}{}", nanos / 1_000_000_000)?;
        write_fraction(formatter, nanos % 1_000_000_000)?;
        formatter.write_char('s')
    }
}

fn write_fraction(formatter: &mut fmt::Formatter<'_>, nanos: u64) -> fmt::Result {
    if nanos == 0 {
        return Ok(());
    }
    let digits = format!("{nanos:09}");
    write!(formatter, ".{}", digits.trim_end_matches('0'))
}

impl Timestamp {
    /// The point that an RFC 3339 text names; `None` if it is not one, or outside the years 1
    /// to 9999, or finer than nanoseconds.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = bytes.get(from..to)?;
            digits.iter().try_fold(0, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
            })
        };
        let sign = |place: usize, one: &[u8]| -> Option<()> {
            one.contains(bytes.get(place)?).then_some(())
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        sign(4, b"-")?;
        sign(7, b"-")?;
        sign(10, b"Tt")?;
        sign(13, b":")?;
        sign(16, b":")?;
        let known = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !known {
            return None;
        }
        let (nanos, length) = parse_fraction(&bytes[19..])?;
        let offset = parse_zone(&bytes[19 + length..])?;
        let days = days_from_date(year, month, day);
        let seconds = days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second - offset;
        Self::new(seconds, nanos)
    }
}

/// Nanoseconds of a fraction such as `.25`, and its length; 0 and 0 without one.
fn parse_fraction(bytes: &[u8]) -> Option<(u32, usize)> {
    if bytes.first() != Some(&b'.') {
        return Some((0, 0));
    }
    let digits = bytes[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let nanos = (0..9).fold(0, |sum, index| {
        sum * 10 + if index < digits { u32::from(bytes[1 + index] - b'0') } else { 0 }
    });
    Some((nanos, 1 + digits))
}

/// Seconds of a zone: `Z`, or an offset such as `+02:00`.
fn parse_zone(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), hours @ ..] => {
            let offset = parse_offset(std::str::from_utf8(hours).ok()?)?;
            Some(if *sign == b'-' { -offset } else { offset })
        }
        _ => None,
    }
}

/// Seconds of `hh:mm`.
pub fn parse_offset(text: &str) -> Option<i64> {
    let &[ten_hours, hours, b':', ten_minutes, minutes] = text.as_bytes() else {
        return None;
    };
    let digits = [ten_hours, hours, ten_minutes, minutes];
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let [ten_hours, hours, ten_minutes, minutes] = digits.map(|digit| i64::from(digit - b'0'));
    let (hours, minutes) = (ten_hours * 10 + hours, ten_minutes * 10 + minutes);
    (hours < 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)
}

impl Duration {
    /// The length that a text such as `1h30m`, `-1.5s` or `100ms` names; `None` if it is not
    /// one or is out of range.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, mut rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Some(Self::from_nanos(0));
        }
        if rest.is_empty() {
            return None;
        }
        let mut total = 0_i128;
        while !rest.is_empty() {
            let (nanos, length) = parse_unit(rest)?;
            total = total.checked_add(nanos)?;
            rest = &rest[length..];
        }
        i64::try_from(if negative { -total } else { total }).ok().map(Self::from_nanos)
    }
}

/// Nanoseconds of one number with its unit, and the length of both.
fn parse_unit(text: &str) -> Option<(i128, usize)> {
    let number =
        text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let unit = &text[number..];
    let unit = &unit[..unit.len() - unit.trim_start_matches(|c: char| c.is_alphabetic()).len()];
    let scale: i128 = match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return None,
    };
    let (whole, fraction) = text[..number].split_once('.').unwrap_or((&text[..number], ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 20 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits below a nanosecond are cut off.
    let fraction = &fraction[..fraction.len().min(20)];
    let parts: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let nanos = whole.checked_mul(scale)? + parts * scale / 10_i128.pow(fraction.len() as u32);
    Some((nanos, number + unit.len()))
}
