//! Malformed, unauthentic and spoofed floods against the real program. No answer is longer
//! than its request, nothing that is no request is answered, answers are not answered, memory
//! stays where it was, and the counters are right.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use control_wire::{ClientAccessesRequest, Reply, Request};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrStorage, bind,
    sendto, socket,
};
use ntp_wire::{Header, Key, KeyKind, MessageWriter, Mode, NtpTimestamp, Packet};
use support::flood::{Flood, Random};
use support::network::{bound, own_network};
use support::server::{ANSWER_TIMEOUT, Server};
use support::{uninterrupted, wait_until};

mod support;

/// Longest datagram of the floods: that of Ethernet's payload.
const LENGTH_MAX: usize = 1500;
/// Longest NTP packet (ntp chapter, section 1).
const PACKET_MAX: usize = 1140;
const HEADER: usize = 48;
/// Memory that may come with working buffers of the allocator, KiB.
const GROWTH_MAX_KIB: u64 = 512;

/// What has to happen to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Neither counted nor answered.
    Ignored,
    /// Counted as a request, but not answered.
    Counted,
    /// Counted and answered.
    Answered,
}

/// Datagrams of one flood and what has to become of them.
struct Expectation<'a> {
    server: &'a Server,
    flood: Flood,
    fates: Vec<(Fate, usize)>,
    hits_before: u64,
}

impl<'a> Expectation<'a> {
    fn new(server: &'a Server) -> Self {
        Self {
            server,
            flood: Flood::new(),
            fates: Vec::new(),
            hits_before: server.statistics().ntp_hits,
        }
    }

    fn send(&mut self, datagram: &[u8], fate: Fate) {
        self.fates.push((fate, datagram.len()));
        self.flood.send(datagram);
        // No more than the server's socket holds.
        if self.fates.len().is_multiple_of(64) {
            self.wait();
        }
    }

    fn count(&self, fates: &[Fate]) -> usize {
        self.fates
            .iter()
            .filter(|(fate, _)| fates.contains(fate))
            .count()
    }

    /// Waits until everything sent so far is counted and answered as expected; then nothing
    /// is lost.
    fn wait(&mut self) {
        let hits = self.hits_before + self.count(&[Fate::Counted, Fate::Answered]) as u64;
        let answered = self.count(&[Fate::Answered]);
        // A last request from elsewhere: when it is answered, the server has seen all before it.
        self.flood.exchange();
        let control = bound(SocketAddr::from(([127, 0, 0, 100], 0)));
        control.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        control
            .send_to(&client_request(4).to_bytes(), "127.0.0.1:123")
            .unwrap();
        uninterrupted(|| control.recv(&mut [0; 100])).expect("control answer");
        self.hits_before += 1;
        wait_until("answers", || {
            self.flood.exchange();
            (self.flood.answers.len() >= answered).then_some(())
        });
        assert_eq!(
            self.server.statistics().ntp_hits,
            hits + 1,
            "after {} datagrams",
            self.fates.len()
        );
    }

    /// Checks each answer.
    fn finish(mut self) -> usize {
        self.wait();
        for (number, (answer, copies)) in &self.flood.answers {
            let (fate, length) = self.fates[*number as usize];
            assert_eq!((fate, *copies), (Fate::Answered, 1), "{number}");
            assert!(
                answer.len() <= length,
                "{number}: {} of {length}",
                answer.len()
            );
            let mode = Packet::parse(answer).unwrap().header.mode;
            assert!(
                matches!(mode, Mode::Server | Mode::SymmetricPassive),
                "{number}"
            );
        }
        assert_eq!(self.flood.answers.len(), self.count(&[Fate::Answered]));
        self.fates.len()
    }
}

fn client_request(version: u8) -> Header {
    Header {
        version,
        mode: Mode::Client,
        transmit: NtpTimestamp::from_bits(0x0123_4567_89ab_cdef),
        ..Header::default()
    }
}

/// The fate of a datagram whose bytes behind the header are no extension field.
fn fate(datagram: &[u8]) -> Fate {
    let length = datagram.len();
    if !(HEADER..=PACKET_MAX).contains(&length) || !length.is_multiple_of(4) {
        return Fate::Ignored;
    }
    let (version, mode) = (datagram[0] >> 3 & 7, datagram[0] & 7);
    let well_formed = match version {
        1..=3 => true,
        // A header alone, or with a MAC, or a crypto-NAK.
        4 => matches!(length - HEADER, 0 | 20 | 24) || length == 52 && datagram[HEADER..] == [0; 4],
        _ => false,
    };
    let is_request = mode == 3 || mode == 1 || mode == 0 && version == 1;
    match (well_formed && is_request, length) {
        (false, _) => Fate::Ignored,
        (true, HEADER) => Fate::Answered,
        // There is no key that fits.
        (true, _) => Fate::Counted,
    }
}

/// Makes sure that what is behind the header is no extension field: its length is odd.
fn spoil_field(datagram: &mut [u8]) {
    if let Some(length) = datagram.get_mut(HEADER + 3) {
        *length |= 1;
    }
}

