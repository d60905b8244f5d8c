//! Network Time Security with other implementations, in both roles: Debian's chrony (GnuTLS),
//! ntpsec (OpenSSL), ntpd-rs (rustls).

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use control_wire::{AuthData, AuthMode};
use os_linux::process::{Filter, Violation};

use support::namespace::Namespace;
use support::nts::{Daemon, Place, assert_established, certificate};
use support::{CHRONYD, Running, able, can_unshare, peers, wait_until};

/// Says which program [`become_a_daemon_with_a_standing_clock`] is to become.
const STANDING: &str = "ISOCHRONY_TEST_STANDING_CLOCK";

/// Not a test by itself: becomes a daemon to which every change of the clock seems to succeed
/// and changes nothing. ntpd-rs does not run where it may not steer the clock.
#[test]
fn become_a_daemon_with_a_standing_clock() {
    let Ok(order) = std::env::var(STANDING) else {
        return;
    };
    let calls = [
        libc::SYS_adjtimex,
        libc::SYS_clock_adjtime,
        libc::SYS_clock_settime,
        libc::SYS_settimeofday,
    ];
    // Refused with the error 0: the call returns 0 and is not made.
    let filter = Filter::deny(&calls, Violation::Fail(0)).expect("filter");
    filter.install().expect("installed");
    let mut words = order.split('\x1f');
    let program = words.next().expect("program");
    let error = Command::new(program)
        .args(words)
        .env_remove(STANDING)
        .exec();
    panic!("{error}");
}

#[test]
fn chrony_of_debian_in_both_roles() {
    let Some(peers) = peers() else { return };
    let chrony = peers.join("chrony/usr/sbin/chronyd");
    for (theirs_serves, cookie_length) in [(true, 100), (false, 96)] {
        let place = Place::new(&certificate());
        let (server, client) = match theirs_serves {
            true => (Some(chrony.as_path()), None),
            false => (None, Some(chrony.as_path())),
        };
        let _server = place.server(server, &[]);
        let mut client = place.start(client, "client", &place.source("localhost"));
        client.running.wait_for("Selected source 127.0.0.1");
        assert_established(&client.authentication(), 15, cookie_length);
    }
}

/// A peer's program, if it is there and can have a network of its own.
fn peer(program: &str) -> Option<PathBuf> {
    let program = peers()?.join(program);
    let usable = able(program.exists(), "all that scripts/fetch-peers fetches") && can_unshare();
    usable.then_some(program)
}

/// Ours inside of a namespace.
fn ours(place: &Place, namespace: &Namespace, name: &str, lines: &[String]) -> Daemon {
    let mut command = namespace.command(Path::new(CHRONYD));
    command.args(["-U", "-x", "-d", "-4"]);
    place.start_as(command, name, lines)
}

/// Our client with a server of another implementation on the usual ports; `authdata` once its
/// cookies were replaced.
fn our_client(place: &Place, namespace: &Namespace) -> (Daemon, AuthData) {
    let lines = [
        "port 0".to_owned(),
        "nosystemcert".to_owned(),
        "server localhost iburst minpoll 0 maxpoll 0 nts".to_owned(),
        place.trust(),
    ];
    let client = ours(place, namespace, "client", &lines);
    let replaced = |data: &AuthData| data.key_id > 0 && data.ke_attempts == 0 && data.cookies >= 7;
    let data = client.wait_for_authentication(Ipv4Addr::LOCALHOST, "cookies", replaced);
    assert_eq!(data.mode, AuthMode::Nts);
    (client, data)
}

/// Our server with another NTP port, which NTS-KE tells the clients.
fn our_server(place: &Place, namespace: &Namespace) -> Daemon {
    let mut lines = place.server_lines(&["local stratum 2"]);
    lines.retain(|line| !line.starts_with("ntsport") && !line.starts_with("port"));
    lines.push("port 11123".to_owned());
    ours(place, namespace, "server", &lines)
}

fn wait_for_requests(server: &Daemon) {
    wait_until("authentic requests", || {
        (server.statistics().ntp_auth_hits >= 2).then_some(())
    });
}

