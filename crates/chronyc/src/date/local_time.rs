//! Local time and UTC, for any year of 64-bit seconds.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::calendar::DAY_S;

/// Seconds of 400 years, after which the calendar and the rules of zones repeat.
const ERA_S: i64 = 146_097 * DAY_S;
/// The time zone database is asked for times within this distance of 1970 only.
const LIMIT_S: i64 = 15 * ERA_S;

/// Difference of local time to UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// Seconds east.
    pub(super) east_s: i64,
    pub(super) daylight_saving: bool,
}

/// Whether a local time is in daylight saving time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DaylightSaving {
    /// As the zone has it at that time.
    Deduce,
    /// As said, even where the zone has it otherwise.
    Keep(bool),
}

/// The offset at a point in time.
pub(super) fn offset_at(utc_s: i64, zone: &TimeZone) -> Offset {
    let mut within = utc_s;
    if within.abs() > LIMIT_S {
        within = within % ERA_S + within.signum() * (LIMIT_S - ERA_S);
    }
    match Timestamp::from_second(within) {
        Ok(timestamp) => {
            let info = zone.to_offset_info(timestamp);
            Offset {
                east_s: info.offset().seconds().into(),
                daylight_saving: info.dst().is_dst(),
            }
        }
        Err(_) => Offset {
            east_s: 0,
            daylight_saving: false,
        },
    }
}

/// The point in time of a local time, given as seconds of its calendar fields. A time that a
/// change of the clock leaves out moves on; of one that occurs twice the later is taken.
pub(super) fn to_utc(local_s: i64, daylight_saving: DaylightSaving, zone: &TimeZone) -> i64 {
    // No two changes of the clock are this close.
    let (before, after) = (
        offset_at(local_s - DAY_S, zone),
        offset_at(local_s + DAY_S, zone),
    );
    let candidate = |offset: Offset| {
        let utc_s = local_s - offset.east_s;
        (offset_at(utc_s, zone) == offset).then_some((utc_s, offset))
    };
    let possible = [candidate(after), candidate(before)];
    let deduced = possible
        .into_iter()
        .flatten()
        .max_by_key(|(utc_s, _)| *utc_s);
    match daylight_saving {
        DaylightSaving::Deduce => deduced.map_or(local_s - before.east_s, |(utc_s, _)| utc_s),
        DaylightSaving::Keep(kept) => {
            let fitting = possible
                .into_iter()
                .flatten()
                .find(|(_, offset)| offset.daylight_saving == kept);
            match fitting {
                Some((utc_s, _)) => utc_s,
                None => local_s - nearest_offset(local_s, kept, zone).unwrap_or(before).east_s,
            }
        }
    }
}

/// The offset of the zone in or out of daylight saving time that is nearest in time.
fn nearest_offset(local_s: i64, daylight_saving: bool, zone: &TimeZone) -> Option<Offset> {
    /// No zone keeps either for less.
    const STEP_S: i64 = 14 * DAY_S;
    const STEPS: i64 = 27;
    (1..=STEPS)
        .flat_map(|step| [-step * STEP_S, step * STEP_S])
        .map(|distance| offset_at(local_s + distance, zone))
        .find(|offset| offset.daylight_saving == daylight_saving)
}

#[cfg(test)]
mod tests {
    use super::{DaylightSaving, to_utc};
    use jiff::tz::TimeZone;

    #[test]
    fn changes_of_the_clock() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        // 2015-03-08 02:30 does not exist, 2015-11-01 01:30 occurs twice.
        assert_eq!(
            to_utc(1_425_781_800, DaylightSaving::Deduce, &zone),
            1_425_799_800
        );
        assert_eq!(
            to_utc(1_446_341_400, DaylightSaving::Deduce, &zone),
            1_446_359_400
        );
        // 2015-07-01 12:00 said to be standard time.
        let july = 1_435_752_000;
        assert_eq!(
            to_utc(july, DaylightSaving::Keep(false), &zone),
            july + 5 * 3600
        );
        assert_eq!(
            to_utc(july, DaylightSaving::Keep(true), &zone),
            july + 4 * 3600
        );
    }
}
