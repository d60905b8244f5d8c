//! Clock model, reference and everything that acts on the clock.
//!
//! The way of a correction: selection hands a
//! [`ReferenceUpdate`](crate::samples::ReferenceUpdate) to [`Reference::update`], which
//! weights the frequency, decides between a slew and a step, and acts on the
//! [`LocalClock`]. The local clock keeps the difference between the kernel's clock (raw
//! time) and the best estimate of true time (cooked time), and plays it out through a
//! [`ClockDriver`]: the kernel, a simulated clock, or [`NoClockControl`].
//!
//! Every change of the clock is queued as an [`Announcement`]. The owner takes them with
//! [`Reference::take_announcements`] after each call that may act on the clock, and moves
//! all stored times by them (discipline chapter, section 1.4).
//!
//! Beside them stand small rooms with their own state: [`Smoothing`] of served time,
//! [`TemperatureCompensation`], [`ManualInput`], [`Rtc`], and [`StepDetector`]. Like the
//! rest they read no clock and no file: times, readings and random numbers come in, and
//! decisions, [`Request`]s and the next timeout go out.
//!
//! [`Reference::update`]: crate::reference::Reference::update
//! [`Reference::take_announcements`]: crate::reference::Reference::take_announcements
//! [`LocalClock`]: crate::reference::LocalClock
//! [`ClockDriver`]: crate::reference::ClockDriver
//! [`NoClockControl`]: crate::reference::NoClockControl
//! [`Announcement`]: crate::reference::Announcement
//! [`Smoothing`]: crate::reference::Smoothing
//! [`TemperatureCompensation`]: crate::reference::TemperatureCompensation
//! [`ManualInput`]: crate::reference::ManualInput
//! [`Rtc`]: crate::reference::Rtc
//! [`StepDetector`]: crate::reference::StepDetector
//! [`Request`]: crate::reference::Request

pub mod driver;
pub mod fallback;
pub mod kernel_frequency;
pub mod leap;
pub mod leap_database;
pub mod local_clock;
pub mod local_reference;
pub mod mail;
pub mod manual;
pub mod rtc;
pub mod smoothing;
pub mod state;
pub mod step_detector;
pub mod temperature;

pub use driver::{
    ClockDriver, ClockLimits, DriverError, KernelLeapUpdate, NoClockControl, PendingLeap,
};
pub use kernel_frequency::{KernelFrequency, KernelTicks};
pub use leap::{LeapMode, LeapSettings};
pub use leap_database::{LeapDatabase, LeapFileLookup, LeapLookup};
pub use local_clock::{
    Announcement, ChangeKind, ClockRefusal, Conversion, LocalClock, LocalClockSettings,
};
pub use local_reference::{LocalReferenceSettings, ServedReference};
pub use mail::MailRequest;
pub use manual::{ManualInput, ManualRefusal, ManualReport, ManualSample};
pub use rtc::{Rtc, RtcAction, RtcCoefficients, RtcPreset, RtcReport, RtcSettings, preset_clock};
pub use smoothing::{Smoothing, SmoothingReport, SmoothingSettings};
pub use state::{
    DriftRecord, LocalDrift, MakeStep, MaxChange, Mode, Reference, ReferenceSettings, Request,
    Steering, TrackingReport, can_still_synchronise,
};
pub use step_detector::StepDetector;
pub use temperature::{TemperatureCompensation, TemperatureCurve};

use crate::time::{MonotonicTime, RawTime};

/// Both clocks, read once when the event loop wakes up (event time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The kernel's real-time clock.
    pub raw: RawTime,
    /// The kernel's monotonic clock: never stepped, but slewed like the real-time clock.
    pub monotonic: MonotonicTime,
}

#[cfg(test)]
pub(crate) mod testing;
