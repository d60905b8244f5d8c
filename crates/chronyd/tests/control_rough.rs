//! The command sockets of the real daemon and what comes in that is wrong: cut, overlong and
//! random datagrams, other versions, replies in place of requests, clients that vanish, and a
//! flood from an address that is not allowed. Nothing is answered with more than it was asked
//! with, and the daemon serves on.

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control_wire::{ReplyHeader, Request, RequestHeader, VERSION};
use support::ports::free_port;
use support::{Running, able, is_root, wait_until};

/// How long a reply may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests for the time before it counts as not served.
const TRIES: u32 = 10;

/// Requests of the flood, sent as fast as they go.
const FLOOD: usize = 20_000;

/// A daemon with both kinds of command sockets, which serves time to 127.0.0.1.
struct Daemon {
    running: Running,
    folder: tempfile::TempDir,
    commands: SocketAddr,
    ntp: SocketAddr,
}

impl Daemon {
    fn start() -> Option<Self> {
        Self::start_with(|_| Vec::new())
    }

    /// `more` gives further directives for the folder of the daemon.
    fn start_with(more: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        // The socket's folder has to belong to the daemon's user.
        if !able(is_root(), "root") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (commands, ntp) = (free_port(), free_port());
        let mut lines = more(folder.path());
        lines.extend([
            format!("cmdport {commands}"),
            format!("port {ntp}"),
            format!("bindcmdaddress {}", socket_of(folder.path()).display()),
            "pidfile /".to_owned(),
            "user root".to_owned(),
            "local".to_owned(),
            "allow 127.0.0.1".to_owned(),
        ]);
        let running = Running::chronyd(folder.path(), &lines);
        let socket = socket_of(folder.path());
        wait_until("command socket", || socket.exists().then_some(()));
        Some(Self {
            running,
            folder,
            commands: SocketAddr::from(([127, 0, 0, 1], commands)),
            ntp: SocketAddr::from(([127, 0, 0, 1], ntp)),
        })
    }

    fn udp(&self, from: [u8; 4]) -> Peer {
        let socket = UdpSocket::bind(SocketAddr::from((from, 0))).unwrap();
        socket.connect(self.commands).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer::Udp(socket)
    }

    fn unix(&self) -> Peer {
        let path = self.folder.path().join("client.sock");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(path).unwrap();
        socket.connect(socket_of(self.folder.path())).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer::Unix(socket)
    }

    /// Whether the server answers a request for the time.
    fn serves_time(&self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE / TRIES)).unwrap();
        let mut request = [0; 48];
        request[0] = 0x23;
        // In a flood the kernel's queue of the loopback interface drops some.
        (0..TRIES).any(|_| {
            socket.send_to(&request, self.ntp).unwrap();
            socket.recv(&mut [0; 100]).is_ok_and(|length| length == 48)
        })
    }

    /// The daemon is as good as new, and ends as asked.
    fn finish(mut self) {
        assert!(self.serves_time());
        for mut peer in [self.udp([127, 0, 0, 1]), self.unix()] {
            assert_eq!(peer.replies_to(&tracking(1)).len(), 1);
        }
        assert_eq!(
            self.running.stop().code(),
            Some(0),
            "{}",
            self.running.log()
        );
        assert!(!self.running.log().contains("panicked"));
    }
}

fn socket_of(folder: &Path) -> PathBuf {
    folder.join("run/chronyd.sock")
}

fn request(request: &Request, sequence: u32) -> Vec<u8> {
    let header = RequestHeader {
        version: VERSION,
        command: request.command().code(),
        attempt: 0,
        sequence,
    };
    request.emit(&header).to_vec()
}

fn tracking(sequence: u32) -> Vec<u8> {
    request(&Request::Tracking, sequence)
}

/// A client over one kind of socket.
enum Peer {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Peer {
    fn send(&self, datagram: &[u8]) -> bool {
        match self {
            Self::Udp(socket) => socket.send(datagram).is_ok(),
            Self::Unix(socket) => socket.send(datagram).is_ok(),
        }
    }

    fn receive(&self) -> Vec<u8> {
        let mut reply = vec![0; 2000];
        let length = match self {
            Self::Udp(socket) => socket.recv(&mut reply),
            Self::Unix(socket) => socket.recv(&mut reply),
        };
        reply.truncate(length.expect("a reply"));
        reply
    }

    /// What comes back for a datagram: everything before the answer to a request that is sent
    /// after it. None may be longer than the datagram.
    fn replies_to(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        const MARK: u32 = 0x4d41_524b;
        if !self.send(datagram) {
            return Vec::new();
        }
        assert!(self.send(&request(&Request::NSources, MARK)));
        let mut replies = Vec::new();
        loop {
            let reply = self.receive();
            if ReplyHeader::parse(&reply).is_some_and(|header| header.sequence == MARK) {
                return replies;
            }
            assert!(reply.len() <= datagram.len(), "{reply:?} to {datagram:?}");
            replies.push(reply);
        }
    }
}

/// Small numbers that look random, the same in every run.
fn random() -> impl FnMut() -> u8 {
    let mut state = 1u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }
}

