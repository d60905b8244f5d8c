//! Helper threads of the NTS-KE server (directive `ntsprocesses`): TLS costs more than
//! anything else the daemon does, and must not delay an NTP response.
//!
//! The main thread accepts; a thread that has fewest connections takes over. Threads start
//! with the first connection that needs them.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use nts::ke::server::ServerSettings;
use os_linux::clock::monotonic_time;
use os_linux::event::{
    Interest, PollSet, Timeout, WakeReceiver, Waker, block_in_this_thread, wake_pipe,
};

use crate::ke_sessions::{Accepted, KeSessions};

struct Helper {
    connections: Sender<Accepted>,
    /// Connections that it has, or will have when it takes them.
    active: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    waker: Waker,
    handle: JoinHandle<()>,
}

/// The running threads.
pub struct Helpers {
    settings: Arc<ServerSettings>,
    wanted: usize,
    max_connections: usize,
    threads: Vec<Helper>,
    /// The last attempt to start a thread failed, which was said.
    failing: bool,
}

impl Helpers {
    /// None yet; at most `wanted` threads with `max_connections` each.
    pub fn new(settings: Arc<ServerSettings>, wanted: usize, max_connections: usize) -> Self {
        Self {
            settings,
            wanted,
            max_connections,
            threads: Vec::new(),
            failing: false,
        }
    }

    /// Hands a connection over. Without room it is closed (`false`). `say` is given errors.
    pub fn take(&mut self, accepted: Accepted, say: &mut dyn FnMut(&str)) -> bool {
        self.bury(say);
        let load = |helper: &Helper| helper.active.load(Ordering::Relaxed);
        let least = self.threads.iter().map(load).min();
        if least != Some(0) && self.threads.len() < self.wanted {
            // Where no thread can be started those that run have to do.
            match Helper::start(Arc::clone(&self.settings)) {
                Ok(helper) => {
                    self.threads.push(helper);
                    self.failing = false;
                }
                // Once, as clients may come by the thousand.
                Err(_) if self.failing => {}
                Err(error) => {
                    let reason = os_linux::error_text(&error);
                    say(&format!("Could not start NTS-KE helper : {reason}"));
                    self.failing = true;
                }
            }
        }
        let Some(helper) = self.threads.iter().min_by_key(|helper| load(helper)) else {
            return false;
        };
        if load(helper) >= self.max_connections {
            return false;
        }
        helper.active.fetch_add(1, Ordering::Relaxed);
        let taken = helper.connections.send(accepted).is_ok();
        helper.waker.wake();
        taken
    }

    /// Gives up threads that ended by themselves, so that others take their place.
    fn bury(&mut self, say: &mut dyn FnMut(&str)) {
        let running = self.threads.len();
        self.threads.retain(|helper| !helper.handle.is_finished());
        if self.threads.len() < running {
            say("NTS-KE helper ended, another takes its place");
        }
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        for helper in &self.threads {
            helper.stop.store(true, Ordering::Relaxed);
            helper.waker.wake();
        }
        for helper in self.threads.drain(..) {
            // A thread that panicked is gone as well.
            let _ = helper.handle.join();
        }
    }
}

impl Helper {
    fn start(settings: Arc<ServerSettings>) -> io::Result<Self> {
        let (waker, wakeups) = wake_pipe()?;
        let (connections, new) = channel();
        let active = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let mut worker = Worker {
            sessions: KeSessions::new(settings),
            new,
            active: Arc::clone(&active),
            stop: Arc::clone(&stop),
            wakeups,
        };
        let handle = std::thread::Builder::new()
            .name("nts-ke".to_owned())
            .spawn(move || {
                // Signals are the main thread's; where blocking them fails they only interrupt.
                let _ = block_in_this_thread();
                worker.run();
            })?;
        Ok(Self {
            connections,
            active,
            stop,
            waker,
            handle,
        })
    }
}

struct Worker {
    sessions: KeSessions,
    new: Receiver<Accepted>,
    active: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    wakeups: WakeReceiver,
}

impl Worker {
    fn run(&mut self) {
        let mut set = PollSet::default();
        while !self.stop.load(Ordering::Relaxed) {
            set.clear();
            set.add(self.wakeups.as_fd(), Interest::READ);
            self.sessions.register(&mut set);
            let timeout = self.sessions.next_timeout().map_or(Timeout::NEVER, |at| {
                Timeout::until_monotonic(at, monotonic_time())
            });
            if set.wait(timeout).is_err() {
                return;
            }
            self.wakeups.drain();
            let before = self.sessions.len();
            self.sessions.serve(&set, monotonic_time());
            let mut gone = before - self.sessions.len();
            while let Ok(accepted) = self.new.try_recv() {
                let before = self.sessions.len();
                self.sessions.add(accepted, monotonic_time());
                gone += before + 1 - self.sessions.len();
            }
            self.active.fetch_sub(gone, Ordering::Relaxed);
        }
    }
}
