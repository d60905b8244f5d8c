//! A machine that runs an engine: its sockets, its files, and what its engine wants done.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use chrony_conf::sources::SourceSpec;
use discipline::journal::Entry;
use discipline::reference::MailRequest;
use discipline::time::RawTime;
use engine::action::{Action, Outgoing, SavedFile};
use engine::engine::{Engine, Served};
use engine::event::{Datagram, Now, PacketTime, Socket, TimestampSource, TransmitReport};
use engine::ids::SourceId;
use engine::random::SeededRandom;
use engine::registry::Origin;
use engine::server::{Outcome, Reader, Request, Responder, ResponseBuffer, ServerSnapshot};

use crate::clock::TrueTime;
use crate::driver::SharedClock;
use crate::equipment::{Chip, NtsServer};
use crate::refclock::Attached;
use crate::world::Packet;

/// First port of client sockets.
const EPHEMERAL_PORT: u16 = 32_768;

/// Ports of the server sockets.
const NTP_PORT: u16 = 123;
const PTP_PORT: u16 = 319;

/// How long before a packet is read the kernel or the hardware stamped it, seconds: a stamp
/// that is not earlier counts as the daemon's own.
const STAMP_LEAD_S: f64 = 1e-7;

/// A machine that runs an engine.
pub struct Client {
    /// Its address; the port is not used.
    pub address: SocketAddr,
    /// Its further addresses.
    pub more_addresses: Vec<IpAddr>,
    /// Its clock.
    pub clock: SharedClock,
    /// Its brain.
    pub engine: Engine,
    /// What it said, with the true time.
    pub journal: Vec<(TrueTime, Entry)>,
    /// The files it keeps, by name without folder and ending.
    pub files: BTreeMap<String, String>,
    /// Dumps that are loaded when the sources are ready (`-r`).
    pub dumps: BTreeMap<String, String>,
    /// What the sensor of `tempcomp` shows; `None`: no number.
    pub temperature: Option<f64>,
    /// Mails sent.
    pub mails: Vec<MailRequest>,
    /// Exit status, once it has ended.
    pub exit_status: Option<u8>,
    /// Packets sent but answers.
    pub requests: u64,
    /// Who stamps its packets; by default only the daemon.
    pub stamps: TimestampSource,
    /// The stamps of what it sends do not come.
    pub loses_transmit_stamps: bool,
    /// Its real-time clock chip.
    pub chip: Option<Chip>,
    pub(crate) refclocks: Vec<Attached>,
    pub(crate) nts_server: Option<NtsServer>,
    pub(crate) timer: Option<TrueTime>,
    /// Sources that are added when `initstepslew` is over.
    later_sources: Vec<SourceSpec>,
    sockets: Vec<(SourceId, u16)>,
    next_port: u16,
    server: Option<Answering>,
}

/// What answers requests.
struct Answering {
    responder: Responder,
    snapshots: Reader<ServerSnapshot>,
    buffer: Box<ResponseBuffer>,
}

impl Client {
    /// A machine with an engine whose clock is `clock`. `later_sources` are added when normal
    /// operation begins after `initstepslew`.
    pub fn new(
        address: SocketAddr,
        clock: SharedClock,
        engine: Engine,
        later_sources: Vec<SourceSpec>,
    ) -> Self {
        Self {
            address,
            more_addresses: Vec::new(),
            clock,
            engine,
            journal: Vec::new(),
            files: BTreeMap::new(),
            dumps: BTreeMap::new(),
            temperature: None,
            mails: Vec::new(),
            exit_status: None,
            requests: 0,
            stamps: TimestampSource::Daemon,
            loses_transmit_stamps: false,
            chip: None,
            refclocks: Vec::new(),
            nts_server: None,
            timer: None,
            later_sources,
            sockets: Vec::new(),
            next_port: EPHEMERAL_PORT,
            server: None,
        }
    }

    pub(crate) fn now(&self, now: TrueTime) -> Now {
        let mut clock = self.clock.lock();
        clock.advance(now);
        Now {
            raw: clock.raw(),
            monotonic: clock.monotonic(),
        }
    }

    /// Does one thing that the engine wants done and that concerns nobody else.
    pub(crate) fn act(&mut self, now: TrueTime, action: Action) {
        let at = self.now(now);
        match action {
            Action::OpenClientSocket { source, .. } => self.open(source),
            Action::CloseClientSocket { source } => self.close(source),
            Action::ServerSockets { ipv4, ipv6 } => self.listen(ipv4 || ipv6),
            Action::Save { file, contents } => {
                self.files.insert(file_name(&file), contents);
            }
            Action::Remove { file } => {
                self.files.remove(&file_name(&file));
            }
            Action::SourcesReady => self.restore_dumps(at),
            Action::ReadTemperature => self.engine.handle_temperature(at, self.temperature),
            Action::Mail { mail, .. } => self.mails.push(mail),
            Action::NormalMode => {
                for line in std::mem::take(&mut self.later_sources) {
                    // A source that cannot be added shows in the scenario's result.
                    let _ = self.engine.add_source(at, &line, Origin::Configuration);
                }
                self.engine.all_sources_added(at);
            }
            Action::CheckRoutes { addresses } => {
                let routes: Vec<_> = addresses.iter().map(|(id, _)| (*id, true)).collect();
                self.engine.handle_routes(at, &routes);
            }
            Action::Rtc(order) => {
                if let Some(chip) = &mut self.chip {
                    chip.obey(now, order);
                }
            }
            Action::PollRefclock { clock } => self.poll_refclock(now, clock),
            Action::Exit { status } => self.exit_status = Some(status),
            _ => {}
        }
    }

