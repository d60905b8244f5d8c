//! Devices behind `refclock` directives.

use chrony_conf::Config;
use discipline::time::RawTime;
use engine::engine::Engine;
use engine::random::SeededRandom;
use engine::refclock::{RefclockData, RefclockDriver, RefclockId};
use ntp_wire::LeapIndicator;

use crate::client::Client;
use crate::clock::TrueTime;
use crate::random::normal;

const NS_IN_S: i64 = 1_000_000_000;

/// What a device tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The time.
    Time,
    /// When a second begins.
    Pulse,
}

/// A device.
#[derive(Clone, Copy, Debug)]
pub struct SimRefclock {
    /// What it tells.
    pub signal: Signal,
    /// Device − true time, seconds.
    pub offset_s: f64,
    /// Standard deviation of its noise, seconds.
    pub noise_s: f64,
    /// Whether it says anything.
    pub answers: bool,
    /// Time between two messages of a device that sends them, seconds.
    pub interval_s: f64,
}

impl SimRefclock {
    /// A device that tells the true time but for some noise.
    pub const fn new(signal: Signal, noise_s: f64) -> Self {
        Self {
            signal,
            offset_s: 0.0,
            noise_s,
            answers: true,
            interval_s: 1.0,
        }
    }
}

/// A device of a machine.
#[derive(Debug)]
pub(crate) struct Attached {
    device: SimRefclock,
    driver: RefclockDriver,
    random: SeededRandom,
    /// When it sends a message or a pulse next.
    next: Option<TrueTime>,
    /// When the last pulse came.
    pulse: Option<RawTime>,
}

/// Adds the reference clocks of a configuration to the engine; those beyond `devices` say
/// nothing.
pub(crate) fn attach(
    config: &Config,
    devices: &[SimRefclock],
    seed: u64,
    now: TrueTime,
    engine: &mut Engine,
) -> Result<Vec<Attached>, String> {
    let silent = SimRefclock {
        answers: false,
        ..SimRefclock::new(Signal::Time, 0.0)
    };
    let mut attached = Vec::new();
    for (spec, index) in config.refclocks.iter().zip(0..) {
        let driver = match spec.driver.as_str() {
            "SOCK" => RefclockDriver::Pushed,
            _ => RefclockDriver::Polled,
        };
        engine.add_refclock(spec, driver)?;
        let device = devices.get(index).copied().unwrap_or(silent);
        let sends = driver == RefclockDriver::Pushed || device.signal == Signal::Pulse;
        attached.push(Attached {
            device,
            driver,
            random: SeededRandom::new(seed ^ (index as u64 + 1) << 32),
            next: sends.then(|| next_message(now, &device)),
            pulse: None,
        });
    }
    engine.lock_refclocks();
    Ok(attached)
}

/// Pulses come at the device's seconds, messages at any time.
fn next_message(after: TrueTime, device: &SimRefclock) -> TrueTime {
    match device.signal {
        Signal::Time => after.plus(device.interval_s),
        Signal::Pulse => {
            let shown = after.plus(device.offset_s).0;
            let second = (shown.div_euclid(NS_IN_S) + 1) * NS_IN_S;
            TrueTime(second).plus(-device.offset_s)
        }
    }
}

impl Client {
    /// A device of this machine, by its place in the configuration.
    pub fn refclock_mut(&mut self, index: usize) -> Option<&mut SimRefclock> {
        Some(&mut self.refclocks.get_mut(index)?.device)
    }

    pub(crate) fn next_refclock_message(&self) -> Option<TrueTime> {
        self.refclocks.iter().filter_map(|clock| clock.next).min()
    }

    /// Devices that send something now do it.
    pub(crate) fn hear_refclocks(&mut self, now: TrueTime) {
        for index in 0..self.refclocks.len() {
            let at = self.now(now);
            let clock = &mut self.refclocks[index];
            if clock.next.is_none_or(|next| next > now) {
                continue;
            }
            clock.next = Some(next_message(now, &clock.device));
            if !clock.device.answers {
                continue;
            }
            match (clock.device.signal, clock.driver) {
                (Signal::Pulse, RefclockDriver::Polled) => clock.pulse = Some(at.raw),
                _ => self.read_refclock(now, RefclockId(index)),
            }
        }
    }

    /// The driver is polled.
    pub(crate) fn poll_refclock(&mut self, now: TrueTime, id: RefclockId) {
        self.read_refclock(now, id);
        let at = self.now(now);
        self.engine.refclock_polled(at, id);
    }

    fn read_refclock(&mut self, now: TrueTime, id: RefclockId) {
        let at = self.now(now);
        let Some(clock) = self.refclocks.get_mut(id.0).filter(|c| c.device.answers) else {
            return;
        };
        let device = clock.device;
        let noise_s = device.noise_s * normal(&mut clock.random);
        let data = match device.signal {
            Signal::Time => RefclockData::Timed {
                local: at.raw,
                reference: RawTime::from_ns(now.plus(device.offset_s + noise_s).0),
                leap: LeapIndicator::Normal,
            },
            Signal::Pulse => {
                let pulse = match clock.driver {
                    RefclockDriver::Pushed => Some(at.raw),
                    RefclockDriver::Polled => clock.pulse.take(),
                };
                let Some(local) = pulse else {
                    return;
                };
                RefclockData::Pulse {
                    local,
                    fraction_s: f64::from(local.subsec_ns()) * 1e-9 + noise_s,
                }
            }
        };
        self.engine.handle_refclock_data(at, id, data);
    }
}
