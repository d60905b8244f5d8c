//! When transmissions may happen: apart from others of the same class.
//!
//! Many sources polled at the same moment would disturb each other's measurements, so a
//! transmission is planned at a distance from those already planned (ntp chapter,
//! section 7). The room is pure: the owner tells it which timers are pending. Timers are
//! kept in monotonic time, so that steps of the clock do not touch them.

use crate::random::RandomSource;
use discipline::time::MonotonicTime;

/// Largest random stretch of an interval (ntp chapter, section 1).
pub const RANDOM_STRETCH: f64 = 0.02;
/// Limits of the separation of transmissions, seconds (ntp chapter, section 7).
const SEPARATION_LIMITS_S: (f64, f64) = (0.002, 0.2);

/// Transmissions that are kept apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransmissionClass {
    /// Requests of clients.
    Client,
    /// Packets of symmetric associations.
    Peer,
    /// Broadcasts.
    Broadcast,
}

/// Identity of a timer within a class; the owner chooses it (one per association).
pub type TimerKey = u64;

/// Pending transmissions of one class.
#[derive(Clone, Debug, Default)]
struct ClassTimers {
    /// Ordered by time.
    pending: Vec<(MonotonicTime, TimerKey)>,
    last_fired: Option<MonotonicTime>,
}

/// All pending transmissions.
#[derive(Clone, Debug, Default)]
pub struct TransmissionSchedule {
    classes: [ClassTimers; 3],
}

/// Separation of transmissions for a poll value: 2^(poll − 3) s within 2 … 200 ms (ntp
/// chapter, section 7).
pub fn separation_s(poll: i8) -> f64 {
    2f64.powi(i32::from(poll) - 3)
        .clamp(SEPARATION_LIMITS_S.0, SEPARATION_LIMITS_S.1)
}

impl TransmissionSchedule {
    /// Nothing pending.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plans the transmission `key` at `now + delay_s`, stretched at random by up to 2 %,
    /// and moved later as the separation demands. An earlier plan of the same key is
    /// replaced.
    pub fn plan(
        &mut self,
        class: TransmissionClass,
        key: TimerKey,
        now: MonotonicTime,
        delay_s: f64,
        separation_s: f64,
        random: &mut dyn RandomSource,
    ) -> MonotonicTime {
        self.cancel(class, key);
        let stretch = 1.0 + RANDOM_STRETCH * random.uniform();
        let separation_s = separation_s * stretch;
        let timers = &mut self.classes[class as usize];
        let mut at = now.plus(delay_s.max(0.0) * stretch);
        if let Some(last) = timers.last_fired {
            at = at.max(last.plus(separation_s));
        }
        let first_near = timers
            .pending
            .partition_point(|(time, _)| at.since(*time) >= separation_s);
        for (time, _) in &timers.pending[first_near..] {
            if time.since(at) >= separation_s {
                break;
            }
            at = time.plus(separation_s);
        }
        let position = timers.pending.partition_point(|(time, _)| *time <= at);
        timers.pending.insert(position, (at, key));
        at
    }

    /// The timer `key` fired at `now`; it is no longer pending.
    pub fn fired(&mut self, class: TransmissionClass, key: TimerKey, now: MonotonicTime) {
        self.cancel(class, key);
        self.classes[class as usize].last_fired = Some(now);
    }

    /// Forgets the timer `key`, if it is pending.
    pub fn cancel(&mut self, class: TransmissionClass, key: TimerKey) {
        self.classes[class as usize]
            .pending
            .retain(|(_, other)| *other != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn transmissions_of_a_class_keep_their_distance() {
        let mut schedule = TransmissionSchedule::new();
        let mut random = SeededRandom::new(1);
        let now = MonotonicTime::from_parts(1000, 0);
        let mut times: Vec<MonotonicTime> = (0..50)
            .map(|key| schedule.plan(TransmissionClass::Client, key, now, 0.2, 0.2, &mut random))
            .collect();
        times.sort();
        for pair in times.windows(2) {
            assert!(pair[1].since(pair[0]) > 0.1999);
        }
        // Another class is not held back.
        let peer = schedule.plan(TransmissionClass::Peer, 1, now, 0.2, 0.2, &mut random);
        assert!(peer.since(now) < 0.2041);
    }

    #[test]
    fn the_last_fired_timer_holds_the_next_back() {
        let mut schedule = TransmissionSchedule::new();
        let mut random = SeededRandom::new(2);
        let now = MonotonicTime::from_parts(1000, 0);
        schedule.fired(TransmissionClass::Client, 1, now);
        let at = schedule.plan(TransmissionClass::Client, 2, now, 0.0, 0.2, &mut random);
        assert!((0.2..0.2041).contains(&at.since(now)));
    }

    #[test]
    fn separation_follows_the_poll() {
        assert_eq!(separation_s(6), 0.2);
        assert_eq!(separation_s(-7), 0.002);
        assert_eq!(separation_s(0), 0.125);
    }
}
