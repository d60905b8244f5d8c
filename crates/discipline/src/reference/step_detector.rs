//! Steps of the raw clock by somebody else (discipline chapter, section 2.7).

use crate::journal::Journal;

use super::Now;

/// Jumps up to this are left to the measurements, seconds.
const MIN_JUMP_S: f64 = 10.0;

/// Compares the raw clock with the monotonic one at each wake-up.
///
/// The reference compares the raw clock with the timeout of the wait in whole seconds; the
/// kernel's monotonic clock gives the same answer to the nanosecond. It does not count
/// suspended time, so that resuming is seen as a jump forwards, as in the reference.
#[derive(Clone, Copy, Debug)]
pub struct StepDetector {
    last: Now,
}

impl StepDetector {
    /// Starts with both clocks as they are.
    pub fn new(now: Now) -> Self {
        Self { last: now }
    }

    /// The daemon itself stepped the raw clock: `now` is how both clocks are afterwards.
    pub fn expect(&mut self, now: Now) {
        self.last = now;
    }

    /// Looks at both clocks after a wait. Returns the jump in seconds, positive forwards,
    /// if it is more than 10 s; it then goes to
    /// [`Reference::handle_external_step`](super::Reference::handle_external_step).
    pub fn check(&mut self, now: Now, journal: &mut Journal) -> Option<f64> {
        let jump_s = now.raw.since(self.last.raw) - now.monotonic.since(self.last.monotonic);
        self.last = now;
        if jump_s.abs() <= MIN_JUMP_S {
            return None;
        }
        journal.warning(if jump_s < 0.0 {
            "Backward time jump detected!"
        } else {
            "Forward time jump detected!"
        });
        Some(jump_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::testing::{messages, now};

    #[test]
    fn jumps_beyond_ten_seconds_are_told() {
        let mut detector = StepDetector::new(now(1000.0));
        let mut journal = Journal::new();
        let mut at = now(2000.0);
        assert_eq!(detector.check(at, &mut journal), None);
        at.raw = at.raw.plus(20.0);
        assert_eq!(detector.check(at, &mut journal), Some(20.0));
        at.raw = at.raw.minus(10.0);
        assert_eq!(detector.check(at, &mut journal), None);
        at.raw = at.raw.minus(3600.0);
        assert_eq!(detector.check(at, &mut journal), Some(-3600.0));
        at.raw = at.raw.plus(100.0);
        detector.expect(at);
        assert_eq!(detector.check(at, &mut journal), None);
        assert_eq!(
            messages(&mut journal),
            [
                "Forward time jump detected!",
                "Backward time jump detected!"
            ]
        );
    }
}
