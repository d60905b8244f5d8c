//! One transmission (ntp chapter, sections 5, 8.4 and 13).

use discipline::time::CookedTime;
use ntp_wire::{
    Header, MAX_PACKET_LENGTH, MessageWriter, Mode, MonotonicRoot, NtpShort, NtpShort28,
    NtpTimestamp, STRATUM_UNSYNCHRONISED,
};

use super::Association;
use super::authentication::AuthenticationFailed;
use super::config::{AssociationMode, AuthenticationKind};
use super::context::{Context, LocalTimestamp, Outcome, SocketKind, Transmission};
use super::message::Request;
use super::mode::{Burst, OperatingMode};
use super::poll::PollEvent;
use super::timestamp::randomised;
use crate::action::Payload;
use crate::event::{SendFailed, TimestampSource};

/// Requests without valid response after which a client falls back to basic mode (ntp
/// chapter, section 8.4, step 5).
const MAX_INTERLEAVED_REQUESTS: u32 = 4;
/// Precision in client requests: nothing is told (ntp chapter, section 5).
const CLIENT_PRECISION: i8 = 32;
/// The client socket stays open this much longer than `maxdelay`, seconds (ntp chapter,
/// section 1).
const EXTRA_SOCKET_TIME_S: f64 = 4.0;
/// Version from which extension fields exist.
const EXTENSION_FIELD_VERSION: u8 = 4;
/// Attempts to draw distinct timestamps before the time is moved by a nanosecond; with 2
/// random bits three values can be taken.
const DRAWS_PER_NANOSECOND: u32 = 16;

impl Association {
    /// Takes the steps up to the packet; [`Association::handle_sent`] takes the rest.
    pub(super) fn transmit(&mut self, cx: &mut Context<'_>, outcome: &mut Outcome) {
        self.transmit_at = None;
        cx.schedule
            .fired(self.transmission_class(), self.key, cx.now.monotonic);
        if self.waiting.is_some() {
            self.evaluate_waiting(cx, outcome);
            if self.transmit_at.is_some() {
                return;
            }
        }
        if !self.prepare_burst(cx, outcome) {
            return;
        }
        if !cx.authenticator.prepare(cx.now.monotonic, cx.random) {
            self.update_reachability(false, outcome);
            self.count_filter_miss(cx, outcome);
            self.last_transmission = Some(cx.now.monotonic);
            let delay_s = self.delay_to_next_s(cx, false);
            self.plan_transmission(delay_s, cx);
            return;
        }
        let interleaved = self.use_interleaved();
        self.prepare_presend(interleaved);
        self.exchange.answered = false;
        self.client_socket_open = false;
        self.close_socket_at = None;
        let message = match self.config.mode {
            AssociationMode::Client => self.client_request(interleaved, cx),
            AssociationMode::SymmetricActive => self.symmetric_packet(interleaved, cx),
        };
        match message {
            Ok(payload) => {
                outcome.transmission = Some(Transmission {
                    payload,
                    destination: self.remote,
                    socket: self.socket_kind(),
                });
            }
            Err(AuthenticationFailed) => self.handle_sent_into(Err(SendFailed), cx, outcome),
        }
    }

    /// Tells that the packet of [`Outcome::transmission`] was sent, with the time read just
    /// before (`Ok`), or that sending failed.
    pub fn handle_sent(
        &mut self,
        sent: Result<LocalTimestamp, SendFailed>,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        self.handle_sent_into(sent, cx, &mut outcome);
        outcome
    }

    fn handle_sent_into(
        &mut self,
        sent: Result<LocalTimestamp, SendFailed>,
        cx: &mut Context<'_>,
        outcome: &mut Outcome,
    ) {
        if self.mode == OperatingMode::Offline {
            return;
        }
        self.last_transmission = Some(cx.now.monotonic);
        if let Ok(timestamp) = sent {
            self.exchange.local_transmit = Some(timestamp);
            self.counters.sent += 1;
        }
        self.exchange.requests = self.exchange.requests.saturating_add(1);
        if self.exchange.requests >= 2 {
            if sent.is_ok() {
                let neighbour = self.is_lan_neighbour(cx);
                self.poll.handle(
                    PollEvent::Missed {
                        selected: cx.selected,
                    },
                    neighbour,
                );
            }
            self.update_reachability(false, outcome);
            self.count_filter_miss(cx, outcome);
        }
        // So that iburst waits for the network.
        let counts = sent.is_ok()
            || self.reachability.is_reachable()
            || matches!(self.mode, OperatingMode::BurstThenOffline(_));
        if counts && let Some(burst) = self.mode.burst_mut() {
            burst.transmissions = burst.transmissions.saturating_sub(1);
        }
        if sent.is_err() && self.config.auto_offline {
            self.change_to_offline(cx, outcome);
            if self.mode == OperatingMode::Offline {
                return;
            }
        }
        let delay_s = self.delay_to_next_s(cx, false);
        self.plan_transmission(delay_s, cx);
        if self.config.mode == AssociationMode::Client {
            self.client_socket_open = true;
            let open_s = self.config.max_delay_s + EXTRA_SOCKET_TIME_S;
            self.close_socket_at = Some(cx.now.monotonic.plus(open_s));
        }
    }