    /// Sends a packet; `None` when there is no socket for it.
    pub(crate) fn send(&mut self, now: TrueTime, outgoing: &Outgoing) -> Option<Packet> {
        let remote = outgoing.remote;
        let port = self.sending_port(outgoing.socket)?;
        let own = self.address_towards(remote.ip());
        let from = SocketAddr::new(outgoing.local.unwrap_or(own), port);
        let at = self.now(now);
        self.requests += 1;
        let payload = outgoing.payload.as_slice();
        if let Some(source) = outgoing.source {
            self.engine.handle_sent(at, source, Ok(at.raw));
            if self.stamps != TimestampSource::Daemon && !self.loses_transmit_stamps {
                let report = TransmitReport {
                    socket: outgoing.socket,
                    remote,
                    payload,
                    sent: Some(self.stamp(at.raw)),
                    hardware: None,
                };
                self.engine.handle_transmit_report(at, &report);
            }
        }
        Some(Packet {
            from,
            to: remote,
            payload: payload.to_vec(),
        })
    }

    /// Receives a packet; the result is the server's answer, if it gives one.
    pub(crate) fn receive(&mut self, now: TrueTime, packet: &Packet) -> Option<Packet> {
        let socket = self.receiving_socket(packet.to.port())?;
        let at = self.now(now);
        let received = match self.stamps {
            TimestampSource::Daemon => self.stamp(at.raw),
            _ => self.stamp(at.raw.plus(-STAMP_LEAD_S)),
        };
        let datagram = Datagram {
            socket,
            remote: packet.from,
            local: Some(packet.to.ip()),
            interface: 0,
            payload: &packet.payload,
            received,
            hardware: None,
        };
        self.engine.handle_wakeup(at);
        match self.engine.handle_datagram(at, &datagram) {
            Served::Yes => self.answer(at, received, packet),
            Served::No => None,
        }
    }

    fn answer(&mut self, at: Now, received: PacketTime, packet: &Packet) -> Option<Packet> {
        self.engine.publish(at);
        let sent = self.stamp(at.raw);
        let server = self.server.as_mut()?;
        let request = Request {
            payload: &packet.payload,
            remote: packet.from,
            on_ptp: packet.to.port() == PTP_PORT,
            received,
            receive_duration_s: None,
            from_association: true,
        };
        let snapshot = server.snapshots.get();
        let outcome = server
            .responder
            .respond(&request, snapshot, || at.raw, &mut server.buffer);
        match outcome {
            Outcome::Reply {
                length,
                wants_timestamp,
            } => {
                let payload = server.buffer.get(..length)?.to_vec();
                if wants_timestamp && sent.source != TimestampSource::Daemon {
                    let responder = &server.responder;
                    responder.note_transmit(&payload, request.on_ptp, sent, snapshot);
                }
                Some(Packet {
                    from: packet.to,
                    to: packet.from,
                    payload,
                })
            }
            Outcome::Ignored(_) | Outcome::ForAssociation | Outcome::Sign { .. } => None,
        }
    }

    fn restore_dumps(&mut self, at: Now) {
        if self.dumps.is_empty() {
            return;
        }
        for (id, name) in self.engine.dump_names() {
            if let Some(text) = self.dumps.get(&name) {
                self.engine.restore_source(at, id, text);
            }
        }
        self.engine.dumps_restored(at);
    }

    fn listen(&mut self, open: bool) {
        self.engine.set_server_open(open);
        let random = Box::new(SeededRandom::new(u64::from(NTP_PORT)));
        self.server = open.then(|| Answering {
            responder: Responder::new(self.engine.server_shared().clone(), random),
            snapshots: self.engine.server_snapshots(),
            buffer: Box::new([0; _]),
        });
    }

    fn open(&mut self, source: SourceId) {
        self.close(source);
        self.sockets.push((source, self.next_port));
        self.next_port = self.next_port.checked_add(1).unwrap_or(EPHEMERAL_PORT);
    }

    fn close(&mut self, source: SourceId) {
        self.sockets.retain(|(id, _)| *id != source);
    }

    fn stamp(&self, raw: RawTime) -> PacketTime {
        PacketTime {
            raw,
            source: self.stamps,
        }
    }

    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.address.ip() == address || self.more_addresses.contains(&address)
    }

    /// The address that packets to `remote` leave from.
    fn address_towards(&self, remote: IpAddr) -> IpAddr {
        let first = self.address.ip();
        let mut others = self.more_addresses.iter().copied();
        if first.is_ipv4() == remote.is_ipv4() {
            first
        } else {
            others
                .find(|other| other.is_ipv4() == remote.is_ipv4())
                .unwrap_or(first)
        }
    }

    fn sending_port(&self, socket: Socket) -> Option<u16> {
        match socket {
            Socket::Client(source) => self
                .sockets
                .iter()
                .find(|(id, _)| *id == source)
                .map(|(_, port)| *port),
            Socket::Server | Socket::Shared => Some(NTP_PORT),
            Socket::Ptp => Some(PTP_PORT),
        }
    }

    fn receiving_socket(&self, port: u16) -> Option<Socket> {
        match port {
            NTP_PORT => Some(Socket::Server),
            PTP_PORT => Some(Socket::Ptp),
            port => self
                .sockets
                .iter()
                .find(|(_, open)| *open == port)
                .map(|(source, _)| Socket::Client(*source)),
        }
    }
}

fn file_name(file: &SavedFile) -> String {
    match file {
        SavedFile::Drift => "drift".to_owned(),
        SavedFile::Rtc => "rtc".to_owned(),
        SavedFile::Dump { name } | SavedFile::NtsCookies { name } => name.clone(),
    }
}
