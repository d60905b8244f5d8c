//! The decisions about a request (ntp chapter, section 6.1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use discipline::time::RawTime;
use ntp_wire::ptp::{self, PREFIX_LENGTH, PtpPrefix};
use ntp_wire::{
    Authentication, HEADER_LENGTH, Header, Key, MAX_PACKET_LENGTH, MessageTooLong, MessageWriter,
    Mode, NtpInterval, NtpTimestamp, Packet,
};
use nts::server::packet::{AuthenticRequest, Opened, append_unique_identifiers, open_request};

use super::client_log::{ClientLog, LogReader, Service};
use super::counters::{CounterSet, Counters};
use super::rate_limit::{Decision, RateLimit};
use super::response::{Answer, Kind, MIN_POLL_UNLIMITED, Times};
use super::snapshot::ServerSnapshot;
use super::timestamps::{Held, SavedTransmit, TimestampMap};
use crate::event::{PacketTime, TimestampSource};
use crate::random::RandomSource;

/// The port of servers and peers; clients of version 1 use another.
const NTP_PORT: u16 = 123;
/// The only version with interleaved mode.
const INTERLEAVED_VERSION: u8 = 4;
/// A kernel or hardware timestamp replaces the daemon's within this difference, seconds (ntp
/// chapter, section 15.1).
const MAX_TIMESTAMP_DIFFERENCE_S: f64 = 1.0;

/// Room for an answer.
pub type ResponseBuffer = [u8; PREFIX_LENGTH + MAX_PACKET_LENGTH];

/// What the threads of a server share.
#[derive(Debug, Default)]
pub struct ServerShared {
    client_log: Option<ClientLog>,
    counters: CounterSet,
    ptp_sequence: AtomicU16,
}

impl ServerShared {
    /// `client_log` is `None` with `noclientlog`.
    pub fn new(client_log: Option<ClientLog>) -> Self {
        Self {
            client_log,
            ..Self::default()
        }
    }

    /// The client log.
    pub const fn client_log(&self) -> Option<&ClientLog> {
        self.client_log.as_ref()
    }

    /// The counters.
    pub const fn counters(&self) -> &CounterSet {
        &self.counters
    }

    /// The sequence ID of the process's next PTP message.
    pub fn next_ptp_sequence(&self) -> u16 {
        self.ptp_sequence.fetch_add(1, Ordering::Relaxed)
    }
}

/// A datagram that arrived on a server socket or a PTP socket.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The UDP payload.
    pub payload: &'a [u8],
    /// Who sent it.
    pub remote: SocketAddr,
    /// Whether it arrived on a PTP socket.
    pub on_ptp: bool,
    /// When it arrived.
    pub received: PacketTime,
    /// How long its reception took, seconds, when the timestamp is the hardware's and the
    /// length is known (ntp chapter, section 15.3).
    pub receive_duration_s: Option<f64>,
    /// An association passes it on: a peer's packet from the address of a configured server.
    pub from_association: bool,
}

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Not NTP over PTP for us.
    NotPtp,
    /// Not a well-formed packet.
    Malformed,
    /// The address is not allowed.
    Denied,
    /// Not a request.
    Mode,
    /// Dropped by rate limiting.
    RateLimited,
    /// Not authentic, or authenticated in a way that is not served.
    Authentication,
    /// The answer would be longer than the request.
    TooLong,
}

/// What to do with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Ignored(Ignored),
    /// It is from a configured source, whose association is to look at it.
    ForAssociation,
    /// Send the first `length` bytes of the buffer to where the request came from, from the
    /// address it was sent to.
    Reply {
        /// Length of the datagram.
        length: usize,
        /// Whether [`Responder::note_transmit`] wants to know when it left.
        wants_timestamp: bool,
    },
    /// Have the 48 bytes in the buffer (behind room for the prefix, if it is NTP over PTP)
    /// signed by the MS-SNTP service and send the result.
    Sign {
        /// The key ID of the request.
        key_id: u32,
    },
}

impl From<Ignored> for Outcome {
    fn from(reason: Ignored) -> Self {
        Self::Ignored(reason)
    }
}

/// How a request has proved to be authentic, and how the answer will.
enum Proof<'a> {
    None,
    Symmetric(&'a Key),
    Signing { key_id: u32 },
    Nts(AuthenticRequest<'a>),
    NtsNak,
}

/// A request that is to be answered.
struct Accepted<'a> {
    packet: Packet<'a>,
    mode: Mode,
    kind: Kind,
    proof: Proof<'a>,
    /// For field 010A.
    net_correction: NtpInterval,
}

/// Answers requests; one for each thread.
pub struct Responder {
    shared: Arc<ServerShared>,
    counters: Arc<Counters>,
    log_reader: Option<LogReader>,
    random: Box<dyn RandomSource>,
}

