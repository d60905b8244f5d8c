//! Every row of the configuration cases, run with the real program.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

mod support;

#[path = "../../../tests/data/configuration/cases.rs"]
mod table;

use table::{Case, Mode};

/// Lines that are always there, or depend on the build and the machine.
const DROPPED: &[&str] = &[
    "Disabled control of system clock",
    "Running with root privileges",
    "Timeout reached",
    "chronyd exiting",
    // The recorded reference was built without signing.
    "MS-SNTP authentication enabled",
    // Depends on the kernel.
    "Transmit ID not supported",
];

fn command(case: &Case, folder: &Path) -> Command {
    let write = |content: &[u8]| std::fs::write(folder.join("t.conf"), content).expect("t.conf");
    let mut command = Command::new("unshare");
    // Shared memory is of the namespace, too.
    command.args(["-n", "-i"]).arg(support::CHRONYD);
    match case.mode {
        Mode::Print => {
            write(&case.config);
            command.args(["-p", "-f", "t.conf"]);
        }
        Mode::Arguments => {
            let arguments = case.config.split(|byte| *byte == b'\n');
            command
                .arg("-p")
                .args(arguments.map(|argument| OsString::from_vec(argument.to_vec())));
        }
        Mode::Start => {
            write(&[&case.config, table::START_LINES].concat());
            command.args(["-x", "-d", "-t", "0", "-f", "t.conf"]);
        }
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Standard error as the table has it.
fn said(output: &Output) -> Vec<u8> {
    let lines = output.stderr.split(|byte| *byte == b'\n');
    let without_stamp = lines.filter(|line| !line.is_empty()).map(|line| {
        if line.get(19) == Some(&b'Z') {
            &line[21..]
        } else {
            line
        }
    });
    let kept: Vec<&[u8]> = without_stamp
        .filter(|line| {
            !line.starts_with(b"chronyd version ")
                && !DROPPED.iter().any(|dropped| dropped.as_bytes() == *line)
        })
        .collect();
    kept.join(b"\n".as_slice())
}

fn said_fatal(message: &[u8]) -> bool {
    let mut lines = message.split(|byte| *byte == b'\n');
    lines.any(|line| line.starts_with(b"Fatal error : "))
}

/// Runs one row in its own folder; the text tells what differs.
fn difference(case: &Case) -> Option<String> {
    let folder = tempfile::tempdir().expect("temporary folder");
    table::install(folder.path());
    let output = command(case, folder.path()).output().expect("run");
    let message = said(&output);
    let same = message == case.message
        && output.stdout == case.stdout
        && output.status.code() == Some(case.exit)
        && case.error == said_fatal(&message);
    (!same).then(|| {
        format!(
            "line {} {:?}\n  expected {} {}\n  answer   {:?} {}",
            case.line,
            String::from_utf8_lossy(&case.config),
            case.exit,
            String::from_utf8_lossy(&case.message),
            output.status.code(),
            String::from_utf8_lossy(&message),
        )
    })
}

/// What the recorded reference's build or machine could not do: keys of type TIGER and pulses,
/// which are supported here, and identifiers of sent packets, which depend on the kernel. And a
/// reference clock that cannot be read and lines of source directories without effect, of which
/// the reference says nothing.
fn as_on_this_machine(mut case: Case) -> Case {
    if case.mode == Mode::Start && case.config == b"maxtxbuffers 1" {
        case.message.clear();
    }
    if case.mode == Mode::Start && case.config == b"refclock PPS /dev/pps0" {
        let text = "Fatal error : Could not open /dev/pps0 : No such file or directory";
        case.message = text.into();
    }
    if case.mode == Mode::Start && case.config == b"refclock RTC /dev/null" {
        let text = b"\nCould not read time from /dev/null : Inappropriate ioctl for device";
        case.message.extend(text);
    }
    if case.mode == Mode::Start && case.config == b"sourcedir s1" {
        let mut text = b"Invalid directive port at line 3 in file s1/a.sources (ignored)\n\
            Invalid option in server directive at line 4 in file s1/a.sources (ignored)\n"
            .to_vec();
        text.append(&mut case.message);
        case.message = text;
    }
    if case.mode == Mode::Start && case.config == b"keyfile keys2" {
        let text = String::from_utf8(case.message).expect("text");
        let text = text.replace("Unsupported hash function in key 11\n", "");
        case.message = text.replace("Loaded 3 ", "Loaded 4 ").into_bytes();
    }
    case
}

fn check(mode: Mode) {
    if !support::can_unshare() {
        return;
    }
    let cases: Vec<Case> = table::cases()
        .into_iter()
        .filter(|case| case.mode == mode)
        .map(as_on_this_machine)
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            failed.extend(difference(case));
        }
        failed
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let answers = workers
            .into_iter()
            .map(|worker| worker.join().expect("worker"));
        answers.flatten().collect()
    });
    assert!(
        failed.is_empty(),
        "{} of {} rows differ:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n")
    );
}

#[test]
fn rows_of_mode_print() {
    check(Mode::Print);
}

#[test]
fn rows_of_mode_args() {
    check(Mode::Arguments);
}

#[test]
fn rows_of_mode_start() {
    check(Mode::Start);
}
