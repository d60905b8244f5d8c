//! Weighted least squares over a window found by the runs test (discipline chapter,
//! sections 4.2 and 4.3).

use super::asymmetry::Asymmetry;
use super::estimator::{Estimate, Estimator, StatisticsSettings};
use super::quantile_tables::student_t;
use super::runs_test;
use super::sample::ClockChange;
use super::store::{CAPACITY, SampleStore};
use crate::time::CookedTime;

/// Fewest samples of a regression, and the window that is never made smaller.
pub(crate) const MIN_SAMPLES: usize = 3;
/// Bounds of frequency deviation and skew, s/s (section 4.3).
const FREQUENCY_SD_RANGE: (f64, f64) = (1e-12, 1.0);
/// Smallest standard deviation of samples, seconds (section 4.3).
const MIN_SAMPLE_SD_S: f64 = 1e-9;
/// Smallest clock precision, seconds (section 1.5).
const MIN_PRECISION_S: f64 = 1e-9;
/// Ratio of the standard deviation of the distances to the median's height above the
/// minimum (section 4.2).
const MEDIAN_TO_SD: f64 = 0.7;

/// One sample as the fit sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Point {
    /// Time relative to the newest sample, seconds.
    pub(crate) x_s: f64,
    /// Offset (F+), seconds.
    pub(crate) y_s: f64,
    /// Peer delay above the minimum, seconds.
    pub(crate) extra_delay_s: f64,
    /// Relative variance w; 0 for the tail, which is never fitted.
    pub(crate) weight: f64,
}

/// Tail and kept samples in time order, in a fixed buffer.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    points: [Point; 2 * CAPACITY],
    len: usize,
    /// Where the kept samples begin.
    kept_from: usize,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            points: [Point::default(); 2 * CAPACITY],
            len: 0,
            kept_from: 0,
        }
    }
}

impl Series {
    /// The working copy of a store, with the weights of section 4.2.
    fn from_store(store: &SampleStore, newest: CookedTime, settings: &StatisticsSettings) -> Self {
        let mut series = Self::default();
        let minimum_delay = if settings.min_delay_s > 0.0 {
            settings.min_delay_s
        } else {
            store.minimum_delay_s()
        };
        for sample in store.tail() {
            series.push(Point {
                x_s: sample.time.since(newest),
                y_s: sample.offset_s,
                extra_delay_s: sample.peer_delay_s - minimum_delay,
                weight: 0.0,
            });
        }
        series.kept_from = series.len;
        let weights = weights(store, settings.precision_s);
        for (sample, weight) in store.iter().zip(weights) {
            series.push(Point {
                x_s: sample.time.since(newest),
                y_s: sample.offset_s,
                extra_delay_s: sample.peer_delay_s - minimum_delay,
                weight,
            });
        }
        series
    }

    pub(crate) fn push(&mut self, point: Point) {
        if let Some(slot) = self.points.get_mut(self.len) {
            *slot = point;
            self.len += 1;
        }
    }

    pub(crate) fn points(&self) -> &[Point] {
        &self.points[..self.len]
    }

    fn remove_asymmetry(&mut self, coefficient: f64) {
        for point in &mut self.points[..self.len] {
            point.y_s -= coefficient * point.extra_delay_s;
        }
    }
}

/// Relative variances of the kept samples, from their peer distances (section 4.2).
fn weights(store: &SampleStore, precision_s: f64) -> [f64; CAPACITY] {
    let mut distances = [0.0; CAPACITY];
    let count = store.len().min(CAPACITY);
    for (slot, sample) in distances.iter_mut().zip(store.iter()) {
        *slot = sample.peer_distance_s();
    }
    let mut sorted = distances;
    let sorted = &mut sorted[..count];
    sorted.sort_unstable_by(f64::total_cmp);
    let mut weights = [1.0; CAPACITY];
    let Some(&minimum) = sorted.first() else {
        return weights;
    };
    let median = median_of_sorted(sorted);
    let sd = ((median - minimum) / MEDIAN_TO_SD)
        .min(minimum)
        .max(precision_s)
        .max(MIN_PRECISION_S);
    for (weight, distance) in weights.iter_mut().zip(&distances[..count]) {
        *weight = (1.0 + (distance - minimum - precision_s).max(0.0) / sd).powi(2);
    }
    weights
}

