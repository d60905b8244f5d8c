//! Network Time Security between real programs: ours with ours, ours with Debian's chrony
//! (GnuTLS) in both roles, and what bad servers, clients and certificates do.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use control_wire::{
    Address, AuthData, AuthMode, Reply, ReplyHeader, Request, RequestHeader, ServerStats,
    SingleAddress,
};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use tempfile::TempDir;

use support::{CHRONYD, Running, free_port, peers, wait_until};

/// The NTP server's request with nothing in it but version 4 and mode 3.
const REQUEST: [u8; 48] = {
    let mut request = [0; 48];
    request[0] = 0x23;
    request[47] = 1;
    request
};

/// A folder with a certificate for `localhost` and 127.0.0.1, and ports.
struct Place {
    folder: TempDir,
    ntp_port: u16,
    ke_port: u16,
}

fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn certificate() -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let address = SanType::IpAddress(Ipv4Addr::LOCALHOST.into());
    params.subject_alt_names.push(address);
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    params
}

impl Place {
    fn new(params: &CertificateParams) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            ntp_port: free_port(),
            ke_port: free_tcp_port(),
        };
        let key = place.write_certificate(params);
        fs::write(place.path("key.pem"), key.serialize_pem()).unwrap();
        place
    }

    fn write_certificate(&self, params: &CertificateParams) -> KeyPair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
        key
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts ours or, given its program, the reference.
    fn start(&self, program: Option<&Path>, name: &str, lines: &[String]) -> Daemon {
        let directory = self.path(&format!("{name}.run"));
        let socket = directory.join("s");
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .unwrap();
        let mut command = Command::new(program.unwrap_or(Path::new(CHRONYD)));
        match program {
            Some(_) => command.args(["-u", "root", "-x", "-d", "-4"]),
            None => command.args(["-U", "-x", "-d", "-4"]),
        };
        command
            .arg("cmdport 0")
            .arg(format!("pidfile {}", directory.join("pid").display()))
            .arg(format!("bindcmdaddress {}", socket.display()))
            .arg(format!("ntsdumpdir {}", self.path(name).display()))
            .args(lines);
        Daemon {
            running: Running::start(&mut command, self.folder.path(), name),
            socket,
        }
    }

    fn server(&self, program: Option<&Path>, more: &[&str]) -> Daemon {
        let mut lines = vec![
            format!("port {}", self.ntp_port),
            format!("ntsport {}", self.ke_port),
            "bindaddress 127.0.0.1".to_owned(),
            "allow 127.0.0.1".to_owned(),
            "local".to_owned(),
            format!("ntsservercert {}", self.path("cert.pem").display()),
            format!("ntsserverkey {}", self.path("key.pem").display()),
        ];
        lines.extend(more.iter().map(|line| (*line).to_owned()));
        let daemon = self.start(program, "server", &lines);
        let ke_server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ke_port));
        wait_until("NTS-KE server", || TcpStream::connect(ke_server).ok());
        daemon
    }

    /// A source with this certificate trusted.
    fn source(&self, name: &str) -> Vec<String> {
        vec![
            "port 0".to_owned(),
            "nosystemcert".to_owned(),
            format!(
                "server {name} iburst minpoll 0 maxpoll 0 nts ntsport {} port {}",
                self.ke_port, self.ntp_port
            ),
            format!("ntstrustedcerts {}", self.path("cert.pem").display()),
        ]
    }
}

struct Daemon {
    running: Running,
    socket: PathBuf,
}

impl Daemon {
    /// What the daemon replies to a command.
    fn ask(&self, request: &Request) -> Reply {
        let folder = tempfile::tempdir().unwrap();
        let own = UnixDatagram::bind(folder.path().join("own")).unwrap();
        own.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let header = RequestHeader {
            version: 6,
            command: 0,
            attempt: 0,
            sequence: 7,
        };
        wait_until("command socket", || own.connect(&self.socket).ok());
        own.send(&request.emit(&header)).unwrap();
        let mut buffer = [0; 2048];
        let length = own.recv(&mut buffer).unwrap();
        let header = ReplyHeader::parse(&buffer[..length]).unwrap();
        Reply::parse(&header, &buffer[..length]).unwrap()
    }

