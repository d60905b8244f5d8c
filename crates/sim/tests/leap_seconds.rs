//! Leap seconds in every mode, inserted and deleted: what is said and where clocks are
//! (discipline chapter, section 11).

mod support;

use ntp_wire::LeapIndicator;
use sim::World;
use sim::clock::TrueTime;
use sim::driver::SimKernel;
use sim::scenario::{ClientSetup, add_client, add_server, messages};
use sim::server::LeapSecond;
use sim::world::NodeId;

use support::{FAST, assert_said, count, error_s, has, lan, leap_status, oscillator, run_for};

/// 2026-07-01 00:00:00 UTC.
const MIDNIGHT: TrueTime = TrueTime(1_782_864_000 * 1_000_000_000);

/// How long before the leap second the runs begin, seconds.
const LEAD_S: f64 = 1800.0;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Insert,
    Delete,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Insert, Self::Delete];

    /// What the reading of a right clock jumps by.
    fn step_s(self) -> f64 {
        match self {
            Self::Insert => -1.0,
            Self::Delete => 1.0,
        }
    }

    fn indicator(self) -> LeapIndicator {
        match self {
            Self::Insert => LeapIndicator::InsertSecond,
            Self::Delete => LeapIndicator::DeleteSecond,
        }
    }

    /// When it happens.
    fn at(self) -> TrueTime {
        match self {
            Self::Insert => MIDNIGHT,
            Self::Delete => MIDNIGHT.plus(-1.0),
        }
    }
}

/// One server that makes the leap second (and announces it, if it does), and a client.
fn world(kind: Kind, announced: bool, setup: &ClientSetup<'_>) -> (World, NodeId) {
    let mut world = World::new(MIDNIGHT.plus(-LEAD_S), 11);
    let server = add_server(&mut world, 1, 0.0);
    let server = world.server_mut(server).expect("a server");
    server.leap = Some(LeapSecond {
        at: kind.at(),
        step_s: kind.step_s(),
    });
    if announced {
        server.announcement.leap = kind.indicator();
    }
    let client = add_client(&mut world, 1, setup, &lan()).expect("configuration");
    (world, client)
}

