//! Several engines and servers: strata, peers, orphans, pools, replacement, rate limits.

mod support;

use std::net::SocketAddr;

use control_wire::Request;
use ntp_wire::LeapIndicator;
use sim::World;
use sim::clock::Oscillator;
use sim::link::{Jitter, Link, Path};
use sim::scenario::{ClientSetup, START, add_client, add_server, messages, server_address};
use sim::world::NodeId;

use support::{
    FIVE, assert_said, command, error_after, error_s, has, lan, leap_status, oscillator, run_for,
    tracking, world_of,
};

fn client(world: &mut World, number: u8, directives: &[&str], offset_s: f64) -> NodeId {
    let setup = ClientSetup {
        directives,
        oscillator: oscillator(offset_s, f64::from(number) * 1e-5),
        seed: u64::from(number),
        ..ClientSetup::default()
    };
    add_client(world, number, &setup, &lan()).expect("configuration")
}

#[test]
fn a_chain_of_strata() {
    let mut world = World::new(START, 21);
    add_server(&mut world, 1, 0.0);
    let mut chain = Vec::new();
    for number in 1..=4 {
        let upstream = match number {
            1 => "192.0.2.1".to_owned(),
            _ => format!("198.51.100.{}", number - 1),
        };
        let line = format!("server {upstream} iburst minpoll 4 maxpoll 4");
        chain.push(client(&mut world, number, &[&line, "allow"], 0.02));
    }
    run_for(&mut world, 4000.0);
    let mut distance_s = 0.0;
    for (stratum, id) in (2..).zip(chain) {
        let tracking = tracking(&mut world, id);
        assert_eq!(tracking.stratum, stratum);
        // Every hop is farther from the truth by its own admission.
        let further_s = tracking.root_delay_s.value() / 2.0 + tracking.root_dispersion_s.value();
        assert!(further_s > distance_s, "{further_s} {distance_s}");
        distance_s = further_s;
        let error_s = error_s(&mut world, id).abs();
        assert!(
            error_s < distance_s && error_s < 1e-3,
            "{stratum} {error_s}"
        );
    }
}

#[test]
fn a_loop_of_servers_is_refused() {
    // Two servers of each other without any reference: none may believe the other.
    let mut world = World::new(START, 22);
    let first = client(
        &mut world,
        1,
        &[
            "server 198.51.100.2 iburst minpoll 4 maxpoll 4",
            "allow",
            "local stratum 8 waitunsynced 2000",
        ],
        0.1,
    );
    let second = client(
        &mut world,
        2,
        &["server 198.51.100.1 iburst minpoll 4 maxpoll 4", "allow"],
        -0.1,
    );
    run_for(&mut world, 1500.0);
    assert_eq!(tracking(&mut world, first).stratum, 0);
    assert_eq!(tracking(&mut world, second).stratum, 0);
    run_for(&mut world, 2500.0);
    // The first now has its own time; the second follows, and the first does not follow it.
    assert_eq!(tracking(&mut world, first).stratum, 8);
    assert_eq!(tracking(&mut world, second).stratum, 9);
    assert!(
        !has(&world, first, "Selected source"),
        "{:#?}",
        messages(&world, first)
    );
}

#[test]
fn symmetric_peers_share_the_reference_of_one() {
    for option in ["", " xleave"] {
        let mut world = World::new(START, 23);
        let server = add_server(&mut world, 1, 0.0);
        let polls = format!("minpoll 4 maxpoll 4{option}");
        let first = client(
            &mut world,
            1,
            &[
                "server 192.0.2.1 iburst minpoll 4 maxpoll 4",
                &format!("peer 198.51.100.2 {polls}"),
            ],
            0.01,
        );
        let second = client(&mut world, 2, &[&format!("peer 198.51.100.1 {polls}")], 0.3);
        // The second has no way to the server.
        world.link_mut(second, server).expect("a link").outages = vec![(START, START.plus(1e6))];
        run_for(&mut world, 3000.0);
        let error_s = error_s(&mut world, second).abs();
        assert!(
            error_s < 1e-3,
            "{option} {error_s} {:#?}",
            messages(&world, second)
        );
        assert_eq!(tracking(&mut world, first).stratum, 2);
        assert_eq!(tracking(&mut world, second).stratum, 3);
        assert_said(&world, second, "Selected source 198.51.100.1");
        assert!(!has(&world, first, "Selected source 198.51.100.2"));
        // When the server goes, nobody follows the other in a circle.
        world.server_mut(server).expect("a server").answers = false;
        run_for(&mut world, 1000.0);
        assert!(!has(&world, first, "Selected source 198.51.100.2"));
    }
}

