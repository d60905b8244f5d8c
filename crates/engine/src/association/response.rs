//! A received packet: acceptance, tests, sample, bookkeeping (ntp chapter, sections 9 to
//! 11, 13.1 and 15.4).

use discipline::reference::leap;
use discipline::samples::{ClockChange, Sample};
use ntp_wire::{
    KISS_RATE, LeapIndicator, Mode, NtpTimestamp, Packet, STRATUM_UNSYNCHRONISED, TimestampWindow,
};

use super::config::AssociationMode;
use super::context::{Arrival, Context, Disposition, Outcome, SocketKind, SourceStatus};
use super::exchange::{InitialPacket, MonotonicReceive};
use super::measurement::{Measurement, MeasurementSettings, measure};
use super::message::Response;
use super::mode::OperatingMode;
use super::poll::PollEvent;
use super::report::NtpDataReport;
use super::verdict::{Evidence, TestResults, packet_tests};
use super::{Association, poll_interval_s};
use crate::event::TimestampSource;

/// Largest accepted difference of timestamps of one packet, seconds (ntp chapter, section
/// 1).
pub(super) const MAX_TIMESTAMP_DIFFERENCE_S: f64 = 1.0;
/// Polling intervals that a KoD RATE adds to the delay of the next request (ntp chapter,
/// section 11.5).
const KOD_RATE_INTERVALS: f64 = 4.0;

/// A response put aside until its request's transmit timestamp comes (ntp chapter,
/// section 15.4).
#[derive(Debug)]
pub(super) struct WaitingResponse {
    message: Response,
    arrival: Arrival,
}

impl WaitingResponse {
    pub(super) fn shift(&mut self, change: &ClockChange) {
        self.arrival.timestamp.time = change.moved(self.arrival.timestamp.time);
    }
}

/// A response with all that was found out about it.
struct Verdict {
    tests: TestResults,
    interleaved: bool,
    measurement: Option<Measurement>,
}

impl Association {
    /// A packet from the address and port of the association arrived. `payload` is the NTP
    /// message (without PTP prefix). Mode 3 and, for clients, mode 1 are requests:
    /// [`Outcome::disposition`] tells to serve them.
    pub fn handle_datagram(
        &mut self,
        payload: &[u8],
        arrival: &Arrival,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        match super::message::peek_mode(payload) {
            None => return outcome,
            Some(Mode::Client) => {
                outcome.disposition = Disposition::Serve;
                return outcome;
            }
            Some(_) => self.counters.received += 1,
        }
        self.count_receive_timestamp(arrival.timestamp.source);
        let Ok(packet) = Packet::parse(payload) else {
            return outcome;
        };
        match (self.config.mode, packet.header.mode) {
            (AssociationMode::Client, Mode::SymmetricActive) => {
                outcome.disposition = Disposition::Serve;
            }
            (AssociationMode::Client, Mode::Server)
            | (AssociationMode::SymmetricActive, Mode::SymmetricActive | Mode::SymmetricPassive)
                if self.expects(arrival.socket) =>
            {
                let authentic = cx.authenticator.verify(&packet);
                let message = Response::new(&packet, &self.config);
                self.evaluate_new(&message, authentic, arrival, cx, &mut outcome);
            }
            _ => {}
        }
        outcome
    }

    fn count_receive_timestamp(&mut self, source: TimestampSource) {
        match source {
            TimestampSource::Daemon => {}
            TimestampSource::Kernel => self.counters.kernel_receive_timestamps += 1,
            TimestampSource::Hardware => self.counters.hardware_receive_timestamps += 1,
        }
    }

    /// Whether a response may arrive on this socket now.
    fn expects(&self, socket: SocketKind) -> bool {
        let wanted = match self.config.mode {
            AssociationMode::Client if !self.client_socket_open => return false,
            _ if self.config.over_ptp => SocketKind::Ptp,
            AssociationMode::Client => SocketKind::Client,
            AssociationMode::SymmetricActive => SocketKind::Server,
        };
        self.mode != OperatingMode::Offline && socket == wanted
    }

