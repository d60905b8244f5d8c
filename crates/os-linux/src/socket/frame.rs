//! Sent packets as they come back on the error queue: whole frames, of which the
//! destination and the UDP payload are wanted (NTP chapter, section 15.2).

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// Bytes of the two link-layer addresses.
const LINK_ADDRESSES: usize = 12;

const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

const PROTOCOL_UDP: u8 = 17;

const IPV6_HOP_BY_HOP: u8 = 0;
const IPV6_ROUTING: u8 = 43;
const IPV6_FRAGMENT: u8 = 44;
const IPV6_AUTHENTICATION: u8 = 51;
const IPV6_DESTINATION: u8 = 60;
const IPV6_MOBILITY: u8 = 135;

const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;

/// A sent UDP packet found in an Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopedPacket {
    /// Where it was sent to.
    pub destination: SocketAddr,
    /// The UDP payload within the frame. Its start is also the distance by which receive
    /// timestamps of cards are corrected.
    pub payload: Range<usize>,
}

impl LoopedPacket {
    /// Finds the packet in a frame: any number of 802.1Q tags, IPv4 with options, IPv6
    /// with hop-by-hop, routing, destination, mobility, authentication and first-fragment
    /// headers. `None` for anything else.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let mut offset = LINK_ADDRESSES;
        let mut ethertype = u16_at(frame, offset)?;
        while ethertype == ETHERTYPE_VLAN {
            offset += 4;
            ethertype = u16_at(frame, offset)?;
        }
        offset += 2;
        let (address, offset) = match ethertype {
            ETHERTYPE_IPV4 => ipv4(frame, offset)?,
            ETHERTYPE_IPV6 => ipv6(frame, offset)?,
            _ => return None,
        };
        let port = u16_at(frame, offset + 2)?;
        let length = usize::from(u16_at(frame, offset + 4)?);
        let start = offset + UDP_HEADER;
        // A first fragment holds less than the whole datagram, a short frame more.
        let end = frame.len().min(offset.checked_add(length)?);
        (start <= end).then(|| Self {
            destination: SocketAddr::new(address, port),
            payload: start..end,
        })
    }
}

/// Destination address, and where the UDP header starts.
fn ipv4(frame: &[u8], offset: usize) -> Option<(IpAddr, usize)> {
    let first = *frame.get(offset)?;
    let header = usize::from(first & 0x0f) * 4;
    let fragment_offset = u16_at(frame, offset + 6)? & 0x1fff;
    let udp = *frame.get(offset + 9)? == PROTOCOL_UDP;
    let octets: [u8; 4] = *frame.get(offset + 16..)?.first_chunk()?;
    let valid = first >> 4 == 4 && header >= 20 && fragment_offset == 0 && udp;
    valid.then(|| (octets.into(), offset + header))
}

/// Destination address, and where the UDP header starts.
fn ipv6(frame: &[u8], offset: usize) -> Option<(IpAddr, usize)> {
    if *frame.get(offset)? >> 4 != 6 {
        return None;
    }
    let mut protocol = *frame.get(offset + 6)?;
    let octets: [u8; 16] = *frame.get(offset + 24..)?.first_chunk()?;
    let mut offset = offset + IPV6_HEADER;
    // Each turn moves at least 8 bytes towards the end of the frame.
    while protocol != PROTOCOL_UDP {
        let next = *frame.get(offset)?;
        let units = usize::from(*frame.get(offset + 1)?);
        offset += match protocol {
            IPV6_HOP_BY_HOP | IPV6_ROUTING | IPV6_DESTINATION | IPV6_MOBILITY => (units + 1) * 8,
            IPV6_AUTHENTICATION => (units + 2) * 4,
            IPV6_FRAGMENT if u16_at(frame, offset + 2)? >> 3 == 0 => 8,
            _ => return None,
        };
        protocol = next;
    }
    Some((octets.into(), offset))
}

