//! The runs that provoke messages.

use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::Command;

use discipline::journal::Severity;
use os_linux::process::{Filter, Violation};

use super::support::CHRONYD;
use super::support::ports::free_port;
use super::system_log::SystemLog;

/// What a daemon needs to stay off everything shared.
const ALONE: [&str; 4] = ["port 0", "cmdport 0", "bindcmdaddress /", "pidfile /"];

/// Says which call is refused to the program under test.
const REFUSED: &str = "ISOCHRONY_TEST_REFUSED_CALL";

/// A run: arguments and shell commands before it, in which `$F` is the folder.
struct Run {
    setup: &'static str,
    arguments: Vec<&'static str>,
    environment: &'static [(&'static str, &'static str)],
    refused: Option<(libc::c_long, i32)>,
}

/// A run that ends by itself.
fn run(setup: &'static str, arguments: &[&'static str]) -> Run {
    Run {
        setup,
        arguments: [&["-x", "-n", "-t", "0"][..], &ALONE, arguments].concat(),
        environment: &[],
        refused: None,
    }
}

/// What `chown` calls: newer architectures have only the general one.
#[cfg(target_arch = "x86_64")]
const CHOWN: libc::c_long = libc::SYS_chown;
#[cfg(not(target_arch = "x86_64"))]
const CHOWN: libc::c_long = libc::SYS_fchownat;

