//! The command line.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZero;

use lexopt::prelude::*;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Usage: ntpload [OPTION]... SERVER:PORT

Sends NTP requests to SERVER:PORT, as fast as it answers or at a rate, and prints what came
back: sent requests (how many of them malformed), answers (how many interleaved, how many late:
not to the latest request from that source address), wrong answers and answers in a second.
Answers that are not right in every way are wrong; they make it fail, and so does no answer.

Options:
  --mode MODE       plain (default), interleaved or keyed
  --key ID:TYPE:HEX key for the mode keyed, for example 1:SHA1:00112233445566778899
  --sources A/N     N source addresses from the IPv4 address A on (default: the kernel's choice);
                    `ip route add local 10.99.0.0/16 dev lo` makes a whole network this machine's
  --sockets N       sockets, each for a part of the source addresses (default 8)
  --seconds S       how long at most (default 5)
  --count N         end after N requests (default: when the time is over)
  --rate R          requests in a second, in a burst each millisecond (default: as fast as it answers)
  --burst N         N requests at a time: the server (--pid) is stopped while they are sent, then
                    answers them with the cores to itself, until all had time enough
  --window W        requests outstanding without --rate and --burst (default 64)
  --garbage P       percentage of malformed requests, which must not be answered (default 0)
  --pid PID         process of the server, to tell the CPU time of one request, and how many
                    requests it answered each time that it had slept
  --help            this text
";

/// Most source addresses: those of a network like 10.0.0.0/8.
const SOURCES_MAX: u32 = 1 << 24;

/// How requests look.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// Version 4, nothing else.
    Plain,
    /// Interleaved (RFC 9769).
    Interleaved,
    /// With a MAC.
    Keyed(Box<ntp_wire::Key>),
}

/// A range of source addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources {
    /// The first one.
    pub(crate) first: Ipv4Addr,
    /// How many.
    pub(crate) count: u32,
}

/// Everything on the command line.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) server: SocketAddr,
    pub(crate) mode: Mode,
    pub(crate) sources: Option<Sources>,
    pub(crate) sockets: usize,
    pub(crate) seconds: f64,
    pub(crate) count: u64,
    /// Requests in a second; `None`: as fast as the server answers.
    pub(crate) rate: Option<f64>,
    /// Requests sent while the server is stopped.
    pub(crate) burst: Option<usize>,
    pub(crate) window: usize,
    pub(crate) garbage_percent: u32,
    pub(crate) pid: Option<u32>,
}

/// Reads the command line; `None` for `--help`.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Option<Arguments>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let (mut server, mut key, mut mode) = (None, None, "plain".to_owned());
    let (mut sources, mut seconds, mut window) = (None, 5.0, 64);
    let (mut garbage_percent, mut pid) = (0, None);
    let (mut count, mut rate, mut burst, mut sockets) = (u64::MAX, None, None, 8usize);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("mode") => mode = parser.value()?.string()?,
            Long("key") => key = Some(parser.value()?.parse_with(parse_key)?),
            Long("sources") => sources = Some(parser.value()?.parse_with(parse_sources)?),
            Long("seconds") => seconds = parser.value()?.parse_with(parse_positive)?,
            Long("sockets") => sockets = parser.value()?.parse()?,
            Long("count") => count = parser.value()?.parse::<NonZero<u64>>()?.get(),
            Long("rate") => rate = Some(parser.value()?.parse_with(parse_positive)?),
            Long("burst") => burst = Some(parser.value()?.parse::<NonZero<usize>>()?.get()),
            Long("window") => window = parser.value()?.parse()?,
            Long("garbage") => garbage_percent = parser.value()?.parse()?,
            Long("pid") => pid = Some(parser.value()?.parse()?),
            Long("help") => return Ok(None),
            Value(value) if server.is_none() => server = Some(value.parse_with(parse_server)?),
            other => return Err(other.unexpected()),
        }
    }
    let mode = match (mode.as_str(), key) {
        ("plain", _) => Mode::Plain,
        ("interleaved", _) => Mode::Interleaved,
        ("keyed", Some(key)) => Mode::Keyed(Box::new(key)),
        ("keyed", None) => return Err("the mode keyed needs --key".into()),
        (other, _) => return Err(format!("unknown mode {other}").into()),
    };
    let server: SocketAddr = server.ok_or("no server given")?;
    if sources.is_some() && server.is_ipv6() {
        return Err("--sources are IPv4 addresses, which cannot ask an IPv6 server".into());
    }
    if garbage_percent > 100 {
        return Err("--garbage is a percentage, at most 100".into());
    }
    let window: usize = window;
    if pid == Some(0) {
        return Err("no process has the ID 0".into());
    }
    if burst.is_some() && pid.is_none() {
        return Err("--burst needs --pid".into());
    }
    Ok(Some(Arguments {
        server,
        mode,
        sources,
        sockets: sockets.max(1),
        seconds,
        count,
        rate,
        burst,
        window: window.max(1),
        garbage_percent,
        pid,
    }))
}

