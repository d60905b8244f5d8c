//! Every privileged call refused in turn, as by a kernel without it or a service manager that
//! withholds the right: the specified message and exit status.

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use os_linux::process::{Filter, Violation};

use crate::support::{self, Running, able, finish, is_root, nts, run, wait_until};
use crate::{ALONE, said};

/// Says which calls are refused to the program under test, see [`refused`].
const REFUSED: &str = "ISOCHRONY_TEST_REFUSED";

/// Not a test by itself: refuses system calls to itself and becomes the program under test.
#[test]
fn refuse_and_become_chronyd() {
    let Ok(order) = std::env::var(REFUSED) else {
        return;
    };
    let (errno, rest) = order.split_once(';').expect("errno;numbers;arguments");
    let (numbers, arguments) = rest.split_once(';').expect("numbers;arguments");
    let numbers: Vec<libc::c_long> = numbers
        .split(',')
        .map(|number| number.parse().expect("a number"))
        .collect();
    let violation = Violation::Fail(errno.parse().expect("errno"));
    let filter = Filter::deny(&numbers, violation).expect("filter");
    filter.install().expect("installed");
    let error = Command::new(support::CHRONYD)
        .args(arguments.split('\x1f'))
        .env_remove(REFUSED)
        .exec();
    panic!("{error}");
}

/// Runs the program under test with some system calls refused. Messages and exit status.
fn refused(errno: i32, numbers: &[libc::c_long], arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    let ended = finish(&mut refusing(errno, numbers, arguments));
    (ended.messages(), ended.status)
}

/// The program under test with some system calls refused.
fn refusing(errno: i32, numbers: &[libc::c_long], arguments: &[&str]) -> Command {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let order = format!("{errno};{};{}", numbers.join(","), arguments.join("\x1f"));
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command
        .args([
            "--exact",
            "refused::refuse_and_become_chronyd",
            "--nocapture",
        ])
        .env(REFUSED, order);
    command
}

#[test]
fn a_daemon_that_cannot_drop_its_rights_does_not_run() {
    if !able(is_root(), "root") {
        return;
    }
    let arguments = [&["-x", "-d", "-t", "1", "-u", "nobody"][..], ALONE].concat();
    for (number, call, with_reason) in [
        (libc::SYS_setgroups, "setgroups()", true),
        (libc::SYS_setgid, "setgid(65534)", true),
        (libc::SYS_setuid, "setuid(65534)", true),
        (libc::SYS_prctl, "prctl()", false),
        (libc::SYS_capset, "cap_set_proc()", false),
    ] {
        for (errno, reason) in [
            (libc::EPERM, "Operation not permitted"),
            (libc::ENOSYS, "Function not implemented"),
        ] {
            let (messages, status) = refused(errno, &[number], &arguments);
            let expected = match with_reason {
                true => format!("Fatal error : {call} failed : {reason}"),
                false => format!("Fatal error : {call} failed"),
            };
            assert_eq!(said(&messages), [expected], "{call}");
            assert_eq!(status, Some(1), "{call}");
        }
    }
}

#[test]
fn a_kernel_that_refuses_to_be_steered_is_fatal() {
    if !able(is_root(), "root") {
        return;
    }
    // Without -x, but no call reaches the clock.
    let numbers = [
        libc::SYS_adjtimex,
        libc::SYS_clock_adjtime,
        libc::SYS_clock_settime,
        libc::SYS_settimeofday,
    ];
    let arguments = [&["-d", "-t", "1"][..], ALONE].concat();
    for (errno, reason) in [
        (libc::EPERM, "Operation not permitted"),
        (libc::ENOSYS, "Function not implemented"),
    ] {
        let (messages, status) = refused(errno, &numbers, &arguments);
        let expected = format!("Fatal error : adjtimex(0x8001) failed : {reason}");
        assert_eq!((messages, status), (vec![expected], Some(1)));
    }
}

