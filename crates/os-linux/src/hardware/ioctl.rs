//! Numbers and structures of device controls that libc does not have.

use libc::{Ioctl, c_int};

/// `PTP_MASK_CLEAR_ALL`: no external timestamps through this descriptor.
pub(crate) const PTP_MASK_CLEAR_ALL: Ioctl = libc::_IO(PTP_MAGIC, 19);
/// `PTP_MASK_EN_SINGLE`: external timestamps of one channel through this descriptor.
pub(crate) const PTP_MASK_ENABLE_SINGLE: Ioctl = libc::_IOW::<libc::c_uint>(PTP_MAGIC, 20);
/// Type of the PTP controls.
const PTP_MAGIC: u32 = 0x3d;

/// `PPS_FETCH`; its number has the size of a pointer, not of the structure.
pub(crate) const PPS_FETCH: Ioctl = libc::_IOWR::<usize>(0x70, 0xa4);

/// `RTC_RD_TIME`.
pub(crate) const RTC_READ_TIME: Ioctl = libc::_IOR::<RtcTime>(0x70, 0x09);
/// `RTC_SET_TIME`.
pub(crate) const RTC_SET_TIME: Ioctl = libc::_IOW::<RtcTime>(0x70, 0x0a);
/// `RTC_UIE_ON`.
pub(crate) const RTC_UPDATE_INTERRUPT_ON: Ioctl = libc::_IO(0x70, 0x03);
/// `RTC_UIE_OFF`.
pub(crate) const RTC_UPDATE_INTERRUPT_OFF: Ioctl = libc::_IO(0x70, 0x04);

/// `struct rtc_time`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RtcTime {
    pub(crate) second: c_int,
    pub(crate) minute: c_int,
    pub(crate) hour: c_int,
    /// 1 … 31.
    pub(crate) day: c_int,
    /// 0 … 11.
    pub(crate) month: c_int,
    /// Since 1900.
    pub(crate) year: c_int,
    pub(crate) weekday: c_int,
    pub(crate) day_of_year: c_int,
    pub(crate) daylight_saving: c_int,
}
