//! Reference clocks: clocks that a driver of the owner reads, and not the network (discipline
//! chapter, section 17).
//!
//! The owner opens the device, tells [`crate::Engine::add_refclock`], reads it at
//! [`crate::action::Action::PollRefclock`] (or whenever it says something by itself) and hands over
//! what it read as [`RefclockData`]. Here it becomes samples: `pulses` finds the second that
//! a pulse belongs to, `interval` makes one sample of those of a polling interval.

mod interval;
mod log;
mod pulses;
mod samples;
mod settings;

use discipline::samples::{
    DeviceTime, DumpError, HardwareClock, Reachability, Reading, SampleFilter, SelectOptions,
    SourceDump, SourceKind, SourceStatistics, SourceView, dump,
};
use discipline::time::{CookedTime, MonotonicTime, RawTime};
use ntp_wire::LeapIndicator;

pub(crate) use pulses::{LockReference, OwnSecond};
pub(crate) use samples::When;
pub(crate) use settings::RefclockSettings;

use crate::ids::SourceId;

/// What stands for the name of the source in the file of samples of a reference clock.
const DUMP_SOURCE_NAME: &str = ".";

/// A reference clock, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefclockId(pub usize);

/// How a driver works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefclockDriver {
    /// It is read when [`crate::action::Action::PollRefclock`] asks for it.
    Polled,
    /// Samples come when the other side sends them (SOCK).
    Pushed,
}

/// What a driver read.
#[derive(Clone, Copy, Debug)]
pub enum RefclockData<'a> {
    /// The clock's time and the system's at the same moment (section 17.3).
    Timed {
        /// Raw time.
        local: RawTime,
        /// The clock's time.
        reference: RawTime,
        /// The leap second it announces; a clock that is unsynchronised is not used.
        leap: LeapIndicator,
    },
    /// A pulse at the beginning of some second (section 17.4).
    Pulse {
        /// Raw time of the pulse.
        local: RawTime,
        /// By how much of a second the raw clock is past the second of the pulse.
        fraction_s: f64,
    },
    /// Readings of a hardware clock between readings of the system's clock.
    Readings(&'a [Reading]),
    /// When a pulse came, by the hardware clock that is also read at each poll (`extpps`).
    DevicePulse(DeviceTime),
}

/// A reference clock with its samples.
#[derive(Debug)]
pub struct Refclock {
    id: SourceId,
    settings: RefclockSettings,
    driver: RefclockDriver,
    /// The clock that pulses are paired with: its place in the configuration.
    lock: Option<usize>,
    /// The command `selectopts` changes them.
    pub(crate) select: SelectOptions,
    filter: SampleFilter,
    statistics: SourceStatistics,
    reachability: Reachability,
    /// The hardware clock behind the driver, where it is one.
    tracker: Option<HardwareClock>,
    /// Error bound of the last reading of it, seconds.
    device_error_s: f64,
    /// A sample was accepted in this interval.
    reached: bool,
    /// Polls of the driver, or samples of one that is not polled, in this interval.
    polls: u32,
    next_poll: Option<MonotonicTime>,
    /// Status of the newest sample, and as announced with the last filtered one.
    newest_leap: LeapIndicator,
    leap: LeapIndicator,
    stratum: u8,
    /// Of a `local` clock: the fit that the system clock was adjusted to last.
    followed: Option<interval::Followed>,
}

impl Refclock {
    /// A clock that has not said anything yet.
    pub(crate) fn new(
        id: SourceId,
        settings: RefclockSettings,
        driver: RefclockDriver,
        clock_precision_s: f64,
    ) -> Self {
        let tracker = settings.is_hardware_clock.then(|| {
            HardwareClock::new(settings.driver_interval_s(), settings.precision_s)
                .with_clock_precision(clock_precision_s)
        });
        Self {
            id,
            driver,
            lock: None,
            select: settings.select,
            filter: SampleFilter::new(settings.filter),
            statistics: SourceStatistics::new(settings.statistics),
            reachability: Reachability::default(),
            tracker,
            device_error_s: settings.precision_s,
            reached: false,
            polls: 0,
            next_poll: None,
            newest_leap: LeapIndicator::Unsynchronised,
            leap: LeapIndicator::Unsynchronised,
            stratum: 0,
            followed: None,
            settings,
        }
    }

    /// Identity among all sources.
    pub fn id(&self) -> SourceId {
        self.id
    }

    /// Reference ID as text: its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Reference ID as it travels.
    pub fn reference_id(&self) -> u32 {
        self.settings.reference_id
    }

    /// Polling interval, log2 s.
    pub fn poll(&self) -> i32 {
        self.settings.poll
    }

