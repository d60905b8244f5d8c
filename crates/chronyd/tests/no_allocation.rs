//! Requests of every kind from many clients, through real sockets and all that a serving thread
//! does (wait, receive a batch, decide, send a batch, take transmit timestamps): once the tables
//! have their size nothing is allocated.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrony_conf::access::{AccessRule, Subnet};
use chrony_conf::limits::RateLimit;
use chronyd::answering::Answering;
use chronyd::random::KernelRandom;
use engine::random::SeededRandom;
use engine::server::{ClientLog, Limits, Published, Responder, ServerShared, ServerSnapshot};
use ntp_wire::ptp::{PREFIX_LENGTH, PtpPrefix};
use ntp_wire::{
    Header, Key, KeyKind, KeyRing, MessageWriter, Mode, MonotonicRoot, NtpTimestamp, Packet,
};
use nts::server::key_file::KeyFile;
use os_linux::event::{Interest, PollSet, Timeout};
use os_linux::socket::{
    InheritedSockets, IpFamily, Outgoing, ReceiveBatch, SendBatch, SocketSupport,
    TransmitTimestamps, UdpOptions,
};

#[path = "../../../tests/support/counting_allocator.rs"]
mod counting_allocator;

use counting_allocator::allocations;

/// The first address of the clients; the others follow. None of them needs to be configured.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 128, 0, 0);
/// This and the 255 after it are denied.
const DENIED: Ipv4Addr = Ipv4Addr::new(127, 3, 0, 0);
const PTP_DOMAIN: u8 = 123;
/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests that are answered before rate limiting begins.
const BURST: usize = 8;
/// Requests of a client that does not slow down.
const TOO_MANY: usize = 40;
/// Until the log of 4096 clients is full and replaces.
const ROUNDS_OF_WARM_UP: usize = 400;
const ROUNDS: usize = 400;

/// What a serving thread has.
struct Server {
    answering: Answering,
    shared: Arc<ServerShared>,
    set: PollSet,
    /// For NTP and for NTP over PTP.
    sockets: [UdpSocket; 2],
    allocations: u64,
}

fn open(support: &mut SocketSupport, address: Ipv4Addr) -> UdpSocket {
    let options = UdpOptions {
        bind: Some(SocketAddr::from((address, 0))),
        packet_info: true,
        timestamps: Some(TransmitTimestamps::PerMessage),
        ..UdpOptions::new(IpFamily::V4)
    };
    support.open_udp(&options).expect("socket").socket
}

fn snapshot(keys: &KeyRing) -> ServerSnapshot {
    let mut snapshot = ServerSnapshot::new(1e-8);
    let access = Arc::make_mut(&mut snapshot.access);
    for (allow, subnet) in [
        (true, Subnet::Any),
        (
            false,
            Subnet::Ipv4 {
                address: DENIED,
                prefix: 24,
            },
        ),
    ] {
        let rule = AccessRule {
            allow,
            all: false,
            subnet,
        };
        access.apply(&rule).expect("rule");
    }
    snapshot.keys = Arc::new(keys.clone());
    snapshot.ptp_domain = Some(PTP_DOMAIN);
    let nts_keys = KeyFile::parse(&nts_data("ntskeys_15")).unwrap().keys;
    snapshot.nts = Some(Arc::new(nts_keys));
    snapshot
}

impl Server {
    fn new(keys: &KeyRing) -> Self {
        let limit = RateLimit {
            enabled: true,
            burst: BURST as i32,
            kod: 1,
            ..RateLimit::NTP
        };
        let limits = Limits::new(&limit, &RateLimit::NTS, &RateLimit::COMMAND);
        let log = ClientLog::new(524_288, limits, &mut SeededRandom::new(1));
        let shared = Arc::new(ServerShared::new(Some(log)));
        let random = KernelRandom::new().expect("randomness");
        let responder = Responder::new(Arc::clone(&shared), Box::new(random));
        let snapshots = Published::new(snapshot(keys));
        let mut support = SocketSupport::probe(InheritedSockets::new(None));
        let sockets = [(); 2].map(|()| open(&mut support, Ipv4Addr::LOCALHOST));
        Self {
            answering: Answering::new(responder, snapshots.reader(), support.message_flags()),
            shared,
            set: PollSet::default(),
            sockets,
            allocations: 0,
        }
    }

