//! Data of the requests (control-protocol chapter, section 9.2), one struct per layout.

use crate::address::Address;
use crate::cursor::wire_struct;
use crate::enumeration::SelectOptions;
use crate::float::Float;
use crate::name::SourceName;
use crate::source_flags::SourceFlags;
use crate::timespec::Timespec;

wire_struct! {
    /// The sources that ONLINE and OFFLINE act on (section 9.3).
    pub struct MaskedAddress {
        /// Mask of both addresses; ignored if its family differs from that of `address`.
        pub mask: Address,
        /// Address to match; unspecified matches all.
        pub address: Address,
    }
}

wire_struct! {
    /// BURST: make a series of measurements.
    pub struct Burst {
        /// The sources.
        pub sources: MaskedAddress,
        /// Good measurements wanted.
        pub n_good_samples: i32,
        /// Most requests to send.
        pub n_total_samples: i32,
    }
}

wire_struct! {
    /// A request that sets an integer of one source: polling interval (log2 seconds), stratum or
    /// number of samples.
    pub struct ModifyInteger {
        /// The source.
        pub address: Address,
        /// The new value.
        pub value: i32,
    }
}

wire_struct! {
    /// A request that sets a number of one source: a delay (seconds) or ratio.
    pub struct ModifyFloat {
        /// The source.
        pub address: Address,
        /// The new value.
        pub value: Float,
    }
}

wire_struct! {
    /// A request with a single number: maximum update skew or frequency (ppm), distance or offset (s).
    pub struct SingleFloat {
        /// The number.
        pub value: Float,
    }
}

wire_struct! {
    /// SETTIME: the time read from the operator's watch.
    pub struct SetTime {
        /// The time entered, UTC.
        pub time: Timespec,
    }
}

wire_struct! {
    /// MANUAL (0 off, 1 on, 2 remove samples) and SMOOTHTIME (0 reset, 1 activate).
    pub struct SingleOption {
        /// The option.
        pub option: i32,
    }
}

wire_struct! {
    /// A request about the source or sample of an index (section 9.4). Negative indexes exist on
    /// the wire as numbers of 2^31 and more, which are never valid.
    pub struct Index {
        /// The index, from 0.
        pub index: u32,
    }
}

wire_struct! {
    /// A network to be allowed or denied (section 9.7).
    pub struct Subnet {
        /// Address in the network, or unspecified: every address of both families.
        pub address: Address,
        /// Prefix length.
        pub prefix_length: i32,
    }
}

wire_struct! {
    /// A request about one address.
    pub struct SingleAddress {
        /// The address.
        pub address: Address,
    }
}

wire_struct! {
    /// MODIFY_MAKESTEP: automatic stepping.
    pub struct ModifyMakeStep {
        /// Clock updates to which it applies; negative: no limit, 0: off.
        pub limit: i32,
        /// Smallest correction that is stepped, s.
        pub threshold_s: Float,
    }
}

wire_struct! {
    /// CLIENT_ACCESSES_BY_INDEX3: a page of the table of clients (section 12).
    pub struct ClientAccessesRequest {
        /// First index of the table to look at.
        pub first_index: u32,
        /// Most records wanted; values above 8 mean 8.
        pub n_clients: u32,
        /// Leave out clients with fewer hits in each service; 0: every record.
        pub min_hits: u32,
        /// Not 0: clear the counters after reporting them.
        pub reset: u32,
    }
}

wire_struct! {
    /// MODIFY_SELECTOPTS: selection options of a source. Mask and options use different bits (section 9.6).
    pub struct ModifySelectOptions {
        /// The source, or unspecified for a reference clock.
        pub address: Address,
        /// Reference ID, used only with an unspecified address.
        pub ref_id: u32,
        /// Options to change: bit set A ([`SelectOptions`]) in 32 bits.
        pub mask: u32,
        /// New values: bit set B, the bits of ADD_SOURCE.
        pub options: SourceFlags,
    }
}

impl ModifySelectOptions {
    /// The mask in the type of the reports (its upper half has no meaning).
    #[must_use]
    pub const fn mask_options(&self) -> SelectOptions {
        SelectOptions(self.mask as u16)
    }

    /// The new values in the bits of the mask and of the reports.
    #[must_use]
    pub const fn new_options(&self) -> SelectOptions {
        self.options.select_options()
    }
}

