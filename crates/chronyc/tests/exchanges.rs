//! Replays the recorded exchanges of `tests/data/control` to the real program in its three forms
//! (`-n`, `-c`, `-w`): requests, stdout, stderr and exit status must be the recorded ones
//! (control-protocol chapter, section 15). In JSON the same replies give documents that conform to
//! `docs/chronyc.schema.json`.

#[path = "replay/exchange.rs"]
mod exchange;
#[path = "replay/namespace.rs"]
mod namespace;
#[path = "replay/schema.rs"]
mod schema;
#[path = "replay/server.rs"]
mod server;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use exchange::{Exchange, folder, from_hex};
use namespace::{prepare, run_shares, share_of_worker};

use serde_json::Value;
use server::Servers;

const WORKERS: usize = 6;
/// Times a command is replayed before it counts as failed.
const ATTEMPTS: usize = 3;
/// Socket of the server, inside the namespace.
const SOCKET: &str = "/run/t/exchange.sock";
/// Names known at the time of the recording.
const HOSTS: &str = "127.0.0.11 ntp1.test\n127.0.0.12 nts.test\n127.0.0.13 false.test\n\
    127.0.0.14 cmac.test\n127.0.0.15 a-very-long-host-name-which-does-not-fit.test\n\
    fd00::6 six.test\n127.0.0.21 pool.test\n127.0.0.22 pool.test\n";
const FILES: [&str; 4] = ["main.tsv", "states.tsv", "sim.tsv", "client.tsv"];

/// One recorded command.
#[derive(Default)]
struct Recording {
    place: String,
    command: String,
    exchanges: Vec<Exchange>,
    /// stdout with `-n`, `-n -c` and `-n -w`.
    forms: [String; 3],
    errors: String,
    exit: String,
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => '\\',
            }),
            other => plain.push(other),
        }
    }
    plain
}

fn recordings() -> Vec<Recording> {
    let folder = folder().join("../control");
    let mut all = Vec::new();
    for file in FILES {
        let text = std::fs::read_to_string(folder.join(file)).expect("recording");
        let mut present = Recording::default();
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.starts_with('#'))
        {
            let fields: Vec<&str> = line.split('\t').collect();
            if !fields[1].is_empty() {
                let reply = from_hex(fields[2]);
                present.exchanges.push(Exchange {
                    request: from_hex(fields[1]),
                    replies: if reply.is_empty() {
                        Vec::new()
                    } else {
                        vec![reply]
                    },
                });
            }
            let (part, parts) = fields[9].split_once('/').expect("k/n");
            if part == parts {
                present.place = format!("{file}:{}", number + 1);
                present.command = fields[0].to_owned();
                present.forms = [fields[3], fields[4], fields[5]].map(unescape);
                present.errors = unescape(fields[6]);
                present.exit = fields[7].to_owned();
                all.push(std::mem::take(&mut present));
            }
        }
    }
    all
}

