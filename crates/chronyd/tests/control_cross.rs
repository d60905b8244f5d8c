//! Clients and daemons of both kinds: ours and those of Debian's chrony (4.3), each client with
//! each daemon, for every command with its options. What is printed must be the same in all four
//! pairs but for figures that change from moment to moment; where 4.3 and the present protocol
//! disagree, both sides refuse as specified (control-protocol chapter, section 13).
//!
//! This program is also our client: started with [`AS_CLIENT`] it is `chronyc`. It has no test
//! harness for that reason.

#[path = "control_cross/messages.rs"]
mod messages;
mod support;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use support::ports::free_port;
use support::{CHRONYD, Running, can_unshare, is_root, peers, wait_until};

/// First argument that makes this program our client.
const AS_CLIENT: &str = "--as-chronyc";

/// First argument that makes this program compare messages, with names of its own.
const LOG_LINES: &str = "--log-lines";

/// Commands whose text, errors and status are the same in all pairs. They are run in this order,
/// so that all daemons are in the same states.
const SAME: &[&str] = &[
    // Reports, in all forms.
    "tracking",
    "-c tracking",
    "-n tracking",
    "-N tracking",
    "waitsync 1",
    "-c waitsync 1 0.1 0.5 1",
    "sources",
    "sources -a",
    "sources -v",
    "sources -a -v",
    "-n sources",
    "-N sources -a",
    "-c sources",
    "-c -N sources",
    "sourcestats",
    "sourcestats -a",
    "sourcestats -v",
    "-n sourcestats",
    "-N sourcestats",
    "-c -n sourcestats",
    "selectdata",
    "selectdata -a",
    "-n selectdata",
    "-N selectdata",
    "-c selectdata",
    "authdata",
    "authdata -a",
    "authdata -v",
    "-n authdata",
    "-N authdata -a",
    "-c authdata",
    "activity",
    "-c activity",
    "clients",
    "clients -k",
    "clients -p 1",
    "clients -p x",
    "clients -r",
    "-n clients -k -p 2 -r",
    "-c clients -k",
    "rtcdata",
    "-c rtcdata",
    "smoothing",
    "-c smoothing",
    "sourcename 127.0.0.1",
    "sourcename 127.0.0.99",
    "sourcename",
    "-c sourcename 127.0.0.2",
    "manual list",
    "-c manual list",
    // Manual input.
    "manual",
    "settime now",
    "manual on",
    "settime nonsense",
    "manual delete 0",
    "manual delete",
    "manual off",
    "manual reset",
    "manual x",
    // Access.
    "accheck 127.0.0.1",
    "cmdaccheck 127.0.0.1",
    "accheck",
    "allow 10/8",
    "accheck 10.1.2.3",
    "deny all 10/8",
    "accheck 10.1.2.3",
    "allow all 192.168.0.0/16",
    "accheck 192.168.3.4",
    "deny 2001:db8::/32",
    "deny",
    "deny all",
    "cmdallow 10.0.0.0/33",
    "cmdallow 10.2",
    "cmdaccheck 10.2.3.4",
    "cmdallow all 10.2.0.0/16",
    "cmddeny 10.2.3",
    "cmdaccheck 10.2.3.4",
    "cmddeny all",
    "allow 300",
    // Sources.
    "online 127.0.0.2",
    "offline 127.0.0.2",
    "online 10.0.0.0/8",
    "online 255.0.0.0/127.0.0.0",
    "offline",
    "online",
    "offline 127.0.0.0/8",
    "online x/y",
    "onoffline",
    "burst 1/1 10.1.1.1",
    "burst 1/2 127.0.0.2",
    "burst",
    "minpoll 127.0.0.1 5",
    "minpoll 127.0.0.1 99",
    "minpoll 127.0.0.99 5",
    "minpoll",
    "maxpoll 127.0.0.1 9",
    "maxpoll 127.0.0.1",
    "maxdelay 127.0.0.1 0.5",
    "maxdelay 127.0.0.99 0.5",
    "maxdelayratio 127.0.0.1 2",
    "maxdelaydevratio 127.0.0.1 10",
    "minstratum 127.0.0.1 2",
    "polltarget 127.0.0.1 12",
    "polltarget 127.0.0.1 x",
    "add server 127.0.0.3 offline iburst key 5 maxdelay 0.1",
    "add server 127.0.0.3",
    "add peer 127.0.0.4 offline",
    "add pool 127.0.0.5 offline",
    "add refclock SHM",
    "add server",
    "sources -a",
    "-N sourcestats -a",
    "delete 127.0.0.3",
    "delete 127.0.0.3",
    "delete 127.0.0.4",
    "delete 127.0.0.5",
    "delete",
    "refresh",
    "reload sources",
    "reload",
    "reselect",
    "reselectdist 1e-4",
    "reselectdist",
    "reset sources",
    "reset",
    // The clock.
    "makestep 0.1 3",
    "makestep 0.1",
    "makestep",
    "maxupdateskew 100",
    "maxupdateskew",
    "dfreq 0.001",
    "dfreq x",
    "doffset 0.00001",
    "doffset 1e10",
    "smoothtime reset",
    "smoothtime activate",
    "smoothtime",
    // Others.
    "rekey",
    "dump",
    "cyclelogs",
    "trimrtc",
    "writertc",
    "dns -n",
    "dns -x",
    "timeout 50",
    "timeout 1000",
    "retries 50",
    "retries 2",
    "keygen x",
    "keygen 1 NOSUCH",
    "nosuchcommand",
    "exit",
    "quit",
    "-m activity rtcdata activity",
    "password",
    // Options for compatibility, the protocol over UDP, and no daemon.
    "-a -f x activity",
    "-4 -h 127.0.0.1 tracking",
    "-6 -h 127.0.0.1 tracking",
    "-h 127.0.0.1 tracking",
    "-h 127.0.0.1 sources",
    "-h 127.0.0.1 makestep",
    "-h 127.0.0.1 clients",
    "-h 127.0.0.1 shutdown",
    "-h /nonexistent/socket,127.0.0.1 activity",
    "-h /nonexistent/socket activity",
    "-h 127.0.0.1 -p 1 activity",
    "-x",
    "-p",
];

