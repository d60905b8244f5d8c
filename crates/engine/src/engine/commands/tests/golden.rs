//! Recorded exchanges: the handler, put in the recorded state, gives the recorded reply.

use super::bench::{Bench, FakeServer};
use super::exchanges::{comparable, from_hex, lines};
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

/// `unix`, `udp` (from 127.0.0.1), `udp 127.0.0.9`.
fn peer(transport: &str) -> CommandPeer {
    match transport.split_once(' ') {
        Some((_, address)) => CommandPeer::Udp(address.parse().unwrap()),
        None if transport == "unix" => CommandPeer::Unix,
        None => CommandPeer::Udp("127.0.0.1".parse().unwrap()),
    }
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
    let sources = "server 127.0.0.11 iburst minpoll -3 maxpoll -3\n\
        server 127.0.0.12 iburst minpoll -3 maxpoll -3\n\
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
        "SOURCE_DATA index 0" => 0.2,
        _ => 0.001,
    };
    let exchanges: Vec<_> = lines(data!("raw.tsv"))
        .filter(|line| !line[0].contains(FULL))
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

/// A group of exchanges of `states.tsv` and the configuration that gives its state.
struct State {
    note: &'static str,
    directives: &'static str,
    /// A server that stops after a while.
    stops: Option<&'static str>,
}

const fn state(note: &'static str, directives: &'static str) -> State {
    State {
        note,
        directives,
        stops: None,
    }
}

/// Polls often, as in the recordings.
const STATES: &[State] = &[
    state("no sources, nothing enabled", ""),
    state("local reference mode, no sources", "local stratum 8"),
    state("noclientlog", "noclientlog"),
    state("smoothtime leaponly", "smoothtime 400 0.01 leaponly"),
    state(
        "maxdistance 1e-9: state d",
        "server 127.0.0.11 FAST\nmaxdistance 1e-9",
    ),
    state(
        "maxjitter 1e-12: state ~",
        "server 127.0.0.11 FAST\nmaxjitter 1e-12",
    ),
    state(
        "minsources 3: state W",
        "server 127.0.0.11 FAST\nminsources 3",
    ),
    state(
        "require on an unreachable source: state W",
        "server 127.0.0.11 FAST\nserver 127.0.0.77 FAST require",
    ),
    state(
        "maxstratum 1: state r",
        "server 127.0.0.12 FAST\nserver 127.0.0.11 FAST\nmaxstratum 1",
    ),
    state(
        "unsynchronised server: no samples, state M",
        "server 127.0.0.16 minpoll 0 maxpoll 0",
    ),
    state(
        "orphan mode: state O",
        "server 127.0.0.12 FAST\nserver 127.0.0.11 FAST\nlocal stratum 2 orphan",
    ),
    state(
        "prefer: state P",
        "server 127.0.0.12 FAST\nserver 127.0.0.11 FAST prefer",
    ),
    state(
        "combinelimit 0: state D",
        "server 127.0.0.12 FAST\nserver 127.0.0.11 FAST\ncombinelimit 0",
    ),
    state(
        "trust: state x of untrusted source",
        "server 127.0.0.13 FAST\nserver 127.0.0.11 FAST trust",
    ),
    state(
        "no majority: state x of all",
        "server 127.0.0.13 FAST\nserver 127.0.0.11 FAST",
    ),
    state(
        "authselectmode require: effective noselect",
        "server 127.0.0.12 FAST\nserver 127.0.0.11 FAST key 1\nauthselectmode require",
    ),
    state(
        "authselectmode mix",
        "server 127.0.0.12 FAST\nserver 127.0.0.11 FAST key 1\nauthselectmode mix",
    ),
    state(
        "key missing in the key file of the client",
        "server 127.0.0.11 FAST key 77",
    ),
    state("large offset of the only source", "server 127.0.0.13 FAST"),
    State {
        stops: Some("127.0.0.17"),
        ..state(
            "stopped server: state S",
            "server 127.0.0.17 FAST\nserver 127.0.0.11 FAST",
        )
    },
    state(
        "burst running",
        "server 127.0.0.11 minpoll 6\nserver 127.0.0.77 minpoll 6\nserver 127.0.0.78 offline",
    ),
    state(
        "DNS name of a server with an unresolvable name and pool",
        "server nosuch.test\npool nosuchpool.test maxsources 3",
    ),
    state("original names", "server ntp1.test FAST"),
    state("long names in -N", "LONG NAMES"),
    state(
        "opencommands authdata ntpdata selectdata serverstats clients (without sources), UDP",
        "server 127.0.0.11 FAST\nopencommands authdata ntpdata selectdata serverstats clients",
    ),
    state(
        "opencommands sources authdata ntpdata, UDP",
        "server 127.0.0.11 FAST\nopencommands sources authdata ntpdata",
    ),
    state(
        "opencommands (empty), UDP",
        "server 127.0.0.11 FAST\nopencommands",
    ),
    state("cmdallow not given, request from 127.0.0.9: dropped", ""),
    state(
        "cmdallow 127.0.0.9, request from 127.0.0.9",
        "server 127.0.0.11 FAST\ncmdallow 127.0.0.9\nopencommands tracking",
    ),
    state(
        "cmddeny all does not affect 127.0.0.1",
        "server 127.0.0.11 FAST\ncmddeny all",
    ),
    state(
        "cmdratelimit with localhost not limited",
        "server 127.0.0.11 FAST\ncmdratelimit interval 12 burst 1 leak 4",
    ),
];

