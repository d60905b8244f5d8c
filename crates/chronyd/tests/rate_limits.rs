//! `ratelimit`, `ntsratelimit` and `cmdratelimit` beside Debian's chrony: both daemons get the same
//! requests at the same times and answer the same ones. Where chance decides, its frequency is
//! compared.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use control_wire::{Request, RequestHeader, VERSION};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, socket};
use support::namespace::build_library;
use support::network::{bound, own_network};
use support::nts::{self, certificate};
use support::{CHRONYD, Running, finish, peers, uninterrupted, wait_until};

mod support;

/// How much later than planned requests may be sent: less than half a tick of the buckets' clock,
/// 1/16 s.
const LATE_MAX: Duration = Duration::from_millis(25);
/// How often a plan is tried on a busy machine.
const ATTEMPTS: u32 = 40;
/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Length of NTP requests.
const REQUEST_LENGTH: usize = 48;
const NTP_PORT: u16 = 123;
const COMMAND_PORT: u16 = 323;
const KE_PORT: u16 = 4460;
/// Requests sent together.
struct Step {
    /// When, milliseconds after the first.
    at_ms: u64,
    requests: usize,
    /// How many of them are answered: the first ones.
    answered: usize,
}

/// Requests of one client.
type Plan = [Step];

/// A daemon on an address of its own.
struct Daemon {
    name: &'static str,
    address: Ipv4Addr,
    process: nts::Daemon,
    /// The client that understands its reports; ours are asked for by the test itself.
    chronyc: Option<PathBuf>,
}

/// Ours and the reference.
struct Pair {
    daemons: [Daemon; 2],
    /// Addresses used by clients.
    clients: Cell<u32>,
    _folder: tempfile::TempDir,
}

impl Daemon {
    fn start(peers: &Path, folder: &Path, ours: bool, even: Option<&Path>, lines: &[&str]) -> Self {
        let (program, address, name) = if ours {
            (PathBuf::from(CHRONYD), Ipv4Addr::new(127, 7, 0, 1), "ours")
        } else {
            let program = peers.join("chrony/usr/sbin/chronyd");
            (program, Ipv4Addr::new(127, 7, 0, 2), "reference")
        };
        let run = folder.join(name);
        std::fs::create_dir(&run).expect("folder");
        std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("permissions");
        let socket = run.join("socket");
        let mut command = Command::new(program);
        command.args(["-u", "root", "-x", "-d", "-4", "local", "allow", "cmdallow"]);
        command.args([
            format!("bindaddress {address}"),
            format!("bindcmdaddress {address}"),
            format!("bindcmdaddress {}", socket.display()),
            format!("pidfile {}", run.join("pid").display()),
            format!("ntsdumpdir {}", run.display()),
            format!("ntsservercert {}", folder.join("cert.pem").display()),
            format!("ntsserverkey {}", folder.join("key.pem").display()),
        ]);
        command.args(lines);
        if let Some(library) = even {
            command.env("LD_PRELOAD", library);
        }
        let running = Running::start(&mut command, folder, name);
        let daemon = Self {
            name,
            address,
            process: nts::Daemon { running, socket },
            chronyc: (!ours).then(|| peers.join("chrony/usr/bin/chronyc")),
        };
        wait_until("the NTS-KE server", || {
            TcpStream::connect((address, KE_PORT)).ok()
        });
        wait_until("the command socket", || {
            daemon.process.socket.exists().then_some(())
        });
        daemon
    }

    /// Connections to the NTS-KE server: accepted and dropped.
    fn connections(&self) -> (usize, usize) {
        let Some(chronyc) = &self.chronyc else {
            let statistics = self.process.statistics();
            return (statistics.nke_hits as usize, statistics.nke_drops as usize);
        };
        let mut command = Command::new(chronyc);
        command
            .arg("-h")
            .arg(&self.process.socket)
            .arg("serverstats");
        let report = finish(&mut command).stdout;
        let number = |name: &str| {
            let line = report.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split(':').nth(1));
            value
                .and_then(|value| value.trim().parse().ok())
                .unwrap_or_else(|| panic!("no {name} in {report}"))
        };
        (
            number("NTS-KE connections accepted"),
            number("NTS-KE connections dropped"),
        )
    }
}

