//! What an engine wants done.

use std::net::{IpAddr, SocketAddr};

use discipline::reference::MailRequest;
use nts::verify::TimeCheck;

use crate::event::Socket;
use crate::ids::SourceId;
use crate::names::{Family, QueryId};
use crate::nts_client::EstablishmentId;
use crate::refclock::RefclockId;

/// Longest NTP packet that is sent, with room for the NTP-over-PTP prefix.
pub const PACKET_MAX: usize = 1140 + 56;

/// A UDP payload with a fixed upper length.
#[derive(Clone, Copy)]
pub struct Payload {
    length: usize,
    bytes: [u8; PACKET_MAX],
}

impl Payload {
    /// Copies `bytes`; what exceeds [`PACKET_MAX`] is cut.
    pub fn new(bytes: &[u8]) -> Self {
        let length = bytes.len().min(PACKET_MAX);
        let mut payload = Self {
            length,
            bytes: [0; PACKET_MAX],
        };
        payload.bytes[..length].copy_from_slice(&bytes[..length]);
        payload
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({} bytes)", self.length)
    }
}

/// A datagram to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Through which socket.
    pub socket: Socket,
    /// Where to.
    pub remote: SocketAddr,
    /// The source address to use; `None` leaves it to the kernel.
    pub local: Option<IpAddr>,
    /// The interface to use when the remote address is link-local; 0 for any.
    pub interface: u32,
    /// The UDP payload.
    pub payload: Payload,
    /// The source whose packet it is, to which [`crate::Engine::handle_sent`] must be
    /// reported right after the attempt. `None` for broadcasts.
    pub source: Option<SourceId>,
    /// Whether the kernel's or hardware's transmit timestamp is wanted.
    pub wants_timestamp: bool,
}

/// A file that the engine keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedFile {
    /// The drift file.
    Drift,
    /// The sample history of a source: `<dumpdir>/<name>.dat`.
    Dump {
        /// File name without directory.
        name: String,
    },
    /// Keys and cookies of an NTS association: `<ntsdumpdir>/<name>.nts`.
    NtsCookies {
        /// File name without directory.
        name: String,
    },
    /// The RTC's parameters.
    Rtc,
}

/// What is to be done with the real-time clock chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcOrder {
    /// Enable the update interrupt. Ignore the first one; at each further one read the chip
    /// and report [`crate::Engine::handle_rtc_reading`].
    StartMeasuring,
    /// Disable the update interrupt.
    StopMeasuring,
    /// Set the chip; a failure is logged with [`discipline::reference::Rtc::SET_FAILED`].
    SetTime {
        /// POSIX seconds.
        time_s: i64,
    },
}

/// A key establishment to be made.
#[derive(Clone, Debug)]
pub struct KeyRequest {
    /// For which source.
    pub source: SourceId,
    /// To be given back with the result.
    pub establishment: EstablishmentId,
    /// Configured name of the source, or its address as text.
    pub name: String,
    /// The NTS-KE server.
    pub address: SocketAddr,
    /// Number of the set of trusted certificates.
    pub cert_set: u32,
    /// Whether and when the dates of certificates are checked.
    pub time: TimeCheck,
}

/// One thing to do. The caller drains [`crate::Engine::poll_action`] after every event and
/// does things in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Open a new socket for the source's next request, connected to `remote`, in place of
    /// its previous one.
    OpenClientSocket {
        /// Whose socket.
        source: SourceId,
        /// Where it connects to.
        remote: SocketAddr,
    },
    /// Close the source's client socket, if it is open.
    CloseClientSocket {
        /// Whose socket.
        source: SourceId,
    },
    /// Send a datagram.
    Send(Box<Outgoing>),
    /// Open or close the NTP server sockets.
    ServerSockets {
        /// Whether the IPv4 socket is needed.
        ipv4: bool,
        /// Whether the IPv6 socket is needed.
        ipv6: bool,
    },
    /// Look a name up and report [`crate::Engine::handle_resolved`].
    Resolve {
        /// To be given back with the answer.
        query: QueryId,
        /// The host name.
        name: String,
        /// Restriction to one family.
        family: Option<Family>,
    },
    /// Replace a file.
    Save {
        /// Which file.
        file: SavedFile,
        /// The whole new contents.
        contents: String,
    },
    /// Delete a file if it exists.
    Remove {
        /// Which file.
        file: SavedFile,
    },
    /// Make a key establishment and report [`crate::Engine::handle_key_establishment`].
    StartKeyEstablishment(Box<KeyRequest>),
    /// The result of the source's key establishment is not wanted any more.
    CancelKeyEstablishment {
        /// Whose.
        source: SourceId,
    },
    /// Read a file of cookies, delete it, and report [`crate::Engine::handle_cookies`] before
    /// anything else, if there was one.
    TakeCookies {
        /// Whose.
        source: SourceId,
        /// Which file.
        file: SavedFile,
    },
    /// Save the NTS server's keys (command `dump`).
    SaveServerKeys,
    /// Test whether addresses have a route and report [`crate::Engine::handle_routes`]
    /// (command `onoffline`).
    CheckRoutes {
        /// Sources and their addresses.
        addresses: Vec<(SourceId, IpAddr)>,
    },
    /// Send a mail about a clock change (`mailonchange`).
    Mail {
        /// The recipient.
        user: String,
        /// What it says.
        mail: MailRequest,
    },
    /// The first round of names is over and the sources exist: reload the dumps if that is
    /// wanted ([`crate::Engine::restore_source`]), and delete the dump files.
    SourcesReady,
    /// Close the log files so that the next line opens them again.
    CycleLogs,
    /// Read the key file again and report [`crate::Engine::set_keys`].
    ReloadKeys,
    /// Read the source directories again and report [`crate::Engine::reload_sources`].
    ReloadSources,
    /// Read the sensor of `tempcomp` and report [`crate::Engine::handle_temperature`].
    ReadTemperature,
    /// Do something with the real-time clock chip.
    Rtc(RtcOrder),
    /// The clock was corrected by the chip (`-s` with `rtcfile`): start-up goes on.
    RtcApplied,
    /// Read the clock of an interface's card and report
    /// [`crate::Engine::handle_card_readings`].
    ReadCard {
        /// Index of the interface.
        interface: u32,
    },
    /// Read a reference clock: report [`crate::Engine::handle_refclock_data`] for what it says,
    /// and in any case [`crate::Engine::refclock_polled`].
    PollRefclock {
        /// Which one.
        clock: RefclockId,
    },
    /// A special mode is over, and normal operation begins: report readiness and add the
    /// configured sources.
    NormalMode,
    /// End the daemon with this exit status, cleaning up.
    Exit {
        /// 0 or 1.
        status: u8,
    },
}
