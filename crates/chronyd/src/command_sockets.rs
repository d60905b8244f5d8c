//! The sockets of the control protocol (control-protocol chapter, section 1): one UDP socket
//! for each family, and the datagram socket of the Unix domain. What a datagram means is the
//! engine's business.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use chrony_conf::Config;
use chrony_conf::sources::AddressFamily;
use discipline::journal::Severity;
use engine::action::SavedFile;
use engine::engine::CommandPeer;
use engine::event::Now;
use os_linux::socket::{
    IpFamily, Outgoing, ReceiveBatch, SocketSupport, UdpOptions, UnixSender, bind_unix_datagram,
    is_link_local, receive_unix, send_datagram, send_unix,
};

use crate::daemon::{Daemon, now};
use crate::files::{self, Owner};
use crate::output::Output;

/// Larger datagrams of the Unix domain are dropped before they are looked at: one byte more
/// than the longest request that is accepted.
const UNIX_BUFFER_SIZE: usize = control_wire::MAX_REQUEST_LENGTH + 1;

/// One of the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandSocket {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Unix domain.
    Unix,
}

/// The open command sockets.
#[derive(Debug, Default)]
pub struct CommandSockets {
    ipv4: Option<UdpSocket>,
    ipv6: Option<UdpSocket>,
    unix: Option<(UnixDatagram, PathBuf)>,
}

/// The path of the Unix socket, if there is to be one and its directory protects it. To be
/// called while still privileged, after directories were created.
pub fn usable_unix_path(config: &Config, owner: Owner, output: &mut Output) -> Option<PathBuf> {
    let path = config.command.socket.as_deref()?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    if let Err(text) = files::check_socket_directory(directory, owner) {
        output.write(Severity::Error, &text);
        let text = format!("Disabled command socket {}", path.display());
        output.write(Severity::Warning, &text);
        return None;
    }
    Some(path.to_owned())
}

impl CommandSockets {
    /// Opens the UDP sockets. One that cannot be opened is reported and done without.
    ///
    /// # Errors
    ///
    /// The text of a fatal message.
    pub fn open_udp(
        config: &Config,
        support: &mut SocketSupport,
        output: &mut Output,
    ) -> Result<Self, String> {
        let mut open = |family| open_udp(config, family, support, output);
        Ok(Self {
            ipv4: open(IpFamily::V4)?,
            ipv6: open(IpFamily::V6)?,
            unix: None,
        })
    }

    /// Opens the Unix socket, after root's rights were dropped so that the file belongs to
    /// the daemon's user.
    pub fn open_unix(&mut self, path: PathBuf, output: &mut Output) {
        match bind_unix_datagram(&path) {
            Ok(socket) => self.unix = Some((socket, path)),
            Err(_) => {
                let text = format!("Could not open command socket on {}", path.display());
                output.write(Severity::Error, &text);
            }
        }
    }

    /// All open sockets.
    pub fn iter(&self) -> impl Iterator<Item = (CommandSocket, BorrowedFd<'_>)> {
        let udp = [
            (CommandSocket::Ipv4, &self.ipv4),
            (CommandSocket::Ipv6, &self.ipv6),
        ];
        let udp = udp
            .into_iter()
            .filter_map(|(kind, socket)| Some((kind, socket.as_ref()?.as_fd())));
        let unix = self.unix.as_ref();
        udp.chain(unix.map(|(socket, _)| (CommandSocket::Unix, socket.as_fd())))
    }

    /// Closes everything and removes the file of the Unix socket.
    ///
    /// # Errors
    ///
    /// The text of a message.
    pub fn close(&mut self) -> Result<(), String> {
        let unix = std::mem::take(self).unix;
        unix.map_or(Ok(()), |(_, path)| files::remove(&path))
    }
}

fn open_udp(
    config: &Config,
    family: IpFamily,
    support: &mut SocketSupport,
    output: &mut Output,
) -> Result<Option<UdpSocket>, String> {
    let settings = &config.command;
    let (wanted, address) = match family {
        IpFamily::V4 => (
            config.family != AddressFamily::Ipv6,
            IpAddr::V4(settings.bind_addresses.ipv4.unwrap_or(Ipv4Addr::LOCALHOST)),
        ),
        IpFamily::V6 => (
            config.family != AddressFamily::Ipv4,
            IpAddr::V6(settings.bind_addresses.ipv6.unwrap_or(Ipv6Addr::LOCALHOST)),
        ),
    };
    if settings.port == 0 || !wanted || !support.has_family(family) {
        return Ok(None);
    }
    // What leaves a socket that is bound to an address has that address; of IPv6 the interface
    // is wanted, too.
    let has_own_address = family == IpFamily::V4 && !address.is_unspecified();
    let address = SocketAddr::new(address, settings.port);
    let options = UdpOptions {
        bind: Some(address),
        device: settings.bind_device.as_deref(),
        packet_info: !has_own_address,
        ..UdpOptions::new(family)
    };
    match support.open_udp(&options) {
        Ok(opened) => {
            if let Some(text) = opened.reuse_text("UDP", address) {
                output.write(Severity::Debug, &text);
            }
            if opened.missing_v6only {
                let text = "Reusable IPv6 socket missing IPV6_V6ONLY option";
                output.write(Severity::Warning, text);
            }
            Ok(Some(opened.socket))
        }
        Err(error) => {
            if let Some(text) = error.reusable_range(family) {
                return Err(text);
            }
            let text = format!("Could not open command socket on {address}");
            output.write(Severity::Error, &text);
            Ok(None)
        }
    }
}

