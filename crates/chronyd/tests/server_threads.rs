//! Several threads answer (directive `serverthreads`): what the main thread changes is known
//! to all of them when it has dealt with the next command, at the latest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control_wire::{Request, SetTime, SingleOption, Subnet, Timespec};
use ntp_wire::{Header, LeapIndicator, NtpTimestamp, Packet};
use support::namespace::build_library;
use support::network::{add_addresses, own_network};
use support::ntp::{self, exchange};
use support::recorded::now;
use support::server::{ANSWER_TIMEOUT, Server};
use support::{CHRONYD, Running, nts, wait_until};

mod support;

/// Clients, so that every thread has some.
const CLIENTS: u16 = 64;
/// More than any step of this test is off by.
const ROUNDING_S: f64 = 0.01;

/// Asks from many ports all the time.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Header>>,
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
                        received.push(Packet::parse(&buffer[..length]).unwrap().header);
                    }
                }
            }
            received
        });
        Self { stop, thread }
    }

    /// All answers. Their origin timestamps tell when the requests were sent.
    fn stop(self) -> Vec<Header> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("load")
    }

    /// When the last request arrived that was answered.
    fn last_received(self) -> NtpTimestamp {
        latest(self.stop().into_iter().map(|header| header.receive))
    }
}

fn latest(times: impl Iterator<Item = NtpTimestamp>) -> NtpTimestamp {
    let later = |a: NtpTimestamp, b: NtpTimestamp| if b.is_after(a) { b } else { a };
    times.reduce(later).expect("an answer")
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
    let last = load.last_received();
    assert!(others.last_received().is_after(done));
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
        let sent = now();
        let answer = exchange(&socket, &request());
        let header = Packet::parse(&answer).unwrap().header;
        let difference_s = header.receive.since(sent).to_seconds() - ahead_s as f64;
        // Late by what the machine needs, never early.
        assert!(
            (-ROUNDING_S..20.0).contains(&difference_s),
            "{difference_s} s"
        );
    }
}

/// 2027-01-01 00:00:00 UTC.
const MIDNIGHT_S: i64 = 1_798_761_600;
/// How long before the leap second the daemon starts, seconds.
const LEAD_S: i64 = 9;

/// A server that announces a leap second and whose clock is ahead of the machine's.
fn announcing_server(ahead_s: i64) -> ntp::Server {
    let ahead_s = u32::try_from(ahead_s).unwrap();
    ntp::Server::start(move |request, _| {
        let mut answer = ntp::response(request);
        answer[0] |= 0x40;
        for field in [16, 32, 40] {
            let seconds = answer[field..].first_chunk_mut().unwrap();
            *seconds = (u32::from_be_bytes(*seconds) + ahead_s).to_be_bytes();
        }
        vec![answer]
    })
}

