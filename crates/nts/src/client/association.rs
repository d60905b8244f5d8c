//! The state of one NTS source: cookies, keys, when a key establishment is due (NTS chapter,
//! section 5).
//!
//! Events in: [`Association::poll`] when the source's timer expires,
//! [`Association::establishment_started`] and its results, [`Association::handle_response`].
//! The answers say what to do; nothing here waits or sends.
//!
//! Two things are better than in the reference: the result of a key establishment can be
//! used as soon as it is there (the caller polls again at once), and a file holds the unused
//! cookies only.

use std::collections::VecDeque;
use std::net::IpAddr;

use ntp_wire::Packet;

use crate::aead::{AeadKey, Algorithm};
use crate::client::dump::{Dump, DumpError};
use crate::client::packet::{
    RequestParts, ResponseError, UNIQUE_IDENTIFIER_LENGTH, append_request, cookies_wanted,
    open_response,
};
use crate::ke::client::KeyMaterial;
use crate::ke::failure::Phase;
use crate::ke::response::NegotiatedServer;
use crate::random::Random;
use crate::session_keys::{Direction, SessionKeys};
use crate::time::{RunningTime, WallTime};

/// Cookies held.
pub const POOL: usize = 8;
/// Wait after a key establishment that could not be started.
const NOT_STARTED_WAIT_S: f64 = 2.0;
/// Exponents of the waits after the others (section 5.4).
const CONNECTION_EXPONENT: u32 = 4;
const LATER_EXPONENT: u32 = 10;
const MAX_EXPONENT: u32 = 19;

/// What the configuration says about a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssociationSettings {
    /// Configured name of the source, or its address as text.
    pub name: String,
    /// Address of the source: that of the NTS-KE server.
    pub address: IpAddr,
    /// `port`: NTP port when none is negotiated.
    pub ntp_port: u16,
    /// `ntsrefresh` in seconds: longest time between key establishments.
    pub refresh_s: u32,
}

/// Where NTP packets of the source go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NtpTarget {
    /// Negotiated address, else the one of the NTS-KE server.
    pub address: IpAddr,
    /// Negotiated port, else that of the source.
    pub port: u16,
}

/// What to do at a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollStep {
    /// Send a request: [`Association::append_request`].
    SendRequest,
    /// Start a key establishment and say so with [`Association::establishment_started`]. The
    /// poll counts as missed unless keys are there before it ends.
    StartEstablishment,
    /// No packet: a key establishment is running or has to wait. The poll counts as missed.
    Wait,
}

/// Data of the report AUTH_DATA (section 10.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthReport {
    /// `KeyID`: number of key establishments that delivered keys.
    pub key_id: u32,
    /// `Type`: AEAD number, 0 without keys.
    pub key_type: u16,
    /// `KLen` in bits, 0 without keys.
    pub key_length_bits: u16,
    /// `Atmp`: attempts since the last authenticated response, modulo 2^16.
    pub attempts: u16,
    /// `Last`: seconds since the last key establishment; `u32::MAX` without keys.
    pub last_establishment_ago_s: u32,
    /// `Cook`: cookies held.
    pub cookies: u16,
    /// `CLen`: length of the cookie to be used next, 0 without one.
    pub cookie_length: u16,
    /// `NAK`: the last request got a NAK.
    pub nak: bool,
}

/// What happened inside, for debug messages (section 11).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    /// Cookies that are of no more use were dropped.
    DroppedCookies,
    /// The other exporter's keys are in use.
    CompliantKeys,
    /// A key establishment is due and has to wait so long, seconds.
    Limited(f64),
    /// A response failed, for this reason.
    Rejected(ResponseError),
    /// A response had so many cookies, of which so many had room.
    Extracted {
        /// Cookies in the response.
        found: usize,
        /// Those kept.
        saved: usize,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DroppedCookies => f.write_str("Dropped cookies"),
            Self::CompliantKeys => f.write_str("Switched to compliant keys"),
            Self::Limited(left_s) => {
                write!(f, "Limiting NTS-KE request rate ({left_s:.6} seconds)")
            }
            Self::Rejected(error) => write!(f, "{error}"),
            Self::Extracted { found, saved } => {
                write!(f, "Extracted {found} cookies (saved {saved})")
            }
        }
    }
}

