//! The NTS-KE server of the main thread: sockets, keys for cookies and their file (NTS chapter,
//! sections 8 and 9). Connections run in [`crate::ke_helpers`], or with
//! `ntsprocesses 0` in the main loop.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use chrony_conf::Config;
use discipline::journal::Severity;
use discipline::time::MonotonicTime;
use engine::engine::Refusal;
use nts::ke::request::NtpService;
use nts::ke::server::ServerSettings;
use nts::log::{self, LogLine};
use nts::random::SystemRandom;
use nts::server::key_file;
use nts::server::key_ring::KeyRing;
use nts::server::keys::ServerKeys;
use nts::time::WallTime;
use os_linux::event::{Interest, PollSet};
use os_linux::socket::{IpFamily, SocketSupport};

use crate::descriptors;
use crate::files;
use crate::ke_certificates::CertificateFiles;
use crate::ke_client::aeads;
use crate::ke_helpers::Helpers;
use crate::ke_io::running;
use crate::ke_sessions::{Accepted, KeSessions};
use crate::output::Output;
use crate::server_threads;

/// The server has a socket of each at most.
const FAMILIES: [IpFamily; 2] = [IpFamily::V4, IpFamily::V6];

/// Permissions of the file of keys.
const SECRET_MODE: u32 = 0o600;

/// Connections accepted in one turn of the main loop.
const ACCEPTS_PER_TURN: usize = 32;

/// Pause after a failed accept, seconds: without descriptors it would fail at once again.
const PAUSE_S: f64 = 0.5;

enum Runner {
    Threads(Helpers),
    MainLoop {
        sessions: Box<KeSessions>,
        max_connections: usize,
    },
}

/// Decides whether a client may go on.
type Allow<'a> = &'a mut dyn FnMut(IpAddr) -> Result<(), Refusal>;

/// The server.
pub struct KeServer {
    listeners: Vec<(TcpListener, Option<usize>)>,
    certificates: CertificateFiles,
    ring: KeyRing,
    key_file: Option<PathBuf>,
    runner: Runner,
    random: SystemRandom,
    paused_until: Option<MonotonicTime>,
}

fn say(output: &mut Output, lines: impl IntoIterator<Item = LogLine>) {
    for line in lines {
        match line.severity {
            log::Severity::Info => output.write(Severity::Info, &line.text),
            log::Severity::Warning => output.write(Severity::Warning, &line.text),
            log::Severity::Error => output.write(Severity::Error, &line.text),
            log::Severity::Explanation => output.explain(&line.text),
        }
    }
}

/// Connections at a time for each of `processes`: as many as configured where the system's
/// limit of descriptors, raised as far as needed and allowed, leaves `others` for the rest of
/// the daemon.
fn connections_with_descriptors(processes: usize, configured: usize, others: usize) -> usize {
    let wanted = processes.saturating_mul(configured).saturating_add(others);
    let each = descriptors::raise_limit(wanted).saturating_sub(others) / processes;
    configured.min(each.max(1))
}

impl KeServer {
    /// Opens the server, if certificates are configured. To be called after privileges were
    /// dropped: whoever reads the files has to be able to read them again.
    ///
    /// # Errors
    ///
    /// The text of a fatal message.
    pub fn open(
        config: &Config,
        support: &SocketSupport,
        output: &mut Output,
        at: MonotonicTime,
        wall: WallTime,
    ) -> Result<Option<Self>, String> {
        let pairs = config.nts.server_credentials();
        let pairs = pairs.map_err(|message| message.text)?;
        if pairs.is_empty() {
            return Ok(None);
        }
        let positive = |value: i32| usize::try_from(value).unwrap_or(0);
        let processes = positive(config.nts.processes);
        let max_connections = connections_with_descriptors(
            processes.max(1),
            positive(config.nts.max_connections),
            descriptors::OTHERS + server_threads::descriptors(config),
        );
        let settings = Arc::new(ServerSettings {
            aeads: aeads(config),
            service: NtpService {
                port: config.server.port,
                server: config.nts.ntp_server.clone(),
            },
        });
        let mut random = SystemRandom::new();
        let interval_s = u32::try_from(config.nts.rotate_s).unwrap_or(0);
        let directory = config.nts.dump_directory.as_ref();
        let mut server = Self {
            listeners: Vec::new(),
            certificates: CertificateFiles::new(pairs, at),
            ring: KeyRing::new(interval_s, running(at), &mut random),
            key_file: directory.map(|directory| directory.join(key_file::FILE_NAME)),
            runner: match processes {
                0 => Runner::MainLoop {
                    sessions: Box::new(KeSessions::new(settings)),
                    max_connections,
                },
                _ => Runner::Threads(Helpers::new(settings, processes, max_connections)),
            },
            random,
            paused_until: None,
        };
        let backlog = processes.max(1).saturating_mul(max_connections);
        say(output, server.certificates.load(wall));
        if processes == 0 && server.certificates.in_service().is_none() {
            // As in the reference the service does not begin: no port, no file of keys, and
            // with keys that nobody has cookies of each request gets a NAK.
            server.certificates.forget();
            server.key_file = None;
            return Ok(Some(server));
        }
        server.listen(config, support, output, backlog)?;
        server.load_keys_at_start(output, at);
        Ok(Some(server))
    }

