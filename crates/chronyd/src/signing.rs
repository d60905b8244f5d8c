//! The client of the MS-SNTP signing service (ntp chapter, section 6.9): a stream socket
//! that never blocks, with one request under way at a time. What the messages look like is
//! the business of [`engine::server::signing`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use discipline::journal::Severity;
use engine::action::{Outgoing, Payload};
use engine::event::Socket;
use engine::server::signing::SigningQueue;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use ntp_wire::{HEADER_LENGTH, MAX_PACKET_LENGTH};
use os_linux::event::Interest;

use crate::daemon::Daemon;

/// Name of the socket in the configured directory.
const SOCKET_NAME: &str = "socket";

/// Longest response: length, version, operation, packet ID and the longest packet.
const RESPONSE_LENGTH_MAX: usize = 16 + MAX_PACKET_LENGTH;

/// Who waits for a signed answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// The socket that the request came to.
    pub(crate) socket: Socket,
    /// Who asked.
    pub(crate) remote: SocketAddr,
    /// Which address was asked.
    pub(crate) local: Option<IpAddr>,
    /// Through which interface, for link-local addresses.
    pub(crate) interface: u32,
}

/// A connection under way or at rest.
struct Connection {
    stream: UnixStream,
    /// Bytes of the first request that were written.
    written: usize,
    /// The response as far as it was read.
    read: Vec<u8>,
}

/// Answers that wait for the service, and the connection to it.
pub(crate) struct Signing {
    path: PathBuf,
    queue: SigningQueue<Client>,
    connection: Option<Connection>,
    /// The service could not be reached, and this was said.
    said_failure: bool,
}

impl Signing {
    /// Nothing is connected before the first request.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(SOCKET_NAME),
            queue: SigningQueue::default(),
            connection: None,
            said_failure: false,
        }
    }

    /// What to wait for: readiness to write a request, or anything that the service sends.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        let connection = self.connection.as_ref()?;
        let unwritten = self
            .queue
            .request()
            .is_some_and(|request| connection.written < request.len());
        let interest = if unwritten {
            Interest::READ | Interest::WRITE
        } else {
            Interest::READ
        };
        Some((connection.stream.as_fd(), interest))
    }

    /// Queues an answer, connecting if needed. The error is the text of a message.
    pub(crate) fn push(
        &mut self,
        client: Client,
        key_id: u32,
        packet: [u8; HEADER_LENGTH],
    ) -> Result<(), String> {
        if self.connection.is_none() {
            match open(&self.path) {
                Ok(stream) => {
                    self.said_failure = false;
                    self.connection = Some(Connection {
                        stream,
                        written: 0,
                        read: Vec::with_capacity(RESPONSE_LENGTH_MAX),
                    });
                }
                Err(_) if std::mem::replace(&mut self.said_failure, true) => return Ok(()),
                Err(error) => {
                    let path = self.path.display();
                    let reason = os_linux::error_text(&error);
                    return Err(format!(
                        "Could not connect to signd socket {path} : {reason}"
                    ));
                }
            }
        }
        // When too many wait, this client asks again.
        let _ = self.queue.push(client, key_id, packet);
        Ok(())
    }

    /// Writes and reads what can be; `send` gets each signed answer.
    pub(crate) fn exchange(&mut self, send: &mut dyn FnMut(Client, &[u8])) {
        if self.try_exchange(send).is_err() {
            self.connection = None;
            self.queue.clear();
        }
    }

    fn try_exchange(&mut self, send: &mut dyn FnMut(Client, &[u8])) -> io::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        loop {
            if let Some(request) = self.queue.request()
                && let Some(rest) = request.get(connection.written..)
                && !rest.is_empty()
                && let Some(count) = unless_blocked(connection.stream.write(rest))?
            {
                connection.written += count;
            }
            let mut buffer = [0; RESPONSE_LENGTH_MAX];
            let room = RESPONSE_LENGTH_MAX - connection.read.len();
            let Some(count) = unless_blocked(connection.stream.read(&mut buffer[..room]))? else {
                return Ok(());
            };
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            connection.read.extend_from_slice(&buffer[..count]);
            let response = self.queue.take_response(&connection.read);
            if let Some(response) = response.map_err(io::Error::other)? {
                if let Some(signed) = response.signed {
                    send(response.client, signed);
                }
                // One request is under way, so nothing may follow its response.
                connection.read.clear();
                connection.written = 0;
            }
        }
    }
}

fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Connects without waiting: a service whose backlog is full counts as unreachable.
fn open(path: &Path) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(socket))
}

impl Daemon {
    /// Hands an answer to the signing service.
    pub(crate) fn sign(&mut self, client: Client, key_id: u32, answer: &[u8]) {
        let Some(packet) = answer.first_chunk().copied() else {
            return;
        };
        let Some(signing) = &mut self.signing else {
            return;
        };
        if let Err(text) = signing.push(client, key_id, packet) {
            self.output.write(Severity::Error, &text);
        }
        self.serve_signing();
    }

    /// Goes on with the conversation, and sends what was signed.
    pub(crate) fn serve_signing(&mut self) {
        let Self {
            signing,
            sockets,
            support,
            engine,
            ..
        } = self;
        if let Some(signing) = signing {
            signing.exchange(&mut |client, signed| {
                let payload = engine.framed(client.socket, Payload::new(signed));
                // An answer that cannot be sent is lost, as on the network.
                let _ = sockets.send(
                    support,
                    &Outgoing {
                        socket: client.socket,
                        remote: client.remote,
                        local: client.local,
                        interface: client.interface,
                        payload,
                        source: None,
                        wants_timestamp: false,
                    },
                );
            });
        }
    }
}
