//! Two-state Kalman filter (offset, frequency) with estimated noise.

use super::estimator::{Estimate, Estimator, StatisticsSettings};
use super::sample::ClockChange;
use super::store::SampleStore;

/// The second estimator.
#[derive(Clone, Debug)]
pub struct Kalman {
    estimate: Estimate,
}

impl Default for Kalman {
    fn default() -> Self {
        Self {
            estimate: Estimate::UNKNOWN,
        }
    }
}

impl Kalman {
    pub(crate) fn is_ready(&self) -> bool {
        false
    }
}

impl Estimator for Kalman {
    fn update(&mut self, _: &SampleStore, _: &StatisticsSettings) -> usize {
        0
    }
    fn estimate(&self) -> &Estimate {
        &self.estimate
    }
    fn shift(&mut self, change: &ClockChange) {
        self.estimate.shift(change);
    }
    fn correct_offset(&mut self, correction_s: f64) {
        self.estimate.offset_s += correction_s;
    }
    fn reset(&mut self) {
        *self = Self::default();
    }
}
