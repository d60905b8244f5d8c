//! `rtcdata`, `trimrtc`, `writertc` (control-protocol chapter, section 10.5).

use control_wire::{Reply, Rtc, Status};
use discipline::time::CookedTime;

use super::super::Engine;
use super::wire::{float, timespec};
use super::{Answer, DONE};
use crate::event::Now;

/// A command that only works with a tracked chip.
fn done_if(tracked: bool) -> Answer {
    if tracked { DONE } else { Err(Status::NoRtc) }
}

impl Engine {
    pub(super) fn rtc_data(&self) -> Answer {
        let report = self.rtc_report().ok_or(Status::NoRtc)?;
        Ok(Reply::Rtc(Rtc {
            ref_time: timespec(CookedTime::from_parts(report.reference_s, 0)),
            n_samples: report.samples,
            n_runs: report.runs,
            span_s: report.span_s,
            rtc_seconds_fast: float(report.offset_s),
            rtc_gain_rate_ppm: float(report.rate_ppm),
        }))
    }

    pub(super) fn trim_rtc_by_command(&mut self, now: Now) -> Answer {
        done_if(self.trim_rtc(now))
    }

    pub(super) fn write_rtc_by_command(&mut self) -> Answer {
        done_if(self.write_rtc())
    }
}
