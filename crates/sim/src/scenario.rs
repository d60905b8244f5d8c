//! Ready-made worlds: a client with a configuration, and servers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use chrony_conf::files::{FileFacts, Reader};
use chrony_conf::options::Options;
use chrony_conf::sources::AddressFamily;
use discipline::journal::{Entry, Journal, LogFile};
use discipline::reference::Mode;
use discipline::samples::EstimatorKind;
use engine::engine::{Engine, Setup};
use engine::event::Now;
use engine::random::SeededRandom;
use engine::registry::Origin;
use engine::steering::ClockSetup;
use ntp_wire::KeyRing;

use crate::clock::{Oscillator, SimClock, TrueTime};
use crate::driver::{SharedClock, SimDriver};
use crate::link::Link;
use crate::server::{Announcement, SimServer};
use crate::world::{NodeId, World};

/// Precision of simulated clocks, seconds.
pub const PRECISION_S: f64 = 1e-7;

/// When the scenarios begin: 2026-01-01 00:00:00 UTC.
pub const START: TrueTime = TrueTime(1_767_225_600 * 1_000_000_000);

/// Reads nothing: simulated configurations name no files.
struct NoFiles;

impl Reader for NoFiles {
    fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn facts(&self, _: &Path) -> std::io::Result<FileFacts> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn resolve(&self, _: &str, _: AddressFamily) -> Option<IpAddr> {
        None
    }
}

/// The configuration of these directives.
///
/// # Errors
///
/// The first error's text.
pub fn configuration(directives: &[&str]) -> Result<chrony_conf::Config, String> {
    let options = Options {
        directives: directives.iter().map(Into::into).collect(),
        ..Options::default()
    };
    let loaded = chrony_conf::load(&options, &NoFiles);
    loaded.into_result().map_err(|errors| {
        errors
            .first()
            .map(|error| error.text.clone())
            .unwrap_or_default()
    })
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
    })
}

/// Adds a client, connected to all machines that exist so far by `link`, and starts it.
///
/// # Errors
///
/// When the configuration is wrong.
pub fn add_client(
    world: &mut World,
    number: u8,
    setup: &ClientSetup<'_>,
    link: &Link,
) -> Result<NodeId, String> {
    let config = configuration(setup.directives)?;
    let clock = SharedClock::new(SimClock::new(world.now(), setup.oscillator, setup.seed));
    let now = {
        let clock = clock.lock();
        Now {
            raw: clock.raw(),
            monotonic: clock.monotonic(),
        }
    };
    let mut journal = Journal::new();
    for file in setup.logs {
        journal.enable(*file, true);
    }
    let engine_setup = Setup {
        clock: ClockSetup {
            driver: Box::new(SimDriver::new(clock.clone())),
            precision_s: PRECISION_S,
            window_start_s: 0,
            drift: None,
            leap: None,
            random: Box::new(SeededRandom::new(setup.seed ^ 0x5eed_0001)),
        },
        random: Box::new(SeededRandom::new(setup.seed ^ 0x5eed_0002)),
        mode: setup.mode,
        keys: Arc::new(KeyRing::default()),
        estimator: setup.estimator,
    };
    let engine = Engine::new(&config, engine_setup, journal, now)?;
    let others = world.len();
    let id = world.add_client(client_address(number), clock, engine);
    for other in 0..others {
        world.connect(id, other, link.clone());
    }
    world.command(id, |engine, now| {
        for line in &config.sources {
            // A source that cannot be added shows in the scenario's result.
            let _ = engine.add_source(now, line, Origin::Configuration);
        }
        engine.all_sources_added(now);
    });
    Ok(id)
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
