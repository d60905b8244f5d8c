//! Packets of the `broadcast` directive (ntp chapter, section 6.10).

use discipline::time::RawTime;
use ntp_wire::{Header, Mode, NtpShort, NtpTimestamp, STRATUM_UNSYNCHRONISED};

use super::response::served_leap;
use super::snapshot::ServerSnapshot;
use crate::random::RandomSource;

/// Version of broadcasts.
const VERSION: u8 = 4;

/// The header, which is the whole packet, of a broadcast every `interval_s` seconds that is
/// sent at `now`.
pub fn broadcast_header(
    snapshot: &ServerSnapshot,
    interval_s: f64,
    now: RawTime,
    random: &mut dyn RandomSource,
) -> Header {
    let now = snapshot.time.cook(now);
    let reference = &snapshot.reference;
    let smoothed = now.plus(snapshot.smoothing_offset_s(now).unwrap_or(0.0));
    let transmit = loop {
        let drawn = NtpTimestamp::from_unix_ns(smoothed.as_ns())
            .randomised(snapshot.precision_log2, random.next_u64());
        // With a clock at the very start of an era and no random bits nothing else is left.
        if !drawn.is_zero() || snapshot.precision_log2 <= -32 {
            break drawn;
        }
    };
    Header {
        leap: served_leap(snapshot, Mode::Broadcast),
        version: VERSION,
        mode: Mode::Broadcast,
        stratum: if reference.stratum >= STRATUM_UNSYNCHRONISED {
            0
        } else {
            reference.stratum
        },
        // Saturates.
        poll_log2: interval_s.log2().round() as i8,
        precision_log2: snapshot.precision_log2,
        root_delay: NtpShort::from_seconds(reference.root_delay_s),
        root_dispersion: NtpShort::from_seconds(reference.root_dispersion_s(now)),
        reference_id: reference.reference_id,
        reference_time: reference.reference_time,
        origin: NtpTimestamp::ZERO,
        receive: NtpTimestamp::ZERO,
        transmit,
    }
}