/// Runs the program with the options of a form.
fn run(recording: &Recording, form: &[&str], numeric: bool) -> Output {
    let mut arguments = vec!["-h", SOCKET];
    arguments.extend(form);
    let command = recording.command.as_str();
    let stdin = command
        .strip_prefix("(stdin) ")
        .map(|lines| lines.replace("; ", "\n"));
    let command = command.strip_prefix("(without -n) ").unwrap_or(command);
    if numeric && command == recording.command {
        arguments.push("-n");
    }
    if stdin.is_none() && command.starts_with('-') {
        // Options, then commands, some of them in quotes.
        for (part, quoted) in command.split('\'').zip([false, true].iter().cycle()) {
            if *quoted {
                arguments.push(part);
            } else {
                arguments.extend(part.split(' ').filter(|word| !word.is_empty()));
            }
        }
    } else if stdin.is_none() {
        arguments.push(command);
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_chronyc"))
        .args(&arguments)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("program started");
    let mut input = child.stdin.take().expect("input");
    input
        .write_all(stdin.unwrap_or_default().as_bytes())
        .expect("input written");
    drop(input);
    child.wait_with_output().expect("program ended")
}

/// Requests depend on the time of the run.
fn any_time(recording: &Recording) -> bool {
    matches!(
        recording.command.as_str(),
        "settime now" | "settime 16:30:05"
    )
}

/// Compares one form; the differences.
fn check_form(recording: &Recording, form: &[&str], expected: &str) -> Vec<String> {
    let server = [format!("unix:{SOCKET}")];
    let servers = Servers::start(&server, &recording.exchanges, any_time(recording));
    let output = run(recording, form, true);
    let script = servers.stop();
    let mut found = script.surprises.clone();
    if script.missing() > 0 {
        found.push(format!("{} requests were not made", script.missing()));
    }
    let code = output.status.code().unwrap_or(-1).to_string();
    let is_keygen = recording.command.starts_with("keygen") && recording.exit == "0";
    for (what, expected, printed) in [
        (
            "stdout",
            expected,
            String::from_utf8_lossy(&output.stdout).into_owned(),
        ),
        (
            "stderr",
            recording.errors.as_str(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ),
        ("exit", recording.exit.as_str(), code),
    ] {
        let same = if is_keygen {
            expected.len() == printed.len()
        } else {
            expected == printed
        };
        if !same {
            found.push(format!(
                "{what} recorded {expected:?}\n{what} found    {printed:?}"
            ));
        }
    }
    found
}

/// The JSON form: documents that conform to the schema, with the recorded success.
fn check_json(recording: &Recording, schema: &Value) -> Vec<String> {
    let server = [format!("unix:{SOCKET}")];
    let servers = Servers::start(&server, &recording.exchanges, any_time(recording));
    let output = run(recording, &["-j"], true);
    servers.stop();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut last = None;
    for line in text.lines().filter(|line| *line != ".") {
        let document = match serde_json::from_str::<Value>(line) {
            Ok(document) => document,
            Err(error) => return vec![format!("JSON {error}: {line}")],
        };
        if let Some(why) = schema::violation(schema, &document) {
            return vec![format!("JSON against the schema: {why}")];
        }
        last = document.get("success").and_then(Value::as_bool);
    }
    let success = recording.exit == "0";
    if last == Some(success) {
        Vec::new()
    } else {
        vec![format!("JSON success {last:?}: {text}")]
    }
}

/// All forms; the differences.
fn differences(recording: &Recording, schema: &Value) -> Vec<String> {
    let has_wait = recording
        .exchanges
        .iter()
        .any(|exchange| exchange.replies.is_empty());
    let forms: [&[&str]; 3] = [&[], &["-c"], &["-w"]];
    let mut differences = Vec::new();
    // Silence makes the program wait; once is enough.
    for (form, expected) in forms
        .iter()
        .zip(&recording.forms)
        .take(if has_wait { 1 } else { 3 })
    {
        for difference in check_form(recording, form, expected) {
            differences.push(format!("{form:?} {difference}"));
        }
    }
    if !has_wait {
        differences.extend(check_json(recording, schema));
    }
    differences
}

fn check(recording: &Recording, schema: &Value) {
    // Some waits are of 100 ms, which a busy machine may miss; what is wrong stays wrong.
    let mut differences = Vec::new();
    for _ in 0..ATTEMPTS {
        differences = self::differences(recording, schema);
        if differences.is_empty() {
            break;
        }
    }
    if differences.is_empty() {
        println!("PASS {}", recording.place);
        return;
    }
    println!("FAIL {} {}", recording.place, recording.command);
    for line in differences.iter().flat_map(|difference| difference.lines()) {
        println!("  | {line}");
    }
}

#[test]
fn recorded_exchanges() {
    let Some(output) = run_shares(WORKERS) else {
        return;
    };
    let passed = output
        .lines()
        .filter(|line| line.starts_with("PASS "))
        .count();
    let details: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("FAIL ") || line.starts_with("  | "))
        .collect();
    println!("{passed} commands passed\n{}", details.join("\n"));
    assert!(details.is_empty(), "{}", details.join("\n"));
    assert_eq!(passed, recordings().len());
}

/// One share of the recordings; started by [`recorded_exchanges`] in namespaces of its own.
#[test]
#[ignore = "started by the test recorded_exchanges"]
fn worker() {
    let Some(share) = share_of_worker() else {
        return;
    };
    let folder = tempfile::tempdir().expect("folder for the worker");
    prepare(folder.path(), HOSTS);
    let schema = schema::schema();
    for recording in recordings().iter().skip(share).step_by(WORKERS) {
        check(recording, &schema);
    }
}
