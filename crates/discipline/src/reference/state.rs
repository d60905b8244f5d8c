//! The reference: what the clock is synchronised to and how well (discipline chapter,
//! sections 9 to 12 and 18).

mod report;
#[cfg(test)]
mod tests;
mod update;

use std::collections::VecDeque;

use ntp_wire::LeapIndicator;

use crate::journal::Journal;
use crate::samples::ClockChange;
use crate::time::{CookedTime, MonotonicTime};

use super::Now;
use super::fallback::FallbackDrifts;
use super::leap::{LeapSchedule, LeapSettings};
use super::local_clock::{Announcement, LocalClock};
use super::local_reference::{LocalReference, LocalReferenceSettings};
use super::mail::MailRequest;

pub use report::TrackingReport;
pub use update::LocalDrift;

/// Smallest skew taken from a drift file, s/s (section 12.1).
const MIN_SKEW: f64 = 1e-12;
/// Skew before anything is known, s/s (section 9.1).
const INITIAL_SKEW: f64 = 1.0;
/// Root delay and root dispersion before anything is known, seconds (section 9.1).
const INITIAL_ROOT_S: f64 = 1.0;

/// `makestep`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MakeStep {
    /// Errors of the raw clock beyond this are stepped, seconds.
    pub threshold_s: f64,
    /// In how many updates more; negative = always, 0 = never.
    pub limit: i32,
}

/// `maxchange`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxChange {
    /// Largest accepted offset, seconds.
    pub offset_s: f64,
    /// Updates before the check starts; negative = no check.
    pub start: i32,
    /// Updates that may be ignored before the daemon ends; negative = all.
    pub ignore: i32,
}

/// What the reference is for (section 18).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Keeps the clock.
    Normal,
    /// `-q`: the first update steps the clock, then the daemon ends.
    UpdateOnce,
    /// `-Q`: the first update is printed, then the daemon ends.
    PrintOnce,
    /// `initstepslew`: the first update is stepped from this threshold (seconds) on, else
    /// slewed; normal mode follows.
    InitStepSlew {
        /// Offsets of this size or more are stepped, seconds.
        threshold_s: f64,
    },
    /// One of the special modes is over; updates are ignored until the mode is set anew.
    Ended,
}

/// What the configuration says about the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceSettings {
    /// `maxupdateskew`, ppm; the absolute value counts.
    pub max_update_skew_ppm: f64,
    /// φ of `maxclockerror`, s/s.
    pub max_clock_error: f64,
    /// `corrtimeratio`.
    pub correction_time_ratio: f64,
    /// `makestep`.
    pub make_step: MakeStep,
    /// `maxchange`.
    pub max_change: MaxChange,
    /// `logchange`, seconds.
    pub log_change_s: f64,
    /// Threshold of `mailonchange`, seconds.
    pub mail_change_s: Option<f64>,
    /// Interval of `driftfile`, seconds; `None` without a drift file.
    pub drift_file_interval_s: Option<f64>,
    /// `fallbackdrift`, smallest and largest log2 of seconds; off unless
    /// 0 < smallest ≤ largest.
    pub fallback_drift: (i32, i32),
    /// `local`.
    pub local: Option<LocalReferenceSettings>,
    /// `leapsecmode`.
    pub leap: LeapSettings,
}

impl Default for ReferenceSettings {
    /// The defaults of the directives (configuration chapter, section 4.5).
    fn default() -> Self {
        Self {
            max_update_skew_ppm: 1000.0,
            max_clock_error: 1e-6,
            correction_time_ratio: 3.0,
            make_step: MakeStep {
                threshold_s: 0.0,
                limit: 0,
            },
            max_change: MaxChange {
                offset_s: 0.0,
                start: -1,
                ignore: -1,
            },
            log_change_s: 1.0,
            mail_change_s: None,
            drift_file_interval_s: None,
            fallback_drift: (0, 0),
            local: None,
            leap: LeapSettings::default(),
        }
    }
}

/// Contents of the drift file; crate `chrony-conf` reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftRecord {
    /// Frequency without temperature compensation, ppm.
    pub frequency_ppm: f64,
    /// Skew, ppm.
    pub skew_ppm: f64,
}

impl DriftRecord {
    /// The line of the file, line feed included (section 12.1).
    pub fn to_line(&self) -> String {
        format!("{:20.6} {:20.6}\n", self.frequency_ppm, self.skew_ppm)
    }
}

/// What the reference wants done by those who can.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Write the drift file (through a temporary file and a rename).
    WriteDriftFile(DriftRecord),
    /// Send mail about a large change.
    SendMail(MailRequest),
    /// `maxchange` was exceeded too often: end the daemon with this status.
    Exit {
        /// Exit status.
        status: i32,
    },
    /// The special mode is over. With `-q` and `-Q` the daemon ends, with status 0 on
    /// success and 1 otherwise; after initstepslew normal mode starts 2 s later.
    ModeEnded {
        /// Whether a source was found.
        success: bool,
    },
}

