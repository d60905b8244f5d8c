//! The daemon's devices beside sockets: the sensor of `tempcomp`, the real-time clock chip,
//! the clocks of network cards. What the engine asks of them is done here.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use chrony_conf::Config;
use chrony_conf::files::Reader;
use chrony_conf::start::load_temperature_points;
use chrony_conf::temperature::read_sensor;
use discipline::reference::RtcCoefficients;
use engine::action::{Action, RtcOrder};
use engine::engine::Engine;
use engine::event::{HardwareStamp, Now};
use engine::settings::temperature_curve;
use os_linux::socket::Ancillary;

use crate::cards::Cards;
use crate::configuration;
use crate::daemon::{Daemon, now};
use crate::real_time_clock::Chip;

/// What is attached.
#[derive(Default)]
pub struct Devices {
    /// File of the temperature sensor.
    sensor: Option<PathBuf>,
    /// The chip, when it is tracked.
    pub chip: Option<Chip>,
    /// Cards with timestamping.
    pub cards: Cards,
}

impl Devices {
    /// Tells the engine about the devices that the start found. The error is a fatal message.
    pub fn attach(
        chip: Option<Chip>,
        cards: Cards,
        config: &Config,
        reader: &dyn Reader,
        engine: &mut Engine,
    ) -> Result<Self, String> {
        if chip.is_some() {
            engine.attach_rtc(config.rtc.autotrim_s);
        }
        for settings in cards.settings() {
            engine.attach_card(settings);
        }
        Ok(Self {
            sensor: attach_sensor(config, reader, engine)?,
            chip,
            cards,
        })
    }

    /// What to wait for during a measurement of the chip.
    pub fn chip_descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.chip.as_ref().and_then(Chip::descriptor)
    }
}

fn attach_sensor(
    config: &Config,
    reader: &dyn Reader,
    engine: &mut Engine,
) -> Result<Option<PathBuf>, String> {
    let Some(compensation) = &config.clock.temperature_compensation else {
        return Ok(None);
    };
    let points = load_temperature_points(config, reader).map_err(|message| message.text)?;
    let curve = temperature_curve(&compensation.curve, points);
    let sensor = compensation.sensor_file.clone();
    let name = sensor.display().to_string();
    engine.attach_temperature_sensor(curve, compensation.interval_s, name, now());
    Ok(Some(sensor))
}

impl Daemon {
    /// Starts the fine measurement of the chip that precedes everything else with `-s`; false
    /// when there is none to be made.
    pub fn start_initial_rtc_measurement(&mut self, file: Option<RtcCoefficients>) -> bool {
        let started = self.engine.start_initial_rtc_measurement(file);
        self.run_actions();
        started
    }

    /// Does what the engine wants of a device.
    pub(crate) fn run_device_action(&mut self, action: &Action) {
        match action {
            Action::ReadTemperature => {
                let sensor = self.devices.sensor.as_ref();
                let reading =
                    sensor.and_then(|path| read_sensor(path, &configuration::reader()).ok());
                self.engine.handle_temperature(now(), reading);
            }
            Action::Rtc(order) => self.run_rtc_order(*order),
            Action::ReadCard { interface } => self.read_card(*interface),
            Action::PollRefclock { clock } => self.poll_refclock(*clock),
            _ => {}
        }
    }

    fn run_rtc_order(&mut self, order: RtcOrder) {
        let Some(chip) = &mut self.devices.chip else {
            return;
        };
        match order {
            RtcOrder::StartMeasuring => chip.start_measuring(&mut self.output),
            RtcOrder::StopMeasuring => chip.stop_measuring(&mut self.output),
            RtcOrder::SetTime { time_s } => chip.set(time_s, &mut self.output),
        }
    }

    /// The chip's descriptor is readable, since `at`.
    pub(crate) fn serve_chip(&mut self, at: Now) {
        let Some(chip) = &mut self.devices.chip else {
            return;
        };
        if let Some(rtc_s) = chip.take_interrupt(&mut self.output) {
            self.engine.handle_rtc_reading(at, rtc_s);
        }
        self.run_actions();
    }

    fn read_card(&mut self, interface: u32) {
        let (readings, speed) = self.devices.cards.read(interface);
        self.engine
            .handle_card_readings(now(), interface, &readings, speed);
    }

    /// The hardware timestamp of a packet. Its card is read first when the last readings are
    /// old, so that the conversion is as good as it can be.
    pub(crate) fn hardware_stamp(&mut self, ancillary: &Ancillary) -> Option<HardwareStamp> {
        let stamp = hardware_stamp(ancillary)?;
        self.read_card_if_due(stamp.interface);
        Some(stamp)
    }

    /// A timestamp of an interface's card came: its clock is read when the last readings are
    /// old.
    pub(crate) fn read_card_if_due(&mut self, interface: u32) {
        if self.engine.card_reading_due(now(), interface) {
            self.read_card(interface);
        }
    }
}

/// The hardware timestamp of a packet. It belongs to the interface reported with it, else to
/// the one that the packet came through.
pub fn hardware_stamp(ancillary: &Ancillary) -> Option<HardwareStamp> {
    let interface = match ancillary.hardware_interface {
        0 => ancillary.interface,
        reported => reported,
    };
    Some(HardwareStamp {
        clock_ns: ancillary.hardware_time?.as_ns(),
        interface,
        frame_length: ancillary.frame_length,
    })
}
