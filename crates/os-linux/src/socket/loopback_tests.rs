//! Sockets on loopback: options, timestamps, batches, the error queue.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use super::*;
use crate::clock::raw_time;
use crate::event::{Interest, PollSet, Timeout};

fn support() -> SocketSupport {
    SocketSupport::probe(InheritedSockets::default())
}

fn server_options(address: &str, transmit: TransmitTimestamps) -> UdpOptions<'static> {
    let ip: IpAddr = address.parse().expect("address");
    UdpOptions {
        bind: Some(SocketAddr::new(ip, 0)),
        broadcast: true,
        packet_info: true,
        dscp: 46,
        timestamps: Some(transmit),
        ..UdpOptions::new(IpFamily::of(ip))
    }
}

fn open(support: &mut SocketSupport, options: &UdpOptions<'_>) -> UdpSocket {
    let opened = support.open_udp(options).expect("open");
    assert_eq!((opened.inherited, opened.missing_v6only), (None, false));
    opened.socket
}

fn wait(socket: &UdpSocket, interest: Interest) {
    let mut set = PollSet::default();
    set.add(socket.as_fd(), interest);
    assert_eq!(set.wait(Timeout::NEVER).expect("wait"), 1);
}

/// Receives until `count` datagrams have come, which loopback delivers in order.
fn receive_all(batch: &mut ReceiveBatch, socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < count {
        wait(socket, Interest::READ);
        let filled = batch.receive(socket.as_fd()).expect("receive");
        assert_eq!(batch.len(), filled);
        all.extend(batch.iter().map(|datagram| datagram.data.to_vec()));
    }
    all
}

