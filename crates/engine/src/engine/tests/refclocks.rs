//! Whatever drivers of reference clocks say, the engine goes on.

use chrony_conf::refclock::RefclockSpec;
use discipline::journal::Entry;
use discipline::samples::{DeviceTime, Reading};
use discipline::time::RawTime;
use ntp_wire::LeapIndicator;
use proptest::prelude::*;

use super::*;
use crate::refclock::{RefclockData, RefclockDriver, RefclockId};

/// Something that a driver says, and how long after the last thing.
#[derive(Clone, Debug)]
enum Said {
    Time {
        local_ns: i64,
        reference_ns: i64,
        leap: u8,
    },
    Pulse {
        local_ns: i64,
        fraction_s: f64,
    },
    Readings(Vec<(i64, i64, i64)>),
    DevicePulse(i64),
}

/// Times near the bench's, so that some are accepted, or any.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![-2_000_000_000i64..1_000, any::<i64>()]
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        (time(), time(), any::<u8>()).prop_map(|(local_ns, reference_ns, leap)| Said::Time {
            local_ns,
            reference_ns,
            leap
        }),
        (time(), prop_oneof![-1.0..1.0, any::<f64>()]).prop_map(|(local_ns, fraction_s)| {
            Said::Pulse {
                local_ns,
                fraction_s,
            }
        }),
        proptest::collection::vec((time(), time(), time()), 0..4).prop_map(Said::Readings),
        time().prop_map(Said::DevicePulse),
    ]
}

fn clocks() -> Vec<(RefclockSpec, RefclockDriver)> {
    let clock = |driver: &str, parameter: &str, change: fn(&mut RefclockSpec)| {
        let mut spec = RefclockSpec::new(driver, parameter);
        (spec.poll, spec.driver_poll) = (1, 0);
        change(&mut spec);
        let driver = match driver {
            "SOCK" => RefclockDriver::Pushed,
            _ => RefclockDriver::Polled,
        };
        (spec, driver)
    };
    vec![
        clock("SHM", "0", |_| {}),
        clock("SOCK", "/run/clock", |spec| spec.maxdispersion_s = 1e-3),
        clock("PPS", "/dev/pps0", |spec| spec.lock = Some("SHM0".into())),
        clock("PPS", "/dev/pps1", |spec| {
            (spec.width_s, spec.rate_hz) = (0.1, 5)
        }),
        clock("PPS", "/dev/pps2", |spec| spec.local = true),
        clock("PHC", "/dev/ptp0", |spec| spec.pps = true),
        clock("PHC", "/dev/ptp1:extpps", |spec| spec.poll = -3),
    ]
}

#[test]
fn reference_clocks_wait_for_the_initial_correction() {
    let polls = |mode| {
        let mut bench = Bench::new("port 0", mode);
        for (spec, driver) in clocks() {
            bench.engine.add_refclock(&spec, driver).expect("a clock");
        }
        bench.add(SourceKind::Server, "192.0.2.1", Origin::InitStepSlew);
        bench.engine.all_sources_added(bench.now);
        bench.run_timers();
        let actions = bench.actions();
        let polls = |action: &&Action| matches!(action, Action::PollRefclock { .. });
        actions.iter().filter(polls).count()
    };
    assert_eq!(polls(Mode::InitStepSlew { threshold_s: 1.0 }), 0);
    assert_eq!(polls(Mode::Normal), 6);
}

#[test]
fn a_local_clock_that_lost_its_lock_begins_anew() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    let mut spec = RefclockSpec::new("SOCK", "/run/clock");
    (spec.poll, spec.local) = (1, true);
    let added = bench.engine.add_refclock(&spec, RefclockDriver::Pushed);
    let id = added.expect("a clock");
    bench.engine.lock_refclocks();
    bench.engine.all_sources_added(bench.now);
    let mut pulse_after = |pause_s: f64| {
        bench.now.raw = bench.now.raw.plus(pause_s);
        bench.now.monotonic = bench.now.monotonic.plus(pause_s);
        while bench
            .engine
            .poll_timeout()
            .is_some_and(|at| at <= bench.now.monotonic)
        {
            bench.engine.handle_timeout(bench.now);
            bench.actions();
        }
        let data = RefclockData::Pulse {
            local: bench.now.raw.minus(0.001),
            fraction_s: 0.25,
        };
        bench.engine.handle_refclock_data(bench.now, id, data);
        let lost = |entry: Entry| match entry {
            Entry::Message { text, .. } => text == "Local refclock lost lock",
            Entry::Line { .. } => false,
        };
        let said = bench.engine.journal().drain().any(lost);
        (
            said,
            bench.engine.refclocks()[0].reachability().is_reachable(),
        )
    };
    for _ in 0..9 {
        assert!(!pulse_after(1.0).0);
    }
    assert_eq!(pulse_after(1.0), (false, true));
    // Three pulses may be missing.
    assert_eq!(pulse_after(3.5), (true, false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_engine_survives_its_reference_clocks(
        events in proptest::collection::vec((0usize..8, said(), 0.0..3.0f64), 1..80)
    ) {
        let mut bench = Bench::new("port 0\nlocal stratum 3", Mode::Normal);
        for (spec, driver) in clocks() {
            bench.engine.add_refclock(&spec, driver).expect("a clock");
        }
        bench.engine.lock_refclocks();
        bench.engine.all_sources_added(bench.now);
        for (clock, said, pause_s) in events {
            bench.now.raw = bench.now.raw.plus(pause_s);
            bench.now.monotonic = bench.now.monotonic.plus(pause_s);
            let base = bench.now.raw.as_ns();
            let raw = |ns: i64| RawTime::from_ns(base.saturating_add(ns));
            let id = RefclockId(clock);
            let readings: Vec<Reading>;
            let data = match said {
                Said::Time { local_ns, reference_ns, leap } => RefclockData::Timed {
                    local: raw(local_ns),
                    reference: raw(reference_ns),
                    leap: LeapIndicator::from_bits(leap),
                },
                Said::Pulse { local_ns, fraction_s } => RefclockData::Pulse {
                    local: raw(local_ns),
                    fraction_s,
                },
                Said::Readings(values) => {
                    let values = values.into_iter();
                    readings = values
                        .map(|(before, device, after)| Reading {
                            before: raw(before),
                            device: DeviceTime::from_ns(base.saturating_add(device)),
                            after: raw(after),
                        })
                        .collect();
                    RefclockData::Readings(&readings)
                }
                Said::DevicePulse(ns) => {
                    RefclockData::DevicePulse(DeviceTime::from_ns(base.saturating_add(ns)))
                }
            };
            bench.engine.handle_refclock_data(bench.now, id, data);
            bench.engine.refclock_polled(bench.now, id);
            let mut turns = 0;
            while bench.engine.poll_timeout().is_some_and(|at| at <= bench.now.monotonic) {
                bench.engine.handle_timeout(bench.now);
                bench.actions();
                turns += 1;
                prop_assert!(turns < 100, "timers without end");
            }
        }
        for clock in bench.engine.refclocks() {
            let report = clock.statistics().report(bench.engine.steering().cook(bench.now.raw).0);
            prop_assert!(report.offset_s.is_finite() && report.frequency_ppm.is_finite());
        }
    }
}
