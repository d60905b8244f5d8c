//! Socket options, one call each.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::{check, error_text, length_of};

/// A socket that could not be opened, and at which step.
#[derive(Debug)]
pub struct SocketError {
    /// The call or option that failed, for debug messages, for example `bind`.
    pub step: &'static str,
    /// Why.
    pub error: io::Error,
}

impl SocketError {
    pub(super) fn at(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { step, error }
    }
}

/// The step of [`SocketError::reusable_range`].
const REUSABLE_RANGE: &str = "file descriptor in reusable range";

impl SocketError {
    /// A new socket got the number of one that a service manager had handed over, which thus
    /// was closed behind our back.
    pub(super) fn in_reusable_range() -> Self {
        Self {
            step: REUSABLE_RANGE,
            error: io::ErrorKind::Other.into(),
        }
    }

    /// The text of a fatal message, if the service manager's sockets cannot be relied on
    /// (system chapter, section 3.3).
    pub fn reusable_range(&self, family: super::IpFamily) -> Option<String> {
        let family = match family {
            super::IpFamily::V4 => "IPv4",
            super::IpFamily::V6 => "IPv6",
        };
        (self.step == REUSABLE_RANGE)
            .then(|| format!("Could not open {family} socket : {REUSABLE_RANGE}"))
    }
}

impl std::fmt::Display for SocketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} failed : {}", self.step, error_text(&self.error))
    }
}

impl std::error::Error for SocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Sets an option whose value is an integer.
pub(super) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            length_of::<libc::c_int>(),
        )
    })
    .map(drop)
}

/// The value of an option that is an integer.
pub(super) fn option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = length_of::<libc::c_int>();
    // SAFETY: the pointers and the length describe `value` and `length`.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &mut length,
        )
    })?;
    Ok(value)
}

/// Binds a socket to a network interface (`SO_BINDTODEVICE`).
pub(super) fn bind_to_device(socket: BorrowedFd<'_>, device: &str) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `device`; the kernel needs no final
    // zero byte.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            device.as_ptr().cast(),
            device.len() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Has reads and writes return instead of waiting.
pub(crate) fn set_non_blocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let number = descriptor.as_raw_fd();
    // SAFETY: F_GETFL takes no argument.
    let flags = check(unsafe { libc::fcntl(number, libc::F_GETFL) })?;
    // SAFETY: F_SETFL takes an integer.
    check(unsafe { libc::fcntl(number, libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// Has the descriptor closed when another program is executed.
pub(crate) fn set_close_on_exec(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_SETFD takes an integer.
    check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) }).map(drop)
}
