//! The command socket of the Unix domain (control protocol chapter, sections 1.2 and
//! 1.3).

use std::ffi::OsStr;
use std::io;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::error::check_length;

/// Where the path starts in `sockaddr_un`.
const PATH_OFFSET: usize = offset_of!(libc::sockaddr_un, sun_path);

/// Room for a path in `sockaddr_un`, its final zero byte included.
const PATH_SIZE: usize = size_of::<libc::sockaddr_un>() - PATH_OFFSET;

/// Who sent a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixSender {
    /// A socket bound to this path: it can be answered.
    Path(PathBuf),
    /// A socket that is not bound.
    Unnamed,
    /// A socket with an abstract name.
    Abstract,
    /// A path without a final zero byte, or another family.
    Invalid,
}

/// A datagram received on a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixReceived {
    /// Bytes received.
    pub length: usize,
    /// Who sent it.
    pub sender: UnixSender,
    /// It did not fit, or carried descriptors (which are closed): to be dropped.
    pub truncated: bool,
}

/// Binds a datagram socket to a path, non-blocking and close-on-exec. An existing file of
/// that name that is not a directory is removed first. Its mode is 0777 less the umask.
///
/// # Errors
///
/// Paths above 107 bytes, missing directories, missing rights.
pub fn bind_unix_datagram(path: &Path) -> io::Result<UnixDatagram> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixDatagram::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Receives a datagram without waiting. Descriptors that come with it never enter the
/// process.
///
/// # Errors
///
/// `WouldBlock` when there is none.
pub fn receive_unix(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<UnixReceived> {
    let mut name = [0u8; size_of::<libc::sockaddr_un>()];
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: msghdr consists of integers and pointers, for which zero is a value. No
    // room for control messages is given, so the kernel closes descriptors.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = name.len() as libc::socklen_t;
    header.msg_iov = &mut vector;
    header.msg_iovlen = 1;
    // SAFETY: the header points to `name`, `vector` and `buffer`, which live longer.
    let result = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_DONTWAIT) };
    let length = check_length(result)?;
    let name_length = header.msg_namelen as usize;
    Ok(UnixReceived {
        length,
        sender: match name.get(..name_length) {
            Some(name) => sender(name),
            None => UnixSender::Invalid,
        },
        truncated: header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
    })
}

/// Who is named by a socket address.
fn sender(name: &[u8]) -> UnixSender {
    match name.get(PATH_OFFSET..) {
        None | Some([]) => UnixSender::Unnamed,
        Some([0, ..]) => UnixSender::Abstract,
        Some(path) => match path.iter().position(|&byte| byte == 0) {
            Some(end) => UnixSender::Path(OsStr::from_bytes(&path[..end]).into()),
            None => UnixSender::Invalid,
        },
    }
}

const _: () = assert!(PATH_SIZE == 108);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    #[test]
    fn senders_are_told_apart() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("server.sock");
        std::fs::write(&path, "stale").expect("a stale file");
        let server = bind_unix_datagram(&path).expect("bind");
        let mut buffer = [0; 16];
        let empty = receive_unix(server.as_fd(), &mut buffer).expect_err("nothing there");
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);

        let named = folder.path().join("client.sock");
        let client = UnixDatagram::bind(&named).expect("bind");
        client.send_to(b"named", &path).expect("send");
        let unnamed = UnixDatagram::unbound().expect("socket");
        unnamed.send_to(b"unnamed", &path).expect("send");
        let name = format!("isochrony-test-{}", std::process::id());
        let name = SocketAddr::from_abstract_name(name).expect("name");
        let hidden = UnixDatagram::bind_addr(&name).expect("bind");
        hidden
            .send_to(b"a datagram that is too long", &path)
            .expect("send");

        let mut next = || receive_unix(server.as_fd(), &mut buffer).expect("receive");
        let first = next();
        assert_eq!(first.sender, UnixSender::Path(named));
        assert_eq!((first.length, first.truncated), (5, false));
        assert_eq!(next().sender, UnixSender::Unnamed);
        let last = next();
        assert_eq!(last.sender, UnixSender::Abstract);
        assert!(last.truncated);
        assert_eq!(sender(&[1; 110]), UnixSender::Invalid);
    }

    #[test]
    fn descriptors_are_closed_and_reported() {
        let (near, far) = UnixDatagram::pair().expect("pair");
        let mut buffer = [0u8; 1];
        let mut vector = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: 1,
        };
        let mut control = [0; 64];
        let mut writer = super::super::control::ControlWriter::new(&mut control);
        let descriptor = near.as_raw_fd().to_ne_bytes();
        writer.push(libc::SOL_SOCKET, libc::SCM_RIGHTS, &descriptor);
        let length = writer.finish();
        // SAFETY: as in `receive_unix`.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = length as _;
        // SAFETY: the header points to local variables that live longer.
        check_length(unsafe { libc::sendmsg(near.as_raw_fd(), &header, 0) }).expect("send");
        let received = receive_unix(far.as_fd(), &mut buffer).expect("receive");
        assert!(received.truncated);
    }

    #[test]
    fn long_paths_and_directories_are_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let long = folder.path().join("x".repeat(PATH_SIZE));
        assert!(bind_unix_datagram(&long).is_err());
        assert!(bind_unix_datagram(folder.path()).is_err());
        assert!(folder.path().is_dir());
    }
}
