//! `main.tsv`: a daemon with sources of every kind, its servers, its peer and its clients.

use std::net::{IpAddr, SocketAddr};

use control_wire::{Address, LeapStatus, Reply, Request};
use engine::engine::CommandPeer;
use engine::event::TimestampSource;
use ntp_wire::{Header, Key, KeyKind, KeyRing, LeapIndicator, Mode, NtpShort, NtpTimestamp};
use nts::aead::Algorithm;
use sim::World;
use sim::clock::{Oscillator, TrueTime};
use sim::link::{Jitter, Link, Path};
use sim::refclock::{Signal, SimRefclock};
use sim::scenario::{ClientSetup, add_client};
use sim::world::NodeId;

use super::exchanges::lines;
use super::replay::{Exchange, Replay, Tally, request, run_for, send};

/// 2026-11-23 22:53:40 UTC.
const START: TrueTime = TrueTime(1_795_474_420 * 1_000_000_000);

/// 2^−27 s.
const PRECISION_S: f64 = 1.0 / 134_217_728.0;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A key of so many bytes.
fn key(id: u32, kind: KeyKind, length: usize) -> Key {
    Key::new(id, kind, &[id as u8; 64][..length]).unwrap()
}

fn keys() -> KeyRing {
    KeyRing::new([
        key(1, KeyKind::Md5, 16),
        key(3, KeyKind::Sha256, 32),
        key(13, KeyKind::Aes128, 16),
        key(99_999, KeyKind::Sha512, 23),
    ])
}

/// Adds a daemon with a clock that is off by this and never changes.
fn add(
    world: &mut World,
    number: u8,
    addresses: &[IpAddr],
    directives: &str,
    offset_s: f64,
) -> NodeId {
    let directives: Vec<&str> = directives.lines().collect();
    let setup = ClientSetup {
        directives: &directives,
        oscillator: Oscillator {
            offset_s,
            frequency: 0.0,
            wander: 0.0,
        },
        seed: u64::from(number),
        keys: keys(),
        addresses,
        controls_clock: false,
        precision_s: PRECISION_S,
        refclocks: &REFERENCE_CLOCKS,
        ..ClientSetup::default()
    };
    let link = Link::symmetric(Path::new(5e-6, Jitter::Exponential(2e-7)));
    let id = add_client(world, number, &setup, &link).unwrap();
    world.client_mut(id).unwrap().stamps = TimestampSource::Kernel;
    id
}

/// SCK1 is selected; SHM0 has no samples.
const REFERENCE_CLOCKS: [SimRefclock; 1] = [SimRefclock {
    interval_s: 0.1,
    ..SimRefclock::new(Signal::Time, 5e-7)
}];

const SOURCES: &str = "refclock SOCK /run/clock.sock refid SCK1 poll 0 trust
refclock SHM 0 refid SHM0 noselect
server 127.0.0.11 key 1 minpoll -3 maxpoll -3
server nts.test nts minpoll -3 maxpoll -3
server false.test minpoll -3 maxpoll -3
server cmac.test key 13 minpoll -3 maxpoll -3
server xl.test xleave noselect minpoll -3 maxpoll -3
server six.test minpoll -3 maxpoll -3
peer 127.0.0.31 key 3 xleave minpoll -2 maxpoll -2
pool pool.test maxsources 2 minpoll 0 maxpoll 0
server 127.0.0.40 offline key 99999
server 127.0.0.41 key 77 minpoll 0 maxpoll 0
server unresolved.test
authselectmode mix
combinelimit 100000
manual
smoothtime 400 0.01
allow
cmdallow 127.0.0.0/8";

struct Machines {
    daemon: NodeId,
    keyed: NodeId,
    nts: NodeId,
    interleaved: NodeId,
    peer: NodeId,
}

