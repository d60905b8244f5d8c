//! Users, rights and the system call filter (system chapter, section 4), and every privileged
//! call refused in turn: the specified message and exit status.

#[path = "privileges/refused.rs"]
mod refused;
mod support;

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Running, able, finish, is_root, run, wait_until};

/// A user without rights that every system has: number of user and group.
const NOBODY: u32 = 65534;

/// Lines that keep a daemon off everything shared.
const ALONE: &[&str] = &["port 0", "cmdport 0", "bindcmdaddress /", "pidfile /"];

/// What an administrator may ask of a running daemon, and gets.
const COMMANDS: &[&str] = &[
    "dump",
    "cyclelogs",
    "rekey",
    "refresh",
    "reload sources",
    "onoffline",
    "reset sources",
    "burst 1/1",
    "add server localhost port 9",
    "allow 192.0.2.0/24",
    "deny all",
    "allow",
    "local stratum 5",
    "manual on",
    "smoothtime reset",
    "maxupdateskew 10",
    "reselect",
];

/// Says which command the client of the daemon under test is to give, and where.
const COMMAND: &str = "ISOCHRONY_TEST_COMMAND";

/// Not a test by itself: the client.
#[test]
fn give_a_command() {
    let Ok(words) = std::env::var(COMMAND) else {
        return;
    };
    let words = words.split(' ').map(std::ffi::OsString::from);
    let _ = chronyc::run(
        [std::ffi::OsString::from("chronyc")]
            .into_iter()
            .chain(words),
    );
}

/// Gives a command over the Unix socket: what the client printed.
fn command(socket: &Path, words: &str) -> String {
    let ended = finish(
        Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "give_a_command", "--nocapture"])
            .env(COMMAND, format!("-h {} {words}", socket.display())),
    );
    ended.stdout
}

/// Dropped messages of a daemon without clock control.
fn said(messages: &[String]) -> Vec<&str> {
    let usual = ["Disabled control of system clock"];
    messages
        .iter()
        .map(String::as_str)
        .filter(|line| !usual.contains(line))
        .collect()
}

/// A folder that the user nobody owns.
fn folder_of_nobody() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o750)).expect("mode");
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("owner");
    folder
}

fn status_of(pid: u32, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find(|line| line.starts_with(field));
    let value = line.and_then(|line| line.split_once(':')).expect("field").1;
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A daemon that does everything a daemon does, in `folder`, asking `server_port`.
fn busy(folder: &Path, server_port: u16, level: &str) -> Running {
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::write(path("sensor"), "21000\n").expect("sensor");
    let lines = [
        format!("port {}", support::ports::free_port()),
        "cmdport 0".to_owned(),
        format!("bindcmdaddress {}", path("run/chronyd.sock")),
        format!("pidfile {}", path("pid")),
        format!("driftfile {}", path("drift")),
        format!("logdir {}", path("log")),
        format!("dumpdir {}", path("dump")),
        format!("tempcomp {} 1 20000 0.5 0.001 0", path("sensor")),
        format!("sourcedir {}", path("sources")),
        "log measurements statistics tracking selection tempcomp".to_owned(),
        "allow".to_owned(),
        "local".to_owned(),
        "serverthreads 3".to_owned(),
        "user nobody".to_owned(),
        format!("server localhost port {server_port} minpoll -3 maxpoll -3 iburst"),
    ];
    let mut command = Command::new(support::CHRONYD);
    command.args(["-x", "-d", "-F", level]).args(lines);
    Running::start(&mut command, folder, "busy")
}

#[test]
fn a_filtered_daemon_does_everything() {
    if !able(is_root(), "root") {
        return;
    }
    let server_folder = tempfile::tempdir().expect("folder");
    let port = support::ports::free_port();
    let _server = Running::own_server(server_folder.path(), port);
    for level in ["1", "2", "-1", "-2"] {
        let folder = folder_of_nobody();
        let mut daemon = busy(folder.path(), port, level);
        let loaded = format!(
            "Loaded seccomp filter (level {})",
            level.trim_start_matches('-')
        );
        daemon.wait_for(&loaded);
        daemon.wait_for("Selected source 127.0.0.1 (localhost)");
        assert_eq!(status_of(daemon.id(), "Uid"), "65534 65534 65534 65534");
        assert_eq!(status_of(daemon.id(), "Groups"), "");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            // Neither clock control nor a low port.
            assert_eq!(status_of(daemon.id(), set), "0000000000000000", "{set}");
        }
        assert_eq!(status_of(daemon.id(), "Seccomp"), "2");
        let threads = format!("/proc/{}/task", daemon.id());
        for thread in std::fs::read_dir(threads).expect("threads").flatten() {
            let status = std::fs::read_to_string(thread.path().join("status")).expect("status");
            assert!(status.contains("\nSeccomp:\t2\n"), "{status}");
        }
        for log in [
            "measurements",
            "statistics",
            "tracking",
            "selection",
            "tempcomp",
        ] {
            let path = folder.path().join(format!("log/{log}.log"));
            wait_until(log, || {
                std::fs::metadata(&path)
                    .ok()
                    .filter(|file| file.len() > 300)
            });
        }
        let socket = folder.path().join("run/chronyd.sock");
        for words in COMMANDS {
            let answer = command(&socket, words);
            let done = answer.contains("200 OK") || words.starts_with("smoothtime");
            assert!(done, "{level}: {words}: {answer} {}", daemon.log());
        }
        let rotated = folder.path().join("log/tracking.log");
        std::fs::rename(&rotated, folder.path().join("old")).expect("renamed");
        command(&socket, "cyclelogs");
        wait_until("a new tracking log", || rotated.exists().then_some(()));
        assert_eq!(daemon.stop().code(), Some(0), "{level}: {}", daemon.log());
        for file in ["drift", "dump/127.0.0.1.dat"] {
            assert!(folder.path().join(file).exists(), "{level}: no {file}");
        }
        assert!(
            !folder.path().join("pid").exists(),
            "{level}: pidfile is left"
        );
    }
}

