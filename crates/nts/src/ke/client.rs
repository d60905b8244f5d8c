//! A client's key establishment, without sockets (NTS chapter, section 5.3).
//!
//! The caller connects, hands in what arrives ([`ClientSession::receive`],
//! [`ClientSession::receive_end`]) and sends what [`ClientSession::transmit`] gives. The
//! result is there as soon as the response is complete ([`ClientSession::take_result`]);
//! after that the session only has to say goodbye, and nothing that happens then can spoil
//! the result. (The reference waits for the end of the TLS shutdown, and logs a time-out
//! for a server that never closes, although it then uses the keys.)

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::aead::{AeadList, Algorithm};
use crate::ke::failure::{Failure, HandshakeFault, Label, Phase};
use crate::ke::record::{Framing, MessageBuffer};
use crate::ke::request::{Answer, client_request};
use crate::ke::response::{self, NegotiatedServer};
use crate::ke::stream;
use crate::session_keys::SessionKeys;
use crate::time::RunningTime;
use crate::verify::trust::TrustedCertificates;
use crate::verify::{ExpectedName, TimeCheck, Verifier};

/// The ALPN protocol name (RFC 8915, section 7.2).
pub const ALPN: &[u8] = b"ntske/1";
/// From the start of the connection to the end of the TLS shutdown.
const LIMIT_S: f64 = 16.0;
const ALERT: &str = "A TLS fatal alert has been received.";
const NOT_TERMINATED: &str = "The TLS connection was non-properly terminated.";

/// What a key establishment needs to know.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// Configured name of the source, or its address as text: SNI, verification, messages.
    pub name: String,
    /// Address and port to connect to.
    pub address: SocketAddr,
    /// `ntsaeads`.
    pub aeads: AeadList,
    /// The certificates of the source's set.
    pub trusted: Arc<TrustedCertificates>,
    /// Whether and when dates are checked.
    pub time: TimeCheck,
}

/// What a successful key establishment gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMaterial {
    /// The keys to start with.
    pub keys: SessionKeys,
    /// The keys of the other exporter context, for AEAD 30 without record 1024 (section 5.6).
    pub alternate: Option<SessionKeys>,
    /// 1 … 8 cookies.
    pub cookies: Vec<Vec<u8>>,
    /// The negotiated NTP server. A name has to be resolved before the material is used.
    pub server: Option<NegotiatedServer>,
    /// The negotiated NTP port.
    pub port: Option<u16>,
}

#[derive(Debug)]
enum State {
    Handshake,
    AwaitResponse(MessageBuffer),
    /// The result is known; `close_notify` or an alert is on its way.
    Done,
}

/// One key establishment.
#[derive(Debug)]
pub struct ClientSession {
    connection: ClientConnection,
    state: State,
    aeads: AeadList,
    label: Label,
    deadline: RunningTime,
    result: Option<Result<KeyMaterial, Failure>>,
    peer_ended: bool,
}

/// The provider is the same for all sessions.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

/// TLS 1.3 only, `ntske/1` only, no resumption, no early data, no client certificate.
fn tls_config(verifier: Verifier) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

impl ClientSession {
    /// Prepares a session; the caller connects now. The limit of 16 s starts.
    ///
    /// # Errors
    ///
    /// [`Failure::Session`] when the name cannot be one.
    pub fn new(request: ClientRequest, now: RunningTime) -> Result<Self, Failure> {
        let session = |error: &dyn std::fmt::Display| Failure::Session(error.to_string());
        let name = ExpectedName::from_configured(&request.name);
        let server_name = match &name {
            ExpectedName::Dns(name) => {
                ServerName::try_from(name.clone()).map_err(|error| session(&error))?
            }
            ExpectedName::Address(address) => ServerName::IpAddress((*address).into()),
        };
        let verifier = Verifier::new(request.trusted, name, request.time);
        let config = tls_config(verifier).map_err(|error| session(&error))?;
        let connection = ClientConnection::new(Arc::new(config), server_name)
            .map_err(|error| session(&error))?;
        Ok(Self {
            connection,
            state: State::Handshake,
            aeads: request.aeads,
            label: Label {
                name: request.name,
                address: request.address,
            },
            deadline: now.plus_s(LIMIT_S),
            result: None,
            peer_ended: false,
        })
    }

    // Events in.

    /// The connection could not be made: at once, or later with the text of the error.
    pub fn connect_failed(&mut self, later: Option<String>) {
        self.fail(later.map_or(Failure::ConnectAtOnce, Failure::Connect));
        self.peer_ended = true;
    }

    /// Octets arrived from the server.
    pub fn receive(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() && !self.peer_ended {
            match stream::feed(&mut self.connection, &mut rest) {
                Ok(arrived) => self.advance(&arrived),
                Err(error) => {
                    self.tls_error(&error);
                    self.peer_ended = true;
                    return;
                }
            }
        }
    }

    /// The server ended its side of the TCP connection.
    pub fn receive_end(&mut self) {
        self.end_of_input(NOT_TERMINATED);
    }

    /// Receiving failed (a reset connection), with the text of the error.
    pub fn receive_failed(&mut self, error: &str) {
        self.end_of_input(error);
    }

