//! The real-time clock: setting the system clock from it at start, measuring its offset and
//! rate, trimming it (discipline chapter, section 16).
//!
//! Reading the device and converting its broken-down time (local or UTC) to seconds is the
//! owner's; here an RTC reading is a whole number of seconds.

mod coefficients;
mod preset;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::journal::LogFile;
use crate::time::{CookedTime, MonotonicTime};

use super::local_clock::{Announcement, ChangeKind};
use super::state::Steering;
use crate::samples::RobustLine;

pub use coefficients::RtcCoefficients;
pub use preset::{RtcPreset, preset_clock};

/// Samples kept.
const MAX_SAMPLES: usize = 64;
/// Samples dropped when there is no room.
const DROPPED_WHEN_FULL: usize = 4;
/// Readings in a row at start and after a trim.
const RAPID_SAMPLES: usize = 8;
/// Tolerance of the robust line's slope, s/s.
const TOLERANCE: f64 = 1e-9;
/// Smallest error that can be trimmed, seconds.
const MIN_TRIM_S: f64 = 1.0;
/// Stratum of an unsynchronised daemon.
const UNSYNCHRONISED_STRATUM: u8 = 16;

/// What the configuration says about the RTC.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RtcSettings {
    /// `rtcautotrim`, seconds; 0 = off.
    pub auto_trim_s: f64,
}

/// What the owner has to do with the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RtcAction {
    /// Enable the update interrupt. Ignore the first one; at the next read the RTC and call
    /// [`Rtc::handle_measurement`], then again at each further one until
    /// [`RtcAction::StopMeasuring`].
    StartMeasuring,
    /// Disable the update interrupt.
    StopMeasuring,
    /// Set the RTC to this time, whole seconds; a failure is logged with
    /// [`Rtc::SET_FAILED`].
    SetTime(i64),
    /// Write the rtcfile (through a temporary file and a rename).
    WriteFile(RtcCoefficients),
    /// The fine measurement at start is over; normal start-up goes on.
    InitialDone,
}

/// The report of command `rtcdata`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RtcReport {
    /// RTC time of the last measurement, seconds.
    pub reference_s: i64,
    /// Samples in use.
    pub samples: u16,
    /// Runs of residuals.
    pub runs: u16,
    /// From the oldest to the newest sample, seconds.
    pub span_s: u32,
    /// RTC − system time at the last measurement, seconds.
    pub offset_s: f64,
    /// Gain of the RTC on the system clock, ppm.
    pub rate_ppm: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct RtcSample {
    rtc_s: i64,
    cooked: CookedTime,
}

impl RtcSample {
    /// RTC − system, seconds.
    fn offset_s(&self) -> f64 {
        CookedTime::from_parts(self.rtc_s, 0).since(self.cooked)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Nothing is measured yet.
    Stopped,
    /// Rapid readings before the start, compared with the rtcfile.
    Initial(Option<RtcCoefficients>),
    /// A single measurement is due at this time.
    Waiting(MonotonicTime),
    /// A measurement is being made.
    Measuring,
    /// Rapid readings after the RTC was set; the rate (s/s) from before.
    AfterTrim(f64),
}

/// Tracks the RTC.
#[derive(Debug)]
pub struct Rtc {
    settings: RtcSettings,
    phase: Phase,
    samples: Vec<RtcSample>,
    fit: Option<Fit>,
    /// Interval before the measurement to come, seconds.
    interval_s: u32,
    actions: VecDeque<RtcAction>,
}

/// Offset and rate at the newest sample.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    reference_s: i64,
    offset_s: f64,
    rate: f64,
    runs: u32,
}

impl Fit {
    fn coefficients(&self) -> RtcCoefficients {
        RtcCoefficients {
            valid: true,
            reference_time_s: self.reference_s,
            offset_s: self.offset_s,
            rate_ppm: self.rate * 1e6,
        }
    }
}

impl Rtc {
    /// Message when the RTC could not be set.
    pub const SET_FAILED: &'static str = "Could not set RTC time";

    /// A room in which nothing happens until [`Rtc::start_initial`] or [`Rtc::start`].
    pub fn new(settings: RtcSettings) -> Self {
        Self {
            settings,
            phase: Phase::Stopped,
            samples: Vec::new(),
            fit: None,
            interval_s: 0,
            actions: VecDeque::new(),
        }
    }