fn setup<'a>(directives: &'a [&'a str]) -> ClientSetup<'a> {
    ClientSetup {
        directives,
        oscillator: oscillator(0.001, 1e-5),
        ..ClientSetup::default()
    }
}

/// What the clock is off by after the leap second, which true time does not have.
fn error_after_leap_s(world: &mut World, client: NodeId, kind: Kind) -> f64 {
    error_s(world, client) - kind.step_s()
}

fn until(world: &mut World, kind: Kind, after_s: f64) {
    world.run_until(kind.at().plus(after_s));
}

#[test]
fn the_kernel_makes_it() {
    for kind in Kind::ALL {
        let (mut world, client) = world(
            kind,
            true,
            &ClientSetup {
                kernel: SimKernel {
                    leap_seconds: true,
                    ..SimKernel::default()
                },
                ..setup(FAST)
            },
        );
        until(&mut world, kind, -10.0);
        let text = match kind {
            Kind::Insert => "System clock status set to insert leap second",
            Kind::Delete => "System clock status set to delete leap second",
        };
        assert_said(&world, client, text);
        assert!(error_s(&mut world, client).abs() < 1e-4, "{kind:?}");
        assert_eq!(leap_status(&mut world, client), kind.indicator());
        // Right after the leap second the clock is right, and serves as unsynchronised.
        until(&mut world, kind, 0.2);
        let error_s = error_after_leap_s(&mut world, client, kind);
        assert!(error_s.abs() < 1e-4, "{kind:?} {error_s}");
        assert_eq!(
            leap_status(&mut world, client),
            LeapIndicator::Unsynchronised
        );
        // And stays so: no sample is taken for a jump of the clock.
        for _ in 0..60 {
            run_for(&mut world, 10.0);
            let error_s = error_after_leap_s(&mut world, client, kind);
            assert!(error_s.abs() < 1e-3, "{kind:?} {error_s}");
        }
        assert_said(
            &world,
            client,
            "System clock status reset after leap second",
        );
        assert_eq!(leap_status(&mut world, client), LeapIndicator::Normal);
        assert!(
            !has(&world, client, "wrong by"),
            "{:#?}",
            messages(&world, client)
        );
    }
}

#[test]
fn the_clock_is_stepped() {
    let directives = [FAST[0], "leapsecmode step"];
    for kind in Kind::ALL {
        let (mut world, client) = world(kind, true, &setup(&directives));
        until(&mut world, kind, 0.2);
        assert_said(&world, client, "System clock was stepped for leap second");
        for _ in 0..60 {
            let error_s = error_after_leap_s(&mut world, client, kind);
            assert!(
                error_s.abs() < 1e-3,
                "{kind:?} {error_s} {:#?}",
                messages(&world, client)
            );
            run_for(&mut world, 10.0);
        }
        assert!(
            !has(&world, client, "wrong by"),
            "{:#?}",
            messages(&world, client)
        );
        assert_eq!(leap_status(&mut world, client), LeapIndicator::Normal);
    }
}

#[test]
fn the_clock_is_slewed() {
    let directives = [FAST[0], "leapsecmode slew"];
    for kind in Kind::ALL {
        let (mut world, client) = world(kind, true, &setup(&directives));
        until(&mut world, kind, 0.2);
        assert_said(&world, client, "Adjusting system clock for leap second");
        // 1 s at 83 333 ppm takes 12 s.
        until(&mut world, kind, 6.0);
        let half_s = error_after_leap_s(&mut world, client, kind).abs();
        assert!((0.45..0.55).contains(&half_s), "{kind:?} {half_s}");
        until(&mut world, kind, 15.0);
        for _ in 0..60 {
            let error_s = error_after_leap_s(&mut world, client, kind);
            assert!(error_s.abs() < 1e-3, "{kind:?} {error_s}");
            run_for(&mut world, 10.0);
        }
        assert!(
            !has(&world, client, "wrong by"),
            "{:#?}",
            messages(&world, client)
        );
    }
}

#[test]
fn it_is_ignored_and_slewed_away_as_an_ordinary_error() {
    let directives = [FAST[0], "leapsecmode ignore", "logchange 0.5"];
    for kind in Kind::ALL {
        let (mut world, client) = world(kind, true, &setup(&directives));
        until(&mut world, kind, 0.2);
        assert_said(&world, client, "Ignoring leap second");
        let error_s = error_after_leap_s(&mut world, client, kind).abs();
        assert!((error_s - 1.0).abs() < 1e-3, "{kind:?} {error_s}");
        until(&mut world, kind, 150.0);
        let error_s = error_after_leap_s(&mut world, client, kind).abs();
        assert!(error_s < 1e-2, "{kind:?} {error_s}");
        assert_said(&world, client, "System clock wrong by");
    }
}

#[test]
fn samples_around_it_are_dropped() {
    // Polled every second.
    let directives = [
        "server 192.0.2.1 iburst minpoll 0 maxpoll 0",
        "leapsecmode step",
    ];
    let (mut world, client) = world(Kind::Insert, true, &setup(&directives));
    until(&mut world, Kind::Insert, 20.0);
    let text = "Dropping sample around leap second";
    // From 5 s before to 5 s after, with one second twice.
    let dropped = count(&world, client, text);
    assert!((9..=12).contains(&dropped), "{dropped}");
    let error_s = error_after_leap_s(&mut world, client, Kind::Insert);
    assert!(error_s.abs() < 1e-3, "{error_s}");
}

/// Times of the list, seconds since 1900.
const LIST: &str = "#$ 3676924800\n#@ 4000000000\n\
    2272060800 10 # 1 Jan 1972\n3550089600 35 # 1 Jul 2012\n3692217600 37 # 1 Jan 2017\n\
    3991852800 38 # 1 Jul 2026\n";

#[test]
fn a_list_knows_what_the_server_does_not_say() {
    // 30 June 2012 is what a list is tested with: it needs the entry before.
    let list = LIST.replace("3550089600 35", "3439756800 34\n3550089600 35");
    let directives = [FAST[0], "leapseclist /list", "leapsecmode step"];
    let files = [("/list", list.as_bytes())];
    let mut setup = setup(&directives);
    setup.files = &files;
    let (mut world, client) = world(Kind::Insert, false, &setup);
    until(&mut world, Kind::Insert, 60.0);
    assert_said(&world, client, "Using leap second list /list");
    assert_said(&world, client, "System clock was stepped for leap second");
    let error_s = error_after_leap_s(&mut world, client, Kind::Insert);
    assert!(error_s.abs() < 1e-3, "{error_s}");
}

#[test]
fn the_kernel_is_told_tai() {
    let list = LIST.replace("3550089600 35", "3439756800 34\n3550089600 35");
    let directives = [FAST[0], "leapseclist /list"];
    let files = [("/list", list.as_bytes())];
    let mut setup = setup(&directives);
    setup.files = &files;
    setup.kernel.leap_seconds = true;
    let (mut world, client) = world(Kind::Insert, false, &setup);
    until(&mut world, Kind::Insert, -100.0);
    assert_said(&world, client, "System clock TAI offset set to 37 seconds");
    until(&mut world, Kind::Insert, 600.0);
    // The kernel moves its TAI offset itself, so that nothing more is to be set.
    assert_eq!(count(&world, client, "System clock TAI offset"), 1);
    let error_s = error_after_leap_s(&mut world, client, Kind::Insert);
    assert!(error_s.abs() < 1e-3, "{error_s}");
}

#[test]
fn a_table_that_has_ended_is_used_with_a_warning() {
    let list = LIST
        .replace("3550089600 35", "3439756800 34\n3550089600 35")
        .replace("#@ 4000000000", "#@ 3900000000");
    let directives = [FAST[0], "leapseclist /list", "leapsecmode step"];
    let files = [("/list", list.as_bytes())];
    let mut setup = setup(&directives);
    setup.files = &files;
    let (mut world, client) = world(Kind::Insert, false, &setup);
    until(&mut world, Kind::Insert, 60.0);
    assert_said(&world, client, "Leap second list /list needs update");
    assert_said(&world, client, "System clock was stepped for leap second");
}

#[test]
fn a_minority_of_servers_cannot_announce_one() {
    let mut world = World::new(MIDNIGHT.plus(-LEAD_S), 12);
    for number in 1..=4 {
        let server = add_server(&mut world, number, 0.0);
        if number <= 2 {
            // Two of four are not more than half.
            let server = world.server_mut(server).expect("a server");
            server.announcement.leap = LeapIndicator::InsertSecond;
        }
    }
    let directives = [
        "server 192.0.2.1 iburst minpoll 4 maxpoll 4",
        "server 192.0.2.2 iburst minpoll 4 maxpoll 4",
        "server 192.0.2.3 iburst minpoll 4 maxpoll 4",
        "server 192.0.2.4 iburst minpoll 4 maxpoll 4",
        "leapsecmode step",
    ];
    let client = add_client(&mut world, 1, &setup(&directives), &lan()).expect("configuration");
    world.run_until(MIDNIGHT.plus(60.0));
    assert!(
        !has(&world, client, "leap second"),
        "{:#?}",
        messages(&world, client)
    );
    assert!(error_s(&mut world, client).abs() < 1e-3);
}

#[test]
fn an_announcement_on_another_day_is_ignored() {
    let mut world = World::new(MIDNIGHT.plus(86_400.0 - LEAD_S), 13);
    let server = add_server(&mut world, 1, 0.0);
    let server = world.server_mut(server).expect("a server");
    server.announcement.leap = LeapIndicator::InsertSecond;
    let directives = [FAST[0], "leapsecmode step"];
    let client = add_client(&mut world, 1, &setup(&directives), &lan()).expect("configuration");
    world.run_until(MIDNIGHT.plus(86_400.0 + 60.0));
    assert!(
        !has(&world, client, "leap second"),
        "{:#?}",
        messages(&world, client)
    );
    assert_eq!(leap_status(&mut world, client), LeapIndicator::Normal);
}

#[test]
fn smoothed_time_hides_it_from_clients() {
    // The server slews and smooths; its client sees no leap second and no jump.
    for mode in ["leapsecmode slew", "leapsecmode step"] {
        let directives = [FAST[0], mode, "smoothtime 400 1 leaponly", "allow"];
        let (mut world, server) = world(Kind::Insert, true, &setup(&directives));
        let downstream = [
            "server 198.51.100.1 iburst minpoll 2 maxpoll 2",
            "leapsecmode ignore",
            "maxslewrate 10000",
        ];
        let client = add_client(&mut world, 2, &setup(&downstream), &lan()).expect("configuration");
        until(&mut world, Kind::Insert, -100.0);
        assert_said(
            &world,
            server,
            "Activated time smoothing (leap seconds only)",
        );
        until(&mut world, Kind::Insert, 30.0);
        // The served time is almost where it was; the own one is not.
        let own_s = error_after_leap_s(&mut world, server, Kind::Insert);
        assert!(own_s.abs() < 1e-3, "{mode} {own_s}");
        let theirs_s = error_s(&mut world, client);
        assert!(theirs_s.abs() < 0.1, "{mode} {theirs_s}");
        // 1 s at 400 ppm takes less than an hour and a half.
        until(&mut world, Kind::Insert, 5400.0);
        let theirs_s = error_after_leap_s(&mut world, client, Kind::Insert);
        assert!(theirs_s.abs() < 1e-2, "{mode} {theirs_s}");
        // Only a leap second that is slewed is not announced.
        let told = has(&world, client, "Ignoring leap second");
        assert_eq!(told, mode == "leapsecmode step", "{mode}");
    }
}
