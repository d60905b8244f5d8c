//! Network Time Security between our own client and server: sessions, cookies, keys and their
//! files, helpers and threads. Other daemons are in `nts_peers.rs`, names and pools in
//! `nts_names.rs`, bad certificates in `nts_certificates.rs`, attackers in `nts_hostile.rs`.

mod support;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use control_wire::{AuthData, NtpDataFlags, Request};

use support::nts::{Place, assert_established, certificate};
use support::{CHRONYD, able, is_root, wait_until};

/// A user without rights that every system has: number of user and group.
const NOBODY: u32 = 65534;

#[test]
fn ours_with_ours_and_a_restart_without_key_establishment() {
    let place = Place::new(&certificate());
    let server = place.server(None, &[]);
    let mut client = place.start(None, "client", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
    assert_established(&client.authentication(), 30, 64);
    let before = server.statistics();
    assert!(before.ntp_auth_hits >= 1);
    assert!(client.running.stop().success());
    let file = place.path("client").join("127.0.0.1.nts");
    assert!(fs::read_to_string(&file).unwrap().starts_with("NNC0\n"));

    let mut client = place.start(None, "client", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
    assert!(!file.exists(), "the file is removed when it is read");
    assert_established(&client.authentication(), 30, 64);
    assert_eq!(server.statistics().nke_hits, before.nke_hits);
}

/// Keys of the server are saved: cookies work after a restart of the server.
#[test]
fn a_restarted_server_knows_its_cookies() {
    let place = Place::new(&certificate());
    let mut server = place.server(None, &["ntsprocesses 0"]);
    let mut client = place.start(None, "client", &place.source("127.0.0.1"));
    client.running.wait_for("Selected source 127.0.0.1");
    assert!(server.running.stop().success());
    let mut server = place.server(None, &["ntsprocesses 0"]);
    server.running.wait_for("Loaded server NTS keys");
    wait_until("authentic request after the restart", || {
        (server.statistics().ntp_auth_hits >= 2).then_some(())
    });
    assert_eq!(client.authentication().key_id, 1);
}

/// Connections to the NTS-KE server so far, those of the tests themselves included.
fn accepted_connections(server: &support::nts::Daemon) -> u64 {
    server.statistics().nke_hits
}

#[test]
fn helpers_and_server_threads() {
    for (processes, threads) in [(0, 1), (1, 2), (3, 2)] {
        let place = Place::new(&certificate());
        let lines = [
            format!("ntsprocesses {processes}"),
            format!("serverthreads {threads}"),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let server = place.server(None, &lines);
        let mut client = place.start(None, "client", &place.source("localhost"));
        client.running.wait_for("Selected source 127.0.0.1");
        assert_established(&client.authentication(), 30, 64);
        assert!(server.statistics().ntp_auth_hits >= 1);
    }
}

#[test]
fn interleaved_mode() {
    let place = Place::new(&certificate());
    let server = place.server(None, &[]);
    let lines = place.source_with("localhost", "xleave");
    let client = place.start(None, "client", &lines);
    wait_until("interleaved measurement", || {
        let interleaved = |client: &support::nts::Daemon| {
            let flags = client.measurement_of(Ipv4Addr::LOCALHOST).flags;
            flags.contains(NtpDataFlags::INTERLEAVED) && flags.contains(NtpDataFlags::AUTHENTICATED)
        };
        client.has_source(Ipv4Addr::LOCALHOST).then_some(())?;
        interleaved(&client).then_some(())
    });
    assert!(server.statistics().ntp_interleaved_hits >= 1);
    assert_eq!(client.authentication().nak, 0);
}

/// A source of a source directory comes and goes with its file; its cookies are kept.
#[test]
fn source_directory() {
    let place = Place::new(&certificate());
    let server = place.server(None, &[]);
    let directory = place.path("sources");
    fs::create_dir(&directory).unwrap();
    let mut lines = place.source("localhost");
    let source = lines.remove(2);
    lines.push(format!("sourcedir {}", directory.display()));
    let mut client = place.start(None, "client", &lines);
    let file = directory.join("nts.sources");
    fs::write(&file, format!("{source}\n")).unwrap();
    client.ask(&Request::ReloadSources);
    client.running.wait_for("Selected source 127.0.0.1");
    assert_established(&client.authentication(), 30, 64);
    let before = accepted_connections(&server);
    fs::remove_file(&file).unwrap();
    client.ask(&Request::ReloadSources);
    let saved = place.path("client").join("127.0.0.1.nts");
    wait_until("saved cookies", || saved.exists().then_some(()));
    fs::write(&file, format!("{source}\n")).unwrap();
    client.ask(&Request::ReloadSources);
    client.wait_for_authentication(Ipv4Addr::LOCALHOST, "cookies from the file", |data| {
        data.key_id == 1 && data.ke_attempts == 0
    });
    assert!(!saved.exists());
    assert_eq!(accepted_connections(&server), before);
}

/// A server that lost its keys says NAK, and the client asks for new ones.
#[test]
fn lost_keys_of_the_server() {
    let place = Place::new(&certificate());
    let mut server = place.server(None, &[]);
    let mut client = place.start(None, "client", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
    assert!(server.running.stop().success());
    fs::remove_file(place.path("server").join("ntskeys")).unwrap();
    let _server = place.server(None, &[]);
    client.wait_for_authentication(Ipv4Addr::LOCALHOST, "new keys", |data| {
        data.key_id == 2 && data.ke_attempts == 0 && data.cookies >= 7
    });
}

/// The lines of a key file after `rotations` rotations elsewhere.
fn rotate_key_file(path: &Path, rotations: usize) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for rotation in 0..rotations {
        let last = lines.last().unwrap().clone();
        let (id, rest) = last.split_once(' ').unwrap();
        let index = (u32::from_str_radix(id, 16).unwrap() + 1) % 4;
        let aead = rest.split_once(' ').unwrap().1;
        let octet = 0x10 + rotation;
        let key = format!("{octet:02X}").repeat(16);
        lines.remove(2);
        lines.push(format!("{:08X} {key} {aead}", 0x4200_0000 + index));
    }
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

/// Cookies of the last-but-one key work, those of the key before do not.
#[test]
fn cookies_of_old_keys() {
    let place = Place::new(&certificate());
    let file = place.path("server").join("ntskeys");
    let mut server = place.server(None, &["ntsrotate 1000000"]);
    let mut client = place.start(None, "client", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
    for (rotations, key_id) in [(2, 1), (3, 2)] {
        assert!(client.running.stop().success());
        assert!(server.running.stop().success());
        rotate_key_file(&file, rotations);
        server = place.server(None, &["ntsrotate 1000000"]);
        server.running.wait_for("Loaded server NTS keys");
        let served = |server: &support::nts::Daemon| server.statistics().ntp_auth_hits;
        client = place.start(None, "client", &place.source("localhost"));
        wait_until("authentic requests", || {
            (served(&server) >= 2).then_some(())
        });
        let settled = |data: &AuthData| data.ke_attempts == 0 && data.cookies >= 7;
        let data = client.wait_for_authentication(Ipv4Addr::LOCALHOST, "cookies", settled);
        assert_eq!(data.key_id, key_id, "{rotations} rotations: {data:?}");
    }
}

/// Two servers share the keys: one makes them, the other (`ntsrotate 0`) reads the file again
/// when told to by `rekey`, and answers requests with cookies of the first.
#[test]
fn servers_share_keys() {
    let place = Place::new(&certificate());
    let names = "ntsntpserver 127.0.0.8";
    let maker = place.server(None, &[names]);
    let copy = place.path("second").join("ntskeys");
    let mut lines = place.server_lines(&["ntsrotate 0"]);
    lines.retain(|line| !line.starts_with("bindaddress"));
    lines.push("bindaddress 127.0.0.8".to_owned());
    let mut second = place.start(None, "second", &lines);
    wait_until("second server", || {
        TcpStream::connect(("127.0.0.8", place.ke_port)).ok()
    });
    assert!(!copy.exists(), "with ntsrotate 0 nothing is saved");
    maker.ask(&Request::Dump);
    fs::copy(place.path("server").join("ntskeys"), &copy).unwrap();
    second.ask(&Request::Rekey);
    second.running.wait_for("Loaded server NTS keys");
    let mut client = place.start(None, "client", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.8");
    let data = client.authentication_of(Ipv4Addr::new(127, 0, 0, 8));
    assert_established(&data, 30, 64);
    assert!(second.statistics().ntp_auth_hits >= 1);
    assert_eq!(maker.statistics().ntp_auth_hits, 0);
}

/// NTS works as an ordinary user behind the filter of system calls: helper threads, cookies
/// and keys on disk, certificates that are read again.
#[test]
fn behind_the_filter() {
    if !able(is_root(), "root") {
        return;
    }
    for level in ["1", "2"] {
        let place = Place::new(&certificate());
        fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["key.pem", "server.run", "client.run"] {
            let path = place.path(name);
            if name.ends_with(".run") {
                fs::create_dir(&path).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            }
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let start = |name: &str, lines: &[String]| {
            let mut command = Command::new(CHRONYD);
            command.args(["-x", "-d", "-4", "-u", "nobody", "-F", level]);
            place.start_as(command, name, lines)
        };
        let mut server = start("server", &place.server_lines(&["ntsprocesses 2"]));
        server.running.wait_for("Loaded seccomp filter");
        let mut client = start("client", &place.source("localhost"));
        client.running.wait_for("Selected source 127.0.0.1");
        assert_established(&client.authentication(), 30, 64);
        assert!(client.running.stop().success());
        assert!(place.path("client/127.0.0.1.nts").exists());
        // A renewal behind the filter.
        let key = place.write_certificate(&certificate());
        fs::write(place.path("key.pem"), key.serialize_pem()).unwrap();
        server.ask(&Request::Rekey);
        server
            .running
            .wait_for("Loaded new NTS server certificates");
        fs::remove_file(place.path("client/127.0.0.1.nts")).unwrap();
        let mut client = start("client", &place.source("localhost"));
        client.running.wait_for("Selected source 127.0.0.1");
        assert!(server.running.stop().success());
    }
}

/// NTS is not for peers, which is said: keys are established, and nothing is sent.
#[test]
fn a_peer_gets_keys_and_sends_nothing() {
    let place = Place::new(&certificate());
    let server = place.server(None, &[]);
    let mut lines = place.source("localhost");
    lines[2] = lines[2].replacen("server", "peer", 1);
    let mut peer = place.start(None, "peer", &lines);
    peer.running.wait_for("NTS not supported with peers");
    peer.wait_for_authentication(Ipv4Addr::LOCALHOST, "keys", |data| data.cookies == 8);
    // Several polls of one second.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(peer.authentication().cookies, 8);
    assert_eq!(server.statistics().ntp_hits, 0);
}
