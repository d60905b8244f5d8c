//! An update of the reference by selection or by hand (discipline chapter, section 9.2).

use crate::samples::{ClockChange, ReferenceUpdate};
use crate::time::CookedTime;

use super::super::mail::MailRequest;
use super::{Mode, Reference, Request, Steering};

/// Smallest interval between updates that counts for fallback drifts, seconds
/// (section 12.2).
const MIN_FALLBACK_INTERVAL_S: f64 = 1.0;
/// Weight of the own uncertainty in the frequency's gain (section 9.3).
const OWN_UNCERTAINTY_WEIGHT: f64 = 3.0;
/// Largest stratum.
const MAX_STRATUM: u8 = 16;

/// The frequency to be applied and what remains uncertain (section 9.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WeightedFrequency {
    /// f: frequency applied, s/s.
    pub(super) applied: f64,
    /// f_m − f, s/s.
    pub(super) residual: f64,
    /// K′, s/s.
    pub(super) skew: f64,
}

/// Weights a measured frequency with its skew against the own skew. `gain` is fixed for
/// manual input.
pub(super) fn weight_frequency(
    own_skew: f64,
    measured: f64,
    measured_skew: f64,
    max_update_skew: f64,
    gain: Option<f64>,
) -> WeightedFrequency {
    let gain = gain.unwrap_or_else(|| {
        let own = OWN_UNCERTAINTY_WEIGHT * own_skew * own_skew;
        let sum = own + measured_skew * measured_skew;
        if measured_skew > max_update_skew.abs() || sum <= 0.0 {
            0.0
        } else {
            own / sum
        }
    });
    let applied = gain * measured;
    let residual = measured - applied;
    let spread = applied * applied * (1.0 - gain) + residual * residual * gain;
    WeightedFrequency {
        applied,
        residual,
        skew: own_skew + gain * (measured_skew - own_skew) + spread.max(0.0).sqrt(),
    }
}

/// By how much the system clock drifted from a stable clock beside it (section 17.6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalDrift {
    /// δf: the system clock gains more than before, s/s.
    pub frequency: f64,
    /// δo: the system clock is fast by more than before, seconds.
    pub offset_s: f64,
    /// Time since the last such adjustment, seconds.
    pub elapsed_s: f64,
}

/// What an update will do to the clock.
struct Correction {
    /// Cooked time before it.
    time: CookedTime,
    /// o: offset at now (F+), seconds.
    offset_s: f64,
    /// u: cooked − raw at now, seconds.
    uncorrected_s: f64,
    /// f, s/s.
    frequency: f64,
    /// ρ.
    rate: f64,
    /// Whether the clock is to be stepped.
    step: bool,
}

impl Reference {
    /// Updates the reference with the result of a selection. `name` is the address or
    /// reference ID of the source for the tracking log; `random` is uniform in [0, 1].
    /// Returns whether the update was accepted.
    pub fn update(
        &mut self,
        update: &ReferenceUpdate,
        name: &str,
        random: f64,
        steering: &mut Steering<'_>,
    ) -> bool {
        self.update_with_gain(update, name, random, None, steering)
    }

    /// As [`Reference::update`] for manual input: the frequency is taken as it is
    /// (gain 1).
    pub fn update_manual(
        &mut self,
        update: &ReferenceUpdate,
        name: &str,
        random: f64,
        steering: &mut Steering<'_>,
    ) -> bool {
        self.update_with_gain(update, name, random, Some(1.0), steering)
    }

    fn update_with_gain(
        &mut self,
        update: &ReferenceUpdate,
        name: &str,
        random: f64,
        gain: Option<f64>,
        steering: &mut Steering<'_>,
    ) -> bool {
        if !is_finite(update) {
            return false;
        }
        let cooked = steering.clock.cooked(steering.now.raw);
        let offset_s = update.offset_s + cooked.since(update.time) * update.frequency;
        if self.mode != Mode::Normal {
            self.end_special_mode(offset_s, steering);
            return false;
        }
        if !self.permits_change(offset_s, steering) {
            return false;
        }
        let monotonic = steering.now.monotonic;
        let interval_s = self
            .last_update
            .map_or(0.0, |last| monotonic.since(last).max(0.0));
        let max_error_s = self.largest_error_s(cooked);
        let weighted = weight_frequency(
            self.skew,
            update.frequency,
            update.skew,
            self.settings.max_update_skew_ppm / 1e6,
            gain,
        );
        self.take_over(update, &weighted);
        self.last_update = Some(monotonic);
        self.last_interval_s = interval_s;
        let uncorrected_s = steering.clock.correction(steering.now.raw);
        let correction = Correction {
            time: cooked,
            offset_s,
            uncorrected_s,
            frequency: weighted.applied,
            rate: self.settings.correction_time_ratio * 0.5 * update.offset_sd_s * interval_s,
            step: self.decide_step(offset_s - uncorrected_s),
        };
        self.correct(&correction, steering);
        let was_synchronised = self.is_synchronised();
        self.leap.update(update.leap, steering);
        if was_synchronised && !self.is_synchronised() {
            self.unsynchronised_since = steering.now.monotonic;
        }
        self.report_kernel_status(steering);
        self.reference_time = self.reference_time.minus(random.clamp(0.0, 1.0));
        self.log_update(
            update,
            name,
            &correction_line(&correction, max_error_s),
            steering,
        );
        self.keep_frequency(interval_s, steering);
        self.last_offset_s = offset_s;
        self.rms.add(offset_s);
        true
    }

