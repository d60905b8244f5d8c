//! Options, exit statuses, files and signals of the real program (system chapter, sections
//! 2 and 3; configuration chapter, section 1). The messages are interface.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, Signal};
use support::{CHRONYD, Running, able, client, finish, is_root, run, uninterrupted, wait_until};

mod support;

const QUIET: [&str; 4] = ["port 0", "cmdport 0", "bindcmdaddress /", "pidfile /"];

/// Arguments, then the lines of a client without sources that ends at once.
fn briefly(arguments: &[&str]) -> Vec<String> {
    let all = arguments.iter().chain(&QUIET);
    all.map(|argument| (*argument).to_owned()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("path")
}

/// What root and others see differs by one line.
fn with_root_warning(lines: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    if is_root() {
        lines.insert(1, "Running with root privileges".to_owned());
    }
    lines
}

#[test]
fn help_and_version() {
    let help = run(["-h"]);
    assert_eq!(help.status, Some(0));
    assert!(help.stderr.is_empty());
    let first =
        format!("Usage: {CHRONYD} [OPTION]... [DIRECTIVE]...\n\nOptions:\n  -4\t\tUse IPv4");
    assert!(help.stdout.starts_with(&first), "{}", help.stdout);
    assert_eq!(run(["-f", "--help"]).stdout, help.stdout);
    let version = run(["-v"]);
    assert_eq!(version.status, Some(0));
    assert!(version.stdout.starts_with("chronyd (chrony) version "));
    assert!(version.stdout.ends_with("+DEBUG)\n"));
    assert_eq!(run(["-z", "--version"]).stdout, version.stdout);
    for (arguments, message) in [
        (vec!["-z"], "invalid option -- 'z'"),
        (vec!["-dy"], "invalid option -- 'y'"),
        (vec!["--frob"], "invalid option -- '-'"),
        (vec!["-f"], "option requires an argument -- 'f'"),
    ] {
        let ended = run(arguments);
        assert_eq!(ended.status, Some(1));
        assert_eq!(ended.stderr, format!("{CHRONYD}: {message}\n"));
        assert_eq!(ended.stdout, help.stdout);
    }
}

#[test]
fn values_of_options() {
    for (option, value) in [
        ("-t", "x"),
        ("-F", ""),
        ("-N", "-"),
        ("-L", "+"),
        ("-P", "a1"),
    ] {
        let ended = run([option, value]);
        assert_eq!(ended.status, Some(1));
        let message = format!("Fatal error : Invalid argument {value}");
        assert_eq!(ended.messages(), [message]);
    }
    let ended = run(briefly(&["-U", "-x", "-d", "-P", "100"]));
    assert_eq!(ended.status, Some(1));
    let last = ended.messages().pop();
    assert_eq!(
        last.as_deref(),
        Some("Fatal error : Bad scheduler priority: 100")
    );
    let ended = run(briefly(&["-U", "-x", "-d", "-u", "no-such-user"]));
    assert_eq!(
        ended.messages(),
        ["Fatal error : Could not get user/group ID of no-such-user"]
    );
}

#[test]
fn the_configuration_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c");
    fs::write(
        &file,
        "# x\nserver  127.0.0.1   iburst\n\npool a.example maxsources 2\n",
    )
    .unwrap();
    let ended = run(["-p", "-f", text(&file)]);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        ended.stdout,
        "server 127.0.0.1 iburst\npool a.example maxsources 2\n"
    );
    fs::write(&file, "port 123\nport x\n").unwrap();
    let ended = run(["-p", "-f", text(&file)]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (Some(1), "port 123\nport x\n")
    );
    let message = format!(
        "Fatal error : Could not parse port directive at line 2 in file {}",
        text(&file)
    );
    assert_eq!(ended.messages(), [message]);
    let ended = run(["-Q", "-f", "/nonexistent/c"]);
    assert_eq!(ended.status, Some(1));
    let message = "Fatal error : Could not open /nonexistent/c : No such file or directory";
    assert_eq!(ended.messages(), [message]);
}

