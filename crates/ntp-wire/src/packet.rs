//! What a received packet is (ntp chapter, section 3).
//!
//! NTP has no field that says where a packet's extension fields end and its MAC begins; the
//! rules of RFC 7822 decide by the number of remaining bytes. [`Packet::parse`] applies them
//! once; afterwards fields and MAC are known slices.

use crate::extension::{Extension, Extensions, MonotonicRoot, NetworkCorrection};
use crate::{
    HEADER_LENGTH, Header, MAX_PACKET_LENGTH, MAX_V4_MAC_LENGTH, MIN_EXTENSION_LENGTH,
    MIN_MAC_LENGTH, MessageTooLong, MessageWriter, array_at,
};

/// Length of a key ID, and of a crypto-NAK.
const KEY_ID_LENGTH: usize = 4;
/// Length of the MS-SNTP authenticator, key ID included.
const MS_SNTP_LENGTH: usize = 20;
/// Length of the extended MS-SNTP authenticator, key ID included.
const MS_SNTP_EXTENDED_LENGTH: usize = 72;
/// Key ID and the four bytes of flags that are not examined in the extended authenticator.
const MS_SNTP_EXTENDED_ZEROS_FROM: usize = 8;

/// Why a packet is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than a header, longer than the longest packet, or not a multiple of four.
    Length,
    /// The version is not 1 … 4.
    Version,
    /// What follows the header of a version 4 packet is neither fields nor a MAC.
    Extension,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Length => "length of an NTP packet is wrong",
            Self::Version => "NTP version is not 1 to 4",
            Self::Extension => "malformed extension field",
        })
    }
}

impl std::error::Error for Malformed {}

/// How a packet claims to be authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all.
    None,
    /// By a MAC; a crypto-NAK is one with key ID 0 and an empty digest.
    Symmetric,
    /// By a signing service: the request has a key ID and an empty digest.
    MsSntp,
    /// The same with the extended authenticator.
    MsSntpExtended,
    /// By Network Time Security.
    Nts,
}

/// Key ID and digest at the end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac<'a> {
    /// Which key.
    pub key_id: u32,
    /// What follows the key ID, of any length.
    pub digest: &'a [u8],
}

impl<'a> Mac<'a> {
    /// `bytes` from the key ID to the end; `None` when there is not even a key ID.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (key_id, digest) = bytes.split_first_chunk::<KEY_ID_LENGTH>()?;
        Some(Self {
            key_id: u32::from_be_bytes(*key_id),
            digest,
        })
    }

    /// Length on the wire, key ID included.
    pub const fn length(&self) -> usize {
        KEY_ID_LENGTH + self.digest.len()
    }

    /// Whether it is a crypto-NAK (RFC 5905, section 9.2).
    pub const fn is_crypto_nak(&self) -> bool {
        self.key_id == 0 && self.digest.is_empty()
    }
}

/// A well-formed packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    /// How it claims to be authenticated.
    pub authentication: Authentication,
    /// Key ID and digest, for all kinds of authentication but none and NTS.
    pub mac: Option<Mac<'a>>,
    bytes: &'a [u8],
    /// Where the MAC begins, or the end.
    authenticated_length: usize,
}

impl<'a> Packet<'a> {
    /// Classifies the payload of a datagram.
    ///
    /// # Errors
    /// When the packet is to be ignored.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_PACKET_LENGTH || !bytes.len().is_multiple_of(4) {
            return Err(Malformed::Length);
        }
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LENGTH>()
            .ok_or(Malformed::Length)?;
        let header = Header::parse(header);
        let (authentication, mac) = match header.version {
            1..=4 if rest.is_empty() => (Authentication::None, None),
            1..=3 => (
                authentication_before_version_4(header.version, rest),
                Mac::parse(rest),
            ),
            4 => classify_version_4(rest)?,
            _ => return Err(Malformed::Version),
        };
        let mac_length = mac.as_ref().map_or(0, Mac::length);
        Ok(Self {
            header,
            authentication,
            mac,
            bytes,
            authenticated_length: bytes.len() - mac_length,
        })
    }

    /// The whole packet.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What a MAC covers: everything before it.
    pub fn authenticated_bytes(&self) -> &'a [u8] {
        self.bytes
            .get(..self.authenticated_length)
            .unwrap_or_default()
    }

    /// Where the MAC begins; the length of the packet when there is none.
    pub const fn mac_position(&self) -> usize {
        self.authenticated_length
    }

    /// The bytes of all extension fields.
    pub fn extension_bytes(&self) -> &'a [u8] {
        self.bytes
            .get(HEADER_LENGTH..self.authenticated_length)
            .unwrap_or_default()
    }

    /// The extension fields in order.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'a>> + use<'a> {
        // None is malformed: they were walked when the packet was parsed.
        Extensions::new(self.extension_bytes()).filter_map(Result::ok)
    }

    /// Field 010A, the first one that is recognised.
    pub fn network_correction(&self) -> Option<NetworkCorrection> {
        self.extensions()
            .find_map(|field| NetworkCorrection::from_extension(&field))
    }

    /// Field F323, the first one that is recognised.
    pub fn monotonic_root(&self) -> Option<MonotonicRoot> {
        self.extensions()
            .find_map(|field| MonotonicRoot::from_extension(&field))
    }

    /// Writes the packet again from its parts.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn emit(&self, writer: &mut MessageWriter<'_>) -> Result<(), MessageTooLong> {
        writer.header(&self.header)?;
        for field in self.extensions() {
            writer.extension(field.kind, field.body)?;
        }
        if let Some(mac) = &self.mac {
            writer.append(&mac.key_id.to_be_bytes())?;
            writer.append(mac.digest)?;
        }
        Ok(())
    }
}

