//! Corrections of transparent clocks, against a recording of the reference in a simulator.

use super::super::measurement::{MeasurementSettings, measure};
use super::super::message::Response;
use super::super::timestamp::to_time;
use super::*;
use ntp_wire::{Packet, TimestampWindow};

/// Length of the PTP prefix (ntp chapter, section 14).
const PREFIX: usize = 56;

fn note_value(note: &str, key: &str) -> Option<f64> {
    let start = note.find(key)? + key.len();
    note[start..].split([' ', ';']).next()?.parse().ok()
}

#[test]
fn recorded_corrections() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/ntp/ptp_correction_sim.tsv"
    ));
    let cases = recording(text);
    assert_eq!(cases.len(), 8);
    for (name, rows) in cases {
        check(&name, &rows);
    }
}

fn response_of(row: &Row) -> Response {
    let mut config = AssociationConfig::new(AssociationMode::Client);
    config.extension_net_correction = true;
    Response::new(&Packet::parse(&row.bytes[PREFIX..]).unwrap(), &config)
}

fn check(name: &str, rows: &[Row]) {
    let [_, response, log] = rows else {
        panic!("{name}")
    };
    let columns: Vec<&str> = log
        .note
        .split(" | ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .collect();
    let recorded: Vec<f64> = columns[11..14]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let message = response_of(response);
    let ptp_correction =
        i64::from_be_bytes(response.bytes[8..16].try_into().unwrap()) as f64 / 65536.0 * 1e-9;
    let hardware = log.note.contains("rxs=H");
    let (source, error_s) = if hardware {
        (TimestampSource::Hardware, 1e-7)
    } else {
        (TimestampSource::Kernel, 0.0)
    };
    let duration_s = note_value(&log.note, "dur=").unwrap_or(0.0);
    let arrival = LocalTimestamp::new(response.time, error_s, source)
        .with_receive_duration(duration_s, ptp_correction);
    if let Some(rx_s) = note_value(&log.note, "rx=") {
        assert!((arrival.net_correction_s - rx_s).abs() < 1e-9, "{name}");
        assert!(
            (message.net_correction_s.unwrap() - note_value(&log.note, "tx=").unwrap()).abs()
                < 1e-9
        );
    }
    // The request's time as the client saw it, which is not the captured one when its
    // transmit timestamp came late or its clock was being corrected.
    let interval_s = note_value(&log.note, "local_interval=").unwrap();
    let exchange = sent_at(response.time.minus(interval_s));
    let settings = MeasurementSettings {
        precision_s: 1e-9,
        // Unknown in the first three; the dispersion shows how small it is afterwards.
        skew: if recorded[2] > 2e-7 { 2000e-6 } else { 0.0 },
        offset_correction_s: 0.0,
        window: TimestampWindow { start_s: 0 },
    };
    let measurement = measure(&message, &arrival, false, &exchange, 0.0, &settings).unwrap();
    let sample = measurement.sample;
    let close = |ours: f64, recorded: f64| (ours - recorded).abs() <= 6e-4 * recorded.abs();
    // Afterwards the recorded client's clock is not the captured one.
    if recorded[0] < -0.05 {
        assert!(close(sample.offset_s, recorded[0]), "{name}: {sample:?}");
    }
    // Three decimals are recorded.
    assert!(
        close(sample.peer_delay_s, recorded[1]),
        "{name}: {sample:?}"
    );
    assert!(
        close(sample.peer_dispersion_s, recorded[2]),
        "{name}: {sample:?}"
    );
    // The root delay is not reduced.
    assert!(
        (sample.root_delay_s - interval_s).abs() < 1e-8,
        "{name}: {sample:?}"
    );
}

fn sent_at(time: CookedTime) -> Exchange {
    let sent = LocalTimestamp::new(time, 0.0, TimestampSource::Daemon);
    Exchange {
        local_transmit: Some(sent),
        ..Exchange::default()
    }
}

#[test]
fn a_longer_way_back_is_taken_out_of_the_offset() {
    // 20 µs each way without switches, which add 10 µs there and 40 µs back.
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/ntp/ptp_correction_sim.tsv"
    ));
    let response = &recording(text)["exchange-2"][1];
    let mut message = response_of(response);
    message.header.transmit = message.header.receive;
    let settings = MeasurementSettings {
        precision_s: 1e-9,
        skew: 0.0,
        offset_correction_s: 0.0,
        window: TimestampWindow { start_s: 0 },
    };
    let served = to_time(settings.window, message.header.receive);
    let duration_s = 14e-6;
    message.net_correction_s = Some(10e-6 + duration_s);
    let arrival = LocalTimestamp::new(served.plus(60e-6), 1e-7, TimestampSource::Hardware)
        .with_receive_duration(duration_s, 40e-6);
    let exchange = sent_at(served.minus(30e-6));
    let sample = measure(&message, &arrival, false, &exchange, 0.0, &settings)
        .unwrap()
        .sample;
    assert!(sample.offset_s.abs() < 2e-9, "{sample:?}");
    assert!((sample.peer_delay_s - 40e-6).abs() < 1e-8, "{sample:?}");
    // Without hardware's word on the duration nothing is corrected.
    let plain = LocalTimestamp::new(arrival.time, 0.0, TimestampSource::Kernel);
    let sample = measure(&message, &plain, false, &exchange, 0.0, &settings)
        .unwrap()
        .sample;
    assert!((sample.offset_s + 15e-6).abs() < 2e-9, "{sample:?}");
}

#[test]
fn requests_over_ptp_are_those_recorded() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/ntp/ptp_correction_sim.tsv"
    ));
    let mut config = AssociationConfig::new(AssociationMode::Client);
    (config.min_poll, config.max_poll) = (0, 0);
    config.extension_net_correction = true;
    config.over_ptp = true;
    let mut bench = Bench::new(config, "192.168.123.1:319");
    bench.start();
    let mut checked = 0;
    for (name, rows) in recording(text) {
        let [request, response, _] = rows.as_slice() else {
            panic!("{name}")
        };
        let message = &request.bytes[PREFIX..];
        bench
            .random
            .script
            .push_back(timestamp_at(message, 40).to_bits());
        let transmission = bench.next_transmission().unwrap();
        assert_eq!(transmission.socket, SocketKind::Ptp);
        assert_eq!(transmission.payload.as_slice(), message, "{name}");
        bench.sent(request.time);
        let arrival = Arrival {
            socket: SocketKind::Ptp,
            local_address: None,
            timestamp: LocalTimestamp::new(response.time, 1e-7, TimestampSource::Hardware),
        };
        let message = &response.bytes[PREFIX..];
        let outcome =
            bench.run(|association, cx| association.handle_datagram(message, &arrival, cx));
        assert!(outcome.tests.unwrap().valid(), "{name}");
        checked += 1;
    }
    assert_eq!(checked, 8);
}
