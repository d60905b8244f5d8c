//! The bytes of NTP messages, read once into [`ReceivedMessage`] and written from
//! [`RequestFields`] (ntp chapter, sections 2, 3 and 5).

use ntp_wire::LeapIndicator;

use super::authentication::{MAX_MESSAGE_LENGTH, MessageBuffer, MessageTooLong};
use super::context::NtpTimestamp;

const HEADER_LENGTH: usize = 48;
const FIELD_NET_CORRECTION: u16 = 0x010a;
const FIELD_MONOTONIC_ROOT: u16 = 0xf323;
const MONOTONIC_ROOT_MAGIC: u32 = 0xf5be_dd9a;
const FIELD_LENGTH: usize = 28;
const NTS_FIELDS: [u16; 4] = [0x0104, 0x0204, 0x0304, 0x0404];

/// NTP mode, 3 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMode(pub u8);

impl PacketMode {
    /// Mode 1.
    pub const SYMMETRIC_ACTIVE: Self = Self(1);
    /// Mode 2.
    pub const SYMMETRIC_PASSIVE: Self = Self(2);
    /// Mode 3.
    pub const CLIENT: Self = Self(3);
    /// Mode 4.
    pub const SERVER: Self = Self(4);
}

/// How a message claims to be authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedAuthentication {
    /// Not at all.
    None,
    /// A MAC with this key ID starts at this offset and goes to the end (also crypto-NAK
    /// and MS-SNTP).
    Symmetric {
        /// Where the key ID is.
        mac_start: usize,
        /// The key ID.
        key_id: u32,
    },
    /// NTS extension fields.
    NetworkTimeSecurity,
}

/// Field F323 of a response (ntp chapter, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MonotonicRoot {
    /// Root delay, seconds.
    pub root_delay_s: f64,
    /// Root dispersion, seconds.
    pub root_dispersion_s: f64,
    /// Receive time on the server's monotonic scale.
    pub monotonic_receive: NtpTimestamp,
    /// Identity of that scale.
    pub epoch: u32,
}

/// A well-formed message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReceivedMessage {
    /// Leap indicator.
    pub leap: LeapIndicator,
    /// Version, 1 … 4.
    pub version: u8,
    /// Mode.
    pub mode: PacketMode,
    /// Stratum; 0 for unsynchronised or KoD.
    pub stratum: u8,
    /// Poll, log2 seconds.
    pub poll: i8,
    /// Precision, log2 seconds.
    pub precision: i8,
    /// Root delay, seconds.
    pub root_delay_s: f64,
    /// Root delay as in the header.
    pub wire_root_delay: u32,
    /// Root dispersion, seconds.
    pub root_dispersion_s: f64,
    /// Reference ID.
    pub reference_id: u32,
    /// Reference timestamp.
    pub reference_time: NtpTimestamp,
    /// Origin timestamp.
    pub origin: NtpTimestamp,
    /// Receive timestamp.
    pub receive: NtpTimestamp,
    /// Transmit timestamp.
    pub transmit: NtpTimestamp,
    /// Authentication.
    pub authentication: ReceivedAuthentication,
    /// Field F323, if present.
    pub monotonic_root: Option<MonotonicRoot>,
    /// Field 010A, if present, seconds.
    pub net_correction_s: Option<f64>,
}

/// Fields of a packet to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestFields {
    pub(super) leap: LeapIndicator,
    pub(super) version: u8,
    /// Mode 1 instead of 3.
    pub(super) symmetric: bool,
    pub(super) stratum: u8,
    pub(super) poll: i8,
    pub(super) precision: i8,
    pub(super) root_delay_s: f64,
    pub(super) root_dispersion_s: f64,
    pub(super) reference_id: u32,
    pub(super) reference_time: NtpTimestamp,
    pub(super) origin: NtpTimestamp,
    pub(super) receive: NtpTimestamp,
    pub(super) transmit: NtpTimestamp,
    /// Field F323: epoch and monotonic receive timestamp.
    pub(super) monotonic: Option<(u32, NtpTimestamp)>,
    /// Field 010A, seconds.
    pub(super) net_correction_s: Option<f64>,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Mode of a message of acceptable length.
pub(super) fn peek_mode(payload: &[u8]) -> Option<PacketMode> {
    let acceptable = (HEADER_LENGTH..=MAX_MESSAGE_LENGTH).contains(&payload.len());
    payload
        .first()
        .filter(|_| acceptable)
        .map(|first| PacketMode(first & 7))
}

/// Receive and transmit timestamps of a message.
pub(super) fn receive_and_transmit(payload: &[u8]) -> Option<(NtpTimestamp, NtpTimestamp)> {
    Some((
        NtpTimestamp::from_bits(u64_at(payload, 32)?),
        NtpTimestamp::from_bits(u64_at(payload, 40)?),
    ))
}