/// The clock, the time and the journal: what every action of the reference needs. A step
/// of the clock changes `now`.
#[derive(Debug)]
pub struct Steering<'a> {
    /// The clock to act on.
    pub clock: &'a mut LocalClock,
    /// Event time.
    pub now: Now,
    /// Takes messages and log lines.
    pub journal: &'a mut Journal,
}

/// The reference.
///
/// - events: [`update`](Self::update), [`update_manual`](Self::update_manual),
///   [`update_leap`](Self::update_leap), [`unsynchronise`](Self::unsynchronise),
///   [`handle_external_step`](Self::handle_external_step),
///   [`handle_timeout`](Self::handle_timeout), [`finish`](Self::finish);
/// - what is to be done: [`take_announcements`](Self::take_announcements),
///   [`poll_request`](Self::poll_request), [`next_timeout`](Self::next_timeout);
/// - state: [`served`](Self::served), [`tracking`](Self::tracking),
///   [`is_synchronised`](Self::is_synchronised), …
#[derive(Debug)]
pub struct Reference {
    settings: ReferenceSettings,
    mode: Mode,
    /// The selected source while synchronised to it.
    source: Option<u32>,
    stratum: u8,
    reference_id: u32,
    reference_time: CookedTime,
    /// Whether the reference was ever updated.
    updated: bool,
    /// K, s/s.
    skew: f64,
    /// Residual frequency, s/s.
    residual_frequency: f64,
    root_delay_s: f64,
    root_dispersion_s: f64,
    offset_sd_s: f64,
    frequency_sd: f64,
    last_offset_s: f64,
    rms: RmsOffset,
    last_update: Option<MonotonicTime>,
    last_interval_s: f64,
    /// Adjustments to a stable clock since the last update.
    adjustments: u32,
    unsynchronised_since: MonotonicTime,
    /// |o − u| of the previous tracking line, seconds.
    previous_error_s: f64,
    /// Update intervals since the drift file was written, seconds.
    drift_age_s: f64,
    fallback: FallbackDrifts,
    leap: LeapSchedule,
    local: LocalReference,
    /// Announcements of the clock already followed.
    followed: u64,
    requests: VecDeque<Request>,
}

/// Root mean square of the offsets of the updates (section 9.2 step 11).
#[derive(Clone, Copy, Debug, Default)]
struct RmsOffset {
    square: f64,
    averaging: bool,
}

impl RmsOffset {
    /// Weight of a new value.
    const WEIGHT: f64 = 0.1;

    fn add(&mut self, offset_s: f64) {
        let square = offset_s * offset_s;
        if self.averaging {
            self.square += Self::WEIGHT * (square - self.square);
            return;
        }
        // The first offsets are those of start-up; averaging starts with the first rise.
        self.averaging = self.square > 0.0 && square > self.square;
        self.square = square;
    }
}

impl Reference {
    /// A reference that is not synchronised. `drift` is what the drift file says: then the
    /// clock gets that frequency. Writes the first line of the tracking log.
    pub fn new(
        settings: ReferenceSettings,
        mode: Mode,
        drift: Option<DriftRecord>,
        steering: &mut Steering<'_>,
    ) -> Self {
        let mut skew = INITIAL_SKEW;
        if let Some(drift) = drift {
            let now = steering.now;
            steering
                .clock
                .set_frequency(now, drift.frequency_ppm, steering.journal);
            skew = (drift.skew_ppm / 1e6).clamp(MIN_SKEW, INITIAL_SKEW);
            if skew.is_nan() {
                skew = INITIAL_SKEW;
            }
        } else if steering.clock.frequency_ppm() != 0.0 {
            let text = format!(
                "Initial frequency {:.3} ppm",
                steering.clock.frequency_ppm()
            );
            steering.journal.info(text);
        }
        let mut reference = Self {
            mode,
            source: None,
            stratum: 0,
            reference_id: 0,
            reference_time: CookedTime::ZERO,
            updated: false,
            skew,
            residual_frequency: 0.0,
            root_delay_s: INITIAL_ROOT_S,
            root_dispersion_s: INITIAL_ROOT_S,
            offset_sd_s: 0.0,
            frequency_sd: 0.0,
            last_offset_s: 0.0,
            rms: RmsOffset::default(),
            last_update: None,
            last_interval_s: 0.0,
            adjustments: 0,
            unsynchronised_since: steering.now.monotonic,
            previous_error_s: 0.0,
            drift_age_s: 0.0,
            fallback: FallbackDrifts::new(settings.fallback_drift),
            leap: LeapSchedule::new(settings.leap, steering.clock.limits().supports_leap),
            local: LocalReference::default(),
            followed: 0,
            requests: VecDeque::new(),
            settings,
        };
        reference.lose_synchronisation(steering);
        if mode != Mode::Normal {
            // The first line is written whatever the mode (seen: 4.3 with -q, -Q and
            // initstepslew), later ones are not.
            reference.tell_loss(steering);
        }
        reference
    }

