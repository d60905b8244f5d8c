//! Datagrams from many source addresses of the loopback network, each with an address of its
//! own, so that every answer tells which datagram it answers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use os_linux::socket::{
    InheritedSockets, IpFamily, Outgoing, ReceiveBatch, SendBatch, SocketSupport, UdpOptions,
};

/// The first source address; the others follow.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 128, 0, 0);

/// Datagrams on their way and what came back.
pub(crate) struct Flood {
    socket: UdpSocket,
    server: SocketAddr,
    received: ReceiveBatch,
    sending: SendBatch,
    /// Datagrams sent so far.
    pub(crate) sent: u32,
    /// Answers by the number of the datagram, with the number of copies.
    pub(crate) answers: HashMap<u32, (Vec<u8>, usize)>,
}

impl Flood {
    /// Towards the server on the loopback address.
    pub(crate) fn new() -> Self {
        let mut support = SocketSupport::probe(InheritedSockets::new(None));
        let options = UdpOptions {
            bind: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            packet_info: true,
            ..UdpOptions::new(IpFamily::V4)
        };
        let opened = support.open_udp(&options).expect("socket");
        Self {
            socket: opened.socket,
            server: SocketAddr::from(([127, 0, 0, 1], 123)),
            received: ReceiveBatch::new(),
            sending: SendBatch::new(),
            sent: 0,
            answers: HashMap::new(),
        }
    }

    /// The address that the datagram with a number comes from.
    pub(crate) fn source(number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(FIRST.to_bits() + number)
    }

    /// Sends a datagram from the next address. Datagrams longer than a batch takes go by
    /// themselves.
    pub(crate) fn send(&mut self, datagram: &[u8]) {
        let outgoing = Outgoing {
            destination: Some(self.server),
            source: Some(IpAddr::V4(Self::source(self.sent))),
            ..Outgoing::default()
        };
        self.sent += 1;
        let room = self
            .sending
            .buffer()
            .and_then(|buffer| buffer.get_mut(..datagram.len()));
        match room {
            Some(buffer) => {
                buffer.copy_from_slice(datagram);
                self.sending.commit(datagram.len(), &outgoing);
            }
            None => os_linux::socket::send_datagram(self.socket.as_fd(), datagram, &outgoing)
                .expect("send"),
        }
        if self.sending.is_full() {
            self.exchange();
        }
    }

    /// Sends what is waiting and takes what has come.
    pub(crate) fn exchange(&mut self) {
        self.sending
            .flush(self.socket.as_fd(), |_, error| panic!("send: {error}"));
        while self.received.receive(self.socket.as_fd()).is_ok() {
            for answer in self.received.iter() {
                assert!(!answer.truncated);
                assert_eq!(answer.source, Some(self.server));
                let Some(IpAddr::V4(local)) = answer.ancillary.local else {
                    panic!("answer without address");
                };
                let number = local.to_bits() - FIRST.to_bits();
                let entry = self.answers.entry(number);
                let (_, copies) = entry.or_insert_with(|| (answer.data.to_vec(), 0));
                *copies += 1;
            }
        }
    }
}

/// Random numbers of xorshift64*, the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 56) as u8).collect()
    }
}
