//! Whole engines with reference clocks.

mod support;

use control_wire::{Address, Index, Reply, Request, SelectData, SourceData, SourceMode};
use discipline::journal::{Entry, LogFile};
use sim::World;
use sim::clock::{Oscillator, TrueTime};
use sim::link::Link;
use sim::refclock::{Signal, SimRefclock};
use sim::scenario::{ClientSetup, START, add_client, add_server};
use sim::world::NodeId;

use support::{
    assert_said, command, count, error_after, error_s, has, lan, oscillator, run_for, tracking,
};

/// A clock that tells the time.
const CLOCK: SimRefclock = SimRefclock::new(Signal::Time, 1e-6);
/// Pulses, well in time.
const PULSES: SimRefclock = SimRefclock::new(Signal::Pulse, 1e-7);

/// A client with these devices and no server.
fn client_with(
    directives: &[&str],
    devices: &[SimRefclock],
    oscillator: Oscillator,
) -> (World, NodeId) {
    let mut world = World::new(START, 7);
    let setup = ClientSetup {
        directives,
        oscillator,
        refclocks: devices,
        logs: &[LogFile::Refclocks],
        ..ClientSetup::default()
    };
    let client = add_client(&mut world, 1, &setup, &lan()).expect("configuration");
    (world, client)
}

/// The same with a server whose clock is off by this.
fn client_with_server(
    directives: &[&str],
    devices: &[SimRefclock],
    server_offset_s: f64,
    link: &Link,
) -> (World, NodeId) {
    let mut world = World::new(START, 7);
    add_server(&mut world, 1, server_offset_s);
    let setup = ClientSetup {
        directives,
        oscillator: oscillator(0.01, 1e-5),
        refclocks: devices,
        ..ClientSetup::default()
    };
    let client = add_client(&mut world, 1, &setup, link).expect("configuration");
    (world, client)
}

fn source(world: &mut World, client: NodeId, index: u32) -> SourceData {
    match command(world, client, &Request::SourceData(Index { index })).1 {
        Reply::SourceData(data) => data,
        other => panic!("{other:?}"),
    }
}

fn selection(world: &mut World, client: NodeId, index: u32) -> SelectData {
    match command(world, client, &Request::SelectData(Index { index })).1 {
        Reply::SelectData(data) => data,
        other => panic!("{other:?}"),
    }
}

/// Lines of `refclocks.log`.
fn lines(world: &World, client: NodeId) -> Vec<&str> {
    let journal = &world.client(client).expect("a client").journal;
    journal
        .iter()
        .filter_map(|(_, entry)| match entry {
            Entry::Line { text, .. } => Some(text.as_str()),
            Entry::Message { .. } => None,
        })
        .collect()
}

#[test]
fn a_clock_is_followed() {
    for directive in [
        "refclock SHM 0 refid GPS",
        "refclock SOCK /run/gps refid GPS",
    ] {
        let (mut world, client) = client_with(&[directive], &[CLOCK], oscillator(0.01, 1e-5));
        assert!(error_after(&mut world, client, 600.0) < 5e-6);
        assert_said(&world, client, "Selected source GPS");
        let report = tracking(&mut world, client);
        assert_eq!(report.ref_id, u32::from_be_bytes(*b"GPS\0"));
        assert_eq!((report.ip_addr, report.stratum), (Address::Unspecified, 1));
        let data = source(&mut world, client, 0);
        assert_eq!(data.mode, SourceMode::ReferenceClock);
        assert_eq!(
            data.ip_addr,
            Address::Ipv4(u32::from_be_bytes(*b"GPS\0").into())
        );
        assert_eq!((data.poll, data.stratum, data.reachability), (4, 0, 0o377));
    }
}

#[test]
fn every_sample_and_what_the_filter_makes_of_them_is_logged() {
    let directives = ["refclock SHM 0 poll 2 dpoll 0 refid GPS offset 0.5"];
    let device = SimRefclock {
        offset_s: 0.25,
        ..SimRefclock::new(Signal::Time, 0.0)
    };
    let (mut world, client) = client_with(&directives, &[device], oscillator(0.0, 0.0));
    run_for(&mut world, 3.5);
    let expected = [
        "2026-01-01 00:00:00.000000 GPS     0 N 0  2.500000e-01  7.500000e-01  1.000e-07",
        "2026-01-01 00:00:01.000000 GPS     1 N 0  2.500000e-01  7.500000e-01  1.000e-07",
        "2026-01-01 00:00:02.000000 GPS     2 N 0  2.500000e-01  7.500000e-01  1.000e-07",
        "2026-01-01 00:00:03.000000 GPS     3 N 0  2.500000e-01  7.500000e-01  1.000e-07",
        "2026-01-01 00:00:01.500000 GPS     - N -       -        7.500000e-01  1.000e-07",
    ];
    assert_eq!(lines(&world, client), expected);
}

