//! Statistics of one source: the samples, their fit, and what others ask of them
//! (discipline chapter, section 4).

use super::estimator::{Estimate, Estimator, EstimatorKind, StatisticsSettings, UNKNOWN_FREQUENCY};
use super::kalman::Kalman;
use super::regression::{FitDetails, MIN_SAMPLES, Regression};
use super::sample::{ClockChange, Sample, StoredSample};
use super::store::{CAPACITY, SampleStore};
use super::text::{padded_exponent, utc};
use crate::journal::{Journal, LogFile};
use crate::time::CookedTime;

/// Fewest samples for the delay tests of NTP (section 4.5).
const MIN_SAMPLES_FOR_DELAY_TESTS: usize = 6;

/// Samples and fit of one source.
///
/// Events in: [`accumulate`](Self::accumulate), [`shift`](Self::shift),
/// [`add_dispersion`](Self::add_dispersion), [`correct_offset`](Self::correct_offset),
/// [`reset`](Self::reset), [`restore`](Self::restore). Everything else asks.
#[derive(Clone, Debug)]
pub struct SourceStatistics {
    settings: StatisticsSettings,
    store: SampleStore,
    regression: Regression,
    kalman: Option<Kalman>,
    /// Index of the kept sample with the smallest root distance.
    best: usize,
}

/// What the reference update and the combination take from a source (sections 4.3, 8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackingData {
    /// The fit at its own time.
    pub estimate: Estimate,
    /// Root delay of the best sample, seconds.
    pub root_delay_s: f64,
    /// Root dispersion at the time of the fit, seconds.
    pub root_dispersion_s: f64,
}

/// What source selection needs besides the fit (section 7.4, step 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectionData {
    /// Whether there are enough samples.
    pub usable: bool,
    /// Offset (F+) of the best sample extrapolated to now, seconds.
    pub offset_s: f64,
    /// Root distance of the best sample, grown to now, seconds.
    pub root_distance_s: f64,
    /// Standard deviation of the samples, seconds; `None` when it is not known because
    /// `maxsamples` is below 3.
    pub sample_sd_s: Option<f64>,
    /// Age of the oldest kept sample, seconds.
    pub oldest_age_s: f64,
    /// Age of the newest sample, seconds.
    pub newest_age_s: f64,
}

/// What the delay tests of NTP compare with (section 4.5; ntp chapter, section 10).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DelayTestData {
    /// Time of the newest fitted sample.
    pub newest_time: CookedTime,
    /// Predicted offset (F+) at the asked time, seconds.
    pub predicted_offset_s: f64,
    /// Smallest peer delay, or `mindelay`, seconds.
    pub minimum_delay_s: f64,
    /// Skew, s/s.
    pub skew: f64,
    /// Standard deviation of the samples, seconds.
    pub sample_sd_s: f64,
}

/// The row of the `sourcestats` report (section 4.6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatisticsReport {
    /// Samples in the regression (NP).
    pub samples: u32,
    /// Runs of residuals with the same sign (NR).
    pub runs: u32,
    /// Newest − oldest sample time, rounded to seconds.
    pub span_s: u32,
    /// Residual frequency, ppm.
    pub frequency_ppm: f64,
    /// Skew, ppm.
    pub skew_ppm: f64,
    /// Standard deviation of the samples, seconds.
    pub sample_sd_s: f64,
    /// Offset (F+) now, seconds.
    pub offset_s: f64,
    /// Error bound of that offset, seconds.
    pub offset_error_s: f64,
}

/// The last sample's columns of the `sources` report (section 4.6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LastSampleReport {
    /// Time of the newest sample.
    pub time: CookedTime,
    /// Its offset (F+), adjusted for changes of the clock, seconds.
    pub offset_s: f64,
    /// Its offset (F+) as it was measured, seconds.
    pub measured_offset_s: f64,
    /// Root delay/2 + root dispersion, seconds.
    pub error_s: f64,
}

impl SourceStatistics {
    /// Empty statistics.
    pub fn new(settings: StatisticsSettings) -> Self {
        Self {
            settings,
            store: SampleStore::default(),
            regression: Regression::default(),
            kalman: (settings.estimator == EstimatorKind::Kalman).then(Kalman::default),
            best: 0,
        }
    }

    /// Adds a driver's sample and fits again.
    ///
    /// A sample that is not later than the newest one makes everything older be forgotten,
    /// with a warning that names the source (`name`: address or reference ID). A successful
    /// fit writes a line of `statistics.log`.
    pub fn accumulate(&mut self, sample: &Sample, name: &str, journal: &mut Journal) {
        let stored = StoredSample::from_sample(sample, self.settings.min_delay_s);
        if self
            .store
            .newest()
            .is_some_and(|newest| stored.time <= newest.time)
        {
            journal.warning(format!(
                "Out of order sample detected, discarding history for {name}"
            ));
            self.reset();
        }
        self.store
            .push(stored, self.settings.effective_max_samples());
        self.fit();
        self.log(name, journal);
    }