    fn listen(
        &mut self,
        config: &Config,
        support: &SocketSupport,
        output: &mut Output,
        backlog: usize,
    ) -> Result<(), String> {
        let bind = config.server.bind_addresses;
        for family in FAMILIES {
            if !config.family.contains(family.any()) || !support.has_family(family) {
                continue;
            }
            let configured = match family {
                IpFamily::V4 => bind.ipv4.map(IpAddr::V4),
                IpFamily::V6 => bind.ipv6.map(IpAddr::V6),
            };
            let address = SocketAddr::new(configured.unwrap_or(family.any()), config.nts.port);
            let device = config.server.bind_device.as_deref();
            let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
            match support.listen_tcp(address, device, backlog) {
                Ok(opened) => {
                    if let Some(text) = opened.reuse_text("TCP", address) {
                        output.write(Severity::Debug, &text);
                    }
                    self.listeners.push((opened.socket, None));
                }
                Err(error) => {
                    if let Some(text) = error.reusable_range(family) {
                        return Err(text);
                    }
                    let text = format!("Could not open NTS-KE socket on {address}");
                    output.write(Severity::Error, &text);
                }
            }
        }
        Ok(())
    }

    /// The keys for cookies in force.
    pub fn keys(&self) -> &Arc<ServerKeys> {
        self.ring.keys()
    }

    // Keys for cookies.

    fn load_keys_at_start(&mut self, output: &mut Output, at: MonotonicTime) {
        if self.key_file.is_none() {
            output.write(Severity::Warning, log::NO_DUMP_DIRECTORY);
        } else if !self.load_keys(output, at) {
            self.keep_damaged_file();
            self.save_keys(output, at);
        }
    }

    /// Whether the file's keys are in force now.
    fn load_keys(&mut self, output: &mut Output, at: MonotonicTime) -> bool {
        let Some(text) = self
            .key_file
            .as_ref()
            .and_then(|path| std::fs::read_to_string(path).ok())
        else {
            return false;
        };
        match self.ring.load(&text, running(at)) {
            Ok(()) => {
                output.write(Severity::Info, log::LOADED_SERVER_KEYS);
                true
            }
            Err(error) => {
                output.write(Severity::Error, log::COULD_NOT_LOAD_SERVER_KEYS);
                if let Some(path) = &self.key_file {
                    let text = format!("{}: {error}", path.display());
                    output.write(Severity::Warning, &text);
                }
                false
            }
        }
    }

    /// A file that cannot be used may still be of use to somebody who repairs it.
    fn keep_damaged_file(&self) {
        if let Some(path) = self.key_file.as_ref().filter(|_| self.ring.saves()) {
            let mut kept = path.as_os_str().to_owned();
            kept.push(".damaged");
            // Mostly there is no file at all.
            let _ = std::fs::rename(path, kept);
        }
    }

    /// Saves the keys, unless somebody else manages them (`ntsrotate 0`).
    pub fn save_keys(&mut self, output: &mut Output, at: MonotonicTime) {
        let Some(path) = self.key_file.as_ref().filter(|_| self.ring.saves()) else {
            return;
        };
        let text = self.ring.to_text(running(at));
        let mut warn = |text: &str| output.write(Severity::Warning, text);
        if let Err(reason) = files::replace(path, text.as_bytes(), SECRET_MODE, &mut warn) {
            output.write(Severity::Error, &reason);
            output.write(Severity::Error, log::COULD_NOT_SAVE_SERVER_KEYS);
        }
    }

