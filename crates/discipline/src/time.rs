//! Time types that never mix without a named conversion.
//!
//! Three clocks exist in the daemon (discipline chapter, section 1.1):
//!
//! - [`RawTime`]: a reading of the kernel's real-time clock (`CLOCK_REALTIME`);
//! - [`CookedTime`]: raw time plus the not yet applied correction, the daemon's best
//!   estimate of true time;
//! - [`MonotonicTime`]: the kernel's monotonic clock, never stepped.
//!
//! Each is a whole number of nanoseconds (`i64`, 1678 … 2262 for the first two, which
//! covers the 136-year window that NTP timestamps are mapped to). Differences are `f64`
//! seconds. All arithmetic saturates: no input makes it panic or wrap.

/// Nanoseconds in a second.
pub const NS_PER_S: i64 = 1_000_000_000;

/// Seconds in a day (POSIX time has no leap seconds).
const S_PER_DAY: i64 = 86_400;

/// A date and time of day in UTC, in the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcDateTime {
    /// Year, 1970 and around.
    pub year: i64,
    /// Month, 1 … 12.
    pub month: u32,
    /// Day of the month, 1 … 31.
    pub day: u32,
    /// Hour, 0 … 23.
    pub hour: u32,
    /// Minute, 0 … 59.
    pub minute: u32,
    /// Second, 0 … 59.
    pub second: u32,
}

impl UtcDateTime {
    /// From POSIX seconds (days counted in eras of 400 years that begin on 1 March, so that
    /// the leap day is the last of a year).
    pub const fn from_posix(seconds: i64) -> Self {
        let days = seconds.div_euclid(S_PER_DAY) + 719_468;
        let of_day = seconds.rem_euclid(S_PER_DAY) as u32;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Self {
            year: year_of_era + era * 400 + (month <= 2) as i64,
            month: month as u32,
            day: (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }
}

impl std::fmt::Display for UtcDateTime {
    /// `YYYY-MM-DD HH:MM:SS`, as in the measurement logs (discipline chapter, section 19).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        )
    }
}

/// Seconds as nanoseconds, rounded to nearest, saturating; NaN gives 0.
fn seconds_to_ns(seconds: f64) -> i64 {
    // `as` saturates and maps NaN to 0.
    (seconds * 1e9).round() as i64
}

macro_rules! time_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// The epoch of this clock.
            pub const ZERO: Self = Self(0);

            /// From whole nanoseconds since the epoch.
            pub const fn from_ns(ns: i64) -> Self {
                Self(ns)
            }

            /// From seconds and nanoseconds since the epoch (any sign, saturating).
            pub const fn from_parts(seconds: i64, ns: i64) -> Self {
                Self(seconds.saturating_mul(NS_PER_S).saturating_add(ns))
            }

            /// Whole nanoseconds since the epoch.
            pub const fn as_ns(self) -> i64 {
                self.0
            }

            /// Whole seconds since the epoch, rounded down.
            pub const fn seconds(self) -> i64 {
                self.0.div_euclid(NS_PER_S)
            }

            /// Nanoseconds within the second, 0 … 999 999 999.
            pub const fn subsec_ns(self) -> u32 {
                self.0.rem_euclid(NS_PER_S) as u32
            }

            /// `self − earlier` in seconds, exact to the nanosecond before the conversion
            /// to floating point.
            pub fn since(self, earlier: Self) -> f64 {
                match self.0.checked_sub(earlier.0) {
                    Some(ns) => ns as f64 / 1e9,
                    None => (self.0 as f64 - earlier.0 as f64) / 1e9,
                }
            }

            /// `self + seconds`, rounded to the nanosecond, saturating.
            #[must_use]
            pub fn plus(self, seconds: f64) -> Self {
                Self(self.0.saturating_add(seconds_to_ns(seconds)))
            }

            /// `self − seconds`, rounded to the nanosecond, saturating.
            #[must_use]
            pub fn minus(self, seconds: f64) -> Self {
                Self(self.0.saturating_sub(seconds_to_ns(seconds)))
            }
        }
    };
}

time_type! {
    /// A reading of the kernel's real-time clock, since 1970-01-01 00:00:00 UTC.
    RawTime
}
time_type! {
    /// The daemon's estimate of true time, since 1970-01-01 00:00:00 UTC.
    CookedTime
}
time_type! {
    /// A reading of the kernel's monotonic clock, since an arbitrary start.
    MonotonicTime
}

impl RawTime {
    /// Date and time of day, if this clock is right.
    pub const fn utc(self) -> UtcDateTime {
        UtcDateTime::from_posix(self.seconds())
    }

    /// The cooked time when the correction (cooked − raw, seconds) at this instant is
    /// known.
    #[must_use]
    pub fn cook(self, correction_s: f64) -> CookedTime {
        CookedTime(self.0).plus(correction_s)
    }
}

impl CookedTime {
    /// Date and time of day.
    pub const fn utc(self) -> UtcDateTime {
        UtcDateTime::from_posix(self.seconds())
    }

    /// The raw time when the correction (cooked − raw, seconds) at this instant is known.
    #[must_use]
    pub fn uncook(self, correction_s: f64) -> RawTime {
        RawTime(self.0).minus(correction_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_exact_and_saturate() {
        let a = RawTime::from_parts(1_795_472_283, 221_635_321);
        assert_eq!(a.plus(0.5).since(a), 0.5);
        assert_eq!(a.minus(1e-9).since(a), -1e-9);
        assert_eq!(RawTime::from_ns(i64::MAX).plus(1e300).as_ns(), i64::MAX);
        assert_eq!(RawTime::from_parts(i64::MAX, 0).as_ns(), i64::MAX);
        assert_eq!(a.plus(f64::NAN), a);
        assert!(RawTime::from_ns(i64::MAX).since(RawTime::from_ns(i64::MIN)) > 1e10);
    }

    #[test]
    fn parts_before_the_epoch() {
        let t = CookedTime::from_ns(-1);
        assert_eq!((t.seconds(), t.subsec_ns()), (-1, 999_999_999));
        assert_eq!(CookedTime::from_parts(-1, 999_999_999), t);
    }

    #[test]
    fn calendar() {
        let text = |seconds| UtcDateTime::from_posix(seconds).to_string();
        assert_eq!(text(0), "1970-01-01 00:00:00");
        assert_eq!(text(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(text(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(text(1_795_472_283), "2026-11-23 22:18:03");
        assert_eq!(text(-1), "1969-12-31 23:59:59");
        assert_eq!(text(2_085_978_496), "2036-02-07 06:28:16");
    }

    #[test]
    fn cook_and_uncook_are_inverse() {
        let raw = RawTime::from_ns(1_000_000_123);
        assert_eq!(raw.cook(-0.25).uncook(-0.25), raw);
    }
}
