//! Rules that the captures do not show.

use std::net::SocketAddr;
use std::sync::Arc;

use discipline::time::{CookedTime, RawTime};
use ntp_wire::ptp::{PREFIX_LENGTH, PtpPrefix};
use ntp_wire::{
    Header, LeapIndicator, MessageWriter, Mode, NetworkCorrection, NtpInterval, NtpTimestamp,
    Packet,
};

use super::harness::{Server, Setup};
use crate::event::{PacketTime, TimestampSource};
use crate::random::SeededRandom;
use crate::server::broadcast::broadcast_header;
use crate::server::responder::{Outcome, Request};
use crate::server::snapshot::Smoothing;
use crate::server::statistics::OtherCounts;
use crate::server::timestamps::ClockAdjustments;

const NOW: RawTime = RawTime::from_ns(1_795_471_883_000_000_000);

fn remote() -> SocketAddr {
    "192.0.2.1:4123".parse().unwrap()
}

fn request(payload: &[u8]) -> Request<'_> {
    Request {
        payload,
        remote: remote(),
        on_ptp: false,
        received: PacketTime {
            raw: NOW,
            source: TimestampSource::Kernel,
        },
        receive_duration_s: None,
        from_association: false,
    }
}

fn packet(mode: Mode) -> Header {
    Header {
        version: 4,
        mode,
        transmit: NtpTimestamp::from_bits(7),
        ..Header::default()
    }
}

fn respond(server: &mut Server, request: &Request<'_>) -> Outcome {
    let sent = NOW.plus(20e-6);
    server
        .responder
        .respond(request, &server.snapshot, || sent, &mut server.buffer)
}

fn reply(server: &mut Server, request: &Request<'_>) -> Header {
    let outcome = respond(server, request);
    assert!(matches!(outcome, Outcome::Reply { .. }), "{outcome:?}");
    Header::parse(server.buffer.first_chunk().unwrap())
}

#[test]
fn packets_of_sources_are_for_their_associations() {
    let mut server = Server::new(Setup::default());
    server.snapshot.sources = Arc::new([remote()]);
    for mode in (0..8).map(Mode::from_bits) {
        let bytes = packet(mode).to_bytes();
        let outcome = respond(&mut server, &request(&bytes));
        assert_eq!(outcome == Outcome::ForAssociation, mode != Mode::Client);
    }
    let bytes = packet(Mode::SymmetricActive).to_bytes();
    let passed_on = Request {
        from_association: true,
        ..request(&bytes)
    };
    assert_eq!(reply(&mut server, &passed_on).mode, Mode::SymmetricPassive);
}

#[test]
fn smoothing_is_for_servers_only() {
    let mut server = Server::new(Setup::default());
    server.snapshot.reference.leap = LeapIndicator::InsertSecond;
    server.snapshot.smoothing = Some(Smoothing {
        at: CookedTime::ZERO,
        offset_s: -0.25,
        frequency: 0.0,
        wander: 0.0,
        hides_leap: true,
    });
    let served = reply(&mut server, &request(&packet(Mode::Client).to_bytes()));
    let passive = reply(
        &mut server,
        &request(&packet(Mode::SymmetricActive).to_bytes()),
    );
    let difference = served.receive.since(passive.receive).to_seconds();
    assert!((difference + 0.25).abs() < 1e-7);
    assert_eq!(served.reference_id, ntp_wire::REFERENCE_ID_SMOOTHED);
    assert_eq!(passive.reference_id, ntp_wire::REFERENCE_ID_LOCAL);
    assert_eq!(served.leap, LeapIndicator::Normal);
    assert_eq!(passive.leap, LeapIndicator::InsertSecond);
    let broadcast = broadcast_header(&server.snapshot, 64.0, NOW, &mut SeededRandom::new(1));
    assert_eq!(broadcast.leap, LeapIndicator::Normal);
    assert_eq!(broadcast.reference_id, ntp_wire::REFERENCE_ID_LOCAL);
    assert_eq!(broadcast.poll_log2, 6);
    let shift = broadcast.transmit.since(passive.receive).to_seconds();
    assert!((shift + 0.25).abs() < 1e-7);
}

