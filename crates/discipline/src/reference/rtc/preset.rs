//! Setting the system clock from the RTC or the drift file's age (option -s; discipline
//! chapter, section 16.2).

use crate::journal::Journal;
use crate::time::RawTime;

use super::RtcCoefficients;

/// An RTC reading stands for the middle of its second.
const HALF_SECOND_S: f64 = 0.5;
/// Differences below this are left alone, seconds.
const MIN_STEP_S: f64 = 1.0;

/// What is to be done with the system clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RtcPreset {
    /// The time the clock is to be stepped to, and the message after it was.
    pub step: Option<(RawTime, &'static str)>,
    /// Whether the RTC gave a usable time, so that the fine measurement may follow.
    pub rtc_used: bool,
}

/// Decides with the RTC's reading (two equal ones in a row, seconds), the rtcfile and the
/// modification time of the drift file (0 if there is none).
pub fn preset_clock(
    system: RawTime,
    reading_s: Option<i64>,
    file: Option<&RtcCoefficients>,
    drift_file_time: RawTime,
    journal: &mut Journal,
) -> RtcPreset {
    let estimate = reading_s.map(|reading_s| {
        let correction_s = file
            .filter(|file| file.valid)
            .map_or(0.0, |file| file.offset_at(reading_s));
        RawTime::from_parts(reading_s, 0).plus(HALF_SECOND_S - correction_s)
    });
    if let Some(estimate) = estimate {
        if estimate >= drift_file_time {
            let step = system.since(estimate).abs() >= MIN_STEP_S;
            return RtcPreset {
                step: step.then_some((estimate, "System time set from RTC")),
                rtc_used: true,
            };
        }
        journal.warning("RTC time before last driftfile modification (ignored)");
    }
    let behind = system < drift_file_time;
    RtcPreset {
        step: behind.then_some((drift_file_time, "System time restored from driftfile")),
        rtc_used: false,
    }
}
