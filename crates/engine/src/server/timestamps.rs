//! Which answer left when: the map behind interleaved responses (ntp chapter, section 6.5;
//! RFC 9769, section 2).
//!
//! A ring of (receive timestamp, transmit time), ordered by receive timestamp. It is divided
//! into stripes by a hash of the timestamp, each behind its own lock, so that threads hardly
//! ever wait for each other. A lookup needs no address: the timestamp itself names the
//! exchange.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ntp_wire::NtpTimestamp;

use crate::event::TimestampSource;

/// A timestamp that is older than the newest is put in order within this many entries.
const MAX_REORDERED: usize = 64;
/// An entry's transmit time is known only within [−2, 2) s of its receive timestamp.
const MAX_OFFSET_S: f64 = 2.0;
/// Entries this far in the future of a new one are from before a backward step.
const MAX_FUTURE_S: f64 = 1.0;
/// Stripes of a large map.
const STRIPES: usize = 16;
/// Smaller maps have one stripe, so that they still keep the latest.
const MIN_STRIPED_CAPACITY: usize = 1024;

/// The saved transmit time of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedTransmit {
    /// Transmit time less receive timestamp, seconds.
    pub after_receive_s: f64,
    /// Who took it.
    pub source: TimestampSource,
}

/// What the map knows of a receive timestamp that a request gave as its origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held {
    /// The answer with it left at this time.
    Known(SavedTransmit),
    /// It was sent, but the time is unknown.
    UnknownTime,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    receive: u64,
    /// Transmit time less receive timestamp, 2⁻³⁰ s.
    offset: i32,
    /// The number of clock adjustments made before the offset was measured.
    adjustments: u16,
    source: TimestampSource,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Known,
    UnknownTime,
    /// An interleaved response was made of it, or it is ambiguous.
    Spent,
}

/// Units of [`Entry::offset`] in a second.
const OFFSET_UNITS_PER_S: f64 = (1u32 << 30) as f64;

impl Entry {
    fn timestamp(&self) -> NtpTimestamp {
        NtpTimestamp::from_bits(self.receive)
    }

    fn set_offset(&mut self, saved: SavedTransmit) {
        let offset_s = saved.after_receive_s;
        self.source = saved.source;
        self.state = if (-MAX_OFFSET_S..MAX_OFFSET_S).contains(&offset_s) {
            State::Known
        } else {
            State::UnknownTime
        };
        // The conversion saturates.
        self.offset = (offset_s * OFFSET_UNITS_PER_S).round() as i32;
    }

    fn saved(&self) -> SavedTransmit {
        SavedTransmit {
            after_receive_s: f64::from(self.offset) / OFFSET_UNITS_PER_S,
            source: self.source,
        }
    }
}

/// The clock adjustments of the daemon, counted, and the latest of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClockAdjustments {
    /// Counter, wraps around.
    pub count: u16,
    /// Offset of the latest one, seconds (positive: the clock moved back).
    pub latest_offset_s: f64,
}

/// Stripes are on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct AlignedStripe(Mutex<Stripe>);

#[derive(Debug, Default)]
struct Stripe {
    /// Ordered by receive timestamp. The memory is taken with the first entry.
    entries: VecDeque<Entry>,
}

impl Stripe {
    fn find(&self, receive: NtpTimestamp) -> Option<usize> {
        self.entries
            .binary_search_by(|entry| entry.timestamp().compare(receive))
            .ok()
    }

    /// Drops what lies in the future, which a backward step of the clock leaves behind.
    fn drop_future(&mut self, now: NtpTimestamp) {
        while let Some(newest) = self.entries.back()
            && newest.timestamp().since(now).to_seconds() > MAX_FUTURE_S
        {
            self.entries.pop_back();
        }
    }

    fn insert(&mut self, entry: Entry, capacity: usize) {
        if self.entries.capacity() < capacity {
            self.entries.reserve_exact(capacity - self.entries.len());
        }
        let receive = entry.timestamp();
        let before = |other: &Entry| !other.timestamp().is_after(receive);
        let newer = self
            .entries
            .iter()
            .rev()
            .take(MAX_REORDERED + 1)
            .take_while(|other| !before(other))
            .count();
        if newer > MAX_REORDERED {
            self.overwrite_next_older(entry);
            return;
        }
        let mut position = self.entries.len() - newer;
        if let Some(equal) = position
            .checked_sub(1)
            .and_then(|last| self.entries.get_mut(last))
            && equal.receive == entry.receive
        {
            equal.state = State::Spent;
            return;
        }
        if self.entries.len() >= capacity {
            self.entries.pop_front();
            position = position.saturating_sub(1);
        }
        self.entries.insert(position, entry);
    }

