//! `rtcdata`, `trimrtc`, `writertc` (control-protocol chapter, section 10.5).

use control_wire::{Datagram, Reply, RequestHeader, Rtc, Status};
use discipline::time::CookedTime;

use super::super::Engine;
use super::wire::{float, timespec};
use super::{Answer, DONE};
use crate::event::Now;

/// A `writertc` whose answer waits for the file: the owner writes it and sends the reply.
#[derive(Debug)]
pub struct PendingSave {
    /// What the rtcfile is to hold.
    pub contents: String,
    header: RequestHeader,
}

impl PendingSave {
    /// The reply, when it is known whether the file could be written.
    pub fn reply(&self, saved: bool) -> Datagram {
        let status = if saved {
            Status::Success
        } else {
            Status::BadRtcFile
        };
        Reply::Null.answer(&self.header, status)
    }
}

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

    /// Answered at once when there is nothing to write.
    pub(super) fn write_rtc_by_command(&mut self, header: &RequestHeader) -> Answer {
        if let Some(contents) = self.rtc_file_contents().ok_or(Status::NoRtc)? {
            self.commands.pending_save = Some(PendingSave {
                contents,
                header: *header,
            });
        }
        DONE
    }
}