    /// Whether the driver is polled.
    pub(crate) fn is_polled(&self) -> bool {
        self.driver == RefclockDriver::Polled
    }

    /// Stratum announced with the last sample.
    pub fn stratum(&self) -> u8 {
        self.stratum
    }

    /// Leap status announced with the last sample.
    pub fn leap(&self) -> LeapIndicator {
        self.leap
    }

    /// Samples and fit.
    pub fn statistics(&self) -> &SourceStatistics {
        &self.statistics
    }

    /// Reachability.
    pub fn reachability(&self) -> &Reachability {
        &self.reachability
    }

    /// What it is set to do.
    pub(crate) fn settings(&self) -> &RefclockSettings {
        &self.settings
    }

    /// The clock that pulses are paired with.
    pub(crate) fn lock(&self) -> Option<usize> {
        self.lock
    }

    /// Pairs pulses with another clock.
    pub(crate) fn set_lock(&mut self, lock: Option<usize>) {
        self.lock = lock;
    }

    /// The hardware clock behind the driver.
    pub(crate) fn tracker_mut(&mut self) -> Option<&mut HardwareClock> {
        self.tracker.as_mut()
    }

    /// The hardware clock behind the driver was read with this error bound, seconds.
    pub(crate) fn set_device_error(&mut self, error_s: f64) {
        self.device_error_s = error_s;
    }

    /// A pulse by the hardware clock behind the driver, if that can be told, and its error
    /// bound in seconds.
    pub(crate) fn cook_device(&self, device: DeviceTime) -> Option<(CookedTime, f64)> {
        let time = self.tracker.as_ref()?.cook(device)?;
        Some((time, self.device_error_s))
    }

    /// Whether pulses find their second by the system clock alone, so that the stratum depends
    /// on what that follows.
    pub(crate) fn is_unlocked_pulse(&self) -> bool {
        self.settings.pulses && self.lock.is_none()
    }

    /// Command `offset`: applies to later samples.
    pub(crate) fn set_offset(&mut self, offset_s: f64) {
        self.settings.offset_s = offset_s;
    }

    /// What was measured before is void, and reachability is counted anew.
    pub(crate) fn forget_samples(&mut self) {
        self.reachability.reset();
        self.reached = false;
        self.filter.drop_samples();
        self.statistics.reset();
        self.followed = None;
        self.leap = LeapIndicator::Unsynchronised;
        self.stratum = 0;
        if let Some(tracker) = &mut self.tracker {
            tracker.restart();
        }
    }

    /// Follows a change of the clock (section 1.4).
    pub(crate) fn handle_adjustment(&mut self, change: &discipline::samples::ClockChange) {
        self.filter.shift(change);
        self.statistics.shift(change);
        if let Some(followed) = &mut self.followed {
            followed.shift(change);
        }
        if let Some(tracker) = &mut self.tracker {
            tracker.shift(change);
        }
    }

    /// Samples are that much less certain, seconds.
    pub(crate) fn handle_dispersion(&mut self, dispersion_s: f64) {
        self.filter.add_dispersion(dispersion_s);
        self.statistics.add_dispersion(dispersion_s);
    }

    /// Name of its file of samples, without `.dat`.
    pub(crate) fn dump_name(&self) -> String {
        let file = dump::file_name_of_reference_id(self.reference_id());
        file.trim_end_matches(".dat").to_owned()
    }

    /// Its samples, to be saved.
    pub(crate) fn dump(&self) -> SourceDump {
        SourceDump {
            name: DUMP_SOURCE_NAME.to_owned(),
            authenticated: false,
            reachability: self.reachability,
            stratum: self.stratum,
            leap: self.leap,
            asymmetry_run: self.statistics.regression().asymmetry_run(),
            samples: self.statistics.samples().iter().copied().collect(),
        }
    }

    /// Takes over saved samples, if they are of a reference clock.
    pub(crate) fn restore(&mut self, dump: &SourceDump) -> Result<(), DumpError> {
        dump.check_source(Some(DUMP_SOURCE_NAME), false)?;
        self.statistics.restore(&dump.samples, dump.asymmetry_run);
        self.reachability = dump.reachability;
        self.stratum = dump.stratum;
        self.leap = dump.leap;
        Ok(())
    }

    /// What selection sees.
    pub(crate) fn view(&self) -> SourceView<'_> {
        SourceView {
            key: self.id.0,
            kind: SourceKind::ReferenceClock,
            display_name: &self.settings.name,
            log_name: &self.settings.name,
            statistics: &self.statistics,
            options: self.select,
            authenticated: false,
            reachability: self.reachability,
            max_unreach: self.settings.max_unreach,
            stratum: self.stratum,
            leap: self.leap,
            reference_id: self.settings.reference_id,
            local_reference_id: None,
        }
    }
}
