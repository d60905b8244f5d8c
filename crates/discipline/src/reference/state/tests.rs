use super::super::leap::LeapMode;
use super::super::local_reference::LOCAL_REFERENCE_ID;
use super::super::testing::{START_S, TestKernel, clock, now};
use super::*;
use crate::journal::{Entry, LogFile};
use crate::samples::ReferenceUpdate;
use crate::time::RawTime;
use proptest::prelude::*;

struct Bench {
    clock: LocalClock,
    kernel: TestKernel,
    journal: Journal,
    reference: Reference,
    now: Now,
}

impl Bench {
    fn with(settings: ReferenceSettings, mode: Mode, drift: Option<DriftRecord>) -> Self {
        let (mut clock, kernel) = clock(0.0);
        let mut journal = Journal::new();
        journal.enable(LogFile::Tracking, true);
        let mut steering = Steering {
            clock: &mut clock,
            now: now(0.0),
            journal: &mut journal,
        };
        let reference = Reference::new(settings, mode, drift, &mut steering);
        Self {
            clock,
            kernel,
            journal,
            reference,
            now: now(0.0),
        }
    }

    fn new(settings: ReferenceSettings) -> Self {
        Self::with(settings, Mode::Normal, None)
    }

    /// Calls the reference at the time of the bench and takes the time it leaves.
    fn act<T>(&mut self, action: impl FnOnce(&mut Reference, &mut Steering<'_>) -> T) -> T {
        let mut steering = Steering {
            clock: &mut self.clock,
            now: self.now,
            journal: &mut self.journal,
        };
        let result = action(&mut self.reference, &mut steering);
        self.now = steering.now;
        result
    }

    /// Lets both clocks run and everything due happen at its time.
    fn wait(&mut self, seconds: f64) {
        let end = self.now.monotonic.plus(seconds);
        while self.now.monotonic < end {
            let due = [self.clock.next_timeout(), self.reference.next_timeout()];
            let due = due.into_iter().flatten().min().unwrap_or(end).min(end);
            let elapsed_s = due.since(self.now.monotonic).max(0.0);
            self.now.raw = self.now.raw.plus(elapsed_s);
            self.now.monotonic = self.now.monotonic.max(due);
            self.clock.handle_timeout(self.now, &mut self.journal);
            self.act(|reference, steering| reference.handle_timeout(steering));
        }
    }

    fn update(&mut self, offset_s: f64, frequency: f64, skew: f64) -> bool {
        let update = ReferenceUpdate {
            time: self.clock.cooked(self.now.raw),
            ..update(offset_s, frequency, skew)
        };
        self.act(|reference, steering| reference.update(&update, "192.0.2.1", 0.5, steering))
    }

    fn lines(&mut self) -> (Vec<String>, Vec<String>) {
        let (mut lines, mut texts) = (Vec::new(), Vec::new());
        for entry in self.journal.drain() {
            match entry {
                Entry::Line { text, .. } => lines.push(text),
                Entry::Message { text, .. } => texts.push(text),
            }
        }
        (lines, texts)
    }

    fn requests(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.reference.poll_request()).collect()
    }
}

fn update(offset_s: f64, frequency: f64, skew: f64) -> ReferenceUpdate {
    ReferenceUpdate {
        key: 4,
        leap: LeapIndicator::Normal,
        stratum: 1,
        reference_id: 0xC000_0201,
        combined_sources: 1,
        time: CookedTime::ZERO,
        offset_s,
        offset_sd_s: 1e-4,
        frequency,
        frequency_sd: 1e-6,
        skew,
        root_delay_s: 0.002,
        root_dispersion_s: 0.001,
    }
}

/// Section 20: the first real update has a maximum error of 1.5 s.
#[test]
fn the_tracking_log_has_the_reference_s_columns() {
    let mut bench = Bench::new(ReferenceSettings::default());
    bench.wait(5.0);
    bench.update(-0.25, 1e-4, 1.13e-3);
    let (lines, texts) = bench.lines();
    assert_eq!(
        lines,
        [
            "2026-11-24 15:00:00 0.0.0.0          0      0.000 1000000.000  0.000e+00 ?  0  \
             0.000e+00  0.000e+00  1.000e+00  1.000e+00  1.500e+00",
            "2026-11-24 15:00:05 192.0.2.1        2      0.000 1000000.000 -2.500e-01 N  1  \
             1.000e-04  0.000e+00  2.000e-03  5.011e-01  1.500e+00",
        ]
    );
    assert!(texts.is_empty(), "{texts:?}");
}

