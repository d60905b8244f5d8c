//! Adaptation of the polling interval (ntp chapter, section 8.5).

use super::config::{MAX_POLL, MIN_POLL};

/// A request while the previous one had no valid response, for the selected source.
const CHANGE_MISSED_SELECTED: f64 = 0.1;
/// The same for a source that is not selected.
const CHANGE_MISSED_OTHER: f64 = 0.25;
/// A valid response that is not good.
const CHANGE_NOT_GOOD: f64 = 0.02;
/// A valid response that failed test D or on which it was not made.
const CHANGE_LOOP_OR_UNSYNCHRONISED: f64 = 0.1;

/// What changes the polling interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PollEvent {
    /// A sample was accumulated.
    Sample {
        /// Samples kept after it.
        kept: usize,
        /// |measured − predicted offset|, seconds.
        error_s: f64,
        /// Peer dispersion + peer delay/2, seconds.
        peer_distance_s: f64,
    },
    /// A valid response was not good.
    NotGood {
        /// Whether test D was made and passed.
        loop_test_passed: bool,
    },
    /// The previous request had no valid response.
    Missed {
        /// Whether the source is the selected one.
        selected: bool,
    },
}

/// Poll value, score and limits of an association.
#[derive(Clone, Debug, PartialEq)]
pub struct PollAdaptation {
    min_poll: i8,
    max_poll: i8,
    target: u32,
    poll: i8,
    score: f64,
}

impl PollAdaptation {
    /// Limits as clamped by the configuration; the target is at least 1.
    pub fn new(min_poll: i32, max_poll: i32, target: u32) -> Self {
        let limit = |poll: i32| {
            i8::try_from(poll.clamp(i32::from(MIN_POLL), i32::from(MAX_POLL))).unwrap_or(0)
        };
        let min_poll = limit(min_poll);
        Self {
            min_poll,
            max_poll: limit(max_poll).max(min_poll),
            target: target.max(1),
            poll: min_poll.max(0),
            score: 0.0,
        }
    }

    /// The local poll, log2 seconds.
    pub fn poll(&self) -> i8 {
        self.poll
    }

    /// The score, 0 … 1 for the most part.
    pub fn score(&self) -> f64 {
        self.score
    }

    /// The smallest poll.
    pub fn min_poll(&self) -> i8 {
        self.min_poll
    }

    /// The largest poll.
    pub fn max_poll(&self) -> i8 {
        self.max_poll
    }

    /// The number of samples aimed at.
    pub fn target(&self) -> u32 {
        self.target
    }

    /// Changes the target; 0 counts as 1.
    pub fn set_target(&mut self, target: u32) {
        self.target = target.max(1);
    }

    /// Changes the smallest poll; raises the largest if needed. `false` when outside
    /// −7 … 24 (nothing changes then).
    pub fn set_min_poll(&mut self, poll: i32) -> bool {
        let Some(poll) = valid_poll(poll) else {
            return false;
        };
        self.min_poll = poll;
        self.max_poll = self.max_poll.max(poll);
        true
    }

    /// Changes the largest poll; lowers the smallest if needed. `false` when outside
    /// −7 … 24 (nothing changes then).
    pub fn set_max_poll(&mut self, poll: i32) -> bool {
        let Some(poll) = valid_poll(poll) else {
            return false;
        };
        self.max_poll = poll;
        self.min_poll = self.min_poll.min(poll);
        true
    }

    /// Back to the smallest poll with score 0 (unknown step, changed address).
    pub fn reset(&mut self) {
        self.poll = self.min_poll;
        self.score = 0.0;
    }

    /// Applies `event`. `lan_neighbour`: proven to be near (ntp chapter, section 8.5),
    /// the condition for sub-second polling.
    pub fn handle(&mut self, event: PollEvent, lan_neighbour: bool) {
        self.score += self.change(event);
        if self.score >= 1.0 {
            let steps = self.score.trunc();
            self.shift(steps);
        } else if self.score < 0.0 {
            let steps = (self.score - 1.0).trunc();
            self.shift(steps);
        }
        if self.poll < self.min_poll {
            self.poll = self.min_poll;
            self.score = 0.0;
        } else if self.poll > self.max_poll {
            self.poll = self.max_poll;
            self.score = 1.0;
        }
        if self.poll < 0 && !lan_neighbour {
            self.poll = 0;
        }
    }

    fn shift(&mut self, steps: f64) {
        // `as` saturates; the limits follow.
        self.poll = self.poll.saturating_add(steps as i8);
        self.score -= steps;
    }

    fn change(&self, event: PollEvent) -> f64 {
        match event {
            PollEvent::Sample {
                error_s,
                peer_distance_s,
                ..
            } if error_s > peer_distance_s => {
                // Limited to the whole range of poll values, so that a distance of zero
                // cannot make the score infinite.
                -(error_s / peer_distance_s)
                    .log2()
                    .min(f64::from(MAX_POLL - MIN_POLL))
            }
            PollEvent::Sample { kept, .. } => {
                let target = f64::from(self.target);
                let change = (kept as f64 / target - 1.0) / target;
                if (kept as f64) < target {
                    2.0 * change
                } else {
                    change
                }
            }
            PollEvent::NotGood {
                loop_test_passed: true,
            } => CHANGE_NOT_GOOD,
            PollEvent::NotGood {
                loop_test_passed: false,
            } => CHANGE_LOOP_OR_UNSYNCHRONISED,
            PollEvent::Missed { selected: true } => CHANGE_MISSED_SELECTED,
            PollEvent::Missed { selected: false } => CHANGE_MISSED_OTHER,
        }
    }
}

fn valid_poll(poll: i32) -> Option<i8> {
    i8::try_from(poll)
        .ok()
        .filter(|poll| (MIN_POLL..=MAX_POLL).contains(poll))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_server() {
        // ntp chapter, section 8.5: intervals 4 × 1, 4 × 2, 4 × 4, then 8 s.
        let mut poll = PollAdaptation::new(0, 3, 8);
        let mut intervals = vec![poll.poll()];
        for _ in 0..16 {
            poll.handle(PollEvent::Missed { selected: false }, false);
            intervals.push(poll.poll());
        }
        // The first request has no unanswered one before it.
        assert_eq!(
            intervals,
            [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]
        );
    }

    #[test]
    fn sub_second_needs_a_neighbour() {
        let mut poll = PollAdaptation::new(-3, -3, 8);
        assert_eq!(poll.poll(), 0);
        let event = |kept| PollEvent::Sample {
            kept,
            error_s: 0.0,
            peer_distance_s: 1e-4,
        };
        poll.handle(event(1), false);
        assert_eq!(poll.poll(), 0);
        poll.handle(event(1), true);
        assert_eq!((poll.poll(), poll.score()), (-3, 1.0));
        poll.handle(event(2), true);
        assert_eq!((poll.poll(), poll.score()), (-3, 0.8125));
    }

    #[test]
    fn no_event_leaves_the_limits() {
        let mut poll = PollAdaptation::new(4, 8, 8);
        for (error_s, peer_distance_s) in [(1.0, 0.0), (f64::INFINITY, 1.0), (1e9, 1e-9)] {
            poll.handle(
                PollEvent::Sample {
                    kept: 64,
                    error_s,
                    peer_distance_s,
                },
                false,
            );
            assert_eq!((poll.poll(), poll.score()), (4, 0.0));
        }
        for _ in 0..10_000 {
            poll.handle(PollEvent::Missed { selected: false }, false);
        }
        assert_eq!(poll.poll(), 8);
        assert!(poll.score() <= 2.0);
    }
}
