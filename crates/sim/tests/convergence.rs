//! Whole engines in the simulator: do they set, keep and defend the clock?

use discipline::journal::LogFile;
use sim::World;
use sim::clock::Oscillator;
use sim::link::{Jitter, Link, Path};
use sim::scenario::{ClientSetup, START, add_client, add_server, messages};

fn lan() -> Link {
    Link::symmetric(Path::new(1e-4, Jitter::Exponential(2e-5)))
}

#[test]
fn a_client_converges_and_stays() {
    let mut world = World::new(START, 1);
    add_server(&mut world, 1, 0.0);
    let setup = ClientSetup {
        oscillator: Oscillator {
            offset_s: 0.05,
            frequency: 3e-5,
            wander: 1e-9,
        },
        logs: &[LogFile::Tracking],
        ..ClientSetup::default()
    };
    let client = add_client(&mut world, 1, &setup, &lan()).unwrap();
    world.run_until(START.plus(1000.0));
    let (error_s, rate) = world.clock_error(client).unwrap();
    assert!(
        error_s.abs() < 1e-3,
        "{error_s} {rate}\n{:#?}",
        messages(&world, client)
    );
    world.run_until(START.plus(20_000.0));
    let (error_s, rate) = world.clock_error(client).unwrap();
    assert!(
        error_s.abs() < 1e-4 && rate.abs() < 1e-6,
        "{error_s} {rate}"
    );
    assert_eq!(messages(&world, client), ["Selected source 192.0.2.1"]);
}
