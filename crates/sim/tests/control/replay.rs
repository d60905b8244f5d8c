//! Replays exchanges against the daemon of a world.

use std::collections::BTreeSet;
use std::net::IpAddr;

use control_wire::{
    Address, ClientAccesses, ClientAccessesRequest, Reply, ReplyHeader, Request, RequestHeader,
};
use engine::engine::{CommandPeer, Engine};
use sim::World;
use sim::world::NodeId;

use super::exchanges::{comparable, from_hex};

/// One line of a file of exchanges.
#[derive(Clone, Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) command: &'a str,
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Vec<u8>,
    pub(crate) from: CommandPeer,
    /// `k/n`.
    pub(crate) number: &'a str,
    pub(crate) note: &'a str,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(columns: &[&'a str]) -> Self {
        let localhost: IpAddr = if columns[10].contains("::1") {
            "::1".parse().unwrap()
        } else {
            "127.0.0.1".parse().unwrap()
        };
        Self {
            command: columns[0],
            request: from_hex(columns[1]),
            reply: from_hex(columns[2]),
            from: match columns[8] {
                "unix" => CommandPeer::Unix,
                _ => CommandPeer::Udp(localhost),
            },
            number: columns[9],
            note: columns[10],
        }
    }

    pub(crate) fn name(&self) -> String {
        let transport = match self.from {
            CommandPeer::Unix => "unix",
            CommandPeer::Udp(_) => "udp",
        };
        format!(
            "{} [{}] {transport} {}",
            self.command, self.number, self.note
        )
    }

    /// Whether it is the first of its command.
    pub(crate) fn is_first(&self) -> bool {
        self.number.starts_with("1/")
    }

    fn is_last(&self) -> bool {
        self.number
            .split_once('/')
            .is_some_and(|(number, of)| number == of)
    }
}

/// A client and which of its counters have counted.
type ClientFacts = (Option<IpAddr>, [bool; 6]);

/// Lets seconds pass.
pub(crate) fn run_for(world: &mut World, seconds: f64) {
    world.run_until(world.now().plus(seconds));
}

/// Sends a datagram to a daemon's command handler; nothing: no reply.
pub(crate) fn send(world: &mut World, id: NodeId, request: &[u8], from: CommandPeer) -> Vec<u8> {
    ask(world, id, request, from, true)
}

/// The same; `writable`: whether the rtcfile can be written.
fn ask(
    world: &mut World,
    id: NodeId,
    request: &[u8],
    from: CommandPeer,
    writable: bool,
) -> Vec<u8> {
    let ask = |engine: &mut Engine, now| {
        let reply = engine.handle_command(now, request, from);
        let saved = || Some(engine.take_pending_save()?.reply(writable));
        reply
            .or_else(saved)
            .map_or(Vec::new(), |reply| reply.to_vec())
    };
    world.command(id, ask).unwrap()
}

/// A request as a datagram.
pub(crate) fn request(request: &Request) -> Vec<u8> {
    let header = RequestHeader {
        version: control_wire::VERSION,
        command: request.command().code(),
        attempt: 0,
        sequence: 1,
    };
    request.emit(&header).to_vec()
}

/// Compares replies with recorded ones.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// What the pages of a list of clients have shown so far.
    recorded_clients: BTreeSet<ClientFacts>,
    our_clients: BTreeSet<ClientFacts>,
}

impl Replay {
    /// What differs, if anything. `adapt` changes a reply, ours and the recorded one, where
    /// this world is known to be another.
    pub(crate) fn exchange(
        &mut self,
        world: &mut World,
        id: NodeId,
        exchange: &Exchange<'_>,
        adapt: impl Fn(Reply) -> Reply,
    ) -> Option<String> {
        let clients = self.clients_differ(world, id, exchange);
        let writable = exchange.note != "RTC parameters cannot be written";
        let ours = ask(world, id, &exchange.request, exchange.from, writable);
        assert!(ours.len() <= exchange.request.len(), "amplification");
        let adapted = |reply: &[u8]| {
            comparable(reply).map(|(header, data, length)| (header, adapt(data), length))
        };
        let (ours, recorded) = (adapted(&ours), adapted(&exchange.reply));
        let reply = (ours != recorded).then(|| format!("ours {ours:?}\nrecorded {recorded:?}"));
        reply.or(clients)
    }

    /// The order of the records and so what a page holds is random: all pages are compared
    /// when the last one comes.
    fn clients_differ(
        &mut self,
        world: &mut World,
        id: NodeId,
        exchange: &Exchange<'_>,
    ) -> Option<String> {
        let header = RequestHeader::parse(&exchange.request).ok()?;
        let Ok(Request::ClientAccesses(page)) = Request::parse(&header, &exchange.request) else {
            return None;
        };
        let Some(Reply::ClientAccesses(recorded)) = data(&exchange.reply) else {
            return None;
        };
        if exchange.is_first() {
            self.recorded_clients.clear();
            self.our_clients = all_clients(world, id, &page);
        }
        self.recorded_clients.extend(facts(&recorded));
        let differ = exchange.is_last() && self.recorded_clients != self.our_clients;
        differ.then(|| {
            format!(
                "clients: ours {:?}\nrecorded {:?}",
                self.our_clients, self.recorded_clients
            )
        })
    }
}

fn all_clients(
    world: &mut World,
    id: NodeId,
    like: &ClientAccessesRequest,
) -> BTreeSet<ClientFacts> {
    let mut found = BTreeSet::new();
    let mut first_index = 0;
    loop {
        let request = Request::ClientAccesses(ClientAccessesRequest {
            first_index,
            ..*like
        });
        let reply = send(world, id, &self::request(&request), CommandPeer::Unix);
        let Some(Reply::ClientAccesses(page)) = data(&reply) else {
            return found;
        };
        found.extend(facts(&page));
        first_index = page.next_index;
        if page.next_index >= page.n_indices || page.n_clients == 0 {
            return found;
        }
    }
}

fn data(reply: &[u8]) -> Option<Reply> {
    let header = ReplyHeader::parse(reply)?;
    Reply::parse(&header, reply).ok()
}

fn facts(page: &ClientAccesses) -> Vec<ClientFacts> {
    let records = page.clients.iter().take(page.n_clients as usize);
    records
        .map(|client| {
            let address = match client.address {
                Address::Ipv4(address) => Some(IpAddr::from(address)),
                Address::Ipv6(address) => Some(IpAddr::from(address)),
                _ => None,
            };
            let counters = [
                client.ntp_hits,
                client.nke_hits,
                client.cmd_hits,
                client.ntp_drops,
                client.nke_drops,
                client.cmd_drops,
            ];
            (address, counters.map(|count| count > 0))
        })
        .collect()
}

/// How a file's exchanges went.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) total: usize,
    pub(crate) equal: usize,
    /// Exchanges that cannot be equal yet, with the reason.
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, name: String, difference: Option<String>) {
        self.total += 1;
        match difference {
            None => self.equal += 1,
            Some(text) => self.wrong.push(format!("{name}: {text}")),
        }
    }

    pub(crate) fn print(&self, file: &str) {
        println!("{file}: {} of {}", self.equal, self.total);
    }
}
