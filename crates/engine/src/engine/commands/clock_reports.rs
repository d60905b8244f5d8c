//! What is told about the clock (control-protocol chapter, sections 10.3, 10.5, 10.7 and
//! 10.9).

use control_wire::{
    Address, MAX_MANUAL_SAMPLES, ManualList, ManualSample, Reply, Smoothing, SmoothingFlags,
    Status, Tracking,
};

use super::super::Engine;
use super::Answer;
use super::wire::{float, leap_status, timespec};
use crate::event::Now;

impl Engine {
    pub(super) fn tracking_data(&mut self, now: Now) -> Answer {
        let report = self.steering.tracking(now);
        let served = report.served;
        let address = match report.source {
            Some(_) => self.commands.reference_address,
            None => Address::Unspecified,
        };
        let unsynchronised = served.stratum >= ntp_wire::STRATUM_UNSYNCHRONISED;
        Ok(Reply::Tracking(Tracking {
            ref_id: served.reference_id,
            ip_addr: address,
            stratum: if unsynchronised {
                0
            } else {
                served.stratum.into()
            },
            leap_status: leap_status(served.leap),
            ref_time: timespec(served.reference_time),
            current_correction_s: float(report.correction_s),
            last_offset_s: float(report.last_offset_s),
            rms_offset_s: float(report.rms_offset_s),
            freq_ppm: float(report.frequency_ppm),
            resid_freq_ppm: float(report.residual_frequency_ppm),
            skew_ppm: float(report.skew_ppm),
            root_delay_s: float(served.root_delay_s),
            root_dispersion_s: float(served.root_dispersion_s),
            last_update_interval_s: float(report.last_interval_s),
        }))
    }

    pub(super) fn smoothing_data(&self, now: Now) -> Answer {
        let smoothing = self.commands.smoothing.as_ref().ok_or(Status::NotEnabled)?;
        let (now, _) = self.steering.cook(now.raw);
        let report = smoothing.report(now);
        Ok(Reply::Smoothing(Smoothing {
            flags: SmoothingFlags(0)
                .with(SmoothingFlags::ACTIVE, report.active)
                .with(SmoothingFlags::LEAP_ONLY, report.leap_only),
            offset_s: float(report.offset_s),
            freq_ppm: float(report.frequency_ppm),
            wander_ppm_per_s: float(report.wander_ppm),
            last_update_ago_s: float(report.last_update_ago_s),
            remaining_time_s: float(report.remaining_s),
        }))
    }

    pub(super) fn manual_list(&self) -> Answer {
        let mut samples = [ManualSample::default(); MAX_MANUAL_SAMPLES];
        let kept = self.commands.manual.samples();
        for (told, sample) in samples.iter_mut().zip(kept) {
            *told = ManualSample {
                when: timespec(sample.when),
                slewed_offset_s: float(sample.offset_s),
                orig_offset_s: float(sample.entered_s),
                residual_s: float(sample.residual_s),
            };
        }
        Ok(Reply::ManualList(ManualList {
            // At most 16.
            n_samples: kept.len().min(MAX_MANUAL_SAMPLES) as u32,
            samples,
        }))
    }
}
