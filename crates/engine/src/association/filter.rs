//! Option `filter`: one sample for several polls (ntp chapter, section 11.1).

use discipline::samples::{ClockChange, FilterSettings, Sample, SampleFilter};

/// Counts polls and gives the filtered sample when the count is full.
#[derive(Debug)]
pub(super) struct PollFilter {
    samples: SampleFilter,
    length: usize,
    polls: usize,
}

impl PollFilter {
    pub(super) fn new(length: usize, precision_s: f64) -> Self {
        let samples = SampleFilter::new(FilterSettings::ntp(length, precision_s));
        Self {
            samples,
            length: length.max(1),
            polls: 0,
        }
    }

    /// A poll with a good sample. Returns the filter's output when it is due.
    pub(super) fn add(&mut self, sample: Sample) -> Option<Sample> {
        self.samples.accumulate(sample);
        self.count()
    }

    /// A poll without a good sample.
    pub(super) fn miss(&mut self) -> Option<Sample> {
        self.count()
    }

    fn count(&mut self) -> Option<Sample> {
        self.polls = self.polls.saturating_add(1).min(self.length);
        if self.polls < self.length {
            return None;
        }
        // Without a sample the count stays full and the next poll tries again.
        let output = self.samples.take()?;
        self.polls = 0;
        Some(output)
    }

    /// Peer delay of the last sample that went in, seconds.
    pub(super) fn last_delay_s(&self) -> Option<f64> {
        self.samples.last().map(|sample| sample.peer_delay_s)
    }

    pub(super) fn shift(&mut self, change: &ClockChange) {
        self.samples.shift(change);
    }

    pub(super) fn add_dispersion(&mut self, dispersion_s: f64) {
        self.samples.add_dispersion(dispersion_s);
    }

    pub(super) fn reset(&mut self) {
        self.samples.drop_samples();
        self.polls = 0;
    }
}