    /// Between updates: the clock follows a stable one beside it (section 17.6), without the
    /// change being announced. Only while synchronised.
    pub fn follow_local_clock(
        &mut self,
        drift: &LocalDrift,
        steering: &mut Steering<'_>,
    ) -> Option<ClockChange> {
        if !self.is_synchronised() {
            return None;
        }
        self.adjustments = self.adjustments.saturating_add(1);
        let ratio = self.settings.correction_time_ratio * 0.5;
        let own = self.offset_sd_s * self.last_interval_s / f64::from(self.adjustments);
        let rate = ratio * (drift.offset_s.abs() * drift.elapsed_s).max(own);
        let change = steering.clock.accumulate_silently(
            steering.now,
            drift.frequency,
            drift.offset_s,
            rate,
            steering.journal,
        );
        // A refusal is logged.
        change.ok()
    }

    /// State of the new reference (step 4).
    fn take_over(&mut self, update: &ReferenceUpdate, weighted: &WeightedFrequency) {
        self.updated = true;
        self.adjustments = 0;
        self.source = Some(update.key);
        self.stratum = update.stratum.saturating_add(1).min(MAX_STRATUM);
        self.reference_id = update.reference_id;
        self.reference_time = update.time;
        self.skew = weighted.skew;
        self.residual_frequency = weighted.residual;
        self.root_delay_s = update.root_delay_s;
        self.root_dispersion_s = update.root_dispersion_s;
        self.offset_sd_s = update.offset_sd_s;
        self.frequency_sd = update.frequency_sd;
    }

    /// makestep (section 9.4).
    fn decide_step(&mut self, raw_error_s: f64) -> bool {
        let make_step = &mut self.settings.make_step;
        if make_step.limit == 0 {
            return false;
        }
        if make_step.limit > 0 {
            make_step.limit -= 1;
        }
        raw_error_s.abs() > make_step.threshold_s
    }

    /// maxchange (section 9.5).
    fn permits_change(&mut self, offset_s: f64, steering: &mut Steering<'_>) -> bool {
        let limits = &mut self.settings.max_change;
        if limits.start < 0 {
            return true;
        }
        if limits.start > 0 {
            limits.start -= 1;
            return true;
        }
        if offset_s.abs() <= limits.offset_s {
            return true;
        }
        let exiting = limits.ignore == 0;
        // The space at the end is the reference's.
        steering.journal.warning(format!(
            "Adjustment of {:.3} seconds exceeds the allowed maximum of {:.3} seconds ({}) ",
            -offset_s,
            limits.offset_s,
            if exiting { "exiting" } else { "ignored" }
        ));
        if exiting {
            self.requests.push_back(Request::Exit { status: 1 });
        } else if limits.ignore > 0 {
            limits.ignore -= 1;
        }
        false
    }

    /// Steps 5 to 8: acts on the clock.
    fn correct(&mut self, correction: &Correction, steering: &mut Steering<'_>) {
        let (now, offset_s) = (steering.now, correction.offset_s);
        let raw_error_s = offset_s - correction.uncorrected_s;
        let accumulated_s = if correction.step {
            correction.uncorrected_s
        } else {
            offset_s
        };
        // A refusal is logged; the reference then stays as measured.
        let _ = steering.clock.accumulate(
            now,
            correction.frequency,
            accumulated_s,
            correction.rate,
            steering.journal,
        );
        self.follow(steering.clock);
        self.notify(offset_s, steering);
        if correction.step {
            match steering.clock.step(now, raw_error_s, steering.journal) {
                Ok(after) => {
                    steering.now = after;
                    steering.journal.warning(format!(
                        "System clock was stepped by {:.6} seconds",
                        -raw_error_s
                    ));
                    self.follow(steering.clock);
                    self.leap.reconsider(steering);
                }
                Err(_) => {
                    let _ =
                        steering
                            .clock
                            .accumulate_offset(now, raw_error_s, 0.0, steering.journal);
                    self.follow(steering.clock);
                }
            }
        }
    }