    /// Takes what was announced since the last call, to be applied to all stored times.
    /// Call it after every call that may act on the clock.
    pub fn take_announcements(&mut self, clock: &mut LocalClock) -> Vec<Announcement> {
        self.follow(clock);
        clock.take_pending()
    }

    /// What is to be done next by the owner.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// When [`Reference::handle_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        [self.leap.next_timeout(), self.fallback.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due: leap seconds and fallback drifts. The local clock has its own
    /// timeout.
    pub fn handle_timeout(&mut self, steering: &mut Steering<'_>) {
        if self.leap.is_due(steering.now.monotonic) {
            self.leap.handle_timeout(steering);
            self.follow(steering.clock);
        }
        if let Some(frequency_ppm) = self.fallback.handle_timeout(steering.now.monotonic) {
            self.apply_fallback(frequency_ppm, steering);
        }
    }

    /// The leap status voted by the sources changed (section 11.2). Without effect unless
    /// synchronised.
    pub fn update_leap(&mut self, voted: LeapIndicator, steering: &mut Steering<'_>) {
        if !self.is_synchronised() {
            return;
        }
        self.leap.update(voted, steering);
        self.report_kernel_status(steering);
    }

    /// Synchronisation is lost: no majority (section 9.6). In a special mode the mode
    /// fails instead.
    pub fn unsynchronise(&mut self, steering: &mut Steering<'_>) {
        match self.mode {
            Mode::Normal => {}
            Mode::Ended => return,
            _ => return self.fail_mode(steering.journal),
        }
        self.lose_synchronisation(steering);
        let elapsed_s = self
            .last_update
            .map(|last| steering.now.monotonic.since(last));
        if let Some(frequency_ppm) = elapsed_s.and_then(|elapsed_s| self.fallback.late(elapsed_s)) {
            let now = steering.now;
            steering
                .clock
                .set_frequency(now, frequency_ppm, steering.journal);
            self.follow(steering.clock);
        }
    }

    /// Somebody else stepped the raw clock by about `jump_s` seconds (section 2.7), found
    /// by [`StepDetector`](super::StepDetector); or, with 0, all sources are reset by
    /// command. Announces an unknown step.
    pub fn handle_external_step(&mut self, jump_s: f64, steering: &mut Steering<'_>) {
        let now = steering.now;
        steering
            .clock
            .handle_external_step(now, jump_s, steering.journal);
        self.follow(steering.clock);
        self.last_update = None;
        if self.mode == Mode::Normal {
            self.lose_synchronisation(steering);
        }
    }

    /// The clock was stepped on command (or by the daemon outside an update): the pending
    /// leap second and the kernel's status are looked at anew. Call it after
    /// [`LocalClock::make_step`].
    pub fn handle_step(&mut self, steering: &mut Steering<'_>) {
        self.follow(steering.clock);
        self.leap.reconsider(steering);
    }

