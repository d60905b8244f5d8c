//! The real-time clock chip: opening it, local time or UTC, readings at update interrupts
//! (system chapter, section 7.4; discipline chapter, section 16).

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use chrony_conf::Config;
use chrony_conf::files::Reader;
use chrony_conf::rtc_files::{load_coefficients, load_hwclock};
use discipline::journal::Severity;
use discipline::reference::{Rtc, RtcCoefficients};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use os_linux::error_text;
use os_linux::hardware::{CalendarTime, RealTimeClock, SystemRealTimeClock};

use crate::configuration;
use crate::output::Output;

/// Readings until two agree, at start, before the chip is given up.
const READINGS_MAX: usize = 100;

/// An open chip.
pub struct Chip {
    device: Box<dyn RealTimeClock>,
    name: String,
    zone: TimeZone,
    measuring: Measuring,
}

/// Whether update interrupts are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measuring {
    Off,
    /// The first one does not count.
    First,
    On,
}

impl std::fmt::Debug for Chip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chip")
            .field("name", &self.name)
            .field("measuring", &self.measuring)
            .finish_non_exhaustive()
    }
}

/// POSIX seconds of a reading of the chip; `None` if it is no date.
pub fn to_posix(time: CalendarTime, zone: &TimeZone) -> Option<i64> {
    let small = |value: i32| i8::try_from(value).ok();
    let civil = DateTime::new(
        i16::try_from(time.year).ok()?,
        small(time.month)?,
        small(time.day)?,
        small(time.hour)?,
        small(time.minute)?,
        small(time.second)?,
        0,
    );
    let zoned = zone.to_ambiguous_timestamp(civil.ok()?).compatible().ok()?;
    Some(zoned.as_second())
}

/// What the chip is to show at a POSIX time; `None` outside the calendar.
pub fn from_posix(time_s: i64, zone: &TimeZone) -> Option<CalendarTime> {
    let civil = zone.to_datetime(Timestamp::from_second(time_s).ok()?);
    Some(CalendarTime {
        year: civil.year().into(),
        month: civil.month().into(),
        day: civil.day().into(),
        hour: civil.hour().into(),
        minute: civil.minute().into(),
        second: civil.second().into(),
    })
}

impl Chip {
    /// A chip that keeps UTC or the machine's local time. `name` is for messages.
    pub fn new(device: Box<dyn RealTimeClock>, name: String, on_utc: bool) -> Self {
        let zone = if on_utc {
            TimeZone::UTC
        } else {
            TimeZone::system()
        };
        Self {
            device,
            name,
            zone,
            measuring: Measuring::Off,
        }
    }

    /// The time when the chip just began a second, as far as two readings in a row can tell.
    fn steady_reading_s(&mut self, output: &mut Output) -> Option<i64> {
        let mut last = None;
        for _ in 0..READINGS_MAX {
            let reading = self.reading_s(output)?;
            if last.replace(reading) == Some(reading) {
                return last;
            }
        }
        None
    }

    /// POSIX seconds; a failure is logged.
    fn reading_s(&mut self, output: &mut Output) -> Option<i64> {
        let no_date = || io::Error::from_raw_os_error(libc::EINVAL);
        let read = self.device.read();
        match read.and_then(|time| to_posix(time, &self.zone).ok_or_else(no_date)) {
            Ok(time_s) => Some(time_s),
            Err(error) => {
                let reason = error_text(&error);
                let text = format!("Could not read time from {} : {reason}", self.name);
                output.write(Severity::Error, &text);
                None
            }
        }
    }

    /// Whether the chip tells the beginning of its seconds, without which it is of no use; a
    /// failure is logged.
    fn has_interrupts(&mut self, output: &mut Output) -> bool {
        self.switch(true, output) && self.switch(false, output)
    }

    fn switch(&mut self, on: bool, output: &mut Output) -> bool {
        match self.device.set_update_interrupts(on) {
            Ok(()) => true,
            Err(error) => {
                let verb = if on { "enable" } else { "disable" };
                let reason = error_text(&error);
                let text = format!("Could not {verb} RTC interrupt : {reason}");
                output.write(Severity::Error, &text);
                false
            }
        }
    }

    /// Begins a measurement.
    pub fn start_measuring(&mut self, output: &mut Output) {
        self.switch(true, output);
        self.measuring = Measuring::First;
    }

    /// Ends a measurement.
    pub fn stop_measuring(&mut self, output: &mut Output) {
        self.switch(false, output);
        self.measuring = Measuring::Off;
    }

