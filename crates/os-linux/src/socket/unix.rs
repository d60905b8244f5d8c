//! The command socket of the Unix domain (control protocol chapter, sections 1.2 and
//! 1.3).

use std::ffi::OsStr;
use std::io;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::error::check_length;

/// Where the path starts in `sockaddr_un`.
const PATH_OFFSET: usize = offset_of!(libc::sockaddr_un, sun_path);

/// Room for a path in `sockaddr_un`, its final zero byte included.
const PATH_SIZE: usize = size_of::<libc::sockaddr_un>() - PATH_OFFSET;

/// The address of a socket that is bound to a path, as the kernel gave it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UnixAddress {
    name: [u8; size_of::<libc::sockaddr_un>()],
    /// Up to and including the final zero byte; never more than `name`.
    length: usize,
}

impl UnixAddress {
    /// The path without its final zero byte.
    pub fn path(&self) -> &Path {
        let bytes = self.name.get(PATH_OFFSET..self.length);
        let bytes = bytes.and_then(|bytes| bytes.split(|&byte| byte == 0).next());
        Path::new(OsStr::from_bytes(bytes.unwrap_or_default()))
    }
}

impl std::fmt::Debug for UnixAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnixAddress({})", self.path().display())
    }
}

/// Who sent a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixSender {
    /// A socket bound to a path: it can be answered.
    Path(UnixAddress),
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
        sender: sender(name, name_length),
        truncated: header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
    })
}

/// Who is named by a socket address of so many bytes.
fn sender(name: [u8; size_of::<libc::sockaddr_un>()], length: usize) -> UnixSender {
    match name.get(..length).map(|name| name.get(PATH_OFFSET..)) {
        None => UnixSender::Invalid,
        Some(None | Some([])) => UnixSender::Unnamed,
        Some(Some([0, ..])) => UnixSender::Abstract,
        // The kernel ends a path with a zero byte if there is room.
        Some(Some(path)) if path.contains(&0) => UnixSender::Path(UnixAddress { name, length }),
        Some(Some(_)) => UnixSender::Invalid,
    }
}

/// Sends a datagram to who sent one, without waiting.
///
/// # Errors
///
/// The other is gone, or its queue is full.
pub fn send_unix(socket: BorrowedFd<'_>, payload: &[u8], to: &UnixAddress) -> io::Result<()> {
    // SAFETY: the pointers and lengths describe `payload` and the used part of `to.name`,
    // which is an address of the kernel's own making.
    let result = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            payload.as_ptr().cast(),
            payload.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            to.name.as_ptr().cast(),
            to.length as libc::socklen_t,
        )
    };
    check_length(result).map(|_| ())
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
        let UnixSender::Path(address) = first.sender else {
            panic!("{:?}", first.sender);
        };
        assert_eq!(address.path(), named);
        send_unix(server.as_fd(), b"answer", &address).expect("send");
        let mut answer = [0; 16];
        assert_eq!(client.recv(&mut answer).expect("receive"), 6);
        assert_eq!((first.length, first.truncated), (5, false));
        assert_eq!(next().sender, UnixSender::Unnamed);
        let last = next();
        assert_eq!(last.sender, UnixSender::Abstract);
        assert!(last.truncated);
        assert_eq!(sender([1; 110], 110), UnixSender::Invalid);
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
