//! Switching hardware timestamping on for an interface (system chapter, section 6.5,
//! steps 1 to 4).

use std::fmt;
use std::io;

use super::clock::HardwareClock;
use super::devices::{ReceiveFilter, TimestampDevices, TimestampingAbilities, TimestampingSetting};
use crate::error::error_text;

/// The option `rxfilter` of `hwtimestamp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WantedFilter {
    /// The best there is: NTP packets, else all, else none.
    #[default]
    Best,
    /// No received packets.
    None,
    /// NTP packets.
    Ntp,
    /// PTP packets.
    Ptp,
    /// All packets.
    All,
}

impl WantedFilter {
    fn choose(self, abilities: &TimestampingAbilities) -> ReceiveFilter {
        let first = |filters: &[ReceiveFilter]| {
            let offered = filters.iter().find(|&&filter| abilities.offers(filter));
            offered.copied().unwrap_or(ReceiveFilter::None)
        };
        match self {
            Self::Best => first(&[ReceiveFilter::NtpAll, ReceiveFilter::All]),
            Self::None => ReceiveFilter::None,
            Self::Ntp => ReceiveFilter::NtpAll,
            Self::Ptp => first(&[ReceiveFilter::PtpV2L4Event, ReceiveFilter::PtpV2Event]),
            Self::All => ReceiveFilter::All,
        }
    }
}

/// An interface with hardware timestamping on.
pub struct EnabledTimestamping {
    /// Index of the interface.
    pub index: u32,
    /// Which received packets have timestamps. With [`ReceiveFilter::None`] the message
    /// is `Enabled HW timestamping (TX only) on <if>`.
    pub receive: ReceiveFilter,
    /// The card's clock.
    pub clock: Box<dyn HardwareClock>,
}

impl fmt::Debug for EnabledTimestamping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnabledTimestamping")
            .field("index", &self.index)
            .field("receive", &self.receive)
            .finish_non_exhaustive()
    }
}

/// Why an interface cannot be used.
#[derive(Debug)]
pub enum EnableError {
    /// There is no such interface, or it tells nothing about timestamping.
    Unknown(io::Error),
    /// It has no complete hardware timestamping.
    NotSupported,
    /// The setting was refused and is not in force already.
    Refused(io::Error),
    /// The clock cannot be opened or is none.
    Clock(io::Error),
}

impl fmt::Display for EnableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(error) => write!(f, "interface unknown : {}", error_text(error)),
            Self::NotSupported => f.write_str("no hardware timestamping"),
            Self::Refused(error) => {
                write!(f, "ioctl(SIOCSHWTSTAMP) failed : {}", error_text(error))
            }
            Self::Clock(error) => write!(f, "Could not open PHC : {}", error_text(error)),
        }
    }
}

impl std::error::Error for EnableError {}

