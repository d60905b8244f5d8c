//! Going into the background (system chapter, section 2.2).
//!
//! The process that was started stays in the foreground until the daemon says over a pipe
//! that it is ready, or why it could not start. Unlike the reference's, it does not keep
//! the pipe's writing end open itself, so a daemon that dies without a word ends it too.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::error::{CallError, check, error_text};
use crate::event::pipe;

/// Descriptors below this number are closed in the daemon.
const DESCRIPTORS_CLOSED: RawFd = 1024;

/// Room for the daemon's message; log messages are cut at 2047 bytes.
const MESSAGE_SIZE: u64 = 2048;

/// Which of the two processes the caller is in after [`daemonise`].
#[derive(Debug)]
pub enum Daemonised {
    /// The daemon, in the background.
    Daemon(ReadinessPipe),
    /// The process that was started: the daemon is ready. Exit with status 0.
    Ready,
    /// The process that was started: the daemon ended. Print the message, if there is
    /// one, on standard error and exit with status 1.
    Failed(Option<String>),
}

/// The daemon's connection to the foreground process. Dropping it without a word makes
/// that process exit with status 1.
#[derive(Debug)]
pub struct ReadinessPipe(OwnedFd);

impl ReadinessPipe {
    /// Releases the foreground process: it exits with status 0.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when it is gone; the daemon then quits too.
    pub fn ready(self) -> io::Result<()> {
        self.send(&[0])
    }

    /// Has the foreground process print `message` on standard error and exit with
    /// status 1.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when it is gone.
    pub fn fail(self, message: &str) -> io::Result<()> {
        self.send(message.as_bytes())
    }

    fn send(self, bytes: &[u8]) -> io::Result<()> {
        std::fs::File::from(self.0).write_all(bytes)
    }
}

/// Goes into the background: forks twice with a new session in between, changes to `/`,
/// closes all descriptors below 1024 that the process was handed and that `keep` does not
/// want, and has 0, 1 and 2 opened on `/dev/null`. The umask stays, and so do descriptors
/// that the process opened itself.
///
/// To be called before any thread is started, because only the calling thread exists in
/// the daemon and locks that others hold would stay locked.
///
/// # Errors
///
/// In the foreground process only: `pipe() failed : …`, `fork() failed : …`. What fails
/// later comes back as [`Daemonised::Failed`].
pub fn daemonise(keep: impl Fn(RawFd) -> bool) -> Result<Daemonised, CallError> {
    let (read, write) = pipe().map_err(|error| CallError::new("pipe", error))?;
    if let Some(child) = fork()? {
        drop(write);
        // SAFETY: waiting for our own child, without asking for its status.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        return Ok(wait_for_daemon(read));
    }
    drop(read);
    let readiness = ReadinessPipe(write);
    match become_daemon(keep) {
        Ok(()) => Ok(Daemonised::Daemon(readiness)),
        Err(error) => {
            // The foreground process may be gone, then nobody can be told.
            let _ = readiness.fail(&error);
            exit_now(1);
        }
    }
}

/// In the first child; returns in the second.
fn become_daemon(keep: impl Fn(RawFd) -> bool) -> Result<(), String> {
    // SAFETY: the call has no arguments. It fails only for a group leader, which a new
    // child is not.
    unsafe { libc::setsid() };
    if fork().map_err(|error| error.to_string())?.is_some() {
        exit_now(0);
    }
    std::env::set_current_dir("/").map_err(|error| CallError::new("chdir", error).to_string())?;
    for number in 3..DESCRIPTORS_CLOSED {
        if super::is_handed_over(number) && !keep(number) {
            // SAFETY: nothing in the process owns a descriptor that was handed over.
            unsafe { libc::close(number) };
        }
    }
    attach_to_null(0, OpenOptions::new().read(true))?;
    attach_to_null(1, OpenOptions::new().write(true))?;
    attach_to_null(2, OpenOptions::new().read(true).write(true))
}