    /// Puts the response aside if a better transmit timestamp is expected, or evaluates it.
    fn evaluate_new(
        &mut self,
        message: &Response,
        authentic: bool,
        arrival: &Arrival,
        cx: &mut Context<'_>,
        outcome: &mut Outcome,
    ) {
        let (tests, _) = packet_tests(message, authentic, &self.exchange, self.config.interleaved);
        let lacks_hardware = self
            .exchange
            .local_transmit
            .is_some_and(|sent| sent.source != TimestampSource::Hardware);
        let timeout_s = cx.local.late_timestamp_timeout_s;
        if tests.synced()
            && !self.exchange.answered
            && self.confirmed
            && lacks_hardware
            && timeout_s > 0.0
        {
            if self.waiting.is_none() {
                let waiting = WaitingResponse {
                    message: *message,
                    arrival: *arrival,
                };
                self.waiting = Some(Box::new(waiting));
                self.stop_waiting_at = Some(cx.now.monotonic.plus(timeout_s));
                return;
            }
            self.evaluate_waiting(cx, outcome);
        }
        self.evaluate(message, authentic, arrival, cx, outcome);
    }

    /// Evaluates the response that was put aside.
    pub(super) fn evaluate_waiting(&mut self, cx: &mut Context<'_>, outcome: &mut Outcome) {
        self.stop_waiting_at = None;
        if let Some(waiting) = self.waiting.take() {
            // Only authentic responses are put aside.
            self.evaluate(&waiting.message, true, &waiting.arrival, cx, outcome);
        }
    }

    fn evaluate(
        &mut self,
        message: &Response,
        authentic: bool,
        arrival: &Arrival,
        cx: &mut Context<'_>,
        outcome: &mut Outcome,
    ) {
        let (mut tests, interleaved) =
            packet_tests(message, authentic, &self.exchange, self.config.interleaved);
        let valid_packet = tests.valid();
        let repeated =
            self.exchange.answered && self.config.mode == AssociationMode::SymmetricActive;
        if repeated {
            tests.origin = false;
            tests.timestamps = false;
        }
        let monotonic = self.monotonic_of(message);
        let change_s = self
            .exchange
            .monotonic_change_s(message.header.receive, monotonic);
        let measurement =
            self.measure_and_test(message, arrival, interleaved, change_s, &mut tests, cx);
        let verdict = Verdict {
            tests,
            interleaved,
            measurement,
        };
        if self.keeps_timestamps(message, arrival, &tests, valid_packet) {
            self.exchange.keep_monotonic(monotonic, change_s);
            self.keep_timestamps(message, arrival, &verdict);
        }
        if tests.valid() {
            self.handle_valid(message, arrival, &verdict, cx, outcome);
        }
        outcome.tests = Some(tests);
        self.log_measurement(message, arrival, &verdict, cx);
    }

    fn monotonic_of(&self, message: &Response) -> Option<MonotonicReceive> {
        message
            .monotonic_root
            .as_ref()
            .map(|field| MonotonicReceive {
                epoch: field.epoch,
                receive: field.monotonic_receive,
            })
    }

    /// Makes the sample and tests A to D, if the response is synced.
    fn measure_and_test(
        &self,
        message: &Response,
        arrival: &Arrival,
        interleaved: bool,
        monotonic_change_s: f64,
        tests: &mut TestResults,
        cx: &Context<'_>,
    ) -> Option<Measurement> {
        if !tests.synced() || (interleaved && !self.exchange.synchronised) {
            return None;
        }
        let settings = MeasurementSettings {
            precision_s: cx.local.precision_s,
            skew: cx.statistics.frequency_uncertainty(),
            offset_correction_s: self.config.offset_correction_s,
            window: TimestampWindow {
                start_s: cx.local.window_start_s,
            },
        };
        let measurement = measure(
            message,
            &arrival.timestamp,
            interleaved,
            &self.exchange,
            monotonic_change_s,
            &settings,
        )?;
        let evidence = Evidence {
            message,
            measurement: &measurement,
            exchange: &self.exchange,
            config: &self.config,
            local: cx.local,
            presend_pending: self.presend_pending > 0,
            delay_test_data: cx.statistics.delay_test_data(measurement.sample.time),
            quantile_limit_s: self.quantile.as_ref().map(|quantile| quantile.limit()),
            local_address: arrival.local_address,
        };
        tests.delay = evidence.delay();
        tests.delay_ratio = evidence.delay_ratio();
        tests.delay_deviation = evidence.delay_deviation();
        tests.no_loop = evidence.no_loop();
        Some(measurement)
    }

