//! Sockets handed over by a service manager (`LISTEN_FDS`; system chapter, section 3.3).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::address::{NAME_SIZE, decode_address};
use super::options::{option, set_non_blocking};
use crate::error::check;

/// Number of the first descriptor that a service manager hands over.
const FIRST: RawFd = 3;

/// The descriptors handed over: 3 up to the number in `LISTEN_FDS`. They stay open until
/// the process ends, so that packets keep queueing while it restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InheritedSockets {
    count: RawFd,
}

/// A descriptor that is what was looked for.
#[derive(Debug)]
pub struct InheritedSocket {
    /// Its number at the service manager's hand, for the debug message.
    pub number: RawFd,
    /// A duplicate, non-blocking and close-on-exec, so that closing it leaves the
    /// original open.
    pub socket: OwnedFd,
}

impl InheritedSockets {
    /// From the value of `LISTEN_FDS`; none when it is missing or not a plain decimal
    /// number.
    pub fn new(listen_fds: Option<&str>) -> Self {
        let plain = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let count = listen_fds
            .filter(plain)
            .and_then(|text| text.parse().ok())
            // No process has more descriptors than this, and sums stay in range.
            .filter(|&count| count < RawFd::MAX - FIRST)
            .unwrap_or(0);
        Self { count }
    }

    /// Whether a descriptor number is in the range. A new socket there means that one of
    /// the range was closed.
    pub fn contains(self, number: RawFd) -> bool {
        (FIRST..FIRST + self.count).contains(&number)
    }

    /// Number behind the range: descriptors from here on (and below 3) are our own.
    pub fn end(self) -> RawFd {
        FIRST + self.count
    }

    /// Takes the first socket of the range whose type (`SOCK_DGRAM` or `SOCK_STREAM`,
    /// which must listen), bound address and port are those given. Never for port 0.
    ///
    /// # Errors
    ///
    /// As `fcntl`, when the socket that was found cannot be duplicated.
    pub fn take(self, kind: i32, address: SocketAddr) -> io::Result<Option<InheritedSocket>> {
        if address.port() == 0 {
            return Ok(None);
        }
        let found = (FIRST..FIRST + self.count).find(|&number| matches(number, kind, address));
        let Some(number) = found else {
            return Ok(None);
        };
        // SAFETY: F_DUPFD_CLOEXEC takes an integer; the new descriptor is owned by nobody
        // else.
        let socket = unsafe {
            let duplicate = check(libc::fcntl(number, libc::F_DUPFD_CLOEXEC, self.end()))?;
            OwnedFd::from_raw_fd(duplicate)
        };
        set_non_blocking(socket.as_fd())?;

        Ok(Some(InheritedSocket { number, socket }))
    }
}

fn matches(number: RawFd, kind: i32, address: SocketAddr) -> bool {
    // SAFETY: the descriptors of the range are the service manager's and stay open for
    // the process's life; on one that is not open the calls below fail with EBADF.
    let socket = unsafe { BorrowedFd::borrow_raw(number) };
    let is = |name, value| option(socket, libc::SOL_SOCKET, name).is_ok_and(|v| v == value);
    is(libc::SO_TYPE, kind)
        && local_address(number) == Some(address)
        && (kind != libc::SOCK_STREAM || is(libc::SO_ACCEPTCONN, 1))
}

/// The bound address of a socket, `None` if it is no IP socket.
fn local_address(number: RawFd) -> Option<SocketAddr> {
    let mut name = [0; NAME_SIZE];
    let mut length = NAME_SIZE as libc::socklen_t;
    // SAFETY: the pointers and the length describe `name` and `length`.
    check(unsafe { libc::getsockname(number, name.as_mut_ptr().cast(), &mut length) }).ok()?;
    decode_address(name.get(..length as usize)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::AsRawFd;

    #[test]
    fn only_plain_numbers_count() {
        for (text, count) in [
            (None, 0),
            (Some("2"), 2),
            (Some("0"), 0),
            (Some("007"), 7),
            (Some(""), 0),
            (Some("-1"), 0),
            (Some("+1"), 0),
            (Some("1 "), 0),
            (Some("99999999999999999999"), 0),
            (Some("2147483647"), 0),
        ] {
            assert_eq!(InheritedSockets::new(text).count, count, "{text:?}");
        }
        let two = InheritedSockets { count: 2 };
        assert!(two.contains(3) && two.contains(4) && !two.contains(5) && !two.contains(2));
        assert_eq!(two.end(), 5);
    }

    #[test]
    fn sockets_are_matched_by_kind_address_and_port() {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("udp");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("tcp");
        // Everything the test process has open stands in for the range.
        let range = InheritedSockets { count: 200 };
        let address = udp.local_addr().expect("address");
        let taken = range.take(libc::SOCK_DGRAM, address).expect("dup");
        let taken = taken.expect("the socket is in the range");
        assert_eq!(taken.number, udp.as_raw_fd());
        let copy = UdpSocket::from(taken.socket);
        assert!(copy.as_raw_fd() >= range.end());
        assert_eq!(copy.local_addr().expect("address"), address);
        drop(copy);
        udp.local_addr().expect("the original is still open");

        let stream = tcp.local_addr().expect("address");
        assert!(
            range
                .take(libc::SOCK_STREAM, stream)
                .expect("dup")
                .is_some()
        );
        assert!(range.take(libc::SOCK_DGRAM, stream).expect("dup").is_none());
        let any = SocketAddr::new([0, 0, 0, 0].into(), address.port());
        assert!(range.take(libc::SOCK_DGRAM, any).expect("dup").is_none());
        let zero = SocketAddr::new(address.ip(), 0);
        assert!(range.take(libc::SOCK_DGRAM, zero).expect("dup").is_none());
        let none = InheritedSockets::default();
        assert!(none.take(libc::SOCK_DGRAM, address).expect("dup").is_none());
    }
}