#[test]
fn makestep_is_tested_at_so_many_updates() {
    let settings = ReferenceSettings {
        make_step: MakeStep {
            threshold_s: 1.0,
            limit: 2,
        },
        ..ReferenceSettings::default()
    };
    let mut bench = Bench::new(settings);
    bench.wait(5.0);
    let before = bench.now;
    bench.update(5.25, 0.0, 1e-6);
    assert_eq!(bench.kernel.state().steps, [-5.25]);
    assert_eq!(bench.now.raw, before.raw.minus(5.25));
    assert!(bench.clock.correction(bench.now.raw).abs() < 1e-9);
    bench.wait(16.0);
    bench.update(0.5, 0.0, 1e-6);
    bench.wait(160.0);
    bench.update(7.0, 0.0, 1e-6);
    assert_eq!(bench.kernel.state().steps.len(), 1);
    assert_eq!(
        bench.lines().1,
        [
            "System clock wrong by -5.250000 seconds",
            "System clock was stepped by -5.250000 seconds",
            "System clock wrong by -7.000000 seconds",
        ]
    );
}

#[test]
fn an_impossible_step_is_slewed() {
    let settings = ReferenceSettings {
        make_step: MakeStep {
            threshold_s: 0.1,
            limit: -1,
        },
        ..ReferenceSettings::default()
    };
    let mut bench = Bench::new(settings);
    bench.kernel.state().refuses_steps = true;
    bench.update(0.5, 0.0, 1e-6);
    assert!((bench.clock.correction(bench.now.raw) + 0.5).abs() < 1e-9);
    assert_eq!(bench.lines().1, ["Could not step system clock"]);
}

/// Section 20: maxchange 0.1 0 2 with a 0.5 s error.
#[test]
fn maxchange_ignores_twice_then_ends() {
    let settings = ReferenceSettings {
        max_change: MaxChange {
            offset_s: 0.1,
            start: 0,
            ignore: 2,
        },
        ..ReferenceSettings::default()
    };
    let mut bench = Bench::new(settings);
    for _ in 0..3 {
        bench.wait(16.0);
        assert!(!bench.update(0.5, 0.0, 1e-6));
    }
    let ignored =
        "Adjustment of -0.500 seconds exceeds the allowed maximum of 0.100 seconds (ignored) ";
    assert_eq!(
        bench.lines().1,
        [
            ignored,
            ignored,
            "Adjustment of -0.500 seconds exceeds the allowed maximum of 0.100 seconds (exiting) "
        ]
    );
    assert_eq!(bench.requests(), [Request::Exit { status: 1 }]);
    assert!(!bench.reference.is_synchronised());
    assert_eq!(bench.clock.correction(bench.now.raw), 0.0);
}

/// Section 20: after an update the selected source's offset is 0 and its frequency the
/// residual one.
#[test]
fn announcements_leave_the_residual() {
    let mut bench = Bench::new(ReferenceSettings::default());
    bench.wait(100.0);
    bench.update(0.0, 0.0, 1e-6);
    let _ = bench.reference.take_announcements(&mut bench.clock);
    bench.wait(16.0);
    let measured = update(0.01, 4e-6, 2e-6);
    let time = bench.clock.cooked(bench.now.raw);
    bench.update(measured.offset_s, measured.frequency, measured.skew);
    let (mut offset_s, mut frequency) = (measured.offset_s, measured.frequency);
    for announcement in bench.reference.take_announcements(&mut bench.clock) {
        if let Announcement::Change { change, .. } = announcement {
            offset_s += change.delta_s(time);
            frequency = change.frequency_after(frequency);
        }
    }
    let report = bench.reference.tracking(bench.now, &bench.clock, 0.0);
    assert!(offset_s.abs() < 1e-12);
    assert!((frequency * 1e6 - report.residual_frequency_ppm).abs() < 1e-4);
    assert_eq!(report.last_interval_s, 16.0);
    assert_eq!(report.source, Some(4));
    assert_eq!(report.served.stratum, 2);
    assert!((report.served.reference_time.since(time) + 0.5 + 0.01).abs() < 1e-3);
}

