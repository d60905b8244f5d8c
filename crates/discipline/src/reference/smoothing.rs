//! Smoothing of served time (discipline chapter, section 14).

use crate::journal::Journal;
use crate::samples::ClockChange;
use crate::time::CookedTime;

use super::local_clock::{Announcement, ChangeKind};

/// Reference ID of smoothed time, 127.127.1.255.
pub const SMOOTHED_REFERENCE_ID: u32 = 0x7F7F_01FF;
/// Smoothing is unlocked when the skew is below so many seconds times the wander.
const UNLOCK_S: f64 = 1e4;

/// `smoothtime`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothingSettings {
    /// Largest frequency, ppm.
    pub max_frequency_ppm: f64,
    /// Largest wander, ppm/s.
    pub max_wander_ppm: f64,
    /// Only leap seconds are smoothed.
    pub leap_only: bool,
}

/// A piece of the plan with constant wander.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Stage {
    /// Change of the frequency, 1/s.
    wander: f64,
    length_s: f64,
}

/// The report of command `smoothing`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothingReport {
    /// Whether smoothing is unlocked.
    pub active: bool,
    /// Whether only leap seconds are smoothed.
    pub leap_only: bool,
    /// O: served − own time, seconds.
    pub offset_s: f64,
    /// Frequency of the served time, ppm.
    pub frequency_ppm: f64,
    /// Its change, ppm/s.
    pub wander_ppm: f64,
    /// Seconds since the last change of the plan; 0 while locked.
    pub last_update_ago_s: f64,
    /// Seconds until the served time is the own time; 0 while locked.
    pub remaining_s: f64,
}

/// The state of the served time.
#[derive(Clone, Copy, Debug)]
struct Position {
    offset_s: f64,
    frequency: f64,
    wander: f64,
}

/// Smoothing of served time.
#[derive(Clone, Debug)]
pub struct Smoothing {
    /// F, s/s.
    max_frequency: f64,
    /// w, 1/s.
    max_wander: f64,
    leap_only: bool,
    locked: bool,
    offset_s: f64,
    frequency: f64,
    stages: [Stage; 3],
    last_update: CookedTime,
}

impl Smoothing {
    /// Locked, with no offset.
    pub fn new(settings: SmoothingSettings, now: CookedTime) -> Self {
        Self {
            max_frequency: settings.max_frequency_ppm.abs() / 1e6,
            max_wander: settings.max_wander_ppm.abs() / 1e6,
            leap_only: settings.leap_only,
            locked: true,
            offset_s: 0.0,
            frequency: 0.0,
            stages: [Stage::default(); 3],
            last_update: now,
        }
    }

    /// Whether only leap seconds are smoothed.
    pub fn is_leap_only(&self) -> bool {
        self.leap_only
    }

    /// O at a time, seconds: what is added to served times if it is larger than the clock's
    /// precision. 0 while locked.
    pub fn offset_at(&self, now: CookedTime) -> f64 {
        if self.locked {
            0.0
        } else {
            self.position(now).offset_s
        }
    }

    /// Follows a change of the clock. `skew` is K of the reference.
    pub fn handle_announcement(
        &mut self,
        announcement: &Announcement,
        skew: f64,
        journal: &mut Journal,
    ) {
        match announcement {
            Announcement::ExtraDispersion(_) => {}
            Announcement::LeapCorrected(back_s) => {
                if self.leap_only && !self.locked {
                    let last_update = self.last_update;
                    self.replan(last_update, 0.0, *back_s);
                }
            }
            Announcement::Change { change, kind } => match kind {
                ChangeKind::Adjust => self.adjust(change, skew, journal),
                ChangeKind::Step => self.reset(change.moved(change.when), journal),
                ChangeKind::UnknownStep | ChangeKind::TimeScale => {
                    self.last_update = change.moved(self.last_update);
                }
            },
        }
    }

    /// Command `smoothtime activate`. Without effect when active.
    pub fn activate(&mut self, now: CookedTime, journal: &mut Journal) {
        if !self.locked {
            return;
        }
        self.locked = false;
        self.last_update = now;
        journal.info(if self.leap_only {
            "Activated time smoothing (leap seconds only)"
        } else {
            "Activated time smoothing"
        });
    }

    /// Command `smoothtime reset`, and every step of the clock.
    pub fn reset(&mut self, now: CookedTime, journal: &mut Journal) {
        self.offset_s = 0.0;
        self.frequency = 0.0;
        self.stages = [Stage::default(); 3];
        self.last_update = now;
        journal.info("Reset time smoothing");
    }

