//! When names are resolved, and what for (ntp chapter, sections 16.2 to 16.4).
//!
//! Names are resolved one at a time by somebody else (the daemon's helper thread, or the
//! simulator). This room keeps the order of the queries, the rounds over everything that
//! has no address yet, and the rate limits of replacement and refresh. What an answer
//! does to the sources is decided in the registry.

use std::collections::VecDeque;
use std::net::IpAddr;

use discipline::time::MonotonicTime;

use crate::ids::{PoolId, SourceId};
use crate::random::RandomSource;

/// Longest random pause between accepted replacement requests, seconds.
const REPLACEMENT_PAUSE_MAX_S: f64 = 7.0 * 512.0;
/// Pause before the next round is this times 2^n seconds.
const ROUND_PAUSE_UNIT_S: f64 = 7.0;
/// Range of n.
const ROUND_EXPONENT: std::ops::RangeInclusive<i32> = 2..=9;

/// Address family that a name is restricted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Identifies a query until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryId(pub u32);

/// One address of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedAddress {
    /// The address.
    pub address: IpAddr,
    /// Whether a UDP socket could be connected to it, which tells that a route exists.
    pub connectable: bool,
}

/// What the answer to a query is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Give this source its first address.
    Source(SourceId),
    /// Give the placeholders of this pool addresses.
    Pool(PoolId),
    /// Give this source another address if there is one.
    Replacement(SourceId),
    /// Check that the address of this source is still one of its name.
    Refresh(SourceId),
    /// Find the NTP server that this source negotiated by NTS-KE.
    NegotiatedServer(SourceId),
}

/// A name to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The host name.
    pub name: String,
    /// Restriction by the options `ipv4`, `ipv6`.
    pub family: Option<Family>,
    /// What it is for.
    pub purpose: Purpose,
}

/// The queue of names.
#[derive(Debug)]
pub struct NameQueue {
    waiting: VecDeque<Question>,
    in_flight: Option<(QueryId, Question)>,
    next_id: u32,
    round_running: bool,
    round_wanted: bool,
    round_exponent: i32,
    next_round: Option<MonotonicTime>,
    next_replacement: Option<MonotonicTime>,
    last_refresh: Option<MonotonicTime>,
}

impl Default for NameQueue {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: None,
            next_id: 0,
            round_running: false,
            round_wanted: false,
            round_exponent: *ROUND_EXPONENT.start() - 1,
            next_round: None,
            next_replacement: None,
            last_refresh: None,
        }
    }
}

impl NameQueue {
    /// Asks for a round over all unresolved names as soon as none runs.
    pub fn want_round(&mut self) {
        self.round_wanted = true;
    }

