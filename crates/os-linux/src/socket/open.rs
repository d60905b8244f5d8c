//! Opening IP sockets with the options of the specification, in the observed order
//! (system chapter, section 6.3).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::address::{IpFamily, SocketName};
use super::inherited::InheritedSockets;
use super::options::{
    SocketError, bind_to_device, option, set_close_on_exec, set_non_blocking, set_option,
};
use super::timestamping::{ReceiveTimestamps, Timestamping, TransmitTimestamps};
use crate::clock::kernel_release;
use crate::error::check;

/// What a UDP socket shall be.
#[derive(Clone, Copy, Debug)]
pub struct UdpOptions<'a> {
    /// Address family.
    pub family: IpFamily,
    /// Address and port to bind, `None` for the kernel's choice of both.
    pub bind: Option<SocketAddr>,
    /// Interface to bind to.
    pub device: Option<&'a str>,
    /// Where to connect to.
    pub connect: Option<SocketAddr>,
    /// Whether broadcasts may be sent: NTP server sockets.
    pub broadcast: bool,
    /// Whether received datagrams tell the address they were sent to: NTP and command
    /// sockets.
    pub packet_info: bool,
    /// Differentiated services code point, 0 for none.
    pub dscp: u8,
    /// Timestamping, `None` for none.
    pub timestamps: Option<TransmitTimestamps>,
}

impl UdpOptions<'_> {
    /// A socket with no options at all.
    pub fn new(family: IpFamily) -> Self {
        Self {
            family,
            bind: None,
            device: None,
            connect: None,
            broadcast: false,
            packet_info: false,
            dscp: 0,
            timestamps: None,
        }
    }
}

/// A socket that was opened, with what is to be said about it.
#[derive(Debug)]
pub struct Opened<S> {
    /// The socket.
    pub socket: S,
    /// The number of the service manager's descriptor that it stems from, for the debug
    /// message `Reusing … fd=<n>`.
    pub inherited: Option<RawFd>,
    /// It is an inherited IPv6 socket that would take IPv4 packets too, for the warning
    /// `Reusable IPv6 socket missing IPV6_V6ONLY option`.
    pub missing_v6only: bool,
}

/// What the running system offers for sockets. One value per process, made at start.
#[derive(Debug)]
pub struct SocketSupport {
    atomic_flags: bool,
    inherited: InheritedSockets,
    pub(super) timestamping: Timestamping,
}

impl SocketSupport {
    /// Tries out what the system offers. Before any call to open a socket.
    pub fn probe(inherited: InheritedSockets) -> Self {
        Self {
            atomic_flags: atomic_flags_work(),
            inherited,
            timestamping: Timestamping::new(kernel_release()),
        }
    }

    /// Whether sockets of a family can be opened on this system at all.
    pub fn has_family(&self, family: IpFamily) -> bool {
        self.new_socket(family.domain(), libc::SOCK_DGRAM).is_ok()
    }

    /// Switches the timestamps of network cards on for sockets opened from now on: some
    /// interface has hardware timestamping enabled.
    pub fn enable_hardware_timestamps(&mut self) {
        if let Some(trial) = self.trial_socket() {
            self.timestamping.add_hardware(trial.as_fd());
        }
    }

    /// Switches identifiers of sent packets on for sockets opened from now on
    /// (`maxtxbuffers`); false if the kernel does not offer it.
    pub fn enable_transmit_ids(&mut self) -> bool {
        let trial = self.trial_socket();
        trial.is_some_and(|trial| self.timestamping.add_ids(trial.as_fd()))
    }

    /// Switches identifiers off again, when a packet came back without.
    pub fn disable_transmit_ids(&mut self) {
        self.timestamping.remove_ids();
    }

    /// Whether sent packets carry identifiers.
    pub fn transmit_ids(&self) -> bool {
        self.timestamping.with_ids()
    }