    /// The command `rekey`: keys that somebody else manages and certificates are read again.
    pub fn reload(&mut self, output: &mut Output, at: MonotonicTime, wall: WallTime) {
        if self.ring.reloads_on_rekey() {
            self.load_keys(output, at);
        }
        say(output, self.certificates.load(wall));
    }

    // The loop.

    /// When [`KeServer::serve`] is to be called at the latest.
    pub fn next_timeout(&self) -> MonotonicTime {
        let rotation = self.ring.next_rotation();
        let rotation = rotation.map(|at| MonotonicTime::from_ns(at.as_ns()));
        let sessions = match &self.runner {
            Runner::MainLoop { sessions, .. } => sessions.next_timeout(),
            Runner::Threads(_) => None,
        };
        let others = rotation.into_iter().chain(sessions);
        others
            .chain(self.paused_until)
            .fold(self.certificates.next_check(), MonotonicTime::min)
    }

    /// Adds sockets to what is waited for.
    pub fn register(&mut self, set: &mut PollSet) {
        let paused = self.paused_until.is_some();
        for (listener, slot) in &mut self.listeners {
            *slot = (!paused).then(|| set.add(listener.as_fd(), Interest::READ));
        }
        if let Runner::MainLoop { sessions, .. } = &mut self.runner {
            sessions.register(set);
        }
    }

    /// Does what is due after a wait. `allow` decides about each new connection. Says whether
    /// there are other keys now.
    pub fn serve(
        &mut self,
        set: &PollSet,
        output: &mut Output,
        at: MonotonicTime,
        wall: WallTime,
        allow: Allow<'_>,
    ) -> bool {
        self.paused_until = self.paused_until.filter(|until| *until > at);
        if let Runner::MainLoop { sessions, .. } = &mut self.runner {
            sessions.serve(set, at);
        }
        let mut ready = [false; FAMILIES.len()];
        for (ready, (_, slot)) in ready.iter_mut().zip(&mut self.listeners) {
            *ready = slot.take().is_some_and(|slot| set.readiness(slot).any());
        }
        let asked = ready.contains(&true);
        say(output, self.certificates.check(at, wall, asked));
        for (index, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            self.accept(index, output, at, allow);
        }
        let rotated = self.ring.rotate_if_due(running(at), &mut self.random);
        if rotated {
            if output.wants_debug()
                && let Some(next) = self.ring.keys().oldest_to_next().last()
            {
                let aead = next.algorithm().number();
                let text = format!("Generated key {:08X} ({aead})", next.id());
                output.write(Severity::Debug, &text);
            }
            self.save_keys(output, at);
        }
        rotated
    }

    fn accept(&mut self, index: usize, output: &mut Output, at: MonotonicTime, allow: Allow<'_>) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some((listener, _)) = self.listeners.get(index) else {
                return;
            };
            match listener.accept() {
                // A connection that is not taken over is closed.
                Ok((stream, client)) => {
                    let taken = allow(client.ip())
                        .map_err(|refusal| refusal.to_string())
                        .and_then(|()| {
                            let taken = self.take_over(stream, output, at);
                            taken.map_err(str::to_owned)
                        });
                    if let Err(reason) = taken
                        && output.wants_debug()
                    {
                        let text = format!("Rejected connection from {client} ({reason})");
                        output.write(Severity::Debug, &text);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.paused_until = Some(at.plus(PAUSE_S));
                    return;
                }
            }
        }
    }

    /// Gives a connection to whoever serves it.
    ///
    /// # Errors
    ///
    /// Why it is closed.
    fn take_over(
        &mut self,
        stream: TcpStream,
        output: &mut Output,
        at: MonotonicTime,
    ) -> Result<(), &'static str> {
        const FULL: &str = "too many connections";
        let credentials = self.certificates.in_service().ok_or("no certificate")?;
        // Without the first nothing works, without the second it is slow.
        stream.set_nonblocking(true).map_err(|_| "not usable")?;
        let _ = stream.set_nodelay(true);
        let accepted = Accepted {
            stream,
            credentials: Arc::clone(credentials),
            keys: Arc::clone(self.ring.keys()),
        };
        match &mut self.runner {
            Runner::Threads(helpers) => {
                let mut say = |text: &str| output.write(Severity::Error, text);
                helpers.take(accepted, &mut say).then_some(()).ok_or(FULL)
            }
            Runner::MainLoop {
                sessions,
                max_connections,
            } if sessions.len() < *max_connections => {
                sessions.add(accepted, at);
                Ok(())
            }
            Runner::MainLoop { .. } => Err(FULL),
        }
    }
}
