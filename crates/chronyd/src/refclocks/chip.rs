//! The driver `RTC`: the real-time clock chip.

use std::io;
use std::os::fd::BorrowedFd;

use chrony_conf::refclock::RefclockSpec;
use discipline::journal::Severity;
use discipline::time::RawTime;
use engine::event::Now;
use engine::refclock::RefclockData;
use jiff::tz::TimeZone;
use ntp_wire::LeapIndicator;
use os_linux::clock::raw_time;
use os_linux::error_text;
use os_linux::hardware::{RealTimeClock, SystemRealTimeClock};

use super::{Driver, Outage, Report};
use crate::output::Output;
use crate::real_time_clock::to_posix;

/// What is added to a reading that comes at any time of the chip's second.
const HALF_SECOND_NS: i64 = 500_000_000;

/// A chip.
pub(super) struct Chip {
    device: Box<dyn RealTimeClock>,
    name: String,
    zone: TimeZone,
    /// The chip tells the beginning of its seconds.
    interrupts: bool,
    outage: Outage,
}

impl Chip {
    pub(super) fn open(spec: &RefclockSpec, output: &mut Output) -> Result<Self, String> {
        let path = chrony_conf::text::to_path(&spec.parameter);
        let name = path.display().to_string();
        let device = SystemRealTimeClock::open(&path).map_err(|error| {
            format!("Could not open RTC device {name} : {}", error_text(&error))
        })?;
        let zone = match spec.driver_option("utc") {
            Some(_) => TimeZone::UTC,
            None => TimeZone::system(),
        };
        Ok(Self::new(Box::new(device), name, zone, output))
    }

    fn new(
        mut device: Box<dyn RealTimeClock>,
        name: String,
        zone: TimeZone,
        output: &mut Output,
    ) -> Self {
        let enabled = device.set_update_interrupts(true);
        if let Err(error) = &enabled {
            let text = format!("Could not enable RTC interrupt : {}", error_text(error));
            output.write(Severity::Error, &text);
            let text = format!("Falling back to polling for {name}");
            output.write(Severity::Info, &text);
        }
        Self {
            device,
            name,
            zone,
            interrupts: enabled.is_ok(),
            outage: Outage::default(),
        }
    }

    /// Reports the chip's time at a time of the system's clock.
    fn read(
        &mut self,
        local: impl FnOnce() -> RawTime,
        added_ns: i64,
        report: Report<'_>,
        output: &mut Output,
    ) {
        let no_date = || io::Error::from_raw_os_error(libc::EINVAL);
        let read = self.device.read();
        match read.and_then(|time| to_posix(time, &self.zone).ok_or_else(no_date)) {
            Ok(time_s) => {
                self.outage.end();
                report(RefclockData::Timed {
                    local: local(),
                    reference: RawTime::from_parts(time_s, added_ns),
                    leap: LeapIndicator::Normal,
                });
            }
            Err(error) => {
                let (name, reason) = (&self.name, error_text(&error));
                let text = format!("Could not read time from {name} : {reason}");
                self.outage.begin(&text, output);
            }
        }
    }
}

impl Driver for Chip {
    fn poll(&mut self, report: Report<'_>, output: &mut Output) {
        if !self.interrupts {
            self.read(raw_time, HALF_SECOND_NS, report, output);
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.interrupts.then(|| self.device.descriptor())
    }

    fn receive(&mut self, at: Now, report: Report<'_>, output: &mut Output) {
        match self.device.take_interrupts() {
            Ok(true) => self.read(|| at.raw, 0, report, output),
            Ok(false) => {}
            Err(error) => {
                let (name, reason) = (&self.name, error_text(&error));
                let text = format!("Could not read flags {name} : {reason}");
                output.write(Severity::Error, &text);
                // Else a broken chip would be readable for ever.
                self.interrupts = false;
            }
        }
    }

    fn close(&mut self) {
        if self.interrupts {
            // The end of the process switches them off, too.
            let _ = self.device.set_update_interrupts(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Log, polled, received};
    use super::*;
    use os_linux::hardware::CalendarTime;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    /// A chip that shows 1970-01-01 00:00:42 and then no date.
    struct Fake {
        readings: usize,
        interrupts: Vec<io::Result<bool>>,
        socket: UnixDatagram,
    }

    impl Fake {
        fn new(interrupts: Vec<io::Result<bool>>) -> Box<Self> {
            Box::new(Self {
                readings: 0,
                interrupts,
                socket: UnixDatagram::unbound().expect("socket"),
            })
        }
    }

    impl RealTimeClock for Fake {
        fn read(&mut self) -> io::Result<CalendarTime> {
            self.readings += 1;
            Ok(CalendarTime {
                year: 1970,
                month: if self.readings > 1 { 13 } else { 1 },
                day: 1,
                hour: 0,
                minute: 0,
                second: 42,
            })
        }

        fn set(&mut self, _: CalendarTime) -> io::Result<()> {
            unreachable!("a reference clock is not set")
        }

        fn set_update_interrupts(&mut self, _: bool) -> io::Result<()> {
            match self.interrupts.is_empty() {
                true => Err(io::Error::from_raw_os_error(libc::ENOTTY)),
                false => Ok(()),
            }
        }

        fn take_interrupts(&mut self) -> io::Result<bool> {
            self.interrupts.remove(0)
        }

        fn descriptor(&self) -> BorrowedFd<'_> {
            self.socket.as_fd()
        }
    }

    fn chip(fake: Box<Fake>, log: &mut Log) -> Chip {
        Chip::new(fake, "/dev/rtc".to_owned(), TimeZone::UTC, &mut log.output)
    }

    #[test]
    fn a_chip_without_interrupts_is_polled() {
        let mut log = Log::new();
        let mut driver = chip(Fake::new(Vec::new()), &mut log);
        assert!(driver.descriptor().is_none());
        assert_eq!(polled(&mut driver, &mut log), ["time 42.500000000 0"]);
        assert_eq!(polled(&mut driver, &mut log), Vec::<String>::new());
        assert_eq!(
            log.lines(),
            [
                "Could not enable RTC interrupt : Inappropriate ioctl for device",
                "Falling back to polling for /dev/rtc",
                "Could not read time from /dev/rtc : Invalid argument",
            ]
        );
    }

    #[test]
    fn interrupts_tell_whole_seconds_until_they_fail() {
        let gone = io::Error::from_raw_os_error(libc::ENODEV);
        let mut log = Log::new();
        let mut driver = chip(Fake::new(vec![Ok(false), Ok(true), Err(gone)]), &mut log);
        assert_eq!(polled(&mut driver, &mut log), Vec::<String>::new());
        assert_eq!(received(&mut driver, &mut log), Vec::<String>::new());
        assert_eq!(received(&mut driver, &mut log), ["time 42.000000000 0"]);
        assert!(driver.descriptor().is_some());
        assert_eq!(received(&mut driver, &mut log), Vec::<String>::new());
        assert!(driver.descriptor().is_none());
        assert_eq!(
            log.lines(),
            ["Could not read flags /dev/rtc : No such device"]
        );
    }
}