    /// One turn of a serving thread.
    fn turn(&mut self) {
        let before = allocations();
        self.set.clear();
        for socket in &self.sockets {
            self.set
                .add(socket.as_fd(), Interest::READ | Interest::ERROR_QUEUE);
        }
        let waited = self.set.wait(Timeout::after(Duration::from_millis(1)));
        for (index, socket) in self.sockets.iter().enumerate() {
            let on_ptp = index == 1;
            let readiness = self.set.readiness(index);
            if readiness.error_queue() {
                self.answering
                    .take_transmit_timestamps(socket.as_fd(), on_ptp, &mut |_, _, _| {});
            }
            if readiness.readable() {
                self.answering
                    .serve(socket.as_fd(), on_ptp, &mut |leftover, _, _| {
                        panic!("{leftover:?}")
                    });
            }
        }
        self.allocations += allocations() - before;
        waited.expect("poll");
    }
}

/// All clients.
struct Clients {
    socket: UdpSocket,
    requests: SendBatch,
    replies: ReceiveBatch,
    /// The next address that nobody has used.
    next: u32,
}

/// Answers by the address that they were sent to.
type Answers = HashMap<Ipv4Addr, Vec<Vec<u8>>>;

impl Clients {
    fn new() -> Self {
        let mut support = SocketSupport::probe(InheritedSockets::new(None));
        Self {
            socket: open(&mut support, Ipv4Addr::UNSPECIFIED),
            requests: SendBatch::new(),
            replies: ReceiveBatch::new(),
            next: 0,
        }
    }

    fn fresh(&mut self) -> Ipv4Addr {
        self.next += 1;
        Ipv4Addr::from_bits(FIRST.to_bits() + self.next)
    }

    fn flush(&mut self) {
        self.requests
            .flush(self.socket.as_fd(), |_, error| panic!("send: {error}"));
    }

    fn send(&mut self, from: Ipv4Addr, to: SocketAddr, datagram: &[u8]) {
        if self.requests.is_full() {
            self.flush();
        }
        let buffer = self.requests.buffer().expect("room");
        buffer[..datagram.len()].copy_from_slice(datagram);
        let outgoing = Outgoing {
            destination: Some(to),
            source: Some(from.into()),
            ..Outgoing::default()
        };
        self.requests.commit(datagram.len(), &outgoing);
    }

    /// Sends requests, and last one that is answered in any case: then the server has dealt with
    /// all of them.
    fn exchange(
        &mut self,
        server: &mut Server,
        on_ptp: bool,
        requests: &[(Ipv4Addr, &[u8])],
    ) -> Answers {
        let to = server.sockets[usize::from(on_ptp)].local_addr().unwrap();
        for (from, datagram) in requests {
            self.send(*from, to, datagram);
        }
        let last = self.fresh();
        let header = plain().to_bytes();
        match on_ptp {
            true => self.send(last, to, &over_ptp(&header)),
            false => self.send(last, to, &header),
        }
        self.flush();
        let mut answers = Answers::new();
        let begin = Instant::now();
        while !answers.contains_key(&last) {
            assert!(begin.elapsed() < PATIENCE, "no answer");
            server.turn();
            while self.replies.receive(self.socket.as_fd()).is_ok() {
                for reply in self.replies.iter() {
                    let Some(IpAddr::V4(local)) = reply.ancillary.local else {
                        panic!("answer without address");
                    };
                    answers.entry(local).or_default().push(reply.data.to_vec());
                }
            }
        }
        answers
    }

    /// A client in interleaved mode.
    fn interleave(&mut self, server: &mut Server) {
        let address = self.fresh();
        let mut header = plain();
        for _ in 0..5 {
            let request = header.to_bytes();
            let answers = self.exchange(server, false, &[(address, &request)]);
            let answer = Packet::parse(&answers[&address][0]).unwrap().header;
            header.origin = answer.receive;
            header.receive = NtpTimestamp::from_bits(header.receive.to_bits() + 8);
        }
    }
}

/// A request without anything else.
fn plain() -> Header {
    Header {
        version: 4,
        mode: Mode::Client,
        transmit: NtpTimestamp::from_bits(6),
        ..Header::default()
    }
}

fn over_ptp(message: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; PREFIX_LENGTH];
    let prefix = datagram.first_chunk_mut().unwrap();
    // 48 bytes in these tests.
    PtpPrefix::new(message.len() as u16, PTP_DOMAIN, 0).emit(prefix);
    datagram.extend(message);
    datagram
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