#[test]
fn one_shot_modes_without_sources() {
    let none = "No suitable source for synchronisation";
    let lines = ["Disabled control of system clock", none, "chronyd exiting"];
    let ended = run(briefly(&["-Q"]));
    assert_eq!(ended.status, Some(1));
    assert_eq!(ended.messages(), with_root_warning(&lines));
    let ended = run(briefly(&["-q", "-x", "-U"]));
    assert_eq!(ended.status, Some(1));
    assert_eq!(ended.messages(), with_root_warning(&lines));
}

#[test]
fn lines_without_effect_in_source_directories_are_named() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("dhcp.sources");
    std::fs::write(&file, "port 123\nserver 192.0.2.1 ibrust\n").expect("sources");
    let mut arguments = briefly(&["-Q"]);
    arguments.push(format!("sourcedir {}", text(folder.path())));
    let ended = run(arguments);
    let lines = [
        "Disabled control of system clock",
        &format!(
            "Invalid directive port at line 1 in file {} (ignored)",
            text(&file)
        ),
        &format!(
            "Invalid option in server directive at line 2 in file {} (ignored)",
            text(&file)
        ),
        "No suitable source for synchronisation",
        "chronyd exiting",
    ];
    assert_eq!(ended.messages(), with_root_warning(&lines));
}

#[test]
fn nothing_to_do() {
    let ended = run(briefly(&["-U", "-x", "-d"]));
    assert_eq!(ended.status, Some(1));
    let last = ended.messages().pop();
    assert_eq!(last.as_deref(), Some("Fatal error : Nothing to do"));
}

#[test]
fn time_limit_and_thresholds() {
    let ended = run(briefly(&["-U", "-x", "-d", "-t", "0"]));
    assert_eq!(ended.status, Some(1));
    let lines = [
        "Disabled control of system clock",
        "Timeout reached",
        "chronyd exiting",
    ];
    assert_eq!(ended.messages(), with_root_warning(&lines));
    let ended = run(briefly(&["-U", "-x", "-d", "-t", "0", "local"]));
    assert_eq!(ended.status, Some(0));
    let ended = run(briefly(&["-U", "-x", "-d", "-t", "0", "-L", "2"]));
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(1), ""));
    let ended = run(briefly(&["-U", "-x", "-d", "-t", "0", "-L", "1"]));
    let warned = if is_root() {
        vec!["Running with root privileges"]
    } else {
        vec![]
    };
    assert_eq!(ended.messages(), warned);
    let ended = run(briefly(&[
        "-U",
        "-x",
        "-d",
        "-d",
        "-t",
        "0",
        "server 127.0.0.1",
    ]));
    assert!(
        ended.stderr.contains("Added source 127.0.0.1"),
        "{}",
        ended.stderr
    );
}

#[test]
fn log_files() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    for _ in 0..2 {
        let ended = run(briefly(&["-U", "-x", "-d", "-t", "0", "-l", text(&log)]));
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(1), ""));
    }
    let content = fs::read_to_string(&log).unwrap();
    assert_eq!(content.matches("chronyd exiting\n").count(), 2);
    assert_eq!(content.matches("Z chronyd version ").count(), 2);
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o137, 0);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&log, &link).unwrap();
    let ended = run(briefly(&["-U", "-x", "-d", "-l", text(&link)]));
    assert_eq!(ended.status, Some(1));
    let message = format!(
        "Fatal error : Could not open {} : Too many levels of symbolic links",
        text(&link)
    );
    assert_eq!(ended.messages(), [message]);
}