#[test]
fn refused_limits_are_said_and_lived_with() {
    if !able(is_root(), "root") {
        return;
    }
    let arguments = [&["-x", "-d", "-t", "0", "-m", "-P", "1"][..], ALONE].concat();
    let scheduler = [libc::SYS_sched_setscheduler];
    for errno in [libc::EPERM, libc::ENOSYS] {
        let (messages, status) = refused(errno, &[libc::SYS_prlimit64], &arguments);
        assert!(
            messages.contains(&"setrlimit() failed".into()),
            "{messages:?}"
        );
        assert_eq!(status, Some(1), "not synchronised at -t");
        let (messages, _) = refused(errno, &scheduler, &arguments);
        let expected = "pthread_setschedparam() failed".to_owned();
        assert!(messages.contains(&expected), "{messages:?}");
        let (messages, _) = refused(errno, &[libc::SYS_mlockall], &arguments);
        let locked = |line: &String| line == "mlockall() failed" || line == "setrlimit() failed";
        assert!(messages.iter().any(locked), "{messages:?}");
    }
    for (priority, bad) in [("0", false), ("100", true), ("-1", true)] {
        let arguments = [&["-x", "-d", "-t", "0", "-P", priority][..], ALONE].concat();
        let text = format!("Fatal error : Bad scheduler priority: {priority}");
        assert_eq!(
            run(&arguments).messages().contains(&text),
            bad,
            "{priority}"
        );
    }
}

#[test]
fn a_start_without_pipe_or_process_says_so() {
    if !able(is_root(), "root") {
        return;
    }
    let arguments = [&["-x"][..], ALONE].concat();
    let pipes = [
        libc::SYS_pipe2,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_pipe,
    ];
    let (messages, status) = refused(libc::EMFILE, &pipes, &arguments);
    let expected = "Fatal error : pipe() failed : Too many open files".to_owned();
    assert_eq!((messages, status), (vec![expected], Some(1)));
    let processes = [
        libc::SYS_clone,
        libc::SYS_clone3,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork,
    ];
    let (messages, status) = refused(libc::EAGAIN, &processes, &arguments);
    let reason = "Resource temporarily unavailable";
    let expected = format!("Fatal error : fork() failed : {reason}");
    assert_eq!((messages, status), (vec![expected], Some(1)));
}

#[test]
fn a_background_without_root_folder_or_null_device_says_so() {
    if !able(is_root(), "root") {
        return;
    }
    let arguments = [&["-x"][..], ALONE].concat();
    let (messages, status) = refused(libc::EPERM, &[libc::SYS_chdir], &arguments);
    let expected = "chdir() failed : Operation not permitted".to_owned();
    assert_eq!((messages, status), (vec![expected], Some(1)));
    if !support::can_unshare() {
        return;
    }
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /dev && exec \"$@\"";
    command.args(["-m", "sh", "-c", script, "sh", support::CHRONYD]);
    let ended = finish(command.args(&arguments));
    let expected = "Could not open /dev/null : No such file or directory";
    assert_eq!(ended.messages(), [expected]);
    assert_eq!(ended.status, Some(1));
}

#[test]
fn a_kernel_without_a_version_is_fatal() {
    if !able(is_root(), "root") {
        return;
    }
    // The clock is not reached either way.
    let calls = [
        libc::SYS_uname,
        libc::SYS_adjtimex,
        libc::SYS_clock_adjtime,
        libc::SYS_clock_settime,
    ];
    let arguments = [&["-d", "-t", "0"][..], ALONE].concat();
    let (messages, status) = refused(libc::ENOSYS, &calls, &arguments);
    let expected = "Fatal error : uname() failed".to_owned();
    assert_eq!((messages, status), (vec![expected], Some(1)));
}

#[test]
fn a_kernel_without_filters_is_fatal_when_one_is_wanted() {
    let arguments = [&["-U", "-x", "-d", "-t", "1", "-F", "1"][..], ALONE].concat();
    let (messages, status) = refused(libc::ENOSYS, &[libc::SYS_seccomp], &arguments);
    let expected = "Fatal error : Failed to load seccomp rules".to_owned();
    assert_eq!((messages.last(), status), (Some(&expected), Some(1)));
    let arguments = [&["-U", "-x", "-d", "-t", "1", "-F", "3"][..], ALONE].concat();
    let ended = run(&arguments);
    let expected = "Fatal error : Unsupported filter level".to_owned();
    assert_eq!(
        (ended.messages().last(), ended.status),
        (Some(&expected), Some(1))
    );
    let mail = ["-U", "-x", "-d", "-F", "2", "mailonchange root 1"];
    let ended = run([&mail[..], ALONE].concat());
    let expected = "Fatal error : mailonchange directive cannot be used with -F enabled";
    assert_eq!(ended.messages().last().map(String::as_str), Some(expected));
}

