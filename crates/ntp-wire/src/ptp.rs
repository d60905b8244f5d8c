//! NTP over PTP (ntp chapter, section 14): an NTP message in a TLV of a PTP event message,
//! so that network hardware gives it precise timestamps and transparent clocks correct it.

use crate::array_at;

/// Length of what precedes the NTP message.
pub const PREFIX_LENGTH: usize = 56;
/// Length of TLV organisation, subtype and pad, which the TLV's length includes.
const TLV_OVERHEAD: u16 = 8;

/// Major SDO ID 0 and message type Sync.
const TYPE_SYNC: u8 = 0x00;
/// Major SDO ID 0 and message type Delay_Req.
const TYPE_DELAY_REQUEST: u8 = 0x01;
/// PTP version 2.0.
const VERSION_2_0: u8 = 0x02;
/// PTP version 2.1.
const VERSION_2_1: u8 = 0x12;
/// The unicast flag, alone.
const FLAGS_UNICAST: u16 = 0x0400;
/// TLV type of organisations, to be forwarded only by those who know it.
const TLV_ORGANISATION: u16 = 0x0003;
/// TLV type of organisations, never to be forwarded (IEEE 1588-2019).
const TLV_ORGANISATION_DO_NOT_PROPAGATE: u16 = 0x8000;
/// Organisation (IANA) and subtype of the NTP TLV.
const TLV_NTP: [u8; 6] = [0x00, 0x00, 0x5e, 0x00, 0x00, 0x01];

/// Units of the correction field in a second: 2¹⁶ for each nanosecond.
const CORRECTION_UNITS_PER_S: f64 = 65_536.0 * 1e9;

/// Field offsets.
mod field {
    pub(super) const MESSAGE_TYPE: usize = 0;
    pub(super) const VERSION: usize = 1;
    pub(super) const LENGTH: usize = 2;
    pub(super) const DOMAIN: usize = 4;
    pub(super) const MINOR_SDO_ID: usize = 5;
    pub(super) const FLAGS: usize = 6;
    pub(super) const CORRECTION: usize = 8;
    pub(super) const SPECIFIC: usize = 16;
    pub(super) const SEQUENCE_ID: usize = 30;
    pub(super) const CONTROL: usize = 32;
    pub(super) const TLV_TYPE: usize = 44;
    pub(super) const TLV_LENGTH: usize = 46;
    pub(super) const TLV_ORGANISATION: usize = 48;
    pub(super) const TLV_PAD: usize = 54;
}

/// The prefix with all its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PtpPrefix {
    /// Major SDO ID and message type.
    pub message_type: u8,
    /// Minor version and version.
    pub version: u8,
    /// Length of the whole message.
    pub length: u16,
    /// PTP domain.
    pub domain: u8,
    /// Minor SDO ID.
    pub minor_sdo_id: u8,
    /// Flags.
    pub flags: u16,
    /// Sum of the residence times in transparent clocks, 2⁻¹⁶ ns.
    pub correction: i64,
    /// Message type specific bytes and source port identity.
    pub specific: [u8; 14],
    /// Sequence ID.
    pub sequence_id: u16,
    /// Control, interval and origin timestamp.
    pub control: [u8; 12],
    /// TLV type.
    pub tlv_type: u16,
    /// TLV length.
    pub tlv_length: u16,
    /// Organisation and subtype.
    pub tlv_organisation: [u8; 6],
    /// Padding.
    pub tlv_pad: [u8; 2],
}

impl PtpPrefix {
    /// What is sent before an NTP message of `ntp_length` bytes.
    pub const fn new(ntp_length: u16, domain: u8, sequence_id: u16) -> Self {
        Self {
            message_type: TYPE_DELAY_REQUEST,
            version: VERSION_2_0,
            length: (PREFIX_LENGTH as u16).saturating_add(ntp_length),
            domain,
            minor_sdo_id: 0,
            flags: FLAGS_UNICAST,
            correction: 0,
            specific: [0; 14],
            sequence_id,
            control: [0; 12],
            tlv_type: TLV_ORGANISATION,
            tlv_length: TLV_OVERHEAD.saturating_add(ntp_length),
            tlv_organisation: TLV_NTP,
            tlv_pad: [0; 2],
        }
    }