/// `count` machines with `local … orphan` that ask each other.
fn orphans(world: &mut World, count: u8, more: &[&str]) -> Vec<NodeId> {
    (1..=count)
        .map(|number| {
            let others = (1..=count).filter(|other| *other != number);
            let mut lines: Vec<String> = others
                .map(|other| format!("peer 198.51.100.{other} minpoll 4 maxpoll 4"))
                .collect();
            lines.push("local stratum 6 orphan distance 0.005".to_owned());
            lines.push("allow".to_owned());
            lines.extend(more.iter().map(|line| (*line).to_owned()));
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            client(world, number, &lines, 0.05 * f64::from(number))
        })
        .collect()
}

#[test]
fn orphans_follow_the_smallest_of_them() {
    let mut world = World::new(START, 24);
    let ids = orphans(&mut world, 3, &[]);
    run_for(&mut world, 6000.0);
    // The one with the smallest address is the reference of all.
    assert_eq!(tracking(&mut world, ids[0]).stratum, 6);
    assert_eq!(leap_status(&mut world, ids[0]), LeapIndicator::Normal);
    assert!(
        !has(&world, ids[0], "Selected source"),
        "{:#?}",
        messages(&world, ids[0])
    );
    let reference_s = error_s(&mut world, ids[0]);
    for id in [ids[1], ids[2]] {
        assert_eq!(tracking(&mut world, id).stratum, 7);
        assert_said(&world, id, "Selected source 198.51.100.1");
        let apart_s = error_s(&mut world, id) - reference_s;
        assert!(apart_s.abs() < 1e-3, "{apart_s}");
    }
}

#[test]
fn orphans_follow_a_server_that_comes_back_and_each_other_when_it_goes() {
    let mut world = World::new(START, 25);
    let server = add_server(&mut world, 1, 0.0);
    let ids = orphans(
        &mut world,
        3,
        &["server 192.0.2.1 iburst minpoll 4 maxpoll 4"],
    );
    run_for(&mut world, 2000.0);
    for id in &ids {
        assert_eq!(tracking(&mut world, *id).stratum, 2);
        assert!(error_s(&mut world, *id).abs() < 1e-3);
    }
    world.server_mut(server).expect("a server").answers = false;
    // The local reference takes over when the root distance of the lost server, which grows
    // by at least 1 ppm, exceeds 5 ms.
    run_for(&mut world, 10_000.0);
    let strata: Vec<_> = ids
        .iter()
        .map(|id| tracking(&mut world, *id).stratum)
        .collect();
    assert_eq!(strata, [6, 7, 7]);
    let reference_s = error_s(&mut world, ids[0]);
    for id in [ids[1], ids[2]] {
        let apart_s = error_s(&mut world, id) - reference_s;
        assert!(apart_s.abs() < 1e-2, "{apart_s}");
    }
    world.server_mut(server).expect("a server").answers = true;
    run_for(&mut world, 2000.0);
    for id in &ids {
        assert_eq!(tracking(&mut world, *id).stratum, 2);
        let error_s = error_s(&mut world, *id).abs();
        assert!(error_s < 1e-2, "{error_s}");
    }
}

#[test]
fn a_kiss_of_death_slows_the_client_down() {
    let mut world = World::new(START, 26);
    let server = client(
        &mut world,
        1,
        &[
            "local stratum 1",
            "allow",
            "ratelimit interval 12 burst 1 leak 16 kod 1",
        ],
        0.0,
    );
    let polls = ["server 198.51.100.1 minpoll 0 maxpoll 0"];
    let limited = client(&mut world, 2, &polls, 0.01);
    run_for(&mut world, 600.0);
    assert_said(&world, limited, "Received KoD RATE from 198.51.100.1");
    // Without heeding it there would be 600 requests.
    let requests = world.client(limited).expect("a client").requests;
    assert!(requests < 450, "{requests}");
    assert!(tracking(&mut world, server).stratum == 1);
}

