//! Network cards with timestamping (system chapter, section 6.5): switching them on at
//! start, reading their clocks.

use std::io;

use chrony_conf::Config;
use chrony_conf::hwtimestamp::{HardwareTimestamping, ReceiveFilter as ConfiguredFilter};
use discipline::journal::Severity;
use discipline::samples::Reading;
use engine::engine::CardSettings;
use os_linux::error_text;
use os_linux::hardware::{
    EnableError, ReceiveFilter, SystemDevices, TimestampDevices, WantedFilter,
    enable_hardware_timestamping,
};

use crate::hardware_reader::HardwareReader;
use crate::output::Output;

/// The entry of `hwtimestamp` that stands for all other interfaces.
const ALL_INTERFACES: &str = "*";

struct Card {
    name: String,
    settings: CardSettings,
    clock: HardwareReader,
}

/// The interfaces with timestamping switched on.
#[derive(Default)]
pub struct Cards {
    devices: Option<Box<dyn TimestampDevices>>,
    cards: Vec<Card>,
}

/// How the machine's interfaces are reached; other than the system's in tests.
pub type OpenDevices<'a> = &'a dyn Fn() -> io::Result<Box<dyn TimestampDevices>>;

/// The running system's interfaces.
///
/// # Errors
///
/// As [`SystemDevices::new`].
pub fn system_devices() -> io::Result<Box<dyn TimestampDevices>> {
    SystemDevices::new().map(|devices| Box::new(devices) as _)
}

impl Cards {
    /// Switches timestamping on for the configured interfaces: those named first, then all
    /// others for the first `*`. The error is a fatal message.
    pub fn enable(
        config: &Config,
        open: OpenDevices<'_>,
        output: &mut Output,
    ) -> Result<Self, String> {
        let entries = &config.process.hwtimestamp;
        let is_all = |entry: &&HardwareTimestamping| entry.interface == ALL_INTERFACES;
        let mut cards = Self::default();
        if entries.is_empty() {
            return Ok(cards);
        }
        let failed = |name: &str| format!("Could not enable HW timestamping on {name}");
        let named = entries.iter().filter(|entry| !is_all(entry));
        match open() {
            Ok(devices) => cards.devices = Some(devices),
            Err(_) => {
                let first = named.map(|entry| failed(&entry.interface)).next();
                return first.map_or(Ok(cards), Err);
            }
        }
        for entry in named {
            if !cards.has(&entry.interface) && !cards.add(entry, &entry.interface, output) {
                return Err(failed(&entry.interface));
            }
        }
        if let Some(entry) = entries.iter().find(is_all) {
            let devices = cards.devices.as_ref();
            let all = devices.and_then(|devices| devices.interfaces().ok());
            for interface in all.unwrap_or_default() {
                if !cards.has(&interface.name) {
                    cards.add(entry, &interface.name, output);
                }
            }
        }
        Ok(cards)
    }

    fn has(&self, name: &str) -> bool {
        self.cards.iter().any(|card| card.name == name)
    }

    fn add(&mut self, entry: &HardwareTimestamping, name: &str, output: &mut Output) -> bool {
        let Some(devices) = &self.devices else {
            return false;
        };
        let wanted = wanted_filter(entry.receive_filter);
        let enabled = match enable_hardware_timestamping(devices.as_ref(), name, wanted) {
            Ok(enabled) => enabled,
            Err(error) => {
                say_refusal(&error, name, output);
                return false;
            }
        };
        let limits = match enabled.receive {
            ReceiveFilter::None => " (TX only)",
            _ => "",
        };
        let text = format!("Enabled HW timestamping{limits} on {name}");
        output.write(Severity::Info, &text);
        self.cards.push(Card {
            name: name.to_owned(),
            settings: card_settings(entry, enabled.index),
            clock: HardwareReader::new(enabled.clock, !entry.nocrossts),
        });
        true
    }

    /// What the engine is to know about each card.
    pub fn settings(&self) -> impl Iterator<Item = CardSettings> {
        self.cards.iter().map(|card| card.settings)
    }

    /// Whether any interface has timestamping switched on.
    pub fn is_empty(&self) -> bool {
        self.cards.is_empty()
    }

    /// Reads the clock of an interface's card: its readings, and the speed of its link in
    /// Mb/s if that can be told, 0 without a link.
    pub fn read(&mut self, interface: u32) -> (Vec<Reading>, Option<u32>) {
        let Some(card) = self
            .cards
            .iter_mut()
            .find(|card| card.settings.interface == interface)
        else {
            return (Vec::new(), None);
        };
        let speed = self
            .devices
            .as_ref()
            .and_then(|devices| devices.link_speed_mbps(&card.name).ok());
        let readings = card.clock.read().unwrap_or_default();
        (readings, speed.map(|speed| speed.unwrap_or(0)))
    }
}

fn wanted_filter(configured: Option<ConfiguredFilter>) -> WantedFilter {
    match configured {
        None => WantedFilter::Best,
        Some(ConfiguredFilter::None) => WantedFilter::None,
        Some(ConfiguredFilter::Ntp) => WantedFilter::Ntp,
        Some(ConfiguredFilter::Ptp) => WantedFilter::Ptp,
        Some(ConfiguredFilter::All) => WantedFilter::All,
    }
}

fn card_settings(entry: &HardwareTimestamping, interface: u32) -> CardSettings {
    let (min_poll, max_poll) = entry.effective_polls();
    let (min_samples, max_samples) = entry.effective_samples();
    CardSettings {
        interface,
        min_poll,
        max_poll,
        // Both are within 2 … 64.
        min_samples: min_samples as usize,
        max_samples: max_samples as usize,
        precision_s: entry.precision_s,
        transmit_compensation_s: entry.tx_compensation_s,
        receive_compensation_s: entry.rx_compensation_s,
    }
}

fn say_refusal(error: &EnableError, name: &str, output: &mut Output) {
    let text = match error {
        EnableError::Refused(reason) if reason.raw_os_error() == Some(libc::EPERM) => {
            error.to_string()
        }
        EnableError::Clock(reason) if reason.raw_os_error() == Some(libc::ENOTTY) => {
            format!("ioctl(PTP_CLOCK_GETCAPS) failed : {}", error_text(reason))
        }
        EnableError::Clock(_) => format!("Could not open PHC of {name}"),
        EnableError::Refused(_) | EnableError::Unknown(_) | EnableError::NotSupported => return,
    };
    output.write(Severity::Error, &text);
}

#[cfg(test)]
mod tests;