/// Puts `/dev/null` in the place of one of the descriptors 0, 1 and 2. The error is the text
/// of a fatal message.
pub(super) fn attach_to_null(number: RawFd, options: &OpenOptions) -> Result<(), String> {
    let refused = |error| format!("Could not open /dev/null : {}", error_text(&error));
    let null = options.open("/dev/null").map_err(refused)?;
    // SAFETY: both are open or to be replaced; 0, 1 and 2 are std's, which expects them
    // to be redirected.
    check(unsafe { libc::dup2(null.as_raw_fd(), number) }).map_err(refused)?;
    Ok(())
}

/// `Some(child)` in the parent, `None` in the child.
fn fork() -> Result<Option<libc::pid_t>, CallError> {
    // SAFETY: the child goes on as a whole program. The C library keeps its own locks
    // consistent over a fork; locks of other threads could stay locked, which blocks but
    // does not corrupt.
    match unsafe { libc::fork() } {
        child if child > 0 => Ok(Some(child)),
        0 => Ok(None),
        _ => Err(CallError::last("fork")),
    }
}

/// Ends a child without the parent's clean-up.
fn exit_now(status: libc::c_int) -> ! {
    // SAFETY: ends the process; nothing is left to be sound for.
    unsafe { libc::_exit(status) }
}

/// In the foreground process: waits for the daemon's word.
fn wait_for_daemon(read: OwnedFd) -> Daemonised {
    let mut message = Vec::new();
    let pipe = std::fs::File::from(read);
    let end = pipe.take(MESSAGE_SIZE).read_to_end(&mut message);
    match (end, message.as_slice()) {
        (Ok(_), [0]) => Daemonised::Ready,
        (Ok(_), [_, ..]) => {
            Daemonised::Failed(Some(String::from_utf8_lossy(&message).into_owned()))
        }
        _ => Daemonised::Failed(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::{Command, Output};

    /// Chooses what the child process of these tests does.
    const ROLE: &str = "ISOCHRONY_TEST_DAEMON";

    /// Runs this test program as another process that goes into the background.
    fn run(role: &str) -> Output {
        Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "process::daemonise::tests::child", "--nocapture"])
            .env(ROLE, role)
            .output()
            .expect("run")
    }

    /// Not a test by itself: the process that `run` starts.
    #[test]
    fn child() {
        let Ok(role) = std::env::var(ROLE) else {
            return;
        };
        let readiness = match daemonise(|_| false).expect("fork") {
            Daemonised::Daemon(readiness) => readiness,
            Daemonised::Ready => exit_now(0),
            Daemonised::Failed(message) => {
                eprintln!("{}", message.unwrap_or_else(|| "no word".to_owned()));
                exit_now(1);
            }
        };
        match role.as_str() {
            "ready" if std::env::current_dir().is_ok_and(|folder| folder == Path::new("/")) => {
                readiness.ready().expect("told");
            }
            "failing" => readiness.fail("it did not work").expect("told"),
            "standard output" => {
                // The foreground process has it too, so its other end stays open.
                let mut taken = super::super::take_descriptor(1).expect("taken");
                println!("this goes nowhere");
                taken.write_all(b"\n").expect("a write to /dev/null");
                readiness.ready().expect("told");
            }
            _ => drop(readiness),
        }
        exit_now(0);
    }

    #[test]
    fn the_foreground_process_follows_the_daemon() {
        let ready = run("ready");
        assert_eq!(ready.status.code(), Some(0), "{ready:?}");
        assert_eq!(run("standard output").status.code(), Some(0));
        let failing = run("failing");
        assert_eq!(failing.status.code(), Some(1));
        let text = String::from_utf8_lossy(&failing.stderr);
        assert!(text.ends_with("it did not work\n"), "{text}");
        let silent = run("silent");
        assert_eq!(silent.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&silent.stderr).ends_with("no word\n"));
    }
}
