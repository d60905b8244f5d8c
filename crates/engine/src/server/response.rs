//! Header, experimental fields and timestamps of an answer (ntp chapter, sections 5, 5.1,
//! 6.7 and 6.8).

use discipline::time::CookedTime;
use ntp_wire::extension::{MONOTONIC_ROOT, NETWORK_CORRECTION};
use ntp_wire::{
    Header, KISS_NTS_NAK, KISS_RATE, LeapIndicator, MessageTooLong, MessageWriter, Mode,
    MonotonicRoot, NetworkCorrection, NtpInterval, NtpShort, NtpShort28, NtpTimestamp, Packet,
    REFERENCE_ID_SMOOTHED, STRATUM_UNSYNCHRONISED,
};

use super::snapshot::ServerSnapshot;
use crate::random::RandomSource;

/// The least poll value of responses when nothing limits the rate (ntp chapter, section 5).
pub(super) const MIN_POLL_UNLIMITED: i8 = -19;
/// Set in receive timestamps of modes 4 and 2, clear in transmit timestamps.
const INTERLEAVED_MARK: u64 = 1;
/// How often timestamps are redrawn before a free value is looked for.
const MAX_DRAWS: usize = 8;

/// What kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The time.
    Normal,
    /// KoD RATE.
    KissRate,
    /// NTS negative acknowledgement.
    NtsNak,
}

impl Kind {
    const fn kiss(self) -> Option<u32> {
        match self {
            Self::Normal => None,
            Self::KissRate => Some(KISS_RATE),
            Self::NtsNak => Some(KISS_NTS_NAK),
        }
    }
}

/// The times that an answer is made of; all with the smoothed offset, if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Arrival of the request.
    pub(super) receive: CookedTime,
    /// Transmission: of the previous answer in interleaved mode.
    pub(super) transmit: NtpTimestamp,
    pub(super) interleaved: bool,
}

/// An answer under construction.
pub(super) struct Answer<'a> {
    pub(super) request: &'a Packet<'a>,
    pub(super) snapshot: &'a ServerSnapshot,
    pub(super) mode: Mode,
    pub(super) kind: Kind,
    pub(super) min_poll_log2: i8,
    /// Offset of smoothed time at the arrival, seconds, if it is applied.
    pub(super) smoothing_s: Option<f64>,
}

impl Answer<'_> {
    /// The header without its last three timestamps.
    pub(super) fn header(&self, now: CookedTime) -> Header {
        let reference = &self.snapshot.reference;
        let smoothing_s = self.smoothing_s;
        let kiss = self.kind.kiss();
        let stratum = match reference.stratum {
            _ if kiss.is_some() => 0,
            STRATUM_UNSYNCHRONISED.. => 0,
            stratum => stratum,
        };
        let reference_id = match (kiss, smoothing_s) {
            (Some(kiss), _) => kiss,
            (None, Some(_)) => REFERENCE_ID_SMOOTHED,
            (None, None) => reference.reference_id,
        };
        Header {
            leap: if kiss.is_some() {
                LeapIndicator::Unsynchronised
            } else {
                served_leap(self.snapshot, self.mode)
            },
            version: self.request.header.version,
            mode: self.mode,
            stratum,
            poll_log2: self.request.header.poll_log2.max(self.min_poll_log2),
            precision_log2: self.snapshot.precision_log2,
            root_delay: NtpShort::from_seconds(reference.root_delay_s),
            root_dispersion: NtpShort::from_seconds(reference.root_dispersion_s(now)),
            reference_id,
            reference_time: shifted(reference.reference_time, smoothing_s.unwrap_or(0.0)),
            ..Header::default()
        }
    }

    /// Fills in origin, receive and transmit.
    pub(super) fn set_timestamps(
        &self,
        header: &mut Header,
        times: &Times,
        random: &mut dyn RandomSource,
    ) {
        let request = &self.request.header;
        header.origin = if times.interleaved {
            request.receive
        } else {
            request.transmit
        };
        // In interleaved mode the request's origin is the receive timestamp sent before.
        let previous_receive = request.origin;
        let precision_log2 = self.snapshot.precision_log2;
        header.receive = draw(
            NtpTimestamp::from_unix_ns(times.receive.as_ns()),
            precision_log2,
            Mark::Receive,
            [header.origin, previous_receive, NtpTimestamp::ZERO],
            random,
        );
        header.transmit = draw(
            times.transmit,
            precision_log2,
            Mark::Transmit,
            [header.receive, header.origin, NtpTimestamp::ZERO],
            random,
        );
    }

    /// Appends fields 010A and F323, as far as the request has them. `net_correction` is what
    /// the network's transparent clocks added to the request's delay.
    pub(super) fn append_fields(
        &self,
        writer: &mut MessageWriter<'_>,
        header: &Header,
        times: &Times,
        net_correction: NtpInterval,
        random: &mut dyn RandomSource,
    ) -> Result<(), MessageTooLong> {
        if self.request.extension_bytes().is_empty() {
            return Ok(());
        }
        if self.snapshot.ptp_domain.is_some() && self.request.network_correction().is_some() {
            let field = NetworkCorrection {
                correction: net_correction,
            };
            writer.extension(NETWORK_CORRECTION, &field.to_body())?;
        }
        if self.request.monotonic_root().is_some() {
            let field = self.monotonic_root(header, times, random);
            writer.extension(MONOTONIC_ROOT, &field.to_body())?;
        }
        Ok(())
    }

    fn monotonic_root(
        &self,
        header: &Header,
        times: &Times,
        random: &mut dyn RandomSource,
    ) -> MonotonicRoot {
        let reference = &self.snapshot.reference;
        let monotonic = &self.snapshot.monotonic;
        let monotonic_receive = if self.smoothing_s.is_some() {
            NtpTimestamp::ZERO
        } else {
            let receive = times.receive.plus(monotonic.correction_s);
            NtpTimestamp::from_unix_ns(receive.as_ns())
                .randomised(header.precision_log2, random.next_u64())
        };
        MonotonicRoot {
            root_delay: NtpShort28::from_seconds(reference.root_delay_s),
            root_dispersion: NtpShort28::from_seconds(reference.root_dispersion_s(times.receive)),
            monotonic_receive,
            epoch: monotonic.epoch,
        }
    }
}

