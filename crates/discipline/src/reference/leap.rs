//! Leap seconds: own status, timer and action (discipline chapter, sections 11.3 and 11.4).

use ntp_wire::LeapIndicator;

use crate::journal::Journal;
use crate::time::{CookedTime, MonotonicTime, RawTime};

use super::driver::PendingLeap;
use super::leap_database::{LeapDatabase, LeapLookup};
use super::local_clock::Announcement;
use super::state::Steering;

/// Seconds in a day.
const DAY_S: i64 = 86_400;
/// Samples this close to a leap second are dropped, seconds.
const CLOSE_S: f64 = 5.0;
/// How long before the kernel acts the timer of mode `system` runs out, seconds.
const KERNEL_LEAD_S: f64 = 0.5;
/// From the action to the end of the leap second, seconds.
const DURATION_S: f64 = 2.0;

/// `leapsecmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeapMode {
    /// The kernel inserts or deletes the second.
    #[default]
    System,
    /// The clock is stepped.
    Step,
    /// The clock is slewed.
    Slew,
    /// Nothing is done.
    Ignore,
}

/// Said of a sample that is not used because of [`is_close`].
pub const SAMPLE_DROPPED: &str = "Dropping sample around leap second";

/// Whether a raw time, or one of some cooked times, is within 5 s of a leap second at
/// `when_s` (POSIX seconds; section 11.3). Then leap values of sources are not taken and new
/// samples are dropped.
pub fn is_close(when_s: Option<i64>, raw: RawTime, cooked: &[CookedTime]) -> bool {
    let Some(when_s) = when_s else {
        return false;
    };
    let when = RawTime::from_parts(when_s, 0);
    let when_cooked = CookedTime::from_parts(when_s, 0);
    raw.since(when).abs() <= CLOSE_S
        || cooked
            .iter()
            .any(|time| time.since(when_cooked).abs() <= CLOSE_S)
}

/// What the configuration says about leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeapSettings {
    /// `leapsecmode`.
    pub mode: LeapMode,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Idle,
    /// The leap second comes at this time.
    Armed(MonotonicTime),
    /// The leap second is over at this time.
    Running(MonotonicTime),
}

/// Own leap status and the coming leap second.
#[derive(Debug)]
pub struct LeapSchedule {
    mode: LeapMode,
    status: LeapIndicator,
    voted: LeapIndicator,
    pending: PendingLeap,
    tai_offset_s: Option<i32>,
    /// The leap second that comes or was last: midnight, or 23:59:59 for a deletion.
    when_s: Option<i64>,
    phase: Phase,
    database: Option<LeapDatabase>,
}

impl LeapSchedule {
    /// Nothing pending, not synchronised. Without support by the kernel mode `system`
    /// becomes `step`.
    pub fn new(settings: LeapSettings, kernel_supports_leap: bool) -> Self {
        let mode = match settings.mode {
            LeapMode::System if !kernel_supports_leap => LeapMode::Step,
            mode => mode,
        };
        Self {
            mode,
            status: LeapIndicator::Unsynchronised,
            voted: LeapIndicator::Unsynchronised,
            pending: PendingLeap::None,
            tai_offset_s: None,
            when_s: None,
            phase: Phase::Idle,
            database: None,
        }
    }

    /// The mode in force.
    pub fn mode(&self) -> LeapMode {
        self.mode
    }

    /// Uses a leap second database.
    pub fn set_database(&mut self, database: Option<LeapDatabase>) {
        self.database = database;
    }

    /// Whether a leap second database is in use.
    pub fn has_database(&self) -> bool {
        self.database.is_some()
    }

    /// What the database says about a time (POSIX seconds); `None` without a database.
    pub fn look_up(&mut self, seconds: i64, journal: &mut Journal) -> Option<LeapLookup> {
        Some(self.database.as_mut()?.look_up(seconds, journal))
    }