/// Servers `numbers` under one name.
fn name(world: &mut World, name: &str, numbers: &[u8]) {
    let addresses: Vec<SocketAddr> = numbers
        .iter()
        .map(|number| server_address(*number))
        .collect();
    world.names.insert(name.to_owned(), addresses);
}

#[test]
fn a_pool_keeps_the_sources_it_needs() {
    let mut world = World::new(START, 27);
    let numbers: Vec<u8> = (1..=10).collect();
    for number in &numbers {
        add_server(&mut world, *number, 0.0);
    }
    // Two do not answer at first.
    for dead in 0..2 {
        world.server_mut(dead).expect("a server").answers = false;
    }
    name(&mut world, "pool.example", &numbers);
    let id = client(
        &mut world,
        1,
        &["pool pool.example iburst maxsources 4 minpoll 4 maxpoll 4"],
        0.02,
    );
    run_for(&mut world, 1000.0);
    let sources = world.client(id).expect("a client").engine.sources().len();
    assert_eq!(sources, 4, "{:#?}", messages(&world, id));
    assert!(error_s(&mut world, id).abs() < 1e-3);
}

#[test]
fn dead_and_false_members_of_a_pool_are_replaced() {
    let mut world = World::new(START, 28);
    let numbers: Vec<u8> = (1..=8).collect();
    for number in &numbers {
        add_server(&mut world, *number, 0.0);
    }
    name(&mut world, "pool.example", &numbers[..4]);
    let id = client(
        &mut world,
        1,
        &["pool pool.example iburst maxsources 4 minpoll 4 maxpoll 4"],
        0.02,
    );
    run_for(&mut world, 500.0);
    // Later the name means other servers; one member dies and one lies.
    name(&mut world, "pool.example", &numbers[4..]);
    world.server_mut(0).expect("a server").answers = false;
    world.server_mut(1).expect("a server").clock.step(3.0);
    // One replacement an hour at most.
    run_for(&mut world, 10_000.0);
    assert_said(&world, id, "Detected falseticker 192.0.2.2 (pool.example)");
    for number in [1, 2] {
        let text = format!("Source 192.0.2.{number} replaced with 192.0.2.");
        assert_said(&world, id, &text);
    }
    assert!(error_s(&mut world, id).abs() < 1e-3);
    assert_eq!(
        world.client(id).expect("a client").engine.sources().len(),
        4
    );
}

#[test]
fn a_named_server_that_dies_is_looked_up_again() {
    let mut world = World::new(START, 29);
    add_server(&mut world, 1, 0.0);
    add_server(&mut world, 2, 0.0);
    name(&mut world, "ntp.example", &[1]);
    let id = client(
        &mut world,
        1,
        &["server ntp.example iburst minpoll 4 maxpoll 4"],
        0.02,
    );
    run_for(&mut world, 500.0);
    assert_said(&world, id, "Selected source 192.0.2.1 (ntp.example)");
    world.server_mut(0).expect("a server").answers = false;
    name(&mut world, "ntp.example", &[2]);
    run_for(&mut world, 5000.0);
    assert_said(
        &world,
        id,
        "Source 192.0.2.1 replaced with 192.0.2.2 (ntp.example)",
    );
    assert_said(&world, id, "Selected source 192.0.2.2 (ntp.example)");
    assert!(error_s(&mut world, id).abs() < 1e-3);
}

