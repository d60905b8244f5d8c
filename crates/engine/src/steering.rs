//! The clock and what is known about it: the local clock, the reference and the detection
//! of foreign steps, with one interface to the rest of the engine.

use std::collections::VecDeque;

use chrony_conf::config::Config;
use chrony_conf::drift::Drift;
use discipline::journal::Journal;
use discipline::reference::state::Steering as Act;
use discipline::reference::{
    Announcement, ChangeKind, ClockDriver, DriftRecord, LeapDatabase, LocalClock, Mode, Reference,
    Request, StepDetector, TrackingReport,
};
use discipline::samples::{
    ClockChange, HardwareClock, HardwareSample, Reading, ReadingQuality, ReferenceUpdate,
};
use discipline::time::{CookedTime, MonotonicTime, RawTime};
use ntp_wire::{LeapIndicator, NtpTimestamp};

use crate::action::{Action, SavedFile};
use crate::association::{MonotonicScale, OwnReference};
use crate::event::Now;
use crate::random::RandomSource;
use crate::settings::{local_clock_settings, reference_settings};

/// The clock to be steered and what is known about it at start.
pub struct ClockSetup {
    /// What holds the time.
    pub driver: Box<dyn ClockDriver>,
    /// Clock precision q, seconds.
    pub precision_s: f64,
    /// E, the first POSIX second of the window that NTP timestamps are mapped to.
    pub window_start_s: i64,
    /// The contents of the drift file.
    pub drift: Option<Drift>,
    /// The leap second database.
    pub leap: Option<LeapDatabase>,
    /// Random bits for what hides times and names epochs.
    pub random: Box<dyn RandomSource>,
}

/// A change that everything stored has to follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The clock was adjusted or stepped by a known amount.
    Known(ClockChange),
    /// The clock was changed by somebody else: what was measured before is void.
    Unknown,
    /// Every stored sample is this much less certain, seconds.
    Dispersion(f64),
    /// What was announced, for those who tell its kinds apart: manual input and smoothing.
    Announced(Announcement),
}

/// The clock and the reference.
pub struct Steering {
    clock: LocalClock,
    reference: Reference,
    detector: StepDetector,
    precision_s: f64,
    window_start_s: i64,
    scale: MonotonicScale,
    changes: VecDeque<Change>,
    actions: VecDeque<Action>,
    mail_user: Option<String>,
    ended: Option<bool>,
    random: Box<dyn RandomSource>,
}

impl Steering {
    /// Takes over the clock.
    ///
    /// # Errors
    ///
    /// The text of a fatal message, when the clock cannot be steered.
    pub fn new(
        config: &Config,
        setup: ClockSetup,
        mode: Mode,
        now: Now,
        journal: &mut Journal,
    ) -> Result<Self, String> {
        let mut random = setup.random;
        let settings = local_clock_settings(config, setup.window_start_s);
        let mut clock = LocalClock::new(setup.driver, settings, now).map_err(|error| error.0)?;
        let drift = setup.drift.map(|drift| DriftRecord {
            frequency_ppm: drift.frequency_ppm,
            skew_ppm: drift.skew_ppm,
        });
        let mut act = Act {
            clock: &mut clock,
            now,
            journal,
        };
        let mut reference = Reference::new(reference_settings(config), mode, drift, &mut act);
        reference.leap().set_database(setup.leap);
        let epoch = random.next_u32();
        Ok(Self {
            clock,
            reference,
            detector: StepDetector::new(now),
            precision_s: setup.precision_s,
            window_start_s: setup.window_start_s,
            scale: MonotonicScale {
                epoch,
                correction_s: 0.0,
            },
            changes: VecDeque::new(),
            actions: VecDeque::new(),
            mail_user: config
                .logging
                .mail_on_change
                .as_ref()
                .map(|mail| mail.address.clone()),
            ended: None,
            random,
        })
    }

    /// Cooked time and the bound of its error in seconds.
    pub fn cook(&self, raw: RawTime) -> (CookedTime, f64) {
        let conversion = self.clock.cook(raw);
        (conversion.time, conversion.error_s)
    }

    /// Gives readings of a hardware clock to its tracker. The result is the sample that they
    /// make, and the bound of its error in seconds if it was good enough to be followed.
    pub fn track(
        &self,
        tracker: &mut HardwareClock,
        readings: &[Reading],
        random: &mut dyn RandomSource,
    ) -> Option<(HardwareSample, Option<f64>)> {
        let frequency = self.clock.frequency_ppm() * 1e-6;
        let cook = |raw| self.clock.cooked(raw);
        let sample = tracker.process(readings, 1.0 - frequency, cook, || random.uniform())?;
        let error_s = (sample.quality > ReadingQuality::Reachable).then(|| {
            let (local, clock_error_s) = self.cook(sample.local);
            let error_s = sample.error_s + clock_error_s;
            tracker.accumulate(sample.device, local, error_s, frequency);
            error_s
        });
        Some((sample, error_s))
    }

