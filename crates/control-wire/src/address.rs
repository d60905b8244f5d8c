//! Addresses (control-protocol chapter, section 3.4).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cursor::{Reader, Wire, Writer};

/// The protocol's own family numbers.
const FAMILY_UNSPECIFIED: u16 = 0;
const FAMILY_IPV4: u16 = 1;
const FAMILY_IPV6: u16 = 2;
const FAMILY_ID: u16 = 3;

/// Address of a source, client or network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// No address: "all", "none", or a reference clock, depending on the message. Unknown
    /// families are read as this.
    #[default]
    Unspecified,
    /// IPv4.
    Ipv4(Ipv4Addr),
    /// IPv6. An IPv4-mapped address stays one.
    Ipv6(Ipv6Addr),
    /// A source whose address is not known (yet), by its running number.
    Id(u32),
}

impl Address {
    /// The IP address, if it is one.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ipv4(address) => Some(IpAddr::V4(address)),
            Self::Ipv6(address) => Some(IpAddr::V6(address)),
            Self::Unspecified | Self::Id(_) => None,
        }
    }

    /// Whether the family is unspecified.
    #[must_use]
    pub const fn is_unspecified(self) -> bool {
        matches!(self, Self::Unspecified)
    }

    /// The mask with `prefix_length` leading ones in the family of `ip`; a length out of the
    /// family's range means the full length (section 9.3).
    #[must_use]
    pub fn mask(ip: IpAddr, prefix_length: i64) -> Self {
        match ip {
            IpAddr::V4(_) => {
                let ones = u32::try_from(prefix_length).ok().filter(|&ones| ones <= 32);
                Self::Ipv4(Ipv4Addr::from_bits(
                    u32::MAX.checked_shl(32 - ones.unwrap_or(32)).unwrap_or(0),
                ))
            }
            IpAddr::V6(_) => {
                let ones = u32::try_from(prefix_length)
                    .ok()
                    .filter(|&ones| ones <= 128);
                Self::Ipv6(Ipv6Addr::from_bits(
                    u128::MAX
                        .checked_shl(128 - ones.unwrap_or(128))
                        .unwrap_or(0),
                ))
            }
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address),
            IpAddr::V6(address) => Self::Ipv6(address),
        }
    }
}

/// The IPv4 address in the last 32 bits of an IPv6 address that starts with 96 zero bits. The C
/// library writes such addresses with dots (`::192.0.2.1`), std with hexadecimal digits. As there, the
/// run of zeros must end at those bits.
fn ipv4_compatible(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

/// Dotted quad, RFC 5952 text, `ID#` with ten digits, or `[UNSPEC]` (chronyc chapter, section 6.2).
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unspecified => formatter.pad("[UNSPEC]"),
            Self::Ipv4(address) => address.fmt(formatter),
            Self::Ipv6(address) => match ipv4_compatible(*address) {
                Some(ipv4) => formatter.pad(&format!("::{ipv4}")),
                None => address.fmt(formatter),
            },
            Self::Id(id) => formatter.pad(&format!("ID#{id:010}")),
        }
    }
}

impl Wire for Address {
    const LEN: usize = 20;

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bytes = reader.take::<16>()?;
        let family = u16::read(reader)?;
        let _pad = u16::read(reader)?;
        let [first, second, third, fourth, ..] = bytes;
        let word = u32::from_be_bytes([first, second, third, fourth]);
        Some(match family {
            FAMILY_IPV4 => Self::Ipv4(Ipv4Addr::from_bits(word)),
            FAMILY_IPV6 => Self::Ipv6(Ipv6Addr::from(bytes)),
            FAMILY_ID => Self::Id(word),
            _ => Self::Unspecified,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        let mut bytes = [0; 16];
        let family = match self {
            Self::Unspecified => FAMILY_UNSPECIFIED,
            Self::Ipv4(address) => {
                Writer::new(&mut bytes).put(&address.octets());
                FAMILY_IPV4
            }
            Self::Ipv6(address) => {
                bytes = address.octets();
                FAMILY_IPV6
            }
            Self::Id(id) => {
                id.write(&mut Writer::new(&mut bytes));
                FAMILY_ID
            }
        };
        writer.put(&bytes);
        family.write(writer);
        0u16.write(writer);
    }
}

#[cfg(test)]
mod tests {
    use super::Address;
    use crate::cursor::{Reader, Wire, Writer};

    #[test]
    fn examples_of_the_chapter() {
        for (address, hex) in [
            (
                Address::Ipv4([192, 0, 2, 1].into()),
                "c000020100000000000000000000000000010000",
            ),
            (
                Address::Ipv6("2001:db8::1".parse().unwrap()),
                "20010db800000000000000000000000100020000",
            ),
            (Address::Id(5), "0000000500000000000000000000000000030000"),
            (
                Address::Unspecified,
                "0000000000000000000000000000000000000000",
            ),
        ] {
            let mut bytes = [0; 20];
            address.write(&mut Writer::new(&mut bytes));
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(text, hex);
            assert_eq!(Address::read(&mut Reader::new(&bytes)), Some(address));
        }
        assert_eq!(Address::Id(5).to_string(), "ID#0000000005");
        assert_eq!(Address::Unspecified.to_string(), "[UNSPEC]");
        for text in [
            "::192.0.2.1",
            "::ffff:192.0.2.1",
            "::1",
            "::0.1.0.0",
            "::1:0:1",
        ] {
            assert_eq!(Address::Ipv6(text.parse().unwrap()).to_string(), text);
        }
    }

    #[test]
    fn masks() {
        let ip = "10.1.2.3".parse().unwrap();
        assert_eq!(Address::mask(ip, 8).to_string(), "255.0.0.0");
        assert_eq!(Address::mask(ip, 0).to_string(), "0.0.0.0");
        assert_eq!(Address::mask(ip, 33).to_string(), "255.255.255.255");
        assert_eq!(
            Address::mask("::1".parse().unwrap(), -1).to_string().len(),
            39
        );
    }
}
