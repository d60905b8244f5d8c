//! What the tests of whole worlds share.

#![allow(dead_code, reason = "each test program uses a part of it")]

use control_wire::{Reply, ReplyHeader, Request, RequestHeader, Status, VERSION};
use engine::engine::{CommandPeer, Mode};
use ntp_wire::LeapIndicator;
use sim::World;
use sim::clock::Oscillator;
use sim::link::{Jitter, Link, Path};
use sim::scenario::{ClientSetup, START, add_client, add_server, messages};
use sim::world::NodeId;

/// One server without error, polled every 16 seconds after a burst.
pub(crate) const FAST: &[&str] = &["server 192.0.2.1 iburst minpoll 4 maxpoll 4"];

/// Five servers, polled in the same way.
pub(crate) const FIVE: [&str; 5] = [
    "server 192.0.2.1 iburst minpoll 4 maxpoll 4",
    "server 192.0.2.2 iburst minpoll 4 maxpoll 4",
    "server 192.0.2.3 iburst minpoll 4 maxpoll 4",
    "server 192.0.2.4 iburst minpoll 4 maxpoll 4",
    "server 192.0.2.5 iburst minpoll 4 maxpoll 4",
];

/// A local network: 0.1 ms each way and 20 µs of jitter.
pub(crate) fn lan() -> Link {
    Link::symmetric(Path::new(1e-4, Jitter::Exponential(2e-5)))
}

/// A clock with this error and a small wander.
pub(crate) fn oscillator(offset_s: f64, frequency: f64) -> Oscillator {
    Oscillator {
        offset_s,
        frequency,
        wander: 1e-9,
    }
}

/// One server without error and a client with this configuration and clock.
pub(crate) fn pair(directives: &[&str], oscillator: Oscillator, link: &Link) -> (World, NodeId) {
    let setup = ClientSetup {
        directives,
        oscillator,
        ..ClientSetup::default()
    };
    world_of(&[0.0], &setup, link)
}

/// Servers with these offsets in seconds, and a client.
pub(crate) fn world_of(offsets_s: &[f64], setup: &ClientSetup<'_>, link: &Link) -> (World, NodeId) {
    let mut world = World::new(START, 7);
    for (number, offset_s) in (1..).zip(offsets_s) {
        add_server(&mut world, number, *offset_s);
    }
    let client = add_client(&mut world, 1, setup, link).expect("configuration");
    (world, client)
}

/// The same for a special mode.
pub(crate) fn pair_in_mode(
    directives: &[&str],
    oscillator: Oscillator,
    link: &Link,
    mode: Mode,
) -> (World, NodeId) {
    let setup = ClientSetup {
        directives,
        oscillator,
        mode,
        ..ClientSetup::default()
    };
    world_of(&[0.0], &setup, link)
}

/// Lets time pass.
pub(crate) fn run_for(world: &mut World, seconds: f64) {
    world.run_until(world.now().plus(seconds));
}

/// The clock's error (raw − true), seconds.
pub(crate) fn error_s(world: &mut World, client: NodeId) -> f64 {
    world.clock_error(client).expect("a client").0
}

/// The magnitude of that error some time later.
pub(crate) fn error_after(world: &mut World, client: NodeId, seconds: f64) -> f64 {
    run_for(world, seconds);
    error_s(world, client).abs()
}

/// Messages with this text in them.
pub(crate) fn count(world: &World, client: NodeId, text: &str) -> usize {
    let said = messages(world, client);
    said.iter().filter(|message| message.contains(text)).count()
}

/// Whether anything with this text in it was said.
pub(crate) fn has(world: &World, client: NodeId, text: &str) -> bool {
    count(world, client, text) > 0
}

/// Fails, showing all that was said, unless something with this text was.
#[track_caller]
pub(crate) fn assert_said(world: &World, client: NodeId, text: &str) {
    let said = messages(world, client);
    assert!(has(world, client, text), "no {text:?} in {said:#?}");
}

/// Gives a command as over the Unix socket.
pub(crate) fn command(world: &mut World, client: NodeId, request: &Request) -> (Status, Reply) {
    let header = RequestHeader {
        version: VERSION,
        command: request.command().code(),
        attempt: 0,
        sequence: 1,
    };
    let datagram = request.emit(&header);
    let reply = world
        .command(client, |engine, now| {
            engine.handle_command(now, &datagram, CommandPeer::Unix)
        })
        .flatten()
        .expect("an answer");
    let answer = ReplyHeader::parse(&reply).expect("a reply");
    let status = answer.status;
    (status, Reply::parse(&answer, &reply).expect("data"))
}

/// What `tracking` tells.
pub(crate) fn tracking(world: &mut World, client: NodeId) -> control_wire::Tracking {
    match command(world, client, &Request::Tracking).1 {
        Reply::Tracking(tracking) => tracking,
        other => panic!("{other:?}"),
    }
}

/// The leap status that `tracking` tells.
pub(crate) fn leap_status(world: &mut World, client: NodeId) -> LeapIndicator {
    LeapIndicator::from_bits(tracking(world, client).leap_status.code() as u8)
}
