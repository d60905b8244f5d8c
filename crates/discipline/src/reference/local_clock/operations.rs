//! The changes that can be made to the clock (discipline chapter, sections 2.2 and 2.7).

use crate::journal::Journal;
use crate::samples::{ClockChange, is_sane};

use super::super::Now;
use super::{Announcement, ChangeKind, ClockRefusal, LocalClock, PPM};

impl LocalClock {
    /// Sets the absolute frequency (ppm, without temperature compensation).
    pub fn set_frequency(&mut self, now: Now, frequency_ppm: f64, journal: &mut Journal) {
        let absolute_ppm = self.limited(frequency_ppm, journal);
        let base_ppm = absolute_ppm * (1.0 - self.temperature_ppm / PPM) - self.temperature_ppm;
        let when = self.cooked(now.raw);
        let relative = self.change_base(now, base_ppm, journal);
        self.announce_change(when, relative, 0.0, ChangeKind::Adjust);
        self.schedule_slew(now, journal);
    }

    /// Adds a frequency change `frequency` (s/s, positive = the clock is made slower) and
    /// an offset to be removed (F+, seconds), to be slewed with correction rate
    /// `correction_rate` (s²; 0 = as fast as allowed).
    ///
    /// # Errors
    ///
    /// [`ClockRefusal::NotSane`] when the resulting time would not be sane; a warning is
    /// logged and nothing changes.
    pub fn accumulate(
        &mut self,
        now: Now,
        frequency: f64,
        offset_s: f64,
        correction_rate: f64,
        journal: &mut Journal,
    ) -> Result<(), ClockRefusal> {
        let change = self.change(now, frequency, offset_s, correction_rate, journal)?;
        self.announce_change(
            change.when,
            change.frequency,
            change.offset_s,
            ChangeKind::Adjust,
        );
        self.schedule_slew(now, journal);
        Ok(())
    }

    /// Changes base frequency and remaining correction; the caller schedules the slew.
    fn change(
        &mut self,
        now: Now,
        frequency: f64,
        offset_s: f64,
        correction_rate: f64,
        journal: &mut Journal,
    ) -> Result<ClockChange, ClockRefusal> {
        self.require_sane(now, offset_s, journal)?;
        let frequency = if frequency.is_finite() {
            frequency
        } else {
            0.0
        };
        let when = self.cooked(now.raw);
        let wanted_ppm = self.base_ppm + frequency * (PPM - self.base_ppm);
        let base_ppm = self.limited(wanted_ppm, journal);
        let relative = self.change_base(now, base_ppm, journal);
        self.remaining_s += offset_s;
        self.set_correction_rate(correction_rate);
        Ok(ClockChange {
            when,
            frequency: relative,
            offset_s,
        })
    }

    /// As [`LocalClock::accumulate`], but without announcing the change: who asks for it tells
    /// those whom it concerns (section 17.6).
    ///
    /// # Errors
    ///
    /// As [`LocalClock::accumulate`].
    pub fn accumulate_silently(
        &mut self,
        now: Now,
        frequency: f64,
        offset_s: f64,
        correction_rate: f64,
        journal: &mut Journal,
    ) -> Result<ClockChange, ClockRefusal> {
        let change = self.change(now, frequency, offset_s, correction_rate, journal)?;
        self.schedule_slew(now, journal);
        Ok(change)
    }

    /// Adds an offset to be removed (F+, seconds); see [`LocalClock::accumulate`].
    ///
    /// # Errors
    ///
    /// As [`LocalClock::accumulate`].
    pub fn accumulate_offset(
        &mut self,
        now: Now,
        offset_s: f64,
        correction_rate: f64,
        journal: &mut Journal,
    ) -> Result<(), ClockRefusal> {
        self.require_sane(now, offset_s, journal)?;
        self.account(now);
        let when = self.cooked(now.raw);
        self.remaining_s += offset_s;
        self.set_correction_rate(correction_rate);
        self.announce_change(when, 0.0, offset_s, ChangeKind::Adjust);
        self.schedule_slew(now, journal);
        Ok(())
    }