    /// Whether the timestamps of the packet are kept (ntp chapter, sections 11 and 13.1);
    /// remembers a peer's packet that starts the protocol.
    fn keeps_timestamps(
        &mut self,
        message: &Response,
        arrival: &Arrival,
        tests: &TestResults,
        valid_packet: bool,
    ) -> bool {
        if self.config.mode == AssociationMode::Client {
            return valid_packet;
        }
        let exchange = &mut self.exchange;
        if valid_packet {
            let later = message.header.transmit.is_after(exchange.remote_transmit);
            if !exchange.answered || later {
                exchange.initial = None;
                return true;
            }
        }
        let later = exchange
            .initial
            .is_none_or(|initial| message.header.transmit.is_after(initial.transmit));
        if tests.duplicate
            && tests.authentication
            && message.header.transmit != NtpTimestamp::ZERO
            && later
        {
            exchange.initial = Some(InitialPacket {
                transmit: message.header.transmit,
                arrival: arrival.timestamp,
            });
        }
        false
    }

    fn keep_timestamps(&mut self, message: &Response, arrival: &Arrival, verdict: &Verdict) {
        let exchange = &mut self.exchange;
        exchange.remote_receive = message.header.receive;
        exchange.remote_transmit = message.header.transmit;
        exchange.local_receive = Some(arrival.timestamp);
        exchange.synchronised = verdict.tests.synced();
        exchange.request_net_correction_s = message.net_correction_s.unwrap_or(0.0);
        // A good basic sample must not be used again in interleaved mode.
        exchange.previous_local_transmit = if verdict.interleaved || !verdict.tests.good() {
            exchange.local_transmit
        } else {
            None
        };
    }

    fn handle_valid(
        &mut self,
        message: &Response,
        arrival: &Arrival,
        verdict: &Verdict,
        cx: &mut Context<'_>,
        outcome: &mut Outcome,
    ) {
        let tests = &verdict.tests;
        self.counters.valid += 1;
        self.keep_remote_state(message);
        self.update_reachability(tests.synced(), outcome);
        if tests.synced() {
            outcome.status = Some(self.status_of(message));
            if let (Some(quantile), Some(measurement)) = (&mut self.quantile, &verdict.measurement)
            {
                quantile.accumulate(measurement.sample.peer_delay_s, || cx.random.uniform());
            }
        } else if self.config.copy {
            cx.statistics.reset();
            self.reachability.reset();
            outcome.source_reset = true;
        }
        let kod_delay_s = self.handle_kiss_of_death(message, cx);
        match &verdict.measurement {
            Some(measurement) if tests.good() => {
                self.handle_good(&measurement.sample, cx, outcome);
            }
            _ => {
                let neighbour = self.is_lan_neighbour(cx);
                let event = PollEvent::NotGood {
                    loop_test_passed: tests.no_loop,
                };
                self.poll.handle(event, neighbour);
                self.count_filter_miss(cx, outcome);
            }
        }
        self.exchange.local_poll = self.poll.poll();
        self.data = NtpDataReport::new(
            message,
            arrival,
            verdict.interleaved,
            tests,
            verdict.measurement.as_ref(),
            &self.exchange,
        );
        self.plan_after_response(kod_delay_s, cx, outcome);
    }

    fn keep_remote_state(&mut self, message: &Response) {
        let header = &message.header;
        let exchange = &mut self.exchange;
        exchange.remote_poll = header.poll_log2;
        exchange.remote_stratum = if header.stratum == 0 {
            STRATUM_UNSYNCHRONISED
        } else {
            header.stratum
        };
        exchange.remote_root_delay_s = message.root_delay_s;
        exchange.remote_root_dispersion_s = message.root_dispersion_s;
        exchange.previous_requests = std::mem::take(&mut exchange.requests);
        exchange.answered = true;
    }

