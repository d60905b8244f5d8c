//! The real program in a preloaded world: it waits, reads time, sends and steers through
//! libc's functions alone, so that hours pass in moments; and it does with the same packets
//! what Debian's chrony does.
//!
//! Needs root (to drop the right to steer the clock), `setpriv` and a C compiler.

#[path = "support/preload.rs"]
mod preload;
mod support;

use std::path::{Path, PathBuf};

use preload::{Life, Situation};
use support::{CHRONYD, able, is_root, messages};

const SERVER: &str = "server 192.0.2.1 iburst";

/// The compiled world in a temporary folder; `None` where the tests cannot run.
fn world() -> Option<(tempfile::TempDir, PathBuf)> {
    if !able(is_root(), "root") {
        return None;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let world = preload::build(folder.path());
    able(world.is_some(), "a C compiler named cc");
    world.map(|world| (folder, world))
}

fn live(situation: &Situation, world: &Path, folder: &Path, directives: &[&str]) -> Life {
    let life = situation.live(world, Path::new(CHRONYD), folder, directives);
    assert_eq!(life.status, Some(0), "{}", life.stderr);
    life
}

#[test]
fn hours_pass_in_a_moment_and_the_clock_is_steered() {
    let Some((folder, world)) = world() else {
        return;
    };
    let situation = Situation {
        duration_s: 10_000,
        settling_s: 1_000,
        ..Situation::default()
    };
    let run = |name: &str, situation: Situation, directives: &[&str]| {
        live(&situation, &world, &folder.path().join(name), directives)
    };
    let life = run("full", situation, &[SERVER]);
    // Far below the 10 ms and 10 ppm of the start; the jitter is 10 µs.
    assert!(life.report.time_error_s < 3e-5, "{:?}", life.report);
    assert!(life.report.frequency_error < 2e-7, "{:?}", life.report);
    let expected = [
        "CAP_SYS_TIME not present",
        "Running with root privileges",
        "Selected source 192.0.2.1",
        "chronyd exiting",
    ];
    assert_eq!(messages(&life.stderr), expected);
    let drift = std::fs::read_to_string(folder.path().join("full/drift")).expect("drift file");
    let frequency_ppm: f64 = drift
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a frequency");
    assert!((frequency_ppm - 10.0).abs() < 1.0, "{drift}");

    // The same life again, and on a system without the newer calls: the delays are the same,
    // the receive times are those of the wake-up, which here is the arrival.
    let again = run("again", situation, &[SERVER]);
    assert_eq!(again.report.time_error_s, life.report.time_error_s);
    let plain = Situation {
        plain: true,
        ..situation
    };
    let plain = run("plain", plain, &[SERVER]);
    assert_eq!(plain.report.requests, life.report.requests);
    let ratio = plain.report.time_error_s / life.report.time_error_s;
    assert!((ratio - 1.0).abs() < 1e-3, "{ratio}");
}

#[test]
fn a_thousand_seconds_are_stepped_or_slewed() {
    let Some((folder, world)) = world() else {
        return;
    };
    let situation = Situation {
        duration_s: 20_000,
        settling_s: 15_000,
        offset_s: 1000.0,
        ..Situation::default()
    };
    let stepped = live(
        &situation,
        &world,
        &folder.path().join("step"),
        &[SERVER, "makestep 1 3"],
    );
    assert!(stepped.report.time_error_s < 3e-5, "{:?}", stepped.report);
    let steps = |life: &Life| life.stderr.matches("System clock was stepped by -").count();
    assert_eq!(steps(&stepped), 1, "{}", stepped.stderr);
    // What was said before the step has the time before it: the clock was 1000 s ahead of
    // midnight.
    let minute = |text: &str| {
        let line = stepped.stderr.lines().find(|line| line.contains(text));
        line.and_then(|line| line.get(11..16)).map(str::to_owned)
    };
    assert_eq!(minute("Selected source").as_deref(), Some("00:16"));
    assert_eq!(minute("System clock wrong by").as_deref(), Some("00:16"));
    assert_eq!(minute("was stepped by").as_deref(), Some("00:00"));
    // 12 000 s at 83333 ppm.
    let slewed = live(&situation, &world, &folder.path().join("slew"), &[SERVER]);
    assert!(slewed.report.time_error_s < 1e-4, "{:?}", slewed.report);
    assert_eq!(steps(&slewed), 0, "{}", slewed.stderr);
}

/// What `statistics.log` tells about each sample: samples, dropped ones, runs.
fn decisions(folder: &Path) -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(folder.join("statistics.log")).expect("log");
    let rows = text.lines().filter(|line| line.starts_with("20"));
    rows.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        [9, 10, 11].map(|index| words.get(index).copied().unwrap_or_default().to_owned())
    })
    .collect()
}