#[test]
fn every_length_with_bytes_of_every_kind() {
    if !own_network() {
        return;
    }
    let mut server = Server::start(&["local", "allow", "clientloglimit 100000"]);
    let mut random = Random::new(5);
    let mut sent = 0;
    let mut memory = Vec::new();
    for _ in 0..2 {
        let mut flood = Expectation::new(&server);
        for length in 0..=LENGTH_MAX {
            let mut noise = random.bytes(length);
            spoil_field(&mut noise);
            flood.send(&noise, fate(&noise));
            for (version, zeros) in [(4, false), (4, true), (3, false), (1, true)] {
                let mut datagram = client_request(version).to_bytes().to_vec();
                datagram.resize(length, 0);
                if !zeros && length > HEADER {
                    datagram[HEADER..].copy_from_slice(&noise[HEADER..]);
                }
                flood.send(&datagram, fate(&datagram));
            }
        }
        sent += flood.finish();
        memory.push(server.process().resident_kib());
    }
    assert!(sent > 15_000);
    assert!(memory[1] <= memory[0] + GROWTH_MAX_KIB, "{memory:?} KiB");
    let statistics = server.statistics();
    assert_eq!((statistics.ntp_drops, statistics.ntp_auth_hits), (0, 0));
}

const TYPES: [(KeyKind, usize); 11] = [
    (KeyKind::Md5, 16),
    (KeyKind::Sha1, 20),
    (KeyKind::Sha256, 20),
    (KeyKind::Sha384, 20),
    (KeyKind::Sha512, 20),
    (KeyKind::Sha3_224, 20),
    (KeyKind::Sha3_256, 20),
    (KeyKind::Sha3_384, 20),
    (KeyKind::Sha3_512, 20),
    (KeyKind::Aes128, 16),
    (KeyKind::Aes256, 32),
];

#[test]
fn broken_macs_and_fields() {
    if !own_network() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let mut random = Random::new(6);
    let mut file = String::new();
    let mut keys = Vec::new();
    for (index, (kind, length)) in TYPES.into_iter().enumerate() {
        let id = u32::try_from(index).unwrap() + 1;
        let secret = random.bytes(length);
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        file += &format!("{id} {} HEX:{hex}\n", kind.name());
        keys.push(Key::new(id, kind, &secret).unwrap());
    }
    fs::write(&path, file).unwrap();
    let keyfile = format!("keyfile {}", path.display());
    let server = Server::start(&["local", "allow", &keyfile]);
    let mut flood = Expectation::new(&server);
    let mut authentic = 0;
    for version in 1..=4 {
        for key in &keys {
            let mut buffer = [0; 200];
            let mut writer = MessageWriter::new(&mut buffer);
            writer.header(&client_request(version)).unwrap();
            writer.sign(key, version).unwrap();
            let length = writer.length();
            flood.send(&buffer[..length], Fate::Answered);
            authentic += 1;
            // One bit of anything but version and mode; of the key ID as well.
            for at in 1..length {
                let mut broken = buffer[..length].to_vec();
                broken[at] ^= 1 << (random.next() % 8);
                flood.send(&broken, Fate::Counted);
            }
            // A MAC that is cut short, or goes on.
            for cut in [4, 8, 12] {
                let broken = &buffer[..length - cut];
                flood.send(broken, fate(broken));
            }
        }
    }
    // Fields that claim to be longer or shorter than what there is.
    for length in (76..=PACKET_MAX).step_by(4) {
        for claimed in [
            0u16,
            4,
            12,
            15,
            17,
            u16::try_from(length).unwrap(),
            0xfffc,
            0xffff,
        ] {
            for kind in [0x0104u16, 0x0204, 0x0404, 0x010a, 0xf323, 0x7777] {
                let mut datagram = client_request(4).to_bytes().to_vec();
                datagram.extend(kind.to_be_bytes());
                datagram.extend(claimed.to_be_bytes());
                datagram.resize(length, 0x55);
                flood.send(&datagram, Fate::Ignored);
            }
        }
    }
    // NTS fields without a server for it.
    for kind in [0x0104u16, 0x0204, 0x0304, 0x0404] {
        let mut datagram = client_request(4).to_bytes().to_vec();
        datagram.extend([kind.to_be_bytes(), 36u16.to_be_bytes()].concat());
        datagram.resize(HEADER + 36, 0x55);
        flood.send(&datagram, Fate::Counted);
    }
    assert!(flood.finish() > 10_000);
    let statistics = server.statistics();
    assert_eq!(statistics.ntp_auth_hits, authentic);
}

/// Sends a datagram with any source address and port.
fn spoof(from: ([u8; 4], u16), to: u16, payload: &[u8]) {
    let flags = SockFlag::SOCK_CLOEXEC;
    let raw = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Udp).unwrap();
    let source = SockaddrStorage::from(SocketAddr::from((from.0, 0)));
    bind(raw.as_raw_fd(), &source).unwrap();
    let length = u16::try_from(8 + payload.len()).unwrap();
    // Ports, length, and no checksum (RFC 768).
    let mut datagram = [from.1, to, length, 0].map(u16::to_be_bytes).concat();
    datagram.extend(payload);
    let destination = SockaddrIn::new(127, 0, 0, 1, 0);
    sendto(raw.as_raw_fd(), &datagram, &destination, MsgFlags::empty()).unwrap();
}

