//! NTP timestamps and local time (ntp chapter, section 2).

use discipline::time::CookedTime;

use crate::random::RandomSource;

/// NTP timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NtpTimestamp(u64);
impl NtpTimestamp {
    /// Unknown.
    pub const ZERO: Self = Self(0);
    /// From the wire.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    /// To the wire.
    pub const fn to_bits(self) -> u64 {
        self.0
    }
    /// Signed difference in seconds.
    pub fn since(self, earlier: Self) -> f64 {
        self.0.wrapping_sub(earlier.0) as i64 as f64 / 4_294_967_296.0
    }
}

/// Seconds from 1900-01-01 to 1970-01-01 (RFC 5905, figure 4).
const NTP_EPOCH_OFFSET_S: i64 = 2_208_988_800;
/// Seconds of an NTP era, 2³².
const ERA_S: i64 = 1 << 32;

/// The 136 years that NTP timestamps are mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimestampWindow {
    /// E, POSIX seconds.
    pub(super) start_s: i64,
}

impl TimestampWindow {
    /// The instant within the window with this timestamp, fraction truncated to ns.
    pub(super) fn to_time(self, timestamp: NtpTimestamp) -> CookedTime {
        let bits = timestamp.to_bits();
        let era_zero_s = (bits >> 32) as i64 - NTP_EPOCH_OFFSET_S;
        let after_start_s = era_zero_s.saturating_sub(self.start_s).rem_euclid(ERA_S);
        // 32 bits of fraction times 10⁹ fit in 62 bits.
        let ns = ((bits & 0xffff_ffff) * 1_000_000_000) >> 32;
        CookedTime::from_parts(self.start_s.saturating_add(after_start_s), ns as i64)
    }
}

/// The timestamp of an instant.
pub(super) fn from_time(time: CookedTime) -> NtpTimestamp {
    let seconds = time.seconds().wrapping_add(NTP_EPOCH_OFFSET_S) as u64;
    let fraction = (u64::from(time.subsec_ns()) << 32) / 1_000_000_000;
    NtpTimestamp::from_bits(seconds << 32 | fraction)
}

/// The timestamp of an instant with the bits below the precision at random (ntp chapter,
/// section 2).
pub(super) fn randomised(
    time: CookedTime,
    precision_log2: i8,
    random: &mut dyn RandomSource,
) -> NtpTimestamp {
    let random_bits = (i32::from(precision_log2) + 32).clamp(0, 63);
    let mask = (1u64 << random_bits) - 1;
    NtpTimestamp::from_bits(from_time(time).to_bits() ^ (random.next_u64() & mask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn window_spans_the_era_roll_over() {
        // 1976 … 2112.
        let window = TimestampWindow {
            start_s: 200_000_000,
        };
        for seconds in [
            200_000_000,
            1_795_472_470,
            2_085_978_495,
            2_085_978_496,
            4_494_967_295,
        ] {
            let time = CookedTime::from_parts(seconds, 123_456_789);
            let back = window.to_time(from_time(time));
            assert!(time.since(back).abs() <= 1e-9, "{seconds}");
        }
        let before = CookedTime::from_parts(199_999_999, 0);
        assert_eq!(
            window.to_time(from_time(before)),
            before.plus(4_294_967_296.0)
        );
    }

    #[test]
    fn randomised_bits_are_those_below_the_precision() {
        let mut random = SeededRandom::new(3);
        let time = CookedTime::from_parts(1_795_472_470, 5);
        let plain = from_time(time).to_bits();
        let mut seen = 0;
        for _ in 0..200 {
            seen |= randomised(time, -27, &mut random).to_bits() ^ plain;
        }
        assert_eq!(seen, 0b11111);
    }
}
