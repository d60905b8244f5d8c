//! The engine's part in serving: who is allowed, which sockets are needed, and the snapshot
//! that requests are answered from. Answering itself is [`crate::server`]'s.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use chrony_conf::access::AccessRule;
use chrony_conf::config::Config;
use discipline::time::MonotonicTime;

use ntp_wire::LeapIndicator;

use super::Engine;
use crate::action::Action;
use crate::event::Now;
use crate::names::Family;
use crate::random::RandomSource;
use crate::server::access::{BadSubnet, Protected, change_message};
use crate::server::client_log::{ClientLog, Limits, LogReader};
use crate::server::snapshot::{ServedMonotonic, ServedReference, ServerSnapshot, TimeModel};
use crate::server::timestamps::ClockAdjustments;
use crate::server::{AccessTable, Published, Reader, ServerShared};

/// What is served is published at least this often while requests can arrive, seconds: the
/// local reference's time is renewed every 64 s.
const PUBLISH_INTERVAL_S: f64 = 16.0;
/// The same where other threads answer: a local reference that becomes active by the mere
/// passing of time is seen after this at the latest.
const PUBLISH_INTERVAL_OF_THREADS_S: f64 = 1.0;

/// The state of serving.
#[derive(Debug)]
pub(super) struct Serving {
    access: Arc<AccessTable>,
    published: Published<ServerSnapshot>,
    pub(super) shared: Arc<ServerShared>,
    pub(super) adjustments: ClockAdjustments,
    broadcast_families: [bool; 2],
    needed: [bool; 2],
    /// Something that is served changed.
    pub(super) stale: bool,
    next_publication: Option<MonotonicTime>,
    /// Other threads answer, who cannot publish what is due themselves.
    publishes_by_timer: bool,
    last_published: Option<PublishedState>,
}

/// What of the reference changes with time alone: leap status, stratum, reference ID and
/// reference time.
type PublishedState = (LeapIndicator, u8, u32, ntp_wire::NtpTimestamp);

impl Serving {
    pub(super) fn new(config: &Config, precision_s: f64, random: &mut dyn RandomSource) -> Self {
        let server = &config.server;
        let limits = Limits::new(
            &server.rate_limit,
            &config.nts.rate_limit,
            &config.command.rate_limit,
        );
        let log = (!server.no_client_log)
            .then(|| ClientLog::new(server.client_log_limit_bytes, limits, random));
        let broadcasts_to = |family| {
            server
                .broadcasts
                .iter()
                .any(|broadcast| Family::of(&broadcast.address) == family)
        };
        Self {
            access: Arc::default(),
            published: Published::new(ServerSnapshot {
                signing: server.signd_directory.is_some(),
                ptp_domain: (server.ptp_port > 0).then_some(server.ptp_domain),
                ..ServerSnapshot::new(precision_s)
            }),
            shared: Arc::new(ServerShared::new(log)),
            adjustments: ClockAdjustments::default(),
            broadcast_families: [Family::V4, Family::V6].map(broadcasts_to),
            needed: [false; 2],
            stale: true,
            next_publication: None,
            publishes_by_timer: server.threads != 1,
            last_published: None,
        }
    }

    /// The main thread's access to the records of clients.
    pub(super) fn client_log_reader(&self) -> Option<LogReader> {
        self.shared.client_log().map(ClientLog::reader)
    }
}

impl Engine {
    /// Applies an `allow` or `deny` rule. A command says so, the configuration only for
    /// debugging.
    ///
    /// # Errors
    ///
    /// When the prefix is longer than an address.
    pub fn change_access(&mut self, rule: &AccessRule, by_command: bool) -> Result<(), BadSubnet> {
        Arc::make_mut(&mut self.serving.access).apply(rule)?;
        let text = change_message(rule, Protected::Ntp);
        if by_command {
            self.journal.info(text);
        } else {
            self.journal.debug(|| text);
        }
        self.update_server_sockets();
        self.serving.stale = true;
        Ok(())
    }

    /// Whether an address may ask for the time.
    pub fn is_allowed(&self, address: IpAddr) -> bool {
        self.serving.access.is_allowed(address)
    }

    /// What the answering threads share.
    pub fn server_shared(&self) -> &Arc<ServerShared> {
        &self.serving.shared
    }