#[test]
fn answers_are_not_answered() {
    if !own_network() {
        return;
    }
    let server = Server::start(&["local", "allow", "bindaddress 127.0.0.1"]);
    // Every mode from every port a server may have, the server's own address among the sources.
    let mut requests = 0;
    let other = bound(SocketAddr::from(([127, 0, 0, 9], 123)));
    other.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    for version in 0..8u8 {
        for mode in 0..8u8 {
            let mut packet = client_request(4).to_bytes();
            packet[0] = version << 3 | mode;
            // A request is answered to the other server …
            let is_request = (1..=4).contains(&version) && matches!(mode, 1 | 3);
            spoof(([127, 0, 0, 9], 123), 123, &packet);
            requests += u64::from(is_request);
            if is_request {
                let mut answer = [0; 200];
                let length = uninterrupted(|| other.recv(&mut answer)).unwrap();
                assert_eq!(length, HEADER);
                // … whose copy of it is not answered.
                spoof(([127, 0, 0, 9], 123), 123, &answer[..length]);
            }
            // The server's own address and port: it gets its answer, and leaves it at that.
            spoof(([127, 0, 0, 1], 123), 123, &packet);
            requests += u64::from(is_request);
        }
    }
    let control = bound(SocketAddr::from(([127, 0, 0, 100], 0)));
    control.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    // After the second answer everything that the first turn has sent was received.
    for _ in 0..3 {
        control
            .send_to(&client_request(4).to_bytes(), "127.0.0.1:123")
            .unwrap();
        uninterrupted(|| control.recv(&mut [0; 100])).expect("control answer");
    }
    assert_eq!(server.statistics().ntp_hits, requests + 3);
    other.set_nonblocking(true).unwrap();
    assert!(other.recv(&mut [0; 100]).is_err());
}

#[test]
fn broadcast_requests_are_not_answered() {
    if !own_network() {
        return;
    }
    let server = Server::start(&["local", "allow"]);
    let client = bound(SocketAddr::from(([127, 0, 0, 9], 0)));
    client.set_broadcast(true).unwrap();
    client.set_nonblocking(true).unwrap();
    let mut broadcast = client_request(4).to_bytes();
    let other = client_request(4).to_bytes();
    // Each computer of a network would send an answer. What the kernel loses is sent again.
    broadcast[40] ^= 0x80;
    wait_until("the broadcast", || {
        client.send_to(&broadcast, "127.255.255.255:123").unwrap();
        (server.statistics().ntp_hits > 0).then_some(())
    });
    // An answer to the broadcast would come first.
    let answer = wait_until("an answer", || {
        client.send_to(&other, "127.0.0.1:123").unwrap();
        let mut answer = [0; HEADER];
        client.recv(&mut answer).ok().map(|_| answer)
    });
    assert_eq!(answer[24..32], other[40..], "the broadcast is answered");
}

/// Sources in the flood of addresses.
const ADDRESSES: u32 = 20_000;

#[test]
fn many_addresses_fill_the_log_and_no_more() {
    if !own_network() {
        return;
    }
    // 10 slots, of which a power of two is used: 64 records.
    let mut server = Server::start(&["local", "allow", "clientloglimit 9600"]);
    let mut memory = Vec::new();
    let capacity = 64;
    for _ in 0..2 {
        let mut flood = Expectation::new(&server);
        for number in 0..ADDRESSES {
            // An interleaved request, for which the answer's time is kept.
            let request = Header {
                origin: NtpTimestamp::from_bits(u64::from(number) << 8 | 1),
                receive: NtpTimestamp::from_bits(2),
                ..client_request(4)
            };
            flood.send(&request.to_bytes(), Fate::Answered);
        }
        flood.finish();
        memory.push(server.process().resident_kib());
    }
    assert!(memory[1] <= memory[0] + GROWTH_MAX_KIB, "{memory:?} KiB");
    let statistics = server.statistics();
    assert_eq!(statistics.ntp_timestamps, capacity);
    let replaced = statistics.log_drops;
    // Each of the addresses was new; so was that of the control requests, now and then.
    let fewest = 2 * u64::from(ADDRESSES) - capacity;
    assert!(
        (fewest..fewest + 2000).contains(&replaced),
        "{replaced}, at least {fewest}"
    );
    let mut seen = BTreeSet::new();
    let mut next = 0;
    while next < u32::try_from(capacity).unwrap() {
        let Reply::ClientAccesses(part) =
            server.ask(Request::ClientAccesses(ClientAccessesRequest {
                first_index: next,
                n_clients: 8,
                min_hits: 0,
                reset: 0,
            }))
        else {
            panic!("clients");
        };
        assert_eq!(u64::from(part.n_indices), capacity);
        let clients = &part.clients[..part.n_clients as usize];
        seen.extend(clients.iter().map(|client| client.address));
        next = part.next_index;
    }
    assert_eq!(seen.len() as u64, capacity);
}