impl Pair {
    /// `even`: without chance.
    fn start(even: bool, lines: &[&str]) -> Option<Self> {
        let peers = peers()?;
        if !own_network() {
            return None;
        }
        let folder = tempfile::tempdir().expect("folder");
        let key = rcgen::KeyPair::generate().expect("key");
        let certificate = certificate().self_signed(&key).expect("certificate");
        std::fs::write(folder.path().join("cert.pem"), certificate.pem()).expect("write");
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).expect("write");
        let library = even.then(|| build_library("even_random", folder.path()));
        let start = |ours| Daemon::start(&peers, folder.path(), ours, library.as_deref(), lines);
        Some(Self {
            daemons: [true, false].map(start),
            clients: Cell::new(0),
            _folder: folder,
        })
    }

    /// An address that no request came from so far.
    fn new_client(&self) -> Ipv4Addr {
        self.clients.set(self.clients.get() + 1);
        Ipv4Addr::from_bits(Ipv4Addr::new(127, 8, 0, 0).to_bits() + self.clients.get())
    }

    /// Sends what is planned, each time from a new client, until all was sent in time. Returns
    /// what `open` made for that client.
    fn in_time<S>(
        &self,
        plan: &Plan,
        open: impl Fn(Ipv4Addr) -> S,
        send: impl Fn(&S, Ipv4Addr, &Step, usize),
    ) -> S {
        for _ in 0..ATTEMPTS {
            let client = self.new_client();
            let sockets = open(client);
            let begin = Instant::now();
            let was_in_time = plan.iter().enumerate().all(|(index, step)| {
                let due = Duration::from_millis(step.at_ms);
                std::thread::sleep(due.saturating_sub(begin.elapsed()));
                send(&sockets, client, step, index);
                begin.elapsed() <= due + LATE_MAX
            });
            if was_in_time {
                return sockets;
            }
        }
        panic!("the machine is too busy");
    }

    /// Both daemons answer what is planned.
    fn answer(&self, kind: Kind, plan: &Plan) {
        let open = |client| [(); 2].map(|()| bound(SocketAddr::from((client, 0))));
        let sockets = self.in_time(plan, open, |sockets, _, step, index| {
            for number in 0..step.requests {
                for (socket, daemon) in sockets.iter().zip(&self.daemons) {
                    let to = (daemon.address, kind.port());
                    let request = kind.request((index << 8 | number) as u32);
                    socket.send_to(&request, to).expect("send");
                }
            }
        });
        let planned: Vec<u32> = (0..)
            .zip(plan)
            .flat_map(|(index, step)| {
                (0..step.answered as u32).map(move |number| index << 8 | number)
            })
            .collect();
        for (socket, daemon) in sockets.iter().zip(&self.daemons) {
            self.wait_for_all(kind, daemon);
            let answered: Vec<u32> = kind.answers(socket).into_keys().collect();
            assert_eq!(answered, planned, "{kind:?}, {}", daemon.name);
        }
    }

    /// The daemon has dealt with all requests once it answers a client that it does not know.
    fn wait_for_all(&self, kind: Kind, daemon: &Daemon) {
        let socket = bound(SocketAddr::from((self.new_client(), 0)));
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let to = (daemon.address, kind.port());
        socket.send_to(&kind.request(0), to).expect("send");
        uninterrupted(|| socket.recv(&mut [0; 1000])).expect("answer");
    }

    /// Both daemons take as many connections as planned.
    fn connect(&self, plan: &Plan) {
        let sent = Cell::new(self.connections(None).map(|(accepted, _)| accepted));
        let open = |_| (RefCell::new(Vec::new()), self.connections(Some(sent.get())));
        let (_, before) = self.in_time(plan, open, |(open, _), client, step, _| {
            for _ in 0..step.requests {
                for daemon in &self.daemons {
                    open.borrow_mut().push(connect(client, daemon.address));
                }
                sent.set(sent.get().map(|count| count + 1));
            }
        });
        let after = self.connections(Some(sent.get()));
        for (daemon, (before, after)) in self.daemons.iter().zip(before.into_iter().zip(after)) {
            let dropped = after.1 - before.1;
            let planned = plan.iter().map(|step| step.requests - step.answered);
            assert_eq!(dropped, planned.sum::<usize>(), "{}", daemon.name);
        }
    }

    /// Connections that the daemons accepted and dropped, once they have accepted so many.
    fn connections(&self, accepted: Option<[usize; 2]>) -> [(usize, usize); 2] {
        wait_until("connections", || {
            let now = self.daemons.each_ref().map(Daemon::connections);
            let settled = accepted.is_none_or(|accepted| now.map(|(count, _)| count) == accepted);
            settled.then_some(now)
        })
    }
}

fn connect(from: Ipv4Addr, to: Ipv4Addr) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let opened = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("socket");
    let own = SockaddrIn::from(SocketAddrV4::new(from, 0));
    bind(opened.as_raw_fd(), &own).expect("bind");
    let peer = SockaddrIn::from(SocketAddrV4::new(to, KE_PORT));
    nix::sys::socket::connect(opened.as_raw_fd(), &peer).expect("connect");
    opened
}

/// Requests by UDP.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Ntp = 1,
    Command = 2,
}

impl Kind {
    fn port(self) -> u16 {
        match self {
            Self::Ntp => NTP_PORT,
            Self::Command => COMMAND_PORT,
        }
    }

