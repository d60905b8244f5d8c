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

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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

/// Whether the real user of the process may read a file (`access(2)`).
///
/// # Errors
///
/// Why not.
pub fn check_readable(path: &Path) -> io::Result<()> {
    access(path, libc::R_OK)
}

/// Whether the real user of the process may write a file (`access(2)`).
///
/// # Errors
///
/// Why not.
pub fn check_writable(path: &Path) -> io::Result<()> {
    access(path, libc::W_OK)
}

fn access(path: &Path, mode: libc::c_int) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` ends with a zero byte.
    check(unsafe { libc::access(path.as_ptr(), mode) }).map(drop)
}

/// Takes over a descriptor that was handed to the process by number, such as that of
/// `-N`.
///
/// # Errors
///
/// `EBADF` when it is not open. Numbers below 3 are refused with `EBADF` too, since std
/// uses them.
pub fn take_descriptor(number: RawFd) -> io::Result<File> {
    if number < 3 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // A duplicate, so that no descriptor that something else owns gets a second owner.
    // SAFETY: the call takes integers only.
    let duplicate = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the descriptor is new and owned by nobody else.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(duplicate) }))
}

/// Closes a descriptor that was handed to the process by number and that nothing in the
/// process owns, after [`take_descriptor`] has made its duplicate.
pub fn close_handed_descriptor(number: RawFd) {
    if number > 2 {
        // SAFETY: the caller says that nothing owns it; a wrong number closes something
        // else, which shows as EBADF there.
        unsafe { libc::close(number) };
    }
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
    fn files_are_checked_for_access() {
        let folder = tempfile::tempdir().expect("folder");
        check_readable(folder.path()).expect("readable");
        check_writable(folder.path()).expect("writable");
        let missing = check_readable(&folder.path().join("missing")).expect_err("missing");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn descriptors_are_taken_by_number() {
        let (mut reader, writer) = io::pipe().expect("pipe");
        let mut taken = take_descriptor(writer.as_raw_fd()).expect("taken");
        drop(writer);
        taken.write_all(b"\n").expect("write");
        drop(taken);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        assert_eq!(text, "\n");
        for bad in [-1, 0, 2, 1_000_000] {
            assert!(take_descriptor(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn resolver_configuration_is_read_again() {
        reload_resolver();
    }
}
