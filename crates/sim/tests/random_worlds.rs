//! Random worlds: whatever servers say, links do and configurations ask for, nothing turns
//! into a number that is none, and a majority of honest servers keeps the clock right.

mod support;

use control_wire::{Index, Reply, Request};
use discipline::journal::{Entry, LogFile};
use discipline::samples::EstimatorKind;
use ntp_wire::LeapIndicator;
use proptest::prelude::*;
use sim::World;
use sim::clock::Oscillator;
use sim::link::{Jitter, Link, Path};
use sim::scenario::{ClientSetup, START, add_client, add_server};
use sim::server::SimServer;
use sim::world::NodeId;

use support::{FIVE, command, error_s, run_for, tracking};

/// What happens to a server at some time.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Its clock is stepped, seconds.
    Step(f64),
    /// Its frequency error changes, s/s.
    Frequency(f64),
    /// It answers or not.
    Answers(bool),
    /// It announces this root delay and dispersion, seconds.
    Root(f64, f64),
    /// It announces this stratum and leap status.
    Status(u8, u8),
}

impl Event {
    fn apply(self, server: &mut SimServer) {
        match self {
            Self::Step(step_s) => server.clock.step(step_s),
            Self::Frequency(change) => server.clock.change_frequency(change),
            Self::Answers(answers) => server.answers = answers,
            Self::Root(delay_s, dispersion_s) => {
                server.announcement.root_delay_s = delay_s;
                server.announcement.root_dispersion_s = dispersion_s;
            }
            Self::Status(stratum, leap) => {
                server.announcement.stratum = stratum;
                server.announcement.leap = LeapIndicator::from_bits(leap);
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any_size().prop_map(Event::Step),
        (-0.5..0.5f64).prop_map(Event::Frequency),
        any::<bool>().prop_map(Event::Answers),
        (0.0..65_535.0f64, 0.0..65_535.0f64)
            .prop_map(|(delay_s, dispersion_s)| Event::Root(delay_s, dispersion_s)),
        (0..=17u8, 0..4u8).prop_map(|(stratum, leap)| Event::Status(stratum, leap)),
    ]
}

/// Seconds of every size, from a nanosecond to centuries.
fn any_size() -> impl Strategy<Value = f64> {
    (any::<bool>(), -9.0..10.0f64).prop_map(|(negative, exponent)| {
        let size = 10f64.powf(exponent);
        if negative { -size } else { size }
    })
}

fn source_options() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "iburst",
        "xleave",
        "iburst filter 5",
        "maxsamples 1",
        "maxsamples 2",
        "minsamples 64",
        "asymmetry 0.5",
        "mindelay 0.001",
        "maxdelayquant 0.5",
        "maxdelay 0.01 maxdelayratio 1.5 maxdelaydevratio 2",
        "noselect",
        "prefer",
        "trust",
        "require",
        "offset -0.1",
        "copy",
        "presend 1",
        "extfield F323",
        "minstratum 15",
        "maxunreach 0",
    ])
}

fn directive() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "makestep 0.1 -1",
        "makestep 1 3",
        "maxchange 10 2 3",
        "maxslewrate 0.001",
        "maxslewrate 100000",
        "maxdrift 1",
        "corrtimeratio 1e-9",
        "corrtimeratio 1e9",
        "maxupdateskew 0",
        "maxclockerror 1e6",
        "combinelimit 0",
        "combinelimit 1e9",
        "reselectdist 0",
        "stratumweight 1e9",
        "maxdistance 1e9",
        "maxjitter 1e9",
        "minsources 2",
        "fallbackdrift 4 8",
        "local orphan stratum 3",
        "local activate 1 distance 1e-9",
        "smoothtime 1e-6 1e-9",
        "smoothtime 1e5 1e5",
        "smoothtime 400 0.01 leaponly",
        "leapsecmode slew",
        "tempcomp /sensor 3 20 0 1 0",
        "initstepslew 1 192.0.2.1",
        "driftfile /drift",
    ])
}

fn kept_logs() -> &'static [LogFile] {
    &[
        LogFile::Measurements,
        LogFile::Statistics,
        LogFile::Tracking,
        LogFile::Selection,
        LogFile::Tempcomp,
    ]
}

