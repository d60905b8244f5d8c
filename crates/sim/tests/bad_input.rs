//! Servers and clocks that misbehave: the clock stays sane, and what is said is specified.

mod support;

use control_wire::Request;
use discipline::journal::{Entry, LogFile};
use ntp_wire::LeapIndicator;
use sim::World;
use sim::scenario::{ClientSetup, START, add_client, add_server, messages};
use sim::world::NodeId;

use support::{
    FAST, FIVE, assert_said, command, count, error_after, error_s, has, lan, oscillator, pair,
    run_for, tracking, world_of,
};

/// Seconds in a year.
const YEAR_S: f64 = 31_557_600.0;

/// Fails when anything that is told of the clock is not a number or out of any reason.
fn assert_sane(world: &mut World, id: NodeId) {
    let report = tracking(world, id);
    for value in [
        report.current_correction_s,
        report.last_offset_s,
        report.rms_offset_s,
        report.freq_ppm,
        report.resid_freq_ppm,
        report.skew_ppm,
        report.root_delay_s,
        report.root_dispersion_s,
    ] {
        assert!(value.value().is_finite(), "{report:?}");
    }
    assert!(report.freq_ppm.value().abs() <= 100_001.0, "{report:?}");
}

#[test]
fn a_server_that_flips_between_two_times() {
    let (mut world, id) = pair(FAST, oscillator(0.01, 2e-5), &lan());
    run_for(&mut world, 1000.0);
    let mut shifted = 1.0;
    for _ in 0..60 {
        world.server_mut(0).unwrap().clock.step(shifted * 0.4);
        shifted = -shifted;
        run_for(&mut world, 16.0);
        assert_sane(&mut world, id);
        let frequency_ppm = tracking(&mut world, id).freq_ppm.value();
        assert!((frequency_ppm - 20.0).abs() < 2000.0, "{frequency_ppm}");
        let error_s = error_s(&mut world, id);
        assert!(error_s.abs() < 1.0, "{error_s}");
    }
    // Later it is right again.
    let error_s = error_after(&mut world, id, 2000.0);
    assert!(error_s < 1e-3, "{error_s} {:#?}", messages(&world, id));
}

#[test]
fn one_server_of_three_that_flips_is_found_out() {
    let setup = ClientSetup {
        directives: &FIVE[..3],
        ..ClientSetup::default()
    };
    let (mut world, id) = world_of(&[0.0, 0.0, 0.0], &setup, &lan());
    run_for(&mut world, 500.0);
    for round in 0..40 {
        let step_s = if round % 2 == 0 { 5.0 } else { -5.0 };
        world.server_mut(2).unwrap().clock.step(step_s);
        let error_s = error_after(&mut world, id, 100.0);
        assert!(error_s < 1e-3, "{error_s}");
    }
    let text = "Jitter of 192.0.2.3 exceeds maxjitter of 1.000 seconds";
    assert_said(&world, id, text);
}

#[test]
fn samples_that_jump_by_years() {
    for jump_s in [10.0 * YEAR_S, -10.0 * YEAR_S, 60.0 * YEAR_S, -80.0 * YEAR_S] {
        // One server goes mad among three.
        let setup = ClientSetup {
            directives: &FIVE[..3],
            ..ClientSetup::default()
        };
        let (mut world, id) = world_of(&[0.0, 0.0, 0.0], &setup, &lan());
        run_for(&mut world, 500.0);
        world.server_mut(1).unwrap().clock.step(jump_s);
        let error_s = error_after(&mut world, id, 2000.0);
        assert!(error_s < 1e-3, "{jump_s} {error_s}");
        assert_sane(&mut world, id);
    }
}

#[test]
fn the_only_server_jumps_by_years() {
    let directives = [FAST[0], "maxchange 1000 1 -1"];
    let (mut world, id) = pair(&directives, oscillator(0.01, 2e-5), &lan());
    run_for(&mut world, 500.0);
    world.server_mut(0).unwrap().clock.step(10.0 * YEAR_S);
    let error_s = error_after(&mut world, id, 1000.0);
    assert!(error_s < 1e-3, "{error_s}");
    assert_said(&world, id, "(ignored) ");
    assert_sane(&mut world, id);
    // Without the limit the clock is slewed towards it, at the allowed rate and no faster.
    let (mut world, id) = pair(FAST, oscillator(0.01, 2e-5), &lan());
    run_for(&mut world, 500.0);
    world.server_mut(0).unwrap().clock.step(10.0 * YEAR_S);
    let error_s = error_after(&mut world, id, 1000.0);
    assert!(error_s < 1000.0 / 11.0, "{error_s}");
    assert_sane(&mut world, id);
    assert_said(&world, id, "System clock wrong by");
}

