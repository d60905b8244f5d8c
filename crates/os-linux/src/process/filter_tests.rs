//! The filters at work, each in a process of its own.

use super::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use crate::clock::{Kernel, SystemKernel, Timex, raw_time};
use crate::event::{Interest, PollSet, Timeout, wake_pipe};
use crate::hardware::ioctl;
use crate::hardware::{
    CalendarTime, RealTimeClock, SystemDevices, SystemRealTimeClock, TimestampDevices,
};
use crate::socket::{
    InheritedSockets, IpFamily, Outgoing, ReceiveBatch, SendBatch, SocketSupport,
    TransmitTimestamps, UdpOptions,
};

const ROLE: &str = "ISOCHRONY_TEST_FILTER";
const DONE: i32 = 42;

fn run(role: &str) -> ExitStatus {
    Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "process::filter::tests::child", "--nocapture"])
        .env(ROLE, role)
        .stdout(std::process::Stdio::null())
        .status()
        .expect("run")
}

/// Not a test by itself: the process that a filter is installed in.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let allow = || Filter::allow_list(Violation::Kill).expect("filter");
    let deny = || Filter::deny_list(Violation::Kill).expect("filter");
    match role.as_str() {
        "level 1 works" => {
            let devices = Devices::open();
            allow().install_for_all_threads().expect("installed");
            daemon_work();
            devices.use_all();
        }
        "level 2 works" => {
            let devices = Devices::open();
            deny().install_for_all_threads().expect("installed");
            daemon_work();
            devices.use_all();
        }
        "level 1 execute" => {
            allow().install().expect("installed");
            let _ = Command::new("/bin/true").status();
        }
        "level 1 thread" => {
            allow().install().expect("installed");
            let thread = std::thread::spawn(|| {
                // SAFETY: changes the owner of nothing.
                unsafe { libc::syscall(libc::SYS_ptrace, 0, 0, 0, 0) }
            });
            let _ = thread.join();
        }
        "level 1 packet socket" => {
            allow().install().expect("installed");
            // SAFETY: the call takes integers only.
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0) };
        }
        "level 2 execute" => {
            deny().install().expect("installed");
            let status = Command::new("/bin/true").status();
            assert!(!status.is_ok_and(|status| status.success()));
        }
        "refused" => {
            let refused = [libc::SYS_adjtimex, libc::SYS_clock_adjtime];
            let filter = Filter::deny(&refused, Violation::Fail(libc::EPERM as u32));
            filter.expect("filter").install().expect("installed");
            let error = SystemKernel.adjtimex(&mut Timex::default());
            let error = error.expect_err("refused");
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        }
        other => panic!("unknown role {other}"),
    }
    std::process::exit(DONE);
}

/// What the daemon does after its start.
fn daemon_work() {
    SystemKernel.adjtimex(&mut Timex::default()).expect("read");
    let (waker, receiver) = wake_pipe().expect("pipe");
    std::thread::spawn(move || waker.wake())
        .join()
        .expect("thread");
    let mut set = PollSet::default();
    set.add(receiver.as_fd(), Interest::READ);
    set.wait(Timeout::NEVER).expect("wait");
    files();
    datagrams();
    connections();
    let numeric: Vec<SocketAddr> = "127.0.0.1:123".to_socket_addrs().expect("name").collect();
    assert_eq!(numeric.len(), 1);
    // A name that is in the hosts file or nowhere: the look-up must return.
    let _ = "localhost:123".to_socket_addrs();
    crate::process::reload_resolver();
}

/// Devices as the start leaves them: the calls after it are allowed, although this one, which
/// is the null device, refuses them all.
struct Devices {
    chip: SystemRealTimeClock,
    file: std::fs::File,
    interfaces: SystemDevices,
}

impl Devices {
    fn open() -> Self {
        let path = std::path::Path::new("/dev/null");
        Self {
            chip: SystemRealTimeClock::open(path).expect("opened"),
            file: std::fs::File::open(path).expect("opened"),
            interfaces: SystemDevices::new().expect("a socket"),
        }
    }

