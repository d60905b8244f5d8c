//! Any bytes as responses and reports to a client or symmetric association.
#![no_main]

use discipline::journal::Journal;
use discipline::samples::{SourceStatistics, StatisticsSettings};
use discipline::time::{CookedTime, MonotonicTime, RawTime};
use engine::association::{
    Arrival, Association, AssociationConfig, AssociationMode, Context, LocalState, LocalTimestamp,
    MonotonicScale, NoAuthentication, OwnReference, SocketKind, TransmissionSchedule,
};
use engine::event::{Now, TimestampSource};
use engine::random::SeededRandom;
use libfuzzer_sys::fuzz_target;

const PRECISION_S: f64 = 1e-8;

fn local_state() -> LocalState {
    LocalState {
        precision_s: PRECISION_S,
        precision_log2: -27,
        max_clock_error: 1e-6,
        window_start_s: 0,
        reference: OwnReference {
            leap: ntp_wire::LeapIndicator::Normal,
            stratum: 3,
            reference_id: 1,
            reference_time: ntp_wire::NtpTimestamp::from_bits(1),
            root_delay_s: 0.1,
            root_dispersion_s: 0.1,
        },
        monotonic: MonotonicScale {
            epoch: 1,
            correction_s: 0.0,
        },
        loop_test: true,
        late_timestamp_timeout_s: 1e-3,
        log_raw_measurements: true,
        leap_second_s: None,
    }
}

/// Copies the timestamps that make an answer into `message`, as `flags` says, so that the
/// fuzzer gets behind the origin test.
fn answer(request: &[u8], message: &mut [u8], flags: u8, mode: u8) {
    let (Some(first), Some(origin)) = (request.get(40..48), message.get_mut(24..32)) else {
        return;
    };
    if flags & 1 != 0 {
        origin.copy_from_slice(first);
        message[0] = message[0] & 0xc0 | 4 << 3 | mode;
    }
}

fn run(data: &[u8]) {
    let Some((&options, mut rest)) = data.split_first() else {
        return;
    };
    let peer = options & 1 != 0;
    let mode = if peer {
        AssociationMode::SymmetricActive
    } else {
        AssociationMode::Client
    };
    let mut config = AssociationConfig::new(mode);
    config.interleaved = options & 2 != 0;
    config.extension_monotonic_root = options & 4 != 0;
    config.extension_net_correction = options & 8 != 0;
    config.filter_length = usize::from(options >> 4 & 3);
    config.copy = options & 64 != 0;
    config.max_delay_quantile = f64::from(options >> 7) / 2.0;
    let remote = std::net::SocketAddr::from(([192, 0, 2, 1], 123));
    let mut association = Association::new(config, remote, 1, PRECISION_S);
    let mut statistics = SourceStatistics::new(StatisticsSettings::default());
    let mut schedule = TransmissionSchedule::new();
    let mut journal = Journal::new();
    journal.enable(discipline::journal::LogFile::Measurements, true);
    let mut random = SeededRandom::new(1);
    let local = local_state();
    let mut authenticator = NoAuthentication;
    let mut elapsed_ns: i64 = 1_000_000_000;
    let mut started = false;
    while let [flags, length, tail @ ..] = rest {
        let cooked = CookedTime::from_ns(1_795_000_000_000_000_000 + elapsed_ns);
        let mut cx = Context {
            now: Now {
                raw: RawTime::from_ns(cooked.as_ns()),
                monotonic: MonotonicTime::from_ns(elapsed_ns),
            },
            now_cooked: cooked,
            selected: false,
            local: &local,
            statistics: &mut statistics,
            authenticator: &mut authenticator,
            schedule: &mut schedule,
            random: &mut random,
            journal: &mut journal,
        };
        if !started {
            association.start(&mut cx);
            started = true;
        }
        let stamp = LocalTimestamp::new(cooked, 0.0, TimestampSource::Kernel);
        let outcome = association.handle_timeout(&mut cx);
        let request = outcome
            .transmission
            .map(|transmission| transmission.payload);
        if request.is_some() {
            association.handle_sent(Ok(stamp), &mut cx);
        }
        let (message, after) = tail.split_at(usize::from(*length).min(tail.len()));
        let mut message = message.to_vec();
        if let Some(request) = &request {
            answer(
                request.as_slice(),
                &mut message,
                *flags,
                if peer { 1 } else { 4 },
            );
        }
        let arrival = Arrival {
            socket: if peer {
                SocketKind::Server
            } else {
                SocketKind::Client
            },
            local_address: Some(remote.ip()),
            timestamp: stamp,
        };
        association.handle_datagram(&message, &arrival, &mut cx);
        association.handle_transmit_timestamp(&message, stamp, &mut cx);
        journal.drain();
        rest = after;
        elapsed_ns += i64::from(flags >> 1) * 1_000_000_000;
    }
}

fuzz_target!(|data: &[u8]| run(data));