    /// Steps the clock back by `offset_s` (F+, seconds). Returns the clocks after the step.
    ///
    /// # Errors
    ///
    /// When the result would not be sane or the kernel refuses; the message is logged and
    /// nothing changes.
    pub fn step(
        &mut self,
        now: Now,
        offset_s: f64,
        journal: &mut Journal,
    ) -> Result<Now, ClockRefusal> {
        self.require_sane(now, offset_s, journal)?;
        let when = self.cooked(now.raw);
        if let Err(error) = self.driver.step(-offset_s) {
            journal.debug(|| error.0);
            journal.error("Could not step system clock");
            return Err(ClockRefusal::StepFailed);
        }
        journal.clock_stepped(-offset_s);
        self.since = self.since.minus(offset_s);
        self.announce_change(when, 0.0, offset_s, ChangeKind::Step);
        Ok(Now {
            raw: now.raw.minus(offset_s),
            ..now
        })
    }

    /// Gives up the remaining correction: cooked time becomes raw time. Returns the offset
    /// that was accumulated for it (cooked − raw), seconds.
    pub fn cancel_correction(&mut self, now: Now, journal: &mut Journal) -> f64 {
        let correction_s = self.correction(now.raw);
        // Raw time is what the kernel shows, so it is not refused even when not sane.
        let when = self.cooked(now.raw);
        self.account(now);
        self.remaining_s = 0.0;
        self.set_correction_rate(0.0);
        self.announce_change(when, 0.0, correction_s, ChangeKind::Adjust);
        self.schedule_slew(now, journal);
        correction_s
    }

    /// Steps the clock by the remaining correction (command `makestep`). Returns the clocks
    /// after the step.
    ///
    /// # Errors
    ///
    /// When the step fails; the correction then goes on as before.
    pub fn make_step(&mut self, now: Now, journal: &mut Journal) -> Result<Now, ClockRefusal> {
        let correction_s = self.cancel_correction(now, journal);
        match self.step(now, -correction_s, journal) {
            Ok(after) => {
                journal.warning(format!(
                    "System clock was stepped by {correction_s:.6} seconds"
                ));
                Ok(after)
            }
            Err(refusal) => {
                // The cooked time before was accepted once; a refusal now changes nothing.
                let _ = self.accumulate_offset(now, -correction_s, 0.0, journal);
                Err(refusal)
            }
        }
    }

    /// Command `dfreq`: the clock is faster than assumed by so many ppm.
    pub fn add_frequency(&mut self, now: Now, frequency_ppm: f64, journal: &mut Journal) {
        // An offset of 0 is refused only while the clock itself is not sane.
        if self
            .accumulate(now, frequency_ppm / PPM, 0.0, self.correction_rate, journal)
            .is_ok()
        {
            journal.info(format!("Accumulated delta freq of {frequency_ppm:.3}ppm"));
        }
    }

    /// Command `doffset`: the clock is fast by so many seconds.
    ///
    /// # Errors
    ///
    /// As [`LocalClock::accumulate`].
    pub fn add_offset(
        &mut self,
        now: Now,
        offset_s: f64,
        journal: &mut Journal,
    ) -> Result<(), ClockRefusal> {
        self.accumulate_offset(now, offset_s, 0.0, journal)?;
        journal.info(format!("Accumulated delta offset of {offset_s:.6} seconds"));
        Ok(())
    }

    /// Applies a temperature compensation `c` (ppm, positive = the clock is made faster)
    /// without announcing a change. Returns the compensation really in force
    /// (section 13).
    pub fn set_temperature_compensation(
        &mut self,
        now: Now,
        compensation_ppm: f64,
        journal: &mut Journal,
    ) -> f64 {
        let absolute_ppm = self.frequency_ppm();
        let base_ppm = absolute_ppm * (1.0 - compensation_ppm / PPM) - compensation_ppm;
        let base_ppm = self.limited(base_ppm, journal);
        self.change_base(now, base_ppm, journal);
        self.temperature_ppm = (absolute_ppm - self.base_ppm) / (1.0 + absolute_ppm / PPM);
        self.schedule_slew(now, journal);
        self.temperature_ppm
    }

