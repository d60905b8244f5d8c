//! The clock of a network card (PHC), read together with the real-time clock.

use std::fs::File;
use std::io;
use std::mem::zeroed;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use discipline::time::RawTime;
use libc::ptp_clock_time;

use super::ioctl::control;
use crate::socket::HardwareTime;

/// Most readings that the kernel takes at once.
pub const READINGS_LIMIT: usize = libc::PTP_MAX_SAMPLES as usize;

/// One reading of a card's clock between two of the real-time clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Real-time clock before the reading.
    pub before: RawTime,
    /// The card's clock.
    pub device: HardwareTime,
    /// Real-time clock after the reading; equal to `before` for precise readings.
    pub after: RawTime,
}

/// How the two clocks are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingMethod {
    /// Both at the same instant by hardware; gives one reading.
    Precise,
    /// The real-time clock right before and after the card's register.
    Extended,
    /// The two clocks in turn.
    Plain,
}

impl ReadingMethod {
    /// All methods, the best first: the order in which they are to be tried.
    pub const ALL: [Self; 3] = [Self::Precise, Self::Extended, Self::Plain];
}

/// The clock of a network card.
pub trait HardwareClock: Send {
    /// Replaces the contents of `readings` by up to `count` readings (at most
    /// [`READINGS_LIMIT`]).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` or `ENOTTY` when the method is not offered.
    fn read(
        &mut self,
        method: ReadingMethod,
        count: usize,
        readings: &mut Vec<Reading>,
    ) -> io::Result<()>;
}

/// A clock device of the running system.
#[derive(Debug)]
pub struct SystemHardwareClock(File);

impl SystemHardwareClock {
    /// Opens a device such as `/dev/ptp0` for reading, and checks that it is a clock.
    ///
    /// # Errors
    ///
    /// As `open`; `ENOTTY` when it is no clock (`PTP_CLOCK_GETCAPS` failed).
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        check_is_clock(&file)?;
        Ok(Self(file))
    }

    /// Its number, as in `/dev/ptp<n>`, whatever path it was opened by.
    ///
    /// # Errors
    ///
    /// As `fstat`.
    pub fn index(&self) -> io::Result<u32> {
        Ok(libc::minor(self.0.metadata()?.rdev()))
    }

    fn read_precise(&self, readings: &mut Vec<Reading>) -> io::Result<()> {
        // SAFETY: the structure consists of integers, for which zero is a value.
        let mut offset: libc::ptp_sys_offset_precise = unsafe { zeroed() };
        // SAFETY: this control fills this structure.
        unsafe { control(self.0.as_fd(), libc::PTP_SYS_OFFSET_PRECISE, &mut offset)? };
        let system = raw_time(&offset.sys_realtime);
        readings.push(Reading {
            before: system,
            device: device_time(&offset.device),
            after: system,
        });
        Ok(())
    }

    fn read_extended(&self, count: usize, readings: &mut Vec<Reading>) -> io::Result<()> {
        // SAFETY: the structure consists of integers, for which zero is a value.
        let mut offset: libc::ptp_sys_offset_extended = unsafe { zeroed() };
        // Bounded by READINGS_LIMIT.
        offset.n_samples = count as libc::c_uint;
        // SAFETY: this control reads and fills this structure.
        unsafe { control(self.0.as_fd(), libc::PTP_SYS_OFFSET_EXTENDED, &mut offset)? };
        readings.extend(offset.ts.iter().take(count).map(|times| Reading {
            before: raw_time(&times[0]),
            device: device_time(&times[1]),
            after: raw_time(&times[2]),
        }));
        Ok(())
    }

    fn read_plain(&self, count: usize, readings: &mut Vec<Reading>) -> io::Result<()> {
        // SAFETY: the structure consists of integers, for which zero is a value.
        let mut offset: libc::ptp_sys_offset = unsafe { zeroed() };
        // Bounded by READINGS_LIMIT.
        offset.n_samples = count as libc::c_uint;
        // SAFETY: this control reads this structure, and fills it although its number
        // does not say so.
        unsafe { control(self.0.as_fd(), libc::PTP_SYS_OFFSET, &mut offset)? };
        plain_readings(&offset.ts, count, readings);
        Ok(())
    }
}

/// Refuses a file that is no clock with `ENOTTY`.
pub(super) fn check_is_clock(file: &File) -> io::Result<()> {
    // SAFETY: the structure consists of integers, for which zero is a value.
    let mut abilities: libc::ptp_clock_caps = unsafe { zeroed() };
    // SAFETY: this control fills this structure.
    unsafe { control(file.as_fd(), libc::PTP_CLOCK_GETCAPS, &mut abilities) }
}

/// The times of a plain reading: system, device, system, device, …, system.
fn plain_readings(times: &[ptp_clock_time], count: usize, readings: &mut Vec<Reading>) {
    let starts = times.windows(3).step_by(2).take(count);
    readings.extend(starts.map(|times| Reading {
        before: raw_time(&times[0]),
        device: device_time(&times[1]),
        after: raw_time(&times[2]),
    }));
}

impl HardwareClock for SystemHardwareClock {
    fn read(
        &mut self,
        method: ReadingMethod,
        count: usize,
        readings: &mut Vec<Reading>,
    ) -> io::Result<()> {
        readings.clear();
        let count = count.min(READINGS_LIMIT);
        match method {
            ReadingMethod::Precise => self.read_precise(readings),
            ReadingMethod::Extended => self.read_extended(count, readings),
            ReadingMethod::Plain => self.read_plain(count, readings),
        }
    }
}

fn raw_time(time: &ptp_clock_time) -> RawTime {
    RawTime::from_parts(time.sec, time.nsec.into())
}

fn device_time(time: &ptp_clock_time) -> HardwareTime {
    let seconds_ns = time.sec.saturating_mul(1_000_000_000);
    HardwareTime::from_ns(seconds_ns.saturating_add(time.nsec.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_clock_is_refused() {
        let error = SystemHardwareClock::open("/dev/null".as_ref()).expect_err("no clock");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        assert!(SystemHardwareClock::open("/dev/no-such-clock".as_ref()).is_err());
    }

    #[test]
    fn plain_readings_share_their_system_times() {
        let time = |sec| ptp_clock_time {
            sec,
            nsec: 5,
            reserved: 0,
        };
        let times: Vec<_> = (10..15).map(time).collect();
        let mut readings = Vec::new();
        plain_readings(&times, 25, &mut readings);
        let reading = |before, device: i64, after| Reading {
            before: RawTime::from_parts(before, 5),
            device: HardwareTime::from_ns(device * 1_000_000_000 + 5),
            after: RawTime::from_parts(after, 5),
        };
        assert_eq!(readings, [reading(10, 11, 12), reading(12, 13, 14)]);
        readings.clear();
        plain_readings(&times, 1, &mut readings);
        assert_eq!(readings, [reading(10, 11, 12)]);
    }

    #[test]
    fn a_clock_of_this_machine_reads_in_order() {
        let Ok(mut clock) = SystemHardwareClock::open("/dev/ptp0".as_ref()) else {
            eprintln!("SKIPPED: needs /dev/ptp0");
            return;
        };
        let mut readings = Vec::new();
        for method in ReadingMethod::ALL {
            if clock.read(method, READINGS_LIMIT, &mut readings).is_ok() {
                assert!(!readings.is_empty());
                assert!(
                    readings
                        .iter()
                        .all(|reading| reading.before <= reading.after)
                );
            }
        }
    }
}
