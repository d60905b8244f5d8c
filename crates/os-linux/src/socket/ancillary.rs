//! What the kernel says about a datagram besides its bytes: where it was sent to, when it
//! came or left, through which interface.

use std::net::IpAddr;

use discipline::time::RawTime;

use super::HardwareTime;
use super::control::{ControlMessages, ControlWriter};

/// `SCM_TSTAMP_SND`: the timestamp was taken when the packet was given to the device.
const TIMESTAMP_OF_SENDING: u32 = 0;

/// Information from control messages; absent messages leave `None` or 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ancillary {
    /// The address that the datagram was sent to: ours, or that of a broadcast.
    pub local: Option<IpAddr>,
    /// Index of the interface it came through, 0 when unknown.
    pub interface: u32,
    /// The kernel's timestamp.
    pub kernel_time: Option<RawTime>,
    /// The network card's timestamp.
    pub hardware_time: Option<HardwareTime>,
    /// Index of the interface whose card took the timestamp, 0 when unknown.
    pub hardware_interface: u32,
    /// Length of the frame including its link-layer header, 0 when unknown.
    pub frame_length: u32,
    /// Set on messages from the error queue that report a sent packet.
    pub transmit: Option<TransmitReport>,
}

/// Report that a packet has been given to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmitReport {
    /// The packet's identifier, if it was sent with one; 0 otherwise.
    pub id: u32,
}

impl Ancillary {
    /// From the control messages of a received datagram or error queue message. Unknown
    /// and malformed ones are passed over.
    pub fn parse(control: &[u8]) -> Self {
        let mut ancillary = Self::default();
        for message in ControlMessages(control) {
            let data = message.data;
            match (message.level, message.kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => ancillary.take_packet_info_v4(data),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => ancillary.take_packet_info_v6(data),
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => ancillary.take_timestamps(data),
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    ancillary.kernel_time = time_at(data, 0, 1).map(RawTime::from_ns);
                }
                (libc::SOL_SOCKET, libc::SO_TIMESTAMP) => {
                    ancillary.kernel_time = time_at(data, 0, 1_000).map(RawTime::from_ns);
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING_PKTINFO) => {
                    ancillary.hardware_interface = word_at(data, 0).unwrap_or(0);
                    ancillary.frame_length = word_at(data, 4).unwrap_or(0);
                }
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                    ancillary.transmit = transmit_report(data);
                }
                _ => {}
            }
        }
        ancillary
    }

    /// `in_pktinfo`: interface, our address, address in the header. The third is wanted: the
    /// second differs from it in broadcasts, which are not to be answered by every computer
    /// that hears them, and the kernel sends nothing from a broadcast address.
    fn take_packet_info_v4(&mut self, data: &[u8]) {
        if let (Some(interface), Some(octets)) = (word_at(data, 0), bytes_at::<4>(data, 8)) {
            self.interface = interface;
            self.local = Some(IpAddr::from(octets));
        }
    }

    /// `in6_pktinfo`: address, interface.
    fn take_packet_info_v6(&mut self, data: &[u8]) {
        if let (Some(octets), Some(interface)) = (bytes_at::<16>(data, 0), word_at(data, 16)) {
            self.interface = interface;
            self.local = Some(IpAddr::from(octets));
        }
    }

    /// `scm_timestamping`: three times, of which the first is the kernel's and the third
    /// the card's.
    fn take_timestamps(&mut self, data: &[u8]) {
        self.kernel_time = time_at(data, 0, 1).map(RawTime::from_ns);
        self.hardware_time = time_at(data, 2, 1).map(HardwareTime::from_ns);
    }
}

/// `sock_extended_err`: error number, origin, type, code, padding, information, data.
fn transmit_report(data: &[u8]) -> Option<TransmitReport> {
    let number = word_at(data, 0)?;
    let origin = *data.get(4)?;
    let information = word_at(data, 8)?;
    let id = word_at(data, 12)?;
    let of_sending = number == libc::ENOMSG as u32
        && origin == libc::SO_EE_ORIGIN_TIMESTAMPING
        && information == TIMESTAMP_OF_SENDING;
    of_sending.then_some(TransmitReport { id })
}

/// The time at `index` of an array of seconds and fractions of `unit_ns`, in nanoseconds;
/// `None` when it is zero, which means not taken. Both fields are 64 bits wide, or 32 on
/// 32-bit machines.
fn time_at(data: &[u8], index: usize, unit_ns: i64) -> Option<i64> {
    let field = |number: usize| -> Option<i64> {
        if cfg!(target_pointer_width = "32") {
            bytes_at(data, number * 4).map(|bytes| i32::from_ne_bytes(bytes).into())
        } else {
            bytes_at(data, number * 8).map(i64::from_ne_bytes)
        }
    };
    let (seconds, fraction) = (field(2 * index)?, field(2 * index + 1)?);
    let ns = seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(fraction.saturating_mul(unit_ns));
    (ns != 0).then_some(ns)
}