#[test]
fn the_same_packets_lead_to_the_same_decisions_as_debians() {
    let Some((folder, world)) = world() else {
        return;
    };
    let Some(peers) = support::peers() else {
        return;
    };
    let debian = peers.join("chrony/usr/sbin/chronyd");
    let logs = "log statistics tracking measurements";
    for (jitter_s, wander) in [(1e-6, 1e-9), (1e-4, 1e-9), (1e-3, 1e-7), (1e-2, 1e-10)] {
        let situation = Situation {
            jitter_s,
            wander,
            duration_s: 20_000,
            settling_s: 1_000,
            even: true,
            ..Situation::default()
        };
        let name = |daemon: &str| folder.path().join(format!("{jitter_s}-{wander}-{daemon}"));
        let (ours, theirs) = (name("ours"), name("debian"));
        let own = [SERVER, logs, "estimator regression"];
        let life = live(&situation, &world, &ours, &own);
        let reference = situation.live(&world, &debian, &theirs, &[SERVER, logs]);
        assert_eq!(reference.status, Some(0), "{}", reference.stderr);
        let (ours, theirs) = (decisions(&ours), decisions(&theirs));
        let differs = ours
            .iter()
            .zip(&theirs)
            .position(|(our, their)| our != their);
        let of = |rows: &[[String; 3]]| differs.and_then(|row| rows.get(row).cloned());
        assert_eq!(
            of(&ours),
            of(&theirs),
            "{jitter_s} {wander}, row {differs:?}"
        );
        assert_eq!(ours.len(), theirs.len());
        assert_eq!(life.report.requests, reference.report.requests);
        let ratio = life.report.time_error_s / reference.report.time_error_s;
        assert!((ratio - 1.0).abs() < 0.02, "{jitter_s} {wander}: {ratio}");
        let filter = live(
            &situation,
            &world,
            &name("kalman"),
            &[SERVER, "estimator kalman"],
        );
        let ratio = filter.report.time_error_s / reference.report.time_error_s;
        assert!(ratio < 1.0, "{jitter_s} {wander}, kalman: {ratio}");
    }
}

/// 2026-06-30 23:10:00 UTC.
const LEAP_START_S: i64 = 1_782_861_000;

/// From then to the leap second and ten minutes more, seconds.
const LEAP_DURATION_S: u32 = 3600;

/// Offsets that `tracking.log` shows, seconds.
fn offsets_s(folder: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(folder.join("tracking.log")).expect("log");
    let rows = text.lines().filter(|line| line.starts_with("20"));
    let offsets = rows.filter_map(|line| line.split_whitespace().nth(6)?.parse().ok());
    offsets.collect()
}

#[test]
fn leap_seconds_in_every_mode_are_as_debians() {
    let Some((folder, world)) = world() else {
        return;
    };
    let Some(peers) = support::peers() else {
        return;
    };
    let debian = peers.join("chrony/usr/sbin/chronyd");
    for leap in [1, -1] {
        for mode in ["system", "step", "slew", "ignore"] {
            let situation = Situation {
                start_s: LEAP_START_S,
                leap,
                duration_s: LEAP_DURATION_S,
                settling_s: 100,
                offset_s: 1e-3,
                even: true,
                ..Situation::default()
            };
            let live = |daemon: &Path, name: &str| {
                let folder = folder.path().join(format!("{name}-{mode}-{leap}"));
                let directives = [
                    "server 192.0.2.1 iburst minpoll 4 maxpoll 4",
                    "log tracking",
                    &format!("leapsecmode {mode}"),
                ];
                let life = situation.live(&world, daemon, &folder, &directives);
                assert_eq!(life.status, Some(0), "{}", life.stderr);
                (life, offsets_s(&folder))
            };
            let (ours, our_offsets) = live(Path::new(CHRONYD), "ours");
            let (theirs, their_offsets) = live(&debian, "debian");
            let said = messages(&ours.stderr);
            assert_eq!(said, messages(&theirs.stderr), "{mode} {leap}");
            let expected = match mode {
                "system" => "System clock status reset after leap second",
                "step" => "System clock was stepped for leap second",
                "slew" => "Adjusting system clock for leap second",
                _ => "Ignoring leap second",
            };
            assert!(said.iter().any(|line| line == expected), "{said:?}");
            // Timers of Debian's chrony follow the kernel's clock: one poll more or less.
            let lengths = our_offsets.len().abs_diff(their_offsets.len());
            assert!(lengths <= 1, "{mode} {leap} {lengths}");
            for (ours, theirs) in our_offsets.iter().zip(&their_offsets) {
                assert!(
                    (ours - theirs).abs() < 1e-5 + 0.05 * theirs.abs(),
                    "{mode} {leap}: {ours} {theirs}"
                );
            }
            // True time has no leap second: the clock ends a second from it, in every mode.
            let [ours, theirs] = [&ours, &theirs].map(|life| life.report.time_error_s);
            assert!(
                (ours - theirs).abs() < 0.01 * theirs,
                "{mode} {leap}: {ours} {theirs}"
            );
        }
    }
}