/// What differs between 4.3 and the present: the command, what 4.3's client says of our daemon
/// and ours of 4.3's, each standard output and standard error.
const DIFFERENT: &[(&str, [&str; 2], [&str; 2])] = &[
    (
        "local",
        ["502 Invalid command\n", ""],
        ["502 Invalid command\n", ""],
    ),
    (
        "local stratum 5 orphan",
        ["502 Invalid command\n", ""],
        ["502 Invalid command\n", ""],
    ),
    (
        "local off",
        ["502 Invalid command\n", ""],
        ["502 Invalid command\n", ""],
    ),
    (
        "selectopts 127.0.0.1 +prefer",
        ["", "Unrecognized command\n"],
        ["502 Invalid command\n", ""],
    ),
    (
        "offset 127.0.0.1 0.1",
        ["", "Unrecognized command\n"],
        ["502 Invalid command\n", ""],
    ),
    (
        "ntpdata 127.0.0.1",
        ["518 Packet length mismatch\n", ""],
        ["508 Bad reply from daemon\n", ""],
    ),
    (
        "ntpdata",
        ["518 Packet length mismatch\n", ""],
        ["508 Bad reply from daemon\n", ""],
    ),
    (
        "serverstats",
        ["518 Packet length mismatch\n", ""],
        ["508 Bad reply from daemon\n", ""],
    ),
    (
        "-h 127.0.0.1 serverstats",
        ["518 Packet length mismatch\n", ""],
        ["501 Not authorised\n", ""],
    ),
    (
        "add server 127.0.0.6 minpoll",
        ["", "Invalid syntax for add command\n"],
        ["", "Invalid value in add command\n"],
    ),
    (
        "add server 127.0.0.6 nosuchoption",
        ["", "Invalid syntax for add command\n"],
        ["", "Invalid option in add command\n"],
    ),
    // 4.3 does not know the flag.
    (
        "add server ::1 ipv4 offline",
        ["", "Invalid syntax for add command\n"],
        ["200 OK\n", ""],
    ),
];

/// Lines with options that 4.3's client lacks: the same of both daemons.
const OURS: &[&str] = &[
    "-e tracking",
    "-c -e -n tracking",
    "-e smoothtime activate",
    "-m -e activity rtcdata activity",
    "-u root activity",
    "-u nosuchuser activity",
    "-w -n authdata",
    "-j tracking",
];

/// Configuration of all four daemons.
const DIRECTIVES: &str = "local stratum 10\nserver 127.0.0.1 port 32318 offline\n\
    server 127.0.0.2 port 32318 noselect offline\n";

/// What a client printed, with moving figures masked, and its status.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    stdout: String,
    stderr: String,
    status: Option<i32>,
}

/// A daemon of either kind.
struct Daemon {
    running: Running,
    folder: tempfile::TempDir,
    port: String,
}

impl Daemon {
    fn start(program: &Path, directives: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let port = free_port().to_string();
        let place = |name: &str| folder.path().join(name).display().to_string();
        let configuration = format!(
            "port 0\ncmdport {port}\nbindcmdaddress 127.0.0.1\nbindcmdaddress {}\n\
             pidfile {}\ndumpdir {}\nlogdir {}\nuser root\nsmoothtime 400 0.01\n{directives}",
            place("run/chronyd.sock"),
            place("chronyd.pid"),
            place(""),
            place("")
        );
        std::fs::write(place("chrony.conf"), configuration).expect("configuration");
        let mut command = Command::new(program);
        command.args(["-x", "-d", "-f", &place("chrony.conf")]);
        let running = Running::start(&mut command, folder.path(), "chronyd");
        let socket = folder.path().join("run/chronyd.sock");
        wait_until("command socket", || socket.exists().then_some(()));
        Self {
            running,
            folder,
            port,
        }
    }

