//! Numbers and times as C's printf and strftime write them.

use std::fmt::Write as _;

/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_FROM_MARCH_0000: i64 = 719_468;
/// Days in 400 years.
const DAYS_PER_ERA: i64 = 146_097;
/// Seconds in a day.
const SECONDS_PER_DAY: i64 = 86_400;

/// `%.<precision>e`: at least two digits of exponent, with its sign.
pub(crate) fn exponent(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .into();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.into();
    }
    let text = format!("{value:.precision$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%<width>.<precision>e` of C.
pub fn padded_exponent(value: f64, width: usize, precision: usize) -> String {
    format!("{:>width$}", exponent(value, precision))
}

/// `YYYY-MM-DD HH:MM:SS` in UTC of seconds since 1970 (discipline chapter, section 19).
pub(crate) fn utc(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let mut text = String::with_capacity(19);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    );
    text
}

/// Year, month and day of a number of days since 1970-01-01, by counting years from March
/// so that the leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_FROM_MARCH_0000;
    let era = days.div_euclid(DAYS_PER_ERA);
    let of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_have_two_digits() {
        assert_eq!(exponent(9.994154e-2, 6), "9.994154e-02");
        assert_eq!(exponent(-1.0, 3), "-1.000e+00");
        assert_eq!(exponent(0.0, 3), "0.000e+00");
        assert_eq!(exponent(1.5e-123, 3), "1.500e-123");
        assert_eq!(exponent(9.9996e9, 3), "1.000e+10");
        assert_eq!(padded_exponent(1e-6, 10, 3), " 1.000e-06");
        assert_eq!(exponent(f64::INFINITY, 3), "inf");
    }

    #[test]
    fn calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(utc(1_795_472_283), "2026-11-23 22:18:03");
        assert_eq!(utc(-1), "1969-12-31 23:59:59");
        assert_eq!(utc(4_102_444_800), "2100-01-01 00:00:00");
    }
}
