//! NTP messages as an association sees them (ntp chapter, sections 3 and 5).

use ntp_wire::{
    Header, MAX_PACKET_LENGTH, MessageWriter, Mode, MonotonicRoot, NetworkCorrection, NtpInterval,
    NtpTimestamp, Packet, extension,
};

use super::authentication::AuthenticationFailed;
use super::config::AssociationConfig;

/// Mode of a message of acceptable length, without a look at the rest.
pub(super) fn peek_mode(message: &[u8]) -> Option<Mode> {
    let acceptable = (ntp_wire::HEADER_LENGTH..=MAX_PACKET_LENGTH).contains(&message.len());
    message
        .first()
        .filter(|_| acceptable)
        .map(|first| Mode::from_bits(*first))
}

/// Receive and transmit timestamps of a message that was sent.
pub(super) fn receive_and_transmit(message: &[u8]) -> Option<(NtpTimestamp, NtpTimestamp)> {
    let header = Header::parse(message.first_chunk()?);
    Some((header.receive, header.transmit))
}

/// What is used of a received packet besides its authentication.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Response {
    pub(super) header: Header,
    /// Root delay of the header or, if the association uses it, of field F323, seconds.
    pub(super) root_delay_s: f64,
    /// Root dispersion of the header or of field F323, seconds.
    pub(super) root_dispersion_s: f64,
    /// Field F323, if the association uses it.
    pub(super) monotonic_root: Option<MonotonicRoot>,
    /// Correction in field 010A, if the association uses it, seconds.
    pub(super) net_correction_s: Option<f64>,
}

impl Response {
    /// Takes out of a packet what the association uses; fields that were not asked for
    /// are ignored.
    pub(super) fn new(packet: &Packet<'_>, config: &AssociationConfig) -> Self {
        let monotonic_root = config
            .extension_monotonic_root
            .then(|| packet.monotonic_root())
            .flatten();
        let net_correction = config
            .extension_net_correction
            .then(|| packet.network_correction())
            .flatten();
        let header = packet.header;
        let (root_delay_s, root_dispersion_s) = match &monotonic_root {
            Some(field) => (
                field.root_delay.to_seconds(),
                field.root_dispersion.to_seconds(),
            ),
            None => (
                header.root_delay.to_seconds(),
                header.root_dispersion.to_seconds(),
            ),
        };
        Self {
            header,
            root_delay_s,
            root_dispersion_s,
            monotonic_root,
            net_correction_s: net_correction.map(|field| field.correction.to_seconds()),
        }
    }
}

/// A packet to be sent, without authentication.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Request {
    pub(super) header: Header,
    pub(super) net_correction_s: Option<f64>,
    pub(super) monotonic_root: Option<MonotonicRoot>,
}

impl Request {
    /// Writes header and fields, in the order of the reference.
    pub(super) fn write(&self, writer: &mut MessageWriter<'_>) -> Result<(), AuthenticationFailed> {
        writer.header(&self.header)?;
        if let Some(correction_s) = self.net_correction_s {
            let correction = NtpInterval::from_seconds(correction_s);
            let body = NetworkCorrection { correction }.to_body();
            writer.extension(extension::NETWORK_CORRECTION, &body)?;
        }
        if let Some(field) = self.monotonic_root {
            writer.extension(extension::MONOTONIC_ROOT, &field.to_body())?;
        }
        Ok(())
    }
}