    /// At exit: the pending kernel leap is cancelled, the remaining correction given up,
    /// and the drift file requested.
    pub fn finish(&mut self, steering: &mut Steering<'_>) {
        self.leap.cancel(steering);
        let now = steering.now;
        steering.clock.finish(now, steering.journal);
        self.follow(steering.clock);
        if self.settings.drift_file_interval_s.is_some() {
            self.requests
                .push_back(Request::WriteDriftFile(self.drift_record(steering.clock)));
        }
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Changes the mode, for example to normal after initstepslew.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// No source can give the update that the special mode waits for (section 18).
    pub fn fail_mode(&mut self, journal: &mut Journal) {
        journal.warning(match self.mode {
            Mode::UpdateOnce | Mode::PrintOnce => "No suitable source for synchronisation",
            Mode::InitStepSlew { .. } => "No suitable source for initstepslew",
            Mode::Normal | Mode::Ended => return,
        });
        self.mode = Mode::Ended;
        self.requests
            .push_back(Request::ModeEnded { success: false });
    }

    /// Command `makestep`: new threshold and limit.
    pub fn set_make_step(&mut self, make_step: MakeStep, journal: &mut Journal) {
        self.settings.make_step = make_step;
        journal.info(format!(
            "New makestep {:.6} {}",
            make_step.threshold_s, make_step.limit
        ));
    }

    /// Command `maxupdateskew`, ppm.
    pub fn set_max_update_skew(&mut self, skew_ppm: f64, journal: &mut Journal) {
        self.settings.max_update_skew_ppm = skew_ppm;
        journal.info(format!("New maxupdateskew {skew_ppm:.6} ppm"));
    }

    /// Command `local`: switches the local reference on or off.
    pub fn set_local(&mut self, local: Option<LocalReferenceSettings>, journal: &mut Journal) {
        self.settings.local = local;
        journal.info(if local.is_some() {
            "Enabled local reference mode"
        } else {
            "Disabled local reference mode"
        });
    }

    /// The local reference as configured.
    pub fn local_settings(&self) -> Option<&LocalReferenceSettings> {
        self.settings.local.as_ref()
    }

    /// Whether there is a reference.
    pub fn is_synchronised(&self) -> bool {
        self.leap.status() != LeapIndicator::Unsynchronised
    }

    /// K, s/s.
    pub fn skew(&self) -> f64 {
        self.skew
    }

    /// Own leap status, not yet replaced during a leap second.
    pub fn leap_status(&self) -> LeapIndicator {
        self.leap.status()
    }

    /// The leap schedule, for those who look at samples near a leap second.
    pub fn leap(&mut self) -> &mut LeapSchedule {
        &mut self.leap
    }

    /// The values the drift file would be written with.
    pub fn drift_record(&self, clock: &LocalClock) -> DriftRecord {
        DriftRecord {
            frequency_ppm: clock.frequency_ppm(),
            skew_ppm: self.skew * 1e6,
        }
    }

    /// Root dispersion at a time, seconds (section 9.1).
    pub fn root_dispersion_at(&self, time: CookedTime) -> f64 {
        if !self.updated {
            return INITIAL_ROOT_S;
        }
        let growth = self.skew + self.residual_frequency.abs() + self.settings.max_clock_error;
        self.root_dispersion_s + time.since(self.reference_time).abs() * growth
    }

    /// Follows the announcements of the clock that were not yet seen.
    fn follow(&mut self, clock: &LocalClock) {
        let (pending, total) = clock.pending();
        let unseen = (total - self.followed) as usize;
        for announcement in &pending[pending.len().saturating_sub(unseen)..] {
            if let Announcement::Change { change, .. } = announcement {
                self.shift(change);
            }
        }
        self.followed = total;
    }

    /// Moves the reference time, also with a step by somebody else: the root dispersion goes on
    /// from where it was (seen in the tracking log of 4.3).
    fn shift(&mut self, change: &ClockChange) {
        if self.updated {
            self.reference_time = change.moved(self.reference_time);
        }
    }

    /// A fallback drift takes over: the reference is lost.
    fn apply_fallback(&mut self, frequency_ppm: f64, steering: &mut Steering<'_>) {
        let now = steering.now;
        steering
            .clock
            .set_frequency(now, frequency_ppm, steering.journal);
        self.follow(steering.clock);
        self.lose_synchronisation(steering);
    }

    /// Becoming unsynchronised (section 9.6).
    fn lose_synchronisation(&mut self, steering: &mut Steering<'_>) {
        self.leap.lose(steering);
        self.source = None;
        self.stratum = 0;
        self.reference_id = 0;
        self.unsynchronised_since = steering.now.monotonic;
        if self.mode == Mode::Normal {
            self.tell_loss(steering);
        }
    }

    /// Tells the kernel and the tracking log that there is no synchronisation.
    fn tell_loss(&mut self, steering: &mut Steering<'_>) {
        let now = steering.now;
        steering.clock.report_status(now, None);
        self.log_unsynchronised(steering);
    }

    /// Tells the kernel how good the clock is (section 9.7).
    fn report_kernel_status(&self, steering: &mut Steering<'_>) {
        let now = steering.now;
        let errors_s = self.is_synchronised().then(|| {
            let cooked = steering.clock.cooked(now.raw);
            let elapsed_s = cooked.since(self.reference_time).abs();
            (
                self.offset_sd_s + elapsed_s * self.frequency_sd,
                self.root_delay_s / 2.0 + self.root_dispersion_at(cooked),
            )
        });
        steering.clock.report_status(now, errors_s);
    }
}

/// Whether a special mode can still get its update (section 18): `sources` are the active
/// sources with the number of reachability updates and of samples each has had. A source
/// that has had 7 updates, or cannot reach 3 samples within 7, is without hope.
pub fn can_still_synchronise(sources: impl IntoIterator<Item = (u32, u32)>) -> bool {
    /// Reachability updates after which a source counts as failed.
    const MAX_UPDATES: u32 = 7;
    /// Samples that a regression needs.
    const MIN_SAMPLES: u32 = 3;
    sources.into_iter().any(|(updates, samples)| {
        updates < MAX_UPDATES && (MAX_UPDATES - updates).saturating_add(samples) >= MIN_SAMPLES
    })
}