#[test]
fn exactly_the_needed_rights_are_kept() {
    if !able(is_root(), "root") {
        return;
    }
    let folder = folder_of_nobody();
    for (port, capabilities) in [(11_999, "0000000000000000"), (123, "0000000000000400")] {
        let mut command = Command::new(support::CHRONYD);
        command.args(["-x", "-d", "-u", "nobody"]);
        command.arg(format!("port {port}")).args(&ALONE[1..]);
        // Something that keeps it running.
        command.arg(format!("server 127.0.0.1 port {port} offline"));
        let mut daemon = Running::start(&mut command, folder.path(), "rights");
        daemon.wait_for("Disabled control of system clock");
        wait_until("the drop", || {
            let user = status_of(daemon.id(), "Uid");
            (user == "65534 65534 65534 65534").then_some(())
        });
        wait_until("the capabilities", || {
            (status_of(daemon.id(), "CapEff") == capabilities).then_some(())
        });
        assert_eq!(status_of(daemon.id(), "CapPrm"), capabilities);
        assert_eq!(status_of(daemon.id(), "CapInh"), "0000000000000000");
    }
}

/// Runs the program through `setpriv` with these arguments.
fn setpriv(rights: &[&str], arguments: &[&str]) -> support::Ended {
    let mut command = Command::new("setpriv");
    command.args(rights).arg(support::CHRONYD).args(arguments);
    finish(&mut command)
}

#[test]
fn missing_rights_are_told() {
    let works = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !able(is_root() && works, "root and setpriv") {
        return;
    }
    let ordinary = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let start = [&["-d", "-x", "-t", "0"][..], ALONE].concat();
    let ended = setpriv(&ordinary, &start);
    assert_eq!(ended.messages(), ["Fatal error : Not superuser"]);
    assert_eq!(ended.status, Some(1));
    let start = [&["-d", "-x", "-U", "-t", "0"][..], ALONE].concat();
    let ended = setpriv(&ordinary, &start);
    assert_eq!(
        said(&ended.messages()),
        ["Timeout reached", "chronyd exiting"]
    );
    // Root by name, without a single capability: the clock cannot be steered.
    let none = ["--bounding-set=-all", "--inh-caps=-all"];
    let start = [&["-d", "-t", "0"][..], ALONE].concat();
    let ended = setpriv(&none, &start);
    let expected = [
        "CAP_SYS_TIME not present",
        "Fatal error : adjtimex(0x8001) failed : Operation not permitted",
    ];
    assert_eq!(
        (ended.messages(), ended.status),
        (expected.map(String::from).to_vec(), Some(1))
    );
    // Nor can the user be changed.
    let start = [&["-d", "-x", "-u", "nobody", "-t", "0"][..], ALONE].concat();
    let ended = setpriv(&none, &start);
    let expected = "Fatal error : setgroups() failed : Operation not permitted";
    assert_eq!(said(&ended.messages()), [expected]);
    assert_eq!(ended.status, Some(1));
}

#[test]
fn unknown_users_are_refused() {
    let start = [&["-U", "-x", "-d", "-u", "no-such-user-here"][..], ALONE].concat();
    let ended = run(&start);
    let expected = "Fatal error : Could not get user/group ID of no-such-user-here";
    assert_eq!(ended.messages(), [expected]);
    assert_eq!(ended.status, Some(1));
}

#[test]
fn a_forbidden_call_ends_the_daemon_with_sigsys() {
    // The filter that level 1 loads, in a process that then does what it forbids.
    let status = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "break_the_filter", "--nocapture"])
        .env("ISOCHRONY_TEST_BREAK", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("run");
    assert_eq!(status.signal(), Some(libc::SIGSYS));
}

/// Not a test by itself.
#[test]
fn break_the_filter() {
    if std::env::var_os("ISOCHRONY_TEST_BREAK").is_none() {
        return;
    }
    let mut output = chronyd::output::Output::stderr();
    chronyd::call_filter::load(1, &mut output).expect("loaded");
    let _ = Command::new("/bin/true").status();
}
