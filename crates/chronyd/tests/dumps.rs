//! Measurement dumps exchanged with Debian's chrony both ways, with the real programs
//! (discipline chapter, section 5). Needs root and the folder of `scripts/fetch-peers`.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::ports::free_port;
use support::program::{Program, new_folder, report};
use support::{CHRONYD, Running, finish, peers, wait_until};

/// Samples in the dumps: enough for a fit with runs.
const SAMPLES: usize = 10;

/// Lets a program measure a server and exit; returns the dump it leaves.
fn measure(program: &Program, peers: &Path, parent: &Path, port: u16) -> String {
    let folder = new_folder(parent, &format!("{}-writes", program.name));
    let lines = [
        format!("server 127.0.0.1 port {port} minpoll -4 maxpoll -4 maxsamples {SAMPLES}"),
        format!("dumpdir {}", folder.display()),
        "port 0".to_owned(),
    ];
    let mut running = program.start(&folder, &[], &lines);
    wait_until("enough samples", || {
        let told = report(peers, &folder, "sourcestats");
        let samples = told.get(1)?.parse::<usize>().ok()?;
        (samples >= SAMPLES).then_some(())
    });
    assert!(running.stop().success());
    fs::read_to_string(folder.join("127.0.0.1.dat")).expect("a dump")
}

/// Lets a program load a dump; returns its `sourcestats` and the dump it leaves at its exit.
fn load(
    program: &Program,
    peers: &Path,
    parent: &Path,
    (name, dump): (&str, &str),
) -> (Vec<String>, String) {
    let folder = new_folder(parent, &format!("{}-loads-{name}", program.name));
    let file = folder.join("127.0.0.1.dat");
    fs::write(&file, dump).expect("written");
    let lines = [
        // It sends nothing, and its clock is left alone.
        "server 127.0.0.1 port 9 offline noselect".to_owned(),
        // Weights depend on it, and every start measures it anew.
        "clockprecision 1e-7".to_owned(),
        format!("dumpdir {}", folder.display()),
        "port 0".to_owned(),
    ];
    let mut running = program.start(&folder, &["-r"], &lines);
    running.wait_for("Loaded dump file for 127.0.0.1");
    wait_until("removal of the dump", || (!file.exists()).then_some(()));
    let statistics = report(peers, &folder, "sourcestats");
    assert!(running.stop().success());
    (statistics, fs::read_to_string(file).expect("a dump"))
}

/// The times of a dump's samples in nanoseconds, and everything else.
fn split(dump: &str) -> (Vec<i64>, Vec<String>) {
    let (mut times, mut rest) = (Vec::new(), Vec::new());
    for (index, line) in dump.lines().enumerate() {
        match line.split_once(' ') {
            Some((time, values)) if index >= 4 => {
                times.push(time.replace('.', "").parse().expect("nine decimals"));
                rest.push(values.to_owned());
            }
            _ => rest.push(line.to_owned()),
        }
    }
    (times, rest)
}

#[test]
fn dumps_go_to_chrony_and_come_from_it() {
    let Some(peers) = peers() else { return };
    let parent = tempfile::tempdir().unwrap();
    let parent = parent.path();
    let ours = Program::ours();
    let theirs = Program::theirs(&peers);
    let port = free_port();
    let server = new_folder(parent, "server");
    let lines = ["local stratum 1", "allow", &format!("port {port}")].map(str::to_owned);
    let _server = theirs.start(&server, &[], &lines);
    for (name, writer) in [("ours", &ours), ("theirs", &theirs)] {
        let dump = measure(writer, &peers, parent, port);
        assert!(dump.starts_with("SRC0\n127.0.0.1\n0 377 8 1 0\n"), "{dump}");
        let (by_us, left_by_us) = load(&ours, &peers, parent, (name, &dump));
        let (by_them, left_by_them) = load(&theirs, &peers, parent, (name, &dump));
        // Name, samples, runs, span; the numbers of a fit.
        assert_eq!(by_us[..4], by_them[..4], "dump of {name}:\n{dump}");
        assert!(by_us[1].parse::<usize>().unwrap() > 3, "{by_us:?}");
        // Chrony reads times as doubles: they are off by up to 0.2 µs, and a printed number by
        // one in its last place.
        for (column, unit) in [(4, 1.1e-3), (5, 1.1e-3), (7, 1.1e-9)] {
            let [ours, theirs] = [&by_us, &by_them].map(|row| row[column].parse::<f64>().unwrap());
            assert!(
                (ours - theirs).abs() <= 1e-3 * ours.abs() + unit,
                "column {column}: {by_us:?} {by_them:?}"
            );
        }
        // Nothing changes on the way through us (samples that the runs test dropped are not
        // written again); chrony cuts the times.
        let kept = left_by_us.lines().count() - 4;
        let tail: Vec<&str> = dump.lines().rev().take(kept).collect();
        assert!(left_by_us.lines().rev().take(kept).eq(tail), "{left_by_us}");
        let ((our_times, our_rest), (their_times, their_rest)) =
            (split(&left_by_us), split(&left_by_them));
        assert_eq!(our_rest, their_rest);
        for (ours, theirs) in our_times.iter().zip(&their_times) {
            assert!((ours - theirs).abs() <= 1000, "{ours} {theirs}");
        }
    }
}

#[test]
fn a_dump_of_chrony_sets_the_reference_before_anything_is_received() {
    let Some(peers) = peers() else { return };
    let parent = tempfile::tempdir().unwrap();
    let parent = parent.path();
    let theirs = Program::theirs(&peers);
    let ours = Program::ours();
    let port = free_port();
    let server = new_folder(parent, "server");
    let lines = ["local stratum 1", "allow", &format!("port {port}")].map(str::to_owned);
    let serving = theirs.start(&server, &[], &lines);
    let dump = measure(&theirs, &peers, parent, port);
    drop(serving);
    let folder = new_folder(parent, "loads");
    fs::write(folder.join("127.0.0.1.dat"), dump).expect("written");
    let lines = [
        format!("server 127.0.0.1 port {port}"),
        format!("dumpdir {}", folder.display()),
        "port 0".to_owned(),
    ];
    let mut running = ours.start(&folder, &["-r"], &lines);
    running.wait_for("Selected source 127.0.0.1");
    let tracking = report(&peers, &folder, "tracking");
    assert_eq!(tracking[2], "2", "{tracking:?}");
}

#[test]
fn a_dump_that_does_not_fit_on_the_disk_is_not_left_half_written() {
    let parent = tempfile::tempdir().unwrap();
    let parent = parent.path();
    let port = free_port();
    let _server = Running::own_server(parent, port);
    let folder = new_folder(parent, "dumps");
    // No file may grow beyond a block; what is written to standard error is no file.
    let limited = "trap '' XFSZ; ulimit -f 1; exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", limited, "sh", CHRONYD, "-U", "-x", "-d", "-t", "3"])
        .args(support::client(&[
            &format!("server 127.0.0.1 port {port} minpoll -4 maxpoll -4"),
            &format!("dumpdir {}", folder.display()),
        ]));
    let ended = finish(&mut command);
    let said = ended.messages();
    let failed = said.iter().find(|line| line.contains("File too large"));
    assert!(
        failed.is_some_and(|line| line.contains("127.0.0.1.dat")),
        "{said:#?}"
    );
    let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
