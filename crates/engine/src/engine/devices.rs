//! Devices beside the network that the engine follows: the temperature sensor of `tempcomp`
//! and the real-time clock chip (discipline chapter, sections 13 and 16).
//!
//! Reading them is the owner's: [`Action::ReadTemperature`] and [`Action::Rtc`] ask for it,
//! [`Engine::handle_temperature`] and [`Engine::handle_rtc_reading`] take the results.

use chrony_conf::rtc_files::{self, RtcCoefficients as SavedCoefficients};
use discipline::reference::{
    Announcement, Rtc, RtcAction, RtcCoefficients, RtcReport, RtcSettings, TemperatureCompensation,
    TemperatureCurve,
};
use discipline::time::MonotonicTime;

use super::{Engine, Mode};
use crate::action::{Action, RtcOrder, SavedFile};
use crate::event::Now;

/// The devices that are attached.
#[derive(Debug, Default)]
pub(super) struct Devices {
    temperature: Option<Sensor>,
    rtc: Option<Rtc>,
    /// The chip is measured since the sources are polled.
    rtc_started: bool,
}

#[derive(Debug)]
struct Sensor {
    compensation: TemperatureCompensation,
    /// A reading was asked for and has not come yet.
    asked: bool,
}

impl Devices {
    pub(super) fn next_timeout(&self) -> Option<MonotonicTime> {
        let sensor = self.temperature.as_ref().filter(|sensor| !sensor.asked);
        let reading = sensor.map(|sensor| sensor.compensation.next_timeout());
        let measurement = self.rtc.as_ref().and_then(Rtc::next_timeout);
        reading.into_iter().chain(measurement).min()
    }

    /// Follows a change of the clock.
    pub(super) fn handle_announcement(&mut self, announcement: &Announcement) {
        if let Some(rtc) = &mut self.rtc {
            rtc.handle_announcement(announcement);
        }
    }
}

/// What the rtcfile said, for the real-time clock's room.
pub fn rtc_coefficients(saved: &SavedCoefficients) -> RtcCoefficients {
    RtcCoefficients {
        valid: saved.valid,
        reference_time_s: saved.reference_time_s,
        offset_s: saved.offset_s,
        rate_ppm: saved.rate_ppm,
    }
}

/// The contents of the rtcfile.
fn format_file(coefficients: &RtcCoefficients) -> String {
    rtc_files::format_coefficients(&SavedCoefficients {
        valid: coefficients.valid,
        reference_time_s: coefficients.reference_time_s,
        offset_s: coefficients.offset_s,
        rate_ppm: coefficients.rate_ppm,
    })
}

impl Engine {
    /// Compensates for temperature from now on (`tempcomp`). `sensor` is the file's name for
    /// messages.
    pub fn attach_temperature_sensor(
        &mut self,
        curve: TemperatureCurve,
        interval_s: f64,
        sensor: String,
        now: Now,
    ) {
        let compensation = TemperatureCompensation::new(curve, interval_s, sensor, now.monotonic);
        self.devices.temperature = Some(Sensor {
            compensation,
            asked: false,
        });
    }

    /// The sensor was read for [`Action::ReadTemperature`]; `None` if it gave no number.
    pub fn handle_temperature(&mut self, now: Now, reading: Option<f64>) {
        let Some(sensor) = &mut self.devices.temperature else {
            return;
        };
        sensor.asked = false;
        self.steering.act(now, &mut self.journal, |_, steering| {
            sensor.compensation.handle_reading(reading, steering);
        });
        self.propagate(now);
    }

    /// A real-time clock chip works and is to be tracked (`rtcfile`); measurements begin with
    /// the polling of sources. `auto_trim_s` is `rtcautotrim`.
    pub fn attach_rtc(&mut self, auto_trim_s: f64) {
        self.devices.rtc = Some(Rtc::new(RtcSettings { auto_trim_s }));
    }

