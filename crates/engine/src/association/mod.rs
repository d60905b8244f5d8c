//! One NTP source: a client or symmetric active association as a pure state machine.
//!
//! An [`Association`] is told what happened — a timer is due
//! ([`Association::handle_timeout`]), a packet was sent ([`Association::handle_sent`]),
//! one arrived ([`Association::handle_datagram`]), the kernel reports when one left
//! ([`Association::handle_transmit_timestamp`]), the clock changed
//! ([`Association::handle_adjustment`]) — and answers with an [`Outcome`]: what to send
//! and what the registry of sources and the selection must know. It reads no clock, opens
//! no socket and draws randomness only from the generator it is given, so the daemon, the
//! simulator and the fuzzer run the same code.
//!
//! The life of a measurement, room by room:
//!
//! 1. [`schedule`] decides when to send, apart from other sources; `transmit` builds the
//!    packet; [`authentication`] protects it.
//! 2. `response` takes the answer: `message` reads it, [`verdict`] tests it,
//!    `measurement` makes a sample of the four timestamps, `exchange` keeps what the next
//!    one needs (interleaved mode), [`poll`] adapts the interval.
//! 3. The sample goes, through the optional filter, into the source's
//!    [`discipline::samples::SourceStatistics`], and [`report`] describes it.
//!
//! Facts are in the ntp chapter, sections 7 to 15 and 18.

pub mod authentication;
pub mod config;
pub mod context;
mod control;
mod exchange;
mod filter;
mod measurement;
mod message;
pub mod mode;
pub mod poll;
pub mod report;
mod response;
pub mod schedule;
mod timestamp;
mod transmit;
pub mod verdict;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use discipline::samples::{ClockChange, QuantileEstimator, Reachability};
use discipline::time::MonotonicTime;

pub use authentication::{AuthenticationFailed, Authenticator, NoAuthentication, SymmetricKey};
pub use config::{AssociationConfig, AssociationMode, AuthenticationKind, Connectivity};
pub use context::{
    Arrival, Context, Disposition, LocalState, LocalTimestamp, MonotonicScale, Outcome,
    OwnReference, SocketKind, SourceStatus, Transmission,
};
pub use mode::{Burst, OperatingMode};
pub use report::{NtpDataReport, TrafficCounters};
pub use schedule::{TimerKey, TransmissionClass, TransmissionSchedule};
pub use verdict::TestResults;

use exchange::Exchange;
use filter::PollFilter;
use poll::PollAdaptation;
use response::WaitingResponse;

/// Delay of the first request after start or going online, seconds (ntp chapter, section
/// 1).
const FIRST_REQUEST_DELAY_S: f64 = 0.2;
/// Interval while an extra request for `presend` is pending, seconds (ntp chapter,
/// section 7).
const PRESEND_INTERVAL_S: f64 = 2.0;
/// Longest interval in a burst, seconds, and its share of the polling interval (ntp
/// chapter, section 7).
const BURST_INTERVAL: (f64, f64) = (2.0, 0.25);
/// Largest exponent when a poll or precision is converted to seconds (ntp chapter,
/// section 2).
const MAX_EXPONENT: i8 = 31;
/// Largest delay of a neighbour that may be polled more than once a second, seconds (ntp
/// chapter, section 1).
const NEIGHBOUR_DELAY_S: f64 = 0.01;
/// How much longer the interval of the more accurate peer is (ntp chapter, section 7).
const PEER_STRETCH: f64 = 1.1;
/// Share of the interval after which a peer of equal stratum counts as late (ntp chapter,
/// section 7).
const PEER_LATE_RATIO: f64 = 0.6;
/// 2^`exponent` seconds, the exponent limited to ±31 (ntp chapter, section 2).
pub fn poll_interval_s(exponent: i8) -> f64 {
    2f64.powi(i32::from(exponent.clamp(-MAX_EXPONENT, MAX_EXPONENT)))
}