/// The daemons of the recording, after a while.
fn build(world: &mut World) -> Machines {
    let mut number = 0;
    let mut server = |world: &mut World, at: &str, stratum, offset_s| {
        number += 1;
        let directives = format!("local stratum {stratum}\nallow");
        add(world, number, &[address(at)], &directives, offset_s)
    };
    let keyed = server(world, "127.0.0.11", 1, 0.0);
    let nts = server(world, "127.0.0.12", 2, 0.0);
    server(world, "127.0.0.13", 3, -5.0);
    server(world, "127.0.0.14", 2, 0.0);
    let interleaved = server(world, "127.0.0.15", 2, 0.0);
    server(world, "fd00::6", 2, 0.0);
    server(world, "127.0.0.21", 4, 0.0);
    server(world, "127.0.0.22", 4, 0.0);
    world
        .client_mut(nts)
        .unwrap()
        .serve_nts(Algorithm::AesSivCmac256);
    for (name, addresses) in [
        ("ntp1.test", vec!["127.0.0.11"]),
        ("nts.test", vec!["127.0.0.12"]),
        ("false.test", vec!["127.0.0.13"]),
        ("cmac.test", vec!["127.0.0.14"]),
        ("xl.test", vec!["127.0.0.15"]),
        ("six.test", vec!["fd00::6"]),
        ("pool.test", vec!["127.0.0.21", "127.0.0.22", "127.0.0.23"]),
        ("localhost", vec!["127.0.0.1"]),
    ] {
        let found = addresses.iter().map(|at| SocketAddr::new(address(at), 0));
        world.names.insert(name.into(), found.collect());
    }
    let peer = "local stratum 2\npeer 127.0.0.1 key 3 xleave minpoll -2 maxpoll -2";
    let peer = add(world, 30, &[address("127.0.0.31")], peer, 0.0);
    let own = [address("127.0.0.1"), address("fd00::2")];
    let daemon = add(world, 31, &own, SOURCES, 0.0);
    // The peer is measured before it follows the daemon.
    for server in 0..peer {
        let link = world.link_mut(daemon, server).unwrap();
        link.outages.push((START, START.plus(3.0)));
    }
    world.run_until(START.plus(20.0));
    send(
        world,
        daemon,
        &request(&Request::Reselect),
        CommandPeer::Unix,
    );
    world.run_until(START.plus(25.0));
    ask_from_clients(world);
    Machines {
        daemon,
        keyed,
        nts,
        interleaved,
        peer,
    }
}

const EMPTY: Header = Header {
    leap: LeapIndicator::Normal,
    version: 4,
    mode: Mode::Client,
    stratum: 0,
    poll_log2: 0,
    precision_log2: 0,
    root_delay: NtpShort::from_bits(0),
    root_dispersion: NtpShort::from_bits(0),
    reference_id: 0,
    reference_time: NtpTimestamp::ZERO,
    origin: NtpTimestamp::ZERO,
    receive: NtpTimestamp::ZERO,
    transmit: NtpTimestamp::ZERO,
};

/// 127.0.1.1 … 19 ask for the time, one to four times each.
fn ask_from_clients(world: &mut World) {
    let ask = |world: &mut World, client: IpAddr, to: &str, times: u32| {
        for time in 0..times {
            let request = Header {
                transmit: NtpTimestamp::from_bits(u64::from(time + 1)),
                ..EMPTY
            };
            let to = SocketAddr::new(address(to), 123);
            world.inject(
                SocketAddr::new(client, 40_000),
                to,
                request.to_bytes().to_vec(),
            );
            world.run_until(world.now().plus(1e-3));
        }
    };
    for number in 1..=19u8 {
        let client = IpAddr::from([127, 0, 1, number]);
        ask(world, client, "127.0.0.1", u32::from(number % 4) + 1);
    }
    ask(world, address("fd00::1"), "fd00::2", 3);
}

