//! Rough handling: closed pipes, a full disk, garbage from the network, signals, and a terminal
//! of 20 columns. The program ends as specified, without a panic and without leaving files.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use control_wire::{Address, Reply, RequestHeader, SourceData, SourceName, SourceStats, Status};
use nix::pty::{Winsize, openpty};
use skips::able;

#[path = "../../../tests/support/skips.rs"]
mod skips;

const PROGRAM: &str = env!("CARGO_BIN_EXE_chronyc");

/// A daemon that answers every request as `answer` says.
struct Daemon {
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Daemon {
    fn start(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let socket = UnixDatagram::bind(folder.path().join("d.sock")).expect("socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(5)))
            .expect("timeout");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::SeqCst) {
                let Ok((length, sender)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                for reply in answer(&buffer[..length]) {
                    if let Some(path) = sender.as_pathname() {
                        let _ = socket.send_to(&reply, path);
                    }
                }
            }
        });
        Self {
            folder,
            stop,
            thread: Some(thread),
        }
    }

    fn path(&self) -> String {
        self.folder
            .path()
            .join("d.sock")
            .to_str()
            .expect("path")
            .to_owned()
    }

    /// Nothing but the daemon's socket is left.
    fn assert_clean(&self) {
        let left = std::fs::read_dir(self.folder.path())
            .expect("folder")
            .count();
        assert_eq!(left, 1, "files left");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers that there are `count` sources, all alike.
fn many_sources(count: u32) -> impl Fn(&[u8]) -> Vec<Vec<u8>> {
    move |request| {
        let header = RequestHeader::parse(request).expect("request");
        let reply = match header.command {
            14 => Reply::NSources(control_wire::NSources { n_sources: count }),
            15 => Reply::SourceData(SourceData::default()),
            _ => return vec![Reply::Null.answer(&header, Status::Success).to_vec()],
        };
        vec![reply.answer(&header, Status::Success).to_vec()]
    }
}

fn shell(script: &str, daemon: &Daemon) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command.env("CHRONYC", PROGRAM).env("SOCKET", daemon.path());
    command.stdin(Stdio::null()).output().expect("shell")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_closed_pipe() {
    // More than a pipe holds, so that the reader is gone while it is written.
    let daemon = Daemon::start(many_sources(3000));
    let script = "{ $CHRONYC -n -h $SOCKET sources; echo exit $? >&2; } | head -1";
    let output = shell(script, &daemon);
    assert!(text(&output.stdout).starts_with("MS Name/IP"));
    assert_eq!(text(&output.stderr), "Could not write to stdout\nexit 1\n");
    daemon.assert_clean();
}

#[test]
fn nothing_can_be_written() {
    if !able(Path::new("/dev/full").exists(), "/dev/full") {
        return;
    }
    let daemon = Daemon::start(many_sources(1));
    let script = "$CHRONYC -h $SOCKET sources >/dev/full 2>/dev/full";
    assert_eq!(shell(script, &daemon).status.code(), Some(1));
    let script = "$CHRONYC -h $SOCKET nosuchcommand >&- 2>&-";
    assert_eq!(shell(script, &daemon).status.code(), Some(1));
    daemon.assert_clean();
}

#[test]
fn garbage_is_no_reply() {
    let daemon = Daemon::start(|request| {
        let mut state = u32::from_be_bytes([request[8], request[9], request[10], request[11]]);
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let mut replies = vec![Vec::new(), vec![6, 2], vec![6; 2000], request.to_vec()];
        for length in 0..60 {
            replies.push((0..length * 9).map(|_| random()).collect());
        }
        // The right header, then every kind of data, cut and random.
        for code in 0..30 {
            let mut reply = vec![6, 2, 0, 0, request[4], request[5], 0, code];
            reply.resize(16, 0);
            reply.extend_from_slice(&request[8..12]);
            reply.resize(20 + usize::from(random()), 0xff);
            replies.push(reply);
        }
        replies
    });
    for command in [
        "tracking",
        "sources",
        "sourcestats",
        "ntpdata",
        "clients",
        "manual list",
        "online",
    ] {
        let script = format!("$CHRONYC -n -h $SOCKET -m 'timeout 100' 'retries 1' '{command}'");
        let output = shell(&script, &daemon);
        let stdout = text(&output.stdout);
        assert!(
            !text(&output.stderr).contains("panic"),
            "{command}: {}",
            text(&output.stderr)
        );
        assert!(
            output.status.code().is_some_and(|code| code < 2),
            "{command}: {stdout}"
        );
    }
    daemon.assert_clean();
}

#[test]
fn a_signal_ends_the_wait() {
    let daemon = Daemon::start(|_| Vec::new());
    let started = Instant::now();
    let script =
        "$CHRONYC -h $SOCKET -m 'timeout 60000' tracking & sleep 0.3; kill -TERM $!; wait $!";
    let output = shell(script, &daemon);
    assert_eq!(text(&output.stdout), "506 Cannot talk to daemon\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(20));
    daemon.assert_clean();
}

/// An interactive session on a terminal.
struct Session {
    terminal: File,
    child: Child,
    seen: String,
    looked_at: usize,
}

impl Session {
    fn start(daemon: &Daemon, columns: u16, term: &str) -> Self {
        let size = Winsize {
            ws_row: 5,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).expect("terminal");
        let stdio = || Stdio::from(pty.slave.try_clone().expect("terminal"));
        let mut command = Command::new(PROGRAM);
        command.args(["-n", "-h", &daemon.path()]).env("TERM", term);
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().expect("program");
        Self {
            terminal: File::from(pty.master),
            child,
            seen: String::new(),
            looked_at: 0,
        }
    }

    /// Reads until `mark` appears after the mark waited for before.
    fn wait_for(&mut self, mark: &str) {
        let mut buffer = [0; 4096];
        loop {
            let new = self.seen.get(self.looked_at..).unwrap_or_default();
            if let Some(position) = new.find(mark) {
                self.looked_at += position + mark.len();
                return;
            }
            match self.terminal.read(&mut buffer) {
                Ok(length @ 1..) => self.seen.push_str(&text(&buffer[..length])),
                _ => panic!("{mark} did not appear: {:?}", self.seen),
            }
        }
    }

    fn keys(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).expect("keys");
    }

    fn end(mut self) -> (String, Option<i32>) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = self.terminal.read(&mut buffer) {
            self.seen.push_str(&text(&buffer[..length]));
        }
        let status = self.child.wait().expect("program ended").code();
        (self.seen, status)
    }
}

#[test]
fn a_terminal_of_20_columns() {
    let daemon = Daemon::start(many_sources(2));
    let mut session = Session::start(&daemon, 20, "xterm");
    session.wait_for("chronyc> ");
    session.keys("sources and a line that is longer than the terminal\r");
    session.wait_for("[UNSPEC]");
    session.wait_for("chronyc> ");
    // Completion of the only command that starts so, then history, then the end of input.
    session.keys("sele\t");
    session.wait_for("select");
    session.keys("\u{15}trac\t");
    session.wait_for("king ");
    session.keys("\u{15}tracck\r");
    session.wait_for("did you mean \"tracking\"?");
    session.wait_for("chronyc> ");
    session.keys("\u{4}");
    let (seen, status) = session.end();
    assert!(!seen.contains("panic"), "{seen:?}");
    // One new line ends the prompt, no empty one follows.
    assert!(
        seen.ends_with("\r\n") && !seen.ends_with("\n\r\n"),
        "{seen:?}"
    );
    // The last command failed.
    assert_eq!(status, Some(1), "{seen:?}");
    daemon.assert_clean();
}

/// Names of sources are asked of the daemon when they are needed.
#[test]
fn sources_are_completed() {
    let daemon = Daemon::start(|request| {
        let header = RequestHeader::parse(request).expect("request");
        let reply = match header.command {
            14 => Reply::NSources(control_wire::NSources { n_sources: 1 }),
            34 => Reply::SourceStats(SourceStats {
                ip_addr: Address::Ipv4([192, 0, 2, 1].into()),
                ..SourceStats::default()
            }),
            _ => Reply::NtpSourceName(SourceName::new(b"ntp.example")),
        };
        vec![reply.answer(&header, Status::Success).to_vec()]
    });
    let mut session = Session::start(&daemon, 80, "xterm");
    session.wait_for("chronyc> ");
    session.keys("sourcename ntp\t");
    session.wait_for(".example");
    session.keys("\u{15}sourcename 19\t");
    session.wait_for("2.0.2.1");
    session.keys("\r");
    session.wait_for("ntp.example\r\n");
    session.wait_for("chronyc> ");
    session.keys("\u{3}");
    assert_eq!(session.end().1, Some(0));
    daemon.assert_clean();
}

/// In JSON the explanations are part of the document.
#[test]
fn json_explains() {
    let daemon = Daemon::start(many_sources(1));
    let output = shell("$CHRONYC -j -h $SOCKET trackign", &daemon);
    assert_eq!(
        text(&output.stdout),
        "{\"command\":\"trackign\",\"success\":false,\"status\":[],\
         \"errors\":[\"Unrecognized command\"],\
         \"hints\":[\"did you mean \\\"tracking\\\"?\"]}\n"
    );
    assert_eq!(text(&output.stderr), "Unrecognized command\n");
}

#[test]
fn a_signal_at_the_prompt() {
    let daemon = Daemon::start(many_sources(1));
    for signal in ["-TERM", "-HUP"] {
        let mut session = Session::start(&daemon, 80, "xterm");
        session.wait_for("chronyc> ");
        let process = session.child.id().to_string();
        let killed = Command::new("kill")
            .args([signal, &process])
            .status()
            .expect("kill");
        assert!(killed.success());
        let (seen, status) = session.end();
        assert_eq!(status, Some(0), "{signal} {seen:?}");
        daemon.assert_clean();
    }
}

#[test]
fn a_failed_connection_is_explained_on_a_terminal() {
    let daemon = Daemon::start(|_| Vec::new());
    let mut session = Session::start(&daemon, 80, "dumb");
    session.wait_for("chronyc> ");
    session.keys("timeout 100\n");
    session.wait_for("chronyc> ");
    session.keys("tracking\n");
    session.wait_for("506 Cannot talk to daemon");
    session.wait_for("no reply; is chronyd running and not stopped?");
    session.keys("quit\n");
    let (_, status) = session.end();
    assert_eq!(status, Some(0));
    daemon.assert_clean();
}
