//! The recorded exchanges of the reference's server, and when an answer of the program under
//! test equals the recorded one but for the fields that must differ.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use ntp_wire::ptp::PREFIX_LENGTH;
use ntp_wire::{
    Authentication, Header, Key, KeyKind, KeyRing, MAX_PACKET_LENGTH, MonotonicRoot, NtpTimestamp,
    Packet,
};

use super::network::bound;
use super::server::ANSWER_TIMEOUT;
use super::uninterrupted;

/// Age of the reference time of a server with a local reference: at most 66 s by itself, a few
/// more when its clock was set.
const REFERENCE_AGE_S: std::ops::Range<f64> = -5.0..80.0;
/// Random bits and rounding of timestamps, seconds.
const ROUNDING_S: f64 = 1e-6;
/// How far a clock may be off that was measured over loopback on a busy machine, or that is
/// smoothed, seconds.
const MEASURED_S: f64 = 0.1;
/// Where the sequence ID is in the prefix of PTP.
const PTP_SEQUENCE: std::ops::Range<usize> = 30..32;

/// A request and what came back.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) case: String,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) request: Vec<u8>,
    pub(crate) response: Option<Vec<u8>>,
}

/// The exchanges in the text of a file, in order.
pub(crate) fn exchanges(text: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    for row in rows {
        let columns: Vec<&str> = row.split('\t').collect();
        match columns[2] {
            "C>S" => exchanges.push(Exchange {
                case: columns[0].to_owned(),
                source: address(columns[4], columns[5]),
                destination: address(columns[6], columns[7]),
                request: bytes(columns[9]).unwrap_or_default(),
                response: None,
            }),
            "S>C" => exchanges.last_mut().expect("request").response = bytes(columns[9]),
            _ => {}
        }
    }
    exchanges
}

fn address(host: &str, port: &str) -> SocketAddr {
    let host: IpAddr = host.parse().expect("address");
    SocketAddr::new(host, port.parse().expect("port"))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = (hex != "-").then(|| hex.as_bytes().chunks(2))?;
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// The key file in the comments of macs.tsv.
pub(crate) fn key_file(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# "));
    let of_keys = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    of_keys.map(|line| format!("{line}\n")).collect()
}

/// The keys of a key file.
pub(crate) fn keys(file: &str) -> KeyRing {
    let parsed = chrony_conf::keys::parse(file.as_bytes(), "keys", &|_: KeyKind| true);
    KeyRing::new(
        parsed
            .keys
            .iter()
            .map(|key| Key::new(key.id, key.key_type, &key.secret).expect("length of the secret")),
    )
}

/// The present time.
pub(crate) fn now() -> NtpTimestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("time");
    NtpTimestamp::from_unix_ns(i64::try_from(since.as_nanos()).expect("this era"))
}

/// Whether the root delay and dispersion are the recorded ones: not where they were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    AsRecorded,
    Measured,
}