/// Nothing told anywhere may be infinite or not a number.
fn assert_numbers(world: &mut World, id: NodeId) {
    let report = tracking(world, id);
    let frequency_ppm = report.freq_ppm.value();
    assert!(frequency_ppm.abs() <= 100_001.0, "{report:?}");
    let mut told = format!("{report:?}");
    for index in 0..8 {
        for request in [
            Request::SourceData(Index { index }),
            Request::SourceStats(Index { index }),
            Request::SelectData(Index { index }),
        ] {
            let (_, reply) = command(world, id, &request);
            if !matches!(reply, Reply::Null) {
                told.push_str(&format!("\n{reply:?}"));
            }
        }
    }
    told.push_str(&format!(
        "\n{:?}",
        command(world, id, &Request::Smoothing).1
    ));
    told.push_str(&format!("\n{:?}", world.clock_error(id)));
    let (_, rate_error) = world.clock_error(id).expect("a client");
    assert!(rate_error.abs() < 1.0, "{rate_error}");
    let client = world.client_mut(id).expect("a client");
    for (_, entry) in client.journal.drain(..) {
        let (Entry::Message { text, .. } | Entry::Line { text, .. }) = entry;
        told.push('\n');
        told.push_str(&text);
    }
    for text in client.files.values() {
        told.push_str(text);
    }
    let lower = told.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric());
    for word in words {
        assert!(!matches!(word, "nan" | "inf" | "infinity"), "{told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_becomes_infinite(
        seed in any::<u64>(),
        options in prop::collection::vec(source_options(), 1..5),
        more in prop::collection::vec(directive(), 0..4),
        events in prop::collection::vec((0..5usize, event()), 0..12),
        poll in -3..7i8,
        (offset_s, frequency, wander) in (any_size(), -0.09..0.09f64, 0.0..1e-4f64),
        (delay_s, jitter_s, loss) in (0.0..2.0f64, 0.0..1.0f64, 0.0..0.6f64),
        temperature in prop::option::of(-1e3..1e3f64),
        estimator in prop_oneof![Just(EstimatorKind::Regression), Just(EstimatorKind::Kalman)],
    ) {
        // The last minutes of a day that may end with a leap second.
        let mut world = World::new(START.plus(-600.0), seed);
        for number in 1..=4 {
            add_server(&mut world, number, 0.0);
        }
        let mut lines: Vec<String> = (1..)
            .zip(&options)
            .map(|(number, options)| {
                format!("server 192.0.2.{number} minpoll {poll} maxpoll {} {options}", poll + 2)
            })
            .collect();
        lines.extend(more.iter().map(|line| (*line).to_owned()));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let setup = ClientSetup {
            directives: &lines,
            oscillator: Oscillator { offset_s: offset_s.clamp(-1e9, 1e9), frequency, wander },
            seed,
            temperature,
            estimator,
            logs: kept_logs(),
            ..ClientSetup::default()
        };
        let path = Path { loss, ..Path::new(delay_s, Jitter::Exponential(jitter_s)) };
        let id = add_client(&mut world, 1, &setup, &Link::symmetric(path)).expect("configuration");
        let pace_s = 2f64.powi(poll.into()) * 10.0;
        run_for(&mut world, pace_s);
        for (target, event) in events {
            if target == 4 {
                // The client's own clock, by somebody else.
                if let Event::Step(step_s) = event {
                    let client = world.client(id).expect("a client");
                    client.clock.lock().step(step_s.clamp(-1e8, 1e8));
                }
            } else if let Some(server) = world.server_mut(target) {
                event.apply(server);
            }
            run_for(&mut world, pace_s);
            assert_numbers(&mut world, id);
        }
        world.command(id, |engine, now| {
            engine.give_up_correction(now);
            engine.dump_sources();
            engine.finish(now);
        });
        assert_numbers(&mut world, id);
    }

    #[test]
    fn honest_servers_in_the_majority_keep_the_clock(
        seed in any::<u64>(),
        lies in prop::collection::vec((0..2usize, event()), 1..10),
        (offset_s, frequency) in (-0.5..0.5f64, -1e-4..1e-4f64),
    ) {
        // Five servers, two of which do what they like.
        let mut world = World::new(START, seed);
        for number in 1..=5 {
            add_server(&mut world, number, 0.0);
        }
        let setup = ClientSetup {
            directives: &FIVE,
            oscillator: Oscillator { offset_s, frequency, wander: 1e-9 },
            seed,
            ..ClientSetup::default()
        };
        let id = add_client(&mut world, 1, &setup, &support::lan()).expect("configuration");
        run_for(&mut world, 400.0);
        for (target, lie) in lies {
            let server = world.server_mut(target).expect("a server");
            lie.apply(server);
            for _ in 0..6 {
                run_for(&mut world, 30.0);
                // Honest intervals are the root distances of a few milliseconds.
                let error_s = error_s(&mut world, id);
                prop_assert!(error_s.abs() < 0.02, "{error_s}");
            }
        }
    }
}
