//! The shared memory segment through which another program gives a clock's samples to the
//! daemon, as for ntpd's driver 28 (discipline chapter, section 17.7).

use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use discipline::time::RawTime;
use libc::{c_int, c_uint, time_t};

use crate::error::CallError;

/// Key of unit 0; others follow.
const KEY: u32 = 0x4E54_5030;

/// The contents of a segment.
#[repr(C)]
struct Layout {
    /// 0: `valid` alone tells when there is a sample; 1: `count` changes with every write, too.
    mode: c_int,
    count: c_int,
    clock_s: time_t,
    clock_us: c_int,
    receive_s: time_t,
    receive_us: c_int,
    leap: c_int,
    precision: c_int,
    samples: c_int,
    valid: c_int,
    clock_ns: c_uint,
    receive_ns: c_uint,
    unused: [c_int; 8],
}

/// Bytes of a segment: 96 on 64-bit machines.
pub const SEGMENT_LENGTH: usize = size_of::<Layout>();

/// A segment is read word by word.
const WORDS: usize = SEGMENT_LENGTH / size_of::<AtomicU32>();

const MODE_WORD: usize = offset_of!(Layout, mode) / size_of::<AtomicU32>();
const COUNT_WORD: usize = offset_of!(Layout, count) / size_of::<AtomicU32>();
const VALID_WORD: usize = offset_of!(Layout, valid) / size_of::<AtomicU32>();

/// A sample out of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSample {
    /// The clock's time.
    pub reference: RawTime,
    /// The system's time at that moment.
    pub local: RawTime,
    /// Leap second announced, as written: 0 none, 1 insert, 2 delete, 3 not synchronised.
    pub leap: i32,
}

impl SegmentSample {
    /// The sample in a copy of a segment; none for times that no clock shows.
    pub fn parse(segment: &[u8; SEGMENT_LENGTH]) -> Option<Self> {
        let int = |offset| read(segment, offset).map(c_int::from_ne_bytes);
        let unsigned = |offset| read(segment, offset).map(c_uint::from_ne_bytes);
        #[allow(
            clippy::useless_conversion,
            reason = "32 bits are enough for some machines' time_t"
        )]
        let seconds = |offset| Some(i64::from(time_t::from_ne_bytes(read(segment, offset)?)));
        let clock_us = int(offset_of!(Layout, clock_us))?;
        let receive_us = int(offset_of!(Layout, receive_us))?;
        let clock_ns = unsigned(offset_of!(Layout, clock_ns))?;
        let receive_ns = unsigned(offset_of!(Layout, receive_ns))?;
        // Writers that do not know the finer fields leave anything in them.
        let fine = agree(clock_us, clock_ns) && agree(receive_us, receive_ns);
        let ns = |us: c_int, ns: c_uint| match fine {
            true => i64::from(ns),
            false => i64::from(us) * 1000,
        };
        Some(Self {
            reference: moment(
                seconds(offset_of!(Layout, clock_s))?,
                ns(clock_us, clock_ns),
            )?,
            local: moment(
                seconds(offset_of!(Layout, receive_s))?,
                ns(receive_us, receive_ns),
            )?,
            leap: int(offset_of!(Layout, leap))?,
        })
    }
}

fn read<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn agree(us: c_int, ns: c_uint) -> bool {
    i64::from(ns / 1000) == i64::from(us)
}

/// A time from untrusted numbers; none if it does not fit.
pub(super) fn moment(seconds: i64, ns: i64) -> Option<RawTime> {
    let whole_ns = seconds.checked_mul(1_000_000_000)?.checked_add(ns)?;
    Some(RawTime::from_ns(whole_ns))
}

/// A segment that is attached to the process.
#[derive(Debug)]
pub struct SharedSegment(NonNull<[AtomicU32; WORDS]>);

// SAFETY: the pointer is to memory that is attached to the whole process until the value is
// dropped, and all accesses are atomic.
unsafe impl Send for SharedSegment {}

