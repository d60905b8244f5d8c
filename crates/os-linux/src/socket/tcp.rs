//! TCP sockets for NTS-KE: listening with the options of the NTP sockets, connecting
//! without waiting.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

use super::address::IpFamily;
use super::open::{Opened, SocketSupport, connect, place, set_v6only};
use super::options::SocketError;
use crate::error::check;

/// What a TCP socket shall be.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions<'a> {
    /// Address and port to bind. For a connection `None` leaves both to the kernel, and
    /// port 0 the port.
    pub bind: Option<SocketAddr>,
    /// Interface to bind to.
    pub device: Option<&'a str>,
}

impl SocketSupport {
    /// Opens a listening socket, non-blocking. An inherited one is taken if its address
    /// fits.
    ///
    /// # Errors
    ///
    /// When the socket is of no use, as for [`SocketSupport::open_udp`].
    pub fn listen_tcp(
        &self,
        address: SocketAddr,
        device: Option<&str>,
        backlog: i32,
    ) -> Result<Opened<TcpListener>, SocketError> {
        let family = IpFamily::of(address.ip());
        let opened = self.start(libc::SOCK_STREAM, family, Some(address))?;
        let socket = opened.socket.as_fd();
        let fresh = opened.inherited.is_none();
        if fresh {
            set_v6only(socket, family)?;
        }
        place(socket, device, Some(address), fresh)?;
        if fresh {
            // SAFETY: the call takes integers only.
            check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })
                .map_err(SocketError::at("listen"))?;
        }
        Ok(opened.map(TcpListener::from))
    }

    /// Begins a connection without waiting for it. When the socket becomes writable,
    /// [`TcpStream::take_error`] tells whether it was made.
    ///
    /// # Errors
    ///
    /// When it is refused at once, for example `ENETUNREACH` without a route.
    pub fn connect_tcp(
        &self,
        remote: SocketAddr,
        options: &TcpOptions<'_>,
    ) -> Result<TcpStream, SocketError> {
        let family = IpFamily::of(remote.ip());
        let socket = self.new_socket(family.domain(), libc::SOCK_STREAM);
        let socket = socket.map_err(SocketError::at("socket"))?;
        set_v6only(socket.as_fd(), family)?;
        place(socket.as_fd(), options.device, options.bind, true)?;
        match connect(socket.as_fd(), remote) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
                Err(SocketError::at("connect")(error))
            }
            _ => Ok(TcpStream::from(socket)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Interest, PollSet, Timeout};
    use crate::socket::InheritedSockets;
    use std::io::{Read, Write};

    fn wait_for(descriptor: impl AsFd, interest: Interest) {
        let mut set = PollSet::default();
        set.add(descriptor.as_fd(), interest);
        set.wait(Timeout::NEVER).expect("wait");
    }

    #[test]
    fn a_connection_is_made_without_waiting() {
        let support = SocketSupport::probe(InheritedSockets::default());
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let address = address.parse().expect("address");
            let Ok(listener) = support.listen_tcp(address, None, 4) else {
                eprintln!("SKIPPED {address}: no such address here");
                continue;
            };
            let listener = listener.socket;
            let remote = listener.local_addr().expect("address");
            assert!(listener.accept().is_err(), "must not block");
            let bind = Some(SocketAddr::new(address.ip(), 0));
            let options = TcpOptions { bind, device: None };
            let mut client = support.connect_tcp(remote, &options).expect("connect");
            wait_for(&client, Interest::WRITE);
            assert!(client.take_error().expect("option").is_none());
            wait_for(&listener, Interest::READ);
            let (mut server, _) = listener.accept().expect("accept");
            client.write_all(b"hello").expect("write");
            let mut bytes = [0; 5];
            server.read_exact(&mut bytes).expect("read");
            assert_eq!(&bytes, b"hello");
        }
    }

    #[test]
    fn a_refused_connection_shows_as_error() {
        let support = SocketSupport::probe(InheritedSockets::default());
        let closed = TcpListener::bind("127.0.0.1:0").expect("bind");
        let remote = closed.local_addr().expect("address");
        drop(closed);
        let options = TcpOptions {
            bind: None,
            device: None,
        };
        match support.connect_tcp(remote, &options) {
            Ok(client) => {
                wait_for(&client, Interest::WRITE);
                let error = client.take_error().expect("option").expect("an error");
                assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
            }
            Err(error) => assert_eq!(error.step, "connect"),
        }
    }
}