/// Keys in use, with the expanded key of responses.
#[derive(Debug)]
struct Keys {
    session: SessionKeys,
    c2s: AeadKey,
    s2c: AeadKey,
}

impl Keys {
    fn new(session: SessionKeys) -> Self {
        Self {
            c2s: session.expand(Direction::ClientToServer),
            s2c: session.expand(Direction::ServerToClient),
            session,
        }
    }
}

/// State of an association. A source that gets another address by resolving or replacement
/// gets a new one (after [`Association::dump`]).
#[derive(Debug)]
pub struct Association {
    settings: AssociationSettings,
    target: NtpTarget,
    keys: Option<Keys>,
    alternate: Option<SessionKeys>,
    key_id: u32,
    cookies: VecDeque<Vec<u8>>,
    attempts: u32,
    running: bool,
    earliest: RunningTime,
    last: RunningTime,
    before_last: RunningTime,
    nak: bool,
    /// No response can be accepted: none is awaited, or one was accepted.
    answered: bool,
    unique_identifier: [u8; UNIQUE_IDENTIFIER_LENGTH],
    nonce: [u8; crate::aead::MAX_NONCE_LENGTH],
    note: Option<Note>,
}

impl Association {
    /// A new association without keys.
    pub fn new(settings: AssociationSettings) -> Self {
        Self {
            target: NtpTarget {
                address: settings.address,
                port: settings.ntp_port,
            },
            settings,
            keys: None,
            alternate: None,
            key_id: 0,
            cookies: VecDeque::with_capacity(POOL),
            attempts: 0,
            running: false,
            earliest: RunningTime::ZERO,
            last: RunningTime::ZERO,
            before_last: RunningTime::ZERO,
            nak: false,
            answered: true,
            unique_identifier: [0; UNIQUE_IDENTIFIER_LENGTH],
            nonce: [0; crate::aead::MAX_NONCE_LENGTH],
            note: None,
        }
    }

    // Events in.

    /// The source's timer expired, or keys arrived for a poll that waited for them (section
    /// 5.2). Responses to earlier requests are not accepted any more.
    pub fn poll(&mut self, now: RunningTime, random: &mut dyn Random) -> PollStep {
        random.fill(&mut self.unique_identifier);
        random.fill(&mut self.nonce);
        self.drop_stale_cookies(now);
        self.answered = true;
        if !self.cookies.is_empty() && self.keys.is_some() {
            PollStep::SendRequest
        } else if self.running {
            PollStep::Wait
        } else if now < self.earliest {
            self.note = Some(Note::Limited(self.earliest.since(now)));
            PollStep::Wait
        } else {
            PollStep::StartEstablishment
        }
    }

    /// After a NAK, or when the keys are too old, the cookies are of no more use; after a
    /// NAK to the first keys of AEAD 30 the other exporter's keys are tried once (section 5.6).
    fn drop_stale_cookies(&mut self, now: RunningTime) {
        if self.cookies.is_empty() {
            return;
        }
        let old = now.since(self.last) > f64::from(self.settings.refresh_s);
        // An authentic response to the same request wins over a NAK.
        let refused = self.nak && !self.answered;
        if !refused && !old {
            return;
        }
        match self.alternate.take() {
            Some(alternate) if refused && !old && self.attempts > 0 => {
                self.keys = Some(Keys::new(alternate));
                self.nak = false;
                self.note = Some(Note::CompliantKeys);
            }
            _ => {
                self.cookies.clear();
                self.note = Some(Note::DroppedCookies);
            }
        }
    }

