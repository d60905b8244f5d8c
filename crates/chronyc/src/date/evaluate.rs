//! From the items of a date to a point in time (chronyc chapter, section 10.3).

use jiff::tz::TimeZone;

use super::grammar::{DayOfWeek, Items, TimeOfDay};
use super::local_time::{DaylightSaving, offset_at, to_utc};
use crate::calendar::{Civil, DAY_S, weekday};

/// Seconds since 1970; `None` if a part is out of range.
pub(super) fn evaluate(items: &Items, now_s: i64, zone: &TimeZone) -> Option<i64> {
    let present = offset_at(now_s, zone);
    let now = Civil::from_seconds(now_s + present.east_s);
    let relative = items.relative.unwrap_or_default();
    let mut civil = now;
    if let Some(date) = items.date {
        civil.year = date.year.map_or(now.year, full_year);
        civil.month = date.month;
        civil.day = date.day;
    }
    (civil.hour, civil.minute, civil.second) = match items.time {
        Some(time) => (
            hour_of(time)?,
            time.minute,
            time.second.unwrap_or(now.second),
        ),
        None if items.relative.is_some() && items.date.is_none() && items.day.is_none() => {
            (now.hour, now.minute, now.second)
        }
        None => (0, 0, 0),
    };
    civil.year += relative.years;
    civil.month += relative.months;
    civil.day += relative.days;
    civil.hour += relative.hours;
    civil.minute += relative.minutes;
    civil.second += relative.seconds;
    let mut local_s = civil.seconds();
    if let (Some(day), None) = (items.day, items.date) {
        local_s += days_until(day, local_s) * DAY_S;
    }
    if let Some(west_minutes) = items.zone {
        return Some(local_s + west_minutes * 60);
    }
    let by_date = items.date.is_some() || items.day.is_some() || items.time.is_some();
    let by_amount = relative.days != 0 || relative.months != 0 || relative.years != 0;
    let daylight_saving = if by_date || by_amount {
        DaylightSaving::Deduce
    } else {
        DaylightSaving::Keep(present.daylight_saving)
    };
    Some(to_utc(local_s, daylight_saving, zone))
}

/// The year meant by a number.
fn full_year(year: i64) -> i64 {
    match year.abs() {
        year @ 0..=68 => 2000 + year,
        year @ 69..=99 => 1900 + year,
        year => year,
    }
}

/// The hour on the clock of 24 hours.
fn hour_of(time: TimeOfDay) -> Option<i64> {
    match (time.meridian, time.hour) {
        (None, hour @ 0..=23) => Some(hour),
        (Some(afternoon), hour @ 1..=12) => Some(hour % 12 + if afternoon { 12 } else { 0 }),
        _ => None,
    }
}

/// Days to the day of the week that is meant; today counts as the first.
fn days_until(day: DayOfWeek, local_s: i64) -> i64 {
    let ahead = (day.day - weekday(local_s.div_euclid(DAY_S))).rem_euclid(7);
    let weeks = if day.ordinal > 0 {
        day.ordinal - 1
    } else {
        day.ordinal
    };
    ahead + 7 * weeks
}
