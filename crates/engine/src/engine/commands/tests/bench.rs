//! An engine with sources that answer, and a client of its command handler.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use chrony_conf::Config;
use control_wire::{Reply, ReplyHeader, Request, RequestHeader, Status, VERSION};
use discipline::journal::{Entry, Journal};
use discipline::reference::NoClockControl;
use discipline::samples::EstimatorKind;
use discipline::time::{MonotonicTime, RawTime};
use ntp_wire::{Key, KeyKind, KeyRing, NtpTimestamp};

use crate::action::{Action, Outgoing};
use crate::engine::commands::CommandPeer;
use crate::engine::{Engine, Mode, Setup};
use crate::event::{Datagram, Now, PacketTime, TimestampSource, TransmitReport};
use crate::names::ResolvedAddress;
use crate::random::{RandomSource, SeededRandom};
use crate::registry::Origin;
use crate::steering::ClockSetup;

/// The first second of the window of NTP timestamps: that of the recordings is after 1970.
const WINDOW_START_S: i64 = 200_000_000;

/// The secret of key 1, 128 bits.
const KEY_SECRET: &[u8] = b"sixteen bytes ok";
/// Lengths of requests without a MAC, and with one of MD5.
const REQUEST_LENGTHS: [usize; 2] = [48, 68];

/// One way to a server, seconds.
const DELAY_S: f64 = 1e-4;

/// How long before a packet is read the kernel stamps it, seconds.
const STAMP_LEAD_S: f64 = 1e-6;

/// Precision of the servers of the recordings.
const SERVER_PRECISION_LOG2: i8 = -27;

const fn kernel_time(raw: RawTime) -> PacketTime {
    PacketTime {
        raw,
        source: TimestampSource::Kernel,
    }
}

/// A server that a source asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct FakeServer {
    pub(super) stratum: u8,
    pub(super) offset_s: f64,
}

impl Default for FakeServer {
    fn default() -> Self {
        Self {
            stratum: 1,
            offset_s: 0.0,
        }
    }
}

/// The engine with its surroundings.
pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) now: Now,
    pub(super) servers: BTreeMap<IpAddr, FakeServer>,
    /// Addresses of names.
    pub(super) names: BTreeMap<String, IpAddr>,
    /// Actions that are not packets, names or sockets.
    pub(super) actions: Vec<Action>,
    random: SeededRandom,
    jitter: SeededRandom,
}

impl Bench {
    /// The sources of `directives` are added and polling begins.
    pub(super) fn new(directives: &str, servers: &[(&str, FakeServer)]) -> Self {
        let config = config(directives);
        let now = Now {
            // The day of the recordings.
            raw: RawTime::from_parts(1_795_475_000, 0),
            monotonic: MonotonicTime::from_parts(1000, 0),
        };
        let key = |id, kind, secret: &[u8]| Key::new(id, kind, secret).unwrap();
        let keys = KeyRing::new([
            key(1, KeyKind::Md5, KEY_SECRET),
            key(2, KeyKind::Aes128, &[7; 16]),
        ]);
        let setup = Setup {
            clock: ClockSetup {
                driver: Box::new(NoClockControl::default()),
                precision_s: 1e-7,
                window_start_s: WINDOW_START_S,
                drift: None,
                leap: None,
                random: Box::new(SeededRandom::new(1)),
            },
            random: Box::new(SeededRandom::new(2)),
            mode: Mode::Normal,
            keys: Arc::new(keys),
            estimator: EstimatorKind::Regression,
        };
        let engine = Engine::new(&config, setup, Journal::new(), now).unwrap();
        let servers = servers
            .iter()
            .map(|(address, server)| (address.parse().unwrap(), *server));
        let mut bench = Self {
            engine,
            now,
            servers: servers.collect(),
            names: BTreeMap::new(),
            actions: Vec::new(),
            random: SeededRandom::new(3),
            jitter: SeededRandom::new(4),
        };
        for rule in &config.server.access {
            bench.engine.change_access(rule, false).unwrap();
        }
        for rule in &config.command.access {
            bench.engine.configure_command_access(rule).unwrap();
        }
        for line in &config.sources {
            let added = bench.engine.add_source(now, line, Origin::Configuration);
            added.unwrap();
        }
        bench.engine.all_sources_added(now);
        bench.run_actions();
        bench
    }