    /// The reference.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The local clock.
    pub fn clock(&self) -> &LocalClock {
        &self.clock
    }

    /// round(log2 q), as sent in packets.
    pub fn precision_log2(&self) -> i8 {
        self.precision_s.log2().round() as i8
    }

    /// The first POSIX second of the window that NTP timestamps are mapped to.
    pub fn window_start_s(&self) -> i64 {
        self.window_start_s
    }

    /// The own monotonic scale (ntp chapter, section 6.8).
    pub fn monotonic_scale(&self) -> MonotonicScale {
        self.scale
    }

    /// What is served to others now.
    pub fn own_reference(&mut self, now: Now) -> OwnReference {
        let served = self
            .reference
            .served(now, &self.clock, self.random.uniform());
        OwnReference {
            leap: served.leap,
            stratum: served.stratum,
            reference_id: served.reference_id,
            reference_time: match served.reference_time {
                time if time == CookedTime::ZERO => NtpTimestamp::ZERO,
                time => NtpTimestamp::from_unix_ns(time.as_ns()),
            },
            root_delay_s: served.root_delay_s,
            root_dispersion_s: served.root_dispersion_s,
        }
    }

    /// How fast the root dispersion that is served grows, s/s; 0 when it does not depend on
    /// the time.
    pub fn root_dispersion_rate(&mut self, now: Now) -> f64 {
        if !self
            .reference
            .served(now, &self.clock, self.random.uniform())
            .synchronised
        {
            return 0.0;
        }
        let time = self.clock.cooked(now.raw);
        let later = self.reference.root_dispersion_at(time.plus(1.0));
        later - self.reference.root_dispersion_at(time)
    }

    /// The tracking report.
    pub fn tracking(&mut self, now: Now) -> TrackingReport {
        self.reference
            .tracking(now, &self.clock, self.random.uniform())
    }

    /// The mode of the reference.
    pub fn mode(&self) -> Mode {
        self.reference.mode()
    }

    /// Normal operation begins after a special mode.
    pub fn set_normal_mode(&mut self) {
        self.reference.set_mode(Mode::Normal);
    }

    /// No source can give the update that a special mode waits for.
    pub fn fail_mode(&mut self, journal: &mut Journal) {
        self.reference.fail_mode(journal);
        self.take_requests();
    }

    /// A selection gave an update. `name` is the address of the selected source as text.
    pub fn update(
        &mut self,
        now: Now,
        update: &ReferenceUpdate,
        name: &str,
        journal: &mut Journal,
    ) {
        let random = self.random.uniform();
        let mut act = Act {
            clock: &mut self.clock,
            now,
            journal,
        };
        self.reference.update(update, name, random, &mut act);
        let now = act.now;
        self.collect(now);
    }

    /// The leap status that the sources vote for.
    pub fn update_leap(&mut self, now: Now, voted: LeapIndicator, journal: &mut Journal) {
        let mut act = Act {
            clock: &mut self.clock,
            now,
            journal,
        };
        self.reference.update_leap(voted, &mut act);
        let now = act.now;
        self.collect(now);
    }

    /// Whether the next [`Steering::handle_timeout`] begins a leap second.
    pub fn leap_second_begins(&mut self, now: Now) -> bool {
        self.reference.leap().begins(now.monotonic)
    }

    /// When the pending leap second is, POSIX seconds.
    pub fn leap_second_s(&mut self) -> Option<i64> {
        self.reference.leap().when_s()
    }

    /// There is no majority any more.
    pub fn lose_synchronisation(&mut self, now: Now, journal: &mut Journal) {
        let mut act = Act {
            clock: &mut self.clock,
            now,
            journal,
        };
        self.reference.unsynchronise(&mut act);
        let now = act.now;
        self.collect(now);
    }

    /// Looks whether somebody else stepped the clock; if so there are changes to follow.
    pub fn check_for_steps(&mut self, now: Now, journal: &mut Journal) -> bool {
        let jump_s = self.detector.check(now, journal);
        if let Some(jump_s) = jump_s {
            self.reset(now, jump_s, journal);
        }
        jump_s.is_some()
    }