    /// Own leap status.
    pub fn status(&self) -> LeapIndicator {
        self.status
    }

    /// Leap status for others: unsynchronised while the leap second runs.
    pub fn served_status(&self) -> LeapIndicator {
        match self.phase {
            Phase::Running(_) => LeapIndicator::Unsynchronised,
            _ => self.status,
        }
    }

    /// The leap second that is pending.
    pub fn pending(&self) -> PendingLeap {
        self.pending
    }

    /// When the leap second that is pending (or just happening) is, POSIX seconds.
    pub fn when_s(&self) -> Option<i64> {
        self.when_s
    }

    /// When the timer runs out; the reference looks after it.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        match self.phase {
            Phase::Idle => None,
            Phase::Armed(due) | Phase::Running(due) => Some(due),
        }
    }

    /// Whether the leap second is due to begin: [`LeapSchedule::served_status`] is about to be
    /// unsynchronised.
    pub fn begins(&self, now: MonotonicTime) -> bool {
        matches!(self.phase, Phase::Armed(due) if due <= now)
    }

    pub(super) fn is_due(&self, now: MonotonicTime) -> bool {
        self.next_timeout().is_some_and(|due| due <= now)
    }

    /// The sources vote for `voted`.
    pub(super) fn update(&mut self, voted: LeapIndicator, steering: &mut Steering<'_>) {
        self.voted = voted;
        if voted == LeapIndicator::Unsynchronised {
            return self.lose(steering);
        }
        let raw = steering.now.raw;
        let running = matches!(self.phase, Phase::Running(_));
        let cooked = steering.clock.cooked(raw);
        if !running && !is_close(self.when_s, raw, &[cooked]) {
            let (pending, tai_offset_s) = self.evaluate(voted, raw.seconds(), steering.journal);
            let tai_offset_s = tai_offset_s.or(self.tai_offset_s);
            let changed = pending != self.pending || tai_offset_s != self.tai_offset_s;
            self.pending = pending;
            self.tai_offset_s = tai_offset_s;
            if changed {
                self.tell_kernel(steering);
            }
            self.arm(steering);
        }
        self.status = match self.pending {
            PendingLeap::None => LeapIndicator::Normal,
            PendingLeap::Insert => LeapIndicator::InsertSecond,
            PendingLeap::Delete => LeapIndicator::DeleteSecond,
        };
    }

    /// The leap second pending at a time, and TAI − UTC.
    fn evaluate(
        &mut self,
        voted: LeapIndicator,
        seconds: i64,
        journal: &mut Journal,
    ) -> (PendingLeap, Option<i32>) {
        let known = self.look_up(seconds, journal);
        let pending = match voted {
            LeapIndicator::InsertSecond => PendingLeap::Insert,
            LeapIndicator::DeleteSecond => PendingLeap::Delete,
            _ => known.map_or(PendingLeap::None, |known| known.leap),
        };
        let date = RawTime::from_parts(seconds, 0).utc();
        let leap_day = matches!((date.month, date.day), (6, 30) | (12, 31));
        let tai_offset_s = known.and_then(|known| known.tai_offset_s);
        if leap_day {
            (pending, tai_offset_s)
        } else {
            (PendingLeap::None, tai_offset_s)
        }
    }

    /// Synchronisation is lost: a pending leap second is given up. One that is already
    /// running is brought to its end.
    pub(super) fn lose(&mut self, steering: &mut Steering<'_>) {
        self.status = LeapIndicator::Unsynchronised;
        self.voted = LeapIndicator::Unsynchronised;
        if !matches!(self.phase, Phase::Running(_)) {
            self.cancel(steering);
        }
    }

    /// Gives up the pending leap second.
    pub(super) fn cancel(&mut self, steering: &mut Steering<'_>) {
        self.phase = Phase::Idle;
        if std::mem::take(&mut self.pending) != PendingLeap::None {
            self.tell_kernel(steering);
        }
    }

    /// The clock was stepped: day and timer may be others.
    pub(super) fn reconsider(&mut self, steering: &mut Steering<'_>) {
        if self.voted != LeapIndicator::Unsynchronised {
            self.update(self.voted, steering);
        }
    }

    fn tell_kernel(&mut self, steering: &mut Steering<'_>) {
        if self.mode != LeapMode::System {
            return;
        }
        let tai_offset_s = self.tai_offset_s.filter(|&offset_s| offset_s != 0);
        match steering
            .clock
            .driver_mut()
            .set_leap(self.pending, tai_offset_s)
        {
            Ok(update) => {
                if let Some(offset_s) = update.tai_offset_s {
                    let text = format!("System clock TAI offset set to {offset_s} seconds");
                    steering.journal.info(text);
                }
                if let Some(text) = update.status_text {
                    let text = format!("System clock status {text} leap second");
                    steering.journal.info(text);
                }
            }
            Err(error) => steering.journal.fatal(error.0),
        }
    }

    /// Sets the timer for the pending leap second.
    fn arm(&mut self, steering: &Steering<'_>) {
        let raw = steering.now.raw;
        let midnight_s = (raw.seconds().div_euclid(DAY_S) + 1) * DAY_S;
        let when_s = match self.pending {
            PendingLeap::None => {
                self.phase = Phase::Idle;
                return;
            }
            PendingLeap::Insert => midnight_s,
            PendingLeap::Delete => midnight_s - 1,
        };
        self.when_s = Some(when_s);
        let lead_s = if self.mode == LeapMode::System {
            KERNEL_LEAD_S
        } else {
            0.0
        };
        let wait_s = RawTime::from_parts(when_s, 0).since(raw) - lead_s;
        self.phase = Phase::Armed(steering.now.monotonic.plus(wait_s.max(0.0)));
    }

    pub(super) fn handle_timeout(&mut self, steering: &mut Steering<'_>) {
        match self.phase {
            Phase::Idle => {}
            Phase::Armed(_) => {
                self.phase = Phase::Running(steering.now.monotonic.plus(DURATION_S));
                self.act(f64::from(self.pending.seconds()), steering);
            }
            Phase::Running(_) => self.end(steering),
        }
    }

    /// The leap second itself. `back_s` is 1 for an inserted second.
    fn act(&mut self, back_s: f64, steering: &mut Steering<'_>) {
        let now = steering.now;
        match self.mode {
            LeapMode::System => {}
            LeapMode::Ignore => steering.journal.warning("Ignoring leap second"),
            LeapMode::Step => {
                steering.clock.announce_time_scale(now, back_s);
                match steering.clock.step(now, back_s, steering.journal) {
                    Ok(after) => steering.now = after,
                    Err(_) => {
                        // Without clock control the cooked time makes the step alone.
                        let _ =
                            steering
                                .clock
                                .accumulate_offset(now, back_s, 0.0, steering.journal);
                    }
                }
                steering.clock.announce(Announcement::LeapCorrected(back_s));
                steering
                    .journal
                    .warning("System clock was stepped for leap second");
            }
            LeapMode::Slew => {
                steering.clock.announce_time_scale(now, back_s);
                let _ = steering
                    .clock
                    .accumulate_offset(now, back_s, 0.0, steering.journal);
                steering.clock.announce(Announcement::LeapCorrected(back_s));
                steering
                    .journal
                    .warning("Adjusting system clock for leap second");
            }
        }
    }

    /// The leap second is over.
    fn end(&mut self, steering: &mut Steering<'_>) {
        self.phase = Phase::Idle;
        let leap = std::mem::take(&mut self.pending);
        self.tai_offset_s = self
            .tai_offset_s
            .map(|offset_s| offset_s.saturating_add(leap.seconds()));
        self.tell_kernel(steering);
        if self.status != LeapIndicator::Unsynchronised {
            self.status = LeapIndicator::Normal;
        }
    }
}