    /// The kind of receive timestamps; [`ReceiveTimestamps::ReceiveOnly`] once the kernel
    /// has refused more.
    pub fn receive_timestamps(&self) -> ReceiveTimestamps {
        self.timestamping.receive()
    }

    /// Flags for [`super::TransmitStamp`], `None` when transmit timestamps cannot be
    /// asked for per message (they then come for every packet, or never).
    pub fn message_flags(&self) -> Option<u32> {
        self.timestamping.message_flags()
    }

    /// Keeps an unused socket with timestamping open from now on, so that the kernel
    /// leaves timestamping on. To be called when a packet came without a timestamp;
    /// repeated calls do nothing.
    pub fn keep_timestamping_on(&mut self) {
        let trial = self.trial_socket();
        self.timestamping.keep_on(|| trial);
    }

    /// Opens a UDP socket. An inherited one is taken if its address fits.
    ///
    /// # Errors
    ///
    /// When the socket is of no use: the socket itself, IPV6_V6ONLY, the device, the
    /// address, the connection. Refused options that it can do without are passed over.
    pub fn open_udp(&mut self, options: &UdpOptions<'_>) -> Result<Opened<UdpSocket>, SocketError> {
        let opened = self.start(libc::SOCK_DGRAM, options.family, options.bind)?;
        let socket = opened.socket.as_fd();
        let fresh = opened.inherited.is_none();
        if options.broadcast {
            ignore(set_option(socket, libc::SOL_SOCKET, libc::SO_BROADCAST, 1));
        }
        if fresh {
            set_v6only(socket, options.family)?;
        }
        if options.packet_info {
            let (level, name) = match options.family {
                IpFamily::V4 => (libc::IPPROTO_IP, libc::IP_PKTINFO),
                IpFamily::V6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            };
            ignore(set_option(socket, level, name, 1));
        }
        place(socket, options.device, options.bind, fresh)?;
        if let Some(address) = options.connect {
            connect(socket, address).map_err(SocketError::at("connect"))?;
        }
        if (1..64).contains(&options.dscp) {
            let (level, name) = match options.family {
                IpFamily::V4 => (libc::IPPROTO_IP, libc::IP_TOS),
                IpFamily::V6 => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            };
            ignore(set_option(socket, level, name, i32::from(options.dscp) * 4));
        }
        if let Some(transmit) = options.timestamps {
            self.timestamping.apply(socket, transmit);
        }
        Ok(opened.map(UdpSocket::from))
    }

