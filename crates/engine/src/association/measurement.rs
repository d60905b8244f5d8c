//! From four timestamps to a sample (ntp chapter, sections 12 and 14.1).

use discipline::samples::Sample;
use discipline::time::CookedTime;

use ntp_wire::{NtpTimestamp, TimestampWindow};

use super::context::LocalTimestamp;
use super::exchange::Exchange;
use super::message::Response;
use super::timestamp::to_time;

/// The largest frequency uncertainty of a source that is used, s/s (ntp chapter, section
/// 12).
const MAX_SKEW: f64 = 2000e-6;
/// An interleaved response uses the previous pair of timestamps when its request came
/// this much later than the previous exchange lasted (ntp chapter, section 12).
const PREVIOUS_PAIR_RATIO: f64 = 0.1;
/// Network corrections are reduced by the largest expected frequency error of the devices
/// that made them (ntp chapter, section 14.1).
const NET_CORRECTION_FREQUENCY_ERROR: f64 = 1e-4;

/// What a measurement is computed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct MeasurementSettings {
    /// Clock precision q, seconds.
    pub(super) precision_s: f64,
    /// Skew of the source, s/s.
    pub(super) skew: f64,
    /// Option `offset`, seconds.
    pub(super) offset_correction_s: f64,
    pub(super) window: TimestampWindow,
}

/// A sample with what the tests and reports need besides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measurement {
    pub(super) sample: Sample,
    /// π, seconds.
    pub(super) precision_term_s: f64,
    /// Processing time of the server, seconds.
    pub(super) response_time_s: f64,
    /// The response is in interleaved mode.
    pub(super) interleaved: bool,
    /// An interleaved response was evaluated with the timestamps of the previous exchange.
    pub(super) previous_pair: bool,
    /// T1
    pub(super) transmitted: LocalTimestamp,
    /// T4
    pub(super) received: LocalTimestamp,
}

/// The timestamps of RFC 5905 with the values that belong to them.
struct Timestamps {
    t1: LocalTimestamp,
    t2: CookedTime,
    t3: CookedTime,
    t4: LocalTimestamp,
    root_delay_s: f64,
    root_dispersion_s: f64,
    response_time_s: f64,
    request_net_correction_s: f64,
    previous_pair: bool,
}

/// Evaluates a response. `monotonic_change_s`: correction of the server's clock since the
/// previous response. `None` when a local timestamp is missing.
pub(super) fn measure(
    message: &Response,
    arrival: &LocalTimestamp,
    interleaved: bool,
    exchange: &Exchange,
    monotonic_change_s: f64,
    settings: &MeasurementSettings,
) -> Option<Measurement> {
    let chosen = if interleaved {
        choose_interleaved(message, exchange, monotonic_change_s, settings.window)?
    } else {
        choose_basic(message, arrival, exchange, settings.window)?
    };
    let precision_term_s =
        settings.precision_s + super::poll_interval_s(message.header.precision_log2);
    let local_s = chosen.t4.time.since(chosen.t1.time);
    let remote_s = chosen.t3.since(chosen.t2);
    let mut delay_s = (local_s - remote_s).abs().max(precision_term_s);
    let local_middle = chosen.t1.time.plus(local_s / 2.0);
    let mut offset_s = chosen.t2.plus(remote_s / 2.0).since(local_middle);
    if let Some((total_s, difference_s)) = net_correction(&chosen, delay_s) {
        offset_s += difference_s / 2.0;
        delay_s = (delay_s - total_s).max(precision_term_s);
    }
    let dispersion_s = precision_term_s
        .max(chosen.t1.error_s)
        .max(chosen.t4.error_s)
        + settings.skew.min(MAX_SKEW) * local_s.abs();
    // Root delay has the delay before the correction (ntp chapter, section 14.1).
    let uncorrected_delay_s = (local_s - remote_s).abs().max(precision_term_s);
    Some(Measurement {
        sample: Sample {
            time: local_middle,
            offset_s: offset_s + settings.offset_correction_s,
            peer_delay_s: delay_s,
            peer_dispersion_s: dispersion_s,
            root_delay_s: chosen.root_delay_s + uncorrected_delay_s,
            root_dispersion_s: chosen.root_dispersion_s + dispersion_s,
        },
        precision_term_s,
        response_time_s: chosen.response_time_s.abs(),
        interleaved,
        previous_pair: chosen.previous_pair,
        transmitted: chosen.t1,
        received: chosen.t4,
    })
}

fn choose_basic(
    message: &Response,
    arrival: &LocalTimestamp,
    exchange: &Exchange,
    window: TimestampWindow,
) -> Option<Timestamps> {
    let t2 = to_time(window, message.header.receive);
    let t3 = to_time(window, message.header.transmit);
    Some(Timestamps {
        t1: exchange.local_transmit?,
        t2,
        t3,
        t4: *arrival,
        root_delay_s: message.root_delay_s,
        root_dispersion_s: message.root_dispersion_s,
        response_time_s: t3.since(t2),
        request_net_correction_s: message.net_correction_s.unwrap_or(0.0),
        previous_pair: false,
    })
}

fn choose_interleaved(
    message: &Response,
    exchange: &Exchange,
    monotonic_change_s: f64,
    window: TimestampWindow,
) -> Option<Timestamps> {
    // Timestamps of the previous exchange are moved to the server's present scale.
    let previous = |timestamp: NtpTimestamp| to_time(window, timestamp).minus(monotonic_change_s);
    let latest = exchange.local_transmit?;
    let t4 = exchange.local_receive?;
    let previous_receive = previous(exchange.remote_receive);
    let t3 = previous(message.header.transmit);
    let response_time_s = t3.since(previous_receive);
    let pair = exchange.previous_local_transmit.filter(|transmit| {
        PREVIOUS_PAIR_RATIO * latest.time.since(t4.time) > t4.time.since(transmit.time)
    });
    Some(match pair {
        Some(t1) => Timestamps {
            t1,
            t2: previous_receive,
            t3,
            t4,
            root_delay_s: exchange.remote_root_delay_s,
            root_dispersion_s: exchange.remote_root_dispersion_s,
            response_time_s,
            request_net_correction_s: exchange.request_net_correction_s,
            previous_pair: true,
        },
        None => Timestamps {
            t1: latest,
            t2: to_time(window, message.header.receive),
            t3,
            t4,
            root_delay_s: message.root_delay_s.max(exchange.remote_root_delay_s),
            root_dispersion_s: message
                .root_dispersion_s
                .max(exchange.remote_root_dispersion_s),
            response_time_s,
            request_net_correction_s: message.net_correction_s.unwrap_or(0.0),
            previous_pair: false,
        },
    })
}

/// What transparent clocks added to the delay in both directions, and by how much more on
/// the way back, seconds (ntp chapter, section 14.1). `None` without usable corrections.
fn net_correction(chosen: &Timestamps, delay_s: f64) -> Option<(f64, f64)> {
    let duration_s = chosen.t4.receive_duration_s;
    if chosen.t4.net_correction_s <= duration_s || chosen.request_net_correction_s <= 0.0 {
        return None;
    }
    let response_s = chosen.t4.net_correction_s - duration_s;
    let request_s = chosen.request_net_correction_s - duration_s;
    let total_s = (request_s + response_s) * (1.0 - NET_CORRECTION_FREQUENCY_ERROR);
    (0.0..=delay_s)
        .contains(&total_s)
        .then_some((total_s, response_s - request_s))
}
