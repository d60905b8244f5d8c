//! Sockets with what std leaves out: options in the observed order, batches of datagrams
//! with kernel and hardware timestamps, replies from the address that was asked, transmit
//! timestamps from the error queue.
//!
//! [`SocketSupport`] knows what the running system offers and opens sockets. They are
//! std's own types ([`std::net::UdpSocket`] and so on), so everything std can do with a
//! socket stays available; reading and writing datagrams goes through [`ReceiveBatch`]
//! and [`SendBatch`], which own their buffers and allocate nothing per packet. Each
//! thread has its own batches.
//!
//! Buffers that the kernel fills are decoded by safe code that takes plain bytes
//! ([`Ancillary::parse`], [`LoopedPacket::parse`], [`decode_address`]), so it can be
//! fuzzed without a socket.

mod address;
mod ancillary;
mod control;
mod frame;
mod inherited;
mod open;
mod options;
mod receive;
mod send;
mod tcp;
mod timestamping;
mod unix;

pub use address::{IpFamily, decode_address, is_link_local};
pub use ancillary::{Ancillary, TransmitReport};
pub use frame::LoopedPacket;
pub use inherited::{InheritedSocket, InheritedSockets};
pub use open::{Opened, SocketSupport, UdpOptions};
pub use options::SocketError;
pub use receive::{BATCH_SIZE, ReceiveBatch, Received};
pub use send::{Outgoing, SendBatch, TransmitStamp, send_datagram};
pub use tcp::TcpOptions;
pub use timestamping::{ReceiveTimestamps, TransmitTimestamps};
pub use unix::{
    UnixAddress, UnixReceived, UnixSender, bind_unix_datagram, receive_unix, send_unix,
};

pub(crate) use options::{set_close_on_exec, set_non_blocking};

/// A timestamp of a network card: nanoseconds of its own clock, whose relation to any
/// other clock must be measured first ([`crate::hardware`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardwareTime(i64);

impl HardwareTime {
    /// From nanoseconds of the card's clock.
    pub const fn from_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// Nanoseconds of the card's clock.
    pub const fn as_ns(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod loopback_tests;
