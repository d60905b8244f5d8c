//! Answering a request allocates nothing, whatever kind of request it is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrony_conf::access::{AccessRule, Subnet};
use chrony_conf::limits::RateLimit;
use discipline::time::RawTime;
use engine::event::{PacketTime, TimestampSource};
use engine::random::SeededRandom;
use engine::server::{
    ClientLog, Limits, Outcome, Request, Responder, ResponseBuffer, ServerShared, ServerSnapshot,
};
use ntp_wire::ptp::{PREFIX_LENGTH, PtpPrefix};
use ntp_wire::{Header, Key, KeyKind, KeyRing, MessageWriter, Mode, MonotonicRoot, NtpTimestamp};
use nts::server::key_file::KeyFile;

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const START: RawTime = RawTime::from_ns(1_795_471_883_000_000_000);

struct Server {
    responder: Responder,
    snapshot: ServerSnapshot,
    buffer: ResponseBuffer,
    answered: u64,
}

impl Server {
    fn ask(&mut self, payload: &[u8], number: u32, on_ptp: bool) -> Outcome {
        let received = START.plus(f64::from(number) * 1e-3);
        let remote = SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 4000));
        let request = Request {
            payload,
            remote,
            on_ptp,
            received: PacketTime {
                raw: received,
                source: TimestampSource::Kernel,
            },
            receive_duration_s: None,
            from_association: false,
        };
        let clock = || received.plus(30e-6);
        let outcome = self
            .responder
            .respond(&request, &self.snapshot, clock, &mut self.buffer);
        if let Outcome::Reply {
            length,
            wants_timestamp: true,
        } = outcome
        {
            let sent = PacketTime {
                raw: received.plus(40e-6),
                source: TimestampSource::Kernel,
            };
            let payload = &self.buffer[..length];
            self.responder
                .note_transmit(payload, on_ptp, sent, &self.snapshot);
        }
        self.answered += u64::from(matches!(outcome, Outcome::Reply { .. }));
        outcome
    }
}

fn server(keys: KeyRing) -> Server {
    let limits = Limits::new(
        &RateLimit {
            enabled: true,
            ..RateLimit::NTP
        },
        &RateLimit::NTS,
        &RateLimit::COMMAND,
    );
    let log = ClientLog::new(524_288, limits, &mut SeededRandom::new(1));
    let shared = Arc::new(ServerShared::new(Some(log)));
    let mut snapshot = ServerSnapshot::new(1e-8);
    Arc::make_mut(&mut snapshot.access)
        .apply(&AccessRule {
            allow: true,
            all: false,
            subnet: Subnet::Any,
        })
        .unwrap();
    snapshot.keys = Arc::new(keys);
    snapshot.ptp_domain = Some(123);
    let nts_keys = KeyFile::parse(&nts_data("ntskeys_15")).unwrap().keys;
    snapshot.nts = Some(Arc::new(nts_keys));
    Server {
        responder: Responder::new(shared, Box::new(SeededRandom::new(2))),
        snapshot,
        buffer: [0; _],
        answered: 0,
    }
}

fn nts_data(file: &str) -> String {
    let path = format!("{}/../../tests/data/nts/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// A captured request with NTS for eight cookies.
fn nts_request() -> Vec<u8> {
    let text = nts_data("ntp_server_siv.tsv");
    let line = text
        .lines()
        .find(|line| line.starts_with("7_placeholders\t"));
    let hex = line.unwrap().split('\t').nth(2).unwrap();
    (0..hex.len() / 2)
        .map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
        .collect()
}

/// Requests of all kinds: plain, interleaved, with fields, with each type of key, over PTP, with NTS,
/// malformed, not authentic.
fn requests(keys: &KeyRing) -> Vec<(Vec<u8>, bool)> {
    let header = Header {
        version: 4,
        mode: Mode::Client,
        origin: NtpTimestamp::from_bits(1),
        transmit: NtpTimestamp::from_bits(6),
        ..Header::default()
    };
    let build = |finish: &dyn Fn(&mut MessageWriter<'_>)| {
        let mut buffer = [0; 1200];
        let mut writer = MessageWriter::new(&mut buffer);
        writer.header(&header).unwrap();
        finish(&mut writer);
        writer.written().to_vec()
    };
    let mut requests = vec![(build(&|_| {}), false), (vec![0x23; 47], false)];
    let root = MonotonicRoot::default().to_body();
    requests.push((
        build(&|writer| writer.extension(0xf323, &root).unwrap()),
        false,
    ));
    for id in 1..=KeyKind::ALL.len() as u32 {
        let key = keys.get(id).unwrap();
        requests.push((build(&|writer| writer.sign(key, 4).unwrap()), false));
    }
    let mut forged = requests.last().unwrap().0.clone();
    forged[50] ^= 1;
    requests.push((forged, false));
    let mut over_ptp = vec![0; PREFIX_LENGTH];
    PtpPrefix::new(48, 123, 0).emit(over_ptp.first_chunk_mut().unwrap());
    over_ptp.extend(header.to_bytes());
    requests.push((over_ptp, true));
    requests.push((nts_request(), false));
    requests
}

#[test]
fn nothing_is_allocated() {
    let keys = KeyRing::new((1..).zip(KeyKind::ALL).map(|(id, kind)| {
        let secret = vec![7; kind.secret_length().unwrap_or(20)];
        Key::new(id, kind, &secret).unwrap()
    }));
    let requests = requests(&keys);
    let mut server = server(keys);
    // The tables grow to their limits.
    for number in 0..30_000 {
        server.ask(&requests[0].0, number, false);
    }
    server.answered = 0;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for number in 30_000..60_000 {
        let (payload, on_ptp) = &requests[number as usize % requests.len()];
        server.ask(payload, number, *on_ptp);
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(server.answered > 20_000, "{}", server.answered);
    assert_eq!(allocations, 0);
}
