//! Several threads answer (directive `serverthreads`): what the main thread changes is known
//! to all of them when it has dealt with the next command, at the latest.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control_wire::{Request, SetTime, SingleOption, Subnet, Timespec};
use ntp_wire::{NtpTimestamp, Packet};
use support::network::own_network;
use support::recorded::now;
use support::server::{ANSWER_TIMEOUT, Server};
use support::wait_until;

mod support;

/// Clients, so that every thread has some.
const CLIENTS: u16 = 64;
/// More than any step of this test is off by.
const ROUNDING_S: f64 = 0.01;

/// Asks from many ports all the time.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<NtpTimestamp>>,
}

impl Load {
    /// The sockets belong to the calling thread's network.
    fn start(host: [u8; 4]) -> Self {
        let sockets: Vec<UdpSocket> = (0..CLIENTS).map(|_| client(host)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut received = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                for socket in &sockets {
                    // Refused while nobody listens.
                    let _ = socket.send(&request());
                }
                // The server needs the processor, too.
                std::thread::sleep(Duration::from_millis(1));
                for socket in &sockets {
                    let mut buffer = [0; 100];
                    while let Ok(length) = socket.recv(&mut buffer) {
                        received.push(Packet::parse(&buffer[..length]).unwrap().header.receive);
                    }
                }
            }
            received
        });
        Self { stop, thread }
    }

    /// The receive timestamps of all answers.
    fn stop(self) -> Vec<NtpTimestamp> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("load")
    }
}

fn client(host: [u8; 4]) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from((host, 0))).unwrap();
    socket.connect("127.0.0.1:123").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn request() -> [u8; 48] {
    let mut request = [0; 48];
    request[0] = 0x23;
    request[40..].copy_from_slice(&now().to_bytes());
    request
}

#[test]
fn a_denied_network_is_not_answered_by_any_thread() {
    if !own_network() {
        return;
    }
    let server = Server::start(&["local", "allow", "serverthreads 4"]);
    let load = Load::start([127, 0, 1, 1]);
    let others = Load::start([127, 0, 2, 1]);
    wait_until("answers", || {
        (server.statistics().ntp_hits > 2000).then_some(())
    });
    let begun = now();
    server.ask(Request::Deny(Subnet {
        address: std::net::IpAddr::from([127, 0, 1, 0]).into(),
        prefix_length: 24,
    }));
    // The daemon has gone through its loop when it answers the next command.
    server.ask(Request::Tracking);
    let done = now();
    let hits = server.statistics().ntp_hits;
    wait_until("answers to others", || {
        (server.statistics().ntp_hits > hits + 2000).then_some(())
    });
    let last = load
        .stop()
        .into_iter()
        .reduce(|a, b| if b.is_after(a) { b } else { a })
        .unwrap();
    let last_of_others = others
        .stop()
        .into_iter()
        .reduce(|a, b| if b.is_after(a) { b } else { a });
    assert!(last_of_others.unwrap().is_after(done));
    assert!(!last.is_after(done), "answered after it was denied");
    let latency_s = last.since(begun).to_seconds();
    println!(
        "the last request was answered {:.3} ms after the command was sent",
        latency_s * 1e3
    );
}

#[test]
fn a_step_is_known_to_all_threads() {
    if !own_network() {
        return;
    }
    let server = Server::start(&["local", "allow", "manual", "serverthreads 4"]);
    server.ask(Request::Manual(SingleOption { option: 1 }));
    let ahead_s = 100;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let time = Timespec::new(since.as_secs() as i64 + ahead_s, since.subsec_nanos());
    server.ask(Request::SetTime(SetTime { time }));
    server.ask(Request::Tracking);
    for _ in 0..CLIENTS {
        let socket = client([127, 0, 0, 1]);
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        let sent = now();
        socket.send(&request()).unwrap();
        let mut buffer = [0; 48];
        socket.recv(&mut buffer).unwrap();
        let header = Packet::parse(&buffer).unwrap().header;
        let difference_s = header.receive.since(sent).to_seconds() - ahead_s as f64;
        // Late by what the machine needs, never early.
        assert!(
            (-ROUNDING_S..20.0).contains(&difference_s),
            "{difference_s} s"
        );
    }
}

#[test]
fn one_thread_for_each_core() {
    if !own_network() {
        return;
    }
    let server = Server::start(&["local", "allow", "serverthreads auto"]);
    let threads = || {
        let folder = format!("/proc/{}/task", server.id());
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .filter(|entry| {
                let name = entry.as_ref().unwrap().path().join("comm");
                // A thread may end meanwhile.
                std::fs::read_to_string(name).is_ok_and(|name| name.trim() == "server")
            })
            .count()
    };
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(threads(), cores - 1);
    server.ask(Request::DenyAll(Subnet {
        address: control_wire::Address::Unspecified,
        prefix_length: 0,
    }));
    server.ask(Request::Tracking);
    assert_eq!(threads(), 0);
    // Nobody listens any more.
    let socket = client([127, 0, 0, 1]);
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    socket.send(&request()).unwrap();
    let refused = socket.recv(&mut [0; 48]).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
