//! The engine: all parts of the daemon's brain, wired.
//!
//! Events in: the `handle_…` methods, each with the time. Actions out:
//! [`Engine::poll_action`], drained after every event, and the [`Journal`] behind
//! [`Engine::journal`]. Timers: [`Engine::poll_timeout`].
//!
//! Rooms: [`packets`](self) (packets of the sources and what follows from them),
//! `resolving` (names), `membership` (sources come and go), `selection` (from samples to
//! the clock), `refclocks` (what devices say), `commands` (the control protocol), `one_shot`
//! (`-q`, `-Q`, `initstepslew`).

mod broadcasting;
mod cards;
mod commands;
mod devices;
mod dumps;
mod membership;
mod nts_sessions;
mod one_shot;
mod packets;
mod refclocks;
mod resolving;
mod selection;
mod serving;
mod source_directories;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use chrony_conf::config::Config;
use discipline::journal::Journal;
use discipline::samples::{EstimatorKind, Selector};
use discipline::time::MonotonicTime;
use ntp_wire::KeyRing;

pub use cards::CardSettings;
pub use commands::{CommandPeer, PendingSave};
pub use devices::rtc_coefficients;
pub use discipline::reference::Mode;
pub use nts_sessions::Refusal;

use crate::action::Action;
use crate::association::{LocalState, TransmissionSchedule};
use crate::event::{Now, Socket};
use crate::ids::SourceId;
use crate::names::{Family, NameQueue};
use crate::random::RandomSource;
use crate::refclock::Refclock;
use crate::registry::{Origin, Registry};
use crate::settings::{SourceDefaults, selection_settings};
use crate::steering::{ClockSetup, Steering};
use broadcasting::Broadcast;
use cards::Card;
use commands::Commands;
use devices::Devices;
use nts_sessions::NtsState;
use serving::Serving;
use source_directories::ListedSource;

/// Whether a packet is to be given to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It is (or may be) a request of an unknown client, or the timestamp of a response.
    Yes,
    /// It has been dealt with.
    No,
}

impl Served {
    fn if_listening(socket: Socket) -> Self {
        match socket {
            Socket::Server | Socket::Ptp => Self::Yes,
            Socket::Shared | Socket::Client(_) => Self::No,
        }
    }
}

/// Facts about the machine and the start that the configuration does not hold.
pub struct Setup {
    /// The clock to be steered, and what is known about it.
    pub clock: ClockSetup,
    /// Random bits.
    pub random: Box<dyn RandomSource>,
    /// Whether to keep the clock right or to measure it once.
    pub mode: Mode,
    /// The symmetric keys.
    pub keys: Arc<KeyRing>,
    /// Which estimator steers the clock.
    pub estimator: EstimatorKind,
}

#[derive(Debug)]
struct EngineSettings {
    source_defaults: SourceDefaults,
    family: Option<Family>,
    refresh_s: f64,
    ptp_domain: u8,
    shared_client_socket: bool,
    /// `acquisitionport` equals `port`: requests leave from the server socket.
    client_uses_server_socket: bool,
    log_raw_measurements: bool,
    late_timestamp_timeout_s: f64,
    max_clock_error: f64,
}

/// The daemon's brain. See the module's documentation.
pub struct Engine {
    settings: EngineSettings,
    registry: Registry,
    /// Created before all sources of the registry.
    refclocks: Vec<Refclock>,
    names: NameQueue,
    selector: Selector,
    schedule: TransmissionSchedule,
    steering: Steering,
    keys: Arc<KeyRing>,
    random: Box<dyn RandomSource>,
    journal: Journal,
    actions: VecDeque<Action>,
    /// In the order in which the source directories list them.
    directory_sources: Vec<ListedSource>,
    /// The sources of the configuration are there.
    sources_added: bool,
    sources_started: bool,
    /// Sources are being removed because the daemon exits: the clock is left alone.
    leaving: bool,
    server_open: bool,
    serving: Serving,
    commands: Commands,
    broadcasts: Vec<Broadcast>,
    cards: Vec<Card>,
    devices: Devices,
    nts: NtsState,
    /// When normal operation begins after `initstepslew`.
    normal_mode_at: Option<MonotonicTime>,
    /// The servers of `initstepslew` correct the clock; nobody else is asked yet.
    initial_correction: bool,
}

impl Engine {
    /// An engine that knows no source yet. `journal` has the measurement logs enabled that
    /// are wanted.
    ///
    /// # Errors
    ///
    /// The text of a fatal message, when the clock cannot be steered.
    pub fn new(
        config: &Config,
        setup: Setup,
        mut journal: Journal,
        now: Now,
    ) -> Result<Self, String> {
        let precision_s = setup.clock.precision_s;
        let messages = setup.mode == Mode::Normal;
        let mut random = setup.random;
        let serving = Serving::new(config, precision_s, random.as_mut());
        let steering = Steering::new(config, setup.clock, setup.mode, now, &mut journal)?;
        let clients = serving.client_log_reader();
        let commands = Commands::new(config, clients, steering.clock().cooked(now.raw));
        let mut engine = Self {
            settings: EngineSettings {
                source_defaults: SourceDefaults::new(config, precision_s, setup.estimator),
                family: crate::settings::family(config.family),
                refresh_s: f64::from(config.client.refresh_s),
                ptp_domain: config.server.ptp_domain,
                shared_client_socket: config.client.acquisition_port.is_some(),
                client_uses_server_socket: config.server.port > 0
                    && config.client.acquisition_port == Some(config.server.port),
                log_raw_measurements: config.logging.files.raw_measurements,
                late_timestamp_timeout_s: if config.process.hwtimestamp.is_empty() {
                    0.0
                } else {
                    config.process.hwtimestamp_timeout_s
                },
                max_clock_error: config.clock.max_clock_error_ppm * 1e-6,
            },
            registry: Registry::default(),
            refclocks: Vec::new(),
            names: NameQueue::default(),
            selector: Selector::new(selection_settings(config, messages)),
            schedule: TransmissionSchedule::new(),
            steering,
            keys: setup.keys,
            random,
            journal,
            actions: VecDeque::new(),
            directory_sources: Vec::new(),
            sources_added: false,
            sources_started: false,
            leaving: false,
            server_open: false,
            serving,
            commands,
            broadcasts: Broadcast::all(config),
            cards: Vec::new(),
            devices: Devices::default(),
            nts: NtsState::new(config),
            normal_mode_at: None,
            initial_correction: matches!(setup.mode, Mode::InitStepSlew { .. }),
        };
        engine.propagate(now);
        Ok(engine)
    }

