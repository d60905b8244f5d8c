//! Commands: online, offline, bursts, another address, settings (ntp chapter, sections 8.3,
//! 16.2 and 19).

use std::net::SocketAddr;

use discipline::journal::Journal;
use discipline::samples::Reachability;

use super::config::{clamp_max_delay, clamp_max_delay_ratio, clamp_min_stratum};
use super::context::{Context, Outcome};
use super::mode::{Burst, IBURST, OperatingMode};
use super::report::{NtpDataReport, TrafficCounters};
use super::{Association, AssociationConfig, AssociationMode, Connectivity};
use super::{FIRST_REQUEST_DELAY_S, PollAdaptation};

impl Association {
    /// Begins polling, unless the source is configured `offline`. The owner calls it once,
    /// after the first round of name resolving, and for sources with later addresses when
    /// they get them.
    pub fn start(&mut self, cx: &mut Context<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        if !self.started {
            self.started = true;
            if self.config.connectivity == Connectivity::Online {
                self.go_online(cx, &mut outcome);
            }
        }
        outcome
    }

    /// Command `online`. Before [`start`](Self::start) it only decides what that does.
    pub fn set_online(&mut self, cx: &mut Context<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        let former = std::mem::replace(&mut self.config.connectivity, Connectivity::Online);
        match self.mode {
            OperatingMode::Offline if !self.started && former == Connectivity::Offline => {
                cx.journal.info(format!("Source {} online", self.name));
            }
            OperatingMode::Offline if self.started => {
                cx.journal.info(format!("Source {} online", self.name));
                self.go_online(cx, &mut outcome);
            }
            OperatingMode::BurstThenOffline(burst) => {
                cx.journal.info(format!("Source {} online", self.name));
                self.mode = OperatingMode::BurstThenOnline(burst);
            }
            _ => {}
        }
        outcome
    }

    /// Command `offline`.
    pub fn set_offline(&mut self, cx: &mut Context<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        let former = std::mem::replace(&mut self.config.connectivity, Connectivity::Offline);
        if !self.started && former == Connectivity::Online {
            cx.journal.info(format!("Source {} offline", self.name));
        }
        self.change_to_offline(cx, &mut outcome);
        outcome
    }

    /// Command `burst`; only for clients, ignored while a burst is under way.
    pub fn start_burst(&mut self, burst: Burst, cx: &mut Context<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        if self.config.mode != AssociationMode::Client || !self.started {
            return outcome;
        }
        let burst = Burst {
            good_samples: burst.good_samples.max(1),
            transmissions: burst.transmissions.max(1),
        };
        match self.mode {
            OperatingMode::Online => self.mode = OperatingMode::BurstThenOnline(burst),
            OperatingMode::Offline => {
                self.reset();
                self.mode = OperatingMode::BurstThenOffline(burst);
                outcome.active = Some(true);
            }
            _ => return outcome,
        }
        self.plan_first_transmission(cx);
        outcome
    }

    /// The source has another address (or only another port): everything is forgotten, the
    /// source is tentative again. The owner drops the samples.
    pub fn change_address(&mut self, remote: SocketAddr, cx: &mut Context<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        if self.reachability.is_reachable() {
            self.poll.reset();
        }
        self.reset();
        self.close_client_socket(&mut outcome);
        self.reachability = Reachability::default();
        outcome.reachability_updated = true;
        self.remote = remote;
        self.name = remote.ip().to_string();
        self.confirmed = false;
        self.data = NtpDataReport::default();
        self.counters = TrafficCounters::default();
        if self.mode != OperatingMode::Offline {
            self.plan_first_transmission(cx);
        }
        outcome
    }

    /// What the latest poll lacked has come: the next one is made as soon as the distance to
    /// other sources' requests allows.
    pub fn transmit_soon(&mut self, cx: &mut Context<'_>) -> Outcome {
        if self.transmit_at.is_some() {
            self.plan_transmission(0.0, cx);
        }
        Outcome::default()
    }

    /// Ends all timers, because the source is removed.
    pub fn stop(&mut self, cx: &mut Context<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        self.close_everything(cx, &mut outcome);
        self.mode = OperatingMode::Offline;
        outcome
    }

    /// What the command `offline` and `auto_offline` do.
    pub(super) fn change_to_offline(&mut self, cx: &mut Context<'_>, outcome: &mut Outcome) {
        match self.mode {
            OperatingMode::Online => {
                cx.journal.info(format!("Source {} offline", self.name));
                self.go_offline(cx, outcome);
            }
            OperatingMode::BurstThenOnline(burst) => {
                cx.journal.info(format!("Source {} offline", self.name));
                self.mode = OperatingMode::BurstThenOffline(burst);
            }
            _ => {}
        }
    }

    fn go_online(&mut self, cx: &mut Context<'_>, outcome: &mut Outcome) {
        self.reset();
        self.mode = if self.config.iburst {
            OperatingMode::BurstThenOnline(IBURST)
        } else {
            OperatingMode::Online
        };
        outcome.active = Some(true);
        self.plan_first_transmission(cx);
    }

