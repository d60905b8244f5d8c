//! What the start looks at besides the steps that build something: the end of NTP's time, and
//! the time of the last run (`-s`).

use std::time::UNIX_EPOCH;

use chrony_conf::Config;
use discipline::journal::{Entry, Journal, Severity};
use discipline::reference::preset_clock;
use discipline::time::RawTime;
use os_linux::clock::{KernelClock, SystemKernel, raw_time};

use crate::arguments::Arguments;
use crate::defaults;
use crate::output::Output;
use crate::real_time_clock::ChipAtStart;

/// Seconds that NTP timestamps tell apart.
const WINDOW_LENGTH_S: i64 = 1 << 32;

/// Remaining seconds below which their end is warned of: ten years.
const WINDOW_WARNING_S: f64 = 10.0 * 365.0 * 86400.0;

/// The warning when NTP timestamps will soon be taken for those of the window's beginning.
pub fn end_of_time(now: RawTime) -> Option<String> {
    let end = RawTime::from_parts(defaults::WINDOW_START_S + WINDOW_LENGTH_S - 1, 0);
    (end.since(now) < WINDOW_WARNING_S).then(|| format!("Assumed NTP time ends at {}!", end.utc()))
}

/// `-s`: the clock is set by the real-time clock chip, or at least not left before the last
/// modification of the drift file (configuration chapter, section 1.8). Whether the chip's
/// time was usable.
pub fn restore_time(
    arguments: &Arguments,
    config: &Config,
    chip: &ChipAtStart,
    output: &mut Output,
) -> bool {
    let modified = config
        .clock
        .drift_file
        .as_ref()
        .and_then(|path| path.metadata().ok()?.modified().ok())
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| Some((i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())))
        .map_or(RawTime::from_parts(0, 0), |(seconds, ns)| {
            RawTime::from_parts(seconds, i64::from(ns))
        });
    let now = raw_time();
    let mut journal = Journal::new();
    let coefficients = chip.coefficients.as_ref();
    let preset = preset_clock(now, chip.reading_s, coefficients, modified, &mut journal);
    for entry in journal.drain() {
        if let Entry::Message { severity, text, .. } = entry {
            output.write(severity, &text);
        }
    }
    let Some((time, message)) = preset.step else {
        return preset.rtc_used;
    };
    let stepped = arguments.control_clock
        && KernelClock::start(SystemKernel)
            .is_ok_and(|mut clock| clock.step(time.since(now)).is_ok());
    if stepped {
        output.write(Severity::Info, message);
    } else {
        output.write(Severity::Error, "Could not step system clock");
    }
    preset.rtc_used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_years_are_warned_of() {
        // 2094 and 2097, as Debian's chrony with a clock set so.
        assert_eq!(end_of_time(RawTime::from_parts(3_913_056_000, 0)), None);
        assert_eq!(
            end_of_time(RawTime::from_parts(4_007_750_400, 0)).as_deref(),
            Some("Assumed NTP time ends at 2106-02-07 06:28:15!")
        );
    }
}
