//! What the tests of the real program share: starting it, waiting for its messages,
//! other daemons, and skipping where the machine cannot run a test.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses a part of it"
)]

pub(crate) mod flood;
pub(crate) mod namespace;
pub(crate) mod network;
pub(crate) mod ntp;
pub(crate) mod nts;
pub(crate) mod ports;
pub(crate) mod program;
pub(crate) mod recorded;
pub(crate) mod server;
#[path = "../../../../tests/support/skips.rs"]
mod skips;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(crate) use skips::able;

/// The program under test.
pub(crate) const CHRONYD: &str = env!("CARGO_BIN_EXE_chronyd");

/// A client that opens nothing but what its sources need.
pub(crate) const CLIENT_LINES: &[&str] = &["port 0", "cmdport 0", "bindcmdaddress /", "pidfile /"];

/// How long anything may take on a busy machine before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the test runs as root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The name of the user that runs the tests.
pub(crate) fn user_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    user.ok().flatten().expect("a user with a name").name
}

/// Whether the test runs as root and namespaces can be made.
pub(crate) fn can_unshare() -> bool {
    let works = Command::new("unshare")
        .args(["-n", "-m", "-i", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    able(works, "root's right to make namespaces")
}

/// The folder of other daemons made by `scripts/fetch-peers` (variable `ISOCHRONY_PEERS`).
pub(crate) fn peers() -> Option<PathBuf> {
    let folder = std::env::var_os("ISOCHRONY_PEERS").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join("chrony/usr/sbin/chronyd").exists());
    let root = is_root();
    let usable = able(
        folder.is_some() && root,
        "root and the folder of scripts/fetch-peers in ISOCHRONY_PEERS",
    );
    folder.filter(|_| usable)
}

/// Calls `attempt` until it gives something.
pub(crate) fn wait_until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Repeats a call that a signal interrupted. Waits with a time limit are interrupted without one,
/// too, when the system stops and continues its processes.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ended => return ended,
        }
    }
}

/// A log without the time stamps and the line every start begins with.
pub(crate) fn messages(log: &str) -> Vec<String> {
    let lines = log.lines().map(|line| match line.split_once("Z ") {
        Some((stamp, rest)) if stamp.len() == 19 => rest.to_owned(),
        _ => line.to_owned(),
    });
    lines
        .filter(|line| !line.starts_with("chronyd version "))
        .collect()
}

/// What a program that ended said.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit status; `None` after a signal.
    pub(crate) status: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// Messages without time stamps.
    pub(crate) fn messages(&self) -> Vec<String> {
        messages(&self.stderr)
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("run");
    Ended {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs the program under test to its end.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    finish(Command::new(CHRONYD).args(arguments))
}

/// A running daemon, ours or another, whose messages go to a file. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with standard error and output going to `<folder>/<name>.messages`.
    pub(crate) fn start(command: &mut Command, folder: &Path, name: &str) -> Self {
        let log = folder.join(format!("{name}.messages"));
        let file = File::create(&log).expect("create log");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("clone"))
            .stderr(file)
            .spawn()
            .expect("start");
        Self { child, log }
    }

    /// Starts the program under test in the foreground, without clock control.
    pub(crate) fn chronyd(folder: &Path, directives: &[String]) -> Self {
        let mut command = Command::new(CHRONYD);
        command.args(["-U", "-x", "-d"]).args(directives);
        Self::start(&mut command, folder, "chronyd")
    }

    /// Starts the program under test as a server of stratum 1 on a port of the loopback address,
    /// and waits until it answers.
    pub(crate) fn own_server(folder: &Path, port: u16) -> Self {
        let lines = [
            &format!("port {port}"),
            "local stratum 1",
            "allow",
            "cmdport 0",
            "bindcmdaddress /",
            "pidfile /",
        ];
        let mut command = Command::new(CHRONYD);
        command.args(["-U", "-x", "-d"]).args(lines);
        let server = Self::start(&mut command, folder, "server");
        ntp::wait_for_server(port);
        server
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything said so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("read log")).into_owned()
    }

    /// Messages without time stamps.
    pub(crate) fn messages(&self) -> Vec<String> {
        messages(&self.log())
    }

    /// Waits for a message that contains `text`, and returns it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let found = self.messages().into_iter().find(|line| line.contains(text));
            if let Some(line) = found {
                return line;
            }
            let ended = self.child.try_wait().expect("wait").is_some();
            assert!(
                !ended && start.elapsed() < PATIENCE,
                "no {text:?} in\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("pid"));
        nix::sys::signal::kill(pid, signal).expect("kill");
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_until("end of the process", || {
            self.child.try_wait().expect("wait")
        })
    }

    /// Ends it as an administrator would.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(nix::sys::signal::SIGTERM);
        self.wait()
    }

    /// Resident memory, KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("status of the process");
        let line = text.lines().find(|line| line.starts_with("VmRSS:"));
        let word = line.and_then(|line| line.split_whitespace().nth(1));
        word.and_then(|word| word.parse().ok()).expect("VmRSS")
    }

    /// Processor time used so far, seconds.
    pub(crate) fn cpu_time_s(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .expect("status of the process");
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split(' ').collect();
        // utime and stime of proc(5), counted after the command's name, in 1/100 s.
        let ticks = |index: usize| fields[index].parse::<f64>().expect("ticks");
        (ticks(12) + ticks(13)) / 100.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a client, with more.
pub(crate) fn client(more: &[&str]) -> Vec<String> {
    let lines = CLIENT_LINES.iter().chain(more);
    lines.map(|line| (*line).to_owned()).collect()
}
