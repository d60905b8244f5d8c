//! What a server sends by itself: broadcasts and packets to peers, seen on an interface of two
//! networks of the test's own, beside what the reference was recorded to send.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{Ipv6Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use ntp_wire::{Header, NtpTimestamp, Packet};
use support::network::{bound, ip, own_network};
use support::server::{ANSWER_TIMEOUT, Server};
use support::uninterrupted;

mod support;

const BROADCASTS: &str = include_str!("../../../tests/data/ntp/broadcast.tsv");
const INTERLEAVED: &str = include_str!("../../../tests/data/ntp/interleaved.tsv");

/// Two networks joined by a wire; the thread is in the first, which has 10.77.0.1.
struct Networks {
    second: Child,
}

impl Networks {
    fn new() -> Option<Self> {
        if !own_network() {
            return None;
        }
        let first = File::open("/proc/thread-self/ns/net").unwrap();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let second = Command::new("sleep").arg("600").spawn().unwrap();
        ip("link set lo up");
        setns(&first, CloneFlags::CLONE_NEWNET).unwrap();
        let networks = Self { second };
        let pid = networks.second.id();
        ip(&format!(
            "link add wire type veth peer name wire netns {pid}"
        ));
        ip("address add 10.77.0.1/24 broadcast 10.77.0.255 dev wire");
        ip("address add fe80::1/64 dev wire nodad");
        ip("link set wire up");
        networks.in_second(|| {
            ip("address add 10.77.0.2/24 broadcast 10.77.0.255 dev wire");
            ip("address add fe80::2/64 dev wire nodad");
            ip("link set wire up");
        });
        Some(networks)
    }

    /// Does something in the second network.
    fn in_second<T>(&self, action: impl FnOnce() -> T) -> T {
        let first = File::open("/proc/thread-self/ns/net").unwrap();
        let second = File::open(format!("/proc/{}/ns/net", self.second.id())).unwrap();
        setns(&second, CloneFlags::CLONE_NEWNET).unwrap();
        let result = action();
        setns(&first, CloneFlags::CLONE_NEWNET).unwrap();
        result
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.second.kill();
        let _ = self.second.wait();
    }
}

/// The recorded packets of a case: direction and payload.
fn recorded(text: &str, case: &str) -> Vec<(String, Header)> {
    let rows = text.lines().map(|row| row.split('\t').collect::<Vec<_>>());
    let of_case = rows.filter(|columns| columns[0] == case);
    of_case
        .map(|columns| {
            let digits = columns[9].as_bytes().chunks(2);
            let bytes: Vec<u8> = digits
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect();
            (columns[2].to_owned(), Packet::parse(&bytes).unwrap().header)
        })
        .collect()
}

/// The header without what depends on the clock.
fn without_times(header: Header) -> Header {
    Header {
        reference_time: NtpTimestamp::ZERO,
        origin: NtpTimestamp::ZERO,
        receive: NtpTimestamp::ZERO,
        transmit: NtpTimestamp::ZERO,
        ..header
    }
}

#[test]
fn broadcasts() {
    let Some(networks) = Networks::new() else {
        return;
    };
    let everybody: Ipv6Addr = "ff02::101".parse().unwrap();
    for (case, directives, receiver) in [
        (
            "bcast-local",
            &["local stratum 5", "broadcast 1 10.77.0.255"][..],
            "0.0.0.0:123",
        ),
        ("bcast-unsync", &["broadcast 2 10.77.0.255"], "0.0.0.0:123"),
        (
            "bcast-port",
            &["local stratum 5", "broadcast 3 10.77.0.255 12123"],
            "0.0.0.0:12123",
        ),
        (
            "bcast-ipv6-mcast",
            &["local stratum 5", "broadcast 1 ff02::101"],
            "[::]:123",
        ),
        (
            "bcast-unicast",
            &["local stratum 5", "broadcast 1 10.77.0.2"],
            "10.77.0.2:123",
        ),
    ] {
        let socket: UdpSocket = networks.in_second(|| bound(receiver.parse().unwrap()));
        if receiver.starts_with('[') {
            socket.join_multicast_v6(&everybody, 0).unwrap();
        }
        socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        let common = ["clockprecision 10e-9", "bindaddress 0.0.0.0"];
        let _server = Server::start(&[&common[..], directives].concat());
        let recorded = recorded(BROADCASTS, case);
        let mut last: Option<Header> = None;
        for (_, theirs) in &recorded[..2] {
            let mut buffer = [0; 100];
            let (length, from) = uninterrupted(|| socket.recv_from(&mut buffer)).expect(case);
            assert_eq!((length, from.port()), (48, 123), "{case}");
            let ours = Packet::parse(&buffer[..length]).unwrap().header;
            assert_eq!(without_times(ours), without_times(*theirs), "{case}");
            assert!(ours.origin.is_zero() && ours.receive.is_zero(), "{case}");
            assert_eq!(
                ours.reference_time.is_zero(),
                theirs.reference_time.is_zero(),
                "{case}"
            );
            if let Some(last) = last {
                let interval_s = ours.transmit.since(last.transmit).to_seconds();
                let wanted_s = f64::from(directives[directives.len() - 1].as_bytes()[10] - b'0');
                // The timer may be late on a busy machine, never early.
                assert!(
                    (wanted_s..wanted_s + 5.0).contains(&interval_s),
                    "{case}: {interval_s} s"
                );
            }
            last = Some(ours);
        }
    }
}