/// An NTP source.
///
/// Events in: [`handle_timeout`](Self::handle_timeout), [`handle_sent`](Self::handle_sent),
/// [`handle_datagram`](Self::handle_datagram),
/// [`handle_transmit_timestamp`](Self::handle_transmit_timestamp),
/// [`handle_adjustment`](Self::handle_adjustment),
/// [`handle_unknown_step`](Self::handle_unknown_step). Commands: [`start`](Self::start),
/// [`set_online`](Self::set_online), [`set_offline`](Self::set_offline),
/// [`start_burst`](Self::start_burst), [`change_address`](Self::change_address) and the
/// setters. Everything else asks.
#[derive(Debug)]
pub struct Association {
    config: AssociationConfig,
    key: TimerKey,
    remote: SocketAddr,
    /// The remote IP address as messages and logs print it.
    name: String,
    mode: OperatingMode,
    started: bool,
    poll: PollAdaptation,
    reachability: Reachability,
    exchange: Exchange,
    presend_pending: u8,
    filter: Option<PollFilter>,
    quantile: Option<QuantileEstimator>,
    /// A good response was received from this address.
    confirmed: bool,
    client_socket_open: bool,
    waiting: Option<Box<WaitingResponse>>,
    last_transmission: Option<MonotonicTime>,
    transmit_at: Option<MonotonicTime>,
    close_socket_at: Option<MonotonicTime>,
    stop_waiting_at: Option<MonotonicTime>,
    data: NtpDataReport,
    counters: TrafficCounters,
}

