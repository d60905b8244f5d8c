//! Debian's chrony beside the real program: keys, interleaved mode, log files.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::ports::free_port;
use support::{CHRONYD, Running, client, peers, run, wait_until};

mod support;

const KEYS: &str = "1 MD5 HEX:000102030405060708090A0B0C0D0E0F\n\
    2 SHA1 HEX:000102030405060708090A0B0C0D0E0F10111213\n\
    3 SHA256 HEX:000102030405060708090A0B0C0D0E0F10111213\n\
    4 SHA384 HEX:000102030405060708090A0B0C0D0E0F10111213\n\
    5 SHA512 HEX:000102030405060708090A0B0C0D0E0F10111213\n\
    6 SHA3-224 HEX:000102030405060708090A0B0C0D0E0F10111213\n\
    7 SHA3-256 HEX:000102030405060708090A0B0C0D0E0F10111213\n\
    8 SHA3-384 HEX:000102030405060708090A0B0C0D0E0F10111213\n\
    9 SHA3-512 HEX:000102030405060708090A0B0C0D0E0F10111213\n\
    10 AES128 HEX:000102030405060708090A0B0C0D0E0F\n\
    11 AES256 HEX:000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F\n";

fn chrony_server(chrony: &Path, folder: &Path, port: u16) -> Running {
    fs::write(folder.join("keys"), KEYS).unwrap();
    let mut command = Command::new(chrony);
    command
        .args([
            "-u",
            "root",
            "-x",
            "-d",
            "local stratum 2",
            "allow 127.0.0.1",
        ])
        .args(["cmdport 0", "bindcmdaddress /"])
        .arg(format!("pidfile {}/server.pid", folder.display()))
        .arg(format!("port {port}"))
        .arg(format!("keyfile {}/keys", folder.display()));
    let mut running = Running::start(&mut command, folder, "server");
    running.wait_for("Disabled control of system clock");
    running
}

#[test]
fn keys_of_every_type() {
    let Some(peers) = peers() else { return };
    let chrony = peers.join("chrony/usr/sbin/chronyd");
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let _server = chrony_server(&chrony, folder.path(), port);
    let keyfile = format!("keyfile {}/keys", folder.path().display());
    for key in 1..=11 {
        let line = format!("server 127.0.0.1 port {port} iburst maxsamples 1 key {key}");
        let ended = run(["-Q", "-t", "20", &line, &keyfile]);
        assert_eq!(ended.status, Some(0), "key {key}: {}", ended.stderr);
    }
}

#[test]
fn interleaved_mode_and_log_files() {
    let Some(peers) = peers() else { return };
    let chrony = peers.join("chrony/usr/sbin/chronyd");
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let _server = chrony_server(&chrony, folder.path(), port);
    let line = format!("server 127.0.0.1 port {port} iburst minpoll -4 maxpoll -4 xleave");
    let log = "log rawmeasurements measurements statistics tracking";
    let at = |name: &str| folder.path().join(name);
    let lines = |name: &str| client(&[&line, log, &format!("logdir {}", at(name).display())]);
    fs::create_dir(at("ours")).unwrap();
    fs::create_dir(at("theirs")).unwrap();
    let mut command = Command::new(CHRONYD);
    command.args(["-U", "-x", "-d"]).args(lines("ours"));
    let mut ours = Running::start(&mut command, folder.path(), "ours");
    // Chrony before 4.6 does not know `pidfile /`.
    let mut their_lines = lines("theirs");
    their_lines.retain(|line| line != "pidfile /");
    their_lines.push(format!("pidfile {}", at("client.pid").display()));
    let mut command = Command::new(&chrony);
    command.args(["-u", "root", "-x", "-d"]).args(their_lines);
    let mut theirs = Running::start(&mut command, folder.path(), "theirs");
    ours.wait_for("Selected source 127.0.0.1");
    theirs.wait_for("Selected source 127.0.0.1");
    for file in ["measurements.log", "statistics.log", "tracking.log"] {
        let read = |name: &str| {
            wait_until(file, || {
                let text = fs::read_to_string(at(name).join(file)).ok()?;
                (text.lines().count() > 12).then_some(text)
            })
        };
        let (our_text, their_text) = (read("ours"), read("theirs"));
        for (our_line, their_line) in our_text.lines().zip(their_text.lines()).take(3) {
            assert_eq!(our_line, their_line, "{file}");
        }
        // Complete lines have the same columns.
        let shape = |text: &str| {
            let line = text.lines().nth(10).expect("line").to_owned();
            (line.len(), line.split_whitespace().count())
        };
        assert_eq!(shape(&our_text), shape(&their_text), "{file}");
    }
    wait_until("interleaved measurement", || {
        let text = fs::read_to_string(at("ours/measurements.log")).ok()?;
        text.lines()
            .any(|line| line.ends_with("4I K K"))
            .then_some(())
    });
    assert_eq!(ours.stop().code(), Some(0));
    assert_eq!(theirs.stop().code(), Some(0));
}