wire_struct! {
    /// MODIFY_OFFSET: offset correction of a source.
    pub struct ModifyOffset {
        /// The source, or unspecified for a reference clock.
        pub address: Address,
        /// Reference ID, used only with an unspecified address.
        pub ref_id: u32,
        /// The new correction, s.
        pub offset_s: Float,
    }
}

wire_struct! {
    /// LOCAL3: local reference mode.
    pub struct Local {
        /// 0: disable and ignore the rest; anything else: enable.
        pub on_off: i32,
        /// Stratum, clamped by the daemon to 1…15.
        pub stratum: i32,
        /// Root distance from which the mode is activated, s.
        pub distance_s: Float,
        /// Not 0: orphan mode.
        pub orphan: i32,
        /// Root distance of a synchronised clock to have been reached before, s.
        pub activate_s: Float,
        /// Wait after the last update of a synchronised clock, s.
        pub wait_synced_s: Float,
        /// Wait after start when never synchronised, s.
        pub wait_unsynced_s: Float,
    }
}

wire_struct! {
    /// ADD_SOURCE (section 9.5).
    pub struct AddSource {
        /// 1 server, 2 peer, 3 pool; see [`AddSource::kind`].
        pub source_type: u32,
        /// Host name or numeric address.
        pub name: SourceName,
        /// UDP port; only the low 16 bits are used.
        pub port: u32,
        /// Shortest polling interval, log2 s.
        pub min_poll: i32,
        /// Longest polling interval, log2 s.
        pub max_poll: i32,
        /// Shortest polling interval at which a packet is sent ahead, log2 s; 100: never.
        pub presend_min_poll: i32,
        /// Stratum assumed at least.
        pub min_stratum: u32,
        /// Samples to be kept by adjusting the polling interval.
        pub poll_target: u32,
        /// NTP version; 0: automatic.
        pub version: u32,
        /// Sources of a pool.
        pub max_sources: u32,
        /// Least samples; −1: that of the `minsamples` directive.
        pub min_samples: i32,
        /// Most samples; −1: that of the `maxsamples` directive.
        pub max_samples: i32,
        /// Key number; 0: none.
        pub auth_key: u32,
        /// TCP port of NTS key establishment.
        pub nts_port: u32,
        /// Longest delay, s.
        pub max_delay_s: Float,
        /// Largest ratio of delay to the least delay.
        pub max_delay_ratio: Float,
        /// Largest ratio of the increase in delay to the standard deviation.
        pub max_delay_dev_ratio: Float,
        /// Least delay assumed, s.
        pub min_delay_s: Float,
        /// Asymmetry of the delay, −0.5…0.5; outside of it: estimate.
        pub asymmetry: Float,
        /// Correction of the measured offset, s.
        pub offset_s: Float,
        /// Options.
        pub flags: SourceFlags,
        /// Samples per filtered sample; below 1: no filter.
        pub filter_length: i32,
        /// Set of trusted certificates.
        pub cert_set: u32,
        /// Quantile of the delay; 0 and less: off.
        pub max_delay_quantile: Float,
        /// Polls without a response before the source is given up for selection.
        pub max_unreach: i32,
    }
}

/// What ADD_SOURCE adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// One server.
    Server = 1,
    /// One symmetric peer.
    Peer = 2,
    /// The servers of a pool.
    Pool = 3,
}

impl AddSource {
    /// The kind of source; `None` makes the daemon answer INVALID.
    #[must_use]
    pub const fn kind(&self) -> Option<SourceKind> {
        match self.source_type {
            1 => Some(SourceKind::Server),
            2 => Some(SourceKind::Peer),
            3 => Some(SourceKind::Pool),
            _ => None,
        }
    }

    /// A request with the values of options not given (section 9.5).
    #[must_use]
    pub fn with_defaults(kind: SourceKind, name: SourceName) -> Self {
        Self {
            source_type: kind as u32,
            name,
            port: 123,
            min_poll: 6,
            max_poll: 10,
            presend_min_poll: 100,
            min_stratum: 0,
            poll_target: 8,
            version: 0,
            max_sources: 4,
            min_samples: -1,
            max_samples: -1,
            auth_key: 0,
            nts_port: 4460,
            max_delay_s: Float::new(3.0),
            max_delay_ratio: Float::ZERO,
            max_delay_dev_ratio: Float::new(10.0),
            min_delay_s: Float::ZERO,
            asymmetry: Float::new(1.0),
            offset_s: Float::ZERO,
            flags: SourceFlags::ONLINE,
            filter_length: 0,
            cert_set: 0,
            max_delay_quantile: Float::ZERO,
            max_unreach: 100_000,
        }
    }
}