/// The leap bits: with `leapsecmode slew` smoothed time has no leap seconds.
pub(super) fn served_leap(snapshot: &ServerSnapshot, mode: Mode) -> LeapIndicator {
    let hides_leap = matches!(mode, Mode::Server | Mode::Broadcast)
        && snapshot
            .smoothing
            .as_ref()
            .is_some_and(|smoothing| smoothing.hides_leap);
    match snapshot.reference.leap {
        LeapIndicator::InsertSecond | LeapIndicator::DeleteSecond if hides_leap => {
            LeapIndicator::Normal
        }
        leap => leap,
    }
}

/// A timestamp and some seconds; "unknown" stays.
fn shifted(timestamp: NtpTimestamp, seconds: f64) -> NtpTimestamp {
    if timestamp.is_zero() || seconds == 0.0 {
        return timestamp;
    }
    let shift = NtpInterval::from_seconds(seconds).to_bits();
    NtpTimestamp::from_bits(timestamp.to_bits().wrapping_add(shift))
}

/// Which bit 0 a timestamp gets, so that the server recognises its own receive timestamps.
#[derive(Clone, Copy)]
enum Mark {
    Receive,
    Transmit,
}

impl Mark {
    const fn apply(self, bits: u64) -> NtpTimestamp {
        NtpTimestamp::from_bits(match self {
            Self::Receive => bits | INTERLEAVED_MARK,
            Self::Transmit => bits & !INTERLEAVED_MARK,
        })
    }
}

/// Randomises the bits below the precision until the value is none of those taken.
fn draw(
    exact: NtpTimestamp,
    precision_log2: i8,
    mark: Mark,
    taken: [NtpTimestamp; 3],
    random: &mut dyn RandomSource,
) -> NtpTimestamp {
    for _ in 0..MAX_DRAWS {
        let drawn = exact.randomised(precision_log2, random.next_u64());
        let marked = mark.apply(drawn.to_bits());
        if !taken.contains(&marked) {
            return marked;
        }
    }
    // Few random bits and an unlucky client: one of four neighbours is not among three.
    (0..4u64)
        .map(|neighbour| mark.apply(exact.to_bits() ^ neighbour << 1))
        .find(|candidate| !taken.contains(candidate))
        .unwrap_or(exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn draws_avoid_what_is_taken() {
        let exact = NtpTimestamp::from_bits(0xee00_0000_0000_0000);
        let mut random = SeededRandom::new(1);
        let taken = [1, 3, 5].map(|low| NtpTimestamp::from_bits(exact.to_bits() | low));
        for precision_log2 in [-32, -31, -30, -29] {
            let drawn = draw(exact, precision_log2, Mark::Receive, taken, &mut random);
            assert_eq!(drawn.to_bits() & 1, 1);
            assert!(!taken.contains(&drawn));
        }
        let drawn = draw(exact, -20, Mark::Transmit, taken, &mut random);
        assert_eq!(drawn.to_bits() & 1, 0);
        assert_eq!(drawn.to_bits() >> 12, exact.to_bits() >> 12);
    }

    #[test]
    fn shifting_keeps_unknown() {
        assert!(shifted(NtpTimestamp::ZERO, 1.0).is_zero());
        let at = NtpTimestamp::from_bits(5 << 32);
        assert_eq!(shifted(at, -1.5).to_bits(), 0x3_8000_0000);
    }
}
