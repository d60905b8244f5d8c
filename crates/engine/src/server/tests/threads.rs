//! Several threads serve with one log.

use std::net::SocketAddr;
use std::sync::Arc;

use discipline::time::RawTime;
use ntp_wire::{Header, Mode, NtpTimestamp};

use super::harness::{Server, Setup};
use crate::event::{PacketTime, TimestampSource};
use crate::random::{RandomSource, SeededRandom};
use crate::server::published::{Published, Reader};
use crate::server::responder::{Ignored, Outcome, Request, Responder, ResponseBuffer};
use crate::server::snapshot::ServerSnapshot;
use crate::server::statistics::OtherCounts;

const START: RawTime = RawTime::from_ns(1_795_471_883_000_000_000);
const THREADS: u32 = 4;
const REQUESTS: u32 = 20_000;
/// One request in this many is garbage.
const GARBAGE: u32 = 100;

fn request(payload: &[u8], client: u32, received: RawTime) -> Request<'_> {
    Request {
        payload,
        remote: SocketAddr::from((client.to_be_bytes(), 4000)),
        on_ptp: false,
        received: PacketTime {
            raw: received,
            source: TimestampSource::Kernel,
        },
        receive_duration_s: None,
        from_association: false,
    }
}

#[test]
fn an_exchange_may_go_on_with_another_thread() {
    let server = Server::new(Setup::default());
    let mut buffer: ResponseBuffer = [0; _];
    let mut origin = NtpTimestamp::from_bits(1);
    let mut interleaved = 0;
    for number in 0..10u32 {
        let random = Box::new(SeededRandom::new(number.into()));
        let mut responder = Responder::new(Arc::clone(&server.shared), random);
        let asked = Header {
            version: 4,
            mode: Mode::Client,
            origin,
            receive: NtpTimestamp::from_bits(u64::from(number) << 8 | 2),
            transmit: NtpTimestamp::from_bits(u64::from(number) << 8 | 4),
            ..Header::default()
        };
        let payload = asked.to_bytes();
        let received = START.plus(f64::from(number));
        let seen = request(&payload, 0x0a00_0001, received);
        let outcome = responder.respond(&seen, &server.snapshot, || received, &mut buffer);
        assert!(matches!(outcome, Outcome::Reply { .. }));
        let answer = Header::parse(buffer.first_chunk().unwrap());
        interleaved += u32::from(answer.origin == asked.receive);
        origin = answer.receive;
    }
    // The first origin is not the server's.
    assert_eq!(interleaved, 9);
}

/// What one thread of the soak saw.
fn soak(responder: &mut Responder, mut snapshots: Reader<ServerSnapshot>, thread: u32) -> u32 {
    let mut random = SeededRandom::new(u64::from(thread) + 77);
    let mut buffer: ResponseBuffer = [0; _];
    let mut answered = 0;
    let mut garbage = [0; 1500];
    for number in 0..REQUESTS {
        let received = START.plus(f64::from(number) * 1e-4);
        let client = 0x0a00_0000 | random.next_u32() & 0xffff;
        let asked = Header {
            version: 4,
            mode: Mode::Client,
            origin: NtpTimestamp::from_bits(random.next_u64() | 1),
            transmit: NtpTimestamp::from_bits(random.next_u64()),
            ..Header::default()
        };
        let is_garbage = number % GARBAGE == 0;
        let payload = if is_garbage {
            random.fill(&mut garbage);
            // Of version 0, so that it is never by chance a request.
            garbage[0] &= 0b1100_0111;
            &garbage[..random.below(1500)]
        } else {
            &asked.to_bytes()
        };
        let seen = request(payload, client, received);
        let snapshot = snapshots.get();
        let outcome = responder.respond(&seen, snapshot, || received, &mut buffer);
        if is_garbage {
            assert_eq!(outcome, Outcome::Ignored(Ignored::Malformed));
            continue;
        }
        let Outcome::Reply { length: 48, .. } = outcome else {
            panic!("{outcome:?}");
        };
        let answer = Header::parse(buffer.first_chunk().unwrap());
        assert_eq!(answer.origin, asked.transmit);
        assert_eq!(answer.stratum, 5);
        answered += 1;
    }
    answered
}

#[test]
fn many_clients_and_some_garbage() {
    let server = Server::new(Setup::default());
    let published = Published::new(server.snapshot.clone());
    let answered: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let shared = Arc::clone(&server.shared);
                let snapshots = published.reader();
                scope.spawn(move || {
                    let random = Box::new(SeededRandom::new(thread.into()));
                    soak(&mut Responder::new(shared, random), snapshots, thread)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(answered, THREADS * REQUESTS / GARBAGE * (GARBAGE - 1));
    let statistics = server.shared.statistics(OtherCounts::default());
    assert_eq!(statistics.ntp_hits, u64::from(answered));
    assert_eq!(statistics.ntp_kernel_rx_timestamps, u64::from(answered));
    assert_eq!(statistics.ntp_daemon_tx_timestamps, u64::from(answered));
    assert_eq!(statistics.ntp_drops, 0);
    // State stays within its limit: 4096 clients and as many timestamps.
    let log = server.shared.client_log().unwrap();
    let time = server.snapshot.time.cook(START);
    assert_eq!(log.accesses_by_index(0, 0, 0, false, time).n_indices, 4096);
    assert!(statistics.ntp_timestamps <= 4096);
    assert!(statistics.log_drops > 40_000);
}
