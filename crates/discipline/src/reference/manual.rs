//! Manual input of the time (discipline chapter, section 15).

use ntp_wire::LeapIndicator;

use crate::samples::{ReferenceUpdate, is_sane};
use crate::time::CookedTime;

use super::local_clock::{Announcement, ChangeKind};
use super::state::{Reference, Steering};
use crate::samples::RobustLine;

/// Samples kept.
const MAX_SAMPLES: usize = 16;
/// Shortest time between two entries, seconds.
const MIN_INTERVAL_S: f64 = 1.0;
/// Tolerance of the robust line's slope, s/s.
const TOLERANCE: f64 = 1e-8;
/// Skew of the reference update, s/s.
const SKEW: f64 = 0.099_999_999;
/// Reference ID `MANU`.
pub const MANUAL_REFERENCE_ID: u32 = 0x4D41_4E55;
/// The reference ID as text.
const MANUAL_NAME: &str = "MANU";
/// Key in the place of a source's; no source has it.
pub const MANUAL_KEY: u32 = u32::MAX;

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ManualSample {
    /// Local time of the entry.
    pub when: CookedTime,
    /// Offset (F+), moved with later corrections, seconds.
    pub offset_s: f64,
    /// Offset as entered, seconds.
    pub entered_s: f64,
    /// Residual of the last fit, seconds.
    pub residual_s: f64,
}

/// The reply to an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ManualReport {
    /// Estimated offset (positive: the clock was fast), seconds.
    pub offset_s: f64,
    /// Frequency change, ppm.
    pub frequency_change_ppm: f64,
    /// The new absolute frequency, ppm.
    pub frequency_ppm: f64,
}

/// Why an entry was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManualRefusal {
    /// Manual input is off.
    NotEnabled,
    /// The time is not sane, or less than 1 s passed since the last entry.
    NotAccepted,
    /// There is no sample with that index.
    NoSample,
}

/// Manual input.
#[derive(Clone, Debug, Default)]
pub struct ManualInput {
    enabled: bool,
    samples: Vec<ManualSample>,
}

impl ManualInput {
    /// Without samples.
    pub fn new(enabled: bool) -> Self {
        Self {
            enabled,
            samples: Vec::new(),
        }
    }

    /// Command `manual on|off`.
    pub fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Whether entries are accepted.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Command `manual reset`.
    pub fn reset(&mut self) {
        self.samples.clear();
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> &[ManualSample] {
        &self.samples
    }

    /// Command `settime`: the time is now `time`. `random` is uniform in [0, 1].
    ///
    /// # Errors
    ///
    /// See [`ManualRefusal`].
    pub fn set_time(
        &mut self,
        time: CookedTime,
        random: f64,
        reference: &mut Reference,
        steering: &mut Steering<'_>,
    ) -> Result<ManualReport, ManualRefusal> {
        if !self.enabled {
            return Err(ManualRefusal::NotEnabled);
        }
        let now = steering.clock.cooked(steering.now.raw);
        let offset_s = now.since(time);
        let too_soon = self
            .samples
            .last()
            .is_some_and(|last| now.since(last.when) < MIN_INTERVAL_S);
        if too_soon || !is_sane(now, -offset_s, steering.clock.window_start_s()) {
            return Err(ManualRefusal::NotAccepted);
        }
        if self.samples.len() >= MAX_SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push(ManualSample {
            when: now,
            offset_s,
            entered_s: offset_s,
            residual_s: 0.0,
        });
        Ok(self.estimate(Some(offset_s), random, reference, steering))
    }

    /// Command `manual delete`: drops a sample, 0 being the oldest, and corrects the clock
    /// by what the rest say.
    ///
    /// # Errors
    ///
    /// [`ManualRefusal::NoSample`].
    pub fn delete(
        &mut self,
        index: usize,
        random: f64,
        reference: &mut Reference,
        steering: &mut Steering<'_>,
    ) -> Result<(), ManualRefusal> {
        if index >= self.samples.len() {
            return Err(ManualRefusal::NoSample);
        }
        self.samples.remove(index);
        if !self.samples.is_empty() {
            self.estimate(None, random, reference, steering);
        }
        Ok(())
    }

    /// Moves the samples with the clock.
    pub fn handle_announcement(&mut self, announcement: &Announcement) {
        match announcement {
            Announcement::Change {
                kind: ChangeKind::UnknownStep,
                ..
            } => self.samples.clear(),
            Announcement::Change { change, .. } => {
                for sample in &mut self.samples {
                    let delta_s = change.delta_s(sample.when);
                    sample.when = sample.when.plus(delta_s);
                    sample.offset_s += delta_s;
                }
            }
            Announcement::ExtraDispersion(_) | Announcement::LeapCorrected(_) => {}
        }
    }

    /// Fits the samples and corrects the clock by the entered offset, or by the fitted one.
    fn estimate(
        &mut self,
        entered_s: Option<f64>,
        random: f64,
        reference: &mut Reference,
        steering: &mut Steering<'_>,
    ) -> ManualReport {
        let (fitted_s, frequency) = self.fit();
        let offset_s = entered_s.unwrap_or(fitted_s);
        steering.journal.info(if frequency == 0.0 {
            format!("Making a slew of {offset_s:.6}")
        } else {
            format!(
                "Making a frequency change of {:.3} ppm and a slew of {offset_s:.6}",
                frequency * 1e6
            )
        });
        let update = ReferenceUpdate {
            key: MANUAL_KEY,
            leap: LeapIndicator::Unsynchronised,
            stratum: 0,
            reference_id: MANUAL_REFERENCE_ID,
            combined_sources: 1,
            time: steering.clock.cooked(steering.now.raw),
            offset_s,
            offset_sd_s: 0.0,
            frequency,
            frequency_sd: SKEW,
            skew: SKEW,
            root_delay_s: 0.0,
            root_dispersion_s: 0.0,
        };
        reference.update_manual(&update, MANUAL_NAME, random, steering);
        ManualReport {
            offset_s: fitted_s,
            frequency_change_ppm: frequency * 1e6,
            frequency_ppm: steering.clock.frequency_ppm(),
        }
    }

    /// Offset at the newest sample and frequency (the clock's gain) of the robust line.
    fn fit(&mut self) -> (f64, f64) {
        let Some(&newest) = self.samples.last() else {
            return (0.0, 0.0);
        };
        let age_s = |sample: &ManualSample| newest.when.since(sample.when);
        let points: Vec<_> = self
            .samples
            .iter()
            .map(|sample| (age_s(sample), sample.offset_s))
            .collect();
        let Some(line) = RobustLine::fit(&points, TOLERANCE) else {
            return (newest.offset_s, 0.0);
        };
        for sample in &mut self.samples {
            sample.residual_s = sample.offset_s - line.at(newest.when.since(sample.when));
        }
        (line.intercept, -line.slope)
    }
}