    /// Lets time pass.
    pub(super) fn run_for(&mut self, seconds: f64) {
        let end = self.now.monotonic.plus(seconds);
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= end) {
            self.advance(at.since(self.now.monotonic).max(0.0));
            self.engine.handle_timeout(self.now);
            self.run_actions();
        }
        self.advance(end.since(self.now.monotonic).max(0.0));
    }

    fn advance(&mut self, seconds: f64) {
        self.now.raw = self.now.raw.plus(seconds);
        self.now.monotonic = self.now.monotonic.plus(seconds);
    }

    fn run_actions(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Send(outgoing) => self.answer(&outgoing),
                Action::Resolve { query, name, .. } => {
                    let found = self.names.get(&name).map(|address| ResolvedAddress {
                        address: *address,
                        connectable: true,
                    });
                    let found: Vec<_> = found.into_iter().collect();
                    self.engine.handle_resolved(self.now, query, &found);
                }
                Action::CheckRoutes { addresses } => {
                    let routed: Vec<_> = addresses.into_iter().map(|(id, _)| (id, true)).collect();
                    self.engine.handle_routes(self.now, &routed);
                }
                Action::OpenClientSocket { .. } | Action::CloseClientSocket { .. } => {}
                other => self.actions.push(other),
            }
        }
    }

    /// What a server answers to a request.
    fn answer(&mut self, outgoing: &Outgoing) {
        let request = outgoing.payload.as_slice();
        if let Some(id) = outgoing.source {
            self.engine.handle_sent(self.now, id, Ok(self.now.raw));
            let report = TransmitReport {
                socket: outgoing.socket,
                remote: outgoing.remote,
                payload: request,
                sent: Some(kernel_time(self.now.raw)),
                hardware: None,
            };
            self.engine.handle_transmit_report(self.now, &report);
        }
        let Some(server) = self.servers.get(&outgoing.remote.ip()).copied() else {
            return;
        };
        if request.first().is_none_or(|first| first & 7 != 3)
            || !REQUEST_LENGTHS.contains(&request.len())
        {
            return;
        }
        let jitter_s = self.jitter.uniform() * 1e-6;
        self.advance(DELAY_S);
        let time = self.now.raw.plus(server.offset_s + jitter_s).as_ns();
        let stamp = NtpTimestamp::from_unix_ns(time).to_bits().to_be_bytes();
        let mut response = vec![0u8; 48];
        // Leap status 3 goes with stratum 0: not synchronised.
        response[0] = if server.stratum == 0 { 0xe4 } else { 0x24 };
        response[1] = server.stratum;
        response[2] = request[2];
        response[3] = SERVER_PRECISION_LOG2 as u8;
        if server.stratum > 0 {
            response[12..16].copy_from_slice(&ntp_wire::REFERENCE_ID_LOCAL.to_be_bytes());
        }
        response[16..24].copy_from_slice(&stamp);
        response[24..32].copy_from_slice(&request[40..48]);
        response[32..40].copy_from_slice(&stamp);
        response[40..48].copy_from_slice(&stamp);
        if request.len() > response.len() {
            let key = Key::new(1, KeyKind::Md5, KEY_SECRET).unwrap();
            let digest = key.digest(&response);
            response.extend_from_slice(&1u32.to_be_bytes());
            response.extend_from_slice(digest.full());
        }
        self.advance(DELAY_S);
        let datagram = Datagram {
            socket: outgoing.socket,
            remote: outgoing.remote,
            local: Some("127.0.0.1".parse().unwrap()),
            interface: 0,
            payload: &response,
            received: kernel_time(self.now.raw.plus(-STAMP_LEAD_S)),
            hardware: None,
        };
        self.engine.handle_datagram(self.now, &datagram);
    }

    /// Sends a datagram to the handler, and does what follows.
    pub(super) fn send(&mut self, request: &[u8], from: CommandPeer) -> Option<Vec<u8>> {
        let reply = self.engine.handle_command(self.now, request, from);
        self.run_actions();
        reply.map(|reply| reply.to_vec())
    }

    /// A request over the Unix socket and what it gives.
    pub(super) fn ask(&mut self, request: &Request) -> (Status, Reply) {
        let header = RequestHeader {
            version: VERSION,
            command: request.command().code(),
            attempt: 0,
            sequence: self.random.next_u32(),
        };
        let reply = self
            .send(&request.emit(&header), CommandPeer::Unix)
            .unwrap();
        let answer = ReplyHeader::parse(&reply).unwrap();
        assert!(answer.answers(&header));
        (answer.status, Reply::parse(&answer, &reply).unwrap())
    }

    /// Messages since the last call.
    pub(super) fn messages(&mut self) -> Vec<String> {
        let entries = self.engine.journal().drain();
        entries
            .filter_map(|entry| match entry {
                Entry::Message { text, .. } => Some(text),
                Entry::Line { .. } => None,
            })
            .collect()
    }
}

/// The configuration made of directives.
pub(super) fn config(directives: &str) -> Config {
    let options = chrony_conf::options::Options {
        // One directive more, because without any the configuration file is read.
        directives: directives
            .lines()
            .chain(["cmdport 0"])
            .map(Into::into)
            .collect(),
        ..Default::default()
    };
    let reader = chrony_conf::SystemReader::new(|_: &str, _| None::<IpAddr>);
    chrony_conf::load(&options, &reader).into_result().unwrap()
}
