//! The samples kept of one source (discipline chapter, section 4.1).

use std::collections::VecDeque;

use super::sample::{ClockChange, StoredSample, bounded};
use crate::time::CookedTime;

/// Most samples kept for the regression, and most behind them (section 4.1).
pub const CAPACITY: usize = 64;

/// What stays of a sample that left the regression's window; the runs test and the
/// asymmetry estimate still look at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TailSample {
    pub(crate) time: CookedTime,
    pub(crate) offset_s: f64,
    pub(crate) peer_delay_s: f64,
}

/// Up to [`CAPACITY`] kept samples, oldest first, and a tail of older ones.
#[derive(Clone, Debug)]
pub struct SampleStore {
    kept: VecDeque<StoredSample>,
    tail: VecDeque<TailSample>,
    minimum_delay_s: f64,
}

impl Default for SampleStore {
    fn default() -> Self {
        Self {
            kept: VecDeque::with_capacity(CAPACITY),
            tail: VecDeque::with_capacity(CAPACITY),
            minimum_delay_s: 0.0,
        }
    }
}

impl SampleStore {
    /// Number of kept samples.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether no sample is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Kept samples, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &StoredSample> + ExactSizeIterator {
        self.kept.iter()
    }

    /// The newest sample.
    pub fn newest(&self) -> Option<&StoredSample> {
        self.kept.back()
    }

    /// The oldest kept sample.
    pub fn oldest(&self) -> Option<&StoredSample> {
        self.kept.front()
    }

    /// Smallest peer delay over kept samples and tail, seconds; 0 when there is none.
    pub fn minimum_delay_s(&self) -> f64 {
        self.minimum_delay_s
    }

    /// The samples behind the kept ones, oldest first.
    pub(crate) fn tail(&self) -> impl DoubleEndedIterator<Item = &TailSample> + ExactSizeIterator {
        self.tail.iter()
    }

    /// Adds the newest sample; when `maximum` or more are held the oldest go to the tail.
    ///
    /// The reference compares for equality only, so that a dump with more samples than
    /// `maxsamples` keeps growing; here the store is trimmed.
    pub(crate) fn push(&mut self, sample: StoredSample, maximum: usize) {
        let surplus = (self.kept.len() + 1).saturating_sub(maximum.clamp(1, CAPACITY));
        self.drop_oldest(surplus);
        self.kept.push_back(sample);
        self.update_minimum_delay();
    }

    /// Moves the oldest `count` kept samples to the tail, which afterwards holds no more
    /// than are left (found by replaying histories of the reference).
    pub(crate) fn drop_oldest(&mut self, count: usize) {
        let limit = self.kept.len().saturating_sub(count);
        for sample in self.kept.drain(..count.min(self.kept.len())) {
            self.tail.push_back(TailSample {
                time: sample.time,
                offset_s: sample.offset_s,
                peer_delay_s: sample.peer_delay_s,
            });
        }
        if count > 0 {
            let surplus = self.tail.len().saturating_sub(limit);
            self.tail.drain(..surplus);
            self.update_minimum_delay();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
        self.tail.clear();
        self.minimum_delay_s = 0.0;
    }

    /// Applies a change of the clock to every sample.
    pub(crate) fn shift(&mut self, change: &ClockChange) {
        for sample in &mut self.kept {
            sample.shift(change);
        }
        for sample in &mut self.tail {
            let delta = change.delta_s(sample.time);
            sample.time = sample.time.plus(delta);
            sample.offset_s = bounded(sample.offset_s + delta);
        }
    }

    /// Adds a constant to every offset (F+).
    pub(crate) fn correct_offset(&mut self, correction_s: f64) {
        for sample in &mut self.kept {
            sample.offset_s = bounded(sample.offset_s + correction_s);
        }
        for sample in &mut self.tail {
            sample.offset_s = bounded(sample.offset_s + correction_s);
        }
    }

    /// Adds announced extra dispersion to every kept sample.
    pub(crate) fn add_dispersion(&mut self, dispersion_s: f64) {
        for sample in &mut self.kept {
            sample.add_dispersion(dispersion_s);
        }
    }

    fn update_minimum_delay(&mut self) {
        let kept = self.kept.iter().map(|sample| sample.peer_delay_s);
        let tail = self.tail.iter().map(|sample| sample.peer_delay_s);
        let minimum = kept.chain(tail).fold(f64::INFINITY, f64::min);
        self.minimum_delay_s = if minimum.is_finite() { minimum } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::sample::Sample;

    fn sample(second: i64, delay_s: f64) -> StoredSample {
        StoredSample::from_sample(
            &Sample {
                time: CookedTime::from_parts(second, 0),
                offset_s: 0.0,
                peer_delay_s: delay_s,
                peer_dispersion_s: 0.0,
                root_delay_s: 0.0,
                root_dispersion_s: 0.0,
            },
            0.0,
        )
    }

    #[test]
    fn the_oldest_goes_to_the_tail_and_the_minimum_covers_both() {
        let mut store = SampleStore::default();
        for i in 0..10 {
            store.push(sample(i, if i == 0 { 0.1 } else { 0.2 }), 4);
        }
        assert_eq!((store.len(), store.tail().len()), (4, 3));
        assert_eq!(store.oldest().map(|s| s.time.seconds()), Some(6));
        // The sample with the smallest delay has left the tail too.
        assert_eq!(store.minimum_delay_s(), 0.2);
    }

    #[test]
    fn a_full_store_has_a_tail_of_one_less() {
        let mut store = SampleStore::default();
        for i in 0..200 {
            store.push(sample(i, 0.1), CAPACITY);
        }
        assert_eq!((store.len(), store.tail().len()), (64, 63));
    }

    #[test]
    fn a_store_above_the_maximum_is_trimmed() {
        let mut store = SampleStore::default();
        for i in 0..50 {
            store.push(sample(i, 0.1), CAPACITY);
        }
        store.push(sample(50, 0.1), 5);
        assert_eq!(store.len(), 5);
    }
}
