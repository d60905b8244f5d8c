//! Reference IDs of addresses (ntp chapter, section 2; RFC 5905, section 7.3).

use std::net::IpAddr;

use md5::{Digest, Md5};

use crate::array_at;

/// The reference ID that a server synchronised to `address` sends: the address itself for
/// IPv4, the first four bytes of its MD5 digest for IPv6.
pub fn reference_id(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let digest = Md5::digest(address.octets());
            u32::from_be_bytes(array_at(&digest, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn as_captured() {
        // golden/ntp/server_states.tsv, cases synced and synced-ipv6.
        assert_eq!(
            reference_id(Ipv4Addr::new(10, 77, 0, 2).into()),
            0x0a4d_0002
        );
        let address = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);
        assert_eq!(reference_id(address.into()), 0x8d30_8852);
    }
}
