//! Pulses on an input of a network card, timestamped by the card's clock (`extpps`;
//! discipline chapter, section 17.7).

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use libc::{ptp_clock_time, ptp_extts_event};

use super::clock::check_is_clock;
use super::ioctl::{PTP_MASK_CLEAR_ALL, PTP_MASK_ENABLE_SINGLE, control};
use crate::error::{CallError, check};
use crate::event::{Interest, PollSet, Timeout, read};
use crate::socket::HardwareTime;

/// Bytes of one event.
pub const EXTERNAL_EVENT_LENGTH: usize = size_of::<ptp_extts_event>();

/// Where the channel is in an event: after the time, with which it begins.
const CHANNEL: usize = size_of::<ptp_clock_time>();

/// `PTP_ENABLE_FEATURE`.
const ENABLE_FEATURE: libc::c_uint = 1;
/// `PTP_RISING_EDGE`.
const RISING_EDGE: libc::c_uint = 1 << 1;
/// `PTP_FALLING_EDGE`.
const FALLING_EDGE: libc::c_uint = 1 << 2;

/// Most events that the kernel gives at once (`PTP_BUF_TIMESTAMPS`).
const EVENTS: usize = 30;

/// A pulse on an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalEvent {
    /// Which input.
    pub channel: u32,
    /// When, by the card's clock.
    pub time: HardwareTime,
}

impl ExternalEvent {
    /// One event as the kernel gives it; none for a time that is none.
    pub fn parse(event: &[u8; EXTERNAL_EVENT_LENGTH]) -> Option<Self> {
        let time = offset_of!(ptp_extts_event, t);
        let seconds = field(event, time + offset_of!(ptp_clock_time, sec))?;
        let ns = field(event, time + offset_of!(ptp_clock_time, nsec))?;
        let ns = i64::from(u32::from_ne_bytes(ns));
        let whole_ns = i64::from_ne_bytes(seconds).checked_mul(1_000_000_000)?;
        Some(Self {
            channel: u32::from_ne_bytes(field(event, CHANNEL)?),
            time: HardwareTime::from_ns(whole_ns.checked_add(ns)?),
        })
    }
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// Timestamps of pulses.
pub trait PulseInput: Send {
    /// Has pulses on a channel timestamped, at their falling edge if `falling`. The channel is
    /// given the pin, unless there is none to be given.
    ///
    /// # Errors
    ///
    /// The control that was refused, and why.
    fn enable(&mut self, channel: u32, pin: Option<u32>, falling: bool) -> Result<(), CallError>;

    /// Takes events that have come. Does not wait.
    ///
    /// # Errors
    ///
    /// Of the device; `ENODEV` when it is gone.
    fn take(&mut self) -> io::Result<Vec<ExternalEvent>>;

    /// Readable when there is an event.
    fn descriptor(&self) -> BorrowedFd<'_>;
}

/// The inputs of a card of the running system.
#[derive(Debug)]
pub struct SystemPulseInput {
    file: File,
    poll: PollSet,
}

impl SystemPulseInput {
    /// Opens a clock for control of its inputs. No channel is enabled.
    ///
    /// # Errors
    ///
    /// As `open`; `ENOTTY` when it is no clock.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        check_is_clock(&file)?;
        // From Linux 6.7 on events of other programs' channels come here, too, unless told
        // otherwise; before, all programs share one queue.
        // SAFETY: this control takes no argument.
        let _ = check(unsafe { libc::ioctl(file.as_raw_fd(), PTP_MASK_CLEAR_ALL) });
        Ok(Self {
            file,
            poll: PollSet::default(),
        })
    }
}

