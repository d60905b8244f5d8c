//! What is kept about one client address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use control_wire::{Address, ClientRecord, NEVER_S};

use super::Service;
use super::rate::{Rate, Ticks};
use crate::random::RandomSource;
use crate::server::rate_limit::{self, Decision, RateLimit};

/// Number of [`Service`]s.
const SERVICES: usize = 3;
/// Bit of [`Record::dropped`] and index of each service.
const NTP: usize = Service::Ntp as usize;

/// A client address in 17 bytes without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CompactAddress {
    bytes: [u8; 16],
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Ipv4,
    Ipv6,
}

impl From<IpAddr> for CompactAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&address.octets());
                Self {
                    bytes,
                    family: Family::Ipv4,
                }
            }
            IpAddr::V6(address) => Self {
                bytes: address.octets(),
                family: Family::Ipv6,
            },
        }
    }
}

impl CompactAddress {
    fn ip(self) -> IpAddr {
        match self.family {
            Family::Ipv4 => {
                let [a, b, c, d, ..] = self.bytes;
                Ipv4Addr::new(a, b, c, d).into()
            }
            Family::Ipv6 => Ipv6Addr::from(self.bytes).into(),
        }
    }
}

/// The record of one client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    address: CompactAddress,
    /// Bits of the services whose last request was dropped.
    dropped: u8,
    rates: [Rate; SERVICES],
    /// Rate of NTP requests that follow a dropped one.
    ntp_timeout_rate: Rate,
    tokens: [u16; SERVICES],
    drops: [u16; SERVICES],
    last: [Ticks; SERVICES],
    hits: [u32; SERVICES],
}

impl Record {
    /// A client that has not been seen yet, with full buckets.
    pub(super) fn new(address: IpAddr, full_buckets: [u16; SERVICES]) -> Self {
        Self {
            address: address.into(),
            dropped: 0,
            rates: [Rate::UNKNOWN; SERVICES],
            ntp_timeout_rate: Rate::UNKNOWN,
            tokens: full_buckets,
            drops: [0; SERVICES],
            last: [Ticks::NEVER; SERVICES],
            hits: [0; SERVICES],
        }
    }

    pub(super) fn is_of(&self, address: IpAddr) -> bool {
        self.address == address.into()
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// The sort key of eviction: the greatest goes first.
    pub(super) fn eviction_order(&self, now: Ticks) -> (u32, std::cmp::Reverse<u64>) {
        let age = self
            .last
            .iter()
            .filter_map(|last| last.age(now))
            .min()
            .unwrap_or(u32::MAX);
        let hits = self.hits.iter().map(|&hits| u64::from(hits)).sum();
        (age, std::cmp::Reverse(hits))
    }

    /// Counts a request and updates rate and bucket.
    pub(super) fn count(&mut self, service: Service, now: Ticks, limit: Option<&RateLimit>) {
        let index = service as usize;
        let previous = std::mem::replace(&mut self.last[index], now);
        self.hits[index] = self.hits[index].saturating_add(1);
        let Some(interval) = now.after(previous) else {
            return;
        };
        if let Some(limit) = limit {
            limit.refill(&mut self.tokens[index], previous.count(), now.count());
        }
        let rate = if index == NTP && self.last_was_dropped(service) {
            &mut self.ntp_timeout_rate
        } else {
            &mut self.rates[index]
        };
        rate.update(interval);
    }

    fn last_was_dropped(&self, service: Service) -> bool {
        self.dropped >> service as usize & 1 != 0
    }

    /// Decides about the request counted last.
    pub(super) fn decide(
        &mut self,
        service: Service,
        limit: &RateLimit,
        random: &mut dyn RandomSource,
    ) -> Decision {
        let index = service as usize;
        self.dropped &= !(1 << index);
        let insists = index == NTP
            && rate_limit::insists(self.rates[index].known(), self.ntp_timeout_rate.known());
        let decision = limit.decide(&mut self.tokens[index], insists, random);
        if decision == Decision::Drop {
            self.dropped |= 1 << index;
            self.drops[index] = self.drops[index].saturating_add(1);
        }
        decision
    }

    /// Whether any service was used at least this often.
    pub(super) fn has_hits(&self, min_hits: u32) -> bool {
        self.hits.iter().any(|&hits| hits >= min_hits)
    }

    /// Starts counting anew (`clients -r`).
    pub(super) fn reset_counters(&mut self) {
        self.hits = [0; SERVICES];
        self.drops = [0; SERVICES];
    }

    /// As reported (control-protocol chapter, section 10.12).
    pub(super) fn report(&self, now: Ticks) -> ClientRecord {
        let [ntp, nke, cmd] = [Service::Ntp, Service::NtsKe, Service::Command].map(|s| s as usize);
        let ago = |last: Ticks| last.age(now).map_or(NEVER_S, Ticks::whole_seconds);
        ClientRecord {
            address: Address::from(self.ip()),
            ntp_hits: self.hits[ntp],
            nke_hits: self.hits[nke],
            cmd_hits: self.hits[cmd],
            ntp_drops: self.drops[ntp].into(),
            nke_drops: self.drops[nke].into(),
            cmd_drops: self.drops[cmd].into(),
            ntp_interval: self.rates[ntp].interval_log2(),
            nke_interval: self.rates[nke].interval_log2(),
            cmd_interval: self.rates[cmd].interval_log2(),
            ntp_timeout_interval: self.ntp_timeout_rate.interval_log2(),
            last_ntp_hit_ago_s: ago(self.last[ntp]),
            last_nke_hit_ago_s: ago(self.last[nke]),
            last_cmd_hit_ago_s: ago(self.last[cmd]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_small() {
        assert!(
            size_of::<Option<Record>>() <= 60,
            "{}",
            size_of::<Option<Record>>()
        );
    }

    #[test]
    fn addresses_survive() {
        for address in ["192.0.2.1", "::1", "2001:db8::1", "::ffff:1.2.3.4"] {
            let address: IpAddr = address.parse().unwrap();
            let record = Record::new(address, [0; 3]);
            assert_eq!(record.ip(), address);
            assert!(record.is_of(address));
        }
        let mapped: IpAddr = "102:304::".parse().unwrap();
        assert!(!Record::new("1.2.3.4".parse().unwrap(), [0; 3]).is_of(mapped));
    }
}
