//! The interface of an estimator: samples in; offset, frequency, their covariance and a
//! prediction out.
//!
//! The reference's weighted regression ([`super::regression::Regression`]) always runs,
//! because reports and the runs test are defined by it. A second estimator may stand
//! beside it; [`EstimatorKind`] chooses the one whose result steers the clock.

use super::sample::ClockChange;
use super::store::SampleStore;
use crate::time::CookedTime;

/// Frequency uncertainty before anything is known: 2000 ppm (discipline chapter,
/// section 4.1).
pub const UNKNOWN_FREQUENCY: f64 = 2000e-6;

/// Offset uncertainty before anything is known, seconds (section 4.1).
pub const UNKNOWN_OFFSET_S: f64 = 4.0;

/// Which estimator steers the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EstimatorKind {
    /// Weighted least squares over a window found by the runs test, as in the reference.
    #[default]
    Regression,
    /// Two-state Kalman filter with estimated noise.
    Kalman,
}

/// Parameters of the statistics of one source (section 4.1), options and directives
/// already merged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatisticsSettings {
    /// `maxsamples`; 0 = as many as there is room for (64).
    pub max_samples: u32,
    /// `minsamples`, default 6.
    pub min_samples: u32,
    /// `mindelay` in seconds; 0 = unknown.
    pub min_delay_s: f64,
    /// `asymmetry`; above 0.5 in magnitude (default 1.0) = estimate, 0 = off (reference
    /// clocks).
    pub asymmetry: f64,
    /// Precision q of the local clock, seconds.
    pub precision_s: f64,
    /// Which estimator steers the clock.
    pub estimator: EstimatorKind,
}

impl Default for StatisticsSettings {
    fn default() -> Self {
        Self {
            max_samples: 0,
            min_samples: 6,
            min_delay_s: 0.0,
            asymmetry: 1.0,
            precision_s: 1e-7,
            estimator: EstimatorKind::Regression,
        }
    }
}

impl StatisticsSettings {
    /// Effective `maxsamples`, 1 … 64.
    pub fn effective_max_samples(&self) -> usize {
        match self.max_samples as usize {
            0 => super::store::CAPACITY,
            maximum => maximum.min(super::store::CAPACITY),
        }
    }

    /// Effective `minsamples`, 1 … effective `maxsamples`.
    pub fn effective_min_samples(&self) -> usize {
        (self.min_samples as usize).clamp(1, self.effective_max_samples())
    }
}

/// What an estimator knows about the local clock relative to a source.
///
/// Offsets are F+ (positive: the local clock is ahead), frequencies s/s of local time
/// (positive: the local clock gains).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Time that the offset belongs to.
    pub time: CookedTime,
    /// Offset at `time`, seconds.
    pub offset_s: f64,
    /// Standard deviation of the offset, seconds.
    pub offset_sd_s: f64,
    /// Frequency, s/s.
    pub frequency: f64,
    /// Standard deviation of the frequency, s/s.
    pub frequency_sd: f64,
    /// Bound of the frequency's error, s/s.
    pub skew: f64,
    /// Covariance of offset and frequency, seconds.
    pub covariance_s: f64,
    /// Standard deviation of the samples, seconds.
    pub sample_sd_s: f64,
}

impl Estimate {
    /// The values after a reset (section 4.1).
    pub const UNKNOWN: Self = Self {
        time: CookedTime::ZERO,
        offset_s: 0.0,
        offset_sd_s: UNKNOWN_OFFSET_S,
        frequency: 0.0,
        frequency_sd: UNKNOWN_FREQUENCY,
        skew: UNKNOWN_FREQUENCY,
        covariance_s: 0.0,
        sample_sd_s: UNKNOWN_OFFSET_S,
    };

    /// Offset expected at another time, seconds (F+).
    pub fn offset_at(&self, at: CookedTime) -> f64 {
        self.offset_s + at.since(self.time) * self.frequency
    }

    /// Standard deviation of [`Estimate::offset_at`], seconds.
    pub fn offset_sd_at(&self, at: CookedTime) -> f64 {
        let elapsed = at.since(self.time);
        let variance = self.offset_sd_s.powi(2)
            + 2.0 * elapsed * self.covariance_s
            + (elapsed * self.frequency_sd).powi(2);
        variance.max(0.0).sqrt()
    }

    /// Moves the estimate with a change of the clock (section 1.4).
    pub fn shift(&mut self, change: &ClockChange) {
        let delta = change.delta_s(self.time);
        self.time = self.time.plus(delta);
        self.offset_s += delta;
        self.frequency = change.frequency_after(self.frequency);
    }

    /// Whether every value is a finite number.
    pub(crate) fn is_finite(&self) -> bool {
        [
            self.offset_s,
            self.offset_sd_s,
            self.frequency,
            self.frequency_sd,
            self.skew,
            self.covariance_s,
            self.sample_sd_s,
        ]
        .iter()
        .all(|value| value.is_finite())
    }
}

/// Turns the samples of one source into an estimate of the local clock.
pub trait Estimator {
    /// Takes in the newest sample of the store. Returns how many of the oldest kept
    /// samples the estimator has no more use for.
    fn update(&mut self, store: &SampleStore, settings: &StatisticsSettings) -> usize;

    /// The current estimate.
    fn estimate(&self) -> &Estimate;

    /// Moves the state with a change of the clock.
    fn shift(&mut self, change: &ClockChange);

    /// Adds a constant to the offset (F+, seconds).
    fn correct_offset(&mut self, correction_s: f64);

    /// Forgets everything.
    fn reset(&mut self);
}
