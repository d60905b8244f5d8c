//! Fallback drifts: averages of the frequency over powers of two of seconds, used when
//! synchronisation is lost for that long (discipline chapter, section 12.2).

use crate::time::MonotonicTime;

/// Largest power; 2³¹ s are 68 years.
const MAX_POWER: i32 = 31;

#[derive(Clone, Copy, Debug)]
struct Average {
    /// 2^i, seconds.
    span_s: f64,
    frequency_ppm: f64,
    /// Accumulated weight, seconds.
    weight_s: f64,
}

impl Average {
    fn usable(&self) -> bool {
        self.weight_s >= self.span_s
    }

    fn add(&mut self, frequency_ppm: f64, interval_s: f64) {
        if self.usable() {
            let gain = -(-interval_s / self.span_s).exp_m1();
            self.frequency_ppm += gain * (frequency_ppm - self.frequency_ppm);
            return;
        }
        let weight_s = interval_s / 2.0;
        let sum_s = self.weight_s + weight_s;
        self.frequency_ppm += (frequency_ppm - self.frequency_ppm) * weight_s / sum_s;
        self.weight_s = sum_s;
    }
}

/// The averages and their timer.
#[derive(Clone, Debug)]
pub struct FallbackDrifts {
    averages: Vec<Average>,
    last_update: MonotonicTime,
    /// Index of the average to be used next.
    armed: Option<usize>,
}

impl FallbackDrifts {
    /// From the directive's two powers; off unless 0 < smallest ≤ largest.
    pub fn new((smallest, largest): (i32, i32)) -> Self {
        let count = if smallest > 0 {
            largest.min(MAX_POWER) - smallest + 1
        } else {
            0
        };
        let powers = (smallest..).take(usize::try_from(count).unwrap_or(0));
        Self {
            averages: powers
                .map(|power| Average {
                    span_s: 2f64.powi(power),
                    frequency_ppm: 0.0,
                    weight_s: 0.0,
                })
                .collect(),
            last_update: MonotonicTime::ZERO,
            armed: None,
        }
    }

    /// Adds the frequency that was in force for an interval since the previous update.
    pub fn add(&mut self, frequency_ppm: f64, interval_s: f64) {
        if !(frequency_ppm.is_finite() && interval_s > 0.0) {
            return;
        }
        for average in &mut self.averages {
            average.add(frequency_ppm, interval_s);
        }
    }

    /// Arms the timer at an update.
    pub fn schedule(&mut self, now: MonotonicTime) {
        self.last_update = now;
        self.armed = self.next_usable(0);
    }

    /// When the next average is to be used.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        let average = self.averages.get(self.armed?)?;
        Some(self.last_update.plus(average.span_s))
    }

    /// The frequency (ppm) to be set now, if one is due. The reference becomes
    /// unsynchronised with it.
    pub fn handle_timeout(&mut self, now: MonotonicTime) -> Option<f64> {
        if self.next_timeout()? > now {
            return None;
        }
        let index = self.armed?;
        self.armed = self.next_usable(index + 1);
        self.averages
            .get(index)
            .map(|average| average.frequency_ppm)
    }

    /// The frequency (ppm) to be set at once when synchronisation is lost while no timer
    /// is armed: the largest usable average whose time since the last update has passed.
    pub fn late(&self, elapsed_s: f64) -> Option<f64> {
        if self.armed.is_some() {
            return None;
        }
        self.averages
            .iter()
            .rev()
            .find(|average| average.usable() && average.span_s <= elapsed_s)
            .map(|average| average.frequency_ppm)
    }

    fn next_usable(&self, from: usize) -> Option<usize> {
        (from..self.averages.len()).find(|&index| self.averages[index].usable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> MonotonicTime {
        MonotonicTime::from_parts(seconds, 0)
    }

    /// fallbackdrift 6 10 with poll 4: changes after 64, 128, 256, 512 and 1024 s.
    #[test]
    fn each_power_takes_over_in_turn() {
        let mut drifts = FallbackDrifts::new((6, 10));
        for update in 0..200 {
            drifts.add(10.0, 16.0);
            drifts.schedule(at(update * 16));
        }
        let last = 199 * 16;
        let mut fired = Vec::new();
        while let Some(due) = drifts.next_timeout() {
            assert_eq!(drifts.handle_timeout(due.minus(1e-9)), None);
            assert_eq!(drifts.handle_timeout(due), Some(10.0));
            fired.push(due.since(at(last)));
        }
        assert_eq!(fired, [64.0, 128.0, 256.0, 512.0, 1024.0]);
        assert_eq!(drifts.late(100.0), Some(10.0));
        assert_eq!(drifts.late(60.0), None);
    }

    #[test]
    fn an_average_is_usable_after_twice_its_span() {
        let mut drifts = FallbackDrifts::new((6, 6));
        for _ in 0..7 {
            drifts.add(1.0, 16.0);
        }
        drifts.schedule(at(0));
        assert_eq!(drifts.next_timeout(), None);
        drifts.add(1.0, 16.0);
        drifts.schedule(at(0));
        assert_eq!(drifts.next_timeout(), Some(at(64)));
    }

    #[test]
    fn off_unless_both_powers_are_positive_and_ordered() {
        for powers in [(0, 0), (0, 5), (5, 4), (-3, 8)] {
            assert!(
                FallbackDrifts::new(powers).averages.is_empty(),
                "{powers:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn averages_stay_between_the_frequencies(values in prop::collection::vec((-1e5..1e5f64, 1e-3..1e6f64), 1..40)) {
            let mut drifts = FallbackDrifts::new((1, 20));
            for &(frequency, interval) in &values {
                drifts.add(frequency, interval);
            }
            for average in &drifts.averages {
                prop_assert!(average.frequency_ppm.abs() <= 1e5 * (1.0 + 1e-9));
            }
        }
    }
}
