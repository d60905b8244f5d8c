//! How engines start and what they leave behind: initial corrections, dumps, drift files,
//! fallback drifts, the local reference.

mod support;

use control_wire::Request;
use discipline::journal::{Entry, LogFile};
use engine::engine::Mode;
use sim::World;
use sim::clock::Oscillator;
use sim::scenario::{ClientSetup, START, add_client, add_server, messages};
use sim::world::NodeId;

use support::{
    FAST, assert_said, command, count, error_after, error_s, lan, oscillator, pair, run_for,
    tracking, world_of,
};

#[test]
fn initstepslew_steps_a_large_and_slews_a_small_error() {
    for (offset_s, how) in [
        (1000.0, "fast of true (step)"),
        (-1000.0, "slow of true (step)"),
        (0.5, "fast of true (slew)"),
        (-0.5, "slow of true (slew)"),
    ] {
        let initial = "initstepslew 10 192.0.2.1 192.0.2.2";
        let directives = [initial, "server 192.0.2.3 iburst minpoll 4 maxpoll 4"];
        let setup = ClientSetup {
            directives: &directives,
            oscillator: oscillator(offset_s, 1e-5),
            ..ClientSetup::default()
        };
        let (mut world, id) = world_of(&[0.0, 0.0, 0.0], &setup, &lan());
        run_for(&mut world, 30.0);
        let all = messages(&world, id);
        let rest = all[0].strip_prefix("System's initial offset : ");
        let (amount_s, said) = rest.and_then(|rest| rest.split_once(" seconds ")).unwrap();
        assert_eq!(said, how);
        let amount_s: f64 = amount_s.parse().unwrap();
        assert!((amount_s - f64::abs(offset_s)).abs() < 1e-3, "{amount_s}");
        let left_s = error_s(&mut world, id).abs();
        assert!(left_s < 2e-3, "{left_s} {all:#?}");
        run_for(&mut world, 300.0);
        // Afterwards the configured source is used, and nothing is left to be corrected.
        assert_said(&world, id, "Selected source 192.0.2.3");
        assert_eq!(messages(&world, id).len(), 2, "{:#?}", messages(&world, id));
        assert_eq!(world.client(id).unwrap().engine.sources().len(), 1);
    }
}

#[test]
fn the_tracking_log_begins_in_every_mode() {
    for (mode, line) in [
        (Mode::Normal, "server 192.0.2.9"),
        (Mode::UpdateOnce, "server 192.0.2.1 iburst"),
        (Mode::PrintOnce, "server 192.0.2.1 iburst"),
        (Mode::Normal, "initstepslew 1 192.0.2.1"),
    ] {
        let setup = ClientSetup {
            directives: &[line],
            mode,
            logs: &[LogFile::Tracking],
            ..ClientSetup::default()
        };
        let (mut world, id) = world_of(&[0.0], &setup, &lan());
        run_for(&mut world, 30.0);
        assert_eq!(unsynchronised_lines(&world, id).len(), 1, "{line} {mode:?}");
    }
}

#[test]
fn initstepslew_without_an_answer_goes_on() {
    let directives = ["initstepslew 1 192.0.2.9", FAST[0]];
    let (mut world, id) = pair(&directives, oscillator(0.2, 1e-5), &lan());
    run_for(&mut world, 400.0);
    assert_said(&world, id, "No suitable source for initstepslew");
    assert_said(&world, id, "Selected source 192.0.2.1");
    assert!(error_s(&mut world, id).abs() < 1e-3);
}

/// Runs a client for some time, lets it exit, and returns it with its files.
fn run_and_exit(world: &mut World, id: NodeId, seconds: f64) {
    run_for(world, seconds);
    world.command(id, |engine, now| {
        engine.give_up_correction(now);
        engine.dump_sources();
        engine.finish(now);
    });
}

