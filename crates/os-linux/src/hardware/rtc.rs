//! The real-time clock chip (RTC): a clock of whole seconds that runs while the machine
//! is off (system chapter, section 7.4).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use super::ioctl::{
    RTC_READ_TIME, RTC_SET_TIME, RTC_UPDATE_INTERRUPT_OFF, RTC_UPDATE_INTERRUPT_ON, RtcTime,
    control,
};
use crate::error::check;
use crate::event::read;

/// A reading of the chip: a calendar without a time zone. Values are as the chip gives
/// them and may be no date at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarTime {
    /// For example 2026.
    pub year: i32,
    /// 1 … 12.
    pub month: i32,
    /// 1 … 31.
    pub day: i32,
    /// 0 … 23.
    pub hour: i32,
    /// 0 … 59.
    pub minute: i32,
    /// 0 … 59.
    pub second: i32,
}

impl CalendarTime {
    fn from_kernel(time: &RtcTime) -> Self {
        Self {
            year: time.year.saturating_add(1900),
            month: time.month.saturating_add(1),
            day: time.day,
            hour: time.hour,
            minute: time.minute,
            second: time.second,
        }
    }

    fn to_kernel(self) -> RtcTime {
        RtcTime {
            second: self.second,
            minute: self.minute,
            hour: self.hour,
            day: self.day,
            month: self.month.saturating_sub(1),
            year: self.year.saturating_sub(1900),
            ..RtcTime::default()
        }
    }
}

/// A real-time clock chip.
pub trait RealTimeClock: Send {
    /// Its time.
    ///
    /// # Errors
    ///
    /// Of the device; `EINVAL` when the chip has lost its time.
    fn read(&mut self) -> io::Result<CalendarTime>;

    /// Sets its time.
    ///
    /// # Errors
    ///
    /// Of the device; `EACCES` without CAP_SYS_TIME.
    fn set(&mut self, time: CalendarTime) -> io::Result<()>;

    /// Switches the interrupt at each new second on or off.
    ///
    /// # Errors
    ///
    /// `EINVAL` or `ENOTTY` when the chip has none.
    fn set_update_interrupts(&mut self, on: bool) -> io::Result<()>;

    /// Takes the interrupts that have come since the last call; whether there was one at
    /// a new second. To be called when [`RealTimeClock::descriptor`] is readable.
    ///
    /// # Errors
    ///
    /// Of the device.
    fn take_interrupts(&mut self) -> io::Result<bool>;

    /// Readable when an interrupt has come.
    fn descriptor(&self) -> BorrowedFd<'_>;
}

/// A chip of the running system.
#[derive(Debug)]
pub struct SystemRealTimeClock(File);

/// Bit of an update interrupt in the data that is read (`RTC_UF`).
const UPDATE_FLAG: u8 = 0x10;

impl SystemRealTimeClock {
    /// Opens a device such as `/dev/rtc` for reading and writing.
    ///
    /// # Errors
    ///
    /// As `open`; `EBUSY` when another program has it open.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self(file))
    }
}

impl RealTimeClock for SystemRealTimeClock {
    fn read(&mut self) -> io::Result<CalendarTime> {
        let mut time = RtcTime::default();
        // SAFETY: this control fills this structure.
        unsafe { control(self.0.as_fd(), RTC_READ_TIME, &mut time)? };
        Ok(CalendarTime::from_kernel(&time))
    }

    fn set(&mut self, time: CalendarTime) -> io::Result<()> {
        // SAFETY: this control reads this structure.
        unsafe { control(self.0.as_fd(), RTC_SET_TIME, &mut time.to_kernel()) }
    }

    fn set_update_interrupts(&mut self, on: bool) -> io::Result<()> {
        let request = match on {
            true => RTC_UPDATE_INTERRUPT_ON,
            false => RTC_UPDATE_INTERRUPT_OFF,
        };
        // SAFETY: these controls take no argument.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), request) }).map(drop)
    }

    fn take_interrupts(&mut self) -> io::Result<bool> {
        // A long: flags in the lowest byte, their count above.
        let mut data = [0; size_of::<libc::c_ulong>()];
        let length = read(self.0.as_fd(), &mut data)?;
        let value = usize::from_ne_bytes(data);
        Ok(length == data.len() && value.to_le_bytes()[0] & UPDATE_FLAG != 0)
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendars_survive() {
        let time = CalendarTime {
            year: 2026,
            month: 11,
            day: 24,
            hour: 15,
            minute: 4,
            second: 59,
        };
        let kernel = time.to_kernel();
        assert_eq!((kernel.year, kernel.month, kernel.day), (126, 10, 24));
        assert_eq!(CalendarTime::from_kernel(&kernel), time);
    }

    #[test]
    fn a_device_that_is_no_clock_is_refused() {
        let mut null = SystemRealTimeClock::open("/dev/null".as_ref()).expect("a device");
        let error = null.read().expect_err("no clock");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        assert!(null.set_update_interrupts(true).is_err());
        assert!(!null.take_interrupts().expect("end of file"));
        assert!(SystemRealTimeClock::open("/dev/no-such-rtc".as_ref()).is_err());
    }

    #[test]
    fn the_chip_of_this_machine_can_be_read() {
        let Ok(mut chip) = SystemRealTimeClock::open("/dev/rtc0".as_ref()) else {
            eprintln!("SKIPPED: needs /dev/rtc0 and the right to open it");
            return;
        };
        let time = chip.read().expect("reading");
        assert!((1970..2200).contains(&time.year), "{time:?}");
    }
}
