//! Hardware clocks: network cards with timestamping, their clocks (PHC), the real-time
//! clock chip (RTC), pulses (PPS); and what other programs tell of the clocks that they read
//! ([`SharedSegment`], [`SampleMessage`]).
//!
//! The devices stand behind traits ([`TimestampDevices`], [`HardwareClock`], [`PulseInput`],
//! [`RealTimeClock`], [`PulseSource`]),
//! so that what works with them can be run on machines that have none. The running
//! system's are [`SystemDevices`], [`SystemHardwareClock`], [`SystemPulseInput`],
//! [`SystemRealTimeClock`] and [`PulseDevice`].

mod clock;
mod devices;
mod enable;
mod external;
pub(crate) mod ioctl;
mod pulse;
mod rtc;
mod sample_message;
mod segment;

pub use clock::{HardwareClock, READINGS_LIMIT, Reading, ReadingMethod, SystemHardwareClock};
pub use devices::{
    Interface, ReceiveFilter, SystemDevices, TimestampDevices, TimestampingAbilities,
    TimestampingSetting,
};
pub use enable::{EnableError, EnabledTimestamping, WantedFilter, enable_hardware_timestamping};
pub use external::{
    EXTERNAL_EVENT_LENGTH, ExternalEvent, PulseInput, SystemPulseInput, parse_events,
};
pub use pulse::{Pulse, PulseDevice, PulseEdge, PulseError, PulseSource};
pub use rtc::{CalendarTime, RealTimeClock, SystemRealTimeClock};
pub use sample_message::{SAMPLE_MESSAGE_LENGTH, SampleMessage};
pub use segment::{SEGMENT_LENGTH, SegmentSample, SharedSegment};