fn build(finish: impl Fn(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = [0; 200];
    let mut writer = MessageWriter::new(&mut buffer);
    writer.header(&plain()).unwrap();
    finish(&mut writer);
    writer.written().to_vec()
}

/// Requests that are answered: plain, with a field, with each type of key, with NTS, and with NTS
/// that is not authentic (by a NAK).
fn good(keys: &KeyRing) -> Vec<Vec<u8>> {
    let mut forged = nts_request();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let root = MonotonicRoot::default().to_body();
    let mut requests = vec![
        build(|_| {}),
        build(|writer| writer.extension(0xf323, &root).unwrap()),
        nts_request(),
        forged,
    ];
    requests.extend((1..=KeyKind::ALL.len() as u32).map(|id| {
        let key = keys.get(id).unwrap();
        build(|writer| writer.sign(key, 4).unwrap())
    }));
    requests
}

/// Datagrams that are not answered: malformed, not requests, not authentic.
fn bad(keys: &KeyRing) -> Vec<Vec<u8>> {
    let mut forged = build(|writer| writer.sign(keys.get(1).unwrap(), 4).unwrap());
    forged[50] ^= 1;
    let mut answer = build(|_| {});
    answer[0] = 0x24;
    let mut overlong_field = build(|writer| writer.extension(0xf323, &[0; 24]).unwrap());
    overlong_field[50] = 0xff;
    vec![
        vec![],
        vec![0x23],
        vec![0x23; 47],
        vec![0x23; 51],
        vec![0xff; 1200],
        forged,
        answer,
        overlong_field,
    ]
}

/// Requests of all kinds, each from addresses of its own.
fn round(
    server: &mut Server,
    clients: &mut Clients,
    good: &[Vec<u8>],
    bad: &[Vec<u8>],
    number: usize,
) {
    let from_fresh = |clients: &mut Clients, requests: &'_ [Vec<u8>]| -> Vec<Ipv4Addr> {
        requests.iter().map(|_| clients.fresh()).collect()
    };
    for (requests, answered) in [(good, true), (bad, false)] {
        let addresses = from_fresh(clients, requests);
        let sent: Vec<(Ipv4Addr, &[u8])> = addresses
            .iter()
            .copied()
            .zip(requests.iter().map(Vec::as_slice))
            .collect();
        let answers = clients.exchange(server, false, &sent);
        for (index, address) in addresses.iter().enumerate() {
            assert_eq!(answers.contains_key(address), answered, "{index}");
        }
    }
    let request = plain().to_bytes();
    let denied = Ipv4Addr::from_bits(DENIED.to_bits() + number as u32 % 256);
    let answers = clients.exchange(server, false, &[(denied, &request)]);
    assert!(!answers.contains_key(&denied));
    let wrapped = over_ptp(&request);
    let address = clients.fresh();
    let answers = clients.exchange(server, true, &[(address, &wrapped), (address, &request)]);
    assert_eq!(answers[&address].len(), 1);
    clients.interleave(server);
    let fast = clients.fresh();
    let answers = clients.exchange(server, false, &[(fast, request.as_slice()); TOO_MANY]);
    assert!(answers[&fast].len() >= BURST);
}

#[test]
fn nothing_is_allocated() {
    let keys = KeyRing::new((1..).zip(KeyKind::ALL).map(|(id, kind)| {
        let secret = vec![7; kind.secret_length().unwrap_or(20)];
        Key::new(id, kind, &secret).unwrap()
    }));
    let (good, bad) = (good(&keys), bad(&keys));
    let mut server = Server::new(&keys);
    let mut clients = Clients::new();
    for number in 0..ROUNDS_OF_WARM_UP {
        round(&mut server, &mut clients, &good, &bad, number);
    }
    let log = server.shared.client_log().unwrap();
    assert!(log.replaced() > 0, "the log is not full");
    let before = server.shared.counters().sum();
    // The counter itself works: the tables grew.
    assert!(server.allocations > 0);
    server.allocations = 0;
    for number in 0..ROUNDS {
        round(&mut server, &mut clients, &good, &bad, number);
    }
    assert_eq!(server.allocations, 0);
    let counts = server.shared.counters().sum();
    let since =
        |count: fn(&engine::server::counters::ServerCounts) -> u64| count(&counts) - count(&before);
    let rounds = ROUNDS as u64;
    assert_eq!(since(|counts| counts.interleaved), 3 * rounds);
    assert_eq!(
        since(|counts| counts.authenticated),
        (KeyKind::ALL.len() as u64 + 1) * rounds
    );
    assert!(since(|counts| counts.dropped) > rounds);
    println!("{counts:?}");
}
