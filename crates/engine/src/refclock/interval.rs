//! The end of a polling interval: its samples become one, and a `local` clock steers the
//! system clock between updates (discipline chapter, sections 17.2 and 17.6).

use discipline::journal::Journal;
use discipline::reference::LocalDrift;
use discipline::samples::{ClockChange, Estimate, Sample};
use discipline::time::MonotonicTime;
use ntp_wire::LeapIndicator;

use super::{Refclock, RefclockDriver};

/// The fit that the system clock was adjusted to last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Followed {
    estimate: Estimate,
    at: MonotonicTime,
}

impl Followed {
    pub(super) fn shift(&mut self, change: &ClockChange) {
        self.estimate.shift(change);
    }
}

impl Refclock {
    /// Polling begins now.
    pub(crate) fn start(&mut self, now: MonotonicTime) {
        self.next_poll = Some(now.plus(match self.driver {
            RefclockDriver::Polled => 0.0,
            RefclockDriver::Pushed => self.settings.interval_s(),
        }));
    }

    /// When the driver is to be polled, or the interval of one that is not polled ends.
    pub(crate) fn next_timeout(&self) -> Option<MonotonicTime> {
        self.next_poll
    }

    /// The time of [`Refclock::next_timeout`] has come. Whether the driver is to be polled;
    /// if not, the interval is over.
    pub(crate) fn schedule_next(&mut self, now: MonotonicTime) -> bool {
        let polled = self.driver == RefclockDriver::Polled;
        let interval_s = if polled {
            self.settings.driver_interval_s()
        } else {
            self.settings.interval_s()
        };
        self.next_poll = Some(now.plus(interval_s));
        polled
    }

    /// The driver was polled; whether the interval is over.
    pub(crate) fn count_poll(&mut self) -> bool {
        self.polls = self.polls.saturating_add(1);
        self.polls >= self.settings.polls_in_interval()
    }

    /// The interval is over: reachability is updated, and the filtered sample given, if there
    /// is one. `stratum` is what the clock then announces.
    pub(crate) fn end_interval(&mut self, stratum: u8) -> Option<Sample> {
        self.polls = 0;
        self.reachability.update(std::mem::take(&mut self.reached));
        let sample = self.filter.take()?;
        self.stratum = stratum;
        Some(sample)
    }

    /// Leap status of the samples that were filtered last.
    pub(crate) fn newest_leap(&self) -> LeapIndicator {
        self.newest_leap
    }

    /// Announces a leap status.
    pub(crate) fn set_leap(&mut self, leap: LeapIndicator) {
        self.leap = leap;
    }

    /// Takes a filtered sample into the statistics.
    pub(crate) fn accumulate(&mut self, sample: &Sample, journal: &mut Journal) {
        self.statistics
            .accumulate(sample, &self.settings.name, journal);
    }

    /// What a `local` clock says of the system clock since it was asked last.
    pub(crate) fn take_local_drift(&mut self, now: MonotonicTime) -> Option<LocalDrift> {
        let enough = self.settings.statistics.min_samples.max(1) as usize;
        if !self.settings.local || self.statistics.samples().len() < enough {
            return None;
        }
        let estimate = *self.statistics.estimate();
        let former = self.followed.replace(Followed { estimate, at: now })?;
        let elapsed_s = estimate.time.since(former.estimate.time);
        let offset_s =
            estimate.offset_s - elapsed_s * former.estimate.frequency - former.estimate.offset_s;
        Some(LocalDrift {
            frequency: (estimate.frequency - former.estimate.frequency)
                / (1.0 - former.estimate.frequency),
            offset_s,
            elapsed_s: now.since(former.at),
        })
    }

    /// An offset of a second and more of a `local` clock is reduced by whole seconds.
    pub(crate) fn reduce_local_offset(&mut self) {
        if !self.settings.local {
            return;
        }
        let whole_s = self.statistics.estimate().offset_s.trunc();
        if whole_s != 0.0 {
            self.statistics.correct_offset(-whole_s);
            self.filter.correct_offset(whole_s);
            if let Some(followed) = &mut self.followed {
                followed.estimate.offset_s -= whole_s;
            }
        }
    }
}
