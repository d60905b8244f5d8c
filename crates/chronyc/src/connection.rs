//! Servers, sockets, and the exchange of one request (chronyc chapter, sections 2 and 3).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use control_wire::{
    Command, FALLBACK_VERSION, MAX_REPLY_LENGTH, Reply, ReplyError, ReplyHeader, Request,
    RequestHeader, Status, VERSION, reply_length,
};

use crate::output::complain;
use crate::random;
use crate::resolver::Resolver;
use crate::signals::QuitFlag;
use crate::unix_socket::{ClientSocket, OpenError};

/// Addresses taken of one name.
const MAX_ADDRESSES: usize = 16;
/// Wait for the first reply, before the command `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(1000);
/// Repetitions of a request, before the command `retries`.
const DEFAULT_RETRIES: u32 = 2;

/// One entry of the server list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// Path of a Unix socket.
    Unix(String),
    /// IP address and port.
    Udp(SocketAddr),
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => formatter.write_str(path),
            Self::Udp(address) => address.fmt(formatter),
        }
    }
}

/// Takes a comma-separated list; names are resolved now, unknown ones left out.
pub(crate) fn server_list(list: &str, port: u16, resolver: &Resolver) -> Vec<Server> {
    let mut servers = Vec::new();
    for entry in list.split(',').filter(|entry| !entry.is_empty()) {
        if entry.starts_with('/') {
            servers.push(Server::Unix(entry.to_owned()));
        } else {
            let addresses = resolver.addresses(entry).into_iter().take(MAX_ADDRESSES);
            servers.extend(addresses.map(|ip| Server::Udp(SocketAddr::new(ip, port))));
        }
    }
    servers
}

/// What went wrong with a server, for the explanation of a failed connection.
#[derive(Debug)]
pub(crate) struct Trial {
    /// The server tried.
    pub(crate) server: Server,
    /// The error, or none if there was just no answer.
    pub(crate) error: Option<io::Error>,
}

/// An open socket of either kind.
#[derive(Debug)]
enum Socket {
    Unix(ClientSocket),
    Udp(UdpSocket),
}

impl Socket {
    fn open(server: &Server) -> Result<Self, OpenError> {
        match server {
            Server::Unix(path) => ClientSocket::open(path).map(Self::Unix),
            Server::Udp(address) => {
                let any: IpAddr = match address {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                let socket = UdpSocket::bind((any, 0))
                    .and_then(|socket| socket.connect(address).map(|()| socket));
                socket.map(Self::Udp).map_err(OpenError::NotConnected)
            }
        }
    }

    fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(datagram),
            Self::Unix(client) => client.socket.send(datagram),
        }
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.set_read_timeout(Some(timeout)),
            Self::Unix(client) => client.socket.set_read_timeout(Some(timeout)),
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(buffer),
            Self::Unix(client) => client.socket.recv(buffer),
        }
    }
}

/// A socket and the wait it is set to, so that the kernel is told only of changes.
#[derive(Debug)]
struct OpenSocket {
    socket: Socket,
    wait: Option<Duration>,
}

impl OpenSocket {
    /// Waits for a datagram, at most for `wait`; a signal interrupts.
    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        if wait.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.wait != Some(wait) {
            self.socket.set_read_timeout(wait)?;
            self.wait = Some(wait);
        }
        self.socket.receive(buffer)
    }
}

/// Why there is no reply from one server.
enum NoReply {
    /// An attempt ended early (error or unusable reply): repeat.
    EndAttempt(Option<io::Error>),
    /// The server cannot be used.
    Unusable(io::Error),
    /// The daemon wants version 5: repeat without counting.
    Version5,
}

/// The reply to a request.
pub(crate) type Answer = (ReplyHeader, Result<Reply, ReplyError>);

/// The connection to a daemon.
#[derive(Debug)]
pub(crate) struct Connection {
    servers: Vec<Server>,
    /// Index of the server in use; the next one to try if `socket` is none.
    current: usize,
    socket: Option<OpenSocket>,
    version: u8,
    /// Wait for the first reply.
    pub(crate) timeout: Duration,
    /// Repetitions of a request.
    pub(crate) retries: u32,
    /// What went wrong in the last exchange without a reply.
    pub(crate) trials: Vec<Trial>,
    quit: QuitFlag,
    debug: bool,
}

impl Connection {
    /// A connection to the first server of the list that can be opened, when first needed.
    pub(crate) fn new(servers: Vec<Server>, quit: QuitFlag, debug: bool) -> Self {
        Self {
            servers,
            current: 0,
            socket: None,
            version: VERSION,
            timeout: DEFAULT_TIMEOUT,
            retries: DEFAULT_RETRIES,
            trials: Vec::new(),
            quit,
            debug,
        }
    }