/// The two ways in which a call is refused, with their texts.
const REFUSALS: [(i32, &str); 2] = [
    (libc::EPERM, "Operation not permitted"),
    (libc::ENOSYS, "Function not implemented"),
];

/// A call that is refused after the start of the log, and what follows.
struct Case {
    calls: &'static [libc::c_long],
    /// Directives, in which `FOLDER` is the temporary folder.
    directives: &'static [&'static str],
    /// Messages beside the usual ones, `REASON` being the text of the error. Without a fatal
    /// one the daemon goes on to its end at `-t`.
    said: &'static [&'static str],
}

const MAKE_FOLDER: &[libc::c_long] = &[
    libc::SYS_mkdirat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
];

const CHANGE_OWNER: &[libc::c_long] = &[
    libc::SYS_fchownat,
    libc::SYS_fchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];

const RENAME: &[libc::c_long] = &[
    libc::SYS_renameat,
    libc::SYS_renameat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
];

const CASES: &[Case] = &[
    // A low port, for time and for commands.
    Case {
        calls: &[libc::SYS_bind],
        directives: &["port 123", "allow 127.0.0.1"],
        said: &["Could not open NTP socket on 0.0.0.0:123"],
    },
    Case {
        calls: &[libc::SYS_bind],
        directives: &["port 0", "acquisitionport 123"],
        said: &["Fatal error : Could not open NTP sockets"],
    },
    Case {
        calls: &[libc::SYS_bind],
        directives: &["port 0", "ptpport 319"],
        said: &["Could not open NTP socket on 0.0.0.0:319"],
    },
    Case {
        calls: &[libc::SYS_bind],
        directives: &["port 123", "acquisitionport 123"],
        said: &[
            "Could not open NTP socket on 0.0.0.0:123",
            "Fatal error : Could not open NTP sockets",
        ],
    },
    Case {
        calls: &[libc::SYS_bind],
        directives: &["port 0", "cmdport 323"],
        said: &["Could not open command socket on 127.0.0.1:323"],
    },
    Case {
        calls: &[libc::SYS_bind],
        directives: &["port 0", "bindcmdaddress FOLDER/chronyd.sock"],
        said: &["Could not open command socket on FOLDER/chronyd.sock"],
    },
    // A device to be bound to; other options of sockets may fail.
    Case {
        calls: &[libc::SYS_setsockopt],
        directives: &["port 11123", "allow 127.0.0.1", "binddevice lo"],
        said: &["Could not open NTP socket on 0.0.0.0:11123"],
    },
    Case {
        calls: &[libc::SYS_setsockopt],
        directives: &["port 0", "cmdport 11323", "bindcmddevice lo"],
        said: &["Could not open command socket on 127.0.0.1:11323"],
    },
    Case {
        calls: &[libc::SYS_ioctl],
        directives: &["port 0", "hwtimestamp lo"],
        said: &["Fatal error : Could not enable HW timestamping on lo"],
    },
    Case {
        calls: MAKE_FOLDER,
        directives: &["port 0", "dumpdir FOLDER/dump"],
        said: &["Could not create directory FOLDER/dump : REASON"],
    },
    Case {
        calls: CHANGE_OWNER,
        directives: &["port 0", "logdir FOLDER/log"],
        said: &["Could not change ownership of FOLDER/log : REASON"],
    },
    Case {
        calls: RENAME,
        directives: &["port 0", "driftfile FOLDER/drift"],
        said: &["Could not replace FOLDER/drift with FOLDER/drift.tmp : REASON"],
    },
];