/// A member of the pool that a command adds; which of them takes an address is not told.
fn is_placeholder(member: Address) -> bool {
    let placeholders = (11..=16).map(Address::Id);
    let mut alike = placeholders.chain([Address::from(address("127.0.0.23"))]);
    alike.any(|other| other == member)
}

/// What the recorded reply is in this world, whose daemon follows a server instead of a
/// reference clock and has one address for each of the recording's programs.
fn adapt(after_reset: bool, reply: Reply) -> Reply {
    match reply {
        Reply::Tracking(mut data) if data.ref_id != 0 && data.stratum != 0 => {
            if data.ip_addr == Address::from(address("127.0.0.1")) {
                data.stratum = 0;
            }
            Reply::Tracking(data)
        }
        Reply::SourceData(mut data) => {
            let peers = ["127.0.0.31", "127.0.0.1"].map(|peer| Address::from(address(peer)));
            if peers.contains(&data.ip_addr) && data.stratum != 0 {
                data.stratum = 1;
            }
            if is_placeholder(data.ip_addr) {
                data.ip_addr = Address::Unspecified;
            }
            if after_reset {
                data.stratum = 0;
                data.poll = 0;
                data.reachability = 0;
                data.since_sample_s = 0;
            }
            Reply::SourceData(data)
        }
        Reply::SourceStats(mut data) if is_placeholder(data.ip_addr) => {
            data.ip_addr = Address::Unspecified;
            data.ref_id = 0;
            Reply::SourceStats(data)
        }
        Reply::SelectData(mut data) => {
            if is_placeholder(data.ip_addr) {
                data.ip_addr = Address::Unspecified;
                data.ref_id = 0;
            }
            if after_reset {
                data.leap = LeapStatus::Normal;
            }
            Reply::SelectData(data)
        }
        Reply::NtpData(mut data) => {
            if data.local_addr == Address::from(address("fd00::6")) {
                data.local_addr = Address::from(address("fd00::2"));
            }
            if data.mode == 1 {
                data.stratum = 1;
                data.ref_id = 0;
            }
            Reply::NtpData(data)
        }
        other => other,
    }
}

/// How long the recording waited before a command, seconds: at the end a burst of two seconds
/// still ran, and SCK1 had been followed again after `settime`.
fn pause_s(exchange: &Exchange<'_>, before: &str) -> f64 {
    match (exchange.command, before) {
        ("settime now", "manual list") => 1.05,
        // The samples of one interval of SCK1 are hardly touched by the new offset.
        ("offset SCK1 0.0012", _) => 0.9,
        ("selectopts SHM0 -noselect", _) => 0.3,
        (_, "selectopts SHM0 -noselect")
        | (_, "selectopts fd00::6 +noselect +prefer +trust +require -prefer") => 1e-4,
        ("selectdata", "selectdata") => 1e-5,
        ("tracking", "serverstats") => 0.13,
        _ => 1e-3,
    }
}

#[test]
fn main_tsv() {
    let mut world = World::new(START, 7);
    let machines = build(&mut world);
    let data = include_str!("../../../../tests/data/control/main.tsv");
    let rows: Vec<_> = lines(data).collect();
    let mut tally = Tally::default();
    let (mut replay, mut before) = (Replay::default(), "");
    for row in &rows {
        let exchange = Exchange::new(row);
        let id = match exchange.note {
            "stratum-1 server with symmetric keys" => machines.keyed,
            "NTS server" => machines.nts,
            "server of an interleaved client" => machines.interleaved,
            "symmetric peer" => machines.peer,
            _ => machines.daemon,
        };
        run_for(&mut world, pause_s(&exchange, before));
        let after_reset = exchange.note == "after reset sources";
        let difference =
            replay.exchange(&mut world, id, &exchange, |reply| adapt(after_reset, reply));
        tally.add(exchange.name(), difference);
        before = exchange.command;
    }
    tally.print("main.tsv");
    assert_eq!(tally.total, 886);
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n\n"));
}
