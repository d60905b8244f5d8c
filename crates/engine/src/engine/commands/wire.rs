//! Numbers and times of the engine as they travel (control-protocol chapter, sections 3 and
//! 11).

use control_wire::{Float, LeapStatus, SelectOptions as WireOptions, Timespec, TimestampSource};
use discipline::samples::SelectOptions;
use discipline::time::{CookedTime, NS_PER_S};
use ntp_wire::{KeyKind, LeapIndicator, NtpTimestamp, TimestampWindow};

use crate::event;

/// A number.
pub(super) fn float(value: f64) -> Float {
    Float::new(value)
}

/// A point in time.
pub(super) fn timespec(time: CookedTime) -> Timespec {
    Timespec::new(time.seconds(), time.subsec_ns())
}

/// A point in time as received in a packet; zero is not known.
pub(super) fn timespec_of_ntp(timestamp: NtpTimestamp, window_start_s: i64) -> Timespec {
    if timestamp == NtpTimestamp::ZERO {
        return Timespec::default();
    }
    let window = TimestampWindow {
        start_s: window_start_s,
    };
    let ns = window.to_unix_ns(timestamp);
    // The remainder is below 10⁹.
    Timespec::new(ns.div_euclid(NS_PER_S), ns.rem_euclid(NS_PER_S) as u32)
}

/// A point in time of a request, limited to what the engine's times hold.
pub(super) fn cooked_time(time: Timespec) -> CookedTime {
    CookedTime::from_parts(time.seconds(), i64::from(time.nanoseconds()))
}

/// Leap status.
pub(super) fn leap_status(leap: LeapIndicator) -> LeapStatus {
    match leap {
        LeapIndicator::Normal => LeapStatus::Normal,
        LeapIndicator::InsertSecond => LeapStatus::InsertSecond,
        LeapIndicator::DeleteSecond => LeapStatus::DeleteSecond,
        LeapIndicator::Unsynchronised => LeapStatus::Unsynchronised,
    }
}

/// Who took a timestamp.
pub(super) fn timestamp_source(source: Option<event::TimestampSource>) -> TimestampSource {
    match source {
        None => TimestampSource::None,
        Some(event::TimestampSource::Daemon) => TimestampSource::Daemon,
        Some(event::TimestampSource::Kernel) => TimestampSource::Kernel,
        Some(event::TimestampSource::Hardware) => TimestampSource::Hardware,
    }
}

/// Selection options in the bits of reports (set A of section 9.6).
pub(super) fn wire_options(options: SelectOptions) -> WireOptions {
    WireOptions(0)
        .with(WireOptions::NOSELECT, options.noselect)
        .with(WireOptions::PREFER, options.prefer)
        .with(WireOptions::TRUST, options.trust)
        .with(WireOptions::REQUIRE, options.require)
}

/// The reverse of [`wire_options`].
pub(super) fn select_options(options: WireOptions) -> SelectOptions {
    SelectOptions {
        noselect: options.contains(WireOptions::NOSELECT),
        prefer: options.contains(WireOptions::PREFER),
        trust: options.contains(WireOptions::TRUST),
        require: options.contains(WireOptions::REQUIRE),
    }
}

/// Number of a key's algorithm (section 11.6).
pub(super) const fn key_type(kind: KeyKind) -> u16 {
    match kind {
        KeyKind::Md5 => 1,
        KeyKind::Sha1 => 2,
        KeyKind::Sha256 => 3,
        KeyKind::Sha384 => 4,
        KeyKind::Sha512 => 5,
        KeyKind::Sha3_224 => 6,
        KeyKind::Sha3_256 => 7,
        KeyKind::Sha3_384 => 8,
        KeyKind::Sha3_512 => 9,
        KeyKind::Tiger => 10,
        KeyKind::Whirlpool => 11,
        KeyKind::Aes128 => 13,
        KeyKind::Aes256 => 14,
    }
}

/// The low 32 bits of a counter.
pub(super) const fn low_bits(count: u64) -> u32 {
    count as u32
}