fn ntpsec(place: &Place, namespace: &Namespace, program: &Path, lines: &[String]) -> Running {
    let file = place.path("ntp.conf");
    let common = "interface ignore all\ninterface listen 127.0.0.1\ndisable ntp\n";
    fs::write(&file, format!("{common}{}\n", lines.join("\n"))).unwrap();
    let mut command = namespace.command(program);
    command.args(["-n", "-g", "-c"]).arg(&file);
    Running::start(&mut command, place.folder(), "ntpsec")
}

#[test]
fn ntpsec_in_both_roles() {
    let Some(program) = peer("ntpsec/usr/sbin/ntpd") else {
        return;
    };
    let place = Place::new(&certificate());
    let at = |name: &str| place.path(name).display().to_string();
    {
        let namespace = Namespace::new(place.folder(), "");
        let lines = [
            "nts enable".to_owned(),
            format!("nts cert {}", at("cert.pem")),
            format!("nts key {}", at("key.pem")),
            format!("nts cookie {}", at("ntpsec.keys")),
            "tos orphan 3 orphanwait 1 minsane 0".to_owned(),
        ];
        let mut server = ntpsec(&place, &namespace, &program, &lines);
        server.wait_for("Private Key OK");
        let (mut client, data) = our_client(&place, &namespace);
        client.running.wait_for("Selected source 127.0.0.1");
        assert_eq!((data.key_type, data.key_length_bits), (15, 256));
        assert_eq!((data.nak, data.cookie_length), (0, 104));
    }
    let namespace = Namespace::new(place.folder(), "");
    let server = our_server(&place, &namespace);
    let trust = at("cert.pem");
    let source = format!("server localhost:4460 nts ca {trust} iburst minpoll 1 maxpoll 1");
    let mut client = ntpsec(&place, &namespace, &program, &[source]);
    client.wait_for("NTSc: Got 8 cookies, length 96, aead=15.");
    wait_for_requests(&server);
}

#[test]
fn ntpd_rs_in_both_roles() {
    let Some(program) = peer("ntpd-rs/bin/ntp-daemon") else {
        return;
    };
    // It does not take a certificate that may issue others, as self-signed ones may.
    let place = Place::with_ca(&certificate());
    let at = |name: &str| place.path(name).display().to_string();
    let observe = format!(
        "[observability]\nlog-level = \"info\"\nobservation-path = \"{}\"\n",
        at("observe")
    );
    let synchronization = "[synchronization]\nlocal-stratum = 3\nminimum-agreeing-sources = 1\n";
    {
        let namespace = Namespace::new(place.folder(), "");
        let listen = format!(
            "[[server]]\nlisten = \"127.0.0.1:123\"\n[[nts-ke-server]]\nlisten = \"127.0.0.1:4460\"\n\
             certificate-chain-path = \"{}\"\nprivate-key-path = \"{}\"\n",
            at("cert.pem"),
            at("key.pem")
        );
        let file = place.path("server.toml");
        fs::write(&file, format!("{observe}{synchronization}{listen}")).unwrap();
        let mut command = namespace.command(&program);
        command.arg("-c").arg(&file);
        let _server = Running::start(&mut command, place.folder(), "ntpd-rs-server");
        let (_client, data) = our_client(&place, &namespace);
        assert_eq!((data.key_type, data.key_length_bits), (15, 256));
        assert_eq!((data.nak, data.cookie_length), (0, 104));
    }
    let namespace = Namespace::new(place.folder(), "");
    let server = our_server(&place, &namespace);
    let source = format!(
        "[[source]]\nmode = \"nts\"\naddress = \"localhost\"\ncertificate-authority = \"{}\"\n",
        at("ca.pem")
    );
    let file = place.path("client.toml");
    fs::write(&file, format!("{observe}{synchronization}{source}")).unwrap();
    let own = std::env::current_exe().expect("own path");
    let mut command = namespace.command(&own);
    let order = format!("{}\x1f-c\x1f{}", program.display(), file.display());
    command
        .args(["--exact", "become_a_daemon_with_a_standing_clock"])
        .arg("--nocapture")
        .env(STANDING, order);
    let _client = Running::start(&mut command, place.folder(), "ntpd-rs-client");
    wait_until("authentic request", || {
        (server.statistics().ntp_auth_hits >= 1).then_some(())
    });
    assert_eq!(server.statistics().nke_hits, 1);
}