#[test]
fn the_kernel_is_told_how_good_the_clock_is() {
    let mut bench = Bench::new(ReferenceSettings::default());
    assert_eq!(bench.kernel.state().status, Some((false, 16.0, 16.0)));
    bench.update(0.25, 0.0, 1e-6);
    let status = bench.kernel.state().status.expect("told");
    assert!(status.0 && (status.1 - 0.25).abs() < 1e-9);
    // K is 10⁶ ppm before, the gain of the first update almost 1: K' stays about 1e-6.
    assert!(
        (status.2 - (0.001 + 0.001 + 0.25)).abs() < 1e-3,
        "{status:?}"
    );
    bench.act(|reference, steering| reference.unsynchronise(steering));
    assert_eq!(bench.kernel.state().status, Some((false, 16.0, 16.0)));
    assert!(!bench.reference.is_synchronised());
}

#[test]
fn the_drift_file_is_read_and_written() {
    let settings = ReferenceSettings {
        drift_file_interval_s: Some(60.0),
        ..ReferenceSettings::default()
    };
    let drift = DriftRecord {
        frequency_ppm: -12.5,
        skew_ppm: 0.5,
    };
    let mut bench = Bench::with(settings, Mode::Normal, Some(drift));
    assert_eq!(bench.kernel.frequency_ppm(), -12.5);
    for _ in 0..5 {
        bench.update(0.0, 0.0, 1e-7);
        bench.wait(20.0);
    }
    let requests = bench.requests();
    assert!(
        matches!(requests[..], [Request::WriteDriftFile(record)]
        if (record.frequency_ppm + 12.5).abs() < 1e-9 && record.skew_ppm < 0.5),
        "{requests:?}"
    );
    bench.act(|reference, steering| reference.finish(steering));
    assert_eq!(bench.requests().len(), 1);
    assert_eq!(
        drift.to_line(),
        "          -12.500000             0.500000\n"
    );
}

#[test]
fn fallback_drifts_take_over() {
    let settings = ReferenceSettings {
        fallback_drift: (6, 7),
        ..ReferenceSettings::default()
    };
    let drift = DriftRecord {
        frequency_ppm: 3.0,
        skew_ppm: 0.01,
    };
    let mut bench = Bench::with(settings, Mode::Normal, Some(drift));
    for _ in 0..20 {
        bench.update(0.0, 0.0, 1e-8);
        bench.wait(16.0);
    }
    bench
        .clock
        .set_frequency(bench.now, 9.0, &mut bench.journal);
    bench.lines();
    assert!(bench.reference.is_synchronised());
    bench.wait(48.0);
    assert!(!bench.reference.is_synchronised());
    assert!((bench.clock.frequency_ppm() - 3.0).abs() < 1e-3);
    bench.wait(64.0);
    assert_eq!(bench.reference.next_timeout(), None);
    assert_eq!(bench.lines().0.len(), 2);
}

#[test]
fn special_modes_end_with_their_messages() {
    let run = |mode, offset_s| {
        let mut bench = Bench::with(ReferenceSettings::default(), mode, None);
        bench.lines();
        bench.update(offset_s, 1e-5, 1e-6);
        let correction = bench.clock.correction(bench.now.raw);
        let steps = bench.kernel.state().steps.clone();
        assert_eq!(bench.requests(), [Request::ModeEnded { success: true }]);
        (bench.lines().1.concat(), steps, correction)
    };
    let init = Mode::InitStepSlew { threshold_s: 1.0 };
    assert_eq!(
        run(Mode::UpdateOnce, 0.25),
        (
            "System clock wrong by -0.250000 seconds (step)".into(),
            vec![-0.25],
            0.0
        )
    );
    assert_eq!(
        run(Mode::PrintOnce, -0.25),
        (
            "System clock wrong by 0.250000 seconds (ignored)".into(),
            vec![],
            0.0
        )
    );
    assert_eq!(
        run(init, 1.5),
        (
            "System's initial offset : 1.500000 seconds fast of true (step)".into(),
            vec![-1.5],
            0.0
        )
    );
    assert_eq!(
        run(init, -0.5),
        (
            "System's initial offset : 0.500000 seconds slow of true (slew)".into(),
            vec![],
            0.5
        )
    );
    let mut bench = Bench::with(ReferenceSettings::default(), Mode::UpdateOnce, None);
    bench.act(|reference, steering| reference.fail_mode(steering.journal));
    assert_eq!(bench.lines().1, ["No suitable source for synchronisation"]);
    assert_eq!(bench.requests(), [Request::ModeEnded { success: false }]);
}

