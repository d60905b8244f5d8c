//! Connections of NTS-KE clients: whoever runs them, a helper thread or the main loop, gives
//! each a [`ServerSession`] and carries octets (NTS chapter, section 9).

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;

use discipline::time::MonotonicTime;
use nts::ke::server::{ServerSession, ServerSettings};
use nts::random::SystemRandom;
use nts::server::credentials::Credentials;
use nts::server::keys::ServerKeys;
use os_linux::event::{Interest, PollSet, Readiness};

use crate::ke_io::{self, running};

/// Read at a time; a client sends less than 2 KiB.
const READ_LENGTH: usize = 4096;

/// Reads of one connection in one turn.
const READS_PER_TURN: usize = 4;

/// A connection that was accepted, with what is in force at that time: renewed certificates
/// and rotated keys hold from the next connection on.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, non-blocking.
    pub stream: TcpStream,
    /// The certificates.
    pub credentials: Arc<Credentials>,
    /// The keys for cookies.
    pub keys: Arc<ServerKeys>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    session: ServerSession,
    unsent: Vec<u8>,
    slot: Option<usize>,
}

/// The connections of one thread.
pub struct KeSessions {
    settings: Arc<ServerSettings>,
    random: SystemRandom,
    connections: Vec<Connection>,
}

impl KeSessions {
    /// None yet.
    pub fn new(settings: Arc<ServerSettings>) -> Self {
        Self {
            settings,
            random: SystemRandom::new(),
            connections: Vec::new(),
        }
    }

    /// Connections now.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Takes a connection over; one that the TLS library refuses is closed.
    pub fn add(&mut self, accepted: Accepted, at: MonotonicTime) {
        let settings = Arc::clone(&self.settings);
        let keys = accepted.keys;
        let session = ServerSession::new(settings, &accepted.credentials, keys, running(at));
        let Ok(session) = session else {
            return;
        };
        let mut connection = Connection {
            stream: accepted.stream,
            session,
            unsent: Vec::new(),
            slot: None,
        };
        // What the client said is often there already.
        connection.carry(&mut self.random);
        if !connection.is_over() {
            self.connections.push(connection);
        }
    }

    /// When [`KeSessions::serve`] is to be called without a ready connection.
    pub fn next_timeout(&self) -> Option<MonotonicTime> {
        ke_io::earliest(self.connections.iter().map(|it| it.session.deadline()))
    }

    /// Adds the connections to what is waited for.
    pub fn register(&mut self, set: &mut PollSet) {
        for connection in &mut self.connections {
            let interest = if connection.unsent.is_empty() {
                Interest::READ
            } else {
                Interest::READ | Interest::WRITE
            };
            connection.slot = Some(set.add(connection.stream.as_fd(), interest));
        }
    }

    /// Carries octets after a wait, and closes what is over.
    pub fn serve(&mut self, set: &PollSet, at: MonotonicTime) {
        let random = &mut self.random;
        self.connections.retain_mut(|connection| {
            let slot = connection.slot.take();
            let readiness = slot.map_or(Readiness::default(), |slot| set.readiness(slot));
            if readiness.any() {
                connection.carry(random);
            }
            !connection.session.handle_timeout(running(at)) && !connection.is_over()
        });
    }
}

impl Connection {
    fn is_over(&self) -> bool {
        self.session.is_finished() && self.unsent.is_empty()
    }

    fn carry(&mut self, random: &mut SystemRandom) {
        self.receive(random);
        self.session.transmit(&mut self.unsent);
        if ke_io::send(&mut self.stream, &mut self.unsent).is_err() {
            self.session.receive_end();
        }
    }

    fn receive(&mut self, random: &mut SystemRandom) {
        let mut buffer = [0; READ_LENGTH];
        for _ in 0..READS_PER_TURN {
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.session.receive_end(),
                Ok(length) => {
                    let octets = buffer.get(..length).unwrap_or_default();
                    self.session.receive(octets, random);
                    if length < READ_LENGTH {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.session.receive_end(),
            }
        }
    }
}
