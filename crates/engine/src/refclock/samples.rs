//! What is taken from a driver, and what is refused (discipline chapter, section 17.3).

use discipline::journal::Journal;
use discipline::samples::{ReadingQuality, Sample, is_sane};
use discipline::time::CookedTime;
use ntp_wire::LeapIndicator;

use super::{Refclock, RefclockDriver};

/// A moment of which something is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    /// On the daemon's scale.
    pub(crate) time: CookedTime,
    /// Cooked − raw time, seconds.
    pub(crate) correction_s: f64,
    /// Bound of the error of that, seconds.
    pub(crate) error_s: f64,
    /// Now.
    pub(crate) now: CookedTime,
}

/// A sample that may be accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// The clock − raw time (S+), seconds.
    pub(crate) raw_offset_s: f64,
    /// The clock − cooked time with the configured offset (S+), seconds.
    pub(crate) offset_s: f64,
    /// Dispersion, seconds.
    pub(crate) dispersion_s: f64,
    /// Leap status to go with it.
    pub(crate) leap: LeapIndicator,
    /// Made of a pulse.
    pub(crate) pulse: bool,
}

impl Refclock {
    /// Takes a sample that knows its second. `raw_offset_s` is clock − raw time, without the
    /// leap seconds of TAI.
    pub(crate) fn take_timed(
        &mut self,
        when: &When,
        raw_offset_s: f64,
        leap: LeapIndicator,
        quality: ReadingQuality,
        window_start_s: i64,
        journal: &mut Journal,
    ) {
        let offset_s = raw_offset_s - when.correction_s + self.settings.offset_s;
        let synchronised = leap != LeapIndicator::Unsynchronised;
        if !is_sane(when.time, offset_s, window_start_s) || !self.is_recent(when) || !synchronised {
            let name = self.name();
            journal.debug(|| format!("{name} refclock sample ignored"));
            return;
        }
        if quality == ReadingQuality::Reachable {
            self.reached = true;
            return;
        }
        let candidate = Candidate {
            raw_offset_s,
            offset_s,
            dispersion_s: when.error_s + self.settings.precision_s,
            leap,
            pulse: false,
        };
        self.accept(when, &candidate, journal);
    }

    /// Neither in the future nor from before the interval before this one.
    pub(super) fn is_recent(&self, when: &When) -> bool {
        let age_s = when.now.since(when.time);
        (0.0..=2.0 * self.settings.interval_s()).contains(&age_s)
    }

    /// Gives a sample to the filter.
    pub(super) fn accept(&mut self, when: &When, candidate: &Candidate, journal: &mut Journal) {
        let delay_s = self.settings.delay_s;
        let taken = self.filter.accumulate(Sample {
            time: when.time,
            offset_s: candidate.offset_s,
            peer_delay_s: delay_s,
            peer_dispersion_s: candidate.dispersion_s,
            root_delay_s: delay_s,
            root_dispersion_s: candidate.dispersion_s,
        });
        if !taken {
            return;
        }
        self.reached = true;
        self.newest_leap = if self.settings.local {
            LeapIndicator::Unsynchronised
        } else {
            candidate.leap
        };
        self.log_sample(when.time, candidate, journal);
        if self.driver == RefclockDriver::Pushed {
            self.polls = self.polls.saturating_add(1);
        }
    }
}