    /// The next thing to do, if any.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Messages and lines of logs, to be drained.
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// The sources.
    pub fn sources(&self) -> &Registry {
        &self.registry
    }

    /// The clock and what is known about it.
    pub fn steering(&self) -> &Steering {
        &self.steering
    }

    /// The selection.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// When [`Engine::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<MonotonicTime> {
        let associations = self
            .registry
            .iter()
            .filter_map(|source| source.association.next_timeout());
        associations
            .chain(self.names.next_timeout())
            .chain(self.steering.next_timeout())
            .chain(self.normal_mode_at)
            .chain(self.next_publication())
            .chain(self.next_broadcast())
            .chain(self.devices.next_timeout())
            .chain(self.next_card_timeout())
            .chain(self.next_refclock_timeout())
            .min()
    }

    /// Does one thing that is due. The caller reads the time anew before each call and
    /// calls as long as [`Engine::poll_timeout`] is not later than now, so that a packet
    /// is stamped with the time it leaves at and not with that of the wake-up.
    pub fn handle_timeout(&mut self, now: Now) {
        if self
            .steering
            .next_timeout()
            .is_some_and(|at| at <= now.monotonic)
        {
            if self.steering.leap_second_begins(now) {
                self.publish_leap_second();
            }
            self.steering.handle_timeout(now, &mut self.journal);
            self.propagate(now);
            return;
        }
        let due = self
            .registry
            .iter()
            .filter_map(|source| Some((source.association.next_timeout()?, source.id)))
            .filter(|(at, _)| *at <= now.monotonic)
            .min();
        if let Some((_, id)) = due {
            self.with_association(id, now, |association, cx| association.handle_timeout(cx));
            return;
        }
        if self.drive_devices(now)
            || self.drive_refclocks(now)
            || self.drive_cards(now)
            || self.broadcast_if_due(now)
        {
            return;
        }
        if self.normal_mode_at.is_some_and(|at| at <= now.monotonic) {
            self.normal_mode_at = None;
            self.start_normal_mode();
            return;
        }
        self.publish(now);
        self.drive_names(now);
    }

    /// Called after every wait: notices when somebody else changed the clock.
    pub fn handle_wakeup(&mut self, now: Now) {
        if self.steering.check_for_steps(now, &mut self.journal) {
            self.propagate(now);
        }
    }

    /// The server (or PTP) sockets are open or not: decides whether the loop test is made.
    pub fn set_server_open(&mut self, open: bool) {
        self.server_open = open;
        self.serving.stale = true;
    }

    /// All sources of the configuration were added: names are resolved, then polling
    /// begins.
    pub fn all_sources_added(&mut self, now: Now) {
        self.sources_added = true;
        self.refresh_options();
        self.update_server_sockets();
        if self.mode() == Mode::Normal {
            self.start_broadcasts(now);
        }
        self.names.want_round();
        self.drive_names(now);
    }

    /// Whether the own stratum is better than that of an unsynchronised server.
    pub fn is_synchronised(&mut self, now: Now) -> bool {
        self.steering.own_reference(now).stratum < ntp_wire::STRATUM_UNSYNCHRONISED
    }

    /// The daemon is about to exit: the remaining correction is forgotten, so that what is
    /// saved of the sources is true of the clock as it is left. Call it before
    /// [`Engine::dump_sources`] and [`Engine::finish`].
    pub fn give_up_correction(&mut self, now: Now) {
        self.steering.act(now, &mut self.journal, |_, act| {
            act.clock.finish(act.now, act.journal);
        });
        self.propagate(now);
    }

    /// The daemon exits: sources go without touching the clock, which is left alone with
    /// its base frequency; the drift file is written.
    pub fn finish(&mut self, now: Now) {
        self.leaving = true;
        let ids: Vec<SourceId> = self.registry.iter().map(|source| source.id).collect();
        // From the end, so that nothing has to move up.
        for id in ids.into_iter().rev() {
            self.remove_source(now, id, Origin::Configuration);
        }
        self.steering.finish(now, &mut self.journal);
        self.write_rtc();
        self.propagate(now);
    }

    fn local_state(&mut self, now: Now) -> LocalState {
        LocalState {
            precision_s: self.settings.source_defaults.precision_s,
            precision_log2: self.steering.precision_log2(),
            max_clock_error: self.settings.max_clock_error,
            window_start_s: self.steering.window_start_s(),
            reference: self.steering.own_reference(now),
            monotonic: self.steering.monotonic_scale(),
            loop_test: self.server_open && self.mode() == Mode::Normal,
            late_timestamp_timeout_s: self.settings.late_timestamp_timeout_s,
            log_raw_measurements: self.settings.log_raw_measurements,
            leap_second_s: self.steering.leap_second_s(),
        }
    }
}
