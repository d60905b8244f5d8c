//! A server whose times and random bits are chosen so that it repeats a recorded response.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};

use chrony_conf::access::{AccessRule, Subnet};
use chrony_conf::limits::RateLimit as Limit;
use discipline::time::RawTime;
use ntp_wire::{
    Header, Key, KeyKind, KeyRing, LeapIndicator, MonotonicRoot, NtpInterval, NtpTimestamp, Packet,
    REFERENCE_ID_LOCAL, REFERENCE_ID_SMOOTHED, TimestampWindow,
};

use crate::event::{PacketTime, TimestampSource};
use crate::random::{RandomSource, SeededRandom};
use crate::server::client_log::{ClientLog, Limits};
use crate::server::responder::{Outcome, Request, Responder, ResponseBuffer, ServerShared};
use crate::server::snapshot::{ServedReference, ServerSnapshot, Smoothing, TimeModel};

/// Correction of the raw clock in all tests, so that raw and cooked time are not mixed up.
const CORRECTION_S: f64 = 0.125;
/// Offset of smoothed time where it is in use.
const SMOOTHING_S: f64 = 0.5;
/// The captures are all of this era.
const WINDOW: TimestampWindow = TimestampWindow { start_s: 0 };
/// Random bits of timestamps at `clockprecision 10e-9`.
const RANDOM_MASK: u64 = 0b11111;

/// One line of a capture.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) direction: String,
    /// Capture time; zero where nothing was sent.
    pub(super) time: RawTime,
    pub(super) source: Option<SocketAddr>,
    pub(super) destination_port: u16,
    pub(super) was_sent: bool,
    pub(super) data: Vec<u8>,
    pub(super) note: String,
}

/// The text of a capture file.
pub(super) fn text(file: &str) -> String {
    let path = format!(
        "{}/../../tests/data/ntp/{file}.tsv",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(path).unwrap()
}

/// The lines of a capture file.
pub(super) fn rows(file: &str) -> Vec<Row> {
    text(file)
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("case\t"))
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let port = columns[5].parse::<u16>().ok();
            let address = columns[4].parse::<IpAddr>().ok();
            Row {
                case: columns[0].into(),
                direction: columns[2].into(),
                time: capture_time(columns[3]),
                source: address.zip(port).map(SocketAddr::from),
                destination_port: columns[7].parse().unwrap_or(0),
                was_sent: columns[8] != "-",
                data: unhex(columns[9]),
                note: columns.get(10).copied().unwrap_or_default().into(),
            }
        })
        .collect()
}

/// Requests with their responses, in order.
pub(super) fn exchanges(file: &str) -> Vec<(Row, Option<Row>)> {
    let rows = rows(file);
    let mut pairs = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while let Some(request) = rows.next() {
        if request.direction != "C>S" {
            continue;
        }
        let response = rows.next_if(|row| row.direction == "S>C");
        pairs.push((request, response.filter(|response| response.was_sent)));
    }
    pairs
}

fn capture_time(text: &str) -> RawTime {
    let Some((seconds, fraction)) = text.split_once('.') else {
        return RawTime::ZERO;
    };
    let ns = format!("{fraction:0<9}").parse().unwrap();
    RawTime::from_parts(seconds.parse().unwrap(), ns)
}

pub(super) fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .filter(|pair| pair.len() == 2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The key file in the comments of macs.tsv.
pub(super) fn golden_keys() -> &'static Arc<KeyRing> {
    static KEYS: LazyLock<Arc<KeyRing>> = LazyLock::new(|| Arc::new(read_keys()));
    &KEYS
}

fn read_keys() -> KeyRing {
    KeyRing::new(text("macs").lines().filter_map(|line| {
        let words: Vec<&str> = line.strip_prefix("# ")?.split(' ').collect();
        let id = words.first()?.parse().ok()?;
        let (kind, secret) = match words.as_slice() {
            [_, kind, secret] => (KeyKind::from_name(kind)?, *secret),
            [_, secret] => (KeyKind::Md5, *secret),
            _ => return None,
        };
        let secret = match secret.split_once(':') {
            Some(("HEX", hex)) => unhex(hex),
            Some(("ASCII", text)) => text.into(),
            _ => secret.into(),
        };
        Some(Key::new(id, kind, &secret).unwrap())
    }))
}

