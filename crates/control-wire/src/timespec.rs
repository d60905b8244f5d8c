//! Points in time (control-protocol chapter, section 3.3).

use crate::cursor::wire_struct;

/// Upper half of the seconds sent by systems whose time has 32 bits: "not present".
const NO_UPPER_HALF: u32 = 0x7fff_ffff;
/// Largest nanoseconds of a second.
const MAX_NANOSECONDS: u32 = 999_999_999;

wire_struct! {
    /// Seconds and nanoseconds since 1970-01-01 00:00:00 UTC, as three words of the wire.
    ///
    /// Kept as received so that a message survives decoding and encoding; the accessors
    /// give the meaning.
    pub struct Timespec {
        /// Upper 32 bits of the seconds, or 0x7fffffff.
        pub seconds_high: u32,
        /// Lower 32 bits of the seconds.
        pub seconds_low: u32,
        /// Nanoseconds, not limited yet.
        pub raw_nanoseconds: u32,
    }
}

impl Timespec {
    /// A point in time `seconds` (and `nanoseconds`, below 10^9) after the epoch.
    #[must_use]
    pub const fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self {
            seconds_high: (seconds >> 32) as u32,
            seconds_low: seconds as u32,
            raw_nanoseconds: nanoseconds,
        }
    }

    /// Whole seconds since the epoch, negative before it.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        let high = if self.seconds_high == NO_UPPER_HALF {
            0
        } else {
            self.seconds_high
        };
        ((high as i64) << 32) | self.seconds_low as i64
    }

    /// Nanoseconds, at most 999 999 999.
    #[must_use]
    pub const fn nanoseconds(self) -> u32 {
        if self.raw_nanoseconds > MAX_NANOSECONDS {
            MAX_NANOSECONDS
        } else {
            self.raw_nanoseconds
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Timespec;

    #[test]
    fn signed_seconds_and_limits() {
        let before = Timespec::new(-1, 5);
        assert_eq!((before.seconds_high, before.seconds_low), (!0, !0));
        assert_eq!(before.seconds(), -1);
        let odd = Timespec {
            seconds_high: 0x7fff_ffff,
            seconds_low: 7,
            raw_nanoseconds: 1_000_000_000,
        };
        assert_eq!((odd.seconds(), odd.nanoseconds()), (7, 999_999_999));
    }
}