    /// The report.
    pub fn report(&self, now: CookedTime) -> SmoothingReport {
        let position = self.position(now);
        let elapsed_s = now.since(self.last_update);
        let total_s: f64 = self.stages.iter().map(|stage| stage.length_s).sum();
        let (ago_s, remaining_s) = if self.locked {
            (0.0, 0.0)
        } else {
            (elapsed_s, (total_s - elapsed_s).max(0.0))
        };
        SmoothingReport {
            active: !self.locked,
            leap_only: self.leap_only,
            offset_s: position.offset_s,
            frequency_ppm: -position.frequency * 1e6,
            wander_ppm: -position.wander * 1e6,
            last_update_ago_s: ago_s,
            remaining_s,
        }
    }

    fn adjust(&mut self, change: &ClockChange, skew: f64, journal: &mut Journal) {
        if self.locked {
            if self.leap_only || skew < UNLOCK_S * self.max_wander {
                self.activate(change.moved(change.when), journal);
            }
            return;
        }
        let (frequency, offset_s) = if self.leap_only {
            (0.0, 0.0)
        } else {
            (change.frequency, change.offset_s)
        };
        self.replan(change.when, frequency, offset_s);
        self.last_update = change.moved(change.when);
    }

    /// O and f at a time, and the wander then.
    fn position(&self, now: CookedTime) -> Position {
        let mut position = Position {
            offset_s: self.offset_s,
            frequency: self.frequency,
            wander: 0.0,
        };
        let mut left_s = now.since(self.last_update).max(0.0);
        for stage in &self.stages {
            if left_s <= 0.0 {
                break;
            }
            let within_s = left_s.min(stage.length_s);
            position.advance(stage.wander, within_s);
            // The wander in force, unless the stage is over.
            position.wander = if left_s < stage.length_s {
                stage.wander
            } else {
                0.0
            };
            left_s -= within_s;
        }
        position.advance(0.0, left_s);
        position
    }

    /// Takes over what the clock gave up and plans how to serve it.
    fn replan(&mut self, when: CookedTime, frequency: f64, offset_s: f64) {
        let position = self.position(when);
        let changed = (position.frequency - frequency) / (1.0 - frequency);
        self.offset_s = position.offset_s + offset_s;
        self.frequency = if changed.is_finite() { changed } else { 0.0 };
        self.last_update = when;
        self.stages = self.plan();
        let finite = |stage: &Stage| stage.length_s.is_finite() && stage.wander.is_finite();
        if !(self.offset_s.is_finite() && self.stages.iter().all(finite)) {
            self.offset_s = 0.0;
            self.frequency = 0.0;
            self.stages = [Stage::default(); 3];
        }
    }

    /// The three stages that bring O and f to zero.
    fn plan(&self) -> [Stage; 3] {
        let (w, limit) = (self.max_wander, self.max_frequency);
        if w <= 0.0 || limit <= 0.0 {
            return [Stage::default(); 3];
        }
        let lengths = |direction: f64| {
            let square =
                direction * self.offset_s / w + self.frequency * self.frequency / (2.0 * w * w);
            let third = square.max(0.0).sqrt();
            let first = third - direction * self.frequency / w;
            let error = (-square).max(0.0) + first.min(0.0).powi(2);
            (error, first.max(0.0), third)
        };
        let (down, up) = (lengths(-1.0), lengths(1.0));
        let (direction, (_, mut first, mut third)) = if down.0 < up.0 {
            (-1.0, down)
        } else {
            (1.0, up)
        };
        let mut second = 0.0;
        let signed = direction * self.frequency;
        let excess = signed + first * w - limit;
        if excess > 0.0 {
            let cut = (excess / w).min(first);
            let plateau = if excess / w > first { signed } else { limit };
            second = cut * (2.0 + excess / plateau);
            first -= cut;
            third = (third - cut).max(0.0);
        }
        let stage = |wander, length_s| Stage { wander, length_s };
        [
            stage(direction * w, first),
            stage(0.0, second),
            stage(-direction * w, third),
        ]
    }
}