fn parse_key(text: &str) -> Result<ntp_wire::Key, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(id), Some(kind), Some(hex)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("expected ID:TYPE:HEX".into());
    };
    let id = id.parse().map_err(|_| "the key ID is not a number")?;
    let kind = ntp_wire::KeyKind::from_name(kind).ok_or("unknown key type")?;
    let secret: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect();
    let secret = secret.ok_or("the key is not hexadecimal")?;
    ntp_wire::Key::new(id, kind, &secret).map_err(|_| "the key has the wrong length".into())
}

fn parse_server(text: &str) -> Result<SocketAddr, String> {
    let addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    let found = addresses.into_iter().next();
    found.ok_or_else(|| "the name has no address".to_owned())
}

fn parse_positive(text: &str) -> Result<f64, &'static str> {
    let number: f64 = text.parse().map_err(|_| "not a number")?;
    (number.is_finite() && number > 0.0)
        .then_some(number)
        .ok_or("not above 0")
}

fn parse_sources(text: &str) -> Result<Sources, String> {
    let (first, count) = text.split_once('/').ok_or("expected ADDRESS/COUNT")?;
    let first = first.parse().map_err(|_| "not an IPv4 address")?;
    let count: u32 = count.parse().map_err(|_| "not a number")?;
    if !(1..=SOURCES_MAX).contains(&count) {
        return Err(format!("1 to {SOURCES_MAX} addresses"));
    }
    Ok(Sources { first, count })
}

impl Sources {
    /// The address with a number.
    pub(crate) fn address(&self, number: u32) -> IpAddr {
        let bits = u32::from(self.first).wrapping_add(number % self.count);
        IpAddr::V4(Ipv4Addr::from(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Arguments, String> {
        let words = std::iter::once("ntpload").chain(words.split(' '));
        let arguments = parse(words.map(OsString::from));
        arguments
            .map(|arguments| arguments.expect("no help"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn servers_have_names_or_addresses() {
        for server in ["127.0.0.1:123", "[::1]:123", "localhost:123"] {
            assert_eq!(parsed(server).expect(server).server.port(), 123);
        }
        for server in ["127.0.0.1", "::1", "localhost"] {
            assert!(parsed(server).is_err(), "{server}");
        }
    }

    #[test]
    fn senseless_loads_are_refused() {
        for options in [
            "--seconds 0",
            "--seconds -1",
            "--seconds nan",
            "--rate inf",
            "--burst 0 --pid 1",
            "--burst 10",
            "--garbage 101",
            "--sources 10.0.0.0/0",
            "--sources 10.0.0.0/4000000000",
            "--mode keyed",
            "--mode other",
        ] {
            let refused = parsed(&format!("{options} 127.0.0.1:123"));
            assert!(refused.is_err(), "{options}");
        }
        assert!(parsed("--sources 10.0.0.1/5 [::1]:123").is_err());
    }
}