    fn request(self, number: u32) -> Vec<u8> {
        match self {
            Self::Ntp => {
                let mut request = vec![0; REQUEST_LENGTH];
                request[0] = 0x23;
                request[40] = 1;
                request[44..].copy_from_slice(&number.to_be_bytes());
                request
            }
            Self::Command => {
                let header = RequestHeader {
                    version: VERSION,
                    command: 0,
                    attempt: 0,
                    sequence: number,
                };
                Request::Tracking.emit(&header).to_vec()
            }
        }
    }

    /// What has arrived, by the numbers of the requests.
    fn answers(self, socket: &UdpSocket) -> BTreeMap<u32, Vec<u8>> {
        let mut answers = BTreeMap::new();
        socket.set_nonblocking(true).expect("mode");
        let mut buffer = [0; 1000];
        while let Ok(length) = socket.recv(&mut buffer) {
            let answer = &buffer[..length];
            let number = match self {
                // The end of the origin timestamp.
                Self::Ntp => &answer[28..32],
                // The sequence number.
                Self::Command => &answer[16..20],
            };
            let number = u32::from_be_bytes(number.try_into().expect("four bytes"));
            answers.insert(number, answer.to_vec());
        }
        answers
    }
}

const fn step(at_ms: u64, requests: usize, answered: usize) -> Step {
    Step {
        at_ms,
        requests,
        answered,
    }
}

/// One answer in a quarter of a second (four ticks), eight at once. Times lie in the middle
/// between two tokens, so that the phase of the ticks does not matter.
const QUARTER_BURST_8: &Plan = &[
    step(0, 12, 8),
    step(400, 4, 1),
    step(900, 4, 2),
    step(1900, 6, 4),
];

/// One answer in two seconds, one at once.
const TWO_SECONDS_BURST_1: &Plan = &[step(0, 3, 1), step(1000, 2, 0), step(2500, 3, 1)];

#[test]
fn buckets_are_filled_and_emptied_alike() {
    let limits = [
        "ratelimit interval -2 burst 8 leak 4",
        "cmdratelimit interval 1 burst 1 leak 1",
        "ntsratelimit interval -2 burst 8 leak 2",
    ];
    let Some(pair) = Pair::start(true, &limits) else {
        return;
    };
    pair.answer(Kind::Ntp, QUARTER_BURST_8);
    pair.answer(Kind::Command, TWO_SECONDS_BURST_1);
    pair.connect(QUARTER_BURST_8);
}

/// The greatest burst and interval, which do not fit the buckets exactly.
const GREATEST: &Plan = &[step(0, 40, 32), step(300, 3, 0)];

/// A client that asks once more, at once, when it is not answered, where it used to ask every 0.6 s:
/// the sense of the leak is inverted, and without chance all is answered.
const INSISTING: &Plan = &[
    step(0, 1, 1),
    step(600, 1, 1),
    step(1200, 1, 0),
    step(1250, 5, 5),
];

#[test]
fn great_limits_and_clients_that_insist() {
    let limits = [
        "ratelimit interval 3 burst 2 leak 2",
        "cmdratelimit interval 12 burst 32 leak 4",
        "ntsratelimit interval 12 burst 32 leak 1",
    ];
    let Some(pair) = Pair::start(true, &limits) else {
        return;
    };
    pair.answer(Kind::Ntp, INSISTING);
    pair.answer(Kind::Command, GREATEST);
    pair.connect(GREATEST);
}

/// Clients that send one request too many.
const CLIENTS: usize = 600;

/// A quarter of the excess requests is answered. (Debian's chrony does not know the option `kod`.)
#[test]
fn chance_decides_alike() {
    let limits = ["ratelimit interval 12 burst 1 leak 2"];
    let Some(pair) = Pair::start(false, &limits) else {
        return;
    };
    for daemon in &pair.daemons {
        let to = (daemon.address, Kind::Ntp.port());
        let both_answered = |_| {
            let socket = bound(SocketAddr::from((pair.new_client(), 0)));
            for number in 0..2 {
                let request = Kind::Ntp.request(number);
                socket.send_to(&request, to).expect("send");
            }
            // One client after the other, as many as fit the daemon's socket.
            pair.wait_for_all(Kind::Ntp, daemon);
            let answers = Kind::Ntp.answers(&socket);
            assert!(answers.contains_key(&0), "{}", daemon.name);
            answers.contains_key(&1)
        };
        let leaked = (0..CLIENTS).map(both_answered).filter(|both| *both).count();
        println!("{}: {leaked} of {CLIENTS}", daemon.name);
        // A mean of 150, and six standard deviations of 10.6.
        assert!((86..=214).contains(&leaked), "{}: {leaked}", daemon.name);
    }
}
