//! The world: machines, links between them, and what happens when.
//!
//! Everything is driven by one queue of events in true time; the same seed gives the same
//! run. Machines are numbered in the order in which they are added.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;

use discipline::journal::Entry;
use engine::action::{Action, SavedFile};
use engine::engine::{Engine, Served};
use engine::event::{Datagram, Now, PacketTime, Socket, TimestampSource};
use engine::ids::SourceId;
use engine::names::ResolvedAddress;
use engine::random::{RandomSource, SeededRandom};

use crate::clock::TrueTime;
use crate::driver::SharedClock;
use crate::link::Link;
use crate::server::SimServer;

/// A machine's number.
pub type NodeId = usize;

/// First port of client sockets.
const EPHEMERAL_PORT: u16 = 32_768;

/// A machine that runs an engine.
pub struct Client {
    /// Its address; the port is not used.
    pub address: SocketAddr,
    /// Its clock.
    pub clock: SharedClock,
    /// Its brain.
    pub engine: Engine,
    /// What it said, with the true time.
    pub journal: Vec<(TrueTime, Entry)>,
    /// The files it keeps.
    pub files: BTreeMap<String, String>,
    /// Exit status, once it has ended.
    pub exit_status: Option<u8>,
    /// Requests sent.
    pub requests: u64,
    sockets: Vec<(SourceId, u16)>,
    next_port: u16,
    timer: Option<TrueTime>,
}

/// A machine.
pub enum Node {
    /// Runs an engine.
    Client(Box<Client>),
    /// Only answers.
    Server(SimServer),
}

#[derive(Debug)]
struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    payload: Vec<u8>,
}

#[derive(Debug)]
enum Happening {
    Timer(NodeId),
    Arrival(NodeId, Packet),
}

/// The simulated network.
pub struct World {
    now: TrueTime,
    queue: BinaryHeap<Reverse<(TrueTime, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    sequence: u64,
    nodes: Vec<Node>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    /// Addresses by host name.
    pub names: BTreeMap<String, Vec<SocketAddr>>,
    random: SeededRandom,
}

impl World {
    /// An empty world.
    pub fn new(start: TrueTime, seed: u64) -> Self {
        Self {
            now: start,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            sequence: 0,
            nodes: Vec::new(),
            links: BTreeMap::new(),
            names: BTreeMap::new(),
            random: SeededRandom::new(seed),
        }
    }

    /// Number of machines.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no machine.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// True time.
    pub fn now(&self) -> TrueTime {
        self.now
    }

    /// Adds a server.
    pub fn add_server(&mut self, server: SimServer) -> NodeId {
        self.nodes.push(Node::Server(server));
        self.nodes.len() - 1
    }

    /// Adds a machine with an engine whose clock is `clock`.
    pub fn add_client(
        &mut self,
        address: SocketAddr,
        clock: SharedClock,
        engine: Engine,
    ) -> NodeId {
        self.nodes.push(Node::Client(Box::new(Client {
            address,
            clock,
            engine,
            journal: Vec::new(),
            files: BTreeMap::new(),
            exit_status: None,
            requests: 0,
            sockets: Vec::new(),
            next_port: EPHEMERAL_PORT,
            timer: None,
        })));
        self.nodes.len() - 1
    }

    /// Connects two machines.
    pub fn connect(&mut self, first: NodeId, second: NodeId, link: Link) {
        self.links.insert((first, second), link);
    }

    /// The link between two machines, to be changed.
    pub fn link_mut(&mut self, first: NodeId, second: NodeId) -> Option<&mut Link> {
        self.links.get_mut(&(first, second))
    }

    /// The server with a number.
    pub fn server_mut(&mut self, id: NodeId) -> Option<&mut SimServer> {
        match self.nodes.get_mut(id)? {
            Node::Server(server) => Some(server),
            Node::Client(_) => None,
        }
    }

    /// The client with a number.
    pub fn client(&self, id: NodeId) -> Option<&Client> {
        match self.nodes.get(id)? {
            Node::Client(client) => Some(client),
            Node::Server(_) => None,
        }
    }

