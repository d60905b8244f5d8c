//! The local clock: what is believed about the kernel's clock and how corrections are
//! played out (discipline chapter, section 2).

mod operations;
mod slew;
#[cfg(test)]
mod tests;

use crate::journal::Journal;
use crate::samples::ClockChange;
use crate::time::{CookedTime, MonotonicTime, RawTime};

use super::Now;
use super::driver::{ClockDriver, ClockLimits, DriverError};

/// Parts per million in one.
pub(crate) const PPM: f64 = 1e6;

/// Hard limit of `maxdrift`, ppm (section 2.2).
const HARD_MAX_DRIFT_PPM: f64 = 100_000.0;

/// What the configuration says about the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalClockSettings {
    /// `maxdrift`, ppm.
    pub max_drift_ppm: f64,
    /// `maxslewrate`, ppm.
    pub max_slew_rate_ppm: f64,
    /// E, the first POSIX second of the window that NTP timestamps are mapped to
    /// (section 1.3).
    pub window_start_s: i64,
}

impl Default for LocalClockSettings {
    /// The defaults of the directives, and the window that begins in 1970.
    fn default() -> Self {
        Self {
            max_drift_ppm: HARD_MAX_DRIFT_PPM,
            max_slew_rate_ppm: PPM / 12.0,
            window_start_s: 0,
        }
    }
}

/// What kind of change was made to the clock (section 1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Frequency or offset adjusted; raw time is continuous.
    Adjust,
    /// The raw clock was stepped by the daemon: raw time moved back by the offset.
    Step,
    /// Somebody else stepped the raw clock by an estimated amount: samples are worthless.
    UnknownStep,
    /// The time scale itself moved by a leap second; the raw clock did not. Stored times
    /// and offsets move as with [`ChangeKind::Adjust`]; smoothing ignores it.
    TimeScale,
}

/// What everything that stores times must be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Announcement {
    /// The clock changed.
    Change {
        /// When and by how much.
        change: ClockChange,
        /// Which kind.
        kind: ChangeKind,
    },
    /// This much (seconds, at least 0) is added to the dispersion of every stored sample.
    ExtraDispersion(f64),
    /// A leap second was corrected by the daemon itself: the clock moved back by this many
    /// seconds (1 or −1). Only for smoothing with `leaponly`.
    LeapCorrected(f64),
}

/// A raw time converted to cooked time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    /// The cooked time.
    pub time: CookedTime,
    /// Bound of the error that a frequency change still in progress may cause, seconds.
    pub error_s: f64,
}

/// Why the clock was not changed; the message is in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockRefusal {
    /// The resulting time would not be sane (section 1.3).
    NotSane,
    /// The kernel refused the step.
    StepFailed,
}

/// The local clock.
///
/// - conversions: [`cook`](Self::cook), [`uncook`](Self::uncook),
///   [`correction`](Self::correction);
/// - changes: [`set_frequency`](Self::set_frequency), [`accumulate`](Self::accumulate),
///   [`step`](Self::step), [`make_step`](Self::make_step), …; each leaves
///   [`Announcement`]s;
/// - time: [`next_timeout`](Self::next_timeout), [`handle_timeout`](Self::handle_timeout).
pub struct LocalClock {
    driver: Box<dyn ClockDriver>,
    limits: ClockLimits,
    settings: LocalClockSettings,
    /// B, ppm.
    base_ppm: f64,
    /// c: temperature compensation in force, ppm.
    temperature_ppm: f64,
    /// R, seconds (F+).
    remaining_s: f64,
    /// s, relative to the real clock rate.
    slew: f64,
    /// t₀.
    since: RawTime,
    /// ρ, s².
    correction_rate: f64,
    /// |Δs|·D of the last frequency change, seconds.
    slew_error_s: f64,
    /// x: recent lateness of the ends of slews, seconds.
    lateness_s: f64,
    /// When the current slew began and how long it was planned to last (seconds).
    planned: Option<(MonotonicTime, f64)>,
    announcements: Vec<Announcement>,
    /// Announcements queued since the start, so that the reference can tell which it has
    /// seen.
    announced: u64,
}

impl std::fmt::Debug for LocalClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalClock")
            .field("base_ppm", &self.base_ppm)
            .field("remaining_s", &self.remaining_s)
            .field("slew", &self.slew)
            .finish_non_exhaustive()
    }
}