/// Median of sorted values; the mean of the two middle ones for an even count, 0 of none.
pub(crate) fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match (
        sorted.len() % 2,
        sorted.get(middle),
        sorted.get(middle.wrapping_sub(1)),
    ) {
        (0, Some(high), Some(low)) => (low + high) / 2.0,
        (1, Some(value), _) => *value,
        _ => 0.0,
    }
}

/// A weighted straight line through a window (section 4.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    /// a: value at x = 0.
    pub(crate) intercept: f64,
    /// b
    pub(crate) slope: f64,
    /// σ_a
    pub(crate) intercept_sd: f64,
    /// σ_b
    pub(crate) slope_sd: f64,
    /// s²: weighted mean variance of the residuals.
    pub(crate) variance: f64,
    /// x̄: weighted mean of x.
    pub(crate) mean_x: f64,
}

impl Line {
    /// Fits `(x, y, w)` with w a relative variance. `None` with fewer than three points or
    /// when no finite line exists.
    pub(crate) fn fit(points: impl Iterator<Item = (f64, f64, f64)> + Clone) -> Option<Self> {
        let (mut count, mut weight_sum, mut x_sum, mut y_sum) = (0_usize, 0.0, 0.0, 0.0);
        for (x, y, w) in points.clone() {
            count += 1;
            weight_sum += 1.0 / w;
            x_sum += x / w;
            y_sum += y / w;
        }
        if count < MIN_SAMPLES {
            return None;
        }
        let mean_x = x_sum / weight_sum;
        let (mut spread, mut moment) = (0.0, 0.0);
        for (x, y, w) in points.clone() {
            let u = x - mean_x;
            spread += u * u / w;
            moment += y * u / w;
        }
        let slope = moment / spread;
        let intercept = y_sum / weight_sum - slope * mean_x;
        let squares: f64 = points
            .map(|(x, y, w)| (y - intercept - slope * x).powi(2) / w)
            .sum();
        let count = count as f64;
        let mean_square = squares / (count - 2.0);
        let slope_sd = (mean_square / spread).sqrt();
        let line = Self {
            intercept,
            slope,
            intercept_sd: (mean_square / weight_sum + (mean_x * slope_sd).powi(2)).sqrt(),
            slope_sd,
            variance: mean_square * count / weight_sum,
            mean_x,
        };
        line.is_finite().then_some(line)
    }

    fn is_finite(&self) -> bool {
        [
            self.intercept,
            self.slope,
            self.intercept_sd,
            self.slope_sd,
            self.variance,
            self.mean_x,
        ]
        .iter()
        .all(|value| value.is_finite())
    }

    /// y − a − b·x
    pub(crate) fn residual(&self, x: f64, y: f64) -> f64 {
        y - self.intercept - self.slope * x
    }
}

/// A line with the window that the runs test let stand.
#[derive(Clone, Copy, Debug)]
struct Window {
    line: Line,
    /// Kept samples removed from the front.
    dropped: usize,
    /// Runs of the residuals within the window alone.
    runs: u32,
}

/// Finds the longest window whose residuals, together with those of as many samples
/// before it, look random.
fn find_window(series: &Series, min_samples: usize) -> Option<Window> {
    let mut start = series.kept_from;
    loop {
        let window = &series.points()[start..];
        let line = Line::fit(window.iter().map(|p| (p.x_s, p.y_s, p.weight)))?;
        let before = window.len().min(start);
        let mut residuals = [0.0; 2 * CAPACITY];
        let tested = &series.points()[start - before..];
        for (residual, point) in residuals.iter_mut().zip(tested) {
            *residual = line.residual(point.x_s, point.y_s);
        }
        let residuals = &residuals[..tested.len()];
        if window.len() <= MIN_SAMPLES
            || window.len() <= min_samples
            || runs_test::looks_random(residuals)
        {
            return Some(Window {
                line,
                dropped: start - series.kept_from,
                runs: runs_test::count_runs(&residuals[before..]),
            });
        }
        start += 1;
    }
}

