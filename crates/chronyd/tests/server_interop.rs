//! Other clients synchronise to the program under test: each says so in its own words. They run
//! in a network of their own and without the right to set the clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::namespace::{Namespace, OPENNTPD_SETUP, build_library};
use support::{CHRONYD, Running, able, finish, peers};

mod support;

/// The server's address.
const SERVER: &str = "10.77.0.2";

/// A server and the place for a client, joined by a wire.
struct Place {
    folder: tempfile::TempDir,
    clients: Namespace,
    server: Running,
    _servers: Namespace,
    peers: PathBuf,
}

impl Place {
    /// `needed` is a program among the peers; `setup` are shell commands in the client's
    /// namespace.
    fn new(needed: &str, setup: &str) -> Option<Self> {
        let peers = peers()?;
        if !able(
            peers.join(needed).exists(),
            &format!("{needed} of scripts/fetch-peers"),
        ) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let servers = Namespace::new(folder.path(), "");
        let wire = format!(
            "ip link add wire type veth peer name wire netns {}\n\
             ip address add 10.77.0.1/24 dev wire\n\
             ip link set wire up\n{setup}",
            servers.id()
        );
        let clients = Namespace::new(folder.path(), &wire);
        let ip = |arguments: &str| {
            let mut command = servers.command(Path::new("ip"));
            let ended = finish(command.args(arguments.split(' ')));
            assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        };
        ip("address add 10.77.0.2/24 dev wire");
        ip("link set wire up");
        let mut command = servers.command(Path::new(CHRONYD));
        command.args(["-U", "-x", "-d", "local stratum 3", "allow 10.77.0.0/24"]);
        command.args(["cmdport 0", "bindcmdaddress /", "pidfile /"]);
        let mut server = Running::start(&mut command, folder.path(), "ours");
        server.wait_for("Disabled control of system clock");
        Some(Self {
            folder,
            clients,
            server,
            _servers: servers,
            peers,
        })
    }

    /// A program of the peers, in the client's namespace.
    fn command(&self, program: &str) -> Command {
        self.clients.command(&self.peers.join(program))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lets a client run until it says `text`; the line is the proof.
    fn synchronises(&self, name: &str, command: &mut Command, text: &str) {
        let mut client = Running::start(command, self.folder.path(), name);
        let line = client.wait_for(text);
        println!("{name}: {line}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.server.stop().code(), Some(0), "{}", self.server.log());
        }
    }
}

#[test]
fn chrony() {
    let Some(place) = Place::new("chrony/usr/sbin/chronyd", "") else {
        return;
    };
    let mut command = place.command("chrony/usr/sbin/chronyd");
    command.args(["-u", "root", "-x", "-d", "cmdport 0"]);
    command.arg(format!(
        "bindcmdaddress {}/chronyd.sock",
        place.path("run").display()
    ));
    command.arg(format!("pidfile {}", place.path("pid").display()));
    command.arg(format!("server {SERVER} iburst xleave minpoll 0 maxpoll 0"));
    place.synchronises("chrony", &mut command, &format!("Selected source {SERVER}"));
}

/// Where the modules are that ntpsec's programs in Python need.
fn with_modules<'c>(place: &Place, command: &'c mut Command) -> &'c mut Command {
    let library = place.peers.join("ntpsec/usr/lib");
    let folders = fs::read_dir(&library).unwrap();
    let compiled = folders
        .map(|entry| entry.unwrap().path().join("ntp"))
        .find(|folder| folder.join("libntpc.so.1").exists())
        .expect("libntpc");
    command
        .env("LD_LIBRARY_PATH", compiled)
        .env("PYTHONPATH", library.join("python3/dist-packages"))
}

#[test]
fn ntpdig() {
    let Some(place) = Place::new("ntpsec/usr/lib/python3/dist-packages/ntp/ntpc.py", "") else {
        return;
    };
    let mut command = place.command("ntpsec/usr/bin/ntpdig");
    with_modules(&place, command.arg(SERVER));
    place.synchronises("ntpdig", &mut command, &format!("{SERVER} s3 no-leap"));
}

#[test]
fn ntpsec() {
    let Some(place) = Place::new("ntpsec/usr/sbin/ntpd", "") else {
        return;
    };
    let configuration = place.path("ntp.conf");
    let lines = format!(
        "server {SERVER} iburst minpoll 1 maxpoll 1\ntos minsane 1\ndisable ntp\n\
         interface ignore all\ninterface listen wire\nlogconfig =allall\ndriftfile {}\n",
        place.path("drift").display()
    );
    fs::write(&configuration, lines).unwrap();
    let mut command = place.command("ntpsec/usr/sbin/ntpd");
    command.args(["-n", "-g", "-c"]).arg(&configuration);
    place.synchronises("ntpsec", &mut command, "sys_peer");
}

#[test]
fn openntpd() {
    let Some(place) = Place::new("openntpd/usr/sbin/ntpd", OPENNTPD_SETUP) else {
        return;
    };
    let configuration = place.path("ntpd.conf");
    fs::write(&configuration, format!("server {SERVER}\n")).unwrap();
    let mut command = place.command("openntpd/usr/sbin/ntpd");
    command.args(["-d", "-v", "-f"]).arg(&configuration);
    command.env("LD_PRELOAD", build_library("hurry", place.folder.path()));
    place.synchronises("openntpd", &mut command, "clock is now synced");
}

#[test]
fn busybox() {
    let Some(place) = Place::new("busybox/bin/busybox-ntpd", "") else {
        return;
    };
    let mut command = place.command("busybox/bin/busybox-ntpd");
    command.args(["ntpd", "-n", "-d", "-d", "-p", SERVER]);
    command.env("LD_PRELOAD", build_library("hurry", place.folder.path()));
    place.synchronises("busybox", &mut command, &format!("update from:{SERVER}"));
}

/// As its unit starts it: with folders of its own and as a user without rights.
const TIMESYNCD_SETUP: &str = "mount -t tmpfs none /run\n\
    mount -t tmpfs none /var/lib\n\
    mkdir -p /run/systemd/timesync /run/systemd/netif /var/lib/systemd/timesync\n\
    chown -R 64001:64001 /run/systemd /var/lib/systemd\n\
    mkdir -p /run/systemd/timesyncd.conf.d\n\
    printf '[Time]\\nNTP=10.77.0.2\\n' > /run/systemd/timesyncd.conf.d/server.conf";

#[test]
fn timesyncd() {
    let Some(place) = Place::new("timesyncd/lib/systemd/systemd-timesyncd", TIMESYNCD_SETUP) else {
        return;
    };
    let mut command = place.clients.command(Path::new("setpriv"));
    command
        .args(["--reuid", "64001", "--regid", "64001", "--clear-groups"])
        .arg(place.peers.join("timesyncd/lib/systemd/systemd-timesyncd"));
    let expected = format!("Contacted time server {SERVER}:123");
    place.synchronises("timesyncd", &mut command, &expected);
}