    /// A new or an inherited socket, without options.
    pub(super) fn start(
        &self,
        kind: libc::c_int,
        family: IpFamily,
        bind: Option<SocketAddr>,
    ) -> Result<Opened<OwnedFd>, SocketError> {
        if let Some(address) = bind {
            let taken = self.inherited.take(kind, address);
            if let Some(taken) = taken.map_err(SocketError::at("fcntl"))? {
                let missing_v6only = family == IpFamily::V6
                    && option(taken.socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
                        .is_ok_and(|value| value == 0);
                return Ok(Opened {
                    socket: taken.socket,
                    inherited: Some(taken.number),
                    missing_v6only,
                });
            }
        }
        let socket = self.new_socket(family.domain(), kind);
        let socket = socket.map_err(SocketError::at("socket"))?;
        if self.inherited.contains(socket.as_raw_fd()) {
            return Err(SocketError::in_reusable_range());
        }
        Ok(Opened {
            socket,
            inherited: None,
            missing_v6only: false,
        })
    }

    /// A non-blocking close-on-exec socket.
    pub(super) fn new_socket(&self, domain: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
        if self.atomic_flags {
            return socket(domain, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
        }
        let socket = socket(domain, kind)?;
        set_close_on_exec(socket.as_fd())?;
        set_non_blocking(socket.as_fd())?;
        Ok(socket)
    }

    fn trial_socket(&self) -> Option<OwnedFd> {
        [libc::AF_INET, libc::AF_INET6]
            .into_iter()
            .find_map(|domain| self.new_socket(domain, libc::SOCK_DGRAM).ok())
    }
}

impl<S> Opened<S> {
    /// The debug message about an inherited socket, for example `Reusing UDPv4 socket fd=3
    /// local=127.0.0.1:123` (system chapter, section 8.11). `kind` is `UDP` or `TCP`.
    pub fn reuse_text(&self, kind: &str, local: SocketAddr) -> Option<String> {
        let family = if local.is_ipv4() { "v4" } else { "v6" };
        let number = self.inherited?;
        Some(format!(
            "Reusing {kind}{family} socket fd={number} local={local}"
        ))
    }

    pub(super) fn map<T>(self, change: impl FnOnce(S) -> T) -> Opened<T> {
        Opened {
            socket: change(self.socket),
            inherited: self.inherited,
            missing_v6only: self.missing_v6only,
        }
    }
}

/// Device, reuse, bind: the part in which UDP and TCP sockets agree.
pub(super) fn place(
    socket: BorrowedFd<'_>,
    device: Option<&str>,
    bind: Option<SocketAddr>,
    fresh: bool,
) -> Result<(), SocketError> {
    if let Some(device) = device {
        bind_to_device(socket, device).map_err(SocketError::at("SO_BINDTODEVICE"))?;
    }
    let Some(address) = bind else {
        return Ok(());
    };
    if address.port() > 0 {
        ignore(set_option(socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1));
        ignore(set_option(socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1));
    } else if address.ip().is_unspecified() {
        return Ok(());
    }
    // This option of IPv4 works on IPv6 sockets too.
    ignore(set_option(socket, libc::IPPROTO_IP, libc::IP_FREEBIND, 1));
    if fresh {
        bind_socket(socket, address).map_err(SocketError::at("bind"))?;
    }
    Ok(())
}

pub(super) fn set_v6only(socket: BorrowedFd<'_>, family: IpFamily) -> Result<(), SocketError> {
    if family == IpFamily::V6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)
            .map_err(SocketError::at("IPV6_V6ONLY"))?;
    }
    Ok(())
}

/// The socket works without the option (system chapter, section 6.3).
pub(super) fn ignore(result: io::Result<()>) {
    drop(result);
}

fn bind_socket(socket: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    let name = SocketName::new(address);
    let length = name.length as libc::socklen_t;
    // SAFETY: the pointer and the length describe the bytes of `name`.
    check(unsafe { libc::bind(socket.as_raw_fd(), name.bytes.as_ptr().cast(), length) }).map(drop)
}

/// Connects a socket; on a stream socket `WouldBlock`-like `EINPROGRESS` is left to the
/// caller.
pub(super) fn connect(socket: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    let name = SocketName::new(address);
    let length = name.length as libc::socklen_t;
    // SAFETY: the pointer and the length describe the bytes of `name`.
    check(unsafe { libc::connect(socket.as_raw_fd(), name.bytes.as_ptr().cast(), length) })
        .map(drop)
}

fn socket(domain: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: the call takes integers only; its result is owned by nobody else.
    unsafe {
        let number = check(libc::socket(domain, kind, 0))?;
        Ok(OwnedFd::from_raw_fd(number))
    }
}

/// Whether `socket` takes both flags, tried on a throw-away socket.
fn atomic_flags_work() -> bool {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    socket(libc::AF_INET, libc::SOCK_DGRAM | flags)
        .or_else(|_| socket(libc::AF_INET6, libc::SOCK_DGRAM | flags))
        .is_ok()
}

#[cfg(test)]
impl SocketSupport {
    /// Support as on a system that refuses flags of `socket`.
    pub(super) fn without_atomic_flags() -> Self {
        Self {
            atomic_flags: false,
            ..Self::probe(InheritedSockets::default())
        }
    }
}
