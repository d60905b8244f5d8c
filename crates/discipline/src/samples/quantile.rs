//! Streaming estimate of quantiles (ntp chapter, section 11.2; discipline chapter,
//! section 17.9): Frugal-2U (Ma, Muthukrishnan, Sandler 2013) with delayed growth of the
//! step, several copies in parallel, the median of them as the answer.

use super::regression::median_of_sorted;

/// Parallel estimators whose median is the answer.
const REPEAT: usize = 7;

/// One Frugal-2U estimator.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frugal {
    estimate: f64,
    step: f64,
    upwards: bool,
}

/// Estimates one quantile of a series in constant memory.
///
/// Randomness is passed in, so that a seeded generator makes it repeatable.
#[derive(Clone, Debug)]
pub struct QuantileEstimator {
    probability: f64,
    /// u
    min_step: f64,
    /// How many steps u the step may be negative.
    negative_limit: f64,
    copies: [Frugal; REPEAT],
    started: bool,
}

impl QuantileEstimator {
    /// Estimates the quantile `k`/`of` with steps of at least `min_step`, whose negative
    /// limit is `negative_limit` steps.
    pub fn new(probability: f64, min_step: f64, negative_limit: f64) -> Self {
        let start = Frugal {
            estimate: 0.0,
            step: min_step,
            upwards: true,
        };
        Self {
            probability,
            min_step,
            negative_limit,
            copies: [start; REPEAT],
            started: false,
        }
    }

    /// For `maxdelayquant`: step q/2, negative limit 100 steps (ntp chapter, 11.2).
    pub fn max_delay(probability: f64, precision_s: f64) -> Self {
        Self::new(probability, precision_s / 2.0, 100.0)
    }

    /// Largest value accepted by the delay test: answer + q/4, that is u/2 (ntp chapter,
    /// test C). Before the first value the answer is 0.
    pub fn limit(&self) -> f64 {
        self.quantile() + self.min_step / 2.0
    }

    /// The estimate; 0 before the first value.
    pub fn quantile(&self) -> f64 {
        let mut estimates = self.copies.map(|copy| copy.estimate);
        estimates.sort_unstable_by(f64::total_cmp);
        median_of_sorted(&estimates)
    }

    /// Whether any value has been seen.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Smallest step, in the unit of the values.
    pub fn min_step(&self) -> f64 {
        self.min_step
    }

    /// Feeds a value; `random` gives numbers in [0, 1].
    pub fn accumulate(&mut self, value: f64, mut random: impl FnMut() -> f64) {
        if !value.is_finite() {
            return;
        }
        if !self.started {
            self.start_at(value);
            return;
        }
        for copy in &mut self.copies {
            copy.update(value, random(), self.probability, self.min_step);
            copy.step = copy.step.max(-self.negative_limit * self.min_step);
        }
    }

    /// Sets every copy to a value, as the first one does.
    pub fn start_at(&mut self, value: f64) {
        for copy in &mut self.copies {
            copy.estimate = value;
        }
        self.started = true;
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::new(self.probability, self.min_step, self.negative_limit);
    }
}

impl Frugal {
    fn update(&mut self, value: f64, random: f64, probability: f64, unit: f64) {
        let upwards = value >= self.estimate;
        let threshold = if upwards {
            1.0 - probability
        } else {
            probability
        };
        if random < threshold {
            return;
        }
        // Downwards is the mirror image of upwards.
        let sign = if upwards { 1.0 } else { -1.0 };
        self.step += if self.upwards == upwards { unit } else { -unit };
        self.estimate += sign * self.step.max(unit);
        let overshoot = (self.estimate - value) * sign;
        if overshoot > 0.0 {
            self.step -= overshoot;
            self.estimate = value + sign * unit / 4.0;
        }
        if self.upwards != upwards {
            self.step = self.step.min(unit);
        }
        self.upwards = upwards;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::testing::Random;
    use proptest::prelude::*;

    #[test]
    fn the_first_value_starts_all_and_before_it_the_answer_is_zero() {
        let mut estimator = QuantileEstimator::max_delay(0.5, 1e-6);
        assert_eq!(estimator.quantile(), 0.0);
        assert!(0.001 > estimator.limit());
        estimator.accumulate(0.001, || 0.5);
        assert_eq!(estimator.quantile(), 0.001);
    }

    #[test]
    fn quantiles_of_a_uniform_series_are_found() {
        for k in [1, 5, 9] {
            let probability = f64::from(k) / 10.0;
            let mut estimator = QuantileEstimator::new(probability, 1e-3, 100.0);
            let mut values = Random::new(1);
            let mut dice = Random::new(2);
            for _ in 0..20_000 {
                estimator.accumulate(values.uniform(), || dice.uniform());
            }
            let found = estimator.quantile();
            assert!(
                (found - probability).abs() < 0.1,
                "{found} for {probability}"
            );
        }
    }

    #[test]
    fn one_step_up_and_the_turn() {
        let mut copy = Frugal {
            estimate: 0.0,
            step: 1.0,
            upwards: true,
        };
        copy.update(10.0, 0.9, 0.5, 1.0);
        assert_eq!(
            copy,
            Frugal {
                estimate: 2.0,
                step: 2.0,
                upwards: true
            }
        );
        // Below the threshold nothing happens.
        copy.update(10.0, 0.4, 0.5, 1.0);
        assert_eq!(copy.estimate, 2.0);
        // Overshoot: 2 + 3 = 5 is 4 past 1, mirrored downwards first.
        copy.update(1.5, 0.9, 0.5, 1.0);
        assert_eq!(
            copy,
            Frugal {
                estimate: 1.25,
                step: 0.5,
                upwards: false
            }
        );
    }

    proptest! {
        /// Any delays, also adversarial ones: the answer stays a number between the smallest
        /// and the largest, but for the last step.
        #[test]
        fn the_answer_stays_among_the_values(
            values in prop::collection::vec(prop::num::f64::ANY, 1..200),
            probability in 0.0..=1.0f64,
            random in 0.0..=1.0f64,
        ) {
            let mut estimator = QuantileEstimator::max_delay(probability, 1e-6);
            for value in &values {
                estimator.accumulate(*value, || random);
                prop_assert!(estimator.quantile().is_finite() && estimator.limit().is_finite());
            }
            let finite = values.iter().copied().filter(|value| value.is_finite());
            let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            if low <= high {
                let answer = estimator.quantile();
                prop_assert!(low - 1e-6 <= answer && answer <= high + 1e-6, "{low} {answer} {high}");
            }
        }
    }
}