#[test]
fn a_datagram_tells_all_about_itself() {
    for address in ["127.0.0.1", "::1"] {
        let mut support = support();
        let options = server_options(address, TransmitTimestamps::PerMessage);
        let Ok(server) = support.open_udp(&options) else {
            eprintln!("SKIPPED {address}: no such address here");
            continue;
        };
        let server = server.socket;
        let local = server.local_addr().expect("address");
        let client = open(
            &mut support,
            &UdpOptions {
                connect: Some(local),
                packet_info: true,
                timestamps: Some(TransmitTimestamps::Always),
                ..UdpOptions::new(IpFamily::of(local.ip()))
            },
        );
        // The kernel may need a moment to switch timestamping on: ask until it has.
        let before = raw_time();
        let mut batch = ReceiveBatch::new();
        let datagram = loop {
            send_datagram(client.as_fd(), b"request", &Outgoing::default()).expect("send");
            wait(&server, Interest::READ);
            batch.receive(server.as_fd()).expect("receive");
            let datagram = batch.iter().next().expect("a datagram");
            if datagram.ancillary.kernel_time.is_some() {
                break datagram;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert_eq!(datagram.data, b"request");
        assert_eq!(datagram.source, client.local_addr().ok());
        assert_eq!(datagram.ancillary.local, Some(local.ip()));
        assert!(datagram.ancillary.interface > 0);
        let stamp = datagram.ancillary.kernel_time.expect("looked at above");
        assert!((0.0..60.0).contains(&stamp.since(before)));
        assert!(!datagram.truncated);
        let empty = batch.receive(server.as_fd()).expect_err("nothing left");
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        assert!(batch.is_empty());
    }
}

#[test]
fn replies_leave_from_the_address_that_was_asked() {
    let mut support = support();
    let options = server_options("0.0.0.0", TransmitTimestamps::PerMessage);
    let options = UdpOptions {
        bind: None,
        ..options
    };
    let server = open(&mut support, &options);
    // Without a bind the first datagram gives the socket its port.
    server.send_to(b"", "127.0.0.1:9").expect("send");
    let port = server.local_addr().expect("address").port();
    let client = UdpSocket::bind("127.0.0.1:0").expect("client");
    client
        .send_to(b"request", ("127.0.0.77", port))
        .expect("send");
    let mut batch = ReceiveBatch::new();
    wait(&server, Interest::READ);
    // A refusal of the first datagram may be pending.
    if batch.receive(server.as_fd()).is_err() {
        wait(&server, Interest::READ);
        batch.receive(server.as_fd()).expect("receive");
    }
    let request = batch.iter().next().expect("a datagram");
    assert_eq!(request.ancillary.local, Some([127, 0, 0, 77].into()));
    let outgoing = Outgoing {
        destination: request.source,
        source: request.ancillary.local,
        ..Outgoing::default()
    };
    send_datagram(server.as_fd(), b"reply", &outgoing).expect("send");
    let mut buffer = [0; 16];
    let (length, source) = client.recv_from(&mut buffer).expect("receive");
    assert_eq!(&buffer[..length], b"reply");
    assert_eq!(source, SocketAddr::from(([127, 0, 0, 77], port)));
}

#[test]
fn batches_arrive_whole_with_and_without_the_batch_calls() {
    let mut support = support();
    let batches = [
        (SendBatch::new(), ReceiveBatch::new()),
        (
            SendBatch::without_batches(),
            ReceiveBatch::without_batches(),
        ),
    ];
    for (mut sender, mut receiver) in batches {
        let options = server_options("127.0.0.1", TransmitTimestamps::PerMessage);
        let server = open(&mut support, &options);
        let client = open(&mut support, &options);
        let to_server = Outgoing {
            destination: server.local_addr().ok(),
            source: Some([127, 0, 0, 1].into()),
            ..Outgoing::default()
        };
        let mut number = 0u8;
        while let Some(buffer) = sender.buffer() {
            buffer[..2].copy_from_slice(&[number, !number]);
            sender.commit(2, &to_server);
            number += 1;
        }
        assert!(sender.is_full() && usize::from(number) == BATCH_SIZE);
        sender.commit(2, &to_server);
        assert_eq!(sender.len(), BATCH_SIZE, "a full batch takes no more");
        let sent = sender.flush(client.as_fd(), |_, error| panic!("{error}"));
        assert_eq!(sent, BATCH_SIZE);
        assert!(sender.is_empty());
        let received = receive_all(&mut receiver, &server, BATCH_SIZE);
        let expected: Vec<_> = (0..number).map(|number| vec![number, !number]).collect();
        assert_eq!(received, expected);
    }
}

#[test]
fn one_refused_datagram_does_not_hold_up_the_others() {
    let mut support = support();
    for mut batch in [SendBatch::new(), SendBatch::without_batches()] {
        let options = server_options("127.0.0.1", TransmitTimestamps::PerMessage);
        let server = open(&mut support, &options);
        let good = Outgoing {
            destination: server.local_addr().ok(),
            ..Outgoing::default()
        };
        let bad = Outgoing {
            // An IPv6 destination on an IPv4 socket.
            destination: Some("[::1]:9".parse().expect("address")),
            ..Outgoing::default()
        };
        for (byte, outgoing) in [(1, good), (2, bad), (3, good)] {
            batch.buffer().expect("room")[0] = byte;
            batch.commit(1, &outgoing);
        }
        let mut refused = Vec::new();
        let sent = batch.flush(server.as_fd(), |number, _| refused.push(number));
        assert_eq!((sent, refused), (2, vec![1]));
        let received = receive_all(&mut ReceiveBatch::new(), &server, 2);
        assert_eq!(received, [[1], [3]]);
    }
}

#[test]
fn long_datagrams_are_marked() {
    let mut support = support();
    let options = server_options("127.0.0.1", TransmitTimestamps::PerMessage);
    let server = open(&mut support, &options);
    let client = UdpSocket::bind("127.0.0.1:0").expect("client");
    let address = server.local_addr().expect("address");
    client.send_to(&[7; 2000], address).expect("send");
    client.send_to(&[8; 1260], address).expect("send");
    let mut batch = ReceiveBatch::new();
    let mut lengths = Vec::new();
    while lengths.len() < 2 {
        wait(&server, Interest::READ);
        batch.receive(server.as_fd()).expect("receive");
        lengths.extend(batch.iter().map(|d| (d.truncated, d.data.len())));
    }
    assert_eq!(lengths, [(true, 1324), (false, 1260)]);
}

/// Receives transmit reports until one has been found.
fn transmit_report(socket: &UdpSocket, sent_at: discipline::time::RawTime) -> (Vec<u8>, u32) {
    let mut batch = ReceiveBatch::new();
    wait(socket, Interest::ERROR_QUEUE);
    batch.receive_errors(socket.as_fd()).expect("error queue");
    let message = batch.iter().next().expect("a message");
    let report = message.ancillary.transmit.expect("a transmit report");
    let stamp = message.ancillary.kernel_time.expect("a timestamp");
    assert!((0.0..60.0).contains(&stamp.since(sent_at)));
    (message.data.to_vec(), report.id)
}

#[test]
fn transmit_timestamps_come_back_with_the_frame() {
    for (address, start) in [("127.0.0.1", 42), ("::1", 62)] {
        let mut support = support();
        let options = server_options(address, TransmitTimestamps::PerMessage);
        let Ok(server) = support.open_udp(&options) else {
            eprintln!("SKIPPED {address}: no such address here");
            continue;
        };
        let server = server.socket;
        let destination = server.local_addr().expect("address");
        let client = UdpOptions {
            connect: Some(destination),
            timestamps: Some(TransmitTimestamps::Always),
            ..UdpOptions::new(IpFamily::of(destination.ip()))
        };
        let client = open(&mut support, &client);
        let before = raw_time();
        send_datagram(client.as_fd(), b"from the client", &Outgoing::default()).expect("send");
        let (frame, _) = transmit_report(&client, before);
        let packet = LoopedPacket::parse(&frame).expect("an Ethernet frame");
        assert_eq!(packet.destination, destination);
        assert_eq!(packet.payload.start, start);
        assert_eq!(&frame[packet.payload], b"from the client");

        // A server socket reports only the packet that asks for it.
        let flags = support.message_flags().expect("a kernel since 4.7");
        let mut reply = Outgoing {
            destination: client.local_addr().ok(),
            ..Outgoing::default()
        };
        send_datagram(server.as_fd(), b"silent", &reply).expect("send");
        reply.transmit_stamp = Some(TransmitStamp { flags, id: None });
        send_datagram(server.as_fd(), b"stamped", &reply).expect("send");
        let (frame, _) = transmit_report(&server, before);
        assert!(frame.ends_with(b"stamped"));
        let mut batch = ReceiveBatch::new();
        let empty = batch.receive_errors(server.as_fd()).expect_err("one only");
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }
}

#[test]
fn identifiers_come_back() {
    let mut support = support();
    if !support.enable_transmit_ids() {
        eprintln!("SKIPPED: needs Linux 6.13");
        return;
    }
    assert!(support.transmit_ids());
    let options = server_options("127.0.0.1", TransmitTimestamps::PerMessage);
    let server = open(&mut support, &options);
    let flags = support.message_flags().expect("a kernel since 4.7");
    let outgoing = Outgoing {
        destination: server.local_addr().ok(),
        transmit_stamp: Some(TransmitStamp {
            flags,
            id: Some(4099),
        }),
        ..Outgoing::default()
    };
    let before = raw_time();
    send_datagram(server.as_fd(), b"numbered", &outgoing).expect("send");
    let (_, id) = transmit_report(&server, before);
    assert_eq!(id, 4099);
    support.disable_transmit_ids();
    assert!(!support.transmit_ids());
}

#[test]
fn a_refused_datagram_is_reported_once() {
    let closed = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let options = UdpOptions {
        connect: closed.local_addr().ok(),
        timestamps: Some(TransmitTimestamps::Always),
        ..UdpOptions::new(IpFamily::V4)
    };
    let client = open(&mut support(), &options);
    drop(closed);
    send_datagram(client.as_fd(), b"to nobody", &Outgoing::default()).expect("send");
    let mut batch = ReceiveBatch::new();
    let mut set = PollSet::default();
    let slot = set.add(client.as_fd(), Interest::READ | Interest::ERROR_QUEUE);
    let mut refusals = 0;
    while set.wait(Timeout::NOW).expect("wait") > 0 {
        assert!(set.readiness(slot).error_queue());
        match batch.receive_errors(client.as_fd()) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                refusals += 1;
            }
        }
    }
    assert_eq!(refusals, 1);
}

