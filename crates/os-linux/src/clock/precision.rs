//! Measurement of the clock's precision (system chapter, section 5.5; discipline chapter,
//! section 1.5).
//!
//! The precision is the smaller of two figures: the resolution seen on the raw hardware
//! counter, and the shortest time in which the real-time clock was seen to advance.

use std::hint::black_box;

use super::{raw_counter_ns, raw_time};

/// Readings in one series of the resolution measurement.
const SERIES_READINGS: usize = 64;

/// Intervals of a series that are looked at: the shorter half.
const SERIES_USED: usize = 32;

/// Distinct intervals without which a series says nothing.
const DISTINCT_NEEDED: usize = 3;

/// A series that takes longer ends the measurement, ns.
const SERIES_LIMIT_NS: i64 = 100_000_000;

/// Upper bound of the busy work between two readings.
const WORK_LIMIT: u32 = 100_000;

/// Advances of the real-time clock that are looked at.
const ADVANCES: u32 = 100;

/// Readings after which a clock that does not advance is given up. A real clock advances
/// within a few; the bound ends the loop under a simulator whose clock stands still.
const READINGS_LIMIT: u32 = 1_000_000;

/// The precision of the real-time clock in seconds, 1 ns … 1 s. Takes a few
/// microseconds, at most about 0.3 s on an odd clock.
pub fn measure_precision() -> f64 {
    let resolution = counter_resolution_ns(raw_counter_ns);
    let advance = shortest_advance_ns(|| raw_time().as_ns());
    let precision_ns = match resolution {
        Some(resolution) => resolution.min(advance),
        None => advance,
    };
    precision_ns as f64 / 1e9
}

/// A precision in seconds as the rounded power of two that packets carry, −30 … 0.
pub fn precision_log2(precision_s: f64) -> i8 {
    // The clamp bounds the value, so that the conversion is exact.
    precision_s.clamp(1e-9, 1.0).log2().round() as i8
}

/// Resolution of a free-running counter in nanoseconds: the smallest spacing between
/// distinct lengths of the shorter intervals, where busy work of falling length spreads
/// the lengths.
fn counter_resolution_ns(mut read_ns: impl FnMut() -> i64) -> Option<i64> {
    let mut work = 1;
    while work < WORK_LIMIT {
        let mut readings = [0; SERIES_READINGS];
        for (index, reading) in readings.iter_mut().enumerate() {
            *reading = read_ns();
            // The work falls with each reading, from 64 units to 1.
            for step in 0..work * (SERIES_READINGS - index) as u32 {
                black_box(step);
            }
        }
        if let Some(resolution) = series_resolution_ns(&readings) {
            return Some(resolution);
        }
        let elapsed = readings[SERIES_READINGS - 1].saturating_sub(readings[0]);
        // A counter that stands still is a simulator's: more work would not move it.
        if elapsed == 0 || elapsed > SERIES_LIMIT_NS {
            return None;
        }
        work = work * 3 / 2 + 1;
    }
    None
}

/// Resolution seen in one series of readings, `None` if it does not tell.
fn series_resolution_ns(readings: &[i64; SERIES_READINGS]) -> Option<i64> {
    let mut intervals = [0; SERIES_READINGS - 1];
    for (interval, pair) in intervals.iter_mut().zip(readings.windows(2)) {
        *interval = pair[1].saturating_sub(pair[0]);
        if !(1..=1_000_000_000).contains(interval) {
            return None;
        }
    }
    intervals.sort_unstable();
    let mut distinct = 1;
    let mut last = intervals[0];
    let mut smallest_gap = i64::MAX;
    for &interval in &intervals[1..SERIES_USED] {
        if interval - last > 1 {
            smallest_gap = smallest_gap.min(interval - last);
            last = interval;
            distinct += 1;
        }
    }
    (distinct >= DISTINCT_NEEDED).then_some(smallest_gap)
}

/// The shortest of 100 advances of a clock, 1 ns … 1 s.
fn shortest_advance_ns(mut read_ns: impl FnMut() -> i64) -> i64 {
    let mut shortest = 1_000_000_000;
    let mut previous = read_ns();
    let mut advances = 0;
    for _ in 0..READINGS_LIMIT {
        let reading = read_ns();
        let advance = reading.saturating_sub(previous);
        previous = reading;
        if advance > 0 {
            shortest = shortest.min(advance);
            advances += 1;
            if advances == ADVANCES {
                break;
            }
        }
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter of the given resolution whose reading takes about `cost_ns`.
    fn counter(resolution_ns: i64, cost_ns: i64) -> impl FnMut() -> i64 {
        let mut true_ns = 5_000_000;
        let mut calls = 0;
        move || {
            calls += 1;
            true_ns += cost_ns + (calls * 37) % 91;
            true_ns / resolution_ns * resolution_ns
        }
    }

    #[test]
    fn resolution_of_a_coarse_counter_is_found() {
        for resolution in [10, 40] {
            let found = counter_resolution_ns(counter(resolution, 300));
            assert_eq!(found, Some(resolution));
        }
    }

    #[test]
    fn a_standing_counter_has_no_resolution() {
        assert_eq!(counter_resolution_ns(|| 7), None);
        // Always the same advance: fewer than three distinct lengths.
        let mut now = 0;
        let regular = counter_resolution_ns(|| {
            now += 20_000_000;
            now
        });
        assert_eq!(regular, None);
    }

    #[test]
    fn shortest_advance_ignores_standstill_and_backward_steps() {
        let readings = [10, 10, 60, 20, 45, 45, 170];
        let mut index = 0;
        let shortest = shortest_advance_ns(|| {
            index += 1;
            readings[(index - 1) % readings.len()]
        });
        assert_eq!(shortest, 25);
    }

    #[test]
    fn precision_of_this_machine_is_plausible() {
        let precision = measure_precision();
        assert!((1e-9..=1.0).contains(&precision), "{precision}");
        assert_eq!(precision_log2(10e-9), -27);
        assert_eq!(precision_log2(0.0), -30);
        assert_eq!(precision_log2(5.0), 0);
    }
}
