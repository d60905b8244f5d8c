//! Who may ask (ntp chapter, section 6.2; control-protocol chapter, section 6.2).
//!
//! One tree for each family with a level for every four bits of the address. A rule of b bits
//! sets the entries that it covers at level ⌈b/4⌉; entries that no rule set inherit. The
//! deepest set entry on an address's path decides. So between levels the more specific rule
//! wins whatever the order, and within a level the later one.

use std::fmt;
use std::net::IpAddr;

use chrony_conf::access::{AccessRule, Subnet};

use crate::names::Family;

/// Address bits of a level.
const BITS_PER_LEVEL: u32 = 4;
/// Entries of a table.
const ENTRIES: usize = 1 << BITS_PER_LEVEL;

/// The prefix of a rule is longer than the family's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSubnet(Subnet);

impl fmt::Display for BadSubnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bad subnet in {}", self.0)
    }
}

impl std::error::Error for BadSubnet {}

/// What an access table protects, as named in log messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protected {
    /// Time service: `allow`, `deny`.
    Ntp,
    /// Monitoring: `cmdallow`, `cmddeny`.
    Command,
}

/// The log message of a change (ntp chapter, section 6.2; control-protocol chapter,
/// section 14).
pub fn change_message(rule: &AccessRule, protected: Protected) -> String {
    let verb = if rule.allow { "Allowed" } else { "Denied" };
    let all = if rule.all { " all" } else { "" };
    let what = match protected {
        Protected::Ntp => "NTP",
        Protected::Command => "command",
    };
    let whom = match rule.subnet {
        Subnet::Any => "any address".to_owned(),
        Subnet::Ipv4 {
            address,
            prefix: 32,
        } => address.to_string(),
        Subnet::Ipv6 {
            address,
            prefix: 128,
        } => address.to_string(),
        subnet => subnet.to_string(),
    };
    format!("{verb}{all} {what} access from {whom}")
}

/// One entry of a table: what a rule said of these addresses, and the table of the next level.
#[derive(Clone, Debug, Default)]
struct Entry {
    allowed: Option<bool>,
    deeper: Option<Box<[Entry; ENTRIES]>>,
}

impl Entry {
    /// Whether any address below is allowed when entries that are not set mean `inherited`.
    fn allows_any(&self, inherited: bool) -> bool {
        let allowed = self.allowed.unwrap_or(inherited);
        match &self.deeper {
            Some(table) => table.iter().any(|entry| entry.allows_any(allowed)),
            None => allowed,
        }
    }

    fn set(&mut self, allowed: bool, all: bool) {
        self.allowed = Some(allowed);
        if all {
            self.deeper = None;
        }
    }
}

/// The upper 4-bit digits of an address, most significant first: IPv4 addresses are shifted
/// to the top.
#[derive(Clone, Copy)]
struct Digits(u128);

impl Digits {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(u128::from(address.to_bits()) << 96),
            IpAddr::V6(address) => Self(address.to_bits()),
        }
    }

    fn digit(self, level: u32) -> usize {
        (self.0 >> (128 - BITS_PER_LEVEL * (level + 1))) as usize % ENTRIES
    }
}

/// The access rules of one service. Everything is denied at first.
#[derive(Clone, Debug, Default)]
pub struct AccessTable {
    ipv4: Entry,
    ipv6: Entry,
}

impl AccessTable {
    /// Applies a rule.
    ///
    /// # Errors
    /// When the subnet's prefix is too long; nothing is changed then.
    pub fn apply(&mut self, rule: &AccessRule) -> Result<(), BadSubnet> {
        if !rule.subnet.is_valid() {
            return Err(BadSubnet(rule.subnet));
        }
        match rule.subnet {
            Subnet::Any => {
                self.ipv4.set(rule.allow, rule.all);
                self.ipv6.set(rule.allow, rule.all);
            }
            Subnet::Ipv4 { address, prefix } => {
                set_prefix(&mut self.ipv4, Digits::of(address.into()), prefix, rule);
            }
            Subnet::Ipv6 { address, prefix } => {
                set_prefix(&mut self.ipv6, Digits::of(address.into()), prefix, rule);
            }
        }
        Ok(())
    }

    /// Whether an address is allowed.
    pub fn is_allowed(&self, address: IpAddr) -> bool {
        let mut entry = match address {
            IpAddr::V4(_) => &self.ipv4,
            IpAddr::V6(_) => &self.ipv6,
        };
        let digits = Digits::of(address);
        let mut allowed = entry.allowed.unwrap_or(false);
        let mut level = 0;
        // Tables are only made down to the level of the family's full length.
        while let Some(table) = &entry.deeper {
            entry = &table[digits.digit(level)];
            allowed = entry.allowed.unwrap_or(allowed);
            level += 1;
        }
        allowed
    }

    /// Whether there is an allowed address in the family, for which a server socket is
    /// needed.
    pub fn allows_any(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.ipv4.allows_any(false),
            Family::V6 => self.ipv6.allows_any(false),
        }
    }
}