    /// Measures the chip's offset before anything else and corrects the clock by it (`-s`
    /// with `rtcfile`). [`Action::RtcApplied`] says that it is over. False without a chip.
    pub fn start_initial_rtc_measurement(&mut self, file: Option<RtcCoefficients>) -> bool {
        let Some(rtc) = &mut self.devices.rtc else {
            return false;
        };
        rtc.start_initial(file);
        self.take_rtc_actions();
        true
    }

    /// The chip showed `rtc_s` (POSIX seconds) right after an update interrupt at `now`.
    pub fn handle_rtc_reading(&mut self, now: Now, rtc_s: i64) {
        let stratum = self.steering.own_reference(now).stratum;
        self.with_rtc(now, |rtc, steering| {
            rtc.handle_measurement(rtc_s, stratum, steering);
        });
    }

    /// The report of `rtcdata`; `None` when no chip is tracked.
    pub fn rtc_report(&self) -> Option<RtcReport> {
        self.devices.rtc.as_ref().map(Rtc::report)
    }

    /// `trimrtc`: sets the chip if it is wrong by more than a second. False when no chip is
    /// tracked.
    pub fn trim_rtc(&mut self, now: Now) -> bool {
        self.with_rtc(now, |rtc, steering| rtc.trim(steering))
    }

    /// Writes the rtcfile if there are coefficients, at exit.
    pub(super) fn write_rtc(&mut self) {
        if let Some(rtc) = &mut self.devices.rtc {
            rtc.write();
            self.take_rtc_actions();
        }
    }

    /// What the rtcfile is to hold, if there are coefficients. `None` without a chip.
    pub(super) fn rtc_file_contents(&self) -> Option<Option<String>> {
        let rtc = self.devices.rtc.as_ref()?;
        Some(
            rtc.coefficients()
                .map(|coefficients| format_file(&coefficients)),
        )
    }

    /// Sources are polled from now on, and so is the chip.
    pub(super) fn start_devices(&mut self, now: Now) {
        let normal = self.mode() == Mode::Normal;
        let started = std::mem::replace(&mut self.devices.rtc_started, normal);
        if let Some(rtc) = self.devices.rtc.as_mut().filter(|_| normal && !started) {
            rtc.start(now.monotonic);
        }
    }

    /// Does what is due for the sensor and the chip; whether there was anything.
    pub(super) fn drive_devices(&mut self, now: Now) -> bool {
        if self
            .devices
            .next_timeout()
            .is_none_or(|due| due > now.monotonic)
        {
            return false;
        }
        if let Some(sensor) = &mut self.devices.temperature
            && !sensor.asked
            && sensor.compensation.next_timeout() <= now.monotonic
        {
            sensor.asked = true;
            self.actions.push_back(Action::ReadTemperature);
        }
        if let Some(rtc) = &mut self.devices.rtc {
            rtc.handle_timeout(now.monotonic);
        }
        self.take_rtc_actions();
        true
    }

    fn with_rtc(
        &mut self,
        now: Now,
        event: impl FnOnce(&mut Rtc, &mut discipline::reference::Steering<'_>),
    ) -> bool {
        let Some(rtc) = &mut self.devices.rtc else {
            return false;
        };
        self.steering
            .act(now, &mut self.journal, |_, steering| event(rtc, steering));
        self.take_rtc_actions();
        self.propagate(now);
        true
    }

    fn take_rtc_actions(&mut self) {
        let Some(rtc) = &mut self.devices.rtc else {
            return;
        };
        while let Some(action) = rtc.poll_action() {
            self.actions.push_back(match action {
                RtcAction::StartMeasuring => Action::Rtc(RtcOrder::StartMeasuring),
                RtcAction::StopMeasuring => Action::Rtc(RtcOrder::StopMeasuring),
                RtcAction::SetTime(time_s) => Action::Rtc(RtcOrder::SetTime { time_s }),
                RtcAction::WriteFile(coefficients) => Action::Save {
                    file: SavedFile::Rtc,
                    contents: format_file(&coefficients),
                },
                RtcAction::InitialDone => Action::RtcApplied,
            });
        }
    }
}
