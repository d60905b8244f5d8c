//! The sample filter: several samples become one (discipline chapter, section 3).

use std::collections::VecDeque;

use super::quantile_tables::chi_square;
use super::regression::Line;
use super::sample::{ClockChange, Sample, bounded};

/// Most samples a filter holds.
pub const MAX_FILTER_SAMPLES: usize = 256;
/// With more samples than this, the ones with a large dispersion are left out.
const MIN_SAMPLES_TO_SELECT: usize = 4;
/// Dispersions up to this multiple of the smallest are kept.
const DISPERSION_LIMIT: f64 = 1.5;
/// Fewest samples of a line fit.
const MIN_SAMPLES_OF_LINE: usize = 4;
/// Smallest variance, seconds².
const MIN_VARIANCE: f64 = 1e-20;
/// Degrees of freedom until which the long-term variance is a plain average, and its time
/// constant afterwards.
const LONG_TERM_DOF: f64 = 50.0;
/// Smallest weight of a sample in the line fit, seconds: q is at least this (section 1.5).
const MIN_DISPERSION_S: f64 = 1e-9;

/// Parameters of a filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterSettings {
    /// Fewest samples of an output.
    pub min_samples: usize,
    /// Size of the ring, cut to 1 … 256.
    pub max_samples: usize,
    /// No output when the variance exceeds the square of this, seconds; `None` = off.
    pub max_dispersion_s: Option<f64>,
    /// Part of the samples, sorted by offset, that is combined; 0 = the median.
    pub combine_ratio: f64,
    /// Precision q of the local clock, seconds.
    pub precision_s: f64,
}

impl FilterSettings {
    /// The filter of an NTP source with `filter n`.
    pub fn ntp(n: usize, precision_s: f64) -> Self {
        Self {
            min_samples: 1,
            max_samples: n,
            max_dispersion_s: Some(16.0),
            combine_ratio: 0.0,
            precision_s,
        }
    }

    /// The filter of a reference clock (`filter`, default 64; `maxdispersion`).
    pub fn reference_clock(n: usize, max_dispersion_s: Option<f64>, precision_s: f64) -> Self {
        Self {
            min_samples: 1,
            max_samples: n,
            max_dispersion_s,
            combine_ratio: 0.6,
            precision_s,
        }
    }
}

/// A ring of samples that gives one for all.
#[derive(Clone, Debug)]
pub struct SampleFilter {
    settings: FilterSettings,
    ring: VecDeque<Sample>,
    last: Option<Sample>,
    /// Long-term average of the variance, seconds².
    long_term_variance: f64,
    /// Degrees of freedom in that average; stops a little above [`LONG_TERM_DOF`].
    long_term_dof: f64,
}

/// Variance of the combined samples and what it means for their mean.
#[derive(Clone, Copy)]
struct Spread {
    variance: f64,
    dispersion_s: f64,
    dof: usize,
}

impl SampleFilter {
    /// An empty filter.
    pub fn new(settings: FilterSettings) -> Self {
        let size = settings.max_samples.clamp(1, MAX_FILTER_SAMPLES);
        Self {
            settings: FilterSettings {
                max_samples: size,
                ..settings
            },
            ring: VecDeque::with_capacity(size),
            last: None,
            long_term_variance: settings.precision_s.powi(2),
            long_term_dof: 0.0,
        }
    }

    /// Adds a sample, forgetting the oldest of a full ring. Returns false, and does
    /// nothing, when it is not later than the previous one.
    pub fn accumulate(&mut self, sample: Sample) -> bool {
        if self.last.is_some_and(|last| sample.time <= last.time) {
            return false;
        }
        if self.ring.len() == self.settings.max_samples {
            self.ring.pop_front();
        }
        let sample = Sample {
            time: sample.time,
            offset_s: bounded(sample.offset_s),
            peer_delay_s: bounded(sample.peer_delay_s),
            peer_dispersion_s: bounded(sample.peer_dispersion_s),
            root_delay_s: bounded(sample.root_delay_s),
            root_dispersion_s: bounded(sample.root_dispersion_s),
        };
        self.ring.push_back(sample);
        self.last = Some(sample);
        true
    }

    /// Samples in the ring.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether the ring is empty.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// The newest sample, also after [`SampleFilter::take`].
    pub fn last(&self) -> Option<&Sample> {
        self.last.as_ref()
    }

    /// √V: long-term standard deviation of the samples, seconds.
    pub fn long_term_sd_s(&self) -> f64 {
        self.long_term_variance.sqrt()
    }

    /// Combines the samples into one and empties the ring. `None`, keeping the ring, when
    /// there are too few samples or their spread exceeds `maxdispersion`.
    pub fn take(&mut self) -> Option<Sample> {
        if self.ring.is_empty() || self.ring.len() < self.settings.min_samples {
            return None;
        }
        let chosen = self.choose();
        let combined = self.combine(&chosen)?;
        self.ring.clear();
        Some(combined)
    }

    /// Forgets all samples, also the last.
    pub fn drop_samples(&mut self) {
        self.ring.clear();
        self.last = None;
    }

    /// Applies a change of the clock (section 1.4).
    pub fn shift(&mut self, change: &ClockChange) {
        for sample in self.ring.iter_mut().chain(self.last.as_mut()) {
            let delta = change.delta_s(sample.time);
            sample.time = sample.time.plus(delta);
            sample.offset_s = bounded(sample.offset_s - delta);
        }
    }