    fn client_mut(&mut self, id: NodeId) -> Option<&mut Client> {
        match self.nodes.get_mut(id)? {
            Node::Client(client) => Some(client),
            Node::Server(_) => None,
        }
    }

    /// Lets something happen to an engine, as a command would.
    pub fn command<R>(&mut self, id: NodeId, act: impl FnOnce(&mut Engine, Now) -> R) -> Option<R> {
        let now = self.now;
        let client = self.client_mut(id)?;
        let at = client.now(now);
        let result = act(&mut client.engine, at);
        self.settle(id);
        Some(result)
    }

    /// The time error (raw clock − true) and the error of its rate, now.
    pub fn clock_error(&mut self, id: NodeId) -> Option<(f64, f64)> {
        let now = self.now;
        let client = self.client_mut(id)?;
        let mut clock = client.clock.lock();
        clock.advance(now);
        Some((clock.error_s(), clock.rate_error()))
    }

    /// The error of the disciplined (cooked) time, seconds.
    pub fn time_error_s(&mut self, id: NodeId) -> Option<f64> {
        let now = self.now;
        let client = self.client_mut(id)?;
        let at = client.now(now);
        let (cooked, _) = client.engine.steering().cook(at.raw);
        Some((cooked.as_ns() - now.0) as f64 / 1e9)
    }

    /// Runs until `end`.
    pub fn run_until(&mut self, end: TrueTime) {
        while let Some(Reverse((at, key))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            let Some(happening) = self.happenings.remove(&key) else {
                continue;
            };
            self.now = at;
            match happening {
                Happening::Timer(id) => self.handle_timer(id),
                Happening::Arrival(id, packet) => self.handle_arrival(id, packet),
            }
        }
        self.now = end;
    }

    fn schedule(&mut self, at: TrueTime, happening: Happening) {
        self.sequence += 1;
        self.happenings.insert(self.sequence, happening);
        self.queue.push(Reverse((at, self.sequence)));
    }

    fn handle_timer(&mut self, id: NodeId) {
        let now = self.now;
        let Some(client) = self.client_mut(id) else {
            return;
        };
        if client.timer != Some(now) {
            // Another timer took its place.
            return;
        }
        client.timer = None;
        let at = client.now(now);
        client.engine.handle_wakeup(at);
        if client
            .engine
            .poll_timeout()
            .is_some_and(|timer| timer <= at.monotonic)
        {
            client.engine.handle_timeout(at);
        }
        self.settle(id);
    }

    fn handle_arrival(&mut self, id: NodeId, packet: Packet) {
        let now = self.now;
        match self.nodes.get_mut(id) {
            Some(Node::Server(server)) => {
                if let Some(payload) = server.respond(now, &packet.payload) {
                    let answer = Packet {
                        from: packet.to,
                        to: packet.from,
                        payload,
                    };
                    self.transmit(id, answer);
                }
            }
            Some(Node::Client(client)) => {
                client.receive(now, &packet);
                self.settle(id);
            }
            None => {}
        }
    }

    /// Does what an engine wants done, and sets its timer.
    fn settle(&mut self, id: NodeId) {
        loop {
            let now = self.now;
            let Some(client) = self.client_mut(id) else {
                return;
            };
            let entries: Vec<Entry> = client.engine.journal().drain().collect();
            client
                .journal
                .extend(entries.into_iter().map(|entry| (now, entry)));
            let Some(action) = client.engine.poll_action() else {
                break;
            };
            self.act(id, action);
        }
        let now = self.now;
        let Some(client) = self.client_mut(id) else {
            return;
        };
        if client.exit_status.is_some() {
            client.timer = None;
            return;
        }
        client.clock.lock().advance(now);
        let timer = client
            .engine
            .poll_timeout()
            .map(|timer| client.clock.lock().when(timer));
        if client.timer != timer {
            client.timer = timer;
            if let Some(timer) = timer {
                self.schedule(timer, Happening::Timer(id));
            }
        }
    }