/// Random bits from a script: those of timestamps by `next_u64`, those of rate limiting by
/// `next_u32`.
#[derive(Debug, Default)]
pub(super) struct Script {
    timestamps: VecDeque<u64>,
    decisions: VecDeque<u32>,
    pub(super) decisions_drawn: usize,
}

struct ScriptedRandom(Arc<Mutex<Script>>);

impl RandomSource for ScriptedRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }

    fn next_u64(&mut self) -> u64 {
        let next = self.0.lock().unwrap().timestamps.pop_front();
        next.unwrap_or_default()
    }

    fn next_u32(&mut self) -> u32 {
        let mut script = self.0.lock().unwrap();
        script.decisions_drawn += 1;
        script.decisions.pop_front().unwrap()
    }
}

/// The instant (cooked, nanoseconds) whose timestamp equals `timestamp` but for the random
/// bits, and what the random bits must be.
fn instant(timestamp: NtpTimestamp) -> (i64, u64) {
    let near = WINDOW.to_unix_ns(timestamp);
    (near - 1..near + 10)
        .find_map(|ns| {
            let difference = NtpTimestamp::from_unix_ns(ns).to_bits() ^ timestamp.to_bits();
            (difference & !RANDOM_MASK == 0).then_some((ns, difference))
        })
        .unwrap()
}

/// The raw time of a cooked instant, less the smoothed offset.
fn raw(cooked_ns: i64, smoothing_s: f64) -> RawTime {
    RawTime::from_ns(cooked_ns).minus(CORRECTION_S + smoothing_s)
}

/// How a server is configured.
pub(super) struct Setup {
    pub(super) client_log: bool,
    pub(super) rate_limit: Limit,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            client_log: true,
            rate_limit: Limit::NTP,
        }
    }
}

/// A server under test.
pub(super) struct Server {
    pub(super) shared: Arc<ServerShared>,
    pub(super) responder: Responder,
    pub(super) snapshot: ServerSnapshot,
    pub(super) script: Arc<Mutex<Script>>,
    pub(super) buffer: ResponseBuffer,
}

/// What a server did, beside the outcome.
pub(super) struct Answered {
    pub(super) outcome: Outcome,
    pub(super) decisions_drawn: usize,
}

