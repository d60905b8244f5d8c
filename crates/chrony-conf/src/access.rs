//! `allow`, `deny`, `cmdallow`, `cmddeny` (configuration chapter, section 5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::arguments::Arguments;
use crate::diagnostics::{Fault, Message, Reason};
use crate::lexer;
use crate::numbers;

/// A network that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subnet {
    /// All IPv4 and IPv6 addresses.
    Any,
    /// IPv4 network; the prefix is not checked before the start.
    Ipv4 {
        /// Address, host bits included.
        address: Ipv4Addr,
        /// Length of the prefix in bits.
        prefix: u32,
    },
    /// IPv6 network; the prefix is not checked before the start.
    Ipv6 {
        /// Address, host bits included.
        address: Ipv6Addr,
        /// Length of the prefix in bits.
        prefix: u32,
    },
}

impl Subnet {
    /// One host.
    pub fn host(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4 {
                address,
                prefix: 32,
            },
            IpAddr::V6(address) => Self::Ipv6 {
                address,
                prefix: 128,
            },
        }
    }

    /// Whether the prefix fits the family.
    pub fn is_valid(self) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 { prefix, .. } => prefix <= 32,
            Self::Ipv6 { prefix, .. } => prefix <= 128,
        }
    }
}

impl fmt::Display for Subnet {
    /// `ADDR/N`, the short form completed with zeros; `all` for everything.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("all"),
            Self::Ipv4 { address, prefix } => write!(formatter, "{address}/{prefix}"),
            Self::Ipv6 { address, prefix } => write!(formatter, "{address}/{prefix}"),
        }
    }
}

/// A rule; rules apply in the order of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Allow or deny.
    pub allow: bool,
    /// `all`: more specific rules below the network are deleted.
    pub all: bool,
    /// Network.
    pub subnet: Subnet,
}

/// Reads `[all] [SUBNET]`; `resolve` gives the first address of a host name.
pub fn parse(
    allow: bool,
    arguments: &mut Arguments<'_>,
    resolve: &mut dyn FnMut(&str) -> Option<IpAddr>,
) -> Result<AccessRule, Fault> {
    let mut word = arguments.next_word();
    let all = word.is_some_and(|word| word.text == "all");
    if all {
        word = arguments.next_word();
    }
    if let (Some(extra), true) = (arguments.next_word(), word.is_some()) {
        return Err(
            Fault::at(Reason::CouldNotParse, extra.start, extra.text.len())
                .expecting("nothing more is expected here"),
        );
    }
    let subnet = match word {
        None => Subnet::Any,
        Some(word) => subnet(word.text, resolve).ok_or_else(|| {
            let fault = Fault::at(Reason::CouldNotParse, word.start, word.text.len()).expecting(
                "expected an address, a subnet such as 192.168.0.0/16, or a resolvable host name",
            );
            if all { fault } else { fault.among(vec!["all"]) }
        })?,
    };
    Ok(AccessRule { allow, all, subnet })
}

/// Reads `[all] [SUBNET]` from a string, as chronyc's `allow` and its kin do.
pub fn parse_line(
    allow: bool,
    line: &str,
    resolve: &mut dyn FnMut(&str) -> Option<IpAddr>,
) -> Result<AccessRule, Fault> {
    let words = lexer::split(line);
    parse(allow, &mut Arguments::new(&words), resolve)
}

fn subnet(text: &str, resolve: &mut dyn FnMut(&str) -> Option<IpAddr>) -> Option<Subnet> {
    let (base, prefix) = match text.split_once('/') {
        Some((base, prefix)) => (base, Some(prefix_length(prefix)?)),
        None => (text, None),
    };
    if let Ok(address) = base.parse::<IpAddr>() {
        return Some(match (Subnet::host(address), prefix) {
            (Subnet::Ipv4 { address, .. }, Some(prefix)) => Subnet::Ipv4 { address, prefix },
            (Subnet::Ipv6 { address, .. }, Some(prefix)) => Subnet::Ipv6 { address, prefix },
            (host, _) => host,
        });
    }
    match short_form(base) {
        ShortForm::Network(address, length) => Some(Subnet::Ipv4 {
            address,
            prefix: prefix.unwrap_or(length),
        }),
        ShortForm::OutOfRange => None,
        ShortForm::Other if prefix.is_some() => None,
        ShortForm::Other => old_numeric_address(base)
            .map(IpAddr::V4)
            .or_else(|| resolve(base))
            .map(Subnet::host),
    }
}