/// Switches hardware timestamping on for an interface, or finds it already set as wanted
/// (by somebody with more rights, as for a container), and opens its clock.
///
/// # Errors
///
/// See [`EnableError`]; of [`EnableError::Refused`] the reference logs missing permission
/// only.
pub fn enable_hardware_timestamping(
    devices: &dyn TimestampDevices,
    name: &str,
    wanted: WantedFilter,
) -> Result<EnabledTimestamping, EnableError> {
    let index = devices
        .interface_index(name)
        .map_err(EnableError::Unknown)?;
    let abilities = devices.abilities(name).map_err(EnableError::Unknown)?;
    let complete =
        abilities.receive_hardware && abilities.transmit_hardware && abilities.raw_hardware;
    let clock_index = match abilities.clock_index {
        Some(clock_index) if complete => clock_index,
        _ => return Err(EnableError::NotSupported),
    };
    let setting = TimestampingSetting {
        transmit: true,
        receive: wanted.choose(&abilities),
    };
    let receive = match devices.set(name, setting) {
        Ok(in_force) => in_force.receive,
        Err(error) => match devices.setting(name) {
            Ok(in_force) if in_force == setting => in_force.receive,
            _ => return Err(EnableError::Refused(error)),
        },
    };
    let clock = devices
        .open_clock(clock_index)
        .map_err(EnableError::Clock)?;
    Ok(EnabledTimestamping {
        index,
        receive,
        clock,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{Interface, Reading, ReadingMethod};

    struct Card {
        abilities: TimestampingAbilities,
        in_force: TimestampingSetting,
        refuse: Option<i32>,
    }

    struct NoReadings;

    impl HardwareClock for NoReadings {
        fn read(&mut self, _: ReadingMethod, _: usize, _: &mut Vec<Reading>) -> io::Result<()> {
            Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
        }
    }

    impl TimestampDevices for Card {
        fn interfaces(&self) -> io::Result<Vec<Interface>> {
            Ok(Vec::new())
        }

        fn interface_index(&self, name: &str) -> io::Result<u32> {
            match name {
                "eth0" => Ok(2),
                _ => Err(io::Error::from_raw_os_error(libc::ENODEV)),
            }
        }

        fn abilities(&self, _: &str) -> io::Result<TimestampingAbilities> {
            Ok(self.abilities)
        }

        fn setting(&self, _: &str) -> io::Result<TimestampingSetting> {
            Ok(self.in_force)
        }

        fn set(&self, _: &str, wanted: TimestampingSetting) -> io::Result<TimestampingSetting> {
            match self.refuse {
                Some(number) => Err(io::Error::from_raw_os_error(number)),
                None => Ok(wanted),
            }
        }

        fn link_speed_mbps(&self, _: &str) -> io::Result<Option<u32>> {
            Ok(Some(1000))
        }

        fn open_clock(&self, index: u32) -> io::Result<Box<dyn HardwareClock>> {
            match index {
                0 => Ok(Box::new(NoReadings)),
                _ => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            }
        }
    }

    fn card(filters: &[ReceiveFilter]) -> Card {
        let bits = filters.iter().map(|filter| 1 << filter.number()).sum();
        Card {
            abilities: TimestampingAbilities {
                receive_hardware: true,
                transmit_hardware: true,
                raw_hardware: true,
                clock_index: Some(0),
                receive_filters: bits,
            },
            in_force: TimestampingSetting {
                transmit: false,
                receive: ReceiveFilter::None,
            },
            refuse: None,
        }
    }

    #[test]
    fn filters_are_chosen_by_what_is_offered() {
        use ReceiveFilter::{All, NtpAll, PtpV2Event, PtpV2L4Event};
        for (offered, wanted, expected) in [
            (&[All, NtpAll][..], WantedFilter::Best, NtpAll),
            (&[All], WantedFilter::Best, All),
            (&[PtpV2Event], WantedFilter::Best, ReceiveFilter::None),
            (&[All, NtpAll], WantedFilter::None, ReceiveFilter::None),
            (&[All], WantedFilter::Ntp, NtpAll),
            (&[NtpAll], WantedFilter::All, All),
            (&[PtpV2Event, PtpV2L4Event], WantedFilter::Ptp, PtpV2L4Event),
            (&[PtpV2Event], WantedFilter::Ptp, PtpV2Event),
            (&[All], WantedFilter::Ptp, ReceiveFilter::None),
        ] {
            let enabled = enable_hardware_timestamping(&card(offered), "eth0", wanted);
            let enabled = enabled.expect("enabled");
            assert_eq!((enabled.index, enabled.receive), (2, expected));
        }
    }

    #[test]
    fn a_setting_in_force_is_as_good() {
        let mut card = card(&[ReceiveFilter::All]);
        card.refuse = Some(libc::EPERM);
        let wanted = WantedFilter::Best;
        let refused = enable_hardware_timestamping(&card, "eth0", wanted);
        assert_eq!(
            refused.expect_err("refused").to_string(),
            "ioctl(SIOCSHWTSTAMP) failed : Operation not permitted"
        );
        card.in_force = TimestampingSetting {
            transmit: true,
            receive: ReceiveFilter::All,
        };
        enable_hardware_timestamping(&card, "eth0", wanted).expect("in force");
        card.in_force.transmit = false;
        assert!(enable_hardware_timestamping(&card, "eth0", wanted).is_err());
    }

    #[test]
    fn what_is_incomplete_is_refused() {
        let changes: [fn(&mut TimestampingAbilities); 4] = [
            |abilities| abilities.receive_hardware = false,
            |abilities| abilities.transmit_hardware = false,
            |abilities| abilities.raw_hardware = false,
            |abilities| abilities.clock_index = None,
        ];
        for change in changes {
            let mut card = card(&[ReceiveFilter::All]);
            change(&mut card.abilities);
            let refused = enable_hardware_timestamping(&card, "eth0", WantedFilter::Best);
            assert!(matches!(refused, Err(EnableError::NotSupported)));
        }
        let mut card = card(&[]);
        let unknown = enable_hardware_timestamping(&card, "eth1", WantedFilter::Best);
        assert!(matches!(unknown, Err(EnableError::Unknown(_))));
        card.abilities.clock_index = Some(7);
        let closed = enable_hardware_timestamping(&card, "eth0", WantedFilter::Best);
        assert!(matches!(closed, Err(EnableError::Clock(_))));
    }
}
