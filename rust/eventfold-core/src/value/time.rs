//! Points and lengths of time, with nanoseconds.

/// A point in time between the years 1 and 9999, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

/// A length of time in nanoseconds, negative for the past; up to about 292 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    nanos: i64,
}

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl Timestamp {
    /// First second of the year 1, from 1970.
    pub const SECONDS_MIN: i64 = -62_135_596_800;
    /// Last second of the year 9999, from 1970.
    pub const SECONDS_MAX: i64 = 253_402_300_799;

    /// The point `seconds` and `nanos` after 1970; `None` outside the years 1 to 9999 or if
    /// `nanos` is a second or more.
    pub fn new(seconds: i64, nanos: u32) -> Option<Self> {
        let known = (Self::SECONDS_MIN..=Self::SECONDS_MAX).contains(&seconds)
            && i64::from(nanos) < NANOS_PER_SECOND;
        known.then_some(Self { seconds, nanos })
    }

    /// The point that many microseconds after 1970.
    pub fn from_micros(micros: i64) -> Option<Self> {
        let nanos = u32::try_from(micros.rem_euclid(1_000_000) * 1_000).ok()?;
        Self::new(micros.div_euclid(1_000_000), nanos)
    }

    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after the whole second.
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// The point a duration later.
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let nanos = i64::from(self.nanos) + duration.nanos.rem_euclid(NANOS_PER_SECOND);
        let seconds = self
            .seconds
            .checked_add(duration.nanos.div_euclid(NANOS_PER_SECOND))?
            .checked_add(nanos / NANOS_PER_SECOND)?;
        Self::new(seconds, u32::try_from(nanos % NANOS_PER_SECOND).ok()?)
    }

    /// The time from another point to this one.
    pub fn checked_since(self, other: Self) -> Option<Duration> {
        let seconds = self.seconds.checked_sub(other.seconds)?;
        let nanos = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(self.nanos)
            - i128::from(other.nanos);
        Some(Duration { nanos: i64::try_from(nanos).ok()? })
    }
}

impl Duration {
    /// That many nanoseconds.
    pub fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// The nanoseconds.
    pub fn nanos(self) -> i64 {
        self.nanos
    }

    /// Whole seconds, rounded towards zero.
    pub fn seconds(self) -> i64 {
        self.nanos / NANOS_PER_SECOND
    }

    /// The sum; `None` beyond about 292 years.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self { nanos: self.nanos.checked_add(other.nanos)? })
    }

    /// The difference; `None` beyond about 292 years.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self { nanos: self.nanos.checked_sub(other.nanos)? })
    }

    /// The opposite; `None` for the one value that has none.
    pub fn checked_neg(self) -> Option<Self> {
        Some(Self { nanos: self.nanos.checked_neg()? })
    }
}
