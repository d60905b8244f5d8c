use super::super::Now;
use super::super::testing::{START_S, clock, messages, now};
use super::*;
use crate::journal::{Entry, Journal};
use crate::time::RawTime;
use proptest::prelude::*;

fn coefficients() -> RtcCoefficients {
    RtcCoefficients {
        valid: true,
        reference_time_s: 1_000_000,
        offset_s: 2.0,
        rate_ppm: 10.0,
    }
}

#[test]
fn the_clock_is_preset() {
    let mut journal = Journal::new();
    let drift = RawTime::from_parts(1_500_000, 0);
    let mut preset = |system_s, reading_s| {
        let system = RawTime::from_parts(system_s, 0);
        preset_clock(
            system,
            reading_s,
            Some(&coefficients()),
            drift,
            &mut journal,
        )
    };
    // 2 000 000 + 0.5 − (2 + 10e-6 · 1e6)
    let expected = RawTime::from_parts(1_999_988, 500_000_000);
    assert_eq!(
        preset(5, Some(2_000_000)),
        RtcPreset {
            step: Some((expected, "System time set from RTC")),
            rtc_used: true
        }
    );
    assert_eq!(preset(1_999_988, Some(2_000_000)).step, None);
    assert_eq!(
        preset(5, Some(1_400_000)),
        RtcPreset {
            step: Some((drift, "System time restored from driftfile")),
            rtc_used: false
        }
    );
    assert_eq!(preset(1_600_000, None).step, None);
    assert_eq!(
        messages(&mut journal),
        ["RTC time before last driftfile modification (ignored)"]
    );
}

/// Runs measurements of an RTC that is `offset_s` ahead and gains `rate`.
fn measure(rtc: &mut Rtc, steering: &mut Steering<'_>, count: usize, offset_s: f64, rate: f64) {
    for index in 0..count {
        // Readings come late by up to a millisecond.
        let late_s = 1e-4 * (index * 7 % 11) as f64;
        if let Some(due) = rtc.next_timeout() {
            let due_s = due.since(now(0.0).monotonic);
            // The RTC ticks a whole second when the system clock is between.
            let rtc_s = (due_s + 2.0 + offset_s + due_s * rate).ceil();
            let at_s = (rtc_s - offset_s) / (1.0 + rate);
            rtc.handle_timeout(due);
            assert_eq!(rtc.poll_action(), Some(RtcAction::StartMeasuring));
            steering.now = now(at_s + late_s);
            rtc.handle_measurement(START_S + rtc_s as i64, 3, steering);
            assert_eq!(rtc.poll_action(), Some(RtcAction::StopMeasuring));
        }
    }
}

#[test]
fn offset_and_rate_are_found_and_trimmed() {
    let (mut clock, _) = clock(0.0);
    let mut journal = Journal::new();
    journal.enable(LogFile::Rtc, true);
    let mut steering = Steering {
        clock: &mut clock,
        now: now(0.0),
        journal: &mut journal,
    };
    let mut rtc = Rtc::new(RtcSettings::default());
    rtc.start(now(0.0).monotonic);
    measure(&mut rtc, &mut steering, 20, 3.25, 50e-6);
    let report = rtc.report();
    assert!((report.rate_ppm - 50.0).abs() < 1.0, "{report:?}");
    assert!((report.offset_s - 3.25).abs() < 0.2, "{report:?}");
    assert!(report.samples >= 14, "{report:?}");
    rtc.trim(&mut steering);
    let wanted = steering.clock.cooked(steering.now.raw).seconds();
    assert_eq!(rtc.poll_action(), Some(RtcAction::SetTime(wanted)));
    assert_eq!(rtc.poll_action(), Some(RtcAction::StartMeasuring));
    for second in 0..8 {
        steering.now = Now {
            raw: RawTime::from_parts(wanted + second, 500_000_000),
            ..steering.now
        };
        rtc.handle_measurement(wanted + second, 3, &mut steering);
    }
    let Some(RtcAction::WriteFile(file)) = rtc.poll_action() else {
        panic!("the rtcfile is written after a trim");
    };
    assert!((file.offset_s + 0.5).abs() < 1e-6, "{file:?}");
    assert!((file.rate_ppm - 50.0).abs() < 1.0, "{file:?}");
    assert_eq!(rtc.report().samples, 0);
    let lines: Vec<_> = journal.drain().collect();
    assert!(
        matches!(&lines[0], Entry::Line { text, .. }
        if text.ends_with(" 0        0.000000         0.000   1   0    0")),
        "{:?}",
        lines[0]
    );
    assert!(matches!(lines.last(), Some(Entry::Message { text, .. })
        if text.starts_with("RTC wrong by 3.") && text.ends_with(" seconds (step)")));
}

#[test]
fn the_fine_measurement_slews_what_is_missing() {
    let (mut clock, _) = clock(0.0);
    let mut journal = Journal::new();
    let mut steering = Steering {
        clock: &mut clock,
        now: now(0.0),
        journal: &mut journal,
    };
    let mut rtc = Rtc::new(RtcSettings::default());
    rtc.start_initial(Some(RtcCoefficients {
        valid: true,
        reference_time_s: START_S,
        offset_s: 0.75,
        rate_ppm: 0.0,
    }));
    assert_eq!(rtc.poll_action(), Some(RtcAction::StartMeasuring));
    for second in 1..=8 {
        steering.now = now(second as f64 - 0.5);
        rtc.handle_measurement(START_S + second, 16, &mut steering);
    }
    // The RTC is 0.5 s ahead and should be 0.75 s: the clock is 0.25 s fast.
    let correction = steering.clock.correction(steering.now.raw);
    assert!((correction + 0.25).abs() < 1e-6, "{correction}");
    assert_eq!(
        messages(&mut journal),
        ["System clock off from RTC by 0.250000 seconds (slew)"]
    );
    assert_eq!(rtc.poll_action(), Some(RtcAction::StopMeasuring));
    assert_eq!(rtc.poll_action(), Some(RtcAction::InitialDone));
}

proptest! {
    /// Whatever the device says, offset and rate stay finite.
    #[test]
    fn readings_keep_everything_finite(readings in prop::collection::vec((1.0..400.0f64, any::<i32>()), 1..80)) {
        let (mut clock, _) = clock(0.0);
        let mut journal = Journal::new();
        let mut steering = Steering {
            clock: &mut clock,
            now: now(0.0),
            journal: &mut journal,
        };
        let mut rtc = Rtc::new(RtcSettings { auto_trim_s: 2.0 });
        rtc.start(now(0.0).monotonic);
        let mut at_s = 0.0;
        for (wait_s, reading) in readings {
            at_s += wait_s;
            steering.now = now(at_s);
            rtc.handle_timeout(steering.now.monotonic);
            let rtc_s = START_S + at_s as i64 + i64::from(reading >> 28);
            rtc.handle_measurement(rtc_s, 3, &mut steering);
            let report = rtc.report();
            prop_assert!(report.offset_s.is_finite() && report.rate_ppm.is_finite());
            prop_assert!(report.samples <= 64);
        }
    }
}