#[test]
fn a_server_that_claims_to_be_exact_and_is_not() {
    // Root delay and dispersion of zero, and wrong by 50 ms.
    let setup = ClientSetup {
        directives: &FIVE[..4],
        ..ClientSetup::default()
    };
    let (mut world, id) = world_of(&[0.0, 0.0, 0.0, 0.05], &setup, &lan());
    for number in 0..3 {
        let server = world.server_mut(number).unwrap();
        server.announcement.root_dispersion_s = 0.01;
    }
    let error_s = error_after(&mut world, id, 2000.0);
    assert!(error_s < 1e-3, "{error_s}");
    assert_said(&world, id, "Detected falseticker 192.0.2.4");
}

#[test]
fn a_server_that_loses_its_reference() {
    let (mut world, id) = pair(FAST, oscillator(0.01, 2e-5), &lan());
    run_for(&mut world, 500.0);
    let server = world.server_mut(0).unwrap();
    server.announcement.leap = LeapIndicator::Unsynchronised;
    server.clock.step(100.0);
    // An unsynchronised server does not count as reachable.
    let error_s = error_after(&mut world, id, 500.0);
    assert!(error_s < 1e-2, "{error_s}");
    assert_said(
        &world,
        id,
        "Can't synchronise: no selectable sources (1 unreachable sources)",
    );
}

#[test]
fn a_copied_server_that_loses_its_reference_is_dropped_at_once() {
    let directives = ["server 192.0.2.1 iburst copy minpoll 4 maxpoll 4"];
    let (mut world, id) = pair(&directives, oscillator(0.01, 2e-5), &lan());
    run_for(&mut world, 500.0);
    assert_eq!(tracking(&mut world, id).stratum, 1);
    let server = world.server_mut(0).unwrap();
    server.announcement.leap = LeapIndicator::Unsynchronised;
    run_for(&mut world, 20.0);
    let text = "Can't synchronise: no selectable sources (1 unreachable sources)";
    assert_said(&world, id, text);
}

#[test]
fn a_clock_stepped_by_an_hour_while_the_daemon_slews() {
    for (jump_s, text) in [
        (3600.0, "Forward time jump detected!"),
        (-3600.0, "Backward time jump detected!"),
        (20.0, "Forward time jump detected!"),
    ] {
        let directives = [FAST[0], "makestep 1 3"];
        let (mut world, id) = pair(&directives, oscillator(0.3, 2e-5), &lan());
        run_for(&mut world, 100.0);
        // makestep is used up and 20 s take four minutes of slewing.
        world.client(id).unwrap().clock.lock().step(jump_s);
        run_for(&mut world, 60.0);
        assert_said(&world, id, text);
        assert_sane(&mut world, id);
        let all_slewed_s = f64::abs(jump_s) * 12.0 + 200.0;
        let error_s = error_after(&mut world, id, all_slewed_s);
        assert!(error_s < 1e-3, "{error_s} {:#?}", messages(&world, id));
        assert_eq!(count(&world, id, "jump detected"), 1);
    }
}

#[test]
fn a_foreign_step_leaves_the_root_dispersion_where_it_was() {
    let setup = ClientSetup {
        directives: FAST,
        oscillator: oscillator(0.01, 2e-5),
        logs: &[LogFile::Tracking],
        ..ClientSetup::default()
    };
    let (mut world, id) = world_of(&[0.0], &setup, &lan());
    run_for(&mut world, 1000.0);
    world.client(id).unwrap().clock.lock().step(-86_400.0);
    run_for(&mut world, 20.0);
    let lines = world.client(id).unwrap().journal.iter();
    let mut lines = lines.filter_map(|(_, entry)| match entry {
        Entry::Line { text, .. } => Some(text.split_whitespace().collect::<Vec<_>>()),
        Entry::Message { .. } => None,
    });
    let lost = lines.next_back().unwrap();
    assert_eq!(lost[2], "0.0.0.0");
    let dispersion_s: f64 = lost[12].parse().unwrap();
    assert!(dispersion_s < 1e-3, "{lost:?}");
}