impl Responder {
    /// A responder with counters of its own. `random` must be of cryptographic quality.
    pub fn new(shared: Arc<ServerShared>, random: Box<dyn RandomSource>) -> Self {
        let counters = shared.counters.add();
        let log_reader = shared.client_log.as_ref().map(ClientLog::reader);
        Self {
            shared,
            counters,
            log_reader,
            random,
        }
    }

    /// Decides about a datagram and writes the answer, if there is one. `clock` reads the raw
    /// clock; it is read once, just before the answer is authenticated. Allocates nothing.
    pub fn respond(
        &mut self,
        request: &Request<'_>,
        snapshot: &ServerSnapshot,
        clock: impl FnOnce() -> RawTime,
        buffer: &mut ResponseBuffer,
    ) -> Outcome {
        match self.accept(request, snapshot) {
            Ok(accepted) => self
                .answer(request, &accepted, snapshot, clock, buffer)
                .unwrap_or(Outcome::Ignored(Ignored::TooLong)),
            Err(outcome) => outcome,
        }
    }

    /// Steps 1 to 9: whether to answer, and how.
    fn accept<'a>(
        &mut self,
        request: &Request<'a>,
        snapshot: &'a ServerSnapshot,
    ) -> Result<Accepted<'a>, Outcome> {
        let (message, ptp_correction_s) = ntp_message(request, snapshot)?;
        if !request.from_association && is_of_source(message, request, snapshot) {
            return Err(Outcome::ForAssociation);
        }
        let packet = Packet::parse(message).map_err(|_| Ignored::Malformed)?;
        if !snapshot.access.is_allowed(request.remote.ip()) {
            return Err(Ignored::Denied.into());
        }
        let mode = answer_mode(&packet.header, request.remote.port()).ok_or(Ignored::Mode)?;
        let decision = self.count_request(request, snapshot)?;
        let proof = prove(&packet, snapshot)?;
        let kind = match (&proof, decision) {
            (Proof::NtsNak, Decision::Pass) => Kind::NtsNak,
            (Proof::NtsNak, _) => return Err(Ignored::RateLimited.into()),
            (_, Decision::KissOfDeath) => Kind::KissRate,
            _ => Kind::Normal,
        };
        Ok(Accepted {
            packet,
            mode,
            kind,
            proof,
            net_correction: net_correction(request, ptp_correction_s),
        })
    }

    /// Step 10.
    fn answer(
        &mut self,
        request: &Request<'_>,
        accepted: &Accepted<'_>,
        snapshot: &ServerSnapshot,
        clock: impl FnOnce() -> RawTime,
        buffer: &mut ResponseBuffer,
    ) -> Result<Outcome, MessageTooLong> {
        let prefix = if request.on_ptp { PREFIX_LENGTH } else { 0 };
        // The answer is never longer than the request.
        let end = prefix + accepted.packet.bytes().len();
        let area = buffer.get_mut(prefix..end).ok_or(MessageTooLong)?;
        let built = self.build(request, accepted, snapshot, clock, area)?;
        if let Proof::Signing { key_id } = accepted.proof {
            return Ok(Outcome::Sign { key_id });
        }
        let length = if request.on_ptp {
            self.wrap(buffer, built.length, snapshot)
        } else {
            built.length
        };
        Ok(Outcome::Reply {
            length,
            wants_timestamp: built.saved,
        })
    }

    /// Step 7: counters, client log, rate limit.
    fn count_request(
        &mut self,
        request: &Request<'_>,
        snapshot: &ServerSnapshot,
    ) -> Result<Decision, Ignored> {
        self.counters.count_received();
        let (Some(log), Some(reader)) = (&self.shared.client_log, &mut self.log_reader) else {
            return Ok(Decision::Pass);
        };
        let time = snapshot.time.cook(request.received.raw);
        let address = request.remote.ip();
        match log.record(reader, Service::Ntp, address, time, &mut *self.random) {
            Decision::Drop => {
                self.counters.count_dropped();
                Err(Ignored::RateLimited)
            }
            decision => Ok(decision),
        }
    }

    fn min_poll_log2(&self) -> i8 {
        self.shared
            .client_log
            .as_ref()
            .and_then(|log| log.limits().ntp.as_ref())
            .map_or(MIN_POLL_UNLIMITED, RateLimit::interval_log2)
    }

    /// Timestamps, header, fields, authentication.
    fn build(
        &mut self,
        request: &Request<'_>,
        accepted: &Accepted<'_>,
        snapshot: &ServerSnapshot,
        clock: impl FnOnce() -> RawTime,
        area: &mut [u8],
    ) -> Result<Built, MessageTooLong> {
        let asked = &accepted.packet.header;
        let receive = snapshot.time.cook(request.received.raw);
        let answer = Answer {
            request: &accepted.packet,
            snapshot,
            mode: accepted.mode,
            kind: accepted.kind,
            min_poll_log2: self.min_poll_log2(),
            smoothing_s: (accepted.mode == Mode::Server)
                .then(|| snapshot.smoothing_offset_s(receive))
                .flatten(),
        };
        let log = self.shared.client_log.as_ref();
        let map = log
            .filter(|_| accepted.kind == Kind::Normal && is_candidate(asked))
            .map(ClientLog::timestamps);
        let previous = previous_transmit(map, accepted, request, &self.counters);
        let random = &mut *self.random;

        let smoothing_s = answer.smoothing_s.unwrap_or(0.0);
        let mut header = answer.header(receive);
        let now = snapshot.time.cook(clock()).plus(smoothing_s);
        let now = NtpTimestamp::from_unix_ns(now.as_ns());
        let times = Times {
            receive: receive.plus(smoothing_s),
            transmit: previous.map_or(now, |saved| left_at(asked.origin, saved)),
            interleaved: previous.is_some(),
        };
        answer.set_timestamps(&mut header, &times, random);
        let mut writer = MessageWriter::new(area);
        writer.header(&header)?;
        answer.append_fields(
            &mut writer,
            &header,
            &times,
            accepted.net_correction,
            random,
        )?;
        let length = authenticate(accepted, snapshot, writer.length(), area, random)?;
        if let Some(map) = map {
            let transmit = SavedTransmit {
                after_receive_s: now.since(header.receive).to_seconds(),
                source: TimestampSource::Daemon,
            };
            map.save(header.receive, transmit, snapshot.adjustments);
        }
        Ok(Built {
            length,
            saved: map.is_some(),
        })
    }

    /// Puts the PTP prefix before an answer of `length` bytes; returns the whole length.
    fn wrap(&self, buffer: &mut ResponseBuffer, length: usize, snapshot: &ServerSnapshot) -> usize {
        let domain = snapshot.ptp_domain.unwrap_or_default();
        let sequence = self.shared.next_ptp_sequence();
        if let Some(prefix) = buffer.first_chunk_mut::<PREFIX_LENGTH>() {
            // At most MAX_PACKET_LENGTH.
            PtpPrefix::new(length as u16, domain, sequence).emit(prefix);
        }
        PREFIX_LENGTH + length
    }

    /// Takes note of when an answer left, by the kernel or the hardware. `payload` is the
    /// datagram that was sent.
    pub fn note_transmit(
        &self,
        payload: &[u8],
        on_ptp: bool,
        sent: PacketTime,
        snapshot: &ServerSnapshot,
    ) {
        let message = if on_ptp {
            payload.get(PREFIX_LENGTH..)
        } else {
            Some(payload)
        };
        let header = message.and_then(<[u8]>::first_chunk::<HEADER_LENGTH>);
        let (Some(header), Some(log)) = (header.map(Header::parse), &self.shared.client_log) else {
            return;
        };
        let smoothed = match header.mode {
            Mode::Server => true,
            Mode::SymmetricPassive => false,
            _ => return,
        };
        let left = snapshot.time.cook(sent.raw);
        let smoothing_s = snapshot
            .smoothing_offset_s(left)
            .filter(|_| smoothed)
            .unwrap_or(0.0);
        let left = NtpTimestamp::from_unix_ns(left.plus(smoothing_s).as_ns());
        let transmit = SavedTransmit {
            after_receive_s: left.since(header.receive).to_seconds(),
            source: sent.source,
        };
        log.timestamps().improve(
            header.receive,
            transmit,
            snapshot.adjustments,
            MAX_TIMESTAMP_DIFFERENCE_S,
        );
    }
}

