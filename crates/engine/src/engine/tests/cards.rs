//! Timestamps of network cards.

use discipline::samples::{DeviceTime, Reading};

use super::*;
use crate::event::{Datagram, HardwareStamp, PacketTime, TimestampSource, TransmitReport};

const INTERFACE: u32 = 3;
/// The card's clock reads this when the raw clock is at the bench's start.
const CARD_START_NS: i64 = 77_000_000_000;
const START_S: i64 = 1_700_000_000;

fn card_ns(raw: RawTime) -> i64 {
    raw.as_ns() - RawTime::from_parts(START_S, 0).as_ns() + CARD_START_NS
}

impl Bench {
    fn with_card() -> Self {
        let mut bench = Self::new("port 0", Mode::Normal);
        bench.engine.attach_card(CardSettings {
            interface: INTERFACE,
            min_poll: 0,
            max_poll: 1,
            min_samples: 2,
            max_samples: 16,
            precision_s: 1e-7,
            transmit_compensation_s: 0.0,
            receive_compensation_s: 1e-6,
        });
        bench
    }

    /// Five readings of 1 µs each.
    fn read_card(&mut self) {
        let readings: Vec<Reading> = (0..5)
            .map(|index| {
                let before = self.now.raw.plus(f64::from(index) * 2e-6);
                Reading {
                    before,
                    device: DeviceTime::from_ns(card_ns(before) + 500),
                    after: before.plus(1e-6),
                }
            })
            .collect();
        self.engine
            .handle_card_readings(self.now, INTERFACE, &readings, Some(100));
    }

    /// Asks the first source for the time and answers at once. The hardware sees the packets
    /// `late_s` before the daemon. Returns the line of the measurement log.
    fn exchange(&mut self, id: SourceId, with_stamps: bool) -> Option<String> {
        let packet = loop {
            let sent = self.actions().into_iter().find_map(|action| match action {
                Action::Send(outgoing) => Some(outgoing),
                _ => None,
            });
            match sent {
                Some(sent) => break sent,
                None => self.wait(1.0),
            }
        };
        self.engine.handle_sent(self.now, id, Ok(self.now.raw));
        let request = packet.payload.as_slice().to_vec();
        let stamp = |raw: RawTime, frame_length| HardwareStamp {
            clock_ns: card_ns(raw),
            interface: INTERFACE,
            frame_length,
        };
        self.engine.handle_transmit_report(
            self.now,
            &TransmitReport {
                socket: packet.socket,
                remote: packet.remote,
                payload: &request,
                sent: None,
                hardware: with_stamps.then(|| stamp(self.now.raw.plus(10e-6), 46 + 48)),
            },
        );
        self.wait(0.001);
        let time = ntp_wire::NtpTimestamp::from_unix_ns(self.now.raw.as_ns()).to_bits();
        let mut response = [0u8; 48];
        response[0] = 0x24;
        response[1] = 1;
        response[2] = request[2];
        response[3] = 0xec;
        response[16..24].copy_from_slice(&time.to_be_bytes());
        response[24..32].copy_from_slice(&request[40..48]);
        response[32..40].copy_from_slice(&time.to_be_bytes());
        response[40..48].copy_from_slice(&time.to_be_bytes());
        self.engine.handle_datagram(
            self.now,
            &Datagram {
                socket: packet.socket,
                remote: packet.remote,
                local: None,
                interface: INTERFACE,
                payload: &response,
                received: PacketTime {
                    raw: self.now.raw.minus(1e-9),
                    source: TimestampSource::Kernel,
                },
                hardware: with_stamps.then(|| stamp(self.now.raw.minus(20e-6), 0)),
            },
        );
        let mut lines = self.engine.journal().drain().rev();
        lines.find_map(|entry| match entry {
            Entry::Line { text, .. } => Some(text),
            Entry::Message { .. } => None,
        })
    }
}

#[test]
fn readings_are_asked_for_when_they_are_old() {
    let mut bench = Bench::with_card();
    assert!(bench.engine.card_reading_due(bench.now, INTERFACE));
    assert!(!bench.engine.card_reading_due(bench.now, 9), "no such card");
    bench.wait(100.0);
    assert!(bench.actions().is_empty(), "not before the first timestamp");
    bench.read_card();
    assert!(!bench.engine.card_reading_due(bench.now, INTERFACE));
    bench.wait(1.0);
    assert!(bench.engine.card_reading_due(bench.now, INTERFACE));
    bench.wait(1.0);
    assert!(matches!(
        bench.actions()[..],
        [Action::ReadCard {
            interface: INTERFACE
        }]
    ));
    bench.wait(50.0);
    assert!(bench.actions().is_empty(), "the answer has not come yet");
}

#[test]
fn timestamps_of_a_tracked_card_are_used() {
    let mut bench = Bench::with_card();
    let measurements = discipline::journal::LogFile::Measurements;
    bench.engine.journal().enable(measurements, true);
    let id = bench.add(
        SourceKind::Server,
        "192.0.2.9 minpoll 4 maxpoll 4",
        Origin::Configuration,
    )[0];
    bench.engine.all_sources_added(bench.now);
    let line = bench.exchange(id, true).unwrap();
    assert!(line.ends_with(" 4B D K"), "not tracked yet: {line}");
    for _ in 0..4 {
        bench.read_card();
        bench.wait(1.0);
    }
    let line = bench.exchange(id, true).unwrap();
    assert!(line.ends_with(" 4B H H"), "{line}");
    // Sent 10 µs after, received 20 µs before the daemon's time, moved to the end of a frame of
    // 46 + 48 bytes at 100 Mb/s (7.84 µs, learned from the looped frame), less rxcomp.
    let delay_s: f64 = line.split_whitespace().nth(12).unwrap().parse().unwrap();
    let expected_s = 1e-3 - 30e-6 + 7.84e-6 - 1e-6;
    assert!((delay_s - expected_s).abs() < 1e-6, "{delay_s} {line}");
    let line = bench.exchange(id, false).unwrap();
    assert!(line.ends_with(" 4B D K"), "{line}");
    bench.engine.set_server_open(true);
    bench.engine.publish(bench.now);
    let mut snapshots = bench.engine.server_snapshots();
    let card = *snapshots.get().card(INTERFACE).unwrap();
    let raw = card.sent(&HardwareStamp {
        clock_ns: card_ns(bench.now.raw),
        interface: INTERFACE,
        frame_length: 0,
    });
    assert!(raw.raw.since(bench.now.raw).abs() < 1e-7, "{raw:?}");
}

#[test]
fn a_foreign_step_voids_the_tracking() {
    let mut bench = Bench::with_card();
    for _ in 0..3 {
        bench.read_card();
        bench.wait(1.0);
    }
    bench.engine.set_server_open(true);
    bench.engine.publish(bench.now);
    assert!(
        bench
            .engine
            .server_snapshots()
            .get()
            .card(INTERFACE)
            .is_some()
    );
    bench.now.raw = bench.now.raw.plus(1000.0);
    bench.wait(1.0);
    bench.engine.publish(bench.now);
    assert!(
        bench
            .engine
            .server_snapshots()
            .get()
            .card(INTERFACE)
            .is_none()
    );
}
