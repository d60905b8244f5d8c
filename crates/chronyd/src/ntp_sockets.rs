//! The NTP sockets (ntp chapter, section 4): server, shared client, PTP, and one client
//! socket for the latest request of each source.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use chrony_conf::config::{AddressPair, Config};
use discipline::journal::Severity;
use engine::action::Outgoing;
use engine::event::Socket;
use engine::ids::SourceId;
use os_linux::socket::{
    IpFamily, Outgoing as Envelope, SocketSupport, TransmitStamp, TransmitTimestamps, UdpOptions,
    is_link_local, send_datagram,
};

use crate::output::Output;
use crate::sent_packets::SentPackets;

const FAMILIES: [IpFamily; 2] = [IpFamily::V4, IpFamily::V6];

/// A socket for each family.
#[derive(Debug, Default)]
struct Pair([Option<UdpSocket>; 2]);

impl Pair {
    fn get(&self, family: IpFamily) -> Option<&UdpSocket> {
        self.0[family as usize].as_ref()
    }

    fn any_open(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }
}

/// What the configuration says about NTP sockets.
#[derive(Clone, Debug)]
struct Wanted {
    families: [bool; 2],
    server_port: u16,
    server_addresses: AddressPair,
    server_device: Option<String>,
    client_port: Option<u16>,
    client_addresses: AddressPair,
    client_device: Option<String>,
    ptp_port: u16,
    dscp: u8,
}

/// All NTP sockets of the main thread.
#[derive(Debug)]
pub struct NtpSockets {
    wanted: Wanted,
    server: Pair,
    /// Sockets of the server threads, for each family that has a server socket. They are opened
    /// with it, and so belong to the same user: the kernel spreads packets among sockets of one
    /// user only, and those opened by root before it drops its rights got all of them.
    of_threads: [Vec<Arc<UdpSocket>>; 2],
    /// Server threads beside the main one.
    threads: usize,
    shared: Pair,
    ptp: Pair,
    clients: Vec<(SourceId, UdpSocket)>,
    sent: SentPackets,
}

/// What is to be said about opening sockets.
#[derive(Debug, Default)]
pub struct OpenReport {
    /// Error messages.
    pub errors: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Messages for debugging.
    pub debug: Vec<String>,
    /// A fatal message.
    pub fatal: Option<String>,
}

impl OpenReport {
    /// Writes the messages. The error is the fatal one, which is left to the caller.
    pub fn say(self, output: &mut Output) -> Result<(), String> {
        let kinds = [
            (Severity::Debug, self.debug),
            (Severity::Warning, self.warnings),
            (Severity::Error, self.errors),
        ];
        for (severity, texts) in kinds {
            for text in texts {
                output.write(severity, &text);
            }
        }
        self.fatal.map_or(Ok(()), Err)
    }
}

impl NtpSockets {
    /// Nothing is open yet. `threads` is the number of server threads beside the main one.
    pub fn new(config: &Config, threads: usize) -> Self {
        Self {
            wanted: Wanted {
                families: FAMILIES.map(|family| config.family.contains(family.any())),
                server_port: config.server.port,
                server_addresses: config.server.bind_addresses,
                server_device: config.server.bind_device.clone(),
                client_port: config.client.acquisition_port,
                client_addresses: config.client.bind_addresses,
                client_device: config.client.bind_device.clone(),
                ptp_port: config.server.ptp_port,
                dscp: config.client.dscp,
            },
            server: Pair::default(),
            of_threads: Default::default(),
            threads,
            shared: Pair::default(),
            ptp: Pair::default(),
            clients: Vec::new(),
            sent: SentPackets::new(usize::try_from(config.process.max_tx_buffers).unwrap_or(0)),
        }
    }

    /// Whether the shared client socket is the server socket, which is then open for good.
    fn shares_server_socket(&self) -> bool {
        self.wanted.server_port > 0 && self.wanted.client_port == Some(self.wanted.server_port)
    }

    /// Opens the sockets that are open from start to exit. Returns what is to be said.
    pub fn open_permanent(&mut self, support: &mut SocketSupport) -> OpenReport {
        let mut report = OpenReport::default();
        let mut missing = false;
        if self.shares_server_socket() {
            self.open_server(support, [true, true], &mut report);
            missing = !self.server.any_open();
        } else if let Some(port) = self.wanted.client_port {
            for family in FAMILIES {
                self.shared.0[family as usize] =
                    self.open_shared(support, family, port, &mut report);
            }
            // One family is enough; without any the fatal message says it, as chrony's does.
            report.errors.clear();
            missing = !self.shared.any_open();
        }
        if self.wanted.ptp_port > 0 {
            // chrony lives without these: requests over NTP's own port may work.
            for family in FAMILIES {
                let port = self.wanted.ptp_port;
                self.ptp.0[family as usize] =
                    self.open_listening(support, family, port, &mut report);
            }
        }
        if missing && report.fatal.is_none() {
            report.fatal = Some("Could not open NTP sockets".to_owned());
        }
        report
    }