    /// Somebody else moved the raw clock by about `jump_s` (positive forwards, seconds):
    /// the remaining correction is given up and everything starts anew (section 2.7).
    /// `now` is read after the jump. A jump of 0 is the command that resets all sources.
    pub fn handle_external_step(&mut self, now: Now, jump_s: f64, journal: &mut Journal) {
        self.since = self.since.plus(jump_s);
        self.cancel_correction(now, journal);
        let before = self.cooked(now.raw).minus(jump_s);
        self.announce_change(before, 0.0, -jump_s, ChangeKind::UnknownStep);
        self.announce(Announcement::ExtraDispersion(jump_s.abs()));
    }

    /// Leaves the clock at exit: the remaining correction is given up and the kernel keeps
    /// the base frequency alone.
    pub fn finish(&mut self, now: Now, journal: &mut Journal) {
        // Without anything to correct the frequency set is the base frequency.
        self.cancel_correction(now, journal);
        self.planned = None;
    }

    /// The time scale moves back by `offset_s` while the clock goes on: announced as if
    /// the clock had been stepped the other way.
    pub(in super::super) fn announce_time_scale(&mut self, now: Now, offset_s: f64) {
        let when = self.cooked(now.raw);
        self.announce_change(when, 0.0, -offset_s, ChangeKind::TimeScale);
    }

    /// Tells the kernel how good the clock is, the remaining correction added
    /// (section 9.7). `errors_s` are estimated and maximum error without it; `None` is
    /// unsynchronised.
    pub(in super::super) fn report_status(&mut self, now: Now, errors_s: Option<(f64, f64)>) {
        /// Where the kernel takes a clock for unsynchronised, seconds.
        const LIMIT_S: f64 = 16.0;
        let remaining = self.correction(now.raw).abs();
        let (estimated, maximum) = match errors_s {
            Some((estimated, maximum)) => (estimated.max(remaining), maximum + remaining),
            None => (LIMIT_S, LIMIT_S),
        };
        let synchronised = maximum < LIMIT_S;
        self.driver
            .set_sync_status(synchronised, estimated.min(LIMIT_S), maximum.min(LIMIT_S));
    }

    fn set_correction_rate(&mut self, correction_rate: f64) {
        self.correction_rate = if correction_rate.is_finite() {
            correction_rate.max(0.0)
        } else {
            0.0
        };
    }

    fn require_sane(
        &self,
        now: Now,
        offset_s: f64,
        journal: &mut Journal,
    ) -> Result<(), ClockRefusal> {
        if is_sane(
            self.cooked(now.raw),
            -offset_s,
            self.settings.window_start_s,
        ) {
            return Ok(());
        }
        journal.warning(format!("Adjustment of {:.1} seconds is invalid", -offset_s));
        Err(ClockRefusal::NotSane)
    }

    /// A frequency within ±`maxdrift`.
    fn limited(&self, frequency_ppm: f64, journal: &mut Journal) -> f64 {
        let limit = self.settings.max_drift_ppm;
        if frequency_ppm.abs() <= limit {
            return frequency_ppm;
        }
        journal.warning(format!(
            "Frequency {frequency_ppm:.1} ppm exceeds allowed maximum"
        ));
        if frequency_ppm.is_nan() {
            0.0
        } else {
            frequency_ppm.clamp(-limit, limit)
        }
    }

    /// Gives the kernel a new base frequency; returns the relative change (δf). The caller
    /// schedules the slew on top of it at the same instant.
    fn change_base(&mut self, now: Now, base_ppm: f64, journal: &mut Journal) -> f64 {
        self.account(now);
        let old_ppm = self.base_ppm;
        self.base_ppm = self.drive(base_ppm, journal);
        (self.base_ppm - old_ppm) / (PPM - old_ppm)
    }
}