    /// A key establishment was started or tried to.
    pub fn establishment_started(&mut self) {
        self.attempts = self.attempts.wrapping_add(1);
        self.running = true;
    }

    /// The key establishment ended without keys, having got this far.
    pub fn establishment_failed(&mut self, phase: Phase, now: RunningTime) {
        self.running = false;
        self.earliest = now.plus_s(self.wait_s(phase));
    }

    /// The key establishment delivered keys; `address` is the negotiated server's if there is
    /// one (a name resolved by the caller). Says where NTP packets go from now on: if that is
    /// another source's address, [`Association::address_in_use`] follows.
    pub fn establishment_succeeded(
        &mut self,
        material: KeyMaterial,
        address: Option<IpAddr>,
        now: RunningTime,
    ) -> NtpTarget {
        self.running = false;
        self.earliest = now.plus_s(self.wait_s(Phase::Later));
        self.keys = Some(Keys::new(material.keys));
        self.alternate = material.alternate;
        self.key_id = self.key_id.wrapping_add(1);
        self.cookies = material.cookies.into_iter().take(POOL).collect();
        self.nak = false;
        self.before_last = self.last;
        self.last = now;
        let negotiated = match material.server {
            Some(NegotiatedServer::Address(address)) => Some(address),
            _ => address,
        };
        self.target = NtpTarget {
            address: negotiated.unwrap_or(self.settings.address),
            port: material.port.unwrap_or(self.settings.ntp_port),
        };
        self.target
    }

    /// The target of the last key establishment or file belongs to another source: the
    /// cookies are dropped and `target` (the one before) stays in use (section 5.5).
    pub fn address_in_use(&mut self, target: NtpTarget) {
        self.cookies.clear();
        self.last = self.before_last;
        self.target = target;
    }

    /// A packet with NTS fields arrived from the target; `Ok` if it answers the last request
    /// authentically (section 6.5). To be called before any other use of the packet.
    ///
    /// # Errors
    ///
    /// The reason why the packet fails test 5; [`ResponseError::Nak`] is remembered for the
    /// next poll.
    pub fn handle_response(&mut self, packet: &Packet<'_>) -> Result<(), ResponseError> {
        let Some(keys) = self.keys.as_ref().filter(|_| !self.answered) else {
            return Err(ResponseError::NotAResponse);
        };
        let cookies = match open_response(packet, &self.unique_identifier, &keys.s2c) {
            Ok(cookies) => cookies,
            Err(error) => {
                self.nak |= error == ResponseError::Nak;
                self.note = Some(Note::Rejected(error));
                return Err(error);
            }
        };
        let room = POOL - self.cookies.len();
        self.note = Some(Note::Extracted {
            found: cookies.count(),
            saved: cookies.count().min(room),
        });
        self.cookies.extend(cookies.into_iter().take(room));
        self.answered = true;
        self.attempts = 0;
        self.earliest = RunningTime::from_ns(i64::MIN);
        self.alternate = None;
        Ok(())
    }

    // Actions out.

    /// Completes the request of a poll that said [`PollStep::SendRequest`]: behind the `used`
    /// octets in `buffer` go the fields of NTS. Uses up a cookie, even if sending fails.
    /// Returns the length; `None` without keys or cookies, or when it does not fit.
    pub fn append_request(&mut self, buffer: &mut [u8], used: usize) -> Option<usize> {
        let keys = self.keys.as_ref()?;
        let cookie = self.cookies.pop_front()?;
        self.nak = false;
        self.answered = false;
        let parts = RequestParts {
            unique_identifier: &self.unique_identifier,
            nonce: self.nonce.get(..keys.c2s.algorithm().nonce_length())?,
            cookie: &cookie,
            cookies: cookies_wanted(self.cookies.len(), POOL, cookie.len()),
        };
        append_request(buffer, used, &keys.c2s, &parts)
    }