impl Daemon {
    /// Takes what arrived on a command socket. `fresh` is the time for the first datagram, when
    /// it has just been read.
    pub(crate) fn serve_commands(&mut self, socket: CommandSocket, fresh: Option<Now>) {
        match socket {
            CommandSocket::Unix => self.serve_unix_command(fresh),
            CommandSocket::Ipv4 | CommandSocket::Ipv6 => {
                self.serve_udp_commands(socket, fresh);
                self.run_actions();
            }
        }
    }

    /// One datagram is all there is from a client that waits for its answer. One that gets no
    /// answer may be of a flood, which is taken in batches so that the queue has room for others.
    fn serve_udp_commands(&mut self, kind: CommandSocket, fresh: Option<Now>) {
        if !self.take_udp_commands(kind, fresh, ReceiveBatch::receive_one) {
            self.take_udp_commands(kind, None, ReceiveBatch::receive);
        }
    }

    /// Whether anything got an answer.
    fn take_udp_commands(
        &mut self,
        kind: CommandSocket,
        mut fresh: Option<Now>,
        receive: fn(&mut ReceiveBatch, BorrowedFd<'_>) -> io::Result<usize>,
    ) -> bool {
        let open = match kind {
            CommandSocket::Ipv6 => &self.commands.ipv6,
            _ => &self.commands.ipv4,
        };
        let (Some(socket), Some(batch)) = (open, &mut self.batch) else {
            return false;
        };
        if receive(batch, socket.as_fd()).is_err() {
            return false;
        }
        let mut answered = false;
        for received in batch.iter().filter(|received| !received.truncated) {
            let Some(remote) = received.source else {
                continue;
            };
            let peer = CommandPeer::Udp(remote.ip());
            let at = fresh.take().unwrap_or_else(now);
            let Some(reply) = self.engine.handle_command(at, received.data, peer) else {
                continue;
            };
            let interface = received.ancillary.interface;
            let outgoing = Outgoing {
                destination: Some(remote),
                source: received.ancillary.local,
                interface: if is_link_local(remote.ip()) {
                    interface
                } else {
                    0
                },
                transmit_stamp: None,
            };
            // A client that is gone gets nothing; it would ask again.
            let _ = send_datagram(socket.as_fd(), &reply, &outgoing);
            answered = true;
        }
        answered
    }

    /// Only senders that can be answered are listened to. An abstract name could not be by
    /// the reference, which still executes the command; nobody can see the result, so it is
    /// dropped here.
    ///
    /// What the command wants done is done before the reply, as by the reference: who has the
    /// reply of `dump`, `cyclelogs` or `rekey` goes on with the files.
    fn serve_unix_command(&mut self, fresh: Option<Now>) {
        let Some((socket, _)) = &self.commands.unix else {
            return;
        };
        let mut buffer = [0; UNIX_BUFFER_SIZE];
        let Ok(received) = receive_unix(socket.as_fd(), &mut buffer) else {
            return;
        };
        let UnixSender::Path(sender) = received.sender else {
            return;
        };
        let Some(request) = buffer.get(..received.length) else {
            return;
        };
        if received.truncated {
            return;
        }
        let reply =
            self.engine
                .handle_command(fresh.unwrap_or_else(now), request, CommandPeer::Unix);
        self.run_actions();
        let reply = reply.or_else(|| {
            let pending = self.engine.take_pending_save()?;
            let saved = self.save(&SavedFile::Rtc, &pending.contents);
            Some(pending.reply(saved))
        });
        // The actions needed the whole daemon, so the socket is looked up again.
        if let (Some(reply), Some((socket, _))) = (reply, &self.commands.unix) {
            // The client may have vanished.
            let _ = send_unix(socket.as_fd(), &reply, &sender);
        }
    }
}