fn refused(call: libc::c_long, arguments: &[&'static str]) -> Run {
    Run {
        refused: Some((call, libc::EPERM)),
        ..run("", arguments)
    }
}

fn told(socket: &'static [(&'static str, &'static str)]) -> Run {
    Run {
        environment: socket,
        ..run("", &[])
    }
}

/// Faults of the configuration, and of what it leads to at once.
fn faults() -> Vec<Run> {
    let lines: &[&[&'static str]] = &[
        &["port x"],
        &["port"],
        &["port 1 2"],
        &["server 127.0.0.1 bogus"],
        &["bogus"],
        &["log bogus"],
        &["include $F/missing"],
        &["include $F/missing/*"],
        &["allow 1.2.3.4/99"],
        &["ntsservercert /c", "user root"],
        &["noclientlog", "ratelimit"],
        &["-u", "no-such-user-here"],
        &["-F", "3"],
        &["-F", "2", "mailonchange root 1"],
        &["-P", "100"],
        &["-N", "9"],
        &["rtcfile $F/rtc", "rtcsync"],
        &["hwtimestamp no-such-if"],
        &["acquisitionport 11111", "bindacqdevice no-such-if"],
        &["commandkey 1"],
        &["-4", "initstepslew 1 ::1"],
        &["server 127.0.0.1", "server 127.0.0.1"],
        &["log tracking"],
        &["bindcmddevice no-such-if", "cmdport 11112"],
        &["binddevice no-such-if", "port 11113", "allow"],
        &["-F", "1"],
        &["rtcdevice /nonexistent/rtc", "rtcfile $F/rtc"],
        &["hwclockfile $F/dev/null", "rtcfile $F/rtc"],
    ];
    let mut runs: Vec<Run> = lines.iter().map(|lines| run("", lines)).collect();
    runs.push(Run {
        arguments: [&["-x", "-n"][..], &ALONE].concat(),
        ..run("", &[])
    });
    let long: &'static str = Box::leak(format!("server {}", "a".repeat(2048)).into_boxed_str());
    runs.push(run("", &[long]));
    runs.push(run("echo \"include $F/own\" >$F/own", &["include $F/own"]));
    runs.push(run("echo $$ >$F/pid", &["pidfile $F/pid"]));
    runs.push(run("echo 'not coefficients' >$F/rtc", &["rtcfile $F/rtc"]));
    // The drift file is of tomorrow, but the clock is not controlled.
    runs.push(run(
        "touch -d tomorrow $F/drift",
        &["-s", "driftfile $F/drift"],
    ));
    runs.push(run(
        "mkdir $F/s; echo 'server 127.0.0.1' >$F/s/a.sources",
        &["server 127.0.0.1", "sourcedir $F/s"],
    ));
    runs
}

/// Faults of files and directories.
fn files() -> Vec<Run> {
    vec![
        run("chmod 755 $F; touch $F/file", &["logdir $F/file/log"]),
        run("", &["logdir $F/dev/null"]),
        run(
            "mkdir $F/ro; mount -t tmpfs -o ro none $F/ro",
            &["logdir $F/ro/log"],
        ),
        run("ln -s loop $F/loop", &["dumpdir $F/loop/d"]),
        refused(CHOWN, &["logdir $F/log"]),
        run(
            "mkdir -m 777 $F/run",
            &["bindcmdaddress $F/run/chronyd.sock"],
        ),
        run(
            "mkdir -m 700 $F/run; chown 1:0 $F/run",
            &["bindcmdaddress $F/run/chronyd.sock"],
        ),
        run(
            "mkdir -m 700 $F/run; chown 0:1 $F/run",
            &["bindcmdaddress $F/run/chronyd.sock"],
        ),
        run("touch $F/k; chmod 604 $F/k", &["keyfile $F/k"]),
        run("touch $F/k; chmod 602 $F/k", &["keyfile $F/k"]),
        run(
            "chmod 755 $F; touch $F/k; chmod 600 $F/k",
            &["-u", "nobody", "keyfile $F/k"],
        ),
        run(
            "chmod 755 $F; touch $F/k; chmod 600 $F/k; chown nobody $F/k",
            &["-u", "nobody", "keyfile $F/k"],
        ),
        // Neither the drift file's folder nor the pidfile's is the user's.
        run(
            "mkdir -m 755 $F/d",
            &["-u", "nobody", "driftfile $F/d/drift", "pidfile $F/d/pid"],
        ),
        run("mkdir -p $F/drift/full", &["driftfile $F/drift"]),
    ]
}

/// Reference clocks that are not there.
fn reference_clocks() -> Vec<Run> {
    let lines: &[&[&'static str]] = &[
        &["refclock FOO 0"],
        &["refclock SHM 0 tai"],
        &["refclock SHM 0:foo"],
        &["refclock SHM 0 lock XYZ"],
        &["refclock SHM 0", "refclock SHM 1 lock SHM0 rate 4"],
        &["refclock PHC /dev/null"],
        &["refclock PPS /nonexistent/pps"],
        &["refclock PPS /dev/null"],
        &["refclock RTC /nonexistent/rtc"],
        &["refclock RTC /dev/null"],
        &["refclock RTC /dev/null", "rtcsync"],
        &["refclock SOCK /nonexistent/socket"],
    ];
    let mut runs: Vec<Run> = lines.iter().map(|lines| run("", lines)).collect();
    runs.push(refused(libc::SYS_shmget, &["refclock SHM 0"]));
    runs.push(refused(libc::SYS_shmat, &["refclock SHM 0"]));
    runs.push(refused(libc::SYS_ioctl, &["refclock PPS /dev/null"]));
    runs
}

/// Calls that the kernel refuses.
fn refusals() -> Vec<Run> {
    let mut runs = vec![
        refused(libc::SYS_setgroups, &["-u", "nobody"]),
        refused(libc::SYS_setgid, &["-u", "nobody"]),
        refused(libc::SYS_setuid, &["-u", "nobody"]),
        refused(libc::SYS_prctl, &["-u", "nobody"]),
        refused(libc::SYS_capset, &["-u", "nobody"]),
        refused(libc::SYS_sched_setscheduler, &["-P", "1"]),
        refused(libc::SYS_prlimit64, &["-m"]),
        refused(libc::SYS_mlockall, &["-m"]),
        // The clock is not reached.
        Run {
            arguments: [&["-n", "-t", "0"][..], &ALONE].concat(),
            ..refused(libc::SYS_adjtimex, &[])
        },
        told(&[("NOTIFY_SOCKET", "relative")]),
        told(&[("NOTIFY_SOCKET", "/nonexistent/socket")]),
        // Descriptor 3 is said to be a socket, but is not open.
        Run {
            environment: &[("LISTEN_FDS", "20")],
            ..run("", &["cmdport 11114", "server 127.0.0.1"])
        },
    ];
    // A thread is needed for a name.
    let mut thread = refused(libc::SYS_clone3, &["server no-such-name.invalid"]);
    thread.arguments[3] = "5";
    runs.push(thread);
    runs
}

/// Everything that all runs said.
pub(crate) fn all() -> Vec<(Severity, String)> {
    let runs = [faults(), files(), refusals(), reference_clocks()];
    let runs = runs.into_iter().flatten();
    let mut said: Vec<_> = runs.flat_map(said_by).collect();
    said.extend(without_bounding_set());
    said.extend(with_a_socket_of_both_families());
    said
}

fn said_by(run: Run) -> Vec<(Severity, String)> {
    let log = SystemLog::new();
    let folder = log.folder.path().display().to_string();
    let arguments: Vec<String> = run
        .arguments
        .iter()
        .map(|argument| argument.replace("$F", &folder))
        .collect();
    let mut command = match run.refused {
        None => {
            let mut command = Command::new(CHRONYD);
            command.args(&arguments);
            command
        }
        Some((call, errno)) => {
            let mut command = Command::new(std::env::current_exe().expect("own path"));
            command
                .args(["--exact", "runs::refuse_and_become_chronyd", "--nocapture"])
                .env(
                    REFUSED,
                    format!("{call};{errno};{}", arguments.join("\x1f")),
                );
            command
        }
    };
    command.envs(run.environment.iter().copied());
    log.run(run.setup, command, None)
}

/// Not a test by itself: refuses a call to itself and becomes the program under test.
#[test]
fn refuse_and_become_chronyd() {
    use std::os::unix::process::CommandExt;
    let Ok(order) = std::env::var(REFUSED) else {
        return;
    };
    let (call, rest) = order.split_once(';').expect("call;errno;arguments");
    let (errno, arguments) = rest.split_once(';').expect("errno;arguments");
    let violation = Violation::Fail(errno.parse().expect("errno"));
    let call: libc::c_long = call.parse().expect("call");
    // The two forms in which the C library makes threads and changes owners.
    let calls = match call {
        libc::SYS_clone3 => vec![call, libc::SYS_clone],
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown => vec![call, libc::SYS_fchownat],
        _ => vec![call],
    };
    let filter = Filter::deny(&calls, violation).expect("filter");
    filter.install().expect("installed");
    let error = Command::new(CHRONYD)
        .args(arguments.split('\x1f'))
        .env_remove(REFUSED)
        .exec();
    panic!("{error}");
}

fn without_bounding_set() -> Vec<(Severity, String)> {
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-all", "--inh-caps=-all", CHRONYD])
        .args(["-n", "-t", "0"])
        .args(ALONE);
    SystemLog::new().run("", command, None)
}

/// A service manager's socket that takes both families.
fn with_a_socket_of_both_families() -> Vec<(Severity, String)> {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    };
    let port = free_port();
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let open = |only| -> OwnedFd {
        let flags = SockFlag::empty();
        let socket = socket(AddressFamily::Inet6, SockType::Datagram, flags, None).expect("socket");
        setsockopt(&socket, sockopt::Ipv6V6Only, &only).expect("option");
        bind(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            &SockaddrStorage::from(any),
        )
        .expect("bind");
        socket
    };
    let run_with = |only| {
        let mut command = Command::new(CHRONYD);
        command
            .args(["-x", "-n", "-t", "0", "-L", "-1", "allow"])
            .arg(format!("port {port}"))
            .args(&ALONE[1..])
            .env("LISTEN_FDS", "1");
        let said = SystemLog::new().run("", command, Some(open(only)));
        let reused = format!("Reusing UDPv6 socket fd=3 local=[::]:{port}");
        assert!(said.contains(&(Severity::Debug, reused)), "{said:?}");
        said
    };
    let warned = |said: &[(Severity, String)]| said.iter().any(|(_, text)| text.contains("V6ONLY"));
    assert!(!warned(&run_with(true)));
    run_with(false)
}
