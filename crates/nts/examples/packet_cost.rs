//! Cost of the NTS part of an answer, without sockets: nanoseconds of processor time of one
//! request, opened and sealed, for each pair of algorithms (of the cookie key and of the
//! session).
//!
//! `cargo run --release -p nts --example packet_cost` (or under `perf` or callgrind).

use std::hint::black_box;

use ntp_wire::{MAX_PACKET_LENGTH, Packet};
use nts::random::SystemRandom;
use nts::server::key_file::KeyFile;
use nts::server::packet::{Opened, open_request};

fn file(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/nts/");
    std::fs::read_to_string(format!("{folder}{name}")).expect("golden data")
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
        .collect()
}

/// Processor time of this process so far, nanoseconds: the first word of schedstat.
fn cpu_ns() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("schedstat");
    let word = text.split_whitespace().next().expect("word");
    word.parse().expect("nanoseconds")
}

fn main() {
    let rounds: u32 = std::env::args()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(300_000);
    for (requests, keys) in [
        ("ntp_server_siv.tsv", "ntskeys_15"),
        ("ntp_server_siv_gcmcookie.tsv", "ntskeys_30"),
        ("ntp_server_gcm_compliant.tsv", "ntskeys_30"),
    ] {
        let keys = KeyFile::parse(&file(keys)).expect("keys").keys;
        let rows = file(requests);
        let row = rows
            .lines()
            .find(|line| line.contains("plain_0_placeholders"))
            .expect("row");
        let request = octets(row.split('\t').nth(2).expect("request"));
        let mut random = SystemRandom::new();
        let mut buffer = [0; MAX_PACKET_LENGTH];
        let start = cpu_ns();
        for _ in 0..rounds {
            let packet = Packet::parse(black_box(&request)).expect("packet");
            let Opened::Authentic(opened) = open_request(&keys, &packet) else {
                panic!("not authentic");
            };
            let length = opened.seal_response(&keys, &mut buffer, 48, &mut random);
            assert!(black_box(length).is_some());
        }
        let each = (cpu_ns() - start) / f64::from(rounds);
        println!("{requests:34} {each:7.0} ns");
    }
}