    pub(super) fn go_offline(&mut self, cx: &mut Context<'_>, outcome: &mut Outcome) {
        self.close_everything(cx, outcome);
        self.mode = OperatingMode::Offline;
        self.reset();
        self.reachability.go_offline();
        outcome.reachability_updated = true;
        outcome.active = Some(false);
    }

    fn close_everything(&mut self, cx: &mut Context<'_>, outcome: &mut Outcome) {
        cx.schedule.cancel(self.transmission_class(), self.key);
        self.transmit_at = None;
        self.waiting = None;
        self.stop_waiting_at = None;
        self.close_client_socket(outcome);
    }

    /// 0.2 s from now or, if something was sent before, when the interval is over.
    fn plan_first_transmission(&mut self, cx: &mut Context<'_>) {
        let rest_s = match self.last_transmission {
            Some(_) => self.delay_to_next_s(cx, false),
            None => 0.0,
        };
        self.plan_transmission(rest_s.max(FIRST_REQUEST_DELAY_S), cx);
    }

    /// Command `minpoll`; values outside −7 … 24 are ignored.
    pub fn set_min_poll(&mut self, poll: i32, journal: &mut Journal) {
        let max_poll = self.poll.max_poll();
        if self.poll.set_min_poll(poll) {
            self.announce(journal, "minpoll", poll);
            if self.poll.max_poll() != max_poll {
                self.announce(journal, "maxpoll", self.poll.max_poll());
            }
        }
    }

    /// Command `maxpoll`; values outside −7 … 24 are ignored.
    pub fn set_max_poll(&mut self, poll: i32, journal: &mut Journal) {
        let min_poll = self.poll.min_poll();
        if self.poll.set_max_poll(poll) {
            self.announce(journal, "maxpoll", poll);
            if self.poll.min_poll() != min_poll {
                self.announce(journal, "minpoll", self.poll.min_poll());
            }
        }
    }

    /// Command `maxdelay`, seconds.
    pub fn set_max_delay(&mut self, value_s: f64, journal: &mut Journal) {
        self.config.max_delay_s = clamp_max_delay(value_s);
        self.announce(
            journal,
            "maxdelay",
            format_args!("{:.6}", self.config.max_delay_s),
        );
    }

    /// Command `maxdelayratio`.
    pub fn set_max_delay_ratio(&mut self, value: f64, journal: &mut Journal) {
        self.config.max_delay_ratio = clamp_max_delay_ratio(value);
        let value = self.config.max_delay_ratio;
        self.announce(journal, "maxdelayratio", format_args!("{value:.6}"));
    }

    /// Command `maxdelaydevratio`.
    pub fn set_max_delay_dev_ratio(&mut self, value: f64, journal: &mut Journal) {
        self.config.max_delay_dev_ratio = clamp_max_delay_ratio(value);
        let value = self.config.max_delay_dev_ratio;
        self.announce(journal, "maxdelaydevratio", format_args!("{value:.6}"));
    }

    /// Command `minstratum`.
    pub fn set_min_stratum(&mut self, stratum: u8, journal: &mut Journal) {
        self.config.min_stratum = clamp_min_stratum(stratum);
        self.announce(journal, "minstratum", self.config.min_stratum);
    }

    /// Command `offset`, seconds.
    pub fn set_offset_correction(&mut self, value_s: f64, journal: &mut Journal) {
        self.config.offset_correction_s = value_s;
        self.announce(journal, "offset", format_args!("{value_s:.6}"));
    }

    /// Command `polltarget`, samples; at least 1 is used, what was asked for is told.
    pub fn set_poll_target(&mut self, target: i32, journal: &mut Journal) {
        self.poll.set_target(u32::try_from(target).unwrap_or(0));
        self.announce(journal, "polltarget", target);
    }

    fn announce(&self, journal: &mut Journal, what: &str, value: impl std::fmt::Display) {
        journal.info(format!("Source {} new {what} {value}", self.name));
    }

    /// The name in messages, while there is no address.
    pub fn set_name(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// The options in use.
    pub fn config(&self) -> &AssociationConfig {
        &self.config
    }

    /// Address and port.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// What the association is doing.
    pub fn operating_mode(&self) -> OperatingMode {
        self.mode
    }

    /// The reachability register.
    pub fn reachability(&self) -> &Reachability {
        &self.reachability
    }

    /// Takes over the reachability register of a dump.
    pub fn restore_reachability(&mut self, reachability: Reachability) {
        self.reachability = reachability;
    }

    /// The local poll, its score and limits.
    pub fn poll(&self) -> &PollAdaptation {
        &self.poll
    }

    /// The poll that the sources report shows, log2 seconds: for a peer the one that its
    /// interval follows.
    pub fn reported_poll(&self) -> i8 {
        self.interval_poll()
    }

    /// Whether a good response was received from the present address; the source is
    /// tentative before (ntp chapter, section 16.3).
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// The `ntpdata` report of the last valid packet (ntp chapter, section 18).
    pub fn ntp_data(&self) -> &NtpDataReport {
        &self.data
    }

    /// Counters of the `ntpdata` report.
    pub fn counters(&self) -> &TrafficCounters {
        &self.counters
    }
}