fn u16_at(frame: &[u8], offset: usize) -> Option<u16> {
    frame
        .get(offset..)?
        .first_chunk()
        .copied()
        .map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAYLOAD: &[u8] = b"forty-eight bytes are not needed here";

    fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
        let length = (UDP_HEADER + payload.len()) as u16;
        let mut bytes = vec![0x80, 0x00];
        bytes.extend(port.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(payload);
        bytes
    }

    fn frame(tags: &[u16], ethertype: u16, packet: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x55; LINK_ADDRESSES];
        for tag in tags {
            bytes.extend(ETHERTYPE_VLAN.to_be_bytes());
            bytes.extend(tag.to_be_bytes());
        }
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(packet);
        bytes
    }

    fn ipv4_packet(options: usize, fragment: u16, protocol: u8, datagram: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20 + options];
        bytes[0] = 0x40 | ((20 + options) / 4) as u8;
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
        bytes[9] = protocol;
        bytes[16..20].copy_from_slice(&[192, 0, 2, 9]);
        bytes.extend(datagram);
        bytes
    }

    fn ipv6_packet(first: u8, headers: &[u8], datagram: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; IPV6_HEADER];
        bytes[0] = 0x60;
        bytes[6] = first;
        bytes[24..40].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        bytes.extend(headers);
        bytes.extend(datagram);
        bytes
    }

    fn payload_of(frame: &[u8]) -> Option<(String, &[u8])> {
        let packet = LoopedPacket::parse(frame)?;
        Some((packet.destination.to_string(), &frame[packet.payload]))
    }

    #[test]
    fn ipv4_with_tags_and_options() {
        let expected = Some(("192.0.2.9:123".to_owned(), PAYLOAD));
        for tags in [&[][..], &[1], &[1, 2, 3]] {
            for options in [0, 4, 40] {
                let packet = ipv4_packet(options, 0, PROTOCOL_UDP, &udp(123, PAYLOAD));
                let mut bytes = frame(tags, ETHERTYPE_IPV4, &packet);
                assert_eq!(payload_of(&bytes), expected);
                bytes.extend([0; 18]);
                assert_eq!(payload_of(&bytes), expected, "with link-layer padding");
            }
        }
        let packet = ipv4_packet(0, 0, PROTOCOL_UDP, &udp(123, PAYLOAD));
        let start = LoopedPacket::parse(&frame(&[], ETHERTYPE_IPV4, &packet));
        assert_eq!(start.map(|packet| packet.payload.start), Some(42));
    }

    /// An IPv6 extension header of `length` bytes: next header, length field, zeros.
    fn extension(next: u8, units: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[0] = next;
        bytes[1] = units;
        bytes
    }

    #[test]
    fn ipv6_with_extension_headers() {
        let datagram = udp(319, PAYLOAD);
        let expected = Some(("[2001:db8::9]:319".to_owned(), PAYLOAD));
        let plain = ipv6_packet(PROTOCOL_UDP, &[], &datagram);
        let plain = frame(&[], ETHERTYPE_IPV6, &plain);
        assert_eq!(payload_of(&plain), expected);
        assert_eq!(
            LoopedPacket::parse(&plain).map(|p| p.payload.start),
            Some(62)
        );
        let headers = [
            extension(IPV6_DESTINATION, 1, 16),
            extension(IPV6_ROUTING, 0, 8),
            extension(IPV6_AUTHENTICATION, 0, 8),
            extension(IPV6_MOBILITY, 4, 24),
            extension(IPV6_FRAGMENT, 2, 24),
            extension(PROTOCOL_UDP, 200, 8),
        ]
        .concat();
        let packet = ipv6_packet(IPV6_HOP_BY_HOP, &headers, &datagram);
        assert_eq!(payload_of(&frame(&[7], ETHERTYPE_IPV6, &packet)), expected);
    }

    #[test]
    fn what_cannot_be_matched_is_refused() {
        let datagram = udp(123, PAYLOAD);
        let good = frame(
            &[],
            ETHERTYPE_IPV4,
            &ipv4_packet(0, 0, PROTOCOL_UDP, &datagram),
        );
        let header_end = good.len() - PAYLOAD.len();
        for length in 0..header_end {
            assert_eq!(LoopedPacket::parse(&good[..length]), None, "{length}");
        }
        let later_fragment = ipv4_packet(0, 1, PROTOCOL_UDP, &datagram);
        let tcp = ipv4_packet(0, 0, 6, &datagram);
        let mut short_header = ipv4_packet(0, 0, PROTOCOL_UDP, &datagram);
        short_header[0] = 0x44;
        let mut short_datagram = udp(123, PAYLOAD);
        short_datagram[4..6].copy_from_slice(&7u16.to_be_bytes());
        let short_datagram = ipv4_packet(0, 0, PROTOCOL_UDP, &short_datagram);
        for packet in [later_fragment, tcp, short_header, short_datagram] {
            assert_eq!(
                LoopedPacket::parse(&frame(&[], ETHERTYPE_IPV4, &packet)),
                None
            );
        }
        let mut later = extension(PROTOCOL_UDP, 0, 8);
        later[3] = 8;
        for (first, headers) in [(IPV6_FRAGMENT, later), (59, extension(PROTOCOL_UDP, 0, 8))] {
            let packet = ipv6_packet(first, &headers, &datagram);
            assert_eq!(
                LoopedPacket::parse(&frame(&[], ETHERTYPE_IPV6, &packet)),
                None
            );
        }
        assert_eq!(
            LoopedPacket::parse(&frame(&[], 0x0806, &[0; 60])),
            None,
            "ARP"
        );
    }

    #[test]
    fn a_first_fragment_gives_what_it_has() {
        let packet = ipv4_packet(0, 0x2000, PROTOCOL_UDP, &udp(123, PAYLOAD));
        let bytes = frame(&[], ETHERTYPE_IPV4, &packet);
        let cut = &bytes[..bytes.len() - 5];
        let expected = &PAYLOAD[..PAYLOAD.len() - 5];
        assert_eq!(
            payload_of(cut),
            Some(("192.0.2.9:123".to_owned(), expected))
        );
    }

    proptest! {
        #[test]
        fn any_frame_is_parsed_or_refused(
            ethertype in prop::sample::select(vec![ETHERTYPE_VLAN, ETHERTYPE_IPV4, ETHERTYPE_IPV6]),
            packet in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = frame(&[], ethertype, &packet);
            if let Some(found) = LoopedPacket::parse(&bytes) {
                prop_assert!(bytes.get(found.payload).is_some());
            }
        }
    }
}