impl LocalClock {
    /// Takes over a clock with the frequency that is in force.
    ///
    /// # Errors
    ///
    /// When the driver cannot tell the frequency; fatal.
    pub fn new(
        mut driver: Box<dyn ClockDriver>,
        settings: LocalClockSettings,
        now: Now,
    ) -> Result<Self, DriverError> {
        let limits = driver.limits();
        let base_ppm = driver.frequency()?;
        let base_ppm = if base_ppm.is_finite() { base_ppm } else { 0.0 };
        Ok(Self {
            driver,
            limits,
            settings: LocalClockSettings {
                max_drift_ppm: bounded_by(settings.max_drift_ppm, HARD_MAX_DRIFT_PPM),
                max_slew_rate_ppm: bounded_by(settings.max_slew_rate_ppm, HARD_MAX_DRIFT_PPM),
                ..settings
            },
            base_ppm,
            temperature_ppm: 0.0,
            remaining_s: 0.0,
            // Without control the cooked time runs at the base frequency by itself.
            slew: if limits.controls_clock {
                0.0
            } else {
                -base_ppm / PPM
            },
            since: now.raw,
            correction_rate: 0.0,
            slew_error_s: 0.0,
            lateness_s: 0.0,
            planned: None,
            announcements: Vec::new(),
            announced: 0,
        })
    }

    /// Cooked − raw at a raw time, seconds.
    pub fn correction(&self, raw: RawTime) -> f64 {
        self.slew * raw.since(self.since) - self.remaining_s
    }

    /// Converts a raw time, with the bound of the error.
    pub fn cook(&self, raw: RawTime) -> Conversion {
        let near_change = raw.since(self.since).abs() <= self.limits.effect_delay_s;
        Conversion {
            time: raw.cook(self.correction(raw)),
            error_s: if near_change { self.slew_error_s } else { 0.0 },
        }
    }

    /// Converts a raw time.
    pub fn cooked(&self, raw: RawTime) -> CookedTime {
        self.cook(raw).time
    }

    /// The raw time at which the cooked time is `cooked` under the current slew.
    pub fn uncook(&self, cooked: CookedTime) -> RawTime {
        // cooked − t₀ = (1 + s)(raw − t₀) − R; s > −1 since frequencies are below 100 %.
        let base = CookedTime::from_ns(self.since.as_ns());
        let elapsed = (cooked.since(base) + self.remaining_s) / (1.0 + self.slew);
        self.since.plus(elapsed)
    }

    /// The absolute frequency without temperature compensation, ppm (section 13).
    pub fn frequency_ppm(&self) -> f64 {
        (self.base_ppm + self.temperature_ppm) / (1.0 - self.temperature_ppm / PPM)
    }

    /// B: the frequency the kernel compensates when no slew runs, ppm.
    pub fn base_frequency_ppm(&self) -> f64 {
        self.base_ppm
    }

    /// s: the extra slewing frequency in force.
    pub fn slew(&self) -> f64 {
        self.slew
    }

    /// What the driver can do.
    pub fn limits(&self) -> ClockLimits {
        self.limits
    }

    /// E, the first POSIX second of the window of NTP timestamps.
    pub fn window_start_s(&self) -> i64 {
        self.settings.window_start_s
    }

    /// The driver.
    pub fn driver_mut(&mut self) -> &mut dyn ClockDriver {
        self.driver.as_mut()
    }

    /// When [`LocalClock::handle_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        self.planned.map(|(start, planned_s)| start.plus(planned_s))
    }

    /// Goes on with the correction when the planned end of the slew is reached.
    pub fn handle_timeout(&mut self, now: Now, journal: &mut Journal) {
        if self.next_timeout().is_some_and(|due| due <= now.monotonic) {
            self.schedule_slew(now, journal);
        }
    }

    /// Announcements not yet taken, and the number ever queued.
    pub(super) fn pending(&self) -> (&[Announcement], u64) {
        (&self.announcements, self.announced)
    }

    /// Takes the announcements, oldest first.
    pub(super) fn take_pending(&mut self) -> Vec<Announcement> {
        std::mem::take(&mut self.announcements)
    }

    /// Queues an announcement.
    pub(super) fn announce(&mut self, announcement: Announcement) {
        self.announcements.push(announcement);
        self.announced += 1;
    }

    fn announce_change(
        &mut self,
        when: CookedTime,
        frequency: f64,
        offset_s: f64,
        kind: ChangeKind,
    ) {
        self.announce(Announcement::Change {
            change: ClockChange {
                when,
                frequency,
                offset_s,
            },
            kind,
        });
    }
}

/// The magnitude of a configured limit, at most `limit`; NaN becomes `limit`.
fn bounded_by(value: f64, limit: f64) -> f64 {
    value.abs().min(limit)
}