impl ReceivedMessage {
    /// Reads a message; `None` if it is not well-formed.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        if payload.len() < HEADER_LENGTH
            || payload.len() > MAX_MESSAGE_LENGTH
            || payload.len() % 4 != 0
        {
            return None;
        }
        let first = *payload.first()?;
        let version = first >> 3 & 7;
        if !(1..=4).contains(&version) {
            return None;
        }
        let wire_root_delay = u32_at(payload, 4)?;
        let mut message = Self {
            leap: LeapIndicator::from_bits(first >> 6),
            version,
            mode: PacketMode(first & 7),
            stratum: *payload.get(1)?,
            poll: *payload.get(2)? as i8,
            precision: *payload.get(3)? as i8,
            root_delay_s: f64::from(wire_root_delay) / 65536.0,
            wire_root_delay,
            root_dispersion_s: f64::from(u32_at(payload, 8)?) / 65536.0,
            reference_id: u32_at(payload, 12)?,
            reference_time: NtpTimestamp::from_bits(u64_at(payload, 16)?),
            origin: NtpTimestamp::from_bits(u64_at(payload, 24)?),
            receive: NtpTimestamp::from_bits(u64_at(payload, 32)?),
            transmit: NtpTimestamp::from_bits(u64_at(payload, 40)?),
            authentication: ReceivedAuthentication::None,
            monotonic_root: None,
            net_correction_s: None,
        };
        message.parse_rest(payload)?;
        Some(message)
    }

    fn parse_rest(&mut self, payload: &[u8]) -> Option<()> {
        let symmetric = |at| {
            u32_at(payload, at).map(|key_id| ReceivedAuthentication::Symmetric {
                mac_start: at,
                key_id,
            })
        };
        let mut at = HEADER_LENGTH;
        if payload.len() == at {
            return Some(());
        }
        if self.version < 4 || payload.get(at..) == Some(&[0; 4]) {
            self.authentication = symmetric(at)?;
            return Some(());
        }
        while at < payload.len() {
            let rest = payload.len() - at;
            if rest == 20 || rest == 24 {
                self.authentication = symmetric(at)?;
                return Some(());
            }
            let start = u32_at(payload, at)?;
            let (kind, length) = ((start >> 16) as u16, (start & 0xffff) as usize);
            if rest <= 24 || length % 4 != 0 || length < 16 || length > rest {
                return None;
            }
            if NTS_FIELDS.contains(&kind) {
                self.authentication = ReceivedAuthentication::NetworkTimeSecurity;
            } else if length == FIELD_LENGTH {
                self.parse_field(kind, payload.get(at + 4..at + length)?)?;
            }
            at += length;
        }
        Some(())
    }

    fn parse_field(&mut self, kind: u16, body: &[u8]) -> Option<()> {
        if kind == FIELD_NET_CORRECTION {
            self.net_correction_s = Some(u64_at(body, 0)? as i64 as f64 / 4_294_967_296.0);
        } else if kind == FIELD_MONOTONIC_ROOT && u32_at(body, 0)? == MONOTONIC_ROOT_MAGIC {
            self.monotonic_root = Some(MonotonicRoot {
                root_delay_s: f64::from(u32_at(body, 4)?) / 268_435_456.0,
                root_dispersion_s: f64::from(u32_at(body, 8)?) / 268_435_456.0,
                monotonic_receive: NtpTimestamp::from_bits(u64_at(body, 12)?),
                epoch: u32_at(body, 20)?,
            });
        }
        Some(())
    }
}

/// Writes header and extension fields.
pub(super) fn write_request(
    fields: &RequestFields,
    message: &mut MessageBuffer,
) -> Result<(), MessageTooLong> {
    let mode = if fields.symmetric { 1 } else { 3 };
    message.append(&[
        fields.leap.bits() << 6 | fields.version << 3 | mode,
        fields.stratum,
        fields.poll as u8,
        fields.precision as u8,
    ])?;
    message.append(&short_from_seconds(fields.root_delay_s, 16).to_be_bytes())?;
    message.append(&short_from_seconds(fields.root_dispersion_s, 16).to_be_bytes())?;
    message.append(&fields.reference_id.to_be_bytes())?;
    for timestamp in [
        fields.reference_time,
        fields.origin,
        fields.receive,
        fields.transmit,
    ] {
        message.append(&timestamp.to_bits().to_be_bytes())?;
    }
    if let Some(correction_s) = fields.net_correction_s {
        message.append(&[0x01, 0x0a, 0, FIELD_LENGTH as u8])?;
        let correction = (correction_s * 4_294_967_296.0).round() as i64;
        message.append(&correction.to_be_bytes())?;
        message.append(&[0; 16])?;
    }
    if let Some((epoch, receive)) = fields.monotonic {
        message.append(&[0xf3, 0x23, 0, FIELD_LENGTH as u8])?;
        message.append(&MONOTONIC_ROOT_MAGIC.to_be_bytes())?;
        message.append(&short_from_seconds(fields.root_delay_s, 28).to_be_bytes())?;
        message.append(&short_from_seconds(fields.root_dispersion_s, 28).to_be_bytes())?;
        message.append(&receive.to_bits().to_be_bytes())?;
        message.append(&epoch.to_be_bytes())?;
    }
    Ok(())
}

/// Unsigned fixed point with this many bits of fraction, rounded up.
pub(super) fn short_from_seconds(seconds: f64, fraction_bits: i32) -> u32 {
    (seconds * 2f64.powi(fraction_bits)).ceil() as u32
}
