//! Debian's `chronyc` (4.3) against our daemon: every kind of command it has, over the Unix
//! socket and over UDP. What 4.3 and the present protocol disagree on is refused as specified.

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::{CHRONYD, free_port, peers, wait_until};

/// Ends the daemon whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn chronyc(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).arg("-n").args(arguments).output();
    String::from_utf8(output.expect("chronyc").stdout).expect("text")
}

/// Commands with the beginning of what is printed.
const UNIX: &[(&str, &str)] = &[
    (
        "tracking",
        "Reference ID    : 7F7F0101 ()\nStratum         : 10\n",
    ),
    ("sources", "MS Name/IP address"),
    ("sourcestats", "Name/IP Address"),
    ("selectdata", "S Name/IP Address"),
    ("authdata", "Name/IP address"),
    ("sourcename 127.0.0.11", "127.0.0.11\n"),
    ("sourcename 127.0.0.99", "503 No such source\n"),
    ("activity", "200 OK\n"),
    ("clients", "Hostname"),
    ("smoothing", "Active         : No"),
    ("smoothtime activate", "200 OK\n"),
    ("smoothtime reset", "200 OK\n"),
    ("manual list", "210 n_samples = 0\n"),
    ("manual on", "200 OK\n"),
    ("manual reset", "200 OK\n"),
    ("settime now", "200 OK\nClock was "),
    ("manual delete 1", "516 Sample index out of range\n"),
    ("rtcdata", "513 RTC driver not running\n"),
    ("trimrtc", "513 RTC driver not running\n"),
    ("writertc", "513 RTC driver not running\n"),
    ("makestep", "500 Failure\n"),
    ("makestep 0.1 3", "200 OK\n"),
    ("offline", "200 OK\n"),
    ("online", "200 OK\n"),
    ("onoffline", "200 OK\n"),
    ("burst 1/2", "200 OK\n"),
    ("minpoll 127.0.0.11 7", "200 OK\n"),
    ("maxpoll 127.0.0.11 8", "200 OK\n"),
    ("maxdelay 127.0.0.11 0.5", "200 OK\n"),
    ("maxdelayratio 127.0.0.11 2", "200 OK\n"),
    ("maxdelaydevratio 127.0.0.11 2", "200 OK\n"),
    ("minstratum 127.0.0.11 2", "200 OK\n"),
    ("polltarget 127.0.0.11 12", "200 OK\n"),
    ("maxupdateskew 10", "200 OK\n"),
    ("reselect", "200 OK\n"),
    ("reselectdist 0.01", "200 OK\n"),
    ("add server 127.0.0.51", "200 OK\n"),
    ("add server 127.0.0.51", "511 Source already present\n"),
    ("delete 127.0.0.51", "200 OK\n"),
    ("dfreq 0.1", "200 OK\n"),
    ("doffset 0.001", "200 OK\n"),
    ("doffset 1e10", "500 Failure\n"),
    ("allow 192.0.2.0/24", "200 OK\n"),
    ("accheck 192.0.2.1", "208 Access allowed\n"),
    ("deny 192.0.2.0/24", "200 OK\n"),
    ("accheck 192.0.2.1", "209 Access denied\n"),
    ("cmdallow 192.0.2.1", "200 OK\n"),
    ("cmdaccheck 192.0.2.1", "208 Access allowed\n"),
    ("cmddeny all", "200 OK\n"),
    ("dump", "200 OK\n"),
    ("rekey", "200 OK\n"),
    ("cyclelogs", "200 OK\n"),
    ("refresh", "200 OK\n"),
    ("reload sources", "200 OK\n"),
    ("reset sources", "200 OK\n"),
    // Longer and newer requests than 4.3 knows (control-protocol chapter, section 13).
    ("ntpdata 127.0.0.11", "518 Packet length mismatch\n"),
    ("serverstats", "518 Packet length mismatch\n"),
    ("local off", "502 Invalid command\n"),
];

const UDP: &[(&str, &str)] = &[
    ("tracking", "Reference ID    : 7F7F0101"),
    ("sources", "MS Name/IP address"),
    ("manual on", "501 Not authorised\n"),
    ("selectdata", "S Name/IP Address"),
    ("shutdown", "501 Not authorised\n"),
];

#[test]
fn the_client_of_another_release_is_served() {
    let Some(peers) = peers() else { return };
    let client = peers.join("chrony/usr/bin/chronyc");
    let folder = tempfile::tempdir().expect("folder");
    let directory = folder.path().join("run");
    let socket = directory.join("chronyd.sock");
    let (socket_text, port) = (socket.display().to_string(), free_port().to_string());
    let daemon = Command::new(CHRONYD)
        .args(["-x", "-d", "-u", "root"])
        .arg(format!("bindcmdaddress {socket_text}"))
        .arg(format!("cmdport {port}"))
        .args([
            "port 0",
            "pidfile /",
            "local",
            "manual",
            "smoothtime 400 0.01",
        ])
        .arg("server 127.0.0.11 offline")
        .stderr(Stdio::null())
        .spawn()
        .expect("chronyd");
    let mut daemon = Running(daemon);
    wait_until("command socket", || socket.exists().then_some(()));
    let on_unix = |command: &str| {
        let arguments: Vec<&str> = ["-h", &socket_text]
            .into_iter()
            .chain(command.split(' '))
            .collect();
        chronyc(&client, &arguments)
    };
    for (command, expected) in UNIX {
        let printed = on_unix(command);
        assert!(printed.starts_with(expected), "{command}: {printed}");
    }
    for (command, expected) in UDP {
        let words: Vec<&str> = ["-h", "127.0.0.1", "-p", &port]
            .into_iter()
            .chain(command.split(' '))
            .collect();
        let printed = chronyc(&client, &words);
        assert!(printed.starts_with(expected), "{command}: {printed}");
    }
    assert_eq!(on_unix("shutdown"), "200 OK\n");
    let status = wait_until("exit", || daemon.0.try_wait().expect("wait"));
    assert!(status.success() && !socket.exists());
}
