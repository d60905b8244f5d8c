//! The daemon's one waiting place: `poll(2)`.

use std::io;
use std::ops::BitOr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use discipline::time::{MonotonicTime, RawTime};

use crate::error::check;

/// What a descriptor is watched for, a union made with `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest(libc::c_short);

impl Interest {
    /// Input, a connection to accept, or the end of the stream.
    pub const READ: Self = Self(libc::POLLIN);
    /// Room for output, or the end of a connection attempt.
    pub const WRITE: Self = Self(libc::POLLOUT);
    /// Something on the error queue, such as a transmit timestamp.
    pub const ERROR_QUEUE: Self = Self(libc::POLLPRI);
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What [`PollSet::wait`] found on a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness(libc::c_short);

impl Readiness {
    /// A read will not block. Also true at the end of a stream, where it returns 0, and
    /// after an error on something that is not a socket with an error queue.
    pub fn readable(self) -> bool {
        self.0 & (libc::POLLIN | libc::POLLHUP) != 0
    }

    /// A write will not block, or a connection attempt has ended.
    pub fn writable(self) -> bool {
        self.0 & (libc::POLLOUT | libc::POLLHUP | libc::POLLERR) != 0
    }

    /// The error queue has something, or the socket has a pending error; reading the
    /// error queue ([`crate::socket::ReceiveBatch::receive_errors`]) gives either.
    pub fn error_queue(self) -> bool {
        self.0 & (libc::POLLPRI | libc::POLLERR) != 0
    }

    /// Anything at all.
    pub fn any(self) -> bool {
        self.0 != 0
    }

    /// The descriptor is not open: an error of the program.
    pub fn invalid(self) -> bool {
        self.0 & libc::POLLNVAL != 0
    }
}

/// How long to wait.
///
/// `poll` counts in milliseconds. A wait is rounded up, so that a loop that waits until a
/// deadline finds it passed when the wait is over, instead of turning idly in its last
/// millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(libc::c_int);

impl Timeout {
    /// No limit.
    pub const NEVER: Self = Self(-1);
    /// Do not wait.
    pub const NOW: Self = Self(0);

    /// At most this long, rounded up to a millisecond, at most 24 days.
    pub fn after(duration: Duration) -> Self {
        let ms = duration.as_nanos().div_ceil(1_000_000);
        Self(libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX))
    }

    /// Until the real-time clock shows `deadline`, when it shows `now`.
    pub fn until(deadline: RawTime, now: RawTime) -> Self {
        Self::after_ns(deadline.as_ns().saturating_sub(now.as_ns()))
    }

    /// Until the monotonic clock shows `deadline`, when it shows `now`.
    pub fn until_monotonic(deadline: MonotonicTime, now: MonotonicTime) -> Self {
        Self::after_ns(deadline.as_ns().saturating_sub(now.as_ns()))
    }

    /// The shorter of two waits.
    #[must_use]
    pub fn or_sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::NEVER, limit) | (limit, Self::NEVER) => limit,
            (Self(a), Self(b)) => Self(a.min(b)),
        }
    }

    /// The wait as a duration, `None` without a limit. Comparing it with the time that a
    /// wait really took is how a jump of the clock shows.
    pub fn duration(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_millis)
    }

    fn after_ns(ns: i64) -> Self {
        Self::after(Duration::from_nanos(u64::try_from(ns).unwrap_or(0)))
    }
}

/// A set of descriptors to wait for, rebuilt each turn without allocation once it has
/// grown to its size.
#[derive(Debug, Default)]
pub struct PollSet {
    entries: Vec<libc::pollfd>,
}

impl PollSet {
    /// Forgets all descriptors, keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds a descriptor and returns its slot, counted from 0 in order of addition.
    ///
    /// The set does not borrow the descriptor beyond this call: a descriptor closed
    /// before [`PollSet::wait`] shows as [`Readiness::invalid`] or as whatever has its
    /// number now, so rebuild the set when descriptors change.
    pub fn add(&mut self, descriptor: BorrowedFd<'_>, interest: Interest) -> usize {
        self.entries.push(libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events: interest.0,
            revents: 0,
        });
        self.entries.len() - 1
    }

    /// Waits until a descriptor is ready, the time is over or a signal has been handled.
    /// Returns the number of descriptors ready, 0 in the last two cases.
    ///
    /// # Errors
    ///
    /// As `poll`, but not `EINTR`: `EINVAL` for more descriptors than the process may
    /// open, `ENOMEM`.
    pub fn wait(&mut self, timeout: Timeout) -> io::Result<usize> {
        for entry in &mut self.entries {
            entry.revents = 0;
        }
        let count = self.entries.len() as libc::nfds_t;
        // SAFETY: the pointer and the count describe the entries of the vector.
        let result = unsafe { libc::poll(self.entries.as_mut_ptr(), count, timeout.0) };
        match check(result) {
            Ok(ready) => Ok(ready as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// What the last wait found in a slot; nothing for a slot that does not exist.
    pub fn readiness(&self, slot: usize) -> Readiness {
        let entry = self.entries.get(slot);
        Readiness(entry.map_or(0, |entry| entry.revents))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn readiness_is_reported_by_slot() {
        let (mut near, far) = UnixStream::pair().expect("pair");
        let mut set = PollSet::default();
        let near_slot = set.add(near.as_fd(), Interest::READ | Interest::WRITE);
        let far_slot = set.add(far.as_fd(), Interest::READ);
        assert_eq!(set.wait(Timeout::NEVER).expect("wait"), 1);
        assert!(set.readiness(near_slot).writable());
        assert!(!set.readiness(near_slot).readable());
        assert!(!set.readiness(far_slot).any());

        near.write_all(b"x").expect("write");
        assert_eq!(set.wait(Timeout::NEVER).expect("wait"), 2);
        assert!(set.readiness(far_slot).readable());

        set.clear();
        let far_slot = set.add(far.as_fd(), Interest::READ);
        drop(near);
        set.wait(Timeout::NEVER).expect("wait");
        assert!(set.readiness(far_slot).readable());
        assert!(!set.readiness(17).any());
    }

    #[test]
    fn an_empty_set_waits_for_the_time() {
        let mut set = PollSet::default();
        let start = std::time::Instant::now();
        let wait = Duration::from_millis(5);
        assert_eq!(set.wait(Timeout::after(wait)).expect("wait"), 0);
        assert!(start.elapsed() >= wait);
        assert_eq!(set.wait(Timeout::NOW).expect("wait"), 0);
    }

    #[test]
    fn waits_are_rounded_up_and_limited() {
        let start = RawTime::from_parts(1_000, 0);
        assert_eq!(Timeout::until(start.plus(0.0101), start), Timeout(11));
        assert_eq!(Timeout::until(start.plus(1e-9), start), Timeout(1));
        assert_eq!(Timeout::until(start, start), Timeout::NOW);
        assert_eq!(Timeout::until(start.minus(5.0), start), Timeout::NOW);
        assert_eq!(Timeout::until(start.plus(1e9), start), Timeout(i32::MAX));
        let short = Timeout::after(Duration::from_millis(3));
        assert_eq!(Timeout::NEVER.or_sooner(short), short);
        assert_eq!(short.or_sooner(Timeout::NOW), Timeout::NOW);
        assert_eq!(Timeout::NEVER.or_sooner(Timeout::NEVER).duration(), None);
        let zero = MonotonicTime::ZERO;
        assert_eq!(
            Timeout::until_monotonic(zero.plus(0.5), zero).duration(),
            Some(Duration::from_millis(500))
        );
    }
}