    /// logchange and mailonchange (step 7).
    fn notify(&mut self, offset_s: f64, steering: &mut Steering<'_>) {
        if offset_s.abs() > self.settings.log_change_s {
            steering
                .journal
                .warning(format!("System clock wrong by {:.6} seconds", -offset_s));
        }
        if let Some(threshold_s) = self.settings.mail_change_s
            && offset_s.abs() > threshold_s
        {
            self.requests.push_back(Request::SendMail(MailRequest {
                change_s: -offset_s,
                threshold_s,
                time: steering.clock.cooked(steering.now.raw),
            }));
        }
    }

    /// Drift file and fallback drifts (step 11, sections 12.1 and 12.2).
    fn keep_frequency(&mut self, interval_s: f64, steering: &mut Steering<'_>) {
        let frequency_ppm = steering.clock.frequency_ppm();
        if let Some(write_interval_s) = self.settings.drift_file_interval_s {
            self.drift_age_s += interval_s;
            if self.drift_age_s >= write_interval_s {
                self.drift_age_s = 0.0;
                let record = self.drift_record(steering.clock);
                self.requests.push_back(Request::WriteDriftFile(record));
            }
        }
        if self.is_synchronised() && interval_s >= MIN_FALLBACK_INTERVAL_S {
            self.fallback.add(frequency_ppm, interval_s);
        }
        self.fallback.schedule(steering.now.monotonic);
    }

    /// The update that a special mode waited for (section 18).
    fn end_special_mode(&mut self, offset_s: f64, steering: &mut Steering<'_>) {
        let now = steering.now;
        match self.mode {
            Mode::UpdateOnce => {
                steering.journal.info(format!(
                    "System clock wrong by {:.6} seconds (step)",
                    -offset_s
                ));
                self.step_once(offset_s, steering);
            }
            Mode::PrintOnce => steering.journal.info(format!(
                "System clock wrong by {:.6} seconds (ignored)",
                -offset_s
            )),
            Mode::InitStepSlew { threshold_s } => {
                let step = offset_s.abs() >= threshold_s;
                steering.journal.info(format!(
                    "System's initial offset : {:.6} seconds {} of true ({})",
                    offset_s.abs(),
                    if offset_s >= 0.0 { "fast" } else { "slow" },
                    if step { "step" } else { "slew" }
                ));
                if step {
                    self.step_once(offset_s, steering);
                } else {
                    let _ = steering
                        .clock
                        .accumulate_offset(now, offset_s, 0.0, steering.journal);
                }
            }
            Mode::Normal | Mode::Ended => return,
        }
        self.follow(steering.clock);
        self.mode = Mode::Ended;
        self.requests
            .push_back(Request::ModeEnded { success: true });
    }

    /// Steps by the offset and the remaining correction; slews what cannot be stepped.
    fn step_once(&mut self, offset_s: f64, steering: &mut Steering<'_>) {
        let now = steering.now;
        let uncorrected_s = steering.clock.cancel_correction(now, steering.journal);
        let raw_error_s = offset_s - uncorrected_s;
        match steering.clock.step(now, raw_error_s, steering.journal) {
            Ok(after) => steering.now = after,
            Err(_) => {
                let _ = steering
                    .clock
                    .accumulate_offset(now, raw_error_s, 0.0, steering.journal);
            }
        }
    }
}

fn is_finite(update: &ReferenceUpdate) -> bool {
    [
        update.offset_s,
        update.offset_sd_s,
        update.frequency,
        update.frequency_sd,
        update.skew,
        update.root_delay_s,
        update.root_dispersion_s,
    ]
    .into_iter()
    .all(f64::is_finite)
}

fn correction_line(correction: &Correction, max_error_s: f64) -> super::report::LineValues {
    super::report::LineValues {
        time: correction.time,
        offset_s: correction.offset_s,
        uncorrected_s: correction.uncorrected_s,
        max_error_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wide_skew_leaves_the_frequency_alone() {
        let weighted = weight_frequency(1.0, 1e-4, 1.13e-3, 1e-3, None);
        assert_eq!(
            weighted,
            WeightedFrequency {
                applied: 0.0,
                residual: 1e-4,
                skew: 1.0
            }
        );
    }

    #[test]
    fn equal_uncertainties_take_three_quarters() {
        let weighted = weight_frequency(1e-6, 4e-6, 1e-6, 1e-3, None);
        assert!((weighted.applied - 3e-6).abs() < 1e-18);
        assert!((weighted.residual - 1e-6).abs() < 1e-18);
        // 1e-6 + √(9e-12 · 0.25 + 1e-12 · 0.75)
        assert!((weighted.skew - (1e-6 + 3e-12_f64.sqrt())).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn weights_are_finite(own in 0.0..2.0f64, measured in -1.0..1.0f64, skew in 0.0..1.0f64, limit in -1.0..1.0f64) {
            let weighted = weight_frequency(own, measured, skew, limit, None);
            prop_assert!(weighted.skew.is_finite() && weighted.skew >= 0.0);
            prop_assert!(weighted.applied.abs() <= measured.abs());
        }
    }
}