    /// Burst bookkeeping before a transmission. `false` if nothing is to be sent.
    fn prepare_burst(&mut self, cx: &mut Context<'_>, outcome: &mut Outcome) -> bool {
        match self.mode {
            OperatingMode::Offline => return false,
            OperatingMode::Online => {
                if self.config.burst && self.poll.poll() > self.poll.min_poll() {
                    let burst = Burst::for_poll(self.poll.poll(), self.poll.min_poll());
                    self.mode = OperatingMode::BurstThenOnline(burst);
                }
            }
            OperatingMode::BurstThenOnline(burst) if burst.transmissions <= 1 => {
                self.mode = OperatingMode::Online;
            }
            OperatingMode::BurstThenOffline(burst) if burst.transmissions == 0 => {
                self.go_offline(cx, outcome);
                return false;
            }
            OperatingMode::BurstThenOnline(_) | OperatingMode::BurstThenOffline(_) => {}
        }
        true
    }

    /// Whether the next packet has the interleaved form.
    fn use_interleaved(&self) -> bool {
        let exchange = &self.exchange;
        self.config.interleaved
            && match self.config.mode {
                AssociationMode::Client => exchange.requests < MAX_INTERLEAVED_REQUESTS,
                AssociationMode::SymmetricActive => {
                    exchange.requests == 0
                        && exchange.previous_requests == 1
                        && exchange.local_transmit.is_some()
                        && exchange.local_receive.is_some()
                }
            }
    }

    fn prepare_presend(&mut self, interleaved: bool) {
        if self.presend_pending > 0 {
            self.presend_pending -= 1;
        } else if i32::from(self.poll.poll()) >= self.config.presend_min_poll
            && !self.mode.in_burst()
        {
            // In interleaved mode the response to the extra request comes one later.
            self.presend_pending = if interleaved { 2 } else { 1 };
        }
    }

    fn socket_kind(&self) -> SocketKind {
        match self.config.mode {
            _ if self.config.over_ptp => SocketKind::Ptp,
            AssociationMode::Client => SocketKind::Client,
            AssociationMode::SymmetricActive => SocketKind::Server,
        }
    }

    fn client_request(
        &mut self,
        interleaved: bool,
        cx: &mut Context<'_>,
    ) -> Result<Payload, AuthenticationFailed> {
        let heard = self.exchange.local_receive.is_some();
        let (origin, receive) = if interleaved && heard {
            (self.exchange.remote_receive, random_timestamp(cx))
        } else {
            (NtpTimestamp::ZERO, NtpTimestamp::ZERO)
        };
        let mut transmit = random_timestamp(cx);
        while transmit == receive || transmit == origin {
            transmit = random_timestamp(cx);
        }
        let request = Request {
            header: Header {
                version: self.config.effective_version(),
                mode: Mode::Client,
                poll_log2: self.poll.poll(),
                precision_log2: CLIENT_PRECISION,
                origin,
                receive,
                transmit,
                ..Header::default()
            },
            net_correction_s: self.config.extension_net_correction.then_some(0.0),
            monotonic_root: self
                .config
                .extension_monotonic_root
                .then(MonotonicRoot::default),
        };
        self.finish(&request, cx)
    }

    fn symmetric_packet(
        &mut self,
        interleaved: bool,
        cx: &mut Context<'_>,
    ) -> Result<Payload, AuthenticationFailed> {
        if self.exchange.requests > 0 || self.exchange.local_receive.is_none() {
            self.adopt_initial_packet();
        }
        self.exchange.initial = None;
        let exchange = &self.exchange;
        let origin = if interleaved {
            exchange.remote_receive
        } else {
            exchange.remote_transmit
        };
        let sent = match exchange.local_transmit {
            Some(timestamp) if interleaved => timestamp.time,
            _ => cx.now_cooked,
        };
        let arrival = exchange.local_receive.map(|timestamp| timestamp.time);
        let (receive, transmit) = self.draw_timestamps(origin, arrival, sent, cx);
        let own = cx.local.reference;
        let unsynchronised = own.stratum >= STRATUM_UNSYNCHRONISED;
        let request = Request {
            header: Header {
                leap: own.leap,
                version: self.config.effective_version(),
                mode: Mode::SymmetricActive,
                stratum: if unsynchronised { 0 } else { own.stratum },
                poll_log2: self.poll.poll(),
                precision_log2: cx.local.precision_log2,
                root_delay: NtpShort::from_seconds(own.root_delay_s),
                root_dispersion: NtpShort::from_seconds(own.root_dispersion_s),
                reference_id: own.reference_id,
                reference_time: own.reference_time,
                origin,
                receive,
                transmit,
            },
            net_correction_s: self
                .config
                .extension_net_correction
                .then(|| self.received_net_correction_s()),
            monotonic_root: self
                .config
                .extension_monotonic_root
                .then(|| own_monotonic_root(arrival, cx)),
        };
        self.finish(&request, cx)
    }