#[test]
fn ordinary_users_are_refused() {
    if !able(is_root(), "root, to become somebody else") {
        return;
    }
    // A copy that everybody may run.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("chronyd");
    // Made by another process: a file that is open for writing here, or in a process that another
    // test is starting, cannot be run.
    let copied = Command::new("cp").arg(CHRONYD).arg(&program).status();
    assert!(copied.unwrap().success());
    let nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        finish(command.arg(&program).args(briefly(arguments)))
    };
    let refused = nobody(&["-d", "-x"]);
    assert_eq!(refused.status, Some(1));
    assert_eq!(refused.messages(), ["Fatal error : Not superuser"]);
    let accepted = nobody(&["-d", "-x", "-U", "-t", "0"]);
    let lines = [
        "Disabled control of system clock",
        "Timeout reached",
        "chronyd exiting",
    ];
    assert_eq!(accepted.messages(), lines);
    let controlling = nobody(&["-d", "-U", "-t", "0"]);
    assert_eq!(controlling.status, Some(1));
    let fatal = "Fatal error : adjtimex(0x8001) failed : Operation not permitted";
    assert!(controlling.stderr.contains(fatal), "{}", controlling.stderr);
}

fn without_pidfile(pidfile: &Path, more: &[&str]) -> Vec<String> {
    let pidfile = format!("pidfile {}", text(pidfile));
    let mut all: Vec<String> = more.iter().map(|argument| (*argument).to_owned()).collect();
    all.extend(QUIET.iter().take(3).map(|line| (*line).to_owned()));
    all.push(pidfile);
    all
}

#[test]
fn pidfiles() {
    let folder = tempfile::tempdir().unwrap();
    let pidfile = folder.path().join("pid");
    let arguments = without_pidfile(&pidfile, &["-U", "-x", "-d", "-t", "0"]);
    fs::write(&pidfile, format!("{}\n", std::process::id())).unwrap();
    let ended = run(&arguments);
    assert_eq!(ended.status, Some(1));
    let message = format!(
        "Fatal error : Another chronyd may already be running (pid={}), check {}",
        std::process::id(),
        text(&pidfile)
    );
    assert_eq!(ended.messages(), [message]);
    for stale in ["2147483647\n", "not a number\n", ""] {
        fs::write(&pidfile, stale).unwrap();
        let ended = run(&arguments);
        assert!(ended.stderr.contains("chronyd exiting"), "{ended:?}");
        assert!(!pidfile.exists(), "{ended:?}");
    }
    let lines = without_pidfile(&pidfile, &["server 127.0.0.1 port 9", "cmdport 0"]);
    let lines = [lines, client(&[])[..1].to_vec()].concat();
    let (mut running, _socket) = started(folder.path(), &lines, &[]);
    let pid = fs::read_to_string(&pidfile).unwrap();
    assert_eq!(pid, format!("{}\n", running.id()));
    running.stop();
    assert!(!pidfile.exists());
}

#[test]
fn folders_are_created() {
    if !able(is_root(), "root, for the owner of folders") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("{}/{name}", text(folder.path()));
    let lines = [
        format!("logdir {}", at("parent/log")),
        format!("dumpdir {}", at("dump")),
        format!("ntsdumpdir {}", at("nts")),
    ];
    let mut arguments = briefly(&["-x", "-d", "-t", "0"]);
    arguments.extend(lines);
    let ended = run(&arguments);
    assert!(!ended.stderr.contains("Could not"), "{}", ended.stderr);
    for name in ["parent/log", "dump", "nts"] {
        let mode = fs::metadata(at(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750, "{name}");
    }
    fs::write(at("file"), "").unwrap();
    let mut arguments = briefly(&["-x", "-d", "-t", "0"]);
    arguments.push(format!("logdir {}", at("file/log")));
    let messages = run(&arguments).messages();
    let message = format!("{} is not directory", at("file"));
    assert_eq!(messages.first(), Some(&message));
    // Start-up goes on.
    assert_eq!(messages.last().map(String::as_str), Some("chronyd exiting"));
}

#[test]
fn signals_end_it_cleanly() {
    for signal in [SIGTERM, SIGINT, SIGQUIT, SIGHUP] {
        let folder = tempfile::tempdir().unwrap();
        let drift = folder.path().join("drift");
        let lines = client(&[
            "server 127.0.0.1 port 9 minpoll 6",
            &format!("driftfile {}", text(&drift)),
        ]);
        let (mut running, _socket) = started(folder.path(), &lines, &[]);
        running.signal(signal);
        assert_eq!(running.wait().code(), Some(0), "{signal:?}");
        let last = running.messages().pop();
        assert_eq!(last.as_deref(), Some("chronyd exiting"));
        // Written at every exit, even if the clock was never synchronised.
        let written = fs::read_to_string(&drift).unwrap();
        assert!(written.ends_with(" 1000000.000000\n"), "{written}");
    }
}

#[test]
fn other_signals_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, _socket) = started(folder.path(), &client(&["server 127.0.0.1 port 9"]), &[]);
    running.signal(Signal::SIGPIPE);
    running.signal(Signal::SIGUSR1);
    let status = running.wait();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(10)
    );
}

