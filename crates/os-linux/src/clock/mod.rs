//! The kernel's clocks: reading them, measuring their precision, steering the real-time
//! clock.
//!
//! Reading needs no rights and goes through the C library's `clock_gettime`, so that a
//! preloaded simulator can stand in for the kernel. Steering is in [`KernelClock`], which
//! works on any [`Kernel`]: the running one ([`SystemKernel`]) or one made by a test.

mod calendar;
mod driver;
mod precision;
mod timex;

pub use calendar::local_time_text;
pub use driver::{ClockError, KernelClock, LeapUpdate, LeapWish};
pub use precision::{measure_precision, precision_log2};
pub use timex::{Kernel, KernelRelease, LeapState, SystemKernel, Timex, kernel_release};

use discipline::time::{MonotonicTime, RawTime};

/// The real-time clock (`CLOCK_REALTIME`).
pub fn raw_time() -> RawTime {
    let (seconds, ns) = read(libc::CLOCK_REALTIME);
    RawTime::from_parts(seconds, ns)
}

/// The monotonic clock (`CLOCK_MONOTONIC`): never stepped, slewed with the real-time
/// clock, does not count suspended time.
pub fn monotonic_time() -> MonotonicTime {
    let (seconds, ns) = read(libc::CLOCK_MONOTONIC);
    MonotonicTime::from_parts(seconds, ns)
}

/// As [`monotonic_time`], but suspended time counts (`CLOCK_BOOTTIME`), which tells a
/// suspended machine from a stepped clock.
pub fn boot_time() -> MonotonicTime {
    let (seconds, ns) = read(libc::CLOCK_BOOTTIME);
    MonotonicTime::from_parts(seconds, ns)
}

/// The raw hardware counter (`CLOCK_MONOTONIC_RAW`) in nanoseconds: neither stepped nor
/// slewed. Its only use is [`measure_precision`].
fn raw_counter_ns() -> i64 {
    let (seconds, ns) = read(libc::CLOCK_MONOTONIC_RAW);
    seconds.saturating_mul(1_000_000_000).saturating_add(ns)
}

/// Seconds and nanoseconds of a clock.
///
/// # Panics
///
/// If the kernel lacks the clock. All clocks read here exist since Linux 2.6.39, the
/// oldest kernel supported, and their identifiers are constants, so this is a broken
/// system call filter or simulator, under which no time daemon can run.
fn read(clock: libc::clockid_t) -> (i64, i64) {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the call to fill.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert!(result == 0, "clock_gettime({clock}) failed");
    (widen(time.tv_sec), widen(time.tv_nsec))
}

/// The fields of timespec and timeval are 32 bits wide on some targets.
pub(crate) fn widen(value: impl Into<i64>) -> i64 {
    value.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run_forwards() {
        let real = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("the test machine's clock is past 1970");
        let difference = raw_time().as_ns() as f64 / 1e9 - real.as_secs_f64();
        assert!(difference.abs() < 60.0, "{difference}");
        let first = monotonic_time();
        assert!(monotonic_time() >= first);
        assert!(boot_time() >= first);
        let counter = raw_counter_ns();
        assert!(raw_counter_ns() >= counter && counter > 0);
    }
}
