//! Files and folders: what std leaves out.
//!
//! The rest (owners, modes, exclusive creation, renaming) is in [`std::fs`] and
//! [`std::os::unix::fs`].

use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::check;

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

/// Opens a file for appending, creating it with `mode` (less the umask) when missing. A
/// symbolic link is not followed: log files (system chapter, section 4.5).
///
/// # Errors
///
/// As `open`; `ELOOP` for a symbolic link.
pub fn open_for_appending(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Opens a folder itself, not what a symbolic link at its place leads to, so that it can
/// be examined and worked in without its name being exchanged meanwhile (control protocol
/// chapter, section 2).
///
/// # Errors
///
/// As `open`; `ELOOP` or `ENOTDIR` for a symbolic link.
pub fn open_folder(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY)
        .open(path)
}

/// Makes a folder in an open one, with `mode` less the umask.
///
/// # Errors
///
/// As `mkdirat`; `EEXIST` when the name is taken.
pub fn make_folder_in(folder: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    let name = CString::new(name.as_bytes())?;
    let mode = mode as libc::mode_t;
    // SAFETY: `name` ends with a zero byte.
    check(unsafe { libc::mkdirat(folder.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn files_are_checked_for_access() {
        let folder = tempfile::tempdir().expect("folder");
        check_readable(folder.path()).expect("readable");
        check_writable(folder.path()).expect("writable");
        let missing = check_readable(&folder.path().join("missing")).expect_err("missing");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn log_files_are_appended_to_but_not_through_links() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("log");
        for text in ["one", "two"] {
            let mut file = open_for_appending(&path, 0o640).expect("open");
            file.write_all(text.as_bytes()).expect("write");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "onetwo");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("link");
        let error = open_for_appending(&link, 0o640).expect_err("a link");
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn folders_are_opened_and_worked_in() {
        let folder = tempfile::tempdir().expect("folder");
        let open = open_folder(folder.path()).expect("open");
        make_folder_in(open.as_fd(), "inner".as_ref(), 0o711).expect("made");
        let again = make_folder_in(open.as_fd(), "inner".as_ref(), 0o711);
        assert_eq!(
            again.expect_err("taken").kind(),
            io::ErrorKind::AlreadyExists
        );
        assert!(folder.path().join("inner").is_dir());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).expect("link");
        assert!(open_folder(&link).is_err());
    }
}
