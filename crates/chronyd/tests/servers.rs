//! Debian's chrony, ntpsec and OpenNTPD as servers of the real program: it selects them, and
//! measures what chrony's own client measures.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::namespace::{Namespace, OPENNTPD_SETUP, build_library};
use support::{CHRONYD, Running, able, client, finish, peers};

mod support;

/// Offsets are printed in whole microseconds, each up to half of one off.
const PRINTED_S: f64 = 1e-6;

/// Where the servers listen.
const SERVER: &str = "127.0.0.2";

/// Lines of chrony as a server of the machine's own clock; no path is its default.
fn chrony_lines(folder: &Path, address: &str) -> Vec<String> {
    let pidfile = format!("pidfile {}/{address}.pid", folder.display());
    let lines = [
        "local stratum 2",
        "allow",
        "cmdport 0",
        "bindcmdaddress /",
        &pidfile,
    ];
    let mut lines: Vec<String> = lines.map(str::to_owned).to_vec();
    lines.push(format!("bindaddress {address}"));
    lines
}

fn start_chrony(
    chrony: &Path,
    namespace: &Namespace,
    folder: &Path,
    address: &str,
    name: &str,
) -> Running {
    let mut command = namespace.command(chrony);
    command
        .args(["-u", "root", "-x", "-d"])
        .args(chrony_lines(folder, address));
    let mut running = Running::start(&mut command, folder, name);
    running.wait_for("Running with root privileges");
    running
}

/// What a client found out by a single measurement.
struct Measured {
    /// Offset as printed, s.
    offset_s: f64,
    /// Half the delay and the dispersion, of the server and of the way to it, s.
    root_distance_s: f64,
}

/// Runs `-Q` with a measurement log, from which the root distance is taken. `None` while the
/// server does not serve.
fn measure(command: &mut Command, logs: &Path) -> Option<Measured> {
    fs::create_dir_all(logs).unwrap();
    let line = format!("server {SERVER} iburst maxsamples 1");
    command
        .args(["-Q", "-t", "10", &line, "log measurements"])
        .arg(format!("logdir {}", logs.display()));
    let ended = finish(command);
    let messages = ended.messages();
    let printed = messages
        .iter()
        .find_map(|line| line.strip_prefix("System clock wrong by "))?;
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let word = printed.split(' ').next().expect("offset");
    let log = fs::read_to_string(logs.join("measurements.log")).expect("log");
    let last = log.lines().last().expect("measurement");
    let columns: Vec<&str> = last.split_whitespace().collect();
    // Date, time, address, leap, stratum, three groups of tests, two polls, score, offset,
    // peer delay, peer dispersion, root delay, root dispersion, …
    let number = |column: usize| columns[column].parse::<f64>().expect("number");
    Some(Measured {
        offset_s: word.parse().expect("offset"),
        root_distance_s: (number(14) + number(12)) / 2.0 + number(15) + number(13),
    })
}

/// The server that runs in the namespace is selected by ours, and measured alike by ours and
/// by chrony's client.
fn check(peers: &Path, namespace: &Namespace, folder: &Path) {
    let ours_program = Path::new(CHRONYD);
    let mut command = namespace.command(ours_program);
    command
        .args(["-x", "-d"])
        .args(client(&[&format!("server {SERVER} iburst")]));
    let mut running = Running::start(&mut command, folder, "ours");
    running.wait_for(&format!("Selected source {SERVER}"));
    assert_eq!(running.stop().code(), Some(0), "{}", running.log());

    let ours = measure(&mut namespace.command(ours_program), &folder.join("ours"));
    let chrony = peers.join("chrony/usr/sbin/chronyd");
    let mut command = namespace.command(&chrony);
    command.args(["-u", "root"]);
    let theirs = measure(&mut command, &folder.join("theirs"));
    let (ours, theirs) = (ours.expect("measurement"), theirs.expect("measurement"));
    let difference_s = (ours.offset_s - theirs.offset_s).abs();
    let limit_s = ours.root_distance_s + theirs.root_distance_s + PRINTED_S;
    eprintln!(
        "ours {:.6} s, theirs {:.6} s, limit {limit_s:.6} s",
        ours.offset_s, theirs.offset_s
    );
    assert!(difference_s <= limit_s, "{difference_s} s > {limit_s} s");
}

#[test]
fn chrony() {
    let Some(peers) = peers() else { return };
    let folder = tempfile::tempdir().unwrap();
    let namespace = Namespace::new(folder.path(), "");
    let program = peers.join("chrony/usr/sbin/chronyd");
    let mut server = start_chrony(&program, &namespace, folder.path(), SERVER, "server");
    check(&peers, &namespace, folder.path());
    assert_eq!(server.stop().code(), Some(0), "{}", server.log());
}

/// Without a server of its own it serves the machine's clock as an orphan.
const NTPSEC_LINES: &str = "tos orphan 3 orphanwait 1 minsane 0\n\
    disable ntp\n\
    restrict default\n\
    interface ignore wildcard\n\
    interface listen 127.0.0.2\n";

#[test]
fn ntpsec() {
    let Some(peers) = peers() else { return };
    let program = peers.join("ntpsec/usr/sbin/ntpd");
    if !able(program.exists(), "ntpsec of scripts/fetch-peers") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let namespace = Namespace::new(folder.path(), "ip address add 127.0.0.2/8 dev lo");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("ntp.conf"), NTPSEC_LINES).unwrap();
    let mut command = namespace.command(&program);
    command.args(["-n", "-g", "-c"]).arg(at("ntp.conf"));
    command.arg("-f").arg(at("drift"));
    let mut server = Running::start(&mut command, folder.path(), "server");
    server.wait_for("Listen normally on");
    check(&peers, &namespace, folder.path());
    server.stop();
}

#[test]
fn openntpd() {
    let Some(peers) = peers() else { return };
    let program = peers.join("openntpd/usr/sbin/ntpd");
    if !able(program.exists(), "openntpd of scripts/fetch-peers") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let namespace = Namespace::new(folder.path(), OPENNTPD_SETUP);
    // It serves only what it got from somebody else.
    let chrony = peers.join("chrony/usr/sbin/chronyd");
    let mut upstream = start_chrony(&chrony, &namespace, folder.path(), "127.0.0.1", "upstream");
    let configuration = folder.path().join("ntpd.conf");
    fs::write(
        &configuration,
        format!("listen on {SERVER}\nserver 127.0.0.1\n"),
    )
    .unwrap();
    let mut command = namespace.command(&program);
    command.args(["-d", "-v", "-f"]).arg(&configuration);
    command.env("LD_PRELOAD", build_library("hurry", folder.path()));
    let mut server = Running::start(&mut command, folder.path(), "server");
    server.wait_for("clock is now synced");
    check(&peers, &namespace, folder.path());
    server.stop();
    assert_eq!(upstream.stop().code(), Some(0), "{}", upstream.log());
}
