//! Between NTP timestamps and cooked time (ntp chapter, section 2).

use discipline::time::CookedTime;
use ntp_wire::{NtpTimestamp, TimestampWindow};

use crate::random::RandomSource;

/// The instant within the window with this timestamp.
pub(super) fn to_time(window: TimestampWindow, timestamp: NtpTimestamp) -> CookedTime {
    CookedTime::from_ns(window.to_unix_ns(timestamp))
}

/// The timestamp of an instant with the bits below the precision at random.
pub(super) fn randomised(
    time: CookedTime,
    precision_log2: i8,
    random: &mut dyn RandomSource,
) -> NtpTimestamp {
    NtpTimestamp::from_unix_ns(time.as_ns()).randomised(precision_log2, random.next_u64())
}