/// A socket that sees every packet of the thread's network.
fn sniffer() -> OwnedFd {
    let protocol = SockProtocol::EthAll;
    let flags = SockFlag::SOCK_CLOEXEC;
    let opened = socket(AddressFamily::Packet, SockType::Datagram, flags, protocol).unwrap();
    setsockopt(&opened, sockopt::ReceiveTimeout, &TimeVal::seconds(1)).unwrap();
    opened
}

/// The next NTP packet: its sender's last byte and its header.
fn next_packet(sniffer: &OwnedFd) -> Option<(u8, Header)> {
    let mut buffer = [0; 200];
    let length = recv(sniffer.as_raw_fd(), &mut buffer, MsgFlags::empty()).ok()?;
    // IPv4 without options, UDP (RFC 791 and 768).
    let is_udp = length == 20 + 8 + 48 && buffer[0] == 0x45 && buffer[9] == 17;
    let header = is_udp.then(|| Packet::parse(&buffer[28..76]).ok())??.header;
    Some((buffer[15], header))
}

/// How a packet of a symmetric association relates to the last one of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Start,
    Basic,
    Interleaved,
}

fn form(own: &Header, other: Option<&Header>) -> Form {
    match other {
        _ if own.origin.is_zero() => Form::Start,
        Some(other) if own.origin == other.transmit => Form::Basic,
        Some(other) if own.origin == other.receive => Form::Interleaved,
        _ => panic!("origin {:?} of neither timestamp of {other:?}", own.origin),
    }
}

/// What an observer can tell of the state of a side.
fn state(side: u8, header: &Header) -> (u8, u8, u8, i8, i8, u32) {
    let first = (header.leap as u8) << 6 | header.version << 3 | header.mode.bits();
    let (poll, precision) = (header.poll_log2, header.precision_log2);
    (
        side,
        first,
        header.stratum,
        poll,
        precision,
        header.reference_id,
    )
}

/// Two peers find each other; seen from outside they pass through the recorded states, and
/// every packet has a form that the recording has, too.
fn peers(case: &str, option: &str, last_form: Form) {
    let Some(networks) = Networks::new() else {
        return;
    };
    let recorded = recorded(INTERLEAVED, case);
    let sides = recorded.iter().map(|(direction, header)| {
        let side = if direction == "A>B" { 1 } else { 2 };
        state(side, header)
    });
    let recorded_states: BTreeSet<_> = sides.collect();
    let sniffer = sniffer();
    let _a = Server::start(&[
        "local stratum 5",
        "clockprecision 10e-9",
        &format!("peer 10.77.0.2 minpoll 1 maxpoll 1{option}"),
    ]);
    let mut b = networks.in_second(|| {
        Server::start(&[
            "clockprecision 10e-9",
            &format!("peer 10.77.0.1 minpoll 1 maxpoll 1{option}"),
        ])
    });
    let mut last: [Option<Header>; 2] = [None, None];
    let mut forms = BTreeSet::new();
    let mut states = BTreeSet::new();
    let start = Instant::now();
    // Until both sides are in their final states.
    while !(states == recorded_states
        && [1, 2]
            .iter()
            .all(|side| forms.contains(&(*side, last_form))))
    {
        assert!(
            start.elapsed() < Duration::from_secs(90),
            "{states:?} {forms:?}, recorded {recorded_states:?}"
        );
        let Some((side, header)) = next_packet(&sniffer) else {
            continue;
        };
        let own = usize::from(side == 2);
        forms.insert((side, form(&header, last[1 - own].as_ref())));
        let seen = state(side, &header);
        assert!(
            recorded_states.contains(&seen),
            "{seen:?}, recorded {recorded_states:?}"
        );
        states.insert(seen);
        last[own] = Some(header);
    }
    if last_form == Form::Basic {
        let interleaved = forms.iter().filter(|(_, form)| *form == Form::Interleaved);
        assert_eq!(interleaved.count(), 0);
    }
    b.process().wait_for("Selected source 10.77.0.1");
}

#[test]
fn peers_in_basic_mode() {
    peers("real-peers-basic", "", Form::Basic);
}

#[test]
fn peers_in_interleaved_mode() {
    peers("real-peers-xleave", " xleave", Form::Interleaved);
}
