//! Numbers and structures of device controls that libc does not have, and the call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{Ioctl, c_int, c_uint};

use crate::error::check;

/// Type of the controls of hardware clocks.
const PTP_MAGIC: u32 = 0x3d;
/// Type of the controls of the real-time clock and of pulse devices.
const P_MAGIC: u32 = 0x70;

/// `PTP_MASK_CLEAR_ALL`: no external timestamps through this descriptor.
pub(crate) const PTP_MASK_CLEAR_ALL: Ioctl = libc::_IO(PTP_MAGIC, 19);
/// `PTP_MASK_EN_SINGLE`: external timestamps of one channel through this descriptor.
pub(crate) const PTP_MASK_ENABLE_SINGLE: Ioctl = libc::_IOW::<c_uint>(PTP_MAGIC, 20);

/// `PPS_GETPARAMS`; like the others of pulses its number has the size of a pointer, not that
/// of the structure.
pub(crate) const PPS_GET_PARAMETERS: Ioctl = libc::_IOR::<usize>(P_MAGIC, 0xa1);
/// `PPS_SETPARAMS`.
pub(crate) const PPS_SET_PARAMETERS: Ioctl = libc::_IOW::<usize>(P_MAGIC, 0xa2);
/// `PPS_GETCAP`.
pub(crate) const PPS_GET_ABILITIES: Ioctl = libc::_IOR::<usize>(P_MAGIC, 0xa3);
/// `PPS_FETCH`.
pub(crate) const PPS_FETCH: Ioctl = libc::_IOWR::<usize>(P_MAGIC, 0xa4);

/// `RTC_RD_TIME`.
pub(crate) const RTC_READ_TIME: Ioctl = libc::_IOR::<RtcTime>(P_MAGIC, 0x09);
/// `RTC_SET_TIME`.
pub(crate) const RTC_SET_TIME: Ioctl = libc::_IOW::<RtcTime>(P_MAGIC, 0x0a);
/// `RTC_UIE_ON`.
pub(crate) const RTC_UPDATE_INTERRUPT_ON: Ioctl = libc::_IO(P_MAGIC, 0x03);
/// `RTC_UIE_OFF`.
pub(crate) const RTC_UPDATE_INTERRUPT_OFF: Ioctl = libc::_IO(P_MAGIC, 0x04);

/// `ETHTOOL_GSET`.
pub(super) const ETHTOOL_GET_SETTINGS: u32 = 0x01;
/// `ETHTOOL_GET_TS_INFO`.
pub(super) const ETHTOOL_GET_TIMESTAMPING: u32 = 0x41;

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

/// `struct pps_ktime`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PpsTime {
    pub(crate) seconds: i64,
    pub(crate) ns: i32,
    /// Bit 0: the time is none.
    pub(crate) flags: u32,
}

/// `struct pps_kparams`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PpsParameters {
    pub(crate) api_version: c_int,
    pub(crate) mode: c_int,
    pub(crate) assert_offset: PpsTime,
    pub(crate) clear_offset: PpsTime,
}

/// `struct pps_fdata`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PpsFetched {
    pub(crate) assert_sequence: u32,
    pub(crate) clear_sequence: u32,
    pub(crate) assert_time: PpsTime,
    pub(crate) clear_time: PpsTime,
    pub(crate) mode: c_int,
    /// How long the call may wait; set by the caller.
    pub(crate) timeout: PpsTime,
}

/// `struct ethtool_ts_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EthtoolTimestamping {
    pub(super) command: u32,
    /// A union of `SOF_TIMESTAMPING_*`.
    pub(super) timestamping: u32,
    pub(super) clock_index: i32,
    pub(super) transmit_types: u32,
    pub(super) transmit_reserved: [u32; 3],
    /// Bit n: filter n.
    pub(super) receive_filters: u32,
    pub(super) receive_reserved: [u32; 3],
}

/// `struct ethtool_cmd`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EthtoolSettings {
    pub(super) command: u32,
    pub(super) supported: u32,
    pub(super) advertising: u32,
    /// Mb/s, low half.
    pub(super) speed: u16,
    pub(super) duplex: u8,
    pub(super) port: u8,
    pub(super) physical_address: u8,
    pub(super) transceiver: u8,
    pub(super) autonegotiation: u8,
    pub(super) management: u8,
    pub(super) transmit_packets: u32,
    pub(super) receive_packets: u32,
    /// Mb/s, high half.
    pub(super) speed_high: u16,
    pub(super) crossover: u8,
    pub(super) crossover_control: u8,
    pub(super) partner_advertising: u32,
    pub(super) reserved: [u32; 2],
}

/// Calls `ioctl` with a structure that the kernel reads or fills, as the control says.
///
/// # Safety
///
/// `T` must be the type that the kernel uses for `request`, valid for any bytes the
/// kernel writes, and pointers in it must be valid.
pub(super) unsafe fn control<T>(
    descriptor: BorrowedFd<'_>,
    request: Ioctl,
    argument: &mut T,
) -> io::Result<()> {
    // SAFETY: by the promise of the caller.
    check(unsafe { libc::ioctl(descriptor.as_raw_fd(), request, &raw mut *argument) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_the_kernels() {
        // linux/ethtool.h and linux/rtc.h.
        assert_eq!(size_of::<EthtoolTimestamping>(), 44);
        assert_eq!(size_of::<EthtoolSettings>(), 44);
        assert_eq!(size_of::<RtcTime>(), 36);
        // linux/pps.h.
        assert_eq!(size_of::<PpsTime>(), 16);
        assert_eq!(size_of::<PpsParameters>(), 40);
        assert_eq!(std::mem::offset_of!(PpsParameters, assert_offset), 8);
        // As a tracer prints them on x86-64 and aarch64.
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        {
            assert_eq!(RTC_READ_TIME as u32, 0x8024_7009);
            assert_eq!(RTC_SET_TIME as u32, 0x4024_700a);
            assert_eq!(RTC_UPDATE_INTERRUPT_ON as u32, 0x7003);
            assert_eq!(RTC_UPDATE_INTERRUPT_OFF as u32, 0x7004);
            assert_eq!(size_of::<PpsFetched>(), 64);
            assert_eq!(std::mem::offset_of!(PpsFetched, assert_time), 8);
            assert_eq!(std::mem::offset_of!(PpsFetched, mode), 40);
            assert_eq!(std::mem::offset_of!(PpsFetched, timeout), 48);
            assert_eq!(PPS_GET_PARAMETERS as u32, 0x8008_70a1);
            assert_eq!(PPS_SET_PARAMETERS as u32, 0x4008_70a2);
            assert_eq!(PPS_GET_ABILITIES as u32, 0x8008_70a3);
            assert_eq!(PPS_FETCH as u32, 0xc008_70a4);
            assert_eq!(PTP_MASK_CLEAR_ALL as u32, 0x3d13);
            assert_eq!(PTP_MASK_ENABLE_SINGLE as u32, 0x4004_3d14);
        }
    }
}
