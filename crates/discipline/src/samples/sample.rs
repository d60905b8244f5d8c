//! A measurement of one source, and the rule for moving it when the clock changes.

use crate::time::CookedTime;

/// Largest magnitude, in seconds, that a sample's values keep: 2³², the bound of a sane
/// offset (discipline chapter, section 1.3). Values beyond it are cut, so that no finite
/// sample can make a sum of squares overflow.
pub const LARGEST_VALUE_S: f64 = 4_294_967_296.0;

/// `value` within ±[`LARGEST_VALUE_S`]; NaN becomes 0.
pub(crate) fn bounded(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(-LARGEST_VALUE_S, LARGEST_VALUE_S)
    }
}

/// One measurement of a source as it comes from a driver (discipline chapter, section 3).
///
/// The offset has the sign of NTP (S+): positive when the local clock is behind. The
/// statistics store it negated (F+, section 1.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Local (cooked) time that the offset belongs to.
    pub time: CookedTime,
    /// Source time − local time in seconds (S+).
    pub offset_s: f64,
    /// Round-trip delay to the source, seconds.
    pub peer_delay_s: f64,
    /// Error bound of the measurement itself, seconds.
    pub peer_dispersion_s: f64,
    /// Round-trip delay to the primary reference, seconds.
    pub root_delay_s: f64,
    /// Error bound up to the primary reference, seconds.
    pub root_dispersion_s: f64,
}

/// A change of the local clock as announced to everything that stores times
/// (discipline chapter, section 1.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockChange {
    /// Cooked time just before the change (T).
    pub when: CookedTime,
    /// Relative frequency change (δf), s/s; positive = the clock is made slower.
    pub frequency: f64,
    /// Offset removed (δo), seconds, F+; positive = the clock moves back.
    pub offset_s: f64,
}

impl ClockChange {
    /// Δ = (T − t)·δf − δo: what is added to a stored time `t` and to an offset tied to it.
    pub fn delta_s(&self, stored: CookedTime) -> f64 {
        bounded(self.when.since(stored) * self.frequency - self.offset_s)
    }

    /// The stored time as the new clock would have shown it.
    pub fn moved(&self, stored: CookedTime) -> CookedTime {
        stored.plus(self.delta_s(stored))
    }

    /// A fitted frequency relative to the new clock: (f − δf)/(1 − δf).
    pub fn frequency_after(&self, frequency: f64) -> f64 {
        let changed = (frequency - self.frequency) / (1.0 - self.frequency);
        if changed.is_finite() { changed } else { 0.0 }
    }
}

/// Seconds of the 136-year window that NTP timestamps are mapped to: 2³².
const WINDOW_S: i64 = 1 << 32;

/// Whether an instant `time` with an offset is sane (discipline chapter, section 1.3).
///
/// `window_start_s` is E, the first second of the window that NTP timestamps are mapped
/// to, in seconds since 1970.
pub fn is_sane(time: CookedTime, offset_s: f64, window_start_s: i64) -> bool {
    if !(offset_s > -LARGEST_VALUE_S && offset_s < LARGEST_VALUE_S) {
        return false;
    }
    let corrected = time.plus(offset_s);
    let start = CookedTime::from_parts(window_start_s, 0);
    let end = CookedTime::from_parts(window_start_s.saturating_add(WINDOW_S), 0);
    corrected >= CookedTime::ZERO && corrected >= start && corrected <= end
}

/// A sample as the statistics keep it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoredSample {
    /// Local time, moved with the clock's changes.
    pub time: CookedTime,
    /// Offset (F+: positive when the local clock is ahead), moved with the clock's
    /// changes, seconds.
    pub offset_s: f64,
    /// Offset (F+) as it was measured, seconds.
    pub measured_offset_s: f64,
    /// Round-trip delay to the source, seconds.
    pub peer_delay_s: f64,
    /// Error bound of the measurement, seconds.
    pub peer_dispersion_s: f64,
    /// Round-trip delay to the primary reference, seconds.
    pub root_delay_s: f64,
    /// Error bound up to the primary reference, seconds.
    pub root_dispersion_s: f64,
}

impl StoredSample {
    /// From a driver's sample; a delay below `minimum_delay_s` is mirrored above it
    /// (section 4.1).
    pub fn from_sample(sample: &Sample, minimum_delay_s: f64) -> Self {
        let delay = bounded(sample.peer_delay_s);
        let offset = -bounded(sample.offset_s);
        Self {
            time: sample.time,
            offset_s: offset,
            measured_offset_s: offset,
            peer_delay_s: if delay < minimum_delay_s {
                2.0 * minimum_delay_s - delay
            } else {
                delay
            },
            peer_dispersion_s: bounded(sample.peer_dispersion_s),
            root_delay_s: bounded(sample.root_delay_s),
            root_dispersion_s: bounded(sample.root_dispersion_s),
        }
    }

    /// Half the delay plus the dispersion towards the source (peer distance).
    pub fn peer_distance_s(&self) -> f64 {
        self.peer_delay_s / 2.0 + self.peer_dispersion_s
    }

    /// Half the delay plus the dispersion towards the primary reference (root distance).
    pub fn root_distance_s(&self) -> f64 {
        self.root_delay_s / 2.0 + self.root_dispersion_s
    }

    /// Applies a change of the clock.
    pub fn shift(&mut self, change: &ClockChange) {
        let delta = change.delta_s(self.time);
        self.time = self.time.plus(delta);
        self.offset_s = bounded(self.offset_s + delta);
    }

    /// Applies announced extra dispersion.
    pub fn add_dispersion(&mut self, dispersion_s: f64) {
        self.peer_dispersion_s = bounded(self.peer_dispersion_s + dispersion_s);
        self.root_dispersion_s = bounded(self.root_dispersion_s + dispersion_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifting_follows_the_rule() {
        let change = ClockChange {
            when: CookedTime::from_parts(1000, 0),
            frequency: 1e-4,
            offset_s: 0.5,
        };
        let stored = CookedTime::from_parts(900, 0);
        assert!((change.delta_s(stored) - (100.0 * 1e-4 - 0.5)).abs() < 1e-15);
        assert_eq!(change.moved(stored).as_ns(), 899_510_000_000);
        assert!((change.frequency_after(1e-4)).abs() < 1e-18);
        assert!((change.frequency_after(3e-4) - 2e-4 / (1.0 - 1e-4)).abs() < 1e-15);
    }

    #[test]
    fn sanity_needs_a_bounded_offset_and_the_window() {
        let t = CookedTime::from_parts(1_700_000_000, 0);
        assert!(is_sane(t, 0.1, 0));
        assert!(!is_sane(t, f64::NAN, 0));
        assert!(!is_sane(t, 5e9, 0));
        assert!(!is_sane(t, -1.8e9, 0));
        assert!(!is_sane(t, 0.0, 1_700_000_001));
        assert!(!is_sane(t, 4.0e9, 0));
    }

    #[test]
    fn a_delay_below_the_known_minimum_is_mirrored() {
        let sample = Sample {
            time: CookedTime::ZERO,
            offset_s: 0.25,
            peer_delay_s: 0.001,
            peer_dispersion_s: 1e-6,
            root_delay_s: 0.002,
            root_dispersion_s: 1e-5,
        };
        let stored = StoredSample::from_sample(&sample, 0.003);
        assert_eq!(stored.offset_s, -0.25);
        assert!((stored.peer_delay_s - 0.005).abs() < 1e-15);
    }
}