/// A daemon that has said that it is ready, and where it says that it stops.
fn started(folder: &Path, lines: &[String], options: &[&str]) -> (Running, UnixDatagram) {
    let notify = folder.join("notify");
    let socket = UnixDatagram::bind(&notify).unwrap();
    let mut command = Command::new(CHRONYD);
    command.args(["-U", "-x", "-d"]).args(options).args(lines);
    let running = Running::start(command.env("NOTIFY_SOCKET", &notify), folder, "chronyd");
    assert_eq!(received(&socket), "READY=1");
    (running, socket)
}

fn received(socket: &UnixDatagram) -> String {
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    let mut buffer = [0; 64];
    let length = uninterrupted(|| socket.recv(&mut buffer)).expect("notification");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn the_service_manager_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let by_path = UnixDatagram::bind(&path).unwrap();
    let name = format!("isochrony-options-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let by_name = UnixDatagram::bind_addr(&address).unwrap();
    for (socket, value) in [
        (by_path, text(&path).to_owned()),
        (by_name, format!("@{name}")),
    ] {
        let mut command = Command::new(CHRONYD);
        command
            .args(["-U", "-x", "-d", "server no-such-name.invalid"])
            .args(QUIET)
            .env("NOTIFY_SOCKET", value);
        let mut running = Running::start(&mut command, folder.path(), "told");
        assert_eq!(received(&socket), "READY=1");
        running.stop();
        assert_eq!(received(&socket), "STOPPING=1");
    }
    for (value, message) in [
        ("relative", "Fatal error : Unsupported notification socket"),
        (
            "/nonexistent/s",
            "Fatal error : Could not send notification to $NOTIFY_SOCKET",
        ),
    ] {
        let mut command = Command::new(CHRONYD);
        command.args(briefly(&["-U", "-x", "-d", "-t", "0"]));
        let ended = finish(command.env("NOTIFY_SOCKET", value));
        assert_eq!(ended.status, Some(1));
        let last = ended.messages().pop();
        assert_eq!(last.as_deref(), Some(message));
    }
}

#[test]
fn a_descriptor_is_told() {
    let quoted = briefly(&["-U", "-x", "-d", "-t", "0", "-N", "7"]).join("' '");
    let script = format!("'{CHRONYD}' '{quoted}' 7>&1 2>/dev/null");
    let ended = finish(Command::new("sh").args(["-c", &script]));
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), "\n"));
    let ended = run(briefly(&["-U", "-x", "-d", "-t", "0", "-N", "9"]));
    assert_eq!(ended.status, Some(1));
    let message = "Fatal error : Could not send notification requested by -N option";
    assert_eq!(ended.messages().pop().as_deref(), Some(message));
}

