//! Sending datagrams: one, or a batch, with the source address and the transmit timestamp
//! they ask for.

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::address::SocketName;
use super::ancillary::push_packet_info;
use super::control::ControlWriter;
use super::receive::{BATCH_SIZE, is_missing};
use super::timestamping::CONTROL_TRANSMIT_ID;
use crate::error::{check, check_length};

/// Room for one datagram: what fits the smallest IPv6 MTU.
const DATAGRAM_SIZE: usize = 1280;

/// Room for the control messages of one datagram: packet information (40 bytes), flags
/// and identifier (24 each).
const CONTROL_SIZE: usize = 96;

/// A request for the transmit timestamp of one datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransmitStamp {
    /// Flags from [`super::SocketSupport::message_flags`]; 0 on a socket with
    /// [`super::TransmitTimestamps::Always`], whose packets need no more than an
    /// identifier.
    pub flags: u32,
    /// Identifier that the report shall carry, where identifiers are in use.
    pub id: Option<u32>,
}

/// Where a datagram goes, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Destination, `None` on a connected socket.
    pub destination: Option<SocketAddr>,
    /// Our address that it shall leave from, `None` for the kernel's choice.
    pub source: Option<IpAddr>,
    /// Index of the interface, 0 for the kernel's choice. Used with `source` only.
    pub interface: u32,
    /// Set to get this datagram's transmit timestamp on a socket with
    /// [`super::TransmitTimestamps::PerMessage`], or to give it an identifier.
    pub transmit_stamp: Option<TransmitStamp>,
}

/// Header, address and control messages of a datagram.
#[derive(Clone)]
struct Envelope {
    name: SocketName,
    control: [u8; CONTROL_SIZE],
    control_length: usize,
}

impl Envelope {
    const EMPTY: Self = Self {
        name: SocketName::EMPTY,
        control: [0; CONTROL_SIZE],
        control_length: 0,
    };

    fn write(&mut self, outgoing: &Outgoing) {
        self.name = outgoing
            .destination
            .map_or(SocketName::EMPTY, SocketName::new);
        let mut writer = ControlWriter::new(&mut self.control);
        if let Some(source) = outgoing.source {
            push_packet_info(&mut writer, source, outgoing.interface);
        }
        if let Some(stamp) = outgoing.transmit_stamp {
            if stamp.flags != 0 {
                let flags = stamp.flags.to_ne_bytes();
                writer.push(libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &flags);
            }
            if let Some(id) = stamp.id {
                writer.push(libc::SOL_SOCKET, CONTROL_TRANSMIT_ID, &id.to_ne_bytes());
            }
        }
        self.control_length = writer.finish();
    }

    /// A header that points to this envelope and to `vector`, both of which must outlive
    /// its use.
    fn header(&mut self, vector: &mut libc::iovec) -> libc::msghdr {
        // SAFETY: msghdr consists of integers and pointers, for which zero is a value.
        let mut header: libc::msghdr = unsafe { zeroed() };
        if self.name.length > 0 {
            header.msg_name = self.name.bytes.as_mut_ptr().cast();
            header.msg_namelen = self.name.length as libc::socklen_t;
        }
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        if self.control_length > 0 {
            header.msg_control = self.control.as_mut_ptr().cast();
            header.msg_controllen = self.control_length as _;
        }
        header
    }
}

