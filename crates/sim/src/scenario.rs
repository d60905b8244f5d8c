//! Ready-made worlds: a client with a configuration, and servers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrony_conf::config::InitStepSlew;
use chrony_conf::diagnostics::Message;
use chrony_conf::files::{FileFacts, Reader};
use chrony_conf::options::Options;
use chrony_conf::sources::{AddressFamily, SourceKind, SourceSpec};
use chrony_conf::{Config, Severity};
use discipline::journal::{Entry, Journal, LogFile};
use discipline::reference::{Mode, NoClockControl};
use discipline::samples::EstimatorKind;
use engine::engine::{Engine, Setup};
use engine::event::Now;
use engine::random::SeededRandom;
use engine::registry::Origin;
use engine::steering::ClockSetup;
use ntp_wire::KeyRing;

use crate::client::Client;
use crate::clock::{Oscillator, SimClock, TrueTime};
use crate::driver::{SharedClock, SimDriver, SimKernel};
use crate::equipment::Chip;
use crate::link::Link;
use crate::refclock::{self, SimRefclock};
use crate::server::{Announcement, SimServer};
use crate::world::{NodeId, World};

/// Precision of simulated clocks, seconds.
pub const PRECISION_S: f64 = 1e-7;

/// When the scenarios begin: 2026-01-01 00:00:00 UTC.
pub const START: TrueTime = TrueTime(1_767_225_600 * 1_000_000_000);

/// The files of a simulated machine, by path.
#[derive(Clone, Debug, Default)]
struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let files = files.iter();
        Self(
            files
                .map(|(path, text)| (PathBuf::from(path), text.to_vec()))
                .collect(),
        )
    }
}

impl Reader for Files {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let found = self.0.get(path).cloned();
        found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &Path) -> std::io::Result<Vec<PathBuf>> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn facts(&self, _: &Path) -> std::io::Result<FileFacts> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn resolve(&self, _: &str, _: AddressFamily) -> Option<IpAddr> {
        None
    }
}

/// The configuration of these directives, and what was said about it.
fn load(directives: &[&str], files: &Files) -> Result<(Config, Vec<Message>), String> {
    // One directive more, because without any the configuration file is read.
    let all = directives.iter().copied().chain(["cmdport 0"]);
    let options = Options {
        directives: all.map(Into::into).collect(),
        ..Options::default()
    };
    let loaded = chrony_conf::load(&options, files);
    let messages = loaded.messages.clone();
    let config = loaded.into_result().map_err(|errors| {
        errors
            .first()
            .map(|error| error.text.clone())
            .unwrap_or_default()
    })?;
    Ok((config, messages))
}

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct ClientSetup<'a> {
    /// Its configuration.
    pub directives: &'a [&'a str],
    /// Its clock.
    pub oscillator: Oscillator,
    /// Seed of its clock and its engine.
    pub seed: u64,
    /// What the first update is for.
    pub mode: Mode,
    /// Which estimator steers the clock.
    pub estimator: EstimatorKind,
    /// Which log lines are kept.
    pub logs: &'a [LogFile],
    /// What its kernel can do.
    pub kernel: SimKernel,
    /// Files that the configuration may name: path and contents.
    pub files: &'a [(&'a str, &'a [u8])],
    /// Dumps of an earlier run that are loaded (`-r`): address and contents.
    pub dumps: BTreeMap<String, String>,
    /// What the sensor of `tempcomp` shows at first.
    pub temperature: Option<f64>,
    /// Its symmetric keys.
    pub keys: KeyRing,
    /// Its addresses; none: [`client_address`].
    pub addresses: &'a [IpAddr],
    /// Whether it may change its clock (not with `-x`).
    pub controls_clock: bool,
    /// Precision of its clock, seconds.
    pub precision_s: f64,
    /// Its real-time clock chip, which it tracks.
    pub chip: Option<Chip>,
    /// The devices of its reference clocks, in the order of the configuration.
    pub refclocks: &'a [SimRefclock],
}

impl Default for ClientSetup<'_> {
    fn default() -> Self {
        Self {
            directives: &["server 192.0.2.1 iburst"],
            oscillator: Oscillator {
                offset_s: 0.01,
                frequency: 1e-5,
                wander: 1e-9,
            },
            seed: 1,
            mode: Mode::Normal,
            estimator: EstimatorKind::Regression,
            logs: &[],
            kernel: SimKernel::default(),
            files: &[],
            dumps: BTreeMap::new(),
            temperature: None,
            keys: KeyRing::default(),
            addresses: &[],
            controls_clock: true,
            precision_s: PRECISION_S,
            chip: None,
            refclocks: &[],
        }
    }
}

/// The address of a scenario's server, counted from 1.
pub fn server_address(number: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)), 123)
}

/// The address of a scenario's client, counted from 1.
pub fn client_address(number: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, number)), 0)
}

/// Adds a server with a perfect clock, off by `offset_s`.
pub fn add_server(world: &mut World, number: u8, offset_s: f64) -> NodeId {
    let perfect = Oscillator {
        offset_s,
        frequency: 0.0,
        wander: 0.0,
    };
    world.add_server(SimServer {
        address: server_address(number),
        clock: SimClock::new(world.now(), perfect, 0),
        announcement: Announcement::PRIMARY,
        answers: true,
        leap: None,
    })
}

