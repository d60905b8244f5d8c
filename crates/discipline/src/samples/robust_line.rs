//! Least absolute deviations line (discipline chapter, section 17.10), by the classical
//! "medfit" method: the intercept is a median, the slope the root of a monotonic criterion.

use super::regression::median_of_sorted;
use super::runs_test;

/// Half-width of the bracket at which the search is given up.
const MAX_HALF_WIDTH: f64 = 100.0;
/// Fewest points that the runs test leaves.
const MIN_POINTS: usize = 3;
/// Bisections that halve the widest bracket below the spacing of doubles near its ends.
const MAX_BISECTIONS: u32 = 1100;

/// A fitted line y = intercept + slope·x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RobustLine {
    /// Value at x = 0.
    pub intercept: f64,
    /// Slope.
    pub slope: f64,
    /// Runs of the residuals; 0 when the test was not made.
    pub runs: u32,
    /// Number of oldest points left out because the runs test failed with them.
    pub dropped: usize,
}

impl RobustLine {
    /// y at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }

    /// Fits points `(x, y)`, oldest first, finding the slope to `tolerance`. `None` with
    /// fewer than two points or when no finite line is found.
    pub fn fit(points: &[(f64, f64)], tolerance: f64) -> Option<Self> {
        if let [(x0, y0), (x1, y1)] = points {
            let slope = (y1 - y0) / (x1 - x0);
            let line = Self {
                intercept: y0 - slope * x0,
                slope,
                runs: 0,
                dropped: 0,
            };
            return line.finite();
        }
        let mut start = 0;
        loop {
            let window = points
                .get(start..)
                .filter(|window| window.len() >= MIN_POINTS)?;
            let slope = find_slope(window, tolerance)?;
            let intercept = median_intercept(window, slope);
            let mut line = Self {
                intercept,
                slope,
                runs: 0,
                dropped: start,
            };
            if window.len() == MIN_POINTS {
                return line.finite();
            }
            let residuals: Vec<f64> = window
                .iter()
                .map(|(x, y)| y - intercept - slope * x)
                .collect();
            line.runs = runs_test::count_runs(&residuals);
            if runs_test::looks_random(&residuals) {
                return line.finite();
            }
            start += 1;
        }
    }

    fn finite(self) -> Option<Self> {
        (self.intercept.is_finite() && self.slope.is_finite()).then_some(self)
    }
}

/// Median of y − slope·x.
fn median_intercept(points: &[(f64, f64)], slope: f64) -> f64 {
    let mut rest: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    rest.sort_unstable_by(f64::total_cmp);
    median_of_sorted(&rest)
}

/// Σ x·sign(y − a − slope·x): falls as the slope grows, zero at the best slope.
fn criterion(points: &[(f64, f64)], slope: f64) -> f64 {
    let intercept = median_intercept(points, slope);
    let sign = |residual: f64| {
        if residual == 0.0 {
            0.0
        } else {
            residual.signum()
        }
    };
    points
        .iter()
        .map(|(x, y)| x * sign(y - intercept - slope * x))
        .sum()
}

fn find_slope(points: &[(f64, f64)], tolerance: f64) -> Option<f64> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum::<f64>()
        / spread;
    let squares: f64 = points
        .iter()
        .map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2))
        .sum();
    let mut half_width = 2.0 * (squares * count / spread).sqrt().max(tolerance);
    if !(slope.is_finite() && half_width.is_finite()) {
        return None;
    }
    let (mut low, mut high);
    loop {
        (low, high) = (slope - half_width, slope + half_width);
        if criterion(points, low) * criterion(points, high) < 0.0 {
            break;
        }
        half_width *= 2.0;
        if half_width > MAX_HALF_WIDTH {
            return None;
        }
    }
    let falls = criterion(points, low) > 0.0;
    for _ in 0..MAX_BISECTIONS {
        let middle = (low + high) / 2.0;
        if high - low <= tolerance || middle <= low || middle >= high {
            break;
        }
        let value = criterion(points, middle);
        if value == 0.0 {
            return Some(middle);
        }
        if (value > 0.0) == falls {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::testing::Random;

    #[test]
    fn two_points_give_the_exact_line() {
        let line = RobustLine::fit(&[(1.0, 3.0), (3.0, 4.0)], 1e-10).expect("a line");
        assert_eq!((line.intercept, line.slope, line.runs), (2.5, 0.5, 0));
        assert_eq!(RobustLine::fit(&[(1.0, 3.0)], 1e-10), None);
        assert_eq!(RobustLine::fit(&[(1.0, 3.0), (1.0, 4.0)], 1e-10), None);
    }

    #[test]
    fn outliers_do_not_move_the_line() {
        let mut random = Random::new(5);
        let points: Vec<(f64, f64)> = (0..15)
            .map(|i| {
                let x = f64::from(i);
                let outlier = if i % 5 == 2 { 1e3 } else { 0.0 };
                (x, 2.0 + 0.25 * x + 1e-6 * random.normal() + outlier)
            })
            .collect();
        let line = RobustLine::fit(&points, 1e-10).expect("a line");
        assert!((line.slope - 0.25).abs() < 1e-5, "{line:?}");
        assert!((line.intercept - 2.0).abs() < 1e-4, "{line:?}");
        assert!(line.runs > 0);
    }

    #[test]
    fn a_bend_drops_the_oldest_points() {
        let mut random = Random::new(6);
        let points: Vec<(f64, f64)> = (-40..20)
            .map(|i| {
                let x = f64::from(i);
                (x, if i < 0 { 0.0 } else { x } + 1e-3 * random.normal())
            })
            .collect();
        let line = RobustLine::fit(&points, 1e-10).expect("a line");
        assert!(line.dropped >= 35, "{line:?}");
        assert!((line.slope - 1.0).abs() < 0.01, "{line:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_points_give_a_finite_line_or_none(
            points in proptest::collection::vec((-1e6..1e6_f64, proptest::num::f64::NORMAL), 0..30),
        ) {
            if let Some(line) = RobustLine::fit(&points, 1e-10) {
                prop_assert!(line.slope.is_finite() && line.intercept.is_finite());
                prop_assert!(line.dropped < points.len());
            }
        }
    }
}
