//! A bank of two-state Kalman filters (offset, frequency) with estimated noise: the second
//! estimator, selectable beside the regression ([`super::estimator::EstimatorKind`]).
//!
//! The clock's frequency is taken as a random walk that wanders by `w` per √second; an
//! exchange whose delay is `s` above the minimum has an offset error that is uniform in
//! ±s/2 when the jitter is exponential in both directions (variance s²/12), plus noise `a`
//! that the delay does not show. Neither `w` nor `a` is known, so one filter runs for each
//! pair of a logarithmic grid. Each is weighted by how likely it made the innovations seen
//! so far (multiple-model adaptive estimation; Magill 1965), with the old ones slowly
//! forgotten, and the estimate is the mean and covariance of that mixture. Nothing is
//! tuned to a poll interval: a change of interval only changes the elapsed time.
//!
//! When a sample shows that the shortest delay is shorter than was thought, the bank runs
//! over the last samples again: those that were taken for good ones weigh too much else,
//! for the rest of the run (with 10 ms of jitter and little wander that made the time
//! error 1.2 times the regression's; with the second run it is 0.9 times).
//!
//! What an ideal filter reaches (it knows w and a, and samples come every τ): the steady
//! state of the Riccati equation P = F(P − P·Hᵀ(H·P·Hᵀ + a²)⁻¹·H·P)·Fᵀ + Q with
//! F = [1 τ; 0 1], H = [1 0] and Q = w²·[τ³/3 τ²/2; τ²/2 τ].

use super::delay_history::{DelayHistory, Point, ShortestDelay};
use super::estimator::{Estimate, Estimator, StatisticsSettings, UNKNOWN_OFFSET_S};
use super::quantile_tables::student_t;
use super::sample::{ClockChange, bounded};
use super::store::SampleStore;
use crate::time::CookedTime;

/// Smallest wander of the grid, s/s per √s.
const MIN_WANDER: f64 = 1e-11;
/// Wander values, half a decade apart.
const WANDER_STEPS: usize = 11;
/// Smallest noise of the grid, seconds.
const MIN_NOISE_S: f64 = 1e-9;
/// Noise values, half a decade apart.
const NOISE_STEPS: usize = 17;
/// Ratio of neighbours in both grids: half a decade.
const GRID_RATIO: f64 = 3.162_277_660_168_379_5;
/// Weight that an old log-likelihood keeps with each sample: a memory of 200 samples.
const MEMORY: f64 = 0.995;
/// Samples that only start the filters: offset, then frequency.
const STARTING_SAMPLES: u32 = 2;
/// Samples before the estimate is used; the regression steers until then. With fewer the
/// noise is hardly known, and the clock converges later than with the regression.
const READY_SAMPLES: u32 = 8;
/// Standard deviation of the clock's frequency before anything is known: the largest error
/// that can be corrected (`maxdrift`).
const INITIAL_FREQUENCY: f64 = 0.1;
/// Innovations beyond this many standard deviations are taken as outliers.
const OUTLIER: f64 = 5.0;
/// As many outliers in a row mean that the clock jumped: the bank starts again.
const OUTLIERS_OF_A_JUMP: u32 = 4;
/// Bounds of frequency deviation and skew, as those of the regression (section 4.3).
const FREQUENCY_SD_RANGE: (f64, f64) = (1e-12, 1.0);

/// One filter of the bank.
#[derive(Clone, Copy, Debug, Default)]
struct Filter {
    offset_s: f64,
    frequency: f64,
    /// Covariance: offset, offset with frequency, frequency.
    variance: [f64; 3],
    log_likelihood: f64,
}

impl Filter {
    fn start(offset_s: f64, noise_variance: f64) -> Self {
        Self {
            offset_s,
            frequency: 0.0,
            variance: [noise_variance, 0.0, INITIAL_FREQUENCY.powi(2)],
            log_likelihood: 0.0,
        }
    }

    fn predict(&mut self, elapsed_s: f64, wander: f64) {
        let wander = wander.powi(2);
        let [offset, mixed, frequency] = &mut self.variance;
        self.offset_s += self.frequency * elapsed_s;
        *offset +=
            elapsed_s * (2.0 * *mixed + elapsed_s * *frequency) + wander * elapsed_s.powi(3) / 3.0;
        *mixed += elapsed_s * *frequency + wander * elapsed_s.powi(2) / 2.0;
        *frequency += wander * elapsed_s;
    }

