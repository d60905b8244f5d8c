//! Network interfaces: which there are, and what they can do with timestamps.

use std::ffi::{CStr, CString};
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use super::clock::{HardwareClock, SystemHardwareClock};
use super::ioctl::{
    ETHTOOL_GET_SETTINGS, ETHTOOL_GET_TIMESTAMPING, EthtoolSettings, EthtoolTimestamping, control,
};

/// Speed that stands for "not known" in ethtool's structure.
const SPEED_UNKNOWN: u32 = u32::MAX;

/// The same on kernels that fill the low half only.
const SPEED_UNKNOWN_SHORT: u32 = 0xffff;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name, for example `eth0`.
    pub name: String,
    /// Index, as received datagrams report it.
    pub index: u32,
}

/// Which received packets a card takes timestamps of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveFilter {
    /// None.
    None,
    /// All packets.
    All,
    /// NTP packets.
    NtpAll,
    /// PTP event packets over UDP.
    PtpV2L4Event,
    /// PTP event packets.
    PtpV2Event,
    /// Another filter of the kernel, by number.
    Other(u32),
}

impl ReceiveFilter {
    /// The kernel's number.
    pub fn number(self) -> u32 {
        match self {
            Self::None => libc::HWTSTAMP_FILTER_NONE,
            Self::All => libc::HWTSTAMP_FILTER_ALL,
            Self::NtpAll => libc::HWTSTAMP_FILTER_NTP_ALL,
            Self::PtpV2L4Event => libc::HWTSTAMP_FILTER_PTP_V2_L4_EVENT,
            Self::PtpV2Event => libc::HWTSTAMP_FILTER_PTP_V2_EVENT,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u32) -> Self {
        let known = [
            Self::None,
            Self::All,
            Self::NtpAll,
            Self::PtpV2L4Event,
            Self::PtpV2Event,
        ];
        let found = known.into_iter().find(|filter| filter.number() == number);
        found.unwrap_or(Self::Other(number))
    }
}

/// What an interface can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimestampingAbilities {
    /// It takes timestamps of received packets.
    pub receive_hardware: bool,
    /// It takes timestamps of sent packets.
    pub transmit_hardware: bool,
    /// It gives the timestamps of its own clock.
    pub raw_hardware: bool,
    /// Number of its clock, as in `/dev/ptp<n>`.
    pub clock_index: Option<u32>,
    /// The filters it offers, bit n for the kernel's number n.
    pub receive_filters: u32,
}

impl TimestampingAbilities {
    /// Whether it offers a filter.
    pub fn offers(&self, filter: ReceiveFilter) -> bool {
        let bit = 1u32.checked_shl(filter.number()).unwrap_or(0);
        self.receive_filters & bit != 0
    }
}

/// What an interface is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampingSetting {
    /// Timestamps of sent packets.
    pub transmit: bool,
    /// Timestamps of received packets.
    pub receive: ReceiveFilter,
}

/// The machine's network interfaces with their timestamping.
pub trait TimestampDevices {
    /// All interfaces, in the system's order.
    ///
    /// # Errors
    ///
    /// When the list cannot be had.
    fn interfaces(&self) -> io::Result<Vec<Interface>>;

    /// The index of an interface.
    ///
    /// # Errors
    ///
    /// `ENODEV` when there is none of that name.
    fn interface_index(&self, name: &str) -> io::Result<u32>;

    /// What an interface can do.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`, `ENODEV`.
    fn abilities(&self, name: &str) -> io::Result<TimestampingAbilities>;

    /// What an interface is set to.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`, `ENODEV`.
    fn setting(&self, name: &str) -> io::Result<TimestampingSetting>;

    /// Sets an interface and returns what it is set to then, which may be more than was
    /// asked for. Needs CAP_NET_ADMIN.
    ///
    /// # Errors
    ///
    /// `EPERM`, `EOPNOTSUPP`, `ERANGE` for a filter that is not offered.
    fn set(&self, name: &str, setting: TimestampingSetting) -> io::Result<TimestampingSetting>;