    /// Opens or closes the server sockets of the families. Returns what is to be said.
    pub fn set_server(&mut self, support: &mut SocketSupport, needed: [bool; 2]) -> OpenReport {
        let mut report = OpenReport::default();
        if !self.shares_server_socket() {
            self.open_server(support, needed, &mut report);
        }
        report
    }

    fn open_server(
        &mut self,
        support: &mut SocketSupport,
        needed: [bool; 2],
        report: &mut OpenReport,
    ) {
        for family in FAMILIES {
            let index = family as usize;
            if !needed[index] || self.wanted.server_port == 0 {
                self.server.0[index] = None;
                self.of_threads[index].clear();
            } else if self.server.0[index].is_none() {
                let port = self.wanted.server_port;
                self.server.0[index] = self.open_listening(support, family, port, report);
                if self.server.0[index].is_some() {
                    self.of_threads[index] = self.open_for_threads(support, family, report);
                }
            }
        }
    }

    /// The sockets of the server threads, up to the first that cannot be opened.
    fn open_for_threads(
        &self,
        support: &mut SocketSupport,
        family: IpFamily,
        report: &mut OpenReport,
    ) -> Vec<Arc<UdpSocket>> {
        let port = self.wanted.server_port;
        let options = self.listening_options(family, port);
        let address = bind_address(self.wanted.server_addresses, family, port);
        let mut sockets = Vec::with_capacity(self.threads);
        while sockets.len() < self.threads {
            match support.open_udp(&options) {
                Ok(opened) => sockets.push(Arc::new(opened.socket)),
                Err(error) => {
                    report.errors.push(format!(
                        "Could not open NTP socket of server thread {} on {address} : {error}",
                        sockets.len() + 2,
                    ));
                    break;
                }
            }
        }
        sockets
    }

    fn open_listening(
        &self,
        support: &mut SocketSupport,
        family: IpFamily,
        port: u16,
        report: &mut OpenReport,
    ) -> Option<UdpSocket> {
        self.open(support, &self.listening_options(family, port), report)
    }