    /// Takes in an offset with its noise variance; an outlier gets the variance that makes
    /// it just possible. Returns the log-likelihood of the innovation.
    fn correct(&mut self, offset_s: f64, noise_variance: f64) -> f64 {
        let innovation = offset_s - self.offset_s;
        let [offset, mixed, frequency] = self.variance;
        let limit = (innovation / OUTLIER).powi(2);
        let noise_variance = noise_variance.max(limit - offset);
        let total = offset + noise_variance;
        let (offset_gain, frequency_gain) = (offset / total, mixed / total);
        self.offset_s += offset_gain * innovation;
        self.frequency += frequency_gain * innovation;
        self.variance = [
            offset * (noise_variance / total),
            mixed * (noise_variance / total),
            (frequency - frequency_gain * mixed).max(0.0),
        ];
        -0.5 * (innovation.powi(2) / total + total.ln())
    }
}

/// The bank and what it needs to judge a sample.
#[derive(Clone, Debug)]
pub struct Kalman {
    filters: Vec<Filter>,
    time: CookedTime,
    samples: u32,
    outliers: u32,
    /// Standard deviation of the samples before the outliers, seconds: the present one has
    /// them in it.
    usual_sd_s: f64,
    history: DelayHistory,
    asymmetry: f64,
    estimate: Estimate,
}

impl Default for Kalman {
    fn default() -> Self {
        Self {
            filters: Vec::with_capacity(WANDER_STEPS * NOISE_STEPS),
            time: CookedTime::ZERO,
            samples: 0,
            outliers: 0,
            usual_sd_s: UNKNOWN_OFFSET_S,
            history: DelayHistory::default(),
            asymmetry: 0.0,
            estimate: Estimate::UNKNOWN,
        }
    }
}

/// Value `index` of a grid.
fn grid(smallest: f64, index: usize) -> f64 {
    smallest * GRID_RATIO.powi(index as i32)
}

impl Kalman {
    /// Whether enough samples were seen for the estimate to be used.
    pub fn is_ready(&self) -> bool {
        self.samples >= READY_SAMPLES
    }

    /// Takes over what the regression found: the coefficient of asymmetric jitter, and the
    /// standard deviation of the samples, whose meaning stays that of the reference.
    pub(crate) fn set_regression(&mut self, asymmetry: f64, sample_sd_s: f64) {
        self.asymmetry = asymmetry;
        self.estimate.sample_sd_s = sample_sd_s;
    }

    /// Takes in one sample.
    fn take(&mut self, point: &Point, shortest: &ShortestDelay) {
        let (offset, explained) = shortest.measure(point, self.asymmetry);
        if self.samples == 0 {
            self.start(offset, explained);
        } else {
            let elapsed = point.time.since(self.time);
            self.advance(elapsed.max(0.0), offset, explained);
        }
        self.time = point.time;
        self.samples = self.samples.saturating_add(1);
    }

    /// Takes in all samples of the history as if they were new.
    fn run_again(&mut self, shortest: &ShortestDelay) {
        self.samples = 0;
        for index in 0..self.history.len() {
            if let Some(point) = self.history.get(index) {
                self.take(&point, shortest);
            }
        }
    }

    fn start(&mut self, offset_s: f64, explained: f64) {
        self.filters.clear();
        for _ in 0..WANDER_STEPS {
            for step in 0..NOISE_STEPS {
                let noise = grid(MIN_NOISE_S, step).powi(2) + explained;
                self.filters.push(Filter::start(offset_s, noise));
            }
        }
    }

    fn advance(&mut self, elapsed_s: f64, offset_s: f64, explained: f64) {
        let judged = self.samples >= STARTING_SAMPLES;
        for (index, filter) in self.filters.iter_mut().enumerate() {
            filter.predict(elapsed_s, grid(MIN_WANDER, index / NOISE_STEPS));
            let noise = grid(MIN_NOISE_S, index % NOISE_STEPS).powi(2) + explained;
            let likelihood = filter.correct(offset_s, noise);
            if judged {
                filter.log_likelihood = MEMORY * filter.log_likelihood + likelihood;
            }
        }
    }