fn word_at(data: &[u8], offset: usize) -> Option<u32> {
    bytes_at(data, offset).map(u32::from_ne_bytes)
}

fn bytes_at<const N: usize>(data: &[u8], offset: usize) -> Option<[u8; N]> {
    data.get(offset..)?.first_chunk().copied()
}

/// Adds the address that a datagram shall leave from, and the interface (0 for the
/// kernel's choice).
pub(super) fn push_packet_info(writer: &mut ControlWriter<'_>, source: IpAddr, interface: u32) {
    match source {
        IpAddr::V4(address) => {
            let mut data = [0; 12];
            data[..4].copy_from_slice(&interface.to_ne_bytes());
            data[4..8].copy_from_slice(&address.octets());
            writer.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &data);
        }
        IpAddr::V6(address) => {
            let mut data = [0; 20];
            data[..16].copy_from_slice(&address.octets());
            data[16..].copy_from_slice(&interface.to_ne_bytes());
            writer.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_one(level: i32, kind: i32, data: &[u8]) -> Ancillary {
        let mut buffer = [0; 256];
        let mut writer = ControlWriter::new(&mut buffer);
        writer.push(level, kind, data);
        let length = writer.finish();
        Ancillary::parse(&buffer[..length])
    }

    #[test]
    fn packet_info_tells_the_address_asked() {
        // Interface 3, our address, and the address in the header: that of a broadcast.
        let data = [[3u32.to_ne_bytes()], [[192, 0, 2, 1]], [[192, 0, 2, 255]]].concat();
        let ancillary = parse_one(libc::IPPROTO_IP, libc::IP_PKTINFO, data.as_flattened());
        assert_eq!(ancillary.local, Some(IpAddr::from([192, 0, 2, 255])));
        assert_eq!(ancillary.interface, 3);
    }

    #[test]
    fn packet_info_of_ipv6_survives() {
        let source: IpAddr = "2001:db8::1".parse().expect("address");
        let mut buffer = [0; 256];
        let mut writer = ControlWriter::new(&mut buffer);
        push_packet_info(&mut writer, source, 5);
        let length = writer.finish();
        let ancillary = Ancillary::parse(&buffer[..length]);
        assert_eq!(ancillary.local, Some(source));
        assert_eq!(ancillary.interface, 5);
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn timestamps_of_all_forms() {
        let times = |values: &[i64]| -> Vec<u8> {
            values
                .iter()
                .flat_map(|value| value.to_ne_bytes())
                .collect()
        };
        let both = parse_one(
            libc::SOL_SOCKET,
            libc::SCM_TIMESTAMPING,
            &times(&[17, 5, 0, 0, 3, 4]),
        );
        assert_eq!(both.kernel_time, Some(RawTime::from_parts(17, 5)));
        assert_eq!(
            both.hardware_time,
            Some(HardwareTime::from_ns(3_000_000_004))
        );
        let kernel_only = parse_one(
            libc::SOL_SOCKET,
            libc::SCM_TIMESTAMPING,
            &times(&[17, 5, 0, 0, 0, 0]),
        );
        assert_eq!(kernel_only.hardware_time, None);
        let ns = parse_one(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &times(&[1, 2]));
        assert_eq!(ns.kernel_time, Some(RawTime::from_parts(1, 2)));
        let us = parse_one(libc::SOL_SOCKET, libc::SO_TIMESTAMP, &times(&[1, 2]));
        assert_eq!(us.kernel_time, Some(RawTime::from_parts(1, 2_000)));
    }

    #[test]
    fn only_reports_of_sending_count() {
        let report = |number: i32, origin: u8, information: u32| {
            let mut data = [0; 16];
            data[..4].copy_from_slice(&number.to_ne_bytes());
            data[4] = origin;
            data[8..12].copy_from_slice(&information.to_ne_bytes());
            data[12..].copy_from_slice(&4099u32.to_ne_bytes());
            parse_one(libc::IPPROTO_IP, libc::IP_RECVERR, &data).transmit
        };
        let timestamping = libc::SO_EE_ORIGIN_TIMESTAMPING;
        assert_eq!(
            report(libc::ENOMSG, timestamping, 0),
            Some(TransmitReport { id: 4099 })
        );
        assert_eq!(report(libc::ECONNREFUSED, timestamping, 0), None);
        assert_eq!(report(libc::ENOMSG, libc::SO_EE_ORIGIN_ICMP, 0), None);
        assert_eq!(
            report(libc::ENOMSG, timestamping, 1),
            None,
            "queued, not sent"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed(
            level in prop::sample::select(vec![0, 1, 41]),
            kind in 0..100i32,
            data in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = parse_one(level, kind, &data);
            let _ = Ancillary::parse(&data);
        }
    }
}
