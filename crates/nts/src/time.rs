//! The two clocks this crate looks at, each with its own type.
//!
//! Nothing here reads a clock: the caller hands in both.

use std::time::Duration;

/// Nanoseconds in a second.
const NS_PER_S: i64 = 1_000_000_000;

/// A reading of a clock that is never set (CLOCK_MONOTONIC or the daemon's running time),
/// in nanoseconds since its start. Time-outs, retries and ages of keys use it. A negative
/// value is a moment before the start: a key that is older than the machine's uptime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunningTime(i64);

impl RunningTime {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds since the start.
    pub const fn from_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the start.
    pub const fn as_ns(self) -> i64 {
        self.0
    }

    /// `self − earlier` in seconds; negative when `earlier` is later.
    pub fn since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / NS_PER_S as f64
    }

    /// `self + seconds`, saturating.
    #[must_use]
    pub fn plus_s(self, seconds: f64) -> Self {
        Self(
            self.0
                .saturating_add((seconds * NS_PER_S as f64).round() as i64),
        )
    }

    /// How long to wait from `now` until `self`; zero when it has passed.
    pub fn wait_from(self, now: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0))
    }
}

/// The daemon's (corrected) time of day: nanoseconds since 1970-01-01 00:00:00 UTC.
/// Certificates are checked against it and files carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// From nanoseconds since 1970.
    pub const fn from_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// From whole seconds since 1970, saturating.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NS_PER_S))
    }

    /// Nanoseconds since 1970.
    pub const fn as_ns(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NS_PER_S)
    }

    /// `self − earlier` in seconds.
    pub fn since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / NS_PER_S as f64
    }

    /// `self − seconds`, saturating.
    #[must_use]
    pub fn minus_s(self, seconds: f64) -> Self {
        Self(
            self.0
                .saturating_sub((seconds * NS_PER_S as f64).round() as i64),
        )
    }

    /// Seconds since 1970 with one decimal, as in the dump files (NTS chapter, section 7.2).
    pub fn to_decimal_seconds(self) -> String {
        let tenths = (self.0 as i128 + 50_000_000).div_euclid(100_000_000);
        let sign = if tenths < 0 { "-" } else { "" };
        format!(
            "{sign}{}.{}",
            tenths.unsigned_abs() / 10,
            tenths.unsigned_abs() % 10
        )
    }

    /// The inverse of [`Self::to_decimal_seconds`]: a decimal number of seconds, exact to
    /// the nanosecond where it has a plain form. `None` for anything that is not a finite
    /// number.
    pub fn from_decimal_seconds(text: &str) -> Option<Self> {
        let value: f64 = text.parse().ok().filter(|v: &f64| v.is_finite())?;
        let whole = value.floor();
        let ns = ((value - whole) * NS_PER_S as f64).round() as i64;
        Some(Self(
            (whole as i64).saturating_mul(NS_PER_S).saturating_add(ns),
        ))
    }
}