    /// Ends a burst that has its samples, closes the socket, sets the timer.
    fn plan_after_response(
        &mut self,
        kod_delay_s: f64,
        cx: &mut Context<'_>,
        outcome: &mut Outcome,
    ) {
        self.close_client_socket(outcome);
        if self
            .mode
            .burst_mut()
            .is_some_and(|burst| burst.good_samples == 0)
        {
            match self.mode.after_burst() {
                OperatingMode::Offline => return self.go_offline(cx, outcome),
                mode => self.mode = mode,
            }
        }
        let delay_s = self.delay_to_next_s(cx, true);
        self.plan_transmission(delay_s + kod_delay_s, cx);
    }

    fn status_of(&self, message: &Response) -> SourceStatus {
        let (stratum, reference_id) = if self.config.copy {
            (
                message.header.stratum.saturating_sub(1),
                Some(message.header.reference_id),
            )
        } else {
            (message.header.stratum, None)
        };
        SourceStatus {
            stratum: stratum.max(self.config.min_stratum),
            leap: message.header.leap,
            reference_id,
        }
    }

    /// KoD RATE (ntp chapter, section 11.5); the additional delay in seconds.
    fn handle_kiss_of_death(&mut self, message: &Response, cx: &mut Context<'_>) -> f64 {
        let is_rate = message.header.leap == LeapIndicator::Unsynchronised
            && message.header.stratum == 0
            && message.header.reference_id == KISS_RATE;
        if !is_rate {
            return 0.0;
        }
        cx.journal
            .warning(format!("Received KoD RATE from {}", self.name));
        if let Some(burst) = self.mode.burst_mut() {
            burst.good_samples = 1;
        }
        KOD_RATE_INTERVALS * poll_interval_s(self.poll.poll())
    }

    fn handle_good(&mut self, sample: &Sample, cx: &mut Context<'_>, outcome: &mut Outcome) {
        self.counters.good += 1;
        self.confirmed = true;
        outcome.confirmed = true;
        if let Some(correction_s) = self.exchange.take_monotonic_correction() {
            cx.statistics.correct_offset(correction_s);
        }
        match &mut self.filter {
            Some(filter) => {
                if let Some(filtered) = filter.add(*sample) {
                    self.accumulate(&filtered, cx, outcome);
                }
            }
            None => self.accumulate(sample, cx, outcome),
        }
        if let Some(burst) = self.mode.burst_mut() {
            burst.good_samples = burst.good_samples.saturating_sub(1);
        }
    }

    fn accumulate(&mut self, sample: &Sample, cx: &mut Context<'_>, outcome: &mut Outcome) {
        outcome.accumulated = true;
        let times = [
            cx.now_cooked,
            sample.time,
            sample.time.plus(sample.offset_s),
        ];
        if leap::is_close(cx.local.leap_second_s, cx.now.raw, &times) {
            cx.journal.info(leap::SAMPLE_DROPPED);
            return;
        }
        // The prediction has the opposite sign (F+).
        let error_s = (sample.offset_s + cx.statistics.predict(sample.time)).abs();
        cx.statistics.accumulate(sample, &self.name, cx.journal);
        let event = PollEvent::Sample {
            kept: cx.statistics.samples().len(),
            error_s,
            peer_distance_s: sample.peer_dispersion_s + sample.peer_delay_s / 2.0,
        };
        let neighbour = self.is_lan_neighbour(cx);
        self.poll.handle(event, neighbour);
    }

    /// A poll without a good sample, for the option `filter`.
    pub(super) fn count_filter_miss(&mut self, cx: &mut Context<'_>, outcome: &mut Outcome) {
        if let Some(sample) = self.filter.as_mut().and_then(super::PollFilter::miss) {
            self.accumulate(&sample, cx, outcome);
        }
    }

    fn log_measurement(
        &self,
        message: &Response,
        arrival: &Arrival,
        verdict: &Verdict,
        cx: &mut Context<'_>,
    ) {
        if !verdict.tests.synced() && !cx.local.log_raw_measurements {
            return;
        }
        let row = super::report::MeasurementRow {
            name: &self.name,
            message,
            tests: &verdict.tests,
            interleaved: verdict.interleaved,
            measurement: verdict.measurement.as_ref(),
            arrival: &arrival.timestamp,
            sent_source: self
                .exchange
                .local_transmit
                .map_or(TimestampSource::Daemon, |timestamp| timestamp.source),
            poll: self.poll.poll(),
            score: self.poll.score(),
        };
        cx.journal
            .line(discipline::journal::LogFile::Measurements, || row.to_line());
    }
}