    /// Opens the first server that can be, from the current one on. `false` if there is none.
    pub(crate) fn open(&mut self) -> bool {
        while let Some(server) = self.servers.get(self.current) {
            if self.debug {
                complain!("Opening connection to {server}");
            }
            match Socket::open(server) {
                Ok(socket) => {
                    self.socket = Some(OpenSocket { socket, wait: None });
                    return true;
                }
                Err(OpenError::NotConnected(error)) => {
                    let server = server.clone();
                    self.trials.push(Trial {
                        server,
                        error: Some(error),
                    });
                }
                Err(OpenError::Message(message)) => complain!("{message}"),
            }
            self.current += 1;
        }
        false
    }

    /// Closes the socket and removes its paths.
    pub(crate) fn close(&mut self) {
        self.socket = None;
        self.current = 0;
    }

    /// Sends a request, to one server after the other, until there is a reply. `None` without one.
    pub(crate) fn exchange(&mut self, request: &Request) -> Option<Answer> {
        self.trials.clear();
        loop {
            if self.socket.is_none() && !self.open() {
                self.close();
                return None;
            }
            match self.exchange_with_current(request) {
                Ok(answer) => return Some(answer),
                Err(error) => {
                    if let Some(server) = self.servers.get(self.current).cloned() {
                        self.trials.push(Trial { server, error });
                    }
                }
            }
            self.socket = None;
            self.current += 1;
            if self.quit.is_set() {
                self.close();
                return None;
            }
        }
    }

    /// All attempts with the present socket.
    fn exchange_with_current(&mut self, request: &Request) -> Result<Answer, Option<io::Error>> {
        let mut sent = Vec::new();
        let mut attempt = 0;
        let mut last_error = None;
        while attempt <= self.retries && !self.quit.is_set() {
            match self.attempt(request, attempt, &mut sent) {
                Ok(answer) => return Ok(answer),
                Err(NoReply::Version5) => {
                    self.version = FALLBACK_VERSION;
                    continue;
                }
                Err(NoReply::Unusable(error)) => return Err(Some(error)),
                Err(NoReply::EndAttempt(error)) => last_error = error,
            }
            attempt += 1;
        }
        Err(last_error)
    }

    /// One sending of the request, and the wait for its reply. A late reply to an earlier
    /// sending is as good.
    fn attempt(
        &mut self,
        request: &Request,
        attempt: u32,
        sent: &mut Vec<RequestHeader>,
    ) -> Result<Answer, NoReply> {
        let socket = self.socket.as_mut().ok_or(NoReply::EndAttempt(None))?;
        let header = RequestHeader {
            version: self.version,
            command: request.command().code(),
            attempt: attempt as u16,
            sequence: random::word()
                .map(u32::from_be_bytes)
                .map_err(NoReply::Unusable)?,
        };
        sent.push(header);
        let wait = self.timeout * 2u32.saturating_pow(attempt);
        if self.debug {
            complain!("Timeout {:.6} seconds", wait.as_secs_f64());
        }
        let sent_now = socket.socket.send(&request.emit(&header));
        sent_now.map_err(NoReply::Unusable)?;
        self.wait_for_reply(wait, sent, request.command())
    }

    fn wait_for_reply(
        &mut self,
        wait: Duration,
        sent: &[RequestHeader],
        command: Command,
    ) -> Result<Answer, NoReply> {
        let deadline = Instant::now() + wait;
        // The first wait is the whole one, so that it is mostly the same as the last.
        let mut left = wait;
        let mut buffer = [0; MAX_REPLY_LENGTH];
        loop {
            let socket = self.socket.as_mut().ok_or(NoReply::EndAttempt(None))?;
            match socket.receive(&mut buffer, left) {
                Ok(length) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if let Some(answer) = self.take_reply(datagram, sent, command)? {
                        return Ok(answer);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted && !self.quit.is_set() => {
                }
                Err(error) if is_timeout(&error) => return Err(NoReply::EndAttempt(None)),
                Err(error) => return Err(NoReply::EndAttempt(Some(error))),
            }
            left = deadline.saturating_duration_since(Instant::now());
        }
    }

    /// Looks at a datagram received; `None` if it is to be ignored.
    fn take_reply(
        &self,
        datagram: &[u8],
        sent: &[RequestHeader],
        command: Command,
    ) -> Result<Option<Answer>, NoReply> {
        let answers = |header: &ReplyHeader| {
            let of_this_version = |request: &&RequestHeader| request.version == self.version;
            sent.iter()
                .filter(of_this_version)
                .any(|request| header.answers(request))
        };
        let Some(header) = ReplyHeader::parse(datagram).filter(answers) else {
            return Ok(None);
        };
        if self.debug {
            let status = header.status.code();
            complain!(
                "Reply cmd={} reply={} stat={status}",
                command.code(),
                header.reply
            );
        }
        if self.version == VERSION
            && header.version == FALLBACK_VERSION
            && header.status == Status::BadPacketVersion
        {
            return Err(NoReply::Version5);
        }
        if datagram.len() < reply_length(header.reply) {
            return Err(NoReply::EndAttempt(None));
        }
        Ok(Some((header, Reply::parse(&header, datagram))))
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