    fn overwrite_next_older(&mut self, entry: Entry) {
        let receive = entry.timestamp();
        let position = match self
            .entries
            .binary_search_by(|other| other.timestamp().compare(receive))
        {
            Ok(equal) => {
                if let Some(equal) = self.entries.get_mut(equal) {
                    equal.state = State::Spent;
                }
                return;
            }
            Err(position) => position.saturating_sub(1),
        };
        if let Some(older) = self.entries.get_mut(position) {
            *older = entry;
        }
    }
}

/// The map.
#[derive(Debug)]
pub struct TimestampMap {
    stripes: Box<[AlignedStripe]>,
    stripe_capacity: usize,
}

impl TimestampMap {
    /// A map of at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        let stripes = if capacity < MIN_STRIPED_CAPACITY {
            1
        } else {
            STRIPES
        };
        Self {
            stripes: (0..stripes).map(|_| AlignedStripe::default()).collect(),
            stripe_capacity: (capacity / stripes).max(1),
        }
    }

    fn stripe(&self, receive: NtpTimestamp) -> MutexGuard<'_, Stripe> {
        // Fibonacci hashing: the low bits of the timestamps are random anyhow.
        let hash = receive.to_bits().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let index = hash as usize % self.stripes.len();
        lock(&self.stripes[index])
    }

    /// Looks up the origin timestamp of a request and marks it as used.
    pub fn take(&self, origin: NtpTimestamp) -> Option<Held> {
        let mut stripe = self.stripe(origin);
        let index = stripe.find(origin)?;
        let entry = stripe.entries.get_mut(index)?;
        let held = match entry.state {
            State::Known => Held::Known(entry.saved()),
            State::UnknownTime => Held::UnknownTime,
            State::Spent => return None,
        };
        entry.state = State::Spent;
        Some(held)
    }

    /// Saves the transmit time of an answer by the receive timestamp in it.
    pub fn save(
        &self,
        receive: NtpTimestamp,
        transmit: SavedTransmit,
        adjustments: ClockAdjustments,
    ) {
        let mut entry = Entry {
            receive: receive.to_bits(),
            offset: 0,
            adjustments: adjustments.count,
            source: transmit.source,
            state: State::UnknownTime,
        };
        entry.set_offset(transmit);
        let mut stripe = self.stripe(receive);
        stripe.drop_future(receive);
        stripe.insert(entry, self.stripe_capacity);
    }

    /// Replaces a saved time by the kernel's or the hardware's, if it differs by at most
    /// `max_difference_s`. One clock adjustment since the time was saved is taken out; after
    /// more the time cannot be used.
    pub fn improve(
        &self,
        receive: NtpTimestamp,
        mut transmit: SavedTransmit,
        adjustments: ClockAdjustments,
        max_difference_s: f64,
    ) {
        let mut stripe = self.stripe(receive);
        let Some(entry) = stripe
            .find(receive)
            .and_then(|index| stripe.entries.get_mut(index))
        else {
            return;
        };
        match adjustments.count.wrapping_sub(entry.adjustments) {
            0 => {}
            1 => transmit.after_receive_s += adjustments.latest_offset_s,
            _ => return,
        }
        let difference_s = transmit.after_receive_s - entry.saved().after_receive_s;
        if entry.state == State::Known && difference_s.abs() <= max_difference_s {
            entry.set_offset(transmit);
        }
    }

    /// Forgets everything, after a step of the clock by an unknown amount.
    pub fn clear(&self) {
        for stripe in &self.stripes {
            lock(stripe).entries.clear();
        }
    }

    /// How many timestamps are held, and the whole seconds from the oldest to the newest.
    pub fn held(&self) -> (u64, u64) {
        let mut count = 0;
        let mut ends: Option<(NtpTimestamp, NtpTimestamp)> = None;
        for stripe in &self.stripes {
            let stripe = lock(stripe);
            count += stripe.entries.len() as u64;
            if let (Some(first), Some(last)) = (stripe.entries.front(), stripe.entries.back()) {
                let (first, last) = (first.timestamp(), last.timestamp());
                ends = Some(match ends {
                    None => (first, last),
                    Some((oldest, newest)) => (
                        if oldest.is_after(first) {
                            first
                        } else {
                            oldest
                        },
                        if last.is_after(newest) { last } else { newest },
                    ),
                });
            }
        }
        let span_s = ends.map_or(0.0, |(oldest, newest)| newest.since(oldest).to_seconds());
        // Not negative; the conversion truncates.
        (count, span_s as u64)
    }
}

