//! Statistics in a closed loop: each estimate corrects a simulated clock at once, with the
//! frequency weighting of the reference update (discipline chapter, section 9.3).
//!
//! The figures of section 21 include the slews of a real clock, which are left out here,
//! so the errors are somewhat smaller.

use super::estimator::{EstimatorKind, StatisticsSettings};
use super::sample::{ClockChange, Sample};
use super::statistics::SourceStatistics;
use super::testing::Random;
use crate::journal::Journal;
use crate::time::CookedTime;

/// Poll interval of the start (iburst), seconds, and how many there are.
const BURST: (f64, u32) = (2.0, 4);
/// Steps per poll in which the clock is simulated.
const STEPS: u32 = 8;
/// `maxupdateskew`, s/s.
const MAX_UPDATE_SKEW: f64 = 1e-3;

/// A clock with its measured server.
struct Loop {
    random: Random,
    statistics: SourceStatistics,
    local: CookedTime,
    /// Seconds that the clock is ahead.
    error_s: f64,
    frequency: f64,
    /// K of the frequency weighting.
    uncertainty: f64,
    jitter_s: f64,
    wander: f64,
}

impl Loop {
    fn new(estimator: EstimatorKind, jitter_s: f64, wander: f64, seed: u64) -> Self {
        let settings = StatisticsSettings {
            estimator,
            ..StatisticsSettings::default()
        };
        Self {
            random: Random::new(seed),
            statistics: SourceStatistics::new(settings),
            local: CookedTime::from_parts(1_790_000_000, 0),
            error_s: 0.1,
            frequency: 1e-4,
            uncertainty: 1.0,
            jitter_s,
            wander,
        }
    }

    /// Runs for a poll interval; returns the mean square of the error.
    fn run(&mut self, poll_s: f64) -> f64 {
        let step = poll_s / f64::from(STEPS);
        let mut squares = 0.0;
        for _ in 0..STEPS {
            self.error_s += self.frequency * step;
            self.local = self.local.plus(step * (1.0 + self.frequency));
            self.frequency += self.wander * step.sqrt() * self.random.normal();
            squares += self.error_s.powi(2);
        }
        squares / f64::from(STEPS)
    }

    fn measure(&mut self) {
        let there = self.random.exponential() * self.jitter_s;
        let back = self.random.exponential() * self.jitter_s;
        let delay = 2e-4 + there + back;
        let sample = Sample {
            time: self.local,
            offset_s: -(self.error_s + (back - there) / 2.0),
            peer_delay_s: delay,
            peer_dispersion_s: 1e-7,
            root_delay_s: delay,
            root_dispersion_s: 1e-7,
        };
        self.statistics
            .accumulate(&sample, "test", &mut Journal::new());
    }

    /// The reference update.
    fn correct(&mut self) {
        let (measured, skew) = (
            self.statistics.estimate().frequency,
            self.statistics.estimate().skew,
        );
        let known = 3.0 * self.uncertainty.powi(2);
        let gain = if skew > MAX_UPDATE_SKEW {
            0.0
        } else {
            known / (known + skew.powi(2))
        };
        let applied = gain * measured;
        self.uncertainty += gain * (skew - self.uncertainty)
            + (applied.powi(2) * (1.0 - gain) + (measured - applied).powi(2) * gain).sqrt();
        let offset_s = self.statistics.predict(self.local);
        self.statistics.shift(&ClockChange {
            when: self.local,
            frequency: applied,
            offset_s,
        });
        self.local = self.local.minus(offset_s);
        self.error_s -= offset_s;
        self.frequency = (self.frequency - applied) / (1.0 - applied);
    }
}

/// RMS time error over the second half of `polls`, over three seeds.
fn rms(estimator: EstimatorKind, poll_s: f64, jitter_s: f64, wander: f64, polls: u32) -> f64 {
    let mut sum = 0.0;
    for seed in 0..3 {
        let mut clock = Loop::new(estimator, jitter_s, wander, seed);
        for i in 0..polls {
            let squares = clock.run(if i < BURST.1 { BURST.0 } else { poll_s });
            if i >= polls / 2 {
                sum += squares / f64::from(polls - polls / 2);
            }
            clock.measure();
            if clock.statistics.has_fit() {
                clock.correct();
            }
        }
    }
    (sum / 3.0).sqrt()
}

#[test]
fn the_regression_reaches_the_figures_of_the_specification() {
    // Section 21: poll, jitter, wander, RMS time error.
    for (poll, jitter, wander, expected) in [
        (4, 1e-5, 1e-9, 2.6e-6),
        (4, 1e-4, 1e-8, 26e-6),
        (6, 1e-4, 1e-9, 23e-6),
        (6, 1e-5, 1e-7, 110e-6),
        (10, 1e-4, 1e-8, 0.70e-3),
    ] {
        let error = rms(
            EstimatorKind::Regression,
            f64::from(1 << poll),
            jitter,
            wander,
            600,
        );
        let ratio = error / expected;
        assert!(
            (0.7..1.1).contains(&ratio),
            "poll {poll} {jitter:e} {wander:e}: {error:e}"
        );
    }
}

#[test]
fn the_filter_is_better_in_the_loop() {
    for (poll, jitter, wander) in [(4, 1e-4, 1e-8), (6, 1e-5, 1e-7), (10, 1e-4, 1e-8)] {
        let poll = f64::from(1 << poll);
        let regression = rms(EstimatorKind::Regression, poll, jitter, wander, 200);
        let filter = rms(EstimatorKind::Kalman, poll, jitter, wander, 200);
        assert!(
            filter < 0.8 * regression,
            "poll {poll}: {filter:e}, {regression:e}"
        );
    }
}
