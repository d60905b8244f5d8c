//! What the reference tells: served state, tracking report, tracking log (discipline
//! chapter, sections 9.9, 10 and 19).

use crate::journal::LogFile;
use crate::samples::ReferenceUpdate;
use crate::time::CookedTime;

use super::super::Now;
use super::super::local_clock::LocalClock;
use super::super::local_reference::{OwnState, ServedReference};
use super::{Reference, Steering};

/// The tracking report (control protocol chapter, section 10.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackingReport {
    /// Leap status, stratum, reference ID and time, root delay and dispersion as served.
    pub served: ServedReference,
    /// The selected source, while it is what is served; its address belongs into the
    /// report if it is an NTP source.
    pub source: Option<u32>,
    /// Cooked − raw, seconds (positive: the system clock is slow).
    pub correction_s: f64,
    /// Offset at the last update (F+), seconds.
    pub last_offset_s: f64,
    /// Root mean square of the offsets, seconds.
    pub rms_offset_s: f64,
    /// Frequency without temperature compensation, ppm.
    pub frequency_ppm: f64,
    /// Residual frequency, ppm; 0 when not synchronised or the local reference is used.
    pub residual_frequency_ppm: f64,
    /// Skew, ppm; 0 in the same cases.
    pub skew_ppm: f64,
    /// Seconds between the last two updates.
    pub last_interval_s: f64,
}

/// The part of a line that only the update knows.
pub(super) struct LineValues {
    /// Cooked time before the correction, which dates the line.
    pub(super) time: CookedTime,
    pub(super) offset_s: f64,
    pub(super) uncorrected_s: f64,
    pub(super) max_error_s: f64,
}

impl Reference {
    /// The state that is served to others now. `random` is uniform in [0, 1]; it hides the
    /// receive times when the local reference is used.
    pub fn served(&mut self, now: Now, clock: &LocalClock, random: f64) -> ServedReference {
        let time = clock.cooked(now.raw);
        let synchronised = self.is_synchronised();
        let own = OwnState {
            leap: self.leap.served_status(),
            synchronised,
            stratum: self.stratum,
            reference_id: self.reference_id,
            reference_time: self.reference_time,
            root_delay_s: self.root_delay_s,
            root_dispersion_s: self.root_dispersion_at(time),
            since_lost_s: now.monotonic.since(self.unsynchronised_since),
        };
        self.local
            .choose(self.settings.local.as_ref(), &own, time, random)
    }

    /// The tracking report; arguments as of [`Reference::served`].
    pub fn tracking(&mut self, now: Now, clock: &LocalClock, random: f64) -> TrackingReport {
        let served = self.served(now, clock, random);
        let own = served.synchronised;
        TrackingReport {
            served,
            source: if own { self.source } else { None },
            correction_s: clock.correction(now.raw),
            last_offset_s: self.last_offset_s,
            rms_offset_s: self.rms.square.sqrt(),
            frequency_ppm: clock.frequency_ppm(),
            residual_frequency_ppm: if own {
                self.residual_frequency * 1e6
            } else {
                0.0
            },
            skew_ppm: if own { self.skew * 1e6 } else { 0.0 },
            last_interval_s: self.last_interval_s,
        }
    }

    /// Largest error of the system clock since the previous update, seconds.
    pub(super) fn largest_error_s(&self, time: CookedTime) -> f64 {
        self.root_delay_s / 2.0 + self.root_dispersion_at(time) + self.previous_error_s
    }

    /// The line of an update.
    pub(super) fn log_update(
        &mut self,
        update: &ReferenceUpdate,
        name: &str,
        values: &LineValues,
        steering: &mut Steering<'_>,
    ) {
        let combined = (update.combined_sources, update.offset_sd_s);
        self.log_line(name, self.stratum, combined, values, steering);
    }

    /// The line of becoming unsynchronised.
    pub(super) fn log_unsynchronised(&mut self, steering: &mut Steering<'_>) {
        let time = steering.clock.cooked(steering.now.raw);
        let values = LineValues {
            time,
            offset_s: 0.0,
            uncorrected_s: steering.clock.correction(steering.now.raw),
            max_error_s: self.largest_error_s(time),
        };
        self.log_line("0.0.0.0", 0, (0, 0.0), &values, steering);
    }

    fn log_line(
        &mut self,
        name: &str,
        stratum: u8,
        (combined, offset_sd_s): (u32, f64),
        values: &LineValues,
        steering: &mut Steering<'_>,
    ) {
        self.previous_error_s = (values.offset_s - values.uncorrected_s).abs();
        let time = steering.clock.cooked(steering.now.raw);
        let frequency_ppm = steering.clock.frequency_ppm();
        steering.journal.line(LogFile::Tracking, || {
            use crate::samples::text::padded_exponent as e;
            format!(
                "{} {name:<15} {stratum:2} {frequency_ppm:10.3} {:10.3} {} {} {combined:2} {} {} {} {} {}",
                values.time.utc(),
                self.skew * 1e6,
                e(values.offset_s, 10, 3),
                self.leap.status().letter(),
                e(offset_sd_s, 10, 3),
                e(values.uncorrected_s, 10, 3),
                e(self.root_delay_s, 10, 3),
                e(self.root_dispersion_at(time), 10, 3),
                e(values.max_error_s, 10, 3),
            )
        });
    }
}
