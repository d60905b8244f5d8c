//! What is told about exchanges: the `ntpdata` report (ntp chapter, section 18) and lines
//! of `measurements.log` (discipline chapter, section 19).

use std::net::IpAddr;

use discipline::samples::padded_exponent;
use discipline::time::CookedTime;
use ntp_wire::{LeapIndicator, Mode, NtpTimestamp};

use super::context::{Arrival, LocalTimestamp};
use super::exchange::Exchange;
use super::measurement::Measurement;
use super::message::Response;
use super::verdict::TestResults;
use crate::event::TimestampSource;

/// Counters of the `ntpdata` report since the address was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounters {
    /// Packets sent.
    pub sent: u64,
    /// Packets from the address and port of the source, except mode 3.
    pub received: u64,
    /// Packets that passed tests 1, 2, 3 and 5.
    pub valid: u64,
    /// Packets that passed all tests.
    pub good: u64,
    /// Kernel timestamps of packets sent.
    pub kernel_transmit_timestamps: u64,
    /// Kernel timestamps of packets received.
    pub kernel_receive_timestamps: u64,
    /// Hardware timestamps of packets sent.
    pub hardware_transmit_timestamps: u64,
    /// Hardware timestamps of packets received.
    pub hardware_receive_timestamps: u64,
}

/// The last valid packet; all zero before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NtpDataReport {
    /// The address that the packet was sent to.
    pub local_address: Option<IpAddr>,
    /// Leap status as received.
    pub leap: LeapIndicator,
    /// NTP version.
    pub version: u8,
    /// NTP mode.
    pub mode: Mode,
    /// Stratum as received.
    pub stratum: u8,
    /// Poll as received, log2 seconds.
    pub poll: i8,
    /// Precision as received, log2 seconds.
    pub precision: i8,
    /// Root delay (of field F323, if used), seconds.
    pub root_delay_s: f64,
    /// Root dispersion (of field F323, if used), seconds.
    pub root_dispersion_s: f64,
    /// Reference ID as received.
    pub reference_id: u32,
    /// Reference time as received.
    pub reference_time: NtpTimestamp,
    /// Offset (positive: source ahead of the local clock), seconds; 0 if not evaluated.
    pub offset_s: f64,
    /// Peer delay, seconds; 0 if not evaluated.
    pub peer_delay_s: f64,
    /// Peer dispersion, seconds; 0 if not evaluated.
    pub peer_dispersion_s: f64,
    /// Processing time of the server, seconds; 0 if not evaluated.
    pub response_time_s: f64,
    /// Results of the tests.
    pub tests: TestResults,
    /// Whether it was in interleaved mode.
    pub interleaved: bool,
    /// Who took the transmit timestamp; `None` before the first valid packet.
    pub transmit_source: Option<TimestampSource>,
    /// Who took the receive timestamp; `None` before the first valid packet.
    pub receive_source: Option<TimestampSource>,
}

impl NtpDataReport {
    pub(super) fn new(
        message: &Response,
        arrival: &Arrival,
        interleaved: bool,
        tests: &TestResults,
        measurement: Option<&Measurement>,
        exchange: &Exchange,
    ) -> Self {
        let sample = measurement.map(|measurement| measurement.sample);
        let transmitted = measurement
            .map(|measurement| measurement.transmitted)
            .or(exchange.local_transmit);
        let received = measurement.map_or(arrival.timestamp, |measurement| measurement.received);
        Self {
            local_address: arrival.local_address,
            leap: message.header.leap,
            version: message.header.version,
            mode: message.header.mode,
            stratum: message.header.stratum,
            poll: message.header.poll_log2,
            precision: message.header.precision_log2,
            root_delay_s: message.root_delay_s,
            root_dispersion_s: message.root_dispersion_s,
            reference_id: message.header.reference_id,
            reference_time: message.header.reference_time,
            offset_s: sample.map_or(0.0, |sample| sample.offset_s),
            peer_delay_s: sample.map_or(0.0, |sample| sample.peer_delay_s),
            peer_dispersion_s: sample.map_or(0.0, |sample| sample.peer_dispersion_s),
            response_time_s: measurement.map_or(0.0, |measurement| measurement.response_time_s),
            tests: *tests,
            interleaved,
            transmit_source: transmitted.map(|timestamp| timestamp.source),
            receive_source: Some(received.source),
        }
    }
}

/// What a line of `measurements.log` is made of.
pub(super) struct MeasurementRow<'a> {
    pub(super) name: &'a str,
    pub(super) message: &'a Response,
    pub(super) tests: &'a TestResults,
    pub(super) interleaved: bool,
    pub(super) measurement: Option<&'a Measurement>,
    pub(super) arrival: &'a LocalTimestamp,
    pub(super) sent_source: TimestampSource,
    pub(super) poll: i8,
    pub(super) score: f64,
}

impl MeasurementRow<'_> {
    pub(super) fn to_line(&self) -> String {
        let message = self.message;
        let (time, offset_s, delay_s, dispersion_s) = match self.measurement {
            Some(Measurement { sample, .. }) => (
                sample.time,
                sample.offset_s,
                sample.peer_delay_s,
                sample.peer_dispersion_s,
            ),
            None => (self.arrival.time, 0.0, 0.0, 0.0),
        };
        let (transmit_source, receive_source) = match self.measurement {
            Some(measurement) => (measurement.transmitted.source, measurement.received.source),
            None => (self.sent_source, self.arrival.source),
        };
        let mut tests = String::with_capacity(13);
        for (index, passed) in self.tests.in_order().into_iter().enumerate() {
            if index == 3 || index == 6 {
                tests.push(' ');
            }
            tests.push(if passed { '1' } else { '0' });
        }
        format!(
            "{} {:<15} {} {:2} {tests}  {:2} {:2} {:4.2} {} {} {} {} {} {:08X} {}{} {} {}",
            date_and_time(time),
            self.name,
            message.header.leap.letter(),
            message.header.stratum,
            self.poll,
            message.header.poll_log2,
            self.score,
            exponent(offset_s),
            exponent(delay_s),
            exponent(dispersion_s),
            exponent(message.root_delay_s),
            exponent(message.root_dispersion_s),
            message.header.reference_id,
            message.header.mode.bits(),
            if self.interleaved { 'I' } else { 'B' },
            source_character(transmit_source),
            source_character(receive_source),
        )
    }
}

fn date_and_time(time: CookedTime) -> String {
    time.utc().to_string()
}

/// The letter of logs and reports (ntp chapter, section 15.1).
pub fn source_character(source: TimestampSource) -> char {
    match source {
        TimestampSource::Daemon => 'D',
        TimestampSource::Kernel => 'K',
        TimestampSource::Hardware => 'H',
    }
}

/// `%10.3e` of C.
fn exponent(value: f64) -> String {
    padded_exponent(value, 10, 3)
}
