//! Ports of the loopback address that nobody uses.
//!
//! A process that another thread of the test program is about to start has copies of all its
//! sockets until it runs its own program. On a busy machine that takes a while, in which a
//! closed socket keeps its port and takes datagrams that nobody will read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use super::wait_until;

/// Any port of the loopback address.
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A UDP port of the loopback address that nobody uses now.
pub(crate) fn free_port() -> u16 {
    let socket = UdpSocket::bind(ANY).expect("bind");
    let address = socket.local_addr().expect("address");
    drop(socket);
    wait_until_closed("udp", address);
    address.port()
}

/// A TCP port of the loopback address that nobody uses now.
pub(crate) fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind(ANY).expect("bind");
    let address = listener.local_addr().expect("address");
    drop(listener);
    wait_until_closed("tcp", address);
    address.port()
}

/// Waits until no socket of this protocol (`udp`, `tcp`) in the calling thread's network is
/// bound to exactly this address and port.
pub(crate) fn wait_until_closed(protocol: &str, address: SocketAddr) {
    let words = |octets: &[u8]| -> String {
        let words = octets.chunks_exact(4);
        words
            .map(|word| u32::from_ne_bytes(word.try_into().expect("four octets")))
            .map(|word| format!("{word:08X}"))
            .collect()
    };
    let (host, suffix) = match address.ip() {
        IpAddr::V4(ip) => (words(&ip.octets()), ""),
        IpAddr::V6(ip) => (words(&ip.octets()), "6"),
    };
    let column = format!(" {host}:{:04X} ", address.port());
    wait_until("end of the sockets used before", || {
        let table = format!("/proc/thread-self/net/{protocol}{suffix}");
        let table = std::fs::read_to_string(table).expect("table of sockets");
        // The local address is the first of two.
        let is_bound = |line: &str| line.find(&column).is_some_and(|at| at < 10);
        (!table.lines().any(is_bound)).then_some(())
    });
}