    fn authentication(&self) -> AuthData {
        let address = Address::Ipv4(Ipv4Addr::LOCALHOST);
        match self.ask(&Request::AuthData(SingleAddress { address })) {
            Reply::AuthData(data) => data,
            other => panic!("{other:?}"),
        }
    }

    fn statistics(&self) -> ServerStats {
        match self.ask(&Request::ServerStats) {
            Reply::ServerStats(data) => data,
            other => panic!("{other:?}"),
        }
    }
}

/// In the steady state: eight cookies, nothing outstanding.
fn assert_established(data: &AuthData, key_type: u16, cookie_length: u16) {
    assert_eq!(data.mode, AuthMode::Nts);
    assert_eq!((data.key_id, data.key_type), (1, key_type), "{data:?}");
    let bits = if key_type == 15 { 256 } else { 128 };
    assert_eq!(data.key_length_bits, bits);
    assert_eq!((data.ke_attempts, data.nak), (0, 0));
    assert_eq!(data.cookie_length, cookie_length);
    // One is out while a response is on its way.
    assert!((7..=8).contains(&data.cookies), "{data:?}");
}

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

#[test]
fn rejected_certificates_are_named() {
    let mut past = certificate();
    past.not_before = rcgen::date_time_ymd(2020, 1, 1);
    past.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let mut future = certificate();
    future.not_before = rcgen::date_time_ymd(2119, 1, 1);
    let other = CertificateParams::new(["other.test".to_owned()]).unwrap();
    for (params, trusted, sentence) in [
        (
            past,
            true,
            "The certificate chain uses expired certificate.",
        ),
        (
            future,
            true,
            "The certificate chain uses not yet valid certificate.",
        ),
        (
            other,
            true,
            "The name in the certificate does not match the expected.",
        ),
        (certificate(), false, "The certificate issuer is unknown."),
    ] {
        let place = Place::new(&params);
        let _server = place.server(None, &[]);
        let mut lines = place.source("localhost");
        lines.truncate(if trusted { 4 } else { 3 });
        let mut client = place.start(None, "client", &lines);
        let line = client.running.wait_for("TLS handshake with");
        let prefix = format!(
            "TLS handshake with 127.0.0.1:{} (localhost) failed : ",
            place.ke_port
        );
        let rest = line
            .strip_prefix(&prefix)
            .unwrap_or_else(|| panic!("{line}"));
        assert!(
            rest.starts_with(
                "Error in the certificate verification. The certificate is NOT trusted. "
            ),
            "{line}"
        );
        assert!(rest.contains(sentence), "{line}");
    }
}

/// Until the clock was updated as often as configured, dates are not looked at.
#[test]
fn dates_are_not_checked_before_the_first_update() {
    let mut past = certificate();
    past.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let place = Place::new(&past);
    let _server = place.server(None, &[]);
    let mut lines = place.source("localhost");
    lines.push("nocerttimecheck 1".to_owned());
    let mut client = place.start(None, "client", &lines);
    client.running.wait_for("Selected source 127.0.0.1");
}

/// Says something to whoever connects, and then does nothing more; or closes.
fn speaker(address: [u8; 4], port: u16, says: Vec<u8>, close: bool) {
    let listener = TcpListener::bind(SocketAddr::from((address, port))).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // The client may close before everything is said.
            let _ = stream.write_all(&says);
            if !close {
                held.push(stream);
            }
        }
    });
}

