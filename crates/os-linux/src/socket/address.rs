//! Socket addresses as bytes: the kernel's layout, read and written by safe code.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A family of IP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Any address of the family, for binding.
    pub fn any(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    pub(super) fn domain(self) -> libc::c_int {
        match self {
            Self::V4 => libc::AF_INET,
            Self::V6 => libc::AF_INET6,
        }
    }
}

/// Whether packets to this address need an interface to be named: 169.254.0.0/16 and
/// fe80::/10.
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Size of the larger of the two kernel structures, `sockaddr_in6`.
pub(super) const NAME_SIZE: usize = 28;

/// Size of `sockaddr_in`.
const NAME_V4_SIZE: usize = 16;

/// A socket address in the kernel's layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketName {
    pub(super) bytes: [u8; NAME_SIZE],
    pub(super) length: usize,
}

impl SocketName {
    pub(super) const EMPTY: Self = Self {
        bytes: [0; NAME_SIZE],
        length: 0,
    };

    pub(super) fn new(address: SocketAddr) -> Self {
        let mut bytes = [0; NAME_SIZE];
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        let (family, length) = match address {
            SocketAddr::V4(v4) => {
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                (libc::AF_INET, NAME_V4_SIZE)
            }
            SocketAddr::V6(v6) => {
                bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (libc::AF_INET6, NAME_SIZE)
            }
        };
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        Self { bytes, length }
    }
}

/// The IP address and port in a kernel socket address (`sockaddr_in` or `sockaddr_in6`),
/// `None` for another family or too few bytes.
pub fn decode_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    if i32::from(family) == libc::AF_INET && bytes.len() >= NAME_V4_SIZE {
        let octets: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
        return Some(SocketAddrV4::new(octets.into(), port).into());
    }
    if i32::from(family) == libc::AF_INET6 && bytes.len() >= NAME_SIZE {
        let flow = u32::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let octets: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
        let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
        return Some(SocketAddrV6::new(octets.into(), port, flow, scope).into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout_is_the_c_librarys() {
        assert_eq!(size_of::<libc::sockaddr_in>(), NAME_V4_SIZE);
        assert_eq!(size_of::<libc::sockaddr_in6>(), NAME_SIZE);
        let name = SocketName::new("[fe80::1%7]:123".parse().expect("address"));
        // SAFETY: sockaddr_in6 is integers only and as long as the bytes.
        let c: libc::sockaddr_in6 = unsafe { std::ptr::read_unaligned(name.bytes.as_ptr().cast()) };
        assert_eq!(i32::from(c.sin6_family), libc::AF_INET6);
        assert_eq!(c.sin6_port, 123u16.to_be());
        assert_eq!(c.sin6_scope_id, 7);
        assert_eq!(c.sin6_addr.s6_addr[..2], [0xfe, 0x80]);
    }

    proptest! {
        #[test]
        fn addresses_survive(ip: IpAddr, port: u16) {
            let address = SocketAddr::new(ip, port);
            let name = SocketName::new(address);
            prop_assert_eq!(decode_address(&name.bytes[..name.length]), Some(address));
            prop_assert_eq!(decode_address(&name.bytes[..name.length - 1]), None);
            prop_assert_eq!(IpFamily::of(ip), IpFamily::of(IpFamily::of(ip).any()));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _ = decode_address(&bytes);
        }
    }

    #[test]
    fn link_local_addresses() {
        for (address, expected) in [
            ("169.254.3.4", true),
            ("169.253.3.4", false),
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", false),
            ("::1", false),
        ] {
            let address = address.parse().expect("address");
            assert_eq!(is_link_local(address), expected, "{address}");
        }
    }
}