/// A message with its numbers rounded to milliseconds: what differs below depends on the packets
/// that were first.
fn rounded(message: &str) -> String {
    let words = message.split(' ').map(|word| match word.parse::<f64>() {
        Ok(number) if word.contains('.') => format!("{number:.3}"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn settings_act_as_in_debians() {
    let Some((folder, world)) = world() else {
        return;
    };
    let Some(peers) = support::peers() else {
        return;
    };
    let debian = peers.join("chrony/usr/sbin/chronyd");
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("sensor"), "25.0\n").expect("written");
    std::fs::write(at("points"), "10 1\n20 2\n").expect("written");
    let polled = "server 192.0.2.1 iburst minpoll 4 maxpoll 4";
    let (quadratic, points) = (
        format!("tempcomp {} 100 20 0.5 1 -0.02", at("sensor")),
        format!("tempcomp {} 100 {}", at("sensor"), at("points")),
    );
    let cases: [(&[&str], f64, f64); 8] = [
        (&[polled, &quadratic], 0.01, 1e-5),
        (&[polled, &points], 0.01, 1e-5),
        (
            &["server 192.0.2.1 minpoll 4 maxpoll 4", "maxchange 0.1 0 -1"],
            0.5,
            1e-5,
        ),
        (&["initstepslew 1 192.0.2.2 192.0.2.3", polled], 5.0, 1e-5),
        (&["initstepslew 1 192.0.2.2 192.0.2.3", polled], -0.5, 1e-5),
        (
            &[polled, "maxslewrate 500", "corrtimeratio 10", "maxdrift 50"],
            1.0,
            1e-4,
        ),
        (&[polled, "logchange 0.001", "maxupdateskew 5"], 0.1, 0.05),
        (
            &[polled, "makestep 0.1 -1", "fallbackdrift 6 7"],
            -3.0,
            -2e-4,
        ),
    ];
    for (number, (directives, offset_s, frequency)) in cases.into_iter().enumerate() {
        let situation = Situation {
            duration_s: 3000,
            settling_s: 2000,
            offset_s,
            frequency,
            even: true,
            ..Situation::default()
        };
        let live = |daemon: &Path, name: &str| {
            let folder = folder.path().join(format!("{name}-{number}"));
            let directives: Vec<&str> = directives
                .iter()
                .copied()
                .chain(["log tracking tempcomp"])
                .collect();
            let life = situation.live(&world, daemon, &folder, &directives);
            let temperatures = std::fs::read_to_string(folder.join("tempcomp.log"));
            (life, offsets_s(&folder), temperatures.unwrap_or_default())
        };
        let (ours, our_offsets, our_temperatures) = live(Path::new(CHRONYD), "ours");
        let (theirs, their_offsets, their_temperatures) = live(&debian, "debian");
        let said = |life: &Life| -> Vec<String> {
            let all = messages(&life.stderr);
            all.iter().map(|message| rounded(message)).collect()
        };
        assert_eq!(said(&ours), said(&theirs), "{directives:?}");
        assert_eq!(ours.status, theirs.status, "{directives:?}");
        assert_eq!(our_temperatures, their_temperatures);
        let lengths = our_offsets.len().abs_diff(their_offsets.len());
        assert!(lengths <= 1, "{directives:?} {lengths}");
        for (ours, theirs) in our_offsets.iter().zip(&their_offsets) {
            assert!(
                (ours - theirs).abs() < 2e-5 + 0.05 * theirs.abs(),
                "{directives:?}: {ours} {theirs}"
            );
        }
        let [ours, theirs] = [&ours, &theirs].map(|life| life.report.time_error_s);
        assert!(
            (ours - theirs).abs() < 5e-6 + 0.05 * theirs,
            "{directives:?}: {ours} {theirs}"
        );
    }
}
