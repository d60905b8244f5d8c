//! Flags of ADD_SOURCE, four of which also serve MODIFY_SELECTOPTS (control-protocol chapter,
//! sections 9.5 and 9.6, bit set B).

use crate::enumeration::{SelectOptions, bit_set};

bit_set! {
    /// Options of a source to be added.
    pub struct SourceFlags(u32) {
        /// Online from the start.
        ONLINE = 0x1,
        /// Go offline when the network fails.
        AUTO_OFFLINE = 0x2,
        /// A burst of measurements at the start.
        IBURST = 0x4,
        /// Prefer the source.
        PREFER = 0x8,
        /// Never select the source.
        NOSELECT = 0x10,
        /// Trust the source.
        TRUST = 0x20,
        /// Require the source.
        REQUIRE = 0x40,
        /// Interleaved mode.
        INTERLEAVED = 0x80,
        /// Bursts when polling seldom.
        BURST = 0x100,
        /// Network Time Security.
        NTS = 0x200,
        /// Pass on reference ID and stratum of the source.
        COPY = 0x400,
        /// NTP extension field 0xF323, monotonic root timestamp.
        EXT_MONOTONIC_ROOT = 0x800,
        /// NTP extension field 0x010A, network correction.
        EXT_NETWORK_CORRECTION = 0x1000,
        /// IPv4 addresses only.
        IPV4_ONLY = 0x2000,
        /// IPv6 addresses only.
        IPV6_ONLY = 0x4000,
    }
}

/// The same options in set A and set B.
const SELECT_PAIRS: [(SelectOptions, SourceFlags); 4] = [
    (SelectOptions::NOSELECT, SourceFlags::NOSELECT),
    (SelectOptions::PREFER, SourceFlags::PREFER),
    (SelectOptions::TRUST, SourceFlags::TRUST),
    (SelectOptions::REQUIRE, SourceFlags::REQUIRE),
];

impl SourceFlags {
    /// The selection options among the flags, in the bits of reports (set A).
    #[must_use]
    pub const fn select_options(self) -> SelectOptions {
        let [noselect, prefer, trust, require] = SELECT_PAIRS;
        SelectOptions(0)
            .with(noselect.0, self.contains(noselect.1))
            .with(prefer.0, self.contains(prefer.1))
            .with(trust.0, self.contains(trust.1))
            .with(require.0, self.contains(require.1))
    }
}

impl From<SelectOptions> for SourceFlags {
    fn from(options: SelectOptions) -> Self {
        SELECT_PAIRS
            .iter()
            .fold(Self(0), |flags, (reported, flag)| {
                flags.with(*flag, options.contains(*reported))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{SelectOptions, SourceFlags};

    #[test]
    fn bit_sets_convert() {
        for bits in 0..16 {
            let options = SelectOptions(bits);
            assert_eq!(SourceFlags::from(options).select_options(), options);
        }
    }
}