impl SharedSegment {
    /// Attaches the segment of a unit, which is made with the permissions `mode` if there is
    /// none.
    ///
    /// # Errors
    ///
    /// `shmget` (`EINVAL` when a segment with that key is shorter) or `shmat`.
    pub fn attach(unit: i32, mode: u32) -> Result<Self, CallError> {
        let flags = libc::IPC_CREAT | (mode & 0o777) as c_int;
        // SAFETY: the call takes numbers only.
        let id = unsafe { libc::shmget(key(unit), SEGMENT_LENGTH, flags) };
        if id < 0 {
            return Err(CallError::last("shmget"));
        }
        // SAFETY: without a wanted address the kernel chooses one that is free.
        let address = unsafe { libc::shmat(id, std::ptr::null(), 0) };
        // The failure is told by the address -1.
        match NonNull::new(address).filter(|_| address as isize != -1) {
            Some(address) => Ok(Self(address.cast())),
            None => Err(CallError::last("shmat")),
        }
    }

    /// Writes a whole segment, as the program does that reads the clock: the other side, for
    /// tests of a daemon.
    pub fn put(&self, segment: &[u8; SEGMENT_LENGTH]) {
        let (values, _) = segment.as_chunks();
        let store = |index: usize, value: u32| {
            if let Some(word) = self.words().get(index) {
                word.store(value, Ordering::SeqCst);
            }
        };
        // The mark of a sample is taken off first and set last.
        store(VALID_WORD, 0);
        let value = |index: usize| {
            values
                .get(index)
                .map_or(0, |value| u32::from_ne_bytes(*value))
        };
        let order = (0..WORDS).filter(|index| *index != VALID_WORD);
        for index in order.chain([VALID_WORD]) {
            store(index, value(index));
        }
    }

    /// Removes the segment of a unit from the system; who has it attached keeps it.
    ///
    /// # Errors
    ///
    /// `shmget` or `shmctl`; when there is none, or it belongs to another user.
    pub fn remove(unit: i32) -> Result<(), CallError> {
        // SAFETY: the call takes numbers only.
        let id = unsafe { libc::shmget(key(unit), 0, 0) };
        if id < 0 {
            return Err(CallError::last("shmget"));
        }
        // SAFETY: removal takes no structure.
        match unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(CallError::last("shmctl")),
        }
    }

    /// Takes the sample out of the segment, if a whole one is in it, and marks it as taken.
    pub fn take(&self) -> Option<[u8; SEGMENT_LENGTH]> {
        take(self.words())
    }

    fn words(&self) -> &[AtomicU32; WORDS] {
        // SAFETY: the segment is at least as long (`shmget` refuses a shorter one), pages are
        // aligned for any type, it is attached as long as `self` lives, and other processes
        // may change it at any time, which is what atomics are for.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for SharedSegment {
    fn drop(&mut self) {
        // SAFETY: the address is that of `shmat`, and nothing refers to it any more.
        unsafe { libc::shmdt(self.0.as_ptr().cast()) };
    }
}

/// Other numbers than those of units wrap.
fn key(unit: i32) -> libc::key_t {
    KEY.wrapping_add_signed(unit) as libc::key_t
}

fn take(words: &[AtomicU32; WORDS]) -> Option<[u8; SEGMENT_LENGTH]> {
    let word = |index: usize| words.get(index).map(|word| word.load(Ordering::Relaxed));
    let mode = word(MODE_WORD)?;
    let count = word(COUNT_WORD)?;
    fence(Ordering::Acquire);
    if word(VALID_WORD)? == 0 || mode > 1 {
        return None;
    }
    fence(Ordering::Acquire);
    let mut copy = [0; SEGMENT_LENGTH];
    let places = copy.chunks_exact_mut(size_of::<AtomicU32>());
    for (place, word) in places.zip(words) {
        place.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
    fence(Ordering::Acquire);
    // Written meanwhile, the sample is a mixture; the next poll gets a whole one.
    if mode == 1 && word(COUNT_WORD)? != count {
        return None;
    }
    words.get(VALID_WORD)?.store(0, Ordering::Release);
    Some(copy)
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
