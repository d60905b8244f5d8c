//! Running one sample in the prepared namespace.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::compare::{differences, normalise_sample};
use super::namespace::must;
use super::sample::Sample;
use super::server::Servers;
use super::terminal;

/// What became of a sample.
pub(crate) enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

/// Samples whose SETTIME requests carry the present time.
const ANY_TIME: [u32; 10] = [231, 232, 233, 234, 243, 247, 248, 303, 515, 703];

/// Why a sample cannot run here.
fn hindrance(sample: &Sample) -> Option<&'static str> {
    let switches_user = matches!(sample.number(), 829 | 830);
    let one_user = fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().nth(2) == Some("1"));
    (switches_user && one_user).then_some("needs a second user")
}

/// Replays one sample.
pub(crate) fn replay(sample: &Sample, folder: &Path) -> Outcome {
    if let Some(reason) = hindrance(sample) {
        return Outcome::Skipped(reason.to_owned());
    }
    let any_time = ANY_TIME.contains(&sample.number());
    let servers = Servers::start(&sample.servers, &sample.exchanges, any_time);
    let read_only = sample
        .servers
        .iter()
        .any(|server| server.contains("/run/t/ro/"));
    if read_only {
        must("mount", &["-o", "remount,bind,ro", "/run/t/ro"]);
    }
    let result = if sample.command.starts_with("# on a terminal") {
        terminal::run(&sample.command, &program_folder(), folder)
    } else {
        run(&sample.command, folder)
    };
    if read_only {
        must("mount", &["-o", "remount,bind,rw", "/run/t/ro"]);
    }
    let script = servers.stop();
    let mut found = differences(
        &normalise_sample(sample),
        &result.normalised(sample.number()),
    );
    found.extend(script.surprises.iter().cloned());
    if script.missing() > 0 {
        found.push(format!("{} requests were not made", script.missing()));
    }
    for directory in ["/run/chrony", "/run/t", "/run/t/bm", "/run/t/ro"] {
        let left: Vec<_> = fs::read_dir(directory)
            .expect("folder")
            .map(|entry| entry.expect("entry").file_name())
            .filter(|name| name.to_string_lossy().starts_with("chronyc."))
            .collect();
        if !left.is_empty() {
            found.push(format!("left in {directory}: {left:?}"));
        }
    }
    if found.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Failed(found.join("\n"))
    }
}

/// What a session printed.
pub(crate) struct Printed {
    /// Standard output with the line of the exit status.
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// Folder of the program under test.
fn program_folder() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_chronyc"));
    program
        .parent()
        .and_then(Path::to_str)
        .expect("folder of the program")
        .to_owned()
}

/// The shell sees the program first.
pub(crate) fn search_path(program_folder: &str) -> String {
    format!(
        "{program_folder}:{}",
        std::env::var("PATH").unwrap_or_default()
    )
}

fn run(command: &str, folder: &Path) -> Printed {
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", search_path(&program_folder()))
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .expect("shell started");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let status = output.status.code().unwrap_or(-1);
    Printed {
        output: format!("{text}exit: {status}\n"),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
