//! A server's side of a key establishment, without sockets (NTS chapter, section 9).
//!
//! One connection carries one request. The caller hands in what arrives, sends what
//! [`ServerSession::transmit`] gives, and closes the socket when
//! [`ServerSession::is_finished`] and everything is sent.

use std::sync::Arc;

use rustls::ServerConnection;

use crate::aead::AeadList;
use crate::ke::client::ALPN;
use crate::ke::record::{Framing, MessageBuffer};
use crate::ke::request::{Answer, NtpService, answer, response};
use crate::ke::stream;
use crate::random::Random;
use crate::server::cookie;
use crate::server::credentials::Credentials;
use crate::server::keys::ServerKeys;
use crate::server::packet::MAX_COOKIES;
use crate::session_keys::SessionKeys;
use crate::time::RunningTime;

/// From accept to the end of the TLS shutdown.
const LIMIT_S: f64 = 2.0;

/// What all sessions of a server have in common.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// `ntsaeads`.
    pub aeads: AeadList,
    /// `port` and `ntsntpserver`.
    pub service: NtpService,
}

/// How a session ended, for debug messages and statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEnd {
    /// The request was answered.
    Answered(Answer),
    /// The handshake failed, with the text of the TLS library.
    Handshake(String),
    /// The client does not speak `ntske/1`.
    NoAlpn,
    /// The peer closed, or the connection broke.
    Closed,
    /// The request is not framed as it must be, or ended early.
    Framing,
    /// The request is longer than 16384 octets.
    TooLong,
    /// 2 s are over.
    TimedOut,
}

#[derive(Debug)]
enum State {
    Handshake,
    AwaitRequest(MessageBuffer),
    /// Response and `close_notify` are on their way; the client's is awaited.
    Closing,
    /// Nothing more to do than to send what is left.
    Done,
}

/// One session.
#[derive(Debug)]
pub struct ServerSession {
    connection: ServerConnection,
    state: State,
    settings: Arc<ServerSettings>,
    keys: Arc<ServerKeys>,
    deadline: RunningTime,
    end: Option<ServerEnd>,
}

impl ServerSession {
    /// A session for a connection that was just accepted, with the server keys in force. The
    /// limit of 2 s starts.
    ///
    /// # Errors
    ///
    /// That of the TLS library, in which case the connection is closed.
    pub fn new(
        settings: Arc<ServerSettings>,
        credentials: &Credentials,
        keys: Arc<ServerKeys>,
        now: RunningTime,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            connection: ServerConnection::new(Arc::clone(credentials.tls()))?,
            state: State::Handshake,
            settings,
            keys,
            deadline: now.plus_s(LIMIT_S),
            end: None,
        })
    }

    // Events in.

    /// Octets arrived from the client. `random` gives the nonces of the cookies.
    pub fn receive(&mut self, octets: &[u8], random: &mut dyn Random) {
        let mut rest = octets;
        while !rest.is_empty() && !matches!(self.state, State::Done) {
            match stream::feed(&mut self.connection, &mut rest) {
                Ok(arrived) => self.advance(&arrived, random),
                Err(error) => self.finish(match self.state {
                    State::Handshake => ServerEnd::Handshake(error.to_string()),
                    _ => ServerEnd::Closed,
                }),
            }
        }
    }

    /// The client ended its side, or receiving or sending failed.
    pub fn receive_end(&mut self) {
        self.finish(ServerEnd::Closed);
    }

    /// Ends the session if its time is over, and says whether it did.
    pub fn handle_timeout(&mut self, now: RunningTime) -> bool {
        if now < self.deadline {
            return false;
        }
        self.finish(ServerEnd::TimedOut);
        true
    }

    // Actions out.

    /// Appends the octets to send now to `out`, and says how many.
    pub fn transmit(&mut self, out: &mut Vec<u8>) -> usize {
        stream::drain(&mut self.connection, out)
    }

    // Getters.

    /// When the session has to end.
    pub const fn deadline(&self) -> RunningTime {
        self.deadline
    }

    /// Whether the socket is to be closed once everything is sent.
    pub const fn is_finished(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// How it ended; an answered request stays so whatever happens after.
    pub const fn end(&self) -> Option<&ServerEnd> {
        self.end.as_ref()
    }

    fn advance(&mut self, arrived: &stream::Arrived, random: &mut dyn Random) {
        if matches!(self.state, State::Handshake) && !self.connection.is_handshaking() {
            if self.connection.alpn_protocol() != Some(ALPN) {
                return self.finish(ServerEnd::NoAlpn);
            }
            self.state = State::AwaitRequest(MessageBuffer::default());
        }
        match &mut self.state {
            State::AwaitRequest(buffer) => {
                let mut framing = Framing::Incomplete;
                if !arrived.plaintext.is_empty() {
                    framing = buffer.push(&arrived.plaintext);
                }
                if framing == Framing::Incomplete && arrived.closed {
                    framing = buffer.end();
                }
                match framing {
                    Framing::Incomplete => {}
                    Framing::Complete => self.respond(random),
                    Framing::Invalid => self.finish(ServerEnd::Framing),
                    Framing::TooLong => self.finish(ServerEnd::TooLong),
                }
            }
            State::Closing if arrived.closed => self.state = State::Done,
            _ => {}
        }
    }

    fn respond(&mut self, random: &mut dyn Random) {
        let State::AwaitRequest(buffer) = &self.state else {
            return;
        };
        let answer = answer(buffer.records(), &self.settings.aeads);
        let cookies = match answer {
            Answer::Keys {
                algorithm,
                compliant,
            } => {
                let exporter_aead = Answer::exporter_aead(algorithm, compliant);
                match SessionKeys::export(&self.connection, algorithm, exporter_aead) {
                    Ok(session) => self.make_cookies(&session, random),
                    Err(_) => return self.finish(ServerEnd::Closed),
                }
            }
            _ => Vec::new(),
        };
        let message = response(answer, &self.settings.service, &cookies);
        if stream::write(&mut self.connection, &message).is_err() {
            return self.finish(ServerEnd::Closed);
        }
        self.connection.send_close_notify();
        self.end = Some(ServerEnd::Answered(answer));
        self.state = State::Closing;
    }

    fn make_cookies(&self, session: &SessionKeys, random: &mut dyn Random) -> Vec<Vec<u8>> {
        (0..MAX_COOKIES)
            .filter_map(|_| {
                let mut cookie = vec![0; cookie::MAX_LENGTH];
                let length = cookie::seal(self.keys.current(), session, random, &mut cookie)?;
                cookie.truncate(length);
                Some(cookie)
            })
            .collect()
    }

    fn finish(&mut self, end: ServerEnd) {
        self.state = State::Done;
        self.end.get_or_insert(end);
    }
}