#[test]
fn smoothed_kernel_timestamps_are_saved() {
    let mut server = Server::new(Setup::default());
    server.snapshot.smoothing = Some(Smoothing {
        at: CookedTime::ZERO,
        offset_s: 3.0,
        frequency: 0.0,
        wander: 0.0,
        hides_leap: false,
    });
    let first = Header {
        origin: NtpTimestamp::from_bits(1),
        receive: NtpTimestamp::from_bits(2),
        ..packet(Mode::Client)
    };
    let answer = reply(&mut server, &request(&first.to_bytes()));
    let sent = PacketTime {
        raw: NOW.plus(50e-6),
        source: TimestampSource::Hardware,
    };
    let payload = server.buffer;
    // The clock was moved back by 1 ms before the timestamp was cooked.
    server.snapshot.adjustments = ClockAdjustments {
        count: 1,
        latest_offset_s: 1e-3,
    };
    server.snapshot.time.correction_s -= 1e-3;
    server
        .responder
        .note_transmit(&payload[..48], false, sent, &server.snapshot);
    let second = Header {
        origin: answer.receive,
        receive: NtpTimestamp::from_bits(3),
        transmit: NtpTimestamp::from_bits(4),
        ..packet(Mode::Client)
    };
    let interleaved = reply(&mut server, &request(&second.to_bytes()));
    assert_eq!(interleaved.origin.to_bits(), 3);
    let after_s = interleaved.transmit.since(answer.receive).to_seconds();
    assert!((after_s - 50e-6).abs() < 3e-8, "{after_s}");

    let statistics = server.shared.statistics(OtherCounts {
        cmd_hits: 3,
        ..OtherCounts::default()
    });
    assert_eq!((statistics.ntp_hits, statistics.cmd_hits), (2, 3));
    assert_eq!(statistics.ntp_interleaved_hits, 1);
    assert_eq!(statistics.ntp_timestamps, 2);
    assert_eq!(statistics.ntp_kernel_rx_timestamps, 2);
    assert_eq!(statistics.ntp_daemon_tx_timestamps, 1);
    assert_eq!(statistics.ntp_hw_tx_timestamps, 1);
}

#[test]
fn corrections_of_the_network_are_told() {
    let mut server = Server::new(Setup::default());
    server.snapshot.ptp_domain = Some(123);
    let correction = |server: &mut Server, units: i64, source, receive_duration_s| {
        let mut payload = [0; PREFIX_LENGTH + 76];
        let (head, message) = payload.split_first_chunk_mut().unwrap();
        let mut prefix = PtpPrefix::new(76, 123, 0);
        prefix.correction = units;
        prefix.emit(head);
        let mut writer = MessageWriter::new(message);
        writer.header(&packet(Mode::Client)).unwrap();
        let field = NetworkCorrection::default().to_body();
        writer.extension(0x010a, &field).unwrap();
        let mut seen = request(&payload);
        seen.on_ptp = true;
        seen.received.source = source;
        seen.receive_duration_s = receive_duration_s;
        let Outcome::Reply { length, .. } = respond(server, &seen) else {
            panic!("no reply");
        };
        let message = &server.buffer[PREFIX_LENGTH..length];
        let field = Packet::parse(message).unwrap().network_correction();
        field.unwrap().correction.to_seconds()
    };
    let hardware = TimestampSource::Hardware;
    // 1 µs in PTP's units, and a duration of 2 µs.
    let told = correction(&mut server, 65_536_000, hardware, Some(2e-6));
    assert!((told - 3e-6).abs() < 1e-9);
    assert_eq!(
        correction(&mut server, -65_536_000, hardware, Some(2e-6)),
        0.0
    );
    assert_eq!(correction(&mut server, 65_536_000, hardware, None), 0.0);
    let kernel = TimestampSource::Kernel;
    assert_eq!(correction(&mut server, 65_536_000, kernel, Some(2e-6)), 0.0);
    assert_eq!(NtpInterval::from_seconds(0.0), NtpInterval::ZERO);
}

#[test]
fn without_a_client_log_nothing_is_kept() {
    let mut server = Server::new(Setup {
        client_log: false,
        ..Setup::default()
    });
    let asked = Header {
        origin: NtpTimestamp::from_bits(1),
        ..packet(Mode::Client)
    };
    let outcome = respond(&mut server, &request(&asked.to_bytes()));
    let expected = Outcome::Reply {
        length: 48,
        wants_timestamp: false,
    };
    assert_eq!(outcome, expected);
    assert_eq!(
        server
            .shared
            .statistics(OtherCounts::default())
            .ntp_timestamps,
        0
    );
}
