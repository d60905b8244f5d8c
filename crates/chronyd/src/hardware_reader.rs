//! Reading the clock of a network card by the best method that works (system chapter, section
//! 6.5).

use std::io;

use discipline::samples::{DeviceTime, Reading};
use os_linux::hardware::{HardwareClock, ReadingMethod};

/// Readings that make one sample.
const READINGS: usize = 25;

/// A card's clock, and how it is read.
pub struct HardwareReader {
    clock: Box<dyn HardwareClock>,
    /// Cross timestamps may be used.
    cross: bool,
    /// The method that works, once one did.
    method: Option<ReadingMethod>,
}

impl HardwareReader {
    /// Without `cross`, cross timestamps are not used (`nocrossts`).
    pub fn new(clock: Box<dyn HardwareClock>, cross: bool) -> Self {
        Self {
            clock,
            cross,
            method: None,
        }
    }

    /// Reads by the first method that works, which is kept for good.
    ///
    /// # Errors
    ///
    /// Why the last method tried does not work.
    pub fn read(&mut self) -> io::Result<Vec<Reading>> {
        let mut readings = Vec::with_capacity(READINGS);
        let mut failure = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
        let methods = ReadingMethod::ALL.into_iter().filter(|method| {
            self.method.is_none_or(|kept| kept == *method)
                && (self.cross || *method != ReadingMethod::Precise)
        });
        for method in methods {
            match self.clock.read(method, READINGS, &mut readings) {
                Ok(()) => {
                    self.method = Some(method);
                    let readings = readings.iter().map(|reading| Reading {
                        before: reading.before,
                        device: DeviceTime::from_ns(reading.device.as_ns()),
                        after: reading.after,
                    });
                    return Ok(readings.collect());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}