#[test]
fn pulses_find_their_second_by_a_clock_that_is_less_exact() {
    // The clock is wrong by 80 ms, the pulses are right.
    let rough = SimRefclock {
        offset_s: 0.08,
        ..SimRefclock::new(Signal::Time, 1e-3)
    };
    for driver in ["PPS /dev/pps0", "SOCK /run/pps"] {
        let pulses = format!("refclock {driver} refid PPS lock NMEA poll 2");
        let directives = ["refclock SHM 0 refid NMEA poll 2 noselect", &pulses];
        let devices = [rough, PULSES];
        // Polled pulses come with `pps` or their driver; pushed ones say so themselves.
        let (mut world, client) = client_with(&directives, &devices, oscillator(3.2, 1e-5));
        assert!(error_after(&mut world, client, 600.0) < 1e-6);
        assert_said(&world, client, "Selected source PPS");
        assert_eq!(selection(&mut world, client, 0).state_char, b'N');
        assert_eq!(selection(&mut world, client, 1).state_char, b'*');
    }
}

#[test]
fn pulses_alone_wait_for_a_clock_that_is_nearly_right() {
    let pulses = "refclock PPS /dev/pps0 refid PPS poll 2";
    let (mut world, client) = client_with(&[pulses], &[PULSES], oscillator(0.01, 1e-5));
    run_for(&mut world, 300.0);
    assert_eq!(source(&mut world, client, 0).reachability, 0);
    assert_eq!(tracking(&mut world, client).stratum, 0);
    // A server tells the second.
    let directives = [pulses, "server 192.0.2.1 iburst minpoll 4 maxpoll 4"];
    let (mut world, client) = client_with_server(&directives, &[PULSES], 0.0, &lan());
    assert!(error_after(&mut world, client, 600.0) < 1e-6);
    assert_said(&world, client, "Selected source PPS");
    assert_eq!(tracking(&mut world, client).stratum, 1);
}

#[test]
fn the_other_edge_of_a_pulse_is_refused() {
    // The pulses that are sent are the ends: a tenth of a second late.
    let late = SimRefclock {
        offset_s: -0.1,
        ..PULSES
    };
    let server = "server 192.0.2.1 iburst minpoll 4 maxpoll 4";
    for (width, refused) in [("", false), (" width 0.1", true)] {
        let pulses = format!("refclock PPS /dev/pps0 refid PPS poll 2 noselect{width}");
        let (mut world, client) = client_with_server(&[&pulses, server], &[late], 0.0, &lan());
        run_for(&mut world, 300.0);
        assert_eq!(
            source(&mut world, client, 0).reachability == 0,
            refused,
            "{width}"
        );
    }
}

#[test]
fn a_clock_in_tai_is_corrected_by_the_list_of_leap_seconds() {
    // 2008 and 2012 are what a list is tested with.
    let list = "#$ 3676924800\n#@ 4102444800\n3439756800 34 # 1 Jan 2009\n\
        3550089600 35 # 1 Jul 2012\n3692217600 37 # 1 Jan 2017\n";
    let directives = [
        "refclock PHC /dev/ptp0 refid PTP tai",
        "leapseclist /leap-seconds.list",
    ];
    let ahead = SimRefclock {
        offset_s: 37.0,
        ..CLOCK
    };
    let mut world = World::new(START, 7);
    let setup = ClientSetup {
        directives: &directives,
        oscillator: oscillator(0.01, 1e-5),
        refclocks: &[ahead],
        files: &[("/leap-seconds.list", list.as_bytes())],
        ..ClientSetup::default()
    };
    let client = add_client(&mut world, 1, &setup, &lan()).expect("configuration");
    assert!(error_after(&mut world, client, 600.0) < 5e-6);
    let without = ClientSetup {
        directives: &directives[..1],
        refclocks: &[ahead],
        ..ClientSetup::default()
    };
    let refused = add_client(&mut world, 2, &without, &lan());
    let text = "refclock tai option requires leapseclist or leapsectz";
    assert_eq!(refused.err().as_deref(), Some(text));
}