    fn use_all(mut self) {
        let time = CalendarTime {
            year: 2026,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
        };
        assert!(self.chip.read().is_err() && self.chip.set(time).is_err());
        assert!(self.chip.set_update_interrupts(true).is_err());
        assert!(self.chip.set_update_interrupts(false).is_err());
        let _ = self.chip.take_interrupts();
        let _ = self.interfaces.link_speed_mbps("lo");
        let mut memory = [0u64; 1024];
        for request in [
            libc::PTP_EXTTS_REQUEST,
            libc::PTP_EXTTS_REQUEST2,
            libc::PTP_PIN_SETFUNC,
            libc::PTP_SYS_OFFSET,
            libc::PTP_SYS_OFFSET_EXTENDED,
            libc::PTP_SYS_OFFSET_PRECISE,
            ioctl::PTP_MASK_CLEAR_ALL,
            ioctl::PTP_MASK_ENABLE_SINGLE,
            ioctl::PPS_FETCH,
        ] {
            // SAFETY: the null device takes no control, and the memory is larger than any of
            // the structures.
            let result =
                unsafe { libc::ioctl(self.file.as_raw_fd(), request, memory.as_mut_ptr()) };
            assert_eq!(result, -1);
        }
    }
}

fn files() {
    let folder = std::env::temp_dir().join(format!("isochrony-filter-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("folder");
    let path = folder.join("drift");
    let mut file = std::fs::File::create(&path).expect("file");
    writeln!(file, "{}", raw_time().as_ns()).expect("write");
    file.sync_all().expect("sync");
    std::fs::rename(&path, folder.join("moved")).expect("rename");
    let names = std::fs::read_dir(&folder).expect("folder").count();
    assert_eq!(names, 1);
    std::fs::read_to_string(folder.join("moved")).expect("read");
    std::fs::remove_dir_all(&folder).expect("removed");
}

fn datagrams() {
    let mut support = SocketSupport::probe(InheritedSockets::default());
    support.enable_hardware_timestamps();
    let options = UdpOptions {
        bind: Some(([127, 0, 0, 1], 0).into()),
        packet_info: true,
        broadcast: true,
        dscp: 46,
        timestamps: Some(TransmitTimestamps::Always),
        ..UdpOptions::new(IpFamily::V4)
    };
    let socket = support.open_udp(&options).expect("open").socket;
    let outgoing = Outgoing {
        destination: socket.local_addr().ok(),
        ..Outgoing::default()
    };
    let mut batch = SendBatch::new();
    batch.commit(48, &outgoing);
    assert_eq!(batch.flush(socket.as_fd(), |_, error| panic!("{error}")), 1);
    let mut set = PollSet::default();
    set.add(socket.as_fd(), Interest::READ);
    set.wait(Timeout::NEVER).expect("wait");
    let received = ReceiveBatch::new().receive(socket.as_fd());
    assert_eq!(received.expect("received"), 1);
}

fn connections() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let mut client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    client.set_nonblocking(true).expect("option");
    client.set_nonblocking(false).expect("option");
    client.set_nodelay(true).expect("option");
    let (mut server, _) = listener.accept().expect("accept");
    server.write_all(b"x").expect("write");
    let mut byte = [0];
    client.read_exact(&mut byte).expect("read");
}

#[test]
fn the_daemons_work_passes_both_levels() {
    for role in ["level 1 works", "level 2 works"] {
        let status = run(role);
        assert_eq!(status.code(), Some(DONE), "{role}: {status}");
    }
}

#[test]
fn what_is_forbidden_kills() {
    for role in ["level 1 thread", "level 1 packet socket"] {
        let status = run(role);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{role}: {status}");
    }
}

#[test]
fn programs_cannot_be_executed() {
    // Level 1 kills where the process is made, level 2 the one that would execute.
    assert_eq!(run("level 1 execute").signal(), Some(libc::SIGSYS));
    assert_eq!(run("level 2 execute").code(), Some(DONE));
}

#[test]
fn calls_can_be_refused_as_by_a_lesser_kernel() {
    assert_eq!(run("refused").code(), Some(DONE));
}
