//! The recorded samples.

use std::collections::BTreeSet;

use super::exchange::{Exchange, folder, from_hex};
use super::simulated;

/// One recorded session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) name: String,
    /// Shell command line.
    pub(crate) command: String,
    /// Standard output, and a line with the exit status.
    pub(crate) output: String,
    pub(crate) errors: String,
    /// Sockets that the client could connect, e.g. `unix:/run/t/fake.sock`.
    pub(crate) servers: BTreeSet<String>,
    pub(crate) exchanges: Vec<Exchange>,
}

/// Every sample by its name.
pub(crate) fn all_samples() -> Vec<Sample> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("folder of samples")
        .filter_map(|entry| entry.expect("entry").file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".cmd").map(str::to_owned))
        .collect();
    names.sort();
    names.into_iter().map(load).collect()
}

fn load(name: String) -> Sample {
    let read = |extension: &str| {
        let bytes = std::fs::read(folder().join(format!("{name}.{extension}")));
        bytes
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    };
    let mut sample = Sample {
        command: read("cmd"),
        output: read("out"),
        errors: read("err"),
        ..Sample::default()
    };
    let packets = read("pkt");
    sample.take_packets(if packets.is_empty() {
        packets_of(&name)
    } else {
        &packets
    });
    sample.name = name;
    sample.take_simulation();
    sample
}

/// Packets of samples that were recorded without, made of their output.
fn packets_of(name: &str) -> &'static str {
    const ACTIVITY: &str = "= connect unix:/var/run/chrony/chronyd.sock\n\
        C 06010000002c0000ffffffff00000000000000000000000000000000000000000000000000000000\
        0000000000000000\n\
        D 06020000002c000c0000000000000000ffffffff0000000000000000000000030000000c00000000\
        0000000000000000\n";
    match name {
        "830-nonroot-fallback" => {
            "= connect udp:127.0.0.1:323\n\
             C 06010000002b0000ffffffff00000000000000000000000000000000\n\
             D 06020000002b00010002000000000000ffffffff0000000000000000\n"
        }
        "847-socket-bad-mode" => "= connect unix:/run/t/bm/s.sock\n",
        "850-interactive" | "852-interactive-csv-e" => ACTIVITY,
        "851-interactive-eof" => "= connect unix:/var/run/chrony/chronyd.sock\n",
        // Fails before it sends anything.
        _ => "= connect udp:[::1]:323\n",
    }
}

impl Sample {
    fn take_packets(&mut self, packets: &str) {
        // A refused datagram is one to a port where nobody listens.
        let udp_refused = packets.contains("!ECONNREFUSED");
        for line in packets.lines() {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            match kind {
                "=" => {
                    let server = rest.strip_prefix("connect ").expect("connect");
                    let usable =
                        !(server.contains(" !") || udp_refused && server.starts_with("udp:"));
                    if usable {
                        self.servers.insert(server.to_owned());
                    }
                }
                "C" if !rest.contains(" !") && !udp_refused => self.exchanges.push(Exchange {
                    request: from_hex(rest),
                    replies: Vec::new(),
                }),
                "D" if !rest.starts_with('!') => {
                    let exchange = self.exchanges.last_mut().expect("request before the reply");
                    exchange.replies.push(from_hex(rest));
                }
                _ => {}
            }
        }
    }

    /// Makes the packets of a simulated sample.
    fn take_simulation(&mut self) {
        let csv = std::fs::read_to_string(folder().join("805-sim-csv-names.out")).expect("805");
        if let Some(exchanges) = simulated::exchanges(self.number(), &self.output, &csv) {
            self.servers = BTreeSet::from([simulated::SERVER.to_owned()]);
            self.exchanges = exchanges;
        }
    }

    /// Number at the start of the name.
    pub(crate) fn number(&self) -> u32 {
        self.name
            .split('-')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }
}