    /// Correction of the packet responded to, seconds (ntp chapter, section 14.1).
    fn received_net_correction_s(&self) -> f64 {
        self.exchange
            .local_receive
            .filter(|arrival| arrival.net_correction_s > arrival.receive_duration_s)
            .map_or(0.0, |arrival| arrival.net_correction_s)
    }

    /// A packet that starts or restarts the protocol takes the place of the last valid
    /// one, but no interleaved sample may be made with it.
    fn adopt_initial_packet(&mut self) {
        if let Some(initial) = self.exchange.initial {
            self.exchange.remote_transmit = initial.transmit;
            self.exchange.local_receive = Some(initial.arrival);
            self.exchange.synchronised = false;
        }
    }

    /// Draws receive and transmit timestamps until they differ from the others of the
    /// exchange (ntp chapter, section 5.1).
    fn draw_timestamps(
        &self,
        origin: NtpTimestamp,
        arrival: Option<CookedTime>,
        sent: CookedTime,
        cx: &mut Context<'_>,
    ) -> (NtpTimestamp, NtpTimestamp) {
        let exchange = &self.exchange;
        let mut draw = |time: CookedTime, taken: &[NtpTimestamp]| {
            let mut time = time;
            loop {
                for _ in 0..DRAWS_PER_NANOSECOND {
                    let drawn = randomised(time, cx.local.precision_log2, cx.random);
                    if drawn != NtpTimestamp::ZERO && !taken.contains(&drawn) {
                        return drawn;
                    }
                }
                time = time.plus(1e-9);
            }
        };
        let receive = arrival
            .filter(|time| !NtpTimestamp::from_unix_ns(time.as_ns()).is_zero())
            .map_or(NtpTimestamp::ZERO, |time| {
                draw(time, &[origin, exchange.sent_receive])
            });
        let transmit = draw(sent, &[receive, origin, exchange.sent_transmit]);
        (receive, transmit)
    }

    fn finish(
        &mut self,
        request: &Request,
        cx: &mut Context<'_>,
    ) -> Result<Payload, AuthenticationFailed> {
        if request.header.version < EXTENSION_FIELD_VERSION
            && (self.config.uses_extension_fields()
                || self.config.authentication == AuthenticationKind::NetworkTimeSecurity)
        {
            // Nothing can be sent (ntp chapter, section 8.1).
            return Err(AuthenticationFailed);
        }
        self.exchange.sent_receive = request.header.receive;
        self.exchange.sent_transmit = request.header.transmit;
        let mut buffer = [0; MAX_PACKET_LENGTH];
        let mut writer = MessageWriter::new(&mut buffer);
        request.write(&mut writer)?;
        cx.authenticator.protect(&mut writer)?;
        Ok(Payload::new(writer.written()))
    }

    /// The kernel or the hardware tells when a packet left. `payload` is the NTP message
    /// as it was sent (without PTP prefix); one that is not the last packet is ignored
    /// (ntp chapter, section 15.2).
    pub fn handle_transmit_timestamp(
        &mut self,
        payload: &[u8],
        timestamp: LocalTimestamp,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let belongs = super::message::receive_and_transmit(payload)
            == Some((self.exchange.sent_receive, self.exchange.sent_transmit));
        let Some(present) = self.exchange.local_transmit.filter(|_| belongs) else {
            return outcome;
        };
        match timestamp.source {
            TimestampSource::Daemon => return outcome,
            TimestampSource::Kernel => self.counters.kernel_transmit_timestamps += 1,
            TimestampSource::Hardware => self.counters.hardware_transmit_timestamps += 1,
        }
        let later_s = timestamp.time.since(present.time);
        // A kernel timestamp that comes after the hardware's does not replace it.
        let better = timestamp.source > present.source;
        if better && (0.0..=super::response::MAX_TIMESTAMP_DIFFERENCE_S).contains(&later_s) {
            self.exchange.refine_transmit(timestamp);
        }
        if timestamp.source == TimestampSource::Hardware && self.waiting.is_some() {
            self.evaluate_waiting(cx, &mut outcome);
        }
        outcome
    }
}

/// Field F323 of a packet of a symmetric association (ntp chapter, section 6.8).
fn own_monotonic_root(arrival: Option<CookedTime>, cx: &mut Context<'_>) -> MonotonicRoot {
    let scale = cx.local.monotonic;
    let reference = &cx.local.reference;
    MonotonicRoot {
        root_delay: NtpShort28::from_seconds(reference.root_delay_s),
        root_dispersion: NtpShort28::from_seconds(reference.root_dispersion_s),
        monotonic_receive: arrival.map_or(NtpTimestamp::ZERO, |time| {
            let time = time.plus(scale.correction_s);
            randomised(time, cx.local.precision_log2, cx.random)
        }),
        epoch: scale.epoch,
    }
}

fn random_timestamp(cx: &mut Context<'_>) -> NtpTimestamp {
    loop {
        let timestamp = NtpTimestamp::from_bits(cx.random.next_u64());
        if timestamp != NtpTimestamp::ZERO {
            return timestamp;
        }
    }
}
