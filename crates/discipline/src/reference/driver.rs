//! What the local clock needs from whatever holds the time: the kernel, a simulated clock,
//! or nothing (`-x`).

use std::fmt;

/// A failure of the driver. Its text is the daemon's message, for example
/// `adjtimex(0x4002) failed : Operation not permitted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverError(pub String);

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DriverError {}

/// What a driver can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockLimits {
    /// Largest frequency that can be set, ppm (both signs).
    pub maximum_frequency_ppm: f64,
    /// D: the longest time until a new frequency takes effect, seconds.
    pub effect_delay_s: f64,
    /// Whether the clock itself is controlled. If not, corrections act on the cooked time
    /// alone and at once (discipline chapter, section 2.4).
    pub controls_clock: bool,
    /// Whether the kernel can insert and delete leap seconds by itself.
    pub supports_leap: bool,
}

/// The leap second that is to come at the end of the UTC day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PendingLeap {
    /// None.
    #[default]
    None,
    /// A second is inserted after 23:59:59.
    Insert,
    /// The second 23:59:59 is left out.
    Delete,
}

impl PendingLeap {
    /// Change of TAI − UTC: 1, −1 or 0 s.
    pub fn seconds(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Insert => 1,
            Self::Delete => -1,
        }
    }
}

/// What [`ClockDriver::set_leap`] changed, for the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelLeapUpdate {
    /// The TAI offset in seconds, when it is another than the one set last.
    pub tai_offset_s: Option<i32>,
    /// How `System clock status %s leap second` names the change of the flags: `set to
    /// insert`, `set to delete`, `reset after`, `set to not insert/delete`; `None` when
    /// the flags stay.
    pub status_text: Option<&'static str>,
}

/// Warning when another program steers the clock too (system chapter, section 5.4).
pub const INTERFERENCE: &str = "System clock interference detected (another NTP client?)";

/// A clock that can be steered.
///
/// Sign: a positive frequency means that the uncompensated clock runs fast, so that it is
/// slowed down.
pub trait ClockDriver: Send {
    /// What the driver can do; constant.
    fn limits(&self) -> ClockLimits;

    /// The frequency in force, ppm.
    ///
    /// # Errors
    ///
    /// The daemon ends with the message.
    fn frequency(&mut self) -> Result<f64, DriverError>;

    /// Sets the frequency; returns the one really set, both in ppm.
    ///
    /// # Errors
    ///
    /// The daemon ends with the message.
    fn set_frequency(&mut self, frequency_ppm: f64) -> Result<f64, DriverError>;

    /// Moves the clock at once by `change_s` seconds, positive forwards.
    ///
    /// # Errors
    ///
    /// The caller logs `Could not step system clock`.
    fn step(&mut self, change_s: f64) -> Result<(), DriverError>;

    /// Tells the kernel how good the clock is; failures are not reported. Errors are in
    /// seconds, 0 … 16; 16 s of maximum error come with `synchronised` false. Whether the
    /// kernel's unsynchronised flag may be cleared (`rtcsync`) is the driver's business.
    fn set_sync_status(&mut self, synchronised: bool, estimated_error_s: f64, maximum_error_s: f64);

    /// Whether somebody else was found to steer the same clock since the last call; logged as
    /// [`INTERFERENCE`].
    fn take_interference(&mut self) -> bool {
        false
    }

    /// Tells the kernel about the coming leap second, and TAI − UTC when it is known. Only
    /// called when [`ClockLimits::supports_leap`].
    ///
    /// # Errors
    ///
    /// The daemon ends with the message.
    fn set_leap(
        &mut self,
        leap: PendingLeap,
        tai_offset_s: Option<i32>,
    ) -> Result<KernelLeapUpdate, DriverError>;
}

/// The driver that controls nothing (`-x`, `-Q`; section 2.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct NoClockControl {
    frequency_ppm: f64,
}

impl NoClockControl {
    /// The message logged when this driver is chosen.
    pub const MESSAGE: &'static str = "Disabled control of system clock";
}

/// Largest frequency of a clock that exists only on paper, ppm: the hard limit of
/// `maxdrift` (section 2.2).
const PAPER_MAXIMUM_FREQUENCY_PPM: f64 = 100_000.0;

impl ClockDriver for NoClockControl {
    fn limits(&self) -> ClockLimits {
        ClockLimits {
            maximum_frequency_ppm: PAPER_MAXIMUM_FREQUENCY_PPM,
            effect_delay_s: 0.0,
            controls_clock: false,
            supports_leap: false,
        }
    }

    fn frequency(&mut self) -> Result<f64, DriverError> {
        Ok(self.frequency_ppm)
    }

    fn set_frequency(&mut self, frequency_ppm: f64) -> Result<f64, DriverError> {
        self.frequency_ppm = frequency_ppm;
        Ok(frequency_ppm)
    }

    fn step(&mut self, _change_s: f64) -> Result<(), DriverError> {
        Err(DriverError("clock control is disabled".into()))
    }

    fn set_sync_status(&mut self, _: bool, _: f64, _: f64) {}

    fn set_leap(
        &mut self,
        _leap: PendingLeap,
        _tai_offset_s: Option<i32>,
    ) -> Result<KernelLeapUpdate, DriverError> {
        Err(DriverError("clock control is disabled".into()))
    }
}
