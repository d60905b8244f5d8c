//! Scheduling of the slew (discipline chapter, section 2.3).

use crate::journal::Journal;

use super::super::Now;
use super::{Announcement, LocalClock, PPM};

/// Offsets below this are not worth a slew, seconds.
const NEGLIGIBLE_OFFSET_S: f64 = 1e-9;
/// Shortest slew, seconds.
const MIN_DURATION_S: f64 = 1.0;
/// Longest time until the slew is reconsidered, seconds.
const MAX_DURATION_S: f64 = 10_000.0;
/// Changes of dispersion below this are not announced, seconds.
const NEGLIGIBLE_DISPERSION_S: f64 = 1e-9;
/// Lateness above this is a suspended machine and not a busy one, seconds.
const MAX_LATENESS_S: f64 = 100.0;
/// A slew lasts at least so many times the recent lateness.
const LATENESS_FACTOR: f64 = 5.0;

impl LocalClock {
    /// Accounts for what the slew in force has achieved until now (step 1).
    pub(super) fn account(&mut self, now: Now) {
        self.remaining_s -= self.slew * now.raw.since(self.since);
        self.since = now.raw;
    }

    /// Plans the slew anew.
    pub(super) fn schedule_slew(&mut self, now: Now, journal: &mut Journal) {
        self.account(now);
        if !self.limits.controls_clock {
            self.slew = -self.base_ppm / PPM;
            return;
        }
        self.track_lateness(now);
        let total_ppm = self.wanted_frequency_ppm();
        let accepted_ppm = self.drive(total_ppm, journal);
        let old_slew = self.slew;
        self.slew = (accepted_ppm - self.base_ppm) / (PPM - accepted_ppm);
        self.slew_error_s = (self.slew - old_slew).abs() * self.limits.effect_delay_s;
        if self.slew_error_s >= NEGLIGIBLE_DISPERSION_S {
            self.announce(Announcement::ExtraDispersion(self.slew_error_s));
        }
        self.planned = Some((now.monotonic, self.planned_duration_s()));
    }

    /// Steps 2: how late the ends of slews have been recently.
    fn track_lateness(&mut self, now: Now) {
        self.lateness_s = 0.9 * (self.lateness_s + 1e-9);
        if let Some((start, planned_s)) = self.planned {
            let lateness_s = now.monotonic.since(start) - planned_s;
            if lateness_s > self.lateness_s && lateness_s <= MAX_LATENESS_S {
                self.lateness_s = lateness_s;
            }
        }
    }

    /// Steps 3 to 5: base frequency and slew together, ppm.
    fn wanted_frequency_ppm(&self) -> f64 {
        let remaining = self.remaining_s.abs();
        let duration_s = if remaining < NEGLIGIBLE_OFFSET_S {
            MAX_DURATION_S
        } else {
            (self.correction_rate / remaining)
                .max(MIN_DURATION_S)
                .max(LATENESS_FACTOR * self.lateness_s)
        };
        let limit = self.settings.max_slew_rate_ppm / PPM;
        let correction = (self.remaining_s / duration_s).clamp(-limit, limit);
        self.base_ppm + correction * (PPM - self.base_ppm)
    }

    /// Gives a frequency to the driver, cut to its range; returns what it accepted.
    pub(super) fn drive(&mut self, frequency_ppm: f64, journal: &mut Journal) -> f64 {
        let limit = self.limits.maximum_frequency_ppm;
        let wanted_ppm = frequency_ppm.clamp(-limit, limit);
        match self.driver.set_frequency(wanted_ppm) {
            Ok(accepted_ppm) if accepted_ppm.is_finite() => accepted_ppm,
            Ok(_) => wanted_ppm,
            Err(error) => {
                journal.fatal(error.0);
                wanted_ppm
            }
        }
    }

    /// Step 7.
    fn planned_duration_s(&self) -> f64 {
        let opposite = self.slew * self.remaining_s <= 0.0;
        if self.remaining_s.abs() < NEGLIGIBLE_OFFSET_S || opposite {
            MAX_DURATION_S
        } else {
            (self.remaining_s / self.slew).clamp(MIN_DURATION_S, MAX_DURATION_S)
        }
    }
}