#[test]
fn hope_for_three_samples() {
    assert!(!can_still_synchronise([]));
    assert!(can_still_synchronise([(4, 0)]));
    assert!(!can_still_synchronise([(5, 0), (7, 2)]));
    assert!(can_still_synchronise([(5, 0), (6, 2)]));
}

#[test]
fn local_reference_and_its_messages() {
    let mut bench = Bench::new(ReferenceSettings::default());
    bench
        .reference
        .set_local(Some(LocalReferenceSettings::default()), &mut bench.journal);
    let served = bench.reference.served(bench.now, &bench.clock, 0.5);
    assert_eq!(
        (served.stratum, served.reference_id, served.synchronised),
        (10, LOCAL_REFERENCE_ID, false)
    );
    bench.reference.set_local(None, &mut bench.journal);
    let served = bench.reference.served(bench.now, &bench.clock, 0.5);
    assert_eq!((served.stratum, served.root_dispersion_s), (16, 1.0));
    bench.reference.set_make_step(
        MakeStep {
            threshold_s: 0.5,
            limit: -1,
        },
        &mut bench.journal,
    );
    bench.reference.set_max_update_skew(5.0, &mut bench.journal);
    assert_eq!(
        bench.lines().1,
        [
            "Enabled local reference mode",
            "Disabled local reference mode",
            "New makestep 0.500000 -1",
            "New maxupdateskew 5.000000 ppm"
        ]
    );
}

#[test]
fn mail_is_requested() {
    let settings = ReferenceSettings {
        mail_change_s: Some(0.1),
        ..ReferenceSettings::default()
    };
    let mut bench = Bench::new(settings);
    bench.update(0.1, 0.0, 1e-6);
    bench.update(-0.2, 0.0, 1e-6);
    let requests = bench.requests();
    assert!(matches!(
        requests[..],
        [Request::SendMail(MailRequest {
            change_s: 0.2,
            threshold_s: 0.1,
            ..
        })]
    ));
}

/// Day before a leap second: 2026-12-31.
const LEAP_EVE: i64 = 1_798_675_200;

fn leap_bench(mode: LeapMode, before_midnight_s: f64) -> Bench {
    let settings = ReferenceSettings {
        leap: LeapSettings { mode },
        ..ReferenceSettings::default()
    };
    let mut bench = Bench::new(settings);
    let at = RawTime::from_parts(LEAP_EVE + 86_400, 0).minus(before_midnight_s);
    bench.wait(at.since(RawTime::from_parts(START_S, 0)));
    bench.lines();
    let voted = ReferenceUpdate {
        leap: LeapIndicator::InsertSecond,
        time: bench.clock.cooked(bench.now.raw),
        ..update(0.0, 0.0, 1e-6)
    };
    bench.act(|reference, steering| reference.update(&voted, "x", 0.5, steering));
    let _ = bench.reference.take_announcements(&mut bench.clock);
    assert_eq!(bench.reference.leap_status(), LeapIndicator::InsertSecond);
    bench
}

#[test]
fn the_kernel_inserts_the_second() {
    let mut bench = leap_bench(LeapMode::System, 100.0);
    let due = bench.reference.next_timeout().expect("armed");
    assert!((due.since(bench.now.monotonic) - 99.5).abs() < 1e-6);
    bench.wait(99.5);
    let served = bench.reference.served(bench.now, &bench.clock, 0.5);
    assert_eq!(served.leap, LeapIndicator::Unsynchronised);
    assert!(crate::reference::leap::is_close(
        bench.reference.leap().when_s(),
        bench.now.raw,
        &[]
    ));
    bench.wait(2.0);
    assert_eq!(bench.reference.leap_status(), LeapIndicator::Normal);
    assert_eq!(
        bench.lines().1,
        [
            "System clock status set to insert leap second",
            "System clock status set to not insert/delete leap second"
        ]
    );
}

