//! The event loop: waits in `poll`, hands what happened to the engine, does what it wants.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use chrony_conf::Config;
use discipline::journal::{Entry, Severity};
use discipline::reference::RtcCoefficients;
use discipline::time::MonotonicTime;
use engine::action::{Action, SavedFile};
use engine::engine::Engine;
use engine::event::{Datagram, Now, SendFailed, Socket};
use os_linux::clock::{monotonic_time, raw_time};
use os_linux::event::{Interest, PollSet, Readiness, Signals, Timeout};
use os_linux::socket::{ReceiveBatch, SocketSupport};

use crate::answering::packet_time;
use crate::command_sockets::{CommandSocket, CommandSockets};
use crate::configuration;
use crate::devices::Devices;
use crate::ke_client::KeyEstablishments;
use crate::ke_server::KeServer;
use crate::mail;
use crate::measurement_logs::MeasurementLogs;
use crate::notification::Supervisor;
use crate::ntp_sockets::{NtpSockets, OpenReport};
use crate::output::Output;
use crate::refclocks::Refclocks;
use crate::resolver::{Resolver, has_route};
use crate::serving::Serving;
use crate::signing::Signing;
use crate::state_files::StateFiles;

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A signal or a command.
    Asked,
    /// The engine is done, with this exit status.
    Done(u8),
    /// `-t` elapsed.
    Timeout,
    /// Something failed without which the daemon cannot go on; it has been said.
    Failed,
}

/// Place in the poll set of what signals and helper threads wake the loop with.
const WAKE_SLOT: usize = 0;

/// Timers that may fire in one turn before their pace is looked at, at least (ntp chapter,
/// section 19), …
const FIRED_MIN: usize = 20;

/// … and for each source, which has up to three timers.
const FIRED_PER_SOURCE: usize = 16;

/// The shortest mean time between them that is not a bug, seconds.
const FIRED_INTERVAL_MIN_S: f64 = 0.01;

/// Everything the running daemon owns.
pub struct Daemon {
    /// The brain.
    pub engine: Engine,
    /// Messages.
    pub output: Output,
    /// Files under `logdir`.
    pub logs: MeasurementLogs,
    /// NTP sockets.
    pub sockets: NtpSockets,
    /// Command sockets.
    pub commands: CommandSockets,
    /// What the system offers for sockets.
    pub support: SocketSupport,
    /// Drift file, dumps and the like.
    pub files: StateFiles,
    /// Who is to be told that the daemon is ready, and that it stops.
    pub supervisor: Supervisor,
    /// Whether the dumps of an earlier run are to be loaded (`-r`).
    pub reload_dumps: bool,
    /// Sensor, chip and cards.
    pub devices: Devices,
    /// Devices of reference clocks.
    pub refclocks: Refclocks,
    /// The chip is to be measured before anything else (`-s`), given what its file says.
    pub initial_rtc: Option<Option<RtcCoefficients>>,
    /// The NTS-KE server, if there are certificates for one.
    pub ke_server: Option<KeServer>,
    /// Key establishments of the sources.
    pub(crate) establishments: KeyEstablishments,
    /// Answering requests.
    pub(crate) serving: Serving,
    /// The MS-SNTP signing service, if there is one.
    pub(crate) signing: Option<Signing>,
    resolver: Resolver,
    pub(crate) poll: PollSet,
    /// Taken while its datagrams are dealt with.
    pub(crate) batch: Option<ReceiveBatch>,
    /// For what commands ask to be read again.
    config: Config,
    /// Slots of the sockets in the last wait; kept so that no turn of the loop allocates.
    slots: Vec<(usize, Socket, RawFd)>,
    command_slots: Vec<(usize, CommandSocket)>,
    chip_ready: bool,
    signing_ready: bool,
    /// `maxtxbuffers too small` has been said.
    pub(crate) said_few_buffers: bool,
    end: Option<End>,
    /// The configured sources are to be added now.
    normal_mode_due: bool,
}

/// Both clocks.
pub fn now() -> Now {
    Now {
        raw: raw_time(),
        monotonic: monotonic_time(),
    }
}