#[test]
fn a_stable_local_clock_holds_the_frequency_between_updates() {
    // The oscillator wanders; a rubidium clock beside it does not, but nobody knows its phase.
    let server = "server 192.0.2.1 iburst minpoll 10 maxpoll 10";
    let error = |directives: &[&str], devices: &[SimRefclock]| {
        let mut world = World::new(START, 7);
        add_server(&mut world, 1, 0.0);
        let setup = ClientSetup {
            directives,
            oscillator: Oscillator {
                wander: 1e-8,
                ..oscillator(0.01, 1e-5)
            },
            refclocks: devices,
            ..ClientSetup::default()
        };
        let client = add_client(&mut world, 1, &setup, &lan()).expect("configuration");
        run_for(&mut world, 20_000.0);
        assert!(!has(&world, client, "lost lock"));
        let mut square = 0.0;
        for _ in 0..2000 {
            run_for(&mut world, 10.0);
            square += error_s(&mut world, client).powi(2);
        }
        (square / 2000.0).sqrt()
    };
    let alone = error(&[server], &[]);
    let phase = SimRefclock {
        offset_s: 0.321,
        ..PULSES
    };
    let local = "refclock PPS /dev/pps0 refid RUBI local poll 3";
    let helped = error(&[local, server], &[phase]);
    assert!(helped * 4.0 < alone, "{helped} {alone}");
}

#[test]
fn a_silent_clock_is_lost() {
    let (mut world, client) = client_with(
        &["refclock SHM 0 refid GPS poll 2"],
        &[CLOCK],
        oscillator(0.01, 1e-5),
    );
    run_for(&mut world, 100.0);
    let machine = world.client_mut(client).expect("a client");
    machine.refclock_mut(0).expect("a device").answers = false;
    run_for(&mut world, 40.0);
    assert_said(
        &world,
        client,
        "Can't synchronise: no selectable sources (1 unreachable sources)",
    );
    assert_eq!(source(&mut world, client, 0).reachability, 0);
    let machine = world.client_mut(client).expect("a client");
    machine.refclock_mut(0).expect("a device").answers = true;
    run_for(&mut world, 40.0);
    assert_eq!(count(&world, client, "Selected source GPS"), 2);
}

#[test]
fn impossible_times_are_ignored() {
    for offset_s in [1e18, -1e18, 1e10, -1e10, f64::INFINITY] {
        let device = SimRefclock { offset_s, ..CLOCK };
        let directives = ["refclock SHM 0 refid GPS poll 2"];
        let (mut world, client) = client_with(&directives, &[device], oscillator(0.01, 1e-5));
        run_for(&mut world, 100.0);
        assert_eq!(tracking(&mut world, client).stratum, 0, "{offset_s}");
        assert!(error_s(&mut world, client).abs() < 0.1);
    }
}

#[test]
fn locks_that_cannot_be_are_named_at_start() {
    let directives = [
        "refclock SHM 0 refid NMEA dpoll 4",
        "refclock PPS /dev/pps0 refid A lock GONE",
        "refclock PPS /dev/pps1 refid B lock B",
        "refclock PPS /dev/pps2 refid C lock NMEA",
    ];
    let (world, client) = client_with(&directives, &[], oscillator(0.0, 0.0));
    assert_said(&world, client, "Invalid lock refid GONE");
    assert_said(&world, client, "Invalid lock refid B");
    assert_said(&world, client, "C maxlockage too small for NMEA");
}

#[test]
fn samples_around_a_leap_second_are_dropped() {
    // 30 June 2026, 23:59:00 UTC.
    let start = TrueTime(1_782_863_940 * 1_000_000_000);
    let list = "#$ 3676924800\n#@ 4102444800\n3439756800 34 # 1 Jan 2009\n\
        3550089600 35 # 1 Jul 2012\n3692217600 37 # 1 Jan 2017\n3991852800 38 # 1 Jul 2026\n";
    let mut world = World::new(start, 7);
    let setup = ClientSetup {
        directives: &["refclock SHM 0 refid GPS poll 1", "leapseclist /list"],
        oscillator: oscillator(0.0, 1e-5),
        refclocks: &[CLOCK],
        files: &[("/list", list.as_bytes())],
        ..ClientSetup::default()
    };
    let client = add_client(&mut world, 1, &setup, &lan()).expect("configuration");
    run_for(&mut world, 54.0);
    let text = "Dropping sample around leap second";
    assert!(!has(&world, client, text));
    run_for(&mut world, 10.0);
    // Every two seconds from 5 s before on.
    assert!((4..=6).contains(&count(&world, client, text)));
}
