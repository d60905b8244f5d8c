//! Drivers of reference clocks (discipline chapter, section 17.7): each opens its device at
//! start, while root's rights are there, and keeps it. What the devices say goes to the
//! engine, which knows what it means.

mod chip;
mod hardware;
mod inputs;
mod pulses;
mod segment;
mod socket;

#[cfg(test)]
mod testing;

use std::os::fd::BorrowedFd;

use chrony_conf::Config;
use chrony_conf::numbers::wrapped_integer_prefix;
use chrony_conf::refclock::RefclockSpec;
use chrony_conf::start::{Features, check_refclock};
use discipline::journal::Severity;
use engine::engine::Engine;
use engine::event::Now;
use engine::refclock::{RefclockData, RefclockDriver, RefclockId};
use ntp_wire::{KeyKind, LeapIndicator};
use os_linux::event::{Interest, PollSet};

use crate::daemon::{Daemon, now};
use crate::output::Output;

use chip::Chip;
use hardware::CardClock;
use inputs::Inputs;
use pulses::Pulses;
use segment::Segment;
use socket::SampleSocket;

/// Where a driver puts what it read.
type Report<'a> = &'a mut dyn FnMut(RefclockData<'_>);

/// An open device.
trait Driver {
    /// Whether the engine asks for readings, or the device sends them.
    fn kind(&self) -> RefclockDriver {
        RefclockDriver::Polled
    }

    /// The engine asks for a reading.
    fn poll(&mut self, _report: Report<'_>, _output: &mut Output) {}

    /// What to wait for; nothing once the device is broken.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The descriptor is readable, since `at`.
    fn receive(&mut self, _at: Now, _report: Report<'_>, _output: &mut Output) {}

    /// The daemon ends.
    fn close(&mut self) {}
}

/// Complains once of a device that fails again and again.
#[derive(Debug, Default)]
struct Outage(bool);

impl Outage {
    fn begin(&mut self, text: &str, output: &mut Output) {
        if !std::mem::replace(&mut self.0, true) {
            output.write(Severity::Error, text);
        }
    }

    fn end(&mut self) {
        self.0 = false;
    }
}

/// Whose descriptor it is.
#[derive(Clone, Copy)]
enum Waiting {
    Driver(usize),
    Inputs(usize),
}

/// All reference clocks, in the order of the configuration.
#[derive(Default)]
pub struct Refclocks {
    drivers: Vec<Box<dyn Driver>>,
    inputs: Inputs,
    /// Places in the poll set, and whose they are.
    slots: Vec<(usize, Waiting)>,
}

impl Refclocks {
    /// Checks every reference clock and opens its device. The error is a fatal message; less
    /// is written to `output`.
    pub fn open(config: &Config, output: &mut Output) -> Result<Self, String> {
        let all_types = |_: KeyKind| true;
        let features = Features {
            pps: true,
            key_types: &all_types,
        };
        let mut clocks = Self::default();
        for spec in &config.refclocks {
            check_refclock(spec, config, &features).map_err(|message| message.text)?;
            let driver = clocks.open_device(spec, output)?;
            clocks.drivers.push(driver);
        }
        Ok(clocks)
    }

    /// Opens the device of a clock whose driver and options are known to be right.
    fn open_device(
        &mut self,
        spec: &RefclockSpec,
        output: &mut Output,
    ) -> Result<Box<dyn Driver>, String> {
        Ok(match spec.driver.as_str() {
            "SHM" => Box::new(Segment::open(spec)?),
            "SOCK" => Box::new(SampleSocket::open(spec)?),
            "PPS" => Box::new(Pulses::open(spec)?),
            "RTC" => Box::new(Chip::open(spec, output)?),
            "PHC" => {
                let (clock, found) = CardClock::open(spec, output)?;
                if spec.driver_option("extpps").is_some() {
                    self.inputs.add(self.drivers.len(), spec, found, output)?;
                }
                Box::new(clock)
            }
            other => return Err(format!("unknown refclock driver {other}")),
        })
    }

    /// Tells the engine of the clocks. The error is a fatal message.
    pub fn attach(&self, config: &Config, engine: &mut Engine) -> Result<(), String> {
        for (spec, driver) in config.refclocks.iter().zip(&self.drivers) {
            engine.add_refclock(spec, driver.kind())?;
        }
        Ok(())
    }

    /// Adds what is to be waited for.
    pub(crate) fn register(&mut self, poll: &mut PollSet) {
        self.slots.clear();
        for (index, driver) in self.drivers.iter().enumerate() {
            if let Some(descriptor) = driver.descriptor() {
                let slot = poll.add(descriptor, Interest::READ);
                self.slots.push((slot, Waiting::Driver(index)));
            }
        }
        for (place, descriptor) in self.inputs.descriptors() {
            let slot = poll.add(descriptor, Interest::READ);
            self.slots.push((slot, Waiting::Inputs(place)));
        }
    }

    /// Gives up the devices.
    pub fn close(&mut self) {
        self.drivers.iter_mut().for_each(|driver| driver.close());
    }
}

/// The number that a text begins with, 0 without one.
fn number(text: &str) -> i32 {
    wrapped_integer_prefix(text).map_or(0, |(value, _)| value)
}

/// The status that a clock announces by a number.
fn leap(number: i32) -> LeapIndicator {
    match number {
        0 => LeapIndicator::Normal,
        1 => LeapIndicator::InsertSecond,
        2 => LeapIndicator::DeleteSecond,
        _ => LeapIndicator::Unsynchronised,
    }
}

impl Daemon {
    /// The engine asks for a reading.
    pub(crate) fn poll_refclock(&mut self, id: RefclockId) {
        let Self {
            refclocks,
            engine,
            output,
            ..
        } = self;
        if let Some(driver) = refclocks.drivers.get_mut(id.0) {
            let mut report = |data: RefclockData<'_>| engine.handle_refclock_data(now(), id, data);
            driver.poll(&mut report, output);
        }
        engine.refclock_polled(now(), id);
    }

    /// Takes what devices said, at `at`.
    pub(crate) fn serve_refclocks(&mut self, at: Now) {
        for turn in 0..self.refclocks.slots.len() {
            let Self {
                refclocks,
                engine,
                output,
                poll,
                ..
            } = self;
            let Some(&(slot, waiting)) = refclocks.slots.get(turn) else {
                return;
            };
            if !poll.readiness(slot).any() {
                continue;
            }
            let mut report = |index, data: RefclockData<'_>| {
                engine.handle_refclock_data(now(), RefclockId(index), data);
            };
            match waiting {
                Waiting::Driver(index) => {
                    if let Some(driver) = refclocks.drivers.get_mut(index) {
                        driver.receive(at, &mut |data| report(index, data), output);
                    }
                }
                Waiting::Inputs(place) => {
                    let mut pulse = |index, time| report(index, RefclockData::DevicePulse(time));
                    refclocks.inputs.receive(place, &mut pulse, output);
                }
            }
            self.run_actions();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_numbers_are_a_leap_status() {
        assert_eq!(leap(0), LeapIndicator::Normal);
        assert_eq!(leap(1), LeapIndicator::InsertSecond);
        assert_eq!(leap(2), LeapIndicator::DeleteSecond);
        for other in [-1, 3, 4, 256, i32::MIN] {
            assert_eq!(leap(other), LeapIndicator::Unsynchronised);
        }
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        assert_eq!(
            ["7", "-1", "12abc", "abc", ""].map(number),
            [7, -1, 12, 0, 0]
        );
    }
}