#[test]
fn dumps_let_a_restart_begin_where_the_last_run_ended() {
    let mut world = World::new(START, 41);
    add_server(&mut world, 1, 0.0);
    let directives = [FAST[0], "driftfile /drift"];
    let setup = ClientSetup {
        directives: &directives,
        oscillator: oscillator(0.01, 2e-5),
        ..ClientSetup::default()
    };
    let first = add_client(&mut world, 1, &setup, &lan()).unwrap();
    run_and_exit(&mut world, first, 2000.0);
    let files = world.client(first).unwrap().files.clone();
    assert!(files["192.0.2.1"].starts_with("SRC0\n192.0.2.1\n0 377 8 1 0\n"));
    let drift = files["drift"].clone();
    let frequency_ppm: f64 = drift.split_whitespace().next().unwrap().parse().unwrap();
    assert!((frequency_ppm - 20.0).abs() < 0.1, "{drift}");
    // The same clock goes on in the second run.
    let setup = ClientSetup {
        dumps: files,
        files: &[("/drift", drift.as_bytes())],
        oscillator: Oscillator {
            offset_s: error_s(&mut world, first),
            frequency: 2e-5,
            wander: 1e-9,
        },
        ..setup
    };
    let second = add_client(&mut world, 2, &setup, &lan()).unwrap();
    // Before anything came from the server the reference is set.
    assert_said(&world, second, "Loaded dump file for 192.0.2.1");
    assert_said(&world, second, "Selected source 192.0.2.1");
    assert_said(&world, second, "+/- ");
    assert_eq!(tracking(&mut world, second).stratum, 2);
    assert!(error_after(&mut world, second, 60.0) < 1e-4);
}

#[test]
fn dumps_that_are_not_ours_are_refused() {
    let mut world = World::new(START, 42);
    add_server(&mut world, 1, 0.0);
    let setup = ClientSetup {
        directives: FAST,
        ..ClientSetup::default()
    };
    let first = add_client(&mut world, 1, &setup, &lan()).unwrap();
    run_and_exit(&mut world, first, 500.0);
    let dump = world.client(first).unwrap().files["192.0.2.1"].clone();
    let lines: Vec<&str> = dump.lines().collect();
    let garbled = [
        ("empty", String::new()),
        ("another source", dump.replace("192.0.2.1", "192.0.2.7")),
        (
            "cut in the middle of a line",
            dump[..dump.len() - 40].to_owned(),
        ),
        ("a line too few", lines[..lines.len() - 1].join("\n")),
        ("header only", lines[..4].join("\n")),
        ("words for numbers", dump.replace("e-0", "x-0")),
        (
            "infinite",
            dump.replacen(lines[5].split(' ').nth(1).unwrap(), "inf", 1),
        ),
        (
            "not a number",
            dump.replacen(lines[5].split(' ').nth(3).unwrap(), "nan", 1),
        ),
        ("the future", dump.replace("\n17", "\n19")),
        ("backwards", {
            let mut lines = lines.clone();
            lines.swap(5, 6);
            lines.join("\n")
        }),
        ("binary", "SRC0\n\u{0}\u{1}\u{2}".to_owned()),
        (
            "too long a line",
            format!("SRC0\n{}\n", "x".repeat(100_000)),
        ),
    ];
    for (number, (what, text)) in (2..).zip(garbled) {
        let mut setup = setup.clone();
        setup.dumps.insert("192.0.2.1".to_owned(), text);
        let id = add_client(&mut world, number, &setup, &lan()).unwrap();
        let said = messages(&world, id);
        assert!(
            said == ["Could not load dump file for 192.0.2.1"],
            "{what}: {said:#?}"
        );
        assert_eq!(tracking(&mut world, id).stratum, 0, "{what}");
        assert!(error_after(&mut world, id, 300.0) < 1e-3, "{what}");
    }
}

