//! The last samples and what their delays say about each other: the Kalman bank's memory.
//!
//! How much a sample is worth depends on how far its delay is above the minimum, and the
//! minimum is only found with time: a sample that seemed good may turn out to be late. A
//! filter that has taken it in cannot take it back; with the history it can start again.

use std::collections::VecDeque;

use super::sample::{ClockChange, StoredSample, bounded};
use crate::time::CookedTime;

/// Samples that are kept, and that the minimum is taken over.
const LENGTH: usize = 128;

/// Mean of the smallest of n delays of two exponential parts with mean J each, in units of
/// J/√n: √(π/2).
const MINIMUM_BIAS: f64 = 1.2533;

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// When it was taken.
    pub(crate) time: CookedTime,
    /// F+ offset, seconds.
    pub(crate) offset_s: f64,
    /// Peer delay, seconds.
    pub(crate) delay_s: f64,
}

impl From<&StoredSample> for Point {
    fn from(sample: &StoredSample) -> Self {
        Self {
            time: sample.time,
            offset_s: sample.offset_s,
            delay_s: sample.peer_delay_s,
        }
    }
}

/// What the delays of the history say about the shortest one possible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ShortestDelay {
    /// The smallest delay seen (or `mindelay`), seconds.
    pub(crate) seen_s: f64,
    /// How much it is probably above the shortest one possible, seconds.
    pub(crate) unseen_s: f64,
}

impl ShortestDelay {
    /// The offset of a sample without the share `asymmetry` of its extra delay, and the
    /// variance of its error that the delay explains: uniform over half of the extra delay
    /// in both directions when the jitter is exponential, less when it is one-sided.
    pub(crate) fn measure(&self, point: &Point, asymmetry: f64) -> (f64, f64) {
        let extra_s = point.delay_s - self.seen_s;
        let share = (0.25 - asymmetry.powi(2)).max(0.0) / 3.0;
        (
            point.offset_s - asymmetry * extra_s,
            share * (extra_s + self.unseen_s).powi(2),
        )
    }
}

/// The last samples, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct DelayHistory(VecDeque<Point>);

impl Default for DelayHistory {
    fn default() -> Self {
        Self(VecDeque::with_capacity(LENGTH))
    }
}

impl DelayHistory {
    /// Adds a sample; true when no other has such a small delay.
    pub(crate) fn push(&mut self, point: Point) -> bool {
        if self.0.len() == LENGTH {
            self.0.pop_front();
        }
        let is_shortest = self.0.iter().all(|old| point.delay_s < old.delay_s);
        self.0.push_back(point);
        is_shortest
    }

    /// Forgets all but the newest sample.
    pub(crate) fn keep_newest(&mut self) {
        self.0.drain(..self.0.len().saturating_sub(1));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<Point> {
        self.0.get(index).copied()
    }

    /// The shortest delay; `minimum_s` above 0 says what it is known to be.
    pub(crate) fn shortest(&self, minimum_s: f64) -> ShortestDelay {
        let delays = self.0.iter().map(|point| point.delay_s);
        let seen_s = if minimum_s > 0.0 {
            minimum_s
        } else {
            delays.clone().fold(f64::INFINITY, f64::min)
        };
        let count = self.0.len() as f64;
        let mean_extra_s = delays.map(|delay| delay - seen_s).sum::<f64>() / count;
        ShortestDelay {
            seen_s,
            // Half of the mean extra delay is each direction's.
            unseen_s: MINIMUM_BIAS * (mean_extra_s / 2.0) / count.sqrt(),
        }
    }

    pub(crate) fn shift(&mut self, change: &ClockChange) {
        for point in &mut self.0 {
            let delta = change.delta_s(point.time);
            point.time = point.time.plus(delta);
            point.offset_s = bounded(point.offset_s + delta);
        }
    }

    pub(crate) fn correct_offset(&mut self, correction_s: f64) {
        for point in &mut self.0 {
            point.offset_s = bounded(point.offset_s + correction_s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(seconds: f64, delay_s: f64) -> Point {
        Point {
            time: CookedTime::ZERO.plus(seconds),
            offset_s: 1e-3,
            delay_s,
        }
    }

    #[test]
    fn the_shortest_delay_is_the_smallest_of_the_last_ones() {
        let mut history = DelayHistory::default();
        assert!(history.push(point(0.0, 0.010)));
        assert!(!history.push(point(1.0, 0.010)));
        assert!(history.push(point(2.0, 0.004)));
        let shortest = history.shortest(0.0);
        assert_eq!(shortest.seen_s, 0.004);
        let expected = MINIMUM_BIAS * 0.002 / 3f64.sqrt();
        assert!((shortest.unseen_s - expected).abs() < 1e-12);
        assert_eq!(history.shortest(0.003).seen_s, 0.003);
        for second in 3..=(LENGTH as i32 + 3) {
            history.push(point(f64::from(second), 0.020));
        }
        assert_eq!(history.len(), LENGTH);
        assert_eq!(history.shortest(0.0).seen_s, 0.020);
        history.keep_newest();
        assert_eq!(history.len(), 1);
    }

    #[test]
    fn a_late_sample_is_worth_less() {
        let shortest = ShortestDelay {
            seen_s: 0.001,
            unseen_s: 0.0,
        };
        let (offset_s, variance) = shortest.measure(&point(0.0, 0.003), 0.0);
        assert_eq!(offset_s, 1e-3);
        assert!((variance - 0.002f64.powi(2) / 12.0).abs() < 1e-15);
        // All of the jitter in the response: offset = truth + half of the extra delay.
        let (offset_s, variance) = shortest.measure(&point(0.0, 0.003), 0.5);
        assert!(offset_s.abs() < 1e-15 && variance == 0.0);
    }
}