#[test]
fn refresh_follows_a_name_that_moved() {
    let mut world = World::new(START, 30);
    add_server(&mut world, 1, 0.0);
    add_server(&mut world, 2, 0.0);
    name(&mut world, "ntp.example", &[1]);
    let id = client(
        &mut world,
        1,
        &[
            "server ntp.example iburst minpoll 4 maxpoll 4",
            "refresh 1000",
        ],
        0.02,
    );
    run_for(&mut world, 900.0);
    name(&mut world, "ntp.example", &[2]);
    run_for(&mut world, 50.0);
    assert!(!has(&world, id, "replaced"));
    run_for(&mut world, 1200.0);
    assert_said(
        &world,
        id,
        "Source 192.0.2.1 replaced with 192.0.2.2 (ntp.example)",
    );
    // By command at once.
    name(&mut world, "ntp.example", &[1]);
    command(&mut world, id, &Request::Refresh);
    assert_said(
        &world,
        id,
        "Source 192.0.2.2 replaced with 192.0.2.1 (ntp.example)",
    );
}

#[test]
fn the_name_that_does_not_resolve_at_first() {
    let mut world = World::new(START, 31);
    add_server(&mut world, 1, 0.0);
    let id = client(&mut world, 1, &["server ntp.example iburst"], 0.02);
    run_for(&mut world, 100.0);
    assert_eq!(world.client(id).expect("a client").requests, 0);
    name(&mut world, "ntp.example", &[1]);
    // 28, 56, 112 s …
    assert!(error_after(&mut world, id, 300.0) < 1e-3);
}

#[test]
fn truechimers_win_when_they_are_more() {
    // Two against three that agree with each other: the three have it. Two against three that
    // do not: nobody has it.
    let setup = ClientSetup {
        directives: &FIVE,
        ..ClientSetup::default()
    };
    let (mut world, id) = world_of(&[0.0, 0.0, 0.7, 0.7, 0.7], &setup, &lan());
    run_for(&mut world, 2000.0);
    let error_s = error_s(&mut world, id);
    assert!((error_s - 0.7).abs() < 1e-3, "{error_s}");
    for number in [1, 2] {
        assert_said(
            &world,
            id,
            &format!("Detected falseticker 192.0.2.{number}"),
        );
    }
    // One of the three comes to its senses.
    world.server_mut(2).expect("a server").clock.step(-0.7);
    let error_s = error_after(&mut world, id, 3000.0);
    assert!(error_s < 1e-3, "{error_s} {:#?}", messages(&world, id));
}

#[test]
fn an_asymmetric_path_shifts_the_clock_by_half_the_difference() {
    let link = Link {
        forth: Path::new(0.030, Jitter::Exponential(1e-5)),
        back: Path::new(0.010, Jitter::Exponential(1e-5)),
        outages: Vec::new(),
    };
    let setup = ClientSetup {
        directives: support::FAST,
        oscillator: Oscillator {
            offset_s: 0.1,
            frequency: 2e-5,
            wander: 1e-9,
        },
        ..ClientSetup::default()
    };
    let (mut world, id) = world_of(&[0.0], &setup, &link);
    run_for(&mut world, 2000.0);
    let error_s = error_s(&mut world, id);
    // θ = (T2 + T3)/2 − (T1 + T4)/2 is 10 ms too large.
    assert!((error_s - 0.010).abs() < 1e-3, "{error_s}");
    // And the client says that it may be.
    let tracking = tracking(&mut world, id);
    assert!(tracking.root_delay_s.value() / 2.0 > 0.0199);
}

#[test]
fn a_filter_makes_one_sample_of_many_polls() {
    // Every reply is late by something else.
    let late = Link {
        forth: Path::new(1e-4, Jitter::None),
        back: Path::new(1e-4, Jitter::Exponential(0.01)),
        outages: Vec::new(),
    };
    let run = |options: &str, seconds: f64| {
        let line = format!("server 192.0.2.1 minpoll 0 maxpoll 0 asymmetry 0 {options}");
        let setup = ClientSetup {
            directives: &[&line],
            oscillator: oscillator(0.01, 2e-5),
            ..ClientSetup::default()
        };
        let (mut world, id) = world_of(&[0.0], &setup, &late);
        run_for(&mut world, seconds);
        let client = world.client(id).expect("a client");
        let source = client.engine.sources().iter().next().expect("a source");
        source.statistics.samples().len()
    };
    // The third result of a filter of 16 comes with the 48th poll.
    assert_eq!(run("filter 16", 47.0), 2);
    assert_eq!(run("filter 16", 50.0), 3);
    assert!(run("", 50.0) > 10);
}
