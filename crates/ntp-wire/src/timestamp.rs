//! Numbers of the wire (ntp chapter, section 2; RFC 5905, section 6).
//!
//! - [`NtpTimestamp`]: 32.32 seconds since 1900, modulo an era of 2³² s;
//! - [`NtpShort`]: unsigned 16.16 seconds, root delay and root dispersion;
//! - [`NtpShort28`]: unsigned 4.28 seconds, the same with more resolution in field F323;
//! - [`NtpInterval`]: signed 32.32 seconds, the correction in field 010A.

use std::cmp::Ordering;

/// Seconds from 1900-01-01 to 1970-01-01 (RFC 5905, figure 4).
const NTP_EPOCH_OFFSET_S: i64 = 2_208_988_800;
/// Seconds of an NTP era.
const ERA_S: i64 = 1 << 32;
/// Nanoseconds in a second.
const NS_PER_S: i64 = 1_000_000_000;
/// 2¹⁶, units of a second in a 16.16 number.
const SHORT_UNITS_PER_S: f64 = 65_536.0;
/// 2²⁸, units of a second in a 4.28 number.
const SHORT28_UNITS_PER_S: f64 = 268_435_456.0;
/// 2³², units of a second in a 32.32 number.
const UNITS_PER_S: f64 = 4_294_967_296.0;

/// A 64-bit timestamp: seconds since 1900 in the upper half, fraction in the lower. All
/// zero means unknown. Not ordered, since eras wrap around: see [`NtpTimestamp::compare`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NtpTimestamp(u64);

impl NtpTimestamp {
    /// "Unknown".
    pub const ZERO: Self = Self(0);

    /// From the bits of the wire.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits of the wire.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// From the bytes of the wire.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// The bytes of the wire.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Whether it is "unknown".
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The seconds within the era.
    pub const fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The fraction in units of 2⁻³² s.
    pub const fn fraction(self) -> u32 {
        self.0 as u32
    }

    /// The timestamp of an instant in nanoseconds since 1970, fraction truncated.
    pub const fn from_unix_ns(ns: i64) -> Self {
        let seconds = ns.div_euclid(NS_PER_S).wrapping_add(NTP_EPOCH_OFFSET_S) as u64;
        let fraction = ((ns.rem_euclid(NS_PER_S) as u64) << 32) / NS_PER_S as u64;
        Self(seconds << 32 | fraction)
    }

    /// Compares by the signed 32-bit difference of the seconds, then by the fraction: right
    /// for timestamps less than 68 years apart, whatever the eras.
    pub fn compare(self, other: Self) -> Ordering {
        (self.seconds().wrapping_sub(other.seconds()) as i32)
            .cmp(&0)
            .then(self.fraction().cmp(&other.fraction()))
    }

    /// Whether it is later than `other` by [`Self::compare`].
    pub fn is_after(self, other: Self) -> bool {
        self.compare(other) == Ordering::Greater
    }

    /// `self − other` as the signed interval, right for timestamps less than 68 years apart.
    pub const fn since(self, other: Self) -> NtpInterval {
        NtpInterval(self.0.wrapping_sub(other.0) as i64)
    }

    /// Exclusive-ors the bits below the precision (log2 of seconds, limited to −32 … 0) with
    /// those of `random`. "Unknown" stays.
    #[must_use]
    pub const fn randomised(self, precision_log2: i8, random: u64) -> Self {
        if self.0 == 0 || precision_log2 <= -32 {
            return self;
        }
        let bits = if precision_log2 >= 0 {
            32
        } else {
            (precision_log2 as i32 + 32) as u32
        };
        Self(self.0 ^ (random & ((1 << bits) - 1)))
    }
}

/// The 136 years that timestamps are mapped to: [start, start + 2³² s).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampWindow {
    /// The window's first second, POSIX time (E in discipline chapter, section 1.3).
    pub start_s: i64,
}

impl TimestampWindow {
    /// The only instant within the window with this timestamp, nanoseconds since 1970,
    /// fraction truncated. Saturates when the window is beyond what `i64` holds.
    pub const fn to_unix_ns(self, timestamp: NtpTimestamp) -> i64 {
        let in_era_zero_s = timestamp.seconds() as i64 - NTP_EPOCH_OFFSET_S;
        let after_start_s = in_era_zero_s.wrapping_sub(self.start_s).rem_euclid(ERA_S);
        // 32 bits of fraction times 10⁹ fit in 62 bits.
        let ns = (timestamp.fraction() as u64 * NS_PER_S as u64) >> 32;
        self.start_s
            .saturating_add(after_start_s)
            .saturating_mul(NS_PER_S)
            .saturating_add(ns as i64)
    }
}

/// Rounds `seconds` up to a whole number of 1/`units`, limited to 0 … 2³² − 1; NaN gives
/// the largest value.
fn round_up(seconds: f64, units: f64) -> u32 {
    if seconds.is_nan() {
        return u32::MAX;
    }
    // The conversion saturates.
    (seconds * units).ceil() as u32
}

/// Unsigned 16.16 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpShort(u32);

impl NtpShort {
    /// From the bits of the wire.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits of the wire.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Rounded up to 2⁻¹⁶ s, limited to what fits.
    pub fn from_seconds(seconds: f64) -> Self {
        Self(round_up(seconds, SHORT_UNITS_PER_S))
    }

    /// As seconds.
    pub fn to_seconds(self) -> f64 {
        f64::from(self.0) / SHORT_UNITS_PER_S
    }
}