/// When the previous answer of the exchange left, if the request asks for it; and counters of
/// an answer being built.
fn previous_transmit(
    map: Option<&TimestampMap>,
    accepted: &Accepted<'_>,
    request: &Request<'_>,
    counters: &Counters,
) -> Option<SavedTransmit> {
    let held = map.and_then(|map| map.take(accepted.packet.header.origin));
    if held.is_some() {
        counters.count_interleaved();
    }
    let previous = match held {
        Some(Held::Known(saved)) => Some(saved),
        Some(Held::UnknownTime) | None => None,
    };
    let authentic = matches!(accepted.proof, Proof::Symmetric(_) | Proof::Nts(_));
    if accepted.kind == Kind::Normal && authentic {
        counters.count_authenticated();
    }
    counters.count_timestamps(
        request.received.source,
        previous.map_or(TimestampSource::Daemon, |saved| saved.source),
    );
    previous
}

/// Completes the `used` bytes in `area`; returns the whole length.
fn authenticate(
    accepted: &Accepted<'_>,
    snapshot: &ServerSnapshot,
    used: usize,
    area: &mut [u8],
    random: &mut dyn RandomSource,
) -> Result<usize, MessageTooLong> {
    let packet = &accepted.packet;
    match &accepted.proof {
        Proof::None | Proof::Signing { .. } => Ok(used),
        Proof::Symmetric(key) => {
            let mut writer = MessageWriter::with_written(area, used);
            writer.sign(key, packet.header.version)?;
            Ok(writer.length())
        }
        Proof::Nts(nts) => {
            let keys = snapshot.nts.as_ref().ok_or(MessageTooLong)?;
            let mut fill = |bytes: &mut [u8]| random.fill(bytes);
            nts.seal_response(keys, area, used, &mut fill)
                .ok_or(MessageTooLong)
        }
        Proof::NtsNak => append_unique_identifiers(packet, area, used).ok_or(MessageTooLong),
    }
}