/// Adds a client, connected to all machines that exist so far by `link`, and starts it.
///
/// # Errors
///
/// When the configuration is wrong, or a fatal message of the start.
pub fn add_client(
    world: &mut World,
    number: u8,
    setup: &ClientSetup<'_>,
    link: &Link,
) -> Result<NodeId, String> {
    let client = make_client(world, number, setup)?;
    let others = world.len();
    let id = world.add_client(client.0);
    for other in 0..others {
        world.connect(id, other, link.clone());
    }
    world.command(id, |engine, now| {
        for (line, origin) in &client.1 {
            // A source that cannot be added shows in the scenario's result.
            let _ = engine.add_source(now, line, *origin);
        }
        engine.all_sources_added(now);
    });
    Ok(id)
}

/// A machine, and the sources it starts with.
fn make_client(
    world: &World,
    number: u8,
    setup: &ClientSetup<'_>,
) -> Result<(Client, Vec<(SourceSpec, Origin)>), String> {
    let files = Files::new(setup.files);
    let (config, mut messages) = load(setup.directives, &files)?;
    let clock = SharedClock::new(SimClock::new(world.now(), setup.oscillator, setup.seed));
    let now = {
        let clock = clock.lock();
        Now {
            raw: clock.raw(),
            monotonic: clock.monotonic(),
        }
    };
    let (leap, said) = chrony_conf::leap::choose(&config.clock, &files);
    messages.extend(said);
    let (drift, said) = match &config.clock.drift_file {
        Some(path) => chrony_conf::drift::load(path, &files),
        None => (None, None),
    };
    messages.extend(said);
    let mut journal = Journal::new();
    for file in setup.logs {
        journal.enable(*file, true);
    }
    for message in messages {
        match message.severity {
            Severity::Warning => journal.warning(message.text),
            Severity::Error => journal.error(message.text),
            _ => journal.info(message.text),
        }
    }
    let initial = config.init_step_slew.as_ref();
    let initial = initial.filter(|initial| !initial.addresses.is_empty());
    let mode = match initial {
        Some(initial) if setup.mode == Mode::Normal => Mode::InitStepSlew {
            threshold_s: initial.threshold_s,
        },
        _ => setup.mode,
    };
    let engine_setup = Setup {
        clock: ClockSetup {
            driver: if setup.controls_clock {
                Box::new(SimDriver::new(clock.clone(), setup.kernel))
            } else {
                Box::new(NoClockControl::default())
            },
            precision_s: setup.precision_s,
            window_start_s: 0,
            drift,
            leap: leap.map(|source| engine::leap::database(source, files.clone())),
            random: Box::new(SeededRandom::new(setup.seed ^ 0x5eed_0001)),
        },
        random: Box::new(SeededRandom::new(setup.seed ^ 0x5eed_0002)),
        mode,
        keys: Arc::new(setup.keys.clone()),
        estimator: setup.estimator,
    };
    let mut engine = Engine::new(&config, engine_setup, journal, now)?;
    let devices = setup.refclocks;
    let refclocks = refclock::attach(&config, devices, setup.seed, world.now(), &mut engine)?;
    for rule in &config.server.access {
        let changed = engine.change_access(rule, false);
        changed.map_err(|error| error.to_string())?;
    }
    for rule in &config.command.access {
        let changed = engine.configure_command_access(rule);
        changed.map_err(|error| error.to_string())?;
    }
    attach_sensor(&config, &files, &mut engine, now)?;
    let configured = config.sources.clone();
    let (first, later) = match initial {
        Some(initial) => (initial_sources(initial), configured),
        None => {
            let first = configured.into_iter();
            let first = first.map(|line| (line, Origin::Configuration));
            (first.collect(), Vec::new())
        }
    };
    if setup.chip.is_some() {
        engine.attach_rtc(config.rtc.autotrim_s);
    }
    let mut addresses = setup.addresses.iter().copied();
    let address = match addresses.next() {
        Some(address) => SocketAddr::new(address, 0),
        None => client_address(number),
    };
    let mut client = Client::new(address, clock, engine, later);
    client.more_addresses = addresses.collect();
    client.chip = setup.chip;
    client.refclocks = refclocks;
    client.dumps.clone_from(&setup.dumps);
    client.temperature = setup.temperature;
    Ok((client, first))
}

/// The sources of `initstepslew`.
fn initial_sources(initial: &InitStepSlew) -> Vec<(SourceSpec, Origin)> {
    let lines = initial.addresses.iter().filter_map(|address| {
        let line = format!("{address} iburst");
        chrony_conf::sources::parse_line(SourceKind::Server, &line).ok()
    });
    lines.map(|line| (line, Origin::InitStepSlew)).collect()
}

fn attach_sensor(
    config: &Config,
    files: &Files,
    engine: &mut Engine,
    now: Now,
) -> Result<(), String> {
    let Some(compensation) = &config.clock.temperature_compensation else {
        return Ok(());
    };
    let points = chrony_conf::start::load_temperature_points(config, files)
        .map_err(|message| message.text)?;
    let curve = engine::settings::temperature_curve(&compensation.curve, points);
    let name = compensation.sensor_file.display().to_string();
    engine.attach_temperature_sensor(curve, compensation.interval_s, name, now);
    Ok(())
}

/// The messages of a client, without log lines.
pub fn messages(world: &World, id: NodeId) -> Vec<String> {
    let journal = world
        .client(id)
        .map(|client| client.journal.as_slice())
        .unwrap_or_default();
    journal
        .iter()
        .filter_map(|(_, entry)| match entry {
            Entry::Message { text, .. } => Some(text.clone()),
            Entry::Line { .. } => None,
        })
        .collect()
}
