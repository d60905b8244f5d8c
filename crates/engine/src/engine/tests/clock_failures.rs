//! Clocks that refuse to be steered while the daemon runs, or that others steer too.

use discipline::journal::Severity;
use discipline::reference::{
    ClockLimits, DriverError, KernelLeapUpdate, PendingLeap, TemperatureCurve,
};

use super::*;

/// A clock that takes a few frequencies and then none any more.
struct Failing {
    frequencies_left: u32,
    interference: bool,
}

impl ClockDriver for Failing {
    fn limits(&self) -> ClockLimits {
        ClockLimits {
            maximum_frequency_ppm: 500.0,
            effect_delay_s: 1e-5,
            controls_clock: true,
            supports_leap: true,
        }
    }

    fn frequency(&mut self) -> Result<f64, DriverError> {
        Ok(0.0)
    }

    fn set_frequency(&mut self, frequency_ppm: f64) -> Result<f64, DriverError> {
        let refused = || DriverError("adjtimex(0x4002) failed : Operation not permitted".into());
        self.frequencies_left = self.frequencies_left.checked_sub(1).ok_or_else(refused)?;
        Ok(frequency_ppm)
    }

    fn step(&mut self, _: f64) -> Result<(), DriverError> {
        Ok(())
    }

    fn set_sync_status(&mut self, _: bool, _: f64, _: f64) {}

    fn take_interference(&mut self) -> bool {
        std::mem::take(&mut self.interference)
    }

    fn set_leap(
        &mut self,
        _: PendingLeap,
        _: Option<i32>,
    ) -> Result<KernelLeapUpdate, DriverError> {
        Ok(KernelLeapUpdate::default())
    }
}

#[test]
fn a_refusal_is_fatal_and_interference_is_said_once() {
    let driver = Failing {
        frequencies_left: 2,
        interference: true,
    };
    let mut bench = Bench::with_driver("port 0", Mode::Normal, Box::new(driver));
    let interference = "System clock interference detected (another NTP client?)";
    assert_eq!(bench.messages(), [interference]);
    let curve = TemperatureCurve::Points(vec![(0.0, 0.0), (10.0, 10.0)]);
    let sensor = "/sensor".to_owned();
    bench
        .engine
        .attach_temperature_sensor(curve, 1.0, sensor, bench.now);
    let mut fatal = Vec::new();
    for second in 0..4 {
        bench
            .engine
            .handle_temperature(bench.now, Some(f64::from(second)));
        fatal.extend(
            bench
                .engine
                .journal()
                .drain()
                .filter_map(|entry| match entry {
                    Entry::Message {
                        severity: Severity::Fatal,
                        text,
                        ..
                    } => Some(text),
                    _ => None,
                }),
        );
    }
    assert!(!fatal.is_empty());
    assert_eq!(
        fatal[0],
        "adjtimex(0x4002) failed : Operation not permitted"
    );
}
