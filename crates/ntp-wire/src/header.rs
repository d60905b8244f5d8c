//! The 48-byte header (RFC 5905, section 7.3; ntp chapter, section 5).

use crate::{HEADER_LENGTH, LeapIndicator, NtpShort, NtpTimestamp, array_at};

/// Field offsets.
mod field {
    pub(super) const LEAP_VERSION_MODE: usize = 0;
    pub(super) const STRATUM: usize = 1;
    pub(super) const POLL: usize = 2;
    pub(super) const PRECISION: usize = 3;
    pub(super) const ROOT_DELAY: usize = 4;
    pub(super) const ROOT_DISPERSION: usize = 8;
    pub(super) const REFERENCE_ID: usize = 12;
    pub(super) const REFERENCE_TIME: usize = 16;
    pub(super) const ORIGIN: usize = 24;
    pub(super) const RECEIVE: usize = 32;
    pub(super) const TRANSMIT: usize = 40;
}

/// Association mode (RFC 5905, figure 10). The discriminants are the values on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Reserved; clients of version 1 send it.
    #[default]
    Reserved = 0,
    /// Symmetric active: a peer's packet.
    SymmetricActive = 1,
    /// Symmetric passive: the answer to an unknown peer.
    SymmetricPassive = 2,
    /// A client's request.
    Client = 3,
    /// A server's response.
    Server = 4,
    /// Broadcast.
    Broadcast = 5,
    /// NTP control message.
    Control = 6,
    /// Private use.
    Private = 7,
}

impl Mode {
    /// From the three bits of the wire; higher bits are ignored.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::Reserved,
            1 => Self::SymmetricActive,
            2 => Self::SymmetricPassive,
            3 => Self::Client,
            4 => Self::Server,
            5 => Self::Broadcast,
            6 => Self::Control,
            _ => Self::Private,
        }
    }

    /// The three bits of the wire.
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

/// A header with all its bits: `Header::parse(b).emit(..)` gives `b`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Leap indicator.
    pub leap: LeapIndicator,
    /// Version, 0 … 7; [`crate::Packet::parse`] accepts 1 … 4.
    pub version: u8,
    /// Mode.
    pub mode: Mode,
    /// Stratum; 0 is unspecified or unsynchronised.
    pub stratum: u8,
    /// Poll interval, log2 of seconds.
    pub poll_log2: i8,
    /// Precision of the sender's clock, log2 of seconds.
    pub precision_log2: i8,
    /// Root delay.
    pub root_delay: NtpShort,
    /// Root dispersion.
    pub root_dispersion: NtpShort,
    /// Reference ID or kiss code.
    pub reference_id: u32,
    /// When the sender's clock was last set.
    pub reference_time: NtpTimestamp,
    /// Origin timestamp.
    pub origin: NtpTimestamp,
    /// Receive timestamp.
    pub receive: NtpTimestamp,
    /// Transmit timestamp.
    pub transmit: NtpTimestamp,
}

impl Header {
    /// Reads a header.
    pub fn parse(bytes: &[u8; HEADER_LENGTH]) -> Self {
        let first = bytes[field::LEAP_VERSION_MODE];
        let short = |offset| NtpShort::from_bits(u32::from_be_bytes(array_at(bytes, offset)));
        let timestamp = |offset| NtpTimestamp::from_bytes(array_at(bytes, offset));
        Self {
            leap: LeapIndicator::from_bits(first >> 6),
            version: first >> 3 & 7,
            mode: Mode::from_bits(first),
            stratum: bytes[field::STRATUM],
            poll_log2: bytes[field::POLL] as i8,
            precision_log2: bytes[field::PRECISION] as i8,
            root_delay: short(field::ROOT_DELAY),
            root_dispersion: short(field::ROOT_DISPERSION),
            reference_id: u32::from_be_bytes(array_at(bytes, field::REFERENCE_ID)),
            reference_time: timestamp(field::REFERENCE_TIME),
            origin: timestamp(field::ORIGIN),
            receive: timestamp(field::RECEIVE),
            transmit: timestamp(field::TRANSMIT),
        }
    }

    /// Writes the header; of the version its three lower bits.
    pub fn emit(&self, bytes: &mut [u8; HEADER_LENGTH]) {
        bytes[field::LEAP_VERSION_MODE] =
            self.leap.bits() << 6 | (self.version & 7) << 3 | self.mode.bits();
        bytes[field::STRATUM] = self.stratum;
        bytes[field::POLL] = self.poll_log2 as u8;
        bytes[field::PRECISION] = self.precision_log2 as u8;
        let mut put = |offset: usize, value: &[u8]| {
            bytes[offset..offset + value.len()].copy_from_slice(value);
        };
        put(field::ROOT_DELAY, &self.root_delay.to_bits().to_be_bytes());
        put(
            field::ROOT_DISPERSION,
            &self.root_dispersion.to_bits().to_be_bytes(),
        );
        put(field::REFERENCE_ID, &self.reference_id.to_be_bytes());
        put(field::REFERENCE_TIME, &self.reference_time.to_bytes());
        put(field::ORIGIN, &self.origin.to_bytes());
        put(field::RECEIVE, &self.receive.to_bytes());
        put(field::TRANSMIT, &self.transmit.to_bytes());
    }

    /// The header as bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        self.emit(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_response() {
        // golden/ntp/server_states.tsv, case synced.
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..16].copy_from_slice(&[0x24, 3, 6, 0xe5, 0, 0, 0, 1, 0, 0, 0, 1, 0x0a, 0x4d, 0, 2]);
        bytes[40..].copy_from_slice(&[0xee, 0xaf, 0x39, 0x2f, 0x16, 0xe0, 0x54, 0x84]);
        let header = Header::parse(&bytes);
        assert_eq!(header.leap, LeapIndicator::Normal);
        assert_eq!((header.version, header.mode), (4, Mode::Server));
        assert_eq!((header.stratum, header.poll_log2), (3, 6));
        assert_eq!(header.precision_log2, -27);
        assert_eq!(header.root_delay.to_bits(), 1);
        assert_eq!(header.reference_id, 0x0a4d_0002);
        assert_eq!(header.transmit.to_bits(), 0xeeaf_392f_16e0_5484);
        assert_eq!(header.to_bytes(), bytes);
    }

    #[test]
    fn every_mode_and_leap() {
        for bits in 0..=255u8 {
            let mut bytes = [0; HEADER_LENGTH];
            bytes[0] = bits;
            assert_eq!(Header::parse(&bytes).to_bytes()[0], bits);
            assert_eq!(Mode::from_bits(bits).bits(), bits & 7);
        }
    }
}