#[test]
fn stepping_and_slewing_keep_the_meaning_of_samples() {
    for (mode, message) in [
        (LeapMode::Step, "System clock was stepped for leap second"),
        (LeapMode::Slew, "Adjusting system clock for leap second"),
    ] {
        let mut bench = leap_bench(mode, 100.0);
        let sample = bench.clock.cooked(bench.now.raw);
        bench.wait(100.0);
        let mut moved = sample;
        let announced = bench.reference.take_announcements(&mut bench.clock);
        for announcement in &announced {
            if let Announcement::Change { change, .. } = announcement {
                moved = change.moved(moved);
            }
        }
        assert_eq!(moved, sample, "{mode:?}");
        assert!(announced.contains(&Announcement::LeapCorrected(1.0)));
        let cooked = bench.clock.cooked(bench.now.raw);
        let midnight = CookedTime::from_parts(LEAP_EVE + 86_400, 0);
        assert!((cooked.since(midnight) + 1.0).abs() < 1e-6, "{mode:?}");
        bench.wait(2.0);
        assert_eq!(bench.reference.leap_status(), LeapIndicator::Normal);
        assert_eq!(bench.lines().1, [message]);
    }
    let mut bench = leap_bench(LeapMode::Ignore, 100.0);
    bench.wait(100.0);
    assert_eq!(bench.lines().1, ["Ignoring leap second"]);
}

#[test]
fn a_leap_second_on_another_day_is_not_believed() {
    let mut bench = leap_bench(LeapMode::Slew, 100.0);
    bench.act(|reference, steering| reference.unsynchronise(steering));
    assert_eq!(bench.reference.next_timeout(), None);
    bench.wait(86_400.0);
    let voted = update(0.0, 0.0, 1e-6);
    let voted = ReferenceUpdate {
        leap: LeapIndicator::InsertSecond,
        time: bench.clock.cooked(bench.now.raw),
        ..voted
    };
    bench.act(|reference, steering| reference.update(&voted, "x", 0.5, steering));
    assert_eq!(bench.reference.leap_status(), LeapIndicator::Normal);
}

#[test]
fn manual_input_corrects_the_clock_and_its_frequency() {
    use super::super::{ManualInput, ManualRefusal};
    let mut bench = Bench::new(ReferenceSettings::default());
    let mut manual = ManualInput::new(true);
    let mut set = |bench: &mut Bench, ahead_s: f64| {
        let time = bench.clock.cooked(bench.now.raw).minus(ahead_s);
        let report =
            bench.act(|reference, steering| manual.set_time(time, 0.5, reference, steering));
        for announcement in bench.reference.take_announcements(&mut bench.clock) {
            manual.handle_announcement(&announcement);
        }
        report
    };
    let first = set(&mut bench, 0.01).expect("accepted");
    assert!((first.offset_s - 0.01).abs() < 1e-9 && first.frequency_change_ppm == 0.0);
    assert_eq!(set(&mut bench, 0.01), Err(ManualRefusal::NotAccepted));
    bench.wait(1000.0);
    let second = set(&mut bench, 0.1).expect("accepted");
    assert!(
        (second.frequency_change_ppm - 100.0).abs() < 0.1,
        "{second:?}"
    );
    assert!((second.frequency_ppm - 100.0).abs() < 0.1, "{second:?}");
    let (_, texts) = bench.lines();
    assert!(texts[0].starts_with("Making a slew of "), "{texts:?}");
    assert!(
        texts[1].starts_with("Making a frequency change of 99.999 ppm and a slew of "),
        "{texts:?}"
    );
    assert!(!bench.reference.is_synchronised());
}

