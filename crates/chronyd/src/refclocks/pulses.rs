//! The driver `PPS`: pulses that the kernel timestamps.

use chrony_conf::refclock::RefclockSpec;
use discipline::time::RawTime;
use engine::refclock::RefclockData;
use os_linux::error_text;
use os_linux::hardware::{PulseDevice, PulseEdge, PulseSource};

use super::{Driver, Outage, Report};
use crate::output::Output;

/// A source of pulses.
pub(super) struct Pulses {
    source: Box<dyn PulseSource>,
    /// Of the pulse that was taken last.
    sequence: Option<u32>,
    outage: Outage,
}

impl Pulses {
    pub(super) fn open(spec: &RefclockSpec) -> Result<Self, String> {
        let path = chrony_conf::text::to_path(&spec.parameter);
        let edge = match spec.driver_option("clear") {
            Some(_) => PulseEdge::Clear,
            None => PulseEdge::Assert,
        };
        let device = PulseDevice::open(&path, edge);
        let device = device.map_err(|error| error.message(path.display()))?;
        Ok(Self::new(Box::new(device)))
    }

    fn new(source: Box<dyn PulseSource>) -> Self {
        Self {
            source,
            sequence: None,
            outage: Outage::default(),
        }
    }
}

impl Driver for Pulses {
    fn poll(&mut self, report: Report<'_>, output: &mut Output) {
        let pulse = match self.source.fetch() {
            Ok(pulse) => pulse,
            Err(error) => {
                let text = format!("time_pps_fetch() failed : {}", error_text(&error));
                return self.outage.begin(&text, output);
            }
        };
        self.outage.end();
        // Before the first pulse the time is zero.
        let is_new = self.sequence.replace(pulse.sequence) != Some(pulse.sequence);
        if is_new && pulse.time != RawTime::ZERO {
            report(RefclockData::Pulse {
                local: pulse.time,
                fraction_s: f64::from(pulse.time.subsec_ns()) * 1e-9,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Log, polled};
    use super::*;
    use os_linux::hardware::Pulse;
    use std::io;

    /// Pulses and failures (none) in turn, the last one first.
    struct Fake(Vec<Option<Pulse>>);

    impl PulseSource for Fake {
        fn fetch(&mut self) -> io::Result<Pulse> {
            let next = self.0.pop().flatten();
            next.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
        }
    }

    #[test]
    fn each_pulse_is_reported_once() {
        let pulse = |sequence, ns| {
            Some(Pulse {
                sequence,
                time: RawTime::from_ns(ns),
            })
        };
        let told = [
            pulse(0, 0),
            pulse(1, 5_999_999_990),
            pulse(1, 5_999_999_990),
            pulse(2, 7_250_000_000),
        ];
        let mut driver = Pulses::new(Box::new(Fake(told.into_iter().rev().collect())));
        let mut log = Log::new();
        assert_eq!(polled(&mut driver, &mut log), Vec::<String>::new());
        assert_eq!(
            polled(&mut driver, &mut log),
            ["pulse 5.999999990 0.999999990"]
        );
        assert_eq!(polled(&mut driver, &mut log), Vec::<String>::new());
        assert_eq!(
            polled(&mut driver, &mut log),
            ["pulse 7.250000000 0.250000000"]
        );
    }

    #[test]
    fn a_failing_device_is_complained_about_once() {
        let pulse = Some(Pulse {
            sequence: 9,
            time: RawTime::from_parts(5, 0),
        });
        let told = vec![None, pulse, None, None];
        let mut driver = Pulses::new(Box::new(Fake(told)));
        let mut log = Log::new();
        for _ in 0..4 {
            polled(&mut driver, &mut log);
        }
        let text = "time_pps_fetch() failed : No such device";
        assert_eq!(log.lines(), [text, text]);
    }
}