    /// Applies a change of the local clock (section 1.4). Without samples there is nothing that
    /// could follow it: the fit stays that of a new source.
    pub fn shift(&mut self, change: &ClockChange) {
        if self.store.newest().is_none() {
            return;
        }
        self.store.shift(change);
        self.regression.shift(change);
        if let Some(kalman) = &mut self.kalman {
            kalman.shift(change);
        }
    }

    /// Adds announced extra dispersion (seconds, not negative) to every sample.
    pub fn add_dispersion(&mut self, dispersion_s: f64) {
        self.store.add_dispersion(dispersion_s);
    }

    /// Adds a constant (F+, seconds) to all stored offsets and the fitted one (section
    /// 4.5: server monotonic scale, local reference clock).
    pub fn correct_offset(&mut self, correction_s: f64) {
        self.store.correct_offset(correction_s);
        self.regression.correct_offset(correction_s);
        if let Some(kalman) = &mut self.kalman {
            kalman.correct_offset(correction_s);
        }
    }

    /// Forgets all samples and the fit.
    pub fn reset(&mut self) {
        self.store.clear();
        self.regression.reset();
        if let Some(kalman) = &mut self.kalman {
            kalman.reset();
        }
        self.best = 0;
    }

    /// Replaces everything by samples from a dump, oldest first, and fits them.
    ///
    /// Samples that are not in strictly increasing order of time and those beyond the
    /// store's capacity are ignored; [`super::dump`] refuses such files before.
    pub fn restore(&mut self, samples: &[StoredSample], asymmetry_run: i32) {
        self.reset();
        let skipped = samples.len().saturating_sub(CAPACITY);
        for sample in samples.iter().skip(skipped) {
            if self
                .store
                .newest()
                .is_none_or(|newest| sample.time > newest.time)
            {
                self.store.push(*sample, CAPACITY);
                self.fit_kalman();
            }
        }
        self.regression.set_asymmetry_run(asymmetry_run);
        self.fit_regression();
        self.hand_over();
    }

    /// Regression first: the filter takes over the asymmetry that it found.
    fn fit(&mut self) {
        self.fit_regression();
        self.fit_kalman();
    }

    fn fit_kalman(&mut self) {
        self.hand_over();
        if let Some(kalman) = &mut self.kalman {
            kalman.update(&self.store, &self.settings);
        }
    }

    /// Gives the filter what it takes from the regression.
    fn hand_over(&mut self) {
        if let Some(kalman) = &mut self.kalman {
            let sample_sd = self.regression.estimate().sample_sd_s;
            kalman.set_regression(self.regression.asymmetry(), sample_sd);
        }
    }

    fn fit_regression(&mut self) {
        let dropped = self.regression.update(&self.store, &self.settings);
        self.store.drop_oldest(dropped);
        self.find_best();
    }

    fn find_best(&mut self) {
        let Some(newest) = self.store.newest().map(|sample| sample.time) else {
            return;
        };
        let skew = self.skew();
        let mut smallest = f64::INFINITY;
        for (index, sample) in self.store.iter().enumerate() {
            let distance = sample.root_distance_s() + newest.since(sample.time) * skew;
            if distance < smallest {
                smallest = distance;
                self.best = index;
            }
        }
    }

    fn log(&self, name: &str, journal: &mut Journal) {
        let (
            Some(FitDetails {
                stress,
                samples,
                dropped,
            }),
            Some(newest),
        ) = (self.regression.details(), self.store.newest())
        else {
            return;
        };
        journal.line(LogFile::Statistics, || {
            let fit = self.regression.estimate();
            format!(
                "{} {name:<15} {} {} {} {} {} {} {samples:3} {dropped:3} {:3} {:5.2}",
                utc(newest.time.seconds()),
                padded_exponent(fit.sample_sd_s, 10, 3),
                padded_exponent(fit.offset_s, 10, 3),
                padded_exponent(fit.offset_sd_s, 10, 3),
                padded_exponent(fit.frequency, 10, 3),
                padded_exponent(fit.skew, 10, 3),
                padded_exponent(stress, 7, 1),
                self.regression.runs(),
                self.regression.asymmetry(),
            )
        });
    }

    /// The parameters.
    pub fn settings(&self) -> &StatisticsSettings {
        &self.settings
    }

    /// The kept samples.
    pub fn samples(&self) -> &SampleStore {
        &self.store
    }

    /// The estimate that steers the clock: that of the chosen estimator, or the
    /// regression's while the chosen one has none.
    pub fn estimate(&self) -> &Estimate {
        match &self.kalman {
            Some(kalman) if kalman.is_ready() && self.has_fit() => kalman.estimate(),
            _ => self.regression.estimate(),
        }
    }

    /// The regression, whatever estimator is chosen.
    pub fn regression(&self) -> &Regression {
        &self.regression
    }

