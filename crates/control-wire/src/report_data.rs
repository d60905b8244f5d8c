//! Data of the replies about packets and clients (control-protocol chapter, sections 10.12,
//! 10.14 and 10.15).

use crate::address::Address;
use crate::cursor::{Reserved, wire_struct};
use crate::enumeration::{LeapStatus, NtpDataFlags, TimestampSource};
use crate::float::Float;
use crate::timespec::Timespec;

/// Records in a CLIENT_ACCESSES_BY_INDEX3 reply.
pub const MAX_CLIENT_RECORDS: usize = 8;
/// Average interval of a client with fewer than two packets.
pub const UNKNOWN_INTERVAL: i8 = 127;

wire_struct! {
    /// Record of one client (section 12).
    pub struct ClientRecord {
        /// The client.
        pub address: Address,
        /// NTP requests.
        pub ntp_hits: u32,
        /// NTS-KE connections.
        pub nke_hits: u32,
        /// Command packets over UDP.
        pub cmd_hits: u32,
        /// NTP requests dropped by rate limiting.
        pub ntp_drops: u32,
        /// NTS-KE connections dropped.
        pub nke_drops: u32,
        /// Command packets dropped.
        pub cmd_drops: u32,
        /// Average interval of NTP requests, log2 s, or [`UNKNOWN_INTERVAL`].
        pub ntp_interval: i8,
        /// Average interval of NTS-KE connections, likewise.
        pub nke_interval: i8,
        /// Average interval of command packets, likewise.
        pub cmd_interval: i8,
        /// Average interval of NTP requests after unanswered ones, likewise.
        pub ntp_timeout_interval: i8,
        /// Age of the last NTP request, s, or [`NEVER_S`](crate::NEVER_S).
        pub last_ntp_hit_ago_s: u32,
        /// Age of the last NTS-KE connection, likewise.
        pub last_nke_hit_ago_s: u32,
        /// Age of the last command packet, likewise.
        pub last_cmd_hit_ago_s: u32,
    }
}

wire_struct! {
    /// CLIENT_ACCESSES_BY_INDEX3 (section 10.12).
    pub struct ClientAccesses {
        /// Size of the table.
        pub n_indices: u32,
        /// Index to continue with.
        pub next_index: u32,
        /// Valid records below.
        pub n_clients: u32,
        /// Unused ones are zero.
        pub clients: [ClientRecord; MAX_CLIENT_RECORDS],
    }
}

wire_struct! {
    /// SERVER_STATS4 (section 10.14).
    pub struct ServerStats {
        /// NTP requests received.
        pub ntp_hits: u64,
        /// NTS-KE connections accepted.
        pub nke_hits: u64,
        /// Command packets received.
        pub cmd_hits: u64,
        /// NTP requests dropped by rate limiting.
        pub ntp_drops: u64,
        /// NTS-KE connections dropped by rate limiting.
        pub nke_drops: u64,
        /// Command packets dropped by rate limiting.
        pub cmd_drops: u64,
        /// Client records overwritten for lack of memory.
        pub log_drops: u64,
        /// Authenticated NTP requests.
        pub ntp_auth_hits: u64,
        /// Interleaved NTP requests.
        pub ntp_interleaved_hits: u64,
        /// Timestamp pairs held.
        pub ntp_timestamps: u64,
        /// Time covered by them, s.
        pub ntp_span_s: u64,
        /// Responses with a receive timestamp of the daemon.
        pub ntp_daemon_rx_timestamps: u64,
        /// Responses with a transmit timestamp of the daemon.
        pub ntp_daemon_tx_timestamps: u64,
        /// Responses with a receive timestamp of the kernel.
        pub ntp_kernel_rx_timestamps: u64,
        /// Responses with a transmit timestamp of the kernel.
        pub ntp_kernel_tx_timestamps: u64,
        /// Responses with a receive timestamp of the hardware.
        pub ntp_hw_rx_timestamps: u64,
        /// Responses with a transmit timestamp of the hardware.
        pub ntp_hw_tx_timestamps: u64,
        /// Reserved.
        pub reserved: Reserved<32, 0xff>,
    }
}

wire_struct! {
    /// NTP_DATA2 (section 10.15): the last valid response of a source, and counters. All zero but
    /// `remote_addr`, `remote_port` and the first counters before it.
    pub struct NtpData {
        /// The source.
        pub remote_addr: Address,
        /// Local address of the response.
        pub local_addr: Address,
        /// UDP port of the source.
        pub remote_port: u16,
        /// Leap status.
        pub leap: LeapStatus as u8,
        /// NTP version.
        pub version: u8,
        /// NTP mode (RFC 5905, section 3).
        pub mode: u8,
        /// Stratum as received.
        pub stratum: u8,
        /// Polling interval as received, log2 s.
        pub poll: i8,
        /// Precision as received, log2 s.
        pub precision: i8,
        /// Root delay, s.
        pub root_delay_s: Float,
        /// Root dispersion, s.
        pub root_dispersion_s: Float,
        /// Reference ID as received.
        pub ref_id: u32,
        /// Reference timestamp as received.
        pub ref_time: Timespec,
        /// Offset, s (positive: the source is ahead of the local clock).
        pub offset_s: Float,
        /// Delay, s.
        pub peer_delay_s: Float,
        /// Dispersion, s.
        pub peer_dispersion_s: Float,
        /// Time the server took, s.
        pub response_time_s: Float,
        /// Asymmetry of the jitter, −0.5…0.5.
        pub jitter_asymmetry: Float,
        /// Tests and modes.
        pub flags: NtpDataFlags,
        /// Where the request was timestamped.
        pub tx_timestamp_source: TimestampSource as u8,
        /// Where the response was timestamped.
        pub rx_timestamp_source: TimestampSource as u8,
        /// Packets sent.
        pub total_tx_count: u32,
        /// Packets received.
        pub total_rx_count: u32,
        /// Packets that passed tests 1–3 and 5.
        pub total_valid_count: u32,
        /// Packets that passed all tests.
        pub total_good_count: u32,
        /// Packets sent with a timestamp of the kernel.
        pub total_kernel_tx_ts: u32,
        /// Packets received with a timestamp of the kernel.
        pub total_kernel_rx_ts: u32,
        /// Packets sent with a timestamp of the hardware.
        pub total_hw_tx_ts: u32,
        /// Packets received with a timestamp of the hardware.
        pub total_hw_rx_ts: u32,
        /// Reserved.
        pub reserved: Reserved<16, 0xff>,
    }
}
