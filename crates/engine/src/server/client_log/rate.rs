//! Coarse time and the estimate of request rates (ntp chapter, section 6.3).

use control_wire::UNKNOWN_INTERVAL;
use discipline::time::CookedTime;

/// log2 of the ticks in a second.
const TICKS_PER_S_LOG2: u32 = 4;
/// Length of a tick, 1/16 s.
pub(super) const TICK_NS: i64 = 1_000_000_000 >> TICKS_PER_S_LOG2;

/// A time in 1/16 s modulo 2³² (8.5 years); zero is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks(u32);

impl Ticks {
    /// Not yet.
    pub(super) const NEVER: Self = Self(0);

    /// `phase_ns` is a constant of the process in 0 … [`TICK_NS`] − 1, which keeps clients from
    /// learning the phase of the buckets.
    pub(super) const fn at(time: CookedTime, phase_ns: i64) -> Self {
        let ticks = time.as_ns().saturating_add(phase_ns).div_euclid(TICK_NS) as u32;
        // One tick in 8.5 years is moved.
        Self(if ticks == 0 { 1 } else { ticks })
    }

    /// The number of ticks.
    pub(super) const fn count(self) -> u32 {
        self.0
    }

    /// Ticks since `earlier`; `None` when that is never or not earlier.
    pub(super) fn after(self, earlier: Self) -> Option<u32> {
        if earlier == Self::NEVER {
            return None;
        }
        u32::try_from(self.0.wrapping_sub(earlier.0) as i32).ok()
    }

    /// Ticks from this time to `now`; `None` when this is never or in the future.
    pub(super) fn age(self, now: Self) -> Option<u32> {
        now.after(self)
    }

    /// Whole seconds in a number of ticks.
    pub(super) const fn whole_seconds(ticks: u32) -> u32 {
        ticks >> TICKS_PER_S_LOG2
    }
}

/// A rate of requests, 1/4 log2 of 1/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(i8);

impl Rate {
    /// Not enough requests.
    pub(super) const UNKNOWN: Self = Self(i8::MIN);

    /// The estimate, if there is one.
    pub(super) fn known(self) -> Option<i8> {
        (self != Self::UNKNOWN).then_some(self.0)
    }

    /// Takes an interval in ticks into account.
    pub(super) fn update(&mut self, interval: u32) {
        let sample: i32 = if interval == 0 {
            20
        } else {
            let stretched = u64::from(interval) * 3 / 2;
            -4 * (stretched.ilog2().min(18) as i32 - 4)
        };
        let updated = match self.known().map(i32::from) {
            None => sample,
            Some(rate) if rate < sample => rate + 1,
            Some(rate) if rate > sample + 10 => sample + 10,
            Some(rate) if rate > sample => (rate + sample - 1) / 2,
            Some(rate) => rate,
        };
        // Between −56 and 21.
        self.0 = updated as i8;
    }

    /// Average interval, log2 of seconds, rounded half away from zero.
    pub(super) fn interval_log2(self) -> i8 {
        self.known().map_or(UNKNOWN_INTERVAL, |rate| {
            (-f64::from(rate) / 4.0).round() as i8
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(interval: u32) -> i8 {
        let mut rate = Rate::UNKNOWN;
        rate.update(interval);
        rate.known().unwrap()
    }

    #[test]
    fn samples_of_single_intervals() {
        assert_eq!(sample(0), 20);
        assert_eq!(sample(1), 16);
        assert_eq!(sample(2), 12);
        // 1 s is 16 ticks, stretched to 24.
        assert_eq!(sample(16), 0);
        assert_eq!(sample(64 * 16), -24);
        assert_eq!(sample(u32::MAX), -56);
    }

    #[test]
    fn rates_follow() {
        let mut rate = Rate::UNKNOWN;
        assert_eq!(rate.interval_log2(), 127);
        rate.update(16);
        assert_eq!(rate.interval_log2(), 0);
        rate.update(1);
        assert_eq!(rate.known(), Some(1));
        rate.update(1024 * 16);
        assert_eq!(rate.known(), Some(-30));
        rate.update(1024 * 16);
        assert_eq!(rate.known(), Some(-35));
        assert_eq!(rate.interval_log2(), 9);
        for (known, interval) in [(2, -1), (-2, 1), (1, 0), (-6, 2)] {
            assert_eq!(Rate(known).interval_log2(), interval);
        }
    }

    #[test]
    fn ticks_wrap_around() {
        let at = |ns| Ticks::at(CookedTime::from_ns(ns), 0);
        assert_eq!(at(0).count(), 1);
        assert_eq!(at(1_000_000_000).count(), 16);
        assert_eq!(at(-1).count(), u32::MAX);
        assert_eq!(at(125_000_000).after(at(-1)), Some(3));
        assert_eq!(at(-1).after(at(125_000_000)), None);
        assert_eq!(at(5).after(Ticks::NEVER), None);
        assert_eq!(
            Ticks::at(CookedTime::from_ns(TICK_NS * 7 - 1), 1).count(),
            7
        );
    }
}
