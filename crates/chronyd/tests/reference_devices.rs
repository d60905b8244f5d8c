//! Clock devices as reference clocks of the real program: sources of pulses, network cards,
//! clock chips. The machine need not have them: the devices of `support/devices.c` are
//! preloaded, into Debian's chrony, too.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::namespace::build_library;
use support::program::{Program, new_folder};
use support::{Running, able, is_root, wait_until};

/// The clocks that both programs know.
const CLOCKS: &[&str] = &[
    "refclock PHC /dev/ptp-fake poll 1 dpoll -1 offset -37 refid PHCX noselect",
    "refclock PPS /dev/pps-fake lock PHCX poll 1 filter 4 refid PPSX noselect",
    "refclock PPS /dev/pps-fake:clear lock PHCX poll 1 filter 4 refid CLRX noselect",
    "refclock PHC /dev/ptp-fake:extpps:pin=3:channel=1 lock PHCX poll 1 dpoll -1 filter 4 \
     refid EXTX noselect",
];

/// Reference ID, whether it gives pulses, raw and cooked offset in seconds: the clocks are a
/// quarter of a second ahead, pulses end 0.2 s later, the card keeps TAI. In the raw offset of
/// its pulses (a quirk) that counts, too, and the quarter twice.
const OFFSETS: &[(&str, &str, f64, f64)] = &[
    ("PHCX", "0", 37.25, 0.25),
    ("PPSX", "1", 0.25, 0.25),
    ("CLRX", "1", 0.05, 0.05),
    ("EXTX", "1", 37.5, 0.25),
];

/// Samples of each clock that are waited for.
const SAMPLES: usize = 3;

/// How exact the fake card's readings are on a busy machine, seconds.
const TOLERANCE_S: f64 = 1e-3;

/// Whether there is a C compiler.
fn can_compile() -> bool {
    let mut compiler = Command::new("cc");
    compiler.arg("--version").stdout(Stdio::null());
    let works = compiler.status().is_ok_and(|status| status.success());
    able(works && is_root(), "root and a C compiler named cc")
}

/// Starts a program with the preloaded devices.
fn start(program: &Program, parent: &Path, arguments: &[&str], clocks: &[&str]) -> Running {
    let folder = new_folder(parent, program.name);
    let fixed = [
        "port 0".to_owned(),
        "clockprecision 1e-7".to_owned(),
        format!("logdir {}", folder.display()),
        "log refclocks".to_owned(),
    ];
    let clocks = clocks.iter().map(|line| (*line).to_owned());
    let lines: Vec<String> = fixed.into_iter().chain(clocks).collect();
    let mut command = program.command(&folder, arguments, &lines);
    command.env("LD_PRELOAD", build_library("devices", &folder));
    Running::start(&mut command, &folder, program.name)
}

/// Fields of the samples of a clock: leap status, whether a pulse, offsets, dispersion.
fn samples(folder: &Path, refid: &str) -> Vec<Vec<String>> {
    let log = std::fs::read_to_string(folder.join("refclocks.log")).unwrap_or_default();
    let rows = log.lines().map(|line| line.split_whitespace());
    let rows = rows.map(|row| row.map(str::to_owned).collect::<Vec<_>>());
    let of_clock = rows.filter(|row| row.get(2).is_some_and(|name| name == refid));
    let raw = of_clock.filter(|row| row.len() == 9 && row[3] != "-");
    raw.map(|row| row[4..].to_vec()).collect()
}

fn check(program: &Program, parent: &Path, running: &mut Running) {
    let folder = parent.join(program.name);
    for &(refid, pulse, raw_s, cooked_s) in OFFSETS {
        let found = wait_until(refid, || {
            let found = samples(&folder, refid);
            (found.len() >= SAMPLES).then_some(found)
        });
        for fields in found {
            assert_eq!(fields[..2], ["N", pulse], "{refid} {}", program.name);
            for (text, expected) in fields[2..].iter().zip([raw_s, cooked_s, 0.0]) {
                let value: f64 = text.parse().expect("number");
                let close = (value - expected).abs() < TOLERANCE_S;
                assert!(close, "{refid} {} {fields:?}", program.name);
            }
        }
    }
    assert!(running.stop().success(), "{}", running.log());
}

#[test]
fn all_devices_are_read() {
    if !can_compile() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let chip = "refclock RTC /dev/rtc-fake:utc poll 1 filter 4 refid RTCX noselect";
    let clocks = [CLOCKS, &[chip]].concat();
    let program = Program::ours();
    // The filter of system calls lets the devices' controls pass.
    let mut running = start(&program, folder.path(), &["-F", "1"], &clocks);
    let found = wait_until("samples of the chip", || {
        let found = samples(&folder.path().join(program.name), "RTCX");
        (found.len() >= SAMPLES).then_some(found)
    });
    for fields in found {
        // The time of an interrupt is that of the daemon's waking.
        let offset_s: f64 = fields[3].parse().expect("offset");
        assert!((offset_s - 0.25).abs() < 0.2, "{fields:?}");
    }
    check(&program, folder.path(), &mut running);
}

#[test]
fn devices_are_read_as_by_chrony() {
    let Some(peers) = support::peers().filter(|_| can_compile()) else {
        return;
    };
    let folder = tempfile::tempdir().expect("folder");
    let both = [Program::ours(), Program::theirs(&peers)];
    let started = both.map(|program| {
        let running = start(&program, folder.path(), &[], CLOCKS);
        (program, running)
    });
    for (program, mut running) in started {
        check(&program, folder.path(), &mut running);
    }
}