    /// A reader of what is served, for one thread.
    pub fn server_snapshots(&self) -> Reader<ServerSnapshot> {
        self.serving.published.reader()
    }

    /// When something has to be published although no request came to this thread: at once
    /// after a change, so that other threads know of a step, a leap second or a `deny`.
    pub(super) fn next_publication(&self) -> Option<MonotonicTime> {
        let serving = &self.serving;
        if !serving.publishes_by_timer || !self.server_open {
            None
        } else if serving.stale {
            Some(MonotonicTime::ZERO)
        } else {
            serving.next_publication
        }
    }

    /// Asks for the server sockets to be opened or closed when their users came or went.
    pub(super) fn update_server_sockets(&mut self) {
        let has_peer = |family| {
            self.registry.iter().any(|source| {
                source.is_peer()
                    && source
                        .address()
                        .is_some_and(|address| Family::of(&address) == family)
            })
        };
        let families = [Family::V4, Family::V6];
        let needed = families.map(|family| {
            self.serving.access.allows_any(family)
                || self.serving.broadcast_families[family as usize]
                || has_peer(family)
        });
        if needed != self.serving.needed {
            self.serving.needed = needed;
            let [ipv4, ipv6] = needed;
            self.actions.push_back(Action::ServerSockets { ipv4, ipv6 });
        }
    }

    /// The owner opened the server sockets that the configured access rules ask for, or could
    /// not, before the engine was made: that is not to be done once more.
    pub fn server_sockets_tried(&mut self) {
        self.actions
            .retain(|action| !matches!(action, Action::ServerSockets { .. }));
    }

    /// A leap second begins: other threads are to know before the clock is stepped, as until the
    /// next publication they would answer with the new time and the old leap status.
    pub(super) fn publish_leap_second(&mut self) {
        let mut snapshot = self.serving.published.reader().get().clone();
        snapshot.reference.leap = LeapIndicator::Unsynchronised;
        self.serving.published.publish(snapshot);
        self.serving.stale = true;
    }

    /// Publishes what is served, if it changed or was published long ago. The owner calls it
    /// before requests are answered.
    pub fn publish(&mut self, now: Now) {
        if !self.server_open {
            self.serving.next_publication = None;
            return;
        }
        let due = self
            .serving
            .next_publication
            .is_none_or(|at| at <= now.monotonic);
        let own = self.steering.own_reference(now);
        // The local reference comes, goes and is renewed without an event.
        let state = (own.leap, own.stratum, own.reference_id, own.reference_time);
        if !self.serving.stale && !due && self.serving.last_published == Some(state) {
            return;
        }
        self.serving.stale = false;
        self.serving.last_published = Some(state);
        let interval_s = if self.serving.publishes_by_timer {
            PUBLISH_INTERVAL_OF_THREADS_S
        } else {
            PUBLISH_INTERVAL_S
        };
        self.serving.next_publication = Some(now.monotonic.plus(interval_s));
        let (at, _) = self.steering.cook(now.raw);
        let correction_s = self.steering.clock().correction(now.raw);
        let scale = self.steering.monotonic_scale();
        let mut sources: Vec<SocketAddr> = self
            .registry
            .iter()
            .filter_map(|source| source.remote())
            .collect();
        sources.sort_unstable();
        let previous = self.serving.published.reader().get().clone();
        self.serving.published.publish(ServerSnapshot {
            time: TimeModel {
                base: now.raw,
                correction_s,
                slope: self.steering.clock().correction(now.raw.plus(1.0)) - correction_s,
            },
            reference: ServedReference {
                leap: own.leap,
                stratum: own.stratum,
                reference_id: own.reference_id,
                reference_time: own.reference_time,
                root_delay_s: own.root_delay_s,
                root_dispersion_s: own.root_dispersion_s,
                root_dispersion_rate: self.steering.root_dispersion_rate(now),
                at,
            },
            monotonic: ServedMonotonic {
                epoch: scale.epoch,
                correction_s: scale.correction_s,
            },
            adjustments: self.serving.adjustments,
            smoothing: self.served_smoothing(now),
            access: Arc::clone(&self.serving.access),
            keys: Arc::clone(&self.keys),
            nts: self.nts.server_keys.clone(),
            sources: sources.into(),
            cards: self.card_times().into(),
            ..previous
        });
    }
}
