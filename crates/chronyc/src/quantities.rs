//! How quantities look in reports (chronyc chapter, section 6.1).

use control_wire::{LeapStatus, NEVER_S, Timespec};

use crate::calendar::{Civil, DAY_S, weekday};

/// Age or span in seconds, four characters or more.
pub(crate) fn interval(seconds: u32) -> String {
    match seconds {
        NEVER_S => "   -".to_owned(),
        0..1200 => format!("{seconds:4}"),
        1200..36_000 => format!("{:3}m", seconds / 60),
        36_000..345_600 => format!("{:3}h", seconds / 3600),
        _ => match seconds / 86_400 {
            days @ ..1000 => format!("{days:3}d"),
            days => format!("{:3}y", days / 365),
        },
    }
}

/// A unit of time values.
struct TimeUnit {
    /// Magnitudes from here on take the next unit, s.
    below_s: f64,
    /// Units in a second; 1 for units of a second and more.
    per_second: f64,
    /// Seconds in the unit; 1 for units of a second and less.
    seconds: f64,
    decimals: usize,
    name: &'static str,
    width: usize,
}

const fn time_unit_of(
    below_s: f64,
    per_second: f64,
    seconds: f64,
    decimals: usize,
    name: &'static str,
    width: usize,
) -> TimeUnit {
    TimeUnit {
        below_s,
        per_second,
        seconds,
        decimals,
        name,
        width,
    }
}

const TIME_UNITS: [TimeUnit; 8] = [
    time_unit_of(9999.5e-9, 1e9, 1.0, 0, "ns", 4),
    time_unit_of(9999.5e-6, 1e6, 1.0, 0, "us", 4),
    time_unit_of(9999.5e-3, 1e3, 1.0, 0, "ms", 4),
    time_unit_of(999.5, 1.0, 1.0, 1, "s", 5),
    time_unit_of(99_999.5, 1.0, 1.0, 0, "s", 5),
    time_unit_of(99_999.5 * 60.0, 1.0, 60.0, 0, "m", 5),
    time_unit_of(99_999.5 * 3600.0, 1.0, 3600.0, 0, "h", 5),
    time_unit_of(99_999.5 * 86_400.0, 1.0, 86_400.0, 0, "d", 5),
];
/// The unit of everything longer.
const YEARS: TimeUnit = time_unit_of(f64::INFINITY, 1.0, 86_400.0 * 365.0, 0, "y", 5);

fn time_unit(seconds: f64) -> (f64, &'static TimeUnit) {
    let fits = |unit: &&TimeUnit| seconds.abs() < unit.below_s;
    let unit = TIME_UNITS.iter().find(fits).unwrap_or(&YEARS);
    (seconds * unit.per_second / unit.seconds, unit)
}

/// Magnitude of a time in seconds with its unit, six characters or more.
pub(crate) fn time(seconds: f64) -> String {
    let (value, unit) = time_unit(seconds.abs());
    format!("{value:0$.1$}{2}", unit.width, unit.decimals, unit.name)
}

/// A time in seconds with sign and unit, seven characters or more.
pub(crate) fn signed_time(seconds: f64) -> String {
    let (value, unit) = time_unit(seconds);
    format!(
        "{value:+0$.1$}{2}",
        unit.width + 1,
        unit.decimals,
        unit.name
    )
}

/// Frequency in ppm, ten characters or more.
pub(crate) fn frequency(ppm: f64) -> String {
    let decimals = frequency_decimals(ppm);
    format!("{ppm:10.decimals$}")
}

/// Frequency in ppm with sign, ten characters or more.
pub(crate) fn signed_frequency(ppm: f64) -> String {
    let decimals = frequency_decimals(ppm);
    format!("{ppm:+10.decimals$}")
}

fn frequency_decimals(ppm: f64) -> usize {
    if ppm.abs() < 99_999.5 { 3 } else { 0 }
}

/// Names of months in dates.
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Names of days in dates.
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Date and time in UTC, or nothing if C's calendar conversion could not hold the year.
pub(crate) fn date(time: Timespec) -> String {
    let Some(civil) = convertible(time) else {
        return String::new();
    };
    let index = |number: i64| usize::try_from(number).unwrap_or(0);
    let day_name = DAYS.get(index(weekday(time.seconds().div_euclid(DAY_S))));
    let month_name = MONTHS.get(index(civil.month - 1));
    format!(
        "{} {} {:02} {:02}:{:02}:{:02} {}",
        day_name.unwrap_or(&""),
        month_name.unwrap_or(&""),
        civil.day,
        civil.hour,
        civil.minute,
        civil.second,
        civil.year
    )
}

/// The date if its year, counted from 1900, fits in 32 bits.
fn convertible(time: Timespec) -> Option<Civil> {
    /// Beyond this no year fits, and the calendar's arithmetic could overflow.
    const LIMIT_S: u64 = 1 << 57;
    if time.seconds().unsigned_abs() > LIMIT_S {
        return None;
    }
    let civil = Civil::from_seconds(time.seconds());
    i32::try_from(civil.year - 1900).is_ok().then_some(civil)
}

/// Date and time as `manual list` shows them.
pub(crate) fn iso_date(time: Timespec) -> String {
    convertible(time).map_or_else(
        || "INVALID    INVALID ".to_owned(),
        |civil| {
            format!(
                "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
                civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
            )
        },
    )
}

/// Seconds since 1970 with nine decimals.
pub(crate) fn epoch_seconds(time: Timespec) -> String {
    format!("{}.{:09}", time.seconds(), time.nanoseconds())
}

/// Leap status in words.
pub(crate) const fn leap(status: LeapStatus) -> &'static str {
    match status {
        LeapStatus::Normal => "Normal",
        LeapStatus::InsertSecond => "Insert second",
        LeapStatus::DeleteSecond => "Delete second",
        LeapStatus::Unsynchronised => "Not synchronised",
        LeapStatus::Unknown(_) => "Invalid",
    }
}

/// Leap status as one character.
pub(crate) const fn short_leap(status: LeapStatus) -> char {
    match status {
        LeapStatus::Normal => 'N',
        LeapStatus::InsertSecond => '+',
        LeapStatus::DeleteSecond => '-',
        LeapStatus::Unsynchronised | LeapStatus::Unknown(_) => '?',
    }
}

/// The printable characters of a reference ID.
pub(crate) fn ref_id_name(ref_id: u32) -> String {
    let printable = |byte: &u8| (0x20..0x7f).contains(byte);
    ref_id
        .to_be_bytes()
        .into_iter()
        .filter(printable)
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{date, frequency, interval, signed_time, time};
    use control_wire::Timespec;

    /// A few borders; the recorded sample 600 has every threshold.
    #[test]
    fn units() {
        assert_eq!(time(0.0), "   0ns");
        assert_eq!(signed_time(-1e-12), "   -0ns");
        assert_eq!(signed_time(9999.6e-6), "  +10ms");
        assert_eq!(time(4.0), "4000ms");
        assert_eq!(frequency(2000.0), "  2000.000");
        assert_eq!(interval(4_294_967_295), "   -");
        assert_eq!(interval(345_600), "  4d");
        assert_eq!(date(Timespec::new(0, 0)), "Thu Jan 01 00:00:00 1970");
        assert_eq!(date(Timespec::new(1 << 60, 0)), "");
    }
}