    fn listening_options(&self, family: IpFamily, port: u16) -> UdpOptions<'_> {
        UdpOptions {
            bind: Some(bind_address(self.wanted.server_addresses, family, port)),
            device: self.wanted.server_device.as_deref(),
            broadcast: true,
            timestamps: Some(TransmitTimestamps::PerMessage),
            ..self.ntp_options(family)
        }
    }

    fn open_shared(
        &self,
        support: &mut SocketSupport,
        family: IpFamily,
        port: u16,
        report: &mut OpenReport,
    ) -> Option<UdpSocket> {
        let options = UdpOptions {
            bind: Some(bind_address(self.wanted.client_addresses, family, port)),
            ..self.client_options(family)
        };
        self.open(support, &options, report)
    }

    /// What all NTP sockets have in common.
    fn ntp_options(&self, family: IpFamily) -> UdpOptions<'_> {
        UdpOptions {
            packet_info: true,
            dscp: self.wanted.dscp,
            ..UdpOptions::new(family)
        }
    }

    /// What all client sockets have in common.
    fn client_options(&self, family: IpFamily) -> UdpOptions<'_> {
        UdpOptions {
            device: self.wanted.client_device.as_deref(),
            timestamps: Some(TransmitTimestamps::Always),
            ..self.ntp_options(family)
        }
    }

    fn open(
        &self,
        support: &mut SocketSupport,
        options: &UdpOptions<'_>,
        report: &mut OpenReport,
    ) -> Option<UdpSocket> {
        if !self.wanted.families[options.family as usize] || !support.has_family(options.family) {
            return None;
        }
        match support.open_udp(options) {
            Ok(opened) => {
                let local = options.bind;
                let reused = local.and_then(|local| opened.reuse_text("UDP", local));
                report.debug.extend(reused);
                if opened.missing_v6only {
                    let text = "Reusable IPv6 socket missing IPV6_V6ONLY option";
                    report.warnings.push(text.to_owned());
                }
                Some(opened.socket)
            }
            Err(error) => {
                let fatal = error.reusable_range(options.family);
                report.fatal = report.fatal.take().or(fatal);
                let address = options
                    .bind
                    .unwrap_or_else(|| SocketAddr::new(options.family.any(), 0));
                report
                    .errors
                    .push(format!("Could not open NTP socket on {address}"));
                None
            }
        }
    }

    /// The sockets of each server thread beside the main one.
    pub fn of_threads(&self) -> impl Iterator<Item = Vec<Arc<UdpSocket>>> {
        (0..self.threads)
            .map(|thread| {
                let sockets = self.of_threads.iter();
                sockets.filter_map(|of| of.get(thread).cloned()).collect()
            })
            .take_while(|sockets: &Vec<_>| !sockets.is_empty())
    }

    /// The open socket of a kind that has this descriptor.
    pub fn find(&self, kind: Socket, descriptor: RawFd) -> Option<BorrowedFd<'_>> {
        self.iter()
            .find(|(socket, open)| *socket == kind && open.as_raw_fd() == descriptor)
            .map(|(_, open)| open)
    }

    /// The open server or PTP socket of a family.
    pub fn listening(&self, kind: Socket, family: IpFamily) -> Option<BorrowedFd<'_>> {
        let pair = match kind {
            Socket::Server => &self.server,
            Socket::Ptp => &self.ptp,
            Socket::Shared | Socket::Client(_) => return None,
        };
        pair.get(family).map(AsFd::as_fd)
    }

    /// Whether requests or packets of peers can arrive.
    pub fn is_listening(&self) -> bool {
        self.server.any_open() || self.ptp.any_open()
    }

    /// Opens a new socket for a source's next request. `Err` is a fatal message.
    pub fn open_client(
        &mut self,
        support: &mut SocketSupport,
        source: SourceId,
        to: SocketAddr,
    ) -> Result<(), String> {
        self.close_client(source);
        let family = IpFamily::of(to.ip());
        if !self.wanted.families[family as usize] {
            return Ok(());
        }
        let bound = match family {
            IpFamily::V4 => self.wanted.client_addresses.ipv4.map(IpAddr::V4),
            IpFamily::V6 => self.wanted.client_addresses.ipv6.map(IpAddr::V6),
        };
        let options = UdpOptions {
            bind: bound.map(|address| SocketAddr::new(address, 0)),
            connect: Some(to),
            ..self.client_options(family)
        };
        // A socket that cannot be opened shows when the request cannot be sent.
        match support.open_udp(&options) {
            Ok(opened) => self.clients.push((source, opened.socket)),
            Err(error) => return error.reusable_range(family).map_or(Ok(()), Err),
        }
        Ok(())
    }

    /// Closes the socket of a source, if it is open.
    pub fn close_client(&mut self, source: SourceId) {
        self.clients.retain(|(id, _)| *id != source);
    }

    /// All open sockets.
    pub fn iter(&self) -> impl Iterator<Item = (Socket, BorrowedFd<'_>)> {
        let fixed = [
            (Socket::Server, &self.server),
            (Socket::Shared, &self.shared),
            (Socket::Ptp, &self.ptp),
        ];
        let fixed = fixed.into_iter().flat_map(|(kind, pair)| {
            pair.0
                .iter()
                .flatten()
                .map(move |socket| (kind, socket.as_fd()))
        });
        let clients = self
            .clients
            .iter()
            .map(|(id, socket)| (Socket::Client(*id), socket.as_fd()));
        fixed.chain(clients)
    }

    /// The last packets sent.
    pub fn sent(&self) -> &SentPackets {
        &self.sent
    }

    /// Sends a datagram.
    pub fn send(&mut self, support: &SocketSupport, outgoing: &Outgoing) -> io::Result<()> {
        let family = IpFamily::of(outgoing.remote.ip());
        let (socket, connected) = match outgoing.socket {
            Socket::Client(source) => {
                let found = self.clients.iter().find(|(id, _)| *id == source);
                (found.map(|(_, socket)| socket), true)
            }
            Socket::Server => (self.server.get(family), false),
            Socket::Ptp => (self.ptp.get(family), false),
            Socket::Shared if self.shares_server_socket() => (self.server.get(family), false),
            Socket::Shared => (self.shared.get(family), false),
        };
        let socket = socket.ok_or(io::ErrorKind::NotConnected)?;
        let flags = support
            .message_flags()
            .filter(|_| outgoing.wants_timestamp && !connected);
        let id = match support.transmit_ids() {
            true => self.sent.keep(outgoing),
            false => None,
        };
        let stamp = TransmitStamp {
            flags: flags.unwrap_or(0),
            id,
        };
        let envelope = Envelope {
            destination: (!connected).then_some(outgoing.remote),
            source: outgoing.local,
            interface: if is_link_local(outgoing.remote.ip()) {
                outgoing.interface
            } else {
                0
            },
            transmit_stamp: (flags.is_some() || id.is_some()).then_some(stamp),
        };
        send_datagram(socket.as_fd(), outgoing.payload.as_slice(), &envelope)
    }
}

fn bind_address(addresses: AddressPair, family: IpFamily, port: u16) -> SocketAddr {
    let configured = match family {
        IpFamily::V4 => addresses.ipv4.map(IpAddr::V4),
        IpFamily::V6 => addresses.ipv6.map(IpAddr::V6),
    };
    SocketAddr::new(configured.unwrap_or(family.any()), port)
}
