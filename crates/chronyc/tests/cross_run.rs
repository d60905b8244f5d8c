//! Our client and the reference's against the reference's daemon: the same text, figures that
//! change from moment to moment apart.
//!
//! The environment variable `ISOCHRONY_PEERS` names a folder with the reference's binaries
//! (`chrony/usr/sbin/chronyd`, `chrony/usr/bin/chronyc`). The daemon runs without control of the
//! clock, on loopback, with ports and files of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// UDP port of the commands; nothing else of the test has a port.
const COMMAND_PORT: &str = "32317";

/// Commands whose text must be the same. Each client runs them in this order with a daemon of its
/// own, so that the daemons are in the same states.
const SAME: &[&str] = &[
    "tracking",
    "-c tracking",
    "-N tracking",
    "sources",
    "sources -a -v",
    "-N sources -a",
    "-c sources",
    "sourcestats -v",
    "-c -n sourcestats",
    "selectdata -a",
    "-c selectdata",
    "authdata -a -v",
    "-c authdata",
    "activity",
    "-c activity",
    "clients",
    "-c clients -k",
    "rtcdata",
    "smoothing",
    "manual list",
    "manual on",
    "settime nonsense",
    "manual off",
    "manual reset",
    "sourcename 127.0.0.1",
    "sourcename 127.0.0.99",
    "accheck 127.0.0.1",
    "cmdaccheck 127.0.0.1",
    "allow 10/8",
    "accheck 10.1.2.3",
    "deny all 10/8",
    "cmdallow 10.0.0.0/33",
    "cmddeny all",
    "online 127.0.0.2",
    "offline 127.0.0.2",
    "online 10.0.0.0/8",
    "onoffline",
    "burst 1/1 10.1.1.1",
    "minpoll 127.0.0.1 5",
    "maxpoll 127.0.0.1 9",
    "maxdelay 127.0.0.1 0.5",
    "maxdelayratio 127.0.0.1 2",
    "maxdelaydevratio 127.0.0.1 10",
    "minstratum 127.0.0.1 2",
    "polltarget 127.0.0.1 12",
    "maxupdateskew 100",
    "makestep 0.1 3",
    "makestep",
    "reselect",
    "reselectdist 1e-4",
    "add server 127.0.0.3 offline iburst key 5 maxdelay 0.1",
    "add server 127.0.0.3",
    "sources -a",
    "delete 127.0.0.3",
    "delete 127.0.0.3",
    "refresh",
    "rekey",
    "dump",
    "cyclelogs",
    "reset sources",
    "trimrtc",
    "writertc",
    "smoothtime reset",
    "waitsync 1",
    "nosuchcommand",
    "-h 127.0.0.1 tracking",
    "-h 127.0.0.1 makestep",
    "-h 127.0.0.1 serverstats",
];

/// Commands that 4.3 has not in the present form, and what our client says (control-protocol
/// chapter, section 13).
const NEWER: &[(&str, &str)] = &[
    ("local", "502 Invalid command\n"),
    ("selectopts 127.0.0.1 +prefer", "502 Invalid command\n"),
    ("offset 127.0.0.1 0.1", "502 Invalid command\n"),
    ("ntpdata 127.0.0.1", "508 Bad reply from daemon\n"),
    ("serverstats", "508 Bad reply from daemon\n"),
];

/// The reference's daemon in a folder of its own, ended with the test.
struct Daemon {
    process: Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let place = |name: &str| folder.path().join(name).display().to_string();
        let configuration = format!(
            "port 0\ncmdport {COMMAND_PORT}\nbindcmdaddress 127.0.0.1\nbindcmdaddress {}\n\
             pidfile {}\ndumpdir {}\nlogdir {}\nlocal stratum 10\nuser root\n\
             server 127.0.0.1 port 32318 offline\nserver 127.0.0.2 port 32318 noselect offline\n",
            place("run/chronyd.sock"),
            place("chronyd.pid"),
            place(""),
            place("")
        );
        fs::write(place("chrony.conf"), configuration).expect("configuration");
        let mut command = Command::new(program);
        command.args(["-x", "-d", "-f", &place("chrony.conf")]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let daemon = Self {
            process: command.spawn().expect("daemon started"),
            folder,
        };
        let started = Instant::now();
        while !daemon.socket().exists() {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "no socket of the daemon"
            );
            thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/chronyd.sock")
    }

    fn run(&self, client: &Path, line: &str) -> Output {
        let socket = self.socket().display().to_string();
        let mut command = Command::new(client);
        command
            .args(["-h", &socket, "-p", COMMAND_PORT])
            .args(line.split(' '));
        command
            .stdin(Stdio::null())
            .output()
            .expect("client started")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Numbers and their units become `#`, and runs of spaces one.
fn masked(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() {
            let end = |part: &str, inside: fn(char) -> bool| {
                part.find(|letter: char| !inside(letter))
                    .unwrap_or(part.len())
            };
            let number = end(rest, |letter| letter.is_ascii_digit() || letter == '.');
            rest = rest.get(number..).unwrap_or_default();
            let unit = end(rest, |letter| "nums".contains(letter));
            rest = rest.get(unit..).unwrap_or_default();
            result.truncate(result.trim_end_matches(['+', '-', ' ']).len());
            result.push_str(" #");
        } else {
            if first != ' ' || !result.ends_with(' ') {
                result.push(first);
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    result
}

#[test]
fn same_text_as_the_reference() {
    let Some(peers) = std::env::var_os("ISOCHRONY_PEERS").map(PathBuf::from) else {
        eprintln!("SKIPPED: ISOCHRONY_PEERS is not set");
        return;
    };
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: the reference's daemon needs root");
        return;
    }
    let ours = Path::new(env!("CARGO_BIN_EXE_chronyc"));
    let theirs = peers.join("chrony/usr/bin/chronyc");
    let program = peers.join("chrony/usr/sbin/chronyd");
    let daemon = Daemon::start(&program);
    let results: Vec<Output> = SAME.iter().map(|line| daemon.run(&theirs, line)).collect();
    drop(daemon);
    let daemon = Daemon::start(&program);
    let mut differences = Vec::new();
    for (line, reference) in SAME.iter().zip(results) {
        let found = daemon.run(ours, line);
        for (what, reference, found) in [
            ("stdout", &reference.stdout, &found.stdout),
            ("stderr", &reference.stderr, &found.stderr),
        ] {
            let [reference, found] =
                [reference, found].map(|bytes| masked(&String::from_utf8_lossy(bytes)));
            if reference != found {
                differences.push(format!("{line}: {what}\n{reference}\n---\n{found}"));
            }
        }
        if reference.status.code() != found.status.code() {
            differences.push(format!("{line}: {} and {}", reference.status, found.status));
        }
    }
    for (line, expected) in NEWER {
        let found = daemon.run(ours, line);
        let stdout = String::from_utf8_lossy(&found.stdout);
        if stdout != *expected {
            differences.push(format!("{line}: {stdout:?} instead of {expected:?}"));
        }
    }
    let count = SAME.len() + NEWER.len();
    println!(
        "{} of {count} commands as expected",
        count - differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    let stopped = daemon.run(ours, "shutdown");
    assert_eq!(String::from_utf8_lossy(&stopped.stdout), "200 OK\n");
}