#[test]
fn what_is_refused_after_the_start_of_the_log_is_said() {
    if !able(is_root(), "root") {
        return;
    }
    for case in CASES {
        for (errno, reason) in REFUSALS {
            let folder = tempfile::tempdir().expect("folder");
            let private = std::fs::Permissions::from_mode(0o750);
            std::fs::set_permissions(folder.path(), private).expect("mode");
            let name = folder.path().display().to_string();
            let filled = |text: &&str| text.replace("FOLDER", &name).replace("REASON", reason);
            let directives: Vec<String> = case.directives.iter().map(filled).collect();
            let set = |word: &str| directives.iter().any(|line| line.starts_with(word));
            let mut arguments = vec!["-4", "-x", "-d", "-t", "0"];
            let others = ALONE.iter().filter(|line| {
                let word = line.split_inclusive(' ').next().unwrap_or_default();
                !set(word)
            });
            arguments.extend(others);
            arguments.extend(directives.iter().map(String::as_str));
            let (messages, status) = refused(errno, case.calls, &arguments);
            let mut expected: Vec<String> = case.said.iter().map(filled).collect();
            if !expected.iter().any(|line| line.starts_with("Fatal")) {
                expected.extend(["Timeout reached", "chronyd exiting"].map(String::from));
            }
            // What is written at the exit may follow its message.
            let mut messages = said(&messages);
            messages.retain(|line| *line != "Running with root privileges");
            messages.sort_unstable();
            expected.sort_unstable();
            assert_eq!(messages, expected, "{directives:?}");
            assert_eq!(status, Some(1), "not synchronised at -t, or fatal");
            let left = folder.path().read_dir().expect("folder").count();
            assert_eq!(left, 0, "{directives:?} leave something");
        }
    }
}

#[test]
fn a_loop_that_cannot_wait_is_fatal() {
    let arguments = [&["-U", "-x", "-d", "-t", "5"][..], ALONE].concat();
    // An error that the runtime, which examines 0, 1 and 2 this way, lives with.
    let wait = [
        libc::SYS_ppoll,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
    ];
    let (messages, status) = refused(libc::ENOMEM, &wait, &arguments);
    let expected = "Fatal error : select() failed : Cannot allocate memory".to_owned();
    assert!(messages.contains(&expected), "{messages:?}");
    assert_eq!(status, Some(1));
}

#[test]
fn a_pidfile_that_reappears_is_insisted_on() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("pid");
    std::fs::write(&path, "").expect("pidfile");
    let pidfile = format!("pidfile {}", path.display());
    let arguments = [&["-U", "-x", "-d", &pidfile][..], &ALONE[..3]].concat();
    // Removing it seems to succeed, as somebody else was faster, but the name is there again.
    let remove = [
        libc::SYS_unlinkat,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink,
    ];
    let mut command = refusing(libc::ENOENT, &remove, &arguments);
    let mut daemon = Running::start(&mut command, folder.path(), "insisting");
    for attempts in [100, 1000] {
        let name = path.display();
        daemon.wait_for(&format!("Failing to replace {name} ({attempts} attempts)"));
    }
}

#[test]
fn a_key_establishment_helper_that_cannot_start_is_said_once() {
    let place = nts::Place::new(&nts::certificate());
    let mut arguments = ["-U", "-x", "-d", "-4"].map(String::from).to_vec();
    let lines = ["port 0", "cmdport 0", "bindcmdaddress /", "ntsprocesses 2"];
    let pidfile = format!("pidfile {}", place.path("pid").display());
    arguments.push(pidfile);
    arguments.extend(place.server_lines(&lines).into_iter().skip(1));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let threads = [libc::SYS_clone, libc::SYS_clone3];
    let mut command = refusing(libc::EPERM, &threads, &arguments);
    let mut daemon = Running::start(&mut command, place.folder(), "helpers");
    let expected = "Could not start NTS-KE helper : Operation not permitted";
    let closed = || {
        let mut stream = TcpStream::connect(place.ke_server()).ok()?;
        stream.read(&mut [0]).ok().filter(|length| *length == 0)
    };
    wait_until("a closed connection", closed);
    daemon.wait_for(expected);
    wait_until("another closed connection", closed);
    daemon.stop();
    let said = daemon.messages();
    assert_eq!(said.iter().filter(|line| *line == expected).count(), 1);
}