    /// Starts the fine measurement before the NTP start (-s with rtcfile). It ends with
    /// [`RtcAction::InitialDone`].
    pub fn start_initial(&mut self, file: Option<RtcCoefficients>) {
        self.phase = Phase::Initial(file.filter(|file| file.valid));
        self.actions.push_back(RtcAction::StartMeasuring);
    }

    /// Starts tracking.
    pub fn start(&mut self, now: MonotonicTime) {
        self.samples.clear();
        self.fit = None;
        self.interval_s = 0;
        self.phase = Phase::Waiting(now);
    }

    /// What is to be done with the device next.
    pub fn poll_action(&mut self) -> Option<RtcAction> {
        self.actions.pop_front()
    }

    /// When [`Rtc::handle_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        match self.phase {
            Phase::Waiting(due) => Some(due),
            _ => None,
        }
    }

    /// Starts the measurement that is due.
    pub fn handle_timeout(&mut self, now: MonotonicTime) {
        if self.next_timeout().is_some_and(|due| due <= now) {
            self.phase = Phase::Measuring;
            self.actions.push_back(RtcAction::StartMeasuring);
        }
    }

    /// The RTC was read at an update interrupt, at event time. `stratum` is the own
    /// stratum, 16 when unsynchronised.
    pub fn handle_measurement(&mut self, rtc_s: i64, stratum: u8, steering: &mut Steering<'_>) {
        let cooked = steering.clock.cooked(steering.now.raw);
        match self.phase {
            Phase::Stopped | Phase::Waiting(_) => {}
            Phase::Initial(file) => {
                self.add(RtcSample { rtc_s, cooked });
                if self.samples.len() >= RAPID_SAMPLES {
                    self.end_initial(file, steering);
                }
            }
            Phase::AfterTrim(rate) => {
                self.add(RtcSample { rtc_s, cooked });
                if self.samples.len() >= RAPID_SAMPLES {
                    self.end_trim(rate, steering.now.monotonic);
                }
            }
            Phase::Measuring => {
                self.add(RtcSample { rtc_s, cooked });
                self.fit_samples();
                self.log(steering);
                self.actions.push_back(RtcAction::StopMeasuring);
                self.interval_s = next_interval_s(self.samples.len());
                let due = steering.now.monotonic.plus(f64::from(self.interval_s));
                self.phase = Phase::Waiting(due);
                self.auto_trim(stratum, steering);
            }
        }
    }

    /// Command `trimrtc`: sets the RTC if it is wrong by more than a second.
    pub fn trim(&mut self, steering: &mut Steering<'_>) {
        let Some(fit) = self.fit else { return };
        let settled = matches!(self.phase, Phase::Waiting(_));
        if !settled || fit.offset_s.abs() <= MIN_TRIM_S {
            return;
        }
        steering
            .journal
            .info(format!("RTC wrong by {:.3} seconds (step)", fit.offset_s));
        let cooked = steering.clock.cooked(steering.now.raw);
        self.actions.push_back(RtcAction::SetTime(cooked.seconds()));
        self.actions.push_back(RtcAction::StartMeasuring);
        self.samples.clear();
        self.fit = None;
        self.phase = Phase::AfterTrim(fit.rate);
    }

    /// What the rtcfile is to hold, once there are coefficients (command `writertc`).
    pub fn coefficients(&self) -> Option<RtcCoefficients> {
        self.fit.map(|fit| fit.coefficients())
    }

    /// Exit: the rtcfile is written if there are coefficients.
    pub fn write(&mut self) {
        let coefficients = self.coefficients();
        self.actions.extend(coefficients.map(RtcAction::WriteFile));
    }

    /// The report.
    pub fn report(&self) -> RtcReport {
        let reference_s = self.samples.last().map_or(0, |newest| newest.rtc_s);
        let oldest_s = self.samples.first().map_or(0, |oldest| oldest.rtc_s);
        RtcReport {
            reference_s,
            samples: self.samples.len() as u16,
            runs: self.fit.map_or(0, |fit| fit.runs as u16),
            span_s: u32::try_from(reference_s.saturating_sub(oldest_s)).unwrap_or(u32::MAX),
            offset_s: self.fit.map_or(0.0, |fit| fit.offset_s),
            rate_ppm: self.fit.map_or(0.0, |fit| fit.rate * 1e6),
        }
    }

    /// Moves the samples with the clock.
    pub fn handle_announcement(&mut self, announcement: &Announcement) {
        let Announcement::Change { change, kind } = announcement else {
            return;
        };
        if *kind == ChangeKind::UnknownStep {
            self.samples.clear();
            return;
        }
        for sample in &mut self.samples {
            sample.cooked = change.moved(sample.cooked);
        }
        if let Some(fit) = &mut self.fit {
            fit.offset_s += change.offset_s;
            fit.rate += change.frequency * (1.0 - fit.rate);
        }
    }

    fn add(&mut self, sample: RtcSample) {
        if self
            .samples
            .last()
            .is_some_and(|last| sample.rtc_s <= last.rtc_s)
        {
            self.samples.clear();
        }
        if self.samples.len() >= MAX_SAMPLES {
            self.samples.drain(..DROPPED_WHEN_FULL);
        }
        self.samples.push(sample);
    }

    /// Fits offset and rate; the runs test may drop old samples.
    fn fit_samples(&mut self) {
        let Some(&newest) = self.samples.last() else {
            return;
        };
        let points: Vec<_> = self
            .samples
            .iter()
            .map(|sample| {
                let x = CookedTime::from_parts(sample.rtc_s, 0)
                    .since(CookedTime::from_parts(newest.rtc_s, 0));
                (x, sample.offset_s())
            })
            .collect();
        self.fit = RobustLine::fit(&points, TOLERANCE).map(|line| {
            self.samples.drain(..line.dropped);
            Fit {
                reference_s: newest.rtc_s,
                offset_s: line.intercept,
                rate: line.slope,
                runs: line.runs,
            }
        });
    }

    fn auto_trim(&mut self, stratum: u8, steering: &mut Steering<'_>) {
        let threshold_s = self.settings.auto_trim_s;
        let wanted = self
            .fit
            .is_some_and(|fit| threshold_s > 0.0 && fit.offset_s.abs() >= threshold_s);
        if wanted && stratum < UNSYNCHRONISED_STRATUM {
            self.trim(steering);
        }
    }

    /// Compares the fine measurement with the rtcfile.
    fn end_initial(&mut self, file: Option<RtcCoefficients>, steering: &mut Steering<'_>) {
        self.fit_samples();
        match (file, self.fit) {
            (Some(file), Some(fit)) => {
                // The RTC should be ahead by what the file says; the clock is ahead by
                // what is missing.
                let error_s = file.offset_at(fit.reference_s) - fit.offset_s;
                let now = steering.now;
                steering.journal.info(format!(
                    "System clock off from RTC by {error_s:.6} seconds (slew)"
                ));
                // A refusal is logged; the clock then starts as it is.
                let _ = steering
                    .clock
                    .accumulate_offset(now, error_s, 0.0, steering.journal);
            }
            _ => steering.journal.warning("No valid rtcfile coefficients"),
        }
        self.samples.clear();
        self.fit = None;
        self.phase = Phase::Stopped;
        self.actions.push_back(RtcAction::StopMeasuring);
        self.actions.push_back(RtcAction::InitialDone);
    }

    /// After the RTC was set: its new offset is written with the old rate, and tracking
    /// starts from scratch.
    fn end_trim(&mut self, rate: f64, now: MonotonicTime) {
        self.fit_samples();
        if let Some(fit) = self.fit {
            let fit = Fit { rate, ..fit };
            self.actions
                .push_back(RtcAction::WriteFile(fit.coefficients()));
        }
        self.actions.push_back(RtcAction::StopMeasuring);
        self.start(now.plus(f64::from(next_interval_s(0))));
    }

    fn log(&self, steering: &mut Steering<'_>) {
        let Some(newest) = self.samples.last() else {
            return;
        };
        let (valid, offset_s, rate_ppm, runs) = match self.fit {
            Some(fit) => (1, fit.offset_s, fit.rate * 1e6, fit.runs),
            None => (0, 0.0, 0.0, 0),
        };
        steering.journal.line(LogFile::Rtc, || {
            format!(
                "{} {:14.6} {valid}  {offset_s:14.6}  {rate_ppm:12.3}  {:2}  {runs:2} {:4}",
                newest.cooked.utc(),
                newest.offset_s(),
                self.samples.len(),
                self.interval_s
            )
        });
    }
}

/// Seconds until the next measurement (table of section 16.3).
fn next_interval_s(samples: usize) -> u32 {
    match samples {
        0..4 => 15,
        4..6 => 30,
        6..10 => 60,
        10..14 => 120,
        _ => 240,
    }
}