impl Daemon {
    /// Wires the parts.
    pub fn new(
        mut engine: Engine,
        mut output: Output,
        logs: MeasurementLogs,
        sockets: NtpSockets,
        support: SocketSupport,
        signals: &Signals,
        config: &Config,
    ) -> std::io::Result<Self> {
        // Some sockets are open from start to exit.
        engine.set_server_open(sockets.is_listening());
        if config.server.signd_directory.is_some() {
            output.write(Severity::Info, "MS-SNTP authentication enabled");
        }
        let waker = signals.waker();
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || waker.wake());
        let serving = Serving::new(&engine, &support, Arc::clone(&wake))?;
        Ok(Self {
            engine,
            output,
            logs,
            sockets,
            commands: CommandSockets::default(),
            support,
            files: StateFiles::new(config),
            supervisor: Supervisor::default(),
            reload_dumps: false,
            devices: Devices::default(),
            refclocks: Refclocks::default(),
            initial_rtc: None,
            ke_server: None,
            establishments: KeyEstablishments::new(config),
            chip_ready: false,
            said_few_buffers: false,
            serving,
            signing: config.server.signd_directory.as_deref().map(Signing::new),
            signing_ready: false,
            resolver: Resolver::new(wake),
            poll: PollSet::default(),
            batch: Some(ReceiveBatch::new()),
            config: config.clone(),
            slots: Vec::new(),
            command_slots: Vec::new(),
            end: None,
            normal_mode_due: false,
        })
    }

    /// Runs until something ends it. `deadline` is when `-t` elapses; `enter_normal_mode`
    /// adds the configured sources after `initstepslew`.
    ///
    /// # Errors
    ///
    /// The text of a fatal message.
    pub fn run(
        &mut self,
        signals: &Signals,
        deadline: Option<MonotonicTime>,
        enter_normal_mode: &mut dyn FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<End, String> {
        let mut ready: Vec<(Socket, RawFd, Readiness)> = Vec::new();
        loop {
            self.run_actions();
            let (at, due) = self.run_timers()?;
            if std::mem::take(&mut self.normal_mode_due) {
                enter_normal_mode(self)?;
                continue;
            }
            if let Some(end) = self.end {
                return Ok(end);
            }
            if deadline.is_some_and(|deadline| deadline <= at) {
                return Ok(End::Timeout);
            }
            let timer = due
                .into_iter()
                .chain(deadline)
                .chain(self.nts_timeout())
                .min();
            if timer.is_none()
                && self.sockets.iter().next().is_none()
                && !self.has_commands()
                && !self.resolver.is_busy()
                && !self.has_nts_work()
            {
                return Err("Nothing to do".to_owned());
            }
            let timeout = timer.map_or(Timeout::NEVER, |timer| Timeout::until_monotonic(timer, at));
            self.wait(signals, timeout, &mut ready)?;
            let awakened = self.poll.readiness(WAKE_SLOT).any();
            if awakened && signals.take().is_some() {
                return Ok(End::Asked);
            }
            let woken = now();
            self.engine.handle_wakeup(woken);
            if std::mem::take(&mut self.chip_ready) {
                self.serve_chip(woken);
            }
            if std::mem::take(&mut self.signing_ready) {
                self.serve_signing();
            }
            self.serve_refclocks(woken);
            // Helpers wake the loop after they have handed over what they have.
            if awakened {
                while let Some(answer) = self.resolver.poll_answer() {
                    self.engine
                        .handle_resolved(now(), answer.query, &answer.addresses);
                }
                self.take_forwarded();
            }
            self.serve_nts();
            self.run_actions();
            // Reading clocks is much of the work of a command, so the first one is served at the
            // time of waking unless something that may take long came before it.
            let idle = !awakened && ready.is_empty() && !self.has_nts_work();
            let mut fresh = idle.then_some(woken);
            for (socket, descriptor, readiness) in ready.drain(..) {
                self.serve_socket(socket, descriptor, readiness);
            }
            for index in 0..self.command_slots.len() {
                let ready = self.command_slots.get(index);
                if let Some((slot, socket)) = ready.copied()
                    && self.poll.readiness(slot).any()
                {
                    self.serve_commands(socket, fresh.take());
                }
            }
        }
    }

    fn wait(
        &mut self,
        signals: &Signals,
        timeout: Timeout,
        ready: &mut Vec<(Socket, RawFd, Readiness)>,
    ) -> Result<(), String> {
        self.poll.clear();
        self.poll.add(signals.as_fd(), Interest::READ);
        self.slots.clear();
        for (socket, descriptor) in self.sockets.iter() {
            let slot = self
                .poll
                .add(descriptor, Interest::READ | Interest::ERROR_QUEUE);
            self.slots.push((slot, socket, descriptor.as_raw_fd()));
        }
        self.command_slots.clear();
        for (socket, descriptor) in self.commands.iter() {
            let slot = self.poll.add(descriptor, Interest::READ);
            self.command_slots.push((slot, socket));
        }
        let signing = self
            .signing
            .as_ref()
            .and_then(Signing::interest)
            .map(|(descriptor, interest)| self.poll.add(descriptor, interest));
        let chip = self
            .devices
            .chip_descriptor()
            .map(|descriptor| self.poll.add(descriptor, Interest::READ));
        self.refclocks.register(&mut self.poll);
        self.register_nts();
        self.poll
            .wait(timeout)
            .map_err(|error| format!("select() failed : {}", os_linux::error_text(&error)))?;
        ready.extend(self.slots.iter().filter_map(|&(slot, socket, descriptor)| {
            let readiness = self.poll.readiness(slot);
            readiness.any().then_some((socket, descriptor, readiness))
        }));
        self.signing_ready = signing.is_some_and(|slot| self.poll.readiness(slot).any());
        self.chip_ready = chip.is_some_and(|slot| self.poll.readiness(slot).any());
        Ok(())
    }

    /// Ends the loop at its next turn.
    pub fn stop(&mut self) {
        self.end = Some(End::Asked);
    }

    /// Writes a state file and says what went wrong; whether it was written.
    pub(crate) fn save(&mut self, file: &SavedFile, contents: &str) -> bool {
        let output = &mut self.output;
        let mut warn = |text: &str| output.write(Severity::Warning, text);
        let saved = self.files.save(file, contents, &mut warn);
        if let Err(text) = &saved {
            self.output.write(Severity::Error, text);
        }
        saved.is_ok()
    }

    /// Says why the daemon cannot go on, and ends the loop at its next turn.
    pub(crate) fn fail(&mut self, text: &str) {
        self.output.write(Severity::Fatal, text);
        self.end = Some(End::Failed);
    }

    /// Whether the loop is to end at its next turn.
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether command sockets are open.
    fn has_commands(&self) -> bool {
        self.commands.iter().next().is_some()
    }

    /// Runs every timer that is due, each with the time read anew; the result is the time
    /// at the end and the next timer.
    ///
    /// # Errors
    ///
    /// When timers keep firing at a pace that no configuration asks for: a bug, which must not
    /// become a flood of requests.
    fn run_timers(&mut self) -> Result<(MonotonicTime, Option<MonotonicTime>), String> {
        let mut start = None;
        let mut fired = 0;
        loop {
            let at = monotonic_time();
            let start = *start.get_or_insert(at);
            let due = self.engine.poll_timeout();
            if due.is_none_or(|timer| timer > at) {
                return Ok((at, due));
            }
            self.engine.handle_timeout(now());
            self.run_actions();
            if self.end.is_some() {
                return Ok((at, due));
            }
            fired += 1;
            let sources = self.engine.sources().len() + self.engine.refclocks().len();
            let limit = FIRED_MIN.max(FIRED_PER_SOURCE * sources);
            let elapsed_s = monotonic_time().since(start);
            if fired > limit && elapsed_s < fired as f64 * FIRED_INTERVAL_MIN_S {
                return Err("Possible infinite loop in scheduling".to_owned());
            }
        }
    }

    fn serve_socket(&mut self, socket: Socket, descriptor: RawFd, readiness: Readiness) {
        // What was done for another socket may have closed this one.
        let Some(open) = self.sockets.find(socket, descriptor) else {
            return;
        };
        match socket {
            Socket::Server | Socket::Ptp => self.serve_listening(socket, descriptor, readiness),
            Socket::Client(_) | Socket::Shared => {
                // Transmit timestamps come before the responses to what was sent.
                if readiness.error_queue() {
                    if self
                        .batch
                        .as_mut()
                        .is_some_and(|batch| batch.receive_errors(open).is_ok())
                    {
                        self.handle_transmit_reports(socket);
                    }
                } else if readiness.readable()
                    && self
                        .batch
                        .as_mut()
                        .is_some_and(|batch| batch.receive(open).is_ok())
                {
                    self.handle_datagrams(socket);
                }
            }
        }
        self.run_actions();
    }

    fn handle_datagrams(&mut self, socket: Socket) {
        let at = now();
        let Some(batch) = self.batch.take() else {
            return;
        };
        for received in batch.iter().filter(|received| !received.truncated) {
            let Some(remote) = received.source else {
                continue;
            };
            let kernel = received.ancillary.kernel_time;
            if kernel.is_none() {
                self.support.keep_timestamping_on();
            }
            let datagram = Datagram {
                socket,
                remote,
                local: received.ancillary.local,
                interface: received.ancillary.interface,
                payload: received.data,
                received: packet_time(kernel, at.raw),
                hardware: self.hardware_stamp(&received.ancillary),
            };
            self.engine.handle_datagram(at, &datagram);
        }
        self.batch = Some(batch);
    }

    /// Does everything the engine wants done, and writes what it wants said.
    pub fn run_actions(&mut self) {
        loop {
            self.write_journal();
            let Some(action) = self.engine.poll_action() else {
                return;
            };
            self.run_action(action);
        }
    }

    fn run_action(&mut self, action: Action) {
        match action {
            Action::OpenClientSocket { source, remote } => {
                let opened = self.sockets.open_client(&mut self.support, source, remote);
                if let Err(text) = opened {
                    self.fail(&text);
                }
            }
            Action::CloseClientSocket { source } => self.sockets.close_client(source),
            Action::Send(outgoing) => {
                let before = raw_time();
                let sent = self.sockets.send(&self.support, &outgoing);
                if let Some(source) = outgoing.source {
                    let result = sent.map(|()| before).map_err(|_| SendFailed);
                    self.engine.handle_sent(now(), source, result);
                }
            }
            Action::ServerSockets { ipv4, ipv6 } => {
                let report = self.sockets.set_server(&mut self.support, [ipv4, ipv6]);
                self.say(report);
                self.restart_server_threads();
            }
            Action::Resolve {
                query,
                name,
                family,
            } => {
                if self.resolver.ask(query, name, family).is_err() {
                    self.fail("pthread_create() failed");
                }
            }
            Action::Save { file, contents } => {
                self.save(&file, &contents);
            }
            Action::Remove { file } => {
                if let Err(text) = self.files.remove(&file) {
                    self.output.write(Severity::Error, &text);
                }
            }
            Action::Exit { status } => self.end = Some(End::Done(status)),
            other => self.run_rare_action(other),
        }
    }

    fn run_rare_action(&mut self, action: Action) {
        match action {
            Action::CycleLogs => {
                self.logs.cycle();
                self.output.cycle();
            }
            Action::ReloadKeys => {
                let reader = configuration::reader();
                let keys = configuration::load_keys(&self.config, &mut self.output, &reader);
                self.engine.set_keys(Arc::new(keys));
                self.reload_nts_server();
            }
            Action::ReloadSources => {
                let reader = configuration::reader();
                let listed =
                    configuration::read_source_directories(&self.config, &mut self.output, &reader);
                self.engine.reload_sources(now(), &listed);
            }
            Action::NormalMode | Action::RtcApplied => self.normal_mode_due = true,
            Action::SourcesReady => self.restore_dumps(),
            Action::Mail { user, mail } => {
                if let Err(text) = mail::send(&user, &mail) {
                    self.output.write(Severity::Error, &text);
                }
            }
            Action::CheckRoutes { addresses } => {
                let routed = addresses
                    .into_iter()
                    .map(|(id, address)| (id, has_route(address)));
                self.engine
                    .handle_routes(now(), &routed.collect::<Vec<_>>());
            }
            other => {
                if let Err(other) = self.run_nts_action(other) {
                    self.run_device_action(&other);
                }
            }
        }
    }

    /// Loads the dumps of an earlier run if that is wanted, and removes them.
    fn restore_dumps(&mut self) {
        if self.reload_dumps {
            for (id, name) in self.engine.dump_names() {
                if let Some(text) = self.files.read(&SavedFile::Dump { name }) {
                    self.engine.restore_source(now(), id, &text);
                }
            }
            self.engine.dumps_restored(now());
        }
        self.files.remove_dumps();
    }

    /// Writes an opening's messages; a fatal one ends the loop.
    pub fn say(&mut self, report: OpenReport) {
        if let Err(text) = report.say(&mut self.output) {
            self.fail(&text);
        }
    }

    /// Writes what the engine wants said.
    pub fn write_journal(&mut self) {
        if self.engine.journal().is_empty() {
            return;
        }
        let entries: Vec<Entry> = self.engine.journal().drain().collect();
        for entry in entries {
            match entry {
                Entry::Message {
                    severity,
                    text,
                    stepped_s,
                } => {
                    let recorded = raw_time().minus(stepped_s);
                    self.output.write_at(recorded, severity, &text);
                    if severity == Severity::Fatal {
                        self.end = Some(End::Failed);
                    }
                }
                Entry::Line { file, text } => {
                    if let Err((message, is_error)) = self.logs.write(file, &text) {
                        let severity = if is_error {
                            Severity::Error
                        } else {
                            Severity::Warning
                        };
                        self.output.write(severity, &message);
                    }
                }
            }
        }
    }
}