    /// Whether there are enough samples for a fit.
    pub fn has_fit(&self) -> bool {
        self.store.len() >= MIN_SAMPLES
    }

    /// Skew, s/s.
    pub fn skew(&self) -> f64 {
        self.estimate().skew
    }

    /// Frequency uncertainty that NTP uses for the peer dispersion: min(skew, 2000 ppm).
    pub fn frequency_uncertainty(&self) -> f64 {
        self.skew().min(UNKNOWN_FREQUENCY)
    }

    /// Smallest peer delay over all samples or, when set, `mindelay`; seconds.
    pub fn minimum_delay_s(&self) -> f64 {
        if self.settings.min_delay_s > 0.0 {
            self.settings.min_delay_s
        } else {
            self.store.minimum_delay_s()
        }
    }

    /// Predicted offset (F+) at `at`, seconds (section 4.5): the newest offset while there
    /// is no fit, 0 without samples.
    pub fn predict(&self, at: CookedTime) -> f64 {
        if self.has_fit() {
            self.estimate().offset_at(at)
        } else {
            self.store.newest().map_or(0.0, |newest| newest.offset_s)
        }
    }

    /// The sample with the smallest root distance.
    pub fn best_sample(&self) -> Option<&StoredSample> {
        self.store
            .iter()
            .nth(self.best)
            .or_else(|| self.store.newest())
    }

    /// What the delay tests need; `None` with fewer than 6 samples.
    pub fn delay_test_data(&self, at: CookedTime) -> Option<DelayTestData> {
        if self.store.len() < MIN_SAMPLES_FOR_DELAY_TESTS {
            return None;
        }
        let estimate = self.estimate();
        Some(DelayTestData {
            newest_time: estimate.time,
            predicted_offset_s: self.predict(at),
            minimum_delay_s: self.minimum_delay_s(),
            skew: estimate.skew,
            sample_sd_s: estimate.sample_sd_s,
        })
    }

    /// What the reference update takes; `None` without samples.
    pub fn tracking_data(&self) -> Option<TrackingData> {
        let best = self.best_sample()?;
        let estimate = *self.estimate();
        let elapsed = estimate.time.since(best.time);
        Some(TrackingData {
            estimate,
            root_delay_s: best.root_delay_s,
            root_dispersion_s: best.root_dispersion_s
                + estimate.skew * elapsed
                + estimate.offset_sd_s,
        })
    }

    /// What selection takes; `None` without samples. `max_clock_error` is φ in s/s.
    pub fn selection_data(&self, now: CookedTime, max_clock_error: f64) -> Option<SelectionData> {
        let (oldest, newest) = (self.store.oldest()?, self.store.newest()?);
        let best = self.best_sample()?;
        let estimate = self.estimate();
        let age = now.since(best.time).abs();
        let oldest_age = now.since(oldest.time);
        let newest_age = now.since(newest.time);
        let mut distance = best.root_distance_s() + age * estimate.skew;
        // Samples stopped coming: the clock may have wandered since.
        let silence = 2.0 * newest_age - oldest_age;
        if silence > 0.0 {
            distance += max_clock_error * silence;
        }
        let few = self.store.len() < MIN_SAMPLES;
        Some(SelectionData {
            usable: !few || self.store.len() == self.settings.effective_max_samples(),
            offset_s: best.offset_s + age * estimate.frequency,
            root_distance_s: distance,
            sample_sd_s: (!few).then_some(estimate.sample_sd_s),
            oldest_age_s: oldest_age,
            newest_age_s: newest_age,
        })
    }

    /// The row of the `sourcestats` report: always of the regression, so that its
    /// quantities keep their meaning.
    pub fn report(&self, now: CookedTime) -> StatisticsReport {
        let estimate = self.regression.estimate();
        let span = match (self.store.oldest(), self.store.newest()) {
            (Some(oldest), Some(newest)) => newest.time.since(oldest.time).round() as u32,
            _ => 0,
        };
        let (offset, error) = match self.best_sample() {
            Some(best) => (
                estimate.offset_at(now),
                estimate.offset_sd_s
                    + now.since(best.time) * estimate.skew
                    + best.root_distance_s(),
            ),
            None => (0.0, estimate.offset_sd_s),
        };
        StatisticsReport {
            samples: self.store.len() as u32,
            runs: self.regression.runs(),
            span_s: span,
            frequency_ppm: estimate.frequency * 1e6,
            skew_ppm: estimate.skew * 1e6,
            sample_sd_s: estimate.sample_sd_s,
            offset_s: offset,
            offset_error_s: error,
        }
    }

    /// The last sample's columns of the `sources` report; `None` without samples.
    pub fn last_sample(&self) -> Option<LastSampleReport> {
        self.store.newest().map(|newest| LastSampleReport {
            time: newest.time,
            offset_s: newest.offset_s,
            measured_offset_s: newest.measured_offset_s,
            error_s: newest.root_distance_s(),
        })
    }
}

#[cfg(test)]
#[path = "statistics_tests.rs"]
mod tests;
