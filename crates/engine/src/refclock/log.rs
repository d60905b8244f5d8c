//! The lines of `refclocks.log` (discipline chapter, section 19).

use discipline::journal::{Journal, LogFile};
use discipline::samples::{Sample, padded_exponent};
use discipline::time::CookedTime;

use super::Refclock;
use super::samples::Candidate;

/// Width and digits of offsets.
const OFFSET: (usize, usize) = (13, 6);
/// Width and digits of dispersions.
const DISPERSION: (usize, usize) = (10, 3);

impl Refclock {
    /// A sample as it came.
    pub(super) fn log_sample(
        &self,
        time: CookedTime,
        candidate: &Candidate,
        journal: &mut Journal,
    ) {
        journal.line(LogFile::Refclocks, || {
            format!(
                "{} {:<5} {:3} {} {} {} {} {}",
                microseconds(time),
                self.name(),
                self.polls,
                candidate.leap.letter(),
                u8::from(candidate.pulse),
                number(candidate.raw_offset_s, OFFSET),
                number(candidate.offset_s, OFFSET),
                number(candidate.dispersion_s, DISPERSION),
            )
        });
    }

    /// What the filter made of the interval.
    pub(crate) fn log_filtered(&self, sample: &Sample, journal: &mut Journal) {
        journal.line(LogFile::Refclocks, || {
            format!(
                "{} {:<5}   - {} -       -       {} {}",
                microseconds(sample.time),
                self.name(),
                self.newest_leap.letter(),
                number(sample.offset_s, OFFSET),
                number(sample.peer_dispersion_s, DISPERSION),
            )
        });
    }
}

fn microseconds(time: CookedTime) -> String {
    format!("{}.{:06}", time.utc(), time.subsec_ns() / 1000)
}

fn number(value: f64, (width, digits): (usize, usize)) -> String {
    padded_exponent(value, width, digits)
}