#[test]
fn small_foreign_steps_are_corrected_in_time() {
    // Jumps of 10 s or less are not noticed as such: about 100 s until converged.
    let (mut world, id) = pair(FAST, oscillator(0.01, 2e-5), &lan());
    run_for(&mut world, 1000.0);
    for step_s in [1.0, -5.0] {
        world.client(id).unwrap().clock.lock().step(step_s);
        let error_s = error_after(&mut world, id, 300.0);
        assert!(error_s < 1e-2, "{step_s} {error_s}");
        assert!(!has(&world, id, "jump detected"));
    }
}

#[test]
fn a_kernel_that_refuses_to_step() {
    let directives = [FAST[0], "makestep 1 -1"];
    let mut setup = ClientSetup {
        directives: &directives,
        oscillator: oscillator(20.0, 2e-5),
        ..ClientSetup::default()
    };
    setup.kernel.steps = false;
    let (mut world, id) = world_of(&[0.0], &setup, &lan());
    run_for(&mut world, 30.0);
    assert_said(&world, id, "Could not step system clock");
    assert!(!has(&world, id, "was stepped"));
    let error_s = error_after(&mut world, id, 300.0);
    assert!(error_s < 1e-3, "{error_s}");
}

#[test]
fn absurd_commands_leave_the_clock_sane() {
    use control_wire::{SingleFloat, Timespec};
    let directives = [FAST[0], "manual"];
    let (mut world, id) = pair(&directives, oscillator(0.01, 2e-5), &lan());
    run_for(&mut world, 300.0);
    for value in [1e30, -1e30, 1e6, -1e6, 1e-30, 0.0] {
        let number = SingleFloat {
            value: value.into(),
        };
        command(&mut world, id, &Request::AdjustFrequency(number));
        command(&mut world, id, &Request::AdjustOffset(number));
        command(&mut world, id, &Request::ModifyMaxUpdateSkew(number));
        assert_sane(&mut world, id);
        run_for(&mut world, 10.0);
    }
    for seconds in [u64::MAX, 1 << 40, 0, 1] {
        let time = Timespec {
            seconds_high: (seconds >> 32) as u32,
            seconds_low: seconds as u32,
            ..Timespec::default()
        };
        command(
            &mut world,
            id,
            &Request::SetTime(control_wire::SetTime { time }),
        );
        assert_sane(&mut world, id);
        run_for(&mut world, 10.0);
    }
    assert_said(&world, id, "is invalid");
    assert_said(&world, id, "exceeds allowed maximum");
}

#[test]
fn the_era_rolls_over_for_a_chain_of_engines() {
    // 2036-02-07 06:28:16 UTC.
    let rollover = sim::clock::TrueTime(2_085_978_496 * 1_000_000_000);
    let mut world = World::new(rollover.plus(-2000.0), 51);
    add_server(&mut world, 1, 0.0);
    let mut ids = Vec::new();
    for (number, line) in [
        (1, "server 192.0.2.1 iburst minpoll 4 maxpoll 4"),
        (2, "server 198.51.100.1 iburst minpoll 4 maxpoll 4 xleave"),
        (3, "peer 198.51.100.2 minpoll 4 maxpoll 4"),
    ] {
        let peer = if number == 2 {
            "peer 198.51.100.3 minpoll 4 maxpoll 4"
        } else {
            "port 123"
        };
        let directives = [line, peer, "allow"];
        let setup = ClientSetup {
            directives: &directives,
            seed: number.into(),
            ..ClientSetup::default()
        };
        ids.push(add_client(&mut world, number, &setup, &lan()).unwrap());
    }
    run_for(&mut world, 1500.0);
    for _ in 0..100 {
        run_for(&mut world, 20.0);
        for id in &ids {
            let error_s = error_s(&mut world, *id).abs();
            assert!(error_s < 1e-3, "{error_s} {:#?}", messages(&world, *id));
        }
    }
    for id in ids {
        assert_eq!(count(&world, id, "Selected source"), 1);
        assert!(!has(&world, id, "wrong by"));
    }
}

#[test]
fn a_start_far_from_the_truth_is_stepped() {
    for offset_s in [-YEAR_S, YEAR_S, -20.0 * YEAR_S] {
        let directives = [FAST[0], "makestep 1 3"];
        let (mut world, id) = pair(&directives, oscillator(offset_s, 2e-5), &lan());
        let error_s = error_after(&mut world, id, 100.0);
        assert!(error_s < 1e-3, "{error_s} {:#?}", messages(&world, id));
        assert!(world.now().since(START) > 99.0);
        assert_said(&world, id, "System clock was stepped by");
    }
}