/// A clock that is 0.1 s ahead and 100 ppm fast, with perfect measurements every 16 s: all
/// signs must be right for it to converge.
#[test]
fn a_fast_clock_is_corrected() {
    let mut bench = Bench::new(ReferenceSettings::default());
    let oscillator = 1.0 + 1e-4;
    let mut true_s = 0.0;
    bench.now.raw = bench.now.raw.plus(0.1);
    let error_s =
        |time_ns: i64, true_s: f64| (time_ns - now(0.0).raw.as_ns()) as f64 / 1e9 - true_s;
    for round in 0..40 {
        let until_s = true_s + 16.0;
        while true_s < until_s {
            let rate = oscillator * (1.0 - bench.kernel.frequency_ppm() * 1e-6);
            let due_s = bench.clock.next_timeout().map_or(f64::INFINITY, |due| {
                due.since(bench.now.monotonic).max(0.0) / rate
            });
            let pass_s = due_s.min(until_s - true_s).max(1e-9);
            true_s += pass_s;
            bench.now.raw = bench.now.raw.plus(pass_s * rate);
            bench.now.monotonic = bench.now.monotonic.plus(pass_s * rate);
            bench.clock.handle_timeout(bench.now, &mut bench.journal);
        }
        let cooked = bench.clock.cooked(bench.now.raw);
        let offset_s = error_s(cooked.as_ns(), true_s);
        let gain = oscillator * (1.0 - bench.clock.base_frequency_ppm() * 1e-6) - 1.0;
        bench.update(offset_s, gain, if round < 2 { 1.0 } else { 1e-6 });
    }
    let raw_error_s = error_s(bench.now.raw.as_ns(), true_s);
    assert!(raw_error_s.abs() < 1e-6, "{raw_error_s}");
    let report = bench.reference.tracking(bench.now, &bench.clock, 0.5);
    // An oscillator 100 ppm fast needs a compensation of 1 − 1/1.0001.
    assert!(
        (report.frequency_ppm - 99.990_001).abs() < 1e-3,
        "{report:?}"
    );
}

/// Lines of a run of the reference (4.3, -x): the clock was 4.5 s slow when set by hand, and
/// 1.78 s slow at the next entry. The line is dated before the correction, and the largest
/// error counts what the previous line left to be corrected.
#[test]
fn lines_of_manual_updates_without_clock_control() {
    let mut bench = Bench::new(ReferenceSettings::default());
    bench.clock = LocalClock::new(
        Box::new(super::super::NoClockControl::default()),
        super::super::LocalClockSettings::default(),
        now(0.0),
    )
    .expect("never fails");
    bench.lines();
    let manual = |bench: &mut Bench, offset_s: f64| {
        let update = ReferenceUpdate {
            leap: LeapIndicator::Unsynchronised,
            stratum: 0,
            time: bench.clock.cooked(bench.now.raw),
            offset_sd_s: 0.0,
            root_delay_s: 0.0,
            root_dispersion_s: 0.0,
            ..update(offset_s, 0.0, 0.099_999_999)
        };
        bench.act(|reference, steering| reference.update_manual(&update, "MANU", 0.5, steering));
        bench.lines().0.concat()
    };
    bench.wait(2.0);
    let first = manual(&mut bench, -4.5);
    assert_eq!(
        &first[..77],
        "2026-11-24 15:00:02 MANU             1      0.000  99999.999 -4.500e+00 ?  1 "
    );
    assert!(first.ends_with(" 1.500e+00"), "{first}");
    bench.wait(3.0);
    let second = manual(&mut bench, -1.784);
    assert!(
        second.starts_with("2026-11-24 15:00:09 MANU             1 "),
        "{second}"
    );
    // u = 4.5 s; 4.5 s and the dispersion of 3.5 s since the reference time.
    assert!(
        second.contains(" -1.784e+00 ?  1  0.000e+00  4.500e+00  0.000e+00 "),
        "{second}"
    );
    assert!(second.ends_with(" 4.850e+00"), "{second}");
}

proptest! {
    #[test]
    fn updates_keep_everything_finite(updates in prop::collection::vec(
        (0.0..5000.0f64, -1e9..1e9f64, -1.0..1.0f64, 0.0..1.0f64, 0.0..1e6f64), 1..30))
    {
        let settings = ReferenceSettings {
            make_step: MakeStep { threshold_s: 100.0, limit: 10 },
            fallback_drift: (4, 10),
            ..ReferenceSettings::default()
        };
        let mut bench = Bench::new(settings);
        for (wait_s, offset_s, frequency, skew, spread) in updates {
            bench.wait(wait_s);
            let update = ReferenceUpdate {
                time: bench.clock.cooked(bench.now.raw),
                offset_sd_s: spread,
                ..update(offset_s, frequency, skew)
            };
            bench.act(|reference, steering| reference.update(&update, "x", 0.5, steering));
            let report = bench.reference.tracking(bench.now, &bench.clock, 0.5);
            prop_assert!(report.rms_offset_s.is_finite() && report.frequency_ppm.is_finite());
            prop_assert!(report.skew_ppm.is_finite() && report.served.root_dispersion_s.is_finite());
            prop_assert!(report.correction_s.is_finite());
        }
    }
}
