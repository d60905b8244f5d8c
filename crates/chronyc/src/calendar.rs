//! The proleptic Gregorian calendar in 64 bits.

/// Seconds of a day.
pub(crate) const DAY_S: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;
/// Days of 400 years.
const DAYS_PER_ERA: i64 = 146_097;

/// A date and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// Year.
    pub(crate) year: i64,
    /// Month, 1…12.
    pub(crate) month: i64,
    /// Day of the month, 1…31.
    pub(crate) day: i64,
    /// Hour.
    pub(crate) hour: i64,
    /// Minute.
    pub(crate) minute: i64,
    /// Second.
    pub(crate) second: i64,
}

/// Days from 1970-01-01 to a date; month and day may be out of range and carry over.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (
        year + (month - 1).div_euclid(12),
        (month - 1).rem_euclid(12) + 1,
    );
    // Years start in March here so that the leap day is the last one.
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH + day - 1
}

impl Civil {
    /// The date and time of `seconds` since the epoch.
    pub(crate) fn from_seconds(seconds: i64) -> Self {
        let second_of_day = seconds.rem_euclid(DAY_S);
        let days = seconds.div_euclid(DAY_S) + DAYS_TO_EPOCH;
        let era = days.div_euclid(DAYS_PER_ERA);
        let day_of_era = days.rem_euclid(DAYS_PER_ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = (shifted_month + 2) % 12 + 1;
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
        }
    }

    /// Seconds since the epoch; fields out of range carry over.
    pub(crate) fn seconds(self) -> i64 {
        days_from_civil(self.year, self.month, self.day) * DAY_S
            + self.hour * 3600
            + self.minute * 60
            + self.second
    }
}

/// Day of the week of a day counted from 1970-01-01, 0 is Sunday.
pub(crate) fn weekday(days: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (days + 4).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::{Civil, days_from_civil, weekday};

    #[test]
    fn round_trip() {
        for seconds in [
            0,
            -1,
            951_782_400,
            1_262_306_966,
            -62_135_596_801,
            5_302_511_856_000,
        ] {
            assert_eq!(Civil::from_seconds(seconds).seconds(), seconds);
        }
        let leap_day = Civil::from_seconds(951_782_400);
        assert_eq!((leap_day.year, leap_day.month, leap_day.day), (2000, 2, 29));
    }

    #[test]
    fn carries() {
        assert_eq!(days_from_civil(2015, 13, 1), days_from_civil(2016, 1, 1));
        assert_eq!(days_from_civil(2016, 2, 30), days_from_civil(2016, 3, 1));
        assert_eq!(weekday(days_from_civil(2023, 11, 14)), 2);
    }
}