    /// Mean and covariance of the mixture.
    fn mix(&mut self) {
        let best = self
            .filters
            .iter()
            .map(|filter| filter.log_likelihood)
            .fold(f64::MIN, f64::max);
        let weight = |filter: &Filter| (filter.log_likelihood - best).exp();
        let total: f64 = self.filters.iter().map(weight).sum();
        let mean = |value: &dyn Fn(&Filter) -> f64| {
            self.filters
                .iter()
                .map(|filter| weight(filter) * value(filter))
                .sum::<f64>()
                / total
        };
        let offset = mean(&|filter| filter.offset_s);
        let frequency = mean(&|filter| filter.frequency);
        let offset_variance =
            mean(&|filter| filter.variance[0] + (filter.offset_s - offset).powi(2));
        let covariance = mean(&|filter| {
            filter.variance[1] + (filter.offset_s - offset) * (filter.frequency - frequency)
        });
        let frequency_variance =
            mean(&|filter| filter.variance[2] + (filter.frequency - frequency).powi(2));
        let (low, high) = FREQUENCY_SD_RANGE;
        let frequency_sd = frequency_variance.sqrt().clamp(low, high);
        self.estimate = Estimate {
            time: self.time,
            offset_s: offset,
            offset_sd_s: offset_variance.sqrt(),
            frequency,
            frequency_sd,
            skew: (self.skew_ratio() * frequency_sd).clamp(low, high),
            covariance_s: covariance,
            sample_sd_s: self.estimate.sample_sd_s,
        };
    }

    /// Ratio of the reported skew to the standard deviation of the frequency: the bound of
    /// the regression's skew (section 4.3).
    fn skew_ratio(&self) -> f64 {
        let freedom = self.samples.saturating_sub(STARTING_SAMPLES);
        student_t(usize::try_from(freedom).unwrap_or(usize::MAX))
    }

    /// Counts samples that the estimate could not foresee; true when the clock has jumped.
    fn has_jumped(&mut self, at: CookedTime, offset_s: f64, explained: f64) -> bool {
        if !self.is_ready() {
            self.usual_sd_s = self.estimate.sample_sd_s;
            return false;
        }
        let noise = explained.sqrt().max(self.usual_sd_s);
        let limit = OUTLIER * self.estimate.offset_sd_at(at).hypot(noise);
        if (offset_s - self.estimate.offset_at(at)).abs() > limit {
            self.outliers += 1;
        } else {
            self.outliers = 0;
            self.usual_sd_s = self.estimate.sample_sd_s;
        }
        self.outliers >= OUTLIERS_OF_A_JUMP
    }
}

impl Estimator for Kalman {
    fn update(&mut self, store: &SampleStore, settings: &StatisticsSettings) -> usize {
        let Some(newest) = store.newest() else {
            self.reset();
            return 0;
        };
        let point = Point::from(newest);
        let is_shortest = self.history.push(point);
        let shortest = self.history.shortest(settings.min_delay_s);
        let (offset, explained) = shortest.measure(&point, self.asymmetry);
        if self.has_jumped(point.time, offset, explained) {
            self.samples = 0;
            self.outliers = 0;
            self.history.keep_newest();
        }
        if is_shortest {
            self.run_again(&shortest);
        } else {
            self.take(&point, &shortest);
        }
        self.mix();
        if !self.estimate.is_finite() {
            self.reset();
        }
        0
    }

    fn estimate(&self) -> &Estimate {
        &self.estimate
    }

    fn shift(&mut self, change: &ClockChange) {
        self.history.shift(change);
        let delta = change.delta_s(self.time);
        self.time = self.time.plus(delta);
        for filter in &mut self.filters {
            filter.offset_s = bounded(filter.offset_s + delta);
            filter.frequency = change.frequency_after(filter.frequency);
        }
        self.estimate.shift(change);
    }

    fn correct_offset(&mut self, correction_s: f64) {
        self.history.correct_offset(correction_s);
        for filter in &mut self.filters {
            filter.offset_s = bounded(filter.offset_s + correction_s);
        }
        self.estimate.offset_s = bounded(self.estimate.offset_s + correction_s);
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
#[path = "kalman_tests.rs"]
mod tests;