    /// Sending failed, with the text of the error.
    pub fn send_failed(&mut self, error: &str) {
        match self.state {
            State::Handshake => self.fail(Failure::ClosedInHandshake),
            _ => self.fail(Failure::Send(error.to_owned())),
        }
        self.peer_ended = true;
    }

    /// Ends the session if its time is over, and says whether it did.
    pub fn handle_timeout(&mut self, now: RunningTime) -> bool {
        if now < self.deadline {
            return false;
        }
        self.fail(Failure::TimedOut(match self.state {
            State::Handshake => Phase::Connection,
            _ => Phase::Later,
        }));
        self.peer_ended = true;
        true
    }

    // Actions out.

    /// Appends the octets to send now to `out`, and says how many.
    pub fn transmit(&mut self, out: &mut Vec<u8>) -> usize {
        stream::drain(&mut self.connection, out)
    }

    /// The keys, or why there are none; once, as soon as it is known. What
    /// [`Self::transmit`] gives after that is a goodbye or an alert.
    pub fn take_result(&mut self) -> Option<Result<KeyMaterial, Failure>> {
        self.result.take()
    }

    // Getters.

    /// When the session has to end.
    pub const fn deadline(&self) -> RunningTime {
        self.deadline
    }

    /// The server, for messages.
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// Whether the socket may be closed once everything is sent: the server has ended its
    /// side too, or there is no more to expect from it.
    pub const fn is_finished(&self) -> bool {
        matches!(self.state, State::Done) && self.peer_ended
    }

    fn advance(&mut self, arrived: &stream::Arrived) {
        if matches!(self.state, State::Handshake) && !self.connection.is_handshaking() {
            self.handshake_done();
        }
        let framing = match &mut self.state {
            State::AwaitResponse(buffer) if arrived.plaintext.is_empty() => {
                arrived.closed.then(|| buffer.end())
            }
            State::AwaitResponse(buffer) => match buffer.push(&arrived.plaintext) {
                Framing::Incomplete => arrived.closed.then(|| buffer.end()),
                framing => Some(framing),
            },
            _ => None,
        };
        match framing {
            Some(Framing::Complete) => self.complete(),
            Some(Framing::Invalid) => self.fail(Failure::Framing),
            Some(Framing::TooLong) => self.fail(Failure::TooLong),
            Some(Framing::Incomplete) | None => {}
        }
        if arrived.closed {
            self.peer_ended = true;
        }
    }

    fn handshake_done(&mut self) {
        if self.connection.alpn_protocol() != Some(ALPN) {
            self.fail(Failure::NoAlpn);
            return;
        }
        let request = client_request(&self.aeads);
        self.state = match stream::write(&mut self.connection, &request) {
            Ok(()) => State::AwaitResponse(MessageBuffer::default()),
            Err(error) => return self.fail(Failure::Send(error)),
        };
    }

    fn complete(&mut self) {
        let State::AwaitResponse(buffer) = &self.state else {
            return;
        };
        let result = response::read(buffer.records(), &self.aeads)
            .map_err(Failure::Response)
            .and_then(|response| self.material(response));
        self.finish(result);
    }

    fn material(&self, response: response::Response) -> Result<KeyMaterial, Failure> {
        let export = |exporter_aead| {
            SessionKeys::export(&self.connection, response.algorithm, exporter_aead)
                .map_err(|error| Failure::Receive(error.to_string()))
        };
        let aead = response.algorithm;
        let keys = export(Answer::exporter_aead(aead, response.compliant))?;
        let alternate = match (aead, response.compliant) {
            (Algorithm::Aes128GcmSiv, false) => Some(export(Algorithm::Aes128GcmSiv)?),
            _ => None,
        };
        Ok(KeyMaterial {
            keys,
            alternate,
            cookies: response.cookies,
            server: response.server,
            port: response.port,
        })
    }

    fn tls_error(&mut self, error: &rustls::Error) {
        self.fail(match (&self.state, error) {
            (State::Handshake, rustls::Error::NoApplicationProtocol) => Failure::NoAlpn,
            (State::Handshake, _) => Failure::Handshake(HandshakeFault::new(error)),
            (_, rustls::Error::AlertReceived(_)) => Failure::Receive(ALERT.to_owned()),
            _ => Failure::Receive(error.to_string()),
        });
    }

    fn end_of_input(&mut self, error: &str) {
        match &self.state {
            State::Handshake => self.fail(Failure::ClosedInHandshake),
            State::AwaitResponse(_) if self.peer_ended => {}
            State::AwaitResponse(buffer) if buffer.is_full() => self.fail(Failure::TooLong),
            State::AwaitResponse(_) => self.fail(Failure::Receive(error.to_owned())),
            State::Done => {}
        }
        self.peer_ended = true;
    }

    fn fail(&mut self, failure: Failure) {
        if !matches!(self.state, State::Done) {
            self.finish(Err(failure));
        }
    }

    fn finish(&mut self, result: Result<KeyMaterial, Failure>) {
        // After a failure there is nothing to wait for.
        self.peer_ended |= result.is_err();
        self.result = Some(result);
        self.state = State::Done;
        if !self.connection.is_handshaking() {
            self.connection.send_close_notify();
        }
    }
}