    /// The speed of an interface in Mb/s, `None` when it is not known (no cable).
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`, `ENODEV`.
    fn link_speed_mbps(&self, name: &str) -> io::Result<Option<u32>>;

    /// Opens the clock with this number.
    ///
    /// # Errors
    ///
    /// As `open`; `ENOTTY` when it is no clock.
    fn open_clock(&self, index: u32) -> io::Result<Box<dyn HardwareClock>>;
}

/// The running system's interfaces.
#[derive(Debug)]
pub struct SystemDevices {
    /// A socket on which the controls are called; no traffic passes through it.
    socket: UdpSocket,
}

impl SystemDevices {
    /// Opens the socket that the controls need.
    ///
    /// # Errors
    ///
    /// When no IP socket can be opened.
    pub fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::1]:0"))?;
        Ok(Self { socket })
    }

    /// Calls a control of an interface with a structure that `ifreq` points to.
    ///
    /// # Safety
    ///
    /// `T` must be the type that the kernel uses for `request`, valid for any bytes.
    unsafe fn call<T>(&self, request: libc::Ioctl, name: &str, data: &mut T) -> io::Result<()> {
        let mut interface = interface_request(name)?;
        interface.ifr_ifru.ifru_data = (&raw mut *data).cast();
        // SAFETY: by the promise of the caller, and an ifreq is what all these controls
        // take.
        unsafe { control(self.socket.as_fd(), request, &mut interface) }
    }
}

/// An `ifreq` with the name of an interface.
fn interface_request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq consists of integers, arrays and a pointer, for which zero is a
    // value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays zero as the end.
    if name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        // The C library's character is signed on some machines.
        *place = byte as _;
    }
    Ok(request)
}

impl TimestampDevices for SystemDevices {
    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        // SAFETY: the call has no arguments.
        let list = unsafe { libc::if_nameindex() };
        if list.is_null() {
            return Err(io::Error::last_os_error());
        }
        let mut interfaces = Vec::new();
        for position in 0.. {
            // SAFETY: the list ends with an entry whose index is 0, where the loop ends,
            // and the names end with a zero byte.
            let entry = unsafe { &*list.add(position) };
            if entry.if_index == 0 || entry.if_name.is_null() {
                break;
            }
            // SAFETY: as above.
            let name = unsafe { CStr::from_ptr(entry.if_name) };
            interfaces.push(Interface {
                name: name.to_string_lossy().into_owned(),
                index: entry.if_index,
            });
        }
        // SAFETY: the list is the C library's and nothing refers to it any more.
        unsafe { libc::if_freenameindex(list) };
        Ok(interfaces)
    }

    fn interface_index(&self, name: &str) -> io::Result<u32> {
        let name = CString::new(name)?;
        // SAFETY: the name ends with a zero byte.
        match unsafe { libc::if_nametoindex(name.as_ptr()) } {
            0 => Err(io::Error::last_os_error()),
            index => Ok(index),
        }
    }

    fn abilities(&self, name: &str) -> io::Result<TimestampingAbilities> {
        let mut info = EthtoolTimestamping {
            command: ETHTOOL_GET_TIMESTAMPING,
            ..EthtoolTimestamping::default()
        };
        // SAFETY: ethtool's command for timestamping takes this structure.
        unsafe { self.call(libc::SIOCETHTOOL as _, name, &mut info)? };
        let has = |flag| info.timestamping & flag != 0;
        Ok(TimestampingAbilities {
            receive_hardware: has(libc::SOF_TIMESTAMPING_RX_HARDWARE),
            transmit_hardware: has(libc::SOF_TIMESTAMPING_TX_HARDWARE),
            raw_hardware: has(libc::SOF_TIMESTAMPING_RAW_HARDWARE),
            clock_index: u32::try_from(info.clock_index).ok(),
            receive_filters: info.receive_filters,
        })
    }

    fn setting(&self, name: &str) -> io::Result<TimestampingSetting> {
        let mut config = config(TimestampingSetting {
            transmit: false,
            receive: ReceiveFilter::None,
        });
        // SAFETY: this control takes this structure.
        unsafe { self.call(libc::SIOCGHWTSTAMP as _, name, &mut config)? };
        Ok(setting(&config))
    }

    fn set(&self, name: &str, wanted: TimestampingSetting) -> io::Result<TimestampingSetting> {
        let mut config = config(wanted);
        // SAFETY: this control takes this structure.
        unsafe { self.call(libc::SIOCSHWTSTAMP as _, name, &mut config)? };
        Ok(setting(&config))
    }

    fn link_speed_mbps(&self, name: &str) -> io::Result<Option<u32>> {
        let mut settings = EthtoolSettings {
            command: ETHTOOL_GET_SETTINGS,
            ..EthtoolSettings::default()
        };
        // SAFETY: ethtool's command for settings takes this structure.
        unsafe { self.call(libc::SIOCETHTOOL as _, name, &mut settings)? };
        let speed = u32::from(settings.speed_high) << 16 | u32::from(settings.speed);
        Ok((speed != SPEED_UNKNOWN && speed != SPEED_UNKNOWN_SHORT).then_some(speed))
    }

    fn open_clock(&self, index: u32) -> io::Result<Box<dyn HardwareClock>> {
        let clock = SystemHardwareClock::open(format!("/dev/ptp{index}").as_ref())?;
        Ok(Box::new(clock))
    }
}

fn config(setting: TimestampingSetting) -> libc::hwtstamp_config {
    let transmit = match setting.transmit {
        true => libc::HWTSTAMP_TX_ON,
        false => libc::HWTSTAMP_TX_OFF,
    };
    libc::hwtstamp_config {
        flags: 0,
        // Both are small numbers.
        tx_type: transmit as libc::c_int,
        rx_filter: setting.receive.number() as libc::c_int,
    }
}

fn setting(config: &libc::hwtstamp_config) -> TimestampingSetting {
    TimestampingSetting {
        transmit: config.tx_type as u32 == libc::HWTSTAMP_TX_ON,
        receive: ReceiveFilter::from_number(config.rx_filter as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_and_has_no_clock() {
        let devices = SystemDevices::new().expect("socket");
        let interfaces = devices.interfaces().expect("interfaces");
        let loopback = interfaces.iter().find(|interface| interface.name == "lo");
        let loopback = loopback.expect("every machine has it");
        assert_eq!(devices.interface_index("lo").ok(), Some(loopback.index));
        let abilities = devices.abilities("lo").expect("software timestamping");
        assert_eq!(abilities.clock_index, None);
        assert!(!abilities.raw_hardware);
        assert!(devices.setting("lo").is_err());
        assert!(!matches!(devices.link_speed_mbps("lo"), Ok(Some(_))));
    }

    #[test]
    fn missing_devices_are_errors() {
        let devices = SystemDevices::new().expect("socket");
        for name in ["no-such-if", "a-name-that-is-too-long", "with\0zero", ""] {
            assert!(devices.interface_index(name).is_err(), "{name}");
            assert!(devices.abilities(name).is_err(), "{name}");
        }
        assert!(devices.open_clock(99_999).is_err());
    }

    #[test]
    fn filters_keep_their_numbers() {
        for number in 0..40 {
            assert_eq!(ReceiveFilter::from_number(number).number(), number);
        }
        let abilities = TimestampingAbilities {
            receive_filters: 1 << 15 | 1,
            ..TimestampingAbilities::default()
        };
        assert!(abilities.offers(ReceiveFilter::NtpAll));
        assert!(abilities.offers(ReceiveFilter::None));
        assert!(!abilities.offers(ReceiveFilter::All));
        assert!(!abilities.offers(ReceiveFilter::Other(40)));
    }
}
