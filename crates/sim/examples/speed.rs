//! How fast the simulator is: simulated seconds per second of processor time, for a client
//! and a server that are both whole engines, and for a client of a minimal server.
//!
//! `cargo run --release -p sim --example speed`

use std::time::Instant;

use sim::World;
use sim::link::{Jitter, Link, Path};
use sim::scenario::{ClientSetup, START, add_client, add_server};

/// Length of a run, simulated seconds.
const LENGTH_S: f64 = 2_000_000.0;

fn main() -> Result<(), String> {
    for poll in [0, 4, 6] {
        let engines = seconds_per_second(poll, true)?;
        let minimal = seconds_per_second(poll, false)?;
        println!(
            "poll {poll}: {engines:.0} simulated seconds a second with two engines, \
             {minimal:.0} with a minimal server"
        );
    }
    Ok(())
}

fn seconds_per_second(poll: i8, server_is_engine: bool) -> Result<f64, String> {
    let mut world = World::new(START, 1);
    let link = Link::symmetric(Path::new(1e-4, Jitter::Exponential(2e-5)));
    let address = if server_is_engine {
        let setup = ClientSetup {
            directives: &["local stratum 1", "allow"],
            ..ClientSetup::default()
        };
        add_client(&mut world, 1, &setup, &link)?;
        "198.51.100.1"
    } else {
        add_server(&mut world, 1, 0.0);
        "192.0.2.1"
    };
    let line = format!("server {address} iburst minpoll {poll} maxpoll {poll}");
    let setup = ClientSetup {
        directives: &[&line],
        seed: 2,
        ..ClientSetup::default()
    };
    add_client(&mut world, 2, &setup, &link)?;
    let length_s = LENGTH_S.min(LENGTH_S * 2f64.powi(i32::from(poll) - 4));
    let start = Instant::now();
    world.run_until(START.plus(length_s));
    Ok(length_s / start.elapsed().as_secs_f64())
}