impl PulseInput for SystemPulseInput {
    fn enable(&mut self, channel: u32, pin: Option<u32>, falling: bool) -> Result<(), CallError> {
        let failed = |name: &str| {
            let call = format!("ioctl({name})");
            move |error| CallError::new(call, error)
        };
        if let Some(pin) = pin {
            // SAFETY: the structure consists of integers, for which zero is a value.
            let mut function: libc::ptp_pin_desc = unsafe { zeroed() };
            function.index = pin;
            function.func = libc::PTP_PF_EXTTS;
            function.chan = channel;
            // SAFETY: this control reads this structure.
            unsafe { control(self.file.as_fd(), libc::PTP_PIN_SETFUNC, &mut function) }
                .map_err(failed("PTP_PIN_SETFUNC"))?;
        }
        let edge = match falling {
            true => FALLING_EDGE,
            false => RISING_EDGE,
        };
        let mut request = libc::ptp_extts_request {
            index: channel,
            flags: ENABLE_FEATURE | edge,
            rsv: [0; 2],
        };
        // SAFETY: this control reads this structure.
        unsafe { control(self.file.as_fd(), libc::PTP_EXTTS_REQUEST, &mut request) }
            .map_err(failed("PTP_EXTTS_REQUEST"))?;
        let mut wanted: libc::c_uint = channel;
        // Refused by kernels that have one queue for all.
        // SAFETY: this control reads a number.
        let _ = unsafe { control(self.file.as_fd(), PTP_MASK_ENABLE_SINGLE, &mut wanted) };
        Ok(())
    }

    fn take(&mut self) -> io::Result<Vec<ExternalEvent>> {
        // Another program may have emptied the queue, and then reading would wait, whatever
        // the descriptor is set to.
        self.poll.clear();
        self.poll.add(self.file.as_fd(), Interest::READ);
        if self.poll.wait(Timeout::NOW)? == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = [0; EVENTS * EXTERNAL_EVENT_LENGTH];
        let length = read(self.file.as_fd(), &mut bytes)?;
        let whole = bytes.get(..length).unwrap_or_default();
        Ok(parse_events(whole).collect())
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The events in what the kernel gave; a part of one at the end is none.
pub fn parse_events(bytes: &[u8]) -> impl Iterator<Item = ExternalEvent> {
    let (whole, _) = bytes.as_chunks();
    whole.iter().filter_map(ExternalEvent::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(seconds: i64, ns: u32, channel: u32) -> Vec<u8> {
        let mut bytes = seconds.to_ne_bytes().to_vec();
        bytes.extend([ns, 0, channel, 1, 0, 0].map(u32::to_ne_bytes).concat());
        bytes
    }

    #[test]
    fn the_layout_is_the_kernels() {
        // linux/ptp_clock.h.
        assert_eq!(EXTERNAL_EVENT_LENGTH, 32);
        assert_eq!(size_of::<libc::ptp_extts_request>(), 16);
        assert_eq!(size_of::<libc::ptp_pin_desc>(), 96);
        assert_eq!(CHANNEL, 16);
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        {
            assert_eq!(libc::PTP_EXTTS_REQUEST as u32, 0x4010_3d02);
            assert_eq!(libc::PTP_PIN_SETFUNC as u32, 0x4060_3d07);
            assert_eq!(libc::PTP_SYS_OFFSET as u32, 0x4340_3d05);
            assert_eq!(libc::PTP_SYS_OFFSET_PRECISE as u32, 0xc040_3d08);
            assert_eq!(libc::PTP_SYS_OFFSET_EXTENDED as u32, 0xc4c0_3d09);
        }
    }

    #[test]
    fn events_are_read_one_after_the_other() {
        let mut bytes = [event(100, 5, 0), event(-1, 999_999_999, 3)].concat();
        bytes.extend([1; 31]);
        let wanted = [(0, 100_000_000_005), (3, -1)].map(|(channel, ns)| ExternalEvent {
            channel,
            time: HardwareTime::from_ns(ns),
        });
        assert_eq!(parse_events(&bytes).collect::<Vec<_>>(), wanted);
        assert_eq!(parse_events(&event(i64::MAX, 0, 0)).next(), None);
    }

    #[test]
    fn what_is_no_clock_has_no_inputs() {
        let error = SystemPulseInput::open("/dev/null".as_ref()).expect_err("no clock");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }

    proptest! {
        #[test]
        fn any_bytes_are_events_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse_events(&bytes).count() <= bytes.len() / EXTERNAL_EVENT_LENGTH);
        }
    }
}