#[test]
fn drift_files_with_garbage() {
    for (text, expected) in [
        (
            "",
            "Could not read valid frequency and skew from driftfile /drift",
        ),
        (
            "garbage\n",
            "Could not read valid frequency and skew from driftfile /drift",
        ),
        (
            "12.5\n",
            "Could not read valid frequency and skew from driftfile /drift",
        ),
        (
            "nan nan\n",
            "Could not read valid frequency and skew from driftfile /drift",
        ),
        (
            "inf 1\n",
            "Could not read valid frequency and skew from driftfile /drift",
        ),
        (
            "\u{0}\u{0}\u{0}\u{0}",
            "Could not read valid frequency and skew from driftfile /drift",
        ),
        (
            "10.0 0.1 and more",
            "Frequency 10.000 +/- 0.100 ppm read from /drift",
        ),
        ("1e300 1e300\n", "ppm exceeds allowed maximum"),
        (
            "-500000 -1\n",
            "Frequency -500000.0 ppm exceeds allowed maximum",
        ),
        (
            "1e-300 0\n",
            "Frequency 0.000 +/- 0.000 ppm read from /drift",
        ),
    ] {
        let directives = [FAST[0], "driftfile /drift"];
        let files = [("/drift", text.as_bytes())];
        let setup = ClientSetup {
            directives: &directives,
            files: &files,
            ..ClientSetup::default()
        };
        let (mut world, id) = world_of(&[0.0], &setup, &lan());
        assert_said(&world, id, expected);
        let left_s = error_after(&mut world, id, 6000.0);
        assert!(left_s < 1e-3, "{text:?} {left_s}");
    }
}

/// Times (seconds since the start) and frequencies of the lines of `tracking.log` that tell of
/// lost synchronisation.
fn unsynchronised_lines(world: &World, id: NodeId) -> Vec<(f64, f64)> {
    let journal = &world.client(id).unwrap().journal;
    let lines = journal.iter().filter_map(|(at, entry)| match entry {
        Entry::Line {
            file: LogFile::Tracking,
            text,
        } if text.contains(" 0.0.0.0 ") => {
            let frequency = text.split_whitespace().nth(4)?.parse().ok()?;
            Some((at.since(START), frequency))
        }
        _ => None,
    });
    lines.collect()
}

#[test]
fn fallback_drifts_take_over_one_after_another() {
    let directives = [FAST[0], "fallbackdrift 6 10"];
    let setup = ClientSetup {
        directives: &directives,
        oscillator: oscillator(0.01, 3e-5),
        logs: &[LogFile::Tracking],
        ..ClientSetup::default()
    };
    let (mut world, id) = world_of(&[0.0], &setup, &lan());
    run_for(&mut world, 4000.0);
    assert_eq!(unsynchronised_lines(&world, id).len(), 1);
    assert!(tracking(&mut world, id).stratum == 2);
    let last_update_s = tracking_lines(&world, id).last().copied().unwrap();
    world.server_mut(0).unwrap().answers = false;
    run_for(&mut world, 2000.0);
    let lines = unsynchronised_lines(&world, id);
    let after: Vec<f64> = lines[1..]
        .iter()
        .map(|(at, _)| (at - last_update_s).round())
        .collect();
    assert_eq!(after, [64.0, 128.0, 256.0, 512.0, 1024.0]);
    for (_, frequency_ppm) in &lines[1..] {
        assert!((frequency_ppm - 30.0).abs() < 0.5, "{frequency_ppm}");
    }
    assert_eq!(tracking(&mut world, id).stratum, 0);
    world.server_mut(0).unwrap().answers = true;
    run_for(&mut world, 300.0);
    assert_eq!(tracking(&mut world, id).stratum, 2);
}

/// Times of all lines of `tracking.log`, seconds since the start.
fn tracking_lines(world: &World, id: NodeId) -> Vec<f64> {
    let journal = &world.client(id).unwrap().journal;
    let lines = journal.iter().filter_map(|(at, entry)| match entry {
        Entry::Line {
            file: LogFile::Tracking,
            ..
        } => Some(at.since(START)),
        _ => None,
    });
    lines.collect()
}

#[test]
fn the_drift_file_is_written_at_its_interval_and_at_exit() {
    let directives = [FAST[0], "driftfile /drift interval 600"];
    let (mut world, id) = pair(&directives, oscillator(0.01, 3e-5), &lan());
    run_for(&mut world, 590.0);
    assert!(!world.client(id).unwrap().files.contains_key("drift"));
    run_for(&mut world, 60.0);
    let written = world.client(id).unwrap().files["drift"].clone();
    assert_eq!(written.len(), 42, "{written:?}");
    run_and_exit(&mut world, id, 100.0);
    assert_ne!(world.client(id).unwrap().files["drift"], written);
}

