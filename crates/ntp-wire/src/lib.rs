//! NTP on the wire: parse and emit on byte slices.
//!
//! A received datagram goes through these rooms, none of which allocates or can panic:
//!
//! 1. [`ptp`]: only for datagrams of the NTP-over-PTP sockets, takes the prefix off.
//! 2. [`packet`]: [`Packet::parse`] checks the length and version, walks the extension
//!    fields, and says how the packet claims to be authenticated. What it returns cannot
//!    be malformed any more: header, fields and MAC are slices or values of the right size.
//! 3. [`extension`]: the fields one by one, and the two experimental ones as types.
//! 4. [`mac`]: [`Key::verify`] checks a MAC.
//!
//! A packet to be sent is written by [`MessageWriter`] in the same order: header, fields,
//! MAC. [`header::Header`] is the typed 48-byte header of both directions; it keeps every
//! bit, so a parsed header emits the bytes it came from.
//!
//! Numbers of the wire are types of [`timestamp`]; they become time only by a
//! [`TimestampWindow`], which decides the NTP era.
//!
//! What a packet means (is it answered, is it accepted) is not decided here.

pub mod extension;
pub mod header;
pub mod leap;
pub mod mac;
pub mod packet;
pub mod ptp;
pub mod refid;
pub mod timestamp;
pub mod writer;

pub use extension::{Extension, Extensions, MonotonicRoot, NetworkCorrection};
pub use header::{Header, Mode};
pub use leap::LeapIndicator;
pub use mac::{Key, KeyKind, KeyRing, MIN_STRONG_SECRET_LENGTH};
pub use packet::{Authentication, Mac, Malformed, Packet};
pub use timestamp::{
    NtpInterval, NtpShort, NtpShort28, NtpTimestamp, TimestampWindow, short_from_seconds,
};
pub use writer::{MessageTooLong, MessageWriter};

/// Length of the header (RFC 5905, section 7.3).
pub const HEADER_LENGTH: usize = 48;
/// Longest NTP packet that is accepted or sent (ntp chapter, section 1).
pub const MAX_PACKET_LENGTH: usize = 1140;
/// Smallest extension field outside of NTS's encrypted part (RFC 7822, section 3).
pub const MIN_EXTENSION_LENGTH: usize = 16;
/// Smallest MAC, key ID included (ntp chapter, section 1).
pub const MIN_MAC_LENGTH: usize = 20;
/// Largest MAC, key ID included (ntp chapter, section 1).
pub const MAX_MAC_LENGTH: usize = 68;
/// Largest MAC of version 4, key ID included (RFC 7822, section 3).
pub const MAX_V4_MAC_LENGTH: usize = 24;
/// The highest stratum, which means unsynchronised; sent as 0 (RFC 5905, section 7.3).
pub const STRATUM_UNSYNCHRONISED: u8 = 16;
/// Reference ID of the local reference, 127.127.1.1 (ntp chapter, section 1).
pub const REFERENCE_ID_LOCAL: u32 = 0x7f7f_0101;
/// Reference ID of smoothed time, 127.127.1.255 (ntp chapter, section 1).
pub const REFERENCE_ID_SMOOTHED: u32 = 0x7f7f_01ff;
/// Reference ID of the Kiss-o'-Death "slow down", `RATE` (RFC 5905, section 7.4).
pub const KISS_RATE: u32 = u32::from_be_bytes(*b"RATE");
/// Reference ID of the NTS negative acknowledgement, `NTSN` (RFC 8915, section 5.7).
pub const KISS_NTS_NAK: u32 = u32::from_be_bytes(*b"NTSN");

/// The `N` bytes of `bytes` from `offset`; zeros where `bytes` ends before, which no caller
/// lets happen.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}