/// A finished answer.
struct Built {
    length: usize,
    /// Its transmit time is kept for an interleaved response.
    saved: bool,
}

/// Step 1: the NTP message, and the correction of PTP's transparent clocks in seconds.
fn ntp_message<'a>(
    request: &Request<'a>,
    snapshot: &ServerSnapshot,
) -> Result<(&'a [u8], f64), Ignored> {
    if !request.on_ptp {
        return Ok((request.payload, 0.0));
    }
    let domain = snapshot.ptp_domain.ok_or(Ignored::NotPtp)?;
    let (prefix, message) = ptp::unwrap(request.payload, domain).ok_or(Ignored::NotPtp)?;
    Ok((message, prefix.correction_s()))
}

/// Step 2: whether an association is to look at the message.
fn is_of_source(message: &[u8], request: &Request<'_>, snapshot: &ServerSnapshot) -> bool {
    message
        .first()
        .is_some_and(|&first| Mode::from_bits(first) != Mode::Client)
        && snapshot.sources.binary_search(&request.remote).is_ok()
}

/// Step 6: the mode of the answer.
fn answer_mode(header: &Header, remote_port: u16) -> Option<Mode> {
    match header.mode {
        Mode::Client => Some(Mode::Server),
        Mode::SymmetricActive => Some(Mode::SymmetricPassive),
        Mode::Reserved if header.version == 1 && remote_port != NTP_PORT => Some(Mode::Server),
        _ => None,
    }
}

/// Step 8.
fn prove<'a>(packet: &Packet<'a>, snapshot: &'a ServerSnapshot) -> Result<Proof<'a>, Ignored> {
    let proof = match packet.authentication {
        Authentication::None => Some(Proof::None),
        Authentication::MsSntp => packet
            .mac
            .filter(|_| snapshot.signing)
            .map(|mac| Proof::Signing { key_id: mac.key_id }),
        Authentication::MsSntpExtended => None,
        Authentication::Symmetric => packet.mac.and_then(|mac| {
            let key = snapshot.keys.get(mac.key_id)?;
            key.verify(packet.authenticated_bytes(), &mac, packet.header.version)
                .then_some(Proof::Symmetric(key))
        }),
        Authentication::Nts => {
            let keys = snapshot.nts.as_ref().ok_or(Ignored::Authentication)?;
            match open_request(keys, packet) {
                Opened::Authentic(request) => Some(Proof::Nts(request)),
                Opened::Nak => Some(Proof::NtsNak),
                Opened::Dropped(_) => None,
            }
        }
    };
    proof.ok_or(Ignored::Authentication)
}

/// Whether a request may be answered in interleaved mode (section 6.5).
fn is_candidate(request: &Header) -> bool {
    request.version == INTERLEAVED_VERSION
        && request.origin.to_bits() & 1 == 1
        && request.receive != request.transmit
}

/// When the answer with this receive timestamp left.
fn left_at(receive: NtpTimestamp, saved: SavedTransmit) -> NtpTimestamp {
    let after = NtpInterval::from_seconds(saved.after_receive_s).to_bits();
    NtpTimestamp::from_bits(receive.to_bits().wrapping_add(after))
}

/// What field 010A of the answer says (section 14.1): only a hardware timestamp with known
/// duration can be corrected, and only corrections that delay are told.
fn net_correction(request: &Request<'_>, ptp_correction_s: f64) -> NtpInterval {
    let hardware = request.received.source == TimestampSource::Hardware;
    match request.receive_duration_s {
        Some(duration_s) if hardware && ptp_correction_s > 0.0 => {
            NtpInterval::from_seconds(duration_s + ptp_correction_s)
        }
        _ => NtpInterval::ZERO,
    }
}