#[test]
fn the_local_reference_waits_and_is_activated() {
    let directives = [
        FAST[0],
        "local stratum 5 activate 0.1 waitunsynced 200 waitsynced 50 distance 0.002",
        "fallbackdrift 6 6",
    ];
    let (mut world, id) = pair(&directives, oscillator(0.01, 3e-5), &lan());
    // Never synchronised: not activated, however long it takes.
    world.server_mut(0).unwrap().answers = false;
    run_for(&mut world, 1000.0);
    assert_eq!(tracking(&mut world, id).stratum, 0);
    world.server_mut(0).unwrap().answers = true;
    run_for(&mut world, 600.0);
    assert_eq!(tracking(&mut world, id).stratum, 2);
    world.server_mut(0).unwrap().answers = false;
    // The fallback drift makes it unsynchronised after 64 s; 200 s more are waited.
    run_for(&mut world, 200.0);
    assert_eq!(tracking(&mut world, id).stratum, 0);
    run_for(&mut world, 100.0);
    assert_eq!(tracking(&mut world, id).stratum, 5);
    assert_eq!(tracking(&mut world, id).ref_id, 0x7f7f_0101);
    // By command off and on.
    let off = control_wire::Local {
        on_off: 0,
        ..local_request()
    };
    command(&mut world, id, &Request::Local(off));
    assert_said(&world, id, "Disabled local reference mode");
    assert_eq!(tracking(&mut world, id).stratum, 0);
    command(&mut world, id, &Request::Local(local_request()));
    assert_said(&world, id, "Enabled local reference mode");
    assert_eq!(tracking(&mut world, id).stratum, 7);
    assert_eq!(count(&world, id, "local reference mode"), 2);
}

fn local_request() -> control_wire::Local {
    control_wire::Local {
        on_off: 1,
        stratum: 7,
        distance_s: 1.0.into(),
        orphan: 0,
        activate_s: 0.0.into(),
        wait_synced_s: 0.0.into(),
        wait_unsynced_s: 0.0.into(),
    }
}

#[test]
fn temperature_is_compensated_until_readings_vanish() {
    let directives = [FAST[0], "tempcomp /sensor 10 20 0 2 0", "driftfile /drift"];
    let setup = ClientSetup {
        directives: &directives,
        // 2 ppm per degree: the clock is 6 ppm slow at 23 degrees.
        temperature: Some(23.0),
        oscillator: oscillator(0.01, -6e-6),
        logs: &[LogFile::Tempcomp],
        ..ClientSetup::default()
    };
    let (mut world, id) = world_of(&[0.0], &setup, &lan());
    run_for(&mut world, 3000.0);
    // All of it is compensated: the clock's own frequency is 0.
    let frequency_ppm = tracking(&mut world, id).freq_ppm.value();
    assert!(frequency_ppm.abs() < 0.3, "{frequency_ppm}");
    // A warmer and at once slower clock stays right.
    {
        let client = world.client_mut(id).unwrap();
        client.temperature = Some(24.0);
        client.clock.lock().change_frequency(-2e-6);
    }
    for _ in 0..30 {
        let left_s = error_after(&mut world, id, 10.0);
        assert!(left_s < 1e-4, "{left_s}");
    }
    for (reading, text) in [
        (None, "Could not read temperature from /sensor"),
        (Some(f64::NAN), "Could not read temperature from /sensor"),
        (
            Some(26.0),
            "Temperature compensation of 12.000 ppm exceeds sanity limit of 10.0",
        ),
        (Some(-1e300), "exceeds sanity limit of 10.0"),
    ] {
        world.client_mut(id).unwrap().temperature = reading;
        run_for(&mut world, 11.0);
        assert_said(&world, id, text);
    }
    // What was in force stays so.
    let left_s = error_after(&mut world, id, 600.0);
    assert!(left_s < 1e-4, "{left_s}");
}
