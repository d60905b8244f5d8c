//! Asymmetry of network jitter (discipline chapter, section 4.4).
//!
//! When only one direction of the path is variable, the offset of an exchange moves with
//! its delay: by +δ/2 or −δ/2 for a delay δ above the minimum. The coefficient is
//! estimated from the samples and, once it has been near ±½ for long enough, removed.

use super::regression::Series;

/// Coefficients at least this large count as evidence of asymmetry.
const EVIDENCE: f64 = 0.45;
/// The coefficient that is possible at most.
const LARGEST: f64 = 0.5;
/// Evidence needed before a correction is made.
const NEEDED_RUN: i32 = 10;
/// Where the evidence counter stops.
const LARGEST_RUN: i32 = 1000;
/// Fewest samples of an estimate.
const MIN_SAMPLES: usize = 4;
/// A determinant this much smaller than the sum of its terms is taken as zero.
const SINGULAR: f64 = 1e10;

/// Estimated coefficient and the evidence for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Asymmetry {
    /// A: seconds of offset per second of delay above the minimum; 0 = no correction.
    pub(crate) coefficient: f64,
    /// Signed counter of consecutive estimates near ±½.
    pub(crate) run: i32,
}

impl Asymmetry {
    /// Takes in a new set of samples; `option` is the source's `asymmetry`.
    pub(crate) fn update(&mut self, option: f64, series: &Series) {
        if option == 0.0 {
            self.coefficient = 0.0;
        } else if option.abs() <= LARGEST {
            self.coefficient = option;
        } else {
            self.estimate(series);
        }
    }

    fn estimate(&mut self, series: &Series) {
        let Some(found) =
            delay_coefficient(series).filter(|found| found * f64::from(self.run) >= 0.0)
        else {
            *self = Self::default();
            return;
        };
        if found <= -EVIDENCE {
            self.run = (self.run - 1).max(-LARGEST_RUN);
        } else if found >= EVIDENCE {
            self.run = (self.run + 1).min(LARGEST_RUN);
        }
        self.coefficient = if self.run.abs() < NEEDED_RUN {
            0.0
        } else {
            found.clamp(-LARGEST, LARGEST)
        };
    }
}

/// Coefficient of δ in the ordinary least squares of the offset on (1, time, δ).
fn delay_coefficient(series: &Series) -> Option<f64> {
    let points = series.points();
    if points.len() < MIN_SAMPLES {
        return None;
    }
    let n = points.len() as f64;
    let (mut s1, mut s2, mut s11, mut s12, mut s22) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut y0, mut y1, mut y2) = (0.0, 0.0, 0.0);
    for point in points {
        let (t, delay, y) = (point.x_s, point.extra_delay_s, point.y_s);
        s1 += t;
        s2 += delay;
        s11 += t * t;
        s12 += t * delay;
        s22 += delay * delay;
        y0 += y;
        y1 += y * t;
        y2 += y * delay;
    }
    let minor = s11 * s22 - s12 * s12;
    let determinant = n * minor - s1 * s1 * s22 - s2 * s2 * s11 + 2.0 * s1 * s2 * s12;
    let scale = n * minor + s1 * s1 * s22 + s2 * s2 * s11 + 2.0 * (s1 * s2 * s12).abs();
    if determinant.is_nan() || SINGULAR * determinant.abs() <= scale {
        return None;
    }
    let coefficient =
        (y0 * (s1 * s12 - s2 * s11) + y1 * (s1 * s2 - n * s12) + y2 * (n * s11 - s1 * s1))
            / determinant;
    coefficient.is_finite().then_some(coefficient)
}

#[cfg(test)]
mod tests {
    use super::super::regression::Point;
    use super::*;

    fn series(coefficient: f64, jitter: impl Fn(usize) -> f64) -> Series {
        let mut series = Series::default();
        for i in 0..20 {
            let delay = jitter(i);
            series.push(Point {
                x_s: i as f64 * 16.0 - 304.0,
                y_s: 1e-3 + 1e-6 * i as f64 * 16.0 + coefficient * delay,
                extra_delay_s: delay,
                weight: 1.0,
            });
        }
        series
    }

    #[test]
    fn the_coefficient_is_found() {
        for coefficient in [-0.5, -0.2, 0.0, 0.5] {
            let series = series(coefficient, |i| ((i * 7919) % 13) as f64 * 1e-4);
            let found = delay_coefficient(&series).expect("solvable");
            assert!(
                (found - coefficient).abs() < 1e-6,
                "{found} for {coefficient}"
            );
        }
    }

    #[test]
    fn constant_delays_have_no_solution() {
        assert_eq!(delay_coefficient(&series(0.5, |_| 0.0)), None);
        assert_eq!(delay_coefficient(&series(0.5, |_| 1e-3)), None);
    }

    #[test]
    fn ten_pieces_of_evidence_are_needed_and_a_change_of_sign_starts_over() {
        let mut asymmetry = Asymmetry::default();
        let jitter = |i: usize| ((i * 7919) % 13) as f64 * 1e-4;
        for round in 1..=12 {
            asymmetry.update(1.0, &series(-0.49, jitter));
            assert_eq!(asymmetry.run, -round);
            assert_eq!(asymmetry.coefficient != 0.0, round >= 10, "round {round}");
        }
        assert!((asymmetry.coefficient + 0.49).abs() < 1e-6);
        asymmetry.update(1.0, &series(-0.3, jitter));
        assert!((asymmetry.run, (asymmetry.coefficient + 0.3).abs() < 1e-6) == (-12, true));
        asymmetry.update(1.0, &series(0.3, jitter));
        assert_eq!(asymmetry, Asymmetry::default());
    }

    #[test]
    fn a_given_value_is_applied_at_once() {
        let mut asymmetry = Asymmetry::default();
        asymmetry.update(0.5, &Series::default());
        assert_eq!(asymmetry.coefficient, 0.5);
        asymmetry.update(0.0, &Series::default());
        assert_eq!(asymmetry.coefficient, 0.0);
    }
}
