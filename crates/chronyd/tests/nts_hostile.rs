//! What is sent to a client or a server of Network Time Security by somebody who wishes it
//! ill, or by a program that is broken.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rcgen::SanType;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use support::nts::{Daemon, Place, assert_established, certificate};
use support::{able, uninterrupted, wait_until};

/// The NTP server's request with nothing in it but version 4 and mode 3.
const REQUEST: [u8; 48] = {
    let mut request = [0; 48];
    request[0] = 0x23;
    request[47] = 1;
    request
};

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
        assert_eq!(uninterrupted(|| socket.recv(&mut response)).unwrap(), 48);
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

/// A TLS server of `ntske/1` that answers each request with these octets, and then closes or
/// waits.
fn tls_speaker(place: &Place, host: u8, says: Vec<u8>, close: bool) {
    let chain = vec![CertificateDer::from_pem_file(place.path("cert.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(place.path("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"ntske/1".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), place.ke_port)).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = StreamOwned::new(connection, stream);
            let mut request = [0; 1024];
            // The client may end it at any time.
            let _ = tls.read(&mut request).and_then(|_| tls.write_all(&says));
            if close {
                tls.conn.send_close_notify();
            }
            let _ = tls.flush();
            held.push(tls);
        }
    });
}

/// TLS is in order, what is said over it is not.
#[test]
fn bad_responses_of_key_servers() {
    let mut params = certificate();
    params.subject_alt_names = (1..10)
        .map(|host| SanType::IpAddress(Ipv4Addr::new(127, 0, 0, host).into()))
        .collect();
    let place = Place::new(&params);
    let _server = place.server(None, &[]);
    let start = [0x80, 1, 0, 2, 0, 0, 0x80, 4, 0, 2, 0, 15];
    let end = [0x80, 0, 0, 0];
    let cookie = [&[0, 5, 0, 100][..], &[7; 100]].concat();
    let complete = [&start[..], &cookie, &end].concat();
    let half = complete[..complete.len() / 2].to_vec();
    let unknown_critical = [&start[..], &[0xc0, 0, 0, 0], &cookie, &end].concat();
    let error = [&[0x80, 2, 0, 2, 0, 1][..], &end].concat();
    let megabyte = [&[0x40, 0, 0xff, 0xff][..], &vec![0; 1 << 20]].concat();
    let message = "Received invalid NTS-KE message from";
    let response = "Received invalid NTS-KE response from";
    let cases = [
        (2, vec![0x55; 1000], true, message),
        (3, half.clone(), true, message),
        (4, Vec::new(), true, message),
        (5, unknown_critical, true, response),
        (6, error, true, response),
        // Without a cookie.
        (7, [&start[..], &end].concat(), true, response),
        (8, megabyte, false, "is too long"),
        // After 16 s.
        (9, half, false, "timed out"),
    ];
    let mut lines = place.source("127.0.0.1");
    for (host, says, close, _) in cases.clone() {
        tls_speaker(&place, host, says, close);
        let port = place.ke_port;
        lines.push(format!("server 127.0.0.{host} iburst nts ntsport {port}"));
    }
    let mut client = place.start(None, "client", &lines);
    client.running.wait_for("Selected source 127.0.0.1");
    for (host, _, _, text) in cases {
        let address = format!("127.0.0.{host}");
        wait_until("message about a bad response", || {
            let messages = client.running.messages();
            let told = |line: &String| line.contains(text) && line.contains(&address);
            messages.iter().any(told).then_some(())
        });
    }
    assert_established(&client.authentication(), 30, 64);
}

/// What is done to the packets between a client and its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tampering {
    Nothing,
    /// Another unique identifier in the response.
    WrongIdentifier,
    /// The response ends 4 octets early.
    Truncated,
    /// A field behind the authenticator.
    FieldBehind,
    /// The response to an earlier request in place of this one's.
    OldResponse,
    /// One bit of the encrypted part.
    Altered,
    /// No authenticator at all.
    Plain,
    /// The request's cookie is altered, so that the server says NAK.
    AlteredCookie,
}

/// Somebody between a client and the server at 127.0.0.1, who can read and change everything.
struct Attacker {
    tampering: Arc<Mutex<(Tampering, u32)>>,
}

impl Attacker {
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

