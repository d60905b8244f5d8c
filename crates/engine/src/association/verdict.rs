//! The packet tests (ntp chapter, section 10).

use std::net::IpAddr;

use discipline::samples::{DelayTestData, is_sane};
use ntp_wire::refid::reference_id;
use ntp_wire::{LeapIndicator, NtpShort, NtpTimestamp};

use super::config::{AssociationConfig, AssociationMode};
use super::context::LocalState;
use super::exchange::Exchange;
use super::measurement::Measurement;
use super::message::Response;

/// Largest dispersion accepted in test 7, seconds (ntp chapter, section 1).
const MAX_DISPERSION_S: f64 = 16.0;
/// Largest processing time of a server in test A, seconds (ntp chapter, section 1).
const MAX_RESPONSE_TIME_S: f64 = 4.0;
/// Highest stratum of a synchronised server.
const MAX_SYNCHRONISED_STRATUM: u8 = 15;

/// Results of the packet tests; `true` is passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestResults {
    /// 1: not a duplicate of the last valid response.
    pub duplicate: bool,
    /// 2: answers the last packet sent.
    pub origin: bool,
    /// 3: no timestamp is zero.
    pub timestamps: bool,
    /// 5: authentic.
    pub authentication: bool,
    /// 6: the server is synchronised.
    pub synchronised: bool,
    /// 7: the root distance is below 16 s.
    pub root_distance: bool,
    /// A: delays within `maxdelay` and other conditions.
    pub delay: bool,
    /// B: delay within `maxdelayratio`.
    pub delay_ratio: bool,
    /// C: delay within `maxdelaydevratio` or `maxdelayquant`.
    pub delay_deviation: bool,
    /// D: no synchronisation loop.
    pub no_loop: bool,
}

impl TestResults {
    /// Tests 1, 2, 3 and 5.
    pub fn valid(&self) -> bool {
        self.duplicate && self.origin && self.timestamps && self.authentication
    }

    /// Valid, 6 and 7.
    pub fn synced(&self) -> bool {
        self.valid() && self.synchronised && self.root_distance
    }

    /// Synced, A, B, C and D.
    pub fn good(&self) -> bool {
        self.synced() && self.delay && self.delay_ratio && self.delay_deviation && self.no_loop
    }

    /// Order 1 2 3 5 6 7 A B C D.
    pub fn in_order(&self) -> [bool; 10] {
        [
            self.duplicate,
            self.origin,
            self.timestamps,
            self.authentication,
            self.synchronised,
            self.root_distance,
            self.delay,
            self.delay_ratio,
            self.delay_deviation,
            self.no_loop,
        ]
    }

    /// The ten bits of the `ntpdata` report, test 1 highest.
    pub fn bits(&self) -> u16 {
        self.in_order()
            .iter()
            .fold(0, |bits, passed| bits << 1 | u16::from(*passed))
    }
}

/// Tests 1 to 7 except 5, which the caller gives; the second value tells whether the
/// response is in interleaved mode.
pub(super) fn packet_tests(
    message: &Response,
    authentication: bool,
    exchange: &Exchange,
    interleaved_option: bool,
) -> (TestResults, bool) {
    let basic = message.header.origin == exchange.sent_transmit;
    let interleaved =
        !basic && interleaved_option && message.header.origin == exchange.sent_receive;
    let tests = TestResults {
        duplicate: message.header.receive != exchange.remote_receive
            || message.header.transmit != exchange.remote_transmit,
        origin: basic || interleaved,
        timestamps: ![
            message.header.origin,
            message.header.receive,
            message.header.transmit,
        ]
        .contains(&NtpTimestamp::ZERO),
        authentication,
        synchronised: message.header.leap != LeapIndicator::Unsynchronised
            && (1..=MAX_SYNCHRONISED_STRATUM).contains(&message.header.stratum),
        root_distance: message.root_delay_s / 2.0 + message.root_dispersion_s < MAX_DISPERSION_S,
        ..TestResults::default()
    };
    (tests, interleaved)
}

