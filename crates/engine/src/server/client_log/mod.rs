//! Who asked how often (ntp chapter, section 6.3; control-protocol chapter, section 12).
//!
//! A hash table of slots with eight records each, grown by doubling up to the memory limit.
//! All server threads share it: each slot has its own lock, held for the few instructions
//! that update one record. When the table doubles, which happens at most 21 times in a
//! daemon's life, its slots are moved one by one to a new table; who meets a moved slot waits
//! for the new table. So a thread with a [`LogReader`] of its own writes to no memory but the
//! slot of its client.

mod rate;
mod record;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrony_conf::limits::RateLimit as Limit;
use control_wire::{ClientAccesses, ClientRecord, MAX_CLIENT_RECORDS};
use discipline::time::CookedTime;

use self::rate::{TICK_NS, Ticks};
use self::record::Record;
use super::published::{Published, Reader};
use super::rate_limit::{Decision, RateLimit};
use super::timestamps::TimestampMap;
use crate::random::RandomSource;

/// Records in a slot.
const SLOT_RECORDS: usize = 8;
/// What `clientloglimit` is divided by: 1.5 × 8 × (64 + 16), for a second copy of the table
/// while it grows and for the saved timestamps.
const BYTES_PER_SLOT: u64 = 960;
/// Most slots, whatever the limit.
const MAX_SLOTS: u64 = 1 << 21;
/// FNV-1a's 32-bit prime.
const FNV_PRIME: u32 = 0x0100_0193;

/// A service that clients are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// NTP.
    Ntp = 0,
    /// NTS key establishment.
    NtsKe = 1,
    /// Monitoring by UDP.
    Command = 2,
}

/// The limits of the three services.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// `ratelimit`.
    pub ntp: Option<RateLimit>,
    /// `ntsratelimit`.
    pub nts_ke: Option<RateLimit>,
    /// `cmdratelimit`.
    pub command: Option<RateLimit>,
}

impl Limits {
    /// From the three directives.
    pub fn new(ntp: &Limit, nts_ke: &Limit, command: &Limit) -> Self {
        Self {
            ntp: RateLimit::new(ntp),
            nts_ke: RateLimit::new(nts_ke),
            command: RateLimit::new(command),
        }
    }

    const fn of(&self, service: Service) -> Option<&RateLimit> {
        match service {
            Service::Ntp => self.ntp.as_ref(),
            Service::NtsKe => self.nts_ke.as_ref(),
            Service::Command => self.command.as_ref(),
        }
    }

    fn full_buckets(&self) -> [u16; 3] {
        [Service::Ntp, Service::NtsKe, Service::Command]
            .map(|service| self.of(service).map_or(0, RateLimit::full_bucket))
    }
}

#[derive(Debug)]
struct Slot {
    records: [Option<Record>; SLOT_RECORDS],
    /// The records are in the next table.
    moved: bool,
}

/// As many slots as a power of two.
type Table = Box<[Mutex<Slot>]>;

/// One thread's access to the table.
#[derive(Debug)]
pub struct LogReader(Reader<Table>);

/// The records of all clients, shared by all threads, and the saved timestamps, for which
/// there is as much room.
#[derive(Debug)]
pub struct ClientLog {
    limits: Limits,
    full_buckets: [u16; 3],
    table: Published<Table>,
    growing: Mutex<()>,
    max_slots: usize,
    hash_seed: u32,
    phase_ns: i64,
    replaced: AtomicU64,
    timestamps: TimestampMap,
}

impl ClientLog {
    /// An empty log. `memory_limit` is that of `clientloglimit`, bytes.
    pub fn new(memory_limit: u64, limits: Limits, random: &mut dyn RandomSource) -> Self {
        let most = (memory_limit / BYTES_PER_SLOT).clamp(1, MAX_SLOTS);
        // The largest power of two: the table grows by doubling from one slot.
        let max_slots = 1usize << most.ilog2();
        Self {
            full_buckets: limits.full_buckets(),
            limits,
            table: Published::new(empty_table(1)),
            growing: Mutex::default(),
            max_slots,
            hash_seed: random.next_u32(),
            phase_ns: random.below(TICK_NS as usize) as i64,
            replaced: AtomicU64::new(0),
            timestamps: TimestampMap::new(max_slots * SLOT_RECORDS),
        }
    }

    /// The limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The saved timestamps.
    pub const fn timestamps(&self) -> &TimestampMap {
        &self.timestamps
    }