/// [`NtpShort::from_seconds`] as bits of the wire.
pub fn short_from_seconds(seconds: f64) -> u32 {
    NtpShort::from_seconds(seconds).to_bits()
}

/// Unsigned 4.28 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpShort28(u32);

impl NtpShort28 {
    /// From the bits of the wire.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits of the wire.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Rounded up to 2⁻²⁸ s, limited to what fits.
    pub fn from_seconds(seconds: f64) -> Self {
        Self(round_up(seconds, SHORT28_UNITS_PER_S))
    }

    /// As seconds; the largest value stands for everything beyond and gives the largest
    /// 16.16 number.
    pub fn to_seconds(self) -> f64 {
        if self.0 == u32::MAX {
            NtpShort(u32::MAX).to_seconds()
        } else {
            f64::from(self.0) / SHORT28_UNITS_PER_S
        }
    }
}

/// Signed 32.32 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpInterval(i64);

impl NtpInterval {
    /// No difference.
    pub const ZERO: Self = Self(0);

    /// From the bits of the wire.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits as i64)
    }

    /// The bits of the wire.
    pub const fn to_bits(self) -> u64 {
        self.0 as u64
    }

    /// Rounded to nearest, limited to what fits; NaN gives 0.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * UNITS_PER_S).round() as i64)
    }

    /// As seconds.
    pub fn to_seconds(self) -> f64 {
        self.0 as f64 / UNITS_PER_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_rounds_up_and_saturates() {
        for (seconds, bits) in [
            (-1.0, 0),
            (0.0, 0),
            (1e-9, 1),
            (1.0, 0x1_0000),
            (1.0 + 1e-9, 0x1_0001),
            (65_535.999_98, u32::MAX),
            (1e9, u32::MAX),
            (f64::NAN, u32::MAX),
        ] {
            assert_eq!(short_from_seconds(seconds), bits, "{seconds}");
        }
        assert_eq!(NtpShort::from_bits(0x8000).to_seconds(), 0.5);
    }

    #[test]
    fn short28_rounds_up_and_its_end_is_everything() {
        assert_eq!(NtpShort28::from_seconds(1.0).to_bits(), 0x1000_0000);
        assert_eq!(NtpShort28::from_seconds(1e-12).to_bits(), 1);
        assert_eq!(NtpShort28::from_seconds(16.0).to_bits(), u32::MAX);
        assert_eq!(NtpShort28::from_bits(0x1000_0000).to_seconds(), 1.0);
        assert!(NtpShort28::from_bits(u32::MAX).to_seconds() > 65_535.999_98);
    }

    #[test]
    fn window_spans_the_era_roll_over() {
        let window = TimestampWindow {
            start_s: 200_000_000,
        };
        for seconds in [200_000_000, 2_085_978_495, 2_085_978_496, 4_494_967_295] {
            let ns = seconds * NS_PER_S + 123_456_789;
            let back = window.to_unix_ns(NtpTimestamp::from_unix_ns(ns));
            assert!((0..=1).contains(&(ns - back)), "{seconds}");
        }
        let before = NtpTimestamp::from_unix_ns(199_999_999 * NS_PER_S);
        assert_eq!(window.to_unix_ns(before), (199_999_999 + ERA_S) * NS_PER_S);
        let far = TimestampWindow { start_s: i64::MAX };
        assert_eq!(far.to_unix_ns(NtpTimestamp::ZERO), i64::MAX);
    }

    #[test]
    fn known_instant() {
        // golden/ntp/plain_clients.tsv: captured at 1795471883.599567588.
        let sent = NtpTimestamp::from_bits(0xeeaf_388b_997d_42ff);
        let window = TimestampWindow { start_s: 0 };
        let difference_ns = 1_795_471_883_599_567_588 - window.to_unix_ns(sent);
        assert!(difference_ns.abs() < 50_000, "{difference_ns}");
    }

    #[test]
    fn comparison_wraps_around() {
        let at = |seconds: u64, fraction: u64| NtpTimestamp::from_bits(seconds << 32 | fraction);
        assert!(at(0, 0).is_after(at(0xffff_ffff, 5)));
        assert!(at(7, 2).is_after(at(7, 1)));
        assert!(!at(7, 1).is_after(at(7, 1)));
        assert_eq!(at(1, 9).compare(at(2, 1)), Ordering::Less);
        assert_eq!(at(0, 0).since(at(0xffff_ffff, 1 << 31)).to_seconds(), 0.5);
    }

    #[test]
    fn randomised_bits_are_those_below_the_precision() {
        let timestamp = NtpTimestamp::from_bits(0xeeaf_388b_0000_0000);
        assert_eq!(timestamp.randomised(-27, u64::MAX).fraction(), 0b11111);
        assert_eq!(timestamp.randomised(-30, u64::MAX).fraction(), 0b11);
        assert_eq!(timestamp.randomised(-32, u64::MAX), timestamp);
        assert_eq!(timestamp.randomised(5, u64::MAX).fraction(), u32::MAX);
        assert!(NtpTimestamp::ZERO.randomised(-20, u64::MAX).is_zero());
    }

    #[test]
    fn interval_is_signed() {
        let minus = NtpInterval::from_seconds(-0.25);
        assert_eq!(minus.to_bits(), 0xffff_ffff_c000_0000);
        assert_eq!(NtpInterval::from_bits(minus.to_bits()).to_seconds(), -0.25);
        assert_eq!(NtpInterval::from_seconds(1e300).to_bits(), i64::MAX as u64);
    }
}
