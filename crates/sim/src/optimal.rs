//! The lower bound for the accuracy of any client: an optimal estimator that knows the
//! noise.
//!
//! The clock's state is its offset x and its frequency y. Over an interval τ between
//! measurements
//!
//! ```text
//! x' = x + τ·y + noise,   y' = y + noise,   covariance Q = w²·((τ³/3, τ²/2), (τ²/2, τ))
//! ```
//!
//! with w the wander (standard deviation of the frequency's random step a second). An NTP
//! exchange with exponential jitter of mean J each way measures x with variance
//! R = J²/2, because the error is half the difference of two such delays. The best linear
//! estimator of such a state is the Kalman filter; its covariance P does not depend on the
//! data and settles where
//!
//! ```text
//! P = P⁻ − P⁻·hᵀ·h·P⁻/(P⁻₁₁ + R),   P⁻ = F·P·Fᵀ + Q,   F = ((1, τ), (0, 1)),   h = (1, 0)
//! ```
//!
//! (the discrete algebraic Riccati equation). For frequent measurements, with the noise
//! density r = R·τ, the steady state is P₁₁ = √2·w^½·r^¾, P₁₂ = w·√r, P₂₂ = √2·w^{3/2}·r^¼.
//! A clock steered by this estimate has its error as its own; between measurements it grows,
//! so that the mean square over an interval is P₁₁ + P₁₂·τ + P₂₂·τ²/3 + w²·τ³/12.

/// Steady state of the optimal estimator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimalEstimator {
    /// Variance of the offset right after a measurement, s².
    pub offset_variance: f64,
    /// Covariance of offset and frequency right after a measurement, s.
    pub covariance: f64,
    /// Variance of the frequency right after a measurement.
    pub frequency_variance: f64,
    interval_s: f64,
    wander: f64,
}

impl OptimalEstimator {
    /// Steady state for exponential jitter of mean `jitter_s` each way, a wander in s/s a
    /// second and a measurement every `interval_s`.
    pub fn new(jitter_s: f64, wander: f64, interval_s: f64) -> Self {
        let noise = jitter_s * jitter_s / 2.0;
        let density = noise * interval_s;
        // Start from the limit for frequent measurements; the iteration contracts.
        let mut state = Self {
            offset_variance: 2f64.sqrt() * wander.sqrt() * density.powf(0.75),
            covariance: wander * density.sqrt(),
            frequency_variance: 2f64.sqrt() * wander.powf(1.5) * density.powf(0.25),
            interval_s,
            wander,
        };
        for _ in 0..1_000_000 {
            let next = state.step(noise);
            let change = (next.offset_variance / state.offset_variance - 1.0).abs()
                + (next.frequency_variance / state.frequency_variance - 1.0).abs();
            state = next;
            if change < 1e-12 {
                break;
            }
        }
        state
    }

    /// One interval and one measurement.
    fn step(&self, noise: f64) -> Self {
        let (t, q) = (self.interval_s, self.wander * self.wander);
        let p11 = self.offset_variance
            + 2.0 * t * self.covariance
            + t * t * self.frequency_variance
            + q * t.powi(3) / 3.0;
        let p12 = self.covariance + t * self.frequency_variance + q * t * t / 2.0;
        let p22 = self.frequency_variance + q * t;
        let gain = 1.0 / (p11 + noise);
        Self {
            offset_variance: p11 * noise * gain,
            covariance: p12 * noise * gain,
            frequency_variance: p22 - p12 * p12 * gain,
            ..*self
        }
    }

    /// Root mean square of the time error of a clock steered by the estimate, seconds.
    pub fn time_error_s(&self) -> f64 {
        let t = self.interval_s;
        (self.offset_variance
            + self.covariance * t
            + self.frequency_variance * t * t / 3.0
            + self.wander * self.wander * t.powi(3) / 12.0)
            .sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_measurements_reach_the_continuous_limit() {
        let (jitter, wander, interval): (f64, f64, f64) = (1e-3, 1e-9, 1.0);
        let density = jitter * jitter / 2.0 * interval;
        let found = OptimalEstimator::new(jitter, wander, interval);
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.01;
        let offset_variance = 2f64.sqrt() * wander.sqrt() * density.powf(0.75);
        assert!(near(found.offset_variance, offset_variance), "{found:?}");
        assert!(near(found.covariance, wander * density.sqrt()), "{found:?}");
        assert!(near(found.time_error_s(), offset_variance.sqrt()));
    }

    #[test]
    fn rare_measurements_are_limited_by_the_wander() {
        // Each measurement gives the offset to a nanosecond; between them the clock is free.
        let found = OptimalEstimator::new(1e-9, 1e-6, 1000.0);
        assert!(found.time_error_s() > 1e-6 * (1000f64.powi(3) / 12.0).sqrt());
        assert!(found.offset_variance.sqrt() < 1e-9);
    }
}