    fn act(&mut self, id: NodeId, action: Action) {
        let now = self.now;
        let answer = match &action {
            Action::Resolve { name, .. } => self.look_up(name),
            _ => Vec::new(),
        };
        let Some(client) = self.client_mut(id) else {
            return;
        };
        match action {
            Action::OpenClientSocket { source, .. } => client.open(source),
            Action::CloseClientSocket { source } => client.close(source),
            Action::Send(outgoing) => {
                let Some(from) = client.sending_address(outgoing.socket) else {
                    return;
                };
                let at = client.now(now);
                client.requests += 1;
                if let Some(source) = outgoing.source {
                    client.engine.handle_sent(at, source, Ok(at.raw));
                }
                let payload = outgoing.payload.as_slice().to_vec();
                self.transmit(
                    id,
                    Packet {
                        from,
                        to: outgoing.remote,
                        payload,
                    },
                );
            }
            Action::Resolve { query, .. } => {
                let at = client.now(now);
                client.engine.handle_resolved(at, query, &answer);
            }
            Action::Save { file, contents } => {
                client.files.insert(file_name(&file), contents);
            }
            Action::Remove { file } => {
                client.files.remove(&file_name(&file));
            }
            Action::Exit { status } => client.exit_status = Some(status),
            _ => {}
        }
    }

    fn look_up(&self, name: &str) -> Vec<ResolvedAddress> {
        let found = self.names.get(name).map(Vec::as_slice).unwrap_or_default();
        found
            .iter()
            .map(|to| ResolvedAddress {
                address: to.ip(),
                connectable: true,
            })
            .collect()
    }

    fn transmit(&mut self, from: NodeId, packet: Packet) {
        let to = self.nodes.iter().position(|node| match node {
            Node::Client(client) => client.address.ip() == packet.to.ip(),
            Node::Server(server) => server.address == packet.to,
        });
        let Some(to) = to else { return };
        let (link, path) = match (self.links.get(&(from, to)), self.links.get(&(to, from))) {
            (Some(link), _) => (link, link.forth),
            (None, Some(link)) => (link, link.back),
            (None, None) => return,
        };
        if link.is_down(self.now) {
            return;
        }
        if let Some(delay_s) = path.draw(&mut self.random) {
            self.schedule(self.now.plus(delay_s), Happening::Arrival(to, packet));
        }
    }

    /// Randomness of the world, for scenarios.
    pub fn random(&mut self) -> &mut dyn RandomSource {
        &mut self.random
    }
}

impl Client {
    fn now(&self, now: TrueTime) -> Now {
        let mut clock = self.clock.lock();
        clock.advance(now);
        Now {
            raw: clock.raw(),
            monotonic: clock.monotonic(),
        }
    }

    fn open(&mut self, source: SourceId) {
        self.close(source);
        self.sockets.push((source, self.next_port));
        self.next_port = self.next_port.checked_add(1).unwrap_or(EPHEMERAL_PORT);
    }

    fn close(&mut self, source: SourceId) {
        self.sockets.retain(|(id, _)| *id != source);
    }

    fn sending_address(&self, socket: Socket) -> Option<SocketAddr> {
        let port = match socket {
            Socket::Client(source) => self
                .sockets
                .iter()
                .find(|(id, _)| *id == source)
                .map(|(_, port)| *port)?,
            Socket::Server | Socket::Shared => 123,
            Socket::Ptp => 319,
        };
        Some(SocketAddr::new(self.address.ip(), port))
    }

    fn receive(&mut self, now: TrueTime, packet: &Packet) {
        let socket = match packet.to.port() {
            123 => Socket::Server,
            319 => Socket::Ptp,
            port => match self.sockets.iter().find(|(_, open)| *open == port) {
                Some((source, _)) => Socket::Client(*source),
                None => return,
            },
        };
        let at = self.now(now);
        let datagram = Datagram {
            socket,
            remote: packet.from,
            local: Some(self.address.ip()),
            interface: 0,
            payload: &packet.payload,
            received: PacketTime {
                raw: at.raw,
                source: TimestampSource::Kernel,
            },
            hardware: None,
        };
        self.engine.handle_wakeup(at);
        match self.engine.handle_datagram(at, &datagram) {
            Served::Yes | Served::No => {}
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