impl Server {
    /// `allow all; deny 127.0.0.66`, the golden keys, local stratum 5.
    pub(super) fn new(setup: Setup) -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let limits = Limits::new(&setup.rate_limit, &Limit::NTS, &Limit::COMMAND);
        let log = ClientLog::new(524_288, limits, &mut SeededRandom::new(1));
        let shared = Arc::new(ServerShared::new(setup.client_log.then_some(log)));
        let random = Box::new(ScriptedRandom(Arc::clone(&script)));
        let mut snapshot = ServerSnapshot::new(1e-8);
        let access = Arc::make_mut(&mut snapshot.access);
        for (allow, subnet) in [
            (true, Subnet::Any),
            (false, Subnet::host([127, 0, 0, 66].into())),
        ] {
            let all = false;
            access.apply(&AccessRule { allow, all, subnet }).unwrap();
        }
        snapshot.keys = Arc::clone(golden_keys());
        snapshot.time = TimeModel {
            base: RawTime::ZERO,
            correction_s: CORRECTION_S,
            slope: 0.0,
        };
        snapshot.reference = ServedReference {
            leap: LeapIndicator::Normal,
            stratum: 5,
            reference_id: REFERENCE_ID_LOCAL,
            root_delay_s: 0.0,
            root_dispersion_s: 0.0,
            ..ServedReference::UNSYNCHRONISED
        };
        Self {
            responder: Responder::new(Arc::clone(&shared), random),
            shared,
            snapshot,
            script,
            buffer: [0; _],
        }
    }

    /// Takes the recorded state over from a response: all that does not depend on the
    /// request. A KoD only tells part of it.
    pub(super) fn adopt_state(&mut self, recorded: &Header, root: Option<MonotonicRoot>) {
        let reference = &mut self.snapshot.reference;
        let smoothing_s = if recorded.reference_id == REFERENCE_ID_SMOOTHED {
            SMOOTHING_S
        } else {
            0.0
        };
        let smoothing = NtpInterval::from_seconds(smoothing_s).to_bits();
        let time = recorded.reference_time;
        reference.reference_time = if time.is_zero() {
            time
        } else {
            NtpTimestamp::from_bits(time.to_bits().wrapping_sub(smoothing))
        };
        self.snapshot.smoothing = (smoothing_s != 0.0).then_some(Smoothing {
            at: discipline::time::CookedTime::ZERO,
            offset_s: smoothing_s,
            frequency: 0.0,
            wander: 0.0,
            hides_leap: false,
        });
        if recorded.reference_id == ntp_wire::KISS_RATE {
            return;
        }
        reference.leap = recorded.leap;
        reference.stratum = if recorded.stratum == 0 {
            16
        } else {
            recorded.stratum
        };
        reference.reference_id = match recorded.reference_id {
            REFERENCE_ID_SMOOTHED => REFERENCE_ID_LOCAL,
            id => id,
        };
        reference.root_delay_s = recorded.root_delay.to_seconds();
        reference.root_dispersion_s = recorded.root_dispersion.to_seconds();
        if let Some(root) = root {
            reference.root_delay_s = root.root_delay.to_seconds();
            reference.root_dispersion_s = root.root_dispersion.to_seconds();
            self.snapshot.monotonic.epoch = root.epoch;
            let shift_ns = instant(root.monotonic_receive).0 - instant(recorded.receive).0;
            self.snapshot.monotonic.correction_s = shift_ns as f64 / 1e9;
        }
    }

    /// Lets the server see a request at the recorded times. `decisions`: random bits of rate
    /// limiting.
    pub(super) fn answer(
        &mut self,
        request: &Row,
        response: Option<&Packet<'_>>,
        decisions: &[u32],
    ) -> Answered {
        let mut received = raw(request.time.as_ns(), 0.0);
        let mut sent = received;
        let mut script = Script {
            decisions: decisions.iter().copied().collect(),
            ..Script::default()
        };
        if let Some(packet) = response {
            self.adopt_state(&packet.header, packet.monotonic_root());
            let smoothing_s = self.snapshot.smoothing.map_or(0.0, |s| s.offset_s);
            let (receive_ns, receive_bits) = instant(packet.header.receive);
            let (transmit_ns, transmit_bits) = instant(packet.header.transmit);
            received = raw(receive_ns, smoothing_s);
            // The transmit timestamp of an interleaved response is that of the one before.
            sent = if transmit_ns < receive_ns {
                received.plus(30e-6)
            } else {
                raw(transmit_ns, smoothing_s)
            };
            script.timestamps.extend([receive_bits, transmit_bits]);
            if let Some(root) = packet.monotonic_root() {
                let (_, bits) = instant(root.monotonic_receive);
                script.timestamps.push_back(bits);
            }
        }
        *self.script.lock().unwrap() = script;
        let seen = Request {
            payload: &request.data,
            remote: request.source.unwrap(),
            on_ptp: request.destination_port == 319,
            received: PacketTime {
                raw: received,
                source: TimestampSource::Kernel,
            },
            receive_duration_s: None,
            from_association: false,
        };
        let outcome = self
            .responder
            .respond(&seen, &self.snapshot, || sent, &mut self.buffer);
        Answered {
            outcome,
            decisions_drawn: self.script.lock().unwrap().decisions_drawn,
        }
    }

    /// The kernel reports that the latest answer left at this timestamp.
    pub(super) fn kernel_reports(&self, length: usize, transmit: NtpTimestamp) {
        let sent = PacketTime {
            raw: raw(instant(transmit).0, 0.0),
            source: TimestampSource::Kernel,
        };
        self.responder
            .note_transmit(&self.buffer[..length], false, sent, &self.snapshot);
    }

    /// Broadcasts a packet at the recorded time.
    pub(super) fn broadcast(&mut self, recorded: &Header, interval_s: f64) -> Header {
        self.adopt_state(recorded, None);
        let (ns, bits) = instant(recorded.transmit);
        self.script.lock().unwrap().timestamps = [bits].into();
        let mut random = ScriptedRandom(Arc::clone(&self.script));
        crate::server::broadcast::broadcast_header(
            &self.snapshot,
            interval_s,
            raw(ns, 0.0),
            &mut random,
        )
    }
}
