//! Hardware clocks: network cards with timestamping, their clocks (PHC), the real-time
//! clock chip (RTC).
//!
//! All stand behind traits ([`TimestampDevices`], [`HardwareClock`], [`RealTimeClock`]),
//! so that what works with them can be run on machines that have none. The running
//! system's are [`SystemDevices`], [`SystemHardwareClock`] and [`SystemRealTimeClock`].

mod clock;
mod devices;
mod enable;
pub(crate) mod ioctl;
mod rtc;

pub use clock::{HardwareClock, READINGS_LIMIT, Reading, ReadingMethod, SystemHardwareClock};
pub use devices::{
    Interface, ReceiveFilter, SystemDevices, TimestampDevices, TimestampingAbilities,
    TimestampingSetting,
};
pub use enable::{EnableError, EnabledTimestamping, WantedFilter, enable_hardware_timestamping};
pub use rtc::{CalendarTime, RealTimeClock, SystemRealTimeClock};