#[test]
fn daemonising() {
    let folder = tempfile::tempdir().unwrap();
    let (pidfile, log) = (folder.path().join("pid"), folder.path().join("log"));
    let options = ["-U", "-x", "-l", text(&log), "server 127.0.0.1 port 9"];
    let arguments = without_pidfile(&pidfile, &options);
    // The foreground process returns when the daemon is ready, which has a pidfile then.
    let ended = run(&arguments);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    let pid: i32 = fs::read_to_string(&pidfile)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(
        fs::read_link(format!("/proc/{pid}/cwd")).unwrap(),
        Path::new("/")
    );
    for descriptor in 0..3 {
        let target = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
        assert_eq!(target, Path::new("/dev/null"));
    }
    // A second one finds the first; its message has no stamp and no prefix here.
    let second = run(&arguments);
    assert_eq!(second.status, Some(1));
    let message = format!(
        "Another chronyd may already be running (pid={pid}), check {}\n",
        text(&pidfile)
    );
    assert_eq!(second.stderr, message);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), SIGTERM).unwrap();
    wait_until("removed pidfile", || (!pidfile.exists()).then_some(()));
    let content = fs::read_to_string(&log).unwrap();
    assert!(
        content.contains("Fatal error : Another chronyd"),
        "{content}"
    );
    assert!(content.ends_with("Z chronyd exiting\n"), "{content}");
}

#[test]
fn fatal_errors_reach_the_foreground() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let ended = run(briefly(&["-U", "-x", "-l", text(&log), "bogus"]));
    assert_eq!(ended.status, Some(1));
    assert_eq!(ended.stderr, "Invalid directive bogus at line 1\n");
    // With -n and the system log, the message is on standard error without a stamp.
    let ended = run(briefly(&["-U", "-x", "-n", "bogus"]));
    assert_eq!(ended.status, Some(1));
    assert_eq!(
        ended.stderr,
        "Fatal error : Invalid directive bogus at line 1\n"
    );
}

#[test]
fn families() {
    let folder = tempfile::tempdir().unwrap();
    for (option, refused) in [("-4", "::1"), ("-6", "127.0.0.1")] {
        let line = format!("initstepslew 1 {refused}");
        let ended = run(briefly(&["-U", "-x", "-d", "-t", "0", option, &line]));
        let warning = format!("Could not resolve address of initstepslew server {refused}");
        assert!(ended.messages().contains(&warning), "{}", ended.stderr);
        // Restart mode ignores the line.
        let ended = run(briefly(&["-U", "-x", "-d", "-t", "0", option, "-R", &line]));
        assert!(!ended.messages().contains(&warning), "{}", ended.stderr);
    }
    drop(folder);
}

#[test]
fn dumps_of_old_runs_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["127.0.0.1.dat", "refid:47505300.dat", "notes.dat"] {
        fs::write(folder.path().join(name), "SRC0\n").unwrap();
    }
    let dumps = format!("dumpdir {}", text(folder.path()));
    let lines = briefly(&[
        "-U",
        "-x",
        "-d",
        "-t",
        "0",
        "-r",
        "server 127.0.0.1 port 9",
        &dumps,
    ]);
    let ended = run(lines);
    let warning = "Could not load dump file for 127.0.0.1".to_owned();
    assert!(ended.messages().contains(&warning), "{}", ended.stderr);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn the_time_of_the_drift_file_needs_clock_control() {
    let folder = tempfile::tempdir().unwrap();
    let drift = folder.path().join("drift");
    let line = format!("driftfile {}", text(&drift));
    let file = fs::File::create(&drift).unwrap();
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    file.set_modified(tomorrow).unwrap();
    let ended = run(briefly(&["-U", "-x", "-d", "-t", "0", "-s", &line]));
    assert!(
        ended.stderr.contains("Could not step system clock"),
        "{}",
        ended.stderr
    );
    let invalid = format!(
        "Could not read valid frequency and skew from driftfile {}",
        text(&drift)
    );
    assert!(ended.messages().contains(&invalid), "{}", ended.stderr);
}

#[test]
fn a_closed_output_is_no_reason_to_fail() {
    let mut child = Command::new(CHRONYD)
        .args(["-p", "server 127.0.0.1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    // Rust ignores SIGPIPE; either way nothing is dumped.
    assert!(status.code().is_some_and(|code| code < 2), "{status:?}");
}