fn rough(peer: &mut Peer) {
    let whole = tracking(7);
    let status = |replies: &[Vec<u8>]| {
        let [reply] = replies else { return None };
        assert!(ReplyHeader::parse(reply).is_some());
        Some(u16::from_be_bytes([reply[8], reply[9]]))
    };
    // Cut: silence below the length of an error, then "packet length mismatch".
    for length in 0..whole.len() {
        let found = status(&peer.replies_to(&whole[..length]));
        assert_eq!(found, (length >= 28).then_some(19), "{length} bytes");
    }
    // Longer than needed, then longer than accepted.
    for (length, expected) in [(200, Some(0)), (860, Some(0)), (861, None), (9000, None)] {
        let mut long = whole.clone();
        long.resize(length, 0xff);
        assert_eq!(status(&peer.replies_to(&long)), expected, "{length} bytes");
    }
    for version in 0..=255 {
        let mut other = whole.clone();
        other[0] = version;
        let expected = match version {
            0..=4 => None,
            6 => Some(0),
            _ => Some(18),
        };
        assert_eq!(
            status(&peer.replies_to(&other)),
            expected,
            "version {version}"
        );
    }
    // Replies, so that two daemons never talk to each other, and reserved bytes.
    for (place, value) in [(1, 0), (1, 2), (1, 3), (2, 1), (3, 1)] {
        let mut other = whole.clone();
        other[place] = value;
        assert!(peer.replies_to(&other).is_empty());
    }
    // The same again and again is answered every time, with its own sequence number.
    for _ in 0..3 {
        let replies = peer.replies_to(&whole);
        assert_eq!(status(&replies), Some(0));
        assert_eq!(replies[0][16..20], 7u32.to_be_bytes());
    }
    let mut next = random();
    for round in 0..2000 {
        let length = usize::from(next()) * 4 + usize::from(next() % 4);
        let mut datagram: Vec<u8> = (0..length).map(|_| next()).collect();
        // Half of them get as far as the handler; none is "shutdown".
        let code = next() % 80;
        if round % 2 == 0 && length >= 20 && code != 62 {
            datagram[..6].copy_from_slice(&[6, 1, 0, 0, 0, code]);
        }
        peer.replies_to(&datagram);
    }
}

#[test]
fn rough_datagrams_over_udp() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    rough(&mut daemon.udp([127, 0, 0, 1]));
    daemon.finish();
}

#[test]
fn rough_datagrams_over_the_unix_socket() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    rough(&mut daemon.unix());
    daemon.finish();
}

#[test]
fn clients_that_vanish() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    for round in 0..200u32 {
        let Peer::Unix(socket) = daemon.unix() else {
            continue;
        };
        socket.send(&tracking(round)).unwrap();
        if round % 2 == 0 {
            std::fs::remove_file(daemon.folder.path().join("client.sock")).unwrap();
        }
        drop(socket);
    }
    daemon.finish();
}

/// A host that is not allowed sends as fast as it can: it hears nothing, others are served.
/// Sources, none of which has samples.
const DUMPED: u8 = 200;

/// A script goes on with the files when it has the reply. Here `dump` has many to remove, which
/// takes longer than the way of the reply.
#[test]
fn what_a_command_does_is_done_before_its_reply() {
    let source = |number: u8| format!("127.0.1.{number}");
    let daemon = Daemon::start_with(|folder| {
        let sources = (0..DUMPED).map(|number| format!("server {} offline", source(number)));
        let dumps = format!("dumpdir {}", folder.join("dumps").display());
        sources.chain([dumps]).collect()
    });
    let Some(daemon) = daemon else { return };
    let dumps = daemon.folder.path().join("dumps");
    for number in 0..DUMPED {
        std::fs::write(dumps.join(source(number) + ".dat"), "").unwrap();
    }
    let client = daemon.unix();
    assert!(client.send(&request(&Request::Dump, 7)));
    assert!(!client.receive().is_empty());
    assert_eq!(std::fs::read_dir(&dumps).unwrap().count(), 0);
    daemon.finish();
}

#[test]
fn a_flood_from_a_host_that_is_not_allowed() {
    let Some(daemon) = Daemon::start() else {
        return;
    };
    let Peer::Udp(flood) = daemon.udp([127, 0, 0, 9]) else {
        return;
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for sequence in 0..FLOOD {
                // A full queue is the kernel's to handle.
                let _ = flood.send(&tracking(sequence as u32));
            }
            over.store(true, Ordering::SeqCst);
        });
        let mut local = daemon.unix();
        let mut served = 0;
        while !over.load(Ordering::SeqCst) || served == 0 {
            assert!(daemon.serves_time());
            assert_eq!(local.replies_to(&tracking(served)).len(), 1);
            served += 1;
        }
    });
    flood.set_nonblocking(true).unwrap();
    assert!(flood.recv(&mut [0; 2000]).is_err());
    // What is left of the flood in the socket's queue may cost others a request or two.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE / TRIES)).unwrap();
    assert!((0..TRIES).any(|sequence| {
        socket
            .send_to(&tracking(sequence), daemon.commands)
            .unwrap();
        socket.recv(&mut [0; 2000]).is_ok()
    }));
    daemon.finish();
}