    /// Sets the chip; a failure is logged.
    pub fn set(&mut self, time_s: i64, output: &mut Output) {
        let set = from_posix(time_s, &self.zone).is_some_and(|time| self.device.set(time).is_ok());
        if !set {
            output.write(Severity::Error, Rtc::SET_FAILED);
        }
    }

    /// What to wait for during a measurement.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (self.measuring != Measuring::Off).then(|| self.device.descriptor())
    }

    /// The descriptor is readable: the chip's time (POSIX seconds) if a measurement can be
    /// made of it.
    pub fn take_interrupt(&mut self, output: &mut Output) -> Option<i64> {
        match self.device.take_interrupts() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                let reason = error_text(&error);
                let text = format!("Could not read flags {} : {reason}", self.name);
                output.write(Severity::Error, &text);
                // Else a broken chip would be readable for ever.
                self.stop_measuring(output);
                return None;
            }
        }
        match self.measuring {
            Measuring::Off => None,
            Measuring::First => {
                self.measuring = Measuring::On;
                None
            }
            Measuring::On => self.reading_s(output),
        }
    }
}

/// What the start found out about the chip.
#[derive(Debug, Default)]
pub struct ChipAtStart {
    /// The chip, if it is to be tracked (`rtcfile`) and can be.
    pub tracked: Option<Chip>,
    /// What the rtcfile says.
    pub coefficients: Option<RtcCoefficients>,
    /// The chip's time, if it was asked for (`-s`).
    pub reading_s: Option<i64>,
}

/// How a chip is opened; other than the system's in tests.
pub type OpenChip<'a> = &'a dyn Fn(&Path) -> io::Result<Box<dyn RealTimeClock>>;

/// Opens a chip of the running system.
///
/// # Errors
///
/// As [`SystemRealTimeClock::open`].
pub fn open_system_chip(path: &Path) -> io::Result<Box<dyn RealTimeClock>> {
    SystemRealTimeClock::open(path).map(|chip| Box::new(chip) as _)
}

impl ChipAtStart {
    /// Opens the chip if it is needed, reads it for `-s`, and tries its interrupts for
    /// `rtcfile`.
    pub fn find(
        config: &Config,
        set_clock: bool,
        reader: &dyn Reader,
        open: OpenChip<'_>,
        output: &mut Output,
    ) -> Self {
        let mut found = Self::default();
        if config.rtc.file.is_none() && !set_clock {
            return found;
        }
        let on_utc = keeps_utc(config, reader, output);
        found.coefficients = read_coefficients(config, reader, output);
        let name = config.rtc.device.display().to_string();
        let mut chip = match open(&config.rtc.device) {
            Ok(device) => Some(Chip::new(device, name, on_utc)),
            // For `-s` alone a machine without a chip is nothing to talk about.
            Err(_) if config.rtc.file.is_none() => None,
            Err(error) => {
                let reason = error_text(&error);
                let text = format!("Could not open RTC device {name} : {reason}");
                output.write(Severity::Error, &text);
                None
            }
        };
        if set_clock {
            found.reading_s = chip.as_mut().and_then(|chip| chip.steady_reading_s(output));
        }
        if config.rtc.file.is_some() {
            let usable = chip
                .as_mut()
                .is_some_and(|chip| chip.has_interrupts(output));
            found.tracked = chip.filter(|_| usable);
            if !usable {
                output.write(Severity::Error, "RTC driver could not be initialised");
            }
        }
        found
    }
}

/// Whether the chip keeps UTC: the third line of the hwclock file, else `rtconutc`.
fn keeps_utc(config: &Config, reader: &dyn Reader, output: &mut Output) -> bool {
    let file = config.rtc.hwclock_file.as_deref();
    match file.map(|path| load_hwclock(path, reader)) {
        Some(Ok(Some(on_utc))) => on_utc,
        Some(Err(message)) => {
            configuration::say(output, &[message]);
            config.rtc.on_utc
        }
        Some(Ok(None)) | None => config.rtc.on_utc,
    }
}

fn read_coefficients(
    config: &Config,
    reader: &dyn Reader,
    output: &mut Output,
) -> Option<RtcCoefficients> {
    match load_coefficients(config.rtc.file.as_deref()?, reader) {
        Ok(saved) => saved.as_ref().map(engine::engine::rtc_coefficients),
        Err(message) => {
            configuration::say(output, &[message]);
            None
        }
    }
}

#[cfg(test)]
mod tests;
