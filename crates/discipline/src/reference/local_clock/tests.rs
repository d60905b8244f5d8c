use super::super::driver::NoClockControl;
use super::super::testing::{clock, messages, now};
use super::*;
use proptest::prelude::*;

/// Verified example of section 2.3.
#[test]
fn the_worked_slew() {
    let (mut clock, kernel) = clock(0.0);
    let mut journal = Journal::new();
    clock
        .accumulate_offset(now(0.0), 0.103_290_4, 0.0, &mut journal)
        .expect("sane");
    assert!((kernel.frequency_ppm() - 83_333.33).abs() < 0.01);
    assert!((clock.slew() - 0.090_909_1).abs() < 1e-7);
    let due = clock.next_timeout().expect("a slew is planned");
    assert!((due.since(now(0.0).monotonic) - 1.136_194).abs() < 1e-6);
    clock.handle_timeout(now(1.136_19), &mut journal);
    assert!(kernel.frequency_ppm() > 80_000.0);
    let end = Now {
        raw: now(0.0).raw.plus(1.136_194),
        monotonic: due,
    };
    clock.handle_timeout(end, &mut journal);
    // What is left is below the resolution of the timer.
    assert!(kernel.frequency_ppm().abs() < 10.0);
    assert!(clock.correction(end.raw).abs() < 1e-5);
}

#[test]
fn large_offsets_take_twelve_times_as_long() {
    let (mut clock, _) = clock(0.0);
    let mut journal = Journal::new();
    clock
        .accumulate_offset(now(0.0), 1000.0, 0.0, &mut journal)
        .expect("sane");
    // 1000 s at 83333 ppm need 11000 s of the slowed clock, that is 12000 s of true time.
    let mut at = now(0.0);
    while clock.correction(at.raw).abs() > 1e-6 {
        let due = clock.next_timeout().expect("a slew is planned");
        at = now(due.since(now(0.0).monotonic));
        clock.handle_timeout(at, &mut journal);
    }
    assert!((at.raw.since(now(0.0).raw) - 11_000.0).abs() < 2.0);
}

#[test]
fn cooked_time_jumps_by_what_is_accumulated_and_not_by_the_slew() {
    let (mut clock, _) = clock(20.0);
    let mut journal = Journal::new();
    let before = clock.cooked(now(5.0).raw);
    clock
        .accumulate(now(5.0), 1e-5, 0.25, 2.5, &mut journal)
        .expect("sane");
    // c = R/max(ρ/R, 1) = 0.25/10; s = c/(1 − c) up to the base frequency.
    let slew = 0.025 / (1.0 - 0.025);
    assert!((clock.slew() - slew).abs() < 1e-5, "{}", clock.slew());
    assert!((clock.cooked(now(5.0).raw).since(before) + 0.25).abs() < 1e-9);
    let then = clock.cooked(now(5.5).raw);
    clock.schedule_slew(now(5.5), &mut journal);
    assert!(clock.cooked(now(5.5).raw).since(then).abs() < 2e-9);
    let (announcements, _) = clock.pending();
    let Announcement::Change { change, kind } = announcements[0] else {
        panic!("a change comes first");
    };
    assert_eq!(kind, ChangeKind::Adjust);
    assert_eq!((change.when, change.offset_s), (before, 0.25));
    assert!((change.frequency - 1e-5).abs() < 1e-15);
    assert!(matches!(announcements[1], Announcement::ExtraDispersion(d)
        if (d - slew * 1.1e-5).abs() < 1e-8));
    assert!(clock.cook(now(5.5).raw).error_s >= 0.0);
}

#[test]
fn commands_change_the_frequency_as_documented() {
    let (mut clock, _) = clock(99.990);
    let mut journal = Journal::new();
    clock.add_frequency(now(0.0), 10.0, &mut journal);
    assert!((clock.frequency_ppm() - 109.989).abs() < 1e-6);
    clock.add_offset(now(0.0), 0.5, &mut journal).expect("sane");
    assert!((clock.correction(now(0.0).raw) + 0.5).abs() < 1e-12);
    assert!(clock.add_offset(now(0.0), 5e9, &mut journal).is_err());
    clock.set_frequency(now(0.0), 2e5, &mut journal);
    assert_eq!(clock.frequency_ppm(), 1e5);
    assert_eq!(
        messages(&mut journal),
        [
            "Accumulated delta freq of 10.000ppm",
            "Accumulated delta offset of 0.500000 seconds",
            "Adjustment of -5000000000.0 seconds is invalid",
            "Frequency 200000.0 ppm exceeds allowed maximum",
        ]
    );
}