impl Position {
    fn advance(&mut self, wander: f64, time_s: f64) {
        self.offset_s -= time_s * (2.0 * self.frequency + wander * time_s) / 2.0;
        self.frequency += wander * time_s;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::testing::messages;
    use proptest::prelude::*;

    fn at(seconds: f64) -> CookedTime {
        CookedTime::from_parts(1_000_000, 0).plus(seconds)
    }

    fn adjust(seconds: f64, frequency: f64, offset_s: f64) -> Announcement {
        Announcement::Change {
            change: ClockChange {
                when: at(seconds),
                frequency,
                offset_s,
            },
            kind: ChangeKind::Adjust,
        }
    }

    fn smoothing(leap_only: bool) -> Smoothing {
        let settings = SmoothingSettings {
            max_frequency_ppm: 400.0,
            max_wander_ppm: 0.01,
            leap_only,
        };
        Smoothing::new(settings, at(0.0))
    }

    /// Section 14: 9.9 ppm after 1000 s, 20000 s in all.
    #[test]
    fn a_second_takes_twenty_thousand() {
        let mut journal = Journal::new();
        let mut smoothing = smoothing(false);
        smoothing.handle_announcement(&adjust(0.0, 0.0, 0.5), 1e-3, &mut journal);
        assert!(!smoothing.report(at(0.0)).active);
        smoothing.handle_announcement(&adjust(1.0, 0.0, 0.5), 1e-6, &mut journal);
        assert_eq!(smoothing.offset_at(at(1.0)), 0.0);
        smoothing.handle_announcement(&adjust(2.0, 0.0, 1.0), 1e-6, &mut journal);
        let start = at(2.0 - 1.0);
        assert!((smoothing.offset_at(start) - 1.0).abs() < 1e-12);
        let report = smoothing.report(start.plus(990.0));
        assert!((report.frequency_ppm + 9.9).abs() < 1e-6, "{report:?}");
        assert!((report.remaining_s - 19_010.0).abs() < 1e-3, "{report:?}");
        assert!(smoothing.offset_at(start.plus(20_000.0)).abs() < 1e-9);
        assert_eq!(messages(&mut journal), ["Activated time smoothing"]);
    }

    #[test]
    fn leap_only_takes_leap_seconds_alone() {
        let mut journal = Journal::new();
        let mut smoothing = smoothing(true);
        smoothing.handle_announcement(&adjust(1.0, 0.0, 0.5), 1.0, &mut journal);
        smoothing.handle_announcement(&adjust(2.0, 1e-5, 0.5), 1.0, &mut journal);
        assert_eq!(smoothing.offset_at(at(2.0)), 0.0);
        smoothing.handle_announcement(&Announcement::LeapCorrected(1.0), 1.0, &mut journal);
        assert!((smoothing.offset_at(at(1.5)) - 1.0).abs() < 1e-9);
        let step = Announcement::Change {
            change: ClockChange {
                when: at(50.0),
                frequency: 0.0,
                offset_s: 3.0,
            },
            kind: ChangeKind::Step,
        };
        smoothing.handle_announcement(&step, 1.0, &mut journal);
        assert_eq!(smoothing.offset_at(at(60.0)), 0.0);
        assert_eq!(
            messages(&mut journal),
            [
                "Activated time smoothing (leap seconds only)",
                "Reset time smoothing"
            ]
        );
    }

    proptest! {
        #[test]
        fn plans_reach_zero_within_their_limits(changes in prop::collection::vec((0.0..5000.0f64, -1e-5..1e-5f64, -10.0..10.0f64), 1..8)) {
            let mut journal = Journal::new();
            let mut smoothing = smoothing(false);
            smoothing.activate(at(0.0), &mut journal);
            let mut now = 0.0;
            for &(wait_s, frequency, offset_s) in &changes {
                now += wait_s;
                smoothing.handle_announcement(&adjust(now, frequency, offset_s), 1.0, &mut journal);
                now -= offset_s;
            }
            let report = smoothing.report(at(now));
            let end = smoothing.report(at(now + report.remaining_s + 1e-6));
            prop_assert!(end.offset_s.abs() < 1e-6, "{:?}", end);
            prop_assert!(end.frequency_ppm.abs() < 1e-6, "{:?}", end);
            for step in 0..50 {
                let there = smoothing.report(at(now + report.remaining_s * f64::from(step) / 50.0));
                prop_assert!(there.frequency_ppm.abs() <= 500.0);
                prop_assert!(there.wander_ppm.abs() <= 0.01 + 1e-12);
            }
        }

        #[test]
        fn nothing_is_ever_not_finite(frequency in -1.0..0.999f64, offset_s in -5e9..5e9f64, f_max in 0.0..1e6f64, wander in 0.0..1e6f64) {
            let settings = SmoothingSettings { max_frequency_ppm: f_max, max_wander_ppm: wander, leap_only: false };
            let mut smoothing = Smoothing::new(settings, at(0.0));
            let mut journal = Journal::new();
            smoothing.activate(at(0.0), &mut journal);
            smoothing.handle_announcement(&adjust(10.0, frequency, offset_s), 1.0, &mut journal);
            smoothing.handle_announcement(&adjust(20.0, -frequency, offset_s), 1.0, &mut journal);
            let report = smoothing.report(at(1e6));
            prop_assert!(report.offset_s.is_finite() && report.frequency_ppm.is_finite() && report.remaining_s.is_finite());
        }
    }
}
