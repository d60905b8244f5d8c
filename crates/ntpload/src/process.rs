//! The server's process: its CPU time, its memory, and making it wait.

use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a process may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What all threads of a process used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Time on a processor, seconds.
    pub(crate) cpu_time_s: f64,
    /// How often a thread slept until something came.
    pub(crate) sleeps: u64,
}

impl Usage {
    /// Of a process, now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let mut usage = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
            let folder = thread.ok()?.path();
            // The scheduler's own account, which is exact where `stat` counts ticks.
            let on_cpu = fs::read_to_string(folder.join("schedstat")).ok()?;
            usage.cpu_time_s += on_cpu.split(' ').next()?.parse::<f64>().ok()? / 1e9;
            let status = fs::read_to_string(folder.join("status")).ok()?;
            usage.sleeps += field(&status, "voluntary_ctxt_switches:")?;
        }
        Some(usage)
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu_time_s: self.cpu_time_s - earlier.cpu_time_s,
            sleeps: self.sleeps.saturating_sub(earlier.sleeps),
        }
    }
}

/// Resident memory of a process, KiB.
pub(crate) fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    field(&status, "VmRSS:")
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Makes the server go on when this process ends, however it ends: it may be killed while it
/// has the server stopped.
#[derive(Debug)]
pub(crate) struct Guardian(Child);

impl Guardian {
    /// A shell that waits for the end of its input, which this process holds open. What ends
    /// this process (an interrupt of the terminal goes to both) does not end the shell.
    ///
    /// # Errors
    ///
    /// When the shell cannot be started.
    pub(crate) fn new(pid: u32) -> io::Result<Self> {
        let wait = "trap '' HUP INT QUIT TERM; read -r end; kill -CONT \"$0\"";
        Command::new("sh")
            .args(["-c", wait, &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // The end of its input would do as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that is stopped until this is dropped.
#[derive(Debug)]
pub(crate) struct Stopped(Pid);

impl Stopped {
    /// Stops a process and waits until all its threads stand.
    ///
    /// # Errors
    ///
    /// When there is no such process, it is not ours, or it goes on.
    pub(crate) fn new(pid: u32) -> io::Result<Self> {
        let id = i32::try_from(pid).map_err(io::Error::other)?;
        let stopped = Self(Pid::from_raw(id));
        kill(stopped.0, Signal::SIGSTOP)
            .map_err(|error| io::Error::other(format!("process {pid}: {}", error.desc())))?;
        let begin = Instant::now();
        while !stands(pid)? {
            if begin.elapsed() > STOP_TIMEOUT {
                return Err(io::Error::other(format!("process {pid} does not stop")));
            }
            std::thread::yield_now();
        }
        Ok(stopped)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have ended.
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// Whether all threads of a process are stopped.
fn stands(pid: u32) -> io::Result<bool> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(thread?.path().join("stat"))?;
        // The state follows the command's name, which is in parentheses (proc(5)).
        if !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" T"))
        {
            return Ok(false);
        }
    }
    Ok(true)
}