/// The daemon lives at another date and without the right to touch the machine's clock: it comes to
/// the end of a year with a leap second. From the first answer that says so on all threads say
/// so, and their clock has been set back.
#[test]
fn a_leap_second_is_known_to_all_threads() {
    if !own_network() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ahead_s = MIDNIGHT_S - LEAD_S - since.as_secs() as i64;
    let server = announcing_server(ahead_s);
    let socket = folder.path().join("run/chronyd.sock");
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set", "-sys_time", "--inh-caps", "-sys_time"])
        .arg(CHRONYD)
        .args(["-u", "root", "-d", "-4", "allow", "serverthreads 4"])
        .args(["cmdport 0", "pidfile /"])
        .arg(format!("bindcmdaddress {}", socket.display()))
        .args(["leapsecmode step", "clockprecision 1e-6"])
        .arg(format!(
            "server 127.0.0.1 port {} maxsamples 1",
            server.port()
        ))
        .env("LD_PRELOAD", build_library("calendar", folder.path()))
        .env("CALENDAR_AHEAD", ahead_s.to_string());
    let mut daemon = nts::Daemon {
        running: Running::start(&mut command, folder.path(), "chronyd"),
        socket,
    };
    daemon.running.wait_for("Selected source");
    let load = Load::start([127, 0, 1, 1]);
    daemon
        .running
        .wait_for("System clock was stepped for leap second");
    // It has gone through its loop when it answers.
    daemon.ask(&Request::Tracking);
    let done = now();
    // Half of the time in which the threads tell of it.
    std::thread::sleep(Duration::from_secs(1));
    let mut answers = load.stop();
    // On a busy machine it may be over.
    answers.retain(|header| {
        let is_over = header.leap == LeapIndicator::Normal && header.origin.is_after(done);
        !is_over
    });
    let (during, before): (Vec<Header>, Vec<Header>) = answers
        .into_iter()
        .partition(|header| header.leap == LeapIndicator::Unsynchronised);
    let wrong_s =
        |header: &Header| header.receive.since(header.origin).to_seconds() - ahead_s as f64;
    for header in &before {
        assert_eq!(header.leap, LeapIndicator::InsertSecond);
        assert!(!header.origin.is_after(done), "a thread does not know");
        // The clock itself moves a moment before all threads know why.
        assert!(wrong_s(header) > -1.0 - ROUNDING_S, "{header:?}");
    }
    let not_set_back = |header: &&Header| wrong_s(header) > -ROUNDING_S;
    assert!(before.iter().filter(not_set_back).count() > 1000);
    // The threads know a moment before the clock is set back.
    let is_set_back = |header: &&Header| wrong_s(header) < -0.1;
    for header in &during {
        assert!(wrong_s(header) > -1.0 - ROUNDING_S, "{header:?}");
        assert!(
            is_set_back(&header) || !header.origin.is_after(done),
            "{header:?}"
        );
    }
    assert!(during.iter().filter(is_set_back).count() > 1000);
    let earlier = |a: NtpTimestamp, b: NtpTimestamp| if b.is_after(a) { a } else { b };
    let first = during.iter().map(|header| header.origin).reduce(earlier);
    let last = latest(before.iter().map(|header| header.origin));
    println!(
        "the last answer without it was asked for {:.3} ms after the first with it",
        last.since(first.unwrap()).to_seconds() * 1e3
    );
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
    // A thread names itself.
    wait_until("threads", || (threads() == cores - 1).then_some(()));
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

/// How often each thread of a process slept and was woken.
fn wakeups(id: u32) -> BTreeMap<OsString, u64> {
    let folder = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
    folder
        .map(|entry| {
            let entry = entry.unwrap();
            let status = std::fs::read_to_string(entry.path().join("status")).unwrap();
            let name = "voluntary_ctxt_switches:";
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            (entry.file_name(), line.unwrap().trim().parse().unwrap())
        })
        .collect()
}

#[test]
fn all_threads_serve_after_root_gave_up_its_rights() {
    const THREADS: usize = 3;
    const REQUESTS: u64 = 3000;
    if !own_network() {
        return;
    }
    // The sockets are opened by root, when the server does not run as root.
    let folder = tempfile::tempdir().unwrap();
    let threads = format!("serverthreads {THREADS}");
    let lines = [
        "user nobody",
        "local",
        "allow",
        &threads,
        "cmdport 0",
        "bindcmdaddress /",
        "pidfile /",
    ];
    let running = Running::chronyd(folder.path(), &lines.map(str::to_owned));
    let sockets: Vec<UdpSocket> = (0..CLIENTS).map(|_| client([127, 0, 0, 1])).collect();
    exchange(&sockets[0], &request());
    wait_until("threads", || {
        (wakeups(running.id()).len() == THREADS).then_some(())
    });
    let before = wakeups(running.id());
    // One at a time, so that each wakes a thread.
    for socket in sockets.iter().cycle().take(REQUESTS as usize) {
        exchange(socket, &request());
    }
    for (thread, woken) in wakeups(running.id()) {
        let woken = woken - before[&thread];
        assert!(woken > REQUESTS / 30, "{thread:?} was woken {woken} times");
    }
}

#[test]
fn requests_of_configured_servers_are_answered_by_the_threads() {
    if !own_network() {
        return;
    }
    let address = |number: u16| format!("fd00::{number:x}");
    let numbers = 1..=16u16;
    let mut lines = vec!["local", "allow", "serverthreads 4"];
    let servers: Vec<String> = numbers
        .clone()
        .map(|number| format!("server {} port 4123 offline", address(number)))
        .collect();
    lines.extend(servers.iter().map(String::as_str));
    for number in numbers.clone() {
        add_addresses(&[&format!("{}/128", address(number))]);
    }
    let _server = Server::start(&lines);
    let mut active = request();
    // Version 4, symmetric active.
    active[0] = 0x21;
    for number in numbers {
        let local = format!("[{}]:4123", address(number));
        let socket = UdpSocket::bind(&local).unwrap();
        socket.connect("[::1]:123").unwrap();
        let answer = exchange(&socket, &active);
        // Symmetric passive.
        assert_eq!(answer[0] & 7, 2, "{local}");
    }
}

#[test]
fn threads_that_the_limit_of_descriptors_forbids_are_told() {
    if !own_network() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "local",
        "allow",
        "serverthreads 64",
        "cmdport 0",
        "bindcmdaddress /",
        "pidfile /",
    ];
    let mut command = Command::new("prlimit");
    command
        .args(["--nofile=296:296", CHRONYD, "-U", "-x", "-d"])
        .args(lines);
    let mut running = Running::start(&mut command, folder.path(), "chronyd");
    running.wait_for("Only 11 of 64 server threads, as at most 296 files may be open");
    wait_until("threads", || {
        (wakeups(running.id()).len() == 11).then_some(())
    });
    assert_eq!(running.stop().code(), Some(0), "{}", running.log());
}
