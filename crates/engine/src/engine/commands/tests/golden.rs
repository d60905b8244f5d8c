//! Recorded exchanges: the handler, put in the recorded state, gives the recorded reply.

use control_wire::{Reply, ReplyHeader};

use super::bench::{Bench, FakeServer};
use super::mask::mask;
use crate::engine::commands::CommandPeer;

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/control/",
            $name
        ))
    };
}

/// The lines that are exchanges, split into columns.
fn lines(data: &str) -> impl Iterator<Item = Vec<&str>> {
    data.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16).unwrap()).collect();
    let bytes = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8);
    bytes.collect()
}

/// `unix`, `udp` (from 127.0.0.1), `udp 127.0.0.9`.
fn peer(transport: &str) -> CommandPeer {
    match transport.split_once(' ') {
        Some((_, address)) => CommandPeer::Udp(address.parse().unwrap()),
        None if transport == "unix" => CommandPeer::Unix,
        None => CommandPeer::Udp("127.0.0.1".parse().unwrap()),
    }
}

/// A reply in a form to be compared: header and masked data.
fn comparable(reply: &[u8]) -> Option<(ReplyHeader, Reply, usize)> {
    if reply.is_empty() {
        return None;
    }
    let header = ReplyHeader::parse(reply).expect("header of a reply");
    let data = Reply::parse(&header, reply).expect("data of a reply");
    Some((header, mask(data), reply.len()))
}

/// Replays one exchange; what differs, if anything.
fn replay(bench: &mut Bench, request: &str, reply: &str, from: CommandPeer) -> Option<String> {
    let request = from_hex(request);
    let ours = bench.send(&request, from).unwrap_or_default();
    assert!(ours.len() <= request.len(), "amplification");
    let (ours, recorded) = (comparable(&ours), comparable(&from_hex(reply)));
    (ours != recorded).then(|| format!("ours {ours:?}\nrecorded {recorded:?}"))
}

/// Replays exchanges of a file in order. Each item: a name, request, reply, transport.
fn replay_all<'a>(
    bench: &mut Bench,
    pause_s: impl Fn(&str) -> f64,
    exchanges: impl IntoIterator<Item = (&'a str, &'a str, &'a str, &'a str)>,
) -> (usize, Vec<String>) {
    let mut failures = Vec::new();
    let mut count = 0;
    for (name, request, reply, transport) in exchanges {
        bench.run_for(pause_s(name));
        count += 1;
        if let Some(difference) = replay(bench, request, reply, peer(transport)) {
            failures.push(format!("{name}: {difference}"));
        }
    }
    (count, failures)
}

/// Every hand-made request: codes, lengths, versions, reserved bytes, bad parameters.
#[test]
fn raw_requests() {
    let sources = "server 127.0.0.11 iburst minpoll 0\nserver 127.0.0.12 iburst minpoll 0\n\
        manual\nsmoothtime 400 0.01";
    let mut bench = Bench::new(
        sources,
        &[
            ("127.0.0.11", FakeServer::default()),
            (
                "127.0.0.12",
                FakeServer {
                    stratum: 2,
                    ..FakeServer::default()
                },
            ),
        ],
    );
    bench.run_for(30.0);
    // The client that recorded them waited where nothing came back, and here and there.
    let pause_s = |name: &str| match name {
        "SETTIME now, high word 0x7fffffff (means no high word)" => 1.5,
        "SOURCE_DATA index 0" => 0.8,
        _ => 0.001,
    };
    // The one that needs 65536 sources stands alone.
    let exchanges: Vec<_> = lines(data!("raw.tsv"))
        .filter(|line| !line[0].contains("65536"))
        .collect();
    let (count, failures) = replay_all(
        &mut bench,
        pause_s,
        exchanges
            .iter()
            .map(|line| (line[0], line[2], line[3], line[1])),
    );
    println!("raw.tsv: {} of {count}", count - failures.len());
    assert_eq!(count, 565);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