/// The last successful regression, for `statistics.log`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FitDetails {
    /// |new frequency − old frequency| / old skew.
    pub(crate) stress: f64,
    /// Samples before dropping.
    pub(crate) samples: usize,
    /// Samples dropped.
    pub(crate) dropped: usize,
}

/// The reference's estimator.
#[derive(Clone, Debug)]
pub struct Regression {
    estimate: Estimate,
    runs: u32,
    asymmetry: Asymmetry,
    details: Option<FitDetails>,
}

impl Default for Regression {
    fn default() -> Self {
        Self {
            estimate: Estimate::UNKNOWN,
            runs: 0,
            asymmetry: Asymmetry::default(),
            details: None,
        }
    }
}

impl Regression {
    /// Runs of the residuals in the window (NR); 0 without a regression.
    pub fn runs(&self) -> u32 {
        self.runs
    }

    /// The applied coefficient of asymmetric jitter (A).
    pub fn asymmetry(&self) -> f64 {
        self.asymmetry.coefficient
    }

    /// The signed counter of evidence for asymmetric jitter, as saved in dumps.
    pub fn asymmetry_run(&self) -> i32 {
        self.asymmetry.run
    }

    pub(crate) fn set_asymmetry_run(&mut self, run: i32) {
        self.asymmetry.run = run;
    }

    /// Details of the newest update; `None` when it made no regression.
    pub(crate) fn details(&self) -> Option<FitDetails> {
        self.details
    }

    /// Without a regression the newest offset stands and the frequency is retained.
    fn without_fit(&mut self, store: &SampleStore) {
        self.runs = 0;
        self.details = None;
        self.estimate = Estimate {
            frequency: self.estimate.frequency,
            ..Estimate::UNKNOWN
        };
        if let Some(newest) = store.newest() {
            self.estimate.time = newest.time;
            self.estimate.offset_s = newest.offset_s;
        }
    }

    fn take(&mut self, window: &Window, samples: usize, time: CookedTime) -> bool {
        let line = &window.line;
        let left = samples - window.dropped;
        let (low, high) = FREQUENCY_SD_RANGE;
        let estimate = Estimate {
            time,
            offset_s: line.intercept,
            offset_sd_s: line.intercept_sd,
            frequency: line.slope,
            frequency_sd: line.slope_sd.clamp(low, high),
            skew: (line.slope_sd * student_t(left.saturating_sub(2))).clamp(low, high),
            covariance_s: -line.mean_x * line.slope_sd.powi(2),
            sample_sd_s: line.variance.sqrt().max(MIN_SAMPLE_SD_S),
        };
        let stress = (estimate.frequency - self.estimate.frequency).abs() / self.estimate.skew;
        if !(estimate.is_finite() && stress.is_finite()) {
            return false;
        }
        self.estimate = estimate;
        self.runs = window.runs;
        self.details = Some(FitDetails {
            stress,
            samples,
            dropped: window.dropped,
        });
        true
    }
}

impl Estimator for Regression {
    fn update(&mut self, store: &SampleStore, settings: &StatisticsSettings) -> usize {
        let Some(newest) = store.newest().map(|sample| sample.time) else {
            self.reset();
            return 0;
        };
        let mut series = Series::from_store(store, newest, settings);
        if store.len() >= MIN_SAMPLES {
            self.asymmetry.update(settings.asymmetry, &series);
            series.remove_asymmetry(self.asymmetry.coefficient);
        }
        match find_window(&series, settings.effective_min_samples()) {
            Some(window) if self.take(&window, store.len(), newest) => window.dropped,
            _ => {
                self.without_fit(store);
                0
            }
        }
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
