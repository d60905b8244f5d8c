//! Receiving datagrams and error queue messages in batches, without allocation.

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::address::{NAME_SIZE, decode_address};
use super::ancillary::Ancillary;
use super::control::CONTROL_SIZE;
use super::options::option;
use crate::error::{check, check_length};

/// Datagrams read in one go (system chapter, section 6.3).
pub const BATCH_SIZE: usize = 16;

/// Room for one datagram, and for the link-layer headers in front of it when it comes
/// back on the error queue (system chapter, section 6.3: 1260 + 64).
const DATAGRAM_SIZE: usize = 1260 + 64;

/// A datagram in a [`ReceiveBatch`].
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The datagram, or the frame of a message from the error queue.
    pub data: &'a [u8],
    /// The sender; `None` on the error queue and for families other than IP.
    pub source: Option<SocketAddr>,
    /// Addresses, timestamps and the transmit report.
    pub ancillary: Ancillary,
    /// The datagram or its control messages did not fit: to be dropped.
    pub truncated: bool,
}

/// Buffers for up to [`BATCH_SIZE`] datagrams.
///
/// ```no_run
/// # use std::os::fd::AsFd;
/// # use os_linux::socket::ReceiveBatch;
/// # let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// let mut batch = ReceiveBatch::new();
/// batch.receive(socket.as_fd())?;
/// for datagram in batch.iter() {
///     println!("{} bytes from {:?}", datagram.data.len(), datagram.source);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ReceiveBatch {
    /// Point into the vectors below, whose memory never moves or grows.
    headers: Vec<libc::mmsghdr>,
    /// Kept because `headers` points to them.
    _vectors: Vec<libc::iovec>,
    names: Vec<[u8; NAME_SIZE]>,
    controls: Vec<Control>,
    data: Vec<u8>,
    filled: usize,
    one_by_one: bool,
}

/// A buffer for control messages, aligned as their headers.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_SIZE]);

// SAFETY: the raw pointers in `headers` and `_vectors` lead only to memory that the value
// owns, so it can be given to another thread as a whole.
unsafe impl Send for ReceiveBatch {}

impl ReceiveBatch {
    /// Allocates the buffers, about 26 KiB.
    pub fn new() -> Self {
        let mut names = vec![[0; NAME_SIZE]; BATCH_SIZE];
        let mut controls = vec![Control([0; CONTROL_SIZE]); BATCH_SIZE];
        let mut data = vec![0; BATCH_SIZE * DATAGRAM_SIZE];
        let mut vectors = Vec::with_capacity(BATCH_SIZE);
        for part in data.chunks_exact_mut(DATAGRAM_SIZE) {
            vectors.push(libc::iovec {
                iov_base: part.as_mut_ptr().cast(),
                iov_len: part.len(),
            });
        }
        let mut headers = Vec::with_capacity(BATCH_SIZE);
        for ((name, control), vector) in names.iter_mut().zip(&mut controls).zip(&mut vectors) {
            // SAFETY: mmsghdr consists of integers and pointers, for which zero is a
            // value.
            let mut header: libc::mmsghdr = unsafe { zeroed() };
            header.msg_hdr.msg_name = name.as_mut_ptr().cast();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            headers.push(header);
        }
        Self {
            headers,
            _vectors: vectors,
            names,
            controls,
            data,
            filled: 0,
            one_by_one: false,
        }
    }

    /// Reads the datagrams that are waiting, at most [`BATCH_SIZE`], in place of those of
    /// the last call. Does not wait; returns their number.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none. A pending error of the socket, such as
    /// `ConnectionRefused` on a connected one, which the call clears.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.fill(socket, libc::MSG_DONTWAIT)
    }

    /// As [`ReceiveBatch::receive`], but one datagram: where each is followed by an answer that
    /// its sender waits for, the batch's look for a second one is a system call's work for
    /// nothing.
    ///
    /// # Errors
    ///
    /// As [`ReceiveBatch::receive`].
    pub fn receive_one(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.clear(1);
        self.fill_one_by_one(socket, libc::MSG_DONTWAIT, 1)
    }

    /// As [`ReceiveBatch::receive`], but from the error queue: frames of sent packets
    /// with their transmit timestamps, for [`super::LoopedPacket::parse`].
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the queue is empty; but a pending error of the socket instead,
    /// if there is one, since `poll` reports both alike and would go on doing so.
    pub fn receive_errors(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        match self.fill(socket, libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Reading the option clears the error.
                match option(socket, libc::SOL_SOCKET, libc::SO_ERROR)? {
                    0 => Err(error),
                    number => Err(io::Error::from_raw_os_error(number)),
                }
            }
            result => result,
        }
    }

    /// The datagrams of the last call.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        (0..self.filled).map(|index| self.datagram(index))
    }

    /// Number of datagrams of the last call.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether the last call gave none.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    fn datagram(&self, index: usize) -> Received<'_> {
        let header = &self.headers[index];
        let start = index * DATAGRAM_SIZE;
        let length = DATAGRAM_SIZE.min(header.msg_len as usize);
        let name_length = NAME_SIZE.min(header.msg_hdr.msg_namelen as usize);
        let control_length = CONTROL_SIZE.min(header.msg_hdr.msg_controllen as _);
        Received {
            data: &self.data[start..start + length],
            source: decode_address(&self.names[index][..name_length]),
            ancillary: Ancillary::parse(&self.controls[index].0[..control_length]),
            truncated: header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
        }
    }

    /// Forgets what was received and prepares the first `count` headers.
    fn clear(&mut self, count: usize) {
        self.filled = 0;
        for header in self.headers.iter_mut().take(count) {
            header.msg_len = 0;
            header.msg_hdr.msg_namelen = NAME_SIZE as libc::socklen_t;
            header.msg_hdr.msg_controllen = CONTROL_SIZE as _;
            header.msg_hdr.msg_flags = 0;
        }
    }

    fn fill(&mut self, socket: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<usize> {
        self.clear(BATCH_SIZE);
        if !self.one_by_one {
            match self.fill_at_once(socket, flags) {
                Err(error) if is_missing(&error) => self.one_by_one = true,
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
                result => return result,
            }
        }
        self.fill_one_by_one(socket, flags, BATCH_SIZE)
    }

    fn fill_at_once(&mut self, socket: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<usize> {
        // SAFETY: every header points to buffers of `self` with their lengths, as set in
        // `new` and `fill`; no time limit is passed. The type of the flags differs
        // between C libraries.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH_SIZE as libc::c_uint,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        self.filled = check(result)? as usize;
        Ok(self.filled)
    }

    fn fill_one_by_one(
        &mut self,
        socket: BorrowedFd<'_>,
        flags: libc::c_int,
        limit: usize,
    ) -> io::Result<usize> {
        for header in self.headers.iter_mut().take(limit) {
            // SAFETY: as in `fill_at_once`.
            let result = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header.msg_hdr, flags) };
            match check_length(result) {
                Ok(length) => {
                    // Bounded by the size of the buffer.
                    header.msg_len = length as libc::c_uint;
                    self.filled += 1;
                }
                Err(error) if self.filled == 0 => return Err(error),
                // The next call reports it again, or there is nothing more.
                Err(_) => break,
            }
        }
        Ok(self.filled)
    }
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ReceiveBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Whether the system does not have a batch call, so that the plain one must do from now
/// on. (`EPERM` can be a packet filter's, so the plain call is tried each time.)
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP))
}

#[cfg(test)]
impl ReceiveBatch {
    /// A batch as on a system without `recvmmsg`.
    pub(super) fn without_batches() -> Self {
        Self {
            one_by_one: true,
            ..Self::new()
        }
    }
}