    /// Records that were replaced for lack of memory.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    fn hash(&self, address: IpAddr) -> usize {
        let fold = |bytes: &[u8]| {
            bytes.iter().fold(self.hash_seed, |hash, &byte| {
                (hash ^ u32::from(byte)).wrapping_mul(FNV_PRIME)
            })
        };
        (match address {
            IpAddr::V4(address) => fold(&address.octets()),
            IpAddr::V6(address) => fold(&address.octets()),
        }) as usize
    }

    /// Access for one thread.
    pub fn reader(&self) -> LogReader {
        LogReader(self.table.reader())
    }

    /// Counts a request and decides whether to answer it.
    pub fn record(
        &self,
        reader: &mut LogReader,
        service: Service,
        address: IpAddr,
        time: CookedTime,
        random: &mut dyn RandomSource,
    ) -> Decision {
        let now = Ticks::at(time, self.phase_ns);
        let limit = self.limits.of(service);
        self.with_record(reader, address, now, |record| {
            record.count(service, now, limit);
            limit.map_or(Decision::Pass, |limit| {
                record.decide(service, limit, random)
            })
        })
    }

    /// Counts a request that is answered whatever the limit: of the own host.
    pub fn count(
        &self,
        reader: &mut LogReader,
        service: Service,
        address: IpAddr,
        time: CookedTime,
    ) {
        let now = Ticks::at(time, self.phase_ns);
        let limit = self.limits.of(service);
        self.with_record(reader, address, now, |record| {
            record.count(service, now, limit);
        });
    }

    /// Finds or makes the record of an address.
    fn with_record<T>(
        &self,
        reader: &mut LogReader,
        address: IpAddr,
        now: Ticks,
        update: impl FnOnce(&mut Record) -> T,
    ) -> T {
        let hash = self.hash(address);
        loop {
            let table = reader.0.get();
            let count = table.len();
            let mut slot = lock(&table[hash & (count - 1)]);
            if slot.moved {
                drop(slot);
                // Not published yet: wait until it is.
                drop(self.growing.lock());
                continue;
            }
            if let Some(record) = find_or_insert(&mut slot, address, self.full_buckets) {
                return update(record);
            }
            if count >= self.max_slots {
                self.replaced.fetch_add(1, Ordering::Relaxed);
                let victim = oldest(&slot, now);
                let record = Record::new(address, self.full_buckets);
                return update(slot.records[victim].insert(record));
            }
            drop(slot);
            self.grow(count);
        }
    }

    /// Doubles a table of `count` slots, unless another thread was faster.
    fn grow(&self, count: usize) {
        let _growing = self.growing.lock();
        let mut current = self.table.reader();
        let table = current.get();
        if table.len() != count {
            return;
        }
        let mut larger = empty_table(count * 2);
        for slot in table {
            let mut slot = lock(slot);
            slot.moved = true;
            for record in slot.records.iter().flatten() {
                let target = larger[self.hash(record.ip()) & (count * 2 - 1)]
                    .get_mut()
                    .unwrap_or_else(PoisonError::into_inner);
                // A slot's records go to two slots: there is always room.
                if let Some(free) = target.records.iter_mut().find(|record| record.is_none()) {
                    *free = Some(*record);
                }
            }
        }
        self.table.publish(larger);
    }

    /// The records from an index on, at most eight with `min_hits` hits of any service
    /// (control-protocol chapter, section 12). `reset` clears the counters of the records
    /// looked at.
    pub fn accesses_by_index(
        &self,
        first_index: u32,
        max_clients: u32,
        min_hits: u32,
        reset: bool,
        time: CookedTime,
    ) -> ClientAccesses {
        let now = Ticks::at(time, self.phase_ns);
        // A table that is just being moved is complete, too.
        let mut reader = self.table.reader();
        let table = reader.get();
        // At most 2²⁴ records.
        let n_indices = (table.len() * SLOT_RECORDS) as u32;
        let most = (max_clients as usize).min(MAX_CLIENT_RECORDS);
        let mut clients = [ClientRecord::default(); MAX_CLIENT_RECORDS];
        let mut found = 0;
        let mut next_index = first_index;
        while next_index < n_indices && found < most {
            let index = next_index as usize;
            next_index += 1;
            let mut slot = lock(&table[index / SLOT_RECORDS]);
            let Some(record) = slot.records[index % SLOT_RECORDS].as_mut() else {
                continue;
            };
            if record.has_hits(min_hits)
                && let Some(client) = clients.get_mut(found)
            {
                *client = record.report(now);
                found += 1;
            }
            if reset {
                record.reset_counters();
            }
        }
        ClientAccesses {
            n_indices,
            next_index,
            n_clients: found as u32,
            clients,
        }
    }
}

/// The record of an address, made if there is room.
fn find_or_insert(slot: &mut Slot, address: IpAddr, full_buckets: [u16; 3]) -> Option<&mut Record> {
    let is_of_address =
        |record: &Option<Record>| record.as_ref().is_some_and(|record| record.is_of(address));
    let index = match slot.records.iter().position(is_of_address) {
        Some(index) => index,
        None => {
            let free = slot.records.iter().position(Option::is_none)?;
            slot.records[free] = Some(Record::new(address, full_buckets));
            free
        }
    };
    slot.records[index].as_mut()
}

/// The record of a full slot that is to be replaced.
fn oldest(slot: &Slot, now: Ticks) -> usize {
    slot.records
        .iter()
        .enumerate()
        .filter_map(|(index, record)| Some((record.as_ref()?.eviction_order(now), index)))
        .max_by_key(|&(order, _)| order)
        .map_or(0, |(_, index)| index)
}

fn empty_table(slots: usize) -> Table {
    (0..slots)
        .map(|_| {
            Mutex::new(Slot {
                records: [None; SLOT_RECORDS],
                moved: false,
            })
        })
        .collect()
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