/// What tests A to D look at.
pub(super) struct Evidence<'a> {
    pub(super) message: &'a Response,
    pub(super) measurement: &'a Measurement,
    pub(super) exchange: &'a Exchange,
    pub(super) config: &'a AssociationConfig,
    pub(super) local: &'a LocalState,
    pub(super) presend_pending: bool,
    pub(super) delay_test_data: Option<DelayTestData>,
    /// Estimate of `maxdelayquant` + its margin, when configured, seconds.
    pub(super) quantile_limit_s: Option<f64>,
    /// The address that the response was sent to, if known.
    pub(super) local_address: Option<IpAddr>,
}

impl Evidence<'_> {
    /// Test A.
    pub(super) fn delay(&self) -> bool {
        let sample = &self.measurement.sample;
        let max_delay_s = self.config.max_delay_s;
        sample.peer_delay_s - sample.peer_dispersion_s <= max_delay_s
            && self.measurement.precision_term_s <= max_delay_s
            && !self.presend_pending
            && is_sane(sample.time, sample.offset_s, self.local.window_start_s)
            && match self.config.mode {
                AssociationMode::Client => self.client_conditions(),
                AssociationMode::SymmetricActive => self.symmetric_conditions(),
            }
    }

    fn client_conditions(&self) -> bool {
        // A good basic response already used the latest transmit time: a second sample
        // from it would not be independent.
        let reused = self.measurement.interleaved
            && !self.measurement.previous_pair
            && self.exchange.previous_local_transmit.is_none();
        self.measurement.response_time_s <= MAX_RESPONSE_TIME_S && !reused
    }

    /// ntp chapter, section 13.2: missed responses are detected (RFC 9769, section 4).
    fn symmetric_conditions(&self) -> bool {
        if !self.measurement.interleaved {
            return true;
        }
        let (remote_poll, local_poll) = (self.exchange.remote_poll, self.exchange.local_poll);
        let interval_s = super::poll_interval_s(remote_poll.min(local_poll));
        self.measurement.sample.peer_delay_s <= interval_s / 2.0
            && self
                .message
                .header
                .receive
                .is_after(self.message.header.transmit)
            && (remote_poll > local_poll
                || self
                    .message
                    .header
                    .transmit
                    .since(self.exchange.remote_transmit)
                    .to_seconds()
                    <= 1.5 * interval_s)
    }

    /// Test B.
    pub(super) fn delay_ratio(&self) -> bool {
        let ratio = self.config.max_delay_ratio;
        match &self.delay_test_data {
            Some(data) if ratio >= 1.0 => {
                self.measurement.sample.peer_delay_s
                    <= ratio * data.minimum_delay_s + self.growth_s(data)
            }
            _ => true,
        }
    }

    /// Test C.
    pub(super) fn delay_deviation(&self) -> bool {
        let sample = &self.measurement.sample;
        if let Some(limit_s) = self.quantile_limit_s {
            return sample.peer_delay_s <= limit_s;
        }
        let Some(data) = &self.delay_test_data else {
            return true;
        };
        let increase_s = (sample.peer_delay_s - data.minimum_delay_s) / 2.0;
        let limit_s = self.config.max_delay_dev_ratio * data.sample_sd_s + self.growth_s(data);
        // The prediction has the opposite sign (F+).
        let error_s = (sample.offset_s + data.predicted_offset_s).abs();
        increase_s <= limit_s || error_s - increase_s > limit_s
    }

    /// Test D (ntp chapter, section 10.1).
    pub(super) fn no_loop(&self) -> bool {
        if !self.local.loop_test {
            return true;
        }
        let message = self.message;
        let own = &self.local.reference;
        let synchronised_to_us = message.header.stratum > 1
            && self.local_address.map(reference_id) == Some(message.header.reference_id);
        let is_us = message.header.stratum == own.stratum
            && message.header.reference_id == own.reference_id
            && message.header.root_delay == NtpShort::from_seconds(own.root_delay_s)
            && message.header.reference_time == own.reference_time
            && own.reference_time != NtpTimestamp::ZERO;
        !synchronised_to_us && !is_us
    }

    /// How much the delay may have grown since the newest fitted sample, seconds.
    fn growth_s(&self, data: &DelayTestData) -> f64 {
        let age_s = self.measurement.sample.time.since(data.newest_time);
        age_s * (data.skew + self.local.max_clock_error)
    }
}
