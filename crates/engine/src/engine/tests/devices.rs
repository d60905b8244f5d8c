//! The temperature sensor and the real-time clock chip.

use discipline::journal::LogFile;
use discipline::reference::TemperatureCurve;

use super::*;
use crate::action::{RtcOrder, SavedFile};

impl Bench {
    fn orders(&mut self) -> Vec<RtcOrder> {
        let actions = self.actions().into_iter();
        actions
            .filter_map(|action| match action {
                Action::Rtc(order) => Some(order),
                _ => None,
            })
            .collect()
    }

    /// One measurement: the interrupt comes at the next full second of a chip that is this
    /// far ahead.
    fn measure(&mut self, ahead_s: i64) {
        self.engine
            .handle_rtc_reading(self.now, self.now.raw.seconds() + ahead_s);
    }
}

#[test]
fn the_sensor_is_read_at_intervals() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    bench.engine.journal().enable(LogFile::Tempcomp, true);
    let curve = TemperatureCurve::Points(vec![(20.0, 0.0), (30.0, 20.0)]);
    bench
        .engine
        .attach_temperature_sensor(curve, 5.0, "/sensor".into(), bench.now);
    let asked = |bench: &mut Bench| {
        let actions = bench.actions().into_iter();
        actions
            .filter(|action| matches!(action, Action::ReadTemperature))
            .count()
    };
    bench.wait(0.0);
    assert_eq!(asked(&mut bench), 1);
    bench.wait(100.0);
    assert_eq!(asked(&mut bench), 0, "the answer has not come yet");
    bench.engine.handle_temperature(bench.now, Some(24.0));
    assert!((bench.engine.steering().clock().frequency_ppm()).abs() < 1e-9);
    bench.wait(4.9);
    assert_eq!(asked(&mut bench), 0);
    bench.wait(0.1);
    assert_eq!(asked(&mut bench), 1);
    bench.engine.handle_temperature(bench.now, Some(26.0));
    bench.engine.handle_temperature(bench.now, None);
    assert_eq!(
        bench.messages(),
        [
            "Temperature compensation of 12.000 ppm exceeds sanity limit of 10.0",
            "Could not read temperature from /sensor"
        ]
    );
}

#[test]
fn the_chip_is_tracked_trimmed_and_saved() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    assert!(!bench.engine.trim_rtc(bench.now) && bench.engine.rtc_file_contents().is_none());
    bench.engine.attach_rtc(0.0);
    assert_eq!(bench.engine.rtc_report().unwrap().samples, 0);
    bench.engine.all_sources_added(bench.now);
    bench.wait(0.0);
    for interval_s in [15.0, 15.0, 15.0, 30.0, 30.0, 60.0] {
        assert_eq!(bench.orders(), [RtcOrder::StartMeasuring]);
        bench.wait(2.0);
        bench.measure(7);
        assert_eq!(bench.orders(), [RtcOrder::StopMeasuring]);
        bench.wait(interval_s);
    }
    let report = bench.engine.rtc_report().unwrap();
    assert_eq!((report.samples, report.offset_s), (6, 7.0));
    bench.engine.write_rtc();
    let saved = bench.actions().into_iter().find_map(|action| match action {
        Action::Save {
            file: SavedFile::Rtc,
            contents,
        } => Some(contents),
        _ => None,
    });
    let reference_s = report.reference_s;
    assert_eq!(saved, Some(format!("1 {reference_s} 7.000000 0.000\n")));
    // The measurement that is due now comes first.
    bench.measure(7);
    bench.orders();
    assert!(bench.engine.trim_rtc(bench.now));
    let time_s = bench.now.raw.seconds();
    assert_eq!(
        bench.orders(),
        [RtcOrder::SetTime { time_s }, RtcOrder::StartMeasuring]
    );
    assert_eq!(bench.messages(), ["RTC wrong by 7.000 seconds (step)"]);
    // Foreign steps void what was measured.
    bench.now.raw = bench.now.raw.plus(1000.0);
    bench.wait(1.0);
    assert_eq!(bench.engine.rtc_report().unwrap().samples, 0);
}

#[test]
fn start_up_waits_for_the_fine_measurement() {
    let mut bench = Bench::new("port 0", Mode::Normal);
    assert!(!bench.engine.start_initial_rtc_measurement(None));
    bench.engine.attach_rtc(0.0);
    assert!(bench.engine.start_initial_rtc_measurement(None));
    assert_eq!(bench.orders(), [RtcOrder::StartMeasuring]);
    for _ in 0..8 {
        bench.wait(1.0);
        bench.measure(0);
    }
    let actions = bench.actions();
    assert!(matches!(
        actions[..],
        [Action::Rtc(RtcOrder::StopMeasuring), Action::RtcApplied]
    ));
    assert_eq!(bench.messages(), ["No valid rtcfile coefficients"]);
}