/// The servers of the recordings.
fn servers() -> [(&'static str, FakeServer); 5] {
    let server = |stratum, offset_s| FakeServer { stratum, offset_s };
    [
        ("127.0.0.11", server(1, 0.0)),
        ("127.0.0.12", server(2, 0.0)),
        ("127.0.0.13", server(3, -0.3)),
        ("127.0.0.16", server(0, 0.0)),
        ("127.0.0.17", server(2, 0.0)),
    ]
}

/// A line for each source of a recording whose names fill the field.
fn long_names(exchanges: &[Vec<&str>]) -> String {
    let named = exchanges
        .iter()
        .filter(|line| line[0].starts_with("-N sourcename ID#"));
    let lines = named.map(|line| {
        let reply = from_hex(line[2]);
        let field = &reply[28..284];
        let name: String = field
            .iter()
            .take_while(|&&byte| byte != 0)
            .map(|&byte| char::from(byte))
            .collect();
        // A field without a final zero is of a name that was cut.
        let cut = if name.len() == field.len() { "x" } else { "" };
        format!("server {name}{cut}\n")
    });
    lines.collect()
}

/// What the notes say of the exchanges of [`as_many_sources_as_there_can_be`].
const FULL: &str = "65536 sources present";

#[test]
fn as_many_sources_as_there_can_be() {
    let sources: String = (0..65_536u32)
        .map(|number| {
            format!(
                "server 10.{}.{}.{} offline\n",
                number >> 16,
                number >> 8 & 255,
                number & 255
            )
        })
        .collect();
    let mut bench = Bench::new(&sources, &[]);
    let raw = lines(data!("raw.tsv"))
        .filter(|line| line[0].contains(FULL))
        .map(|line| (line[0], line[2], line[3], line[1]));
    let states = lines(data!("states.tsv"))
        .filter(|line| line[10] == FULL)
        .map(|line| (line[0], line[1], line[2], line[8]));
    let exchanges: Vec<_> = raw.chain(states).collect();
    let (count, failures) = replay_all(&mut bench, |_| 0.001, exchanges);
    assert_eq!(count, 4);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Every provoked state but that of 65536 sources.
#[test]
fn states() {
    let all: Vec<_> = lines(data!("states.tsv")).collect();
    let (mut total, mut failures) = (0, Vec::new());
    for state in STATES {
        let mut directives = state
            .directives
            .replace("FAST", "minpoll -3 maxpoll -3 iburst");
        let recorded: Vec<_> = all
            .iter()
            .filter(|line| line[10] == state.note)
            .cloned()
            .collect();
        if directives == "LONG NAMES" {
            directives = long_names(&recorded);
        }
        let mut bench = Bench::new(&directives, &servers());
        bench
            .names
            .insert("ntp1.test".into(), "127.0.0.11".parse().unwrap());
        bench.run_for(40.0);
        if let Some(stopped) = state.stops {
            bench.servers.remove(&stopped.parse().unwrap());
            bench.run_for(12.0);
        }
        let udp = if state.note.contains("request from 127.0.0.9") {
            "udp 127.0.0.9"
        } else {
            "udp"
        };
        let exchanges = recorded.iter().map(|line| {
            let transport = if line[8] == "udp" { udp } else { line[8] };
            (line[0], line[1], line[2], transport)
        });
        let (count, failed) = replay_all(&mut bench, |_| 0.001, exchanges);
        assert!(count > 0, "{}", state.note);
        total += count;
        failures.extend(
            failed
                .into_iter()
                .map(|text| format!("[{}] {text}", state.note)),
        );
    }
    println!(
        "states.tsv: {} of {total}, {} in the file",
        total - failures.len(),
        all.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert_eq!((total, all.len()), (304, 307));
}
