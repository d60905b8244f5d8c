//! Tests of the client log.

use std::net::Ipv4Addr;

use super::*;
use crate::random::SeededRandom;

const START_S: i64 = 1_795_000_000;

fn limit(interval: i32, burst: i32, leak: i32) -> Limit {
    Limit {
        enabled: true,
        interval,
        burst,
        leak,
        kod: 0,
    }
}

fn log(memory_limit: u64, ntp: &Limit) -> ClientLog {
    let limits = Limits::new(ntp, &Limit::NTS, &limit(1, 4, 4));
    ClientLog::new(memory_limit, limits, &mut SeededRandom::new(5))
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn at(milliseconds: i64) -> CookedTime {
    CookedTime::from_parts(START_S, milliseconds * 1_000_000)
}

fn record(
    log: &ClientLog,
    service: Service,
    address: IpAddr,
    time: CookedTime,
    random: &mut SeededRandom,
) -> Decision {
    log.record(&mut log.reader(), service, address, time, random)
}

fn all(log: &ClientLog, time: CookedTime) -> Vec<ClientRecord> {
    let mut clients = Vec::new();
    let mut next = 0;
    loop {
        let page = log.accesses_by_index(next, 8, 0, false, time);
        clients.extend(&page.clients[..page.n_clients as usize]);
        next = page.next_index;
        if next >= page.n_indices {
            return clients;
        }
    }
}

#[test]
fn grows_by_doubling_and_then_replaces_the_oldest() {
    let log = log(960 * 4, &Limit::NTP);
    let mut random = SeededRandom::new(1);
    let size = |log: &ClientLog| log.accesses_by_index(0, 0, 0, false, at(0)).n_indices;
    assert_eq!(size(&log), 8);
    for number in 0..8 {
        record(
            &log,
            Service::Ntp,
            address(number),
            at(number.into()),
            &mut random,
        );
    }
    assert_eq!((size(&log), log.replaced()), (8, 0));
    for number in 8..500 {
        record(
            &log,
            Service::Ntp,
            address(number),
            at(i64::from(number) * 100),
            &mut random,
        );
    }
    assert_eq!(size(&log), 32);
    let clients = all(&log, at(50_000));
    assert_eq!(clients.len(), 32);
    assert_eq!(log.replaced(), 500 - 32);
    // Each slot has kept its newest, so nothing older than a few rounds is left.
    assert!(clients.iter().all(|client| client.last_ntp_hit_ago_s < 15));
}

#[test]
fn capacity_is_that_of_the_limit() {
    for (memory_limit, slots) in [(0, 1), (959, 1), (524_288, 512), (u64::MAX, 1 << 21)] {
        assert_eq!(log(memory_limit, &Limit::NTP).max_slots, slots);
    }
}

#[test]
fn ties_of_age_are_decided_by_hits() {
    let log = log(960, &Limit::NTP);
    let mut random = SeededRandom::new(1);
    for number in 0..8 {
        record(&log, Service::Ntp, address(number), at(0), &mut random);
        if number != 3 {
            record(&log, Service::Command, address(number), at(0), &mut random);
        }
    }
    record(&log, Service::Ntp, address(100), at(0), &mut random);
    let left: Vec<_> = all(&log, at(0))
        .iter()
        .map(|client| client.address)
        .collect();
    assert!(!left.contains(&address(3).into()) && left.contains(&address(4).into()));
}

#[test]
fn counters_rates_and_reset() {
    let log = log(524_288, &Limit::NTP);
    let mut random = SeededRandom::new(1);
    for second in 0..5 {
        record(
            &log,
            Service::Ntp,
            address(1),
            at(second * 1000),
            &mut random,
        );
    }
    record(&log, Service::NtsKe, address(1), at(4000), &mut random);
    let client = all(&log, at(7100))[0];
    assert_eq!(
        (client.ntp_hits, client.nke_hits, client.cmd_hits),
        (5, 1, 0)
    );
    assert_eq!((client.ntp_interval, client.nke_interval), (0, 127));
    assert_eq!(client.last_ntp_hit_ago_s, 3);
    assert_eq!(client.last_cmd_hit_ago_s, u32::MAX);
    assert_eq!(client.ntp_timeout_interval, 127);

    let skipped = log.accesses_by_index(0, 8, 6, true, at(7100));
    assert_eq!(
        (skipped.n_clients, skipped.next_index),
        (0, skipped.n_indices)
    );
    assert_eq!(all(&log, at(7100))[0].ntp_hits, 0);
    let beyond = log.accesses_by_index(99, 8, 0, false, at(7100));
    assert_eq!((beyond.next_index, beyond.n_clients), (99, 0));
}

#[test]
fn limits_drop_and_count() {
    // One response in 8 s, two at once, and one in 16 of the others.
    let log = log(524_288, &limit(3, 2, 4));
    let mut random = SeededRandom::new(2);
    let mut ask = |log: &ClientLog, ms| record(log, Service::Ntp, address(1), at(ms), &mut random);
    assert_eq!(ask(&log, 0), Decision::Pass);
    assert_eq!(ask(&log, 10), Decision::Pass);
    let mut passed = 0;
    for request in 0..1000 {
        match ask(&log, 20 + request) {
            Decision::Pass => passed += 1,
            decision => assert_eq!(decision, Decision::Drop),
        }
    }
    let client = all(&log, at(1020))[0];
    assert_eq!(client.ntp_drops, 1000 - passed);
    assert!((30..100).contains(&passed), "{passed}");
    assert_ne!(client.ntp_timeout_interval, 127);
    // The bucket refills: one response after 8 s, two after 16 s.
    assert_eq!(ask(&log, 30_000), Decision::Pass);
    assert_eq!(ask(&log, 30_010), Decision::Pass);
    // Other services of the client have their own buckets.
    let mut random = SeededRandom::new(3);
    for _ in 0..4 {
        let decision = record(&log, Service::Command, address(1), at(30_011), &mut random);
        assert_eq!(decision, Decision::Pass);
    }
}

#[test]
fn threads_share_the_log() {
    let log = log(524_288, &Limit::NTP);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                let mut random = SeededRandom::new(thread);
                let mut reader = log.reader();
                for request in 0..5000u32 {
                    let client = address(request % 1000);
                    log.record(&mut reader, Service::Ntp, client, at(0), &mut random);
                }
            });
        }
    });
    let clients = all(&log, at(0));
    assert_eq!(clients.len(), 1000);
    assert!(clients.iter().all(|client| client.ntp_hits == 20));
}