    /// When [`NameQueue::round_due`] may become true by itself.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        self.next_round
    }

    /// Whether the caller should now call [`NameQueue::start_round`].
    pub fn round_due(&mut self, now: MonotonicTime) -> bool {
        if self.next_round.is_some_and(|at| at <= now) {
            self.next_round = None;
            self.round_exponent = (self.round_exponent + 1).min(*ROUND_EXPONENT.end());
            self.round_wanted = true;
        }
        self.round_wanted && !self.round_running
    }

    /// Starts a round over `unresolved`.
    pub fn start_round(&mut self, unresolved: impl IntoIterator<Item = Question>) {
        self.round_wanted = false;
        self.round_running = true;
        self.next_round = None;
        self.waiting.extend(unresolved);
    }

    /// The next query to hand out, if none is in flight.
    pub fn poll_query(&mut self) -> Option<(QueryId, Question)> {
        if self.in_flight.is_some() {
            return None;
        }
        let question = self.waiting.pop_front()?;
        self.next_id = self.next_id.wrapping_add(1);
        let query = (QueryId(self.next_id), question);
        self.in_flight = Some(query.clone());
        Some(query)
    }

    /// Accepts the answer to `query`; `None` for an answer nobody waits for.
    pub fn answered(&mut self, query: QueryId) -> Option<Question> {
        if self.in_flight.as_ref().is_some_and(|(id, _)| *id == query) {
            self.in_flight.take().map(|(_, question)| question)
        } else {
            None
        }
    }

    /// Whether a round just ended: true once, after its last answer was taken.
    /// `unresolved_left` decides whether another one is scheduled.
    pub fn round_ended(&mut self, now: MonotonicTime, unresolved_left: bool) -> bool {
        if !self.round_running || self.in_flight.is_some() || !self.waiting.is_empty() {
            return false;
        }
        self.round_running = false;
        if unresolved_left && !self.round_wanted {
            let exponent = self.round_exponent.max(*ROUND_EXPONENT.start());
            self.round_exponent = exponent;
            self.next_round = Some(now.plus(ROUND_PAUSE_UNIT_S * f64::from(exponent).exp2()));
        } else if !unresolved_left {
            // The next name that does not resolve is asked for again soon.
            self.round_exponent = *ROUND_EXPONENT.start() - 1;
        }
        true
    }

    /// Queues a replacement of a source's address unless one was accepted recently. The
    /// pause after an accepted one is uniform in 0 … 3584 s, shared by all sources.
    pub fn request_replacement(
        &mut self,
        now: MonotonicTime,
        question: Question,
        random: &mut dyn RandomSource,
    ) -> bool {
        if self.next_replacement.is_some_and(|at| now < at) || self.is_queued(&question) {
            return false;
        }
        self.next_replacement = Some(now.plus(random.uniform() * REPLACEMENT_PAUSE_MAX_S));
        self.waiting.push_back(question);
        true
    }

    /// Queues a check of a source's address, or the name of its negotiated server.
    pub fn request_refresh(&mut self, question: Question) {
        if !self.is_queued(&question) {
            self.waiting.push_back(question);
        }
    }

    /// Whether `interval_s` has passed since a periodic refresh was last due, and notes it.
    pub fn refresh_due(&mut self, now: MonotonicTime, interval_s: f64) -> bool {
        let due = self
            .last_refresh
            .is_none_or(|last| now.since(last) >= interval_s);
        if due {
            self.last_refresh = Some(now);
        }
        due
    }

    /// Forgets everything queued for a source that no longer exists.
    pub fn forget(&mut self, source: SourceId) {
        let is_for = |purpose: &Purpose| {
            matches!(purpose, Purpose::Source(id) | Purpose::Replacement(id) | Purpose::Refresh(id)
                | Purpose::NegotiatedServer(id) if *id == source)
        };
        self.waiting.retain(|question| !is_for(&question.purpose));
    }

    fn is_queued(&self, question: &Question) -> bool {
        self.waiting.contains(question)
            || self.in_flight.as_ref().is_some_and(|(_, q)| q == question)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn question(purpose: Purpose) -> Question {
        Question {
            name: "ntp.test".into(),
            family: None,
            purpose,
        }
    }

    fn at(seconds: f64) -> MonotonicTime {
        MonotonicTime::ZERO.plus(seconds)
    }

    #[test]
    fn one_query_at_a_time_and_retries_back_off() {
        let mut names = NameQueue::default();
        names.want_round();
        let mut now = at(0.0);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            assert!(names.round_due(now));
            names.start_round([
                question(Purpose::Source(SourceId(1))),
                question(Purpose::Pool(PoolId(1))),
            ]);
            let (first, _) = names.poll_query().unwrap();
            assert!(names.poll_query().is_none());
            assert!(!names.round_ended(now, true));
            assert!(names.answered(first).is_some());
            assert!(names.answered(first).is_none());
            let (second, _) = names.poll_query().unwrap();
            names.answered(second).unwrap();
            assert!(names.round_ended(now, true));
            assert!(!names.round_ended(now, true));
            let next = names.next_timeout().unwrap();
            pauses.push(next.since(now));
            assert!(!names.round_due(now));
            now = next;
        }
        assert_eq!(&pauses[..3], &[28.0, 56.0, 112.0]);
        assert_eq!(&pauses[7..], &[3584.0; 3]);
    }

    #[test]
    fn a_wanted_round_does_not_lengthen_the_pause() {
        let mut names = NameQueue::default();
        for _ in 0..5 {
            names.want_round();
            assert!(names.round_due(at(0.0)));
            names.start_round([]);
            assert!(names.round_ended(at(0.0), true));
            assert_eq!(names.next_timeout(), Some(at(28.0)));
        }
    }

    #[test]
    fn replacements_are_rate_limited_together() {
        let mut names = NameQueue::default();
        let mut random = SeededRandom::new(1);
        let one = question(Purpose::Replacement(SourceId(1)));
        let two = question(Purpose::Replacement(SourceId(2)));
        assert!(names.request_replacement(at(0.0), one.clone(), &mut random));
        assert!(!names.request_replacement(at(0.0), two.clone(), &mut random));
        assert!(!names.request_replacement(at(4000.0), one, &mut random));
        assert!(names.request_replacement(at(4000.0), two, &mut random));
        names.forget(SourceId(1));
        let (_, next) = names.poll_query().unwrap();
        assert_eq!(next.purpose, Purpose::Replacement(SourceId(2)));
    }

    #[test]
    fn refresh_once_per_interval() {
        let mut names = NameQueue::default();
        assert!(names.refresh_due(at(0.0), 100.0));
        assert!(!names.refresh_due(at(99.0), 100.0));
        assert!(names.refresh_due(at(100.0), 100.0));
    }
}
