//! The world: machines, links between them, and what happens when.
//!
//! Everything is driven by one queue of events in true time; the same seed gives the same
//! run. Machines are numbered in the order in which they are added.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;

use discipline::journal::Entry;
use engine::action::{Action, KeyRequest};
use engine::engine::Engine;
use engine::event::Now;
use engine::names::ResolvedAddress;
use engine::random::{RandomSource, SeededRandom};

use crate::client::Client;
use crate::clock::TrueTime;
use crate::link::Link;
use crate::server::SimServer;

/// A machine's number.
pub type NodeId = usize;

/// A machine.
pub enum Node {
    /// Runs an engine.
    Client(Box<Client>),
    /// Only answers.
    Server(SimServer),
}

/// A packet on its way.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) payload: Vec<u8>,
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

    /// Adds a machine that runs an engine.
    pub fn add_client(&mut self, client: Client) -> NodeId {
        self.nodes.push(Node::Client(Box::new(client)));
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

    /// The client with a number, to be changed.
    pub fn client_mut(&mut self, id: NodeId) -> Option<&mut Client> {
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
        client.read_chip_if_due(now);
        client.hear_refclocks(now);
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
                let answer = client.receive(now, &packet);
                if let Some(answer) = answer {
                    self.transmit(id, answer);
                }
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
        let reading = client.chip.and_then(|chip| chip.next_reading());
        let message = client.next_refclock_message();
        let timer = timer.into_iter().chain(reading).chain(message).min();
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
            Action::Resolve { query, .. } => {
                let at = client.now(now);
                client.engine.handle_resolved(at, query, &answer);
            }
            Action::Send(outgoing) => {
                if let Some(packet) = client.send(now, &outgoing) {
                    self.transmit(id, packet);
                }
            }
            Action::StartKeyEstablishment(request) => self.establish(id, &request),
            other => client.act(now, other),
        }
    }

    /// A key establishment, which takes no time. It fails silently without a server.
    fn establish(&mut self, id: NodeId, request: &KeyRequest) {
        let now = self.now;
        let Some(own) = self.client(id).map(|client| client.address.ip()) else {
            return;
        };
        let server = self.nodes.iter_mut().find_map(|node| match node {
            Node::Client(client) if client.has_address(request.address.ip()) => Some(client),
            _ => None,
        });
        let material = server.and_then(|server| server.establish(now, own));
        let (Some(material), Some(client)) = (material, self.client_mut(id)) else {
            return;
        };
        let at = client.now(now);
        let (source, establishment) = (request.source, request.establishment);
        client
            .engine
            .handle_key_establishment(at, source, establishment, Ok(material));
    }

    /// Lets a packet from outside arrive now. Nobody hears the answer.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, payload: Vec<u8>) {
        if let Some(id) = self.machine_at(to) {
            let packet = Packet { from, to, payload };
            self.schedule(self.now, Happening::Arrival(id, packet));
        }
    }

    fn machine_at(&self, to: SocketAddr) -> Option<NodeId> {
        self.nodes.iter().position(|node| match node {
            Node::Client(client) => client.has_address(to.ip()),
            Node::Server(server) => server.address == to,
        })
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
        let Some(to) = self.machine_at(packet.to) else {
            return;
        };
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
