//! The completion files and the manual page name every command that `help` explains, and bash
//! and fish complete with theirs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use skips::able;

#[path = "../../../tests/support/skips.rs"]
mod skips;

/// Whether there is a shell of this name; otherwise the test is skipped.
fn has(shell: &str) -> bool {
    let mut probe = Command::new(shell);
    let probed = probe.args(["-c", "true"]).stdin(Stdio::null()).status();
    able(probed.is_ok(), shell)
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../completions"))
}

/// Commands in the first column of `help`, which needs a server to exist but asks it nothing.
fn commands() -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_chronyc"))
        .args(["-h", "127.0.0.1", "-p", "9", "help"])
        .output()
        .expect("program started");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut names: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter_map(|line| line.split(' ').next())
        .flat_map(|word| word.split('|'))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 50);
    names
}

#[test]
fn every_command_is_named() {
    for file in [
        "chronyc.bash",
        "chronyc.zsh",
        "chronyc.fish",
        "../docs/man/chronyc.1.md",
    ] {
        let text = std::fs::read_to_string(folder().join(file)).expect("file");
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words: Vec<&str> = text.split(|letter| !is_word(letter)).collect();
        for command in commands() {
            assert!(
                words.contains(&command.as_str()),
                "{command} is not in {file}"
            );
        }
    }
}

/// What bash offers for a line whose last word is being typed.
fn offers(line: &[&str]) -> Vec<String> {
    offers_with_path(line, &std::env::var("PATH").unwrap_or_default())
}

/// As [`offers`], with programs from `path`.
fn offers_with_path(line: &[&str], path: &str) -> Vec<String> {
    let script = format!(
        "source '{}/chronyc.bash'; COMP_LINE='{}'; COMP_POINT=${{#COMP_LINE}}; _chronyc; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        folder().display(),
        line.join(" "),
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &script]).env("PATH", path);
    bash.stdin(Stdio::null());
    let output = bash.output().expect("bash");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    if !has("bash") {
        return;
    }
    let expect = |line: &[&str], expected: &[&str]| {
        assert_eq!(offers(line), expected, "{line:?}");
    };
    expect(
        &["chronyc", "-n", "-h", "somewhere", "track"],
        &["tracking"],
    );
    expect(&["chronyc", "manual", "de"], &["delete"]);
    expect(&["chronyc", "add", "s"], &["server"]);
    expect(
        &["chronyc", "add", "server", "ntp.example", "ibu"],
        &["iburst"],
    );
    expect(&["chronyc", "--j"], &["--json"]);
    expect(&["chronyc", "sources", "-"], &["-a", "-v"]);
    expect(&["chronyc", "-h", "::1", "track"], &["tracking"]);
    expect(&["chronyc", "-nh", "::1", "manual", "de"], &["delete"]);
}

/// Bash ends a word at each colon, and replaces only what follows the last one.
#[test]
fn bash_completes_ipv6_addresses() {
    if !has("bash") {
        return;
    }
    let chronyc = tempfile::tempdir().expect("folder");
    // Made by another process: a file that is open for writing here, or in a process that another
    // test is starting, cannot be run.
    let make = "printf '#!/bin/sh\\necho 2001:db8::1,0\\n' >\"$0\" && chmod 755 \"$0\"";
    let program = chronyc.path().join("chronyc");
    let made = Command::new("sh").args(["-c", make]).arg(program).status();
    assert!(made.expect("sh").success());
    let path = format!(
        "{}:{}",
        chronyc.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let offered = offers_with_path(&["chronyc", "delete", "2001:d"], &path);
    assert_eq!(offered, ["db8::1"]);
}

/// What fish offers for a line.
#[test]
fn fish_completes() {
    if !has("fish") {
        return;
    }
    for (line, expected) in [
        ("chronyc -n trac", "tracking\n"),
        ("chronyc -nh ::1 serverst", "serverstats\n"),
        ("chronyc manual de", "delete\n"),
        ("chronyc add server ntp.example ibu", "iburst\n"),
    ] {
        let script = format!(
            "source '{}/chronyc.fish'; complete -C '{line}'",
            folder().display()
        );
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &script]);
        let output = fish.stdin(Stdio::null()).output().expect("fish");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{line}");
    }
}
