//! The completion files and the manual page name every command that `help` explains, and bash takes
//! its file.

use std::path::PathBuf;
use std::process::{Command, Stdio};

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
fn offers(line: &[&str]) -> Option<Vec<String>> {
    let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source '{}/chronyc.bash'; COMP_WORDS=({}); COMP_CWORD={}; _chronyc; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        folder().display(),
        words.join(" "),
        line.len() - 1
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &script]).stdin(Stdio::null());
    let output = bash.output().ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("text");
    Some(text.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn bash_completes() {
    let Some(commands) = offers(&["chronyc", "-n", "-h", "somewhere", "track"]) else {
        eprintln!("SKIPPED: no bash");
        return;
    };
    assert_eq!(commands, ["tracking"]);
    let expect = |line: &[&str], expected: &[&str]| {
        assert_eq!(offers(line).unwrap_or_default(), expected, "{line:?}");
    };
    expect(&["chronyc", "manual", "de"], &["delete"]);
    expect(&["chronyc", "add", "s"], &["server"]);
    expect(
        &["chronyc", "add", "server", "ntp.example", "ibu"],
        &["iburst"],
    );
    expect(&["chronyc", "--j"], &["--json"]);
    expect(&["chronyc", "sources", "-"], &["-a", "-v"]);
}