/// Rule 4: `rest`, not empty, is key ID and digest.
fn authentication_before_version_4(version: u8, rest: &[u8]) -> Authentication {
    let zeros_from = |from: usize| {
        rest.get(from..)
            .is_some_and(|tail| tail.iter().all(|&byte| byte == 0))
    };
    let key_id = u32::from_be_bytes(array_at(rest, 0));
    if version != 3 || key_id == 0 {
        return Authentication::Symmetric;
    }
    match rest.len() {
        MS_SNTP_LENGTH if zeros_from(KEY_ID_LENGTH) => Authentication::MsSntp,
        MS_SNTP_EXTENDED_LENGTH if zeros_from(MS_SNTP_EXTENDED_ZEROS_FROM) => {
            Authentication::MsSntpExtended
        }
        _ => Authentication::Symmetric,
    }
}

/// Rules 5 and 6: `rest` is a crypto-NAK, or fields and perhaps a MAC.
fn classify_version_4(rest: &[u8]) -> Result<(Authentication, Option<Mac<'_>>), Malformed> {
    if rest == [0; KEY_ID_LENGTH] {
        return Ok((Authentication::Symmetric, Mac::parse(rest)));
    }
    let mut authentication = Authentication::None;
    let mut rest = rest;
    loop {
        match rest.len() {
            0 => return Ok((authentication, None)),
            MIN_MAC_LENGTH | MAX_V4_MAC_LENGTH => {
                return Ok((Authentication::Symmetric, Mac::parse(rest)));
            }
            1..=MAX_V4_MAC_LENGTH => return Err(Malformed::Extension),
            _ => {}
        }
        let (field, after) =
            Extension::parse(rest, MIN_EXTENSION_LENGTH).map_err(|_| Malformed::Extension)?;
        if field.is_nts() {
            authentication = Authentication::Nts;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::NTS_COOKIE;

    /// A packet of `version` and mode 3 with `tail` behind the header.
    fn packet(version: u8, tail: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LENGTH];
        bytes[0] = version << 3 | 3;
        bytes.extend_from_slice(tail);
        bytes
    }

    fn kind(version: u8, tail: &[u8]) -> Result<Authentication, Malformed> {
        Packet::parse(&packet(version, tail)).map(|packet| packet.authentication)
    }

    fn field(kind: u16, length: u16) -> Vec<u8> {
        let mut bytes = vec![0; length.into()];
        bytes[..2].copy_from_slice(&kind.to_be_bytes());
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    #[test]
    fn lengths_and_versions() {
        assert_eq!(Packet::parse(&[]), Err(Malformed::Length));
        assert_eq!(Packet::parse(&packet(4, &[0; 3])), Err(Malformed::Length));
        assert_eq!(
            Packet::parse(&packet(3, &[1; 1096])),
            Err(Malformed::Length)
        );
        assert!(Packet::parse(&packet(3, &[1; 1092])).is_ok());
        for version in [0, 5, 6, 7] {
            assert_eq!(kind(version, &[]), Err(Malformed::Version));
            assert_eq!(kind(version, &[1; 20]), Err(Malformed::Version));
        }
        for version in 1..=4 {
            assert_eq!(kind(version, &[]), Ok(Authentication::None));
        }
    }

    #[test]
    fn ms_sntp_is_version_3_with_a_key_id_and_zeros() {
        let mut tail = [0; 20];
        assert_eq!(kind(3, &tail), Ok(Authentication::Symmetric));
        tail[3] = 5;
        assert_eq!(kind(3, &tail), Ok(Authentication::MsSntp));
        assert_eq!(kind(2, &tail), Ok(Authentication::Symmetric));
        tail[19] = 1;
        assert_eq!(kind(3, &tail), Ok(Authentication::Symmetric));
        let mut extended = [0; 72];
        extended[..8].fill(9);
        assert_eq!(kind(3, &extended), Ok(Authentication::MsSntpExtended));
        extended[8] = 1;
        assert_eq!(kind(3, &extended), Ok(Authentication::Symmetric));
    }

    #[test]
    fn crypto_nak_only_directly_after_the_header() {
        let bytes = packet(4, &[0; 4]);
        let nak = Packet::parse(&bytes).unwrap();
        assert!(nak.mac.unwrap().is_crypto_nak());
        assert_eq!(nak.authentication, Authentication::Symmetric);
        assert_eq!(kind(4, &[0, 0, 0, 1]), Err(Malformed::Extension));
        let mut tail = field(0x1234, 28);
        tail.extend([0; 4]);
        assert_eq!(kind(4, &tail), Err(Malformed::Extension));
    }

    #[test]
    fn a_mac_after_nts_fields_is_a_mac() {
        let mut tail = field(NTS_COOKIE, 28);
        assert_eq!(kind(4, &tail), Ok(Authentication::Nts));
        tail.extend([7; 20]);
        let bytes = packet(4, &tail);
        let parsed = Packet::parse(&bytes).unwrap();
        assert_eq!(parsed.authentication, Authentication::Symmetric);
        assert_eq!(parsed.mac_position(), 76);
        assert_eq!(parsed.mac.unwrap().key_id, 0x0707_0707);
        assert_eq!(parsed.extensions().count(), 1);
    }
}
