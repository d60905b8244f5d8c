//! What can happen to an engine.

use std::net::{IpAddr, SocketAddr};

pub use discipline::reference::Now;
use discipline::time::RawTime;

use crate::ids::SourceId;

/// The socket that a datagram came from or goes to. The address family follows from the
/// remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Socket {
    /// The NTP server socket (`port`).
    Server,
    /// The shared client socket (`acquisitionport`).
    Shared,
    /// The NTP-over-PTP socket (`ptpport`).
    Ptp,
    /// The socket opened for the latest request of one source.
    Client(SourceId),
}

/// Who took a timestamp, best last (ntp chapter, section 15.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimestampSource {
    /// The daemon's own reading of the clock.
    #[default]
    Daemon,
    /// The kernel.
    Kernel,
    /// The network hardware.
    Hardware,
}

/// A reading of the raw clock that belongs to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketTime {
    /// When.
    pub raw: RawTime,
    /// According to whom.
    pub source: TimestampSource,
}

/// A reading of a network card's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardwareStamp {
    /// Nanoseconds on the card's clock.
    pub clock_ns: i64,
    /// Index of the interface whose card it is; 0 when not known.
    pub interface: u32,
    /// Length of the frame on the link in bytes; 0 when not known.
    pub frame_length: u32,
}

/// A received UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it arrived.
    pub socket: Socket,
    /// Who sent it.
    pub remote: SocketAddr,
    /// The address it was sent to, when known.
    pub local: Option<IpAddr>,
    /// Index of the interface it arrived on; 0 when not known.
    pub interface: u32,
    /// The UDP payload.
    pub payload: &'a [u8],
    /// When it arrived, by the kernel or the daemon.
    pub received: PacketTime,
    /// When it arrived, by the network hardware.
    pub hardware: Option<HardwareStamp>,
}

/// The kernel's or the hardware's word on when a datagram left.
#[derive(Clone, Copy, Debug)]
pub struct TransmitReport<'a> {
    /// The socket it was sent through.
    pub socket: Socket,
    /// Where it went.
    pub remote: SocketAddr,
    /// The UDP payload.
    pub payload: &'a [u8],
    /// When it left, by the kernel.
    pub sent: Option<PacketTime>,
    /// When it left, by the network hardware.
    pub hardware: Option<HardwareStamp>,
}

/// Why a datagram could not be sent; nothing more is known to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendFailed;
