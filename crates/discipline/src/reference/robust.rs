//! Robust line fit: least absolute deviations by the classical "medfit" method
//! (discipline chapter, section 17.10).

use crate::samples::runs_test::{count_runs, looks_random};

/// Half-width of the slope's bracket beyond which the fit fails.
const MAX_HALF_WIDTH: f64 = 100.0;
/// Fewest points that dropping by the runs test leaves.
const MIN_POINTS: usize = 3;

/// A fitted line y = intercept + slope·x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RobustLine {
    /// y at x = 0.
    pub intercept: f64,
    /// Change of y with x.
    pub slope: f64,
    /// Runs of residuals of the same sign; 0 when the test was not made.
    pub runs: u32,
    /// Number of oldest (first) points that were left out.
    pub dropped: usize,
}

impl RobustLine {
    /// Fits points (x, y), oldest first. The slope is found to within `tolerance`.
    ///
    /// `None` with fewer than two points, when all x are the same, or when no line within
    /// the search range fits.
    pub fn fit(points: &[(f64, f64)], tolerance: f64) -> Option<Self> {
        let mut dropped = 0;
        let mut runs = 0;
        loop {
            let window = points.get(dropped..)?;
            let (intercept, slope) = fit_window(window, tolerance)?;
            let line = Self {
                intercept,
                slope,
                runs,
                dropped,
            };
            if window.len() <= MIN_POINTS {
                return Some(line);
            }
            let residuals: Vec<f64> = window.iter().map(|&(x, y)| y - line.at(x)).collect();
            runs = count_runs(&residuals);
            if looks_random(&residuals) {
                return Some(Self { runs, ..line });
            }
            dropped += 1;
        }
    }

    /// y at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// Intercept and slope.
fn fit_window(points: &[(f64, f64)], tolerance: f64) -> Option<(f64, f64)> {
    if let &[(x0, y0), (x1, y1)] = points {
        let slope = (y1 - y0) / (x1 - x0);
        return finite(y0 - slope * x0, slope);
    }
    let (guess, spread) = least_squares_slope(points)?;
    let mut half_width = 2.0 * spread.max(tolerance);
    let (mut low, mut high) = loop {
        if half_width.is_nan() || half_width > MAX_HALF_WIDTH {
            return None;
        }
        let (low, high) = (guess - half_width, guess + half_width);
        let ends = criterion(points, low) * criterion(points, high);
        if ends <= 0.0 {
            break (low, high);
        }
        half_width *= 2.0;
    };
    let low_sign = criterion(points, low);
    while high - low > tolerance {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if criterion(points, middle) * low_sign > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let slope = low + (high - low) / 2.0;
    finite(intercept(points, slope), slope)
}

fn finite(intercept: f64, slope: f64) -> Option<(f64, f64)> {
    (intercept.is_finite() && slope.is_finite()).then_some((intercept, slope))
}

/// Slope of the least-squares line and √(s²W/V).
fn least_squares_slope(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    if points.len() < 2 {
        return None;
    }
    let count = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let variance: f64 = points.iter().map(|&(x, _)| (x - mean_x).powi(2)).sum();
    let covariance: f64 = points
        .iter()
        .map(|&(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let slope = covariance / variance;
    let residuals: f64 = points
        .iter()
        .map(|&(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2))
        .sum();
    finite(slope, (residuals * count / variance).sqrt())
}

/// The median of y − slope·x.
fn intercept(points: &[(f64, f64)], slope: f64) -> f64 {
    let mut values: Vec<f64> = points.iter().map(|&(x, y)| y - slope * x).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or_default();
    if values.len() % 2 == 1 {
        return upper;
    }
    let lower = middle.checked_sub(1).and_then(|index| values.get(index));
    (lower.copied().unwrap_or(upper) + upper) / 2.0
}

/// Σ x·sign(y − a − bx).
fn criterion(points: &[(f64, f64)], slope: f64) -> f64 {
    let intercept = intercept(points, slope);
    points
        .iter()
        .map(|&(x, y)| {
            let residual = y - intercept - slope * x;
            if residual > 0.0 {
                x
            } else if residual < 0.0 {
                -x
            } else {
                0.0
            }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_points_are_exact_and_fewer_fail() {
        let line = RobustLine::fit(&[(-10.0, 1.0), (0.0, 2.0)], 1e-8).expect("two points");
        assert_eq!((line.intercept, line.slope, line.runs), (2.0, 0.1, 0));
        assert!(RobustLine::fit(&[(0.0, 1.0)], 1e-8).is_none());
        assert!(RobustLine::fit(&[], 1e-8).is_none());
        assert!(RobustLine::fit(&[(0.0, 1.0), (0.0, 2.0)], 1e-8).is_none());
    }

    #[test]
    fn one_outlier_does_not_bend_the_line() {
        let mut points: Vec<_> = (0..7)
            .map(|index| (f64::from(index), 3.0 + 0.5 * f64::from(index)))
            .collect();
        points[3].1 += 100.0;
        let line = RobustLine::fit(&points, 1e-9).expect("fits");
        assert!((line.slope - 0.5).abs() < 1e-8, "{line:?}");
        assert!((line.intercept - 3.0).abs() < 1e-7, "{line:?}");
        assert_eq!(line.dropped, 0);
        assert!(line.runs > 0);
    }

    #[test]
    fn a_bend_drops_the_oldest_points() {
        let points: Vec<_> = (0..40)
            .map(|index| {
                let x = f64::from(index);
                let noise = if index % 2 == 0 { 1e-3 } else { -1e-3 };
                (x, if index < 20 { 0.0 } else { (x - 20.0) * 0.1 } + noise)
            })
            .collect();
        let line = RobustLine::fit(&points, 1e-9).expect("fits");
        assert!(line.dropped >= 15, "{line:?}");
        assert!((line.slope - 0.1).abs() < 1e-2, "{line:?}");
    }

    proptest! {
        #[test]
        fn no_points_make_it_hang_or_not_finite(points in prop::collection::vec((-1e9..1e9f64, -1e9..1e9f64), 0..20)) {
            if let Some(line) = RobustLine::fit(&points, 1e-9) {
                prop_assert!(line.slope.is_finite() && line.intercept.is_finite());
                prop_assert!(line.dropped < points.len());
            }
        }
    }
}
