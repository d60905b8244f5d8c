//! Access commands (chronyc chapter, sections 5.4 and 8.6).

use std::net::{IpAddr, Ipv4Addr};

use control_wire::{Address, Request, SingleAddress, Subnet};

use super::{Mistake, split_word};
use crate::numbers::integer_prefix;
use crate::resolver::Resolver;

const NO_ADDRESS: &str = "Could not read address";

/// `[all] [NET[/BITS]]`: whether `all` was given, and the subnet.
fn subnet(resolver: &Resolver, arguments: &str) -> Result<(bool, Subnet), Mistake> {
    let (first, rest) = split_word(arguments);
    let (all, net) = if first == "all" {
        (true, rest)
    } else {
        (false, arguments)
    };
    if net.is_empty() {
        return Ok((all, Subnet::default()));
    }
    let (base, bits) = match net.split_once('/') {
        Some((base, bits)) => (base, Some(bits)),
        None => (net, None),
    };
    let subnet = match bits.map(prefix_length) {
        Some(None) => None,
        Some(Some(bits)) => numeric_base(base).map(|(ip, _)| (ip, bits)),
        None => numeric_base(base).or_else(|| {
            // What looks like a shortened address is none of the resolver's shorthands.
            let looks_numeric = base
                .chars()
                .all(|letter| letter.is_ascii_digit() || letter == '.');
            if looks_numeric {
                None
            } else {
                resolver.host(base).map(full_length)
            }
        }),
    };
    let (ip, prefix_length) = subnet.ok_or_else(|| Mistake::new(NO_ADDRESS))?;
    Ok((
        all,
        Subnet {
            address: Address::from(ip),
            prefix_length,
        },
    ))
}

/// A prefix length: a number of 0 or more with nothing after it.
fn prefix_length(text: &str) -> Option<i32> {
    match integer_prefix(text)? {
        (bits @ 0.., "") => i32::try_from(bits).ok(),
        _ => None,
    }
}

fn full_length(ip: IpAddr) -> (IpAddr, i32) {
    (ip, if ip.is_ipv4() { 32 } else { 128 })
}

/// A numeric address, or an IPv4 address shortened to 1, 2 or 3 octets, with its default length.
fn numeric_base(text: &str) -> Option<(IpAddr, i32)> {
    if let Ok(ip) = text.parse() {
        return Some(full_length(ip));
    }
    let mut octets = [0; 4];
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 3 {
        return None;
    }
    for (octet, part) in octets.iter_mut().zip(&parts) {
        let is_number = !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
        *octet = part.parse().ok().filter(|_| is_number)?;
    }
    let bits = i32::try_from(8 * parts.len()).ok()?;
    Some((Ipv4Addr::from(octets).into(), bits))
}

/// The plain request, or with `all` the other.
fn choose(
    resolver: &Resolver,
    arguments: &str,
    plain: fn(Subnet) -> Request,
    with_all: fn(Subnet) -> Request,
) -> Result<Request, Mistake> {
    let (all, subnet) = subnet(resolver, arguments)?;
    Ok(if all { with_all(subnet) } else { plain(subnet) })
}

pub(super) fn allow(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    choose(resolver, arguments, Request::Allow, Request::AllowAll)
}

pub(super) fn deny(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    choose(resolver, arguments, Request::Deny, Request::DenyAll)
}

pub(super) fn cmdallow(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    choose(
        resolver,
        arguments,
        Request::CommandAllow,
        Request::CommandAllowAll,
    )
}

pub(super) fn cmddeny(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    choose(
        resolver,
        arguments,
        Request::CommandDeny,
        Request::CommandDenyAll,
    )
}

/// A *host*, the whole rest of the line.
fn host(resolver: &Resolver, arguments: &str) -> Result<SingleAddress, Mistake> {
    let ip = resolver
        .host(arguments)
        .ok_or_else(|| Mistake::new(NO_ADDRESS))?;
    Ok(SingleAddress { address: ip.into() })
}

pub(super) fn accheck(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    host(resolver, arguments).map(Request::AccessCheck)
}

pub(super) fn cmdaccheck(resolver: &Resolver, arguments: &str) -> Result<Request, Mistake> {
    host(resolver, arguments).map(Request::CommandAccessCheck)
}

#[cfg(test)]
mod tests {
    use super::subnet;
    use crate::resolver::{Family, Resolver};

    #[test]
    fn subnets() {
        let resolver = Resolver {
            family: Family::Any,
            reverse: false,
            debug: false,
        };
        let text = |argument: &str| {
            let (all, subnet) = subnet(&resolver, argument).ok()?;
            Some(format!("{all} {}/{}", subnet.address, subnet.prefix_length))
        };
        let taken = |argument: &str, expected: &str| assert_eq!(text(argument).unwrap(), expected);
        taken("", "false [UNSPEC]/0");
        taken("all 1.2", "true 1.2.0.0/16");
        taken("0/0", "false 0.0.0.0/0");
        taken("1.2.3/28", "false 1.2.3.0/28");
        taken("192.0.2.0/99", "false 192.0.2.0/99");
        taken("2001:db8::1", "false 2001:db8::1/128");
        for wrong in [
            "256",
            "1.2.3.4.5",
            "1.2.3.4 x",
            "1.2.3.0/2e",
            "1.2.3.4/-1",
            "1..2",
        ] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }
}
