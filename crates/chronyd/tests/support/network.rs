//! A network of the test's own: the calling thread, and the programs it starts from then on,
//! see only a loopback interface. Addresses and ports are all free there, port 123 included,
//! and no packet leaves.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};

use super::able;
use super::ports::wait_until_closed;

/// Moves the calling thread, which is the test's, into an empty network with the loopback
/// interface up. Returns whether that was possible.
pub(crate) fn own_network() -> bool {
    let moved = super::is_root() && unshare(CloneFlags::CLONE_NEWNET).is_ok();
    if !able(moved, "root's right to make network namespaces") {
        return false;
    }
    ip("link set lo up");
    true
}

/// Runs `ip` in the thread's network.
pub(crate) fn ip(arguments: &str) {
    let mut command = Command::new("ip");
    let output = command.args(arguments.split(' ')).output().expect("ip");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

/// Gives the loopback interface more addresses than those of 127.0.0.0/8.
pub(crate) fn add_addresses(addresses: &[&str]) {
    for address in addresses {
        ip(&format!("address add {address} dev lo nodad"));
    }
}

/// A socket bound to an address and port that a server with an unspecified address has, too,
/// but no other socket.
pub(crate) fn bound(address: SocketAddr) -> UdpSocket {
    wait_until_closed("udp", address);
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let opened = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).expect("socket");
    setsockopt(&opened, sockopt::ReuseAddr, &true).expect("SO_REUSEADDR");
    setsockopt(&opened, sockopt::ReusePort, &true).expect("SO_REUSEPORT");
    let storage = SockaddrStorage::from(address);
    bind(opened.as_raw_fd(), &storage).unwrap_or_else(|error| panic!("{address}: {error}"));
    UdpSocket::from(opened)
}
