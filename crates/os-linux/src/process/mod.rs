//! The process's relation to the system: daemonising, users and capabilities, memory and
//! scheduler, the system call filter, syslog.
//!
//! Each room does one step of the daemon's start-up order (system chapter, section 2.1);
//! the order itself, and what is done about a failure, is the daemon's.

mod daemonise;
mod filter;
mod identity;
mod limits;
mod syslog;

pub use daemonise::{Daemonised, ReadinessPipe, daemonise};
pub use filter::{Filter, FilterError, Violation};
pub use identity::{
    Capability, User, bounding_set_has, drop_privileges, effective_user_id, look_up_user,
    real_user_id,
};
pub use limits::{lock_memory, set_real_time_priority};
pub use syslog::{Severity, Syslog};

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use crate::error::check;

/// Whether a process with this number exists, also as a zombie: the check of a pidfile
/// (system chapter, section 2.3).
pub fn process_exists(pid: i32) -> bool {
    // SAFETY: the call takes an integer only.
    pid > 0 && unsafe { libc::getsid(pid) } >= 0
}

/// Sets the file mode creation mask and returns the one before.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: the call takes an integer only and cannot fail.
    let before = unsafe { libc::umask(mask as libc::mode_t) };
    before as u32
}

/// Takes over a descriptor that was handed to the process by number, such as that of
/// `-N`.
///
/// Descriptors that the process opened itself cannot be taken: they are close-on-exec,
/// which one that came through `exec` never is.
///
/// Standard output and standard error (1, 2) leave `/dev/null` in their place, since std
/// expects them to be open.
///
/// # Errors
///
/// `EBADF` when it is not open, was not handed over, or is standard input.
pub fn take_descriptor(number: RawFd) -> io::Result<File> {
    if number < 1 || !is_handed_over(number) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    if number < 3 {
        // SAFETY: the call takes integers only; its result is owned by nobody else.
        let taken = unsafe {
            let duplicate = check(libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3))?;
            OwnedFd::from_raw_fd(duplicate)
        };
        daemonise::attach_to_null(number, OpenOptions::new().write(true))
            .map_err(io::Error::other)?;
        return Ok(File::from(taken));
    }
    // SAFETY: nothing in the process owns a descriptor that was handed over, and the flag
    // set below keeps it from being taken again.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    crate::socket::set_close_on_exec(descriptor.as_fd())?;
    Ok(File::from(descriptor))
}

/// Whether a descriptor is open and came from the program that executed this one.
fn is_handed_over(number: RawFd) -> bool {
    // SAFETY: the call takes integers only.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Has the C library read the resolver configuration again, so that a changed
/// `/etc/resolv.conf` counts from the next look-up of this thread on.
pub fn reload_resolver() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call has no arguments and changes state of this thread only. musl reads
    // the file at every look-up and does not need it.
    unsafe {
        libc::res_init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    #[test]
    fn processes_are_found() {
        let own = i32::try_from(std::process::id()).expect("a process number");
        assert!(process_exists(own));
        assert!(!process_exists(0) && !process_exists(-1) && !process_exists(i32::MAX));
    }

    #[test]
    fn descriptors_are_taken_by_number() {
        let (mut reader, writer) = io::pipe().expect("pipe");
        assert!(take_descriptor(writer.as_raw_fd()).is_err(), "it is ours");
        // SAFETY: the call takes an integer only. Its result is as if handed over.
        let number = unsafe { libc::dup(writer.as_raw_fd()) };
        drop(writer);
        let mut taken = take_descriptor(number).expect("taken");
        assert!(take_descriptor(number).is_err(), "only once");
        taken.write_all(b"\n").expect("write");
        drop(taken);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        assert_eq!(text, "\n");
        for bad in [-1, 0, 1_000_000] {
            assert!(take_descriptor(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn resolver_configuration_is_read_again() {
        reload_resolver();
    }
}