    /// Everything measured is void: somebody else moved the clock by `jump_s`, or (with 0)
    /// the command `reset sources`.
    pub fn reset(&mut self, now: Now, jump_s: f64, journal: &mut Journal) {
        let mut act = Act {
            clock: &mut self.clock,
            now,
            journal,
        };
        self.reference.handle_external_step(jump_s, &mut act);
        let now = act.now;
        self.collect(now);
    }

    /// Whether leap seconds are known from a list or a time zone.
    pub fn has_leap_database(&mut self) -> bool {
        self.reference.leap().has_database()
    }

    /// TAI − UTC at a time (POSIX seconds), if it is known.
    pub fn tai_offset_s(&mut self, seconds: i64, journal: &mut Journal) -> Option<i32> {
        self.reference
            .leap()
            .look_up(seconds, journal)?
            .tai_offset_s
    }

    /// Whether another program was found to steer the clock since the last call.
    pub fn take_interference(&mut self) -> bool {
        self.clock.driver_mut().take_interference()
    }

    /// When [`Steering::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        [self.clock.next_timeout(), self.reference.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Ends a slew, corrects a leap second, takes a fallback drift.
    pub fn handle_timeout(&mut self, now: Now, journal: &mut Journal) {
        let mut stepped_to = now;
        let due = |at: Option<MonotonicTime>| at.is_some_and(|at| at <= now.monotonic);
        if due(self.clock.next_timeout()) {
            self.clock.handle_timeout(now, journal);
        }
        if due(self.reference.next_timeout()) {
            let mut act = Act {
                clock: &mut self.clock,
                now,
                journal,
            };
            self.reference.handle_timeout(&mut act);
            stepped_to = act.now;
        }
        self.collect(stepped_to);
    }

    /// The daemon exits.
    pub fn finish(&mut self, now: Now, journal: &mut Journal) {
        let mut act = Act {
            clock: &mut self.clock,
            now,
            journal,
        };
        self.reference.finish(&mut act);
        let now = act.now;
        self.collect(now);
    }

    /// Lets a command act on the clock and the reference.
    pub fn act<R>(
        &mut self,
        now: Now,
        journal: &mut Journal,
        command: impl FnOnce(&mut Reference, &mut Act<'_>) -> R,
    ) -> R {
        let mut act = Act {
            clock: &mut self.clock,
            now,
            journal,
        };
        let result = command(&mut self.reference, &mut act);
        let now = act.now;
        self.collect(now);
        result
    }

    /// The next change to be followed.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// The next thing to be done.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether a special mode ended since the last call, and whether it found a source.
    pub fn take_mode_end(&mut self) -> Option<bool> {
        self.ended.take()
    }

    /// Takes over what the parts announced and want done.
    /// `now` has the clocks' readings as they are after a step.
    fn collect(&mut self, now: Now) {
        for announcement in self.reference.take_announcements(&mut self.clock) {
            self.changes.push_back(Change::Announced(announcement));
            match announcement {
                Announcement::Change { change, kind } => self.follow(now, change, kind),
                Announcement::ExtraDispersion(dispersion_s) => {
                    self.changes.push_back(Change::Dispersion(dispersion_s));
                }
                Announcement::LeapCorrected(_) => {}
            }
        }
        self.take_requests();
    }

    fn take_requests(&mut self) {
        while let Some(request) = self.reference.poll_request() {
            self.request(request);
        }
    }

    fn follow(&mut self, now: Now, change: ClockChange, kind: ChangeKind) {
        match kind {
            ChangeKind::Adjust | ChangeKind::TimeScale => {
                self.scale.correction_s += change.offset_s;
                self.changes.push_back(Change::Known(change));
            }
            ChangeKind::Step => {
                self.detector.expect(now);
                self.new_epoch();
                self.changes.push_back(Change::Known(change));
            }
            ChangeKind::UnknownStep => {
                self.new_epoch();
                self.changes.push_back(Change::Unknown);
            }
        }
    }

    fn new_epoch(&mut self) {
        self.scale = MonotonicScale {
            epoch: self.random.next_u32(),
            correction_s: 0.0,
        };
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::WriteDriftFile(record) => self.actions.push_back(Action::Save {
                file: SavedFile::Drift,
                contents: record.to_line(),
            }),
            Request::SendMail(mail) => {
                if let Some(user) = &self.mail_user {
                    self.actions.push_back(Action::Mail {
                        user: user.clone(),
                        mail,
                    });
                }
            }
            Request::Exit { status } => {
                let status = u8::try_from(status).unwrap_or(1);
                self.actions.push_back(Action::Exit { status });
            }
            Request::ModeEnded { success } => self.ended = Some(success),
        }
    }
}
