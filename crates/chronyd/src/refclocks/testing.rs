//! What the tests of the drivers share.

use discipline::time::RawTime;
use engine::refclock::RefclockData;

use super::Driver;
use crate::daemon::now;
use crate::output::Output;

/// An output whose lines can be read.
pub(super) struct Log {
    pub(super) output: Output,
    folder: tempfile::TempDir,
}

impl Log {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut output = Output::stderr();
        output.use_file(&folder.path().join("log")).expect("log");
        Self { output, folder }
    }

    /// Messages so far, without time stamps.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("log")).expect("log");
        let lines = text.lines().filter_map(|line| line.split_once("Z "));
        lines.map(|(_, text)| text.to_owned()).collect()
    }
}

fn seconds(time: RawTime) -> String {
    format!("{}.{:09}", time.seconds(), time.subsec_ns())
}

/// What is reported, in words.
fn describe(data: RefclockData<'_>) -> String {
    match data {
        RefclockData::Timed {
            reference, leap, ..
        } => format!("time {} {}", seconds(reference), leap.bits()),
        RefclockData::Pulse { local, fraction_s } => {
            format!("pulse {} {fraction_s:.9}", seconds(local))
        }
        RefclockData::Readings(readings) => format!("{} readings", readings.len()),
        RefclockData::DevicePulse(time) => format!("device pulse {}", time.as_ns()),
    }
}

/// What a driver reports when it is polled.
pub(super) fn polled(driver: &mut dyn Driver, log: &mut Log) -> Vec<String> {
    let mut reports = Vec::new();
    let mut report = |data: RefclockData<'_>| reports.push(describe(data));
    driver.poll(&mut report, &mut log.output);
    reports
}

/// What a driver reports when its descriptor is readable.
pub(super) fn received(driver: &mut dyn Driver, log: &mut Log) -> Vec<String> {
    let mut reports = Vec::new();
    let mut report = |data: RefclockData<'_>| reports.push(describe(data));
    driver.receive(now(), &mut report, &mut log.output);
    reports
}