    fn start(port: u16) -> Self {
        let tampering = Arc::new(Mutex::new((Tampering::Nothing, 0)));
        let client_side = UdpSocket::bind((Self::ADDRESS, port)).unwrap();
        let server_side = UdpSocket::bind("127.0.0.1:0").unwrap();
        server_side.connect(("127.0.0.1", port)).unwrap();
        let wait = Duration::from_secs(2);
        server_side.set_read_timeout(Some(wait)).unwrap();
        let shared = Arc::clone(&tampering);
        std::thread::spawn(move || {
            let mut old_response = Vec::new();
            let mut buffer = [0; 2048];
            while let Ok((length, client)) = client_side.recv_from(&mut buffer) {
                let mut request = buffer[..length].to_vec();
                let what = shared.lock().unwrap().0;
                if what == Tampering::AlteredCookie {
                    // Within the body of the cookie, which follows header and identifier.
                    request[HEADER + IDENTIFIER + 40] ^= 1;
                }
                // Lost packets are the client's business.
                let _ = server_side.send(&request);
                let Ok(length) = server_side.recv(&mut buffer) else {
                    continue;
                };
                let response = buffer[..length].to_vec();
                let sent = tamper(what, response.clone(), &old_response);
                if what == Tampering::Nothing {
                    old_response = response;
                }
                let _ = client_side.send_to(&sent, client);
                shared.lock().unwrap().1 += 1;
            }
        });
        Self { tampering }
    }

    /// Changes what is done; afterwards nothing of before is on its way.
    fn set(&self, what: Tampering) {
        *self.tampering.lock().unwrap() = (what, 0);
        self.wait_for(1);
    }

    /// Until so many packets were treated so.
    fn wait_for(&self, packets: u32) {
        wait_until("packets through the attacker", || {
            (self.tampering.lock().unwrap().1 >= packets).then_some(())
        });
    }
}

/// Octets of the header of a packet.
const HEADER: usize = 48;
/// Octets of the field with the unique identifier, which is the first one.
const IDENTIFIER: usize = 36;

fn tamper(what: Tampering, mut response: Vec<u8>, old: &[u8]) -> Vec<u8> {
    match what {
        Tampering::Nothing | Tampering::AlteredCookie => {}
        Tampering::WrongIdentifier => response[HEADER + 10] ^= 1,
        Tampering::Truncated => response.truncate(response.len() - 4),
        Tampering::FieldBehind => {
            response.extend([0x01, 0x04, 0, 16]);
            response.extend([0; 12]);
        }
        Tampering::OldResponse => response = old.to_vec(),
        Tampering::Altered => {
            if let Some(last) = response.last_mut() {
                *last ^= 1;
            }
        }
        Tampering::Plain => response.truncate(HEADER + IDENTIFIER),
    }
    response
}

/// Nothing that somebody between them does makes the client believe a measurement, or end; and
/// when it stops everything goes on by itself.
#[test]
fn tampering_on_the_way() {
    let place = Place::new(&certificate());
    let address = Attacker::ADDRESS;
    let _server = place.server(None, &[&format!("ntsntpserver {address}")]);
    let attacker = Attacker::start(place.ntp_port);
    let lines = place.source_with("localhost", "minpoll -3 maxpoll -3");
    let mut client = place.start(None, "client", &lines);
    client
        .running
        .wait_for(&format!("Selected source {address}"));
    let valid = |client: &Daemon| client.measurement_of(address).total_valid_count;
    for what in [
        Tampering::WrongIdentifier,
        Tampering::Truncated,
        Tampering::FieldBehind,
        Tampering::OldResponse,
        Tampering::Altered,
        Tampering::Plain,
    ] {
        attacker.set(what);
        // What was on its way before has arrived when the next was answered.
        attacker.wait_for(2);
        let before = valid(&client);
        attacker.wait_for(5);
        assert_eq!(valid(&client), before, "{what:?}");
        attacker.set(Tampering::Nothing);
        wait_until("valid responses again", || {
            (valid(&client) > before).then_some(())
        });
    }
    assert_eq!(client.authentication_of(address).key_id, 1);
    // A NAK is not authentic and yet makes the client ask for new keys, as it must.
    attacker.set(Tampering::AlteredCookie);
    client.wait_for_authentication(address, "NAK", |data| data.nak == 1 || data.key_id > 1);
    attacker.set(Tampering::Nothing);
    client.wait_for_authentication(address, "new keys", |data| {
        data.key_id > 1 && data.ke_attempts == 0
    });
}

/// Servers answer a replayed request, as the protocol has it, and say NAK to a cookie that is
/// not theirs.
#[test]
fn replayed_requests_and_foreign_cookies() {
    let place = Place::new(&certificate());
    let server = place.server(None, &["ntsntpserver 127.0.0.66"]);
    let recorder = UdpSocket::bind((Attacker::ADDRESS, place.ntp_port)).unwrap();
    let wait = Some(Duration::from_secs(60));
    recorder.set_read_timeout(wait).unwrap();
    let _client = place.start(None, "client", &place.source("localhost"));
    let mut buffer = [0; 2048];
    let length = uninterrupted(|| recorder.recv(&mut buffer)).unwrap();
    let request = buffer[..length].to_vec();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(wait).unwrap();
    socket.connect(("127.0.0.1", place.ntp_port)).unwrap();
    for _ in 0..3 {
        socket.send(&request).unwrap();
        assert_eq!(
            uninterrupted(|| socket.recv(&mut buffer)).unwrap(),
            request.len()
        );
        assert_ne!(buffer[1], 0, "a response, not a kiss code");
    }
    assert!(server.statistics().ntp_auth_hits >= 3);
    let mut foreign = request.clone();
    foreign[HEADER + IDENTIFIER + 4] ^= 0xff;
    socket.send(&foreign).unwrap();
    let length = uninterrupted(|| socket.recv(&mut buffer)).unwrap();
    assert_eq!(length, HEADER + IDENTIFIER);
    assert_eq!(
        (buffer[0], buffer[1]),
        (0xe4, 0),
        "LI 3, version 4, mode 4, stratum 0"
    );
    assert_eq!(&buffer[12..16], b"NTSN");
    assert_eq!(buffer[HEADER..length], request[HEADER..HEADER + IDENTIFIER]);
}

