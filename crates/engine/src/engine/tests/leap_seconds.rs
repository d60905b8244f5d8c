//! A leap second while several threads answer.

use std::sync::{Arc, Mutex};

use chrony_conf::refclock::RefclockSpec;
use discipline::reference::{ClockLimits, DriverError, KernelLeapUpdate, PendingLeap};
use discipline::time::RawTime;
use ntp_wire::LeapIndicator;

use super::*;
use crate::refclock::{RefclockData, RefclockDriver};
use crate::server::{Reader, ServerSnapshot};

/// What other threads saw at each step of the clock.
#[derive(Default)]
struct Seen {
    snapshots: Option<Reader<ServerSnapshot>>,
    leaps: Vec<LeapIndicator>,
}

/// A clock that looks, when it is stepped, at what is served.
struct Watching(Arc<Mutex<Seen>>);

impl ClockDriver for Watching {
    fn limits(&self) -> ClockLimits {
        ClockLimits {
            maximum_frequency_ppm: 500.0,
            effect_delay_s: 0.0,
            controls_clock: true,
            supports_leap: false,
        }
    }

    fn frequency(&mut self) -> Result<f64, DriverError> {
        Ok(0.0)
    }

    fn set_frequency(&mut self, frequency_ppm: f64) -> Result<f64, DriverError> {
        Ok(frequency_ppm)
    }

    fn step(&mut self, _: f64) -> Result<(), DriverError> {
        let mut seen = self.0.lock().unwrap();
        let snapshots = seen.snapshots.as_mut().expect("a reader");
        let leap = snapshots.get().reference.leap;
        seen.leaps.push(leap);
        Ok(())
    }

    fn set_sync_status(&mut self, _: bool, _: f64, _: f64) {}

    fn set_leap(
        &mut self,
        _: PendingLeap,
        _: Option<i32>,
    ) -> Result<KernelLeapUpdate, DriverError> {
        Ok(KernelLeapUpdate::default())
    }
}

#[test]
fn threads_know_of_a_leap_second_before_the_clock_is_stepped() {
    /// 2027-01-01 00:00:00 UTC.
    const MIDNIGHT_S: i64 = 1_798_761_600;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let directives = "allow\nserverthreads 2\nleapsecmode step";
    let driver = Box::new(Watching(Arc::clone(&seen)));
    let mut bench = Bench::with_driver(directives, Mode::Normal, driver);
    seen.lock().unwrap().snapshots = Some(bench.engine.server_snapshots());
    bench.engine.set_server_open(true);
    let mut clock = RefclockSpec::new("SOCK", "/run/clock");
    (clock.poll, clock.driver_poll) = (1, 0);
    let added = bench.engine.add_refclock(&clock, RefclockDriver::Pushed);
    let id = added.expect("a clock");
    bench.engine.all_sources_added(bench.now);
    bench.now.raw = RawTime::from_parts(MIDNIGHT_S - 30, 0);
    let mut snapshots = bench.engine.server_snapshots();
    for _ in 0..29 {
        let data = RefclockData::Timed {
            local: bench.now.raw,
            reference: bench.now.raw,
            leap: LeapIndicator::InsertSecond,
        };
        bench.engine.handle_refclock_data(bench.now, id, data);
        bench.wait(1.0);
    }
    assert_eq!(snapshots.get().reference.leap, LeapIndicator::InsertSecond);
    bench.wait(1.0);
    assert_eq!(
        seen.lock().unwrap().leaps,
        [LeapIndicator::Unsynchronised],
        "at the step"
    );
    assert_eq!(
        snapshots.get().reference.leap,
        LeapIndicator::Unsynchronised
    );
}