#[test]
fn makestep_steps_the_remaining_correction() {
    let (mut clock, kernel) = clock(0.0);
    let mut journal = Journal::new();
    clock
        .accumulate_offset(now(0.0), 5.0, 0.0, &mut journal)
        .expect("sane");
    let cooked = clock.cooked(now(0.0).raw);
    let after = clock.make_step(now(0.0), &mut journal).expect("steps");
    assert_eq!(kernel.state().steps, [-5.0]);
    assert_eq!(after.raw, now(-5.0).raw);
    assert_eq!(clock.cooked(after.raw), cooked);
    assert_eq!(clock.correction(after.raw), 0.0);
    kernel.state().refuses_steps = true;
    clock
        .accumulate_offset(after, 1.0, 0.0, &mut journal)
        .expect("sane");
    assert_eq!(
        clock.make_step(after, &mut journal),
        Err(ClockRefusal::StepFailed)
    );
    assert!((clock.correction(after.raw) + 1.0).abs() < 1e-9);
    assert_eq!(
        messages(&mut journal),
        [
            "System clock was stepped by -5.000000 seconds",
            "Could not step system clock"
        ]
    );
}

#[test]
fn an_external_step_gives_up_the_correction() {
    let (mut clock, _) = clock(0.0);
    let mut journal = Journal::new();
    clock
        .accumulate_offset(now(0.0), 0.5, 10.0, &mut journal)
        .expect("sane");
    let _ = clock.take_pending();
    let jumped = Now {
        raw: now(103.0).raw,
        monotonic: now(3.0).monotonic,
    };
    clock.handle_external_step(jumped, 100.0, &mut journal);
    assert_eq!(clock.correction(jumped.raw), 0.0);
    let announced = clock.take_pending();
    assert!(announced.iter().any(|announcement| matches!(announcement,
        Announcement::Change { change, kind: ChangeKind::UnknownStep } if change.offset_s == -100.0)));
    assert_eq!(
        announced.last(),
        Some(&Announcement::ExtraDispersion(100.0))
    );
}

#[test]
fn without_control_corrections_act_on_cooked_time_at_once() {
    let mut clock = LocalClock::new(
        Box::new(NoClockControl::default()),
        LocalClockSettings::default(),
        now(0.0),
    )
    .expect("never fails");
    let mut journal = Journal::new();
    clock
        .accumulate(now(0.0), 1e-4, 2.0, 0.0, &mut journal)
        .expect("sane");
    assert!((clock.correction(now(1000.0).raw) + 2.0 + 0.1).abs() < 1e-6);
    clock.set_frequency(now(1000.0), 0.0, &mut journal);
    assert!((clock.correction(now(5000.0).raw) + 2.1).abs() < 1e-6);
    assert_eq!(clock.next_timeout(), None);
    assert_eq!(
        clock.step(now(1000.0), 1.0, &mut journal),
        Err(ClockRefusal::StepFailed)
    );
}

#[test]
fn conversions_are_inverse_during_a_slew() {
    let (mut clock, _) = clock(-30.0);
    let mut journal = Journal::new();
    clock
        .accumulate_offset(now(0.0), -7.5, 0.0, &mut journal)
        .expect("sane");
    let raw = now(12.25).raw;
    assert!(clock.uncook(clock.cooked(raw)).since(raw).abs() < 5e-9);
}

proptest! {
    /// Whatever is asked for, the clock stays finite, cooked time continuous between
    /// changes, and the corrections asked for are what is made.
    #[test]
    fn nothing_becomes_not_finite(changes in prop::collection::vec(
        (0.0..20_000.0f64, -1.0..1.0f64, -1e10..1e10f64, 0.0..1e12f64, 0u8..6), 1..30))
    {
        let (mut clock, kernel) = clock(0.0);
        let mut journal = Journal::new();
        let mut at = now(0.0);
        for (wait_s, frequency, offset_s, rate, kind) in changes {
            at = Now { raw: at.raw.plus(wait_s), monotonic: at.monotonic.plus(wait_s) };
            clock.handle_timeout(at, &mut journal);
            match kind {
                0 => { let _ = clock.accumulate(at, frequency, offset_s, rate, &mut journal); }
                1 => { let _ = clock.accumulate_offset(at, offset_s, rate, &mut journal); }
                2 => { if let Ok(after) = clock.step(at, offset_s, &mut journal) { at = after; } }
                3 => clock.set_frequency(at, frequency * 3e5, &mut journal),
                4 => { clock.set_temperature_compensation(at, frequency * 10.0, &mut journal); }
                _ => { if let Ok(after) = clock.make_step(at, &mut journal) { at = after; } }
            }
            prop_assert!(clock.correction(at.raw).is_finite());
            prop_assert!(clock.slew().is_finite() && clock.slew() > -0.6);
            prop_assert!(clock.frequency_ppm().is_finite());
            prop_assert!(kernel.frequency_ppm().abs() <= 1e5);
            for announcement in clock.take_pending() {
                match announcement {
                    Announcement::Change { change, .. } => {
                        prop_assert!(change.frequency.is_finite() && change.offset_s.is_finite());
                    }
                    Announcement::ExtraDispersion(d) => prop_assert!(d >= 0.0 && d.is_finite()),
                    Announcement::LeapCorrected(_) => {}
                }
            }
        }
    }
}
