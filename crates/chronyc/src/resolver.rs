//! Names and addresses (chronyc chapter, sections 2.1, 5.3 and 6.2).

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use control_wire::Address;

use crate::output::complain;

/// Restriction of resolution to a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Both.
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl Family {
    const fn includes(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

/// Resolution of arguments and of addresses in reports.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    /// Family of names and numeric addresses.
    pub(crate) family: Family,
    /// Whether addresses are shown by name.
    pub(crate) reverse: bool,
    /// Whether to tell of resolutions on stderr.
    pub(crate) debug: bool,
}

/// Longest name taken from the resolver, bytes.
const MAX_NAME: usize = 255;

impl Resolver {
    /// Every address of a name or numeric address in the resolver's order; those with a scope are
    /// left out, since the protocol has none.
    pub(crate) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let numeric = name.parse::<IpAddr>();
        let found: Vec<SocketAddr> = match numeric {
            Ok(address) => vec![SocketAddr::new(address, 0)],
            Err(_) => (name, 0)
                .to_socket_addrs()
                .map(Iterator::collect)
                .unwrap_or_default(),
        };
        let mut addresses = Vec::new();
        for socket_address in found {
            let scoped = matches!(socket_address, SocketAddr::V6(v6) if v6.scope_id() != 0);
            let address = socket_address.ip();
            if !scoped && self.family.includes(address) && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if self.debug && numeric.is_err() {
            for address in &addresses {
                complain!("Resolved {name} to {address}");
            }
        }
        addresses
    }

    /// The first address of a name or numeric address: a *host*.
    pub(crate) fn host(&self, name: &str) -> Option<IpAddr> {
        self.addresses(name).first().copied()
    }

    /// A *host*, or the number of a source without address: an *address*.
    pub(crate) fn address(&self, word: &str) -> Option<Address> {
        source_id(word).or_else(|| self.host(word).map(Address::from))
    }

    /// The name of an address, or its numeric form.
    pub(crate) fn name_of(&self, address: IpAddr) -> String {
        if !self.reverse {
            return Address::from(address).to_string();
        }
        match dns_lookup::lookup_addr(&address) {
            Ok(name) if !name.is_empty() => {
                name.get(..MAX_NAME).map_or(name.clone(), str::to_owned)
            }
            _ => Address::from(address).to_string(),
        }
    }
}

/// `ID#` and a number, whatever follows.
pub(crate) fn source_id(word: &str) -> Option<Address> {
    let (number, _) = crate::numbers::unsigned_prefix(word.strip_prefix("ID#")?)?;
    Some(Address::Id(number))
}