    /// Runs a client with the words of `line`; its own `-h` and `-p` come after ours.
    fn run(&self, client: &Client, line: &str) -> Said {
        let socket = self.folder.path().join("run/chronyd.sock");
        let socket = socket.display().to_string();
        let output = client
            .command()
            .args(["-h", &socket, "-p", &self.port])
            .args(line.split(' '))
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .output()
            .expect("client started");
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            masked(&text.replace(&client.name(), "chronyc"))
        };
        Said {
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            status: output.status.code(),
        }
    }
}

/// A client of either kind.
enum Client {
    Ours,
    Theirs(PathBuf),
}

impl Client {
    fn command(&self) -> Command {
        match self {
            Self::Ours => {
                let mut command = Command::new(std::env::current_exe().expect("own program"));
                command.arg(AS_CLIENT);
                command
            }
            Self::Theirs(program) => Command::new(program),
        }
    }

    /// What it calls itself in messages.
    fn name(&self) -> String {
        match self {
            Self::Ours => "chronyc".to_owned(),
            Self::Theirs(program) => program.display().to_string(),
        }
    }
}

/// Numbers and their units become `#`, and runs of spaces one. Usage texts become one word:
/// each release has its own options.
fn masked(text: &str) -> String {
    if let Some((before, _)) = text.split_once("Usage: ") {
        return format!("{before}USAGE");
    }
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

/// All commands with one pair, in order, then the end of the daemon.
fn pair(program: &Path, client: &Client) -> Vec<Said> {
    let mut daemon = Daemon::start(program, DIRECTIVES);
    let different = DIFFERENT.iter().map(|(line, ..)| *line);
    let lines = SAME.iter().chain(OURS).copied();
    let lines = lines.chain(different).chain(["shutdown"]);
    let said = lines.map(|line| daemon.run(client, line)).collect();
    let status = daemon.running.wait();
    assert!(status.success(), "{status}");
    said
}

fn compare(peers: &Path) {
    let theirs = Client::Theirs(peers.join("chrony/usr/bin/chronyc"));
    let programs = [peers.join("chrony/usr/sbin/chronyd"), CHRONYD.into()];
    let [reference, to_ours] = [0, 1].map(|which| pair(&programs[which], &theirs));
    let [of_ours, all_ours] = [0, 1].map(|which| pair(&programs[which], &Client::Ours));
    let mut wrong = Vec::new();
    for (name, said) in [
        ("their client, our daemon", &to_ours),
        ("our client, their daemon", &of_ours),
        ("our client, our daemon", &all_ours),
    ] {
        for (line, (found, expected)) in SAME.iter().zip(said.iter().zip(&reference)) {
            if found != expected {
                wrong.push(format!("{name}: {line}\n{found:?}\n{expected:?}"));
            }
        }
    }
    for (index, line) in OURS.iter().enumerate() {
        let place = SAME.len() + index;
        if of_ours[place] != all_ours[place] {
            wrong.push(format!(
                "our client: {line}\n{:?}\n{:?}",
                of_ours[place], all_ours[place]
            ));
        }
    }
    for (index, (line, theirs, ours)) in DIFFERENT.iter().enumerate() {
        let place = SAME.len() + OURS.len() + index;
        for (name, said, expected) in [
            ("their client, our daemon", &to_ours, theirs),
            ("our client, their daemon", &of_ours, ours),
        ] {
            let expected = expected.map(masked);
            if [&said[place].stdout, &said[place].stderr] != [&expected[0], &expected[1]] {
                wrong.push(format!("{name}: {line}\n{:?}\n{expected:?}", said[place]));
            }
        }
    }
    println!(
        "{} commands with four pairs, {} of ours with both daemons, {} that differ as specified; \
         {} wrong",
        SAME.len(),
        OURS.len(),
        DIFFERENT.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    arguments.next();
    let first = arguments.next();
    if first.as_ref().is_some_and(|first| first == AS_CLIENT) {
        return chronyc::run([OsString::from("chronyc")].into_iter().chain(arguments));
    }
    if first.is_some_and(|first| first == LOG_LINES) {
        messages::compare();
        return ExitCode::SUCCESS;
    }
    if let Some(peers) = peers() {
        compare(&peers);
    }
    if is_root() && can_unshare() {
        messages::run_with_names();
    }
    ExitCode::SUCCESS
}
