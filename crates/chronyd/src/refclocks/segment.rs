//! The driver `SHM`: another program writes samples into shared memory.

use chrony_conf::refclock::RefclockSpec;
use engine::refclock::RefclockData;
use os_linux::hardware::{SegmentSample, SharedSegment};

use super::{Driver, Report, leap, number};
use crate::output::Output;

/// Permissions of a segment that the daemon makes.
const PERMISSIONS: u32 = 0o600;

/// The segment of one unit.
pub(super) struct Segment(SharedSegment);

impl Segment {
    pub(super) fn open(spec: &RefclockSpec) -> Result<Self, String> {
        let permissions = spec.driver_option("perm").map_or(PERMISSIONS, permissions);
        let attached = SharedSegment::attach(number(&spec.parameter), permissions);
        attached.map(Self).map_err(|error| error.to_string())
    }
}

/// Octal digits as far as they go, 0 without any.
fn permissions(text: &str) -> u32 {
    let digits = text.chars().map_while(|letter| letter.to_digit(8));
    digits.fold(0, |value, digit| (value * 8 + digit) & 0o777)
}

impl Driver for Segment {
    fn poll(&mut self, report: Report<'_>, _output: &mut Output) {
        let copy = self.0.take();
        if let Some(sample) = copy.and_then(|copy| SegmentSample::parse(&copy)) {
            report(RefclockData::Timed {
                local: sample.local,
                reference: sample.reference,
                leap: leap(sample.leap),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_octal() {
        assert_eq!(
            ["0660", "666", "70777", "8", "", "64x"].map(permissions),
            [0o660, 0o666, 0o777, 0, 0, 0o64]
        );
    }
}