impl Association {
    /// A new association with `remote`; nothing is sent before [`start`](Self::start).
    /// `key` identifies its timer in the [`TransmissionSchedule`]. `precision_s` is q.
    pub fn new(
        config: AssociationConfig,
        remote: SocketAddr,
        key: TimerKey,
        precision_s: f64,
    ) -> Self {
        let config = config.clamped();
        let quantile = (config.max_delay_quantile > 0.0)
            .then(|| QuantileEstimator::max_delay(config.max_delay_quantile, precision_s));
        Self {
            key,
            remote,
            name: remote.ip().to_string(),
            mode: OperatingMode::Offline,
            started: false,
            poll: PollAdaptation::new(config.min_poll, config.max_poll, config.poll_target),
            reachability: Reachability::default(),
            exchange: Exchange::default(),
            presend_pending: 0,
            filter: (config.filter_length > 0)
                .then(|| PollFilter::new(config.filter_length, precision_s)),
            quantile,
            confirmed: false,
            client_socket_open: false,
            waiting: None,
            last_transmission: None,
            transmit_at: None,
            close_socket_at: None,
            stop_waiting_at: None,
            data: NtpDataReport::default(),
            counters: TrafficCounters::default(),
            config,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        [self.transmit_at, self.close_socket_at, self.stop_waiting_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due: sends, closes the client socket, gives up waiting for a transmit
    /// timestamp.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        let now = cx.now.monotonic;
        let due = |timer: Option<MonotonicTime>| timer.is_some_and(|at| at <= now);
        if due(self.stop_waiting_at) {
            self.evaluate_waiting(cx, &mut outcome);
        }
        if due(self.close_socket_at) {
            self.close_client_socket(&mut outcome);
        }
        if due(self.transmit_at) {
            self.transmit(cx, &mut outcome);
        }
        outcome
    }

    /// The clock was adjusted or stepped by a known amount (discipline chapter, section
    /// 1.4). The statistics are the owner's to move.
    pub fn handle_adjustment(&mut self, change: &ClockChange) {
        self.exchange.shift(change);
        if let Some(waiting) = &mut self.waiting {
            waiting.shift(change);
        }
        if let Some(filter) = &mut self.filter {
            filter.shift(change);
        }
    }

    /// Everything measured is less certain by so many seconds (discipline chapter, section
    /// 1.4). The statistics are the owner's to widen.
    pub fn handle_dispersion(&mut self, dispersion_s: f64) {
        if let Some(filter) = &mut self.filter {
            filter.add_dispersion(dispersion_s);
        }
    }

    /// The clock was stepped by an unknown amount: everything measured is void (discipline
    /// chapter, section 1.4), and reachability is counted anew. A poll that becomes shorter
    /// counts from now on, so that the first sample comes soon.
    pub fn handle_unknown_step(&mut self, cx: &mut Context<'_>) -> Outcome {
        let former = self.poll.poll();
        self.reset();
        self.reachability.reset();
        self.poll.reset();
        let regular = self.transmit_at.is_some() && !self.mode.in_burst();
        if regular && self.poll.poll() != former {
            self.plan_transmission(poll_interval_s(self.interval_poll()), cx);
        }
        Outcome::default()
    }

    /// The class of the association's transmissions.
    pub fn transmission_class(&self) -> TransmissionClass {
        match self.config.mode {
            AssociationMode::Client => TransmissionClass::Client,
            AssociationMode::SymmetricActive => TransmissionClass::Peer,
        }
    }

    /// Clears what was learnt, but for the poll, its score and the last transmit time (ntp
    /// chapter, section 8.2).
    fn reset(&mut self) {
        self.exchange.reset();
        self.presend_pending = 0;
        self.waiting = None;
        self.stop_waiting_at = None;
        if let Some(filter) = &mut self.filter {
            filter.reset();
        }
        if let Some(quantile) = &mut self.quantile {
            quantile.reset();
        }
    }

    fn close_client_socket(&mut self, outcome: &mut Outcome) {
        self.close_socket_at = None;
        if std::mem::take(&mut self.client_socket_open) {
            outcome.close_socket = true;
        }
    }

    fn update_reachability(&mut self, reached: bool, outcome: &mut Outcome) {
        self.reachability.update(reached);
        outcome.reachability_updated = true;
        outcome.replacement_wanted |= self.reachability.is_exhausted();
    }

    /// The shorter of the own and the peer's interval (ntp chapter, section 7); also what
    /// the sources report shows.
    fn interval_poll(&self) -> i8 {
        let poll = self.poll.poll();
        if self.config.mode == AssociationMode::Client || !self.reachability.is_reachable() {
            return poll;
        }
        poll.min(self.exchange.remote_poll.max(self.poll.min_poll()))
    }

    /// Seconds from now to the next transmission. `on_reception`: the timer is set because
    /// a valid response came and not because a packet was sent.
    fn delay_to_next_s(&self, cx: &Context<'_>, on_reception: bool) -> f64 {
        let elapsed_s = self
            .last_transmission
            .map_or(0.0, |last| cx.now.monotonic.since(last).max(0.0));
        let mut interval_s = poll_interval_s(self.interval_poll());
        match self.config.mode {
            AssociationMode::Client if self.mode.in_burst() => {
                interval_s = BURST_INTERVAL.0.min(interval_s * BURST_INTERVAL.1);
            }
            AssociationMode::Client if self.presend_pending > 0 => {
                interval_s = PRESEND_INTERVAL_S;
            }
            AssociationMode::Client => {}
            AssociationMode::SymmetricActive => {
                let (remote, own) = (self.exchange.remote_stratum, cx.local.reference.stratum);
                let less_accurate_remote = remote > own && PEER_STRETCH * elapsed_s < interval_s;
                let late =
                    on_reception && remote == own && elapsed_s / interval_s > PEER_LATE_RATIO;
                if less_accurate_remote || late {
                    interval_s *= PEER_STRETCH;
                }
            }
        }
        (interval_s - elapsed_s).max(0.0)
    }

    fn plan_transmission(&mut self, delay_s: f64, cx: &mut Context<'_>) {
        let at = cx.schedule.plan(
            self.transmission_class(),
            self.key,
            cx.now.monotonic,
            delay_s,
            schedule::separation_s(self.poll.poll()),
            cx.random,
        );
        self.transmit_at = Some(at);
    }

    /// Whether the source is near enough for sub-second polling (ntp chapter, section
    /// 8.5).
    fn is_lan_neighbour(&self, cx: &Context<'_>) -> bool {
        if !self.reachability.is_reachable() {
            return false;
        }
        let near = |delay_s: f64| delay_s > 0.0 && delay_s <= NEIGHBOUR_DELAY_S;
        near(cx.statistics.minimum_delay_s())
            || self
                .filter
                .as_ref()
                .and_then(PollFilter::last_delay_s)
                .is_some_and(near)
    }
}