    /// Reads a prefix without judging it.
    pub fn parse(bytes: &[u8; PREFIX_LENGTH]) -> Self {
        let word = |offset| u16::from_be_bytes(array_at(bytes, offset));
        Self {
            message_type: bytes[field::MESSAGE_TYPE],
            version: bytes[field::VERSION],
            length: word(field::LENGTH),
            domain: bytes[field::DOMAIN],
            minor_sdo_id: bytes[field::MINOR_SDO_ID],
            flags: word(field::FLAGS),
            correction: i64::from_be_bytes(array_at(bytes, field::CORRECTION)),
            specific: array_at(bytes, field::SPECIFIC),
            sequence_id: word(field::SEQUENCE_ID),
            control: array_at(bytes, field::CONTROL),
            tlv_type: word(field::TLV_TYPE),
            tlv_length: word(field::TLV_LENGTH),
            tlv_organisation: array_at(bytes, field::TLV_ORGANISATION),
            tlv_pad: array_at(bytes, field::TLV_PAD),
        }
    }

    /// Writes the prefix.
    pub fn emit(&self, bytes: &mut [u8; PREFIX_LENGTH]) {
        bytes[field::MESSAGE_TYPE] = self.message_type;
        bytes[field::VERSION] = self.version;
        bytes[field::DOMAIN] = self.domain;
        bytes[field::MINOR_SDO_ID] = self.minor_sdo_id;
        let mut put = |offset: usize, value: &[u8]| {
            bytes[offset..offset + value.len()].copy_from_slice(value);
        };
        put(field::LENGTH, &self.length.to_be_bytes());
        put(field::FLAGS, &self.flags.to_be_bytes());
        put(field::CORRECTION, &self.correction.to_be_bytes());
        put(field::SPECIFIC, &self.specific);
        put(field::SEQUENCE_ID, &self.sequence_id.to_be_bytes());
        put(field::CONTROL, &self.control);
        put(field::TLV_TYPE, &self.tlv_type.to_be_bytes());
        put(field::TLV_LENGTH, &self.tlv_length.to_be_bytes());
        put(field::TLV_ORGANISATION, &self.tlv_organisation);
        put(field::TLV_PAD, &self.tlv_pad);
    }

    /// The correction in seconds, to be added to the receive duration (section 14.1). Read
    /// as signed, where the reference reads it as unsigned and then discards the result.
    pub fn correction_s(&self) -> f64 {
        self.correction as f64 / CORRECTION_UNITS_PER_S
    }

    /// The rules of section 14 for a datagram of `datagram_length` bytes.
    fn is_acceptable(&self, datagram_length: usize, domain: u8) -> bool {
        let ntp_length = datagram_length.saturating_sub(PREFIX_LENGTH);
        matches!(self.message_type, TYPE_SYNC | TYPE_DELAY_REQUEST)
            && (self.version == VERSION_2_0
                || self.version == VERSION_2_1 && self.minor_sdo_id == 0)
            && usize::from(self.length) == datagram_length
            && self.domain == domain
            && self.flags == FLAGS_UNICAST
            && matches!(
                self.tlv_type,
                TLV_ORGANISATION | TLV_ORGANISATION_DO_NOT_PROPAGATE
            )
            && usize::from(self.tlv_length) == ntp_length + usize::from(TLV_OVERHEAD)
            && self.tlv_organisation == TLV_NTP
    }
}

/// Takes the prefix off a datagram of a PTP socket; `None` when it is not for us.
pub fn unwrap(datagram: &[u8], domain: u8) -> Option<(PtpPrefix, &[u8])> {
    let (prefix, ntp) = datagram.split_first_chunk::<PREFIX_LENGTH>()?;
    let prefix = PtpPrefix::parse(prefix);
    (!ntp.is_empty() && prefix.is_acceptable(datagram.len(), domain)).then_some((prefix, ntp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_is_unwrapped() {
        let mut datagram = [0; PREFIX_LENGTH + 48];
        let (head, ntp) = datagram.split_first_chunk_mut().unwrap();
        PtpPrefix::new(48, 123, 7).emit(head);
        ntp.fill(9);
        let (prefix, ntp) = unwrap(&datagram, 123).unwrap();
        assert_eq!((prefix.sequence_id, ntp), (7, [9; 48].as_slice()));
        assert!(unwrap(&datagram, 122).is_none());
        assert!(unwrap(&datagram[..100], 123).is_none());
        let mut empty = [0; PREFIX_LENGTH];
        PtpPrefix::new(0, 123, 7).emit(&mut empty);
        assert!(unwrap(&empty, 123).is_none());
    }

    #[test]
    fn correction_is_signed() {
        let mut prefix = PtpPrefix::new(48, 0, 0);
        prefix.correction = -65_536_000;
        assert!((prefix.correction_s() + 1e-6).abs() < 1e-18);
    }
}