/// Sends one datagram.
///
/// # Errors
///
/// As `sendmsg`: `WouldBlock` when the socket's buffer is full, `ConnectionRefused` from
/// an earlier datagram, unreachable destinations, a source address that is not ours.
pub fn send_datagram(socket: BorrowedFd<'_>, data: &[u8], outgoing: &Outgoing) -> io::Result<()> {
    let mut envelope = Envelope::EMPTY;
    envelope.write(outgoing);
    let mut vector = libc::iovec {
        // The kernel does not write to it.
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    let header = envelope.header(&mut vector);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header points to `envelope`, `vector` and `data`, which live longer.
    check_length(unsafe { libc::sendmsg(socket.as_raw_fd(), &header, flags) }).map(drop)
}

/// Buffers for up to [`BATCH_SIZE`] datagrams that are sent together.
///
/// Write a datagram into [`SendBatch::buffer`], then [`SendBatch::commit`] it;
/// [`SendBatch::flush`] sends all.
pub struct SendBatch {
    data: Vec<[u8; DATAGRAM_SIZE]>,
    lengths: [usize; BATCH_SIZE],
    envelopes: Vec<Envelope>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    filled: usize,
    one_by_one: bool,
}

// SAFETY: the raw pointers in `vectors` and `headers` are used only within `flush`, which
// sets them first; they lead to memory that the value owns.
unsafe impl Send for SendBatch {}

impl SendBatch {
    /// Allocates the buffers, about 25 KiB.
    pub fn new() -> Self {
        Self {
            data: vec![[0; DATAGRAM_SIZE]; BATCH_SIZE],
            lengths: [0; BATCH_SIZE],
            envelopes: vec![Envelope::EMPTY; BATCH_SIZE],
            vectors: Vec::with_capacity(BATCH_SIZE),
            headers: Vec::with_capacity(BATCH_SIZE),
            filled: 0,
            one_by_one: false,
        }
    }

    /// Where the next datagram is to be written, `None` when the batch is full. The bytes
    /// are those of an earlier datagram.
    pub fn buffer(&mut self) -> Option<&mut [u8]> {
        let buffer = self.data.get_mut(self.filled)?;
        Some(buffer.as_mut_slice())
    }

    /// Adds the first `length` bytes of [`SendBatch::buffer`] to the batch. Without a
    /// buffer (a full batch) nothing happens.
    pub fn commit(&mut self, length: usize, outgoing: &Outgoing) {
        if let Some(envelope) = self.envelopes.get_mut(self.filled) {
            envelope.write(outgoing);
            self.lengths[self.filled] = length.min(DATAGRAM_SIZE);
            self.filled += 1;
        }
    }

    /// Datagrams waiting.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no datagram is waiting.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether the next [`SendBatch::buffer`] would be `None`.
    pub fn is_full(&self) -> bool {
        self.filled == BATCH_SIZE
    }

    /// Sends the batch and empties it. Calls `refused` with the number in the batch and
    /// the reason for each datagram that the kernel did not take; the others are sent all
    /// the same. Returns how many were sent.
    pub fn flush(
        &mut self,
        socket: BorrowedFd<'_>,
        mut refused: impl FnMut(usize, io::Error),
    ) -> usize {
        self.point_headers();
        let mut sent = 0;
        let mut next = 0;
        while next < self.headers.len() {
            match self.send_from(socket, next) {
                Ok(count) => {
                    sent += count;
                    next += count;
                }
                Err(error) => {
                    refused(next, error);
                    next += 1;
                }
            }
        }
        self.headers.clear();
        self.filled = 0;
        sent
    }

    /// Sends datagrams from number `next` on; returns how many the kernel took, at least
    /// one. An error is that of datagram `next`.
    fn send_from(&mut self, socket: BorrowedFd<'_>, next: usize) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let rest = &mut self.headers[next..];
        if !self.one_by_one {
            let count = rest.len() as libc::c_uint;
            // SAFETY: `point_headers` made the headers point to buffers of `self`, and
            // `count` of them follow the pointer. The type of the flags differs between C
            // libraries.
            let result =
                unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), count, flags as _) };
            match check(result) {
                Ok(taken) => return Ok((taken as usize).max(1)),
                Err(error) if is_missing(&error) => self.one_by_one = true,
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
                Err(error) => return Err(error),
            }
        }
        let header = &self.headers[next].msg_hdr;
        // SAFETY: as above.
        check_length(unsafe { libc::sendmsg(socket.as_raw_fd(), header, flags) }).map(|_| 1)
    }

    fn point_headers(&mut self) {
        self.headers.clear();
        self.vectors.clear();
        for (data, &length) in self.data.iter_mut().zip(&self.lengths).take(self.filled) {
            self.vectors.push(libc::iovec {
                iov_base: data.as_mut_ptr().cast(),
                iov_len: length,
            });
        }
        for (envelope, vector) in self.envelopes.iter_mut().zip(&mut self.vectors) {
            self.headers.push(libc::mmsghdr {
                msg_hdr: envelope.header(vector),
                msg_len: 0,
            });
        }
    }
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendBatch")
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl SendBatch {
    /// A batch as on a system without `sendmmsg`.
    pub(super) fn without_batches() -> Self {
        Self {
            one_by_one: true,
            ..Self::new()
        }
    }
}