#[test]
fn options_are_set() {
    let mut support = SocketSupport::without_atomic_flags();
    assert!(support.has_family(IpFamily::V4));
    let first = open(
        &mut support,
        &server_options("127.0.0.1", TransmitTimestamps::PerMessage),
    );
    assert!(first.broadcast().expect("option"));
    let get = |level, name| options::option(first.as_fd(), level, name).expect("option");
    assert_eq!(get(libc::IPPROTO_IP, libc::IP_TOS), 46 * 4);
    assert_eq!(get(libc::IPPROTO_IP, libc::IP_PKTINFO), 1);
    assert_eq!(get(libc::IPPROTO_IP, libc::IP_FREEBIND), 1);
    assert_eq!(get(libc::SOL_SOCKET, libc::SO_SELECT_ERR_QUEUE), 1);
    assert_eq!(get(libc::SOL_SOCKET, libc::SO_REUSEPORT), 0, "port 0");
    let mut byte = [0];
    let error = first.recv(&mut byte).expect_err("non-blocking");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);

    // A fixed port can be shared.
    let port = first.local_addr().expect("address").port();
    drop(first);
    let mut shared = server_options("127.0.0.1", TransmitTimestamps::PerMessage);
    shared.bind = Some(SocketAddr::from(([127, 0, 0, 1], port)));
    let _one = open(&mut support, &shared);
    let _other = open(&mut support, &shared);
    // And an address that is not ours yet can be bound.
    shared.bind = Some(SocketAddr::from(([192, 0, 2, 1], port)));
    let _absent = open(&mut support, &shared);
}

#[test]
fn what_makes_a_socket_useless_is_an_error() {
    let mut support = support();
    let mut options = server_options("127.0.0.1", TransmitTimestamps::PerMessage);
    options.device = Some("no-such-device");
    let error = support.open_udp(&options).expect_err("refused");
    assert_eq!(error.step, "SO_BINDTODEVICE");
    assert!(error.to_string().starts_with("SO_BINDTODEVICE failed : "));
    let mut options = UdpOptions::new(IpFamily::V4);
    options.connect = Some("[::1]:9".parse().expect("address"));
    assert_eq!(
        support.open_udp(&options).expect_err("refused").step,
        "connect"
    );
}

#[test]
fn timestamping_is_kept_on_by_a_spare_socket() {
    let mut support = support();
    support.keep_timestamping_on();
    support.keep_timestamping_on();
    assert_eq!(support.receive_timestamps(), ReceiveTimestamps::Full);
    support.enable_hardware_timestamps();
    let options = server_options("127.0.0.1", TransmitTimestamps::Always);
    open(&mut support, &options);
    assert_eq!(support.receive_timestamps(), ReceiveTimestamps::Full);
}