#[test]
fn bad_servers_do_not_disturb_a_good_one() {
    let place = Place::new(&certificate());
    let _server = place.server(None, &[]);
    let port = place.ke_port;
    let garbage = vec![0x55; 1 << 20];
    // Half of a TLS record: a handshake of 512 octets is announced.
    let half = [&[22, 3, 3, 2, 0][..], &[2; 100]].concat();
    speaker([127, 0, 0, 2], port, garbage, false);
    speaker([127, 0, 0, 3], port, half, false);
    speaker([127, 0, 0, 4], port, Vec::new(), true);
    speaker([127, 0, 0, 5], port, Vec::new(), false);
    let mut lines = place.source("127.0.0.1");
    for host in 2..=6 {
        lines.push(format!("server 127.0.0.{host} iburst nts ntsport {port}"));
    }
    let mut client = place.start(None, "client", &lines);
    client.running.wait_for("Selected source 127.0.0.1");
    let label = |host: u8| format!("127.0.0.{host}:{port} (127.0.0.{host})");
    for text in [
        format!(
            "TLS handshake with {} failed : An unexpected TLS packet was received.",
            label(2)
        ),
        format!(
            "TLS handshake with {} failed : Error in the pull function.",
            label(4)
        ),
        format!("Could not connect to {} : Connection refused", label(6)),
        // After 16 s: half a record, and nothing at all.
        format!("NTS-KE session with {} timed out", label(3)),
        format!("NTS-KE session with {} timed out", label(5)),
    ] {
        assert_eq!(client.running.wait_for(&text), text);
    }
    assert_established(&client.authentication(), 30, 64);
}

/// 150 connections that say nothing, or one octet, where 100 have room: NTP goes on, and key
/// establishment when their time is over.
#[test]
fn idle_connections_do_not_delay_ntp() {
    let place = Place::new(&certificate());
    let server = place.server(None, &[]);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, place.ke_port));
    let start = Instant::now();
    let mut idle: Vec<TcpStream> = (0..150)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for stream in &mut idle {
        // Those that found no room are closed already.
        let _ = stream.write_all(&[22]);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", place.ntp_port)).unwrap();
    let timeout = Duration::from_secs(60);
    socket.set_read_timeout(Some(timeout)).unwrap();
    for _ in 0..100 {
        socket.send(&REQUEST).unwrap();
        let mut response = [0; 100];
        assert_eq!(socket.recv(&mut response).unwrap(), 48);
    }
    assert!(server.statistics().nke_hits >= 150);
    // All are closed by the server: at once, or after 2 s.
    for mut stream in idle {
        stream.set_read_timeout(Some(timeout)).unwrap();
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest);
        assert!(!matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
    }
    assert!(start.elapsed() < timeout);
    let mut client = place.start(None, "client", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
}

/// A renewed certificate is taken into use while the server runs; a half renewed pair is not.
#[test]
fn certificates_are_renewed_in_service() {
    let place = Place::new(&certificate());
    let mut server = place.server(None, &[]);
    let old = fs::read(place.path("cert.pem")).unwrap();
    let key = place.write_certificate(&certificate());
    server.ask(&Request::Rekey);
    let line = server.running.wait_for("stay in service");
    assert!(line.contains("is not the key of the certificate in"));
    let messages = server.running.messages();
    let text = "Could not set credentials : The certificate and the given key do not match.";
    assert!(messages.iter().any(|line| line == text), "{messages:?}");
    // Clients that trust the old certificate are served.
    let new = fs::read(place.path("cert.pem")).unwrap();
    fs::write(place.path("cert.pem"), &old).unwrap();
    let mut client = place.start(None, "old", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
    // The renewal is completed.
    fs::write(place.path("cert.pem"), &new).unwrap();
    fs::write(place.path("key.pem"), key.serialize_pem()).unwrap();
    server.ask(&Request::Rekey);
    server
        .running
        .wait_for("Loaded new NTS server certificates");
    let mut client = place.start(None, "new", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
}

/// The source follows to the NTP server that the NTS-KE server names.
#[test]
fn negotiated_address() {
    let place = Place::new(&certificate());
    let _server = place.server(None, &["ntsntpserver 127.0.0.7"]);
    let mut client = place.start(None, "client", &place.source("localhost"));
    client
        .running
        .wait_for("Source 127.0.0.1 changed to 127.0.0.7 (localhost)");
}
