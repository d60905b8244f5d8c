//! What the server counts (ntp chapter, section 6.6).
//!
//! Every thread has its own counters, which nobody else writes, so counting never waits and
//! no cache line is shared; [`CounterSet::sum`] adds them up for a report.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::TimestampSource;

/// Counters of one thread, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    received: AtomicU64,
    dropped: AtomicU64,
    authenticated: AtomicU64,
    interleaved: AtomicU64,
    receive_timestamps: [AtomicU64; 3],
    transmit_timestamps: [AtomicU64; 3],
}

fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn count_received(&self) {
        increment(&self.received);
    }

    pub(super) fn count_dropped(&self) {
        increment(&self.dropped);
    }

    pub(super) fn count_authenticated(&self) {
        increment(&self.authenticated);
    }

    pub(super) fn count_interleaved(&self) {
        increment(&self.interleaved);
    }

    pub(super) fn count_timestamps(&self, receive: TimestampSource, transmit: TimestampSource) {
        increment(&self.receive_timestamps[receive as usize]);
        increment(&self.transmit_timestamps[transmit as usize]);
    }
}

/// Sums over all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCounts {
    /// Well-formed requests from allowed addresses.
    pub received: u64,
    /// Requests dropped by rate limiting, those answered with KoD not among them.
    pub dropped: u64,
    /// Answers other than KoD to requests authenticated by symmetric keys or NTS.
    pub authenticated: u64,
    /// Requests whose origin timestamp was held.
    pub interleaved: u64,
    /// Answers with a receive timestamp of daemon, kernel and hardware.
    pub receive_timestamps: [u64; 3],
    /// Answers with a transmit timestamp of daemon, kernel and hardware.
    pub transmit_timestamps: [u64; 3],
}

/// The counters of all threads.
#[derive(Debug, Default)]
pub struct CounterSet {
    threads: Mutex<Vec<Arc<Counters>>>,
}

impl CounterSet {
    /// Counters for one more thread.
    pub fn add(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&counters));
        counters
    }

    /// The sums.
    pub fn sum(&self) -> ServerCounts {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = ServerCounts::default();
        let add = |to: &mut u64, from: &AtomicU64| *to += from.load(Ordering::Relaxed);
        for thread in threads.iter() {
            add(&mut sum.received, &thread.received);
            add(&mut sum.dropped, &thread.dropped);
            add(&mut sum.authenticated, &thread.authenticated);
            add(&mut sum.interleaved, &thread.interleaved);
            for index in 0..sum.receive_timestamps.len() {
                add(
                    &mut sum.receive_timestamps[index],
                    &thread.receive_timestamps[index],
                );
                add(
                    &mut sum.transmit_timestamps[index],
                    &thread.transmit_timestamps[index],
                );
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_summed() {
        let set = CounterSet::default();
        let (a, b) = (set.add(), set.add());
        a.count_received();
        b.count_received();
        b.count_timestamps(TimestampSource::Kernel, TimestampSource::Hardware);
        let sum = set.sum();
        assert_eq!(sum.received, 2);
        assert_eq!(sum.receive_timestamps, [0, 1, 0]);
        assert_eq!(sum.transmit_timestamps, [0, 0, 1]);
    }
}