    /// The file of this association (section 7), if there is a cookie to keep. The caller
    /// writes it to [`dump::file_name`](crate::client::dump::file_name).
    pub fn dump(&self, now: RunningTime, wall: WallTime) -> Option<String> {
        let keys = self.keys.as_ref().filter(|_| !self.cookies.is_empty())?;
        let dump = Dump {
            name: self.settings.name.clone(),
            established: wall.minus_s(now.since(self.last)),
            target: self.target,
            key_id: self.key_id,
            keys: keys.session.clone(),
            cookies: self.cookies.iter().cloned().collect(),
        };
        Some(dump.to_text())
    }

    /// Takes over the content of a file (section 7.2). Says where NTP packets go from now on:
    /// if that is another source's address, the file cannot be used and the caller goes on
    /// with a new association.
    ///
    /// # Errors
    ///
    /// The first thing wrong; the association is as it was.
    pub fn load(
        &mut self,
        text: &str,
        now: RunningTime,
        wall: WallTime,
    ) -> Result<NtpTarget, DumpError> {
        let dump = Dump::parse(text)?;
        if dump.name != self.settings.name {
            return Err(DumpError::Name);
        }
        // A time in the future is taken as now.
        let age_s = wall.since(dump.established).max(0.0);
        self.before_last = self.last;
        self.last = now.plus_s(-age_s);
        self.key_id = dump.key_id;
        self.keys = Some(Keys::new(dump.keys));
        self.alternate = None;
        self.cookies = dump.cookies.into();
        self.attempts = 0;
        let port = match dump.target.port {
            0 => self.settings.ntp_port,
            port => port,
        };
        self.target = NtpTarget {
            port,
            ..dump.target
        };
        Ok(self.target)
    }

    /// The last thing that happened inside since the last call, for a debug message.
    pub fn take_note(&mut self) -> Option<Note> {
        self.note.take()
    }

    // Getters.

    /// What the configuration says.
    pub const fn settings(&self) -> &AssociationSettings {
        &self.settings
    }

    /// Where NTP packets go.
    pub const fn target(&self) -> NtpTarget {
        self.target
    }

    /// Whether a key establishment is running.
    pub const fn is_establishing(&self) -> bool {
        self.running
    }

    /// The earliest time of the next key establishment.
    pub const fn earliest_establishment(&self) -> RunningTime {
        self.earliest
    }

    /// The algorithm in use.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.keys.as_ref().map(|keys| keys.session.algorithm())
    }

    /// Data for `authdata`.
    pub fn report(&self, now: RunningTime) -> AuthReport {
        let algorithm = self.algorithm();
        let length = |octets: usize| u16::try_from(octets).unwrap_or(u16::MAX);
        AuthReport {
            key_id: self.key_id,
            key_type: algorithm.map_or(0, Algorithm::number),
            key_length_bits: algorithm.map_or(0, |it| length(8 * it.key_length())),
            attempts: self.attempts as u16,
            // `as` saturates; the age is not negative.
            last_establishment_ago_s: algorithm
                .map_or(u32::MAX, |_| now.since(self.last).max(0.0) as u32),
            cookies: length(self.cookies.len()),
            cookie_length: self
                .cookies
                .front()
                .map_or(0, |cookie| length(cookie.len())),
            nak: self.nak,
        }
    }

    /// The wait of section 5.4.
    fn wait_s(&self, phase: Phase) -> f64 {
        let first = match phase {
            Phase::NotStarted => return NOT_STARTED_WAIT_S,
            Phase::Connection => CONNECTION_EXPONENT,
            Phase::Later => LATER_EXPONENT,
        };
        let exponent = first.saturating_add(self.attempts.saturating_sub(1));
        f64::from(1u32 << exponent.min(MAX_EXPONENT))
    }
}

#[cfg(test)]
#[path = "association_tests.rs"]
mod tests;