    /// Adds announced extra dispersion to every sample.
    pub fn add_dispersion(&mut self, dispersion_s: f64) {
        for sample in self.ring.iter_mut().chain(self.last.as_mut()) {
            sample.peer_dispersion_s = bounded(sample.peer_dispersion_s + dispersion_s);
            sample.root_dispersion_s = bounded(sample.root_dispersion_s + dispersion_s);
        }
    }

    /// Adds a constant (S+, seconds) to the offset of every sample.
    pub fn correct_offset(&mut self, correction_s: f64) {
        for sample in self.ring.iter_mut().chain(self.last.as_mut()) {
            sample.offset_s = bounded(sample.offset_s + correction_s);
        }
    }

    /// The samples to combine, in time order.
    fn choose(&self) -> Vec<Sample> {
        let mut chosen: Vec<Sample> = self.ring.iter().copied().collect();
        if chosen.len() > MIN_SAMPLES_TO_SELECT {
            let smallest = chosen
                .iter()
                .map(|sample| sample.peer_dispersion_s)
                .fold(f64::INFINITY, f64::min);
            let limit = DISPERSION_LIMIT * smallest;
            let good = chosen
                .iter()
                .filter(|sample| sample.peer_dispersion_s <= limit)
                .count();
            if good >= MIN_SAMPLES_TO_SELECT {
                chosen.retain(|sample| sample.peer_dispersion_s <= limit);
            }
        }
        chosen.sort_by(|a, b| a.offset_s.total_cmp(&b.offset_s));
        let count = chosen.len();
        if count > 2 {
            let wanted = (count as f64 * (1.0 - self.settings.combine_ratio) / 2.0) as usize;
            let drop = wanted.max(1).min((count - 1) / 2);
            chosen.truncate(count - drop);
            chosen.drain(..drop);
        }
        chosen.sort_by_key(|sample| sample.time);
        chosen
    }

    fn combine(&mut self, samples: &[Sample]) -> Option<Sample> {
        let first = samples.first()?;
        let count = samples.len() as f64;
        let mean = |value: fn(&Sample) -> f64| samples.iter().map(value).sum::<f64>() / count;
        let since_first = samples
            .iter()
            .map(|sample| sample.time.since(first.time))
            .sum::<f64>()
            / count;
        let offset = mean(|sample| sample.offset_s);
        let spread = self.spread(samples, since_first, offset)?;
        if self
            .settings
            .max_dispersion_s
            .is_some_and(|limit| spread.variance > limit.powi(2))
        {
            return None;
        }
        let dispersion = self.against_long_term(spread);
        Some(Sample {
            time: first.time.plus(since_first),
            offset_s: offset,
            peer_delay_s: mean(|sample| sample.peer_delay_s),
            peer_dispersion_s: mean(|sample| sample.peer_dispersion_s).max(dispersion),
            root_delay_s: mean(|sample| sample.root_delay_s),
            root_dispersion_s: mean(|sample| sample.root_dispersion_s).max(dispersion),
        })
    }

    fn spread(
        &self,
        samples: &[Sample],
        mean_since_first: f64,
        mean_offset: f64,
    ) -> Option<Spread> {
        let first = samples.first()?;
        let count = samples.len();
        let spread = if count >= MIN_SAMPLES_OF_LINE {
            let line = Line::fit(samples.iter().map(|sample| {
                (
                    sample.time.since(first.time) - mean_since_first,
                    sample.offset_s,
                    sample.peer_dispersion_s.max(MIN_DISPERSION_S),
                )
            }))?;
            Spread {
                variance: line.variance,
                dispersion_s: line.intercept_sd,
                dof: count - 2,
            }
        } else if count >= 2 {
            let squares: f64 = samples
                .iter()
                .map(|sample| (sample.offset_s - mean_offset).powi(2))
                .sum();
            let variance = squares / (count - 1) as f64;
            Spread {
                variance,
                dispersion_s: variance.sqrt(),
                dof: count - 1,
            }
        } else {
            let variance = self.long_term_variance;
            Spread {
                variance,
                dispersion_s: variance.sqrt(),
                dof: 1,
            }
        };
        if spread.variance < MIN_VARIANCE {
            return Some(Spread {
                variance: MIN_VARIANCE,
                dispersion_s: MIN_VARIANCE.sqrt(),
                ..spread
            });
        }
        Some(spread)
    }

    /// Updates the long-term variance; a spread that is smaller than chance allows is
    /// widened to it. Returns the dispersion, seconds.
    fn against_long_term(&mut self, spread: Spread) -> f64 {
        let Spread {
            variance,
            dispersion_s,
            dof,
        } = spread;
        let weight = dof as f64;
        let had_average = self.long_term_dof > 0.0;
        let before = self.long_term_variance;
        if self.long_term_dof <= LONG_TERM_DOF {
            let total = self.long_term_dof + weight;
            self.long_term_variance = (before * self.long_term_dof + variance * weight) / total;
            self.long_term_dof = total;
        } else {
            self.long_term_variance += weight / (weight + LONG_TERM_DOF) * (variance - before);
        }
        let compared = if had_average {
            before
        } else {
            self.long_term_variance
        };
        if variance * weight / chi_square(dof) < compared {
            dispersion_s * (self.long_term_variance / variance).sqrt()
        } else {
            dispersion_s
        }
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