/// Connections over the limit of a client's rate are closed and counted.
#[test]
fn rate_limit_of_key_establishments() {
    const CONNECTIONS: u64 = 40;
    let place = Place::new(&certificate());
    let limit = "ntsratelimit interval 6 burst 2";
    let server = place.start(None, "server", &place.server_lines(&[limit]));
    let address = place.ke_server();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(wait_until("connection", || {
            TcpStream::connect(address).ok()
        }));
    }
    let statistics = wait_until("accepted connections", || {
        let statistics = server.statistics();
        (statistics.nke_hits == CONNECTIONS).then_some(statistics)
    });
    // A quarter of those above the burst leaks through, by chance: 28 drops are expected.
    assert!(statistics.nke_drops >= 12, "{statistics:?}");
}

/// A thousand connections that say nothing: the memory is bounded, NTP and other key
/// establishments go on.
#[test]
fn a_thousand_idle_connections() {
    let wanted = 1000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if !able(hard >= 3 * wanted, "3000 descriptors") {
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(3 * wanted), hard).unwrap();
    let place = Place::new(&certificate());
    let server = place.server(None, &["maxntsconnections 1100"]);
    let before = server.running.resident_kib();
    let address = place.ke_server();
    let mut idle = Vec::new();
    for _ in 0..wanted {
        idle.push(TcpStream::connect(address).unwrap());
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", place.ntp_port)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    for _ in 0..100 {
        socket.send(&REQUEST).unwrap();
        let mut response = [0; 100];
        assert_eq!(uninterrupted(|| socket.recv(&mut response)).unwrap(), 48);
    }
    let grown = server.running.resident_kib().saturating_sub(before);
    // 32 KiB for each would be 32 MiB.
    assert!(grown < 32 * 1024, "{grown} KiB more");
    let mut client = place.start(None, "client", &place.source("localhost"));
    client.running.wait_for("Selected source 127.0.0.1");
    for mut stream in idle {
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut rest = Vec::new();
        // Closed by the server, one way or another.
        let end = stream.read_to_end(&mut rest);
        assert!(!matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
    }
    eprintln!("1000 idle connections: {grown} KiB");
}

/// An octet from time to time keeps no connection open longer than 2 s, nor others waiting.
#[test]
fn slow_clients() {
    let place = Place::new(&certificate());
    let _server = place.server(None, &[]);
    let mut streams: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(place.ke_server()).unwrap())
        .collect();
    for stream in &streams {
        stream.set_nonblocking(true).unwrap();
    }
    // The start of a handshake that is announced as 512 octets long.
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 500]].concat();
    let mut octets = hello.iter();
    let mut client = place.start(None, "client", &place.source("localhost"));
    wait_until("end of the slow connections", || {
        let octet = *octets.next()?;
        streams.retain_mut(|stream| {
            let open = stream.write_all(&[octet]).is_ok();
            open && !matches!(stream.read(&mut [0]), Ok(0))
        });
        std::thread::sleep(Duration::from_millis(50));
        streams.is_empty().then_some(())
    });
    client.running.wait_for("Selected source 127.0.0.1");
}

/// Nothing can be kept where `ntsdumpdir` is no directory or not writable: each attempt is
/// said, and service goes on.
#[test]
fn unwritable_directory() {
    let place = Place::new(&certificate());
    let file = place.path("file");
    std::fs::write(&file, "").unwrap();
    let dump = format!("ntsdumpdir {}", file.display());
    let mut server = place.server(None, &[&dump]);
    let text = format!("{} is not directory", file.display());
    assert_eq!(server.running.wait_for("is not directory"), text);
    let text = format!(
        "Could not open {}/ntskeys.tmp : Not a directory",
        file.display()
    );
    assert_eq!(server.running.wait_for("Could not open"), text);
    server.running.wait_for("Could not save server NTS keys");
    let mut lines = place.source("localhost");
    lines.push(dump);
    let mut client = place.start(None, "client", &lines);
    client.running.wait_for("Selected source 127.0.0.1");
    assert!(client.running.stop().success());
    let text = format!(
        "Could not open {}/127.0.0.1.tmp : Not a directory",
        file.display()
    );
    assert!(
        client.running.messages().contains(&text),
        "{}",
        client.running.log()
    );
}