/// Sets all entries of one table that a prefix covers.
fn set_prefix(root: &mut Entry, digits: Digits, prefix: u32, rule: &AccessRule) {
    if prefix == 0 {
        root.set(rule.allow, rule.all);
        return;
    }
    let last_level = prefix.div_ceil(BITS_PER_LEVEL) - 1;
    let mut entry = root;
    for level in 0..last_level {
        let table = entry.deeper.get_or_insert_default();
        entry = &mut table[digits.digit(level)];
    }
    let covered = 1usize << (BITS_PER_LEVEL * (last_level + 1) - prefix);
    let first = digits.digit(last_level) / covered * covered;
    let table = entry.deeper.get_or_insert_default();
    for entry in table.iter_mut().skip(first).take(covered) {
        entry.set(rule.allow, rule.all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, all: bool, text: &str) -> AccessRule {
        let subnet = match text.split_once('/') {
            None => Subnet::Any,
            Some((address, bits)) => {
                let prefix = bits.parse().unwrap();
                match address.parse().unwrap() {
                    IpAddr::V4(address) => Subnet::Ipv4 { address, prefix },
                    IpAddr::V6(address) => Subnet::Ipv6 { address, prefix },
                }
            }
        };
        AccessRule { allow, all, subnet }
    }

    fn table(rules: &[(bool, bool, &str)]) -> AccessTable {
        let mut table = AccessTable::default();
        for &(allow, all, subnet) in rules {
            table.apply(&rule(allow, all, subnet)).unwrap();
        }
        table
    }

    fn allowed(table: &AccessTable, address: &str) -> bool {
        table.is_allowed(address.parse().unwrap())
    }

    #[test]
    fn denied_by_default_and_families_are_separate() {
        assert!(!allowed(&AccessTable::default(), "127.0.0.1"));
        let t = table(&[(true, false, "10.0.0.0/8")]);
        assert!(allowed(&t, "10.255.0.1") && !allowed(&t, "11.0.0.1"));
        assert!(t.allows_any(Family::V4) && !t.allows_any(Family::V6));
        assert!(!allowed(&t, "a00::1"));
        let t = table(&[(true, false, "any"), (false, false, "127.0.0.66/32")]);
        assert!(allowed(&t, "::1") && allowed(&t, "127.0.0.65") && !allowed(&t, "127.0.0.66"));
    }

    #[test]
    fn the_later_rule_wins_within_a_level() {
        let allow_deny = table(&[(true, false, "10.16.0.0/12"), (false, false, "10.0.0.0/9")]);
        assert!(!allowed(&allow_deny, "10.16.0.1"));
        let deny_allow = table(&[(false, false, "10.0.0.0/9"), (true, false, "10.16.0.0/12")]);
        assert!(allowed(&deny_allow, "10.16.0.1"));
        assert!(!allowed(&deny_allow, "10.32.0.1"));
    }

    #[test]
    fn the_more_specific_rule_wins_between_levels() {
        for rules in [
            [(true, false, "10.1.0.0/16"), (false, false, "10.0.0.0/8")],
            [(false, false, "10.0.0.0/8"), (true, false, "10.1.0.0/16")],
        ] {
            let t = table(&rules);
            assert!(allowed(&t, "10.1.2.3") && !allowed(&t, "10.2.2.3"));
        }
        let t = table(&[(true, false, "10.1.0.0/16"), (false, true, "10.0.0.0/8")]);
        assert!(!allowed(&t, "10.1.2.3"));
        assert!(!t.allows_any(Family::V4));
    }

    #[test]
    fn prefixes_between_levels_cover_their_entries() {
        for bits in 1..=128u32 {
            let network = 0x2001_0db8_5a5a_a5a5_0f0f_f0f0_3c3c_c3c3u128;
            let address = std::net::Ipv6Addr::from_bits(network);
            let mut t = AccessTable::default();
            t.apply(&AccessRule {
                allow: true,
                all: false,
                subnet: Subnet::Ipv6 {
                    address,
                    prefix: bits,
                },
            })
            .unwrap();
            for flipped in 0..128 {
                let other = std::net::Ipv6Addr::from_bits(network ^ (1 << (127 - flipped)));
                assert_eq!(
                    t.is_allowed(other.into()),
                    flipped >= bits,
                    "{bits} {flipped}"
                );
            }
        }
    }

    #[test]
    fn denying_the_only_allowed_hosts_closes_the_family() {
        let t = table(&[
            (true, false, "192.0.2.0/31"),
            (false, false, "192.0.2.0/32"),
        ]);
        // Both are rules of the last level, so the second leaves one host.
        assert!(t.allows_any(Family::V4) && allowed(&t, "192.0.2.1"));
        let t = table(&[
            (true, false, "192.0.2.0/28"),
            (false, false, "192.0.2.0/29"),
            (false, false, "192.0.2.8/29"),
        ]);
        assert!(!t.allows_any(Family::V4));
    }

    #[test]
    fn bad_subnets_and_messages() {
        let mut t = AccessTable::default();
        let bad = rule(true, false, "1.2.3.4/33");
        assert_eq!(
            t.apply(&bad).unwrap_err().to_string(),
            "Bad subnet in 1.2.3.4/33"
        );
        for (rule, protected, message) in [
            (
                rule(true, false, "any"),
                Protected::Ntp,
                "Allowed NTP access from any address",
            ),
            (
                rule(false, true, "10.1.2.3/8"),
                Protected::Ntp,
                "Denied all NTP access from 10.1.2.3/8",
            ),
            (
                rule(true, true, "::1/128"),
                Protected::Command,
                "Allowed all command access from ::1",
            ),
            (
                rule(false, false, "1.2.3.4/32"),
                Protected::Command,
                "Denied command access from 1.2.3.4",
            ),
        ] {
            assert_eq!(change_message(&rule, protected), message);
        }
    }
}
