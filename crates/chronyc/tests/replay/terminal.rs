//! Interactive samples: a session on a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::pty::openpty;

use super::session::{Printed, search_path};

const PROMPT: &str = "chronyc> ";

/// Lines typed, of a comment like `keys typed: activity<Enter> Ctrl-D; …`.
fn typed_lines(command: &str) -> Vec<String> {
    let keys = command
        .split_once("keys typed: ")
        .map_or("", |(_, keys)| keys);
    let keys = keys.split(';').next().unwrap_or_default();
    let mut lines = Vec::new();
    for key in keys.split_inclusive("<Enter>") {
        let key = key.trim_start();
        match key.strip_suffix("<Enter>") {
            Some(line) => lines.push(format!("{line}\n")),
            None if key == "Ctrl-D" => lines.push("\u{4}".to_owned()),
            None => {}
        }
    }
    lines
}

/// Runs the command on the second line of the sample and types when the prompt appears.
pub(crate) fn run(command: &str, program_folder: &str, folder: &Path) -> Printed {
    let pty = openpty(None, None).expect("pseudo-terminal");
    let line = command.lines().nth(1).expect("command");
    let stdio = || Stdio::from(pty.slave.try_clone().expect("terminal"));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec {line}")])
        .current_dir(folder)
        .env("PATH", search_path(program_folder))
        // The editor then takes plain lines, so that the session has no control characters.
        .env("TERM", "dumb")
        .stdin(stdio())
        .stdout(stdio())
        .stderr(stdio());
    let mut child = shell.spawn().expect("shell started");
    drop(shell);
    drop(pty.slave);
    let mut terminal = File::from(pty.master);
    let mut lines = typed_lines(command).into_iter();
    let (mut text, mut answered) = (String::new(), 0);
    let mut buffer = [0; 4096];
    // Reading fails when the last process has closed the terminal.
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        text.push_str(&String::from_utf8_lossy(
            buffer.get(..length).unwrap_or_default(),
        ));
        while text.matches(PROMPT).count() > answered {
            answered += 1;
            let keys = lines.next().unwrap_or_else(|| "quit\n".to_owned());
            terminal.write_all(keys.as_bytes()).expect("keys typed");
        }
    }
    let status = child.wait().expect("shell ended").code().unwrap_or(-1);
    Printed {
        output: format!("{}exit: {status}\n", text.replace("\r\n", "\n")),
        errors: String::new(),
    }
}
