//! The driver `PHC`: the clock of a network card.

use std::io;
use std::path::{Path, PathBuf};

use chrony_conf::refclock::RefclockSpec;
use discipline::journal::Severity;
use engine::refclock::RefclockData;
use os_linux::error_text;
use os_linux::hardware::{SystemDevices, SystemHardwareClock, TimestampDevices};

use super::{Driver, Outage, Report};
use crate::hardware_reader::HardwareReader;
use crate::output::Output;

/// The clock of a card.
pub(super) struct CardClock {
    reader: HardwareReader,
    name: String,
    outage: Outage,
}

/// The device that a clock was found at.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Number of the clock.
    pub(super) index: io::Result<u32>,
}

impl CardClock {
    pub(super) fn open(spec: &RefclockSpec, output: &mut Output) -> Result<(Self, Found), String> {
        let name = chrony_conf::text::to_path(&spec.parameter);
        let opened = device_path(&name)
            .and_then(|path| Ok((SystemHardwareClock::open(&path)?, path)))
            .map_err(|error| {
                if error.raw_os_error() == Some(libc::ENOTTY) {
                    let reason = error_text(&error);
                    let text = format!("ioctl(PTP_CLOCK_GETCAPS) failed : {reason}");
                    output.write(Severity::Error, &text);
                }
                let text = format!("Could not open PHC (of) {}", name.display());
                output.write(Severity::Error, &text);
                "Could not open PHC".to_owned()
            });
        let (clock, path) = opened?;
        let index = clock.index();
        let cross = spec.driver_option("nocrossts").is_none();
        let reader = HardwareReader::new(Box::new(clock), cross);
        let name = name.display().to_string();
        Ok((Self::new(reader, name), Found { path, index }))
    }

    fn new(reader: HardwareReader, name: String) -> Self {
        Self {
            reader,
            name,
            outage: Outage::default(),
        }
    }
}

/// The device of a path, or of the card of an interface.
fn device_path(name: &Path) -> io::Result<PathBuf> {
    if name.is_absolute() {
        return Ok(name.to_owned());
    }
    let abilities = SystemDevices::new()?.abilities(&name.to_string_lossy())?;
    let index = abilities
        .clock_index
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
    Ok(PathBuf::from(format!("/dev/ptp{index}")))
}

impl Driver for CardClock {
    fn poll(&mut self, report: Report<'_>, output: &mut Output) {
        match self.reader.read() {
            Ok(readings) => {
                self.outage.end();
                report(RefclockData::Readings(&readings));
            }
            Err(error) => {
                let (name, reason) = (&self.name, error_text(&error));
                let text = format!("Could not read PHC (of) {name} : {reason}");
                self.outage.begin(&text, output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Log, polled};
    use super::*;
    use discipline::time::RawTime;
    use os_linux::hardware::{HardwareClock, Reading, ReadingMethod};
    use os_linux::socket::HardwareTime;

    /// A clock with one method, which works every other time.
    struct Fake(usize);

    impl HardwareClock for Fake {
        fn read(
            &mut self,
            method: ReadingMethod,
            count: usize,
            readings: &mut Vec<Reading>,
        ) -> io::Result<()> {
            if method != ReadingMethod::Extended {
                return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
            }
            self.0 += 1;
            if self.0.is_multiple_of(2) {
                return Err(io::Error::from_raw_os_error(libc::ENODEV));
            }
            let reading = Reading {
                before: RawTime::from_parts(5, 0),
                device: HardwareTime::from_ns(42),
                after: RawTime::from_parts(5, 100),
            };
            readings.extend(vec![reading; count]);
            Ok(())
        }
    }

    #[test]
    fn readings_are_reported_and_failures_said() {
        let reader = HardwareReader::new(Box::new(Fake(0)), true);
        let mut driver = CardClock::new(reader, "eth7".to_owned());
        let mut log = Log::new();
        assert_eq!(polled(&mut driver, &mut log), ["25 readings"]);
        assert_eq!(polled(&mut driver, &mut log), Vec::<String>::new());
        assert_eq!(polled(&mut driver, &mut log), ["25 readings"]);
        assert_eq!(
            log.lines(),
            ["Could not read PHC (of) eth7 : No such device"]
        );
    }

    #[test]
    fn a_name_is_a_path_or_an_interface() {
        let path = device_path("/dev/ptp7".as_ref()).expect("a path");
        assert_eq!(path, Path::new("/dev/ptp7"));
        assert!(device_path("lo".as_ref()).is_err());
    }
}