/// Repeats recorded exchanges and compares.
pub(crate) struct Replay<'a> {
    pub(crate) keys: &'a KeyRing,
    pub(crate) root: Root,
    /// How far the server's clock is ahead of the machine's, seconds.
    pub(crate) clock_ahead_s: f64,
    /// Recorded timestamps of responses, and those of this run in their place.
    timestamps: BTreeMap<u64, u64>,
    /// When the answer with a receive timestamp had arrived.
    arrivals: BTreeMap<u64, NtpTimestamp>,
    /// Exchanges that agreed.
    pub(crate) compared: usize,
    /// Answers in interleaved mode among them.
    pub(crate) interleaved: usize,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(keys: &'a KeyRing, root: Root) -> Self {
        Self {
            keys,
            root,
            clock_ahead_s: 0.0,
            timestamps: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            compared: 0,
            interleaved: 0,
        }
    }

    /// Repeats an exchange that has a response.
    pub(crate) fn answered(&mut self, exchange: &Exchange) {
        let case = &exchange.case;
        let recorded = exchange.response.as_deref().expect("response");
        let request = self.in_this_run(exchange);
        let socket = bound(exchange.source);
        let timeout = Some(ANSWER_TIMEOUT);
        socket.set_read_timeout(timeout).expect("timeout");
        let sent = now();
        socket
            .send_to(&request, exchange.destination)
            .expect("send");
        let mut buffer = [0; PREFIX_LENGTH + MAX_PACKET_LENGTH + 1];
        let (length, from) =
            uninterrupted(|| socket.recv_from(&mut buffer)).unwrap_or_else(|error| {
                panic!("{case}: {error}");
            });
        let arrived = now();
        assert_eq!(from, exchange.destination, "{case}: answered from");
        let ours = &buffer[..length];
        assert!(length <= request.len(), "{case}: longer than the request");
        assert_eq!(length, recorded.len(), "{case}: length");
        let prefix = if is_ptp(exchange) { PREFIX_LENGTH } else { 0 };
        compare_prefix(case, &ours[..prefix], &recorded[..prefix]);
        self.compare(
            case,
            &request[prefix..],
            &recorded[prefix..],
            &ours[prefix..],
            [sent, arrived],
        );
        self.compared += 1;
    }

    /// The request with the timestamps of this run for the recorded ones.
    fn in_this_run(&self, exchange: &Exchange) -> Vec<u8> {
        let mut request = exchange.request.clone();
        let at = if is_ptp(exchange) { PREFIX_LENGTH } else { 0 } + 24;
        if let Some(origin) = request.get_mut(at..at + 8) {
            let recorded = u64::from_be_bytes(origin.try_into().expect("8 bytes"));
            if let Some(ours) = self.timestamps.get(&recorded) {
                origin.copy_from_slice(&ours.to_be_bytes());
            }
        }
        request
    }

    fn compare(
        &mut self,
        case: &str,
        request: &[u8],
        recorded: &[u8],
        ours: &[u8],
        [sent, arrived]: [NtpTimestamp; 2],
    ) {
        let request = Packet::parse(request).expect("request").header;
        let recorded = Packet::parse(recorded).expect("recorded response");
        let ours = Packet::parse(ours).unwrap_or_else(|error| panic!("{case}: {error:?}"));
        let (theirs, header) = (&recorded.header, &ours.header);
        let measured = self.root == Root::Measured;
        let masked = Header {
            reference_time: header.reference_time,
            receive: header.receive,
            transmit: header.transmit,
            root_delay: if measured {
                header.root_delay
            } else {
                theirs.root_delay
            },
            root_dispersion: if measured {
                header.root_dispersion
            } else {
                theirs.root_dispersion
            },
            ..*theirs
        };
        assert_eq!(*header, masked, "{case}: header");
        let interleaved = !theirs.origin.is_zero()
            && theirs.origin == request.receive
            && request.receive != request.transmit;
        self.compare_times(
            case,
            header,
            theirs,
            [sent, arrived],
            interleaved.then_some(request.origin),
        );
        compare_fields(case, &ours, &recorded, measured);
        assert_eq!(ours.authentication, recorded.authentication, "{case}");
        if let (Authentication::Symmetric, Some(mac)) = (ours.authentication, ours.mac) {
            let key = self.keys.get(mac.key_id).expect("key of the answer");
            let authentic = key.verify(ours.authenticated_bytes(), &mac, header.version);
            assert!(authentic, "{case}: MAC");
        }
        for (of_theirs, of_ours) in [
            (theirs.receive, header.receive),
            (theirs.transmit, header.transmit),
        ] {
            self.timestamps
                .insert(of_theirs.to_bits(), of_ours.to_bits());
        }
        self.arrivals.insert(header.receive.to_bits(), arrived);
        self.interleaved += usize::from(interleaved);
    }

    /// `origin`: of an interleaved exchange, which is the receive timestamp of the answer
    /// before it in this run.
    fn compare_times(
        &self,
        case: &str,
        ours: &Header,
        theirs: &Header,
        [sent, arrived]: [NtpTimestamp; 2],
        origin: Option<NtpTimestamp>,
    ) {
        assert_eq!(
            ours.reference_time.is_zero(),
            theirs.reference_time.is_zero(),
            "{case}"
        );
        let ahead_s = self.clock_ahead_s;
        let tolerance_s = match self.root {
            // A clock set by hand is behind by the time the command took.
            Root::AsRecorded if ahead_s == 0.0 => ROUNDING_S,
            Root::AsRecorded | Root::Measured => MEASURED_S,
        };
        let after = |later: NtpTimestamp, earlier: NtpTimestamp| later.since(earlier).to_seconds();
        let from_sending_s = after(ours.receive, sent) - ahead_s;
        assert!(
            from_sending_s >= -tolerance_s,
            "{case}: received {from_sending_s} s"
        );
        let to_arrival_s = after(arrived, ours.receive) + ahead_s;
        assert!(
            to_arrival_s >= -tolerance_s,
            "{case}: arrived {to_arrival_s} s"
        );
        if !ours.reference_time.is_zero() {
            let age_s = after(ours.receive, ours.reference_time);
            assert!(
                REFERENCE_AGE_S.contains(&age_s),
                "{case}: reference {age_s} s"
            );
        }
        // The bits by which the server knows its own timestamps.
        let marks = ours.receive.to_bits() & 1 | (ours.transmit.to_bits() & 1) << 1;
        assert_eq!(marks, 1, "{case}: lowest bits");
        let (begin, end) = match origin {
            None => (ours.receive, arrived),
            Some(origin) => (origin, self.arrivals[&origin.to_bits()]),
        };
        let after_s = after(ours.transmit, begin);
        assert!(after_s >= -tolerance_s, "{case}: transmitted {after_s} s");
        let before_s = after(end, ours.transmit) + ahead_s;
        assert!(
            before_s >= -tolerance_s,
            "{case}: transmitted {before_s} s before the end"
        );
    }
}

/// Whether an exchange is between PTP sockets.
fn is_ptp(exchange: &Exchange) -> bool {
    exchange.destination.port() == 319
}

fn compare_prefix(case: &str, ours: &[u8], recorded: &[u8]) {
    let masked = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        if let Some(sequence) = bytes.get_mut(PTP_SEQUENCE) {
            sequence.fill(0);
        }
        bytes
    };
    assert_eq!(masked(ours), masked(recorded), "{case}: prefix of PTP");
}

fn compare_fields(case: &str, ours: &Packet<'_>, recorded: &Packet<'_>, measured: bool) {
    let fields = |packet: &Packet<'_>| -> Vec<(u16, Vec<u8>)> {
        let fields = packet.extensions().map(|field| {
            let mut body = field.body.to_vec();
            if MonotonicRoot::from_extension(&field).is_some() {
                // Behind the magic: what was measured, a time, and a random number.
                let from = if measured { 4 } else { 12 };
                body[from..].fill(0);
            }
            (field.kind, body)
        });
        fields.collect()
    };
    assert_eq!(fields(ours), fields(recorded), "{case}: extension fields");
    let (our_root, their_root) = (ours.monotonic_root(), recorded.monotonic_root());
    if let Some((ours, theirs)) = our_root.zip(their_root) {
        assert_eq!(ours.epoch == 0, theirs.epoch == 0, "{case}: epoch");
        let zero = [ours, theirs].map(|root| root.monotonic_receive.is_zero());
        assert_eq!(zero[0], zero[1], "{case}: monotonic receive timestamp");
    }
}