/// A prefix: the whole rest of the word, decimal, not negative when taken modulo 2³².
fn prefix_length(text: &str) -> Option<u32> {
    let (value, length) = numbers::wrapped_integer_prefix(text)?;
    u32::try_from(value).ok().filter(|_| length == text.len())
}

enum ShortForm {
    Network(Ipv4Addr, u32),
    OutOfRange,
    Other,
}

/// `A`, `A.B`, `A.B.C`: /8, /16, /24; each number may have a sign (quirk).
fn short_form(text: &str) -> ShortForm {
    let mut octets = [0u8; 4];
    let mut length = 0;
    for (index, part) in text.split('.').enumerate() {
        let Some((value, taken)) = numbers::integer_prefix(part) else {
            return ShortForm::Other;
        };
        if taken != part.len() || index > 2 {
            return ShortForm::Other;
        }
        let (Some(octet), Ok(value)) = (octets.get_mut(index), u8::try_from(value)) else {
            return ShortForm::OutOfRange;
        };
        *octet = value;
        length += 8;
    }
    ShortForm::Network(octets.into(), length)
}

/// Numeric forms of old that the C library's resolver understands: one to four numbers,
/// decimal, octal with a leading 0, hexadecimal with 0x; the last one fills the rest.
///
/// Read here so that the answer does not depend on the resolver.
fn old_numeric_address(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(old_number).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|part| *part > 255) {
        return None;
    }
    let free_bits = 32 - 8 * leading.len() as u32;
    if free_bits < 32 && *last >> free_bits != 0 {
        return None;
    }
    let network = leading
        .iter()
        .enumerate()
        .fold(0, |bits, (index, part)| bits | part << (24 - 8 * index));
    Some(Ipv4Addr::from(network | last))
}

fn old_number(text: &str) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(digits), _) => u32::from_str_radix(digits, 16).ok(),
        (None, Some("")) => Some(0),
        (None, Some(digits)) => u32::from_str_radix(digits, 8).ok(),
        (None, None) => lower.parse().ok(),
    }
}

/// The check made when the rules are applied at start (section 6): prefixes fit.
pub fn check(rules: &[AccessRule]) -> Result<(), Message> {
    match rules.iter().find(|rule| !rule.subnet.is_valid()) {
        Some(rule) => Err(Message::fatal(format!("Bad subnet in {}", rule.subnet))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(line: &str) -> Option<AccessRule> {
        parse_line(true, line, &mut |name| {
            (name == "host").then_some(IpAddr::from([9, 9, 9, 9]))
        })
        .ok()
    }

    #[test]
    fn subnets_in_all_their_forms() {
        let cases = [
            ("", "all"),
            ("1.2.3.4", "1.2.3.4/32"),
            ("1.2.3", "1.2.3.0/24"),
            ("1.2/20", "1.2.0.0/20"),
            ("+1", "1.0.0.0/8"),
            ("1.2.3.4/+3", "1.2.3.4/3"),
            ("01.2.3.4", "1.2.3.4/32"),
            ("0x7f.1", "127.0.0.1/32"),
            ("::1/129", "::1/129"),
            ("host", "9.9.9.9/32"),
            ("all 10/8", "10.0.0.0/8"),
        ];
        for (line, expected) in cases {
            assert_eq!(
                rule(line).map(|rule| rule.subnet.to_string()).as_deref(),
                Some(expected),
                "{line}"
            );
        }
        for line in [
            "ALL",
            "256",
            "1.256",
            "1.2.3.",
            "1..2",
            "host/32",
            "/24",
            "1.2.3.4/-1",
            "1.2.3.256",
            "-1",
        ] {
            assert_eq!(rule(line), None, "{line}");
        }
    }

    #[test]
    fn prefixes_are_checked_at_start() {
        let rules: Vec<_> = ["1.2.3/99"].into_iter().filter_map(rule).collect();
        assert_eq!(
            check(&rules),
            Err(Message::fatal("Bad subnet in 1.2.3.0/99"))
        );
    }
}
