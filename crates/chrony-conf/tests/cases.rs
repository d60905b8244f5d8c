//! Every row of the configuration cases, run the way the daemon runs it.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use chrony_conf::files::{FileFacts, Reader, SystemReader};
use chrony_conf::sources::AddressFamily;
use chrony_conf::start::{self, Features};
use chrony_conf::{Message, Options, Severity, text};
use ntp_wire::KeyKind;

#[path = "../../../tests/data/configuration/cases.rs"]
mod table;

use table::{Case, Mode};

/// A leap second table like the one of `right/UTC`, made by the test.
const ZONE: &str = "/usr/share/zoneinfo/right/UTC";

/// Reads relative to the fixture folder; `localhost` is all that can be resolved.
struct FixtureReader {
    folder: PathBuf,
    system: SystemReader<fn(&str, AddressFamily) -> Option<IpAddr>>,
}

impl Reader for FixtureReader {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new(ZONE) {
            return Ok(zone_file());
        }
        self.system.read(&self.folder.join(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.system.list(&self.folder.join(directory))
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        self.system.facts(&self.folder.join(path))
    }

    fn resolve(&self, name: &str, family: AddressFamily) -> Option<IpAddr> {
        self.system.resolve(name, family)
    }
}

fn resolve(name: &str, _: AddressFamily) -> Option<IpAddr> {
    (name == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The leap seconds up to July 2015 as a version 2 time zone file (RFC 9636).
fn zone_file() -> Vec<u8> {
    /// Days from 1970-01-01 to the midnights that follow leap seconds.
    const DAYS: [i64; 26] = [
        912, 1096, 1461, 1826, 2191, 2557, 2922, 3287, 3652, 4199, 4564, 4929, 5660, 6574, 7305,
        7670, 8217, 8582, 8947, 9496, 10043, 10592, 13149, 14245, 15522, 16617,
    ];
    let header = |leaps: u32| {
        let counts = [0, 0, leaps, 0, 1, 4].map(u32::to_be_bytes).concat();
        [b"TZif2".as_slice(), &[0; 15], &counts].concat()
    };
    let types = [0, 0, 0, 0, 0, 0, b'U', b'T', b'C', 0];
    let mut file = [header(0), types.to_vec(), header(26), types.to_vec()].concat();
    for (index, day) in (0i32..).zip(DAYS) {
        file.extend((day * 86_400 + i64::from(index)).to_be_bytes());
        file.extend((index + 1).to_be_bytes());
    }
    file
}

/// What a run gives, as in the table.
#[derive(Debug, PartialEq)]
struct Answer {
    error: bool,
    message: Vec<u8>,
    stdout: Vec<u8>,
    exit: Option<i32>,
}

fn joined(messages: &[Message]) -> Vec<u8> {
    let lines: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| text::to_bytes(&message.to_string()))
        .collect();
    lines.join(b"\n".as_slice())
}

fn print(options: &Options, reader: &FixtureReader) -> Answer {
    let loaded = chrony_conf::load(options, reader);
    let error = !loaded.diagnostics.is_empty();
    Answer {
        error,
        message: joined(&loaded.log()),
        stdout: chrony_conf::print(&loaded),
        exit: Some(i32::from(error)),
    }
}

fn start(options: &Options, reader: &FixtureReader) -> Answer {
    let loaded = chrony_conf::load(options, reader);
    let mut messages = loaded.log();
    if loaded.diagnostics.is_empty() {
        let supported = |key_type| !matches!(key_type, KeyKind::Tiger | KeyKind::Whirlpool);
        let features = Features {
            pps: false,
            key_types: &supported,
        };
        messages.extend(start::rehearse(&loaded.config, reader, &features).messages);
    }
    let error = messages
        .iter()
        .any(|message| message.severity == Severity::Fatal);
    // Without a fatal error the status depends on the clock, which is the daemon's.
    Answer {
        error,
        message: joined(&messages),
        stdout: Vec::new(),
        exit: error.then_some(1),
    }
}

fn run(case: &Case, reader: &FixtureReader) -> Answer {
    let file = Options {
        config_file: Some("t.conf".into()),
        ..Options::default()
    };
    let write =
        |content: &[u8]| std::fs::write(reader.folder.join("t.conf"), content).expect("t.conf");
    match case.mode {
        Mode::Print => {
            write(&case.config);
            print(&file, reader)
        }
        Mode::Arguments => {
            let arguments = case.config.split(|byte| *byte == b'\n');
            let directives = arguments
                .map(|argument| OsString::from_vec(argument.to_vec()))
                .collect();
            print(
                &Options {
                    directives,
                    ..Options::default()
                },
                reader,
            )
        }
        Mode::Start => {
            write(&[&case.config, table::START_LINES].concat());
            start(&file, reader)
        }
    }
}

fn expected(case: &Case, answer: &Answer) -> Answer {
    Answer {
        error: case.error,
        message: case.message.clone(),
        stdout: case.stdout.clone(),
        exit: answer.exit.map(|_| case.exit),
    }
}

/// Rows of mode `start` whose messages come from sockets, devices, accounts, sources or log
/// files. The daemon's own tests run them.
const DAEMON_ROWS: &[(&[u8], &str)] = &[
    (b"sourcedir s1", "sources are created"),
    (b"user nosuchuser", "accounts of the machine"),
    (b"refclock SOCK /nonexistent/s", "a socket is opened"),
    (b"refclock PHC /nonexistent", "a device is opened"),
    (b"refclock PHC noiface", "a device is opened"),
    (b"refclock RTC /nonexistent", "a device is opened"),
    (b"hwtimestamp nosuchif", "interfaces of the machine"),
    (b"server 127.0.0.2\nserver 127.0.0.2", "sources are created"),
    (b"server 127.0.0.2\nserver 127.0.0.2 port 124", "sources are created"),
    (b"server 127.0.0.2 ipv6", "sources are created"),
    (b"server \x80bad", "sources are created"),
    (b"tempcomp temp 30 0 0 1 0", "the compensation is computed"),
    (b"ntsservercert /c\nntsserverkey /k\nntsprocesses 0", "certificates are loaded"),
    (b"maxtxbuffers 1", "abilities of the kernel"),
    (b"log tracking", "log files are written"),
    (b"logdir /proc/nope\nlog tracking", "folders are created"),
    (b"dumpdir temp", "folders are created"),
    (b"refclock PHC /dev/null", "a device is opened"),
    (b"refclock SOCK ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss", "a socket is opened"),
    (b"lock_all", "limits of the process"),
    (b"rtcfile rtc1\nrtcdevice /nonexistent", "a device is opened"),
    (b"refclock RTC /dev/null", "a device is opened"),
    (b"hwtimestamp lo", "interfaces of the machine"),
    (b"hwtimestamp nosuchinterfacename0", "interfaces of the machine"),
    (b"pool 127.0.0.2\nserver 127.0.0.2", "sources are created"),
    (b"ntsservercert /c\nntsserverkey /k", "certificates are loaded"),
];

fn is_daemon_row(case: &Case) -> bool {
    case.mode == Mode::Start
        && DAEMON_ROWS
            .iter()
            .any(|(config, _)| *config == case.config.as_slice())
}

/// Runs rows; returns those whose answer differs, as text.
fn differences(wanted: impl Fn(&Case) -> bool) -> (usize, Vec<String>) {
    let folder = tempfile::tempdir().expect("temporary folder");
    table::install(folder.path());
    let reader = FixtureReader {
        folder: folder.path().to_owned(),
        system: SystemReader::new(resolve),
    };
    let cases: Vec<Case> = table::cases().into_iter().filter(wanted).collect();
    let failed = cases.iter().filter_map(|case| {
        let answer = run(case, &reader);
        let expected = expected(case, &answer);
        (answer != expected).then(|| {
            format!(
                "line {} {:?}\n  expected {}\n  answer   {}",
                case.line,
                String::from_utf8_lossy(&case.config),
                String::from_utf8_lossy(&expected.message),
                String::from_utf8_lossy(&answer.message)
            )
        })
    });
    (cases.len(), failed.collect())
}

fn check(mode: Mode, rows: usize) {
    let (count, failed) = differences(|case| case.mode == mode && !is_daemon_row(case));
    assert!(
        failed.is_empty(),
        "{} of {count} rows:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert_eq!(count, rows);
}

#[test]
fn rows_of_mode_print() {
    check(Mode::Print, 475);
}

#[test]
fn rows_of_mode_args() {
    check(Mode::Arguments, 11);
}

#[test]
fn rows_of_mode_start() {
    check(Mode::Start, 99);
}

/// The list is exact: each of its rows exists and needs the daemon.
#[test]
fn rows_left_to_the_daemon() {
    let (count, failed) = differences(is_daemon_row);
    assert_eq!(
        (count, failed.len()),
        (DAEMON_ROWS.len(), DAEMON_ROWS.len())
    );
}