fn lock(stripe: &AlignedStripe) -> MutexGuard<'_, Stripe> {
    stripe.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: ClockAdjustments = ClockAdjustments {
        count: 0,
        latest_offset_s: 0.0,
    };

    fn at(seconds: u64) -> NtpTimestamp {
        NtpTimestamp::from_bits(seconds << 32 | 1)
    }

    fn after(after_receive_s: f64) -> SavedTransmit {
        SavedTransmit {
            after_receive_s,
            source: TimestampSource::Daemon,
        }
    }

    #[test]
    fn a_timestamp_is_used_once() {
        let map = TimestampMap::new(8);
        map.save(at(100), after(0.25), NONE);
        assert_eq!(map.take(at(101)), None);
        assert_eq!(map.take(at(100)), Some(Held::Known(after(0.25))));
        assert_eq!(map.take(at(100)), None);
        map.save(at(101), after(2.0), NONE);
        assert_eq!(map.take(at(101)), Some(Held::UnknownTime));
        map.save(at(102), after(-2.0), NONE);
        assert_eq!(map.take(at(102)), Some(Held::Known(after(-2.0))));
    }

    #[test]
    fn duplicates_are_ambiguous() {
        let map = TimestampMap::new(8);
        map.save(at(100), after(0.0), NONE);
        map.save(at(100), after(0.1), NONE);
        assert_eq!(map.take(at(100)), None);
        assert_eq!(map.held(), (1, 0));
    }

    #[test]
    fn the_oldest_goes_and_order_is_kept() {
        let map = TimestampMap::new(4);
        for second in [10, 12, 11, 14, 13] {
            map.save(at(second), after(0.0), NONE);
        }
        assert_eq!(map.held(), (4, 3));
        assert_eq!(map.take(at(10)), None);
        for second in [11, 12, 13, 14] {
            assert!(map.take(at(second)).is_some(), "{second}");
        }
    }

    #[test]
    fn far_older_ones_overwrite() {
        let map = TimestampMap::new(200);
        for second in 0..100u64 {
            // Within a second, or the older would count as left from before a step.
            let receive = NtpTimestamp::from_bits(7 << 32 | second << 8 | 1);
            map.save(receive, after(0.0), NONE);
        }
        let old = NtpTimestamp::from_bits(7 << 32 | 10 << 8 | 3);
        map.save(old, after(0.5), NONE);
        assert_eq!(map.held().0, 100);
        assert!(map.take(old).is_some());
        assert!(
            map.take(NtpTimestamp::from_bits(7 << 32 | 10 << 8 | 1))
                .is_none()
        );
        let near = NtpTimestamp::from_bits(7 << 32 | 90 << 8 | 3);
        map.save(near, after(0.5), NONE);
        assert_eq!(map.held().0, 101);
        assert!(map.take(near).is_some());
        let oldest = NtpTimestamp::from_bits(6 << 32 | u64::from(u32::MAX));
        map.save(oldest, after(0.5), NONE);
        assert!(map.take(oldest).is_some());
        assert!(map.take(NtpTimestamp::from_bits(7 << 32 | 1)).is_none());
    }

    #[test]
    fn the_future_is_dropped_after_a_backward_step() {
        let map = TimestampMap::new(8);
        map.save(at(1000), after(0.0), NONE);
        map.save(at(1001), after(0.0), NONE);
        map.save(at(500), after(0.0), NONE);
        assert_eq!(map.held(), (1, 0));
        map.clear();
        assert_eq!(map.held(), (0, 0));
    }

    #[test]
    fn kernel_timestamps_replace() {
        let map = TimestampMap::new(8);
        let kernel = |after_receive_s| SavedTransmit {
            after_receive_s,
            source: TimestampSource::Kernel,
        };
        map.save(at(1), after(0.001), NONE);
        map.improve(at(1), kernel(0.002), NONE, 1.0);
        let Some(Held::Known(saved)) = map.take(at(1)) else {
            panic!("held");
        };
        assert_eq!(saved.source, TimestampSource::Kernel);
        assert!((saved.after_receive_s - 0.002).abs() < 1e-9);

        map.save(at(2), after(0.001), NONE);
        map.improve(at(2), kernel(1.1), NONE, 1.0);
        assert_eq!(
            map.take(at(2)).map(
                |held| matches!(held, Held::Known(saved) if saved.source == TimestampSource::Daemon)
            ),
            Some(true)
        );

        // The clock moved back by half a second in between, so did the reading.
        let one = ClockAdjustments {
            count: 1,
            latest_offset_s: 0.5,
        };
        map.save(at(3), after(0.001), NONE);
        map.improve(at(3), kernel(0.002 - 0.5), one, 0.1);
        let Some(Held::Known(saved)) = map.take(at(3)) else {
            panic!("held");
        };
        assert!((saved.after_receive_s - 0.002).abs() < 1e-9);
    }

    #[test]
    fn large_maps_are_striped_and_full() {
        let map = TimestampMap::new(4096);
        for index in 0..100_000u64 {
            map.save(NtpTimestamp::from_bits(index << 24 | 1), after(0.0), NONE);
        }
        assert_eq!(map.held().0, 4096);
    }
}
