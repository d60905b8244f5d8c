//! Prints how long the reading of a configuration of 1000 lines takes.
//!
//! `cargo run --release -p chrony-conf --example parse_time`

use std::time::Instant;

use chrony_conf::files::SystemReader;
use chrony_conf::{Options, load};

/// Lines as real configurations have them; each is repeated with other addresses.
const LINES: [&str; 10] = [
    "server 192.0.2.N iburst minpoll 4 maxpoll 10 key 5 xleave",
    "# a comment of ordinary length, as packages ship them",
    "allow 10.N.0.0/16",
    "refclock SHM 0 refid GPS poll 3 offset 0.1 delay 0.2",
    "pool N.pool.example.net iburst maxsources 4",
    "makestep 1.0 3",
    "cmdallow 2001:db8:N::/48",
    "log tracking measurements statistics",
    "  maxupdateskew   100.0",
    "hwtimestamp ethN minpoll -3 rxfilter all nocrossts",
];

fn main() {
    const RUNS: usize = 201;
    let folder = std::env::temp_dir().join(format!("chrony-conf-{}", std::process::id()));
    let text: String = (0..1000)
        .map(|index| LINES[index % LINES.len()].replace('N', &(index % 250).to_string()) + "\n")
        .collect();
    std::fs::write(&folder, text).expect("temporary file");
    let options = Options {
        config_file: Some(folder.clone()),
        ..Options::default()
    };
    let reader = SystemReader::new(|_, _| None);
    let mut times_us: Vec<u128> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let loaded = load(&options, &reader);
            assert!(
                loaded.diagnostics.is_empty(),
                "{:?}",
                loaded.diagnostics.first()
            );
            start.elapsed().as_micros()
        })
        .collect();
    times_us.sort_unstable();
    std::fs::remove_file(&folder).expect("temporary file");
    println!(
        "1000 lines: median {} µs, slowest {} µs",
        times_us[RUNS / 2],
        times_us[RUNS - 1]
    );
}
