//! The path of a packet allocates nothing.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use os_linux::event::{Interest, PollSet, Timeout};
use os_linux::socket::{
    InheritedSockets, IpFamily, LoopedPacket, Outgoing, ReceiveBatch, SendBatch, SocketSupport,
    TransmitStamp, TransmitTimestamps, UdpOptions,
};

#[path = "../../../tests/support/counting_allocator.rs"]
mod counting_allocator;

use counting_allocator::allocations;

#[test]
fn serving_requests_allocates_nothing() {
    let mut support = SocketSupport::probe(InheritedSockets::default());
    let options = UdpOptions {
        bind: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        packet_info: true,
        timestamps: Some(TransmitTimestamps::PerMessage),
        ..UdpOptions::new(IpFamily::V4)
    };
    let server = support.open_udp(&options).expect("server").socket;
    let client = support.open_udp(&options).expect("client").socket;
    let address = server.local_addr().expect("address");
    let flags = support.message_flags().expect("a kernel since 4.7");
    let (mut requests, mut reports) = (ReceiveBatch::new(), ReceiveBatch::new());
    let mut responses = SendBatch::new();
    let mut set = PollSet::default();
    set.add(server.as_fd(), Interest::READ | Interest::ERROR_QUEUE);
    let before = allocations();
    let mut reported = 0;
    for round in 0..100u8 {
        for _ in 0..4 {
            client.send_to(&[round; 48], address).expect("request");
        }
        let mut served = 0;
        while served < 4 {
            set.wait(Timeout::NEVER).expect("wait");
            if reports.receive_errors(server.as_fd()).is_ok() {
                let frames = reports.iter();
                reported += frames.filter_map(|r| LoopedPacket::parse(r.data)).count();
            }
            if requests.receive(server.as_fd()).is_err() {
                continue;
            }
            for request in requests.iter() {
                let buffer = responses.buffer().expect("as many as requests");
                buffer[..48].copy_from_slice(request.data);
                let outgoing = Outgoing {
                    destination: request.source,
                    source: request.ancillary.local,
                    transmit_stamp: Some(TransmitStamp { flags, id: None }),
                    ..Outgoing::default()
                };
                responses.commit(48, &outgoing);
                served += 1;
            }
            responses.flush(server.as_fd(), |_, error| panic!("{error}"));
        }
    }
    let allocated = allocations() - before;
    assert!(reported > 300, "{reported} transmit reports");
    assert_eq!(allocated, 0);
}
